// Package recon compares three books of a day: what the HIS was told, the journal, and the insurance
// centre. It never changes any of them.
//
// One run (Run) adds up the journal's settlements and undos by agency, insurance and clearing type
// and asks the centre whether it has the same (3201). Where it has not, the rows are sent as a file
// (9101), compared there (3202) and the result is fetched (9102) and read. Every difference gets a
// cause and a remedy for a person to take; none is taken here. What a report explains must add up to
// what the books differ by, to the fen; what it does not is stated as unexplained, and a report with
// anything unexplained is not balanced.
//
// Runs are kept by an Archive and never overwritten; what was sent and received is in the journal.
package recon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Options are the parts of a Reconciler. Log is optional.
type Options struct {
	Journal      gateway.Journal
	Office       gateway.Office
	Catalog      *catalog.Catalog
	Institutions map[ident.Institution]*gateway.Institution
	Clock        gateway.Clock
	Operator     gateway.Operator // in whose name the gateway asks; a sign-in of its own, so no cashier's
	Archive      *Archive
	Log          *slog.Logger
}

// Reconciler makes reports. Safe for concurrent use.
type Reconciler struct {
	opt     Options
	numbers numbers
}

// New checks the options. A missing operator is "yiqiao-recon".
func New(o Options) (*Reconciler, error) {
	if o.Journal == nil || o.Office == nil || o.Catalog == nil || o.Clock == nil || o.Archive == nil {
		return nil, errors.New("recon: journal, office, catalog, clock and archive are required")
	}
	if o.Operator.ID == "" {
		o.Operator = gateway.Operator{ID: "yiqiao-recon", Name: "医桥对账", Type: "1"}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Reconciler{opt: o, numbers: numbersOf(o.Catalog)}, nil
}

// Run reconciles one day of one institution and keeps the report. The report is good as far as it
// goes also with an error, and kept then too, with Failed set: the error says why it could not be
// finished (gateway.Error of the desk, say). day is taken in China's time.
func (r *Reconciler) Run(ctx context.Context, inst ident.Institution, day time.Time) (Report, error) {
	w, err := r.begin(ctx, inst, day)
	if err != nil {
		return Report{}, err
	}
	err = w.compareBooks(ctx)
	if err != nil {
		w.report.Failed = err.Error()
	}
	w.finish()
	if kept := r.opt.Archive.Add(w.report); kept != nil {
		return w.report, errors.Join(err, kept)
	}
	return w.report, err
}

// Look makes the part of a report that needs no centre: totals, HIS against journal, what is open,
// shifts. It is not kept.
func (r *Reconciler) Look(ctx context.Context, inst ident.Institution, day time.Time) (Report, error) {
	w, err := r.begin(ctx, inst, day)
	if err != nil {
		return Report{}, err
	}
	w.report.Offline = true
	w.finish()
	return w.report, nil
}

// work is one run.
type work struct {
	r      *Reconciler
	inst   *gateway.Institution
	form   gateway.Statement
	day    string // yyyy-MM-dd
	book   *book
	report Report
	calls  int
}

func (r *Reconciler) begin(ctx context.Context, code ident.Institution, day time.Time) (*work, error) {
	inst := r.opt.Institutions[code]
	if inst == nil || inst.Region == nil {
		return nil, &gateway.Error{Code: gateway.CodeInstitution, Op: "recon.run"}
	}
	now := r.opt.Clock.Now()
	day = day.In(gateway.China)
	w := &work{r: r, inst: inst, form: inst.Region.Statement.Filled(), day: day.Format(time.DateOnly)}
	w.report = Report{Run: runName(inst.Code, w.day, now), Institution: inst.Code, Name: inst.Name, Region: inst.Region.Code,
		Date: w.day, MadeAt: now.In(gateway.China), NoRefunds: w.form.NoRefunds}
	from, err := time.ParseInLocation(time.DateOnly, w.day, gateway.China)
	if err != nil {
		return nil, err
	}
	if now.Before(from) {
		return nil, fmt.Errorf("recon: %s has not begun", w.day)
	}
	if w.book, err = r.load(ctx, inst.Code, from.AddDate(0, 0, -1)); err != nil {
		return nil, err
	}
	w.report.Notes = append(w.report.Notes, w.book.notes...)
	w.report.Groups = w.groups()
	if err := w.hisLeg(ctx); err != nil {
		return nil, err
	}
	w.report.Open = w.open()
	w.report.Shifts = shifts(w.book, w.day)
	for _, rec := range w.book.unread {
		if dayOf(rec.CreatedAt) == w.day {
			w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "网关记录中没有可读的金额", MsgID: rec.ID})
		}
	}
	return w, nil
}

// compareBooks is the part that needs the centre.
func (w *work) compareBooks(ctx context.Context) error {
	for i := range w.report.Groups {
		if err := w.askTotals(ctx, &w.report.Groups[i]); err != nil {
			return fmt.Errorf("3201 %s: %w", w.report.Groups[i].key(), err)
		}
	}
	for _, set := range w.unbalancedSets() {
		if err := w.details(ctx, set); err != nil {
			return fmt.Errorf("明细对账 %s/%s: %w", set.Agency, set.ClrType, err)
		}
	}
	if w.form.Confirm {
		return w.confirm(ctx)
	}
	return nil
}

// finish draws the sums.
func (w *work) finish() {
	rep := &w.report
	for i := range rep.Differences {
		rep.Differences[i].No = i + 1
	}
	rep.Centre = Leg{}
	for _, g := range rep.Groups {
		rep.Centre.Ours = rep.Centre.Ours.plus(g.Ours)
	}
	for _, s := range rep.Sets {
		rep.Centre.Difference = rep.Centre.Difference.plus(s.Leg.Difference)
	}
	for _, d := range rep.Differences {
		if d.Leg == LegCentre {
			rep.Centre.Explained = rep.Centre.Explained.plus(d.By)
		}
	}
	rep.Centre.Theirs = rep.Centre.Ours.plus(rep.Centre.Difference)
	rep.Centre.Unexplained = rep.Centre.Difference.minus(rep.Centre.Explained)
	if !rep.Centre.Unexplained.zero() {
		by := rep.Centre.Unexplained
		rep.Unexplained = append(rep.Unexplained, Unexplained{Why: "明细合计与差异说明不符", By: &by})
	}
	rep.Balanced = rep.Failed == "" && len(rep.Differences) == 0 && len(rep.Unexplained) == 0
	if !rep.Offline {
		for _, g := range rep.Groups {
			rep.Balanced = rep.Balanced && g.Result == GroupBalanced
		}
	}
}

// tries is how often a question without an answer is put.
const tries = 2

// send sends one transaction of ours, again when its outcome is not known: all of them may be.
func (w *work) send(ctx context.Context, n ident.Infno, input any) (gateway.Transaction, error) {
	return w.sendFor(ctx, n, "", input)
}

// sendFor does so about a person insured in an area.
func (w *work) sendFor(ctx context.Context, n ident.Infno, area string, input any) (gateway.Transaction, error) {
	var t gateway.Transaction
	var err error
	for range tries {
		w.calls++
		t, err = w.r.opt.Office.Own(ctx, gateway.Transact{
			RequestID: fmt.Sprintf("%s:%s:%d", w.report.Run, n, w.calls), Infno: n, Institution: w.inst.Code,
			Operator: w.r.opt.Operator, InsuplcArea: area, Input: input,
		})
		call := Call{Infno: n, MsgID: t.ID, Outcome: "done"}
		if err != nil {
			call.Outcome = codeOf(err)
		}
		w.report.Calls = append(w.report.Calls, call)
		if codeOf(err) != string(gateway.CodeOutcomeUnknown) && codeOf(err) != string(gateway.CodeCentreNoAnswer) && codeOf(err) != string(gateway.CodeCentreUnreachable) {
			return t, err
		}
	}
	return t, err
}

func codeOf(err error) string {
	var e *gateway.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return string(e.Code)
	}
	return "error"
}

// refusalOf gives the centre's words when it refused for a business reason.
func refusalOf(err error) (string, bool) {
	var e *gateway.Error
	if errors.As(err, &e) && e.Code == gateway.CodeCentreRefused {
		return e.Detail, true
	}
	return "", false
}

// runName is the name of a run: unique per institution and millisecond, fit for a file name.
func runName(inst ident.Institution, day string, now time.Time) string {
	stamp := strings.Replace(now.In(gateway.China).Format("20060102150405.000"), ".", "", 1)
	return string(inst) + "-" + strings.ReplaceAll(day, "-", "") + "-" + stamp
}

func dayOf(t time.Time) string { return t.In(gateway.China).Format(time.DateOnly) }

// Amounts are sums, in fen, and how many rows they are of.
type Amounts struct {
	Total   money.Fen `json:"medfee_sumamt"`
	Fund    money.Fen `json:"fund_pay_sumamt"`
	Account money.Fen `json:"acct_pay"`
	Count   int       `json:"count"`
}

func (a Amounts) plus(b Amounts) Amounts {
	return Amounts{a.Total + b.Total, a.Fund + b.Fund, a.Account + b.Account, a.Count + b.Count}
}

func (a Amounts) negated() Amounts { return Amounts{-a.Total, -a.Fund, -a.Account, -a.Count} }

func (a Amounts) minus(b Amounts) Amounts { return a.plus(b.negated()) }

func (a Amounts) zero() bool { return a == Amounts{} }
