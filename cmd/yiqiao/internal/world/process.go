package world

import (
	"context"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/filing"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/pharmacy"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// process is one gateway: from its start to its death everything it remembers is in its Desk; what
// outlives it is in the journal.
type process struct {
	w     *World
	name  string
	skew  time.Duration // its clock against the true time
	sets  []set         // what it was set to before, oldest first
	life  int           // how often it was started
	desk  *flow.Desk    // nil while it is down
	up    bool          // it has recovered and takes requests
	dead  bool
	tasks []*task // calls under way, in the order they began
	loop  *task
	// keeper prolongs the lease; nil where gateways have no names.
	keeper *task
	sign   *task // who signs in now: others of the process wait for it
	held   []*task
	told   []told // noted, not yet on the disk

	// See trouble.go.
	porter              *task         // brings what the broker has; nil where there is none
	own                 time.Duration // its clock against those of the others
	frozen              bool
	ice                 []*task       // have their turn when it goes on
	stood               time.Duration // how long it has stood still in all
	noJournal, noCentre bool          // it can not reach them
}

type told struct {
	key gateway.RequestKey
	at  time.Time
}

// set is a time until which the clock of a process was wrong by so much.
type set struct {
	until time.Time
	off   time.Duration
}

// set sets the clock of a process.
func (p *process) set(skew, own time.Duration) {
	p.sets = append(p.sets, set{p.w.s.now, p.skew + p.own})
	p.skew, p.own = skew, own
}

// Now, Since and Sleep make a process its own clock.
func (p *process) Now() time.Time { return p.w.s.now.Add(p.skew + p.own) }

// Since see gateway.Stopwatch. Of two times at which the clock read the same it takes the earlier.
func (p *process) Since(reading time.Time) time.Duration {
	for _, s := range p.sets {
		if at := reading.Add(-s.off); !at.After(s.until) {
			return p.w.s.now.Sub(at)
		}
	}
	return p.Now().Sub(reading)
}

// Sleep ends a turn. A process that was killed sleeps until all its calls are gone, and then never
// comes back.
func (p *process) Sleep(ctx context.Context, d time.Duration) error {
	t := taskOf(ctx)
	if t == p.keeper {
		p.w.s.park(t, d, d)
		if p.dead || t != p.keeper {
			return context.Canceled
		}
		return nil
	}
	p.signed(t)
	if !p.dead {
		t.idle = true
		p.w.s.park(t, d, d)
		p.hold(t)
		t.idle = false
	}
	if !p.dead {
		return nil
	}
	t.idle = true
	for len(p.tasks) > 0 {
		p.w.s.wait(t)
	}
	return context.Canceled
}

// boot starts a process: it recovers and then runs until it dies.
func (p *process) boot() {
	p.life++
	p.dead, p.up, p.sign, p.held, p.told = false, false, nil, nil, nil
	p.ice, p.stood = nil, 0
	desk, err := flow.New(p.w.options(p))
	if err != nil {
		p.w.broken("a gateway does not start: " + err.Error())
		return
	}
	p.desk = desk
	t := &task{proc: p}
	p.loop = t
	t.onEnd = p.gone
	p.w.s.start(p.w.s.between(time.Second, 20*time.Second), t, func() {
		ctx := p.w.s.context(t)
		if !p.w.bend.noRecovery {
			for desk.Recover(ctx) != nil && !p.dead {
				p.w.s.park(t, time.Second, 10*time.Second)
			}
		}
		if p.dead {
			return
		}
		p.up = true
		if p.w.named {
			p.keep(desk)
		}
		if p.w.broker != nil {
			p.carry()
		}
		if err := desk.Run(ctx); err != nil {
			p.w.broken("a gateway stops: " + err.Error())
		}
	})
}

// keep says that a process lives, beside whatever else it does.
func (p *process) keep(desk *flow.Desk) {
	t, life := &task{proc: p}, p.life
	p.keeper = t
	t.onEnd = func() {
		if p.keeper == t {
			p.keeper = nil
		}
	}
	p.w.s.start(0, t, func() {
		if err := desk.KeepAlive(p.w.s.context(t)); err != nil && p.life == life && !p.dead {
			p.w.broken("a gateway is told to stop: " + err.Error())
		}
	})
}

// kill ends a process between two instructions of the task whose turn it is. Its calls fall apart
// one after the other without doing anything any more; then it is started anew.
func (p *process) kill() {
	if p.dead || p.desk == nil {
		return
	}
	p.dead, p.up, p.told = true, false, nil
	p.thaw()
	if !p.w.over {
		p.w.count("crash")
		p.w.trace("kill", p.name)
	}
	all := append([]*task{p.loop}, p.tasks...)
	if p.keeper != nil {
		all = append(all, p.keeper)
	}
	if p.porter != nil {
		all = append(all, p.porter)
	}
	for _, t := range all {
		p.w.s.after(0, func() { p.w.s.wake(t) })
	}
	p.held = nil
}

// gone is called when the loop of a process has ended.
func (p *process) gone() {
	p.desk, p.loop = nil, nil
	if !p.w.over {
		p.w.s.after(p.w.s.between(time.Second, 2*time.Minute), p.boot)
	}
}

// leave takes a call from the list; the last one of a dead process lets its loop go.
func (p *process) leave(t *task) {
	for i, x := range p.tasks {
		if x == t {
			p.tasks = append(p.tasks[:i], p.tasks[i+1:]...)
			break
		}
	}
	p.signed(t)
	if p.dead && len(p.tasks) == 0 && p.loop != nil && p.loop.idle {
		p.w.s.wake(p.loop)
	}
}

// enter lets a call into the gateway unless nobody could say what it would wait for there: it may
// wait for one other about the same bill.
func (p *process) enter(t *task) bool {
	if t.bill != "" {
		var first *task
		for _, x := range p.tasks {
			if x == t || !x.inside || x.bill != t.bill {
				continue
			}
			if first != nil {
				return false
			}
			first = x
		}
		if first != nil {
			if p.w.invoices != nil && (t.op == opRefund || first.op == opRefund) {
				return false // a refund that takes a bill along waits elsewhere before it waits for the other
			}
			same := first.op == t.op && first.request == t.request
			if !same && opens(t.op) {
				return false
			}
			t.first = first
			first.next = t
		}
	}
	t.inside = true
	return true
}

// signing notes that a task begins a sign-in; the others of its process would wait for it where
// nobody sees it, so they do not get a turn.
func (p *process) signing(t *task) { p.sign = t }

// signed notes that it is over.
func (p *process) signed(t *task) {
	if p.sign != t {
		return
	}
	p.sign = nil
	held := p.held
	p.held = nil
	for _, x := range held {
		p.w.s.after(0, func() { p.w.s.wake(x) })
	}
}

// hold keeps a task from its turn while another signs in.
func (p *process) hold(t *task) {
	for p.sign != nil && p.sign != t && !p.dead {
		p.held = append(p.held, t)
		p.w.s.wait(t)
	}
}

// options puts the Desk of a process together.
func (w *World) options(p *process) flow.Options {
	var j gateway.Journal = &disk{p: p}
	var c gateway.Centre = &line{p: p}
	if w.bend.journal != nil {
		j = w.bend.journal(p, j)
	}
	if w.bend.centre != nil {
		c = w.bend.centre(p, c)
	}
	o := flow.Options{
		Journal: j, Centre: func(ident.Institution) gateway.Centre { return c },
		Institutions: w.institutions, Catalog: w.kit.catalog,
		Check: func(*gateway.Region) *check.Checker { return w.kit.checkers[w.strict] },
		Clock: p, Digest: keyed, Workers: 1, Kinds: []gateway.CaseKind{pharmacy.Kind{}, filing.Kind{}},
		Timing: flow.Timing{
			AskTries: 6, AskMost: 2 * time.Minute, UploadMost: 2 * time.Minute,
			CredentialTTL: 10 * time.Minute, Poll: 5 * time.Second,
		},
	}
	if w.named {
		o.Name = p.name
	}
	if w.broker != nil {
		o.Queue = queueOf{w.broker, p}
	}
	if w.bend.options != nil {
		w.bend.options(p, &o)
	}
	return o
}
