package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/queue/embedded"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// brokenQueue is a queue that can be taken away, as a broker can.
type brokenQueue struct {
	gateway.Queue
	down     atomic.Bool
	failures atomic.Int64
}

func (q *brokenQueue) Announce(ctx context.Context, refs ...gateway.Ref) error {
	if q.down.Load() {
		q.failures.Add(1)
		return errors.New("no broker")
	}
	return q.Queue.Announce(ctx, refs...)
}

func (q *brokenQueue) State() gateway.QueueState {
	s := q.Queue.State()
	if q.down.Load() {
		s.Trouble = "no broker"
	}
	return s
}

// queued gives the bench a Desk with a queue, as the program has it; run runs it beside the test
// until stop, with time passing whenever nobody has anything else to do.
func (b *bench) queued() *brokenQueue {
	b.t.Helper()
	e, err := embedded.New(embedded.Options{Clock: b.clock, Workers: 4, Window: 64})
	if err != nil {
		b.t.Fatal(err)
	}
	q := &brokenQueue{Queue: e}
	opt := b.desk.opt
	opt.Queue, opt.Workers = q, 4
	if b.desk, err = New(opt); err != nil {
		b.t.Fatal(err)
	}
	return q
}

func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(bg)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.desk.Run(ctx); err != nil {
			b.t.Errorf("run: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	b.t.Cleanup(stop)
	return stop
}

// until lets time pass until it is so. The Desk's poll, its sweep and the queue's alarm are asleep
// between two steps; a day is more than anything here takes.
func (b *bench) until(what string, so func() bool) {
	b.t.Helper()
	limit, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	for end := b.clock.Now().Add(48 * time.Hour); !so(); {
		if b.clock.Now().After(end) || limit.Err() != nil {
			b.t.Fatalf("never: %s", what)
		}
		if err := b.clock.AwaitWaiters(limit, 3); err != nil {
			b.t.Fatalf("%s: %v", what, err)
		}
		b.clock.Advance(time.Second)
	}
}

func (b *bench) state(id ident.MsgID) gateway.State {
	b.t.Helper()
	rec, err := b.journal.Record(bg, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return rec.State
}

func (b *bench) is(id ident.MsgID, want gateway.State) func() bool {
	return func() bool { return b.state(id) == want }
}

// firsts is the order in which uploads arrived for the first time.
func (b *bench) firsts() []ident.MsgID {
	var list []ident.MsgID
	for _, id := range b.sentIDs() {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

func TestQueuedUploadsKeepTheOrderOfTheirVisit(t *testing.T) {
	b := newBench(t, askingRegion())
	b.queued()
	b.town.fault = func(n ident.Infno, call int) mode {
		return []mode{fine, notSent, lostOut, fine, lostBack}[call%5]
	}
	want := map[string][]ident.MsgID{}
	visitOf := map[ident.MsgID]string{}
	put := func(i int) {
		visit := fmt.Sprintf("V%d", i%5)
		id := b.queue(fmt.Sprintf("u%d", i), visit).ID
		want[visit] = append(want[visit], id)
		visitOf[id] = visit
	}
	for i := range 60 { // before the program runs: found in the journal
		put(i)
	}
	b.run()
	for i := range 60 { // and while it runs
		put(60 + i)
	}
	b.until("all done", func() bool {
		for id := range visitOf {
			if b.state(id) != gateway.StateDone {
				return false
			}
		}
		return true
	})
	got := map[string][]ident.MsgID{}
	for _, id := range b.firsts() {
		got[visitOf[id]] = append(got[visitOf[id]], id)
	}
	for visit, ids := range want {
		if !slices.Equal(got[visit], ids) {
			t.Errorf("%s: sent %v, accepted %v", visit, got[visit], ids)
		}
	}
}

func TestWithoutABrokerUploadsAreAcceptedAndSentLater(t *testing.T) {
	b := newBench(t, askingRegion())
	q := b.queued()
	q.down.Store(true)
	b.run()
	var ids []ident.MsgID
	for i := range 20 {
		got := b.queue(fmt.Sprintf("u%d", i), "V1")
		if got.Outcome != "queued" {
			t.Fatalf("%+v", got)
		}
		ids = append(ids, got.ID)
	}
	b.until("the queue was tried", func() bool { return q.failures.Load() > 0 })
	if err := b.desk.Health(bg); err != nil {
		t.Errorf("new work is refused: %v", err)
	}
	if s, err := b.desk.Uploads(bg); err != nil || s.Queue == nil || s.Queue.Trouble == "" {
		t.Errorf("nobody is told: %+v, %v", s.Queue, err)
	}
	if n := len(b.sentIDs()); n != 0 {
		t.Errorf("%d sent", n)
	}
	q.down.Store(false)
	b.until("all done", b.is(ids[19], gateway.StateDone))
	if got := b.firsts(); !slices.Equal(got, ids) {
		t.Errorf("sent %v, accepted %v", got, ids)
	}
}

// A message no answer ever comes to is parked in the end. Its visit waits, others go on; taken up
// again it goes byte for byte, and the visit behind it.
func TestPoisonIsParkedAndTakenUpAgain(t *testing.T) {
	b := newBench(t, askingRegion())
	b.queued()
	b.desk.timing.UploadTries = 3
	bad, behind, other := b.queue("u1", "V1"), b.queue("u2", "V1"), b.queue("u3", "V2")
	var cured atomic.Bool
	b.centre = gatewaytest.NewCentre(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		if id == bad.ID && !cured.Load() {
			return gatewaytest.Unknown(gateway.CauseNotInterface)
		}
		return gatewaytest.Done(nil)
	})
	b.run()
	b.until("parked", b.is(bad.ID, gateway.StateParked))
	b.until("the other visit done", b.is(other.ID, gateway.StateDone))
	if s := b.state(behind.ID); s != gateway.StatePrepared {
		t.Errorf("behind the parked one: %s", s)
	}
	if n := len(b.centre.Sent("3503")); n != 3+1 {
		t.Errorf("%d sent, want 3 tries and the other", n)
	}
	dead, err := b.desk.DeadUploads(bg, UploadFilter{}, 10)
	if err != nil || len(dead) != 1 || dead[0].ID != bad.ID {
		t.Fatalf("%v %v", dead, err)
	}
	cured.Store(true)
	got, err := b.desk.ReplayUploads(bg, UploadFilter{ID: bad.ID}, "tester", "the centre was mended")
	if err != nil || len(got) != 1 || got[0].Why != "" || got[0].Again != "" {
		t.Fatalf("%+v %v", got, err)
	}
	b.until("the visit done", b.is(behind.ID, gateway.StateDone))
	var bodies []string
	for _, c := range b.centre.Sent("3503") {
		if c.MsgID == bad.ID {
			bodies = append(bodies, string(c.Bytes))
		}
	}
	if slices.Sort(bodies); len(bodies) != 4 || len(slices.Compact(bodies)) != 1 {
		t.Errorf("%d sent, not all with the same bytes", len(bodies))
	}
	if again, err := b.desk.ReplayUploads(bg, UploadFilter{ID: bad.ID}, "tester", ""); err == nil {
		t.Errorf("a finished one was replayed: %+v", again)
	}
}

// Where the region wants a sign-in an upload leaves with the number that is valid then. One that ran
// out is no refusal and no try with an open outcome: the upload goes again under a new one.
func TestUploadsLeaveUnderAValidSignIn(t *testing.T) {
	region := askingRegion()
	region.SignIn = true
	b := newBench(t, region)
	signIns, refused := 0, false
	b.centre = gatewaytest.NewCentre(func(n ident.Infno, _ ident.MsgID, _ any) gatewaytest.CentreAnswer {
		switch {
		case n == "9001":
			signIns++
			return gatewaytest.Done(object{"signinoutb": object{"sign_no": fmt.Sprintf("SIGN%d", signIns)}})
		case !refused:
			refused = true
			return gatewaytest.Refused("签到已失效")
		}
		return gatewaytest.Done(nil)
	})
	one, two := b.queue("u1", "V1"), b.queue("u2", "V1")
	b.uploads(20)
	var nos []string
	inputs := map[ident.MsgID]string{}
	for _, c := range b.centre.Sent("3503") {
		nos = append(nos, c.Request.SignNo)
		if old, ok := inputs[c.MsgID]; ok && old != string(c.Request.Input) {
			t.Errorf("%s was sent again with another content", c.MsgID)
		}
		inputs[c.MsgID] = string(c.Request.Input)
	}
	if want := []string{"SIGN1", "SIGN2", "SIGN2"}; !slices.Equal(nos, want) {
		t.Errorf("left under %v, want %v", nos, want)
	}
	for _, u := range []gateway.Transaction{one, two} {
		if s := b.state(u.ID); s != gateway.StateDone {
			t.Errorf("%s is %s", u.ID, s)
		}
	}
}

// A line that is down for a weekend uses up no tries.
func TestNotSentParksNothing(t *testing.T) {
	b := newBench(t, askingRegion())
	b.desk.timing.UploadTries = 2
	u := b.queue("u1", "V1")
	b.town.fault = func(ident.Infno, int) mode { return notSent }
	b.uploads(2000)
	rec, _ := b.journal.Record(bg, u.ID)
	if rec.State != gateway.StateUnknown || rec.Version < 10 {
		t.Errorf("%s after %d events", rec.State, rec.Version)
	}
}

func TestPausedRouteWaitsAndGoesOn(t *testing.T) {
	b := newBench(t, askingRegion())
	b.queued()
	if err := b.desk.PauseUploads(bg, "2207", "tester", ""); codeOf(err) != gateway.CodeInfnoUnknown {
		t.Errorf("a settlement was paused: %v", err)
	}
	if err := b.desk.PauseUploads(bg, "3503", "", ""); err == nil {
		t.Error("paused by nobody")
	}
	if err := b.desk.PauseUploads(bg, "3503", "tester", "the centre asked for it"); err != nil {
		t.Fatal(err)
	}
	one, two := b.queue("u1", "V1"), b.queue("u2", "V2")
	stop := b.run()
	polls := b.clock.Now().Add(time.Minute)
	b.until("a minute", func() bool { return b.clock.Now().After(polls) })
	if n := len(b.sentIDs()); n != 0 {
		t.Errorf("%d sent while paused", n)
	}
	// Another process gives the order, and a restart in between forgets nothing.
	stop()
	desk := b.desk
	b.queued()
	b.run()
	s, err := b.desk.Uploads(bg)
	if err != nil || len(s.Paused) != 1 || s.Paused[0].By != "tester" || len(s.Routes) != 1 || !s.Routes[0].Paused || s.Routes[0].Waiting != 2 {
		t.Errorf("%+v %v", s, err)
	}
	if err := desk.ResumeUploads(bg, EveryRoute, "other", ""); err != nil {
		t.Fatal(err)
	}
	b.until("both done", func() bool { return b.is(one.ID, gateway.StateDone)() && b.is(two.ID, gateway.StateDone)() })
}

// Two people at two desks give orders at once: both are kept.
func TestOrdersOfTwoProcesses(t *testing.T) {
	b := newBench(t, askingRegion())
	two := b.newDesk()
	for i, d := range []*Desk{b.desk, two, b.desk, two} {
		n := []ident.Infno{"3503", "3505"}[i/2]
		if err := d.PauseUploads(bg, n, fmt.Sprintf("clerk %d", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []*Desk{b.desk, two} {
		if err := d.heed(bg); err != nil || !d.paused("3503") || !d.paused("3505") || d.paused("3504") {
			t.Errorf("%v", err)
		}
	}
}

func TestRefusedUploadsAreReplayedOnce(t *testing.T) {
	b := newBench(t, askingRegion())
	b.town.fault = func(ident.Infno, int) mode { return refusing }
	early := b.queue("u1", "V1")
	b.uploads(1)
	b.clock.Advance(time.Hour)
	late := b.queue("u2", "V2")
	b.uploads(1)
	b.town.fault = nil
	from := b.clock.Now().Add(-30 * time.Minute)
	got, err := b.desk.ReplayUploads(bg, UploadFilter{Infno: "3503", From: from}, "tester", "")
	if err != nil || len(got) != 1 || got[0].ID != late.ID || got[0].Again == "" || got[0].Again == late.ID {
		t.Fatalf("%+v %v", got, err)
	}
	again, err := b.newDesk().ReplayUploads(bg, UploadFilter{ID: late.ID}, "tester", "")
	if err != nil || len(again) != 1 || again[0].Why == "" {
		t.Errorf("replayed twice: %+v %v", again, err)
	}
	b.uploads(2)
	if s := b.state(got[0].Again); s != gateway.StateDone {
		t.Errorf("the new attempt is %s", s)
	}
	if b.state(late.ID) != gateway.StateRefused || b.state(early.ID) != gateway.StateRefused {
		t.Error("history was changed")
	}
	// The HIS asks with the same request and is told of the latest attempt.
	if tx := b.queue("u2", "V2"); tx.ID != got[0].Again || tx.Outcome != "done" {
		t.Errorf("%+v", tx)
	}
	if list, err := b.desk.ReplayUploads(bg, UploadFilter{State: gateway.StateParked}, "tester", ""); err != nil || len(list) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	if _, err := b.desk.ReplayUploads(bg, UploadFilter{State: gateway.StateDone}, "tester", ""); err == nil {
		t.Error("replaying what was done")
	}
}

// A queue that loses references loses no upload.
func TestWhatTheQueueForgetsIsFoundAgain(t *testing.T) {
	b := newBench(t, askingRegion())
	b.queued()
	b.run()
	first := b.queue("u1", "V1")
	b.until("done", b.is(first.ID, gateway.StateDone))
	lost := b.newDesk().queueRecord(b, "u2", "V2") // accepted elsewhere, announced nowhere
	b.until("the lost one done", b.is(lost, gateway.StateDone))
}

func (d *Desk) queueRecord(b *bench, id, visit string) ident.MsgID {
	keep := b.desk
	b.desk = d
	defer func() { b.desk = keep }()
	return b.queue(id, visit).ID
}

func TestUploadsStatus(t *testing.T) {
	b := newBench(t, askingRegion())
	for i := range 4 {
		b.queue(fmt.Sprintf("u%d", i), fmt.Sprintf("V%d", i))
	}
	route := func() UploadRoute {
		t.Helper()
		s, err := b.desk.Uploads(bg)
		if err != nil || len(s.Routes) != 1 {
			t.Fatalf("%+v %v", s, err)
		}
		return s.Routes[0]
	}
	if r := route(); r.Infno != "3503" || r.Waiting != 4 || r.Late+r.WillBe != 0 || r.Deadline != catalog.Span(24*time.Hour) || !r.Oldest.Equal(dawn) {
		t.Errorf("fresh: %+v", r)
	}
	b.clock.Advance(time.Hour)
	if r := route(); r.WillBe != 4 || r.Late != 0 {
		t.Errorf("an hour and nothing sent: %+v", r)
	}
	b.clock.Advance(24 * time.Hour)
	if r := route(); r.Late != 4 || r.WillBe != 0 {
		t.Errorf("after the deadline: %+v", r)
	}
	b.uploads(1)
	if r := route(); r.Drained != 4 || r.Waiting != 0 || r.Late != 0 {
		t.Errorf("sent: %+v", r)
	}
	// 4 in ten minutes: of 1,000 new ones the first 24 h of sending take 576, the rest will be late.
	for i := range 1000 {
		b.queue(fmt.Sprintf("n%d", i), fmt.Sprintf("V%d", i))
	}
	if r := route(); r.WillBe != 1000-576 || r.Late != 0 || r.Done.Sub(b.clock.Now()) != 1000*10*time.Minute/4 {
		t.Errorf("too many for the speed: %+v", r)
	}
}
