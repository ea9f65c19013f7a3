package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// stayTown is a stay at the real program with the simulated centre and the simulated platform.
type stayTown struct {
	*stage
	t    *testing.T
	bill gateway.OpenSettlement
	stay gateway.Stay
	info gateway.StayInfo
}

func newStayTown(t *testing.T, tag, order string) *stayTown {
	t.Helper()
	st, err := newStageWith(t.Context(), io.Discard, io.Discard, "mpc+tif", stageOptions{change: func(g *gatewaySettings, _ *simulatorSettings) {
		g.Einvoice.Order = order
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	s := &stayTown{stage: st, t: t}
	s.bill, _ = standardBill(tag, "999999198503120018", "测试甲")
	s.info = gateway.StayInfo{Number: "ZY-" + tag, MedType: "21", Begin: s.bill.Visit.Begin, Doctor: s.bill.Visit.Doctor, Department: s.bill.Visit.Department,
		Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "测试手术"}}
	s.call("", gateway.AdmitStay{RequestID: "A", Operator: s.bill.Operator, Credential: s.bill.Credential, Diagnoses: s.bill.Diagnoses, Visit: s.info}, gateway.StayIn)
	return s
}

func (s *stayTown) call(path string, body any, want gateway.StayState) {
	s.t.Helper()
	at := "/api/v1/stays"
	if path != "" {
		at += "/" + s.stay.ID + path
	}
	var now gateway.Stay
	if status, answer := s.do(s.t, "POST", at, body, &now); status/100 != 2 || now.State != want {
		s.t.Fatalf("%s: %d %s, want %s", path, status, answer, want)
	}
	s.stay = now
}

func (s *stayTown) charge(request string, fees []gateway.Fee) {
	s.t.Helper()
	s.call("/fees", gateway.ChargeStay{RequestID: request, Operator: s.bill.Operator, Fees: fees}, gateway.StayIn)
}

func (s *stayTown) discharge() {
	s.t.Helper()
	s.call("/discharge", gateway.DischargeStay{RequestID: "D", Operator: s.bill.Operator, End: s.info.Begin, Department: s.info.Department, Way: "1",
		Diagnoses: s.bill.Diagnoses, Operation: s.info.Operation}, gateway.StayDischarged)
}

func (s *stayTown) settle(request string) {
	s.t.Helper()
	s.call("/settle", gateway.SettleStay{RequestID: request, Operator: s.bill.Operator, Credential: &s.bill.Credential}, gateway.StaySettled)
}

func (s *stayTown) refund(request, to string, want gateway.StayState) {
	s.t.Helper()
	s.call("/refund", gateway.RefundStay{RequestID: request, Operator: s.bill.Operator, To: to}, want)
}

func (s *stayTown) issue(r gateway.IssueInvoice, want int) (e gateway.EInvoice, answer string) {
	s.t.Helper()
	r.Operator = s.bill.Operator
	status, answer := s.do(s.t, "POST", "/api/v1/einvoices", r, &e)
	if status != want {
		s.t.Fatalf("%s: %d %s, want %d", r.RequestID, status, answer, want)
	}
	return e, answer
}

// bills are the states of the bills of a settlement, oldest first, and the newest one.
func (s *stayTown) bills(id string, want ...gateway.InvoiceState) (last gateway.EInvoice) {
	s.t.Helper()
	list, err := s.gw.invoices.SettlementInvoices(s.t.Context(), s.stage.caller(), id)
	if err != nil || len(list) != len(want) {
		s.t.Fatalf("%s: %+v %v, want %v", id, list, err, want)
	}
	for i, e := range list {
		if e.State != want[i] || e.State == gateway.InvoiceReversed && e.Red.No == "" {
			s.t.Fatalf("bill %d of %s: %+v, want %v", i, id, e, want)
		}
		last = e
	}
	return last
}

func fenOf(t *testing.T, s string) money.Fen {
	t.Helper()
	f, err := money.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A stay with two deposits: its bill uses them up and is paid in two ways; the settlement goes back and the
// red bill with it; settled anew, there is a new bill.
func TestStayBill(t *testing.T) {
	for _, order := range []string{"red-first", "insurance-first"} {
		t.Run(order, func(t *testing.T) {
			s := newStayTown(t, "Y", order)
			s.charge("F", s.bill.Fees)
			var vouchers []string
			for _, amount := range []string{"30.00", "20.50"} {
				e, _ := s.issue(gateway.IssueInvoice{RequestID: "DEP" + amount, Payer: gateway.PayerAsked{Name: "测试甲", Sex: "男", Age: "41"},
					Deposit: &gateway.Deposit{ID: "YJ" + amount, StayNo: s.info.Number, Department: s.info.Department, Amount: amount}}, 201)
				if e.Total != amount || e.Kind != gateway.KindStayDeposit {
					t.Fatalf("%+v", e)
				}
				vouchers = append(vouchers, e.ID)
			}
			s.issue(gateway.IssueInvoice{RequestID: "EARLY", Settlement: s.stay.ID}, 409)
			s.discharge()
			s.settle("E")
			cash := fenOf(t, s.stay.Amounts.Cash)
			ask := gateway.IssueInvoice{RequestID: "BILL", Settlement: s.stay.ID, Vouchers: vouchers,
				Payments: []gateway.Payment{{Way: "wechat", Amount: "1.00"}, {Way: "cash", Amount: (cash - 100 - 1).String()}}}
			s.issue(ask, 422) // a fen is missing
			ask.Payments[1].Amount = (cash - 100).String()
			e, _ := s.issue(ask, 201)
			if e.State != gateway.InvoiceIssued || e.Kind != gateway.KindStay || e.Total != s.stay.Amounts.Total || e.Total != s.bill.Total {
				t.Fatalf("%+v", e)
			}
			made := len(s.sim.einvoice.Bills())
			if again, _ := s.issue(ask, 201); again.ID != e.ID || len(s.sim.einvoice.Bills()) != made {
				t.Errorf("again: %+v", again)
			}
			if shown, err := pageShows(t.Context(), e.NetURL, e.Number.No); err != nil || !shown {
				t.Errorf("the patient's page: %v %v", shown, err)
			}
			s.refund("X1", "", gateway.StayDischarged)
			s.bills(s.stay.ID, gateway.InvoiceReversed)
			s.refund("X1", "", gateway.StayDischarged) // the same request again
			s.settle("E2")
			ask.RequestID = "BILL2"
			if e, _ := s.issue(ask, 201); e.Total != s.stay.Amounts.Total {
				t.Errorf("%+v", e)
			}
			s.bills(s.stay.ID, gateway.InvoiceReversed, gateway.InvoiceIssued)
			s.refund("X1", "", gateway.StayDischarged) // once more, and its answer of then; it is not about the bill made since
			s.bills(s.stay.ID, gateway.InvoiceReversed, gateway.InvoiceIssued)
			s.refund("X2", "admission", gateway.StayCancelled)
			s.bills(s.stay.ID, gateway.InvoiceReversed, gateway.InvoiceReversed)
		})
	}
}

func (s *stayTown) mid(request string) gateway.StaySettlement {
	s.t.Helper()
	s.call("/settle", gateway.SettleStay{RequestID: request, Operator: s.bill.Operator, Credential: &s.bill.Credential, MidStay: true}, gateway.StayIn)
	return s.stay.Mid[len(s.stay.Mid)-1]
}

// Each settlement of a stay has a bill of its own with the rows it settled, and it goes when that settlement is
// taken back: the latest first, as deep as was asked, whichever comes first. A request that is repeated when it is
// over takes none along.
func TestStayBillAfterMidStay(t *testing.T) {
	const red, live = gateway.InvoiceReversed, gateway.InvoiceIssued
	for _, order := range []string{"red-first", "insurance-first"} {
		t.Run(order, func(t *testing.T) {
			s := newStayTown(t, "Z", order)
			s.charge("F1", s.bill.Fees[:1])
			first := s.mid("M1")
			s.issue(gateway.IssueInvoice{RequestID: "NO", Settlement: first.ID + "1"}, 404)
			one, _ := s.issue(gateway.IssueInvoice{RequestID: "B1", Settlement: first.ID}, 201)
			s.charge("F2", s.bill.Fees[1:2])
			second := s.mid("M2")
			two, _ := s.issue(gateway.IssueInvoice{RequestID: "B2", Settlement: second.ID}, 201)
			s.charge("F3", s.bill.Fees[2:])
			s.discharge()
			s.issue(gateway.IssueInvoice{RequestID: "EARLY", Settlement: s.stay.ID}, 409)
			s.settle("E")
			end, _ := s.issue(gateway.IssueInvoice{RequestID: "B3", Settlement: s.stay.ID}, 201)
			if one.Total != first.Amounts.Total || two.Total != second.Amounts.Total || end.Total != s.stay.Amounts.Total ||
				fenOf(t, one.Total)+fenOf(t, two.Total)+fenOf(t, end.Total) != fenOf(t, s.bill.Total) {
				t.Fatalf("%s, %s and %s of %s", one.Total, two.Total, end.Total, s.bill.Total)
			}
			states := func(a, b, c gateway.InvoiceState) {
				t.Helper()
				s.bills(first.ID, a)
				s.bills(second.ID, b)
				s.bills(s.stay.ID, c)
			}
			states(live, live, live)
			for range 2 {
				s.refund("X1", "", gateway.StayDischarged)
				states(live, live, red)
			}
			s.refund("X2", "discharge", gateway.StayIn)
			states(live, live, red)
			for range 2 {
				s.refund("X3", "", gateway.StayIn)
				states(live, red, red)
			}
			third := s.mid("M3") // what came after the first is settled anew, and is another settlement
			s.issue(gateway.IssueInvoice{RequestID: "B4", Settlement: second.ID}, 409)
			if e, _ := s.issue(gateway.IssueInvoice{RequestID: "B5", Settlement: third.ID}, 201); e.Total != third.Amounts.Total || third.ID == second.ID ||
				fenOf(t, e.Total)+fenOf(t, one.Total) != fenOf(t, s.bill.Total) {
				t.Errorf("%+v", e)
			}
			s.refund("X3", "", gateway.StayIn) // over long ago
			s.bills(third.ID, live)
			s.sim.einvoice.Post(one.Number.Batch, one.Number.No, true)
			if order == "red-first" { // one that can not go keeps all
				status, answer := s.do(t, "POST", "/api/v1/stays/"+s.stay.ID+"/refund", gateway.RefundStay{RequestID: "X4", Operator: s.bill.Operator, To: "admission"}, nil)
				if status != 409 || !strings.Contains(answer, string(gateway.CodeInvoicePosted)) {
					t.Errorf("%d %s", status, answer)
				}
				s.bills(first.ID, live)
				s.bills(third.ID, live)
			}
			s.sim.einvoice.Post(one.Number.Batch, one.Number.No, false)
			s.refund("X5", "admission", gateway.StayCancelled)
			states(red, red, red)
			s.bills(third.ID, red)
			for _, b := range s.sim.einvoice.Bills() {
				if b.InForce() {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}

// A settlement and a stay's are undone without the office being told, as after a decision of people: their
// bills are reversed by themselves, those of others stay.
func TestBillOfWhatWasUndoneElsewhere(t *testing.T) {
	s := newStayTown(t, "U", "red-first")
	s.charge("F", s.bill.Fees[:1])
	mid := s.mid("M")
	s.issue(gateway.IssueInvoice{RequestID: "MID", Settlement: mid.ID}, 201)
	s.charge("F2", s.bill.Fees[1:])
	s.discharge()
	s.settle("E")
	s.issue(gateway.IssueInvoice{RequestID: "BILL", Settlement: s.stay.ID}, 201)
	var settled []gateway.Settlement
	for _, p := range [][3]string{{"U1", "99999919550608002X", "测试乙"}, {"U2", "999999198503120018", "测试甲"}} {
		bill, patient := standardBill(p[0], p[1], p[2])
		set, err := s.stage.settle(t.Context(), bill, patient)
		if err != nil {
			t.Fatal(err)
		}
		s.issue(gateway.IssueInvoice{RequestID: p[0], Settlement: set.ID}, 201)
		settled = append(settled, set)
	}
	if _, err := s.gw.desk.RefundSettlement(t.Context(), s.stage.caller(), gateway.RefundSettlement{RequestID: "R", ID: settled[0].ID, Operator: s.bill.Operator}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.gw.desk.RefundStay(t.Context(), s.stage.caller(), gateway.RefundStay{RequestID: "RS", ID: s.stay.ID, Operator: s.bill.Operator, To: "fees"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{settled[0].ID, s.stay.ID, mid.ID} {
		var state gateway.InvoiceState
		for range 300 {
			list, err := s.gw.invoices.SettlementInvoices(t.Context(), s.stage.caller(), id)
			if err != nil {
				t.Fatal(err)
			}
			if state = list[0].State; state == gateway.InvoiceReversed {
				break
			}
			_ = systemClock{}.Sleep(t.Context(), 50*time.Millisecond)
		}
		s.bills(id, gateway.InvoiceReversed)
	}
	s.bills(settled[1].ID, gateway.InvoiceIssued)
}
