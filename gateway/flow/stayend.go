package flow

import (
	"context"

	"yiqiao/gateway"
)

// dischargeOnce is 2402, after or before the settlement as the region has it.
func (d *Desk) dischargeOnce(ctx context.Context, w *stay, r gateway.DischargeStay) error {
	w.recallStay()
	last, tried := w.stand.get(w.stand.name(stepLeave))
	if w.carriedOut(stepLeave) {
		return nil
	}
	state := stayState(w.stand, w.marks)
	from := gateway.StayIn
	if w.inst.Region.SettleBeforeDischarge {
		from = gateway.StaySettled
	}
	if state != from || tried && standingOf(last) == stands {
		return w.conflict()
	}
	if err := d.acceptOn(ctx, w, w.taskOf(opDischarge)); err != nil {
		return err
	}
	_, err := d.step(ctx, w.climb, rung{step: w.stand.name(stepLeave), input: func(c *climb) any { return leaveInput(r, c.facts) }}, true)
	return err
}

func (w *stay) taskOf(op string) task {
	return task{op: op, key: w.key, digest: w.digest, bill: w.bill.ID}
}

// settleStayOnce is 2303 and 2304. At most one 2304 of a stay stands: another attempt is made only
// when the one before is proved not to have happened, or was undone.
func (d *Desk) settleStayOnce(ctx context.Context, w *stay, r gateway.SettleStay) error {
	w.recallStay()
	last, tried := w.stand.get(w.stand.name(stepStaySettle))
	state := stayState(w.stand, w.marks)
	from := gateway.StayDischarged
	if w.inst.Region.SettleBeforeDischarge {
		from = gateway.StayIn
	}
	switch {
	case w.carriedOut(stepStaySettle):
		return nil
	case tried && last.Request == w.key && standingOf(last) == denied:
		return failure(w.op, last, w.bill.ID)
	case state == gateway.StaySettling:
		return d.lookInto(ctx, w.climb, last)
	case state != from && !(r.TrialOnly && state == gateway.StayIn):
		return w.conflict()
	}
	if open := w.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, w.climb, open[0])
	}
	if w.cred == nil {
		return &gateway.Error{Code: gateway.CodeCredentialNeeded, Op: w.op, Ref: w.bill.ID}
	}
	if err := d.acceptOn(ctx, w, w.taskOf(opStayEnd)); err != nil {
		return err
	}
	if err := d.findLate(ctx, w.climb); err != nil {
		return err
	}
	sum := w.stand.charged()
	input := func(c *climb) any { return staySettleInput(r, c.facts, c.credential(), sum) }
	trial := w.stand.name(stepStayTrial)
	if rec, ok := w.stand.get(trial); ok && rec.Request != w.key {
		delete(w.stand.last, trial) // of another request, perhaps in other words
	}
	rec, err := d.step(ctx, w.climb, rung{step: trial, needs: true, input: input}, true)
	if err != nil {
		return err
	}
	info := row(read(rec.Output), "setlinfo")
	switch {
	case !same(text(info["medfee_sumamt"]), sum.total.String()):
		return w.deadEnd("/total", CodeTotalMismatch)
	case r.TrialOnly:
		return nil
	case r.ExpectCash != "" && !same(r.ExpectCash, text(info["psn_cash_pay"])):
		return w.cashDiffers(text(info["psn_cash_pay"]))
	}
	_, err = d.step(ctx, w.climb, rung{step: w.stand.name(stepStaySettle), needs: true, input: input}, true)
	return err
}

const toSettlement = "settlement"

// stayDepth is how far down a refund goes, 0 when it is none of the words.
func stayDepth(to string) int {
	return map[string]int{toSettlement: 1, "discharge": 2, "fees": 3, "admission": 4}[to]
}

// refundStayOnce takes back what stands, in the reverse order of how it came, as deep as asked.
func (d *Desk) refundStayOnce(ctx context.Context, w *stay, r gateway.RefundStay) error {
	w.recallStay()
	if open := w.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, w.climb, open[0])
	}
	if err := d.findLate(ctx, w.climb); err != nil {
		return err
	}
	down := w.waysDown(stayDepth(r.To))
	if len(down) == 0 {
		if w.mine {
			return nil
		}
		return w.conflict()
	}
	if err := d.acceptOn(ctx, w, w.taskOf(opStayBack)); err != nil {
		return err
	}
	for _, u := range down {
		if err := d.undoStep(ctx, w.climb, u); err != nil {
			return err
		}
		w.recallStay()
	}
	return nil
}

// waysDown lists the undos that have something to undo. The settlement comes first in every region: a
// discharge is not cancelled while it is settled.
func (w *stay) waysDown(depth int) []rung {
	settled, left := w.stand.is(stepStaySettle, stands), w.stand.is(stepLeave, stands)
	plain := func(c *climb) any { return stayUndoInput(c.facts, "") }
	var list []rung
	undo := func(base string, input func(c *climb) any) {
		if !w.carriedOut(base) {
			list = append(list, rung{step: w.stand.name(base), input: input})
		}
	}
	if settled {
		rec, _ := w.stand.get(w.stand.name(stepStaySettle))
		setl := text(row(read(rec.Output), "setlinfo")["setl_id"])
		undo(stepStayRefund, func(c *climb) any { return stayUndoInput(c.facts, setl) })
	}
	if left && (depth >= 2 || settled && w.inst.Region.SettleBeforeDischarge) {
		undo(stepUndoLeave, plain)
	}
	if depth >= 3 && w.stand.any(stepCharge, stands) {
		undo(stepUndoCharge, func(c *climb) any { return unchargeInput(nil, c.facts) })
	}
	if depth >= 4 && w.stand.is(stepAdmit, stands) {
		undo(stepUndoAdmit, plain)
	}
	return list
}
