package flow

import (
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// A record whose first sending was done and not answered may be refused when it goes again. That is
// no refusal of the record: it goes once more, and is parked when it is refused each time.
func TestRefusedRepeatOfAnUploadIsNotARefusal(t *testing.T) {
	for _, always := range []bool{false, true} {
		b := newBench(t, askingRegion())
		got := b.queue("u1", "V1")
		b.town.fault = func(_ ident.Infno, call int) mode {
			switch {
			case call == 1:
				return lostBack
			case always || call < 4:
				return refusing
			}
			return fine
		}
		for range 200 {
			if err := b.desk.dispatch(bg); err != nil {
				t.Fatal(err)
			}
			b.desk.work.Wait()
			b.clock.Advance(30 * time.Second)
		}
		rec, err := b.journal.Record(bg, got.ID)
		want := gateway.StateDone
		if always {
			want = gateway.StateParked
		}
		if err != nil || rec.State != want {
			t.Errorf("always refused %t: %s %v", always, rec.State, err)
		}
		if n := len(b.sentIDs()); always && n != 1+doubtTries || !always && n != 4 {
			t.Errorf("always refused %t: sent %d times", always, n)
		}
	}
}

// Refused at its first sending, a record is refused.
func TestRefusedUploadIsRefused(t *testing.T) {
	b := newBench(t, askingRegion())
	got := b.queue("u1", "V1")
	b.town.fault = func(_ ident.Infno, call int) mode { return []mode{notSent, refusing, fine}[min(call-1, 2)] }
	b.uploads(20)
	if rec, err := b.journal.Record(bg, got.ID); err != nil || rec.State != gateway.StateRefused {
		t.Errorf("%s %v", rec.State, err)
	}
}
