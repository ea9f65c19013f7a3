package invoice

import (
	"fmt"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// Every kind of difference is found, with its cause and a remedy, and nothing is changed by looking.
func TestReconcile(t *testing.T) {
	w := newTown(t, "")
	for i := range 8 {
		id := fmt.Sprintf("B%d", i)
		w.settled(id, money.Fen(1000+i), "p"+id)
		if _, err := w.issue(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.refund("B7", 0, ""); err != nil {
		t.Fatal(err)
	}
	rep, err := w.office.Reconcile(bg, hospital, noon)
	if err != nil || !rep.Balanced || len(rep.Differences) != 0 || rep.Ours != rep.Theirs || rep.Ours.Blue.Count != 8 || rep.Ours.Red.Count != 1 {
		t.Fatalf("%+v %v", rep, err)
	}
	delete(w.platform.bills, "B0_1")
	w.platform.bills["B1_1"].Total++
	w.platform.bills["B2_1"].Reversed = true
	foreign := *w.platform.bills["B3_1"]
	foreign.BusNo, foreign.Number.No, foreign.order = "ELSEWHERE", "99", 1
	w.platform.bills["ELSEWHERE"] = &foreign
	w.charged.list["B4"].revision = 0 // undone behind the gateway's back
	w.settled("B8", 50, "x")
	w.platform.down = true
	if _, err := w.issue("B8"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.office.Reconcile(bg, hospital, noon); err != nil {
		t.Errorf("lists are asked for while issuing is down: %v", err)
	}
	w.platform.down = false
	requests := len(w.platform.sent)
	rep, err = w.office.Reconcile(bg, hospital, noon)
	if err != nil || rep.Balanced {
		t.Fatalf("%+v %v", rep, err)
	}
	want := map[string]Cause{"B0_1": HereOnly, "B1_1": OtherAmount, "B2_1": OtherState, "ELSEWHERE": PlatformOnly, "B4_1": Orphan, "B8_1": NotYet}
	for _, d := range rep.Differences {
		if want[d.ID] != d.Cause || d.Remedy == "" || CauseZH(d.Cause) == "" {
			t.Errorf("%+v", d)
		}
		delete(want, d.ID)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v", want)
	}
	if len(w.platform.sent) != requests {
		t.Error("looking sent something")
	}
	if rep, err = w.office.Reconcile(bg, hospital, noon.Add(48*time.Hour)); err != nil || rep.Ours.Blue != (gateway.InvoiceTotals{}) {
		t.Errorf("another day: %+v %v", rep, err)
	}
}
