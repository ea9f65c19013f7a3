package flow

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func upload3503(id, visit string) gateway.Transact {
	return gateway.Transact{RequestID: id, Infno: "3503", Operator: clerk, Input: object{"purcinfo": object{"mdtrt_id": visit, "n": id}}}
}

// uploads sends what is due, with time passing, until the queue is empty or n rounds are over.
func (b *bench) uploads(n int) {
	b.t.Helper()
	for i := 0; i < n; i++ {
		if err := b.desk.dispatch(bg); err != nil {
			b.t.Fatal(err)
		}
		b.desk.work.Wait()
		b.clock.Advance(3 * time.Second)
	}
}

// queue puts an upload straight into the journal's queue: which transactions are of that class, and
// what their tables ask, is the catalogue's business and not this test's.
func (b *bench) queue(id, visit string) gateway.Transaction {
	b.t.Helper()
	o, err := b.desk.order(opUpload, his, upload3503(id, visit))
	if err != nil {
		b.t.Fatal(err)
	}
	o.job.own = true
	got, err := b.desk.fly(bg, o, b.desk.enqueue)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func (b *bench) sentIDs() []ident.MsgID {
	var list []ident.MsgID
	for _, c := range b.centre.Sent("3503") {
		list = append(list, c.MsgID)
	}
	return list
}

func TestUploadIsDurableThenSentInOrderOfTheVisit(t *testing.T) {
	b := newBench(t, askingRegion())
	var want []ident.MsgID
	for i := 0; i < 5; i++ {
		got := b.queue(fmt.Sprintf("u%d", i), "V1")
		if got.State != gateway.StatePrepared || got.Outcome != "queued" {
			t.Fatalf("%+v", got)
		}
		want = append(want, got.ID)
	}
	if len(b.centre.Calls()) != 0 {
		t.Fatal("sent by the caller")
	}
	b.town.fault = func(n ident.Infno, call int) mode {
		return []mode{fine, notSent, lostOut, lostBack}[call%4]
	}
	b.restart()
	b.uploads(200)
	seen := map[ident.MsgID]bool{}
	at := 0
	for _, id := range b.sentIDs() {
		if seen[id] {
			continue // a repeat
		}
		if id != want[at] {
			t.Fatalf("%s sent before %s", id, want[at])
		}
		seen[id] = true
		at++
	}
	for _, id := range want {
		if rec, _ := b.journal.Record(bg, id); rec.State != gateway.StateDone {
			t.Errorf("%s is %s", id, rec.State)
		}
	}
	first := map[ident.MsgID][]byte{}
	for _, c := range b.centre.Sent("3503") {
		if first[c.MsgID] == nil {
			first[c.MsgID] = c.Bytes
		}
		if !bytes.Equal(first[c.MsgID], c.Bytes) {
			t.Errorf("%s was sent again with other bytes", c.MsgID)
		}
	}
}

func TestVisitsDoNotWaitForEachOther(t *testing.T) {
	b := newBench(t, askingRegion())
	stuck := b.queue("u1", "V1")
	behind := b.queue("u2", "V1")
	other := b.queue("u3", "V2")
	b.town.fault = on("3503", 1, lostOut)
	b.uploads(1)
	for id, want := range map[ident.MsgID]gateway.State{
		stuck.ID: gateway.StateUnknown, behind.ID: gateway.StatePrepared, other.ID: gateway.StateDone,
	} {
		if rec, _ := b.journal.Record(bg, id); rec.State != want {
			t.Errorf("%s is %s, want %s", id, rec.State, want)
		}
	}
}

func TestAnUploadOnItsWayElsewhereIsLeftAlone(t *testing.T) {
	b := newBench(t, askingRegion())
	u := b.queue("u1", "V1")
	b.queue("u2", "V1")
	sent := gateway.Event{Kind: gateway.EventSent, At: dawn}
	if _, err := b.journal.Write(bg, gateway.Entry{Append: &gateway.Append{ID: u.ID, Version: 0, Event: sent}}); err != nil {
		t.Fatal(err)
	}
	b.uploads(3)
	if n := len(b.centre.Calls()); n != 0 {
		t.Errorf("%d sent", n)
	}
}

func TestRefusedUploadIsSetAsideAndTheNextGoesOn(t *testing.T) {
	b := newBench(t, askingRegion())
	bad, good := b.queue("u1", "V1"), b.queue("u2", "V1")
	b.town.fault = on("3503", 1, refusing)
	b.uploads(3)
	got, err := b.desk.Transaction(bg, his, bad.ID)
	if err != nil || got.State != gateway.StateRefused || got.Outcome != "refused" || got.Message != "业务校验不通过" {
		t.Errorf("%+v %v", got, err)
	}
	if got, _ := b.desk.Transaction(bg, his, good.ID); got.Outcome != "done" {
		t.Errorf("%+v", got)
	}
}

func TestUploadRepeatedIsTheSameOne(t *testing.T) {
	b := newBench(t, askingRegion())
	first := b.queue("u1", "V1")
	if again := b.queue("u1", "V1"); again.ID != first.ID {
		t.Errorf("%s and %s", first.ID, again.ID)
	}
	b.uploads(2)
	if again := b.queue("u1", "V1"); again.ID != first.ID || again.Outcome != "done" {
		t.Errorf("%+v", again)
	}
	if n := len(b.sentIDs()); n != 1 {
		t.Errorf("%d sent", n)
	}
}

func TestTheResolverLeavesTheQueueAlone(t *testing.T) {
	b := newBench(t, askingRegion())
	u := b.queue("u1", "V1")
	b.town.fault = on("3503", 1, lostOut)
	b.uploads(1)
	if err := b.desk.resolve(bg); err != nil {
		t.Fatal(err)
	}
	if rec, _ := b.journal.Record(bg, u.ID); rec.State != gateway.StateUnknown {
		t.Errorf("%s", rec.State)
	}
}

func TestUploadRefusals(t *testing.T) {
	b := newBench(t, askingRegion())
	if _, err := b.desk.Upload(bg, his, query("q")); codeOf(err) != gateway.CodeInfnoNotAllowed {
		t.Errorf("real-time: %v", err)
	}
	o, err := b.desk.order(opUpload, his, gateway.Transact{RequestID: "u", Infno: "3503", Operator: clerk,
		Input: object{"purcinfo": object{"mdtrt_cert_no": "999999199001011238"}}})
	if err != nil {
		t.Fatal(err)
	}
	o.job.own = true
	if _, err := b.desk.fly(bg, o, b.desk.enqueue); codeOf(err) != gateway.CodeInfnoNotAllowed {
		t.Errorf("a credential in the queue: %v", err)
	}
	if _, err := b.desk.Upload(bg, his, upload3503("u9", "V1")); codeOf(err) != gateway.CodeRequestInvalid {
		t.Errorf("checked like everything else: %v", err)
	}
}

func TestPauseGrowsToItsBound(t *testing.T) {
	last := time.Duration(0)
	for tries := 0; tries < 64; tries++ {
		p := pause(5*time.Second, 10*time.Minute, tries, "x")
		if p < 5*time.Second || p > 12*time.Minute {
			t.Fatalf("try %d: %s", tries, p)
		}
		if tries < 6 && p <= last {
			t.Errorf("try %d: %s after %s", tries, p, last)
		}
		last = p
	}
	if first, second := pause(time.Second, time.Minute, 3, "x"), pause(time.Second, time.Minute, 3, "x"); first != second {
		t.Error("not a function of its arguments")
	}
	if pause(time.Minute, time.Hour, 0, "a") == pause(time.Minute, time.Hour, 0, "b") {
		t.Error("not spread")
	}
}
