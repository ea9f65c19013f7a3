package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/mapping"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func mapTestCommand(s *streams) *cobra.Command {
	var where, items string
	var write, asJSON bool
	var least int
	c := &cobra.Command{
		Use:   "test --defs DIR",
		Short: "运行映射旁边的用例 / Run the cases beside a mapping",
		Long: `用例在映射文件夹的 cases 中: NAME.hl7 等是输入, NAME.json 是应得的结果。逐字段比较, 并统计每条规则
是否被用例触及。--update 按现在的结果重写 NAME.json, 请用 git diff 逐条看过再提交。
用例只用虚构的人员: 结果文件里是明文。`,
		Example: "  yiqiao map test --defs ./ours\n  yiqiao map test --defs generic-hl7 --least 100",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			if where == "" {
				return errors.New("--defs 未给出 / is missing")
			}
			d, err := loadDefinition(where, items)
			if err != nil {
				return mappingFaults(s, asJSON, err)
			}
			r, err := runCases(d, write)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(s.out, r)
			} else {
				printCases(s, r)
			}
			if err == nil && (r.Failed > 0 || r.Percent < least) {
				err = errNo
			}
			return err
		},
	}
	c.Flags().StringVar(&where, "defs", "", "映射名称或文件夹 / mapping: shipped name or folder")
	c.Flags().StringVar(&items, "items", "", "项目对照表 (CSV/XLSX) / table of items")
	c.Flags().IntVar(&least, "least", 0, "规则覆盖率下限, 百分数 / least coverage of rules, per cent")
	c.Flags().BoolVar(&write, "update", false, "重写应得的结果 / write the expected results anew")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// caseReport is what `yiqiao map test --json` prints.
type caseReport struct {
	Mapping string         `json:"mapping"`
	Cases   []caseResult   `json:"cases"`
	Failed  int            `json:"failed"`
	Rules   int            `json:"rules"`
	Covered int            `json:"covered"`
	Percent int            `json:"percent"` // of rules that gave a value in some case, rounded down
	Missed  []mapping.Rule `json:"missed"`
}

type caseResult struct {
	Name    string   `json:"name"`
	OK      bool     `json:"ok"`
	Problem string   `json:"problem,omitempty"`
	Changes []change `json:"changes,omitempty"`
}

// change is one place where two results differ. Values are shown as they are in cases, which hold
// invented people, and masked in recorded traffic.
type change struct {
	Path string `json:"path"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// outcome is what a file of messages becomes, in the form of the expected results.
type outcome struct {
	Event  string        `json:"event,omitempty"`
	Orders []goldenOrder `json:"orders"`
	Faults []goldenFault `json:"faults,omitempty"`
}

type goldenOrder struct {
	Op    gateway.OrderOp `json:"op"`
	Infno ident.Infno     `json:"infno,omitempty"`
	Of    string          `json:"of,omitempty"`
	ID    string          `json:"id,omitempty"`
	Body  map[string]any  `json:"body,omitempty"`
}

type goldenFault struct {
	Code string `json:"code"`
	Path string `json:"path"`
	Rule string `json:"rule,omitempty"`
}

func outcomeOf(d gateway.Mapper, src gateway.Source) outcome {
	got, err := d.Map(src)
	out := outcome{Event: got.Rule, Orders: []goldenOrder{}}
	for _, o := range got.Orders {
		out.Orders = append(out.Orders, goldenOrder{o.Op, o.Infno, o.Of, o.ID, o.Body})
	}
	var e *gateway.Error
	if errors.As(err, &e) {
		for _, f := range e.Findings {
			rule := f.Rule
			if f.Code == mapping.CodeNoEvent || f.Code == mapping.CodeExpression {
				rule = "" // holds the version or the line
			}
			out.Faults = append(out.Faults, goldenFault{f.Code, f.Path, rule})
		}
		if len(e.Findings) == 0 {
			out.Faults = []goldenFault{{string(e.Code), e.Path, e.Rule}}
		}
	}
	return out
}

// runCases runs every case of a definition.
func runCases(d *definition, write bool) (caseReport, error) {
	r := caseReport{Mapping: d.Version(), Cases: []caseResult{}, Missed: []mapping.Rule{}}
	entries, err := fs.ReadDir(d.fsys, "cases")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	if write && d.folder == "" {
		return r, errors.New("随程序提供的映射不能改写 / a shipped mapping can not be rewritten: give its folder")
	}
	rules := d.Definition.Rules()
	hits := make([]int, len(rules))
	for _, e := range entries {
		if e.IsDir() || !slices.Contains(d.kind.endings, strings.ToLower(path.Ext(e.Name()))) {
			continue
		}
		c := runCase(d, e.Name(), write, hits)
		if !c.OK {
			r.Failed++
		}
		r.Cases = append(r.Cases, c)
	}
	for i, rule := range rules {
		if hits[i] > 0 {
			r.Covered++
		} else {
			r.Missed = append(r.Missed, rule)
		}
	}
	if r.Rules = len(rules); r.Rules > 0 {
		r.Percent = r.Covered * 100 / r.Rules
	}
	if len(r.Cases) == 0 {
		return r, fmt.Errorf("没有用例: %s/cases 中应有 *%s / no cases", d.Name, strings.Join(d.kind.endings, ", *"))
	}
	return r, nil
}

func runCase(d *definition, name string, write bool, hits []int) caseResult {
	c := caseResult{Name: name}
	fail := func(err error) caseResult { c.Problem = err.Error(); return c }
	text, err := fs.ReadFile(d.fsys, "cases/"+name)
	if err != nil {
		return fail(err)
	}
	list, err := d.read(name, text)
	if err != nil {
		return fail(err)
	}
	var got []outcome
	for _, src := range list {
		d.Covered(src, hits)
		got = append(got, outcomeOf(d, src))
	}
	have, err := goldenText(got)
	if err != nil {
		return fail(err)
	}
	golden := "cases/" + strings.TrimSuffix(name, path.Ext(name)) + ".json"
	if write {
		if err := os.WriteFile(filepath.Join(d.folder, filepath.FromSlash(golden)), have, 0o644); err != nil {
			return fail(err)
		}
		c.OK = true
		return c
	}
	want, err := fs.ReadFile(d.fsys, golden)
	if err != nil {
		return fail(fmt.Errorf("没有应得的结果 %[1]s: 先用 --update 写出并检查 / no expected result: %[2]w", golden, err))
	}
	if c.Changes, err = changes(want, have); err != nil {
		return fail(err)
	}
	c.OK = len(c.Changes) == 0
	return c
}

func goldenText(got []outcome) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(got)
	return b.Bytes(), err
}

// changes compares two results place by place.
func changes(old, new []byte) ([]change, error) {
	flat := func(b []byte) (map[string]string, error) {
		v, err := strictjson.Decode(b, strictjson.Reply())
		out := map[string]string{}
		flatten(v, "", out)
		return out, err
	}
	was, err := flat(old)
	if err != nil {
		return nil, err
	}
	is, err := flat(new)
	if err != nil {
		return nil, err
	}
	var list []change
	for p, v := range was {
		if n, ok := is[p]; !ok || n != v {
			list = append(list, change{p, v, n})
		}
	}
	for p, v := range is {
		if _, ok := was[p]; !ok {
			list = append(list, change{p, "", v})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

func veiled(s string) string {
	switch r := []rune(s); {
	case len(r) == 0:
		return ""
	case len(r) < 4:
		return "***"
	default:
		return string(r[0]) + "***" + string(r[len(r)-1])
	}
}

func flatten(v any, at string, out map[string]string) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			flatten(e, at+"/"+k, out)
		}
	case []any:
		for i, e := range x {
			flatten(e, at+"/"+strconv.Itoa(i), out)
		}
	case string:
		out[at] = x
	default:
		out[at] = string(strictjson.Append(nil, v))
	}
}

func printCases(s *streams, r caseReport) {
	rows := make([][]string, 0, len(r.Cases))
	for _, c := range r.Cases {
		state := "通过"
		if !c.OK {
			state = "不同"
		}
		rows = append(rows, []string{state, c.Name, oneLine(c.Problem)})
		for _, ch := range c.Changes {
			rows = append(rows, []string{"", "  " + ch.Path, oneLine(fmt.Sprintf("%q -> %q", ch.Old, ch.New))})
		}
	}
	table(s.out, []string{"结果", "用例", "说明"}, rows)
	fmt.Fprintf(s.out, "\n%s: %d 个用例, %d 个不同; %d 条规则中 %d 条被触及 (%d%%)\n", r.Mapping, len(r.Cases), r.Failed, r.Rules, r.Covered, r.Percent)
	if len(r.Missed) > 0 {
		rows = rows[:0]
		for _, m := range r.Missed {
			rows = append(rows, []string{fmt.Sprintf("%s:%d", m.File, m.Line), m.Target})
		}
		fmt.Fprintln(s.out, "\n没有用例触及:")
		table(s.out, []string{"规则", "目标"}, rows)
	}
}
