//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"testing"

	"yiqiao/examples"
	"yiqiao/gateway"
)

func example[T any](t testing.TB, b []byte) (r T) {
	t.Helper()
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// A sale at the real program and the real simulator, which is killed on the way: before and after each message
// of the settlement and of the way back. It is settled once and taken back once.
func TestSaleOverAKill(t *testing.T) {
	for _, crash := range []string{"", "before-sent:2102", "after-sent:2102", "after-answer:2102", "after-stored:2102", "after-answer:2103", "after-sent:2103"} {
		t.Run("crash "+crash, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve(crash)
			sale := example[gateway.OpenSale](t, examples.PharmacySale)
			var v gateway.Sale
			if status, answer := s.post("/api/v1/pharmacy-sales", sale, &v); status != http.StatusCreated || v.State != gateway.SalePresettled || v.Amounts == nil {
				t.Fatalf("open: %d %s", status, answer)
			}
			path, died := "/api/v1/pharmacy-sales/"+v.ID, crash == ""
			do := func(what string, body any, want gateway.SaleState) {
				t.Helper()
				s.eventually(what, func() bool {
					status, _ := s.post(path+"/"+what, body, &v)
					if status == 0 && !died { // the connection broke: it is dead
						died = true
						s.gw.died(t)
						s.serve("")
					}
					return status == http.StatusOK && v.State == want
				})
			}
			do("confirm", gateway.ConfirmSale{RequestID: "c1", Operator: sale.Operator, Credential: &sale.Credential}, gateway.SaleSettled)
			if n := s.atCentre(string(v.Visit)); n != 1 || v.SettlementID == "" {
				t.Errorf("the centre holds %d settlements of %+v", n, v)
			}
			s.ledger()
			do("refund", gateway.RefundSale{RequestID: "x1", Operator: sale.Operator}, gateway.SaleRefunded)
			if !died {
				t.Error("the gateway was to die and did not")
			}
			s.ledger()
			s.gw.kill()
			s.fsck()
		})
	}
}

func TestFilingOverAKill(t *testing.T) {
	for _, crash := range []string{"", "after-sent:2503", "after-answer:2503", "after-answer:2504"} {
		t.Run("crash "+crash, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.edit("yiqiao.yaml", "write: 60s", "write: 1s")
			s.serve(crash)
			r := example[gateway.OpenFiling](t, examples.Filing)
			var f gateway.Filing
			died := crash == ""
			do := func(path string, body any, want gateway.FilingState) {
				t.Helper()
				s.eventually(string(want), func() bool {
					status, _ := s.post(path, body, &f)
					if status == 0 && !died {
						died = true
						s.gw.died(t)
						s.serve("")
					}
					return status/100 == 2 && f.State == want
				})
			}
			do("/api/v1/filings", r, gateway.FilingFiled)
			w := gateway.WithdrawFiling{RequestID: "w1", Operator: r.Operator, Memo: "录入有误", Number: f.Number}
			if f.Number == "" { // found by asking: the office knows the number, and here nobody asks it
				if crash != "after-answer:2503" {
					t.Errorf("no number: %+v", f)
				}
				if status, answer := s.post("/api/v1/filings/"+f.ID+"/withdraw", w, nil); status != http.StatusUnprocessableEntity && status != http.StatusBadRequest {
					t.Errorf("withdrawn without a number: %d %s", status, answer)
				}
				return
			}
			do("/api/v1/filings/"+f.ID+"/withdraw", w, gateway.FilingWithdrawn)
			if !died {
				t.Error("the gateway was to die and did not")
			}
		})
	}
}
