package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// climb is the work on one bill for one request. The caller holds the bill's lock.
type climb struct {
	op       string
	inst     *gateway.Institution
	bill     gateway.Bill
	asked    *gateway.OpenSettlement // as handed in, or as kept when another request works on the bill
	body     *gateway.OpenSettlement // what of it is settled in the round that counts
	cred     *gateway.Credential     // nil when nobody has it
	key      gateway.RequestKey      // the HIS request that is answered
	digest   [32]byte
	operator gateway.Operator
	stand    stand
	marks    marks
	facts    facts
	warnings []check.Finding
	check    *check.Checker   // of the region
	catalog  *catalog.Catalog // the tables

	insist bool                 // what was refused to this request before this call is tried again
	made   map[ident.MsgID]bool // records made in this call
}

// rung is one step of a ladder.
type rung struct {
	step  string
	needs bool // the patient's credential
	input func(c *climb) any
	keep  map[string]bool
}

func (c *climb) credential() gateway.Credential {
	if c.cred == nil {
		return gateway.Credential{}
	}
	return *c.cred
}

// mostWarnings bounds what travels with one answer.
const mostWarnings = 100

// openRungs is the ladder up to the trial settlement, in order.
func (c *climb) openRungs() []rung {
	list := []rung{{step: stepPerson + "#1", needs: true, input: func(c *climb) any { return personInput(c.credential(), c.body.Visit) }}}
	if c.inst.Region.TreatmentCheck {
		list = append(list, rung{step: stepTreat + "#1", input: func(c *climb) any { return treatmentInput(c.body, c.facts) }})
	}
	list = append(list,
		rung{step: stepRegister + "#1", needs: true, input: func(c *climb) any { return registerInput(c.body, c.facts, c.credential()) }},
		rung{step: stepVisit + "#1", input: func(c *climb) any { return visitInput(c.body, c.facts) }})
	return append(list, c.feeRungs()...)
}

// feeRungs are the rows and the trial settlement of the round that counts.
func (c *climb) feeRungs() []rung {
	var list []rung
	for n := 1; n <= batches(c.body.Fees); n++ {
		extra := map[string]bool{}
		for _, f := range batchOf(c.body.Fees, n) {
			for name := range f.Extra {
				extra[name] = true
			}
		}
		list = append(list, rung{step: stepName(stepFees, n, c.stand.round), keep: extra,
			input: func(c *climb) any { return feesInput(c.body, c.facts, n) }})
	}
	return append(list, rung{step: c.stand.name(stepTrial), needs: true,
		input: func(c *climb) any { return object{"data": settleInput(c.body, c.facts, c.credential())} }})
}

// reload reads the bill's records and folds them.
func (d *Desk) reload(ctx context.Context, c *climb) error {
	recs, err := d.opt.Journal.BillRecords(ctx, c.bill.ID)
	if err != nil {
		return storage(c.op, err)
	}
	plans, err := d.plansOf(ctx, c.bill.ID, recs)
	if err != nil {
		return storage(c.op, err)
	}
	c.stand = fold(recs, c.inst.Region, plans...)
	c.take(c.asked)
	c.marks, err = d.marksOf(ctx, c.bill, c.asked.RequestID, c.stand)
	return err
}

// marksOf reads what is known of a bill beside its records; request is the one that opened it.
func (d *Desk) marksOf(ctx context.Context, b gateway.Bill, request string, s stand) (marks, error) {
	var m marks
	req, err := d.opt.Journal.Request(ctx, stepKey(b.ID, stepSettle+"#1", s.attempts[stepSettle+"#1"]+1))
	switch {
	case err == nil:
		m.closed = req.Op == opCancel
	case !errors.Is(err, gateway.ErrNotFound):
		return m, storage("flow.bill", err)
	}
	open, err := d.opt.Journal.Request(ctx, gateway.RequestKey{System: b.System, ID: request})
	switch {
	case err == nil:
		_, failed := storedAnswer(open.Answer)
		m.dead = len(open.Answer) > 0 && failed != nil
	case !errors.Is(err, gateway.ErrNotFound):
		return m, storage("flow.bill", err)
	}
	return m, nil
}

// stepKey makes an attempt at a step of a bill unique, whichever process and request tries it.
func stepKey(bill, step string, attempt int) gateway.RequestKey {
	return guard(bill, step, attemptText(attempt))
}

// step takes one rung: what is done stays done, what is unknown is looked after first, and only
// what is proved not to have happened is sent. again allows another attempt after a refusal that
// was given to an earlier request.
func (d *Desk) step(ctx context.Context, c *climb, r rung, again bool, first ...gateway.Entry) (gateway.Record, error) {
	if last, ok := c.stand.get(r.step); ok {
		switch standingOf(last) {
		case stands:
			return last, nil
		case pending:
			return last, d.lookInto(ctx, c, last)
		case denied:
			if !again || last.Request == c.key && (!c.insist || c.made[last.ID]) {
				return last, failure(c.op, last, c.bill.ID)
			}
		}
	}
	rec, err := d.sendStep(ctx, c, r, first)
	if errors.Is(err, errTaken) {
		if err := d.reload(ctx, c); err != nil {
			return gateway.Record{}, err
		}
		return gateway.Record{}, errAgain
	}
	if err != nil && rec.ID == "" {
		return rec, err
	}
	c.note(rec)
	switch standingOf(rec) {
	case stands:
		return rec, nil
	case pending:
		return rec, d.lookInto(ctx, c, rec)
	}
	return rec, d.failed(c.op, rec, c.bill.ID)
}

// errAgain: a record has come to an end, the stand has been read again, look anew.
var errAgain = errors.New("flow: look again")

// lookInto finds out about a pending step while the caller waits.
func (d *Desk) lookInto(ctx context.Context, c *climb, rec gateway.Record) error {
	after, err := d.attend(ctx, rec, true)
	var e *gateway.Error
	if errors.As(err, &e) {
		e.Op, e.Ref = c.op, c.bill.ID
		return e
	}
	if standingOf(after) == pending {
		return d.failed(c.op, after, c.bill.ID)
	}
	if err := d.reload(ctx, c); err != nil {
		return err
	}
	return errAgain
}

// note puts a record just made into the stand without reading everything again.
func (c *climb) note(rec gateway.Record) {
	c.stand.last[rec.Step] = rec
	c.stand.attempts[rec.Step] = max(c.stand.attempts[rec.Step], rec.Attempt)
	c.stand.steps = append(c.stand.steps, rec)
	if c.made == nil {
		c.made = map[ident.MsgID]bool{}
	}
	c.made[rec.ID] = true
}

func (d *Desk) sendStep(ctx context.Context, c *climb, r rung, first []gateway.Entry) (gateway.Record, error) {
	if r.needs && c.cred == nil {
		return gateway.Record{}, &gateway.Error{Code: gateway.CodeCredentialNeeded, Op: c.op, Ref: c.bill.ID}
	}
	base := ident.Infno(baseOf(gateway.Record{Step: r.step}))
	tx, err := d.lookup(variant(c.inst.Region, base))
	if err != nil {
		return gateway.Record{}, err
	}
	rec, warnings, err := d.send(ctx, job{
		op: c.op, inst: c.inst, tx: tx, operator: c.operator, area: c.facts.area, input: fit(tx, r.input(c), r.keep),
		request: c.key, bill: c.bill.ID, step: r.step, attempt: c.stand.attempts[r.step] + 1, first: first,
		guard: func(n int, id ident.MsgID) *gateway.Request {
			return d.guardRequest(c.inst.Code, stepKey(c.bill.ID, r.step, n), "step", id)
		},
	})
	if err == nil && standingOf(rec) == stands && !hasFigures(string(base)) { // theirs are in the view
		warnings = append(warnings, d.checkers[c.inst.Region].Amounts(rec.Infno, read(rec.Output))...)
	}
	c.warnings = append(c.warnings, warnings[:min(len(warnings), mostWarnings-len(c.warnings))]...)
	var e *gateway.Error
	if errors.As(err, &e) && e.Code == gateway.CodeRequestInvalid && e.Detail == "" {
		e.Detail, e.Ref = string(tx.Infno), c.bill.ID
	}
	return rec, err
}

// hasFigures reports whether a step gives the figures a bill shows.
func hasFigures(base string) bool {
	return settles(base) || base == stepTrial || base == stepStayTrial
}

// open climbs to the trial settlement.
func (d *Desk) open(ctx context.Context, c *climb) error {
	for round := 0; round < 8; round++ {
		err := d.openOnce(ctx, c)
		if !errors.Is(err, errAgain) {
			return err
		}
	}
	return inProgress(c.op, c.bill.ID)
}

func (d *Desk) openOnce(ctx context.Context, c *climb) error {
	if c.stand.undone || c.marks.closed {
		return &gateway.Error{Code: gateway.CodeState, Op: c.op, Ref: c.bill.ID}
	}
	c.facts = facts{batch: c.batch(c.stand.round)}
	for _, r := range c.openRungs() {
		rec, err := d.step(ctx, c, r, false)
		if err != nil {
			return err
		}
		if err := c.learn(rec); err != nil {
			return err
		}
	}
	return nil
}

// learn takes from a step that is done what the next ones need. It refuses what can not be gone on
// with.
func (c *climb) learn(rec gateway.Record) error {
	out := read(rec.Output)
	switch baseOf(rec) {
	case stepPerson:
		return c.learnPerson(out)
	case stepRegister:
		if c.facts.visit = text(row(out, "data")["mdtrt_id"]); c.facts.visit == "" {
			return c.deadEnd("mdtrt_id", CodeRowsMismatch)
		}
	case stepFees:
		return c.learnFees(rec, out)
	case stepTrial:
		c.facts.trial = row(out, "setlinfo")
		if got := text(c.facts.trial["medfee_sumamt"]); !same(got, c.body.Total) {
			return c.deadEnd("/total", CodeTotalMismatch)
		}
	}
	return nil
}

// learnPerson takes the person and the insurance the bill is settled by: the one asked for, else
// the first that is in force.
func (c *climb) learnPerson(out any) error {
	c.facts.person = text(row(out, "baseinfo")["psn_no"])
	insured := rows(out, "insuinfo")
	var chosen object
	for _, r := range insured {
		switch {
		case c.body.Insutype != "" && text(r["insutype"]) != c.body.Insutype:
			continue
		case chosen == nil, text(chosen["psn_insu_stas"]) != insuredNow && text(r["psn_insu_stas"]) == insuredNow:
			chosen = r
		}
	}
	if chosen == nil || c.facts.person == "" {
		return c.deadEnd("/insutype", CodeNotInsured)
	}
	c.facts.insutype, c.facts.area = text(chosen["insutype"]), text(chosen["insuplc_admdvs"])
	if c.facts.area == "" {
		return c.deadEnd("insuplc_admdvs", CodeNoArea)
	}
	return nil
}

// insuredNow is psn_insu_stas: insured and paying.
const insuredNow = "1"

// learnFees holds the rows the centre returned against those that were sent.
func (c *climb) learnFees(rec gateway.Record, out any) error {
	_, n, _ := splitStep(rec.Step)
	sent := batchOf(c.body.Fees, n)
	back := rows(out, "result")
	if len(back) != len(sent) {
		return c.deadEnd("/fees", CodeRowsMismatch)
	}
	want := make(map[string]money.Fen, len(sent))
	for i := range sent {
		var err error
		if want[sent[i].ID], err = money.Parse(sent[i].Amount); err != nil {
			return internalError(c.op, err)
		}
	}
	for _, r := range back {
		id := text(r["feedetl_sn"])
		amount, ok := want[id]
		got, err := money.ParseReply(text(r["det_item_fee_sumamt"]))
		if !ok || err != nil || got != amount {
			return c.deadEnd("/fees", CodeRowsMismatch)
		}
		delete(want, id)
	}
	return nil
}

// deadEnd is a final refusal of ours after an answer that can not be gone on with.
func (c *climb) deadEnd(path, code string) error {
	f := billFinding(code, path, "")
	e := &gateway.Error{Code: gateway.CodeAmounts, Op: c.op, Path: path, Detail: f.EN, Ref: c.bill.ID, Findings: []check.Finding{f}}
	if code == CodeNotInsured || code == CodeNoArea {
		e.Code = gateway.CodeRequestInvalid
	}
	return e
}

// recall takes the facts out of the steps that stand, without sending anything.
func (c *climb) recall() {
	c.facts = facts{batch: c.batch(c.stand.round)}
	for _, base := range []string{stepPerson, stepRegister, stepTrial} {
		if rec, ok := c.stand.get(c.stand.name(base)); ok && standingOf(rec) == stands {
			if c.learn(rec) != nil {
				continue
			}
		}
	}
	if rec, ok := c.stand.get(c.stand.name(stepSettle)); ok && standingOf(rec) == stands {
		c.facts.setl = text(row(read(rec.Output), "setlinfo")["setl_id"])
	}
}

// final reports whether an error ends a request for good: asking again would not change it.
func final(err error) bool {
	var e *gateway.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case gateway.CodeCentreRefused, gateway.CodeAmounts, gateway.CodeRequestInvalid:
		return true
	}
	return false
}

// undoWay takes back what a bill has uploaded: the fee rows, then the registration.
func (d *Desk) undoWay(ctx context.Context, c *climb) error {
	for round := 0; round < 8; round++ {
		err := d.undoOnce(ctx, c)
		if !errors.Is(err, errAgain) {
			return err
		}
	}
	return inProgress(c.op, c.bill.ID)
}

func (d *Desk) undoOnce(ctx context.Context, c *climb) error {
	c.recall()
	if open := c.stand.pending(); len(open) > 0 {
		return d.lookInto(ctx, c, open[0])
	}
	undoFees := rung{step: stepUndoFees + "#1", input: func(c *climb) any { return undoFeesInput(c.facts) }}
	undoReg := rung{step: stepUndoReg + "#1", input: func(c *climb) any { return undoVisitInput(c.body, c.facts) }}
	if c.stand.any(stepFees, stands) && c.facts.visit != "" {
		if err := d.undoStep(ctx, c, undoFees); err != nil {
			return err
		}
	}
	if !c.stand.undone && c.facts.visit != "" {
		return d.undoStep(ctx, c, undoReg)
	}
	return nil
}

// undoStep takes one step back. That there was nothing to undo is as good as done.
func (d *Desk) undoStep(ctx context.Context, c *climb, r rung, first ...gateway.Entry) error {
	if last, ok := c.stand.get(r.step); ok && standingOf(last) != pending && last.Request != c.key || ok && c.stand.undoneBy(last) {
		// An earlier undo was for what stood then; this one is a new attempt.
		delete(c.stand.last, r.step)
	}
	rec, err := d.step(ctx, c, r, true, first...)
	if rec.ID != "" && c.stand.undoneBy(rec) {
		err = nil
	}
	if err != nil {
		return err
	}
	return d.reload(ctx, c)
}
