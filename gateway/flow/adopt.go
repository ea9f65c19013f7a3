package flow

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
)

// A question by message id finds the record's own work or nothing. Others find what looks like it:
// a 2201 is recognised by person, visit number and time, and two bills, or two attempts of one, may
// look the same. What another transaction was given, or may be about to be given, is not adopted.

// rivalsSince is how long before a record was made another one can have been made that looks the same.
const rivalsSince = 48 * time.Hour

// errHeld: the row was adopted by another transaction.
var errHeld = errors.New("flow: the row is another transaction's")

// ownRow picks the row of a reply the record may adopt: foundIt with the row, foundNone, or
// foundEarly when the row may be that of one whose own answer is still on its way.
func (d *Desk) ownRow(ctx context.Context, q question, a *catalog.Ask, output any) (object, string, error) {
	list := q.found(a, output)
	switch {
	case len(list) == 0:
		return nil, foundNone, nil
	case a.Gives == "":
		return list[0], foundIt, nil
	}
	others, err := d.rivals(ctx, q, a)
	if err != nil {
		return nil, "", err
	}
	held, onTheWay := map[string]bool{"": true}, false
	for _, o := range others {
		switch {
		case o.ID == q.rec.ID:
		case standingOf(o) == stands:
			held[text(member(read(o.Output), q.tx.Output, a.Gives))] = true
		case standingOf(o) == pending && (o.State == gateway.StateSent || q.now.Before(d.timing.settled(q.tx.Limit, o.CreatedAt))):
			onTheWay = onTheWay || q.alike(a, o)
		}
	}
	for _, r := range list {
		switch {
		case held[text(r[a.Gives])]:
		case onTheWay:
			return nil, foundEarly, nil
		default:
			return r, foundIt, nil
		}
	}
	return nil, foundNone, nil
}

// rivals lists the transactions that may have been given a row the question brings. A question by person brings
// that person's rows, so only records about the person are looked at: the journal finds them by their mark.
func (d *Desk) rivals(ctx context.Context, q question, a *catalog.Ask) ([]gateway.Record, error) {
	since := q.rec.CreatedAt.Add(-rivalsSince)
	person, known := "", false
	for _, source := range a.By {
		if source == "psn_no" {
			person, known = q.value(source, "")
		}
	}
	if !known {
		return d.listAll(ctx, gateway.Query{Institution: q.rec.Institution, Infno: q.rec.Infno, From: since})
	}
	brief, err := d.listAll(ctx, gateway.Query{
		Institution: q.rec.Institution, Infno: q.rec.Infno, Brief: true,
		Marks: []gateway.Mark{{Kind: gateway.MarkPerson, Number: person}},
	})
	if err != nil {
		return nil, err
	}
	var list []gateway.Record
	for _, o := range brief {
		if o.ID == q.rec.ID || o.CreatedAt.Before(since) || standingOf(o) == free {
			continue
		}
		whole, err := d.opt.Journal.Record(ctx, o.ID)
		if err != nil {
			return nil, err
		}
		list = append(list, whole)
	}
	return list, nil
}

// alike reports whether another record of the same number would be recognised by the same rows.
func (q question) alike(a *catalog.Ask, o gateway.Record) bool {
	other := question{rec: o, tx: q.tx, cat: q.cat, input: read(o.Input), now: q.now}
	for _, source := range a.Match {
		mine, _ := q.value(source, "")
		if theirs, ok := other.value(source, ""); !ok || !same(mine, theirs) {
			return false
		}
	}
	return true
}

// adopt ends a record with what a question brought. What is not exact raises no record from absence:
// another attempt may have been made since. errHeld: another transaction has adopted the row.
func (d *Desk) adopt(ctx context.Context, rec gateway.Record, a *catalog.Ask, ans answer, words string) (gateway.Record, error) {
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	if !ok {
		return rec, nil
	}
	data, _ := d.kept(adopted(tx, a, ans.row, ans.output))
	e := gateway.Event{
		Kind: gateway.EventDone, Cause: causeAdopted, Ref: ans.by, Data: data, Note: words,
	}
	if a.Exact() {
		return d.end(ctx, rec, e)
	}
	return d.adoptAlike(ctx, rec, e, d.rowRequest(rec, a, ans.row))
}

// rowRequest is the entry that lets one transaction adopt a row and no other; nil when rows of that kind
// belong to nobody.
func (d *Desk) rowRequest(rec gateway.Record, a *catalog.Ask, r object) *gateway.Request {
	if a.Gives == "" {
		return nil
	}
	name := d.opt.Digest([]byte("row"), []byte(rec.Institution), []byte(rec.Infno), []byte(text(r[a.Gives])))
	return d.guardRequest(rec.Institution, guard("row", hex.EncodeToString(name[:16])), "row", rec.ID)
}

// adoptAlike is end for a record whose row was recognised by a likeness.
func (d *Desk) adoptAlike(ctx context.Context, rec gateway.Record, e gateway.Event, row *gateway.Request) (gateway.Record, error) {
	e.At = d.opt.Clock.Now()
	for try := 0; try < 8; try++ {
		next := rec
		if rec.State == gateway.StateAbsent || next.Apply(e) != nil {
			return rec, nil // it has moved on
		}
		last := gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: rec.Version, Event: e}}
		if rec.Bill == "" {
			last.Answer = pointer(rec.Request, next)
		}
		entries := []gateway.Entry{last}
		if row != nil {
			entries = []gateway.Entry{{Request: row}, last}
		}
		existing, err := d.opt.Journal.Write(ctx, entries...)
		switch {
		case err == nil && existing == nil:
			return next, nil
		case err == nil && existing.Ref != row.Ref:
			return rec, errHeld
		case err != nil && !errors.Is(err, gateway.ErrStale):
			return rec, err
		}
		if rec, err = d.opt.Journal.Record(ctx, rec.ID); err != nil {
			return rec, err
		}
	}
	return rec, gateway.ErrStale
}

// causeAdopted: the outcome was learnt by asking.
const causeAdopted gateway.Cause = "adopted"

// otherNames: a query calls some members otherwise than the transaction it is asked about
// (invariants.md, "Nulls and types in real replies").
var otherNames = map[string]string{"psn_part_amt": "psn_pay", "psn_cash_pay": "cash_payamt"}

// adopted gives the output a HIS would have had from tx, made from the reply to a question: the row
// that was found becomes the node it stands for, other nodes of the same name come along, and
// members known under another name are given under tx's own as well.
func adopted(tx *catalog.Transaction, a *catalog.Ask, found object, reply any) any {
	out := object{}
	if top, ok := reply.(object); ok {
		for _, n := range tx.Output {
			if v, ok := top[n.Name]; ok && n.Name != "" && n.Name != a.Node {
				out[n.Name] = v
			}
		}
	}
	if len(tx.Output) == 0 {
		return out
	}
	node := tx.Output[0]
	for _, n := range tx.Output {
		if n.Name == a.Node {
			node = n
		}
	}
	r := make(object, len(found)+len(otherNames))
	for k, v := range found {
		r[k] = v
	}
	for _, f := range node.Fields {
		if other, ok := otherNames[f.Code]; ok && text(r[f.Code]) == "" {
			if v, ok := r[other]; ok {
				r[f.Code] = v
			}
		}
	}
	switch {
	case node.Name == "" && !node.Repeat:
		for k, v := range r {
			out[k] = v
		}
	case node.Name == "":
		return []any{r}
	case node.Repeat:
		out[node.Name] = []any{r}
	default:
		out[node.Name] = r
	}
	return out
}
