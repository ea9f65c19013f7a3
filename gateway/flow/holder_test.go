package flow

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// named is a program with a name on the bench's journal, started.
func (b *bench) named(name string) *Desk {
	b.t.Helper()
	d := b.newDesk()
	d.held = &holding{Journal: b.journal, name: name}
	d.opt.Journal = d.held
	if err := d.Recover(bg); err != nil {
		b.t.Fatal(err)
	}
	return d
}

// begin sends a settlement with a desk and waits until it is on its way.
func (b *bench) begin(d *Desk) (id ident.MsgID, gate *gatewaytest.Gate, ended chan error) {
	b.t.Helper()
	r := b.lowSettle("s1")
	gate = b.centre.Hold()
	ended = make(chan error, 1)
	go func() {
		_, err := d.Transact(bg, his, r)
		ended <- err
	}()
	if err := gate.Await(bg, 1); err != nil {
		b.t.Fatal(err)
	}
	return b.centre.Sent("2207")[0].MsgID, gate, ended
}

// alive prolongs leases by a minute.
func (b *bench) alive(list ...*Desk) {
	b.t.Helper()
	for _, d := range list {
		if err := b.journal.Hold(bg, d.life(), b.clock.Now().Add(time.Minute)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestWhatALivingProcessSendsIsLeftAlone(t *testing.T) {
	b := newBench(t, askingRegion())
	one := b.named("one")
	id, gate, ended := b.begin(one)
	two := b.named("two")
	b.clock.Advance(10 * time.Second)
	if err := two.sweep(bg); err != nil {
		t.Fatal(err)
	}
	if s := b.state(id); s != gateway.StateSent {
		t.Fatalf("taken from a living process: %s", s)
	}
	// It says nothing for longer than its lease: it is taken over, and being resolved.
	b.clock.Advance(6 * time.Second)
	if err := two.sweep(bg); err != nil {
		t.Fatal(err)
	}
	if s := b.state(id); s != gateway.StateUnknown {
		t.Fatalf("%s, want unknown", s)
	}
	b.alive(two)
	if ok, err := two.claimOne(bg, id); !ok || err != nil {
		t.Fatal(ok, err)
	}
	// The answer comes: it is refused while the other works on the record, and kept until then.
	gate.Open()
	if err := <-ended; codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Errorf("while another resolves it: %v", err)
	}
	if s := b.state(id); s != gateway.StateUnknown {
		t.Errorf("a slow holder wrote %s", s)
	}
	one.catchUp(bg)
	if s := b.state(id); s != gateway.StateUnknown {
		t.Errorf("a slow holder wrote %s", s)
	}
	two.release(bg, id)
	one.catchUp(bg)
	if s := b.state(id); s != gateway.StateDone {
		t.Errorf("%s, want done: the answer is true and nobody else works on it", s)
	}
}

func TestAProcessTakesOverFromItsFormerLifeAtOnce(t *testing.T) {
	b := newBench(t, askingRegion())
	one := b.named("one")
	id, gate, ended := b.begin(one)
	b.named("other")
	if s := b.state(id); s != gateway.StateSent {
		t.Fatalf("%s", s)
	}
	b.named("one")
	if s := b.state(id); s != gateway.StateUnknown {
		t.Errorf("%s, want unknown", s)
	}
	gate.Open()
	if err := <-ended; err != nil {
		t.Error(err) // nobody works on it: its answer ends it
	}
	// The former life is told, and begins nothing any more.
	sent := len(b.centre.Calls())
	done := make(chan error, 1)
	go func() { done <- one.KeepAlive(bg) }()
	for waiting := true; waiting; {
		select {
		case err := <-done:
			if !errors.Is(err, gateway.ErrStale) {
				t.Errorf("a former life goes on: %v", err)
			}
			waiting = false
		default:
			b.clock.Advance(time.Second)
		}
	}
	if _, err := one.Transact(bg, his, query("q")); codeOf(err) != gateway.CodeStorage || len(b.centre.Calls()) != sent {
		t.Errorf("a former life sends: %v", err)
	}
}

func TestOneProcessResolvesARecord(t *testing.T) {
	b := newBench(t, askingRegion())
	one, two := b.named("one"), b.named("two")
	b.town.fault = func(n ident.Infno, call int) mode {
		if call == 1 && (n == "2207" || n == "5203") {
			return lostBack
		}
		return fine
	}
	if _, err := one.Transact(bg, his, b.lowSettle("s1")); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	b.clock.Advance(10 * time.Second)
	again := b.lowSettle("s1")
	gate := b.centre.Hold()
	ended := make(chan error, 1)
	go func() { ended <- one.resolve(bg) }()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	if err := two.resolve(bg); err != nil { // would wait at the gate
		t.Fatal(err)
	}
	// A cashier who asks the other one is told that it is not known yet.
	if _, err := two.Transact(bg, his, again); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Error(err)
	}
	gate.Open()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := len(b.centre.Sent("5203")); n != 2 {
		t.Errorf("asked %d times", n)
	}
	if s := b.state(b.centre.Sent("2207")[0].MsgID); s != gateway.StateDone {
		t.Error(s)
	}
}

// What is not at an end is given back, so that another may go on.
func TestClaimsAreGivenBack(t *testing.T) {
	b := newBench(t, askingRegion())
	one, two := b.named("one"), b.named("two")
	b.town.fault = func(n ident.Infno, _ int) mode {
		if n == "5203" || n == "2207" {
			return lostBack
		}
		return fine
	}
	if _, err := one.Transact(bg, his, b.lowSettle("s1")); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	b.clock.Advance(time.Minute)
	for _, d := range []*Desk{one, two, one} {
		before := len(b.centre.Sent("5203"))
		if err := d.resolve(bg); err != nil {
			t.Fatal(err)
		}
		if n := len(b.centre.Sent("5203")) - before; n != 1 {
			t.Errorf("asked %d times", n)
		}
		d.giveBack(bg)
		b.clock.Advance(10 * time.Minute)
		b.alive(one, two)
		clear(one.looks)
		clear(two.looks)
	}
}

// An answer that comes while its record is being taken back waits for what becomes of that. When
// nobody knows, it is evidence for the person who decides.
func TestALateAnswerDoesNotOvertakeAReversal(t *testing.T) {
	b := newBench(t, strictRegion())
	b.town.fault = on("2207", 1, lostBack)
	if _, err := b.desk.Transact(bg, his, b.lowSettle("s1")); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	id := b.centre.Sent("2207")[0].MsgID
	b.clock.Advance(10 * time.Minute)
	gate := b.centre.Hold()
	ended := make(chan error, 1)
	go func() { ended <- b.desk.resolve(bg) }()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	two := b.newDesk()
	two.later(id, gateway.Event{Kind: gateway.EventDone, At: b.clock.Now()}, nil)
	two.catchUp(bg)
	if s := b.state(id); s != gateway.StateUnknown {
		t.Errorf("%s while it is being reversed", s)
	}
	gate.Open()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	two.catchUp(bg)
	if s := b.state(id); s != gateway.StateReversed || len(two.late) != 0 {
		t.Errorf("%s, %d answers wait", s, len(two.late))
	}
}

func TestALateAnswerIsKeptForWhoDecides(t *testing.T) {
	b := newBench(t, strictRegion())
	b.town.fault = func(n ident.Infno, call int) mode {
		if call == 1 && (n == "2207" || n == "2601") {
			return lostBack
		}
		return fine
	}
	if _, err := b.desk.Transact(bg, his, b.lowSettle("s1")); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	id := b.centre.Sent("2207")[0].MsgID
	for range 40 {
		b.clock.Advance(time.Minute)
		if err := b.desk.tick(bg); err != nil {
			t.Fatal(err)
		}
	}
	b.desk.later(id, gateway.Event{Kind: gateway.EventDone, At: b.clock.Now()}, nil)
	b.desk.catchUp(bg)
	events, err := b.journal.Events(bg, id)
	if err != nil {
		t.Fatal(err)
	}
	if last := events[len(events)-1]; b.state(id) != gateway.StateParked || last.Kind != gateway.EventAsked || last.Note == "" || len(b.desk.late) != 0 {
		t.Errorf("%s, %+v, %d answers wait", b.state(id), last, len(b.desk.late))
	}
}

// A process that ends in good order leaves nothing to wait for.
func TestRunLeaves(t *testing.T) {
	b := newBench(t, askingRegion())
	one := b.named("one")
	ctx, stop := context.WithCancel(bg)
	stop()
	if err := one.Run(ctx); err != nil {
		t.Fatal(err)
	}
	rec := gateway.Record{ID: "H43010000001202603020830000001", Institution: hospital, Infno: "1101", State: gateway.StateSent, CreatedAt: b.clock.Now()}
	if _, err := b.journal.Write(bg, gateway.Entry{Record: &rec, Holder: one.life()}); err != nil {
		t.Fatal(err)
	}
	b.named("two")
	if s := b.state(rec.ID); s != gateway.StateUnknown {
		t.Errorf("%s: the lease outlived its process", s)
	}
}

// A centre knows the last sign-in of an operator only: gateways on one journal share it, and do not
// make each other's messages void for ever.
func TestGatewaysShareASignIn(t *testing.T) {
	region := askingRegion()
	region.SignIn = true
	b := newBench(t, region)
	one, two := b.named("one"), b.named("two")
	for i := range 6 {
		d := []*Desk{one, two}[i%2]
		if _, err := d.Transact(bg, his, query(fmt.Sprint("q", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.centre.Sent("9001")); n != 1 {
		t.Errorf("%d sign-ins, want 1", n)
	}
	// The centre forgets it: one of them signs in anew, the other uses that.
	b.clock.Advance(time.Minute)
	b.alive(one, two)
	for _, d := range []*Desk{one, two} {
		key := signKey{hospital, clerk.ID}
		d.forgetSign(job{inst: b.inst, operator: clerk}, d.signs.get(key))
	}
	for i := range 6 {
		d := []*Desk{one, two}[i%2]
		if _, err := d.Transact(bg, his, query(fmt.Sprint("p", i))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(b.centre.Sent("9001")); n != 2 {
		t.Errorf("%d sign-ins, want 2", n)
	}
}
