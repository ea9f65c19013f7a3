package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// UploadFilter selects uploads that were set aside; zero fields select everything.
type UploadFilter struct {
	ID          ident.MsgID
	Institution ident.Institution
	Infno       ident.Infno
	From, To    time.Time     // when they were accepted, To exclusive
	State       gateway.State // parked or refused; "": both
}

// Replayed is one upload that was put back into the queue.
type Replayed struct {
	ID    ident.MsgID `json:"id"`              // as it was set aside
	Again ident.MsgID `json:"again,omitempty"` // its new attempt; "" when the same message goes again
	Why   string      `json:"why,omitempty"`   // why it was not replayed; "" when it was
}

// DeadUploads lists what was set aside, oldest first, at most limit.
func (d *Desk) DeadUploads(ctx context.Context, f UploadFilter, limit int) ([]gateway.Record, error) {
	var list []gateway.Record
	enough := errors.New("enough")
	err := d.eachDead(ctx, f, func(rec gateway.Record) error {
		if list = append(list, rec); limit > 0 && len(list) >= limit {
			return enough
		}
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, storage("flow.uploads", err)
	}
	return list, nil
}

func (d *Desk) eachDead(ctx context.Context, f UploadFilter, see func(gateway.Record) error) error {
	states := []gateway.State{gateway.StateParked, gateway.StateRefused}
	if f.State != "" {
		states = []gateway.State{f.State}
	}
	for _, s := range states {
		if s != gateway.StateParked && s != gateway.StateRefused {
			return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "flow.uploads", Path: "/state", Rule: "parked, refused"}
		}
	}
	if f.ID != "" {
		rec, err := d.opt.Journal.Record(ctx, f.ID)
		if err != nil {
			return err
		}
		for _, s := range states {
			if rec.State == s && len(rec.Wire) > 0 {
				return see(rec)
			}
		}
		return &gateway.Error{Code: gateway.CodeState, Op: "flow.uploads", Ref: refOf(rec.ID), Detail: "not set aside: " + string(rec.State)}
	}
	return d.eachUpload(ctx, gateway.Query{Institution: f.Institution, Infno: f.Infno, States: states, From: f.From, To: f.To}, see)
}

// ReplayUploads puts what was set aside back into the queue. A parked upload goes again byte for
// byte, under its own message id. One that was refused, which proves that the centre did nothing,
// is attempted anew under a new message id, behind what waits of its visit; doing so twice makes
// one attempt.
func (d *Desk) ReplayUploads(ctx context.Context, f UploadFilter, by, why string) ([]Replayed, error) {
	var dead []ident.MsgID
	if err := d.eachDead(ctx, f, func(rec gateway.Record) error {
		dead = append(dead, rec.ID)
		return nil
	}); err != nil {
		return nil, storage("flow.uploads", err)
	}
	var list []Replayed
	done := 0
	for _, id := range dead {
		r, err := d.replay(ctx, id)
		if err != nil {
			return list, err
		}
		if r.Why == "" {
			done++
		}
		list = append(list, r)
	}
	if done == 0 {
		return list, nil
	}
	return list, d.orderUploads(ctx, UploadOrder{Do: orderReplay, Infno: f.Infno, By: by, Why: why, Note: fmt.Sprintf("%d uploads", done)})
}

func (d *Desk) replay(ctx context.Context, id ident.MsgID) (Replayed, error) {
	r := Replayed{ID: id}
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return r, storage("flow.uploads", err)
	}
	switch rec.State {
	case gateway.StateParked:
		e := gateway.Event{Kind: gateway.EventUnknown, At: d.opt.Clock.Now(), Cause: causeTakenUp}
		if _, err := d.add(ctx, rec, e, nil); err != nil {
			if errors.Is(err, errMoved) {
				r.Why = "somebody else was faster"
				return r, nil
			}
			return r, storage("flow.uploads", err)
		}
		return r, nil
	case gateway.StateRefused:
		return d.renew(ctx, rec)
	}
	r.Why = "somebody else was faster"
	return r, nil
}

// renew makes the next attempt of a refused upload.
func (d *Desk) renew(ctx context.Context, old gateway.Record) (Replayed, error) {
	r := Replayed{ID: old.ID}
	attempts, err := d.opt.Journal.RequestRecords(ctx, old.Request)
	if err != nil {
		return r, storage("flow.uploads", err)
	}
	if n := len(attempts); n == 0 || attempts[n-1].ID != old.ID {
		r.Why = "attempted again already"
		return r, nil
	}
	tx, ok := d.opt.Catalog.Lookup(old.Infno)
	inst := d.opt.Institutions[old.Institution]
	if !ok || inst == nil {
		r.Why = "transaction or institution is no longer configured"
		return r, nil
	}
	sent, input, err := wire.DecodeRequest(old.Wire)
	if err != nil {
		return r, internalError("flow.uploads", err)
	}
	who := old.Operator
	who.Name = sent.OperatorName
	o := order{key: old.Request, job: job{
		op: "flow.uploads", inst: inst, tx: tx, operator: who, area: sent.InsuplcArea, input: input,
		request: old.Request, step: old.Step,
	}}
	rec, err := d.fix(ctx, o)
	if err != nil {
		return r, err
	}
	rec.Attempt = old.Attempt + 1
	_, err = d.opt.Journal.Write(ctx, gateway.Entry{Record: &rec})
	switch {
	case errors.Is(err, gateway.ErrExists):
		r.Why = "attempted again already"
	case err != nil:
		return r, storage("flow.uploads", err)
	default:
		r.Again = rec.ID
		d.announceSoon(refOfUpload(rec))
	}
	return r, nil
}
