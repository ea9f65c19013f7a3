//go:build unix

package main

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// A row is refunded at the real program, which is killed on the way: between the undo and the new
// settlement the money is back, and the same request ends with one settlement of what is left.
func TestPartialRefundOverAKill(t *testing.T) {
	for _, crash := range []string{"after-answer:2208", "before-sent:2207", "after-answer:2207"} {
		t.Run(crash, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.serve("")
			set, confirm := s.open("P")
			path := "/api/v1/settlements/" + set.ID
			if status, answer := s.post(path+"/confirm", confirm, &set); status != 200 {
				t.Fatalf("confirm: %d %s", status, answer)
			}
			bill, _ := standardBill("P", "999999198503120018", "测试甲")
			row := bill.Fees[1]
			refund := gateway.RefundSettlement{RequestID: "R-P", Operator: bill.Operator, Rows: []string{row.ID}, Credential: &bill.Credential}
			s.gw.kill()
			s.serve(crash)
			if status, answer := s.post(path+"/refund", refund, nil); status != 0 {
				t.Fatalf("the gateway was to die: %d %s", status, answer)
			}
			s.gw.died(t)
			s.serve("")
			var after gateway.Settlement
			s.eventually("the rest is settled", func() bool {
				status, _ := s.post(path+"/refund", refund, &after)
				return status == 200
			})
			whole, err := money.Parse(bill.Total)
			if err != nil {
				t.Fatal(err)
			}
			gone, err := money.Parse(row.Amount)
			if err != nil {
				t.Fatal(err)
			}
			if after.State != gateway.BillSettled || after.SettlementID == set.SettlementID || after.Amounts.Total != (whole-gone).String() {
				t.Errorf("after: %+v %+v", after, after.Amounts)
			}
			var again gateway.Settlement
			if status, _ := s.post(path+"/refund", refund, &again); status != 200 || again.SettlementID != after.SettlementID {
				t.Errorf("again: %d %+v", status, again)
			}
			s.ledger()
			var end gateway.Settlement
			if status, answer := s.post(path+"/refund", gateway.RefundSettlement{RequestID: "R-PP", Operator: bill.Operator}, &end); status != 200 || end.State != gateway.BillRefunded {
				t.Errorf("the rest refunded: %d %s", status, answer)
			}
			s.ledger()
			s.gw.kill()
			s.fsck()
		})
	}
}
