package recon

import (
	"bytes"
	"context"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
)

func hostile() Report {
	theirs := Amounts{Total: -7, Count: 1}
	return Report{Run: "r", Institution: hospital, Name: `<b>"医院"`, Date: "2026-03-02", MadeAt: noon, Notes: []string{"<i>"},
		Differences: []Difference{{No: 1, Leg: LegCentre, Cause: Outside, By: theirs, Theirs: &theirs, Setl: "440100202603020000000001",
			Memo: "=HYPERLINK(\"http://x\")<script>alert(1)</script>", Operator: "0101", Person: "P*", Remedies: []Remedy{{ZH: "-1+1"}}}},
		Unexplained: []Unexplained{{Why: "@不明"}}, Shifts: []Shift{{Operator: "0101", Name: "+张", Cash: -5}}}
}

// What others wrote reaches neither a page nor a spreadsheet as more than text.
func TestWrittenFormsAreInert(t *testing.T) {
	r := hostile()
	var page, table, shift bytes.Buffer
	if err := WriteHTML(&page, []Report{r}); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<script", "<b>", "<i>", "src="} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(page.String(), "<svg") || !strings.Contains(page.String(), "网关以外办理") {
		t.Error("no picture or no cause")
	}
	if err := r.WriteCSV(&table); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteShiftCSV(&shift); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{table.Bytes(), shift.Bytes()} {
		rows, err := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))).ReadAll()
		if err != nil || len(rows) < 2 {
			t.Fatalf("%v %d rows", err, len(rows))
		}
		for _, row := range rows[1:] {
			for _, cell := range row {
				number := strings.Trim(cell, "-0123456789.") == ""
				text := strings.HasPrefix(cell, `="`) && strings.Trim(cell[2:len(cell)-1], "0123456789") == ""
				if cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) && !number && !text {
					t.Errorf("cell %q would be a formula", cell)
				}
			}
		}
	}
	if !strings.Contains(table.String(), `="440100202603020000000001"`) && !strings.Contains(table.String(), `"=""440100202603020000000001"""`) {
		t.Errorf("a long number loses digits in a spreadsheet: %s", table.String())
	}
}

// The layouts of an area reach the wire.
func TestAreaForms(t *testing.T) {
	w := newTown(t)
	w.inst.Region.Statement = gateway.Statement{DayTimes: true, NoRefunds: true, Rename: map[string]string{"refd_setl_flag": "REFD_SETL_FLAG", "insutype": "-"},
		CashFrom: "psn_cash_pay", Detail: gateway.DetailFile{Fixed: map[string]string{"acct_pay": "0.00"}, Trailing: true, CRLF: true, Null: "null",
			Columns: []string{"setl_id", "mdtrt_id", "psn_no", "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "refd_setl_flag", "-"}}}
	w.record(plainSale("P1"))
	w.record(plainSale("P2"))
	work, err := w.reconciler().begin(context.Background(), hospital, noon)
	w.must(err)
	var g Group
	for _, one := range work.report.Groups {
		if one.Ours.Count > 0 {
			g = one
		}
	}
	if g.Ours != (Amounts{20000, 12000, 0, 2}) {
		t.Errorf("a column that is always written 0 is added up: %+v", g.Ours)
	}
	in := findRow(work.totalsInput(g, g.Ours), "setl_optins")
	if in["REFD_SETL_FLAG"] != "0" || in["refd_setl_flag"] != nil || in["insutype"] != nil || in["stmt_begndate"] != "2026-03-02 00:00:00" || in["stmt_enddate"] != "2026-03-02 23:59:59" {
		t.Errorf("3201 is %v", in)
	}
	rows := work.book.counted(work.day, true)
	if text := work.detailText(rows); text != "S00000001\tV00000001\tP1\t100.00\t60.00\t0.00\t0\tnull\t\r\nS00000002\tV00000002\tP2\t100.00\t60.00\t0.00\t0\tnull\t" {
		t.Errorf("the file is %q", text)
	}
	if work.cashOf(rows[0]) != 2500 {
		t.Errorf("cash %s", work.cashOf(rows[0]))
	}
	for form, want := range map[string]string{gateway.BytesInt8: "[80 -1]", gateway.BytesUint8: "[80 255]", gateway.BytesBase64: "UP8="} {
		v, err := fileValue([]byte{80, 255}, form)
		if list, ok := v.([]any); ok {
			var s []string
			for _, n := range list {
				s = append(s, text(n))
			}
			v = "[" + strings.Join(s, " ") + "]"
		}
		if err != nil || v != want {
			t.Errorf("%s: %v %v", form, v, err)
		}
	}
	if _, err := fileValue(make([]byte, mostArray+1), gateway.BytesInt8); err == nil {
		t.Error("a file too long for a message was taken")
	}
}

// The drawer of each cashier: what was settled and given back, and what nobody knows yet.
func TestShifts(t *testing.T) {
	w := newTown(t)
	s := plainSale("P1")
	a := w.record(s)
	s.operator = "0102"
	w.record(s)
	w.record(sale{infno: "2208", undoOf: &a, operator: "0102"})
	s.state = gateway.StateUnknown
	w.record(s)
	s.state, s.reversedHere = "", true
	w.record(s)
	rep, err := w.reconciler().Look(context.Background(), hospital, noon)
	w.must(err)
	if len(rep.Shifts) != 2 {
		t.Fatalf("%+v", rep.Shifts)
	}
	if x := rep.Shifts[0]; x.Operator != "0101" || x.Cash != 2500 || x.Settled.Count != 1 || x.Name != "收费员0101" {
		t.Errorf("%+v", x)
	}
	if x := rep.Shifts[1]; x.Cash != 0 || x.CashIn != 2500 || x.CashOut != -2500 || x.Net != (Amounts{Count: 2}) || x.Open != 1 {
		t.Errorf("%+v", x)
	}
	if len(w.sent) != 0 {
		t.Error("something was sent")
	}
}

// The month says which days were left out and which have moved since.
func TestRollUp(t *testing.T) {
	w := newTown(t)
	w.truth = append(w.truth, w.record(plainSale("P1")))
	r := w.reconciler()
	ctx := context.Background()
	for _, day := range []time.Time{noon.AddDate(0, 0, -1), noon} {
		if rep, err := r.Run(ctx, hospital, day); err != nil || !rep.Balanced {
			t.Fatalf("%v %+v", err, rep)
		}
	}
	m, err := r.RollUp(ctx, hospital, noon)
	if err != nil || !m.Balanced || m.Reported != m.Journal || m.Reported.Total != 10000 || len(m.Days) != 3 {
		t.Fatalf("%v %+v", err, m)
	}
	if len(m.Clearing) != 1 || m.Clearing[0].Ours != m.Journal || m.Clearing[0].ClrType == "" {
		t.Errorf("%+v", m.Clearing)
	}
	s := plainSale("P2")
	s.at = noon.AddDate(0, 0, -1)
	w.record(s)
	w.clock.Advance(24 * time.Hour)
	m, err = r.RollUp(ctx, hospital, noon)
	if err != nil || m.Balanced || len(m.Changed) != 1 || m.Changed[0] != "2026-03-01" || len(m.Missing) != 1 || m.Missing[0] != "2026-03-03" {
		t.Fatalf("%v %+v", err, m)
	}
}

func TestDue(t *testing.T) {
	at, err := ParseAt("02:30")
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string][2]string{
		"2026-03-02 02:29:59": {"2026-02-28", "2026-03-02 02:30:00"}, // the first is due only at half past two
		"2026-03-02 02:30:00": {"2026-03-01", "2026-03-03 02:30:00"},
		"2026-03-02 23:59:59": {"2026-03-01", "2026-03-03 02:30:00"},
	} {
		t0, err := time.ParseInLocation(time.DateTime, now, gateway.China)
		if err != nil {
			t.Fatal(err)
		}
		day, next := at.due(t0.UTC())
		if dayOf(day) != want[0] || next.Format(time.DateTime) != want[1] {
			t.Errorf("%s: %s, then %s", now, dayOf(day), next)
		}
	}
	for _, bad := range []string{"", "2:30pm", "24:00", "02:30:00"} {
		if _, err := ParseAt(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// The daily run catches up, tries again what could not be finished, does each day once, and stops.
func TestDaily(t *testing.T) {
	w := newTown(t)
	w.truth = append(w.truth, w.record(plainSale("P1")))
	w.fail["3201"] = &gateway.Error{Code: gateway.CodeCentreDown}
	r := w.reconciler()
	ctx, stop := context.WithCancel(context.Background())
	runs, ended := make(chan error, 10), make(chan error, 1)
	go func() { ended <- r.Daily(ctx, At{2, 30}, func(_ Report, err error) { runs <- err }) }()
	turn := func(d time.Duration) {
		t.Helper()
		limit, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		w.must(w.clock.AwaitWaiters(limit, 1))
		w.clock.Advance(d)
	}
	if err := <-runs; err == nil {
		t.Error("the first run could not be finished, and says nothing")
	}
	for range again / nap { // not before its time
		turn(nap)
	}
	if err := <-runs; err == nil {
		t.Error("the second run could not be finished, and says nothing")
	}
	turn(0)
	limit, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	w.must(w.clock.AwaitWaiters(limit, 1))
	delete(w.fail, "3201")
	for range again / nap {
		turn(nap)
	}
	if err := <-runs; err != nil {
		t.Error(err)
	}
	for range 3 * again / nap { // the day is finished
		turn(nap)
	}
	w.must(w.clock.AwaitWaiters(limit, 1))
	stop()
	if err := <-ended; err != nil || len(runs) != 0 {
		t.Errorf("ended with %v, %d runs too many", err, len(runs))
	}
}
