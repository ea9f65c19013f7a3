package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// The real program with the simulated centre and the simulated platform: settle, issue from two
// screens, refund a part, lose answers, go on after an outage; then the books are held together.
func TestEInvoicesEndToEnd(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	settle := func(tag, certno, name string) gateway.Settlement {
		t.Helper()
		bill, patient := standardBill(tag, certno, name)
		s, err := st.settle(t.Context(), bill, patient)
		must(err)
		return s
	}
	a := settle("E1", "999999198503120018", "测试甲")
	first, err := st.einvoice(t.Context(), "1", a.ID)
	must(err)
	second, err := st.einvoice(t.Context(), "2", a.ID)
	must(err)
	if first.State != gateway.InvoiceIssued || second.ID != first.ID || second.Number != first.Number || first.Total != a.Amounts.Total {
		t.Fatalf("first %+v, second %+v", first, second)
	}
	if shown, err := pageShows(t.Context(), first.NetURL, first.Number.No); err != nil || !shown {
		t.Errorf("the patient's page: %v %v", shown, err)
	}

	// A part goes back: the bill is reversed, the rest has a new one.
	bill, _ := standardBill("E1", "999999198503120018", "测试甲")
	var s gateway.Settlement
	must(st.post(t.Context(), "/api/v1/settlements/"+a.ID+"/refund", gateway.RefundSettlement{RequestID: "PART", Operator: bill.Operator,
		Rows: []string{bill.Fees[4].ID}, Credential: &bill.Credential}, &s))
	if s.State != gateway.BillSettled {
		t.Fatalf("%+v", s)
	}
	list, err := st.gw.invoices.SettlementInvoices(t.Context(), st.caller(), a.ID)
	must(err)
	if len(list) != 2 || list[0].State != gateway.InvoiceReversed || list[1].State != gateway.InvoiceIssued || list[1].Total != s.Amounts.Total || list[1].ID == list[0].ID {
		t.Fatalf("%+v", list)
	}

	// A quantity of a row goes back: the bill of the rest is that of what was settled again.
	must(st.post(t.Context(), "/api/v1/settlements/"+a.ID+"/refund", gateway.RefundSettlement{RequestID: "QTY", Operator: bill.Operator,
		Parts: []gateway.RowPart{{ID: bill.Fees[2].ID, Quantity: "1"}}, Credential: &bill.Credential}, &s))
	list, err = st.gw.invoices.SettlementInvoices(t.Context(), st.caller(), a.ID)
	must(err)
	if len(list) != 3 || list[1].State != gateway.InvoiceReversed || list[2].State != gateway.InvoiceIssued || list[2].Total != s.Amounts.Total || s.Amounts.Total == list[1].Total {
		t.Fatalf("%+v", list)
	}

	// The platform is away: the patient sees that it is being issued, and it is when it is back.
	st.sim.einvoice.SetDown(true)
	b := settle("E2", "99999919550608002X", "测试乙")
	waiting, err := st.gw.invoices.IssueInvoice(t.Context(), st.caller(), gateway.IssueInvoice{RequestID: "DOWN", Settlement: b.ID, Operator: bill.Operator})
	must(err)
	if waiting.State == gateway.InvoiceIssued || !strings.Contains(waiting.ForPatient, "开具中") {
		t.Fatalf("%+v", waiting)
	}
	st.sim.einvoice.SetDown(false)
	for range 400 {
		if waiting, err = st.invoice(t.Context(), waiting.ID); err != nil || waiting.State == gateway.InvoiceIssued {
			break
		}
		_ = systemClock{}.Sleep(t.Context(), 100*time.Millisecond)
	}
	if err != nil || waiting.State != gateway.InvoiceIssued {
		t.Fatalf("%+v %v", waiting, err)
	}
	st.commands(t, list[2].ID)
}

// caller is the HIS of the stage.
func (st *stage) caller() gateway.Caller {
	c := st.gw.parts.clients[0]
	return gateway.Caller{System: c.System, Institutions: c.Institutions}
}

// commands tries the command line beside the running gateway.
func (st *stage) commands(t *testing.T, id string) {
	t.Helper()
	file := filepath.Join(st.dir, "yiqiao.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	real := strings.Replace(string(text), "127.0.0.1:0/medical-web", st.sim.einvoiceLn.Addr().String()+"/medical-web", 1)
	if err := os.WriteFile(file, []byte(real), 0o600); err != nil {
		t.Fatal(err)
	}
	today := time.Now().In(gateway.China).Format(time.DateOnly)
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"list"}, 0, "已冲红"},
		{[]string{"list", "--open"}, 0, "0 张"},
		{[]string{"show", id}, 0, "1号窗"},
		{[]string{"show", "none"}, 2, ""},
		{[]string{"reconcile", "--date", today}, 0, "对平"},
		{[]string{"reconcile", "--date", today, "--json"}, 0, `"balanced": true`},
		{[]string{"reverse", "--reason", "错", id}, 2, ""},
		{[]string{"reverse", "--reason", "错", "--operator", "0101", id}, 1, "--yes"},
		{[]string{"reverse", "--reason", "错", "--operator", "0101", "--yes", id}, 0, "已冲红"},
	} {
		code, out, errs := yiqiao(t, "", append([]string{"einvoice", c.args[0], "--config", st.dir}, c.args[1:]...)...)
		if code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%v: %d %s %s", c.args, code, out, errs)
		}
	}
}

// Every answer of the platform is lost once, in turn, over a real line: one bill each time.
func TestEInvoiceAnswersLost(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	made := 0
	for i, c := range []struct {
		kind string
		made bool
	}{{"commit-then-lose", true}, {"html", false}, {"wrong-signature", true}, {"answer-twice", true}, {"cut-mid-body", true}} {
		if err := st.sim.einvoice.Inject(fmt.Sprintf(`{"infno":"invoiceEBillOutpatient","kind":%q,"times":1}`, c.kind)); err != nil {
			t.Fatal(err)
		}
		e, err := st.gw.invoices.IssueInvoice(t.Context(), st.caller(), selfPaid(i, 1000))
		if err != nil || e.State != gateway.InvoiceIssueOpen || !strings.Contains(e.ForPatient, "开具中") {
			t.Fatalf("%s: %+v %v", c.kind, e, err)
		}
		if !c.made {
			continue // it is sent again once it is certain that nothing came of it
		}
		made++
		for range 200 {
			if e, err = st.gw.invoices.Invoice(t.Context(), st.caller(), e.ID); err != nil || e.State == gateway.InvoiceIssued {
				break
			}
			_ = systemClock{}.Sleep(t.Context(), 100*time.Millisecond)
		}
		if n := len(st.sim.einvoice.Bills()); err != nil || e.State != gateway.InvoiceIssued || n != made {
			t.Errorf("%s: %s, %d bills, %v", c.kind, e.State, n, err)
		}
	}
}

// After an outage everything is issued, in order for each patient.
func TestEInvoiceCatchUp(t *testing.T) { catchUp(t, 100, 20) }

func BenchmarkEInvoiceCatchUp(b *testing.B) {
	for range b.N {
		catchUp(b, 10_000, 2_000)
	}
	b.ReportMetric(10_000, "bills/op")
}

func catchUp(t testing.TB, n, patients int) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	if b, ok := t.(*testing.B); ok {
		b.StopTimer()
	}
	st.sim.einvoice.SetDown(true)
	work := make(chan int)
	ended := make(chan error, 32)
	for range cap(ended) {
		go func() {
			for patient := range work { // the bills of one patient are asked for one after the other
				for i := patient; i < n; i += patients {
					if _, err := st.gw.invoices.IssueInvoice(t.Context(), st.caller(), selfPaid(i, patients)); err != nil {
						ended <- err
						return
					}
				}
			}
			ended <- nil
		}()
	}
	for i := range patients {
		work <- i
	}
	close(work)
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if made := len(st.sim.einvoice.Bills()); made != 0 {
		t.Fatalf("%d bills while the platform was away", made)
	}
	st.sim.einvoice.SetDown(false)
	if b, ok := t.(*testing.B); ok {
		b.StartTimer()
	}
	start := time.Now()
	for len(st.sim.einvoice.Bills()) < n && time.Since(start) < 5*time.Minute {
		_ = systemClock{}.Sleep(t.Context(), 50*time.Millisecond)
	}
	if b, ok := t.(*testing.B); ok {
		b.StopTimer()
	}
	bills := st.sim.einvoice.Bills()
	if len(bills) != n {
		t.Fatalf("%d of %d bills", len(bills), n)
	}
	last := map[string]money.Fen{}
	for _, b := range bills { // in the order the platform made them; the amount grows with the order asked
		if b.Total <= last[b.Payer] {
			t.Fatalf("%s: %s was made after %s", b.Payer, b.Total, last[b.Payer])
		}
		last[b.Payer] = b.Total
	}
}

func selfPaid(i, patients int) gateway.IssueInvoice {
	amount := money.Fen(i + 1).String()
	who := fmt.Sprintf("测试%d", i%patients)
	return gateway.IssueInvoice{RequestID: fmt.Sprint("C", i), Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"},
		Payer: gateway.PayerAsked{Name: who, Sex: "男", Age: "30", PatientID: who},
		SelfPaid: &gateway.SelfPaid{ID: fmt.Sprint("ZF", i), Visit: "1", Date: "2026-03-02", Department: gateway.Coded{Code: "1", Name: "内科"}, Total: amount,
			Rows: []gateway.SelfPaidRow{{ID: "1", Code: "1", Name: "x", Category: "09", Quantity: "1", Price: amount, Amount: amount}}}}
}

// A self-paid visit is uploaded without a word of its bill: the bill travels with it, over the real
// interface and as far as the bytes that are sent.
func TestUploadCarriesTheBill(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	issue := selfPaid(1, 7)
	issue.SelfPaid.Visit = "MZ-7"
	var e gateway.EInvoice
	if err := st.post(t.Context(), "/api/v1/einvoices", issue, &e); err != nil || e.State != gateway.InvoiceIssued {
		t.Fatalf("%+v %v", e, err)
	}
	hospital := string(st.caller().Institutions[0])
	visit := map[string]any{"fixmedins_mdtrt_id": "MZ-7", "psn_name": "测试1", "begntime": "2026-03-02 09:00:00", "med_type": "11", "inhosp_stas": "0"}
	upload := map[string]any{"request_id": "UP-7", "operator": map[string]string{"id": "0101", "name": "王收费", "type": "1"},
		"input": map[string]any{"mdtrtinfo": visit, "diseinfo": []any{}, "feedetail": []any{map[string]any{"bkkp_sn": "1", "fixmedins_mdtrt_id": "MZ-7",
			"fee_ocur_time": "2026-03-02 09:00:00", "fixmedins_code": hospital, "fixmedins_name": "某医院", "cnt": 1, "pric": 0.02, "det_item_fee_sumamt": 0.02, "vali_flag": "1"}}}}
	queued := func() (id ident.MsgID, status int, answer string) {
		t.Helper()
		body, err := json.Marshal(upload)
		if err != nil {
			t.Fatal(err)
		}
		status, got, err := post(t.Context(), "http://"+st.gw.addr()+"/api/v1/uploads/4205", st.key, body)
		var sent gateway.Transaction
		if err == nil {
			err = json.Unmarshal(got, &sent)
		}
		if err != nil {
			t.Fatal(err)
		}
		return sent.ID, status, string(got)
	}
	id, status, answer := queued()
	if status != 202 {
		t.Fatalf("%d %s", status, answer)
	}
	rec, err := st.gw.journal.Record(t.Context(), id)
	if err != nil || !strings.Contains(string(rec.Input), `"elec_billno_code":"`+e.Number.No+`"`) || !strings.Contains(string(rec.Wire), e.Number.No) {
		t.Errorf("%s %v", rec.Input, err)
	}
	if again, status, answer := queued(); again != id {
		t.Errorf("the same request again: %d %s", status, answer)
	}
	visit["elec_billno_code"], upload["request_id"] = "1", "UP-8"
	if _, status, answer := queued(); status != 422 || !strings.Contains(answer, "invoice-identity") || !strings.Contains(answer, "/input/mdtrtinfo/elec_billno_code") {
		t.Errorf("another bill: %d %s", status, answer)
	}
}
