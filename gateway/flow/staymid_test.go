package flow

import (
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func midOf(id, stay string) gateway.SettleStay {
	r := settleOf(id, stay)
	r.MidStay = true
	return r
}

func changeOf(id, stay, bed string) gateway.ChangeStay {
	a := admissionOf("r1")
	a.Visit.Bed = bed
	return gateway.ChangeStay{RequestID: id, ID: stay, Operator: clerk, Visit: a.Visit, Diagnoses: a.Diagnoses}
}

// What was settled in the middle of a stay is not settled again at its end, and comes back in reverse order.
func TestMidStaySettlements(t *testing.T) {
	b := newBench(t, askingRegion())
	s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
	id := b.stayed(s, err, gateway.StayIn).ID
	for _, bed := range []string{"02", "03", "02"} { // each is a change of its own
		s, err = b.desk.ChangeStay(bg, his, changeOf("m"+bed+string(rune('a'+b.town.calls["2403"])), id, bed))
		b.stayed(s, err, gateway.StayIn)
	}
	if b.town.calls["2403"] != 3 || b.town.visits[string(s.Visit)].begin != "02" {
		t.Errorf("%d changes, visit %q: %+v", b.town.calls["2403"], s.Visit, b.town.visits[string(s.Visit)])
	}
	if _, err = b.desk.SettleStay(bg, his, midOf("e0", id)); codeOf(err) != gateway.CodeState {
		t.Errorf("nothing to settle: %v", err)
	}
	var total [3]string
	for i := range 2 {
		s, err = b.desk.ChargeStay(bg, his, chargesOf("f"+string(rune('1'+i)), id, i+1))
		b.stayed(s, err, gateway.StayIn)
		trial := midOf("t"+string(rune('1'+i)), id)
		trial.TrialOnly = true
		s, err = b.desk.SettleStay(bg, his, trial)
		if b.stayed(s, err, gateway.StayIn); s.Amounts == nil || len(s.Mid) != i {
			t.Fatalf("%+v", s)
		}
		total[i] = s.Amounts.Total
		for range 2 { // the same request again is the same settlement
			s, err = b.desk.SettleStay(bg, his, midOf("e"+string(rune('1'+i)), id))
			if b.stayed(s, err, gateway.StayIn); len(s.Mid) != i+1 || s.Mid[i].Amounts.Total != total[i] || s.Mid[i].SettlementID == "" || s.SettlementID != "" {
				t.Fatalf("%+v", s)
			}
		}
	}
	s, err = b.desk.ChargeStay(bg, his, chargesOf("f3", id, 3))
	b.stayed(s, err, gateway.StayIn)
	s, err = b.desk.DischargeStay(bg, his, discharge("d1", id))
	b.stayed(s, err, gateway.StayDischarged)
	if _, err := b.desk.SettleStay(bg, his, midOf("e9", id)); codeOf(err) != gateway.CodeState {
		t.Errorf("in the middle, after the discharge: %v", err)
	}
	if _, err := b.desk.ChangeStay(bg, his, changeOf("m9", id, "09")); codeOf(err) != gateway.CodeState {
		t.Errorf("changed after the discharge: %v", err)
	}
	b.restart()
	s, err = b.desk.SettleStay(bg, his, settleOf("s1", id))
	if b.stayed(s, err, gateway.StaySettled); len(s.Mid) != 2 || s.Rows != 6 || s.Amounts.Total == s.Charged || len(b.town.standing("")) != 3 {
		t.Fatalf("%+v", s)
	}
	back := func(request, to string, want gateway.StayState, stand int) {
		t.Helper()
		for range 2 {
			s, err := b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: request, ID: id, Operator: clerk, To: to})
			if b.stayed(s, err, want); len(b.town.standing("")) != stand {
				t.Fatalf("%s: %d stand", request, len(b.town.standing("")))
			}
		}
	}
	back("x1", "", gateway.StayDischarged, 2)
	back("x2", "discharge", gateway.StayIn, 2)
	back("x3", "", gateway.StayIn, 1)
	back("x4", "admission", gateway.StayCancelled, 0)
	for _, m := range b.centre.Misuse() {
		t.Error(m)
	}
}

// What a refund still has to undo is what it then undoes, before it and after it died anywhere; over, it is nothing.
func TestUndoes(t *testing.T) {
	for n := 0; n < 40; n++ {
		b := newBench(t, askingRegion())
		s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
		id := b.stayed(s, err, gateway.StayIn).ID
		for i := range 2 {
			s, err = b.desk.ChargeStay(bg, his, chargesOf("f"+string(rune('1'+i)), id, i+1))
			b.stayed(s, err, gateway.StayIn)
			s, err = b.desk.SettleStay(bg, his, midOf("e"+string(rune('1'+i)), id))
			b.stayed(s, err, gateway.StayIn)
		}
		s, err = b.desk.ChargeStay(bg, his, chargesOf("f3", id, 3))
		b.stayed(s, err, gateway.StayIn)
		s, err = b.desk.DischargeStay(bg, his, discharge("d1", id))
		b.stayed(s, err, gateway.StayDischarged)
		s, err = b.desk.SettleStay(bg, his, settleOf("s1", id))
		b.stayed(s, err, gateway.StaySettled)
		m2, m3 := gateway.MidID(id, 2), gateway.MidID(id, 3)
		undoes := func(request, to, want, about string) {
			t.Helper()
			next, all, err := b.desk.Undoes(bg, his, gateway.RefundStay{RequestID: request, ID: id, To: to})
			if err != nil || strings.Join(next, " ") != want || strings.Join(all, " ") != about {
				t.Errorf("death at %d: %s undoes %v of %v (%v), want %q of %q", n, request, next, all, err, want, about)
			}
		}
		all := id + " " + m3 + " " + m2
		undoes("x0", "", id, all)
		undoes("x0", "discharge", id, all)
		undoes("x0", "fees", all, all)
		undoes("x0", "nonsense", "", all)
		undoes("s1", "fees", "", all) // no refund
		if _, _, err := b.desk.Undoes(bg, gateway.Caller{System: "another", Institutions: his.Institutions}, gateway.RefundStay{RequestID: "x", ID: id}); codeOf(err) != gateway.CodeNotFound {
			t.Errorf("another's: %v", err)
		}
		p := &patient{b: b, deaths: []*death{{at: n, stored: n%2 == 0}}}
		p.arm()
		refund := func(request, to string) {
			t.Helper()
			if _, err := p.stayLong(func() (gateway.Stay, error) {
				next, _, err := b.desk.Undoes(bg, his, gateway.RefundStay{RequestID: request, ID: id, To: to})
				if err != nil {
					return gateway.Stay{}, err
				}
				before, err := b.desk.Stay(bg, his, id)
				if err != nil {
					return before, err
				}
				s, err := b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: request, ID: id, Operator: clerk, To: to})
				if err == nil && inForceOf(before)-inForceOf(s) > len(next) {
					t.Errorf("death at %d: %s undid more than %v", n, request, next)
				}
				return s, err
			}); err != nil {
				t.Fatalf("death at %d: %v", n, err)
			}
		}
		refund("x1", "")
		undoes("x1", "", "", m3+" "+m2+" "+id) // answered: the next one is not its business
		undoes("x2", "", m3, m3+" "+m2)
		refund("x2", "admission")
		undoes("x2", "admission", "", m3+" "+m2)
		if len(p.deaths) > 0 && n > 0 { // it was never reached
			return
		}
	}
}

// inForceOf is how many settlements of a stay stand.
func inForceOf(s gateway.Stay) int {
	n := len(s.Mid)
	if s.SettlementID != "" {
		n++
	}
	return n
}

// Killed at any write: what was settled in the middle is settled once, and the end settles the rest.
func TestMidStayKilledAtEveryWrite(t *testing.T) {
	for n := 1; n < 60; n++ {
		dead := false
		for variant := 0; variant < 4; variant++ {
			b := newBench(t, askingRegion())
			d := &death{at: n, stored: variant&1 != 0}
			b.town.fault = func(infno ident.Infno, call int) mode {
				if variant&2 != 0 && !d.dead && d.writes == n-1 {
					return lostOut
				}
				if infno == "2304" && call == 1 {
					return lostBack
				}
				return fine
			}
			p := &patient{b: b, deaths: []*death{d}}
			p.arm()
			id := ""
			for i, call := range []func() (gateway.Stay, error){
				func() (gateway.Stay, error) { return b.desk.AdmitStay(bg, his, admissionOf("r1")) },
				func() (gateway.Stay, error) { return b.desk.ChangeStay(bg, his, changeOf("m1", id, "02")) },
				func() (gateway.Stay, error) { return b.desk.ChargeStay(bg, his, chargesOf("f1", id, 2)) },
				func() (gateway.Stay, error) { return b.desk.SettleStay(bg, his, midOf("e1", id)) },
				func() (gateway.Stay, error) { return b.desk.ChargeStay(bg, his, chargesOf("f2", id, 1)) },
				func() (gateway.Stay, error) { return b.desk.DischargeStay(bg, his, discharge("d1", id)) },
				func() (gateway.Stay, error) { return b.desk.SettleStay(bg, his, settleOf("s1", id)) },
				func() (gateway.Stay, error) {
					return b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: "x1", ID: id, Operator: clerk, To: "admission"})
				},
			} {
				s, err := p.stayLong(call)
				if err != nil {
					if parked, _ := b.journal.List(bg, gateway.Query{States: []gateway.State{gateway.StateParked}}); len(parked) == 0 {
						t.Fatalf("death at %d, variant %d, call %d: %v", n, variant, i, err)
					}
					break
				}
				id = s.ID
				want := map[int]int{3: 1, 4: 1, 5: 1, 6: 2}[i]
				if got := len(b.town.standing("")); got != want || len(s.Mid) != map[int]int{3: 1, 4: 1, 5: 1, 6: 1}[i] {
					t.Fatalf("death at %d, variant %d, call %d: %d stand, told %+v", n, variant, i, got, s)
				}
			}
			dead = dead || d.dead
		}
		if !dead {
			return
		}
	}
}

// stayLong is stayInsist without the rule that a visit is settled once: this one is settled more than once.
func (p *patient) stayLong(call func() (gateway.Stay, error)) (s gateway.Stay, err error) {
	for range 12 {
		s, err = call()
		if len(p.deaths) > 0 && p.deaths[0].dead {
			p.deaths = p.deaths[1:]
			p.b.journal.Hook(nil)
			p.b.restart()
			p.arm()
			continue
		}
		switch codeOf(err) {
		case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeCentreNoAnswer, gateway.CodeCentreUnreachable, gateway.CodeRequestInProgress, gateway.CodeStorage:
			for range 40 {
				p.b.clock.Advance(30e9)
				if err := p.b.desk.tick(bg); err != nil && !p.deaths[0].dead {
					p.b.t.Fatal(err)
				}
				p.b.desk.work.Wait()
			}
			continue
		}
		return s, err
	}
	return s, err
}

// The answer of a refund and of a change that were found out while nobody waited is there.
func TestStayAnswersFoundLate(t *testing.T) {
	b := newBench(t, askingRegion())
	s, err := b.desk.AdmitStay(bg, his, admissionOf("r1"))
	id := b.stayed(s, err, gateway.StayIn).ID
	s, err = b.desk.ChargeStay(bg, his, chargesOf("f1", id, 2))
	b.stayed(s, err, gateway.StayIn)
	s, err = b.desk.DischargeStay(bg, his, discharge("d1", id))
	b.stayed(s, err, gateway.StayDischarged)
	s, err = b.desk.SettleStay(bg, his, settleOf("s1", id))
	b.stayed(s, err, gateway.StaySettled)
	b.town.fault = func(n ident.Infno, call int) mode {
		switch {
		case n == "2305" && call == 1:
			return lostBack
		case n == "5203" && call == 1:
			return lostOut
		}
		return fine
	}
	if _, err = b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: "x1", ID: id, Operator: clerk}); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatalf("%v", err)
	}
	key := gateway.RequestKey{System: "his", ID: "x1"}
	if _, err := b.desk.Notice(bg, key); codeOf(err) != gateway.CodeState {
		t.Errorf("%v", err)
	}
	b.rest()
	n, err := b.desk.Notice(bg, key)
	if err != nil || n.Stay == nil || n.Stay.State != gateway.StayDischarged || n.Stay.Refund == nil {
		t.Errorf("%+v %v", n, err)
	}
	// Deeper than one step, what is left waits for the HIS.
	s, err = b.desk.SettleStay(bg, his, settleOf("s2", id))
	b.stayed(s, err, gateway.StaySettled)
	silent := true
	b.town.fault = func(n ident.Infno, call int) mode {
		switch {
		case n == "2305":
			return lostBack
		case n == "5203" && silent:
			return lostOut
		}
		return fine
	}
	if _, err = b.desk.RefundStay(bg, his, gateway.RefundStay{RequestID: "x2", ID: id, Operator: clerk, To: "admission"}); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatalf("%v", err)
	}
	silent = false
	b.rest()
	if _, err := b.desk.Notice(bg, gateway.RequestKey{System: "his", ID: "x2"}); codeOf(err) != gateway.CodeState {
		t.Errorf("an answer before all of it is done: %v", err)
	}
}
