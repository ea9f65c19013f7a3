package world

import (
	"context"
	"errors"
	"time"

	"yiqiao/gateway"
)

// broker is the queue that the gateways of a town share, in half of the towns; in the others they
// find their uploads in the journal alone. It keeps fewer promises than a real one: what waits in it
// may be lost, come twice, late, or to two gateways at once.
type broker struct {
	w       *World
	waiting []gateway.Ref
	held    int // come back at their time
	down    bool
}

var errBroker = errors.New("world: no broker")

// queueOf is the broker as one process sees it.
type queueOf struct {
	b *broker
	p *process
}

var _ gateway.Queue = queueOf{}

// Announce see gateway.Queue.
func (q queueOf) Announce(ctx context.Context, refs ...gateway.Ref) error {
	b, w := q.b, q.p.w
	w.s.park(taskOf(ctx), time.Millisecond, 20*time.Millisecond)
	q.p.hold(taskOf(ctx))
	switch {
	case q.p.dead:
		return errBroker
	case b.down:
		w.count("broker-not-reached")
		return errBroker
	}
	for _, r := range refs {
		if w.storm && w.s.chance(w.rates.broker) {
			w.count("broker-message-lost")
			continue
		}
		b.add(r, w.s.between(time.Millisecond, 3*time.Second))
		if w.storm && w.s.chance(w.rates.broker) {
			w.count("broker-message-twice")
			b.add(r, w.s.between(time.Millisecond, time.Minute))
		}
	}
	if w.storm && w.s.chance(w.rates.broker) {
		w.count("broker-error-after")
		return errBroker
	}
	return nil
}

// Deliver is never called: the gateways of a town have one worker.
func (q queueOf) Deliver(context.Context, gateway.Handler) error { return errBroker }

// State see gateway.Queue.
func (q queueOf) State() gateway.QueueState {
	s := gateway.QueueState{Kind: "world", Waiting: int64(len(q.b.waiting) + q.b.held), Held: int64(q.b.held)}
	if q.b.down {
		s.Trouble = "down"
	}
	return s
}

// Close see gateway.Queue.
func (q queueOf) Close() error { return nil }

// add has a reference come after d.
func (b *broker) add(r gateway.Ref, d time.Duration) {
	b.held++
	b.w.s.after(d, func() {
		b.held--
		b.waiting = append(b.waiting, r)
		b.call()
	})
}

// call wakes the gateways that wait for work, one after the other.
func (b *broker) call() {
	for _, p := range b.w.procs {
		b.w.s.after(0, func() {
			if p.porter != nil && p.porter.idle && !p.dead && !b.down {
				b.w.s.wake(p.porter)
			}
		})
	}
}

// fails takes the broker away for a while, and now and then everything that was in it.
func (b *broker) fails() {
	w := b.w
	if !w.storm || b.down {
		return
	}
	w.count("broker-down")
	b.down = true
	if w.s.chance(300) {
		w.count("broker-lost")
		b.waiting = nil
	}
	w.s.after(w.s.between(5*time.Second, 15*time.Minute), b.heals)
}

func (b *broker) heals() {
	b.down = false
	b.call()
}

// carry brings references to a gateway, one after the other, until it dies. What it had in its
// hands then comes again: it is taken off only after the handler is done with it.
func (p *process) carry() {
	b, s, t, life, desk := p.w.broker, p.w.s, &task{proc: p}, p.life, p.desk
	p.porter = t
	t.onEnd = func() {
		if p.porter == t {
			p.porter = nil
		}
	}
	alive := func() bool { return !p.dead && p.life == life && !p.w.over }
	s.start(0, t, func() {
		ctx := s.context(t)
		for alive() {
			if b.down || len(b.waiting) == 0 {
				t.idle = true
				s.wait(t)
				t.idle = false
				continue
			}
			r := b.waiting[0]
			b.waiting = b.waiting[1:]
			s.park(t, 0, 10*time.Millisecond)
			p.hold(t)
			v := gateway.Verdict{}
			if alive() { // the loop of its gateway does not end before the call does
				p.tasks = append(p.tasks, t)
				v = desk.Handle(ctx, r)
				p.signed(t)
				s.after(0, func() { p.leave(t) })
			}
			switch {
			case !alive() && !p.w.bend.commitFirst:
				p.w.count("broker-message-again")
				b.add(r, s.between(time.Second, time.Minute))
			case !v.Again.IsZero():
				if v.Next.ID != "" {
					r = v.Next
				}
				b.add(r, max(v.Again.Sub(p.Now()), 0))
			}
		}
	})
}
