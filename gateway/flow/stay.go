package flow

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

const (
	opAdmit     = "stay.admit"
	opCharge    = "stay.charge"
	opDischarge = "stay.discharge"
	opStayEnd   = "stay.settle"
	opStayBack  = "stay.refund"

	stayLetter = 'S' // a stay's id begins with it, a settlement's with B
)

var _ gateway.Ward = (*Desk)(nil)

// stay is the work on one stay for one request.
type stay struct {
	*climb
	admitted *gateway.AdmitStay
	mine     bool // the request is in the journal
}

// AdmitStay implements gateway.Ward.
func (d *Desk) AdmitStay(ctx context.Context, c gateway.Caller, r gateway.AdmitStay) (gateway.Stay, error) {
	t, err := d.newTask(opAdmit, c, r.RequestID, r.Operator)
	if err != nil {
		return gateway.Stay{}, err
	}
	if t.inst, err = d.institution(c, r.Institution); err != nil {
		return gateway.Stay{}, err
	}
	r.Institution, r.Operator = t.inst.Code, t.oper
	if err := refuseFound(t, checkAdmission(&r)); err != nil {
		return gateway.Stay{}, err
	}
	body, err := json.Marshal(r)
	if err != nil {
		return gateway.Stay{}, internalError(t.name(), err)
	}
	t.digest = d.opt.Digest([]byte(opAdmit), []byte(t.inst.Code), body)
	return d.runStay(ctx, t, func(ctx context.Context) (gateway.Stay, error) {
		req, err := d.acceptBill(ctx, t, stayLetter, func() ([]byte, error) {
			kept := r
			kept.Credential = gateway.Credential{Type: r.Credential.Type}
			return json.Marshal(kept)
		})
		if err != nil {
			return gateway.Stay{}, err
		}
		t.bill = req.Ref
		return d.onStay(ctx, t, &r.Credential, d.admitOnce)
	})
}

// ChargeStay implements gateway.Ward.
func (d *Desk) ChargeStay(ctx context.Context, c gateway.Caller, r gateway.ChargeStay) (gateway.Stay, error) {
	found := checkCharges(r.Fees)
	return d.stayCall(ctx, c, opCharge, r.RequestID, r.ID, r.Operator, r.Fees, found, nil, func(ctx context.Context, w *stay) error {
		return d.chargeOnce(ctx, w, r)
	})
}

// DischargeStay implements gateway.Ward.
func (d *Desk) DischargeStay(ctx context.Context, c gateway.Caller, r gateway.DischargeStay) (gateway.Stay, error) {
	same := r
	same.Operator = gateway.Operator{}
	return d.stayCall(ctx, c, opDischarge, r.RequestID, r.ID, r.Operator, same, checkDischarge(&r), nil, func(ctx context.Context, w *stay) error {
		return d.dischargeOnce(ctx, w, r)
	})
}

// SettleStay implements gateway.Ward. The credential is no part of what two requests are compared by.
func (d *Desk) SettleStay(ctx context.Context, c gateway.Caller, r gateway.SettleStay) (gateway.Stay, error) {
	same := r
	same.Operator, same.Credential = gateway.Operator{}, nil
	b := &billCheck{}
	if _, err := money.Parse(r.ExpectCash); r.ExpectCash != "" && err != nil {
		b.Amount(err, "/expect_cash", r.ExpectCash, "16,2")
	}
	return d.stayCall(ctx, c, opStayEnd, r.RequestID, r.ID, r.Operator, same, b.Found, r.Credential, func(ctx context.Context, w *stay) error {
		return d.settleStayOnce(ctx, w, r)
	})
}

// RefundStay implements gateway.Ward.
func (d *Desk) RefundStay(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (gateway.Stay, error) {
	r.To = orElse(r.To, toSettlement)
	b := &billCheck{}
	if stayDepth(r.To) == 0 {
		b.Add(CodeNotListed, "/to", "settlement, discharge, fees, admission")
	}
	return d.stayCall(ctx, c, opStayBack, r.RequestID, r.ID, r.Operator, r.To, b.Found, nil, func(ctx context.Context, w *stay) error {
		return d.refundStayOnce(ctx, w, r)
	})
}

// Stay implements gateway.Ward: the live view, made from the records.
func (d *Desk) Stay(ctx context.Context, c gateway.Caller, id string) (gateway.Stay, error) {
	if _, err := d.owned(ctx, "flow.stay", c, id, stayLetter); err != nil {
		return gateway.Stay{}, err
	}
	w, err := d.stayOf(ctx, task{op: opAdmit}, id)
	if err != nil {
		return gateway.Stay{}, err
	}
	return w.stayView(), nil
}

// stayCall is what the calls about a stay have in common.
func (d *Desk) stayCall(ctx context.Context, c gateway.Caller, op, request, id string, o gateway.Operator, same any,
	found []check.Finding, cred *gateway.Credential, once func(context.Context, *stay) error) (gateway.Stay, error) {
	t, err := d.newTask(op, c, request, o)
	if err != nil {
		return gateway.Stay{}, err
	}
	b, err := d.owned(ctx, t.name(), c, id, stayLetter)
	if err != nil {
		return gateway.Stay{}, err
	}
	t.bill = b.ID
	if err := refuseFound(t, found); err != nil {
		return gateway.Stay{}, err
	}
	body, err := json.Marshal(same)
	if err != nil {
		return gateway.Stay{}, internalError(t.name(), err)
	}
	t.digest = d.opt.Digest([]byte(op), []byte(b.ID), body)
	return d.runStay(ctx, t, func(ctx context.Context) (gateway.Stay, error) { return d.onStay(ctx, t, cred, once) })
}

func refuseFound(t task, found []check.Finding) error { return draft.Refusal(t.name(), t.bill, found) }

func (d *Desk) runStay(ctx context.Context, t task, fn func(context.Context) (gateway.Stay, error)) (gateway.Stay, error) {
	v, err := d.calls.do(ctx, &d.work, t.key, t.digest, func(ctx context.Context) (any, error) { return fn(ctx) })
	s, ok := v.(gateway.Stay)
	if !ok && err == nil {
		err = &gateway.Error{Code: gateway.CodeInternal, Op: t.name()}
	}
	return s, err
}

// onStay works on a stay, alone, until once has come to an end, and stores the answer.
func (d *Desk) onStay(ctx context.Context, t task, cred *gateway.Credential, once func(context.Context, *stay) error) (gateway.Stay, error) {
	unlock, err := d.bills.lock(ctx, t.bill)
	if err != nil {
		return gateway.Stay{}, inProgress(t.name(), t.bill)
	}
	defer unlock()
	known, err := d.known(ctx, t)
	if err != nil {
		return gateway.Stay{}, err
	}
	if known != nil && len(known.Answer) > 0 && t.op != opStayEnd {
		return storedStay(known.Answer)
	}
	w, err := d.stayOf(ctx, t, t.bill)
	if err != nil {
		return gateway.Stay{}, err
	}
	if known != nil && len(known.Answer) > 0 {
		return settledNow(w, known.Answer)
	}
	w.mine = known != nil
	d.takeCredential(w.climb, cred)
	for round := 0; round < 12; round++ {
		if err = once(ctx, w); !errors.Is(err, errAgain) {
			break
		}
	}
	if errors.Is(err, errAgain) {
		err = inProgress(t.name(), t.bill)
	}
	w.recallStay()
	d.askFigures(ctx, w.climb, stepStaySettle)
	s := w.stayView()
	if w.mine && (err == nil || final(err)) {
		// A stay goes on and back again: asked later, the records would say something else. Who can not be
		// given an answer that stays asks once more.
		if lost := d.keep(ctx, t.key, s.ID, stored{Stay: &s}, err); lost != nil {
			return s, storage(t.name(), lost)
		}
	}
	return s, err
}

// settledNow gives the stored answer of a settlement, with the state the stay has by now when that settlement
// was undone since.
func settledNow(w *stay, answer []byte) (gateway.Stay, error) {
	s, err := storedStay(answer)
	if now := w.stayView(); err == nil && s.SettlementID != "" && now.SettlementID != s.SettlementID {
		s.State, s.Unknown, s.NeedsPerson, s.Refund = now.State, now.Unknown, now.NeedsPerson, now.Refund
	}
	return s, err
}

// answerStayLate stores the answer of a call about a stay whose last step was resolved while nobody waited. Of rows
// and of a refund that is so when nothing of them is left to be done; what is left waits for the HIS to repeat
// its request.
func (d *Desk) answerStayLate(ctx context.Context, rec gateway.Record) {
	if rec.Request.ID == "" || standingOf(rec) != stands {
		return
	}
	w, err := d.stayOf(ctx, task{op: opAdmit, key: rec.Request, oper: rec.Operator}, rec.Bill)
	if err != nil {
		return
	}
	if last, ok := w.stand.get(rec.Step); !ok || last.ID != rec.ID {
		return // undone since
	}
	switch baseOf(rec) {
	case stepAdmit, stepChange, stepLeave, stepStaySettle:
	default:
		if !d.aimed(ctx, w) {
			return
		}
	}
	s := w.stayView()
	_ = d.keep(ctx, rec.Request, s.ID, stored{Stay: &s}, nil) // it has been logged; who asks is answered anew
}

// stayOf reads a stay and where it stands.
func (d *Desk) stayOf(ctx context.Context, t task, id string) (*stay, error) {
	c, err := d.climbOf(ctx, t, id)
	if err != nil {
		return nil, err
	}
	w := &stay{climb: c, admitted: &gateway.AdmitStay{}}
	if err := json.Unmarshal(c.bill.Body, w.admitted); err != nil {
		return nil, internalError(t.name(), err)
	}
	w.recallStay()
	return w, nil
}

// recallStay takes the facts out of the steps that stand.
func (w *stay) recallStay() {
	w.recall()
	if rec, ok := w.stand.get(w.stand.name(stepAdmit)); ok && standingOf(rec) == stands {
		w.facts.visit = text(row(read(rec.Output), "result")["mdtrt_id"])
	}
	w.facts.batch = ""
}

// acceptOn writes the request of a call about a stay unless it is there already.
func (d *Desk) acceptOn(ctx context.Context, w *stay, t task, aims ...aim) error {
	if w.mine {
		return nil
	}
	var more []gateway.Entry
	for _, a := range aims {
		e, err := d.aimEntry(w, a)
		if err != nil {
			return err
		}
		more = append(more, e)
	}
	var err error
	w.mine, err = d.acceptRefund(ctx, w.climb, t, more...)
	return err
}

// carriedOut reports whether a step was done for this very request, whatever was done since. It is not
// done for it again: what stands by now may be the work of a later request.
func (w *stay) carriedOut(base string) bool {
	for _, rec := range w.stand.steps {
		if rec.Request == w.key && baseOf(rec) == base && standingOf(rec) == stands {
			return true
		}
	}
	return false
}

func (w *stay) conflict() error {
	return &gateway.Error{Code: gateway.CodeState, Op: w.op, Ref: w.bill.ID, Detail: string(stayState(w.stand, w.marks))}
}

// admitOnce is 1101, 2001 where the region wants it, and 2401.
func (d *Desk) admitOnce(ctx context.Context, w *stay) error {
	switch {
	case w.carriedOut(stepAdmit):
		return nil
	case w.stand.undone:
		return w.conflict()
	}
	rungs := []rung{{step: stepPerson + "#1", needs: true, input: func(c *climb) any { return personInput(c.credential(), c.body.Visit) }}}
	if w.inst.Region.TreatmentCheck {
		rungs = append(rungs, rung{step: stepTreat + "#1", input: func(c *climb) any { return treatmentInput(c.body, c.facts) }})
	}
	rungs = append(rungs, rung{step: stepAdmit + "#1", needs: true, input: func(c *climb) any { return admitInput(w.admitted, c.facts, c.credential()) }})
	for _, r := range rungs {
		rec, err := d.step(ctx, w.climb, r, false)
		if err != nil {
			return err
		}
		if err := w.learn(rec); err != nil {
			return err
		}
	}
	w.recallStay()
	if w.facts.visit == "" {
		return w.deadEnd("mdtrt_id", CodeRowsMismatch)
	}
	return nil
}

// chargeStep names the n-th call of a request's rows; see foldStay.
func (d *Desk) chargeStep(base string, key gateway.RequestKey, n int) string {
	sum := d.opt.Digest([]byte("rows"), []byte(key.System), []byte(key.ID))
	return base + "#" + strconv.Itoa(n) + ":" + hex.EncodeToString(sum[:8])
}

// chargeOnce uploads the rows of a request. When one call is refused those before it are taken back.
func (d *Desk) chargeOnce(ctx context.Context, w *stay, r gateway.ChargeStay) error {
	w.recallStay()
	if state := stayState(w.stand, w.marks); !w.mine && state != gateway.StayIn && state != gateway.StayDischarged {
		return w.conflict()
	}
	if err := d.acceptOn(ctx, w, w.taskOf(opCharge), aim{Calls: batches(r.Fees)}); err != nil {
		return err
	}
	// What was taken back because of a refusal is not uploaded again.
	refusal := d.chargeRefused(w, r)
	for n := 1; refusal == nil && n <= batches(r.Fees); n++ {
		fees := batchOf(r.Fees, n)
		rec, err := d.step(ctx, w.climb, d.chargeRung(w, fees, n), false)
		switch {
		case final(err):
			refusal = err
		case err != nil:
			return err
		case !sameRows(fees, rec):
			refusal = w.deadEnd("/fees", CodeRowsMismatch)
		}
	}
	if refusal == nil {
		return nil
	}
	for n := 1; n <= batches(r.Fees); n++ {
		up, ok := w.stand.get(d.chargeStep(stepCharge, w.key, n))
		if !ok || standingOf(up) != stands {
			continue
		}
		fees := batchOf(r.Fees, n)
		down := rung{step: d.chargeStep(stepUndoCharge, w.key, n), input: func(c *climb) any { return unchargeInput(fees, c.facts) }}
		if err := d.undoStep(ctx, w.climb, down); err != nil {
			if final(err) { // the rows stay: that is what the view shows
				return refusal
			}
			return err
		}
	}
	return refusal
}

// chargeRefused finds the refusal of an earlier call with this request.
func (d *Desk) chargeRefused(w *stay, r gateway.ChargeStay) error {
	for n := 1; n <= batches(r.Fees); n++ {
		rec, ok := w.stand.get(d.chargeStep(stepCharge, w.key, n))
		switch {
		case ok && standingOf(rec) == denied:
			return failure(w.op, rec, w.bill.ID)
		case ok && standingOf(rec) == stands && !sameRows(batchOf(r.Fees, n), rec):
			return w.deadEnd("/fees", CodeRowsMismatch)
		}
	}
	return nil
}

func (d *Desk) chargeRung(w *stay, fees []gateway.Fee, n int) rung {
	extra := map[string]bool{}
	for _, f := range fees {
		for name := range f.Extra {
			extra[name] = true
		}
	}
	return rung{step: d.chargeStep(stepCharge, w.key, n), keep: extra,
		input: func(c *climb) any { return chargeInput(fees, w.admitted.Visit.MedType, c.facts) }}
}

// sameRows holds the rows the centre gave back against those that were sent.
func sameRows(sent []gateway.Fee, rec gateway.Record) bool {
	back := rows(read(rec.Output), "result")
	want := make(map[string]string, len(sent))
	for _, f := range sent {
		want[f.ID] = f.Amount
	}
	for _, r := range back {
		id := text(r["feedetl_sn"])
		if amount, ok := want[id]; !ok || !same(amount, text(r["det_item_fee_sumamt"])) {
			return false
		}
		delete(want, id)
	}
	return len(want) == 0
}
