package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/bill"
	siminvoice "yiqiao/simulator/invoice"
)

// What a person does about a parked bill, with the command the guide names: looks at the platform, says what is
// there, and the gateway goes on from it. The platform here has no query by business number, and another program
// has used one.
func TestParkedBillsAreDecided(t *testing.T) {
	var g *gatewaySettings
	st, err := newStageWith(t.Context(), io.Discard, io.Discard, "mpc+tif", stageOptions{change: func(x *gatewaySettings, _ *simulatorSettings) {
		g, x.Einvoice.ByBusNo = x, "-"
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	file := filepath.Join(st.dir, "yiqiao.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	real := strings.Replace(string(text), "127.0.0.1:0/medical-web", st.sim.einvoiceLn.Addr().String()+"/medical-web", 1)
	real = strings.Replace(real, "\neinvoice:\n", "\neinvoice:\n  query_method: \"-\"\n  retry: 100ms\n", 1)
	if err := os.WriteFile(file, []byte(real), 0o600); err != nil {
		t.Fatal(err)
	}
	command := func(code int, want string, args ...string) {
		t.Helper()
		got, out, errs := yiqiao(t, "", append([]string{"einvoice", args[0], "--config", st.dir}, args[1:]...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Fatalf("%v: %d %s%s, want %d with %q", args, got, out, errs, code, want)
		}
	}
	decide := func(code int, want, id, as string, more ...string) {
		t.Helper()
		command(code, want, append([]string{"decide", "--as", as, "--operator", "0101", "--note", "平台后台", "--yes", id}, more...)...)
	}
	parked := func(e gateway.EInvoice, err error) string {
		t.Helper()
		for range 200 {
			if err != nil || e.State == gateway.InvoiceParked {
				break
			}
			_ = systemClock{}.Sleep(t.Context(), 50*time.Millisecond)
			e, err = st.invoice(t.Context(), e.ID)
		}
		if err != nil || e.State != gateway.InvoiceParked || !strings.Contains(e.ForPatient, "窗口") {
			t.Fatalf("%+v %v", e, err)
		}
		return e.ID
	}
	deposit := func(n int, fault string) string {
		t.Helper()
		if err := st.sim.einvoice.Inject(fmt.Sprintf(`{"infno":"invoicePayMentVoucher","kind":%q,"times":1}`, fault)); err != nil {
			t.Fatal(err)
		}
		return parked(st.gw.invoices.IssueInvoice(t.Context(), st.caller(), gateway.IssueInvoice{RequestID: fmt.Sprint("D", n),
			Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}, Payer: gateway.PayerAsked{Name: "测试甲", Sex: "男", Age: "41"},
			Deposit: &gateway.Deposit{ID: fmt.Sprint("YJ", n), StayNo: "ZY1", Department: gateway.Coded{Code: "1", Name: "内科"}, Amount: "10.00"}}))
	}
	at := func(id string) (b siminvoice.Bill) {
		t.Helper()
		for _, x := range st.sim.einvoice.Bills() {
			if x.BusNo == id {
				b = x
			}
		}
		return b
	}
	live := func(id string, total string) {
		t.Helper()
		e, err := st.invoice(t.Context(), id)
		b := at(id)
		if err != nil || e.State != gateway.InvoiceIssued || e.Total != total || e.Number.No == "" || b.No != e.Number.No || !b.InForce() {
			t.Fatalf("%+v %v, at the platform %+v", e, err, b)
		}
	}
	next := func(id string) string { return strings.TrimSuffix(id, "1") + "2" }

	made := deposit(1, "commit-then-lose") // it is there
	command(0, "需人工处理", "list", "--open")
	command(1, "--yes", "decide", "--as", "made", "--operator", "0101", made)
	decide(2, "/number", made, "made")
	decide(2, "/finding", made, "nonsense", "--batch", at(made).Batch, "--no", at(made).No)
	command(2, "decide", "reverse", "--reason", "错", "--operator", "0101", "--yes", made)
	decide(0, "已开具", made, "made", "--batch", at(made).Batch, "--no", at(made).No)
	live(made, "10.00")
	decide(2, "state", made, "absent")
	command(0, "平台后台", "show", made)

	absent := deposit(2, "html") // there is none
	decide(2, "/number", absent, "made", "--batch", at(made).Batch, "--no", at(made).No)
	decide(0, "已开具", absent, "absent")
	live(absent, "10.00")

	reversed := deposit(3, "commit-then-lose") // a person has reversed it there: the money is still paid, it gets another
	b := at(reversed)
	p, err := g.invoicePlatform(systemClock{})
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Reverse(t.Context(), gateway.InvoiceReversal{Kind: gateway.KindStayDeposit, Number: gateway.InvoiceNumber{Batch: b.Batch, No: b.No},
		Reason: "错", Operator: "王收费", Place: "001", At: time.Now().In(gateway.China)}); a.Outcome != gateway.OutcomeDone {
		t.Fatalf("%+v", a)
	}
	decide(0, "已冲红", reversed, "reversed", "--batch", b.Batch, "--no", b.No)
	live(next(reversed), "10.00")

	// Another program made a bill of the number, of another amount: it is reversed, and the right one has another number.
	order, patient := standardBill("W", "999999198503120018", "测试甲")
	set, err := st.settle(t.Context(), order, patient)
	if err != nil {
		t.Fatal(err)
	}
	r := selfPaid(9, 1000)
	c, err := bill.SelfPaid("X", st.caller().Institutions[0], "his", [32]byte{}, r.SelfPaid, r.Payer)
	if err != nil {
		t.Fatal(err)
	}
	d, err := bill.Build(g.Einvoice.tables(c.Institution), set.ID+"_1", c, r, time.Now().In(gateway.China))
	if err != nil {
		t.Fatal(err)
	}
	if a := p.Issue(t.Context(), d); a.Outcome != gateway.OutcomeDone {
		t.Fatalf("%+v", a)
	}
	wrong := parked(st.gw.invoices.IssueInvoice(t.Context(), st.caller(), gateway.IssueInvoice{RequestID: "W", Settlement: set.ID, Operator: order.Operator}))
	command(1, "yiqiao einvoice decide", "reconcile", "--date", time.Now().In(gateway.China).Format(time.DateOnly), "--json")
	decide(2, "/finding", wrong, "made")
	decide(2, "/finding", wrong, "absent")
	decide(0, "已冲红", wrong, "wrong")
	live(next(wrong), set.Amounts.Total)
	for _, x := range st.sim.einvoice.Bills() {
		if n := strings.Count(x.BusNo, set.ID); n > 0 && x.InForce() != (x.BusNo == next(wrong)) {
			t.Errorf("%+v", x)
		}
	}
	command(0, "0 张", "list", "--open")
}
