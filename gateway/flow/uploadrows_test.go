package flow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func rowsUpload(id string, n int) gateway.Transact {
	var list []any
	for i := range n {
		list = append(list, object{"fixmedins_bchno": fmt.Sprint(i + 1), "mdtrt_id": "V1"})
	}
	return gateway.Transact{RequestID: id, Infno: "3503", Operator: clerk, Input: object{"purcinfo": list}}
}

func (b *bench) queueRows(id string, n int) gateway.Transaction {
	b.t.Helper()
	o, err := b.desk.order(opUpload, his, rowsUpload(id, n))
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

func TestSomeRowsOfARefusedUploadGoAgain(t *testing.T) {
	b := newBench(t, askingRegion())
	b.town.fault = on("3503", 1, refusing)
	got := b.queueRows("u1", 5)
	if _, err := b.desk.ReplayRows(bg, got.ID, []int{1}, "li", ""); codeOf(err) != gateway.CodeState {
		t.Errorf("before it was refused: %v", err)
	}
	b.uploads(3)
	for _, rows := range [][]int{nil, {0}, {6}, {2, 2}, {-1}} {
		if _, err := b.desk.ReplayRows(bg, got.ID, rows, "li", ""); codeOf(err) != gateway.CodeRequestInvalid {
			t.Errorf("%v: %v", rows, err)
		}
	}
	r, err := b.desk.ReplayRows(bg, got.ID, []int{4, 2}, "li", "corrected there")
	if err != nil || r.Again == "" || r.Why != "" {
		t.Fatalf("%+v %v", r, err)
	}
	again, err := b.newDesk().ReplayRows(bg, got.ID, []int{2, 4}, "wang", "")
	if err != nil || again.Again != r.Again || again.Why == "" {
		t.Errorf("the same rows are another message: %+v %v", again, err)
	}
	b.uploads(3)
	calls := b.centre.Sent("3503")
	if len(calls) != 2 {
		t.Fatalf("%d sent", len(calls))
	}
	list, _ := calls[1].Input.(object)["purcinfo"].([]any)
	if len(list) != 2 || text(list[0].(object)["fixmedins_bchno"]) != "2" || text(list[1].(object)["fixmedins_bchno"]) != "4" || calls[1].MsgID != r.Again {
		t.Errorf("%+v", calls[1].Input)
	}
	if rec, err := b.journal.Record(bg, r.Again); err != nil || rec.State != gateway.StateDone {
		t.Errorf("%s %v", rec.State, err)
	}
	if tr, err := b.desk.Transaction(bg, his, got.ID); err != nil || tr.State != gateway.StateRefused {
		t.Errorf("the HIS's request: %+v %v", tr, err)
	}
	if _, err := b.desk.ReplayRows(bg, ident.MsgID("H43010000001202603020830009999"), []int{1}, "li", ""); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("%v", err)
	}
}

func TestLateUploadsAreSaid(t *testing.T) {
	b := newBench(t, askingRegion())
	b.queueRows("u1", 1)
	if words, err := b.desk.LateUploads(bg); err != nil || words != "" {
		t.Errorf("%q %v", words, err)
	}
	b.clock.Advance(23 * time.Hour)
	if words, err := b.desk.LateUploads(bg); err != nil || !strings.Contains(words, "3503: 0 late, 1 will be") {
		t.Errorf("%q %v", words, err)
	}
	b.clock.Advance(2 * time.Hour)
	if words, err := b.desk.LateUploads(bg); err != nil || !strings.Contains(words, "3503: 1 late") {
		t.Errorf("%q %v", words, err)
	}
}
