package flow

import (
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
)

// marks are the numbers by which a record is found: those its input or output names, without those
// it has.
func (d *Desk) marks(v any, has []gateway.Mark) (list []gateway.Mark) {
	persons, visits := d.opt.Catalog.Numbers(v)
	for _, n := range persons {
		if m := (gateway.Mark{Kind: gateway.MarkPerson, Number: n}); !slices.Contains(has, m) {
			list = append(list, m)
		}
	}
	for _, n := range visits {
		if m := (gateway.Mark{Kind: gateway.MarkVisit, Number: n}); !slices.Contains(has, m) {
			list = append(list, m)
		}
	}
	return list
}

// class says how long the bodies of a record are kept. What belongs to a bill is kept like the bill.
func (d *Desk) class(rec gateway.Record) gateway.Class {
	switch tx, ok := d.opt.Catalog.Lookup(rec.Infno); {
	case rec.Bill != "":
		return gateway.ClassSettlement
	case len(rec.Wire) > 0:
		return gateway.ClassUpload
	case ok && (tx.Kind == catalog.Query || tx.Kind == catalog.Download || tx.Kind == catalog.Session):
		return gateway.ClassQuery
	}
	return gateway.ClassSettlement
}
