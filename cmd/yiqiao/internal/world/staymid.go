package world

import (
	"context"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	simcentre "yiqiao/simulator/centre"
)

// Settlements in the middle of a stay, and back; and what a HIS books of a stay.

type centreSettlement = simcentre.Settlement

// midway settles what has been charged so far, and now and then takes that back; false: it can not be gone on with.
func (c *cashier) midway(b *bill, tag string) bool {
	if c.w.cases == nil || !c.w.s.chance(250) {
		return true
	}
	c.pause(time.Second, 5*time.Minute)
	if c.w.s.chance(200) && !c.done(b.settlingMidway("mt"+tag, true)) {
		return false
	}
	r := b.settlingMidway("m"+tag, false)
	if c.chance(80) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, r, b.settlingMidway("mx"+tag, false))
	}
	if !c.done(r) {
		return false
	}
	c.w.tally.MidStay++
	if n := len(r.told.stay.Mid); n > 0 {
		c.invoice(b, "m"+tag, r.told.stay.Mid[n-1].ID)
	}
	if !c.w.s.chance(300) {
		return true
	}
	c.pause(time.Second, 5*time.Minute)
	return c.done(b.takingBack("m"+tag, "settlement"))
}

func (b *bill) settlingMidway(tag string, trial bool) *request {
	in := gateway.SettleStay{RequestID: "e" + tag + b.name, ID: b.id, Operator: b.c.oper, UseAccount: b.open.UseAccount, TrialOnly: trial, MidStay: true}
	return b.staying(opStayEnd, in.RequestID, &in.Credential, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return d.SettleStay(ctx, b.c.caller, in)
	})
}

// heardStay takes in how a stay stands by a first answer, be it a refusal. What it says is settled is booked. What
// was booked when the request was first sent, and is settled no more by the answer, was taken back; what was booked
// since then an old answer that comes late knows nothing of.
func (r *request) heardStay(s gateway.Stay) {
	b := r.of
	if b.stay == nil || s.ID == "" {
		return
	}
	now := ledger{}
	if s.State == gateway.StaySettled && s.Amounts != nil {
		now[string(s.SettlementID)] = amountsOf(s.Amounts)
	}
	for _, m := range s.Mid {
		if m.Amounts != nil {
			now[string(m.SettlementID)] = amountsOf(m.Amounts)
		}
	}
	if r.op == opStayBack {
		for _, setl := range r.booked {
			if _, stands := now[setl]; !stands {
				delete(b.stay.booked, setl)
			}
		}
		return
	}
	for setl, a := range now {
		if !slices.Contains(r.booked, setl) { // else it may be gone since
			b.stay.booked[setl] = a
		}
	}
}

// standing are the settlements of a bill that are in force at the centre.
func (b *books) standing(id string) (list []*centreSettlement) {
	for i := range b.centre {
		s := &b.centre[i]
		if r := b.byMsgID(s.MsgID); s.InForce() && r != nil && r.Bill == id {
			list = append(list, s)
		}
	}
	return list
}
