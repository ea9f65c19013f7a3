package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// notOurs refuses a transaction of the low-level route that would change what belongs to a bill of
// the gateway, or to another HIS system. A bill has its own routes, which know where it stands; a
// change behind its back would leave it telling an untruth. What belongs to another system does
// not exist for the caller. Ids the gateway never gave are the caller's own affair.
//
// Two members of an input carry ids the gateway gave: the message id a 2601 reverses, and the batch
// number of a bill, which begins with the message id the bill is named by.
func (d *Desk) notOurs(ctx context.Context, j job) error {
	if !j.tx.Commits || j.own {
		return nil
	}
	nodes, _ := strictjson.Object(j.input)
	for name, node := range nodes {
		rows, many := strictjson.List(node)
		if !many {
			rows = []any{node}
		}
		seen := ""
		for _, row := range rows {
			batch := strictjson.Text(strictjson.Get(row, "chrg_bchno"))
			if batch != "" && batch == seen {
				continue // rows of one batch
			}
			seen = batch
			if err := d.rowNotOurs(ctx, j, name, row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *Desk) rowNotOurs(ctx context.Context, j job, node string, row any) error {
	if id := strictjson.Text(strictjson.Get(row, "omsgid")); id != "" {
		rec, err := d.opt.Journal.Record(ctx, ident.MsgID(id))
		switch {
		case errors.Is(err, gateway.ErrNotFound):
		case err != nil:
			return storage(j.op, err)
		case rec.Request.System != j.request.System && rec.Bill == "":
			return &gateway.Error{Code: gateway.CodeNotFound, Op: j.op, Path: "/input/" + node + "/omsgid"}
		case rec.Bill != "":
			return d.ofBill(ctx, j, rec.Bill, "/input/"+node+"/omsgid")
		}
	}
	batch := strictjson.Text(strictjson.Get(row, "chrg_bchno"))
	if len(batch) < msgidLength {
		return nil
	}
	return d.ofBill(ctx, j, "B"+batch[:msgidLength], "/input/"+node+"/chrg_bchno")
}

// msgidLength is the length of a message id, characters.
const msgidLength = 30

// ofBill refuses when there is a bill of that id.
func (d *Desk) ofBill(ctx context.Context, j job, id, path string) error {
	bill, err := d.opt.Journal.Bill(ctx, id)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return nil
	case err != nil:
		return storage(j.op, err)
	case bill.System != j.request.System:
		return &gateway.Error{Code: gateway.CodeNotFound, Op: j.op, Path: path}
	}
	return &gateway.Error{Code: gateway.CodeState, Op: j.op, Path: path, Ref: id,
		Detail: "belongs to a settlement of the gateway: /api/v1/settlements/" + id}
}
