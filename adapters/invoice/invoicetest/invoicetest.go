// Package invoicetest is the suite every implementation of gateway.InvoicePlatform passes, run
// against a platform that can be made to misbehave.
package invoicetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"yiqiao/gateway"
)

// Call names what goes wrong next.
type Call string

const (
	CallIssue   Call = "issue"
	CallReverse Call = "reverse"
	CallFind    Call = "find"
	CallTurn    Call = "turn"
)

// Mishap is how.
type Mishap string

const (
	LostAnswer Mishap = "lost-answer" // done, nobody hears
	LostCall   Mishap = "lost-call"   // not done, the line breaks
	WrongSign  Mishap = "wrong-sign"  // done, the answer does not verify
	WebPage    Mishap = "web-page"    // not done
	Garbage    Mishap = "garbage"     // not done
	Twice      Mishap = "twice"       // done, the answer comes two times in one
	NoNumber   Mishap = "no-number"   // done, the answer lacks the bill's number
)

// Kit is a platform with hands on it.
type Kit struct {
	Platform gateway.InvoicePlatform
	Place    string
	Now      func() time.Time
	// Fail makes the next such call go wrong, once.
	Fail func(c Call, m Mishap)
	// Down takes the platform off the net, or brings it back.
	Down func(bool)
	// Post hands a bill in for reimbursement.
	Post func(gateway.InvoiceNumber)
	// Count tells how many bills the platform has made for a business number.
	Count func(busNo string) int
}

var bg = context.Background()

// Draft is a plain outpatient bill; kind changes what it is for.
func Draft(busNo, place string, kind gateway.InvoiceKind, at time.Time) gateway.InvoiceDraft {
	d := gateway.InvoiceDraft{
		BusNo: busNo, Kind: kind, Institution: "H44010000001", At: at, Place: place, Payee: "王收费", Author: "王收费", Checker: "李复核",
		Payer: gateway.InvoicePayer{Name: "测试甲", CardType: "1101", CardNo: "TEST0001", Sex: "男", Age: "41", Phone: "13900000000"},
		Visit: gateway.InvoiceVisit{PatientID: "P1", Number: "MZ0001", Department: gateway.Coded{Code: "0101", Name: "内科"}, Date: "2026-03-02",
			Insurance: gateway.Coded{Code: "310", Name: "职工基本医疗保险"}, Disease: "高血压"},
		Total: 10050,
		Money: gateway.InvoiceMoney{Account: 2000, Fund: 6000, Cash: 2000, Discount: 50, OwnPay: 1000, SelfPay: 3000},
		Channels: []gateway.InvoiceChannel{{Code: "YBK", Amount: 2000}, {Code: "YBTCJJ", Amount: 6000}, {Code: "02", Amount: 2000},
			{Code: "99", Amount: 50}},
		Charges: []gateway.InvoiceCharge{{Code: "09", Name: "西药费", Amount: 8050, Self: 1000}, {Code: "02", Name: "诊察费", Amount: 2000}},
		Lines: []gateway.InvoiceLine{
			{ID: "1", Charge: "09", Code: "XA01", Name: "药\"品\"<甲>", Unit: "盒", Quantity: "2", Price: "40.25", Amount: 8050, Self: 1000, Class: "01"},
			{ID: "2", Charge: "02", Code: "0011", Name: "诊察费", Quantity: "0.3333", Price: "60.006", Amount: 2000}},
		Related: "B1",
	}
	switch {
	case kind == gateway.KindStay:
		d.Visit.StayNo, d.Visit.From, d.Visit.To, d.Visit.Days = "ZY0001", "2026-02-20", "2026-03-02", 10
		d.Visit.LeftFrom = gateway.Coded{Code: "0102", Name: "外科"}
	case kind.Voucher():
		d.Total, d.Charges, d.Lines, d.Money = 50000, nil, nil, gateway.InvoiceMoney{}
		d.Channels = []gateway.InvoiceChannel{{Code: "02", Amount: 50000}}
		d.Visit.StayNo = "ZY0001"
	}
	return d
}

// Run runs the suite; each part gets a fresh kit.
func Run(t *testing.T, fresh func(t *testing.T) Kit) {
	for name, part := range map[string]func(*testing.T, Kit){
		"every kind is issued, found and reversed": kinds, "one bill for one business number": once,
		"unknown outcomes are found out by asking": lost, "a reversal whose answer was lost": lostRed,
		"nothing is believed that does not verify": distrust, "nothing leaves while the platform is down": down,
		"a posted bill is not reversed": posted, "paper": paper, "lists and totals": totals, "what is not there": absent,
	} {
		t.Run(name, func(t *testing.T) { part(t, fresh(t)) })
	}
}

func (k Kit) draft(n int) gateway.InvoiceDraft {
	return Draft(fmt.Sprintf("OPTEST%d", n), k.Place, gateway.KindOutpatient, k.Now())
}

func issued(t *testing.T, k Kit, d gateway.InvoiceDraft) gateway.PlatformBill {
	t.Helper()
	a := k.Platform.Issue(bg, d)
	if a.Outcome != gateway.OutcomeDone {
		t.Fatalf("issue %s: %v %s %s %s", d.BusNo, a.Outcome, a.Cause, a.Code, a.Message)
	}
	if b := a.Value; !b.Known || b.Number.Batch == "" || b.Number.No == "" || b.Random == "" || b.MadeAt == "" || len(b.QR) == 0 || b.NetURL == "" || len(a.Raw) == 0 {
		t.Fatalf("issue %s: %+v", d.BusNo, b)
	}
	return a.Value
}

func (k Kit) reversal(b gateway.PlatformBill) gateway.InvoiceReversal {
	return gateway.InvoiceReversal{Kind: b.Kind, Number: b.Number, Reason: "退费", Operator: "王收费", Place: k.Place, At: k.Now()}
}

func kinds(t *testing.T, k Kit) {
	for _, kind := range []gateway.InvoiceKind{gateway.KindStay, gateway.KindOutpatient, gateway.KindEmergency, gateway.KindSpecial,
		gateway.KindCheckUp, gateway.KindRegistration, gateway.KindStayDeposit, gateway.KindCheckUpDeposit} {
		b := issued(t, k, Draft("K"+string(kind), k.Place, kind, k.Now()))
		f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: "K" + string(kind), Kind: kind, Place: k.Place, At: k.Now()})
		if kind.Voucher() && f.Cause == gateway.CauseUnsupported {
			continue // not every platform can be asked about vouchers
		}
		if f.Outcome != gateway.OutcomeDone || !f.Value.Known || f.Value.Number != b.Number || f.Value.Reversed {
			t.Errorf("kind %s: find %+v", kind, f)
		}
		r := k.Platform.Reverse(bg, k.reversal(b))
		if kind.Voucher() {
			if r.Outcome != gateway.OutcomeDone {
				t.Errorf("kind %s: reverse %+v", kind, r)
			}
			continue
		}
		if r.Outcome != gateway.OutcomeDone || r.Value.Red.No == "" || !r.Value.Reversed {
			t.Errorf("kind %s: reverse %+v", kind, r)
		}
		f = k.Platform.Find(bg, gateway.InvoiceQuery{Number: b.Number, Kind: kind, Place: k.Place, At: k.Now()})
		if !f.Value.Reversed {
			t.Errorf("kind %s: not reversed: %+v", kind, f)
		}
	}
}

func once(t *testing.T, k Kit) {
	issued(t, k, k.draft(1))
	a := k.Platform.Issue(bg, k.draft(1))
	if a.Outcome != gateway.OutcomeRefused || !a.Duplicate || a.Message == "" {
		t.Errorf("a second time: %+v", a)
	}
	if n := k.Count("OPTEST1"); n != 1 {
		t.Errorf("%d bills", n)
	}
	bad := k.draft(2)
	bad.Charges[0].Amount++
	if a := k.Platform.Issue(bg, bad); a.Outcome != gateway.OutcomeRefused || a.Duplicate || a.Cause != gateway.CauseBusiness || a.Message == "" {
		t.Errorf("wrong sums: %+v", a)
	}
}

func lost(t *testing.T, k Kit) {
	for i, c := range []struct {
		m    Mishap
		made bool
	}{{LostAnswer, true}, {LostCall, false}, {WrongSign, true}, {WebPage, false}, {Garbage, false}, {Twice, true}, {NoNumber, true}} {
		d := k.draft(10 + i)
		k.Fail(CallIssue, c.m)
		if a := k.Platform.Issue(bg, d); a.Outcome != gateway.OutcomeUnknown || a.Cause == "" || a.Value.Known {
			t.Errorf("%s: %+v", c.m, a)
		}
		f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: d.BusNo, Kind: d.Kind, Place: k.Place, At: k.Now()})
		if f.Outcome != gateway.OutcomeDone || f.Value.Known != c.made {
			t.Errorf("%s: find %+v", c.m, f)
		}
		if !c.made {
			issued(t, k, d)
		}
		if n := k.Count(d.BusNo); n != 1 {
			t.Errorf("%s: %d bills", c.m, n)
		}
	}
}

func lostRed(t *testing.T, k Kit) {
	b := issued(t, k, k.draft(1))
	k.Fail(CallReverse, LostAnswer)
	if a := k.Platform.Reverse(bg, k.reversal(b)); a.Outcome != gateway.OutcomeUnknown {
		t.Errorf("reverse: %+v", a)
	}
	f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: b.BusNo, Number: b.Number, Kind: b.Kind, Place: k.Place, At: k.Now()})
	if !f.Value.Reversed || f.Value.Red.No == "" {
		t.Errorf("find: %+v", f)
	}
	if a := k.Platform.Reverse(bg, k.reversal(b)); a.Outcome != gateway.OutcomeRefused || !a.Duplicate {
		t.Errorf("a second time: %+v", a)
	}
}

func distrust(t *testing.T, k Kit) {
	b := issued(t, k, k.draft(1))
	for _, m := range []Mishap{WrongSign, WebPage, Garbage, Twice} {
		k.Fail(CallFind, m)
		f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: b.BusNo, Number: b.Number, Kind: b.Kind, Place: k.Place, At: k.Now()})
		if f.Outcome != gateway.OutcomeUnknown || f.Value.Known {
			t.Errorf("%s: %+v", m, f)
		}
	}
	k.Fail(CallFind, WrongSign)
	f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: b.BusNo, Number: b.Number, Kind: b.Kind, Place: k.Place, At: k.Now()})
	if f.Cause != gateway.CauseSignature {
		t.Errorf("cause %q", f.Cause)
	}
}

func down(t *testing.T, k Kit) {
	k.Down(true)
	if a := k.Platform.Issue(bg, k.draft(1)); a.Outcome == gateway.OutcomeDone || a.Value.Known {
		t.Errorf("issued while down: %+v", a)
	}
	k.Down(false)
	if n := k.Count("OPTEST1"); n != 0 {
		t.Errorf("%d bills", n)
	}
	issued(t, k, k.draft(1))
	ended, cancel := context.WithCancel(bg)
	cancel()
	if a := k.Platform.Issue(ended, k.draft(2)); a.Outcome != gateway.OutcomeRefused || a.Cause != gateway.CauseNotSent {
		t.Errorf("with a context that has ended: %+v", a)
	}
}

func posted(t *testing.T, k Kit) {
	b := issued(t, k, k.draft(1))
	if a := k.Platform.Posted(bg, b); a.Outcome != gateway.OutcomeDone || a.Value {
		t.Errorf("before: %+v", a)
	}
	k.Post(b.Number)
	if a := k.Platform.Posted(bg, b); a.Outcome != gateway.OutcomeDone || !a.Value {
		t.Errorf("after: %+v", a)
	}
	if a := k.Platform.Reverse(bg, k.reversal(b)); a.Outcome != gateway.OutcomeRefused || a.Duplicate {
		t.Errorf("reverse: %+v", a)
	}
}

func paper(t *testing.T, k Kit) {
	b := issued(t, k, k.draft(1))
	batches := k.Platform.PaperBatches(bg, k.Place)
	if batches.Outcome != gateway.OutcomeDone || len(batches.Value) == 0 {
		t.Fatalf("batches: %+v", batches)
	}
	next := k.Platform.NextPaper(bg, k.Place, batches.Value[0])
	if next.Outcome != gateway.OutcomeDone || next.Value.No == "" {
		t.Fatalf("next: %+v", next)
	}
	o := gateway.PaperOrder{Bill: b.Number, Paper: next.Value, Operator: "王收费", Place: k.Place, At: k.Now(), Reason: "打印错误"}
	wrong := o
	wrong.Paper.No = "99999999"
	if a := k.Platform.TurnPaper(bg, wrong); a.Outcome != gateway.OutcomeRefused {
		t.Errorf("not the next number: %+v", a)
	}
	k.Fail(CallTurn, LostAnswer)
	if a := k.Platform.TurnPaper(bg, o); a.Outcome != gateway.OutcomeUnknown {
		t.Errorf("turn: %+v", a)
	}
	f := k.Platform.Find(bg, gateway.InvoiceQuery{Number: b.Number, Kind: b.Kind, Place: k.Place, At: k.Now()})
	if f.Value.Paper != next.Value {
		t.Errorf("paper %+v", f)
	}
	if a := k.Platform.PaperData(bg, o); a.Outcome != gateway.OutcomeDone || len(a.Value) == 0 {
		t.Errorf("data: %+v", a)
	}
	if a := k.Platform.Reverse(bg, k.reversal(b)); a.Outcome != gateway.OutcomeRefused {
		t.Errorf("reversed with a paper out: %+v", a)
	}
	if a := k.Platform.VoidPaper(bg, o); a.Outcome != gateway.OutcomeDone {
		t.Errorf("void: %+v", a)
	}
	after := k.Platform.NextPaper(bg, k.Place, batches.Value[0])
	blank := gateway.PaperOrder{Paper: after.Value, LastNo: after.Value.No, Operator: "王收费", Place: k.Place, At: k.Now(), Reason: "破损"}
	if a := k.Platform.VoidBlank(bg, blank); a.Outcome != gateway.OutcomeDone {
		t.Errorf("void blank: %+v", a)
	}
	again := o
	again.Paper, again.Again = k.Platform.NextPaper(bg, k.Place, batches.Value[0]).Value, true
	if a := k.Platform.TurnPaper(bg, again); a.Outcome != gateway.OutcomeDone {
		t.Errorf("again: %+v", a)
	}
}

func totals(t *testing.T, k Kit) {
	var last gateway.PlatformBill
	for i := range 5 {
		last = issued(t, k, k.draft(i))
	}
	if a := k.Platform.Reverse(bg, k.reversal(last)); a.Outcome != gateway.OutcomeDone {
		t.Fatalf("%+v", a)
	}
	day := k.Now()
	if a := k.Platform.Totals(bg, k.Place, day); a.Value != (gateway.InvoiceTotals{Count: 5, Amount: 5 * 10050}) {
		t.Errorf("totals %+v", a)
	}
	if a := k.Platform.RedTotals(bg, k.Place, day); a.Value != (gateway.InvoiceTotals{Count: 1, Amount: 10050}) {
		t.Errorf("red totals %+v", a)
	}
	seen := map[string]bool{}
	for page := 1; ; page++ {
		a := k.Platform.Bills(bg, k.Place, day, page, 2)
		if a.Outcome != gateway.OutcomeDone {
			t.Fatalf("bills %+v", a)
		}
		for _, b := range a.Value {
			seen[b.BusNo] = true
			if b.Total != 10050 || b.Reversed != (b.BusNo == last.BusNo) {
				t.Errorf("bill %+v", b)
			}
		}
		if len(a.Value) < 2 {
			break
		}
	}
	if len(seen) != 5 {
		t.Errorf("%d bills listed", len(seen))
	}
	if a := k.Platform.Totals(bg, k.Place, day.AddDate(0, 0, -3)); a.Outcome != gateway.OutcomeDone || a.Value.Count != 0 {
		t.Errorf("another day: %+v", a)
	}
	if a := k.Platform.Notify(bg, last, "13900000000", "a@example.com"); a.Outcome != gateway.OutcomeDone {
		t.Errorf("notify: %+v", a)
	}
}

func absent(t *testing.T, k Kit) {
	f := k.Platform.Find(bg, gateway.InvoiceQuery{BusNo: "NONE", Kind: gateway.KindOutpatient, Place: k.Place, At: k.Now()})
	if f.Outcome != gateway.OutcomeDone || f.Value.Known {
		t.Errorf("find: %+v", f)
	}
	none := gateway.PlatformBill{Kind: gateway.KindOutpatient, Number: gateway.InvoiceNumber{Batch: "1", No: "2"}, Random: "x", MadeAt: "20260101000000000"}
	if a := k.Platform.Reverse(bg, k.reversal(none)); a.Outcome != gateway.OutcomeRefused || a.Duplicate {
		t.Errorf("reverse: %+v", a)
	}
	if a := k.Platform.Posted(bg, none); a.Outcome != gateway.OutcomeRefused {
		t.Errorf("posted: %+v", a)
	}
}
