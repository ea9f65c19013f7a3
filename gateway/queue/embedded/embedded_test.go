package embedded

import (
	"context"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func newQueue(t *testing.T, o Options) *Queue {
	t.Helper()
	q, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestQueue(t *testing.T) {
	gatewaytest.Queue(t, func(t *testing.T) gatewaytest.QueueUnderTest {
		q := newQueue(t, Options{Clock: realClock{}, Pause: time.Millisecond})
		return gatewaytest.QueueUnderTest{Open: func(*testing.T) gateway.Queue { return q }}
	})
}

// Every time is taken from the clock it was given, and an earlier one that comes later goes first.
func TestHeldUntilTheClockSays(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, gateway.China)
	clock := gatewaytest.NewClock(start)
	q := newQueue(t, Options{Clock: clock})
	got := make(chan gateway.Ref, 10)
	ended := make(chan error, 1)
	life, stop := context.WithCancel(ctx)
	slow, fast := gateway.Ref{ID: "1", Lane: "slow"}, gateway.Ref{ID: "2", Lane: "fast"}
	q.hold(slow, start.Add(time.Hour))
	go func() {
		ended <- q.Deliver(life, func(_ context.Context, r gateway.Ref) gateway.Verdict {
			got <- r
			return gateway.Verdict{}
		})
	}()
	if err := clock.AwaitWaiters(ctx, 1); err != nil {
		t.Fatal(err)
	}
	q.hold(fast, start.Add(time.Minute))
	for _, step := range []struct {
		by   time.Duration
		want gateway.Ref
	}{{time.Minute, fast}, {59 * time.Minute, slow}} {
		clock.Advance(step.by)
		select {
		case r := <-got:
			if r != step.want {
				t.Errorf("%v came, want %v", r, step.want)
			}
		case <-ctx.Done():
			t.Fatalf("%v never came", step.want)
		}
	}
	stop()
	if err := <-ended; err != nil || len(got) > 0 {
		t.Errorf("%v, %d more came", err, len(got))
	}
}

// More than the queue may hold back is forgotten, not kept: the journal has it.
func TestHeldIsBounded(t *testing.T) {
	q := newQueue(t, Options{Clock: realClock{}, Held: 3})
	for range 10 {
		q.hold(gateway.Ref{ID: "x"}, time.Now().Add(time.Hour))
	}
	if n := q.State().Held; n != 3 {
		t.Errorf("%d held", n)
	}
}

// Whoever announces waits while the queue is full, and can stop waiting.
func TestAnnounceWaitsForRoom(t *testing.T) {
	q := newQueue(t, Options{Clock: realClock{}, Window: 2})
	ctx, cancel := context.WithCancel(context.Background())
	if err := q.Announce(ctx, gateway.Ref{ID: "1"}, gateway.Ref{ID: "2"}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- q.Announce(ctx, gateway.Ref{ID: "3"}) }()
	cancel()
	if err := <-ended; err == nil {
		t.Error("a third was taken")
	}
	if n := q.State().Waiting; n != 2 {
		t.Errorf("%d wait", n)
	}
	// The same again takes no room.
	if err := q.Announce(context.Background(), gateway.Ref{ID: "2"}); err != nil {
		t.Error(err)
	}
}
