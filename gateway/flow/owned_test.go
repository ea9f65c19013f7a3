package flow

import (
	"errors"
	"fmt"
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
	partly := b.open("r2", 2)
	if _, err := b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c2", ID: partly.ID, Operator: clerk}); err != nil {
		t.Fatal(err)
	}
	cred := bill("r2", 1).Credential
	if _, err := b.desk.RefundSettlement(bg, his, gateway.RefundSettlement{RequestID: "p2", ID: partly.ID, Operator: clerk, Rows: []string{"r2-0"}, Credential: &cred}); err != nil {
		t.Fatal(err)
	}
	sent := b.centre.Sent("2207")
	batch := text(row(sent[len(sent)-1].Input, "data")["chrg_bchno"])
	of := func(person, visit, setl string) object {
		data := object{"psn_no": person, "setl_id": setl}
		set(data, "mdtrt_id", visit)
		return object{"data": data}
	}
	again := func(visit, batch string) object {
		demand := object{}
		for k, v := range row(sent[0].Input, "data") {
			demand[k] = v
		}
		demand["mdtrt_id"], demand["chrg_bchno"] = visit, batch
		return object{"data": demand}
	}
	for i, c := range []struct {
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
		{"undone by its setl_id", his, "2208", of("P1", "V-another", string(settled.SettlementID)), gateway.CodeState, "/input/data/setl_id"},
		{"undone by its visit", his, "2208", of("P2", string(s.Visit), "S-another"), gateway.CodeState, "/input/data/mdtrt_id"},
		{"undone by its visit, by another", other, "2208", of("P2", string(s.Visit), "S-another"), gateway.CodeNotFound, "/input/data/mdtrt_id"},
		{"rows of its visit", his, "2205", object{"data": object{"psn_no": "P1", "mdtrt_id": string(s.Visit), "chrg_bchno": "OWN-1"}}, gateway.CodeState, "/input/data/mdtrt_id"},
		{"registration of its visit", his, "2202", object{"data": object{"psn_no": "P1", "mdtrt_id": string(s.Visit), "ipt_otp_no": "OP-r1"}}, gateway.CodeState, "/input/data/mdtrt_id"},
		{"a batch a partial refund left", his, "2205", object{"data": object{"psn_no": "P1", "mdtrt_id": "V-another", "chrg_bchno": batch}}, gateway.CodeState, "/input/data/chrg_bchno"},
		{"settled anew under another batch", his, "2207", again(string(s.Visit), "OWN-1"), gateway.CodeState, "/input/data/mdtrt_id"},
		{"settled anew by another", other, "2207", again(string(s.Visit), "OWN-1"), gateway.CodeNotFound, "/input/data/mdtrt_id"},
		{"asked by another", other, "5203", of("P1", "", string(settled.SettlementID)), gateway.CodeNotFound, "/input/data/setl_id"},
		{"asked by another, of the visit", other, "5203", of("P1", string(s.Visit), "S-another"), gateway.CodeNotFound, "/input/data/mdtrt_id"},
	} {
		before := len(b.centre.Sent(c.infno))
		_, err := b.desk.Transact(bg, c.caller, gateway.Transact{RequestID: fmt.Sprintf("x-%d", i), Infno: c.infno, Operator: clerk, InsuplcArea: "440100", Input: c.input})
		var e *gateway.Error
		if codeOf(err) != c.code || !errors.As(err, &e) || e.Path != c.path {
			t.Errorf("%s: %v, want %s at %s", c.name, err, c.code, c.path)
		}
		if len(b.centre.Sent(c.infno)) != before {
			t.Errorf("%s: a message was sent", c.name)
		}
	}
	// A visit of nobody's bill is settled by whoever climbs the ladder by itself.
	if _, err := b.desk.Transact(bg, his, gateway.Transact{RequestID: "z", Infno: "2207", Operator: clerk, InsuplcArea: "440100", Input: again("V-another", "OWN-1")}); codeOf(err) == gateway.CodeState ||
		codeOf(err) == gateway.CodeNotFound {
		t.Error(err)
	}
	// Its own system may ask, and what is no bill's is nobody's affair.
	for i, input := range []object{of("P1", string(s.Visit), string(settled.SettlementID)), of("P1", "V-another", "S-another")} {
		_, err := b.desk.Transact(bg, his, gateway.Transact{RequestID: fmt.Sprintf("y-%d", i), Infno: "5203", Operator: clerk, InsuplcArea: "440100", Input: input})
		if code := codeOf(err); code != "" && code != gateway.CodeCentreRefused {
			t.Errorf("%v: %v", input, err)
		}
	}
}
