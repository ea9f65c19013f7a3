package flow

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

func TestFiguresThatDoNotAddUpAreAskedFor(t *testing.T) {
	for _, region := range []*gateway.Region{askingRegion(), strictRegion()} {
		b := newBench(t, region)
		s := b.open("r1", 1)
		b.town.fault = on("2207", 1, wrongSplit)
		done, err := b.confirm("c1", s)
		if err != nil || done.State != gateway.BillSettled || done.Amounts.Cash != "1.01" || len(done.Warnings) != 0 {
			t.Fatalf("%+v %+v %v", done, done.Amounts, err)
		}
		if n := len(b.centre.Sent("5203")); n != 1 || len(b.centre.Sent("2207")) != 1 || len(b.centre.Sent("2601")) != 0 {
			t.Errorf("%v", b.numbers())
		}
		b.restart()
		live, err := b.desk.Settlement(bg, his, s.ID)
		if err != nil || live.Amounts.Cash != "1.01" || len(live.Warnings) != 0 || live.Unknown || len(live.Steps) != len(done.Steps) {
			t.Errorf("%+v %+v %v", live, live.Amounts, err)
		}
		out, err := b.desk.SettledOutput(bg, done.MsgID)
		if err != nil || text(row(out, "setlinfo")["psn_cash_pay"]) != "1.01" {
			t.Errorf("what reconciliation reads: %v %v", out, err)
		}
		if back, err := b.refund("x1", s); err != nil || back.State != gateway.BillRefunded {
			t.Errorf("%+v %v", back, err)
		}
	}
}

// Without a better answer the settlement is done as it was told, and the findings stay with it.
func TestFiguresThatStayWrongAreSaidEveryTime(t *testing.T) {
	for name, answer := range map[string]func(a gatewaytest.CentreAnswer) gatewaytest.CentreAnswer{
		"refused": func(gatewaytest.CentreAnswer) gatewaytest.CentreAnswer { return gatewaytest.Refused("系统忙") },
		"no reply": func(gatewaytest.CentreAnswer) gatewaytest.CentreAnswer {
			return gatewaytest.Unknown(gateway.CauseTimeout)
		},
		"no better": func(a gatewaytest.CentreAnswer) gatewaytest.CentreAnswer {
			row(a.Output, "setlinfo")["cash_payamt"] = "0.03"
			return a
		},
		"of another": func(a gatewaytest.CentreAnswer) gatewaytest.CentreAnswer {
			row(a.Output, "setlinfo")["setl_id"] = "S999999"
			return a
		},
		"of another message": func(a gatewaytest.CentreAnswer) gatewaytest.CentreAnswer {
			row(a.Output, "setlinfo")["medins_setl_id"] = "H43010000001202603020830009999"
			return a
		},
		"undone": func(a gatewaytest.CentreAnswer) gatewaytest.CentreAnswer {
			row(a.Output, "setlinfo")["refd_setl_flag"] = "1"
			return a
		},
	} {
		b := newBench(t, askingRegion())
		s := b.open("r1", 1)
		b.town.fault = on("2207", 1, wrongSplit)
		b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
			a := b.town.script(n, id, input)
			if n == "5203" {
				return answer(a)
			}
			return a
		})
		for i, ask := range []func() (gateway.Settlement, error){
			func() (gateway.Settlement, error) { return b.confirm("c1", s) },
			func() (gateway.Settlement, error) { return b.confirm("c1", s) },
			func() (gateway.Settlement, error) { return b.desk.Settlement(bg, his, s.ID) },
		} {
			got, err := ask()
			if err != nil || got.State != gateway.BillSettled || got.Amounts.Cash != "0.02" || len(got.Warnings) == 0 || got.Unknown {
				t.Errorf("%s, %d: %+v %+v %v", name, i, got, got.Amounts, err)
			}
		}
		if n := len(b.centre.Sent("5203")); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
		for range 10 {
			_, _ = b.confirm("c2", s)
		}
		if n := len(b.centre.Sent("5203")); n > mostFigureAsks {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

func TestARefundSaysWhatTheCentreGave(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 2)
	done, err := b.confirm("c1", s)
	if err != nil {
		t.Fatal(err)
	}
	back, err := b.refund("x1", s)
	if err != nil || back.Refund == nil {
		t.Fatalf("%+v %v", back, err)
	}
	r := back.Refund
	undo := b.centre.Sent("2208")[0]
	if r.MsgID != undo.MsgID || r.Of != done.SettlementID || r.Visit != s.Visit || r.SettlementID == "" || r.SettlementID == r.Of ||
		r.Amounts == nil || r.Amounts.Total != "-4.02" || back.Visit != s.Visit {
		t.Errorf("%+v %+v", r, r.Amounts)
	}
	if again, err := b.refund("x1", s); err != nil || again.Refund == nil || again.Refund.SettlementID != r.SettlementID {
		t.Errorf("%+v %v", again, err)
	}
	// An undo found by asking has no number of its own.
	b = newBench(t, askingRegion())
	s = b.open("r1", 1)
	if _, err := b.confirm("c1", s); err != nil {
		t.Fatal(err)
	}
	b.town.fault = on("2208", 1, lostBack)
	back, err = b.refund("x1", s)
	if err != nil || back.Refund == nil || back.Refund.SettlementID != "" || back.Refund.Amounts != nil || back.Refund.MsgID == "" {
		t.Errorf("%+v %+v %v", back, back.Refund, err)
	}
}
