package counter

import (
	"context"
	"errors"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

// failed puts an error into the answer, in a form that may go out.
func (k *call) failed(err error) {
	a := k.a
	var e *gateway.Error
	ours := errors.As(err, &e) && e != nil
	asks := k.o.Op == gateway.OrderTransaction || k.o.Op == gateway.OrderSettlement || k.o.Op == gateway.OrderStay
	switch {
	case ours && gateway.Codes[e.Code].Status != 0:
		if w := gateway.Codes[e.Code]; w.Status >= 500 || outcomeOf(e.Code) == Unknown {
			k.c.log.Warn("an order failed", "op", string(k.o.Op), "request_id", a.RequestID, "err", e.Error())
		}
	case !ours && !asks && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		e = &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: "counter"} // the waiting ended, the work did not
	default:
		text := "nil *gateway.Error"
		if ours || e == nil && !errors.As(err, &e) {
			text = err.Error()
		}
		k.c.log.Error("an order failed in an unforeseen way", "op", string(k.o.Op), "request_id", a.RequestID, "err", text)
		e = &gateway.Error{Code: gateway.CodeInternal, Op: "counter"}
	}
	a.Err, a.Outcome = e, outcomeOf(e.Code)
	if e.Code == gateway.CodeInternal {
		a.Tell = false
	}
	if e.Ref != "" && a.ID == "" && bind.IsRequestID(e.Ref) {
		a.ID = e.Ref
	}
	if !asks && last(e) {
		a.Tell = true
	}
}

// outcomeOf is what a code says of the request it answers.
func outcomeOf(c gateway.Code) Outcome {
	switch c {
	case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson:
		return Unknown
	case gateway.CodeInternal, gateway.CodeRequestInProgress, gateway.CodeRequestIDReused:
		return None
	}
	return Refused
}

// last reports whether an error ends a request for good. A request-invalid without a record may be the
// refusal of a body that another request's id was tried on.
func last(e *gateway.Error) bool {
	switch e.Code {
	case gateway.CodeCentreRefused:
		return true
	case gateway.CodeAmounts, gateway.CodeRequestInvalid:
		return e.Ref != ""
	}
	return false
}

// transaction reads the answer of a transaction that was sent or queued.
func (k *call) transaction(t gateway.Transaction, err error) error {
	if err != nil {
		return err
	}
	a := k.a
	a.ID, a.Transaction = string(t.ID), &t
	if t.State == gateway.StateRefused {
		e := &gateway.Error{Code: gateway.CodeCentreRefused, Op: "counter", Detail: t.Message, Ref: string(t.ID), Findings: t.Warnings}
		if t.Cause == gateway.CauseNotSent {
			e.Code = gateway.CodeCentreUnreachable
		}
		return e
	}
	a.Tell = t.State == gateway.StateDone
	a.Outcome = stateOutcome(t)
	return nil
}

func stateOutcome(t gateway.Transaction) Outcome {
	switch {
	case t.State == gateway.StateDone:
		return Done
	case t.State.Final():
		return Refused // reversed or absent: it did not happen
	case t.State == gateway.StatePrepared && t.Outcome == "queued":
		return Queued
	}
	return Unknown
}

// askedTransaction reads how a transaction stands; that it was refused is no error of the asking.
func (k *call) askedTransaction(t gateway.Transaction, err error) error {
	if err != nil {
		return err
	}
	a := k.a
	a.ID, a.Transaction, a.RequestID = string(t.ID), &t, t.RequestID
	if a.Outcome = stateOutcome(t); t.State == gateway.StateRefused {
		a.Outcome = Refused
	}
	a.Tell = t.State == gateway.StateDone || t.State == gateway.StateRefused && t.Cause != gateway.CauseNotSent
	return nil
}

// rests reports whether nothing is under way on a settlement.
func rests(s gateway.Settlement) bool {
	switch s.State {
	case gateway.BillPresettled, gateway.BillSettled, gateway.BillRefunded, gateway.BillCancelled, gateway.BillFailed:
		return !s.Unknown
	}
	return false
}

// bill reads the answer of an order on a settlement.
func (k *call) bill(s gateway.Settlement, err error) error {
	if err != nil {
		return err
	}
	a := k.a
	a.ID, a.Settlement = s.ID, &s
	switch {
	case !rests(s):
		a.Outcome = Unknown
	case s.State == gateway.BillFailed:
		a.Tell = true
		return &gateway.Error{Code: gateway.CodeCentreRefused, Op: "counter", Detail: s.Message, Ref: s.ID, Findings: s.Warnings}
	default:
		// Another state at rest than the one asked for: the settlement has gone further, or has come
		// back to where it was. It is told as it stands, and not as the end of this request.
		a.Outcome, a.Tell = Done, k.madeFor(s.State)
	}
	return nil
}

func (k *call) madeFor(s gateway.BillState) bool {
	switch k.o.Op {
	case gateway.OrderOpen:
		return s == gateway.BillPresettled
	case gateway.OrderConfirm:
		return s == gateway.BillSettled
	}
	rows, _ := k.o.Body["rows"].([]any)
	parts, _ := k.o.Body["parts"].([]any)
	return s == gateway.BillRefunded || s == gateway.BillCancelled || s == gateway.BillSettled && len(rows)+len(parts) > 0
}

func (k *call) askedBill(s gateway.Settlement, err error) error {
	if err != nil {
		return err
	}
	a := k.a
	a.ID, a.Settlement, a.RequestID = s.ID, &s, s.RequestID
	switch {
	case !rests(s):
		a.Outcome = Unknown
	case s.State == gateway.BillFailed:
		a.Outcome, a.Tell = Refused, true
	default:
		a.Outcome, a.Tell = Done, true
	}
	return nil
}

func (k *call) ward() (gateway.Ward, error) {
	if w, ok := k.c.desk.(gateway.Ward); ok {
		return w, nil
	}
	return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "counter"}
}

func (k *call) admit() error {
	w, err := k.ward()
	if err != nil {
		return err
	}
	r, err := read(k, k.c.admit)
	if err != nil {
		return err
	}
	r.RequestID = k.a.RequestID
	if err := bind.MayActFor("counter", k.who, r.Institution); err != nil {
		return err
	}
	return k.stay(w.AdmitStay(k.ctx, k.who, r))
}

// aboutStay carries out an order on a stay that is there.
func (k *call) aboutStay(id string) error {
	w, err := k.ward()
	if err != nil {
		return err
	}
	request := func(r *string, at *string) { *r, *at = k.a.RequestID, id }
	switch k.o.Op {
	case gateway.OrderStay:
		s, err := w.Stay(k.ctx, k.who, id)
		if err == nil {
			k.a.RequestID = ""
		}
		return k.stay(s, err)
	case gateway.OrderCharge:
		r, err := read(k, k.c.charge)
		if err != nil {
			return err
		}
		request(&r.RequestID, &r.ID)
		return k.stay(w.ChargeStay(k.ctx, k.who, r))
	case gateway.OrderDischarge:
		r, err := read(k, k.c.discharge)
		if err != nil {
			return err
		}
		request(&r.RequestID, &r.ID)
		return k.stay(w.DischargeStay(k.ctx, k.who, r))
	case gateway.OrderStaySettle:
		r, err := read(k, k.c.settle)
		if err != nil {
			return err
		}
		request(&r.RequestID, &r.ID)
		return k.stay(w.SettleStay(k.ctx, k.who, r))
	case gateway.OrderStayRefund:
		r, err := read(k, k.c.back)
		if err != nil {
			return err
		}
		request(&r.RequestID, &r.ID)
		return k.stay(w.RefundStay(k.ctx, k.who, r))
	}
	return &gateway.Error{Code: gateway.CodeNotSupported, Op: "counter", Detail: string(k.o.Op)}
}

// stay reads the answer of an order on a stay.
func (k *call) stay(s gateway.Stay, err error) error {
	if err != nil {
		return err
	}
	a := k.a
	a.ID, a.Stay, a.Outcome, a.Tell = s.ID, &s, Done, true
	switch s.State {
	case gateway.StayAdmitting, gateway.StaySettling, gateway.StayRefunding:
		a.Outcome = Unknown
	case gateway.StayFailed:
		a.Outcome = Refused
	}
	if s.Unknown {
		a.Outcome = Unknown
	}
	if a.Outcome == Unknown {
		a.Tell = false
	}
	return nil
}
