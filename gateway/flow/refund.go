package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
)

// RefundSettlement implements gateway.Desk: 2208, 2205, 2202 for a bill that is settled, 2205 and
// 2202 for one that is not.
func (d *Desk) RefundSettlement(ctx context.Context, c gateway.Caller, r gateway.RefundSettlement) (gateway.Settlement, error) {
	t, err := d.newTask(opRefund, c, r.RequestID, r.Operator)
	if err != nil {
		return gateway.Settlement{}, err
	}
	b, err := d.owned(ctx, t.name(), c, r.ID)
	if err != nil {
		return gateway.Settlement{}, err
	}
	if len(r.Rows) > 0 {
		return gateway.Settlement{}, &gateway.Error{Code: gateway.CodeNotSupported, Op: t.name(), Path: "/rows", Ref: b.ID}
	}
	t.bill = b.ID
	t.digest = d.opt.Digest([]byte(opRefund), []byte(b.ID))
	return d.run(ctx, t, func(ctx context.Context) (gateway.Settlement, error) { return d.refunding(ctx, t) })
}

func (d *Desk) refunding(ctx context.Context, t task) (gateway.Settlement, error) {
	unlock, err := d.bills.lock(ctx, t.bill)
	if err != nil {
		return gateway.Settlement{}, inProgress(t.name(), t.bill)
	}
	defer unlock()
	known, err := d.known(ctx, t)
	if err != nil {
		return gateway.Settlement{}, err
	}
	if known != nil && len(known.Answer) > 0 {
		return storedAnswer(known.Answer)
	}
	c, err := d.climbOf(ctx, t, t.bill)
	if err != nil {
		return gateway.Settlement{}, err
	}
	mine := known != nil
	for round := 0; round < 8; round++ {
		err = d.refundOnce(ctx, c, t, &mine)
		if !errors.Is(err, errAgain) {
			break
		}
	}
	if errors.Is(err, errAgain) {
		err = inProgress(t.name(), t.bill)
	}
	c.recall()
	s := c.view()
	if mine && (err == nil || final(err)) {
		d.store(ctx, t.key, s, err)
	}
	if err == nil {
		d.creds.forget(t.bill)
	}
	return s, err
}

// refundOnce takes the next way back. mine says that the request is in the journal: it was accepted
// when the bill could be undone, and what is undone by now is its answer.
func (d *Desk) refundOnce(ctx context.Context, c *climb, t task, mine *bool) error {
	state := billState(c.stand, c.marks)
	switch state {
	case gateway.BillRefunded, gateway.BillCancelled:
		if *mine {
			return nil
		}
		return &gateway.Error{Code: gateway.CodeState, Op: t.name(), Ref: t.bill, Detail: string(state)}
	case gateway.BillSettling:
		last, _ := c.stand.get(stepSettle + "#1")
		return d.lookInto(ctx, c, last)
	}
	if !*mine {
		if err := d.acceptRefund(ctx, c, t); err != nil {
			return err
		}
		*mine = true
	}
	if c.stand.settledNow() || c.stand.refunded {
		return d.refundSettled(ctx, c)
	}
	if !c.marks.closed {
		if err := d.closeBill(ctx, c); err != nil {
			return err
		}
	}
	if err := d.undoWay(ctx, c); err != nil {
		return err
	}
	return d.reload(ctx, c)
}

func (d *Desk) acceptRefund(ctx context.Context, c *climb, t task) error {
	_, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: &gateway.Request{
		Key: t.key, Digest: t.digest, Op: t.op, Institution: c.inst.Code, Ref: t.bill, CreatedAt: d.opt.Clock.Now(),
	}})
	if err != nil {
		return storage(t.name(), err)
	}
	return nil
}

// closeBill takes the key the next settlement would need, so that no process can settle any more.
func (d *Desk) closeBill(ctx context.Context, c *climb) error {
	step := stepSettle + "#1"
	key := stepKey(c.bill.ID, step, c.stand.attempts[step]+1)
	req := d.guardRequest(c.inst.Code, key, opCancel, "")
	req.Ref = c.bill.ID
	_, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: req})
	switch {
	case errors.Is(err, gateway.ErrConflict): // a settlement was faster
		if err := d.reload(ctx, c); err != nil {
			return err
		}
		return errAgain
	case err != nil:
		return storage(c.op, err)
	}
	c.marks.closed = true
	return nil
}

// refundSettled undoes the settlement, then what it was made of. Once the settlement is undone the
// money is back; that rows or registration would not go is told, and changes nothing about that.
func (d *Desk) refundSettled(ctx context.Context, c *climb) error {
	c.recall()
	if !c.stand.refunded {
		if err := d.undoStep(ctx, c, rung{step: stepRefund + "#1", input: func(c *climb) any { return refundInput(c.facts) }}); err != nil {
			return err
		}
	}
	for _, r := range []rung{
		{step: stepUndoFees + "#1", input: func(c *climb) any { return undoFeesInput(c.facts) }},
		{step: stepUndoReg + "#1", input: func(c *climb) any { return undoVisitInput(c.body, c.facts) }},
	} {
		if c.stand.tried(baseOf(gateway.Record{Step: r.step})) && !c.stand.retry(r.step, c) {
			continue
		}
		err := d.undoStep(ctx, c, r)
		var e *gateway.Error
		if errors.As(err, &e) && e.Code == gateway.CodeCentreRefused {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
