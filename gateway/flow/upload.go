package flow

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/strictjson"
)

// Upload implements gateway.Desk. The exact core message is fixed and durable when it returns; Run
// sends it, in order within a visit, until the centre has answered. Whether a queue carries the
// news of it makes no difference to what was accepted: the record in the journal is the order.
func (d *Desk) Upload(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	o, err := d.order(opUpload, c, r)
	if err != nil {
		return gateway.Transaction{}, err
	}
	if !o.job.tx.Queued {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Op: o.job.op,
			Detail: "real-time class: POST /api/v1/transactions/" + string(o.job.tx.Infno)}
	}
	return d.fly(ctx, o, d.enqueue)
}

// enqueue writes first and asks afterwards: nearly every request is new, and the journal tells when
// one is not.
func (d *Desk) enqueue(ctx context.Context, o order) (gateway.Transaction, error) {
	rec, warnings, err := d.accept(ctx, o)
	if err == nil {
		return d.transaction(rec, warnings), nil
	}
	known, recs, err2 := d.attempts(ctx, o.key, o.digest)
	switch n := len(recs); {
	case err2 != nil:
		return gateway.Transaction{}, err2
	case n > 0: // accepted before, whatever the tables say of it today
		return d.transaction(recs[n-1], nil), nil
	case known:
		return gateway.Transaction{}, internalError(o.job.op, errors.New("request without a record"))
	}
	return gateway.Transaction{}, err
}

var errKnown = errors.New("flow: the request is known")

// accept makes a new upload durable; errKnown when the request is there already.
func (d *Desk) accept(ctx context.Context, o order) (gateway.Record, []check.Finding, error) {
	warnings, err := d.checked(o.job)
	if err != nil {
		return gateway.Record{}, nil, err
	}
	rec, err := d.fix(ctx, o)
	if err != nil {
		return gateway.Record{}, nil, err
	}
	req := o.request(d, opUpload)
	req.Ref = refOf(rec.ID)
	existing, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: req, Record: &rec, Class: d.class(rec)})
	if err == nil && existing != nil {
		err = errKnown
	}
	if err != nil {
		return gateway.Record{}, nil, storage(o.job.op, err)
	}
	rec.UpdatedAt = rec.CreatedAt
	d.announceSoon(refOfUpload(rec))
	return rec, warnings, nil
}

// fix makes the record of an upload with the bytes that will be sent, each time the same.
func (d *Desk) fix(ctx context.Context, o order) (gateway.Record, error) {
	j := o.job
	input := strictjson.Encode(j.input)
	if !bytes.Equal(input, strictjson.Encode(d.opt.Catalog.Redact(j.input))) {
		return gateway.Record{}, &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Op: j.op, Path: "/input",
			Detail: "a queued upload is kept whole and may not carry a patient's credential"}
	}
	now := d.opt.Clock.Now()
	id, err := d.opt.Journal.NextMsgID(ctx, j.inst.Code, now)
	if err != nil {
		return gateway.Record{}, storage(j.op, err)
	}
	body, err := d.encode(j, id, "", now)
	if err != nil {
		return gateway.Record{}, internalError(j.op, err)
	}
	visit := ""
	if v := visitOf(j.tx, j.input); v != "" {
		sum := d.opt.Digest([]byte("visit"), []byte(j.inst.Code), []byte(v))
		visit = hex.EncodeToString(sum[:16])
	}
	return gateway.Record{
		ID: id, Institution: j.inst.Code, Infno: j.tx.Infno, Request: j.request, Step: j.step, Attempt: 1,
		Visit: visit, Operator: unnamed(j.operator), Mapping: gateway.MappingOf(ctx), CreatedAt: now, Input: input, Wire: body, Marks: d.marks(j.input, nil), State: gateway.StatePrepared,
	}, nil
}
