package histest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func transact(body []byte) Call {
	return Call{Op: OpTransact, Infno: "1101", Key: Key, Body: body}
}

func open(body []byte) Call { return Call{Op: OpOpen, Key: Key, Body: body} }

var caller = gateway.Caller{System: System, Institutions: []ident.Institution{Institution}}

// handsOver: what the HIS wrote is what the desk gets, and what the desk says is what the HIS gets.
func (s suite) handsOver(t *testing.T) {
	want := gateway.Transact{
		RequestID: "R-1", Infno: "1101", Institution: Institution,
		Operator: gateway.Operator{ID: "0001", Name: "张收费", Type: "1"}, InsuplcArea: "440100",
		Input: map[string]any{"data": map[string]any{"mdtrt_cert_type": "02", "certno": "999999199001011238", "psn_cert_type": "01"}},
	}
	for _, op := range []Op{OpTransact, OpUpload} {
		desk := &Desk{}
		target := s.open(t, desk)
		a := target.Do(Call{Op: op, Infno: "1101", Key: Key, Body: []byte(TransactBody)})
		outcome := map[Op]string{OpTransact: "done", OpUpload: "queued"}[op]
		if a.Outcome != outcome || a.ID != id(1) || a.Code != "" {
			t.Errorf("%s: %+v, want %s and id %s", op, a, outcome, id(1))
		}
		if calls := desk.Calls(); len(calls) != 1 || !reflect.DeepEqual(calls[0], Seen{op, caller, want}) {
			t.Errorf("%s: the desk saw %+v\nwant %+v", op, calls, Seen{op, caller, want})
		}
		a = target.Do(Call{Op: OpTransaction, ID: id(1), Key: Key})
		if a.Outcome != outcome || a.ID != id(1) {
			t.Errorf("asking after %s: %+v, want %s", op, a, outcome)
		}
		if a = target.Do(Call{Op: OpTransaction, ID: id(77), Key: Key}); a.Code != gateway.CodeNotFound {
			t.Errorf("asking for nothing: %+v, want not-found", a)
		}
	}
}

func (s suite) settlement(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	a := target.Do(open([]byte(BillBody)))
	if a.Outcome != "done" || a.ID == "" {
		t.Fatalf("open: %+v", a)
	}
	bill := a.ID
	for _, c := range []struct {
		op   Op
		body string
	}{{OpConfirm, ConfirmBody}, {OpRefund, RefundBody}, {OpSettlement, ""}} {
		if a := target.Do(Call{Op: c.op, ID: bill, Key: Key, Body: []byte(c.body)}); a.Outcome != "done" || a.ID != bill {
			t.Errorf("%s: %+v", c.op, a)
		}
	}
	doctor, department := gateway.Coded{Code: "D440100000001", Name: "王医生"}, gateway.Coded{Code: "A03", Name: "内科"}
	operator := gateway.Operator{ID: "0001", Name: "张收费", Type: "1"}
	want := []Seen{
		{OpOpen, caller, gateway.OpenSettlement{
			RequestID: "R-2", Institution: Institution, Operator: operator,
			Credential: gateway.Credential{Type: "02", Number: "999999199001011238", CertType: "01", CertNo: "999999199001011238", Name: "李四"},
			Insutype:   "310", SettleWay: "01", UseAccount: true,
			Visit: gateway.VisitInfo{Number: "MZ20260304001", MedType: "11", Begin: "2026-03-04 08:00:00", Doctor: doctor,
				Department: department, Caty: "A03", Complaint: "咳嗽三天", Disease: gateway.Coded{Code: "M03900", Name: "高血压"}},
			Diagnoses: []gateway.Diagnosis{{Type: "1", Code: "J06.900", Name: "急性上呼吸道感染", Department: "A03", Doctor: doctor, Time: "2026-03-04 08:10:00"}},
			Fees: []gateway.Fee{
				{ID: "F1", Code: "XA01AB03", LocalCode: "YP001", Name: "某药", Quantity: "2", Price: "25.00", Amount: "50.00", Time: "2026-03-04 08:20:00",
					Department: department, Doctor: doctor, Approved: "1", Circulated: "0", RxNo: "RX1", Extra: map[string]any{"memo": "饭后"}},
				{ID: "F2", Code: "001101000010000", LocalCode: "FW001", Quantity: "1", Price: "50", Amount: "50.00", Time: "2026-03-04 08:21:00",
					Department: department, Doctor: doctor},
			},
			Total: "100.00",
		}},
		{OpConfirm, caller, gateway.ConfirmSettlement{RequestID: "R-3", ID: bill, Operator: operator,
			Credential: &gateway.Credential{Type: "02", Number: "999999199001011238"}, Invoice: "No1", ExpectCash: "10.00"}},
		{OpRefund, caller, gateway.RefundSettlement{RequestID: "R-4", ID: bill, Operator: operator, Rows: []string{"F1"},
			Credential: &gateway.Credential{Type: "02", Number: "999999199001011238"}, Invoice: "No2"}},
		{OpSettlement, caller, bill},
	}
	got := desk.Calls()
	if len(got) != len(want) {
		t.Fatalf("the desk saw %d calls, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("call %d:\n got  %+v\n want %+v", i, got[i], want[i])
		}
	}
	var told []string
	for _, k := range desk.ToldOf() {
		told = append(told, k.ID)
	}
	if !slices.Equal(told, []string{"R-2", "R-3", "R-4", "R-4"}) {
		t.Errorf("told of %v", told)
	}
}

// idempotency is the desk's work; the adapter hands over the same id and the same request, and
// neither remembers answers nor makes up ids.
func (s suite) idempotency(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	first := target.Do(transact([]byte(TransactBody)))
	again := target.Do(transact([]byte(TransactBody)))
	if string(first.Raw) != string(again.Raw) || again.Outcome != "done" {
		t.Errorf("a repeat was answered\n%s\nafter\n%s", again.Raw, first.Raw)
	}
	calls := desk.Calls()
	if len(calls) != 2 || !reflect.DeepEqual(calls[0], calls[1]) {
		t.Errorf("the desk saw %+v, want the same twice", calls)
	}
	told := len(desk.ToldOf())
	other := target.Do(transact(Edit(t, TransactBody, "/input", `{"data":{"certno":"x"}}`)))
	if other.Code != gateway.CodeRequestIDReused || other.Outcome == "done" {
		t.Errorf("another body under the same id: %+v, want request-id-reused", other)
	}
	if len(desk.ToldOf()) != told {
		t.Error("the conflict was reported as the delivery of an answer")
	}
}

// threeValues: done, refused and unknown never pass for one another, whether the desk gives an
// error or a transaction in that state.
func (s suite) threeValues(t *testing.T) {
	unsent := Transaction("R-1", 1, gateway.StateRefused)
	unsent.Cause, unsent.Message = gateway.CauseNotSent, ""
	for _, c := range []struct {
		name    string
		give    any
		outcome string
		code    gateway.Code
		told    bool
	}{
		{"done", Transaction("R-1", 1, gateway.StateDone), "done", "", true},
		{"refused error", &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "该人员已暂停参保", Ref: id(1)}, "refused", gateway.CodeCentreRefused, true},
		{"refused state", Transaction("R-1", 1, gateway.StateRefused), "refused", gateway.CodeCentreRefused, true},
		{"refused before it left", unsent, "refused", gateway.CodeCentreUnreachable, false},
		{"amounts do not add up", &gateway.Error{Code: gateway.CodeAmounts, Ref: id(1)}, "refused", gateway.CodeAmounts, true},
		{"invalid on the way", &gateway.Error{Code: gateway.CodeRequestInvalid, Ref: id(1)}, "refused", gateway.CodeRequestInvalid, true},
		{"invalid from the start", &gateway.Error{Code: gateway.CodeRequestInvalid}, "refused", gateway.CodeRequestInvalid, false},
		{"unreachable", &gateway.Error{Code: gateway.CodeCentreUnreachable, Ref: id(1)}, "refused", gateway.CodeCentreUnreachable, false},
		{"reused", &gateway.Error{Code: gateway.CodeRequestIDReused, Ref: id(1)}, "", gateway.CodeRequestIDReused, false},
		{"unknown error", &gateway.Error{Code: gateway.CodeOutcomeUnknown, Ref: id(1)}, "unknown", gateway.CodeOutcomeUnknown, false},
		{"needs a person", &gateway.Error{Code: gateway.CodeNeedsPerson, Ref: id(1)}, "unknown", gateway.CodeNeedsPerson, false},
		{"unknown state", Transaction("R-1", 1, gateway.StateUnknown), "unknown", "", false},
		{"still sent", Transaction("R-1", 1, gateway.StateSent), "unknown", "", false},
		{"parked", Transaction("R-1", 1, gateway.StateParked), "unknown", "", false},
		{"no state at all", gateway.Transaction{ID: ident.MsgID(id(1))}, "unknown", "", false},
		{"waiting ended", context.Canceled, "unknown", gateway.CodeOutcomeUnknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			desk := &Desk{On: map[Op]func(context.Context, gateway.Caller, any) (any, error){
				OpTransact: func(context.Context, gateway.Caller, any) (any, error) {
					if err, ok := c.give.(error); ok {
						return nil, err
					}
					return c.give, nil
				},
			}}
			a := s.open(t, desk).Do(transact([]byte(TransactBody)))
			if a.Outcome != c.outcome || a.Code != c.code {
				t.Errorf("the HIS reads %q %q, want %q %q\n%s", a.Outcome, a.Code, c.outcome, c.code, a.Raw)
			}
			if a.ID != id(1) && c.name != "waiting ended" && c.name != "invalid from the start" {
				t.Errorf("the HIS is not told what to ask about: %s", a.Raw)
			}
			if c.code == gateway.CodeCentreRefused && !strings.Contains(a.Detail, "该人员已暂停参保") {
				t.Errorf("the centre's words are missing: %s", a.Raw)
			}
			if told := len(desk.ToldOf()) == 1; told != c.told {
				t.Errorf("told is %v, want %v", told, c.told)
			}
		})
	}
}

// settling: the same for the operations on a bill.
func (s suite) settling(t *testing.T) {
	unsure := Settlement("R-3", "B1", gateway.BillSettled)
	unsure.Unknown = true
	for _, c := range []struct {
		op      Op
		body    string
		give    gateway.Settlement
		outcome string
		told    bool
	}{
		{OpOpen, BillBody, Settlement("R-2", "B1", gateway.BillPresettled), "done", true},
		{OpOpen, BillBody, Settlement("R-2", "B1", gateway.BillOpening), "unknown", false},
		{OpOpen, BillBody, Settlement("R-2", "B1", gateway.BillFailed), "refused", true},
		{OpConfirm, ConfirmBody, Settlement("R-3", "B1", gateway.BillSettled), "done", true},
		{OpConfirm, ConfirmBody, Settlement("R-3", "B1", gateway.BillSettling), "unknown", false},
		{OpConfirm, ConfirmBody, unsure, "unknown", false},
		{OpConfirm, ConfirmBody, Settlement("R-3", "B1", gateway.BillFailed), "refused", true},
		{OpRefund, RefundBody, Settlement("R-4", "B1", gateway.BillRefunded), "done", true},
		{OpRefund, RefundBody, Settlement("R-4", "B1", gateway.BillCancelled), "done", true},
		{OpRefund, RefundBody, Settlement("R-4", "B1", gateway.BillSettled), "done", true}, // what is left was settled again
		{OpRefund, RefundBody, Settlement("R-4", "B1", gateway.BillRefunding), "unknown", false},
		{OpRefund, RefundBody, Settlement("R-4", "B1", gateway.BillResettling), "unknown", false},
	} {
		t.Run(fmt.Sprint(c.op, " ", c.give.State, c.give.Unknown), func(t *testing.T) {
			desk := &Desk{On: map[Op]func(context.Context, gateway.Caller, any) (any, error){
				c.op: func(context.Context, gateway.Caller, any) (any, error) { return c.give, nil },
			}}
			call := Call{Op: c.op, ID: "B1", Key: Key, Body: []byte(c.body)}
			if c.op == OpOpen {
				call.ID = ""
			}
			a := s.open(t, desk).Do(call)
			if a.Outcome != c.outcome || a.ID != "B1" {
				t.Errorf("the HIS reads %q of %q, want %q\n%s", a.Outcome, a.ID, c.outcome, a.Raw)
			}
			if told := len(desk.ToldOf()) == 1; told != c.told {
				t.Errorf("told is %v, want %v", told, c.told)
			}
		})
	}
}

// told: an answer that was asked for later counts as delivered when it is the last word on its
// request, and only then.
func (s suite) told(t *testing.T) {
	for _, c := range []struct {
		state gateway.BillState
		told  bool
	}{
		{gateway.BillPresettled, true}, {gateway.BillSettled, true}, {gateway.BillRefunded, true}, {gateway.BillCancelled, true},
		{gateway.BillFailed, true}, {gateway.BillOpening, false}, {gateway.BillSettling, false}, {gateway.BillRefunding, false}, {gateway.BillResettling, false},
	} {
		desk := &Desk{}
		desk.Put(Settlement("R-9", "B9", c.state))
		if a := s.open(t, desk).Do(Call{Op: OpSettlement, ID: "B9", Key: Key}); a.ID != "B9" || a.Code != "" {
			t.Errorf("%s: %+v", c.state, a)
		}
		if told := len(desk.ToldOf()) == 1; told != c.told {
			t.Errorf("%s: told is %v, want %v", c.state, told, c.told)
		}
	}
	for _, c := range []struct {
		state gateway.State
		told  bool
	}{
		{gateway.StateDone, true}, {gateway.StateRefused, true}, {gateway.StateReversed, false}, {gateway.StateAbsent, false},
		{gateway.StatePrepared, false}, {gateway.StateSent, false}, {gateway.StateUnknown, false}, {gateway.StateParked, false},
	} {
		desk := &Desk{}
		desk.Put(Transaction("R-9", 1, c.state))
		if a := s.open(t, desk).Do(Call{Op: OpTransaction, ID: id(1), Key: Key}); a.ID != id(1) || a.Code != "" {
			t.Errorf("%s: %+v", c.state, a)
		}
		want := []gateway.RequestKey{{System: System, ID: "R-9"}}
		if !c.told {
			want = nil
		}
		if got := desk.ToldOf(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: told of %v, want %v", c.state, got, want)
		}
	}
}

// literals: amounts reach the desk as they were written; judging them is not the adapter's job.
func (s suite) literals(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`12.345`, "12.345"}, {`"12.345"`, "12.345"}, {`"1e3"`, "1e3"}, {`"NaN"`, "NaN"}, {`0.10`, "0.10"},
		{`-0`, "-0"}, {`"１２"`, "１２"}, {`""`, ""}, {`99999999999999.99`, "99999999999999.99"},
	} {
		desk := &Desk{}
		a := s.open(t, desk).Do(open(Edit(t, BillBody, "/fees/0/amount", c.json, "/total", c.json, "/fees/1/price", c.json, "/fees/0/quantity", c.json)))
		if len(desk.Calls()) != 1 {
			t.Errorf("%s did not reach the desk: %+v", c.json, a)
			continue
		}
		r := desk.Calls()[0].Request.(gateway.OpenSettlement)
		for _, got := range []string{r.Fees[0].Amount, r.Total, r.Fees[1].Price, r.Fees[0].Quantity} {
			if got != c.want {
				t.Errorf("%s reached the desk as %q", c.json, got)
			}
		}
	}
	desk := &Desk{}
	s.open(t, desk).Do(transact(Edit(t, TransactBody, "/input", `{"a":[1.500,{"b":-0.0}]}`)))
	want := map[string]any{"a": []any{json.Number("1.500"), map[string]any{"b": json.Number("-0.0")}}}
	if got := desk.Calls()[0].Request.(gateway.Transact).Input; !reflect.DeepEqual(got, want) {
		t.Errorf("input reached the desk as %#v", got)
	}
}

func (s suite) concurrent(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			body := Edit(t, TransactBody, "/request_id", fmt.Sprintf(`"C-%d"`, i))
			first := target.Do(transact(body))
			if a := target.Do(transact(body)); first.Outcome != "done" || a.ID != first.ID {
				t.Errorf("%d: %+v after %+v", i, a, first)
			}
		})
	}
	wg.Wait()
	if n := len(desk.ToldOf()); n != 40 {
		t.Errorf("told %d times, want 40", n)
	}
}

// order: calls made one behind the other reach the desk in that order, whatever they are called.
func (s suite) order(t *testing.T) {
	desk := &Desk{}
	target := s.open(t, desk)
	var want, got []string
	for i := range 10 {
		id := fmt.Sprintf("O-%d", (i*7)%10)
		want = append(want, id)
		target.Do(transact(Edit(t, TransactBody, "/request_id", `"`+id+`"`)))
	}
	for _, c := range desk.Calls() {
		if r, ok := c.Request.(gateway.Transact); ok {
			got = append(got, r.RequestID)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the desk was asked in the order %v, want %v", got, want)
	}
}

// backPressure: what can not be taken just now is refused by name and is no final answer; the same call again is the same
// request, and is taken.
func (s suite) backPressure(t *testing.T) {
	for _, code := range []gateway.Code{gateway.CodeCentreBusy, gateway.CodeRateLimited, gateway.CodeStorage, gateway.CodeCentreDown} {
		n := 0
		desk := &Desk{On: map[Op]func(context.Context, gateway.Caller, any) (any, error){
			OpTransact: func(_ context.Context, _ gateway.Caller, r any) (any, error) {
				if n++; n == 1 {
					return nil, &gateway.Error{Code: code, Op: "histest"}
				}
				return Transaction(r.(gateway.Transact).RequestID, 1, gateway.StateDone), nil
			}}}
		target := s.open(t, desk)
		if a := target.Do(transact([]byte(TransactBody))); a.Code != code || a.Outcome != "refused" || len(desk.ToldOf()) > 0 {
			t.Errorf("%s: %+v, told of %v", code, a, desk.ToldOf())
		}
		if a := target.Do(transact([]byte(TransactBody))); a.Outcome != "done" || a.Code != "" {
			t.Errorf("after %s: %+v", code, a)
		}
		for _, c := range desk.Calls() {
			if r := c.Request.(gateway.Transact).RequestID; r != "R-1" {
				t.Errorf("%s: the desk was asked for %s", code, r)
			}
		}
	}
}
