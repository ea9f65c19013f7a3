// Package counter does at the desk what an Order asks for, and says in one form what came of it. It
// is what the HIS adapters that take mapped messages have in common, whatever they speak: binding,
// the right to act, the three values of an outcome, and whether an answer is the last word.
package counter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Outcome is what a HIS may conclude from an answer.
type Outcome string

const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // proof that nothing was done
	Unknown Outcome = "unknown" // accepted, being found out: never send it again under another id
	Queued  Outcome = "queued"
	None    Outcome = "" // says nothing of the request: a repeat of it may
)

// Answer is what came of an order. Err is nil when the desk took it; at most one of the three
// pointers is set.
type Answer struct {
	Op          gateway.OrderOp
	Outcome     Outcome
	Err         *gateway.Error // with a code that has words
	ID          string         // of the transaction, settlement or stay, when one is known
	RequestID   string         // the request the answer is about
	Tell        bool           // it is the last word on that request: call Told once it is delivered
	Transaction *gateway.Transaction
	Settlement  *gateway.Settlement
	Stay        *gateway.Stay
}

// Code is that of the error, "" without one.
func (a Answer) Code() gateway.Code {
	if a.Err == nil {
		return ""
	}
	return a.Err.Code
}

// Counter is safe for concurrent use.
type Counter struct {
	desk gateway.Desk
	log  *slog.Logger

	transact  *bind.Binder[gateway.Transact]
	open      *bind.Binder[gateway.OpenSettlement]
	confirm   *bind.Binder[gateway.ConfirmSettlement]
	refund    *bind.Binder[gateway.RefundSettlement]
	admit     *bind.Binder[gateway.AdmitStay]
	charge    *bind.Binder[gateway.ChargeStay]
	discharge *bind.Binder[gateway.DischargeStay]
	settle    *bind.Binder[gateway.SettleStay]
	back      *bind.Binder[gateway.RefundStay]
}

// New gives a counter at a desk. log may be nil.
func New(desk gateway.Desk, log *slog.Logger) (*Counter, error) {
	if desk == nil {
		return nil, errors.New("counter: no desk")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Counter{desk: desk, log: log}
	return c, c.bindings()
}

func (c *Counter) bindings() (err error) {
	rules := func(name string, optional ...string) bind.Rules {
		r := bind.Rules{MaxText: map[string]int{"Operator.id": 30, "Operator.name": 50, "Operator.type": 3},
			Optional: []string{"Operator.type", name + ".request_id"}}
		for _, o := range optional {
			r.Optional = append(r.Optional, name+"."+o)
		}
		return r
	}
	fees := []string{"Fee.quantity", "Fee.price", "Fee.amount"}
	if c.transact, err = bind.New[gateway.Transact](rules("Transact")); err != nil {
		return err
	}
	opening := rules("OpenSettlement", "use_account")
	opening.Decimal = append([]string{"OpenSettlement.total"}, fees...)
	if c.open, err = bind.New[gateway.OpenSettlement](opening); err != nil {
		return err
	}
	confirm := rules("ConfirmSettlement")
	confirm.Decimal = []string{"ConfirmSettlement.expect_cash"}
	if c.confirm, err = bind.New[gateway.ConfirmSettlement](confirm); err != nil {
		return err
	}
	refund := rules("RefundSettlement")
	refund.Decimal = []string{"RowPart.quantity"}
	if c.refund, err = bind.New[gateway.RefundSettlement](refund); err != nil {
		return err
	}
	if c.admit, err = bind.New[gateway.AdmitStay](rules("AdmitStay")); err != nil {
		return err
	}
	charge := rules("ChargeStay")
	charge.Decimal = fees
	if c.charge, err = bind.New[gateway.ChargeStay](charge); err != nil {
		return err
	}
	if c.discharge, err = bind.New[gateway.DischargeStay](rules("DischargeStay")); err != nil {
		return err
	}
	settle := rules("SettleStay", "use_account", "trial_only")
	settle.Decimal = []string{"SettleStay.expect_cash"}
	if c.settle, err = bind.New[gateway.SettleStay](settle); err != nil {
		return err
	}
	c.back, err = bind.New[gateway.RefundStay](rules("RefundStay"))
	return err
}

// Do carries out one order. It never panics: a panic behind the desk is CodeInternal and logged by its
// kind and place, not by its value.
func (c *Counter) Do(ctx context.Context, who gateway.Caller, o gateway.Order) (a Answer) {
	a = Answer{Op: o.Op}
	defer func() {
		if r := recover(); r != nil {
			what := fmt.Sprintf("%T", r)
			if e, ok := r.(runtime.Error); ok {
				what = e.Error() // indexes and type names
			}
			c.log.Error("panic at the desk", "op", string(o.Op), "panic", what, "stack", string(debug.Stack()))
			a = Answer{Op: o.Op, Err: &gateway.Error{Code: gateway.CodeInternal, Op: "counter"}}
		}
	}()
	k := &call{c: c, ctx: ctx, who: who, o: o, a: &a}
	if err := k.do(); err != nil {
		k.failed(err)
	}
	return a
}

// Told notes that an answer was delivered; only one that says so is reported.
func (c *Counter) Told(who gateway.Caller, a Answer) {
	if !a.Tell || a.RequestID == "" {
		return
	}
	defer func() {
		if r := recover(); r != nil {
			c.log.Error("panic at the desk", "op", "told", "panic", fmt.Sprintf("%T", r))
		}
	}()
	c.desk.Told(who, a.RequestID)
}

// call is one order being carried out.
type call struct {
	c   *Counter
	ctx context.Context
	who gateway.Caller
	o   gateway.Order
	a   *Answer
}

func (k *call) do() error {
	o := k.o
	switch o.Op {
	case gateway.OrderTransact, gateway.OrderUpload:
		return k.send()
	case gateway.OrderOpen:
		r, err := read(k, k.c.open)
		if err != nil {
			return err
		}
		r.RequestID = k.a.RequestID
		if err := bind.MayActFor("counter", k.who, r.Institution); err != nil {
			return err
		}
		return k.bill(k.c.desk.OpenSettlement(k.ctx, k.who, r))
	case gateway.OrderAdmit:
		return k.admit()
	}
	id, err := k.about()
	if err != nil {
		return err
	}
	switch o.Op {
	case gateway.OrderTransaction:
		t, err := k.c.desk.Transaction(k.ctx, k.who, ident.MsgID(id))
		return k.askedTransaction(t, err)
	case gateway.OrderSettlement:
		s, err := k.c.desk.Settlement(k.ctx, k.who, id)
		return k.askedBill(s, err)
	case gateway.OrderConfirm:
		r, err := read(k, k.c.confirm)
		if err != nil {
			return err
		}
		r.RequestID, r.ID = k.a.RequestID, id
		return k.bill(k.c.desk.ConfirmSettlement(k.ctx, k.who, r))
	case gateway.OrderRefund:
		r, err := read(k, k.c.refund)
		if err != nil {
			return err
		}
		r.RequestID, r.ID = k.a.RequestID, id
		return k.bill(k.c.desk.RefundSettlement(k.ctx, k.who, r))
	}
	return k.aboutStay(id)
}

// send is one transaction of the low level.
func (k *call) send() error {
	if !bind.IsInfno(string(k.o.Infno)) {
		return &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: "counter"}
	}
	r, err := read(k, k.c.transact)
	if err != nil {
		return err
	}
	if _, ok := r.Input.(map[string]any); !ok {
		return bind.Refused("counter", check.Finding{Code: check.CodeFieldType, Path: "/input", Rule: "对象", ZH: "类型不对, 应为对象", EN: "Wrong type: an object is wanted."})
	}
	r.RequestID, r.Infno = k.a.RequestID, k.o.Infno
	if err := bind.MayActFor("counter", k.who, r.Institution); err != nil {
		return err
	}
	to := k.c.desk.Transact
	if k.o.Op == gateway.OrderUpload {
		to = k.c.desk.Upload
	}
	return k.transaction(to(k.ctx, k.who, r))
}

// about finds the id of what an order is about.
func (k *call) about() (string, error) {
	id := k.o.ID
	if k.o.Of != "" && id == "" {
		f, ok := k.c.desk.(gateway.Finder)
		if !ok {
			return "", &gateway.Error{Code: gateway.CodeNotSupported, Op: "counter"}
		}
		if !bind.IsRequestID(k.o.Of) {
			return "", &gateway.Error{Code: gateway.CodeNotFound, Op: "counter", Path: "/of"}
		}
		var err error
		if id, err = f.Find(k.ctx, k.who, k.o.Of); err != nil {
			return "", err
		}
	}
	if !bind.IsRequestID(id) {
		return "", &gateway.Error{Code: gateway.CodeNotFound, Op: "counter", Path: "/id"}
	}
	k.a.ID = id
	return id, nil
}

// read binds the body and finds the request id.
func read[T any](k *call, b *bind.Binder[T]) (T, error) {
	var zero T
	id, isText := k.o.Body["request_id"].(string)
	if !isText || !bind.IsRequestID(id) {
		return zero, &gateway.Error{Code: gateway.CodeRequestIDMissing, Op: "counter", Path: "/request_id", Rule: "1-64 位 A-Za-z0-9-_.:"}
	}
	k.a.RequestID = id
	out, found := b.Bind(k.o.Body)
	if len(found) > 0 {
		return zero, bind.Refused("counter", found...)
	}
	return out, nil
}
