// Package embedded is the queue of a gateway that has no broker: references wait in memory. What a
// process forgets when it ends is in the journal, where whoever announces finds it again.
package embedded

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/queue"
	"yiqiao/schemas/ident"
)

// Options of an embedded queue. Clock is required.
type Options struct {
	Clock   gateway.Clock
	Workers int // handlers at once; default 16
	Window  int // references that may wait; default 4096
	// Held is how many references may wait for their time; default 65,536. One more is forgotten,
	// and found in the journal when its time has come.
	Held int
	// Pause is how long a reference waits whose handler panicked; default 5 s.
	Pause time.Duration
	Log   *slog.Logger // nil: nothing is logged
}

// Queue implements gateway.Queue in memory.
type Queue struct {
	o     Options
	lanes *queue.Lanes[gateway.Ref]

	mu      sync.Mutex
	closed  bool
	handle  gateway.Handler
	waiting map[ident.MsgID]bool // in the lanes, not begun
	held    heldRefs
	earlier context.CancelFunc // wakes the alarm when something is due before what it waits for
}

var _ gateway.Queue = (*Queue)(nil)

// New gives an empty queue. It starts nothing; Deliver does, and ends it.
func New(o Options) (*Queue, error) {
	if o.Clock == nil {
		return nil, errors.New("embedded: needs a clock")
	}
	for _, x := range []struct {
		n *int
		v int
	}{{&o.Workers, 16}, {&o.Window, 4096}, {&o.Held, 1 << 16}} {
		if *x.n <= 0 {
			*x.n = x.v
		}
	}
	if o.Pause <= 0 {
		o.Pause = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	q := &Queue{o: o, waiting: map[ident.MsgID]bool{}}
	q.lanes = queue.NewLanes(o.Workers, o.Window, q.work)
	return q, nil
}

// Announce see gateway.Queue. A reference that waits already is not taken twice.
func (q *Queue) Announce(ctx context.Context, refs ...gateway.Ref) error {
	for _, r := range refs {
		q.mu.Lock()
		closed, known := q.closed, q.waiting[r.ID]
		if !closed {
			q.waiting[r.ID] = true
		}
		q.mu.Unlock()
		if closed {
			return errClosed
		}
		if known {
			continue
		}
		if err := q.lanes.Add(ctx, r.Lane, r); err != nil {
			q.forget(r.ID)
			return fmt.Errorf("embedded: %w", err)
		}
	}
	return nil
}

var errClosed = errors.New("embedded: closed")

func (q *Queue) forget(id ident.MsgID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.waiting, id)
}

// Deliver see gateway.Queue.
func (q *Queue) Deliver(ctx context.Context, h gateway.Handler) error {
	q.mu.Lock()
	if q.closed || q.handle != nil {
		q.mu.Unlock()
		return errors.New("embedded: closed, or delivering already")
	}
	q.handle = h
	q.mu.Unlock()
	q.lanes.Start()
	q.alarm(ctx)
	q.lanes.Stop()
	q.mu.Lock()
	q.handle = nil
	q.mu.Unlock()
	return nil
}

// work hands one reference to the handler.
func (q *Queue) work(r gateway.Ref) {
	q.mu.Lock()
	delete(q.waiting, r.ID)
	h := q.handle
	q.mu.Unlock()
	v := queue.Call(context.Background(), h, r, q.o.Log, func() time.Time { return q.o.Clock.Now().Add(q.o.Pause) })
	if v.Dead != "" {
		q.o.Log.Warn("upload set aside", "msgid", string(r.ID), "why", v.Dead)
	}
	if v.Again.IsZero() {
		return
	}
	if v.Next.ID != "" {
		r = v.Next
	}
	q.hold(r, v.Again)
}

// hold keeps a reference until its time.
func (q *Queue) hold(r gateway.Ref, until time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.held) >= q.o.Held {
		return
	}
	heap.Push(&q.held, heldRef{r, until})
	if q.held[0].ref == r && q.earlier != nil {
		q.earlier()
	}
}

// alarm gives back what was held when its time has come, until ctx ends.
func (q *Queue) alarm(ctx context.Context) {
	for ctx.Err() == nil {
		nap, cancel := context.WithCancel(ctx)
		q.mu.Lock()
		q.earlier = cancel
		wait := time.Hour
		if len(q.held) > 0 {
			wait = q.held[0].until.Sub(q.o.Clock.Now())
		}
		q.mu.Unlock()
		err := q.o.Clock.Sleep(nap, wait)
		cancel()
		if err == nil {
			q.due(ctx)
		}
	}
}

func (q *Queue) due(ctx context.Context) {
	now := q.o.Clock.Now()
	for {
		q.mu.Lock()
		if len(q.held) == 0 || q.held[0].until.After(now) {
			q.mu.Unlock()
			return
		}
		h := heap.Pop(&q.held).(heldRef)
		q.mu.Unlock()
		if q.Announce(ctx, h.ref) != nil {
			q.hold(h.ref, h.until)
			return
		}
	}
}

// State see gateway.Queue.
func (q *Queue) State() gateway.QueueState {
	q.mu.Lock()
	defer q.mu.Unlock()
	held := int64(len(q.held))
	return gateway.QueueState{Kind: "embedded", Waiting: int64(q.lanes.Len()) + held, Held: held}
}

// Close see gateway.Queue.
func (q *Queue) Close() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return nil
}

type heldRef struct {
	ref   gateway.Ref
	until time.Time
}

// heldRefs is a heap, the earliest first.
type heldRefs []heldRef

func (h heldRefs) Len() int           { return len(h) }
func (h heldRefs) Less(i, j int) bool { return h[i].until.Before(h[j].until) }
func (h heldRefs) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heldRefs) Push(x any)        { *h = append(*h, x.(heldRef)) }
func (h *heldRefs) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
