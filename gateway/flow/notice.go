package flow

import (
	"context"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
)

var _ gateway.Notices = (*Desk)(nil)

// Notice implements gateway.Notices.
func (d *Desk) Notice(ctx context.Context, key gateway.RequestKey) (gateway.Notice, error) {
	const op = "flow.notice"
	req, err := d.opt.Journal.Request(ctx, key)
	if err != nil {
		return gateway.Notice{}, storage(op, err)
	}
	if req.Answer == nil {
		return gateway.Notice{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: req.Ref}
	}
	n := gateway.Notice{System: key.System, RequestID: key.ID, Op: req.Op, Institution: req.Institution, Ref: req.Ref,
		AnsweredAt: req.AnsweredAt.In(gateway.China), Lane: req.Ref}
	a, err := readStored(req.Answer)
	if a.Error == nil && err != nil {
		return n, err
	}
	if a.Outcome != "" {
		return d.tellsNews(ctx, n, a)
	}
	n.Settlement, n.Stay, n.Sale, n.Filing = a.Settlement, a.Stay, a.Sale, a.Filing
	if a.Record != "" {
		rec, err := d.opt.Journal.Record(ctx, a.Record)
		if err != nil {
			return n, storage(op, err)
		}
		n.Lane = d.laneOf(rec)
		t := d.transaction(rec, nil)
		n.Transaction, n.Ref = &t, refOf(rec.ID)
		if e := failure(op, rec, n.Ref); standingOf(rec) != stands {
			a.Error = &storedError{Code: e.Code, Detail: e.Detail}
		}
	}
	if e := a.Error; e != nil {
		w := gateway.Codes[e.Code]
		n.Error = &gateway.NoticeError{Code: e.Code, ZH: w.ZH, EN: w.EN, Detail: e.Detail, Path: e.Path}
	}
	return n, nil
}

// laneOf is the visit a low-level transaction belongs to, as a lane; "" when it names none.
func (d *Desk) laneOf(rec gateway.Record) string {
	if rec.Bill != "" {
		return rec.Bill
	}
	if rec.Visit != "" {
		return string(rec.Institution) + "/" + rec.Visit
	}
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	if !ok {
		return ""
	}
	visit := visitOf(tx, read(rec.Input))
	if visit == "" || visit == catalog.Redacted {
		return ""
	}
	return string(rec.Institution) + "/" + visit
}
