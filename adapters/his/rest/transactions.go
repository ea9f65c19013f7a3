package rest

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

const (
	transactions = "/api/v1/transactions/"
	settlements  = "/api/v1/settlements/"
)

func (h *Handler) postTransaction(k *call) (answer, error) { return h.send(k, "id", h.o.Desk.Transact) }

func (h *Handler) postUpload(k *call) (answer, error) { return h.send(k, "infno", h.o.Desk.Upload) }

// send hands one transaction to the desk. param is where the path has its number.
func (h *Handler) send(k *call, param string, to func(context.Context, gateway.Caller, gateway.Transact) (gateway.Transaction, error)) (answer, error) {
	k.where = transactions
	infno := k.c.Param(param)
	if !bind.IsInfno(infno) {
		return answer{}, &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: "rest"}
	}
	r, err := readAs(k, h.transact)
	if err != nil {
		return answer{}, err
	}
	if _, ok := r.Input.(map[string]any); !ok {
		return answer{}, bind.Refused("rest", check.Finding{Code: check.CodeFieldType, Path: "/input", Rule: "对象", ZH: "类型不对, 应为对象", EN: "Wrong type: an object is wanted."})
	}
	r.RequestID, r.Infno = k.requestID, ident.Infno(infno)
	if err := bind.MayActFor("rest", k.caller, r.Institution); err != nil {
		return answer{}, err
	}
	t, err := to(k.ctx(), k.caller, r)
	if err != nil {
		return answer{}, k.fromDesk(err)
	}
	return k.sent(t)
}

// sent answers a POST that made a transaction.
func (k *call) sent(t gateway.Transaction) (answer, error) {
	k.note(string(t.ID))
	if answered(t) {
		k.tell = k.requestID
	}
	if err := refusal(t); err != nil {
		return answer{}, err
	}
	if t.State.Final() {
		return transactionAnswer(http.StatusOK, t)
	}
	a, err := transactionAnswer(http.StatusAccepted, t)
	a.location = transactions + url.PathEscape(string(t.ID))
	return a, err
}

// refusal is the error of a transaction that was refused, so that a repeat of a request looks like
// the first answer. What was refused before it left is a matter of the line, not of the centre.
func refusal(t gateway.Transaction) error {
	if t.State != gateway.StateRefused {
		return nil
	}
	e := &gateway.Error{Code: gateway.CodeCentreRefused, Op: "rest", Detail: t.Message, Ref: string(t.ID), Findings: t.Warnings}
	if t.Cause == gateway.CauseNotSent {
		e.Code = gateway.CodeCentreUnreachable
	}
	return e
}

func (h *Handler) getTransaction(k *call) (answer, error) {
	k.where = transactions
	id, err := k.idParam()
	if err != nil {
		return answer{}, err
	}
	t, err := h.o.Desk.Transaction(k.ctx(), k.caller, ident.MsgID(id))
	if err != nil {
		return answer{}, err
	}
	if answered(t) && bind.IsRequestID(t.RequestID) {
		k.tell = t.RequestID
	}
	return transactionAnswer(http.StatusOK, t)
}

// idParam is the id in the path. One that can not be ours is not found, and not logged.
func (k *call) idParam() (string, error) {
	id := k.c.Param("id")
	if !bind.IsRequestID(id) {
		return "", &gateway.Error{Code: gateway.CodeNotFound, Op: "rest"}
	}
	k.id, k.named = id, true
	return id, nil
}

// note keeps an id the desk gave, for the log and the Location.
func (k *call) note(id string) {
	if bind.IsRequestID(id) {
		k.id = id
	}
}

// answered reports whether a transaction is the last word on its request. One that never left, or
// was undone, or never happened, leaves the request free to be sent again under its id.
func answered(t gateway.Transaction) bool {
	return t.State == gateway.StateDone || t.State == gateway.StateRefused && t.Cause != gateway.CauseNotSent
}

// fromDesk notes whether an error of a POST is the last word on its request.
func (k *call) fromDesk(err error) error {
	var e *gateway.Error
	if errors.As(err, &e) && e != nil && last(e) {
		k.tell = k.requestID
	}
	return err
}

// last reports whether an error ends a request for good: the centre refused, or what was found out
// on the way, about a record that exists, can not be gone on with. A request-invalid without a
// record may be the refusal of a body that another request's id was tried on.
func last(e *gateway.Error) bool {
	switch e.Code {
	case gateway.CodeCentreRefused:
		return true
	case gateway.CodeAmounts, gateway.CodeRequestInvalid:
		return e.Ref != ""
	}
	return false
}
