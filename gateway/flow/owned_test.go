package flow

import (
	"errors"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// The low-level route moves nothing that a bill holds, for nobody.
func TestLowLevelLeavesBillsAlone(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	settled, err := b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c1", ID: s.ID, Operator: clerk})
	if err != nil {
		t.Fatal(err)
	}
	other := gateway.Caller{System: "other", Institutions: his.Institutions}
	for _, c := range []struct {
		name   string
		caller gateway.Caller
		infno  ident.Infno
		input  object
		code   gateway.Code
		path   string
	}{
		{"reversal by its own system", his, "2601", object{"data": object{"psn_no": "P1", "omsgid": string(settled.MsgID), "oinfno": "2207"}}, gateway.CodeState, "/input/data/omsgid"},
		{"reversal by another", other, "2601", object{"data": object{"psn_no": "P1", "omsgid": string(settled.MsgID), "oinfno": "2207"}}, gateway.CodeNotFound, "/input/data/omsgid"},
		{"rows dropped by its own system", his, "2205", object{"data": object{"psn_no": "P1", "mdtrt_id": "M1", "chrg_bchno": s.ID[1:]}}, gateway.CodeState, "/input/data/chrg_bchno"},
		{"rows dropped by another", other, "2205", object{"data": object{"psn_no": "P1", "mdtrt_id": "M1", "chrg_bchno": s.ID[1:]}}, gateway.CodeNotFound, "/input/data/chrg_bchno"},
	} {
		before := len(b.centre.Sent(c.infno))
		_, err := b.desk.Transact(bg, c.caller, gateway.Transact{RequestID: "x-" + c.name[:3] + c.caller.System, Infno: c.infno, Operator: clerk, InsuplcArea: "440100", Input: c.input})
		var e *gateway.Error
		if codeOf(err) != c.code || !errors.As(err, &e) || e.Path != c.path {
			t.Errorf("%s: %v, want %s at %s", c.name, err, c.code, c.path)
		}
		if len(b.centre.Sent(c.infno)) != before {
			t.Errorf("%s: a message was sent", c.name)
		}
	}
}
