package centre

import (
	"strings"
	"testing"

	"yiqiao/simulator/people"
)

func TestReverseSettlement(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{AskByVisit: true}}), someone(t, people.Servant)
	visit := d.open(p)
	before := d.c.MoneyDigest()
	msgid, out := d.settled(p, visit, "B1", standardBill())
	setl := text(node(out, "setlinfo"), "setl_id")
	if r := d.send(someone(t, people.Active), "2601", reverseInput(someone(t, people.Active), msgid, "2207")); r.OK() || r.ErrMsg != "未找到原交易" {
		t.Errorf("another person reversed it: %q", r.ErrMsg)
	}
	d.place = small
	if r := d.send(p, "2601", reverseInput(p, msgid, "2207")); r.OK() {
		t.Error("another institution reversed it")
	}
	d.place = big
	id := d.msgid()
	if r := d.sendAs("2601", id, p.Area, reverseInput(p, msgid, "2207")); !r.OK() || r.Output != nil {
		t.Fatalf("reverse: %q %v", r.ErrMsg, r.Output)
	}
	if d.c.MoneyDigest() != before {
		t.Error("the reversal left a trace in accounts or accumulators")
	}
	if r := d.send(p, "2601", reverseInput(p, msgid, "2207")); r.OK() || !strings.Contains(r.ErrMsg, "已冲正") {
		t.Errorf("reversed twice: %q", r.ErrMsg)
	}
	if r := d.send(p, "2601", reverseInput(p, id, "2601")); r.OK() {
		t.Error("a reversal was reversed")
	}
	if r := d.send(p, "2208", undoInput(p, visit, setl)); r.OK() {
		t.Error("what was reversed was undone as well")
	}
	if out := d.must(p, "5203", object{"data": object{"psn_no": p.No, "mdtrt_id": visit}}); out["setlinfo"] != nil {
		t.Error("5203 still shows it")
	}
	if r := d.sendAs("2207", msgid, p.Area, settleInput(p, visit, "B1", out)); r.OK() {
		t.Error("the message id of a reversed settlement was taken again")
	}
	trial := d.must(p, "2206", trialInput(p, visit, "B1", 479_54))
	d.must(p, "2207", settleInput(p, visit, "B1", trial))
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
}

func TestReverseUndo(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	visit := d.open(p)
	msgid, out := d.settled(p, visit, "B1", standardBill())
	setl := text(node(out, "setlinfo"), "setl_id")
	settled := d.c.MoneyDigest()
	undo := d.msgid()
	if r := d.sendAs("2208", undo, p.Area, undoInput(p, visit, setl)); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	if r := d.send(p, "2601", reverseInput(p, msgid, "2207")); r.OK() {
		t.Error("an undone settlement was reversed")
	}
	d.must(p, "2601", reverseInput(p, undo, "2208"))
	if d.c.MoneyDigest() != settled {
		t.Error("the settlement did not come back exactly")
	}
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
	// It stands again: it can be undone again, and its rows are settled.
	if r := d.send(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B1", "psn_no": p.No}}); r.OK() {
		t.Error("rows of a settlement that stands were dropped")
	}
	undo = d.msgid()
	if r := d.sendAs("2208", undo, p.Area, undoInput(p, visit, setl)); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	// The money went elsewhere meanwhile: 355.83 would be needed, the account has 11.20.
	second := d.open(p)
	var bill []fee
	for _, sn := range []string{"a", "b", "c", "d", "e", "f"} {
		bill = append(bill, fee{sn, "009906000010000-990100006", "1", "260"})
	}
	d.settled(p, second, "C1", bill)
	before := d.c.Digest()
	if r := d.send(p, "2601", reverseInput(p, undo, "2208")); r.OK() || !strings.Contains(r.ErrMsg, "余额不足") {
		t.Errorf("an account was overdrawn: %q", r.ErrMsg)
	}
	if d.c.Digest() != before {
		t.Error("the refused reversal changed something")
	}
	// Once the rows are gone, nothing can come back.
	d.must(p, "2205", object{"data": object{"mdtrt_id": visit, "chrg_bchno": "B1", "psn_no": p.No}})
	if r := d.send(p, "2601", reverseInput(p, undo, "2208")); r.OK() || !strings.Contains(r.ErrMsg, "明细") {
		t.Errorf("a settlement came back without rows: %q", r.ErrMsg)
	}
}

func TestReverseUndoAfterResettling(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Retired)
	visit := d.open(p)
	_, out := d.settled(p, visit, "B1", standardBill())
	undo := d.msgid()
	if r := d.sendAs("2208", undo, p.Area, undoInput(p, visit, text(node(out, "setlinfo"), "setl_id"))); !r.OK() {
		t.Fatal(r.ErrMsg)
	}
	d.must(p, "2207", settleInput(p, visit, "B1", d.must(p, "2206", trialInput(p, visit, "B1", 479_54))))
	if r := d.send(p, "2601", reverseInput(p, undo, "2208")); r.OK() || !strings.Contains(r.ErrMsg, "另行结算") {
		t.Errorf("one batch settled twice: %q", r.ErrMsg)
	}
}
