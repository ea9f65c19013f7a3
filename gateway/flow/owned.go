package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// notOurs refuses a transaction of the low-level route that would change what belongs to a bill of
// the gateway, or to another HIS system. A bill has its own routes, which know where it stands; a
// change behind its back would leave it telling an untruth. What belongs to another system does
// not exist for the caller. Ids the gateway never gave are the caller's own affair.
//
// Some members of an input say what it is about. Two carry ids the gateway gave: the message id a 2601
// reverses, and the batch number of a bill, which begins with the message id the bill is named by, or is
// that of what a partial refund left. Two carry ids the centre gave to a bill: its visit, and its
// settlement. Those are looked for when the transaction takes something back. A query about another
// system's bill is refused as well: its answer would pass for the caller's own settlement.
func (d *Desk) notOurs(ctx context.Context, j job) error {
	if j.own {
		return nil
	}
	nodes, _ := strictjson.Object(j.input)
	if err := d.givenToBill(ctx, j, nodes); err != nil || !j.tx.Commits {
		return err
	}
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
	path := "/input/" + node + "/chrg_bchno"
	if err := d.ofBill(ctx, j, "B"+batch[:msgidLength], path); err != nil {
		return err
	}
	left, err := d.opt.Journal.Request(ctx, batchKey(batch[:msgidLength]))
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return nil
	case err != nil:
		return storage(j.op, err)
	}
	return d.ofBill(ctx, j, left.Ref, path)
}

// batchKey is where the batch of what a partial refund left names its bill.
func batchKey(batch string) gateway.RequestKey { return guard("batch", batch) }

// givenToBill refuses what names something that the centre gave to a bill.
func (d *Desk) givenToBill(ctx context.Context, j job, nodes object) error {
	looked := map[catalog.Held]map[string]bool{}
	for name, node := range nodes {
		for _, r := range rows(node, "") {
			for _, h := range j.tx.Held {
				number := text(r[h.Member])
				if number == "" || looked[h][number] {
					continue
				}
				if looked[h] == nil {
					looked[h] = map[string]bool{}
				}
				looked[h][number] = true
				if err := d.heldBy(ctx, j, h, r, "/input/"+name+"/"+h.Member); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// heldBy refuses when what a row names is a bill's. A query is refused only about the bill of another system.
func (d *Desk) heldBy(ctx context.Context, j job, h catalog.Held, r object, path string) error {
	number, given := text(r[h.Member]), h.By == catalog.HeldGiven
	q := gateway.Query{Institution: j.inst.Code, Marks: []gateway.Mark{{Kind: gateway.MarkVisit, Number: number}}, Billed: true, Brief: true}
	if given {
		q.Marks[0] = gateway.Mark{Kind: gateway.MarkPerson, Number: text(r["psn_no"])}
		q.Brief, q.States = false, []gateway.State{gateway.StateDone}
	}
	if q.Marks[0].Number == "" {
		return nil
	}
	recs, err := d.listAll(ctx, q)
	if err != nil {
		return storage(j.op, err)
	}
	seen := map[string]bool{}
	for _, rec := range recs {
		if seen[rec.Bill] || given && !d.gave(rec, h.Member, number) {
			continue
		}
		seen[rec.Bill] = true
		err := d.ofBill(ctx, j, rec.Bill, path)
		if e := (*gateway.Error)(nil); !j.tx.Commits && errors.As(err, &e) && e.Code == gateway.CodeState {
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// gave reports whether what a record did was given that number by the centre. What a question brought is not the
// question's.
func (d *Desk) gave(rec gateway.Record, name, number string) bool {
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	return ok && tx.Commits && standingOf(rec) == stands && text(member(read(rec.Output), tx.Output, name)) == number
}

// placeOf is where a bill, a stay or a case is asked about.
func (d *Desk) placeOf(id string) string {
	if kind := d.kindOf(id); kind != nil {
		return kind.Place() + id
	}
	if id[0] == stayLetter {
		return "/api/v1/stays/" + id
	}
	return "/api/v1/settlements/" + id
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
		Detail: "属于网关的结算单, 请用 / belongs to the gateway: " + d.placeOf(id)}
}
