package gateway

import "testing"

func TestEveryCodeHasWords(t *testing.T) {
	for code, w := range Codes {
		if w.ZH == "" || w.EN == "" || w.NextZH == "" || w.NextEN == "" || w.Owner == "" || w.Status == 0 {
			t.Errorf("%s: incomplete words %+v", code, w)
		}
	}
}

func TestZeroOutcomeIsUnknown(t *testing.T) {
	var r Reply
	if r.Outcome != OutcomeUnknown {
		t.Fatalf("a reply nobody classified is %s, want unknown", r.Outcome)
	}
}

// A record that is final never moves again, whatever happens late; only what was absent may be found
// after all.
func TestFinalStatesStay(t *testing.T) {
	kinds := []EventKind{EventSent, EventDone, EventRefused, EventUnknown, EventAsked, EventReversed, EventAbsent, EventParked}
	for _, s := range []State{StateDone, StateRefused, StateReversed, StateAbsent} {
		for _, k := range kinds {
			next, err := Next(s, k)
			if s == StateAbsent && k == EventDone {
				if err != nil || next != StateDone {
					t.Errorf("absent and found late: %s, %v", next, err)
				}
				continue
			}
			if err == nil {
				t.Errorf("%s after %s gives %s; a final state must refuse every event", k, s, next)
			}
		}
	}
}

// An unknown outcome ends only by evidence, and "sent" is never followed by a second "sent".
func TestUnknownIsNotFailure(t *testing.T) {
	if _, err := Next(StateSent, EventSent); err == nil {
		t.Error("a sent record must not be sent again")
	}
	if s, err := Next(StateSent, EventUnknown); err != nil || s.Final() {
		t.Errorf("unknown must be a state that is not final, got %s, %v", s, err)
	}
	if _, err := Next(StateParked, EventSent); err == nil {
		t.Error("a parked record must not be sent")
	}
}

func TestMidID(t *testing.T) {
	stay := "SH44010000001202611231800000001"
	for _, n := range []int{1, 2, 17, 999999} {
		if s, got, ok := MidOf(MidID(stay, n)); s != stay || got != n || !ok {
			t.Errorf("%d: %q %d %v", n, s, got, ok)
		}
	}
	for _, id := range []string{"", "S", "M2", "SM2", stay, stay + "M", stay + "M0", stay + "M02", stay + "M-1", stay + "M2x", "B" + stay[1:] + "M2", stay + "M2_1",
		"SHM010000001M20261123180000001", "SH4401000000M202611231800000001"} {
		if s, n, ok := MidOf(id); ok {
			t.Errorf("%q: %q %d", id, s, n)
		}
	}
}
