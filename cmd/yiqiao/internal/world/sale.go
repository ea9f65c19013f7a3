package world

import (
	"context"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/pharmacy"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Sales over a pharmacy's counter: trial, settlement, and back whole.

const (
	opSale        = "sale"
	opSaleConfirm = "sale-confirm"
	opSaleBack    = "sale-refund"
)

// openPharmacy gives a town a pharmacy, which takes some of the bills of the hospitals over, and has some patients
// file something.
func (w *World) openPharmacy() {
	if w.cases == nil {
		return
	}
	place := w.kit.pharmacy
	code := ident.Institution(place.Code)
	some := w.institutions[ident.Institution(w.places[0].Code)]
	inst := *some
	inst.Code, inst.Name, inst.Area, inst.HospLevel = code, place.Name, place.Area, place.Level
	w.institutions[code] = &inst
	chemist := &cashier{w: w, place: place, caller: gateway.Caller{System: "shop", Institutions: []ident.Institution{code}},
		oper: gateway.Operator{ID: "901", Name: "药师", Type: "1"}}
	for _, c := range w.cashiers {
		var stay []*bill
		for _, b := range c.bills {
			switch x := w.cases.IntN(20); {
			case x < 3 && b.stay == nil && !b.byHand && len(b.open.Fees) <= 100:
				b.sells(chemist)
				chemist.bills = append(chemist.bills, b)
				continue
			case x == 3:
				stay = append(stay, w.newFiling(len(w.papers), c))
			}
			stay = append(stay, b)
		}
		c.bills = stay
	}
	w.cashiers = append(w.cashiers, chemist)
}

// sells makes a bill a sale.
func (b *bill) sells(c *cashier) {
	b.c = c
	o := &b.open
	o.Institution, o.Operator = ident.Institution(c.place.Code), c.oper
	b.sale = &gateway.OpenSale{RequestID: o.RequestID, Institution: o.Institution, Operator: c.oper, Credential: o.Credential, MedType: "41",
		Begin: o.Visit.Begin, UseAccount: o.UseAccount, Total: o.Total}
	for _, f := range o.Fees {
		b.sale.Fees = append(b.sale.Fees, gateway.SaleRow{ID: f.ID, Code: f.Code, LocalCode: f.LocalCode, Quantity: f.Quantity, Price: f.Price,
			Amount: f.Amount, Time: f.Time})
	}
}

// selling adds a call about a sale.
func (b *bill) selling(op, id string, cred **gateway.Credential, do func(context.Context, pharmacy.Counter) (gateway.Sale, error)) *request {
	r := &request{op: op, id: id, key: b.name, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := do(ctx, pharmacy.Counter{Cases: d})
		return answer{sale: s}, err
	}}
	if cred != nil {
		r.again = func() { *cred = &b.open.Credential }
	}
	return b.add(r)
}

func (b *bill) openingSale() *request {
	in := *b.sale
	return b.selling(opSale, in.RequestID, nil, func(ctx context.Context, x pharmacy.Counter) (gateway.Sale, error) {
		return x.OpenSale(ctx, b.c.caller, in)
	})
}

func (b *bill) confirmingSale(tag, expect string) *request {
	in := gateway.ConfirmSale{RequestID: "c" + tag + b.name, ID: b.id, Operator: b.c.oper, ExpectCash: expect}
	return b.selling(opSaleConfirm, in.RequestID, &in.Credential, func(ctx context.Context, x pharmacy.Counter) (gateway.Sale, error) {
		return x.ConfirmSale(ctx, b.c.caller, in)
	})
}

func (b *bill) refundingSale(tag string) *request {
	in := gateway.RefundSale{RequestID: "r" + tag + b.name, ID: b.id, Operator: b.c.oper}
	return b.selling(opSaleBack, in.RequestID, nil, func(ctx context.Context, x pharmacy.Counter) (gateway.Sale, error) {
		return x.RefundSale(ctx, b.c.caller, in)
	})
}

// sell takes a sale as far as it goes.
func (c *cashier) sell(b *bill) {
	open := b.openingSale()
	if !c.insist(open, 8) || open.told == nil || b.id == "" {
		return
	}
	c.w.tally.Sales++
	c.pause(time.Second, 2*time.Minute)
	switch x := c.w.s.rng.IntN(100); {
	case x < 5: // the customer walks away
		return
	case x < 10:
		c.insist(b.confirmingSale("w", "999999.99"), 3) // another figure than the customer was told
	}
	if c.chance(100) {
		c.pause(9*time.Minute, 15*time.Minute) // the credential is forgotten by then
	}
	confirm := b.confirmingSale("1", "")
	if c.chance(80) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, confirm, b.confirmingSale("2", ""))
	}
	if !c.insist(confirm, 8) || confirm.told == nil || !c.w.s.chance(300) {
		return
	}
	c.pause(time.Second, 10*time.Minute)
	r := b.refundingSale("1")
	if c.chance(100) {
		c.w.count("his-double-click")
		c.ask(5*time.Minute, r, b.refundingSale("2"))
	}
	c.insist(r, 8)
	if c.w.s.chance(150) {
		c.w.count("his-odd-order")
		c.insist(b.confirmingSale("9", ""), 2) // after the refund
	}
}

// soldBy is the settlement a shop believes to be in force for a sale.
func (b *bill) soldBy() (setl string, a amounts) {
	for _, r := range b.requests {
		if r.told == nil {
			continue
		}
		switch s := r.told.sale; {
		case r.op == opSaleConfirm && s.State == gateway.SaleSettled && s.Amounts != nil:
			setl, a = string(s.SettlementID), amountsOf(s.Amounts)
		case r.op == opSaleBack:
			return "", amounts{} // a sale is settled once
		}
	}
	return setl, a
}

// viewSale holds what the gateway says of a sale against the centre.
func (w *World) viewSale(b *books, x *bill, d *flow.Desk) {
	s, err := pharmacy.Counter{Cases: d}.Sale(bg(), x.c.caller, x.id)
	if err != nil {
		w.violate("no-view", "%s: %v", x.id, err)
		return
	}
	list := b.standing(x.id)
	switch {
	case len(list) == 0 && s.State == gateway.SaleSettled:
		w.violate("told-settled", "%s is settled here and not at the centre", x.id)
	case len(list) > 0 && s.State != gateway.SaleSettled:
		w.violate("told-not-settled", "%s is %s here and in force at the centre", x.id, s.State)
	case len(list) > 0 && (s.SettlementID != ident.Settlement(list[0].ID) || s.Amounts == nil || amountsOf(s.Amounts) != atCentre(list[0])):
		w.violate("amounts", "%s: %s here, %s at the centre", x.id, amountsText(s.Amounts), atCentre(list[0]))
	case len(list) > 0 && list[0].Total != fen(x.sale.Total):
		w.violate("amounts", "%s: goods of %s, %s are settled", x.id, x.sale.Total, list[0].Total)
	case s.Unknown:
		w.violate("still-unknown", "%s says its outcome is unknown", x.id)
	}
}

// sameCase holds the answer to a repeated request about a sale or a filing against the first one.
func (w *World) sameCase(r *request, first, again answer) {
	cash := func(s gateway.Sale) string {
		if s.Amounts == nil {
			return ""
		}
		return fmt.Sprint(s.SettlementID, s.Amounts.Cash, s.Amounts.Fund, s.Amounts.Account)
	}
	a, b := first, again
	if a.sale.ID != b.sale.ID || r.op == opSaleConfirm && cash(a.sale) != cash(b.sale) || a.filing.ID != b.filing.ID || a.filing.Number != b.filing.Number {
		w.violate("answer-changed", "%s %s: was told %s %s%s, now %s %s%s", r.op, r.id, a.sale.ID+a.filing.ID, a.filing.Number, cash(a.sale),
			b.sale.ID+b.filing.ID, b.filing.Number, cash(b.sale))
	}
}

// total is the sum of settlements.
func total(list []*centreSettlement) (sum money.Fen) {
	for _, s := range list {
		sum += s.Total
	}
	return sum
}
