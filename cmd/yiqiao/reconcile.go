package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/recon"
	"yiqiao/gateway/review"
	"yiqiao/schemas/ident"
)

// reconcileSettings say when serve reconciles by itself, and in whose name.
type reconcileSettings struct {
	At           string          `yaml:"at"`                // HH:mm, China's time; "" for never
	Every        config.Duration `yaml:"every"`             // how often serve compares the present day, at least 1m; 0: it does not
	AskCentre    bool            `yaml:"every_asks_centre"` // and asks the centre for its totals (3201) each time
	Operator     string          `yaml:"operator"`          // opter of the gateway's own messages; default yiqiao-recon
	OperatorName string          `yaml:"operator_name"`     // default 医桥对账
}

// reportFolder is where reports are kept inside the data folder.
const reportFolder = "reconcile"

// reconcileFlags are what `yiqiao reconcile` was asked for.
type reconcileFlags struct {
	config, date, month, institution string
	html, csv, shiftCSV              string
	json, offline, shift, suggest    bool
}

func reconcileCommand(s *streams) *cobra.Command {
	var f reconcileFlags
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "与医保中心对账 / Reconcile a day with the insurance centre",
		Long: `按日汇总网关日志中的结算和退费, 与中心对总账 (3201); 不平时上传明细 (9101)、对明细账 (3202)、取回结果 (9102),
逐笔给出差异的原因和处理建议。只查不改: 任何处理都由人决定。每次对账都留存, 从不覆盖。网关运行时也可以执行。

退出码: 0 对平, 1 有差异或有未能解释的金额, 2 未能完成。

--month 汇总当月各日已有的对账结果, 不向中心发送任何交易。--offline 只核对本方 (HIS 与网关日志)。`,
		Example: `  yiqiao reconcile --config mysite --date 2026-11-22
  yiqiao reconcile --config mysite --date 2026-11-22 --html report.html --csv report.csv
  yiqiao reconcile --config mysite --date 2026-11-22 --shift
  yiqiao reconcile --config mysite --month 2026-11 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return reconcile(cmd.Context(), s, f, systemClock{}) },
	}
	c.Flags().StringVar(&f.config, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&f.date, "date", "", "对账日期 yyyy-MM-dd; 缺省为昨天 / the day; default yesterday")
	c.Flags().StringVar(&f.month, "month", "", "月度汇总 yyyy-MM / roll up a month")
	c.Flags().StringVar(&f.institution, "institution", "", "只对某机构 / one institution only")
	c.Flags().StringVar(&f.html, "html", "", "写出网页报告 / write a page")
	c.Flags().StringVar(&f.csv, "csv", "", "写出差异表 (Excel 可直接打开) / write the differences")
	c.Flags().StringVar(&f.shiftCSV, "shift-csv", "", "写出收费员日结表 / write the shifts")
	c.Flags().BoolVar(&f.shift, "shift", false, "只看收费员日结, 不与中心核对 / shift close only, nothing is sent")
	c.Flags().BoolVar(&f.offline, "offline", false, "不与中心核对 / without the centre")
	c.Flags().BoolVar(&f.suggest, "suggest", false, "把处理建议列入双人复核 (yiqiao review) / enter the remedies as suggestions")
	c.Flags().BoolVar(&f.json, "json", false, "以 JSON 输出 / print JSON")
	c.MarkFlagsMutuallyExclusive("date", "month")
	return c
}

// reconcile is the command with its clock passed in.
func reconcile(ctx context.Context, s *streams, f reconcileFlags, clock gateway.Clock) error {
	day, month, err := f.days(clock.Now())
	if err != nil {
		return err
	}
	g, err := loadGateway(f.config)
	if err != nil {
		return err
	}
	p, err := g.build(s.err, clock)
	if err != nil {
		return err
	}
	codes, err := f.codes(p)
	if err != nil {
		return err
	}
	j, err := openJournal(ctx, f.config)
	if err != nil {
		return err
	}
	defer j.close()
	r, err := g.reconciler(p, j, clock)
	if err != nil {
		return err
	}
	if f.month != "" {
		return reconcileMonth(ctx, s, f, r, codes, month)
	}
	done := working("与医保中心对账")
	reports, err := runReports(ctx, r, codes, day, f.offline || f.shift)
	done()
	if f.suggest {
		entered := f.suggestAll(ctx, s, g, p, j, clock, reports)
		err = errors.Join(err, entered)
	}
	if wrote := writeReports(s, f, reports); wrote != nil {
		return errors.Join(err, wrote)
	}
	if err != nil {
		return err
	}
	if !f.shift && slices.ContainsFunc(reports, func(rep recon.Report) bool { return !rep.Balanced }) {
		return errNo
	}
	return nil
}

// suggestAll enters the remedies of reports as suggestions.
func (f reconcileFlags) suggestAll(ctx context.Context, s *streams, g *gatewaySettings, p *parts, j opened, clock gateway.Clock, reports []recon.Report) error {
	desk, err := g.sideDesk(p, j, clock)
	if err != nil {
		return err
	}
	book, err := g.reviewBook(desk, p, j, clock)
	if err != nil {
		return err
	}
	n, err := suggest(ctx, book, reports...)
	fmt.Fprintf(s.err, "%d 条新的处理建议, 见 yiqiao review list\n", n)
	return err
}

// runReports makes one report for each institution; what failed in one does not keep the others from
// being made.
func runReports(ctx context.Context, r *recon.Reconciler, codes []ident.Institution, day time.Time, offline bool) ([]recon.Report, error) {
	run := r.Run
	if offline {
		run = r.Look
	}
	var reports []recon.Report
	var all error
	for _, code := range codes {
		rep, err := run(ctx, code, day)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("%s: 对账未能完成 / could not be finished: %s", code, wordsOf(err)))
		}
		if rep.Run != "" {
			reports = append(reports, rep)
		}
	}
	return reports, all
}

// wordsOf puts an error of the gateway into words for people.
func wordsOf(err error) string {
	var e *gateway.Error
	if errors.As(err, &e) {
		return gateway.Codes[e.Code].ZH + " (" + string(e.Code) + ") " + e.Detail
	}
	return err.Error()
}

func (f reconcileFlags) days(now time.Time) (day, month time.Time, err error) {
	day = now.In(gateway.China).AddDate(0, 0, -1)
	if f.date != "" {
		if day, err = time.ParseInLocation(time.DateOnly, f.date, gateway.China); err != nil {
			return day, month, errors.New("--date 应为 yyyy-MM-dd / must be yyyy-MM-dd")
		}
	}
	if f.month != "" {
		if month, err = time.ParseInLocation("2006-01", f.month, gateway.China); err != nil {
			return day, month, errors.New("--month 应为 yyyy-MM / must be yyyy-MM")
		}
	}
	return day, month, nil
}

// codes lists the institutions to reconcile, in order.
func (f reconcileFlags) codes(p *parts) ([]ident.Institution, error) {
	if f.institution != "" {
		code := ident.Institution(f.institution)
		if p.institutions[code] == nil {
			return nil, fmt.Errorf("机构 %s 未配置 / institution is not configured", f.institution)
		}
		return []ident.Institution{code}, nil
	}
	var codes []ident.Institution
	for code := range p.institutions {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	return codes, nil
}

// reconciler puts one together on a desk of its own: the journal may be a running gateway's too.
func (s *gatewaySettings) reconciler(p *parts, j opened, clock gateway.Clock) (*recon.Reconciler, error) {
	desk, err := s.sideDesk(p, j, clock)
	if err != nil {
		return nil, err
	}
	return s.reconcilerOn(desk, p, j, clock)
}

// sideDesk is a desk beside a gateway that may be running on the same journal.
func (s *gatewaySettings) sideDesk(p *parts, j opened, clock gateway.Clock) (*flow.Desk, error) {
	return flow.New(flow.Options{
		Journal: j, Centre: func(i ident.Institution) gateway.Centre { return p.ways[i] },
		Institutions: p.institutions, Catalog: p.catalog, Clock: clock, Digest: j.vault.Digest, Timing: s.timing(), Log: p.log, Kinds: caseKinds(),
	})
}

func (s *gatewaySettings) reconcilerOn(desk gateway.Office, p *parts, j gateway.Journal, clock gateway.Clock) (*recon.Reconciler, error) {
	return recon.New(recon.Options{
		Journal: j, Office: desk, Catalog: p.catalog, Institutions: p.institutions, Clock: clock, Log: p.log,
		Operator: s.Reconcile.operator(), Archive: recon.NewArchive(filepath.Join(s.path(s.Data), reportFolder)),
	})
}

// operator of the gateway's own messages. It has a sign-in of its own, so it must be no cashier's.
func (r reconcileSettings) operator() gateway.Operator {
	o := gateway.Operator{ID: r.Operator, Name: r.OperatorName, Type: "1"}
	if o.ID == "" {
		o.ID = "yiqiao-recon"
	}
	if o.Name == "" {
		o.Name = "医桥对账"
	}
	return o
}

// daily is what serve runs beside everything else; nil when nothing is scheduled.
func (s *gatewaySettings) daily(desk gateway.Office, p *parts, j gateway.Journal, clock gateway.Clock, done func(recon.Report, error)) (func(context.Context) error, error) {
	if s.Reconcile.At == "" {
		return nil, nil
	}
	at, err := recon.ParseAt(s.Reconcile.At)
	if err != nil {
		return nil, err
	}
	r, err := s.reconcilerOn(desk, p, j, clock)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return r.Daily(ctx, at, done) }, nil
}

// watch is what serve runs to compare the present day; nil when that is off. say tells what is amiss.
func (s *gatewaySettings) watch(desk gateway.Office, p *parts, j gateway.Journal, clock gateway.Clock) (run func(context.Context) error, say func() string, err error) {
	if s.Reconcile.Every == 0 {
		return nil, nil, nil
	}
	r, err := s.reconcilerOn(desk, p, j, clock)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	amiss := map[ident.Institution]string{}
	see := func(rep recon.Report, err error) {
		words := rep.Amiss()
		if err != nil {
			words = string(rep.Institution) + ": " + wordsOf(err)
		}
		mu.Lock()
		changed := amiss[rep.Institution] != words
		amiss[rep.Institution] = words
		mu.Unlock()
		if changed {
			p.log.Warn("comparison of the day", "institution", string(rep.Institution), "amiss", words, "open", len(rep.Open))
		}
	}
	say = func() string {
		mu.Lock()
		defer mu.Unlock()
		var list []string
		for _, words := range amiss {
			if words != "" {
				list = append(list, words)
			}
		}
		slices.Sort(list)
		if len(list) == 0 {
			return ""
		}
		return "对账: " + strings.Join(list, "; ")
	}
	return func(ctx context.Context) error {
		return r.Watch(ctx, time.Duration(s.Reconcile.Every), s.Reconcile.AskCentre, see)
	}, say, nil
}

// suggest puts what a report leads to into the book of proposals.
func suggest(ctx context.Context, b *review.Book, reports ...recon.Report) (int, error) {
	n := 0
	for i := range reports {
		fresh, err := b.Suggest(ctx, gateway.Person{ID: "yiqiao-recon", Name: "医桥对账"}, reports[i].Suggestions())
		if n += fresh; err != nil {
			return n, err
		}
	}
	return n, nil
}

// writeReports prints the reports and writes the files that were asked for.
func writeReports(s *streams, f reconcileFlags, reports []recon.Report) error {
	var err error
	if f.html != "" {
		err = errors.Join(err, writeTo(f.html, func(w io.Writer) error { return recon.WriteHTML(w, reports) }))
	}
	for name, write := range map[string]func(*recon.Report, io.Writer) error{f.csv: (*recon.Report).WriteCSV, f.shiftCSV: (*recon.Report).WriteShiftCSV} {
		if name == "" {
			continue
		}
		for i := range reports {
			to := name
			if i > 0 { // one file each
				to = numbered(name, string(reports[i].Institution))
			}
			err = errors.Join(err, writeTo(to, func(w io.Writer) error { return write(&reports[i], w) }))
		}
	}
	if f.json {
		return errors.Join(err, printJSON(s.out, reports))
	}
	for i := range reports {
		printReport(s.out, &reports[i], f)
	}
	return err
}

func numbered(name, part string) string {
	ext := filepath.Ext(name)
	return name[:len(name)-len(ext)] + "-" + part + ext
}

func writeTo(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func printReport(w io.Writer, r *recon.Report, f reconcileFlags) {
	fmt.Fprintf(w, "%s  %s (%s)\n", r.Date, r.Name, r.Institution)
	if !f.shift {
		printBooks(w, r)
	}
	if f.shift || len(r.Shifts) > 0 && r.Offline {
		rows := make([][]string, 0, len(r.Shifts))
		for _, x := range r.Shifts {
			rows = append(rows, []string{x.Operator, x.Name, strconv.Itoa(x.Settled.Count), x.Settled.Total.String(), strconv.Itoa(x.Undone.Count),
				x.Undone.Total.String(), x.Net.Total.String(), x.Net.Fund.String(), x.Net.Account.String(), x.Cash.String(), strconv.Itoa(x.Open)})
		}
		table(w, []string{"收费员", "姓名", "结算", "结算总额", "退费", "退费总额", "净额", "基金", "个人账户", "应交现金", "待核实"}, rows, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	}
	fmt.Fprintln(w)
}

func printBooks(w io.Writer, r *recon.Report) {
	if !r.Offline {
		rows := make([][]string, 0, len(r.Groups))
		for _, g := range r.Groups {
			rows = append(rows, []string{g.Agency, g.Insutype, g.ClrType, strconv.Itoa(g.Ours.Count), g.Ours.Total.String(), g.Ours.Fund.String(), g.Ours.Account.String(), recon.ResultZH(g.Result)})
		}
		table(w, []string{"经办机构", "险种", "清算类别", "笔数", "医疗费总额", "基金支付", "个人账户", "结果"}, rows, 3, 4, 5, 6)
	}
	for _, d := range r.Differences {
		fmt.Fprintf(w, "\n%d. %s  差额 %s (基金 %s, 账户 %s)  %s %s\n", d.No, recon.CauseZH(d.Cause), d.By.Total, d.By.Fund, d.By.Account, d.Setl, d.MsgID)
		if d.Note+d.Memo != "" {
			fmt.Fprintf(w, "   %s %s\n", d.Note, d.Memo)
		}
		for _, x := range d.Remedies {
			fmt.Fprintf(w, "   建议: %s\n", x.ZH)
		}
	}
	for _, u := range r.Unexplained {
		amount := "金额未知"
		if u.By != nil {
			amount = u.By.Total.String()
		}
		fmt.Fprintf(w, "\n未能解释: %s  %s %s/%s/%s %s\n", amount, u.Why, u.Agency, u.Insutype, u.ClrType, u.MsgID)
	}
	for _, o := range r.Open {
		fmt.Fprintf(w, "\n待核实: %s %s %s\n", o.MsgID, o.Infno, stateZH(o.State))
	}
	switch {
	case r.Failed != "":
		fmt.Fprintf(w, "\n未能完成\n")
	case r.Balanced:
		fmt.Fprintf(w, "\n对平\n")
	default:
		fmt.Fprintf(w, "\n不平: %d 项差异, 差额 %s, 其中未解释 %s; %d 项未能解释\n", len(r.Differences), r.Centre.Difference.Total, r.Centre.Unexplained.Total, len(r.Unexplained))
	}
}

func reconcileMonth(ctx context.Context, s *streams, f reconcileFlags, r *recon.Reconciler, codes []ident.Institution, first time.Time) error {
	var months []recon.Month
	balanced := true
	for _, code := range codes {
		m, err := r.RollUp(ctx, code, first)
		if err != nil {
			return err
		}
		months = append(months, m)
		balanced = balanced && m.Balanced
	}
	if f.json {
		if err := printJSON(s.out, months); err != nil {
			return err
		}
	}
	for _, m := range months {
		if f.json {
			break
		}
		fmt.Fprintf(s.out, "%s  %s (%s)\n", m.Month, m.Name, m.Institution)
		rows := make([][]string, 0, len(m.Days))
		for _, d := range m.Days {
			state := map[bool]string{true: "对平", false: "不平"}[d.Balanced]
			if d.Run == "" {
				state = "未对账"
			}
			rows = append(rows, []string{d.Date, strconv.Itoa(d.Ours.Count), d.Ours.Total.String(), d.Ours.Fund.String(), d.Difference.Total.String(), strconv.Itoa(d.Differences), state})
		}
		table(s.out, []string{"日期", "笔数", "医疗费总额", "基金支付", "差额", "差异", "结果"}, rows, 1, 2, 3, 4, 5)
		rows = rows[:0]
		for _, x := range m.Clearing {
			rows = append(rows, []string{x.Agency, x.ClrWay, x.ClrType, strconv.Itoa(x.Ours.Count), x.Ours.Total.String(), x.Ours.Fund.String(), x.Ours.Account.String(), x.Cash})
		}
		fmt.Fprintln(s.out)
		table(s.out, []string{"清算机构", "清算方式", "清算类别", "笔数", "医疗费总额", "基金支付", "个人账户", "现金"}, rows, 3, 4, 5, 6, 7)
		fmt.Fprintf(s.out, "合计 %s (日志现为 %s); 未对账 %d 天, 对账后日志有变动 %d 天\n\n", m.Reported.Total, m.Journal.Total, len(m.Missing), len(m.Changed))
	}
	if !balanced {
		return errNo
	}
	return nil
}
