package flow

import (
	"errors"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// Who repeats a confirmation after a refund is not told once more that the bill is settled.
func TestAConfirmationRepeatedAfterARefund(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	done, err := b.confirm("c1", s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.refund("x1", s); err != nil {
		t.Fatal(err)
	}
	again, err := b.confirm("c1", s)
	if err != nil || again.State != gateway.BillRefunded || again.SettlementID != done.SettlementID || again.Refund == nil || again.Refund.Of != done.SettlementID {
		t.Errorf("%+v %v", again, err)
	}
	// After a partial refund the answer names what was undone: the settlement it made.
	b = newBench(t, askingRegion())
	s = b.open("r1", 2)
	if done, err = b.confirm("c1", s); err != nil {
		t.Fatal(err)
	}
	cred := bill("r1", 1).Credential
	rest, err := b.desk.RefundSettlement(bg, his, gateway.RefundSettlement{RequestID: "x1", ID: s.ID, Operator: clerk, Rows: []string{"r1-0"}, Credential: &cred})
	if err != nil {
		t.Fatal(err)
	}
	if again, err = b.confirm("c1", s); err != nil || again.SettlementID != done.SettlementID || rest.SettlementID == done.SettlementID || len(again.RefundedRows) != 1 || again.Refund == nil || again.Refund.Of != done.SettlementID {
		t.Errorf("%+v %v", again, err)
	}
}

func TestAMessageAboutAPersonNeedsTheArea(t *testing.T) {
	b := newBench(t, askingRegion())
	_, err := b.desk.Transact(bg, his, gateway.Transact{RequestID: "q1", Infno: "5203", Operator: clerk,
		Input: object{"data": object{"psn_no": "P1", "setl_id": "S1", "mdtrt_id": "V1"}}})
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid || e.Path != "/insuplc_admdvs" || len(b.centre.Calls()) != 0 {
		t.Errorf("%v, %d sent", err, len(b.centre.Calls()))
	}
	// A person whose area the centre does not name can not be gone on with.
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		a := b.town.script(n, id, input)
		if n == "1101" {
			for _, r := range rows(a.Output, "insuinfo") {
				r["insuplc_admdvs"] = nil
			}
		}
		return a
	})
	s, err := b.desk.OpenSettlement(bg, his, bill("r1", 1))
	if !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid || e.Findings[0].Code != CodeNoArea || s.State != gateway.BillFailed {
		t.Errorf("%+v %v", s, err)
	}
	if list := numbersOf(b.centre); len(list) != 1 {
		t.Errorf("sent %v", list)
	}
}

func TestCashThatDiffersIsSaidInChinese(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	_, err := b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c1", ID: s.ID, Operator: clerk, ExpectCash: "0.50"})
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.CodeAmounts || e.Path != "/expect_cash" || e.Rule != "1.01" ||
		len(e.Findings) != 1 || !strings.Contains(e.Findings[0].ZH, "现金") {
		t.Errorf("%+v", e)
	}
}

// The operator's name is nowhere in clear, and is on every message all the same.
func TestTheOperatorsNameIsKeptSealed(t *testing.T) {
	b := newBench(t, strictRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, lostBack)
	_, _ = b.confirm("c1", s)
	b.restart()
	b.rest()
	recs, err := b.journal.List(bg, gateway.Query{Limit: 1000})
	if err != nil || len(recs) == 0 {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if rec.Operator.Name != "" || rec.Operator.ID != clerk.ID || rec.FullOperator().Name != clerk.Name {
			t.Errorf("%s: %+v, sealed %q", rec.Infno, rec.Operator, rec.FullOperator().Name)
		}
	}
	for _, c := range b.centre.Calls() {
		if c.Request.OperatorName != clerk.Name {
			t.Errorf("%s leaves in the name of %q", c.Infno, c.Request.OperatorName)
		}
	}
	if len(b.centre.Sent("2601")) != 1 {
		t.Errorf("sent %v", b.numbers())
	}
}

// What was found out about a stay while nobody waited is the stored answer of its request.
func TestAnswersOfAStayAreStoredByTheResolver(t *testing.T) {
	for _, n := range []ident.Infno{"2401", "2304"} {
		b := newBench(t, askingRegion())
		asks := 0
		b.town.fault = func(x ident.Infno, call int) mode {
			switch {
			case x == n && call == 1:
				return lostBack
			case x == "5203" || x == "5303":
				if asks++; asks == 1 {
					return lostOut
				}
			}
			return fine
		}
		key := gateway.RequestKey{System: his.System, ID: "a1"}
		s, err := b.desk.AdmitStay(bg, his, admissionOf("a1"))
		if n == "2304" {
			b.stayed(s, err, gateway.StayIn)
			s, err = b.desk.ChargeStay(bg, his, chargesOf("f1", s.ID, 2))
			b.stayed(s, err, gateway.StayIn)
			s, err = b.desk.DischargeStay(bg, his, discharge("d1", s.ID))
			b.stayed(s, err, gateway.StayDischarged)
			key.ID = "s1"
			_, err = b.desk.SettleStay(bg, his, settleOf("s1", s.ID))
		}
		if codeOf(err) != gateway.CodeOutcomeUnknown {
			t.Fatalf("%s: %v", n, err)
		}
		b.rest()
		req, err := b.journal.Request(bg, key)
		if err != nil || len(req.Answer) == 0 {
			t.Fatalf("%s: no answer: %v", n, err)
		}
		got, err := storedStay(req.Answer)
		if err != nil || got.Visit == "" || n == "2304" && (got.State != gateway.StaySettled || got.SettlementID == "") {
			t.Errorf("%s: %+v %v", n, got, err)
		}
	}
}
