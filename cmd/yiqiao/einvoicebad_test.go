package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"yiqiao/gateway"
)

// What is wrong with a request about a bill is refused with the field and the next step, and nothing is issued
// or changed at the platform.
func TestEInvoiceBadInput(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	good, err := st.gw.invoices.IssueInvoice(t.Context(), st.caller(), selfPaid(1, 1))
	if err != nil || good.State != gateway.InvoiceIssued {
		t.Fatalf("%+v %v", good, err)
	}
	posted, err := st.gw.invoices.IssueInvoice(t.Context(), st.caller(), selfPaid(2, 1))
	if err != nil || !st.sim.einvoice.Post(posted.Number.Batch, posted.Number.No, true) {
		t.Fatalf("%+v %v", posted, err)
	}
	operator := gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}
	paid := func(change func(*gateway.IssueInvoice)) gateway.IssueInvoice {
		r := selfPaid(7, 1000)
		change(&r)
		return r
	}
	for name, c := range map[string]struct {
		path   string
		body   any
		status int
		code   gateway.Code
		field  string
	}{
		"rows do not add up":  {"", paid(func(r *gateway.IssueInvoice) { r.SelfPaid.Total = "9.99" }), 422, gateway.CodeAmounts, "/self_paid/total"},
		"row is no product":   {"", paid(func(r *gateway.IssueInvoice) { r.SelfPaid.Rows[0].Quantity = "2" }), 422, gateway.CodeAmounts, "/self_paid/rows/0/amount"},
		"payments fall short": {"", paid(func(r *gateway.IssueInvoice) { r.Payments = []gateway.Payment{{Way: "cash", Amount: "0.01"}} }), 422, gateway.CodeAmounts, "/payments"},
		"no payer":            {"", paid(func(r *gateway.IssueInvoice) { r.Payer.Name = "" }), 422, gateway.CodeRequestInvalid, "/payer/name"},
		"no age":              {"", paid(func(r *gateway.IssueInvoice) { r.Payer.Age = "" }), 422, gateway.CodeRequestInvalid, "/payer/age"},
		"unknown category":    {"", paid(func(r *gateway.IssueInvoice) { r.SelfPaid.Rows[0].Category = "77" }), 422, gateway.CodeInvoiceUnmapped, "/rows/0/category"},
		"unknown channel":     {"", paid(func(r *gateway.IssueInvoice) { r.Payments = []gateway.Payment{{Way: "barter", Amount: "0.08"}} }), 422, gateway.CodeInvoiceUnmapped, "/payments/0/way"},
		"deposit of nothing": {"", gateway.IssueInvoice{RequestID: "D", Operator: operator, Deposit: &gateway.Deposit{ID: "D", StayNo: "1", Amount: "0.00"}},
			422, gateway.CodeAmounts, "/deposit/amount"},
		"posted, reversed": {"/" + posted.ID + "/reverse", gateway.ReverseInvoice{RequestID: "P", Operator: operator, Reason: "错"}, 409, gateway.CodeInvoicePosted, ""},
		"another paper":    {"/" + good.ID + "/paper", gateway.PaperInvoice{RequestID: "N", Operator: operator, No: "99999999"}, 409, gateway.CodeInvoicePaper, "/no"},
	} {
		t.Run(name, func(t *testing.T) {
			made := len(st.sim.einvoice.Bills())
			status, answer := st.do(t, "POST", "/api/v1/einvoices"+c.path, c.body, nil)
			var p struct {
				Code gateway.Code `json:"code"`
				Path string       `json:"path"`
				Next string       `json:"next"`
			}
			if err := json.Unmarshal([]byte(answer), &p); err != nil {
				t.Fatal(err)
			}
			if status != c.status || p.Code != c.code || p.Path != c.field || p.Next == "" {
				t.Errorf("%d %s, want %d %s at %s", status, answer, c.status, c.code, c.field)
			}
			if now := len(st.sim.einvoice.Bills()); now != made {
				t.Errorf("%d bills, %d before", now, made)
			}
		})
	}
	for _, e := range []gateway.EInvoice{good, posted} {
		if now, err := st.invoice(t.Context(), e.ID); err != nil || now.State != gateway.InvoiceIssued {
			t.Errorf("%+v %v", now, err)
		}
	}
}

// What the platform refuses, whatever its result code, is told in its own words and stays one business number: nothing
// is issued until it is corrected and asked for again.
func TestEInvoiceRefusedAndCorrected(t *testing.T) {
	st, err := newStageWith(t.Context(), io.Discard, io.Discard, "mpc+tif", stageOptions{change: func(g *gatewaySettings, _ *simulatorSettings) {
		g.Einvoice.Tables.Places = map[string]string{"9号窗": "999"} // an issuing point the platform does not have
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	r := selfPaid(3, 1000)
	r.Desk = "9号窗"
	for range 2 { // the same request again is the same refusal
		status, answer := st.do(t, "POST", "/api/v1/einvoices", r, nil)
		if status != 422 || !strings.Contains(answer, string(gateway.CodeInvoiceRefused)) || !strings.Contains(answer, "开票点 999 不存在") || !strings.Contains(answer, "更正后重新申请") {
			t.Fatalf("%d %s", status, answer)
		}
	}
	if n := len(st.sim.einvoice.Bills()); n != 0 {
		t.Fatalf("%d bills", n)
	}
	var issued gateway.EInvoice
	r.RequestID, r.Desk = "C3-2", "1号窗"
	if status, answer := st.do(t, "POST", "/api/v1/einvoices", r, &issued); status != 201 || !strings.HasSuffix(issued.ID, "_1") || issued.State != gateway.InvoiceIssued || issued.Message != "" {
		t.Fatalf("corrected: %d %s", status, answer)
	}
	if bills := st.sim.einvoice.Bills(); len(bills) != 1 || bills[0].BusNo != issued.ID {
		t.Errorf("%+v", bills)
	}
}
