// Package pharmacy is the sale over a pharmacy's counter: 1101 finds the person, 2101 tries, 2102 settles,
// 2103 takes the settlement back whole. One call carries head and rows, nothing is uploaded before, and only
// the answer to 2102 gives a visit (docs/interface/invariants.md, "Order of calls and ids").
//
// Kind says what the steps are and where a sale stands; both are pure. Counter is how a HIS adapter asks. The
// sending, the keeping, and finding out what became of a 2102 nobody answered belong to gateway.Cases: 5203
// can not be asked without a visit, so 2601 takes it back, and the sale may be confirmed again.
package pharmacy

import (
	"context"
	"encoding/json"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/money"
)

const (
	letter = 'D'

	opOpen    = "sale.open"
	opConfirm = "sale.confirm"
	opRefund  = "sale.refund"
)

// Counter implements gateway.Dispensary over the desk that carries the cases out, which must know Kind.
type Counter struct{ Cases gateway.Cases }

var _ gateway.Dispensary = Counter{}

// OpenSale implements gateway.Dispensary. What proves the person is no part of what two calls of one request id
// are compared by: a card or code is another each time it is read.
func (s Counter) OpenSale(ctx context.Context, c gateway.Caller, r gateway.OpenSale) (gateway.Sale, error) {
	if err := draft.Refusal("sale.open", "", checkSale(&r)); err != nil {
		return gateway.Sale{}, err
	}
	kept := r
	kept.Credential = gateway.Credential{Type: r.Credential.Type}
	body, err := json.Marshal(kept)
	if err != nil {
		return gateway.Sale{}, unwritable(err)
	}
	kept.Operator = gateway.Operator{}
	same, err := json.Marshal(kept)
	if err != nil {
		return gateway.Sale{}, unwritable(err)
	}
	return s.do(ctx, c, gateway.CaseCall{Op: opOpen, RequestID: r.RequestID, Institution: r.Institution, Operator: r.Operator,
		Credential: &r.Credential, Kept: body, Same: same})
}

// ConfirmSale implements gateway.Dispensary.
func (s Counter) ConfirmSale(ctx context.Context, c gateway.Caller, r gateway.ConfirmSale) (gateway.Sale, error) {
	b := &draft.Sheet{}
	if _, err := money.Parse(r.ExpectCash); r.ExpectCash != "" && err != nil {
		b.Amount(err, "/expect_cash", r.ExpectCash, "16,2")
	}
	if err := draft.Refusal("sale.confirm", r.ID, b.Found); err != nil {
		return gateway.Sale{}, err
	}
	if r.ID == "" {
		return gateway.Sale{}, &gateway.Error{Code: gateway.CodeNotFound, Op: "sale.confirm"}
	}
	return s.do(ctx, c, gateway.CaseCall{Op: opConfirm, RequestID: r.RequestID, ID: r.ID, Operator: r.Operator, Credential: r.Credential,
		Same: []byte(r.Invoice + "\x00" + r.ExpectCash), Asked: r})
}

// RefundSale implements gateway.Dispensary.
func (s Counter) RefundSale(ctx context.Context, c gateway.Caller, r gateway.RefundSale) (gateway.Sale, error) {
	if r.ID == "" {
		return gateway.Sale{}, &gateway.Error{Code: gateway.CodeNotFound, Op: "sale.refund"}
	}
	return s.do(ctx, c, gateway.CaseCall{Op: opRefund, RequestID: r.RequestID, ID: r.ID, Operator: r.Operator, Asked: r})
}

// Sale implements gateway.Dispensary.
func (s Counter) Sale(ctx context.Context, c gateway.Caller, id string) (gateway.Sale, error) {
	a, err := s.Cases.Case(ctx, c, letter, id)
	return saleOf(a), err
}

func (s Counter) do(ctx context.Context, c gateway.Caller, r gateway.CaseCall) (gateway.Sale, error) {
	a, err := s.Cases.DoCase(ctx, c, letter, r)
	return saleOf(a), err
}

func saleOf(a gateway.CaseAnswer) gateway.Sale {
	if a.Sale == nil {
		return gateway.Sale{}
	}
	return *a.Sale
}

func unwritable(err error) error {
	return &gateway.Error{Code: gateway.CodeInternal, Op: "sale", Err: err}
}
