package flow

import (
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// strictTown is a town that settles a visit once and takes back no rows that are settled.
func (b *bench) strictTown() {
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		b.town.mu.Lock()
		b.town.arrive()
		b.town.mu.Unlock()
		if (n == "2207" || n == "2205") && len(b.town.standing(text(row(input, "data")["mdtrt_id"]))) > 0 {
			return gatewaytest.Refused("收费批次已结算")
		}
		return b.town.script(n, id, input)
	})
}

// absentOnce confirms a bill whose settlement is held up for long, and lets it be proved absent.
func (b *bench) absentOnce(s gateway.Settlement, id string) {
	b.t.Helper()
	b.town.fault = on("2207", 1, veryLate)
	got, err := b.confirm(id, s)
	if codeOf(err) != gateway.CodeOutcomeUnknown {
		b.t.Fatalf("%+v %v", got, err)
	}
	b.rest()
	if rec, _ := b.journal.Record(bg, got.MsgID); rec.State != gateway.StateAbsent {
		b.t.Fatalf("%s", rec.State)
	}
}

// What was proved absent arrives after all: it is found before the bill is settled again.
func TestVeryLateSettlementIsFoundBeforeAnotherIsSent(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.strictTown()
	b.absentOnce(s, "c1")
	b.clock.Advance(20 * time.Minute)
	done, err := b.confirm("c1", s)
	if err != nil || done.State != gateway.BillSettled || done.SettlementID == "" {
		t.Fatalf("%+v %v", done, err)
	}
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Errorf("%d settlements sent", n)
	}
	if again, err := b.confirm("c1", s); err != nil || again.SettlementID != done.SettlementID {
		t.Errorf("again: %+v %v", again, err)
	}
	if back, err := b.refund("x1", s); err != nil || back.State != gateway.BillRefunded || len(b.town.standing("")) != 0 {
		t.Errorf("refund: %+v %v", back, err)
	}
}

// It arrives between the question and the next attempt: the refusal of that one is not believed.
func TestVeryLateSettlementExplainsARefusal(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.strictTown()
	b.absentOnce(s, "c1")
	inner := b.centre
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		if n == "2207" {
			b.clock.Advance(20 * time.Minute)
			b.town.mu.Lock()
			b.town.arrive()
			b.town.mu.Unlock()
			return gatewaytest.Refused("收费批次已结算")
		}
		return b.town.script(n, id, input)
	})
	done, err := b.confirm("c2", s)
	if err != nil || done.State != gateway.BillSettled {
		t.Fatalf("%+v %v", done, err)
	}
	if again, err := b.confirm("c2", s); err != nil || again.SettlementID != done.SettlementID {
		t.Errorf("again: %+v %v", again, err)
	}
	if first, err := b.confirm("c1", s); err != nil || first.SettlementID != done.SettlementID {
		t.Errorf("the request it was made for: %+v %v", first, err)
	}
	if n := len(inner.Sent("2207")); n != 1 || len(b.town.standing("")) != 1 {
		t.Errorf("%d before, %d stand", n, len(b.town.standing("")))
	}
}

// Giving the bill up finds it too, and undoes it: before the bill is closed, or when its rows will not go.
func TestVeryLateSettlementIsFoundWhenTheBillIsGivenUp(t *testing.T) {
	for _, between := range []bool{false, true} {
		b := newBench(t, askingRegion())
		s := b.open("r1", 1)
		b.strictTown()
		b.absentOnce(s, "c1")
		if !between {
			b.clock.Advance(20 * time.Minute)
		}
		script := b.town.script
		b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
			if n == "2205" && len(b.town.standing("")) == 0 && len(b.town.setls) == 0 {
				b.clock.Advance(20 * time.Minute)
				b.town.mu.Lock()
				b.town.arrive()
				b.town.mu.Unlock()
			}
			if n == "2205" && len(b.town.standing("")) > 0 {
				return gatewaytest.Refused("收费批次已结算")
			}
			return script(n, id, input)
		})
		back, err := b.refund("x1", s)
		if err != nil || back.State != gateway.BillRefunded || len(b.town.standing("")) != 0 {
			t.Errorf("between %v: %+v %v", between, back, err)
		}
		if v := b.town.visits[string(s.Visit)]; v == nil || !v.cancelled || len(v.rows) != 0 {
			t.Errorf("between %v: left at the centre: %+v", between, v)
		}
	}
}

// While the centre answers no question nothing is settled anew.
func TestNoNewSettlementWhileTheEarlierCanNotBeAskedFor(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.strictTown()
	b.absentOnce(s, "c1")
	b.town.fault = func(n ident.Infno, call int) mode {
		if n == "5203" {
			return lostOut
		}
		return fine
	}
	if _, err := b.confirm("c1", s); err == nil || codeOf(err) == gateway.CodeCentreRefused {
		t.Errorf("%v", err)
	}
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Errorf("%d settlements sent", n)
	}
	b.town.fault = nil
	if done, err := b.confirm("c1", s); err != nil || done.State != gateway.BillSettled || len(b.town.standing("")) != 1 {
		t.Errorf("%+v %v", done, err)
	}
}

// An outage of the questions gets no good settlement reversed, however long it lasts.
func TestAnOutageOfTheQuestionsReversesNothing(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		switch n {
		case "2207":
			return lostBack
		case "5203":
			return lostOut
		}
		return fine
	}
	_, _ = b.confirm("c1", s)
	for i := 0; i < 200; i++ {
		b.clock.Advance(15 * time.Minute)
		if err := b.desk.tick(bg); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.centre.Sent("2601")) != 0 || len(b.town.standing("")) != 1 {
		t.Fatal("a good settlement was reversed")
	}
	b.town.fault = nil
	b.rest()
	if done, err := b.confirm("c1", s); err != nil || done.State != gateway.BillSettled {
		t.Errorf("%+v %v", done, err)
	}
}

// A parked settlement is asked for as long as it is parked.
func TestParkedIsNoDeadEnd(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		switch n {
		case "2207":
			return lostBack
		case "5203":
			return refusing
		}
		return fine
	}
	got, _ := b.confirm("c1", s)
	b.rest()
	if rec, _ := b.journal.Record(bg, got.MsgID); rec.State != gateway.StateParked || len(b.centre.Sent("2601")) != 0 {
		t.Fatalf("%s", rec.State)
	}
	b.town.fault = nil
	for i := 0; i < 8; i++ {
		b.clock.Advance(time.Hour)
		if err := b.desk.tick(bg); err != nil {
			t.Fatal(err)
		}
	}
	if rec, _ := b.journal.Record(bg, got.MsgID); rec.State != gateway.StateDone {
		t.Errorf("%s", rec.State)
	}
}

func TestANewTokenIsTheSameOpening(t *testing.T) {
	b := newBench(t, askingRegion())
	r := bill("r1", 1)
	r.Credential = gateway.Credential{Type: "01", Number: "token-1"}
	first, err := b.desk.OpenSettlement(bg, his, r)
	if err != nil {
		t.Fatal(err)
	}
	r.Credential.Number = "token-2"
	if again, err := b.desk.OpenSettlement(bg, his, r); err != nil || again.ID != first.ID {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := b.desk.OpenSettlement(bg, his, bill("r1", 1)); codeOf(err) != gateway.CodeRequestIDReused {
		t.Errorf("another kind of credential: %v", err)
	}
}
