package gatewaytest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func (d *journalDesk) readBack() {
	r := d.record(gateway.StatePrepared)
	r.Request, r.Bill, r.Visit, r.Wire, r.Attempt = d.key("r-1"), "B-1", "visit-digest", []byte("\x00\xff wire"), 3
	r.Operator = gateway.Operator{ID: "op", Name: "李", Type: "2"}
	r.CreatedAt = journalNow.Add(456_789 * time.Nanosecond) // cut to the millisecond
	q := d.request("r-1", string(r.ID))
	b := &gateway.Bill{ID: "B-1", Institution: journalInst, System: "his-a", CreatedAt: journalNow, Body: []byte("{}")}
	d.write(gateway.Entry{Request: q, Bill: b, Record: r})

	want := *r
	want.CreatedAt, want.UpdatedAt = journalNow, journalNow
	if got := d.get(r.ID); !sameRecord(got, want) {
		d.Errorf("record\n%+v\nwant\n%+v", got, want)
	}
	if e := d.events(r.ID); len(e) != 0 {
		d.Errorf("a prepared record has events %+v", e)
	}
	gq, err := d.j.Request(d.ctx, q.Key)
	if err != nil || !gq.CreatedAt.Equal(q.CreatedAt) {
		d.Errorf("request %+v, %v", gq, err)
	}
	gq.CreatedAt = q.CreatedAt
	if !reflect.DeepEqual(gq, *q) {
		d.Errorf("request\n%+v\nwant\n%+v", gq, *q)
	}
	gb, err := d.j.Bill(d.ctx, "B-1")
	if err != nil || !gb.CreatedAt.Equal(b.CreatedAt) {
		d.Errorf("bill %+v, %v", gb, err)
	}
	gb.CreatedAt = b.CreatedAt
	if !reflect.DeepEqual(gb, *b) {
		d.Errorf("bill\n%+v\nwant\n%+v", gb, *b)
	}
}

// sameRecord compares times as instants.
func sameRecord(a, b gateway.Record) bool {
	if !a.CreatedAt.Equal(b.CreatedAt) || !a.UpdatedAt.Equal(b.UpdatedAt) {
		return false
	}
	a.CreatedAt, a.UpdatedAt = b.CreatedAt, b.UpdatedAt
	return reflect.DeepEqual(a, b)
}

func (d *journalDesk) idempotent() {
	first := d.record(gateway.StateSent)
	first.Request = d.key("r-1")
	d.write(gateway.Entry{Request: d.request("r-1", string(first.ID)), Record: first})

	second := d.record(gateway.StateSent)
	second.Request = d.key("r-1")
	for range 2 {
		old, err := d.j.Write(d.ctx, gateway.Entry{Request: d.request("r-1", string(second.ID)), Record: second})
		if err != nil || old == nil {
			d.Fatalf("the same body again: %+v, %v; want the first request", old, err)
		}
		if old.Ref != string(first.ID) || old.Answer != nil {
			d.Errorf("existing %+v, want the first request with ref %s", old, first.ID)
		}
		d.gone(second.ID)
	}
	other := d.request("r-1", string(second.ID))
	other.Digest[31]++
	d.refuse(gateway.ErrConflict, gateway.Entry{Request: other, Record: second})
	d.gone(second.ID)

	// What stands before the known request is not written either.
	third := d.record(gateway.StateSent)
	old, err := d.j.Write(d.ctx, gateway.Entry{Record: third}, gateway.Entry{Request: d.request("r-1", "x")})
	if err != nil || old == nil {
		d.Fatalf("existing %+v, error %v", old, err)
	}
	d.gone(third.ID)

	// Another system has its own ids.
	elsewhere := d.request("r-1", "x")
	elsewhere.Key.System = "his-b"
	elsewhere.Digest[0] = 99
	d.write(gateway.Entry{Request: elsewhere})
}

func (d *journalDesk) atomic() {
	r := d.record(gateway.StateSent)
	d.write(gateway.Entry{Record: r})
	fresh := d.record(gateway.StateSent)
	fresh.Request, fresh.Bill = d.key("r-1"), "B-1"
	good := gateway.Entry{
		Request: d.request("r-1", "B-1"),
		Bill:    &gateway.Bill{ID: "B-1", Institution: journalInst},
		Record:  fresh,
		Answer:  &gateway.Answer{Key: d.key("r-1"), Body: []byte("{}"), At: journalNow},
	}
	moved := gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: journalNow}}}
	stale := gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 7, Event: gateway.Event{Kind: gateway.EventDone, At: journalNow}}}
	d.refuse(gateway.ErrStale, good, moved, stale)
	d.gone(fresh.ID)
	if got := d.get(r.ID); got.State != gateway.StateSent || got.Version != 1 {
		d.Errorf("the record moved to %s version %d in a refused write", got.State, got.Version)
	}
	if n := len(d.events(r.ID)); n != 1 {
		d.Errorf("%d events after a refused write, want 1", n)
	}
	if _, err := d.j.Request(d.ctx, d.key("r-1")); !errors.Is(err, gateway.ErrNotFound) {
		d.Errorf("request of a refused write: %v", err)
	}
	if _, err := d.j.Bill(d.ctx, "B-1"); !errors.Is(err, gateway.ErrNotFound) {
		d.Errorf("bill of a refused write: %v", err)
	}
	// The same without the bad entry, and two events on one record in one write.
	late := gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 1, Event: gateway.Event{Kind: gateway.EventUnknown, At: journalNow, Cause: gateway.CauseTimeout}}}
	found := gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 2, Event: gateway.Event{Kind: gateway.EventDone, At: journalNow, Data: []byte("{}")}}}
	d.write(good, late, found)
	if got := d.get(r.ID); got.State != gateway.StateDone || got.Version != 3 || string(got.Output) != "{}" {
		d.Errorf("record %+v, want done at version 3 with its output", got)
	}
	if q, err := d.j.Request(d.ctx, d.key("r-1")); err != nil || string(q.Answer) != "{}" {
		d.Errorf("request %+v, %v; want its answer from the same write", q, err)
	}
}

func (d *journalDesk) stale() {
	r := d.record(gateway.StateSent)
	d.write(gateway.Entry{Record: r})
	at := func(version int, k gateway.EventKind) gateway.Entry {
		return gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: version, Event: gateway.Event{Kind: k, At: journalNow}}}
	}
	d.refuse(gateway.ErrStale, at(0, gateway.EventUnknown))
	d.refuse(gateway.ErrStale, at(2, gateway.EventUnknown))
	d.write(at(1, gateway.EventUnknown))
	d.refuse(gateway.ErrStale, at(1, gateway.EventDone))
	d.write(at(2, gateway.EventReversed))
	// At the right version an event that can not follow is refused too, and is not "stale".
	_, err := d.j.Write(d.ctx, at(3, gateway.EventDone))
	if err == nil || errors.Is(err, gateway.ErrStale) || errors.Is(err, gateway.ErrStorage) {
		d.Errorf("an event on a final record: %v", err)
	}
	if got := d.get(r.ID); got.Version != 3 || got.State != gateway.StateReversed {
		d.Errorf("record %+v", got)
	}
}

func (d *journalDesk) race() {
	r := d.record(gateway.StateSent)
	d.write(gateway.Entry{Record: r})
	const n = 32
	results := make([]error, n)
	existing := make([]*gateway.Request, n)
	repeats := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, results[i] = d.j.Write(d.ctx, gateway.Entry{Append: &gateway.Append{
				ID: r.ID, Version: 1, Event: gateway.Event{Kind: gateway.EventUnknown, At: journalNow},
			}})
			existing[i], repeats[i] = d.j.Write(d.ctx, gateway.Entry{Request: d.request("same", "x")})
		})
	}
	wg.Wait()
	won, created := 0, 0
	for i := range n {
		switch {
		case results[i] == nil:
			won++
		case !errors.Is(results[i], gateway.ErrStale):
			d.Errorf("a loser got %v, want ErrStale", results[i])
		}
		if repeats[i] != nil {
			d.Errorf("repeated request: %v", repeats[i])
		} else if existing[i] == nil {
			created++
		}
	}
	if won != 1 || created != 1 {
		d.Errorf("%d of %d writers appended and %d created the request, want 1 and 1", won, n, created)
	}
	if n := len(d.events(r.ID)); n != 2 {
		d.Errorf("%d events, want 2", n)
	}
}

func (d *journalDesk) exists() {
	s := d.settle("r-1")
	d.refuse(gateway.ErrExists, gateway.Entry{Record: &gateway.Record{
		ID: s.Record.ID, Institution: journalInst, Infno: "1101", State: gateway.StateSent, CreatedAt: journalNow,
	}})
	d.refuse(gateway.ErrExists, gateway.Entry{Bill: s.Bill})
	again := d.record(gateway.StateSent)
	again.Request = d.key("r-1")
	d.refuse(gateway.ErrExists, gateway.Entry{Record: again})
	again.Attempt = 2
	d.write(gateway.Entry{Record: again})
	twin := d.record(gateway.StateSent)
	d.refuse(gateway.ErrExists, gateway.Entry{Record: twin}, gateway.Entry{Record: twin})
	d.gone(twin.ID)
	// The gateway's own records belong to no request and may be alike.
	for range 2 {
		d.write(gateway.Entry{Record: d.record(gateway.StateSent)})
	}
	if got := d.get(s.Record.ID); got.Infno != "2207" || got.State != gateway.StateDone {
		d.Errorf("the first record has become %+v", got)
	}
}

func (d *journalDesk) references() {
	r := d.record(gateway.StateSent)
	r.Request = d.key("nobody")
	d.refuse(gateway.ErrNotFound, gateway.Entry{Record: r})
	r.Request, r.Bill = gateway.RequestKey{}, "B-nobody"
	d.refuse(gateway.ErrNotFound, gateway.Entry{Record: r})
	d.refuse(gateway.ErrNotFound, gateway.Entry{Append: &gateway.Append{ID: r.ID, Event: gateway.Event{Kind: gateway.EventSent, At: journalNow}}})
	d.refuse(gateway.ErrNotFound, gateway.Entry{Answer: &gateway.Answer{Key: d.key("nobody"), Body: []byte("{}"), At: journalNow}})
	d.gone(r.ID)
}

func (d *journalDesk) nonsense() {
	ok := d.record(gateway.StateSent)
	bad := func(change func(*gateway.Record)) gateway.Entry {
		r := *ok
		change(&r)
		return gateway.Entry{Record: &r}
	}
	for name, e := range map[string]gateway.Entry{
		"empty entry":              {},
		"request without a key":    {Request: &gateway.Request{}},
		"request without system":   {Request: &gateway.Request{Key: gateway.RequestKey{ID: "x"}}},
		"bill without an id":       {Bill: &gateway.Bill{}},
		"record without an id":     bad(func(r *gateway.Record) { r.ID = "" }),
		"record born done":         bad(func(r *gateway.Record) { r.State = gateway.StateDone }),
		"record of no state":       bad(func(r *gateway.Record) { r.State = "" }),
		"record of half a key":     bad(func(r *gateway.Record) { r.Request.ID = "x" }),
		"event without a record":   {Append: &gateway.Append{}},
		"event of no kind":         {Append: &gateway.Append{ID: ok.ID, Version: 1}},
		"answer without a body":    {Answer: &gateway.Answer{Key: d.key("r"), At: journalNow}},
		"answer without a time":    {Answer: &gateway.Answer{Key: d.key("r"), Body: []byte("{}")}},
		"request twice in a write": {},
	} {
		entries := []gateway.Entry{{Record: ok}, e}
		if name == "request twice in a write" {
			entries = []gateway.Entry{{Record: ok}, {Request: d.request("r", "x")}, {Request: d.request("r", "x")}}
		}
		old, err := d.j.Write(d.ctx, entries...)
		if err == nil || old != nil || errors.Is(err, gateway.ErrStorage) {
			d.Errorf("%s: existing %+v, error %v", name, old, err)
		}
		d.gone(ok.ID)
	}
	for _, inst := range []ident.Institution{"", "H4401", "H440100000012", "h44010000001"} {
		if id, err := d.j.NextMsgID(d.ctx, inst, journalNow); err == nil {
			d.Errorf("institution %q gives message id %q", inst, id)
		}
	}
	if old, err := d.j.Write(d.ctx); old != nil || err != nil {
		d.Errorf("a write of nothing: %+v, %v", old, err)
	}
}

func (d *journalDesk) fold() {
	paths := [][]gateway.Event{
		{},
		{{Kind: gateway.EventDone, Data: []byte(`{"a":1}`), Evidence: []byte("signed")}},
		{{Kind: gateway.EventRefused, Cause: gateway.CauseBusiness, Data: []byte(`{"err_msg":"x"}`), Note: "refused"}},
		{{Kind: gateway.EventUnknown, Cause: gateway.CauseTimeout, Note: "60 s"}},
		{{Kind: gateway.EventUnknown, Cause: gateway.CauseCut}, {Kind: gateway.EventAsked, Ref: "asked-1", Data: []byte("{}")}, {Kind: gateway.EventDone, Cause: "adopted", Data: []byte("{2}")}},
		{{Kind: gateway.EventUnknown, Cause: gateway.CauseCrash}, {Kind: gateway.EventParked}, {Kind: gateway.EventAsked}, {Kind: gateway.EventReversed, Ref: "undo-1"}},
		{{Kind: gateway.EventUnknown, Cause: gateway.CauseCut}, {Kind: gateway.EventSent}, {Kind: gateway.EventUnknown, Cause: gateway.CauseTimeout}, {Kind: gateway.EventAbsent}},
		{{Kind: gateway.EventUnknown, Cause: gateway.CauseCut}, {Kind: gateway.EventAbsent}, {Kind: gateway.EventDone, Cause: "adopted", Ref: "asked-2", Data: []byte("{}")}},
	}
	for _, born := range []gateway.State{gateway.StatePrepared, gateway.StateSent} {
		for n, path := range paths {
			r := d.record(born)
			d.write(gateway.Entry{Record: r})
			want := *r
			want.State, want.UpdatedAt = gateway.StatePrepared, r.CreatedAt
			first := gateway.Event{Kind: gateway.EventSent, At: r.CreatedAt}
			if err := want.Apply(first); err != nil {
				d.Fatal(err)
			}
			if born == gateway.StatePrepared {
				d.write(gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 0, Event: first}})
			}
			for i, e := range path {
				e.At = journalNow.Add(time.Duration(i+1) * 7 * time.Millisecond)
				d.write(gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: i + 1, Event: e}})
				if err := want.Apply(e); err != nil {
					d.Fatal(err)
				}
			}
			got := d.get(r.ID)
			if !sameRecord(got, want) {
				d.Errorf("path %d of %s:\n%+v\nwant\n%+v", n, born, got, want)
			}
			again := *r
			again.State, again.UpdatedAt = gateway.StatePrepared, r.CreatedAt
			for i, e := range d.events(r.ID) {
				if e.Seq != i+1 {
					d.Errorf("path %d: event %d has number %d", n, i+1, e.Seq)
				}
				if i > 0 {
					w := path[i-1]
					if e.Kind != w.Kind || e.Cause != w.Cause || e.Ref != w.Ref || e.Note != w.Note || string(e.Data) != string(w.Data) || string(e.Evidence) != string(w.Evidence) {
						d.Errorf("path %d: event %+v, want %+v", n, e, w)
					}
				}
				if err := again.Apply(e); err != nil {
					d.Fatal(err)
				}
			}
			if !sameRecord(got, again) {
				d.Errorf("path %d of %s: stored\n%+v\nfolded\n%+v", n, born, got, again)
			}
		}
	}
}

func (d *journalDesk) answers() {
	d.write(gateway.Entry{Request: d.request("r-1", "x")})
	d.write(gateway.Entry{Answer: &gateway.Answer{Key: d.key("r-1"), Body: []byte("first"), At: journalNow}})
	d.write(gateway.Entry{Answer: &gateway.Answer{Key: d.key("r-1"), Body: []byte("second"), At: journalNow.Add(time.Hour)}})
	q, err := d.j.Request(d.ctx, d.key("r-1"))
	if err != nil || string(q.Answer) != "first" || !q.AnsweredAt.Equal(journalNow) {
		d.Errorf("request %+v, %v; want the first answer", q, err)
	}
	old, err := d.j.Write(d.ctx, gateway.Entry{Request: d.request("r-1", "y")})
	if err != nil || old == nil || string(old.Answer) != "first" || !old.AnsweredAt.Equal(journalNow) || old.Told {
		d.Errorf("repeat gives %+v, %v; want the first answer", old, err)
	}
	// A request that is answered as it is written.
	r := d.request("r-2", "x")
	r.Answer, r.AnsweredAt = []byte("at once"), journalNow
	d.write(gateway.Entry{Request: r})
	if q, err := d.j.Request(d.ctx, r.Key); err != nil || string(q.Answer) != "at once" || !q.AnsweredAt.Equal(journalNow) {
		d.Errorf("request %+v, %v", q, err)
	}
}

func (d *journalDesk) told() {
	s := d.settle("r-1")
	d.write(gateway.Entry{Request: d.request("r-2", "x")})
	d.told1(s.Request.Key)
	d.told1(s.Request.Key)
	d.told1(d.key("r-2")) // has no answer yet
	d.told1(d.key("nobody"))
	d.write(gateway.Entry{Record: d.record(gateway.StateSent)})
	if q, err := d.j.Request(d.ctx, s.Request.Key); err != nil || !q.Told {
		d.Errorf("request %+v, %v; want it told", q, err)
	}
	if q, err := d.j.Request(d.ctx, d.key("r-2")); err != nil || q.Told {
		d.Errorf("request %+v, %v; an unanswered request can not have been told", q, err)
	}
	old, err := d.j.Write(d.ctx, gateway.Entry{Request: s.Request})
	if err != nil || old == nil || !old.Told {
		d.Errorf("existing %+v, %v; want it told", old, err)
	}
}

func (d *journalDesk) cancelled() {
	ctx, cancel := context.WithCancel(d.ctx)
	cancel()
	r := d.record(gateway.StateSent)
	if _, err := d.j.Write(ctx, gateway.Entry{Record: r}); !errors.Is(err, context.Canceled) {
		d.Errorf("write with a cancelled context: %v", err)
	}
	d.gone(r.ID)
	if _, err := d.j.NextMsgID(ctx, journalInst, journalNow); !errors.Is(err, context.Canceled) {
		d.Errorf("message id with a cancelled context: %v", err)
	}
}

func (d *journalDesk) closed() {
	if err := d.j.Health(d.ctx); err != nil {
		d.Errorf("health of an open journal: %v", err)
	}
	r := d.record(gateway.StateSent)
	d.close()
	if err := d.j.Health(d.ctx); !errors.Is(err, gateway.ErrStorage) {
		d.Errorf("health of a closed journal: %v", err)
	}
	if _, err := d.j.Write(d.ctx, gateway.Entry{Record: r}); !errors.Is(err, gateway.ErrStorage) {
		d.Errorf("write to a closed journal: %v", err)
	}
	if _, err := d.j.NextMsgID(d.ctx, journalInst, journalNow); !errors.Is(err, gateway.ErrStorage) {
		d.Errorf("message id of a closed journal: %v", err)
	}
	if _, err := d.j.Record(d.ctx, r.ID); !errors.Is(err, gateway.ErrStorage) {
		d.Errorf("read of a closed journal: %v", err)
	}
	d.told1(d.key("r-1"))
}
