package flow

import (
	"context"
	"slices"

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
	number := 1
	from := gateway.StayDischarged
	switch {
	case r.MidStay:
		number, from = w.midOf(), gateway.StayIn
	case w.inst.Region.SettleBeforeDischarge:
		from = gateway.StayIn
	}
	last, tried := w.stand.get(midStep(stepStaySettle, number))
	state := stayState(w.stand, w.marks)
	switch {
	case w.carriedOut(stepStaySettle):
		return nil
	case tried && last.Request == w.key && standingOf(last) == denied:
		return failure(w.op, last, w.bill.ID)
	case state == gateway.StaySettling:
		return d.lookInto(ctx, w.climb, w.stand.pending()[0])
	case state != from && !(r.TrialOnly && state == gateway.StayIn):
		return w.conflict()
	}
	if open := w.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, w.climb, open[0])
	}
	if r.MidStay && w.stand.due().rows == 0 {
		return &gateway.Error{Code: gateway.CodeState, Op: w.op, Ref: w.bill.ID, Detail: "没有未结算的明细 / no row is left to be settled"}
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
	sum := w.stand.due()
	input := func(c *climb) any { return staySettleInput(r, c.facts, c.credential(), sum) }
	trial := midStep(stepStayTrial, number)
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
	_, err = d.step(ctx, w.climb, rung{step: midStep(stepStaySettle, number), needs: true, input: input}, true)
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
	if err := d.acceptOn(ctx, w, w.taskOf(opStayBack), aim{To: r.To}); err != nil {
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
	for _, n := range w.settlementsDown(depth) {
		rec, _ := w.stand.get(midStep(stepStaySettle, n))
		setl := text(row(read(rec.Output), "setlinfo")["setl_id"])
		list = append(list, rung{step: midStep(stepStayRefund, n), input: func(c *climb) any { return stayUndoInput(c.facts, setl) }})
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

// settlementsDown are the numbers of the settlements to be undone, the latest first: one, or all where the rows
// are to go. What this request has undone before is never undone for it again.
func (w *stay) settlementsDown(depth int) []int {
	if depth < 3 && w.carriedOut(stepStayRefund) {
		return nil
	}
	list := w.stand.mids()
	slices.Reverse(list)
	if w.stand.is(stepStaySettle, stands) {
		list = append([]int{1}, list...)
	}
	if depth >= 3 {
		return slices.DeleteFunc(list, func(n int) bool { return w.carriedOutStep(midStep(stepStayRefund, n)) })
	}
	if depth == 2 && w.stand.is(stepLeave, stands) && !w.stand.is(stepStaySettle, stands) {
		return nil // the discharge alone
	}
	return list[:min(1, len(list))]
}

// carriedOutStep is carriedOut of one step.
func (w *stay) carriedOutStep(step string) bool {
	return slices.ContainsFunc(w.stand.steps, func(rec gateway.Record) bool {
		return rec.Request == w.key && rec.Step == step && standingOf(rec) == stands
	})
}
