package gatewaytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"yiqiao/gateway"
)

var _ gateway.Clock = (*Clock)(nil)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, gateway.China)

func TestClockWakesWhoseTimeHasCome(t *testing.T) {
	c := NewClock(t0)
	woke := make(chan time.Duration, 2)
	for _, d := range []time.Duration{time.Second, time.Minute} {
		go func() {
			if err := c.Sleep(t.Context(), d); err == nil {
				woke <- d
			}
		}()
	}
	if err := c.AwaitWaiters(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	c.Advance(time.Second - 1)
	if n := c.Waiters(); n != 2 {
		t.Fatalf("%d sleepers a nanosecond early, want 2", n)
	}
	c.Advance(1)
	if d := <-woke; d != time.Second {
		t.Fatalf("the sleeper of %s woke first", d)
	}
	if n := c.Waiters(); n != 1 {
		t.Fatalf("%d sleepers after one second, want 1", n)
	}
	c.Advance(time.Hour)
	if d := <-woke; d != time.Minute {
		t.Fatalf("the sleeper of %s woke", d)
	}
	if want := t0.Add(time.Hour + time.Second); !c.Now().Equal(want) {
		t.Errorf("the clock stands at %s, want %s", c.Now(), want)
	}
}

func TestClockSleepEndsWithItsContext(t *testing.T) {
	c := NewClock(t0)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Sleep(ctx, time.Second) }()
	if err := c.AwaitWaiters(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("Sleep gave %v", err)
	}
	if n := c.Waiters(); n != 0 {
		t.Errorf("%d sleepers left behind", n)
	}
	if err := c.Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("Sleep in an ended context gave %v", err)
	}
	if err := c.Sleep(t.Context(), -time.Second); err != nil {
		t.Errorf("Sleep for no time gave %v", err)
	}
}
