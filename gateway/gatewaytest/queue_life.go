package gatewaytest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"yiqiao/gateway"
)

func (d *queueDesk) dead() {
	q := d.open()
	e := newEffects(2)
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		e.note(r)
		if r.ID == queueRef(1, "").ID {
			return gateway.Verdict{Dead: "refused by the centre"}
		}
		return gateway.Verdict{}
	})
	// The second is behind the first in its lane: when it came, the first is done with.
	d.announce(q, queueRef(1, "a"), queueRef(2, "a"))
	take(d, e.all, "both")
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.count[queueRef(1, "").ID]; n != 1 {
		d.Errorf("the dead one came %d times", n)
	}
}

// A paused route lets its references go; they are announced again when it goes on.
func (d *queueDesk) resume() {
	q := d.open()
	refs := batch(1, 12, 3)
	passed := newEffects(len(refs))
	served := newEffects(len(refs))
	var paused atomic.Bool
	paused.Store(true)
	d.deliver(q, func(_ context.Context, r gateway.Ref) gateway.Verdict {
		if paused.Load() {
			passed.note(r)
		} else {
			served.note(r)
		}
		return gateway.Verdict{}
	})
	d.announce(q, refs...)
	take(d, passed.all, "the paused ones")
	paused.Store(false)
	d.announce(q, refs...)
	take(d, served.all, "the resumed ones")
	served.check(d, refs)
}

func (d *queueDesk) drain() {
	q := d.open()
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	var ended, later atomic.Bool
	stop := d.deliver(q, func(ctx context.Context, r gateway.Ref) gateway.Verdict {
		if r.ID != queueRef(1, "").ID {
			later.Store(true)
			return gateway.Verdict{}
		}
		entered <- struct{}{}
		<-gate
		ended.Store(ctx.Err() == nil)
		return gateway.Verdict{}
	})
	d.announce(q, queueRef(1, "a"))
	take(d, entered, "the handler")
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		d.Error("Deliver returned while a handler runs")
	default:
	}
	close(gate)
	take(d, stopped, "the end of Deliver")
	if !ended.Load() {
		d.Error("the handler was cut short")
	}
	d.announce(q, queueRef(2, "a"))
	if later.Load() {
		d.Error("something was delivered after Deliver had returned")
	}
}

func (d *queueDesk) goesOn() {
	q := d.open()
	refs := batch(1, 40, 4)
	e := newEffects(len(refs))
	some := make(chan struct{}, len(refs))
	stop := d.deliver(q, func(ctx context.Context, r gateway.Ref) gateway.Verdict {
		e.note(r)
		some <- struct{}{}
		return gateway.Verdict{}
	})
	d.announce(q, refs...)
	for range 5 {
		take(d, some, "the first few")
	}
	stop()
	d.deliver(q, e.handle)
	take(d, e.all, "the rest")
	e.check(d, refs)
}

func (d *queueDesk) state() {
	q := d.open()
	if s := q.State(); s.Kind == "" {
		d.Error("a queue without a kind")
	}
	entered, gate := make(chan struct{}, 1), make(chan struct{})
	d.deliver(q, func(context.Context, gateway.Ref) gateway.Verdict {
		entered <- struct{}{}
		<-gate
		return gateway.Verdict{}
	})
	defer close(gate)
	d.announce(q, queueRef(1, "a"), queueRef(2, "a"))
	take(d, entered, "the handler")
	if s := q.State(); s.Waiting == 0 || s.Trouble != "" {
		d.Errorf("two wait, the state says %+v", s)
	}
}

func (d *queueDesk) closed() {
	q := d.open()
	for range 2 {
		if err := q.Close(); err != nil {
			d.Fatal(err)
		}
	}
	if err := q.Announce(d.ctx, queueRef(1, "a")); err == nil {
		d.Error("a closed queue takes references")
	}
	if err := q.Deliver(d.ctx, func(context.Context, gateway.Ref) gateway.Verdict { return gateway.Verdict{} }); err == nil {
		d.Error("a closed queue delivers")
	}
}

func (d *queueDesk) share() {
	if !d.q.Shared {
		d.Skip("the queue is not shared")
	}
	one, two := d.open(), d.open()
	// Each worker holds on to its first reference until the other has one too. References go on
	// being announced meanwhile, because a worker that joins late sees only what comes then.
	var met sync.WaitGroup
	met.Add(2)
	both := make(chan struct{})
	go func() { met.Wait(); close(both) }()
	worker := func() gateway.Handler {
		first := sync.OnceFunc(met.Done)
		return func(context.Context, gateway.Ref) gateway.Verdict {
			first()
			return gateway.Verdict{}
		}
	}
	d.deliver(one, worker())
	d.deliver(two, worker())
	for n := 1; ; n++ {
		select {
		case <-both:
			return
		case <-d.ctx.Done():
			d.Fatal("one worker does it all")
		default:
		}
		d.announce(one, queueRef(n%10_000, fmt.Sprintf("visit-%d", n)))
	}
}

func (d *queueDesk) rebalance() {
	if !d.q.Shared {
		d.Skip("the queue is not shared")
	}
	one, two := d.open(), d.open()
	refs := batch(1, 300, 20)
	e := newEffects(len(refs))
	beat := make(chan struct{}, 10*len(refs))
	h := func(ctx context.Context, r gateway.Ref) gateway.Verdict {
		beat <- struct{}{}
		return e.handle(ctx, r)
	}
	stop := d.deliver(one, h)
	d.announce(one, refs[:100]...)
	for range 30 {
		take(d, beat, "the first worker")
	}
	d.deliver(two, h) // joins
	d.announce(two, refs[100:200]...)
	for range 100 {
		take(d, beat, "both workers")
	}
	stop() // leaves
	d.announce(two, refs[200:]...)
	take(d, e.all, "everything")
	e.complete(d, refs)
}

func (d *queueDesk) crash() {
	if d.q.Crash == nil {
		d.Skip("nothing lies behind the queue")
	}
	q := d.open()
	refs := batch(1, 400, 25)
	e := newEffects(len(refs))
	beat := make(chan struct{}, 100*len(refs))
	d.deliver(q, func(ctx context.Context, r gateway.Ref) gateway.Verdict {
		beat <- struct{}{}
		return e.handle(ctx, r)
	})
	d.announce(q, refs[:200]...)
	for range 50 {
		take(d, beat, "the first few")
	}
	d.q.Crash(d.T)
	// Whoever announces repeats what was not taken; that may double references, never effects.
	for i := 200; i < len(refs); i += 50 {
		for q.Announce(d.ctx, refs[i:i+50]...) != nil {
			if d.ctx.Err() != nil {
				d.Fatal("the queue does not come back")
			}
		}
	}
	take(d, e.all, "everything")
	e.complete(d, refs)
	if s := q.State(); s.Trouble != "" {
		d.Logf("still troubled: %s", s.Trouble)
	}
}

// complete wants every reference to have come. How the first comings are ordered is not looked at:
// where two processes hold a lane for a moment the handler keeps the order, by the journal.
func (e *effects) complete(d *queueDesk, refs []gateway.Ref) {
	d.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range refs {
		if e.count[r.ID] == 0 {
			d.Errorf("%s was lost", r.ID)
		}
	}
	d.Logf("%d references, %d calls", len(refs), e.calls)
}
