package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/recon"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	simcentre "yiqiao/simulator/centre"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/people"
)

// movedClock is the real clock, moved.
type movedClock struct {
	systemClock
	by atomic.Int64
}

func (c *movedClock) Now() time.Time          { return time.Now().Add(time.Duration(c.by.Load())) }
func (c *movedClock) forward(d time.Duration) { c.by.Add(int64(d)) }

// accounts is a running gateway, the simulated centre behind it, and the command beside both.
type accounts struct {
	t     *testing.T
	dir   string
	sim   *simcentre.Centre
	rules *fault.Script
	gw    *server
	clock *movedClock
	n     int
}

const simHospital = "H44010000001"

// newAccounts starts them. region is the gateway's reading of the centre's ways, as YAML; "" is
// national.
func newAccounts(t *testing.T, sim simcentre.Region, region string) *accounts {
	t.Helper()
	a := &accounts{t: t, dir: filepath.Join(t.TempDir(), "site"), clock: &movedClock{}}
	// Noon, so that no test runs over midnight.
	now := time.Now().In(gateway.China)
	a.clock.by.Store(int64(time.Date(now.Year(), now.Month(), now.Day(), 12, 0, 0, 0, gateway.China).Sub(now)))
	_, err := writeStarter(a.dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"})
	a.must(err)
	s, err := loadSimulator(a.dir)
	a.must(err)
	p, err := provider("")
	a.must(err)
	profile, transport, err := s.Protect.protect(p, newSecrets(s.base, s.Keys), lineEnds{})
	a.must(err)
	a.rules, err = fault.NewScript()
	a.must(err)
	sim.RequireSign = true
	a.sim, err = simcentre.New(simcentre.Options{Seed: 7, Now: a.clock.Now, Profile: profile, Transport: transport, Region: sim, Faults: a.rules})
	a.must(err)
	t.Cleanup(a.sim.Close)
	web := httptest.NewServer(a.sim.Handler())
	t.Cleanup(web.Close)

	file := filepath.Join(a.dir, "yiqiao.yaml")
	b, err := os.ReadFile(file)
	a.must(err)
	text := strings.Replace(string(b), "http://127.0.0.1:0/fsi/api", web.URL+"/fsi/api", 1)
	text = strings.Replace(text, "level: info", "level: error", 1)
	if region != "" {
		a.must(os.WriteFile(filepath.Join(a.dir, "region.yaml"), []byte(region), 0o600))
		text = strings.Replace(text, "region: national", "region: file:region.yaml", 1)
	}
	a.must(os.WriteFile(file, []byte(text), 0o600))
	g, err := loadGateway(a.dir)
	a.must(err)
	a.gw, err = newServer(context.Background(), g, &bytes.Buffer{}, a.clock)
	a.must(err)
	t.Cleanup(a.gw.close)
	return a
}

func (a *accounts) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *accounts) caller() gateway.Caller {
	return gateway.Caller{System: "his-main", Institutions: []ident.Institution{simHospital}}
}

// settle takes a bill of one of the fixed persons to the end.
func (a *accounts) settle(certno, name, insutype string) gateway.Settlement {
	a.t.Helper()
	a.n++
	bill, _ := standardBill(string(rune('A'+a.n)), certno, name)
	bill.Insutype = insutype
	today := a.clock.Now().In(gateway.China).Format(time.DateOnly)
	bill.Visit.Begin = today + " 09:00:00"
	for i := range bill.Fees {
		bill.Fees[i].Time = today + " 09:10:00"
	}
	for i := range bill.Diagnoses {
		bill.Diagnoses[i].Time = today + " 09:05:00"
	}
	s, err := a.gw.desk.OpenSettlement(context.Background(), a.caller(), bill)
	a.must(err)
	s, err = a.gw.desk.ConfirmSettlement(context.Background(), a.caller(), gateway.ConfirmSettlement{RequestID: bill.RequestID + "-C", ID: s.ID, Operator: bill.Operator})
	if err != nil && s.ID == "" {
		a.t.Fatal(err)
	}
	a.gw.desk.Told(a.caller(), bill.RequestID)
	a.gw.desk.Told(a.caller(), bill.RequestID+"-C")
	return s
}

func (a *accounts) refund(id string) {
	a.t.Helper()
	req := "REFUND-" + id
	_, err := a.gw.desk.RefundSettlement(context.Background(), a.caller(), gateway.RefundSettlement{RequestID: req, ID: id, Operator: gateway.Operator{ID: "0102", Name: "赵收费", Type: "1"}})
	a.must(err)
	a.gw.desk.Told(a.caller(), req)
}

// day is today as the clock of these tests has it, n days off.
func (a *accounts) day(n int) string {
	return a.clock.Now().In(gateway.China).AddDate(0, 0, n).Format(time.DateOnly)
}

// reconcile runs the command and gives the one report and its error.
func (a *accounts) reconcile(f reconcileFlags) (recon.Report, error) {
	a.t.Helper()
	var out, errs bytes.Buffer
	f.config, f.json = a.dir, true
	err := reconcile(context.Background(), &streams{in: strings.NewReader(""), out: &out, err: &errs}, f, a.clock)
	var reports []recon.Report
	if bad := json.Unmarshal(out.Bytes(), &reports); bad != nil || len(reports) != 1 {
		a.t.Fatalf("%v: %v %s %s", bad, err, out.String(), errs.String())
	}
	return reports[0], err
}

// expect reconciles today, with one difference of that cause and amount. What it explains must be
// exactly what the simulator's own books differ by.
func (a *accounts) expect(cause recon.Cause, by money.Fen) recon.Difference {
	a.t.Helper()
	rep, err := a.reconcile(reconcileFlags{date: a.day(0)})
	if err != errNo || rep.Balanced || len(rep.Differences) != 1 || len(rep.Unexplained) != 0 {
		a.t.Fatalf("%v: balanced %v, %+v, unexplained %+v, groups %+v", err, rep.Balanced, rep.Differences, rep.Unexplained, rep.Groups)
	}
	d := rep.Differences[0]
	if d.Cause != cause || d.By.Total != by || rep.Centre.Explained != rep.Centre.Difference {
		a.t.Fatalf("%s by %s, leg %+v", d.Cause, d.By.Total, rep.Centre)
	}
	if truth := a.atCentre(a.day(0)); rep.Centre.Theirs != truth {
		a.t.Fatalf("the centre has %+v, the report says %+v", truth, rep.Centre.Theirs)
	}
	return d
}

// atCentre adds up what the simulator has, all insurances.
func (a *accounts) atCentre(day string) recon.Amounts {
	var sum recon.Amounts
	for _, clr := range []string{"11", "21", "41"} {
		t := a.sim.Totals(simcentre.TotalsKey{Place: simHospital, Agency: "440100", ClrType: clr, From: day, To: day})
		sum.Total, sum.Fund, sum.Account, sum.Count = sum.Total+t.Total, sum.Fund+t.Fund, sum.Account+t.Account, sum.Count+t.Count
	}
	return sum
}

func TestReconcileBalanced(t *testing.T) {
	a := newAccounts(t, simcentre.Region{AskByVisit: true}, "")
	s := a.settle("999999198503120018", "测试甲", "310")
	a.settle("99999919550608002X", "测试乙", "310")
	a.settle("999999197904210036", "测试丙", "390")
	a.refund(s.ID)
	html, csv, shift := filepath.Join(a.dir, "r.html"), filepath.Join(a.dir, "r.csv"), filepath.Join(a.dir, "s.csv")
	rep, err := a.reconcile(reconcileFlags{date: a.day(0), html: html, csv: csv, shiftCSV: shift})
	if err != nil || !rep.Balanced || rep.Centre.Ours.Count != 4 || rep.Centre.Ours != a.atCentre(a.day(0)) {
		t.Fatalf("%v %+v", err, rep)
	}
	if len(rep.Shifts) != 2 || rep.Shifts[0].Settled.Count != 3 || rep.Shifts[1].Undone.Count != 1 || rep.Shifts[1].Cash > 0 {
		t.Errorf("shifts %+v", rep.Shifts)
	}
	page, err := os.ReadFile(html)
	if err != nil || !bytes.Contains(page, []byte("对平")) || bytes.Contains(page, []byte("<script")) || bytes.Contains(page, []byte("http://")) && !bytes.Contains(page, []byte("xmlns")) {
		t.Errorf("%v: the page is not what it should be", err)
	}
	for _, name := range []string{csv, shift} {
		if b, err := os.ReadFile(name); err != nil || !bytes.HasPrefix(b, []byte("\xef\xbb\xbf日期,机构")) {
			t.Errorf("%s: %v %.40q", name, err, b)
		}
	}
	// The same day again is another record of the archive, and the month knows the last one.
	a.clock.forward(time.Second)
	if _, err := a.reconcile(reconcileFlags{date: a.day(0)}); err != nil {
		t.Fatal(err)
	}
	if kept, err := filepath.Glob(filepath.Join(a.dir, "data", reportFolder, a.day(0), "*.json")); err != nil || len(kept) != 2 {
		t.Errorf("%d reports kept, %v", len(kept), err)
	}
	var out bytes.Buffer
	err = reconcile(context.Background(), &streams{out: &out, err: &out}, reconcileFlags{config: a.dir, month: a.day(0)[:7]}, a.clock)
	if missing := a.day(0)[8:] != "01"; (err == errNo) != missing || !strings.Contains(out.String(), "对平") {
		t.Errorf("month: %v\n%s", err, out.String())
	}
}

func TestReconcileOutside(t *testing.T) {
	a := newAccounts(t, simcentre.Region{AskByVisit: true}, "")
	a.settle("999999198503120018", "测试甲", "310")
	_, err := a.sim.Outside(simcentre.OutsideTrade{Place: simHospital, Person: people.Resident, ClrType: "21", Total: 12345})
	a.must(err)
	if d := a.expect(recon.Outside, 12345); d.Insutype != "390" || d.Person == people.Resident || d.Setl == "" {
		t.Errorf("%+v", d)
	}
}

func TestReconcileDropped(t *testing.T) {
	a := newAccounts(t, simcentre.Region{AskByVisit: true}, "")
	s := a.settle("999999198503120018", "测试甲", "310")
	a.settle("99999919550608002X", "测试乙", "310")
	a.must(a.sim.Drop(string(s.SettlementID)))
	total, err := money.Parse(s.Amounts.Total)
	a.must(err)
	if d := a.expect(recon.OnlyHere, -total); d.Setl != s.SettlementID || d.Bill != s.ID {
		t.Errorf("%+v", d)
	}
}

func TestReconcileAltered(t *testing.T) {
	for name, c := range map[string]struct {
		sim    simcentre.Region
		region string
	}{
		"ten columns":     {simcentre.Region{}, ""},
		"differing only":  {simcentre.Region{Statement: simcentre.StatementForm{Differing: true}}, ""},
		"seven, and 5203": {simcentre.Region{Statement: simcentre.StatementForm{Columns: 7}}, ""},
		"hubei":           {simcentre.Region{Statement: simcentre.StatementForm{Columns: 8, Hubei: true, Differing: true}}, "detail: {null_text: 'null', trailing_tab: true, columns: [setl_id, mdtrt_id, psn_no, medfee_sumamt, fund_pay_sumamt, acct_pay, refd_setl_flag, '-']}"},
		"signed bytes":    {simcentre.Region{FileForm: "int8array", Statement: simcentre.StatementForm{Columns: 11}}, "detail: {bytes: int8array, crlf: true}"},
		"unsigned bytes":  {simcentre.Region{FileForm: "uint8array"}, "detail: {bytes: uint8array}"},
		"confirmed":       {simcentre.Region{}, "confirm: true"},
	} {
		t.Run(name, func(t *testing.T) {
			c.sim.AskByVisit = true
			region := ""
			if c.region != "" {
				region = "code: here\nname: 本地\nsign_in: true\ncapabilities: ['5203-by-visit']\nrelax: {'5203': [data.setl_id]}\nstatement:\n  " + c.region + "\n"
			}
			a := newAccounts(t, c.sim, region)
			s := a.settle("999999198503120018", "测试甲", "310")
			_, err := a.sim.Alter(string(s.SettlementID), 1)
			a.must(err)
			a.expect(recon.OtherAmount, 1)
		})
	}
}

// The centre settles, the answer is lost, and it can not be asked: the gateway does not know, and the
// result file proves that it happened.
func TestReconcileLostAnswer(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "code: here\nname: 本地\nsign_in: true\n")
	a.settle("99999919550608002X", "测试乙", "310")
	rules, err := fault.Plan(`{"infno":"2207","kind":"commit-then-lose","times":1}`)
	a.must(err)
	a.must(a.rules.Add(rules...))
	s := a.settle("999999198503120018", "测试甲", "310")
	if !s.Unknown {
		t.Fatalf("the settlement is %s", s.State)
	}
	atCentre := a.sim.Settlements()
	lost := atCentre[len(atCentre)-1]
	d := a.expect(recon.OnlyAtCentre, lost.Total)
	if d.MsgID != s.MsgID || d.State != gateway.StateUnknown || string(d.Setl) != lost.ID || d.Bill != s.ID {
		t.Errorf("%+v", d)
	}
	reverse := false
	for _, r := range d.Remedies {
		reverse = reverse || r.Action == recon.ActReverse && r.OMsgID == s.MsgID && r.OInfno == "2207" && r.Infno == "2601"
	}
	if !reverse {
		t.Errorf("remedies %+v", d.Remedies)
	}
	for _, call := range a.sim.Calls() {
		if call.Infno == "2601" {
			t.Error("reconciliation reversed something")
		}
	}
}

// Settled on one day and refunded on the next: each day balances by itself, and still does afterwards.
func TestReconcileRefundOnTheOtherDay(t *testing.T) {
	for name, region := range map[string]string{"refunds included": "", "left out": "code: here\nname: 本地\nsign_in: true\nstatement: {no_refunds: true}\n"} {
		t.Run(name, func(t *testing.T) {
			a := newAccounts(t, simcentre.Region{}, region)
			s := a.settle("999999198503120018", "测试甲", "310")
			a.clock.forward(20 * time.Hour)
			a.refund(s.ID)
			for _, day := range []string{a.day(0), a.day(-1)} {
				if rep, err := a.reconcile(reconcileFlags{date: day}); err != nil || !rep.Balanced {
					t.Errorf("%s: %v %+v", day, err, rep)
				}
			}
			rep, err := a.reconcile(reconcileFlags{date: a.day(0), offline: true})
			if err != nil || len(rep.Shifts) != 1 || rep.Shifts[0].Operator != "0102" {
				t.Errorf("%v %+v", err, rep.Shifts)
			}
		})
	}
}

// The centre does not answer: exit 2, nothing is claimed, and the failed run is kept.
func TestReconcileCentreAway(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	a.settle("999999198503120018", "测试甲", "310")
	rules, err := fault.Plan(`{"infno":"3201","kind":"html","times":9}`)
	a.must(err)
	a.must(a.rules.Add(rules...))
	rep, err := a.reconcile(reconcileFlags{date: a.day(0)})
	if err == nil || err == errNo || rep.Balanced || rep.Failed == "" {
		t.Fatalf("%v %+v", err, rep)
	}
}

func TestReconcileBadFlags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if code, _, errs := yiqiao(t, "", "init", dir); code != 0 {
		t.Fatal(errs)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no journal":     {nil, "还没有交易日志"},
		"bad date":       {[]string{"--date", "23.11.2026"}, "yyyy-MM-dd"},
		"bad month":      {[]string{"--month", "2026"}, "yyyy-MM"},
		"both":           {[]string{"--date", "2026-11-22", "--month", "2026-11"}, "month"},
		"no institution": {[]string{"--institution", "H99999999999"}, "未配置"},
	} {
		code, _, errs := yiqiao(t, "", append([]string{"reconcile", "--config", dir}, c.args...)...)
		if code != exitFail || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit %d, %q", name, code, errs)
		}
	}
}

// The schedule of a configuration: none, one that stops when it is told to, or a mistake that is named.
func TestReconcileSchedule(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	daily, err := g.daily(a.gw.desk, a.gw.parts, a.gw.journal, a.clock, nil)
	if err != nil || daily != nil {
		t.Errorf("nothing was to be scheduled, and something is: %v", err)
	}
	g.Reconcile.At = "02:30"
	a.must(g.check())
	daily, err = g.daily(a.gw.desk, a.gw.parts, a.gw.journal, a.clock, nil)
	a.must(err)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if daily == nil || daily(ctx) != nil {
		t.Error("the schedule does not stop")
	}
	g.Reconcile.At = "half past two"
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "reconcile.at") {
		t.Errorf("%v", err)
	}
}

// What a day's report leads to is put before people, once: the parked settlement the centre does not
// have to be absent, the trade of another channel to be booked.
func TestReconcileSuggests(t *testing.T) {
	a := newAccounts(t, simcentre.Region{AskByVisit: true}, "")
	a.settle("999999198503120018", "测试甲", "310")
	id := a.parked()
	if rep, err := a.reconcile(reconcileFlags{date: a.day(0), suggest: true}); err != nil || !rep.Balanced || len(rep.Open) != 1 {
		t.Fatalf("%v %+v", err, rep)
	}
	var l listedReview
	a.command(exitOK, &l, "review", "list", "--json")
	if len(l.Proposals) != 1 || l.Proposals[0].Subject.ID != string(id) || l.Proposals[0].Decision.Do != gateway.HandAbsent || l.Proposals[0].State != "suggested" {
		t.Fatalf("%+v", l.Proposals)
	}
	_, err := a.sim.Outside(simcentre.OutsideTrade{Place: simHospital, Person: people.Resident, ClrType: "21", Total: 12345})
	a.must(err)
	for range 2 {
		if _, err := a.reconcile(reconcileFlags{date: a.day(0), suggest: true}); err != errNo {
			t.Fatal(err)
		}
	}
	a.command(exitOK, &l, "review", "list", "--json")
	if len(l.Proposals) != 2 || l.Proposals[1].Subject.Kind != "difference" || l.Proposals[1].Subject.Amount != "123.45" {
		t.Fatalf("%+v", l.Proposals)
	}
	a.command(exitOK, nil, "review", "propose", "--from", "1", "--why", "对账证明", "--by", "li")
	a.command(exitOK, nil, "review", "approve", "3", "--by", "wang")
	if rec, err := a.gw.journal.Record(context.Background(), id); err != nil || rec.State != gateway.StateAbsent {
		t.Errorf("%s %v", rec.State, err)
	}
	a.command(exitOK, nil, "review", "propose", "--from", "2", "--source", "HIS 补记 7", "--why", "已补记", "--by", "li")
	a.command(exitOK, nil, "review", "approve", "5", "--by", "wang")
	if _, err := a.reconcile(reconcileFlags{date: a.day(0), suggest: true}); err != errNo {
		t.Fatal(err)
	}
	a.command(exitOK, &l, "review", "list", "--json")
	if len(l.Proposals) != 0 {
		t.Errorf("people are asked again: %+v", l.Proposals)
	}
}

// onceClock ends what would begin again after a pause.
type onceClock struct{ *movedClock }

func (onceClock) Sleep(context.Context, time.Duration) error { return context.Canceled }

// serve compares the present day, and its health says what is amiss.
func TestReconcileWatchesTheDay(t *testing.T) {
	a := newAccounts(t, simcentre.Region{AskByVisit: true}, "")
	g, err := loadGateway(a.dir)
	a.must(err)
	if run, _, err := g.watch(a.gw.desk, a.gw.parts, a.gw.journal, a.clock); err != nil || run != nil {
		t.Errorf("it is off, and runs: %v", err)
	}
	g.Reconcile.Every = 1
	if g.check() == nil {
		t.Error("compared without a pause")
	}
	g.Reconcile.Every, g.Reconcile.AskCentre = config.Duration(5*time.Minute), true
	a.must(g.check())
	run, say, err := g.watch(a.gw.desk, a.gw.parts, a.gw.journal, onceClock{a.clock})
	a.must(err)
	once := func() string {
		a.must(run(context.Background()))
		return say()
	}
	a.settle("999999198503120018", "测试甲", "310")
	if words := once(); words != "" {
		t.Errorf("all is well, and it says %q", words)
	}
	_, err = a.sim.Outside(simcentre.OutsideTrade{Place: simHospital, Person: people.Resident, ClrType: "21", Total: 12345})
	a.must(err)
	if words := once(); !strings.Contains(words, "总额不平 1 组") {
		t.Errorf("%q", words)
	}
	if words := (front{Desk: invoice.Desk{Counter: a.gw.desk, Office: a.gw.invoices}, troubles: []func() string{say}}).Degraded(); !strings.Contains(words, "总额不平") {
		t.Errorf("health: %q", words)
	}
}
