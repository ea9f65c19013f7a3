package rest

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

const einvoices = "/api/v1/einvoices/"

// EInvoiceList is the answer to a question about the bills of a settlement.
type EInvoiceList struct {
	EInvoices []gateway.EInvoice `json:"einvoices"`
}

// invoiceBinders read the bodies of calls about electronic invoices.
type invoiceBinders struct {
	issue   *bind.Binder[gateway.IssueInvoice]
	reverse *bind.Binder[gateway.ReverseInvoice]
	paper   *bind.Binder[gateway.PaperInvoice]
	deliver *bind.Binder[gateway.DeliverInvoice]
}

func newInvoiceBinders() (b invoiceBinders, err error) {
	rules := func(name string, decimals ...string) bind.Rules {
		return bind.Rules{Optional: append([]string{name + ".request_id"}, operatorOptional...), MaxText: operatorText, Decimal: decimals}
	}
	if b.issue, err = bind.New[gateway.IssueInvoice](rules("IssueInvoice", "Payment.amount", "SelfPaid.total", "SelfPaidRow.quantity",
		"SelfPaidRow.price", "SelfPaidRow.amount", "Deposit.amount")); err != nil {
		return b, err
	}
	if b.reverse, err = bind.New[gateway.ReverseInvoice](rules("ReverseInvoice")); err != nil {
		return b, err
	}
	if b.paper, err = bind.New[gateway.PaperInvoice](rules("PaperInvoice")); err != nil {
		return b, err
	}
	b.deliver, err = bind.New[gateway.DeliverInvoice](rules("DeliverInvoice"))
	return b, err
}

// invoices is the desk as far as it knows of electronic invoices.
func (h *Handler) invoices() (gateway.Invoices, error) {
	if v, ok := h.o.Desk.(gateway.Invoices); ok {
		return v, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeInvoiceNotSet, Op: "rest"}
}

func (h *Handler) postInvoice(k *call) (answer, error) {
	k.where = einvoices
	v, err := h.invoices()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.invoice.issue)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	e, err := v.IssueInvoice(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	if e.State == gateway.InvoiceRefused {
		return answer{}, &gateway.Error{Code: gateway.CodeInvoiceRefused, Op: "rest", Detail: e.Message, Ref: e.ID}
	}
	return k.invoiceAnswer(e, http.StatusCreated)
}

// aboutInvoice answers a POST about a bill that is there.
func aboutInvoice[T any](k *call, b *bind.Binder[T], set func(r *T, request, id string),
	do func(gateway.Invoices, context.Context, gateway.Caller, T) (gateway.EInvoice, error)) (answer, error) {
	k.where = einvoices
	e, err := about(k, k.h.invoices, b, set, do)
	if err != nil {
		return answer{}, err
	}
	return k.invoiceAnswer(e, http.StatusOK)
}

func (h *Handler) postInvoiceReverse(k *call) (answer, error) {
	return aboutInvoice(k, h.invoice.reverse, func(r *gateway.ReverseInvoice, request, id string) { r.RequestID, r.ID = request, id }, gateway.Invoices.ReverseInvoice)
}

func (h *Handler) postInvoicePaper(k *call) (answer, error) {
	return aboutInvoice(k, h.invoice.paper, func(r *gateway.PaperInvoice, request, id string) { r.RequestID, r.ID = request, id }, gateway.Invoices.PaperInvoice)
}

func (h *Handler) postInvoiceDeliver(k *call) (answer, error) {
	return aboutInvoice(k, h.invoice.deliver, func(r *gateway.DeliverInvoice, request, id string) { r.RequestID, r.ID = request, id }, gateway.Invoices.DeliverInvoice)
}

func (h *Handler) getInvoice(k *call) (answer, error) {
	k.where = einvoices
	v, err := h.invoices()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	e, err := v.Invoice(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, chinaInvoice(e))
}

func (h *Handler) getSettlementInvoices(k *call) (answer, error) {
	k.where = settlements
	v, err := h.invoices()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	list, err := v.SettlementInvoices(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	out := EInvoiceList{EInvoices: []gateway.EInvoice{}}
	for _, e := range list {
		out.EInvoices = append(out.EInvoices, chinaInvoice(e))
	}
	return asJSON(http.StatusOK, out)
}

// invoiceAnswer answers a POST: 202 while something is under way.
func (k *call) invoiceAnswer(e gateway.EInvoice, status int) (answer, error) {
	k.note(e.ID)
	if !e.State.Rests() {
		status = http.StatusAccepted
	}
	a, err := asJSON(status, chinaInvoice(e))
	if status != http.StatusOK {
		a.location = einvoices + url.PathEscape(e.ID)
	}
	return a, err
}

func chinaInvoice(e gateway.EInvoice) gateway.EInvoice {
	e.History = append([]gateway.InvoiceStep{}, slices.Clone(e.History)...)
	for i := range e.History {
		e.History[i].At = inChina(e.History[i].At)
	}
	return e
}
