package flow

import (
	"context"
	"errors"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// RefundSettlement implements gateway.Desk: 2208, 2205, 2202 for a bill that is settled, 2205 and
// 2202 for one that is not. With rows to take out it is 2208 and 2205, then 2204, 2206 and 2207 for
// what is left. The credential is no part of what is compared between two requests of the same id.
func (d *Desk) RefundSettlement(ctx context.Context, c gateway.Caller, r gateway.RefundSettlement) (gateway.Settlement, error) {
	t, err := d.newTask(opRefund, c, r.RequestID, r.Operator)
	if err != nil {
		return gateway.Settlement{}, err
	}
	b, err := d.owned(ctx, t.name(), c, r.ID, billLetter)
	if err != nil {
		return gateway.Settlement{}, err
	}
	if len(r.Rows)+len(r.Parts) > mostFees {
		return gateway.Settlement{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: t.name(), Path: "/rows", Ref: b.ID,
			Findings: []check.Finding{billFinding(CodeFeesTooMany, "/rows", "")}}
	}
	t.bill = b.ID
	t.digest = d.opt.Digest(refundParts(b.ID, r)...)
	return d.run(ctx, t, func(ctx context.Context) (gateway.Settlement, error) { return d.refunding(ctx, t, r) })
}

// refundParts is what two refunds of the same id are compared by. The order of the rows says nothing.
func refundParts(bill string, r gateway.RefundSettlement) [][]byte {
	parts := [][]byte{[]byte(opRefund), []byte(bill)}
	if !partial(r) {
		return parts
	}
	for _, id := range slices.Sorted(slices.Values(r.Rows)) {
		parts = append(parts, []byte(id))
	}
	less := slices.SortedFunc(slices.Values(r.Parts), func(a, b gateway.RowPart) int { return strings.Compare(a.ID, b.ID) })
	for _, part := range less {
		parts = append(parts, []byte("part"), []byte(part.ID), []byte(part.Quantity))
	}
	return append(parts, []byte(r.Invoice))
}

func (d *Desk) refunding(ctx context.Context, t task, r gateway.RefundSettlement) (gateway.Settlement, error) {
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
	if partial(r) {
		d.takeCredential(c, r.Credential)
	}
	mine := known != nil
	for round := 0; round < 12; round++ {
		err = d.refundOnce(ctx, c, t, r, &mine)
		if !errors.Is(err, errAgain) {
			break
		}
	}
	if errors.Is(err, errAgain) {
		err = inProgress(t.name(), t.bill)
	}
	c.recall()
	if c.stand.settledNow() {
		d.askFigures(ctx, c, stepSettle)
	}
	s := c.view()
	if mine && (err == nil || final(err) || errors.Is(err, errOvertaken)) {
		d.store(ctx, t.key, s, err)
	}
	if err == nil {
		d.creds.forget(t.bill)
	}
	return s, err
}

// resettled reports whether the rest was settled in a round, whatever became of it since.
func (s *stand) resettled(round int) bool {
	for _, rec := range s.steps {
		if settles(baseOf(rec)) && roundOf(rec) == round && rec.State == gateway.StateDone {
			return true
		}
	}
	return false
}

// errOvertaken: another refund of the bill was asked for since.
var errOvertaken = errors.New("flow: overtaken by another refund")

// refundOnce takes the next way back. mine says that the request is in the journal: it was accepted
// when the bill could be undone, and what is undone by now is its answer.
func (d *Desk) refundOnce(ctx context.Context, c *climb, t task, r gateway.RefundSettlement, mine *bool) error {
	state := billState(c.stand, c.marks)
	p, n, latest := c.stand.planOf(t.key)
	switch {
	case state == gateway.BillSettling:
		last, _ := c.stand.get(c.stand.name(stepSettle))
		return d.lookInto(ctx, c, last)
	case n > 0 && !latest && c.stand.resettled(n):
		return nil // it was done, and its answer could not be kept; the later one has one of its own
	case n > 0 && !latest:
		return &gateway.Error{Code: gateway.CodeState, Op: t.name(), Ref: t.bill, Detail: string(state), Err: errOvertaken}
	case n > 0 && !p.Whole:
		return d.settleRest(ctx, c, p, n)
	case state == gateway.BillRefunded, state == gateway.BillCancelled:
		if *mine {
			return nil
		}
		return &gateway.Error{Code: gateway.CodeState, Op: t.name(), Ref: t.bill, Detail: string(state)}
	case n == 0 && (c.stand.settledNow() || state == gateway.BillResettling):
		return d.decideRefund(ctx, c, t, r, mine)
	case n == 0 && partial(r):
		return &gateway.Error{Code: gateway.CodeState, Op: t.name(), Ref: t.bill, Detail: string(state)}
	}
	if !*mine {
		if _, err := d.acceptRefund(ctx, c, t); err != nil {
			return err
		}
		*mine = true
	}
	if c.stand.settledNow() || c.stand.over() {
		return d.refundSettled(ctx, c)
	}
	if !c.marks.closed {
		if err := d.findLate(ctx, c); err != nil {
			return err
		}
		if err := d.closeBill(ctx, c); err != nil {
			return err
		}
	}
	if err := d.undoWay(ctx, c); err != nil {
		return d.unlessFound(ctx, c, err)
	}
	return d.reload(ctx, c)
}

// decideRefund accepts a refund of what is or was settled and writes down what it is to do, in one
// breath. Nothing whose outcome is open may be in the way.
func (d *Desk) decideRefund(ctx context.Context, c *climb, t task, r gateway.RefundSettlement, mine *bool) error {
	if open := c.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, c, open[0])
	}
	p, err := d.planFor(ctx, c, t, r)
	if err != nil {
		return err
	}
	first, err := d.planEntries(c, p)
	if err != nil {
		return err
	}
	if *mine {
		_, err = d.opt.Journal.Write(ctx, first...)
	} else {
		*mine, err = d.acceptRefund(ctx, c, t, first...)
	}
	if err != nil && !errors.Is(err, gateway.ErrConflict) {
		return storage(t.name(), err)
	}
	if err := d.reload(ctx, c); err != nil { // what another process was faster with is there now
		return err
	}
	return errAgain
}

// acceptRefund writes the request, with more in the same breath, and reports whether it is in the
// journal now.
func (d *Desk) acceptRefund(ctx context.Context, c *climb, t task, more ...gateway.Entry) (bool, error) {
	list := append([]gateway.Entry{{Request: &gateway.Request{
		Key: t.key, Digest: t.digest, Op: t.op, Institution: c.inst.Code, Ref: t.bill, CreatedAt: d.opt.Clock.Now(),
	}}}, more...)
	existing, err := d.opt.Journal.Write(ctx, list...)
	switch {
	case len(more) > 0 && errors.Is(err, gateway.ErrConflict):
		return false, err
	case err != nil:
		return false, storage(t.name(), err)
	}
	return existing == nil || existing.Key == t.key, nil
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
	if !c.stand.over() {
		if err := d.undoSettled(ctx, c); err != nil {
			return err
		}
	}
	for _, r := range append(d.undoBatches(c, c.stand.round),
		rung{step: c.stand.name(stepUndoReg), input: func(c *climb) any { return undoVisitInput(c.body, c.facts) }}) {
		if c.stand.ended(r.step) && !c.stand.retry(r.step, c) {
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

// undoSettled is 2208 for the settlement that counts.
func (d *Desk) undoSettled(ctx context.Context, c *climb) error {
	return d.undoStep(ctx, c, rung{step: c.stand.name(stepRefund), input: func(c *climb) any { return refundInput(c.facts) }})
}

// undoBatches are the 2205 of the rounds that still have rows at the centre, and of round always.
func (d *Desk) undoBatches(c *climb, always int) []rung {
	var list []rung
	for n := 0; n <= c.stand.round; n++ {
		if n != always && !c.stand.anyIn(n, stepFees, stands) {
			continue
		}
		batch := c.batch(n)
		list = append(list, rung{step: stepName(stepUndoFees, 1, n), input: func(c *climb) any {
			f := c.facts
			f.batch = batch
			return undoFeesInput(f)
		}})
	}
	return list
}

// settleRest takes rows out of a settled bill: the settlement is undone whole, its rows are taken
// back, and what is left is uploaded under a new batch number and settled. Until the settlement is
// undone a refusal ends the request. From then on the money is back, and the request may be
// repeated until what is left is settled.
func (d *Desk) settleRest(ctx context.Context, c *climb, p plan, n int) error {
	if open := c.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, c, open[0])
	}
	c.recall()
	if c.stand.round < n {
		if c.cred == nil {
			return &gateway.Error{Code: gateway.CodeCredentialNeeded, Op: c.op, Ref: c.bill.ID}
		}
		if err := d.undoSettled(ctx, c); err != nil {
			return err
		}
		if c.stand.round < n {
			return errAgain
		}
	}
	if c.stand.settledNow() {
		return nil
	}
	if c.stand.over() { // undone by somebody else than the gateway's refunds
		return &gateway.Error{Code: gateway.CodeState, Op: c.op, Ref: c.bill.ID, Detail: string(billState(c.stand, c.marks)), Err: errOvertaken}
	}
	c.insist = true
	err := d.climbRest(ctx, c, p)
	var e *gateway.Error
	if final(err) && errors.As(err, &e) {
		return &gateway.Error{Code: gateway.CodeRestUnsettled, Op: c.op, Ref: c.bill.ID, Detail: e.Detail, Findings: e.Findings, Err: err}
	}
	return err
}

func (d *Desk) climbRest(ctx context.Context, c *climb, p plan) error {
	for _, r := range d.undoBatches(c, anyRound) {
		if _, _, round := splitStep(r.step); round == c.stand.round {
			continue
		}
		if err := d.undoStep(ctx, c, r); err != nil {
			return err
		}
	}
	c.recall()
	rungs := append(c.feeRungs(), rung{step: c.stand.name(stepSettle), needs: true, input: func(c *climb) any {
		return confirmInput(c.body, c.facts, c.credential(), p.Invoice)
	}})
	for _, r := range rungs {
		if r.step == c.stand.name(stepSettle) {
			if err := d.findLate(ctx, c); err != nil {
				return err
			}
		}
		rec, err := d.step(ctx, c, r, true)
		if err != nil {
			return d.unlessFound(ctx, c, err)
		}
		if err := c.learn(rec); err != nil {
			return err
		}
	}
	return nil
}
