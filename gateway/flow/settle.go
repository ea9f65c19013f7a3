package flow

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

const (
	billLetter = 'B' // a bill's id begins with it

	opOpen    = "settlement.open"
	opConfirm = "settlement.confirm"
	opRefund  = "settlement.refund"
	opCancel  = "settlement.cancel" // of our own: from here on a bill will not be settled
)

// task is one call about a bill.
type task struct {
	op     string // opOpen ...
	key    gateway.RequestKey
	digest [32]byte
	oper   gateway.Operator
	bill   string // "" for a new one
	inst   *gateway.Institution
}

func (t task) name() string {
	_, what, _ := strings.Cut(t.op, ".")
	return "flow." + what
}

// run works on a task, alone for its request and for its bill.
func (d *Desk) run(ctx context.Context, t task, fn func(context.Context) (gateway.Settlement, error)) (gateway.Settlement, error) {
	v, err := d.calls.do(ctx, &d.work, t.key, t.digest, func(ctx context.Context) (any, error) { return fn(ctx) })
	s, ok := v.(gateway.Settlement)
	if !ok && err == nil {
		err = &gateway.Error{Code: gateway.CodeInternal, Op: t.name()}
	}
	return s, err
}

// OpenSettlement implements gateway.Desk.
func (d *Desk) OpenSettlement(ctx context.Context, c gateway.Caller, r gateway.OpenSettlement) (gateway.Settlement, error) {
	const op = "flow.open"
	t, err := d.newTask(opOpen, c, r.RequestID, r.Operator)
	if err != nil {
		return gateway.Settlement{}, err
	}
	if t.inst, err = d.institution(c, r.Institution); err != nil {
		return gateway.Settlement{}, err
	}
	r.Institution, r.Operator = t.inst.Code, t.oper
	r.SettleWay = orElse(r.SettleWay, "01")
	if err := draft.Refusal(op, "", checkBill(&r)); err != nil {
		return gateway.Settlement{}, err
	}
	same := r // a code or card read again is the same request; see digestCredential
	same.Credential = digestCredential(r.Credential)
	body, err := json.Marshal(same)
	if err != nil {
		return gateway.Settlement{}, internalError(op, err)
	}
	t.digest = d.opt.Digest([]byte(opOpen), []byte(t.inst.Code), body)
	return d.run(ctx, t, func(ctx context.Context) (gateway.Settlement, error) { return d.opening(ctx, t, &r) })
}

// digestCredential is what two openings of the same id are compared by. A token is another each time
// it is read; an identity number names the person and stays.
func digestCredential(c gateway.Credential) gateway.Credential {
	const identityCard = "02"
	if c.Type != identityCard {
		c.Number, c.CardSN = "", ""
	}
	return c
}

func (d *Desk) newTask(op string, c gateway.Caller, id string, o gateway.Operator) (task, error) {
	t := task{op: op}
	var err error
	if t.key, err = requestKey(c, id); err != nil {
		return t, err
	}
	t.oper, err = operator(t.name(), o)
	return t, err
}

func (d *Desk) opening(ctx context.Context, t task, r *gateway.OpenSettlement) (gateway.Settlement, error) {
	req, err := d.acceptBill(ctx, t, billLetter, func() ([]byte, error) { return keptBill(*r) })
	if err != nil {
		return gateway.Settlement{}, err
	}
	if len(req.Answer) > 0 {
		return storedAnswer(req.Answer)
	}
	unlock, err := d.bills.lock(ctx, req.Ref)
	if err != nil {
		return gateway.Settlement{}, inProgress(t.name(), req.Ref)
	}
	defer unlock()
	c, err := d.climbOf(ctx, t, req.Ref)
	if err != nil {
		return gateway.Settlement{}, err
	}
	c.take(r)
	c.cred = &r.Credential
	d.creds.put(c.bill.ID, r.Credential, d.opt.Clock.Now().Add(d.timing.CredentialTTL))
	if c.stand.undone || c.marks.closed || c.stand.attempts[stepSettle+"#1"] > 0 {
		// It went on, or was given up, without this request having been answered.
		return d.overtaken(ctx, c)
	}
	err = d.open(ctx, c)
	if final(err) {
		// What stands at the centre by now is of no use to anybody.
		if undo := d.undoWay(ctx, c); undo != nil {
			d.log.Warn("bill not taken back whole", "bill", c.bill.ID, "err", undo.Error())
		}
		d.creds.forget(c.bill.ID)
		c.marks.dead = true
	}
	s := c.view()
	switch {
	case err == nil:
		d.store(ctx, t.key, s, nil)
	case final(err):
		// What was refused has been taken back: asked again, the centre might take it. Who can not be given a refusal
		// that stays asks once more.
		if lost := d.keep(ctx, t.key, s.ID, stored{Settlement: &s}, err); lost != nil {
			return s, storage(t.name(), lost)
		}
	}
	return s, err
}

// overtaken answers an opening whose bill has moved on since.
func (d *Desk) overtaken(ctx context.Context, c *climb) (gateway.Settlement, error) {
	c.recall()
	s := c.view()
	if s.State != gateway.BillFailed {
		return s, nil
	}
	var err error = &gateway.Error{Code: gateway.CodeAmounts, Op: c.op, Ref: c.bill.ID}
	if rec, ok := c.stand.lastDenied(true); ok {
		err = failure(c.op, rec, c.bill.ID)
	}
	d.store(ctx, c.key, s, err)
	return s, err
}

// acceptBill gives the request of an opening, new or known; its Ref is the bill.
func (d *Desk) acceptBill(ctx context.Context, t task, letter byte, kept func() ([]byte, error)) (gateway.Request, error) {
	known, err := d.known(ctx, t)
	if err != nil || known != nil {
		return deref(known), err
	}
	now := d.opt.Clock.Now()
	id, err := d.opt.Journal.NextMsgID(ctx, t.inst.Code, now)
	if err != nil {
		return gateway.Request{}, storage(t.name(), err)
	}
	body, err := kept()
	if err != nil {
		return gateway.Request{}, internalError(t.name(), err)
	}
	bill := gateway.Bill{ID: string(letter) + string(id), Institution: t.inst.Code, System: t.key.System, CreatedAt: now, Body: body}
	req := gateway.Request{Key: t.key, Digest: t.digest, Op: t.op, Institution: t.inst.Code, Ref: bill.ID, CreatedAt: now}
	existing, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: &req, Bill: &bill})
	if err != nil {
		return gateway.Request{}, storage(t.name(), err)
	}
	if existing != nil {
		return *existing, nil
	}
	return req, nil
}

func deref(r *gateway.Request) gateway.Request {
	if r == nil {
		return gateway.Request{}
	}
	return *r
}

// known gives the request when the journal has it, nil when it is new.
func (d *Desk) known(ctx context.Context, t task) (*gateway.Request, error) {
	req, err := d.opt.Journal.Request(ctx, t.key)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, storage(t.name(), err)
	case req.Digest != t.digest:
		return nil, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: t.name(), Path: "/request_id", Ref: req.Ref}
	}
	return &req, nil
}

// climbOf reads a bill and where it stands. Without a key the work is on the request that opened it.
func (d *Desk) climbOf(ctx context.Context, t task, bill string) (*climb, error) {
	b, err := d.opt.Journal.Bill(ctx, bill)
	if err != nil {
		return nil, storage(t.name(), err)
	}
	inst := d.opt.Institutions[b.Institution]
	if inst == nil {
		return nil, &gateway.Error{Code: gateway.CodeInstitution, Op: t.name()}
	}
	c := &climb{op: t.name(), inst: inst, bill: b, key: t.key, digest: t.digest, operator: t.oper, check: d.checkers[inst.Region], catalog: d.opt.Catalog}
	if c.asked, err = billBody(b); err != nil {
		return nil, err
	}
	if c.key.ID == "" {
		c.key = gateway.RequestKey{System: b.System, ID: c.asked.RequestID}
	}
	if err := d.reload(ctx, c); err != nil {
		return nil, err
	}
	c.recall()
	return c, nil
}

// owned checks that a bill is the caller's; another's is not found.
func (d *Desk) owned(ctx context.Context, op string, c gateway.Caller, id string, letter byte) (gateway.Bill, error) {
	if id == "" || id[0] != letter {
		return gateway.Bill{}, &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	}
	b, err := d.opt.Journal.Bill(ctx, id)
	if err != nil {
		return b, storage(op, err)
	}
	if c.System == "" || b.System != c.System || !mayActFor(c, b.Institution) {
		return b, &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	}
	return b, nil
}

// ConfirmSettlement implements gateway.Desk. The credential is no part of what is compared between
// two requests of the same id: a patient may have to show it anew.
func (d *Desk) ConfirmSettlement(ctx context.Context, c gateway.Caller, r gateway.ConfirmSettlement) (gateway.Settlement, error) {
	t, err := d.newTask(opConfirm, c, r.RequestID, r.Operator)
	if err != nil {
		return gateway.Settlement{}, err
	}
	b, err := d.owned(ctx, t.name(), c, r.ID, billLetter)
	if err != nil {
		return gateway.Settlement{}, err
	}
	t.bill = b.ID
	if _, err := money.Parse(r.ExpectCash); r.ExpectCash != "" && err != nil {
		return gateway.Settlement{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: t.name(), Path: "/expect_cash", Rule: "16,2"}
	}
	t.digest = d.opt.Digest([]byte(opConfirm), []byte(b.ID), []byte(r.Invoice), []byte(r.ExpectCash))
	return d.run(ctx, t, func(ctx context.Context) (gateway.Settlement, error) { return d.confirming(ctx, t, r) })
}

func (d *Desk) confirming(ctx context.Context, t task, r gateway.ConfirmSettlement) (gateway.Settlement, error) {
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
		return d.confirmedNow(ctx, t, known.Answer)
	}
	c, err := d.climbOf(ctx, t, t.bill)
	if err != nil {
		return gateway.Settlement{}, err
	}
	d.takeCredential(c, r.Credential)
	for round := 0; round < 8; round++ {
		err = d.confirmOnce(ctx, c, t, r, known)
		if !errors.Is(err, errAgain) {
			break
		}
		if known, err = d.known(ctx, t); err != nil {
			break
		}
		err = errAgain
	}
	if errors.Is(err, errAgain) {
		err = inProgress(t.name(), t.bill)
	}
	c.recall()
	if c.stand.settledNow() {
		d.askFigures(ctx, c, stepSettle)
	}
	s := c.view()
	last, sent := c.stand.get(stepSettle + "#1")
	if sent && c.stand.round > 0 && standingOf(last) == stands && c.stand.triedBy(stepSettle, t.key) {
		// An answer that could not be kept is made anew: the settlement this request made, whatever
		// was settled after a refund in part.
		s = c.viewWith(stepTrial+"#1", stepSettle+"#1")
	}
	if sent && c.stand.triedBy(stepSettle, t.key) && (err == nil || standingOf(last) == denied && final(err)) {
		d.store(ctx, t.key, s, err)
	}
	if c.stand.settledNow() {
		d.creds.forget(t.bill)
	}
	return s, err
}

// confirmedNow gives the stored answer of a confirmation: the settlement it made, with the state the bill has by
// now and what undid that settlement since. Who was told that it is settled must not be told so after a refund.
func (d *Desk) confirmedNow(ctx context.Context, t task, answer []byte) (gateway.Settlement, error) {
	s, err := storedAnswer(answer)
	if err != nil || s.State != gateway.BillSettled {
		return s, err
	}
	c, err := d.climbOf(ctx, t, t.bill)
	if err != nil {
		return gateway.Settlement{}, err
	}
	now := c.view()
	s.State, s.Unknown, s.NeedsPerson, s.Refund = now.State, now.Unknown, now.NeedsPerson, now.Refund
	s.RefundedRows, s.ReducedRows = now.RefundedRows, now.ReducedRows
	return s, nil
}

// takeCredential takes the credential of the request, else the one kept since the opening.
func (d *Desk) takeCredential(c *climb, given *gateway.Credential) {
	now := d.opt.Clock.Now()
	if given != nil && given.Type != "" && given.Number != "" {
		c.cred = given
		d.creds.put(c.bill.ID, *given, now.Add(d.timing.CredentialTTL))
		return
	}
	if held, ok := d.creds.get(c.bill.ID, now); ok {
		c.cred = &held
	}
}

// confirmOnce looks at the bill and settles it when it may be settled. At most one 2207 of a bill
// is ever sent, unknown or done: the attempt's key in the journal sees to it, whoever tries.
func (d *Desk) confirmOnce(ctx context.Context, c *climb, t task, r gateway.ConfirmSettlement, known *gateway.Request) error {
	last, tried := c.stand.get(stepSettle + "#1")
	mine := tried && c.stand.triedBy(stepSettle, t.key)
	switch state := billState(c.stand, c.marks); {
	case mine && (state == gateway.BillSettled || state == gateway.BillRefunding || state == gateway.BillResettling || state == gateway.BillRefunded) && standingOf(last) == stands:
		return nil
	case mine && standingOf(last) == denied:
		return d.unlessFound(ctx, c, failure(t.name(), last, t.bill))
	case state == gateway.BillSettling:
		return d.lookInto(ctx, c, last)
	case state != gateway.BillPresettled:
		return &gateway.Error{Code: gateway.CodeState, Op: t.name(), Ref: t.bill, Detail: string(state)}
	}
	c.recall()
	if err := expected(c, r.ExpectCash); err != nil {
		return err
	}
	if err := d.findLate(ctx, c); err != nil {
		return err
	}
	var first []gateway.Entry
	if known == nil {
		first = []gateway.Entry{{Request: &gateway.Request{
			Key: t.key, Digest: t.digest, Op: t.op, Institution: c.inst.Code, Ref: t.bill, CreatedAt: d.opt.Clock.Now(),
		}}}
	}
	settle := rung{step: stepSettle + "#1", needs: true, input: func(c *climb) any {
		return confirmInput(c.body, c.facts, c.credential(), r.Invoice)
	}}
	_, err := d.step(ctx, c, settle, true, first...)
	return d.unlessFound(ctx, c, err)
}

// expected refuses when the patient was told another figure than the trial gave.
func expected(c *climb, cash string) error {
	if cash == "" || same(cash, text(c.facts.trial["psn_cash_pay"])) {
		return nil
	}
	return c.cashDiffers(text(c.facts.trial["psn_cash_pay"]))
}

// cashDiffers: the rule names the cash of the trial settlement.
func (c *climb) cashDiffers(trial string) error {
	f := billFinding(CodeCashDiffers, "/expect_cash", trial)
	return &gateway.Error{Code: gateway.CodeAmounts, Op: c.op, Path: f.Path, Rule: trial, Ref: c.bill.ID, Findings: []check.Finding{f}}
}

// answerLate stores the answer of a settlement that was resolved while nobody waited, so that the
// HIS can be told.
func (d *Desk) answerLate(ctx context.Context, rec gateway.Record) {
	if rec.Bill != "" && rec.Bill[0] == stayLetter {
		d.answerStayLate(ctx, rec)
		return
	}
	if kind := d.kindOf(rec.Bill); kind != nil {
		d.answerCaseLate(ctx, kind, rec)
		return
	}
	if rec.Bill == "" || baseOf(rec) != stepSettle || standingOf(rec) != stands {
		return
	}
	c, err := d.climbOf(ctx, task{op: opConfirm, key: rec.Request, oper: rec.Operator}, rec.Bill)
	if err != nil || !c.stand.settledNow() || roundOf(rec) != c.stand.round {
		return
	}
	d.store(ctx, rec.Request, c.view(), nil)
}
