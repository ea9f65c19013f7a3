package flow

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// Upload implements gateway.Desk. The exact core message is fixed and durable when it returns; Run
// sends it, in order within a visit, until the centre has answered.
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

// dispatch starts what is due among the queued uploads: of each visit only the oldest that is not
// settled, of different visits as many at once as there are places.
func (d *Desk) dispatch(ctx context.Context) error {
	waiting, err := d.listAll(ctx, gateway.Query{Queued: true, States: []gateway.State{
		gateway.StatePrepared, gateway.StateSent, gateway.StateUnknown,
	}})
	if err != nil {
		return err
	}
	now := d.opt.Clock.Now()
	seen := map[string]bool{}
	for _, rec := range waiting {
		if rec.Visit != "" {
			lane := string(rec.Institution) + rec.Visit
			if seen[lane] {
				continue
			}
			seen[lane] = true
		}
		if rec.State == gateway.StateSent || now.Before(d.uploadDue(rec)) {
			continue
		}
		d.start(ctx, rec.ID, func(ctx context.Context) { d.deliver(ctx, rec.ID) })
	}
	return nil
}

// uploadDue is when a queued record may be sent; a function of the record alone.
func (d *Desk) uploadDue(rec gateway.Record) time.Time {
	if rec.State == gateway.StatePrepared {
		return rec.CreatedAt
	}
	return rec.UpdatedAt.Add(pause(d.timing.UploadRetry, d.timing.UploadMost, rec.Version/2-1, rec.ID))
}

// pause doubles with every try and is spread by the record's id, up to a fifth.
func pause(first, most time.Duration, tries int, id ident.MsgID) time.Duration {
	p := first
	for i := 0; i < tries && p < most; i++ {
		p *= 2
	}
	p = min(p, most)
	h := fnv.New32a()
	h.Write([]byte(id))
	h.Write([]byte{byte(tries)})
	return p + p/5*time.Duration(h.Sum32()%1000)/1000
}

// deliver sends a queued record once. Not sent and unknown both leave it in the queue.
func (d *Desk) deliver(ctx context.Context, id ident.MsgID) {
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil || rec.State != gateway.StatePrepared && rec.State != gateway.StateUnknown {
		return
	}
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	inst := d.opt.Institutions[rec.Institution]
	if !ok || inst == nil {
		return // no longer configured: it stays visible in the queue
	}
	permit, err := d.opt.Centre(rec.Institution).Admit(ctx, rec.Infno)
	if err != nil {
		return
	}
	defer permit.Release()
	sealed, err := permit.Seal(gateway.Message{
		Infno: rec.Infno, Institution: rec.Institution, MsgID: rec.ID, Body: rec.Wire, Limit: tx.Limit,
	})
	if err != nil {
		d.log.Error("upload not sealed", "msgid", string(rec.ID), "err", err.Error())
		return
	}
	e := gateway.Event{Kind: gateway.EventSent, At: d.opt.Clock.Now(), Note: "sm3 " + hex.EncodeToString(sealed.Digest[:])}
	if _, err = d.opt.Journal.Write(ctx, gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: rec.Version, Event: e}}); err != nil {
		return // somebody else sends it, or nothing can be written
	}
	if rec.Apply(e) != nil {
		return
	}
	j := job{op: "flow.upload", inst: inst, tx: tx, request: rec.Request,
		answer: func(r gateway.Record) *gateway.Answer { return pointer(r.Request, r) }}
	end := d.judge(j, rec, permit.Send(ctx, sealed))
	if end.Kind == gateway.EventRefused && end.Cause == gateway.CauseNotSent {
		end.Kind = gateway.EventUnknown // stays in the queue
	}
	d.log.Info("upload", "infno", string(rec.Infno), "msgid", string(rec.ID), "event", string(end.Kind), "cause", string(end.Cause))
	if _, err := d.conclude(ctx, j, rec, end); err != nil {
		d.log.Error("upload outcome not written", "msgid", string(rec.ID), "err", err.Error())
	}
}
