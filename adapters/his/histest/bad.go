package histest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"yiqiao/gateway"
)

type badCase struct {
	name string
	call Call
	code gateway.Code
	path string // "*" is not looked at
	rule string // "" is not looked at
}

// badInput: each refusal says which code and where, and the desk never hears of it.
func (s suite) badInput(t *testing.T) {
	e := func(at, text string) Call { return transact(Edit(t, TransactBody, at, text)) }
	b := func(at, text string) Call { return open(Edit(t, BillBody, at, text)) }
	invalid := gateway.CodeRequestInvalid
	cases := []badCase{
		{"no request id", e("/request_id", ""), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"empty request id", e("/request_id", `""`), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"long request id", e("/request_id", `"`+strings.Repeat("x", 65)+`"`), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"request id with a blank", e("/request_id", `"a b"`), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"Chinese request id", e("/request_id", `"单1"`), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"unknown institution", e("/institution", `"H99999999999"`), gateway.CodeInstitution, "/institution", ""},
		{"unknown institution, bill", b("/institution", `"H99999999999"`), gateway.CodeInstitution, "/institution", ""},
		{"no operator", e("/operator", ""), invalid, "/operator", ""},
		{"operator without name", e("/operator/name", ""), invalid, "/operator/name", ""},
		{"operator id null", e("/operator/id", "null"), invalid, "/operator/id", ""},
		{"long operator id", e("/operator/id", `"`+strings.Repeat("9", 31)+`"`), invalid, "/operator/id", ""},
		{"long operator name", e("/operator/name", `"`+strings.Repeat("张", 51)+`"`), invalid, "/operator/name", ""},
		{"no input", e("/input", ""), invalid, "/input", ""},
		{"no credential", b("/credential", ""), invalid, "/credential", ""},
		{"no fees", b("/fees", ""), invalid, "/fees", ""},
		{"fee without amount", b("/fees/1/amount", ""), invalid, "/fees/1/amount", ""},
		{"diagnosis without doctor's code", b("/diagnoses/0/doctor/code", ""), invalid, "/diagnoses/0/doctor/code", ""},
		{"no total", b("/total", ""), invalid, "/total", ""},
		{"no transaction number", Call{Op: OpTransact, Infno: "12", Key: Key, Body: []byte(TransactBody)}, gateway.CodeInfnoUnknown, "", ""},
		{"words for a number", Call{Op: OpUpload, Infno: "二二〇七", Key: Key, Body: []byte(TransactBody)}, gateway.CodeInfnoUnknown, "", ""},
	}
	desk := &Desk{}
	target := s.open(t, desk)
	if target.JSON {
		cases = append(cases, badTypes(e, b)...)
		cases = append(cases, badTexts(t)...)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := target.Do(c.call)
			if a.Code != c.code || c.path != "*" && a.Path != c.path || c.rule != "" && a.Rule != c.rule {
				t.Errorf("%q at %q (%s), want %q at %q (%s)\n%.500s", a.Code, a.Path, a.Rule, c.code, c.path, c.rule, a.Raw)
			}
			if a.Outcome == "done" || a.Outcome == "unknown" {
				t.Errorf("a refused call reads as %s", a.Outcome)
			}
			if c.code == invalid && (len(a.Findings) != 1 || a.Findings[0].Path != c.path || a.Findings[0].ZH == "") {
				t.Errorf("findings %+v", a.Findings)
			}
		})
	}
	if calls := desk.Calls(); len(calls) > 0 {
		t.Errorf("the desk was given %+v", calls[0])
	}
	if told := desk.ToldOf(); len(told) > 0 {
		t.Errorf("told of %v", told)
	}
}

// badTypes are faults that only a form with types can have.
func badTypes(e, b func(at, text string) Call) []badCase {
	invalid := gateway.CodeRequestInvalid
	return []badCase{
		{"request id a number", e("/request_id", "12"), gateway.CodeRequestIDMissing, "/request_id", ""},
		{"operator id a number", e("/operator/id", "1"), invalid, "/operator/id", ""},
		{"operator a list", e("/operator", "[]"), invalid, "/operator", ""},
		{"institution a number", e("/institution", "44"), invalid, "/institution", ""},
		{"input a text", e("/input", `"x"`), invalid, "/input", ""},
		{"input a list", e("/input", `[]`), invalid, "/input", ""},
		{"undeclared member", e("/inputs", `{}`), invalid, "/inputs", ""},
		{"name in capitals", e("/Operator", `{}`), invalid, "/Operator", ""},
		{"undeclared member of a row", b("/fees/0/amt", `"1"`), invalid, "/fees/0/amt", ""},
		{"undeclared member with a slash", b("/visit/x~1y", `"1"`), invalid, "/visit/x~01y", ""},
		{"use_account a text", b("/use_account", `"true"`), invalid, "/use_account", ""},
		{"amount true", b("/fees/0/amount", "true"), invalid, "/fees/0/amount", ""},
		{"amount a list", b("/fees/0/amount", "[1]"), invalid, "/fees/0/amount", ""},
		{"code a number", b("/visit/med_type", "11"), invalid, "/visit/med_type", ""},
		{"fees an object", b("/fees", "{}"), invalid, "/fees", ""},
		{"a row that is null", b("/fees", "[null]"), invalid, "/fees/0", ""},
		{"extra a text", b("/fees/0/extra", `"x"`), invalid, "/fees/0/extra", ""},
		{"rows of numbers", Call{Op: OpRefund, ID: "B1", Key: Key, Body: []byte(strings.Replace(RefundBody, `"F1"`, `1`, 1))}, invalid, "/rows/0", ""},
	}
}

// badTexts are texts that are not one JSON value a gateway should act on.
func badTexts(t *testing.T) []badCase {
	not, dup := gateway.CodeBodyNotJSON, gateway.CodeBodyDuplicate
	bill := func(old, new string) Call {
		if !strings.Contains(BillBody, old) {
			t.Fatalf("histest: no %q in the bill", old)
		}
		return open([]byte(strings.Replace(BillBody, old, new, 1)))
	}
	gbk := "\xc0\xee\xcb\xc4" // 李四
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	return []badCase{
		{"nothing", transact(nil), not, "", "json-syntax"},
		{"half", transact([]byte(TransactBody[:100])), not, "*", "json-syntax"},
		{"HTML", transact([]byte("<html></html>")), not, "", "json-syntax"},
		{"single quotes", transact([]byte("{'a':1}")), not, "", "json-syntax"},
		{"two values", transact([]byte(TransactBody + "{}")), not, "", "json-trailing"},
		{"a list", transact([]byte("[]")), gateway.CodeRequestInvalid, "", ""},
		{"a text", transact([]byte(`"x"`)), gateway.CodeRequestInvalid, "", ""},
		{"null", transact([]byte("null")), gateway.CodeRequestInvalid, "", ""},
		{"1e3", bill(`"price":50,`, `"price":1e3,`), not, "/fees/1/price", "json-number"},
		{"NaN", bill(`"price":50,`, `"price":NaN,`), not, "/fees/1/price", "json-number"},
		{"-Infinity", bill(`"price":50,`, `"price":-Infinity,`), not, "/fees/1/price", "json-number"},
		{"a number of 40 digits", bill(`"price":50,`, `"price":`+strings.Repeat("5", 40)+`,`), not, "/fees/1/price", "json-number"},
		{"+1", bill(`"price":50,`, `"price":+1,`), not, "/fees/1/price", ""},
		{"01", bill(`"price":50,`, `"price":01,`), not, "/fees/1/price", ""},
		{"member twice", bill(`"price":50,`, `"price":50,"price":5,`), dup, "/fees/1/price", "json-duplicate"},
		{"request id twice", transact([]byte(strings.Replace(TransactBody, `{"request_id"`, `{"request_id":"R-0","request_id"`, 1))), dup, "/request_id", "json-duplicate"},
		{"the same name in escapes", bill(`"price":50,`, `"price":50,"\u0070rice":5,`), dup, "/fees/1/price", "json-duplicate"},
		{"GBK", bill("李四", gbk), not, "/credential/name", "json-utf8"},
		{"not UTF-8", bill("李四", "\xff\xfe"), not, "/credential/name", "json-utf8"},
		{"overlong UTF-8", bill("李四", "\xc0\xaf"), not, "/credential/name", "json-utf8"},
		{"half a surrogate pair", bill("李四", `\ud800`), not, "/credential/name", "json-utf8"},
		{"nesting", transact([]byte(strings.Replace(TransactBody, `"input":{`, `"input":{"x":`+deep+`,`, 1))), not, "*", "json-depth"},
		{"50 MB", transact(bytes.Repeat([]byte(" "), 50<<20)), gateway.CodeBodyTooLarge, "", ""},
	}
}

func (s suite) keys(t *testing.T) {
	desk := &Desk{}
	desk.Put(Transaction("R-1", 1, gateway.StateDone))
	target := s.open(t, desk)
	for _, c := range []struct {
		key  string
		code gateway.Code
	}{
		{"", gateway.CodeKeyMissing}, {"not-this-one", gateway.CodeKeyWrong}, {Key + "x", gateway.CodeKeyWrong}, {Key[1:], gateway.CodeKeyWrong},
	} {
		for _, call := range []Call{
			{Op: OpTransact, Infno: "1101", Body: []byte(TransactBody)}, {Op: OpUpload, Infno: "4101", Body: []byte(TransactBody)},
			{Op: OpTransaction, ID: id(1)}, {Op: OpOpen, Body: []byte(BillBody)}, {Op: OpConfirm, ID: "B1", Body: []byte(ConfirmBody)},
			{Op: OpRefund, ID: "B1", Body: []byte(RefundBody)}, {Op: OpSettlement, ID: "B1"}, {Op: OpTransact, Infno: "x", Body: []byte("not JSON")},
		} {
			call.Key = c.key
			if a := target.Do(call); a.Code != c.code || a.Outcome == "done" {
				t.Errorf("%s with key %q: %+v, want %s", call.Op, c.key, a, c.code)
			} else if c.key != "" && bytes.Contains(a.Raw, []byte(c.key)) {
				t.Errorf("the answer repeats the key: %s", a.Raw)
			}
		}
	}
	if n := len(desk.Calls()); n > 0 {
		t.Errorf("%d calls reached the desk", n)
	}
}

// everyCode: whatever the desk refuses with, the HIS reads the same code.
func (s suite) everyCode(t *testing.T) {
	var codes []gateway.Code
	for c := range gateway.Codes {
		codes = append(codes, c)
	}
	slices.Sort(codes)
	calls := []Call{
		transact([]byte(TransactBody)), open([]byte(BillBody)),
		{Op: OpConfirm, ID: "B1", Key: Key, Body: []byte(ConfirmBody)}, {Op: OpRefund, ID: "B1", Key: Key, Body: []byte(RefundBody)},
		{Op: OpTransaction, ID: id(1), Key: Key}, {Op: OpSettlement, ID: "B1", Key: Key},
	}
	for _, code := range codes {
		desk := &Desk{Err: fmt.Errorf("wrapped: %w", &gateway.Error{Code: code, Op: "histest", Path: "/p", Rule: "r", Err: errors.New("inner secret")})}
		target := s.open(t, desk)
		for _, call := range calls {
			a := target.Do(call)
			if a.Code != code || a.Path != "/p" || a.Rule != "r" {
				t.Errorf("%s of %s: the HIS reads %q at %q (%s)", code, call.Op, a.Code, a.Path, a.Rule)
			}
			if a.Outcome == "done" || (a.Outcome == "unknown") != (OutcomeOf(code) == "unknown") {
				t.Errorf("%s of %s reads as %q", code, call.Op, a.Outcome)
			}
			if strings.Contains(string(a.Raw), "inner secret") {
				t.Errorf("%s: the inner error goes out: %s", code, a.Raw)
			}
		}
		if told := desk.ToldOf(); code != gateway.CodeCentreRefused && len(told) > 0 {
			t.Errorf("%s was reported as a final answer", code)
		}
	}
}

func (s suite) unforeseen(t *testing.T) {
	for _, err := range []error{errors.New("secret of the store"), &gateway.Error{Code: "made-up", Detail: "secret"}, (*gateway.Error)(nil)} {
		a := s.open(t, &Desk{Err: err}).Do(transact([]byte(TransactBody)))
		if a.Code != gateway.CodeInternal || a.Outcome != "" {
			t.Errorf("%T: the HIS reads %q %q, want internal", err, a.Code, a.Outcome)
		}
		if bytes.Contains(a.Raw, []byte("secret")) {
			t.Errorf("%T goes out: %s", err, a.Raw)
		}
	}
}

func (s suite) panics(t *testing.T) {
	desk := &Desk{Panic: "secret of a patient"}
	target := s.open(t, desk)
	for _, call := range []Call{transact([]byte(TransactBody)), open([]byte(BillBody)), {Op: OpSettlement, ID: "B1", Key: Key}} {
		a := target.Do(call)
		if a.Code != gateway.CodeInternal || a.Outcome != "" {
			t.Errorf("%s: the HIS reads %q %q, want internal", call.Op, a.Code, a.Outcome)
		}
		if s := string(a.Raw); strings.Contains(s, "secret") || strings.Contains(s, ".go") {
			t.Errorf("the panic goes out: %s", s)
		}
	}
	desk.Panic = nil
	if a := target.Do(transact([]byte(TransactBody))); a.Outcome != "done" {
		t.Errorf("after the panic: %+v", a)
	}
}
