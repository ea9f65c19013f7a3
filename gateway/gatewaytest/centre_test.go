package gatewaytest

import (
	"encoding/json"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

var _ gateway.Centre = (*Centre)(nil)

func send(t *testing.T, c *Centre, id ident.MsgID) gateway.Reply {
	t.Helper()
	p, err := c.Admit(t.Context(), "2207")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Seal(gateway.Message{Infno: "2207", MsgID: id, Body: []byte(`{"infno":"2207","msgid":"` + string(id) + `","input":{"data":{"psn_no":"P1","n":1.50}}}`)})
	if err != nil {
		t.Fatal(err)
	}
	return p.Send(t.Context(), s)
}

func TestCentreScript(t *testing.T) {
	c := NewCentre(func(n ident.Infno, id ident.MsgID, input any) CentreAnswer {
		switch id {
		case "done":
			return Done(map[string]any{"setlinfo": map[string]any{"setl_id": "S1", "n": 2}})
		case "refused":
			return Refused("该笔结算已撤销")
		case "not-sent":
			return CentreAnswer{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
		case "lost":
			a := Done(nil)
			a.Lost = true
			return a
		}
		return Unknown(gateway.CauseCut)
	})
	for _, w := range []struct {
		id      ident.MsgID
		outcome gateway.Outcome
		cause   gateway.Cause
		code    string
	}{
		{"done", gateway.OutcomeDone, gateway.CauseNone, "0"},
		{"refused", gateway.OutcomeRefused, gateway.CauseBusiness, "-1"},
		{"not-sent", gateway.OutcomeRefused, gateway.CauseNotSent, ""},
		{"lost", gateway.OutcomeUnknown, gateway.CauseTimeout, ""},
		{"else", gateway.OutcomeUnknown, gateway.CauseCut, ""},
	} {
		r := send(t, c, w.id)
		if r.Outcome != w.outcome || r.Cause != w.cause || r.Reply.InfCode != w.code {
			t.Errorf("%s: %s/%s infcode %q, want %s/%s %q", w.id, r.Outcome, r.Cause, r.Reply.InfCode, w.outcome, w.cause, w.code)
		}
	}
	calls := c.Calls()
	if len(calls) != 5 || len(c.Sent("2207")) != 5 || len(c.Sent("2208")) != 0 {
		t.Fatalf("%d calls recorded", len(calls))
	}
	data := calls[0].Input.(map[string]any)["data"].(map[string]any)
	if data["n"] != json.Number("1.50") || calls[0].Request.MsgID != "done" || !calls[0].Ended {
		t.Errorf("recorded %+v", calls[0])
	}
	if m := c.Misuse(); len(m) != 0 || c.InFlight() != 0 {
		t.Errorf("misuse %v, in flight %d", m, c.InFlight())
	}
}

func TestCentreGateLapses(t *testing.T) {
	c := NewCentre(nil)
	g := c.Hold()
	got := make(chan gateway.Reply, 1)
	go func() { got <- send(t, c, "m1") }()
	if err := g.Await(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if c.Calls()[0].Ended || c.InFlight() != 1 {
		t.Error("the held call has ended")
	}
	g.Lapse()
	if r := <-got; r.Outcome != gateway.OutcomeUnknown || r.Cause != gateway.CauseTimeout {
		t.Errorf("a lapsed call is %s/%s", r.Outcome, r.Cause)
	}
}

func TestCentreNotesMisuse(t *testing.T) {
	c := NewCentre(nil)
	p, _ := c.Admit(t.Context(), "2207")
	if r := p.Send(t.Context(), gateway.Sealed{}); r.Outcome != gateway.OutcomeRefused || r.Cause != gateway.CauseNotSent {
		t.Errorf("Send without Seal is %s/%s", r.Outcome, r.Cause)
	}
	if len(c.Misuse()) != 1 || len(c.Calls()) != 0 || c.InFlight() != 0 {
		t.Errorf("misuse %v, calls %d, in flight %d", c.Misuse(), len(c.Calls()), c.InFlight())
	}
}
