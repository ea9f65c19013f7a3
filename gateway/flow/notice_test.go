package flow

import (
	"reflect"
	"testing"

	"yiqiao/gateway"
)

// A notice says what the call would have said, the same each time, also after a restart.
func TestNoticesAreTheStoredAnswers(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	done, err := b.confirm("c1", s)
	if err != nil {
		t.Fatal(err)
	}
	key := func(id string) gateway.RequestKey { return gateway.RequestKey{System: "his", ID: id} }
	n, err := b.desk.Notice(bg, key("c1"))
	if err != nil || n.Settlement == nil || n.Settlement.SettlementID != done.SettlementID || n.Error != nil || n.Lane != s.ID || n.Ref != s.ID {
		t.Errorf("%+v %v", n, err)
	}
	b.restart()
	if again, err := b.desk.Notice(bg, key("c1")); err != nil || !reflect.DeepEqual(n, again) {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := b.desk.Notice(bg, key("nobody")); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("%v", err)
	}

	// A refused upload carries the centre's words; two of one visit are in one lane.
	b.town.fault = on("3503", 1, refusing)
	one, two := b.queue("u1", "V1"), b.queue("u2", "V1")
	if _, err := b.desk.Notice(bg, key("u1")); codeOf(err) != gateway.CodeState {
		t.Errorf("before there is an answer: %v", err)
	}
	b.uploads(10)
	n, err = b.desk.Notice(bg, key("u1"))
	if err != nil || n.Transaction == nil || n.Transaction.ID != one.ID || n.Error == nil || n.Error.Code != gateway.CodeCentreRefused ||
		n.Error.Detail != "业务校验不通过" || n.Error.ZH == "" || n.Lane == "" {
		t.Errorf("%+v %v", n, err)
	}
	m, err := b.desk.Notice(bg, key("u2"))
	if err != nil || m.Transaction.ID != two.ID || m.Transaction.State != gateway.StateDone || m.Error != nil || m.Lane != n.Lane {
		t.Errorf("%+v %v", m, err)
	}

	// A settlement whose answer was lost and that a person ended is a final answer too.
	stubborn := true
	b, _, rec := parkedBill(t, &stubborn)
	if _, err := b.desk.Notice(bg, key("c1")); codeOf(err) != gateway.CodeState {
		t.Errorf("parked, and there is an answer: %v", err)
	}
	if _, err := b.desk.HandEnd(bg, rec.ID, gateway.HandDecision{Do: gateway.HandAdopt, Proof: "office", Source: "x", Shown: shownAt(b)}); err != nil {
		t.Fatal(err)
	}
	if n, err = b.desk.Notice(bg, key("c1")); err != nil || n.Settlement == nil || n.Settlement.State != gateway.BillSettled {
		t.Errorf("%+v %v", n, err)
	}
}
