package world

import (
	"time"

	"yiqiao/gateway"
)

// serve takes a bill as far as it goes.
func (c *cashier) serve(b *bill) {
	switch {
	case b.stay != nil:
		c.keep(b)
		return
	case b.sale != nil:
		c.sell(b)
		return
	case b.paper != nil:
		c.file(b)
		return
	case b.byHand:
		c.byHand(b)
		return
	}
	open := b.opening()
	if !c.insist(open, 8) {
		return // the patient has walked away
	}
	if open.told == nil || b.id == "" {
		return
	}
	if c.chance(40) {
		c.misuse(b)
	}
	visit := string(open.told.bill.Visit)
	if c.w.s.chance(300) && visit != "" {
		c.upload(b, visit, 1+c.w.s.rng.IntN(3))
	}
	c.pause(time.Second, 2*time.Minute)
	switch x := c.w.s.rng.IntN(100); {
	case x < 4: // the patient walks away
		return
	case x < 9:
		c.insist(b.refunding("0"), 6)
		return
	case x < 13: // confirmed and cancelled at the same time
		c.w.count("his-odd-order")
		c.ask(5*time.Minute, b.confirming("0", ""), b.refunding("0"))
		return
	case x < 17:
		c.insist(b.confirming("w", "999999.99"), 3) // another figure than the patient was told
	}
	if c.chance(100) {
		c.pause(9*time.Minute, 15*time.Minute) // the credential is forgotten by then
	}
	confirm := b.confirming("1", "")
	if c.chance(80) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, confirm, b.confirming("2", ""))
	}
	if !c.insist(confirm, 8) {
		return
	}
	if confirm.told != nil {
		c.invoice(b, "", b.id)
	}
	if confirm.told != nil && c.w.s.chance(220) {
		c.refund(b)
	}
}

// misuse sends another body under a request id that is taken.
func (c *cashier) misuse(b *bill) {
	c.w.count("his-other-body")
	r := b.other()
	c.ask(time.Minute, r)
	if r.told != nil || r.err != nil && r.err.Code != gateway.CodeRequestIDReused {
		c.w.violate("other-body", "%s: another body under a known request id was not refused as such", r.id)
	}
}

// refund takes a settled bill back, in part or whole, and now and then in odd ways.
func (c *cashier) refund(b *bill) {
	c.pause(time.Second, 10*time.Minute)
	if n := len(b.open.Fees); n > 1 && c.w.s.chance(400) {
		part := b.refunding("p", b.open.Fees[c.w.s.rng.IntN(n)].ID)
		if !c.insist(part, 8) || c.w.s.chance(500) {
			return
		}
	}
	r := b.refunding("1")
	if c.chance(100) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, r, b.refunding("2"))
	}
	c.insist(r, 8)
	if c.w.s.chance(150) {
		c.w.count("his-odd-order")
		c.insist(b.confirming("9", ""), 2) // after the refund
	}
	if r.err != nil && c.w.s.chance(700) { // refused: once more under a new id
		c.insist(b.refunding("3"), 5)
	}
}

func (c *cashier) upload(b *bill, visit string, n int) {
	for i := range n {
		c.insist(b.uploading(i, visit), 2+c.w.s.rng.IntN(4))
	}
}

// close sees to everything that was left open: all requests are repeated until they are answered,
// and what was answered before must be answered so again. A bill nobody has an answer about comes last:
// a refund left half done is what it may be waiting for.
func (c *cashier) close() {
	for _, b := range c.bills {
		var order, last []*request
		for _, r := range b.requests {
			if r.op == opInvoice && !r.ended() {
				last = append(last, r)
			} else {
				order = append(order, r)
			}
		}
		for _, r := range append(order, last...) {
			if r.ended() {
				if (b.stay != nil || b.sale != nil || b.paper != nil) && r.err != nil && r.err.Code == gateway.CodeState {
					continue // not taken at the time; now it might be
				}
				c.ask(10*time.Minute, r)
				continue
			}
			if r.again != nil {
				r.again()
			}
			for i := 0; i < 40 && !r.ended(); i++ {
				if i > 0 {
					c.pause(time.Minute, 3*time.Minute)
				}
				c.ask(20*time.Minute, r)
			}
			if v := c.w.invoices; v != nil && r.op == opStayEnd && r.told != nil && r.told.stay.State == gateway.StaySettled && v.asked[b.id] != nil {
				c.insist(b.invoicing("z"+r.id, b.id), 40) // settled anew only now: the bill there was is reversed
			}
		}
	}
}
