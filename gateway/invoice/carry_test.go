package invoice

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// carry hands a message in and gives what would be sent.
func (w *town) carry(id string, infno ident.Infno, input string) (string, error) {
	w.t.Helper()
	v, err := strictjson.Decode([]byte(input), strictjson.Request())
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := w.office.Carry(bg, his, gateway.Transact{RequestID: id, Infno: infno, Input: v})
	if err != nil {
		return "", err
	}
	out, _ := json.Marshal(r.Input)
	return string(out), nil
}

// A settlement list gets the bill of its settlement, and the same request gets the same bill again
// when it has been reversed meanwhile.
func TestCarrySettlementList(t *testing.T) {
	w := newTown(t, "")
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	want := `{"setlinfo":{"bill_code":"0601","bill_no":"00000001","setl_id":"B1/1"}}`
	for range 2 {
		if got, err := w.carry("U1", "4101", `{"setlinfo":{"setl_id":"B1/1"}}`); err != nil || got != want {
			t.Errorf("%s %v", got, err)
		}
	}
	if got, err := w.carry("U2", "4101A", `{"setlinfo":{"setl_id":"B1/1","bill_code":"0601","bill_no":"00000001"}}`); err != nil || got != want {
		t.Errorf("the HIS named it rightly: %s %v", got, err)
	}
	if _, err := w.carry("U1", "4101", `{"setlinfo":{"setl_id":"B1/2"}}`); !is(err, gateway.CodeRequestIDReused) {
		t.Errorf("another body under one id: %v", err)
	}
	if err := w.refund("B1", 300, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := w.carry("U1", "4101", `{"setlinfo":{"setl_id":"B1/1"}}`); err != nil || got != want {
		t.Errorf("the same request after the reversal: %s %v", got, err)
	}
	if got, err := w.carry("U3", "4101", `{"setlinfo":{"setl_id":"B1/1"}}`); err != nil || strings.Contains(got, "bill_no") {
		t.Errorf("a reversed bill was filled in: %s %v", got, err)
	}
	if got, err := w.carry("U4", "4101", `{"setlinfo":{"setl_id":"B1/2"}}`); err != nil || !strings.Contains(got, "00000002") {
		t.Errorf("what was settled again: %s %v", got, err)
	}
	if got, err := w.carry("U5", "4101", `{"setlinfo":{"setl_id":"elsewhere","bill_code":"1","bill_no":"2"}}`); err != nil || !strings.Contains(got, `"bill_no":"2"`) {
		t.Errorf("a bill from elsewhere: %s %v", got, err)
	}
	for _, in := range []string{`[]`, `{"setlinfo":1}`, `{"setlinfo":[null]}`, `{}`} {
		if got, err := w.carry("X"+in, "4101", in); err != nil || got != in {
			t.Errorf("%s became %s %v", in, got, err)
		}
	}
}

// What the HIS says of a bill must be true.
func TestCarryContradiction(t *testing.T) {
	w := newTown(t, "")
	w.settled("B1", 1000, "p")
	if _, err := w.issue("B1"); err != nil {
		t.Fatal(err)
	}
	n := 0
	for in, path := range map[string]string{
		`{"setlinfo":{"setl_id":"B1/1","bill_code":"0602","bill_no":"00000001"}}`: "/input/setlinfo/bill_code",
		`{"setlinfo":{"setl_id":"B1/1","bill_no":"00000009"}}`:                    "/input/setlinfo/bill_no",
	} {
		n++
		_, err := w.carry(fmt.Sprint("C", n), "4101", in)
		e, ok := err.(*gateway.Error)
		if !ok || e.Code != gateway.CodeInvoiceIdentity || e.Path != path || !strings.Contains(e.Detail, "00000001") {
			t.Errorf("%s: %v", in, err)
		}
	}
	// Refused is not written down: the corrected message may use the same id.
	if got, err := w.carry("C1", "4101", `{"setlinfo":{"setl_id":"B1/1"}}`); err != nil || !strings.Contains(got, "00000001") {
		t.Errorf("%s %v", got, err)
	}
	if err := w.refund("B1", 300, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.carry("C9", "4101", `{"setlinfo":{"setl_id":"B1/1","bill_code":"0601","bill_no":"00000001"}}`); !is(err, gateway.CodeInvoiceIdentity) {
		t.Errorf("a reversed bill: %v", err)
	}
	other := gateway.Caller{System: "another", Institutions: his.Institutions}
	r := gateway.Transact{RequestID: "O", Infno: "4101", Input: map[string]any{"setlinfo": map[string]any{"setl_id": "B1/2"}}}
	if got, err := w.office.Carry(bg, other, r); err != nil || len(got.Input.(map[string]any)["setlinfo"].(map[string]any)) != 1 {
		t.Errorf("another system's bill was told: %+v %v", got, err)
	}
}

// Self-paid visits: several bills are told apart by the amount, and one that is being issued is waited for.
func TestCarrySelfPaidVisit(t *testing.T) {
	w := newTown(t, "")
	selfPaid := func(id, amount string) gateway.EInvoice {
		t.Helper()
		e, err := w.office.IssueInvoice(bg, his, gateway.IssueInvoice{RequestID: id, Operator: gateway.Operator{ID: "1", Name: "王", Type: "1"},
			Payer: gateway.PayerAsked{Name: "测试乙", Sex: "女", Age: "30"}, SelfPaid: &gateway.SelfPaid{ID: id, Visit: "MZ9", Date: "2026-03-02", Total: amount,
				Rows: []gateway.SelfPaidRow{{ID: "1", Code: "C", Name: "检查", Category: "03", Quantity: "1", Price: amount, Amount: amount}}}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	w.platform.down = true
	a := selfPaid("A", "30.00")
	const row = `{"mdtrtinfo":{"fixmedins_mdtrt_id":"MZ9"%s}}`
	if _, err := w.carry("U1", "4205", fmt.Sprintf(row, "")); !is(err, gateway.CodeInvoiceUnknown) {
		t.Errorf("sent without the bill that is being issued: %v", err)
	}
	w.platform.down = false
	w.clock.Advance(time.Minute)
	w.calm()
	a, _ = w.office.Invoice(bg, his, a.ID)
	if got, err := w.carry("U1", "4205", fmt.Sprintf(row, "")); err != nil || !strings.Contains(got, `"elec_billno_code":"`+a.Number.No+`"`) || !strings.Contains(got, `"elec_bill_chkcode":"r"`) {
		t.Errorf("%s %v", got, err)
	}
	if _, err := w.carry("U0", "4205", fmt.Sprintf(row, `,"elec_bill_chkcode":"zzz"`)); !is(err, gateway.CodeInvoiceIdentity) {
		t.Errorf("another check code: %v", err)
	}
	b := selfPaid("B", "12.00")
	if _, err := w.carry("U2", "4205", fmt.Sprintf(row, "")); !is(err, gateway.CodeInvoiceIdentity) {
		t.Errorf("which of two: %v", err)
	}
	if got, err := w.carry("U3", "4202", `{"ownPayPatnMdtrtD":{"fixmedins_mdtrt_id":"MZ9","medfee_sumamt":12}}`); err != nil || !strings.Contains(got, `"elec_billno_code":"`+b.Number.No+`"`) {
		t.Errorf("%s %v", got, err)
	}
}
