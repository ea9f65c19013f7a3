package admit

import (
	"testing"
	"time"
)

func TestASystemIsHeldToItsRate(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	all := buckets([]Client{{System: "a", Rate: 2, Burst: 3}, {System: "b", Rate: 0.5}, {System: "free"}})
	if all["free"] != nil || len(all) != 2 {
		t.Fatal("a limit nobody asked for")
	}
	a, b := all["a"], all["b"]
	for range 3 {
		if _, ok := a.take(now); !ok {
			t.Fatal("refused within the burst")
		}
	}
	wait, ok := a.take(now)
	if ok || wait != 500*time.Millisecond {
		t.Fatalf("a fourth call: %v, wait %v", ok, wait)
	}
	if _, ok := b.take(now); !ok {
		t.Fatal("one system pays for another")
	}
	if wait, ok := a.take(now.Add(-time.Hour)); ok {
		t.Fatalf("a clock that went back gives places, wait %v", wait)
	}
	if _, ok := a.take(now.Add(-time.Hour + 500*time.Millisecond)); !ok {
		t.Fatal("refused although the time has passed")
	}
	for range 3 {
		a.take(now.Add(time.Hour))
	}
	if _, ok := a.take(now.Add(time.Hour)); ok {
		t.Fatal("a long pause gives more than the burst")
	}
}
