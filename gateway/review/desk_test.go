package review

import (
	"context"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// dead is a journal whose storage has failed.
type dead struct{ gateway.Journal }

func (dead) Record(context.Context, ident.MsgID) (gateway.Record, error) {
	return gateway.Record{}, gateway.ErrStorage
}

// However much waits at one hospital, another sees what waits at its own; who works for both sees both.
func TestAHospitalsListIsItsOwn(t *testing.T) {
	const other ident.Institution = "H43010000002"
	b := newBench(t, gatewaytest.NewJournal())
	k := b.book(b.j)
	for range mostWaiting {
		b.parkedAt(other)
	}
	id := b.parked()
	d := Desk{k}
	near := gateway.Caller{System: "his", Institutions: []ident.Institution{hospital, "", hospital}}
	l, err := d.ReviewList(bg, near, li, false)
	b.must(err)
	if len(l.Waiting) != 1 || l.Waiting[0].ID != id {
		t.Errorf("%d wait", len(l.Waiting))
	}
	if l, err = d.ReviewList(bg, gateway.Caller{System: "his"}, li, true); err != nil || len(l.Waiting) != 0 {
		t.Errorf("who acts for nobody sees %d, %v", len(l.Waiting), err)
	}
	if l, err = d.ReviewList(bg, gateway.Caller{Institutions: []ident.Institution{hospital, other}}, li, false); err != nil || len(l.Waiting) != mostWaiting+1 {
		t.Errorf("who acts for both sees %d, %v", len(l.Waiting), err)
	}

	p := gateway.ProposeReview{Record: id, Why: "x", Decision: draft(id, gateway.HandAbsent).Decision}
	_, err = d.ProposeReview(bg, gateway.Caller{Institutions: []ident.Institution{other}}, li, p)
	b.want(err, gateway.CodeNotFound)
	_, err = Desk{b.book(dead{b.j})}.ProposeReview(bg, near, li, p)
	b.want(err, gateway.CodeStorage) // a record that could not be read is not one that is not there
	_, err = d.ProposeReview(bg, near, li, p)
	b.must(err)
}
