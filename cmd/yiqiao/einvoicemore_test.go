package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// do calls the interface of a stage and gives status and body.
func (st *stage) do(t *testing.T, method, path string, body any, v any) (int, string) {
	t.Helper()
	var b []byte
	if body != nil {
		var err error
		if b, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+st.gw.addr()+path, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+st.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if v != nil && resp.StatusCode/100 == 2 {
		if err := json.Unmarshal(answer, v); err != nil {
			t.Fatalf("%s: %v in %s", path, err, answer)
		}
	}
	return resp.StatusCode, string(answer)
}

// The electronic settlement voucher and the layout file: nothing is sent without a table of the operator's;
// with one the data set of the bill travels in its layout, a red one with amounts below zero.
func TestSettlementVoucher(t *testing.T) {
	overlay, err := filepath.Abs("../../examples/schema/settlement-voucher.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, described := range []bool{false, true} {
		st, err := newStageWith(t.Context(), io.Discard, io.Discard, "mpc+tif", stageOptions{change: func(g *gatewaySettings, s *simulatorSettings) {
			if described {
				g.Editions, s.Editions = []string{overlay}, []string{overlay}
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(st.stop)
		bill, patient := standardBill("V", "999999198503120018", "测试甲")
		set, err := st.settle(t.Context(), bill, patient)
		if err != nil {
			t.Fatal(err)
		}
		e, err := st.einvoice(t.Context(), "V", set.ID)
		if err != nil {
			t.Fatal(err)
		}
		at := "/api/v1/einvoices/" + e.ID
		var data gateway.InvoiceVoucherSet
		if status, answer := st.do(t, "GET", at+"/voucher", nil, &data); status != 200 || data.Voucher["bill_no"] != e.Number.No || data.Voucher["elec_setl_cert_flag"] != "0" ||
			data.Money["medfee_amt"] != set.Amounts.Total || data.Money["setl_id"] != string(set.SettlementID) || data.Visit["psn_name"] != "测试甲" || data.Voucher["setl_type"] != "1" ||
			len(data.Fees) != len(bill.Fees) || len(data.Diagnoses) != len(bill.Diagnoses) || data.Fees[0]["medlist_codg"] != bill.Fees[0].Code {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := st.do(t, "GET", at+"/voucher?red=true", nil, nil); status != 409 {
			t.Errorf("a red voucher of a bill that stands: %d %s", status, answer)
		}
		send := gateway.SendVoucher{RequestID: "VOUCHER", Operator: bill.Operator}
		var sent gateway.Transaction
		status, answer := st.do(t, "POST", at+"/voucher", send, &sent)
		if !described {
			if status != 422 || !strings.Contains(answer, "infno-not-described") {
				t.Errorf("without a table: %d %s", status, answer)
			}
			continue
		}
		rec, err := st.gw.journal.Record(t.Context(), sent.ID)
		if status != 202 || err != nil || rec.Infno != "4901" || !strings.Contains(string(rec.Input), `"BILL_NO":"`+e.Number.No+`"`) ||
			!strings.Contains(string(rec.Input), `"MEDFEE_AMT":`+set.Amounts.Total) {
			t.Fatalf("%d %s: %s %v", status, answer, rec.Input, err)
		}
		for range 200 {
			if st.do(t, "GET", "/api/v1/transactions/"+string(sent.ID), nil, &sent); sent.State.Final() {
				break
			}
			_ = systemClock{}.Sleep(t.Context(), 50*time.Millisecond)
		}
		if sent.Outcome != "done" {
			t.Errorf("the centre: %+v", sent)
		}
		st.files(t, at, bill.Operator)
		if _, err := st.refund(t.Context(), set.ID); err != nil {
			t.Fatal(err)
		}
		data = gateway.InvoiceVoucherSet{}
		if status, answer := st.do(t, "GET", at+"/voucher?red=true", nil, &data); status != 200 || data.Money["medfee_amt"] != "-"+set.Amounts.Total ||
			data.Voucher["rel_elec_setl_cert_no"] != e.Number.No || data.Voucher["bill_code"] == e.Number.Batch || data.Voucher["elec_setl_cert_flag"] != "1" {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := st.do(t, "POST", at+"/voucher", gateway.SendVoucher{RequestID: "RED", Operator: bill.Operator, Red: true, Again: true}, &sent); status != 202 || sent.Infno != "4905" {
			t.Errorf("%d %s", status, answer)
		}
		if status, answer := st.do(t, "POST", at+"/voucher", gateway.SendVoucher{RequestID: "BLUE", Operator: bill.Operator}, nil); status != 409 {
			t.Errorf("a blue voucher of a reversed bill: %d %s", status, answer)
		}
	}
}

// files uploads layout files, good and bad.
func (st *stage) files(t *testing.T, at string, operator gateway.Operator) {
	t.Helper()
	var ofd bytes.Buffer
	z := zip.NewWriter(&ofd)
	if _, err := z.Create("OFD.xml"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	pdf := []byte("%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF\n")
	var first ident.MsgID
	for i, c := range []struct {
		id, format, content, path string
	}{
		{"F1", "pdf", base64.StdEncoding.EncodeToString(pdf), ""},
		{"F1", "pdf", base64.StdEncoding.EncodeToString(pdf), ""},
		{"F2", "ofd", base64.StdEncoding.EncodeToString(ofd.Bytes()), ""},
		{"F3", "ofd", base64.StdEncoding.EncodeToString(pdf), "/content"},
		{"F4", "pdf", base64.StdEncoding.EncodeToString(pdf[:20]), "/content"},
		{"F5", "pdf", "*", "/content"},
		{"F6", "doc", base64.StdEncoding.EncodeToString(pdf), "/format"},
	} {
		var sent gateway.Transaction
		status, answer := st.do(t, "POST", at+"/file", gateway.SendInvoiceFile{RequestID: c.id, Operator: operator, Format: c.format, Content: c.content}, &sent)
		if c.path != "" {
			if status != 422 && status != 400 || !strings.Contains(answer, c.path) {
				t.Errorf("%d %+v: %d %s", i, c, status, answer)
			}
			continue
		}
		if status != 200 || sent.Infno != "9101" || !strings.Contains(answer, "file_qury_no") {
			t.Errorf("%d %s: %d %s", i, c.format, status, answer)
		}
		if i == 0 {
			first = sent.ID
		} else if i == 1 && sent.ID != first {
			t.Error("the same request sent the file twice")
		}
	}
}

// Papers over the interface: what is there, what is printed, and blank ones voided once, also when the
// platform's answer is lost.
func TestPapersOverREST(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	var e gateway.EInvoice
	if status, answer := st.do(t, "POST", "/api/v1/einvoices", selfPaid(1, 7), &e); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	at := "/api/v1/einvoices/" + e.ID
	op := gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}
	if status, answer := st.do(t, "GET", at+"/paper", nil, nil); status != 409 {
		t.Errorf("printing what was not exchanged: %d %s", status, answer)
	}
	if status, answer := st.do(t, "POST", at+"/paper", gateway.PaperInvoice{RequestID: "P1", Operator: op}, &e); status != 200 || e.Paper.No != "00000001" {
		t.Fatalf("%d %s", status, answer)
	}
	var print gateway.PaperPrint
	if status, answer := st.do(t, "GET", at+"/paper", nil, &print); status != 200 || print.Paper != e.Paper || !strings.Contains(answer, "测试1") {
		t.Errorf("%d %s", status, answer)
	}
	var stock gateway.PaperStock
	if status, answer := st.do(t, "GET", "/api/v1/einvoice-papers?desk=1", nil, &stock); status != 200 || stock.Next.No != "00000002" || len(stock.Batches) != 1 {
		t.Fatalf("%d %s", status, answer)
	}
	void := gateway.VoidPapers{RequestID: "B1", Operator: op, Batch: "0601", From: "00000002", To: "00000004", Reason: "卡纸"}
	for name, bad := range map[string]func(*gateway.VoidPapers){
		"/from":   func(r *gateway.VoidPapers) { r.From = "00000003" },
		"/to":     func(r *gateway.VoidPapers) { r.To = "00000001" },
		"/reason": func(r *gateway.VoidPapers) { r.Reason = "" },
	} {
		r := void
		bad(&r)
		if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", r, nil); status/100 != 4 || !strings.Contains(answer, name) {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if err := st.sim.einvoice.Inject(`{"infno":"invalidBlankBillNo","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", void, nil); status != 503 || !strings.Contains(answer, "invoice-unknown") {
		t.Errorf("lost: %d %s", status, answer)
	}
	for range 2 {
		if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", void, &stock); status != 200 || stock.Next.No != "00000005" {
			t.Errorf("the same again: %d %s", status, answer)
		}
	}
	if err := st.sim.einvoice.Inject(`{"infno":"invalidBlankBillNo","kind":"drop-before-commit","times":1}`); err != nil {
		t.Fatal(err)
	}
	void.RequestID, void.From, void.To = "B2", "00000005", "00000005"
	if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", void, nil); status != 503 {
		t.Errorf("lost before: %d %s", status, answer)
	}
	if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", void, &stock); status != 200 || stock.Next.No != "00000006" {
		t.Errorf("the same again: %d %s", status, answer)
	}
	void.To = "00000009"
	if status, answer := st.do(t, "POST", "/api/v1/einvoice-papers/void", void, nil); status != 409 {
		t.Errorf("other papers under one id: %d %s", status, answer)
	}
}
