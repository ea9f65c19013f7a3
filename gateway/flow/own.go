package flow

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
)

var _ gateway.Office = (*Desk)(nil)

// Own implements gateway.Office.
func (d *Desk) Own(ctx context.Context, r gateway.Transact) (gateway.Transaction, error) {
	const op = "flow.own"
	inst := d.opt.Institutions[r.Institution]
	if inst == nil {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInstitution, Op: op, Path: "/institution"}
	}
	caller := gateway.Caller{System: internal}
	key, err := requestKey(caller, r.RequestID)
	if err != nil {
		return gateway.Transaction{}, err
	}
	tx, err := d.lookup(variant(inst.Region, r.Infno))
	if err != nil {
		return gateway.Transaction{}, err
	}
	if tx.Queued || tx.Commits && (tx.Kind != catalog.Upload || !slices.Contains(tx.Remedies, catalog.RemedyResend)) {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Op: op, Detail: string(tx.Infno)}
	}
	oper, err := operator(op, r.Operator)
	if err != nil {
		return gateway.Transaction{}, err
	}
	if r.Input == nil {
		r.Input = object{}
	}
	if !strictjson.Writable(r.Input) {
		return gateway.Transaction{}, internalError(op, errors.New("input holds a type no decoder gives"))
	}
	o := order{
		key:    key,
		digest: d.opt.Digest([]byte(op), []byte(tx.Infno), []byte(inst.Code), []byte(r.InsuplcArea), strictjson.Encode(r.Input)),
		job: job{
			op: op, inst: inst, tx: tx, operator: oper, area: r.InsuplcArea, input: r.Input, own: true,
			request: key, step: string(tx.Infno), attempt: 1,
			answer: func(rec gateway.Record) *gateway.Answer { return pointer(key, rec) },
		},
	}
	t, err := d.fly(ctx, o, d.transact)
	d.Told(caller, r.RequestID) // nobody else waits for it
	return t, err
}

// keptFile is a file as the journal keeps it.
func keptFile(r gateway.Reply) []byte {
	return strictjson.Encode(object{
		gateway.FileBody: base64.StdEncoding.EncodeToString(r.File), gateway.FileType: r.FileType,
	})
}
