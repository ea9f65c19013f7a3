package flow

import (
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

func TestLostAnswerIsAdoptedWhileTheHISWaits(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, lostBack)
	done, err := b.confirm("c1", s)
	if err != nil || done.State != gateway.BillSettled {
		t.Fatalf("%+v %v", done, err)
	}
	if len(b.desk.creds.m) != 0 {
		t.Error("the credential stays in memory")
	}
	if done.Amounts.Cash != "1.01" || done.Amounts.Person != "1.01" || done.SettlementID == "" {
		t.Errorf("adopted amounts: %+v", done.Amounts)
	}
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Errorf("%d settlements sent", n)
	}
}

func TestUnknownSettlementIsReversedWhereNobodyCanBeAsked(t *testing.T) {
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, lostBack)
	got, err := b.confirm("c1", s)
	if codeOf(err) != gateway.CodeOutcomeUnknown || got.State != gateway.BillSettling || !got.Unknown {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := b.confirm("c2", s); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Errorf("another confirm while unknown: %v", err)
	}
	if _, err := b.refund("x1", s); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Errorf("refund while unknown: %v", err)
	}
	if n := len(b.centre.Sent("2601")); n != 0 {
		t.Fatal("reversed before the centre's time was up")
	}
	b.rest()
	if n := len(b.centre.Sent("2601")); n != 1 {
		t.Fatalf("%d reversals", n)
	}
	if call := b.centre.Sent("2601")[0]; text(row(call.Input, "data")["omsgid"]) != string(got.MsgID) || call.Request.InsuplcArea != "430103" {
		t.Errorf("reversal: %+v", call.Request)
	}
	if len(b.town.standing("")) != 0 {
		t.Fatal("a settlement stands after its reversal")
	}
	again, err := b.confirm("c1", s)
	if err != nil || again.State != gateway.BillSettled || len(b.town.standing("")) != 1 {
		t.Errorf("the same request after the reversal: %+v %v", again, err)
	}
}

func TestLateMessageIsNotTakenForAbsent(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, delayed)
	for i := 0; i < 10; i++ {
		if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeOutcomeUnknown {
			t.Fatalf("%v", err)
		}
	}
	if n := len(b.centre.Sent("5203")); n != 1 {
		t.Errorf("a HIS that keeps asking made %d questions of it", n)
	}
	b.rest()
	done, err := b.confirm("c1", s)
	if err != nil || done.State != gateway.BillSettled || len(b.centre.Sent("2207")) != 1 {
		t.Errorf("%+v %v, %d sent", done, err, len(b.centre.Sent("2207")))
	}
}

func TestMismatchIsNeverAbsent(t *testing.T) {
	for _, m := range []mode{wrongMsgID, wrongTotal} {
		b := newBench(t, askingRegion())
		s := b.open("r1", 1)
		b.town.fault = on("2207", 1, m)
		done, err := b.confirm("c1", s)
		if err != nil || done.State != gateway.BillSettled {
			t.Errorf("mode %d: asking finds it: %+v %v", m, done, err)
		}
		if n := len(b.centre.Sent("5203")); n != 1 {
			t.Errorf("mode %d: believed without asking", m)
		}
	}
	// Where the centre can not be asked and 2601 finds nothing, a person decides.
	for _, words := range []string{"未查询到原交易", "系统忙"} {
		b := newBench(t, strictRegion())
		s := b.open("r1", 1)
		b.town.fault = on("2207", 1, wrongTotal)
		b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
			if n == "2601" {
				return gatewaytest.Refused(words)
			}
			return b.town.script(n, id, input)
		})
		if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeOutcomeUnknown {
			t.Fatal(err)
		}
		b.rest()
		if s, err := b.confirm("c1", s); codeOf(err) != gateway.CodeNeedsPerson || !s.NeedsPerson || !s.Unknown {
			t.Errorf("%s: parked: %+v %v", words, s, err)
		}
		if err := b.desk.tick(bg); err != nil || b.desk.Open().Parked != 1 || b.desk.Open().Unknown != 0 || b.desk.Open().Oldest.IsZero() {
			t.Errorf("counted %+v %v", b.desk.Open(), err)
		}
		wantNumbers(t, b.numbers(), "2207", "2601")
	}
}

// A settlement that was never made has nothing to reverse: that proves it absent.
func TestNothingToReverseIsAbsent(t *testing.T) {
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, lostOut)
	got, err := b.confirm("c1", s)
	if codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	b.rest()
	if rec, _ := b.journal.Record(bg, got.MsgID); rec.State != gateway.StateAbsent {
		t.Errorf("%s", rec.State)
	}
	if done, err := b.confirm("c2", s); err != nil || done.State != gateway.BillSettled {
		t.Errorf("a new request may settle now: %+v %v", done, err)
	}
}

func TestUnknownReversalIsNotRepeated(t *testing.T) {
	for _, m := range []mode{lostOut, lostBack} {
		b := newBench(t, strictRegion())
		s := b.open("r1", 1)
		b.town.fault = func(n ident.Infno, call int) mode {
			if n == "2207" {
				return lostBack
			}
			if n == "2601" {
				return m
			}
			return fine
		}
		_, _ = b.confirm("c1", s)
		b.rest()
		if len(b.centre.Sent("2601")) != 1 {
			t.Errorf("2601 sent %d times", len(b.centre.Sent("2601")))
		}
		if got, err := b.confirm("c1", s); codeOf(err) != gateway.CodeNeedsPerson {
			t.Errorf("%+v %v", got, err)
		}
	}
}

func TestReversalThatWasNotSentIsTriedAgain(t *testing.T) {
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		switch {
		case n == "2207":
			return lostBack
		case n == "2601" && call < 3:
			return notSent
		}
		return fine
	}
	got, _ := b.confirm("c1", s)
	b.rest()
	if rec, _ := b.journal.Record(bg, got.MsgID); rec.State != gateway.StateReversed || len(b.centre.Sent("2601")) != 3 {
		t.Errorf("%s after %d", rec.State, len(b.centre.Sent("2601")))
	}
}

func TestAQuestionOfTheLadderIsNotRepeatedWhileTheHISWaits(t *testing.T) {
	b := newBench(t, askingRegion())
	b.town.fault = func(n ident.Infno, call int) mode { return lostOut }
	if _, err := b.desk.OpenSettlement(bg, his, bill("r1", 1)); codeOf(err) != gateway.CodeCentreNoAnswer {
		t.Error(err)
	}
	wantNumbers(t, b.numbers(), "1101")
}

func TestUnknownStepsOfTheLadderAreResolvedAndGoneOnFrom(t *testing.T) {
	for _, n := range []ident.Infno{"1101", "2201", "2203", "2204", "2206"} {
		for _, m := range []mode{lostOut, lostBack, delayed} {
			b := newBench(t, askingRegion())
			b.town.fault = on(n, 1, m)
			var s gateway.Settlement
			var err error
			for i := 0; i < 5; i++ {
				if s, err = b.desk.OpenSettlement(bg, his, bill("r1", 150)); err == nil {
					break
				}
				if want := map[bool]gateway.Code{true: gateway.CodeCentreNoAnswer, false: gateway.CodeOutcomeUnknown}[n == "1101" || n == "2206"]; codeOf(err) != want {
					t.Errorf("%s mode %d: %v", n, m, err)
				}
				b.rest()
			}
			if err != nil || s.State != gateway.BillPresettled {
				t.Errorf("%s mode %d: %+v %v", n, m, s, err)
				continue
			}
			if done, err := b.confirm("c1", s); err != nil || done.State != gateway.BillSettled {
				t.Errorf("%s mode %d: %+v %v", n, m, done, err)
			}
		}
	}
}

// A HIS that repeats at once while a step is unknown gets the same word and sends nothing twice.
func TestRepeatingAtOnceSendsNoStepTwice(t *testing.T) {
	for _, n := range []ident.Infno{"2201", "2203", "2204"} {
		b := newBench(t, askingRegion())
		b.town.fault = on(n, 1, lostOut)
		for i := 0; i < 5; i++ {
			s, err := b.desk.OpenSettlement(bg, his, bill("r1", 2))
			if codeOf(err) != gateway.CodeOutcomeUnknown || !s.Unknown || s.State != gateway.BillOpening {
				t.Fatalf("%s: %+v %v", n, s, err)
			}
			if err.(*gateway.Error).Ref != s.ID || s.ID == "" {
				t.Errorf("%s: nothing to ask about: %v", n, err)
			}
		}
		if c := len(b.centre.Sent(n)); c != 1 {
			t.Errorf("%s was sent %d times", n, c)
		}
	}
}

func TestQuestionsAreAskedLessAndLessOften(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		if n == "2207" {
			return lostOut
		}
		if n == "5203" {
			return refusing
		}
		return fine
	}
	if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	for i := 0; i < 600; i++ {
		b.clock.Advance(time.Second)
		if err := b.desk.resolve(bg); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.centre.Sent("5203")); n < 5 || n > 9 {
		t.Errorf("%d questions in ten minutes", n)
	}
}

func TestSettlementResolvedInTheBackgroundHasAnAnswer(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, delayed)
	_, _ = b.confirm("c1", s)
	b.rest()
	req, err := b.journal.Request(bg, gateway.RequestKey{System: "his", ID: "c1"})
	if err != nil || len(req.Answer) == 0 {
		t.Fatalf("no answer to deliver: %+v %v", req, err)
	}
	b.desk.Told(his, "c1")
	if req, _ = b.journal.Request(bg, req.Key); !req.Told {
		t.Error("not told")
	}
}
