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

// A stay at the real program and the real simulator: admitted, charged, discharged, settled, settled
// anew, taken back.
func TestStayAtTheSimulator(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	bill, _ := standardBill("S", "999999198503120018", "测试甲")
	doctor, department := bill.Visit.Doctor, bill.Visit.Department
	operation := gateway.Coded{Code: "00.1", Name: "测试手术"}
	day := bill.Visit.Begin
	var stay gateway.Stay
	do := func(path string, body any, status int, want gateway.StayState) {
		t.Helper()
		if got, answer := s.post("/api/v1/stays"+path, body, &stay); got != status || stay.State != want {
			t.Fatalf("%s: %d %s, want %d %s", path, got, answer, status, want)
		}
	}
	do("", gateway.AdmitStay{RequestID: "A", Operator: bill.Operator, Credential: bill.Credential, Diagnoses: bill.Diagnoses, Visit: gateway.StayInfo{
		Number: "ZY-1", MedType: "21", Begin: day, Doctor: doctor, Department: department, Bed: "01", Operation: operation}}, 201, gateway.StayIn)
	at := "/" + stay.ID
	do(at+"/fees", gateway.ChargeStay{RequestID: "F", Operator: bill.Operator, Fees: bill.Fees}, 200, gateway.StayIn)
	if stay.Charged != bill.Total {
		t.Errorf("charged %s, want %s", stay.Charged, bill.Total)
	}
	do(at+"/discharge", gateway.DischargeStay{RequestID: "D", Operator: bill.Operator, End: day, Department: department, Way: "1",
		Diagnoses: bill.Diagnoses, Operation: operation}, 200, gateway.StayDischarged)
	s.inject(`{"infno":"2304","kind":"never-answer","commit":true,"times":1}`)
	settle := gateway.SettleStay{RequestID: "E", Operator: bill.Operator, Credential: &bill.Credential}
	s.eventually("the stay is settled", func() bool {
		status, _ := s.post("/api/v1/stays"+at+"/settle", settle, &stay)
		return status == 200
	})
	if stay.State != gateway.StaySettled || stay.Amounts.Total != bill.Total || s.atCentre(string(stay.Visit)) != 1 {
		t.Errorf("settled: %+v %+v", stay, stay.Amounts)
	}
	do(at+"/refund", gateway.RefundStay{RequestID: "X1", Operator: bill.Operator}, 200, gateway.StayDischarged)
	settle.RequestID = "E2"
	do(at+"/settle", settle, 200, gateway.StaySettled)
	s.ledger()
	do(at+"/refund", gateway.RefundStay{RequestID: "X2", Operator: bill.Operator, To: "admission"}, 200, gateway.StayCancelled)
	s.ledger()
	s.gw.kill()
	s.fsck()
}

// A stay at the real simulator that is changed, and settled in the middle with the answer lost; the end settles
// the rest, and everything is taken back.
func TestMidStayAtTheSimulator(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve("")
	bill, _ := standardBill("M", "999999198503120018", "测试甲")
	doctor, department := bill.Visit.Doctor, bill.Visit.Department
	operation := gateway.Coded{Code: "00.1", Name: "测试手术"}
	info := gateway.StayInfo{Number: "ZY-2", MedType: "21", Begin: bill.Visit.Begin, Doctor: doctor, Department: department, Bed: "01", Operation: operation}
	var stay gateway.Stay
	do := func(path string, body any, status int, want gateway.StayState) {
		t.Helper()
		if got, answer := s.post("/api/v1/stays"+path, body, &stay); got != status || stay.State != want {
			t.Fatalf("%s: %d %s, want %d %s", path, got, answer, status, want)
		}
	}
	do("", gateway.AdmitStay{RequestID: "A", Operator: bill.Operator, Credential: bill.Credential, Diagnoses: bill.Diagnoses, Visit: info}, 201, gateway.StayIn)
	at := "/" + stay.ID
	info.Bed = "02"
	do(at+"/change", gateway.ChangeStay{RequestID: "C", Operator: bill.Operator, Visit: info, Diagnoses: bill.Diagnoses}, 200, gateway.StayIn)
	do(at+"/fees", gateway.ChargeStay{RequestID: "F1", Operator: bill.Operator, Fees: bill.Fees[:2]}, 200, gateway.StayIn)
	s.inject(`{"infno":"2304","kind":"never-answer","commit":true,"times":1}`)
	settle := gateway.SettleStay{RequestID: "E1", Operator: bill.Operator, Credential: &bill.Credential, MidStay: true}
	s.eventually("the middle is settled", func() bool {
		status, _ := s.post("/api/v1/stays"+at+"/settle", settle, &stay)
		return status == 200
	})
	if stay.State != gateway.StayIn || len(stay.Mid) != 1 || stay.Mid[0].Amounts.Total != stay.Charged || s.atCentre(string(stay.Visit)) != 1 {
		t.Fatalf("%+v", stay)
	}
	do(at+"/fees", gateway.ChargeStay{RequestID: "F2", Operator: bill.Operator, Fees: bill.Fees[2:]}, 200, gateway.StayIn)
	do(at+"/discharge", gateway.DischargeStay{RequestID: "D", Operator: bill.Operator, End: info.Begin, Department: department, Way: "1",
		Diagnoses: bill.Diagnoses, Operation: operation}, 200, gateway.StayDischarged)
	do(at+"/settle", gateway.SettleStay{RequestID: "E2", Operator: bill.Operator, Credential: &bill.Credential}, 200, gateway.StaySettled)
	if stay.Charged != bill.Total || stay.Amounts.Total == bill.Total || len(stay.Mid) != 1 {
		t.Errorf("%+v %+v", stay, stay.Amounts)
	}
	s.ledger()
	do(at+"/refund", gateway.RefundStay{RequestID: "X", Operator: bill.Operator, To: "admission"}, 200, gateway.StayCancelled)
	s.ledger()
	s.gw.kill()
	s.fsck()
}
