package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Journal holds a gateway.Journal to its contract. open gives an empty journal each time it is
// called; the suite closes it.
func Journal(t *testing.T, open func(t *testing.T) gateway.Journal) {
	cases := []struct {
		name string
		run  func(d *journalDesk)
	}{
		{"what is written is read back", (*journalDesk).readBack},
		{"a request repeated gives the first", (*journalDesk).idempotent},
		{"a write is all or nothing", (*journalDesk).atomic},
		{"an old version is stale", (*journalDesk).stale},
		{"one of many racing writers wins", (*journalDesk).race},
		{"new ids are new", (*journalDesk).exists},
		{"references must be there", (*journalDesk).references},
		{"nonsense is refused", (*journalDesk).nonsense},
		{"the state is the fold of the events", (*journalDesk).fold},
		{"the first answer stays", (*journalDesk).answers},
		{"told", (*journalDesk).told},
		{"records of a bill and of a request", (*journalDesk).order},
		{"list selects", (*journalDesk).list},
		{"list finds by marks", (*journalDesk).marks},
		{"list pages", (*journalDesk).pages},
		{"what is returned is a copy", (*journalDesk).copies},
		{"what is not there is not found", (*journalDesk).notFound},
		{"message ids are unique", (*journalDesk).msgidRace},
		{"message ids never go back", (*journalDesk).msgidBack},
		{"message ids roll over at 9999", (*journalDesk).msgidRoll},
		{"message ids belong to an institution", (*journalDesk).msgidInstitution},
		{"lives of a holder", (*journalDesk).lives},
		{"claims", (*journalDesk).claims},
		{"a slow holder's late write is refused", (*journalDesk).late},
		{"sent records of the living are no orphans", (*journalDesk).orphans},
		{"text must be text", (*journalDesk).text},
		{"a cancelled call writes nothing", (*journalDesk).cancelled},
		{"a closed journal accepts nothing", (*journalDesk).closed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := open(t)
			defer func() {
				if err := j.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.run(&journalDesk{T: t, j: j, ctx: context.Background()})
		})
	}
}

// DurableJournal holds a journal to what it promises beyond its own life. open gives an empty
// journal and a function that opens the same storage again after the journal was closed.
func DurableJournal(t *testing.T, open func(t *testing.T) (gateway.Journal, func(t *testing.T) gateway.Journal)) {
	t.Run("reopening keeps everything", func(t *testing.T) {
		j, reopen := open(t)
		d := &journalDesk{T: t, j: j, ctx: context.Background()}
		s := d.settle("r-1")
		d.told1(s.Request.Key)
		before := d.all(s)
		last := d.id()
		d.close()
		d.j = reopen(t)
		defer d.close()
		after := d.all(s)
		after.Request.Told = before.Request.Told // a flush at Close is a courtesy, not a promise
		if !reflect.DeepEqual(before, after) {
			t.Errorf("after reopening\n%+v\nwant\n%+v", after, before)
		}
		if next := d.id(); next <= last {
			t.Errorf("message id %s after reopening, %s was given before", next, last)
		}
		old, err := d.j.Write(d.ctx, gateway.Entry{Request: s.Request})
		if err != nil || old == nil || !bytes.Equal(old.Answer, before.Request.Answer) {
			t.Errorf("the request repeated after reopening gives %+v, %v", old, err)
		}
		other := *s.Request
		other.Digest[0]++
		if _, err := d.j.Write(d.ctx, gateway.Entry{Request: &other}); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("another body after reopening: %v, want ErrConflict", err)
		}
	})
	t.Run("message ids stay unique over many openings with a clock that went back", func(t *testing.T) {
		j, reopen := open(t)
		d := &journalDesk{T: t, j: j, ctx: context.Background()}
		last := ident.MsgID("")
		for round := range 8 {
			for range 20 {
				id, err := d.j.NextMsgID(d.ctx, journalInst, journalNow.Add(-time.Duration(round)*time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				if id <= last {
					t.Fatalf("round %d: %s after %s", round, id, last)
				}
				last = id
			}
			d.close()
			d.j = reopen(t)
		}
		d.close()
	})
	t.Run("closing twice", func(t *testing.T) {
		j, _ := open(t)
		for range 2 {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

const journalInst = ident.Institution("H44010000001")

var journalNow = time.Date(2026, 3, 31, 23, 59, 58, 123_000_000, gateway.China)

// journalDesk is the test's hand on one journal.
type journalDesk struct {
	*testing.T
	j   gateway.Journal
	ctx context.Context
}

func (d *journalDesk) close() {
	d.Helper()
	if err := d.j.Close(); err != nil {
		d.Fatalf("close: %v", err)
	}
}

func (d *journalDesk) id() ident.MsgID {
	d.Helper()
	id, err := d.j.NextMsgID(d.ctx, journalInst, journalNow)
	if err != nil {
		d.Fatal(err)
	}
	return id
}

func (d *journalDesk) key(id string) gateway.RequestKey {
	return gateway.RequestKey{System: "his-a", ID: id}
}

func (d *journalDesk) request(id, ref string) *gateway.Request {
	return &gateway.Request{
		Key: d.key(id), Digest: [32]byte{7, 8, 9, 31: 1}, Op: "transact",
		Institution: journalInst, Ref: ref, CreatedAt: journalNow,
	}
}

// record is a bare record of no request.
func (d *journalDesk) record(s gateway.State) *gateway.Record {
	d.Helper()
	return &gateway.Record{
		ID: d.id(), Institution: journalInst, Infno: "2207", Step: "2207", Attempt: 1,
		Operator:   gateway.Operator{ID: "op1", Name: "王收费", Type: "1"},
		Mapping:    "generic-hl7@1 (0f31c2aa)",
		WireDigest: [32]byte{1, 2, 3, 31: 255}, CreatedAt: journalNow,
		Input: []byte(`{"data":{"mdtrt_id":"x"}}`), State: s,
	}
}

// settle writes one whole settlement: request, bill, record, done and answer.
func (d *journalDesk) settle(id string) gateway.Entry {
	d.Helper()
	r := d.record(gateway.StateSent)
	r.Bill = "B" + string(r.ID)
	r.Request = d.key(id)
	e := gateway.Entry{
		Request: d.request(id, r.Bill),
		Bill: &gateway.Bill{
			ID: r.Bill, Institution: journalInst, System: "his-a", CreatedAt: journalNow, Body: []byte(`{"total":"1.00"}`),
		},
		Record: r,
	}
	d.write(e)
	d.write(gateway.Entry{
		Append: &gateway.Append{ID: r.ID, Version: 1, Event: gateway.Event{
			Kind: gateway.EventDone, At: journalNow.Add(time.Second), Data: []byte(`{"setlinfo":{}}`), Note: "took 1 s", Evidence: []byte("signed by the centre"),
		}},
		Answer: &gateway.Answer{Key: d.key(id), Body: []byte(`{"state":"done"}`), At: journalNow.Add(time.Second)},
	})
	return e
}

func (d *journalDesk) told1(k gateway.RequestKey) {
	d.j.Told(k, journalNow.Add(2*time.Second))
}

func (d *journalDesk) write(entries ...gateway.Entry) {
	d.Helper()
	old, err := d.j.Write(d.ctx, entries...)
	if err != nil || old != nil {
		d.Fatalf("write: existing %+v, error %v", old, err)
	}
}

func (d *journalDesk) refuse(want error, entries ...gateway.Entry) {
	d.Helper()
	old, err := d.j.Write(d.ctx, entries...)
	if old != nil || !errors.Is(err, want) {
		d.Fatalf("write: existing %+v, error %v; want %v", old, err, want)
	}
}

func (d *journalDesk) get(id ident.MsgID) gateway.Record {
	d.Helper()
	r, err := d.j.Record(d.ctx, id)
	if err != nil {
		d.Fatal(err)
	}
	return r
}

func (d *journalDesk) events(id ident.MsgID) []gateway.Event {
	d.Helper()
	e, err := d.j.Events(d.ctx, id)
	if err != nil {
		d.Fatal(err)
	}
	return e
}

func (d *journalDesk) gone(id ident.MsgID) {
	d.Helper()
	if r, err := d.j.Record(d.ctx, id); !errors.Is(err, gateway.ErrNotFound) {
		d.Fatalf("record %s is there (%+v, %v), want nothing of the refused write", id, r, err)
	}
}

// journalView is all that can be read of one settlement.
type journalView struct {
	Request gateway.Request
	Bill    gateway.Bill
	Record  gateway.Record
	Events  []gateway.Event
	OfBill  []gateway.Record
	OfReq   []gateway.Record
	Listed  []gateway.Record
}

func (d *journalDesk) all(e gateway.Entry) journalView {
	d.Helper()
	var v journalView
	var errs [7]error
	v.Request, errs[0] = d.j.Request(d.ctx, e.Request.Key)
	v.Bill, errs[1] = d.j.Bill(d.ctx, e.Bill.ID)
	v.Record, errs[2] = d.j.Record(d.ctx, e.Record.ID)
	v.Events, errs[3] = d.j.Events(d.ctx, e.Record.ID)
	v.OfBill, errs[4] = d.j.BillRecords(d.ctx, e.Bill.ID)
	v.OfReq, errs[5] = d.j.RequestRecords(d.ctx, e.Request.Key)
	v.Listed, errs[6] = d.j.List(d.ctx, gateway.Query{})
	if err := errors.Join(errs[:]...); err != nil {
		d.Fatal(err)
	}
	return v
}

func ids(records []gateway.Record) []ident.MsgID {
	out := []ident.MsgID{}
	for _, r := range records {
		out = append(out, r.ID)
	}
	return out
}

func (d *journalDesk) sameIDs(what string, got []gateway.Record, want ...ident.MsgID) {
	d.Helper()
	if g := ids(got); fmt.Sprint(g) != fmt.Sprint(want) {
		d.Errorf("%s:\n got %v\nwant %v", what, g, want)
	}
}
