package flow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

var _ gateway.Cases = (*Desk)(nil)

// casework is the work on one case for one call.
type casework struct {
	*climb
	kind  gateway.CaseKind
	call  gateway.CaseCall
	mine  bool // the call's request is in the journal
	holds bool // the credential will be needed again
}

// caseKinds sorts kinds by their letters.
func caseKinds(list []gateway.CaseKind) (map[byte]gateway.CaseKind, error) {
	kinds := map[byte]gateway.CaseKind{}
	for _, k := range list {
		l := k.Letter()
		if l == billLetter || l == stayLetter || l < 'A' || l > 'Z' || kinds[l] != nil {
			return nil, fmt.Errorf("flow: the letter %q of a kind of case is taken or none", l)
		}
		kinds[l] = k
	}
	return kinds, nil
}

// kindOf is the kind of case a bill is, nil when it is none.
func (d *Desk) kindOf(bill string) gateway.CaseKind {
	if bill == "" {
		return nil
	}
	return d.kinds[bill[0]]
}

// DoCase implements gateway.Cases.
func (d *Desk) DoCase(ctx context.Context, c gateway.Caller, letter byte, r gateway.CaseCall) (gateway.CaseAnswer, error) {
	var none gateway.CaseAnswer
	t, err := d.newTask(r.Op, c, r.RequestID, r.Operator)
	if err != nil {
		return none, err
	}
	kind := d.kinds[letter]
	if kind == nil {
		return none, &gateway.Error{Code: gateway.CodeNotSupported, Op: t.name()}
	}
	about := ""
	if r.ID == "" {
		if t.inst, err = d.institution(c, r.Institution); err != nil {
			return none, err
		}
		about = string(t.inst.Code)
	} else {
		b, err := d.owned(ctx, t.name(), c, r.ID, letter)
		if err != nil {
			return none, err
		}
		t.bill, about = b.ID, b.ID
	}
	t.digest = d.opt.Digest([]byte(r.Op), []byte(about), r.Same)
	v, err := d.calls.do(ctx, &d.work, t.key, t.digest, func(ctx context.Context) (any, error) { return d.doCase(ctx, t, kind, r) })
	a, ok := v.(gateway.CaseAnswer)
	if !ok && err == nil {
		err = &gateway.Error{Code: gateway.CodeInternal, Op: t.name()}
	}
	return a, err
}

func (d *Desk) doCase(ctx context.Context, t task, kind gateway.CaseKind, r gateway.CaseCall) (none gateway.CaseAnswer, err error) {
	if t.bill == "" {
		if err := d.noCredential(t, r.Kept); err != nil {
			return none, err
		}
		req, err := d.acceptBill(ctx, t, kind.Letter(), func() ([]byte, error) { return r.Kept, nil })
		if err != nil {
			return none, err
		}
		t.bill = req.Ref
	}
	unlock, err := d.bills.lock(ctx, t.bill)
	if err != nil {
		return none, inProgress(t.name(), t.bill)
	}
	defer unlock()
	known, err := d.known(ctx, t)
	if err != nil {
		return none, err
	}
	c, err := d.climbOf(ctx, t, t.bill)
	if err != nil {
		return none, err
	}
	w := &casework{climb: c, kind: kind, call: r, mine: known != nil}
	if known != nil && len(known.Answer) > 0 {
		a, err := readStored(known.Answer)
		kept := gateway.CaseAnswer{Sale: a.Sale, Filing: a.Filing}
		if err != nil {
			return kept, err
		}
		return kind.Again(kept, kind.Answer(d.caseView(w))), nil
	}
	d.takeCredential(c, r.Credential)
	err = d.goOn(ctx, w, t)
	answer := kind.Answer(d.caseView(w))
	if w.mine && (err == nil || final(err)) {
		d.keepCase(ctx, t.key, t.bill, answer, err)
	}
	if err == nil && !w.holds || final(err) && r.ID == "" {
		d.creds.forget(t.bill)
	}
	return answer, err
}

// noCredential refuses a case that carries what proves the patient's identity among members it is to keep: that
// belongs into the credential, which is never kept.
func (d *Desk) noCredential(t task, kept []byte) error {
	v := read(kept)
	if v == nil {
		return internalError(t.name(), errors.New("a case is kept as JSON"))
	}
	if bytes.Equal(strictjson.Encode(v), strictjson.Encode(d.opt.Catalog.Redact(v))) {
		return nil
	}
	const rule = "就诊凭证只能放在 credential / only in credential"
	return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: t.name(), Path: "/credential", Rule: rule,
		Findings: []check.Finding{billFinding(CodeFeeExtra, "/credential", rule)}}
}

func (d *Desk) keepCase(ctx context.Context, key gateway.RequestKey, bill string, a gateway.CaseAnswer, fail error) {
	d.keep(ctx, key, bill, stored{Sale: a.Sale, Filing: a.Filing}, fail)
}

// mostCaseSteps bounds how often a kind is asked for the next step in one call.
const mostCaseSteps = 24

// goOn takes steps until the call has come to its end.
func (d *Desk) goOn(ctx context.Context, w *casework, t task) error {
	for range mostCaseSteps {
		done, err := d.caseStep(ctx, w, t)
		if errors.Is(err, errAgain) {
			if known, err := d.known(ctx, t); err != nil {
				return err
			} else if known != nil {
				w.mine = true
			}
			w.recall()
			continue
		}
		if err != nil || done {
			return err
		}
	}
	return inProgress(t.name(), t.bill)
}

// caseStep takes the next step, or reports that there is none.
func (d *Desk) caseStep(ctx context.Context, w *casework, t task) (done bool, err error) {
	if open := w.stand.pending(); len(open) > 0 {
		return false, d.lookInto(ctx, w.climb, open[0])
	}
	next, err := w.kind.Next(d.caseView(w))
	if err != nil {
		var e *gateway.Error
		if errors.As(err, &e) && e.Ref == "" {
			e.Op, e.Ref = w.op, w.bill.ID
		}
		return false, err
	}
	if next.Name == "" {
		w.holds = next.Needs
		return true, nil
	}
	var first []gateway.Entry
	if !w.mine {
		first = []gateway.Entry{{Request: &gateway.Request{
			Key: t.key, Digest: t.digest, Op: t.op, Institution: w.inst.Code, Ref: t.bill, CreatedAt: d.opt.Clock.Now(),
		}}}
	}
	r := rung{step: next.Name, needs: next.Needs, keep: next.Keep, input: func(c *climb) any { return next.Input(c.credential()) }}
	if next.Name == gateway.CasePerson {
		r.needs = true
		r.input = func(c *climb) any { return personInput(c.credential(), gateway.VisitInfo{Begin: next.Begin}) }
	}
	w.climb.insist = d.inDoubt(w.climb, next.Name)
	rec, err := d.step(ctx, w.climb, r, true, first...)
	if rec.ID != "" && rec.Request == t.key {
		w.mine = true
	}
	if rec.ID != "" && standingOf(rec) == denied && !w.stand.undoneBy(rec) && d.inDoubt(w.climb, next.Name) {
		return false, &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: w.op, Ref: w.bill.ID, Detail: noteDoubt}
	}
	if rec.ID != "" && w.stand.undoneBy(rec) {
		err = nil
	}
	if err == nil && next.Name == gateway.CasePerson {
		err = w.learn(rec)
	}
	return false, err
}

// inDoubt reports whether a refusal of a step says nothing: an attempt before it got no answer, was given up because the
// same again is harmless, and may have been done all the same. The step goes again, and is believed to be refused when
// it was refused each time.
func (d *Desk) inDoubt(c *climb, step string) bool {
	doubt, refusals := false, 0
	for _, rec := range c.stand.steps {
		tx := c.table(rec.Infno)
		switch {
		case rec.Step != step || tx == nil || len(tx.Asks) > 0 || !slices.Contains(tx.Remedies, catalog.RemedyResend):
		case rec.State == gateway.StateAbsent:
			doubt, refusals = true, 0
		case standingOf(rec) == denied:
			refusals++
		}
	}
	return doubt && refusals < doubtTries
}

// Case implements gateway.Cases: the live view, made from the records.
func (d *Desk) Case(ctx context.Context, c gateway.Caller, letter byte, id string) (gateway.CaseAnswer, error) {
	const op = "flow.case"
	kind := d.kinds[letter]
	if kind == nil {
		return gateway.CaseAnswer{}, &gateway.Error{Code: gateway.CodeNotSupported, Op: op}
	}
	if _, err := d.owned(ctx, op, c, id, letter); err != nil {
		return gateway.CaseAnswer{}, err
	}
	w, err := d.caseOf(ctx, task{op: op}, id, kind)
	if err != nil {
		return gateway.CaseAnswer{}, err
	}
	return kind.Answer(d.caseView(w)), nil
}

func (d *Desk) caseOf(ctx context.Context, t task, id string, kind gateway.CaseKind) (*casework, error) {
	c, err := d.climbOf(ctx, t, id)
	if err != nil {
		return nil, err
	}
	return &casework{climb: c, kind: kind, call: gateway.CaseCall{Op: t.op}}, nil
}

// caseView is a case as its kind sees it.
func (d *Desk) caseView(w *casework) gateway.CaseView {
	v := gateway.CaseView{
		Bill: w.bill, Institution: w.inst, Request: w.climb.asked.RequestID, Op: w.call.Op, Key: w.key, Asked: w.call.Asked,
		Unknown: len(w.stand.pending()) > 0, NeedsPerson: w.stand.parked(), Dead: w.marks.dead, Warnings: w.warned(nil),
	}
	if w.facts.area != "" { // else 1101 gave what can not be gone on with, and is looked at again
		v.Person = gateway.CasePersonFound{No: w.facts.person, Insutype: w.facts.insutype, Area: w.facts.area}
	}
	for _, rec := range w.stand.steps {
		a := gateway.CaseAttempt{
			Step: rec.Step, ID: rec.ID, Infno: rec.Infno, Key: rec.Request, State: rec.State, Cause: rec.Cause,
			Done: w.stand.undoneBy(rec), Input: read(rec.Input), At: rec.CreatedAt, Ended: rec.UpdatedAt,
		}
		switch standingOf(rec) {
		case stands:
			a.End, a.Output = gateway.CaseDone, read(rec.Output)
		case denied:
			a.End, a.Words = gateway.CaseRefused, refused(rec).ErrMsg
		case free:
			a.End = gateway.CaseNothing
		}
		v.Attempts = append(v.Attempts, a)
	}
	return v
}

// answerCaseLate stores the answer of a call about a case whose last step was resolved while nobody waited.
func (d *Desk) answerCaseLate(ctx context.Context, kind gateway.CaseKind, rec gateway.Record) {
	if rec.Request.ID == "" || standingOf(rec) != stands {
		return
	}
	req, err := d.opt.Journal.Request(ctx, rec.Request)
	if err != nil || len(req.Answer) > 0 {
		return
	}
	w, err := d.caseOf(ctx, task{op: req.Op, key: rec.Request, digest: req.Digest, oper: rec.Operator}, rec.Bill, kind)
	if err != nil || len(w.stand.pending()) > 0 {
		return
	}
	v := d.caseView(w)
	if next, err := kind.Next(v); err == nil && next.Name == "" {
		d.keepCase(ctx, rec.Request, rec.Bill, kind.Answer(v), nil)
	}
}
