package rest

import (
	"net/http"
	"net/url"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

func (h *Handler) postSettlement(k *call) (answer, error) {
	k.where = settlements
	r, err := readAs(k, h.opening)
	if err != nil {
		return answer{}, err
	}
	r.RequestID = k.requestID
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	s, err := h.o.Desk.OpenSettlement(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.billAnswer(s, http.StatusCreated, gateway.BillPresettled)
}

func (h *Handler) postConfirm(k *call) (answer, error) {
	k.where = settlements
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.confirm)
	if err != nil {
		return answer{}, err
	}
	r.RequestID, r.ID = k.requestID, id
	s, err := h.o.Desk.ConfirmSettlement(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.billAnswer(s, http.StatusOK, gateway.BillSettled)
}

func (h *Handler) postRefund(k *call) (answer, error) {
	k.where = settlements
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, h.refund)
	if err != nil {
		return answer{}, err
	}
	r.RequestID, r.ID = k.requestID, id
	s, err := h.o.Desk.RefundSettlement(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.billAnswer(s, http.StatusOK, refundedAs(r)...)
}

// refundedAs lists the states a refund ends in. Rows that are all that was left are the whole bill.
func refundedAs(r gateway.RefundSettlement) []gateway.BillState {
	list := []gateway.BillState{gateway.BillRefunded, gateway.BillCancelled}
	if len(r.Rows)+len(r.Parts) > 0 {
		list = append(list, gateway.BillSettled)
	}
	return list
}

func (h *Handler) getSettlement(k *call) (answer, error) {
	k.where = settlements
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	s, err := h.o.Desk.Settlement(k.ctx(), k.caller, id)
	if err != nil {
		return answer{}, err
	}
	if rests(s) && bind.IsRequestID(s.RequestID) {
		k.tell = s.RequestID
	}
	return settlementAnswer(http.StatusOK, s)
}

// rests reports whether nothing is under way on a settlement.
func rests(s gateway.Settlement) bool {
	switch s.State {
	case gateway.BillPresettled, gateway.BillSettled, gateway.BillRefunded, gateway.BillCancelled, gateway.BillFailed:
		return !s.Unknown
	}
	return false
}

// billAnswer answers a POST on a settlement. done are the states the call was made for; a
// settlement that is still moving is 202, one that failed is the problem centre-refused.
func (k *call) billAnswer(s gateway.Settlement, status int, done ...gateway.BillState) (answer, error) {
	k.note(s.ID)
	place := settlements + url.PathEscape(s.ID)
	if !rests(s) {
		a, err := settlementAnswer(http.StatusAccepted, s)
		a.location = place
		return a, err
	}
	if s.State == gateway.BillFailed {
		k.tell = k.requestID
		return answer{}, &gateway.Error{Code: gateway.CodeCentreRefused, Op: "rest", Detail: s.Message, Ref: s.ID, Findings: s.Warnings}
	}
	for _, d := range done {
		if s.State == d {
			k.tell = k.requestID
			a, err := settlementAnswer(status, s)
			if status == http.StatusCreated {
				a.location = place
			}
			return a, err
		}
	}
	// Another state at rest: the settlement has gone further, or has come back to where it was.
	return settlementAnswer(http.StatusOK, s)
}
