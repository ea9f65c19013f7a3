package histest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"yiqiao/gateway"
)

var _ gateway.Ward = (*Desk)(nil)

func (d *Desk) AdmitStay(ctx context.Context, c gateway.Caller, r gateway.AdmitStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpAdmit, c, r.RequestID, r)
}

func (d *Desk) ChargeStay(ctx context.Context, c gateway.Caller, r gateway.ChargeStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpCharge, c, r.RequestID, r)
}

func (d *Desk) ChangeStay(ctx context.Context, c gateway.Caller, r gateway.ChangeStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpStayChange, c, r.RequestID, r)
}

func (d *Desk) DischargeStay(ctx context.Context, c gateway.Caller, r gateway.DischargeStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpDischarge, c, r.RequestID, r)
}

func (d *Desk) SettleStay(ctx context.Context, c gateway.Caller, r gateway.SettleStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpStaySettle, c, r.RequestID, r)
}

func (d *Desk) RefundStay(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpStayRefund, c, r.RequestID, r)
}

func (d *Desk) Stay(ctx context.Context, c gateway.Caller, id string) (gateway.Stay, error) {
	return do[gateway.Stay](d, ctx, OpStay, c, "", id)
}

// Stay is one in the given state.
func Stay(id string, s gateway.StayState) gateway.Stay {
	return gateway.Stay{ID: id, RequestID: "R-5", State: s, Visit: "V1", Charged: "25.00", Rows: 2}
}

func usualStay(n int, request any) (gateway.Stay, bool) {
	switch r := request.(type) {
	case gateway.AdmitStay:
		return Stay(fmt.Sprint("S", id(n)), gateway.StayIn), true
	case gateway.ChargeStay:
		return Stay(r.ID, gateway.StayIn), true
	case gateway.ChangeStay:
		return Stay(r.ID, gateway.StayIn), true
	case gateway.DischargeStay:
		return Stay(r.ID, gateway.StayDischarged), true
	case gateway.SettleStay:
		return Stay(r.ID, gateway.StaySettled), true
	case gateway.RefundStay:
		return Stay(r.ID, gateway.StayDischarged), true
	}
	return gateway.Stay{}, false
}

const (
	stayDoctor = `"doctor":{"code":"D440100000001","name":"王医生"}`
	stayDept   = `"department":{"code":"A03","name":"内科"}`
	stayOper   = `"operator":{"id":"0001","name":"张收费","type":"1"}`
	stayDiag   = `"diagnoses":[{"type":"1","code":"J18.900","name":"肺炎","department":"A03",` + stayDoctor + `,"time":"2026-03-04 08:10:00"}]`

	// AdmitBody and the others are calls about a stay as a HIS sends them.
	AdmitBody = `{"request_id":"R-5","institution":"H44010000012",` + stayOper + `,"credential":{"type":"02","number":"999999199001011238"},
"visit":{"number":"ZY1","med_type":"21","begin":"2026-03-04 08:00:00",` + stayDoctor + `,` + stayDept + `,"bed":"01"},` + stayDiag + `}`
	ChargeBody = `{"request_id":"R-6",` + stayOper + `,"fees":[{"id":"F2","code":"XA01","local_code":"L1","quantity":-1,"price":25,"amount":"-25.00",
"time":"2026-03-04 08:20:00",` + stayDept + `,` + stayDoctor + `,"refund_of":"F1"}]}`
	DischargeBody = `{"request_id":"R-7",` + stayOper + `,"end":"2026-03-10 10:00:00",` + stayDept + `,"dscg_way":"1",` + stayDiag + `}`
	StayEndBody   = `{"request_id":"R-8",` + stayOper + `,"credential":{"type":"02","number":"999999199001011238"},"trial_only":true,"expect_cash":10.00}`
	StayBackBody  = `{"request_id":"R-9",` + stayOper + `,"to":"fees"}`
)

// stay: calls about a stay reach the desk whole, bad ones do not reach it, and answers are read.
func (s suite) stay(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	a := target.Do(Call{Op: OpAdmit, Key: Key, Body: []byte(AdmitBody)})
	if a.Outcome != "done" || a.ID == "" {
		t.Fatalf("admit: %+v", a)
	}
	for _, c := range []struct {
		op   Op
		body string
	}{{OpCharge, ChargeBody}, {OpDischarge, DischargeBody}, {OpStaySettle, StayEndBody}, {OpStayRefund, StayBackBody}, {OpStay, ""}} {
		if b := target.Do(Call{Op: c.op, ID: a.ID, Key: Key, Body: []byte(c.body)}); b.Outcome != "done" || b.ID != a.ID {
			t.Errorf("%s: %+v", c.op, b)
		}
	}
	doctor, department := gateway.Coded{Code: "D440100000001", Name: "王医生"}, gateway.Coded{Code: "A03", Name: "内科"}
	operator := gateway.Operator{ID: "0001", Name: "张收费", Type: "1"}
	card := gateway.Credential{Type: "02", Number: "999999199001011238"}
	diagnoses := []gateway.Diagnosis{{Type: "1", Code: "J18.900", Name: "肺炎", Department: "A03", Doctor: doctor, Time: "2026-03-04 08:10:00"}}
	want := []any{
		gateway.AdmitStay{RequestID: "R-5", Institution: Institution, Operator: operator, Credential: card, Diagnoses: diagnoses,
			Visit: gateway.StayInfo{Number: "ZY1", MedType: "21", Begin: "2026-03-04 08:00:00", Doctor: doctor, Department: department, Bed: "01"}},
		gateway.ChargeStay{RequestID: "R-6", ID: a.ID, Operator: operator, Fees: []gateway.Fee{{ID: "F2", Code: "XA01", LocalCode: "L1", Quantity: "-1",
			Price: "25", Amount: "-25.00", Time: "2026-03-04 08:20:00", Department: department, Doctor: doctor, RefundOf: "F1"}}},
		gateway.DischargeStay{RequestID: "R-7", ID: a.ID, Operator: operator, End: "2026-03-10 10:00:00", Department: department, Way: "1", Diagnoses: diagnoses},
		gateway.SettleStay{RequestID: "R-8", ID: a.ID, Operator: operator, Credential: &card, TrialOnly: true, ExpectCash: "10.00"},
		gateway.RefundStay{RequestID: "R-9", ID: a.ID, Operator: operator, To: "fees"},
		a.ID,
	}
	for i, seen := range desk.Calls() {
		if !reflect.DeepEqual(seen.Request, want[i]) {
			t.Errorf("call %d:\n got  %+v\n want %+v", i, seen.Request, want[i])
		}
	}
	var told []string
	for _, k := range desk.ToldOf() {
		told = append(told, k.ID)
	}
	if !slices.Equal(told, []string{"R-5", "R-6", "R-7", "R-8", "R-9"}) {
		t.Errorf("told of %v", told)
	}
	s.badStay(t)
	s.movingStay(t)
}

func (s suite) badStay(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	for _, c := range []struct {
		op           Op
		body, at, to string
	}{
		{OpAdmit, AdmitBody, "/credential", ""}, {OpAdmit, AdmitBody, "/visit/bed", ""}, {OpCharge, ChargeBody, "/fees/0/amount", ""},
		{OpDischarge, DischargeBody, "/dscg_way", ""}, {OpStaySettle, StayEndBody, "/trial_only", `"x"`}, {OpStayRefund, StayBackBody, "/operator", ""},
	} {
		call := Call{Op: c.op, ID: "S1", Key: Key, Body: Edit(t, c.body, c.at, c.to)}
		if c.op == OpAdmit {
			call.ID = ""
		}
		if a := target.Do(call); a.Code != gateway.CodeRequestInvalid || a.Path != c.at {
			t.Errorf("%s without %s: %q at %q", c.op, c.at, a.Code, a.Path)
		}
	}
	if calls := desk.Calls(); len(calls) > 0 {
		t.Errorf("the desk was given %+v", calls[0])
	}
}

// movingStay: what is not settled yet never reads as done.
func (s suite) movingStay(t *testing.T) {
	unsure := Stay("S1", gateway.StayIn)
	unsure.Unknown = true
	for _, give := range []gateway.Stay{Stay("S1", gateway.StaySettling), Stay("S1", gateway.StayRefunding), unsure} {
		desk := &Desk{On: map[Op]func(context.Context, gateway.Caller, any) (any, error){
			OpStaySettle: func(context.Context, gateway.Caller, any) (any, error) { return give, nil },
		}}
		a := s.open(t, desk).Do(Call{Op: OpStaySettle, ID: "S1", Key: Key, Body: []byte(StayEndBody)})
		if a.Outcome != "unknown" || len(desk.ToldOf()) != 0 {
			t.Errorf("%s reads as %q, told %d", give.State, a.Outcome, len(desk.ToldOf()))
		}
	}
}
