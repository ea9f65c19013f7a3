package pharmacy_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/gateway/flow/flowtest"
	"yiqiao/gateway/pharmacy"
	"yiqiao/schemas/ident"
)

var bg = context.Background()

func bench(t testing.TB) (*flowtest.Bench, func() pharmacy.Counter) {
	b := flowtest.New(t, pharmacy.Kind{})
	return b, func() pharmacy.Counter { return pharmacy.Counter{Cases: b.Desk} }
}

func order(id string) gateway.OpenSale {
	return gateway.OpenSale{
		RequestID: id, Operator: flowtest.Clerk, Credential: gateway.Credential{Type: "02", Number: "999999199001011238"},
		MedType: "41", Begin: "2026-03-02 08:20:00", UseAccount: true, Total: "30.50",
		Fees: []gateway.SaleRow{
			{ID: id + "1", Code: "XA01", LocalCode: "L1", Quantity: "2", Price: "10.25", Amount: "20.50", Time: "2026-03-02 08:20:00"},
			{ID: id + "2", Code: "XA02", LocalCode: "L2", Quantity: "1", Price: "10", Amount: "10.00", Time: "2026-03-02 08:20:00", RxNo: "RX1"},
		},
	}
}

func confirm(id, sale string) gateway.ConfirmSale {
	r := order(id)
	return gateway.ConfirmSale{RequestID: id, ID: sale, Operator: flowtest.Clerk, Credential: &r.Credential}
}

func TestASaleAndBack(t *testing.T) {
	b, counter := bench(t)
	s, err := counter().OpenSale(bg, flowtest.Caller, order("r1"))
	if err != nil || s.State != gateway.SalePresettled || s.Amounts == nil || s.Amounts.Cash != "15.25" || s.SettlementID != "" {
		t.Fatalf("%+v %v", s, err)
	}
	if again, err := counter().OpenSale(bg, flowtest.Caller, order("r1")); err != nil || again.ID != s.ID || b.Town.Calls("2101") != 1 {
		t.Errorf("again: %+v %v", again, err)
	}
	c := confirm("c1", s.ID)
	c.Credential = nil // held since the opening
	c.ExpectCash = "15.00"
	if _, err := counter().ConfirmSale(bg, flowtest.Caller, c); flowtest.Code(err) != gateway.CodeAmounts {
		t.Errorf("another cash than was told: %v", err)
	}
	c.RequestID, c.ExpectCash = "c2", "15.25"
	done, err := counter().ConfirmSale(bg, flowtest.Caller, c)
	if err != nil || done.State != gateway.SaleSettled || done.SettlementID == "" || done.Visit == "" || len(done.Funds) != 1 || done.MsgID == "" {
		t.Fatalf("%+v %v", done, err)
	}
	if _, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c3", s.ID)); flowtest.Code(err) != gateway.CodeState {
		t.Errorf("a second settlement: %v", err)
	}
	if again, err := counter().ConfirmSale(bg, flowtest.Caller, c); err != nil || again.SettlementID != done.SettlementID || b.Town.Calls("2102") != 1 {
		t.Errorf("%+v %v", again, err)
	}
	// Behind the sale's back nothing is taken back.
	low := gateway.Transact{RequestID: "l1", Infno: "2103", Operator: flowtest.Clerk, InsuplcArea: "430103",
		Input: map[string]any{"data": map[string]any{"setl_id": string(done.SettlementID), "mdtrt_id": string(done.Visit), "psn_no": "P1"}}}
	if _, err := b.Desk.Transact(bg, flowtest.Caller, low); flowtest.Code(err) != gateway.CodeState {
		t.Errorf("a 2103 of the sale on the low-level route: %v", err)
	}
	x := gateway.RefundSale{RequestID: "x1", ID: s.ID, Operator: flowtest.Clerk}
	back, err := counter().RefundSale(bg, flowtest.Caller, x)
	if err != nil || back.State != gateway.SaleRefunded || back.Refund == nil || back.Refund.Of != done.SettlementID || back.Refund.Amounts.Cash != "-15.25" {
		t.Fatalf("%+v %v", back, err)
	}
	if n := len(b.Town.Sales()); n != 0 {
		t.Errorf("%d sales stand", n)
	}
	b.Restart()
	for what, call := range map[string]func() (gateway.Sale, error){
		"confirmation": func() (gateway.Sale, error) { return counter().ConfirmSale(bg, flowtest.Caller, c) },
		"refund":       func() (gateway.Sale, error) { return counter().RefundSale(bg, flowtest.Caller, x) },
		"asking":       func() (gateway.Sale, error) { return counter().Sale(bg, flowtest.Caller, s.ID) },
	} {
		if s, err := call(); err != nil || s.State != gateway.SaleRefunded || s.SettlementID != done.SettlementID || s.Refund == nil {
			t.Errorf("%s after the refund: %+v %v", what, s, err)
		}
	}
	x.RequestID = "x2"
	if _, err := counter().RefundSale(bg, flowtest.Caller, x); flowtest.Code(err) != gateway.CodeState {
		t.Errorf("a second refund: %v", err)
	}
	other := gateway.Caller{System: "other", Institutions: flowtest.Caller.Institutions}
	if _, err := counter().Sale(bg, other, s.ID); flowtest.Code(err) != gateway.CodeNotFound {
		t.Errorf("another system's sale: %v", err)
	}
	for _, m := range b.Centre.Misuse() {
		t.Error(m)
	}
}

// What became of a settlement nobody answered is found out by taking it back, and the sale may be confirmed anew.
func TestALostSettlementIsTakenBack(t *testing.T) {
	for _, m := range []flowtest.Mode{flowtest.LostBack, flowtest.LostOut} {
		b, counter := bench(t)
		s, err := counter().OpenSale(bg, flowtest.Caller, order("r1"))
		if err != nil {
			t.Fatal(err)
		}
		b.Town.Fault(flowtest.On("2102", 1, m))
		if _, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c1", s.ID)); flowtest.Code(err) != gateway.CodeOutcomeUnknown {
			t.Fatalf("%v", err)
		}
		if now, err := counter().Sale(bg, flowtest.Caller, s.ID); err != nil || now.State != gateway.SaleSettling || !now.Unknown {
			t.Errorf("%+v %v", now, err)
		}
		if _, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c2", s.ID)); flowtest.Code(err) != gateway.CodeOutcomeUnknown {
			t.Errorf("another confirmation meanwhile: %v", err)
		}
		b.Rest()
		if n := len(b.Town.Sales()); n != 0 {
			t.Errorf("%d sales stand after the reversal", n)
		}
		done, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c1", s.ID))
		if err != nil || done.State != gateway.SaleSettled || len(b.Town.Sales()) != 1 {
			t.Errorf("%+v %v, %d stand", done, err, len(b.Town.Sales()))
		}
	}
}

// A refund whose answer was lost is found by asking, and its answer is there although nobody repeated the call.
func TestALostRefundIsFound(t *testing.T) {
	b, counter := bench(t)
	s, err := counter().OpenSale(bg, flowtest.Caller, order("r1"))
	if err == nil {
		_, err = counter().ConfirmSale(bg, flowtest.Caller, confirm("c1", s.ID))
	}
	if err != nil {
		t.Fatal(err)
	}
	b.Town.Fault(func(n ident.Infno, call int) flowtest.Mode {
		if n == "2103" && call == 1 {
			return flowtest.LostBack
		}
		if n == "5203" && call == 1 {
			return flowtest.LostOut
		}
		return flowtest.Fine
	})
	x := gateway.RefundSale{RequestID: "x1", ID: s.ID, Operator: flowtest.Clerk}
	if _, err := counter().RefundSale(bg, flowtest.Caller, x); flowtest.Code(err) != gateway.CodeOutcomeUnknown {
		t.Fatalf("%v", err)
	}
	b.Rest()
	n, err := b.Desk.Notice(bg, gateway.RequestKey{System: flowtest.System, ID: "x1"})
	if err != nil || n.Sale == nil || n.Sale.State != gateway.SaleRefunded || n.Sale.Refund == nil {
		t.Errorf("%+v %v", n, err)
	}
	if n := b.Town.Calls("2103"); n != 1 {
		t.Errorf("2103 was sent %d times", n)
	}
}

func TestRefusals(t *testing.T) {
	b, counter := bench(t)
	r := order("r1")
	r.Fees[0].Amount, r.Total, r.Begin = "20.51", "30.50", "2026-3-2"
	r.Fees[1].ID = r.Fees[0].ID
	r.Fees[1].Extra = map[string]any{"cnt": "3"}
	_, err := counter().OpenSale(bg, flowtest.Caller, r)
	e, _ := err.(*gateway.Error)
	if e == nil || e.Code != gateway.CodeRequestInvalid || len(e.Findings) != 5 {
		t.Fatalf("%+v", e)
	}
	r = order("r2")
	r.Total = "30.51"
	if _, err := counter().OpenSale(bg, flowtest.Caller, r); flowtest.Code(err) != gateway.CodeAmounts {
		t.Errorf("%v", err)
	}
	if n := b.Town.Calls("1101"); n != 0 {
		t.Errorf("%d messages left", n)
	}
	b.Town.Fault(flowtest.On("2101", 1, flowtest.Refusing))
	for range 2 { // the same again is the same answer
		s, err := counter().OpenSale(bg, flowtest.Caller, order("r3"))
		if flowtest.Code(err) != gateway.CodeCentreRefused || s.State != gateway.SaleFailed || s.Message == "" || b.Town.Calls("2101") != 1 {
			t.Errorf("%+v %v", s, err)
		}
		if _, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c"+s.ID, s.ID)); flowtest.Code(err) != gateway.CodeState {
			t.Errorf("%v", err)
		}
	}
	changed := order("r3")
	changed.MedType = "14"
	if _, err := counter().OpenSale(bg, flowtest.Caller, changed); flowtest.Code(err) != gateway.CodeRequestIDReused {
		t.Errorf("%v", err)
	}
	// Refused once, a settlement may be asked for by another request.
	b.Town.Fault(flowtest.On("2102", 1, flowtest.Refusing))
	s, err := counter().OpenSale(bg, flowtest.Caller, order("r4"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c1", s.ID)); flowtest.Code(err) != gateway.CodeCentreRefused {
			t.Errorf("%v", err)
		}
	}
	if s, err := counter().ConfirmSale(bg, flowtest.Caller, confirm("c2", s.ID)); err != nil || s.State != gateway.SaleSettled {
		t.Errorf("%+v %v", s, err)
	}
	if f := draft.Finding(draft.CashDiffers, "", ""); f.ZH == "" {
		t.Error("a finding without words")
	}
}

// Two confirmations at once, of the same and of another request, settle once.
func TestConfirmedAtOnce(t *testing.T) {
	b, counter := bench(t)
	s, err := counter().OpenSale(bg, flowtest.Caller, order("r1"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			_, err := counter().ConfirmSale(bg, flowtest.Caller, confirm(fmt.Sprint("c", i%4), s.ID))
			if c := flowtest.Code(err); c != "" && c != gateway.CodeState && c != gateway.CodeRequestInProgress {
				t.Errorf("%v", err)
			}
		})
	}
	wg.Wait()
	if n := len(b.Town.Sales()); n != 1 {
		t.Errorf("%d sales stand", n)
	}
}

// Killed at any write, with the message on its way lost or not, with an answer lost or not: a sale is settled
// once at most, and what the HIS is told is what stands.
func TestKilledAtEveryWrite(t *testing.T) {
	for n := 1; n < 40; n++ {
		most := 0
		for variant := range 8 {
			b, counter := bench(t)
			d := &flowtest.Death{At: n, Stored: variant&1 != 0}
			b.Journal.Hook(d.Hook)
			b.Town.Fault(func(infno ident.Infno, call int) flowtest.Mode {
				if variant&2 != 0 && !d.Dead() && d.Writes() == n-1 {
					return flowtest.LostOut
				}
				if variant&4 != 0 && infno == "2102" && call == 1 {
					return flowtest.LostBack
				}
				return flowtest.Fine
			})
			live(b, counter, d)
			most = max(most, d.Writes())
			for _, m := range b.Centre.Misuse() {
				t.Error(m)
			}
		}
		if most < n {
			return
		}
	}
	t.Error("a life has more writes than that")
}

func live(b *flowtest.Bench, counter func() pharmacy.Counter, d *flowtest.Death) {
	b.T.Helper()
	var s gateway.Sale
	err := b.Insist(d, func() (err error) { s, err = counter().OpenSale(bg, flowtest.Caller, order("r1")); return err })
	if err != nil {
		b.T.Fatalf("write %d: open: %v", d.At, err)
	}
	var done gateway.Sale
	err = b.Insist(d, func() (err error) {
		done, err = counter().ConfirmSale(bg, flowtest.Caller, confirm("c1", s.ID))
		if n := len(b.Town.Sales()); n > 1 {
			b.T.Fatalf("write %d: settled %d times", d.At, n)
		}
		return err
	})
	stand := b.Town.Sales()
	if flowtest.Code(err) == gateway.CodeNeedsPerson && len(done.Steps) > 0 && done.Steps[len(done.Steps)-1].Infno == "2601" {
		return // what became of the reversal itself is not known: it is never sent twice, a person decides
	}
	if err != nil || len(stand) != 1 || stand[0].ID != string(done.SettlementID) {
		b.T.Fatalf("write %d stored %v: told %s %v, %d stand", d.At, d.Stored, done.SettlementID, err, len(stand))
	}
	var back gateway.Sale
	err = b.Insist(d, func() (err error) {
		back, err = counter().RefundSale(bg, flowtest.Caller, gateway.RefundSale{RequestID: "x1", ID: s.ID, Operator: flowtest.Clerk})
		return err
	})
	if err != nil || back.State != gateway.SaleRefunded || len(b.Town.Sales()) != 0 {
		b.T.Fatalf("write %d stored %v: told %s %v, %d stand", d.At, d.Stored, back.State, err, len(b.Town.Sales()))
	}
}
