package gatewaytest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// QueueUnderTest is one queue, empty at first, and what can be done to it from outside.
type QueueUnderTest struct {
	// Open gives a handle on it. Handles of a shared queue share the work, as several processes do.
	Open   func(t *testing.T) gateway.Queue
	Shared bool
	// Crash kills what lies behind the queue and starts it again; nil when nothing lies behind it.
	Crash func(t *testing.T)
}

// Queue holds a gateway.Queue to its contract. make gives an empty queue each time it is called,
// with at least four workers; the suite closes the handles it opens.
func Queue(t *testing.T, make func(t *testing.T) QueueUnderTest) {
	cases := []struct {
		name string
		run  func(d *queueDesk)
	}{
		{"what is announced is delivered", (*queueDesk).delivers},
		{"a lane is in order and one at a time", (*queueDesk).order},
		{"lanes do not wait for each other", (*queueDesk).parallel},
		{"without a lane nothing waits", (*queueDesk).laneless},
		{"again comes again, not before its time", (*queueDesk).again},
		{"again may name another", (*queueDesk).next},
		{"a handler that panics is called again", (*queueDesk).panics},
		{"dead is not delivered again", (*queueDesk).dead},
		{"what was let go can be announced again", (*queueDesk).resume},
		{"closing drains what runs", (*queueDesk).drain},
		{"a second Deliver goes on where the first stopped", (*queueDesk).goesOn},
		{"state counts what waits", (*queueDesk).state},
		{"closed", (*queueDesk).closed},
		{"two workers share the work", (*queueDesk).share},
		{"a worker that comes and one that goes", (*queueDesk).rebalance},
		{"a crash behind the queue loses and doubles nothing", (*queueDesk).crash},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), queueLimit)
			defer cancel()
			c.run(&queueDesk{T: t, q: make(t), ctx: ctx})
		})
	}
}

// queueLimit ends a test that would wait for ever; nothing is measured by it.
const queueLimit = 3 * time.Minute

type queueDesk struct {
	*testing.T
	q   QueueUnderTest
	ctx context.Context
}

func (d *queueDesk) open() gateway.Queue {
	d.Helper()
	q := d.q.Open(d.T)
	d.Cleanup(func() {
		if err := q.Close(); err != nil {
			d.Errorf("close: %v", err)
		}
	})
	return q
}

// deliver starts Deliver; the function it returns ends it. It is called at the end in any case.
func (d *queueDesk) deliver(q gateway.Queue, h gateway.Handler) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Deliver(ctx, h) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			d.Errorf("deliver: %v", err)
		}
	})
	d.Cleanup(stop)
	return stop
}

func (d *queueDesk) announce(q gateway.Queue, refs ...gateway.Ref) {
	d.Helper()
	if err := q.Announce(d.ctx, refs...); err != nil {
		d.Fatalf("announce: %v", err)
	}
}

// take waits for a value.
func take[T any](d *queueDesk, c <-chan T, what string) T {
	d.Helper()
	select {
	case v := <-c:
		return v
	case <-d.ctx.Done():
		d.Fatalf("waited too long for %s", what)
		panic("not reached")
	}
}

func queueRef(n int, lane string) gateway.Ref {
	return gateway.Ref{ID: ident.MsgID(fmt.Sprintf("H4401000000120260302083000%04d", n)), Lane: lane}
}

// effects is what the journal is to the real handler: it knows what was done, so that a reference
// that comes twice has one effect.
type effects struct {
	mu    sync.Mutex
	order map[string][]ident.MsgID // by lane
	count map[ident.MsgID]int
	calls int
	want  int
	all   chan struct{} // closed when want different references had their effect
}

func newEffects(want int) *effects {
	return &effects{order: map[string][]ident.MsgID{}, count: map[ident.MsgID]int{}, want: want, all: make(chan struct{})}
}

func (e *effects) handle(_ context.Context, r gateway.Ref) gateway.Verdict {
	e.note(r)
	return gateway.Verdict{}
}

func (e *effects) note(r gateway.Ref) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	e.count[r.ID]++
	if e.count[r.ID] > 1 {
		return
	}
	e.order[r.Lane] = append(e.order[r.Lane], r.ID)
	if len(e.count) == e.want {
		close(e.all)
	}
}

// check wants every reference to have come, and the first coming of each in the order announced.
func (e *effects) check(d *queueDesk, refs []gateway.Ref) {
	d.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	want := map[string][]ident.MsgID{}
	for _, r := range refs {
		if e.count[r.ID] == 0 {
			d.Errorf("%s was lost", r.ID)
		}
		want[r.Lane] = append(want[r.Lane], r.ID)
	}
	for lane, ids := range want {
		if lane != "" && !slices.Equal(e.order[lane], ids) {
			d.Errorf("lane %s came in the order %v, announced %v", lane, e.order[lane], ids)
		}
	}
}

// batch makes n references in some lanes.
func batch(from, n, lanes int) []gateway.Ref {
	refs := make([]gateway.Ref, 0, n)
	for i := range n {
		refs = append(refs, queueRef(from+i, fmt.Sprintf("visit-%d", i%lanes)))
	}
	return refs
}

func (d *queueDesk) delivers() {
	q := d.open()
	refs := append(batch(1, 20, 5), queueRef(99, ""))
	e := newEffects(len(refs))
	d.announce(q, refs...)
	d.deliver(q, e.handle)
	take(d, e.all, "all references")
	e.check(d, refs)
}

func (d *queueDesk) order() {
	q := d.open()
	refs := batch(1, 120, 3)
	e := newEffects(len(refs))
	var mu sync.Mutex
	inside := map[string]bool{}
	d.deliver(q, func(ctx context.Context, r gateway.Ref) gateway.Verdict {
		mu.Lock()
		if inside[r.Lane] {
			d.Errorf("lane %s has two handlers", r.Lane)
		}
		inside[r.Lane] = true
		mu.Unlock()
		e.note(r)
		mu.Lock()
		inside[r.Lane] = false
		mu.Unlock()
		return gateway.Verdict{}
	})
	for i := 0; i < len(refs); i += 7 {
		d.announce(q, refs[i:min(i+7, len(refs))]...)
	}
	take(d, e.all, "all references")
	e.check(d, refs)
}

func (d *queueDesk) parallel() {
	q := d.open()
	entered, gate := make(chan ident.MsgID, 10), make(chan struct{})
	stuck, other := queueRef(1, "a"), queueRef(2, "b")
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		entered <- r.ID
		if r.ID == stuck.ID {
			<-gate
		}
		return gateway.Verdict{}
	})
	defer close(gate)
	d.announce(q, stuck)
	take(d, entered, "the first")
	d.announce(q, other)
	if got := take(d, entered, "the other lane"); got != other.ID {
		d.Errorf("%s came, want %s", got, other.ID)
	}
}

func (d *queueDesk) laneless() {
	q := d.open()
	entered, gate := make(chan ident.MsgID, 10), make(chan struct{})
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		entered <- r.ID
		<-gate
		return gateway.Verdict{}
	})
	defer close(gate)
	d.announce(q, queueRef(1, ""), queueRef(2, ""))
	take(d, entered, "the first")
	take(d, entered, "the second beside it")
}

func (d *queueDesk) again() {
	q := d.open()
	const tries = 4
	calls := make(chan time.Time, 100)
	var due time.Time
	n := 0
	d.deliver(q, func(context.Context, gateway.Ref) gateway.Verdict {
		now := time.Now()
		if now.Before(due) {
			d.Errorf("try %d came %s early", n, due.Sub(now))
		}
		n++
		calls <- now
		if n == tries {
			return gateway.Verdict{}
		}
		due = now.Add(30 * time.Millisecond).Truncate(time.Millisecond)
		return gateway.Verdict{Again: due}
	})
	d.announce(q, queueRef(1, "a"))
	for i := range tries {
		take(d, calls, fmt.Sprintf("try %d", i+1))
	}
}

func (d *queueDesk) next() {
	q := d.open()
	first, second := queueRef(1, "a"), queueRef(2, "a")
	got := make(chan gateway.Ref, 10)
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		got <- r
		if r == first {
			return gateway.Verdict{Again: time.Now(), Next: second}
		}
		return gateway.Verdict{}
	})
	d.announce(q, first)
	take(d, got, "the first")
	if r := take(d, got, "the one named"); r != second {
		d.Errorf("%v came, want %v", r, second)
	}
}

func (d *queueDesk) panics() {
	q := d.open()
	got := make(chan ident.MsgID, 10)
	n := 0
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		if r.Lane == "bad" {
			n++
			if n == 1 {
				panic("a fault in the handler")
			}
		}
		got <- r.ID
		return gateway.Verdict{}
	})
	d.announce(q, queueRef(1, "bad"), queueRef(2, "good"))
	ids := []ident.MsgID{take(d, got, "one"), take(d, got, "the other")}
	slices.Sort(ids)
	if ids[0] != queueRef(1, "").ID || ids[1] != queueRef(2, "").ID {
		d.Errorf("%v", ids)
	}
}
