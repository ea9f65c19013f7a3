package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/overlay"
	"yiqiao/schemas/strictjson"
)

func schemaCommand(s *streams) *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "接口版本: 比较两版接口表 / Editions of the interface tables",
		Example: "  yiqiao schema diff national ours-2027.yaml"}
	c.AddCommand(schemaDiffCommand(s))
	return c
}

func schemaDiffCommand(s *streams) *cobra.Command {
	var defs []string
	var config, items string
	var days int
	var asJSON bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "两版接口表的差别、受影响的映射与报文, 以及工作清单 / What differs between two editions, what it breaks, and what there is to do",
		Long: `OLD 和 NEW 是 national (随程序提供的全国表), 或叠加文件 (docs/schema.md), 多个用逗号隔开。
列出新增、删除、收紧的字段和取值; --defs 给出的映射在新版下不能使用的地方 (不写则检查随程序提供的映射);
--config 时, 最近 --days 天日志中存下的请求按旧版合格、按新版不合格的地方。不显示任何个人信息。
有会造成拒绝的差别时退出码为 1。`,
		Example: "  yiqiao schema diff national ours-2027.yaml\n  yiqiao schema diff national ours-2027.yaml --defs ./ours --config mysite --days 7 --json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := diffEditions(args[0], args[1])
			if err != nil {
				return err
			}
			if len(defs) == 0 {
				defs = shippedNames()
			}
			for _, d := range defs {
				if err := r.mapping(d, items); err != nil {
					return err
				}
			}
			if config != "" {
				if err := r.traffic(cmd.Context(), config, days); err != nil {
					return err
				}
			}
			r.plan()
			if asJSON {
				err = printJSON(s.out, r)
			} else {
				printSchemaDiff(s, r)
			}
			if err == nil && r.Breaking > 0 {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringArrayVar(&defs, "defs", nil, "映射名称或文件夹, 可多次 / mapping: shipped name or folder, may be repeated")
	c.Flags().StringVar(&items, "items", "", "项目对照表 (CSV/XLSX) / table of items")
	c.Flags().StringVar(&config, "config", "", "同时检查这份配置的交易日志 / check the journal of this configuration as well")
	c.Flags().IntVar(&days, "days", 7, "日志的天数 / days of the journal")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// schemaReport is what `yiqiao schema diff --json` prints.
type schemaReport struct {
	Old      string               `json:"old"`
	New      string               `json:"new"`
	From     string               `json:"from,omitempty"`      // first business day of the new edition
	OldUntil string               `json:"old_until,omitempty"` // last day of the old form
	Version  string               `json:"version,omitempty"`   // infver from then on
	Differ   []overlay.Difference `json:"differences"`
	Breaking int                  `json:"breaking"` // differences, faults of mappings and kinds of refused messages
	Mappings []brokenMapping      `json:"mappings"`
	Traffic  *trafficReport       `json:"traffic,omitempty"`
	Work     []workItem           `json:"work"`

	old, new *overlay.Stack
}

type brokenMapping struct {
	Mapping string          `json:"mapping"`
	Faults  []mapping.Fault `json:"faults"`
}

// trafficReport is what stored requests would meet. A request counts once for each kind of finding.
type trafficReport struct {
	Days    int            `json:"days"`
	Checked int            `json:"checked"`
	Refused int            `json:"refused"` // good in the old edition, not in the new one
	Kinds   []refusedKind  `json:"kinds"`
	Example []ident.MsgID  `json:"example"` // at most ten of them
	seen    map[string]int // index into Kinds
}

type refusedKind struct {
	Infno ident.Infno `json:"infno"`
	Code  string      `json:"code"`
	Path  string      `json:"path"` // rows without their number
	Rule  string      `json:"rule"`
	Count int         `json:"count"`
}

// workItem is one thing to be done.
type workItem struct {
	Owner string `json:"owner"` // his, operator, hospital
	What  string `json:"what"`
	Until string `json:"until,omitempty"`
}

func diffEditions(old, new string) (*schemaReport, error) {
	r := &schemaReport{Old: old, New: new, Differ: []overlay.Difference{}, Mappings: []brokenMapping{}, Work: []workItem{}}
	var err error
	if r.old, err = edition(old); err != nil {
		return nil, err
	}
	if r.new, err = edition(new); err != nil {
		return nil, err
	}
	if n := len(r.new.Later); n > 0 {
		last := r.new.Later[n-1]
		r.From, r.OldUntil, r.Version = last.From, last.OldUntil, last.Version
	}
	oc, ot := r.old.Last()
	nc, nt := r.new.Last()
	r.Differ = append(r.Differ, overlay.Diff(oc, nc, ot, nt)...)
	for _, d := range r.Differ {
		if d.Breaks {
			r.Breaking++
		}
	}
	return r, nil
}

// mapping loads one against both editions; what only the new one finds fault with is told.
func (r *schemaReport) mapping(where, items string) error {
	faults := func(c *catalog.Catalog, t *codes.Tables) (mapping.Error, error) {
		_, err := loadDefinitionIn(where, items, c, t)
		var list mapping.Error
		if errors.As(err, &list) {
			err = nil
		}
		return list, err
	}
	before, err := faults(r.old.Last())
	if err != nil {
		return err
	}
	after, err := faults(r.new.Last())
	if err != nil {
		return err
	}
	b := brokenMapping{Mapping: where}
	for _, f := range after {
		if !slices.Contains(before, f) {
			b.Faults = append(b.Faults, f)
		}
	}
	b.Faults = slices.Compact(b.Faults)
	if len(b.Faults) > 0 {
		r.Mappings = append(r.Mappings, b)
		r.Breaking += len(b.Faults)
	}
	return nil
}

// traffic checks the stored requests of a journal with both editions. What was cut out of them is cut out for both.
func (r *schemaReport) traffic(ctx context.Context, path string, days int) error {
	g, err := loadGateway(path)
	if err != nil {
		return err
	}
	j, err := g.openPresent(ctx)
	if err != nil {
		return err
	}
	defer j.close()
	regions := map[ident.Institution][2]*check.Checker{}
	for _, in := range g.Institutions {
		reg, err := g.region(in.Region)
		if err != nil {
			return err
		}
		var pair [2]*check.Checker
		for i, st := range []*overlay.Stack{r.old, r.new} {
			c, t := st.Last()
			// As a later edition, so that what the region relaxes and the new one no longer has is left out.
			e := check.Edition{Name: "new", From: "0000-01-01", Catalog: c, Tables: t}
			if pair[i], err = check.New(r.old.Base, check.Options{Relax: reg.Relax, Codes: reg.Codes, FundIncludesAccount: reg.FundIncludesAccount, Tables: r.old.Tables,
				Later: []check.Edition{e}, Today: func() string { return "9999-12-31" }}); err != nil {
				return err
			}
		}
		regions[ident.Institution(in.Code)] = pair
	}
	t := &trafficReport{Days: days, Kinds: []refusedKind{}, Example: []ident.MsgID{}, seen: map[string]int{}}
	q := gateway.Query{From: time.Now().AddDate(0, 0, -days), Limit: 1000}
	for {
		recs, err := j.List(ctx, q)
		if err != nil && !errors.Is(err, gateway.ErrExpired) {
			return err
		}
		for _, rec := range recs {
			t.look(rec, regions[rec.Institution])
		}
		if len(recs) < q.Limit {
			break
		}
		q.After = recs[len(recs)-1].ID
	}
	r.Traffic = t
	r.Breaking += len(t.Kinds)
	return nil
}

func (t *trafficReport) look(rec gateway.Record, pair [2]*check.Checker) {
	if len(rec.Input) == 0 || pair[0] == nil {
		return
	}
	v, err := strictjson.Decode(rec.Input, strictjson.Reply())
	if err != nil {
		return
	}
	t.Checked++
	was := map[string]bool{}
	for _, f := range pair[0].Request(rec.Infno, v) {
		was[f.Code+f.Path] = true
	}
	counted := map[string]bool{}
	for _, f := range pair[1].Request(rec.Infno, v) {
		if f.Severity != check.Error || was[f.Code+f.Path] {
			continue
		}
		k := refusedKind{Infno: rec.Infno, Code: f.Code, Path: rowless(f.Path), Rule: f.Rule, Count: 1}
		key := string(k.Infno) + k.Code + k.Path
		if counted[key] {
			continue
		}
		counted[key] = true
		if i, there := t.seen[key]; there {
			t.Kinds[i].Count++
		} else {
			t.seen[key] = len(t.Kinds)
			t.Kinds = append(t.Kinds, k)
		}
	}
	if len(counted) > 0 {
		t.Refused++
		if len(t.Example) < 10 {
			t.Example = append(t.Example, rec.ID)
		}
	}
}

// rowless takes the numbers of rows out of a path.
func rowless(p string) string {
	parts := strings.Split(p, "/")
	for i, s := range parts {
		if s != "" && strings.Trim(s, "0123456789") == "" {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// plan turns what was found into a list of work, in Chinese.
func (r *schemaReport) plan() {
	until := r.From
	add := func(owner, format string, a ...any) {
		r.Work = append(r.Work, workItem{owner, fmt.Sprintf(format, a...), until})
	}
	for _, d := range r.Differ {
		if !d.Breaks {
			continue
		}
		at := strings.TrimSpace(fmt.Sprintf("%s %s", d.Infno, sideZH(d.Side)))
		place := strings.Trim(d.Node+"."+d.Field, ".")
		owner := "his"
		if d.Side == catalog.Output || d.What == "transaction" {
			owner = "operator"
		}
		switch d.What + " " + d.Kind {
		case "transaction " + overlay.Removed:
			add(owner, "交易 %s %s 已取消: 停用相关业务, 或改用替代交易", d.Infno, d.Name)
		case "node " + overlay.Added:
			add(owner, "%s 新增必填节点 %s (%s): 补齐数据来源", at, d.Node, d.Name)
		case "node " + overlay.Removed:
			add(owner, "%s 取消节点 %s (%s): 不再%s", at, d.Node, d.Name, useZH(d.Side))
		case "field " + overlay.Added:
			add(owner, "%s 新增必填字段 %s (%s, %s): 补齐数据来源", at, place, d.Name, d.New)
		case "field " + overlay.Removed:
			add(owner, "%s 取消字段 %s (%s): 不再%s", at, place, d.Name, useZH(d.Side))
		case "value " + overlay.Removed:
			add("his", "字典 %s 取消取值 %s (%s): 更换对照", d.Dict, d.Value, d.Name)
		default:
			add(owner, "%s %s (%s) 的%s由 %s 改为 %s: 检查并修改", at, place, d.Name, ruleZH(d.Rule), blank(d.Old), blank(d.New))
		}
	}
	for _, m := range r.Mappings {
		for _, f := range m.Faults {
			add("his", "映射 %s: %s:%d %s", m.Mapping, f.File, f.Line, f.Text)
		}
	}
	if t := r.Traffic; t != nil {
		for _, k := range t.Kinds {
			add("his", "近 %d 天有 %d 笔 %s 按新版会被拒绝: %s %s", t.Days, k.Count, k.Infno, k.Path, k.Rule)
		}
	}
	if len(r.Work) == 0 {
		return
	}
	if r.Version != "" {
		add("operator", "接口版本号自 %s 起为 %s, 由网关按业务日期切换", r.From, r.Version)
	}
	add("operator", "用 yiqiao map test 和 yiqiao map replay 试新版映射; 在 yiqiao.yaml 的 editions 中加入叠加文件")
	add("hospital", "与医保经办确认生效日期, 用 yiqiao accept run 重新验收")
}

func sideZH(d catalog.Direction) string {
	return map[catalog.Direction]string{catalog.Input: "输入", catalog.Output: "输出"}[d]
}

func useZH(d catalog.Direction) string {
	return map[catalog.Direction]string{catalog.Input: "传入", catalog.Output: "依赖其返回"}[d]
}

func ruleZH(rule string) string {
	return map[string]string{"required": "必填", "length": "长度", "type": "类型", "dict": "字典", "repeat": "单行/多行"}[rule]
}

func blank(s string) string {
	if s == "" {
		return "(无)"
	}
	return s
}

func printSchemaDiff(s *streams, r *schemaReport) {
	kinds := map[string]string{overlay.Added: "新增", overlay.Removed: "删除", overlay.Tightened: "收紧", overlay.Loosened: "放宽", overlay.Changed: "变更"}
	var rows [][]string
	for _, d := range r.Differ {
		mark := ""
		if d.Breaks {
			mark = "!"
		}
		at := strings.TrimSpace(string(d.Infno) + " " + sideZH(d.Side))
		place := strings.Trim(d.Node+"."+d.Field, ".")
		if d.What == "value" {
			at, place = d.Dict, d.Value
		}
		what := strings.TrimSpace(ruleZH(d.Rule) + " " + d.Old + d.New)
		if d.Old != "" && d.New != "" {
			what = strings.TrimSpace(ruleZH(d.Rule) + " " + d.Old + " -> " + d.New)
		}
		rows = append(rows, []string{mark, kinds[d.Kind], at, place, d.Name, oneLine(what)})
	}
	table(s.out, []string{"", "差别", "交易/字典", "节点.字段/取值", "名称", "内容"}, rows)
	if r.From != "" {
		fmt.Fprintf(s.out, "\n生效: 业务日期 %s 起", r.From)
		if r.OldUntil != "" {
			fmt.Fprintf(s.out, "; 旧业务可按旧版报送至 %s", r.OldUntil)
		}
		fmt.Fprintln(s.out)
	}
	if t := r.Traffic; t != nil {
		fmt.Fprintf(s.out, "\n近 %d 天: 检查 %d 笔请求, %d 笔按新版会被拒绝\n", t.Days, t.Checked, t.Refused)
	}
	if len(r.Work) > 0 {
		owners := map[string]string{"his": "HIS 厂商", "operator": "网关管理员", "hospital": "医院"}
		rows = rows[:0]
		for i, w := range r.Work {
			rows = append(rows, []string{fmt.Sprint(i + 1), owners[w.Owner], w.Until, w.What})
		}
		fmt.Fprintln(s.out, "\n工作清单:")
		table(s.out, []string{"", "谁", "期限", "做什么"}, rows)
	}
	fmt.Fprintf(s.out, "\n%s -> %s: %d 处差别, %d 处会造成拒绝\n", r.Old, r.New, len(r.Differ), r.Breaking)
}
