package world

import (
	"context"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Patients in hospital: admission, rows, discharge, settlement and the way back.

const (
	opAdmit     = "admit"
	opCharge    = "charge"
	opDischarge = "discharge"
	opStayEnd   = "stay-settle"
	opStayBack  = "stay-refund"
)

// inpatient is what a bill has when it is a stay.
type inpatient struct {
	admission gateway.AdmitStay
	before    bool   // it is settled before its discharge is registered
	booked    ledger // the settlements the HIS believes to be in force
}

// admits makes a bill a stay. Its person has no other: nobody is in two beds.
func (w *World) admits(b *bill) {
	w.stays++
	b.byHand, b.person = false, w.inpatients[w.stays-1]
	o := &b.open
	o.Credential = credential(w.more, b.person)
	b.stay = &inpatient{before: w.settleFirst, booked: ledger{}, admission: gateway.AdmitStay{
		RequestID: "a" + b.name, Institution: o.Institution, Operator: b.c.oper, Credential: o.Credential, Diagnoses: o.Diagnoses,
		Visit: gateway.StayInfo{Number: "ZY" + b.name, MedType: "21", Begin: o.Visit.Begin, Doctor: o.Visit.Doctor,
			Department: o.Visit.Department, Bed: "01", Operation: gateway.Coded{Code: "00.1", Name: "手术"}},
	}}
}

// staying adds a call about the stay.
func (b *bill) staying(op, id string, cred **gateway.Credential, do func(context.Context, *flow.Desk) (gateway.Stay, error)) *request {
	r := &request{op: op, id: id, key: b.name, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := do(ctx, d)
		return answer{stay: s}, err
	}}
	if cred != nil {
		r.again = func() { *cred = &b.open.Credential }
	}
	return b.add(r)
}

func (b *bill) admitting() *request {
	in := b.stay.admission
	return b.staying(opAdmit, in.RequestID, nil, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return d.AdmitStay(ctx, b.c.caller, in)
	})
}

// charging hands rows in; amount is what they are worth.
func (b *bill) charging(tag string, fees []gateway.Fee) *request {
	in := gateway.ChargeStay{RequestID: "f" + tag + b.name, ID: b.id, Operator: b.c.oper, Fees: fees}
	r := b.staying(opCharge, in.RequestID, nil, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return d.ChargeStay(ctx, b.c.caller, in)
	})
	for _, f := range fees {
		r.worth += fen(f.Amount)
	}
	return r
}

func (b *bill) discharging(tag string) *request {
	in := gateway.DischargeStay{RequestID: "d" + tag + b.name, ID: b.id, Operator: b.c.oper, End: dawn().Format(time.DateTime),
		Department: b.open.Visit.Department, Way: "1", Operation: b.stay.admission.Visit.Operation, Diagnoses: b.open.Diagnoses}
	return b.staying(opDischarge, in.RequestID, nil, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return d.DischargeStay(ctx, b.c.caller, in)
	})
}

// ending settles; trial: only what it would come to is asked.
func (b *bill) ending(tag, expect string, trial bool) *request {
	in := gateway.SettleStay{RequestID: "e" + tag + b.name, ID: b.id, Operator: b.c.oper, UseAccount: b.open.UseAccount,
		ExpectCash: expect, TrialOnly: trial}
	return b.staying(opStayEnd, in.RequestID, &in.Credential, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return d.SettleStay(ctx, b.c.caller, in)
	})
}

func (b *bill) takingBack(tag, to string) *request {
	in := gateway.RefundStay{RequestID: "b" + tag + b.name, ID: b.id, Operator: b.c.oper, To: to}
	return b.staying(opStayBack, in.RequestID, nil, func(ctx context.Context, d *flow.Desk) (gateway.Stay, error) {
		return b.c.w.refundStay(ctx, d, b.c.caller, in)
	})
}

// keep takes a patient in and brings the stay as far as it goes.
func (c *cashier) keep(b *bill) {
	open := b.admitting()
	if !c.insist(open, 8) || open.told == nil || b.id == "" {
		return
	}
	c.w.tally.Stays++
	first := len(b.open.Fees) // in one call, or in two
	if first > 1 && c.w.s.chance(500) {
		first = 1
	}
	if !c.done(b.charging("0", b.open.Fees[:first])) {
		return
	}
	if !c.midway(b, "0") {
		return
	}
	if rest := b.open.Fees[first:]; len(rest) > 0 && !c.done(b.charging("1", rest)) {
		return
	}
	if c.w.s.chance(150) && !c.done(b.charging("r", []gateway.Fee{returned(b.open.Fees[0])})) {
		return
	}
	if visit := string(open.told.stay.Visit); visit != "" && c.w.s.chance(300) {
		c.upload(b, visit, 1+c.w.s.rng.IntN(3))
	}
	c.pause(time.Second, 5*time.Minute)
	if !b.stay.before && !c.leave(b) {
		return
	}
	if c.w.s.chance(200) && !c.done(b.ending("t", "", true)) {
		return
	}
	if c.w.s.chance(100) {
		c.insist(b.ending("w", "999999.99", false), 3) // another figure than the patient was told
	}
	for n := range 2 {
		if !c.settleStay(b, fmt.Sprint(n)) {
			return
		}
		c.invoice(b, fmt.Sprint("e", n), b.id)
		if !c.w.s.chance(400) {
			return
		}
		c.pause(time.Second, 10*time.Minute)
		to := []string{"settlement", "settlement", "discharge", "admission"}[c.w.s.rng.IntN(4)]
		if !c.done(b.takingBack(fmt.Sprint(n), to)) || to == "admission" || c.w.s.chance(300) {
			return
		}
		if !b.stay.before && to == "discharge" && !c.done(b.discharging("n"+fmt.Sprint(n))) {
			return
		}
	}
}

// leave registers the discharge, and now and then takes it back and does it again.
func (c *cashier) leave(b *bill) bool {
	if !c.done(b.discharging("0")) {
		return false
	}
	if !c.w.s.chance(150) {
		return true
	}
	c.w.count("his-discharge-undone")
	return c.done(b.takingBack("d", "discharge")) && c.done(b.discharging("1"))
}

func (c *cashier) settleStay(b *bill, tag string) bool {
	r := b.ending(tag, "", false)
	if c.chance(80) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, r, b.ending(tag+"x", "", false))
	}
	if !c.done(r) {
		return false
	}
	return !b.stay.before || tag != "0" || c.done(b.discharging("0"))
}

// done repeats a request until it is answered for good, and tells whether it was carried out.
func (c *cashier) done(r *request) bool { return c.insist(r, 8) && r.told != nil }

// returned is the row that takes another back.
func returned(f gateway.Fee) gateway.Fee {
	f.RefundOf, f.ID = f.ID, f.ID+"-r"
	f.Quantity, f.Amount = "-"+f.Quantity, "-"+f.Amount
	return f
}

// chargedHere is what the rows of a stay come to by the answers the HIS was given; false when one
// was refused or taken back, and the sum can not be told from them.
func (b *bill) chargedHere() (sum money.Fen, known bool) {
	for _, r := range b.requests {
		switch {
		case r.op == opCharge && r.told != nil:
			sum += r.worth
		case r.op == opCharge && r.sent > 0:
			return 0, false
		}
	}
	return sum, true
}

// viewStay holds what the gateway says of a stay against the centre.
func (w *World) viewStay(b *books, x *bill, d *flow.Desk) {
	s, err := d.Stay(bg(), x.c.caller, x.id)
	if err != nil {
		w.violate("no-view", "%s: %v", x.id, err)
		return
	}
	list := b.standing(x.id)
	var stands *centreSettlement // at the end; the others are in the middle
	mids := ledger{}
	for _, y := range list {
		if y.Mid {
			mids[y.ID] = atCentre(y)
		} else {
			stands = y
		}
	}
	for _, m := range s.Mid {
		if m.Amounts == nil || mids[string(m.SettlementID)] != amountsOf(m.Amounts) {
			w.violate("amounts", "%s: %s of %s in the middle here, %s at the centre", x.id, amountsText(m.Amounts), m.SettlementID,
				mids[string(m.SettlementID)])
		}
	}
	switch {
	case len(mids) != len(s.Mid):
		w.violate("told-settled", "%s: %d settlements in the middle here, %d at the centre", x.id, len(s.Mid), len(mids))
	case stands == nil && s.State == gateway.StaySettled:
		w.violate("told-settled", "%s is settled here and not at the centre", x.id)
	case stands != nil && s.State != gateway.StaySettled:
		w.violate("told-not-settled", "%s is %s here and in force at the centre", x.id, s.State)
	case stands != nil && (s.SettlementID != ident.Settlement(stands.ID) || s.Amounts == nil || amountsOf(s.Amounts) != atCentre(stands)):
		w.violate("amounts", "%s: %s here, %s at the centre", x.id, amountsText(s.Amounts), atCentre(stands))
	case stands != nil && fen(s.Charged) != total(list):
		w.violate("charged", "%s: rows of %s here, %s are settled", x.id, s.Charged, total(list))
	case s.Unknown:
		w.violate("still-unknown", "%s says its outcome is unknown", x.id)
	}
	if sum, known := x.chargedHere(); known && stands != nil && sum != total(list) {
		w.violate("charged", "%s: the HIS was told that rows of %s are in, %s are settled", x.id, sum, total(list))
	}
}

// settles reports whether a transaction settles a bill or a stay.
func settles(n ident.Infno) bool { return n == "2207" || n == "2304" || n == "2102" }

// undoesOne reports whether a transaction undoes a settlement.
func undoesOne(n ident.Infno) bool { return n == "2208" || n == "2305" || n == "2103" }
