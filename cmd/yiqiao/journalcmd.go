package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func journalCommand(s *streams) *cobra.Command {
	c := &cobra.Command{
		Use:     "journal",
		Short:   "查看和核对交易日志 / Look at the journal and verify it",
		Example: "  yiqiao journal list --config mysite --state unknown --state parked\n  yiqiao journal show H44010000001202611230915300001 --config mysite",
	}
	c.AddCommand(journalListCommand(s), journalShowCommand(s), journalFsckCommand(s),
		journalExportCommand(s), journalImportCommand(s))
	return c
}

// openJournal opens the journal a configuration names, for reading; the gateway may be running.
func openJournal(ctx context.Context, path string) (opened, error) {
	g, err := loadGateway(path)
	if err != nil {
		return opened{}, err
	}
	return g.openPresent(ctx)
}

// openPresent opens the journal, which must be there already.
func (g *gatewaySettings) openPresent(ctx context.Context) (opened, error) {
	if g.Journal.Database == "" {
		if _, err := os.Stat(filepath.Join(g.path(g.Data), journalFile)); err != nil {
			return opened{}, fmt.Errorf("还没有交易日志 / no journal yet: %w", err)
		}
	}
	p, err := provider(g.Provider)
	if err != nil {
		return opened{}, err
	}
	j, err := g.openJournal(ctx, p)
	if err != nil {
		return j, err
	}
	if err := j.actOf(ctx); err != nil {
		j.close()
		return opened{}, err
	}
	return j, nil
}

// listed is one line of `journal list`.
type listed struct {
	ID        ident.MsgID       `json:"id"`
	At        time.Time         `json:"at"`
	Inst      ident.Institution `json:"institution"`
	Infno     ident.Infno       `json:"infno"`
	State     gateway.State     `json:"state"`
	Cause     gateway.Cause     `json:"cause,omitempty"`
	System    string            `json:"system,omitempty"`
	RequestID string            `json:"request_id,omitempty"`
	Bill      string            `json:"bill,omitempty"`
	Step      string            `json:"step,omitempty"`
}

func journalListCommand(s *streams) *cobra.Command {
	var path string
	var f journalFilter
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "列出交易 / List transactions",
		Example: `  yiqiao journal list --config mysite
  yiqiao journal list --config mysite --state unknown --state parked
  yiqiao journal list --config mysite --day 2026-11-23 --infno 2207 --json
  yiqiao journal list --config mysite --visit M2026112300001
  echo 999999198503120018 | yiqiao journal list --config mysite --person -
  yiqiao journal list --config mysite --bill BH44010000001202611230915300002
  yiqiao journal list --config mysite --request OP20261123-0001 --system his-a`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query()
			if err != nil {
				return err
			}
			if err := readNumbers(s, &f.person, &f.visit); err != nil {
				return err
			}
			j, err := openJournal(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			recs, err := f.records(cmd.Context(), j, path, q)
			if err != nil {
				return err
			}
			all := make([]listed, 0, len(recs))
			rows := make([][]string, 0, len(recs))
			for _, r := range recs {
				all = append(all, listed{r.ID, r.CreatedAt.In(gateway.China), r.Institution, r.Infno, r.State, r.Cause, r.Request.System, r.Request.ID, r.Bill, r.Step})
				rows = append(rows, []string{r.CreatedAt.In(gateway.China).Format("2006-01-02 15:04:05"), string(r.ID), string(r.Infno), stateZH(r.State), causeZH(r.Cause), r.Request.System, r.Request.ID})
			}
			if asJSON {
				return printJSON(s.out, all)
			}
			table(s.out, []string{"时间", "报文ID", "交易", "状态", "原因", "接入方", "请求号"}, rows)
			fmt.Fprintf(s.out, "\n%d 笔\n", len(rows))
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&f.day, "day", "", "只看某日, yyyy-MM-dd / one day")
	c.Flags().StringVar(&f.infno, "infno", "", "只看某交易 / one transaction number")
	c.Flags().StringVar(&f.bill, "bill", "", "只看某结算单或住院单 / one bill or stay")
	c.Flags().StringVar(&f.request, "request", "", "只看某 HIS 请求号 / one request id of a HIS")
	c.Flags().StringVar(&f.system, "system", "", "与 --request 同用: 接入方, 缺省为配置中的全部 / with --request: the HIS system, default all configured")
	c.Flags().StringVar(&f.person, "person", "", "只看某人: 人员编号或证件号码; - 从标准输入读取 / one person's number; - reads it from standard input")
	c.Flags().StringVar(&f.visit, "visit", "", "只看某次就诊: 就诊ID 或住院/门诊号; - 从标准输入读取 / one visit's number")
	c.Flags().StringArrayVar(&f.states, "state", nil, "只看某状态: prepared sent done refused unknown reversed absent parked")
	c.Flags().IntVar(&f.limit, "limit", 50, "最多几笔 / at most that many")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateNames, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// journalFilter is what `journal list` is asked for.
type journalFilter struct {
	day, infno, bill, request, system string
	person, visit                     string
	states                            []string
	limit                             int
}

var stateNames = []string{"prepared", "sent", "done", "refused", "unknown", "reversed", "absent", "parked"}

func (f journalFilter) query() (gateway.Query, error) {
	q := gateway.Query{Infno: ident.Infno(f.infno), Newest: true, Limit: f.limit}
	for _, st := range f.states {
		if !slices.Contains(stateNames, st) {
			return q, fmt.Errorf("没有状态 %q, 应为 / no such state, one of: %s", st, strings.Join(stateNames, " "))
		}
		q.States = append(q.States, gateway.State(st))
	}
	switch {
	case f.bill != "" && f.request != "":
		return q, errors.New("--bill 与 --request 只能用一个 / use one of --bill and --request")
	case f.system != "" && f.request == "":
		return q, errors.New("--system 须与 --request 同用 / --system goes with --request")
	case (f.person != "" || f.visit != "") && f.bill+f.request != "":
		return q, errors.New("--person 和 --visit 不与 --bill、--request 同用 / do not go with --bill and --request")
	case f.limit < 1 || f.limit > 10_000:
		return q, errors.New("--limit 应为 1 到 10000 / must be 1 to 10000")
	}
	if f.day != "" {
		t, err := time.ParseInLocation("2006-01-02", f.day, gateway.China)
		if err != nil {
			return q, fmt.Errorf("--day 应为 yyyy-MM-dd / must be yyyy-MM-dd")
		}
		q.From, q.To = t, t.AddDate(0, 0, 1)
	}
	return q, nil
}

// records reads what is asked for, newest first.
func (f journalFilter) records(ctx context.Context, j gateway.Journal, path string, q gateway.Query) ([]gateway.Record, error) {
	var list []gateway.Record
	switch {
	case f.bill != "":
		if _, err := j.Bill(ctx, f.bill); errors.Is(err, gateway.ErrNotFound) {
			return nil, fmt.Errorf("没有 %s / not found", f.bill)
		}
		recs, err := j.BillRecords(ctx, f.bill)
		if err != nil && !errors.Is(err, gateway.ErrExpired) {
			return nil, err
		}
		list = recs
	case f.request != "":
		systems := []string{f.system}
		if f.system == "" {
			g, err := loadGateway(path)
			if err != nil {
				return nil, err
			}
			systems = append(systems[:0], gateway.OwnSystem)
			for _, h := range g.HIS {
				systems = append(systems, h.System)
			}
		}
		slices.Sort(systems)
		for _, s := range slices.Compact(systems) {
			recs, err := j.RequestRecords(ctx, gateway.RequestKey{System: s, ID: f.request})
			if err != nil && !errors.Is(err, gateway.ErrExpired) {
				return nil, err
			}
			list = append(list, recs...)
		}
	case f.person != "" || f.visit != "":
		g, err := loadGateway(path)
		if err != nil {
			return nil, err
		}
		return g.find(ctx, j, q, f.person, f.visit)
	default:
		q.Brief = true
		return j.List(ctx, q)
	}
	list = slices.DeleteFunc(list, func(r gateway.Record) bool {
		return q.Infno != "" && r.Infno != q.Infno || len(q.States) > 0 && !slices.Contains(q.States, r.State) ||
			!q.From.IsZero() && (r.CreatedAt.Before(q.From) || !r.CreatedAt.Before(q.To))
	})
	slices.SortStableFunc(list, func(a, b gateway.Record) int { return strings.Compare(string(b.ID), string(a.ID)) })
	return list[:min(len(list), q.Limit)], nil
}

// stateZH names a state for people.
func stateZH(st gateway.State) string {
	if zh, ok := map[gateway.State]string{
		gateway.StatePrepared: "待发送", gateway.StateSent: "已发出", gateway.StateDone: "成功", gateway.StateRefused: "被拒绝",
		gateway.StateUnknown: "待核实", gateway.StateReversed: "已冲正", gateway.StateAbsent: "核实未发生", gateway.StateParked: "待人工",
	}[st]; ok {
		return zh
	}
	return string(st)
}

// causeZH names a cause for people.
func causeZH(c gateway.Cause) string {
	if zh, ok := map[gateway.Cause]string{
		gateway.CauseBusiness: "中心拒绝", gateway.CauseNotSent: "未发出", gateway.CauseTimeout: "超时未答复", gateway.CauseCut: "连接中断",
		gateway.CauseNotInterface: "答复不是接口报文", gateway.CauseSignature: "验签失败", gateway.CauseMismatch: "答复与请求不符",
		gateway.CauseCrash: "重启前未得答复", "adopted": "查询认定", "by-hand": "人工认定", "taken-up": "人工重放",
	}[c]; ok {
		return zh
	}
	return string(c)
}

// eventZH names an event for people.
func eventZH(k gateway.EventKind) string {
	if zh, ok := map[gateway.EventKind]string{
		gateway.EventSent: "发出", gateway.EventDone: "成功", gateway.EventRefused: "被拒绝", gateway.EventUnknown: "结果不明", gateway.EventAsked: "已查询",
		gateway.EventReversed: "已冲正", gateway.EventAbsent: "核实未发生", gateway.EventParked: "转人工",
	}[k]; ok {
		return zh
	}
	return string(k)
}

func journalShowCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show MSGID|BILL",
		Short: "查看一笔交易或一张结算单的全过程 / Show a transaction or a bill with its history",
		Long:  "个人信息以掩码显示; 就诊凭证从不保存。",
		Example: `  yiqiao journal show H44010000001202611230915300001 --config mysite
  yiqiao journal show BH44010000001202611230915300002 --config mysite --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			j, err := g.openPresent(cmd.Context())
			if err != nil {
				return err
			}
			defer j.close()
			cat, _, err := g.tables() // an edition may name further personal members
			if err != nil {
				return err
			}
			recs, err := findRecords(cmd.Context(), j, args[0])
			if errors.Is(err, gateway.ErrNotFound) {
				return fmt.Errorf("没有 %s / not found", args[0])
			}
			expired := errors.Is(err, gateway.ErrExpired)
			if err != nil && !expired {
				return err
			}
			views := make([]shown, 0, len(recs))
			for _, r := range recs {
				ev, err := j.Events(cmd.Context(), r.ID)
				gone := errors.Is(err, gateway.ErrExpired)
				if err != nil && !gone {
					return err
				}
				v := show(cat, r, ev)
				v.Expired = gone || expired && len(r.Input) == 0
				views = append(views, v)
			}
			if asJSON {
				return printJSON(s.out, views)
			}
			for _, v := range views {
				printShown(s, v)
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func findRecords(ctx context.Context, j gateway.Journal, id string) ([]gateway.Record, error) {
	switch _, err := j.Bill(ctx, id); {
	case err == nil, errors.Is(err, gateway.ErrExpired):
		return j.BillRecords(ctx, id)
	case !errors.Is(err, gateway.ErrNotFound):
		return nil, err
	}
	r, err := j.Record(ctx, ident.MsgID(id))
	if err != nil && !errors.Is(err, gateway.ErrExpired) {
		return nil, err
	}
	return []gateway.Record{r}, err
}

// shown is one record for people and machines, personal data masked.
type shown struct {
	listed
	WireDigest string       `json:"wire_digest"`
	Operator   string       `json:"operator"`
	Mapping    string       `json:"mapping,omitempty"` // that its request came through
	Input      any          `json:"input,omitempty"`
	Output     any          `json:"output,omitempty"`
	Events     []shownEvent `json:"events"`
	Expired    bool         `json:"expired,omitempty"` // what it carried was destroyed after its retention
}

type shownEvent struct {
	Seq   int               `json:"seq"`
	Kind  gateway.EventKind `json:"kind"`
	At    time.Time         `json:"at"`
	Cause gateway.Cause     `json:"cause,omitempty"`
	Ref   ident.MsgID       `json:"ref,omitempty"`
	Note  string            `json:"note,omitempty"`
}

func show(cat *catalog.Catalog, r gateway.Record, events []gateway.Event) shown {
	v := shown{listed: listed{r.ID, r.CreatedAt.In(gateway.China), r.Institution, r.Infno, r.State, r.Cause, r.Request.System, r.Request.ID, r.Bill, r.Step},
		WireDigest: fmt.Sprintf("%x", r.WireDigest), Operator: r.Operator.ID, Mapping: r.Mapping, Input: masked(cat, r.Input), Output: masked(cat, r.Output)}
	// The centre's words may repeat what it was sent.
	v.Output = cat.Scrub(v.Output, append(personals(cat, r.Input), personals(cat, r.Output)...))
	for _, e := range events {
		v.Events = append(v.Events, shownEvent{e.Seq, e.Kind, e.At.In(gateway.China), e.Cause, e.Ref, e.Note})
	}
	return v
}

func personals(cat *catalog.Catalog, body []byte) []string {
	v, err := strictjson.Decode(body, strictjson.Reply())
	if len(body) == 0 || err != nil {
		return nil
	}
	return cat.Personals(v)
}

// masked decodes a stored body and masks what identifies a person.
func masked(cat *catalog.Catalog, body []byte) any {
	if len(body) == 0 {
		return nil
	}
	v, err := strictjson.Decode(body, strictjson.Reply())
	if err != nil {
		return json.RawMessage(strconv.Quote("unreadable"))
	}
	return cat.Mask(v)
}

func printShown(s *streams, v shown) {
	fmt.Fprintln(s.out, strings.TrimSpace(fmt.Sprintf("%s  %s  %s %s", v.ID, v.Infno, stateZH(v.State), causeZH(v.Cause))))
	rows := make([][]string, 0, len(v.Events))
	for _, e := range v.Events {
		rows = append(rows, []string{strconv.Itoa(e.Seq), e.At.Format("2006-01-02 15:04:05.000"), eventZH(e.Kind), causeZH(e.Cause), string(e.Ref), e.Note})
	}
	table(s.out, []string{"序", "时间", "事件", "原因", "相关报文", "备注"}, rows)
	if v.Mapping != "" {
		fmt.Fprintf(s.out, "映射: %s\n", v.Mapping)
	}
	if v.Expired {
		fmt.Fprintln(s.out, "报文内容已超过保存期限并已销毁 / what it carried was destroyed after its retention")
	}
	for _, b := range []struct {
		name string
		v    any
	}{{"输入", v.Input}, {"输出", v.Output}} {
		if b.v != nil {
			fmt.Fprintf(s.out, "%s: %s\n", b.name, strictjson.Append(nil, b.v))
		}
	}
	fmt.Fprintln(s.out)
}

func journalFsckCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:     "fsck",
		Short:   "核对日志: 每笔状态是否等于其历史 / Verify that every state is the fold of its history",
		Long:    "逐笔重放历史并与当前状态比较, 检查密文能否打开、有无孤立的记录、报文ID是否重复。有问题时退出码为 1。",
		Example: "  yiqiao journal fsck --config mysite",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := openJournal(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer j.close()
			done := working("核对交易日志")
			r, err := j.Fsck(cmd.Context())
			done()
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(s.out, r); err != nil {
					return err
				}
			} else {
				for _, problem := range r.Problems {
					fmt.Fprintf(s.out, "%s  %s\n", problem.ID, problem.What)
				}
				fmt.Fprintf(s.out, "%d 笔交易, %d 个事件, %d 个问题\n", r.Records, r.Events, len(r.Problems))
			}
			if len(r.Problems) > 0 {
				return errNo
			}
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}
