package world

import (
	"testing"
	"time"
)

// Two that end in the same turn and both wake a third give it one turn: the pause it makes next is
// not cut short by the second of them.
func TestOneTurnForWhoIsWokenTwice(t *testing.T) {
	for range 200 {
		s := newSched(1, dawn())
		waiter := &task{}
		var went time.Time
		s.start(0, waiter, func() {
			s.wait(waiter)
			s.park(waiter, time.Hour, time.Hour)
			went = s.now
		})
		others := make([]*task, 50)
		for i := range others {
			o := &task{}
			others[i] = o
			s.start(0, o, func() { s.wait(o) })
		}
		pair := []*task{{}, {}}
		for _, p := range pair {
			p.onEnd = func() {
				s.wake(waiter)
				for _, o := range others {
					s.wake(o)
				}
			}
		}
		s.start(time.Second, pair[0], func() { s.wait(pair[0]) })
		s.start(time.Second, pair[1], func() { s.wait(pair[1]) })
		s.after(time.Minute, func() { // as when one in the gateway lets the one behind it go
			s.wake(pair[0])
			s.wake(pair[1])
		})
		s.run(func() bool { return false })
		if want := dawn().Add(time.Minute + time.Hour); !went.Equal(want) {
			t.Fatalf("went on at %s, not %s", went, want)
		}
	}
}
