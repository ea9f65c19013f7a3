package world

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

// cashier is a person at a counter with a HIS: takes one bill after the other, and at the end of
// the day, when all is calm, sees to everything that was left open.
type cashier struct {
	w       *World
	t       *task
	caller  gateway.Caller
	place   people.Institution
	oper    gateway.Operator
	bills   []*bill
	waiting []*call
	home    bool
	away    bool // finished the bills, waits for the calm
}

// request is one thing a HIS asks for under one request id.
type request struct {
	of     *bill
	op, id string
	key    string // what calls it can not run beside on one gateway
	do     func(context.Context, *flow.Desk) (answer, error)
	again  func()    // before it is sent once more: reads the credential anew, say
	undoes string    // of a 2208 by hand: the settlement it undoes
	worth  money.Fen // of rows of a stay

	booked []string // of a stay: the settlements the HIS had booked when it was first sent
	sent   int
	told   *answer // the final answer, when there was one
	err    *gateway.Error
}

// answer is what a HIS takes from an answer.
type answer struct {
	bill gateway.Settlement
	stay gateway.Stay
	tx   gateway.Transaction

	sale    gateway.Sale
	filing  gateway.Filing
	invoice string // of an electronic invoice: its number
}

// call is a request on its way to one gateway.
type call struct {
	r    *request
	done bool
	lost bool
	got  answer
	err  error
}

// ended tells whether a HIS need not ask again.
func (r *request) ended() bool { return r.told != nil || r.err != nil }

// begin sets the cashier to work.
func (c *cashier) begin() {
	c.t = &task{}
	c.t.onEnd = func() { c.home = true }
	c.w.s.start(c.w.s.between(time.Minute, 5*time.Minute), c.t, func() {
		for _, b := range c.bills {
			c.serve(b)
			c.pause(time.Second, 3*time.Minute)
		}
		c.away = true
		c.w.evening()
		for c.w.storm {
			c.pause(30*time.Second, time.Minute)
		}
		c.close()
	})
}

// evening ends the storm when the last bill has been served.
func (w *World) evening() {
	for _, c := range w.cashiers {
		if !c.away {
			return
		}
	}
	w.s.after(time.Minute, w.passed)
}

func (c *cashier) pause(lo, hi time.Duration) { c.w.s.park(c.t, lo, hi) }

func (c *cashier) chance(perMille int) bool { return c.w.storm && c.w.s.chance(perMille) }

// send gives a request to a gateway.
func (c *cashier) send(r *request, p *process) *call {
	w := c.w
	x := &call{r: r}
	if r.sent++; r.sent == 1 && r.of.stay != nil {
		r.booked = sorted(r.of.stay.booked)
	}
	t := &task{proc: p, bill: r.key, op: r.op, request: r.id}
	t.onEnd = func() {
		p.leave(t)
		x.done = true
		w.trace(r.op+r.id, x.word())
		for _, y := range c.waiting {
			if y == x {
				w.s.wake(c.t)
				return
			}
		}
	}
	w.s.start(w.s.between(time.Millisecond, 30*time.Millisecond), t, func() {
		for p.frozen { // it waits at the door
			p.ice = append(p.ice, t)
			w.s.wait(t)
		}
		life := p.life
		x.lost = true
		if !p.up || p.dead {
			return
		}
		p.tasks = append(p.tasks, t)
		p.hold(t)
		if p.dead || !p.enter(t) {
			return
		}
		got, err := r.do(w.s.context(t), p.desk)
		t.inside = false
		if p.dead || p.life != life {
			return
		}
		x.lost, x.got, x.err = false, got, err
	})
	return x
}

// word is how a call ended, for the digest.
func (x *call) word() string {
	switch {
	case x.lost:
		return "lost"
	case x.err != nil:
		return string(codeOf(x.err))
	}
	return string(x.got.bill.State) + string(x.got.stay.State) + string(x.got.sale.State) + string(x.got.filing.State) + x.got.tx.Outcome
}

// any gives a gateway that takes requests, or nil.
func (w *World) any() *process {
	var up []*process
	for _, p := range w.procs {
		if p.up && !p.dead {
			up = append(up, p)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[w.s.rng.IntN(len(up))]
}

// ask sends requests and waits for their answers as long as the cashier has patience. What comes
// later comes to nobody.
func (c *cashier) ask(patience time.Duration, list ...*request) {
	w := c.w
	var calls []*call
	for _, r := range list {
		if p := w.any(); p != nil {
			calls = append(calls, c.send(r, p))
		}
	}
	if len(calls) == 0 {
		c.pause(time.Second, 30*time.Second)
		return
	}
	c.waiting = calls
	impatient := false
	w.s.after(patience, func() {
		if len(c.waiting) > 0 && c.waiting[0] == calls[0] {
			impatient = true
			w.s.wake(c.t)
		}
	})
	for !impatient && !allDone(calls) {
		w.s.wait(c.t)
	}
	c.waiting = nil
	for _, x := range calls {
		if x.done && !x.lost {
			c.hear(x)
		}
	}
}

func allDone(calls []*call) bool {
	for _, x := range calls {
		if !x.done {
			return false
		}
	}
	return true
}

// hear takes an answer in.
func (c *cashier) hear(x *call) {
	r := x.r
	code := codeOf(x.err)
	switch code {
	case "":
		if r.told != nil {
			c.w.same(r, *r.told, x.got)
			return
		}
		if r.err != nil {
			c.w.violate("answer-changed", "%s %s: was told %s, now done", r.op, r.id, r.err.Code)
		}
		r.told = &x.got
		r.heardStay(x.got.stay)
		if p := c.w.any(); p != nil {
			p.desk.Told(c.caller, r.id)
		}
	case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeRequestInProgress, gateway.CodeStorage, gateway.CodeCentreBusy,
		gateway.CodeCentreDown, gateway.CodeCentreNoAnswer, gateway.CodeCentreUnreachable, gateway.CodeSignIn, gateway.CodeRestUnsettled,
		gateway.CodeInvoiceUnknown, gateway.CodeInvoiceDown:
	case gateway.CodeCredentialNeeded:
		c.w.count("his-credential-again")
	case gateway.CodeInternal:
		c.w.violate("internal", "%s %s: %v", r.op, r.id, x.err)
	default:
		if r.told != nil {
			c.w.violate("answer-changed", "%s %s: was told done, now %s", r.op, r.id, code)
			return
		}
		if first := r.err == nil; errors.As(x.err, &r.err) && first {
			r.heardStay(x.got.stay)
		}
	}
	if id := x.got.bill.ID + x.got.stay.ID + x.got.sale.ID + x.got.filing.ID; id != "" && opens(r.op) {
		if r.of.id != "" && r.of.id != id {
			c.w.violate("two-bills", "%s was %s and is %s now", r.id, r.of.id, id)
		}
		r.of.id = id
	}
}

// opens reports whether a call brings a bill, a stay or a case about.
func opens(op string) bool { return op == opOpen || op == opAdmit || op == opSale || op == opFile }

// insist repeats a request under the same id until it is answered for good or the tries are over.
func (c *cashier) insist(r *request, tries int) bool {
	for i := 0; i < tries && !r.ended(); i++ {
		if i > 0 {
			c.pause(3*time.Second, 90*time.Second)
			if r.again != nil {
				r.again()
			}
		}
		patience := c.w.s.between(time.Minute, 10*time.Minute)
		if c.chance(60) {
			c.w.count("his-impatient")
			patience = c.w.s.between(10*time.Millisecond, 20*time.Second)
		}
		if c.chance(60) {
			c.w.count("his-double-click")
			c.ask(patience, r, r)
			continue
		}
		c.ask(patience, r)
	}
	return r.ended()
}

func codeOf(err error) gateway.Code {
	if err == nil {
		return ""
	}
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return gateway.CodeInternal
}

// populate gives every hospital its cashiers and shares the bills out.
func (w *World) populate() {
	institutions := make([]ident.Institution, len(w.places))
	for i, p := range w.places {
		institutions[i] = ident.Institution(p.Code)
	}
	for i, place := range w.places {
		for k := range 2 + w.rng.IntN(3) {
			system := "his-a"
			if w.rng.IntN(2) == 0 {
				system = "his-b"
			}
			w.cashiers = append(w.cashiers, &cashier{
				w: w, place: place, caller: gateway.Caller{System: system, Institutions: institutions},
				oper: gateway.Operator{ID: fmt.Sprintf("%d%02d", i+1, k+1), Name: "收费员", Type: "1"},
			})
		}
	}
	for n := range w.opt.Bills {
		c := w.cashiers[w.rng.IntN(len(w.cashiers))]
		c.bills = append(c.bills, w.newBill(n, c))
	}
	w.openPharmacy()
}
