package flow

import (
	"errors"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// parkedBill is a bill whose settlement was done, unheard of, and could not be reversed: the centre
// says words to 2601 for as long as *stubborn.
func parkedBill(t *testing.T, stubborn *bool) (*bench, gateway.Settlement, gateway.Record) {
	t.Helper()
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, lostBack)
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		if n == "2601" && *stubborn {
			return gatewaytest.Refused("系统繁忙")
		}
		return b.town.script(n, id, input)
	})
	got, err := b.confirm("c1", s)
	if codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	b.rest()
	rec, err := b.journal.Record(bg, got.MsgID)
	if err != nil || rec.State != gateway.StateParked {
		t.Fatalf("%s %v", rec.State, err)
	}
	return b, s, rec
}

func shownAt(b *bench) map[string]any {
	s := b.town.standing("")[0]
	return map[string]any{"setl_id": s.id, "mdtrt_id": s.visit, "setl_time": "2026-03-02 08:31:00", "medfee_sumamt": s.total.String(),
		"fund_pay_sumamt": "0.00", "acct_pay": "0.00", "psn_cash_pay": s.total.String(), "clr_type": "11"}
}

func TestAdoptedByHand(t *testing.T) {
	stubborn := true
	b, s, rec := parkedBill(t, &stubborn)
	_, choices, err := b.desk.HandChoices(bg, rec.ID)
	if err != nil || len(choices) != 3 || choices[2].Do != gateway.HandReverse || choices[2].Sends != "2601" {
		t.Fatalf("%+v %v", choices, err)
	}
	want := gateway.HandDecision{Do: gateway.HandAdopt, Proof: "statement", Source: "3202 0302", Shown: shownAt(b), Note: "review 1"}
	for name, bend := range map[string]func(*gateway.HandDecision){
		"no proof":       func(h *gateway.HandDecision) { h.Proof = "" },
		"no source":      func(h *gateway.HandDecision) { h.Source = "" },
		"strange proof":  func(h *gateway.HandDecision) { h.Proof = "hope" },
		"no number":      func(h *gateway.HandDecision) { delete(h.Shown, "setl_id") },
		"another amount": func(h *gateway.HandDecision) { h.Shown["medfee_sumamt"] = "0.01" },
		"another visit":  func(h *gateway.HandDecision) { h.Shown["mdtrt_id"] = "V999" },
		"another msgid":  func(h *gateway.HandDecision) { h.Shown["medins_setl_id"] = "H1" },
		"no JSON":        func(h *gateway.HandDecision) { h.Shown["x"] = 1.5 },
		"undo":           func(h *gateway.HandDecision) { h.Do = gateway.HandUndo },
		"nonsense":       func(h *gateway.HandDecision) { h.Do = "forget" },
	} {
		h := want
		h.Shown = shownAt(b)
		bend(&h)
		if err := b.desk.HandCheck(bg, rec.ID, h); codeOf(err) != gateway.CodeRequestInvalid {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.desk.HandEnd(bg, rec.ID, h); codeOf(err) != gateway.CodeRequestInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	note := gateway.Entry{Request: &gateway.Request{Key: guard("test", "1"), Digest: digest([]byte("a")), Op: "test", CreatedAt: b.clock.Now()}}
	after, err := b.desk.HandEnd(bg, rec.ID, want, note)
	if err != nil || after.State != gateway.StateDone || after.Cause != causeByHand {
		t.Fatalf("%+v %v", after, err)
	}
	if _, err := b.journal.Request(bg, guard("test", "1")); err != nil {
		t.Errorf("what was to be written with it: %v", err)
	}
	if _, err := b.desk.HandEnd(bg, rec.ID, want); codeOf(err) != gateway.CodeState {
		t.Errorf("twice: %v", err)
	}
	// The HIS asks again with the request it made, and has its answer; a restart changes nothing.
	b.restart()
	got, err := b.confirm("c1", s)
	if err != nil || got.State != gateway.BillSettled || string(got.SettlementID) != b.town.standing("")[0].id || len(b.centre.Sent("2207")) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := b.refund("x1", s); err != nil || len(b.town.standing("")) != 0 {
		t.Errorf("refund of what was adopted: %v", err)
	}
}

func TestAbsentByHandLetsTheBillBeSettled(t *testing.T) {
	stubborn := true
	b, s, rec := parkedBill(t, &stubborn)
	b.town.setls[0].reversed = true // the office took it out of its books
	want := gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "fax 12"}
	if _, err := b.desk.HandEnd(bg, rec.ID, want); err != nil {
		t.Fatal(err)
	}
	cred := bill("r1", 1).Credential
	got, err := b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c2", ID: s.ID, Operator: clerk, Credential: &cred})
	if err != nil || got.State != gateway.BillSettled || len(b.town.standing("")) != 1 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestTakenBackByHandSendsOnceForADecision(t *testing.T) {
	stubborn := true
	b, _, rec := parkedBill(t, &stubborn)
	want := gateway.HandDecision{Do: gateway.HandReverse}
	b.clock.Advance(time.Second)
	decided := b.clock.Now()
	for range 3 {
		p, err := b.desk.HandTakeBack(bg, rec.ID, want, decided)
		if err != nil || p.Done || p.Failed != "系统繁忙" {
			t.Fatalf("%+v %v", p, err)
		}
	}
	if n := len(b.centre.Sent("2601")); n != 2 { // the resolver's, and the one of this decision
		t.Errorf("%d reversals", n)
	}
	b.clock.Advance(time.Hour)
	stubborn = false
	b.restart()
	for range 3 {
		p, err := b.desk.HandTakeBack(bg, rec.ID, want, b.clock.Now())
		if err != nil || !p.Done || p.Record.State != gateway.StateReversed {
			t.Fatalf("%+v %v", p, err)
		}
	}
	if n := len(b.centre.Sent("2601")); n != 3 || len(b.town.standing("")) != 0 {
		t.Errorf("%d reversals, %d stand", n, len(b.town.standing("")))
	}
	if err := b.desk.HandCheck(bg, rec.ID, gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "x"}); codeOf(err) != gateway.CodeState {
		t.Errorf("decided after it was ended: %v", err)
	}
}

// What took it back has no known outcome itself: nothing more is sent, and nobody may say that the
// settlement stands.
func TestNothingIsDecidedOverAnOpenReversal(t *testing.T) {
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		if n == "2207" || n == "2601" {
			return lostBack
		}
		return fine
	}
	got, _ := b.confirm("c1", s)
	b.rest()
	rec, _ := b.journal.Record(bg, got.MsgID)
	if rec.State != gateway.StateParked {
		t.Fatalf("%s", rec.State)
	}
	h := gateway.HandDecision{Do: gateway.HandAdopt, Proof: "query", Source: "x", Shown: map[string]any{"setl_id": "S1", "mdtrt_id": "", "setl_time": "2026-03-02 08:31:00",
		"medfee_sumamt": text(row(read(rec.Input), "data")["medfee_sumamt"]), "fund_pay_sumamt": "0", "acct_pay": "0", "psn_cash_pay": "0", "clr_type": "11"}}
	if err := b.desk.HandCheck(bg, rec.ID, h); codeOf(err) != gateway.CodeState {
		t.Errorf("%v", err)
	}
	b.clock.Advance(time.Hour)
	p, err := b.desk.HandTakeBack(bg, rec.ID, gateway.HandDecision{Do: gateway.HandReverse}, b.clock.Now())
	if err != nil || p.Failed == "" || len(b.centre.Sent("2601")) != 1 {
		t.Errorf("%+v %v, %d sent", p, err, len(b.centre.Sent("2601")))
	}
	// First the reversal is ended by hand; then what it took back is, without sending again.
	if _, err := b.desk.HandEnd(bg, p.Try, gateway.HandDecision{Do: gateway.HandAdopt, Proof: "office", Source: "fax"}); err != nil {
		t.Fatal(err)
	}
	if p, err = b.desk.HandTakeBack(bg, rec.ID, gateway.HandDecision{Do: gateway.HandReverse}, b.clock.Now()); err != nil || !p.Done || len(b.centre.Sent("2601")) != 1 {
		t.Errorf("%+v %v", p, err)
	}
}

func TestTwoDecideAndOneIsTold(t *testing.T) {
	stubborn := true
	b, _, rec := parkedBill(t, &stubborn)
	two := b.newDesk()
	entry := func(body string) gateway.Entry {
		return gateway.Entry{Request: &gateway.Request{Key: guard("test", "1"), Digest: digest([]byte(body)), Op: "test", CreatedAt: b.clock.Now()}}
	}
	absent := gateway.HandDecision{Do: gateway.HandAbsent, Proof: "office", Source: "x"}
	if _, err := b.desk.HandEnd(bg, rec.ID, absent, entry("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := two.HandEnd(bg, rec.ID, absent, entry("two")); codeOf(err) != gateway.CodeState && !errors.Is(err, gateway.ErrConflict) {
		t.Errorf("%v", err)
	}
	if _, _, err := two.HandChoices(bg, "H43010000001202603020830009999"); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("%v", err)
	}
}

// An upload that is parked holds its visit; ended by hand, the visit goes on.
func TestAParkedUploadEndedByHandLetsItsVisitGoOn(t *testing.T) {
	for _, do := range []gateway.HandAction{gateway.HandAdopt, gateway.HandAbsent} {
		b := newBench(t, askingRegion())
		b.town.fault = func(n ident.Infno, call int) mode {
			switch {
			case call == 1:
				return lostBack
			case call <= 1+doubtTries:
				return refusing
			}
			return fine
		}
		first, second := b.queue("u1", "V1"), b.queue("u2", "V1")
		for range 100 {
			b.uploads(1)
			b.clock.Advance(30 * time.Second)
		}
		if rec, err := b.journal.Record(bg, first.ID); err != nil || rec.State != gateway.StateParked {
			t.Fatalf("%s %v", rec.State, err)
		}
		rec, err := b.desk.HandEnd(bg, first.ID, gateway.HandDecision{Do: do, Proof: "query", Source: "terminal"})
		if err != nil || !rec.State.Final() {
			t.Fatalf("%s %v", rec.State, err)
		}
		b.uploads(5)
		if rec, err := b.journal.Record(bg, second.ID); err != nil || rec.State != gateway.StateDone {
			t.Errorf("%s: the next of its visit is %s %v", do, rec.State, err)
		}
	}
}
