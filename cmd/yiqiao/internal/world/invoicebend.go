package world

import (
	"context"

	"yiqiao/gateway"
)

// bentPlatform puts the planted fault of electronic invoices in place.
func (w *World) bentPlatform(p gateway.InvoicePlatform) gateway.InvoicePlatform {
	switch w.bend.invoice {
	case ReissueNewNumber, RedUnheard, DropUnknownBill:
		return bentPlatform{p, w.bend.invoice}
	}
	return p
}

type bentPlatform struct {
	gateway.InvoicePlatform
	how Mutation
}

func (p bentPlatform) Issue(ctx context.Context, d gateway.InvoiceDraft) gateway.InvoiceAnswer[gateway.PlatformBill] {
	a := p.InvoicePlatform.Issue(ctx, d)
	if a.Outcome == gateway.OutcomeDone || a.Outcome == gateway.OutcomeRefused {
		return a
	}
	switch p.how {
	case ReissueNewNumber:
		d.BusNo += "R"
		return p.InvoicePlatform.Issue(ctx, d)
	case DropUnknownBill:
		return gateway.InvoiceAnswer[gateway.PlatformBill]{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseBusiness}
	}
	return a
}

func (p bentPlatform) Reverse(ctx context.Context, r gateway.InvoiceReversal) gateway.InvoiceAnswer[gateway.PlatformBill] {
	a := p.InvoicePlatform.Reverse(ctx, r)
	if p.how == RedUnheard && a.Outcome != gateway.OutcomeDone && a.Outcome != gateway.OutcomeRefused {
		a.Outcome, a.Value = gateway.OutcomeDone, gateway.PlatformBill{Known: true, Reversed: true}
	}
	return a
}
