package gatewaytest

import (
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// lease is how long a holder of these tests lives unless it is said again.
const lease = 10 * time.Second

func (d *journalDesk) join(name string) gateway.Holder {
	d.Helper()
	h, err := d.j.Join(d.ctx, name, journalNow.Add(lease))
	if err != nil {
		d.Fatal(err)
	}
	return h
}

// claim is at the given time, for 3 seconds.
func (d *journalDesk) claim(h gateway.Holder, at time.Time, ids ...ident.MsgID) []ident.MsgID {
	d.Helper()
	taken, err := d.j.Claim(d.ctx, h, ids, at, at.Add(3*time.Second))
	if err != nil {
		d.Fatal(err)
	}
	return taken
}

func (d *journalDesk) wantTaken(what string, got []ident.MsgID, want ...ident.MsgID) {
	d.Helper()
	if len(got) != len(want) {
		d.Fatalf("%s: took %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			d.Fatalf("%s: took %v, want %v", what, got, want)
		}
	}
}

// queued writes a record that waits to be sent.
func (d *journalDesk) queued() ident.MsgID {
	d.Helper()
	r := d.record(gateway.StatePrepared)
	r.Wire = []byte("wire")
	d.write(gateway.Entry{Record: r})
	return r.ID
}

func event(id ident.MsgID, version int, k gateway.EventKind, by gateway.Holder) gateway.Entry {
	return gateway.Entry{Append: &gateway.Append{ID: id, Version: version, Event: gateway.Event{Kind: k, At: journalNow}}, Holder: by}
}

func (d *journalDesk) lives() {
	first, other := d.join("a"), d.join("b")
	if first == other || first == "" {
		d.Fatalf("holders %q and %q", first, other)
	}
	if err := d.j.Hold(d.ctx, first, journalNow.Add(time.Hour)); err != nil {
		d.Error(err)
	}
	second := d.join("a")
	if second == first {
		d.Fatalf("%q twice", second)
	}
	id := d.queued()
	if err := d.j.Hold(d.ctx, first, journalNow.Add(time.Hour)); !errors.Is(err, gateway.ErrStale) {
		d.Errorf("a former life goes on: %v", err)
	}
	if taken, err := d.j.Claim(d.ctx, first, []ident.MsgID{id}, journalNow, journalNow.Add(time.Second)); !errors.Is(err, gateway.ErrStale) || len(taken) > 0 {
		d.Errorf("a former life takes %v: %v", taken, err)
	}
	for _, h := range []gateway.Holder{second, other} {
		if err := d.j.Hold(d.ctx, h, journalNow.Add(time.Hour)); err != nil {
			d.Errorf("%s: %v", h, err)
		}
	}
	for _, h := range []gateway.Holder{"", "nobody", "nobody#1", "a#x"} {
		if err := d.j.Hold(d.ctx, h, journalNow); err == nil {
			d.Errorf("%q goes on", h)
		}
	}
	if h, err := d.j.Join(d.ctx, "", journalNow); err == nil {
		d.Errorf("no name gives %q", h)
	}
}

func (d *journalDesk) claims() {
	a, b := d.join("a"), d.join("b")
	r1, r2, r3 := d.queued(), d.queued(), d.queued()
	done := d.settle("r-1").Record.ID
	d.wantTaken("what is free", d.claim(a, journalNow, r2, done, "nobody", r1), r2, r1)
	if got := d.get(r1).Holder; got != a {
		d.Errorf("the record is held by %q, want %q", got, a)
	}
	d.wantTaken("what another has", d.claim(b, journalNow, r1, r2, r3), r3)
	d.wantTaken("again", d.claim(a, journalNow.Add(2*time.Second), r1), r1)
	later := journalNow.Add(3 * time.Second)
	d.wantTaken("what has run out", d.claim(b, later, r1, r2), r2)
	if err := d.j.Release(d.ctx, a, []ident.MsgID{r1, r2, "nobody"}); err != nil {
		d.Fatal(err)
	}
	if d.get(r1).Holder != "" || d.get(r2).Holder != b {
		d.Errorf("held by %q and %q after a gave back, want nobody and b", d.get(r1).Holder, d.get(r2).Holder)
	}
	d.wantTaken("what was given back", d.claim(b, later, r1), r1)
	// A claim is over with its holder's lease, and with its holder's life.
	c := d.join("c")
	if err := d.j.Hold(d.ctx, b, later); err != nil {
		d.Fatal(err)
	}
	d.wantTaken("of a holder whose lease is over", d.claim(c, later, r1), r1)
	d.join("c")
	d.wantTaken("of a former life", d.claim(a, later, r1), r1)
	if err := d.j.Hold(d.ctx, a, time.Time{}); err != nil {
		d.Fatal(err)
	}
	e := d.join("e")
	d.wantTaken("of a holder that left", d.claim(e, later, r1, r2), r1, r2)
	// An event that leaves the record open leaves the claim.
	d.write(event(r1, 0, gateway.EventRefused, e))
	if got := d.get(r1).Holder; got != "" {
		d.Errorf("a final record is held by %q", got)
	}
	if taken, err := d.j.Claim(d.ctx, e, nil, later, later); err != nil || len(taken) > 0 {
		d.Errorf("nothing to claim: %v, %v", taken, err)
	}
}

// late: a takes a record and stalls; b takes it over; what a does then is refused at every stage.
func (d *journalDesk) late() {
	later := journalNow.Add(5 * time.Second)
	for _, stage := range []string{"before b writes", "after b wrote"} {
		a, b := d.join("a"), d.join("b")
		id := d.queued()
		d.wantTaken(stage, d.claim(a, journalNow, id), id)
		d.wantTaken(stage, d.claim(b, later, id), id)
		if stage == "after b wrote" {
			d.write(event(id, 0, gateway.EventSent, b))
			d.refuse(gateway.ErrStale, event(id, 1, gateway.EventDone, a))
		}
		d.refuse(gateway.ErrStale, event(id, 0, gateway.EventSent, a))
		// Together with something new: none of it.
		r := d.record(gateway.StateSent)
		d.refuse(gateway.ErrStale, gateway.Entry{Record: r, Holder: a}, event(id, 0, gateway.EventSent, a))
		d.gone(r.ID)
		version := d.get(id).Version
		if version == 0 {
			d.write(event(id, 0, gateway.EventSent, b))
		}
		d.write(event(id, 1, gateway.EventUnknown, b))
		if got := d.get(id); got.Holder != "" || got.State != gateway.StateUnknown {
			d.Errorf("%s: %s, held by %q", stage, got.State, got.Holder)
		}
		// While it is unknown a claim stays through questions.
		d.wantTaken(stage, d.claim(b, later, id), id)
		d.write(event(id, 2, gateway.EventAsked, b))
		d.refuse(gateway.ErrStale, event(id, 3, gateway.EventAsked, a))
		d.write(event(id, 3, gateway.EventAbsent, ""))
	}
}

func (d *journalDesk) orphans() {
	a, b := d.join("a"), d.join("b")
	send := func(by gateway.Holder) ident.MsgID {
		r := d.record(gateway.StateSent)
		d.write(gateway.Entry{Record: r, Holder: by})
		return r.ID
	}
	want := func(what string, at time.Time, want ...ident.MsgID) {
		d.Helper()
		got, err := d.j.Orphans(d.ctx, at)
		if err != nil {
			d.Fatal(err)
		}
		d.sameIDs(what, got, want...)
	}
	nobodys, ofA, ofB := send(""), send(a), send(b)
	upload := d.queued()
	d.write(event(upload, 0, gateway.EventSent, a))
	d.queued()
	d.settle("r-1")
	if got := d.get(ofA).Holder; got != a {
		d.Errorf("sent by %s, held by %q", a, got)
	}
	want("while all live", journalNow, nobodys)
	d.wantTaken("of the living", d.claim(b, journalNow, ofA, upload))
	if err := d.j.Hold(d.ctx, b, journalNow.Add(time.Hour)); err != nil {
		d.Fatal(err)
	}
	over := journalNow.Add(lease)
	want("just before a's lease is over", over.Add(-time.Millisecond), nobodys)
	want("when a's lease is over", over, nobodys, ofA, upload)
	// Started again: what the former life sent is found at once, what the new one sends is not.
	second := d.join("a")
	want("after a has come back", journalNow, nobodys, ofA, upload)
	mine := send(second)
	want("after it has sent", journalNow, nobodys, ofA, upload)
	// What is taken over is looked after, until that claim is over too.
	d.wantTaken("of a former life", d.claim(b, journalNow, ofA), ofA)
	want("one taken over", journalNow, nobodys, upload)
	want("and given up", journalNow.Add(3*time.Second), nobodys, ofA, upload)
	// The former life's late answer is refused when it says who it is.
	d.refuse(gateway.ErrStale, event(ofA, 1, gateway.EventDone, a))
	d.write(event(ofA, 1, gateway.EventUnknown, b))
	d.refuse(gateway.ErrStale, event(upload, 1, gateway.EventUnknown, second)) // it has to take it first
	d.wantTaken("of the life before", d.claim(second, journalNow, upload), upload)
	d.write(event(upload, 1, gateway.EventUnknown, second), event(upload, 2, gateway.EventSent, second))
	want("dealt with", journalNow, nobodys)
	if err := d.j.Hold(d.ctx, second, time.Time{}); err != nil {
		d.Fatal(err)
	}
	want("a has left", journalNow, nobodys, upload, mine)
	d.write(event(ofB, 1, gateway.EventDone, b))
	if got := d.get(ofB).Holder; got != "" {
		d.Errorf("a finished record is held by %q", got)
	}
}

func (d *journalDesk) text() {
	for _, bad := range []string{"a\x00b", "a\xffb"} {
		r := d.record(gateway.StateSent)
		r.Operator.Name = bad
		q := d.request("r"+bad, "x")
		for _, e := range []gateway.Entry{{Record: r}, {Request: q}, {Bill: &gateway.Bill{ID: bad}},
			{Append: &gateway.Append{ID: r.ID, Event: gateway.Event{Kind: gateway.EventDone, Note: bad}}}} {
			if _, err := d.j.Write(d.ctx, e); err == nil || errors.Is(err, gateway.ErrStorage) {
				d.Errorf("%q: %v", bad, err)
			}
		}
	}
}
