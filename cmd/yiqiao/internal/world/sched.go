package world

import (
	"cmp"
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// sched lets the goroutines of a world take turns in virtual time.
type sched struct {
	rng    *rand.Rand
	now    time.Time
	events eventHeap
	serial uint64
	tasks  int // given out so far

	mu       sync.Mutex
	active   int // tasks that are running now
	quiet    chan struct{}
	holding  bool    // arrivals are being looked at
	held     []*task // to be woken afterwards
	arrivals []arrival
}

// arrival is what a task that has stopped running asks for.
type arrival struct {
	t      *task
	ended  bool
	wakes  bool // false: somebody will call wake
	lo, hi time.Duration
}

type taskState uint8

const (
	unborn taskState = iota // its first turn is still to come
	running
	parked // at a gate
	behind // inside the gateway, waiting for another task (see process.enter)
	ended
)

// task is one line of work; everything done in its name carries it in the context.
type task struct {
	id     int
	proc   *process // the gateway it runs in, nil for a HIS
	resume chan struct{}
	state  taskState // guarded by sched.mu
	first  *task     // the task it waits behind, or nil
	next   *task     // the task that waits behind it, or nil
	onEnd  func()    // called by the scheduler when the task has ended

	idle bool // the loop of a gateway is between two rounds

	// Of the call of a HIS: what it is about, and whether it has been handed to the gateway.
	bill, op, request string
	inside            bool
}

func newSched(seed uint64, start time.Time) *sched {
	return &sched{rng: rand.New(rand.NewPCG(seed, 0x70e7)), now: start, quiet: make(chan struct{}, 1)}
}

type event struct {
	at     time.Time
	serial uint64
	run    func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].serial < h[j].serial
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

// after has something done later. Only the one whose turn it is may call it.
func (s *sched) after(d time.Duration, run func()) {
	s.serial++
	heap.Push(&s.events, event{s.now.Add(d), s.serial, run})
}

// start gives a new task its first turn after d.
func (s *sched) start(d time.Duration, t *task, run func()) {
	s.tasks++
	t.id, t.resume = s.tasks, make(chan struct{}, 1)
	s.after(d, func() {
		s.mu.Lock()
		t.state = running
		s.active++
		s.mu.Unlock()
		go func() {
			run()
			s.stop(arrival{t: t, ended: true})
		}()
	})
}

// park ends the turn of a task for a time between lo and hi.
func (s *sched) park(t *task, lo, hi time.Duration) {
	s.stop(arrival{t: t, wakes: true, lo: lo, hi: hi})
	<-t.resume
}

// wait ends the turn of a task until somebody wakes it.
func (s *sched) wait(t *task) {
	s.stop(arrival{t: t})
	<-t.resume
}

// stop tells the scheduler that a task runs no more.
func (s *sched) stop(a arrival) {
	s.mu.Lock()
	defer s.mu.Unlock()
	counted := a.t.state == running
	a.t.state = parked
	if a.ended {
		a.t.state = ended
		if n := a.t.next; n != nil && n.state == behind {
			n.state = running // it goes on by itself now
			s.active++
		}
	}
	s.arrivals = append(s.arrivals, a)
	if counted {
		s.release()
	}
}

// release is called with the lock held.
func (s *sched) release() {
	s.active--
	if s.active == 0 {
		select {
		case s.quiet <- struct{}{}:
		default: // it has been told of an earlier turn and has not looked yet; it looks at active then
		}
	}
}

// yield is called when a task is about to wait for the one in front of it.
func (s *sched) yield(t *task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.state == running && t.first != nil && t.first.state != ended {
		t.state = behind
		s.release()
	}
}

// wake gives a waiting task its turn. Only the scheduler's side may call it. While arrivals are
// looked at the turn is held back: whoever is woken must not run beside the rest of them.
func (s *sched) wake(t *task) {
	if s.holding {
		if !slices.Contains(s.held, t) {
			s.held = append(s.held, t)
		}
		return
	}
	if t.proc != nil && t.proc.frozen {
		t.proc.ice = append(t.proc.ice, t)
		return
	}
	s.mu.Lock()
	if t.state != parked {
		s.mu.Unlock()
		return
	}
	t.state = running
	s.active++
	s.mu.Unlock()
	t.resume <- struct{}{}
}

// run lets everything happen until until() holds or nothing is left to happen.
func (s *sched) run(until func() bool) {
	for s.events.Len() > 0 && !until() {
		e := heap.Pop(&s.events).(event)
		if e.at.After(s.now) {
			s.now = e.at
		}
		e.run()
		s.settle()
	}
}

// settle waits until nobody runs and then looks at what they asked for, in the order of the tasks.
// Those it is to wake have their turns one after the other, and one that several have asked to wake
// has one turn: it may wait for something else already when the second of them is looked at.
func (s *sched) settle() {
	for {
		s.mu.Lock()
		if s.active > 0 {
			s.mu.Unlock()
			<-s.quiet
			continue
		}
		select {
		case <-s.quiet: // left over from a turn that ended before we looked
		default:
		}
		list := s.arrivals
		s.arrivals = nil
		s.mu.Unlock()
		if len(list) == 0 && len(s.held) == 0 {
			return
		}
		slices.SortStableFunc(list, func(a, b arrival) int { return cmp.Compare(a.t.id, b.t.id) })
		s.holding = true
		for _, a := range list {
			s.arrived(a)
		}
		s.holding = false
		if len(s.held) > 0 {
			t := s.held[0]
			s.held = s.held[1:]
			s.wake(t)
		}
	}
}

func (s *sched) arrived(a arrival) {
	switch {
	case a.ended:
		if a.t.first != nil && a.t.first.next == a.t {
			a.t.first.next = nil
		}
		if a.t.onEnd != nil {
			a.t.onEnd()
		}
	case a.wakes:
		s.after(s.between(a.lo, a.hi), func() { s.wake(a.t) })
	}
}

// between is a time from lo to hi.
func (s *sched) between(lo, hi time.Duration) time.Duration {
	if hi <= lo {
		return lo
	}
	return lo + time.Duration(s.rng.Int64N(int64(hi-lo)))
}

func (s *sched) chance(perMille int) bool { return perMille > 0 && s.rng.IntN(1000) < perMille }

type taskKey struct{}

// taskContext carries a task. It never ends; asking it whether it does is how the gateway shows
// that a caller begins to wait.
type taskContext struct {
	context.Context
	s *sched
	t *task
}

func (s *sched) context(t *task) context.Context {
	return taskContext{context.Background(), s, t}
}

func (c taskContext) Value(key any) any {
	if _, ok := key.(taskKey); ok {
		return c.t
	}
	return c.Context.Value(key)
}

func (c taskContext) Done() <-chan struct{} {
	c.s.yield(c.t)
	return nil
}

// taskOf finds the task a call is made for.
func taskOf(ctx context.Context) *task {
	t, _ := ctx.Value(taskKey{}).(*task)
	return t
}
