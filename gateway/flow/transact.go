package flow

import (
	"context"
	"encoding/json"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

const (
	opTransact = "transact"
	opUpload   = "upload"
)

// order is a low-level request that passed the checks which need no journal.
type order struct {
	key    gateway.RequestKey
	digest [32]byte
	job    job
}

// Transact implements gateway.Desk.
func (d *Desk) Transact(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	o, err := d.order(opTransact, c, r)
	if err != nil {
		return gateway.Transaction{}, err
	}
	if o.job.tx.Queued {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Op: o.job.op,
			Detail: "upload class: POST /api/v1/uploads/" + string(o.job.tx.Infno)}
	}
	if err := areaNamed(o.job); err != nil {
		return gateway.Transaction{}, err
	}
	return d.fly(ctx, o, d.transact)
}

// areaNamed refuses a message about a person that does not say where the person is insured: no centre takes it.
func areaNamed(j job) error {
	if j.area != "" || text(member(j.input, j.tx.Input, "psn_no")) == "" {
		return nil
	}
	const path = "/insuplc_admdvs"
	return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: j.op, Path: path, Rule: "insuplc_admdvs, 1101",
		Findings: []check.Finding{billFinding(CodeAreaNeeded, path, "")}}
}

func (d *Desk) fly(ctx context.Context, o order, fn func(context.Context, order) (gateway.Transaction, error)) (gateway.Transaction, error) {
	v, err := d.calls.do(ctx, &d.work, o.key, o.digest, func(ctx context.Context) (any, error) { return fn(ctx, o) })
	t, ok := v.(gateway.Transaction)
	if !ok && err == nil {
		err = &gateway.Error{Code: gateway.CodeInternal, Op: o.job.op}
	}
	return t, err
}

// order checks who asks for what.
func (d *Desk) order(op string, c gateway.Caller, r gateway.Transact) (order, error) {
	inst, err := d.institution(c, r.Institution)
	if err != nil {
		return order{}, err
	}
	key, err := requestKey(c, r.RequestID)
	if err != nil {
		return order{}, err
	}
	tx, err := d.lookup(r.Infno)
	if err != nil {
		return order{}, err
	}
	oper, err := operator("flow."+op, r.Operator)
	if err != nil {
		return order{}, err
	}
	if r.Input == nil {
		r.Input = object{}
	}
	if !strictjson.Writable(r.Input) {
		return order{}, internalError("flow."+op, errors.New("input was not decoded by strictjson"))
	}
	text := strictjson.Encode(r.Input)
	return order{
		key:    key,
		digest: d.opt.Digest([]byte(op), []byte(tx.Infno), []byte(inst.Code), []byte(r.InsuplcArea), text),
		job: job{
			op: "flow." + op, inst: inst, tx: tx, operator: oper, area: r.InsuplcArea, input: r.Input, text: text,
			request: key, step: string(tx.Infno), attempt: 1,
			answer: func(rec gateway.Record) *gateway.Answer { return pointer(key, rec) },
		},
	}, nil
}

// request is the HIS leg of an order.
func (o order) request(d *Desk, op string) *gateway.Request {
	return &gateway.Request{Key: o.key, Digest: o.digest, Op: op, Institution: o.job.inst.Code, CreatedAt: d.opt.Clock.Now()}
}

// attempts reads what was made of a request so far; none is no error.
func (d *Desk) attempts(ctx context.Context, key gateway.RequestKey, digest [32]byte) (known bool, recs []gateway.Record, err error) {
	req, err := d.opt.Journal.Request(ctx, key)
	if errors.Is(err, gateway.ErrNotFound) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, storage("flow.request", err)
	}
	if req.Digest != digest {
		return true, nil, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: "flow.request", Path: "/request_id", Ref: req.Ref}
	}
	recs, err = d.opt.Journal.RequestRecords(ctx, key)
	if err != nil {
		return true, nil, storage("flow.request", err)
	}
	return true, recs, nil
}

// transact sends an order, or gives what became of it before.
//
// Most requests are new, and the journal finds out when it writes one: so it is not asked before,
// but only when the request turns out to be known or can not be sent.
func (d *Desk) transact(ctx context.Context, o order) (gateway.Transaction, error) {
	first := []gateway.Entry{{Request: o.request(d, opTransact)}}
	j := o.job
	j.first = first
	for round := 0; round < 4; round++ {
		t, mine, err := d.transactOnce(ctx, o, j)
		if mine || round > 0 && !errors.Is(err, errTaken) {
			return t, err
		}
		known, recs, lookErr := d.attempts(ctx, o.key, o.digest)
		switch {
		case lookErr != nil:
			return gateway.Transaction{}, lookErr
		case !known && !errors.Is(err, errTaken):
			return gateway.Transaction{}, err
		}
		j = o.job
		if !known {
			j.first = first
			continue
		}
		if n := len(recs); n > 0 {
			last := recs[n-1]
			if standingOf(last) == pending {
				if failedStorage(err) { // perhaps what was just written; nothing was sent
					return gateway.Transaction{}, err
				}
				if last, err = d.attend(ctx, last, true); err != nil {
					return d.transaction(last, nil), err
				}
			}
			if standingOf(last) != free {
				return d.outcome(o, last, nil, read(last.Output))
			}
			j.attempt = last.Attempt + 1
		}
	}
	return gateway.Transaction{}, inProgress(o.job.op, "")
}

func failedStorage(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeStorage
}

// transactOnce makes one attempt of an order. mine reports whether there is a record of it; when
// there is none nothing was sent, and err says why: errTaken when the request is known already.
func (d *Desk) transactOnce(ctx context.Context, o order, j job) (t gateway.Transaction, mine bool, err error) {
	if err := d.notOurs(ctx, j); err != nil {
		return gateway.Transaction{}, false, err
	}
	var output any
	j.output = &output
	rec, warnings, err := d.send(ctx, j)
	switch {
	case errors.Is(err, errTaken), err != nil && rec.ID == "":
		return gateway.Transaction{}, false, err
	case err != nil:
		return d.transaction(rec, nil), true, err
	}
	if standingOf(rec) == pending {
		// The caller waits: one question at once often finds a lost answer.
		if rec, err = d.attend(ctx, rec, true); err != nil {
			return d.transaction(rec, nil), true, err
		}
		output = read(rec.Output)
	}
	t, err = d.outcome(o, rec, warnings, output)
	return t, true, err
}

// outcome is what a caller of Transact is told about a record; output is its Output decoded.
func (d *Desk) outcome(o order, rec gateway.Record, warnings []check.Finding, output any) (gateway.Transaction, error) {
	t := d.transactionWith(rec, warnings, output)
	if standingOf(rec) != stands {
		return t, d.failed(o.job.op, rec, refOf(rec.ID))
	}
	t.Warnings = append(t.Warnings, d.checkers[o.job.inst.Region].Reply(rec.Infno, t.Output)...)
	return t, nil
}

// Transaction implements gateway.Desk. A system sees the records of its own requests only.
func (d *Desk) Transaction(ctx context.Context, c gateway.Caller, id ident.MsgID) (gateway.Transaction, error) {
	const op = "flow.transaction"
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return gateway.Transaction{}, storage(op, err)
	}
	if c.System == "" || rec.Request.System != c.System || !mayActFor(c, rec.Institution) {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	}
	t := d.transaction(rec, nil)
	if inst := d.opt.Institutions[rec.Institution]; inst != nil && standingOf(rec) == stands {
		t.Warnings = d.checkers[inst.Region].Reply(rec.Infno, t.Output)
	}
	return t, nil
}

func (d *Desk) transaction(rec gateway.Record, warnings []check.Finding) gateway.Transaction {
	var output any
	if standingOf(rec) == stands {
		output = read(rec.Output)
	}
	return d.transactionWith(rec, warnings, output)
}

// transactionWith is transaction with the Output decoded already.
func (d *Desk) transactionWith(rec gateway.Record, warnings []check.Finding, output any) gateway.Transaction {
	t := gateway.Transaction{
		ID: rec.ID, RequestID: rec.Request.ID, Infno: rec.Infno, State: rec.State, Outcome: outcomeWord(rec),
		Cause: rec.Cause, Warnings: warnings, CreatedAt: rec.CreatedAt, UpdatedAt: rec.UpdatedAt,
	}
	switch standingOf(rec) {
	case stands:
		t.Output = output
	case denied:
		t.Message = refused(rec).ErrMsg
	}
	return t
}

func outcomeWord(rec gateway.Record) string {
	switch {
	case rec.State == gateway.StatePrepared, len(rec.Wire) > 0 && !rec.State.Final():
		return "queued"
	case standingOf(rec) == stands:
		return gateway.OutcomeDone.String()
	case standingOf(rec) == pending:
		return gateway.OutcomeUnknown.String()
	}
	return gateway.OutcomeRefused.String()
}

// pointer is the stored answer of a low-level request: the answer itself is the record it names.
// There is none while the request may still be attempted again.
func pointer(key gateway.RequestKey, rec gateway.Record) *gateway.Answer {
	if s := standingOf(rec); s != stands && s != denied || key.ID == "" {
		return nil
	}
	b, err := json.Marshal(stored{Record: rec.ID})
	if err != nil {
		return nil
	}
	return &gateway.Answer{Key: key, Body: b, At: rec.UpdatedAt}
}

// visitOf is the text that orders uploads: the visit as the centre or else as the hospital numbers
// it, else the person, else nothing.
func visitOf(tx *catalog.Transaction, input any) string {
	for _, name := range []string{"mdtrt_id", "mdtrtId", "mdtrt_sn", "fixmedins_mdtrt_id", "psn_no", "psnNo"} {
		if v := text(member(input, tx.Input, name)); v != "" {
			return v
		}
	}
	return ""
}
