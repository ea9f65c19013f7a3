package rest

import (
	"net/http"
	"net/url"
	"slices"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

const (
	sales   = "/api/v1/pharmacy-sales/"
	filings = "/api/v1/filings/"
)

// caseBinders read the bodies of calls about sales and filings.
type caseBinders struct {
	sale     *bind.Binder[gateway.OpenSale]
	confirm  *bind.Binder[gateway.ConfirmSale]
	refund   *bind.Binder[gateway.RefundSale]
	filing   *bind.Binder[gateway.OpenFiling]
	withdraw *bind.Binder[gateway.WithdrawFiling]
}

func newCaseBinders() (b caseBinders, err error) {
	rules := func(name string, optional ...string) bind.Rules {
		r := bind.Rules{Optional: append([]string{name + ".request_id"}, operatorOptional...), MaxText: operatorText}
		for _, o := range optional {
			r.Optional = append(r.Optional, name+"."+o)
		}
		return r
	}
	sale := rules("OpenSale", "use_account")
	sale.Decimal = []string{"OpenSale.total", "SaleRow.quantity", "SaleRow.price", "SaleRow.amount"}
	if b.sale, err = bind.New[gateway.OpenSale](sale); err != nil {
		return b, err
	}
	confirm := rules("ConfirmSale")
	confirm.Decimal = []string{"ConfirmSale.expect_cash"}
	if b.confirm, err = bind.New[gateway.ConfirmSale](confirm); err != nil {
		return b, err
	}
	if b.refund, err = bind.New[gateway.RefundSale](rules("RefundSale")); err != nil {
		return b, err
	}
	if b.filing, err = bind.New[gateway.OpenFiling](rules("OpenFiling")); err != nil {
		return b, err
	}
	b.withdraw, err = bind.New[gateway.WithdrawFiling](rules("WithdrawFiling"))
	return b, err
}

// dispensary is the desk as far as it knows of sales.
func (h *Handler) dispensary() (gateway.Dispensary, error) {
	if d, ok := h.o.Desk.(gateway.Dispensary); ok {
		return d, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
}

// registry is the desk as far as it knows of filings.
func (h *Handler) registry() (gateway.Registry, error) {
	if r, ok := h.o.Desk.(gateway.Registry); ok {
		return r, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
}

func (h *Handler) postSale(k *call) (answer, error) {
	k.where = sales
	d, err := h.dispensary()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.cases.sale)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	s, err := d.OpenSale(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.saleAnswer(s, http.StatusCreated)
}

func (h *Handler) postSaleConfirm(k *call) (answer, error) {
	k.where = sales
	s, err := about(k, h.dispensary, h.cases.confirm, func(r *gateway.ConfirmSale, request, id string) { r.RequestID, r.ID = request, id }, gateway.Dispensary.ConfirmSale)
	if err != nil {
		return answer{}, err
	}
	return k.saleAnswer(s, http.StatusOK)
}

func (h *Handler) postSaleRefund(k *call) (answer, error) {
	k.where = sales
	s, err := about(k, h.dispensary, h.cases.refund, func(r *gateway.RefundSale, request, id string) { r.RequestID, r.ID = request, id }, gateway.Dispensary.RefundSale)
	if err != nil {
		return answer{}, err
	}
	return k.saleAnswer(s, http.StatusOK)
}

func (h *Handler) getSale(k *call) (answer, error) {
	k.where = sales
	d, err := h.dispensary()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	s, err := d.Sale(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	return saleAnswer(http.StatusOK, s)
}

// saleAnswer answers a POST: 202 while something is under way, else it was done.
func (k *call) saleAnswer(s gateway.Sale, status int) (answer, error) {
	k.note(s.ID)
	moving := s.Unknown
	switch s.State {
	case gateway.SaleOpening, gateway.SaleSettling, gateway.SaleRefunding:
		moving = true
	}
	a, err := saleAnswer(k.caseStatus(moving, status), s)
	if a.status != http.StatusOK {
		a.location = sales + url.PathEscape(s.ID)
	}
	return a, err
}

// caseStatus is what a POST is answered with; a final answer counts as told once it was written.
func (k *call) caseStatus(moving bool, status int) int {
	if moving {
		return http.StatusAccepted
	}
	k.tell = k.requestID
	return status
}

func saleAnswer(status int, s gateway.Sale) (answer, error) {
	s.Refund = refundInChina(s.Refund)
	s.Steps = stepsInChina(s.Steps)
	return asJSON(status, s)
}

func stepsInChina(list []gateway.Step) []gateway.Step {
	list = append([]gateway.Step{}, slices.Clone(list)...)
	for i := range list {
		list[i].At = inChina(list[i].At)
	}
	return list
}

func (h *Handler) postFiling(k *call) (answer, error) {
	k.where = filings
	d, err := h.registry()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.cases.filing)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	f, err := d.OpenFiling(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.filingAnswer(f, http.StatusCreated)
}

func (h *Handler) postWithdraw(k *call) (answer, error) {
	k.where = filings
	f, err := about(k, h.registry, h.cases.withdraw, func(r *gateway.WithdrawFiling, request, id string) { r.RequestID, r.ID = request, id }, gateway.Registry.WithdrawFiling)
	if err != nil {
		return answer{}, err
	}
	return k.filingAnswer(f, http.StatusOK)
}

func (h *Handler) getFiling(k *call) (answer, error) {
	k.where = filings
	d, err := h.registry()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	f, err := d.Filing(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	f.Steps = stepsInChina(f.Steps)
	return asJSON(http.StatusOK, f)
}

func (k *call) filingAnswer(f gateway.Filing, status int) (answer, error) {
	k.note(f.ID)
	moving := f.Unknown || f.State == gateway.FilingOpening || f.State == gateway.FilingWithdrawing
	f.Steps = stepsInChina(f.Steps)
	a, err := asJSON(k.caseStatus(moving, status), f)
	if a.status != http.StatusOK {
		a.location = filings + url.PathEscape(f.ID)
	}
	return a, err
}
