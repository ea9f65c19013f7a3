package rest

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

const stays = "/api/v1/stays/"

// wardBinders read the bodies of calls about stays.
type wardBinders struct {
	admit     *bind.Binder[gateway.AdmitStay]
	charge    *bind.Binder[gateway.ChargeStay]
	change    *bind.Binder[gateway.ChangeStay]
	discharge *bind.Binder[gateway.DischargeStay]
	settle    *bind.Binder[gateway.SettleStay]
	refund    *bind.Binder[gateway.RefundStay]
}

func newWardBinders() (w wardBinders, err error) {
	rules := func(name string, optional ...string) bind.Rules {
		r := bind.Rules{Optional: append([]string{name + ".request_id"}, operatorOptional...), MaxText: operatorText}
		for _, o := range optional {
			r.Optional = append(r.Optional, name+"."+o)
		}
		return r
	}
	if w.admit, err = bind.New[gateway.AdmitStay](rules("AdmitStay")); err != nil {
		return w, err
	}
	charge := rules("ChargeStay")
	charge.Decimal = []string{"Fee.quantity", "Fee.price", "Fee.amount"}
	if w.charge, err = bind.New[gateway.ChargeStay](charge); err != nil {
		return w, err
	}
	if w.change, err = bind.New[gateway.ChangeStay](rules("ChangeStay")); err != nil {
		return w, err
	}
	if w.discharge, err = bind.New[gateway.DischargeStay](rules("DischargeStay")); err != nil {
		return w, err
	}
	settle := rules("SettleStay", "use_account", "trial_only")
	settle.Decimal = []string{"SettleStay.expect_cash"}
	if w.settle, err = bind.New[gateway.SettleStay](settle); err != nil {
		return w, err
	}
	w.refund, err = bind.New[gateway.RefundStay](rules("RefundStay"))
	return w, err
}

// ward is the desk as far as it knows of stays.
func (h *Handler) ward() (gateway.Ward, error) {
	if w, ok := h.o.Desk.(gateway.Ward); ok {
		return w, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
}

func (h *Handler) postStay(k *call) (answer, error) {
	k.where = stays
	w, err := h.ward()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.stay.admit)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	s, err := w.AdmitStay(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.stayAnswer(s, http.StatusCreated)
}

// about asks the desk's contract V about a thing that is there; set puts its ids into the request.
func about[V, T, A any](k *call, contract func() (V, error), b *bind.Binder[T], set func(r *T, request, id string),
	do func(V, context.Context, gateway.Caller, T) (A, error)) (out A, err error) {
	v, err := contract()
	if err != nil {
		return out, err
	}
	id, err := k.idParam()
	if err != nil {
		return out, err
	}
	r, err := readAs(k, b)
	if err != nil {
		return out, err
	}
	set(&r, k.requestID, id)
	if out, err = do(v, k.ctx(), k.caller, r); err != nil {
		return out, k.fromDesk(err)
	}
	return out, nil
}

// aboutStay answers a POST about a stay that is there.
func aboutStay[T any](k *call, b *bind.Binder[T], set func(r *T, request, id string),
	do func(gateway.Ward, context.Context, gateway.Caller, T) (gateway.Stay, error)) (answer, error) {
	k.where = stays
	s, err := about(k, k.h.ward, b, set, do)
	if err != nil {
		return answer{}, err
	}
	return k.stayAnswer(s, http.StatusOK)
}

func (h *Handler) postCharge(k *call) (answer, error) {
	return aboutStay(k, h.stay.charge, func(r *gateway.ChargeStay, request, id string) { r.RequestID, r.ID = request, id }, gateway.Ward.ChargeStay)
}

func (h *Handler) postStayChange(k *call) (answer, error) {
	return aboutStay(k, h.stay.change, func(r *gateway.ChangeStay, request, id string) { r.RequestID, r.ID = request, id }, gateway.Ward.ChangeStay)
}

func (h *Handler) postDischarge(k *call) (answer, error) {
	return aboutStay(k, h.stay.discharge, func(r *gateway.DischargeStay, request, id string) { r.RequestID, r.ID = request, id }, gateway.Ward.DischargeStay)
}

func (h *Handler) postStaySettle(k *call) (answer, error) {
	return aboutStay(k, h.stay.settle, func(r *gateway.SettleStay, request, id string) { r.RequestID, r.ID = request, id }, gateway.Ward.SettleStay)
}

func (h *Handler) postStayRefund(k *call) (answer, error) {
	return aboutStay(k, h.stay.refund, func(r *gateway.RefundStay, request, id string) { r.RequestID, r.ID = request, id }, gateway.Ward.RefundStay)
}

func (h *Handler) getStay(k *call) (answer, error) {
	k.where = stays
	w, err := h.ward()
	if err != nil {
		return answer{}, err
	}
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	s, err := w.Stay(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	return stayAnswer(http.StatusOK, s)
}

// stayAnswer answers a POST: 202 while something is under way, else it was done.
func (k *call) stayAnswer(s gateway.Stay, status int) (answer, error) {
	k.note(s.ID)
	switch s.State {
	case gateway.StayAdmitting, gateway.StaySettling, gateway.StayRefunding:
		status = http.StatusAccepted
	}
	if s.Unknown {
		status = http.StatusAccepted
	}
	if status != http.StatusAccepted {
		k.tell = k.requestID
	}
	a, err := stayAnswer(status, s)
	if status != http.StatusOK {
		a.location = stays + url.PathEscape(s.ID)
	}
	return a, err
}

func stayAnswer(status int, s gateway.Stay) (answer, error) {
	s.Refund = refundInChina(s.Refund)
	s.Steps = append([]gateway.Step{}, slices.Clone(s.Steps)...)
	for i := range s.Steps {
		s.Steps[i].At = inChina(s.Steps[i].At)
	}
	return asJSON(status, s)
}
