package flow

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"

	"yiqiao/gateway"
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

func (d *Desk) enqueue(ctx context.Context, o order) (gateway.Transaction, error) {
	for round := 0; round < 4; round++ {
		known, recs, err := d.attempts(ctx, o.key, o.digest)
		if err != nil {
			return gateway.Transaction{}, err
		}
		if n := len(recs); n > 0 {
			return d.transaction(recs[n-1], nil), nil
		}
		if known {
			return gateway.Transaction{}, internalError(o.job.op, errors.New("request without a record"))
		}
		warnings, err := d.checked(o.job)
		if err != nil {
			return gateway.Transaction{}, err
		}
		rec, err := d.fix(ctx, o)
		if err != nil {
			return gateway.Transaction{}, err
		}
		req := o.request(d, opUpload)
		req.Ref = refOf(rec.ID)
		existing, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: req, Record: &rec})
		switch {
		case err != nil:
			return gateway.Transaction{}, storage(o.job.op, err)
		case existing == nil:
			rec.UpdatedAt = rec.CreatedAt
			d.announceSoon(refOfUpload(rec))
			return d.transaction(rec, warnings), nil
		}
	}
	return gateway.Transaction{}, inProgress(o.job.op, "")
}

// fix makes the record of an upload with the bytes that will be sent, each time the same.
func (d *Desk) fix(ctx context.Context, o order) (gateway.Record, error) {
	j := o.job
	input := strictjson.Append(nil, j.input)
	if !bytes.Equal(input, strictjson.Append(nil, d.opt.Catalog.Redact(j.input))) {
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
		Visit: visit, Operator: j.operator, CreatedAt: now, Input: input, Wire: body, State: gateway.StatePrepared,
	}, nil
}
