package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
)

// toy is a notation for tests: members of maps, with dots; a list is walked by Each. "up." looks in
// the whole document.
type toy struct{}

func (toy) Name() string { return "toy" }
func (toy) Compile(p string) (gateway.Path, error) {
	if p == "" || strings.Contains(p, " ") {
		return nil, errors.New("not a path")
	}
	return toyPath(strings.Split(p, ".")), nil
}

type toyPath []string

func (p toyPath) find(scope any) any {
	for _, n := range p {
		if n == "_" {
			return scope
		}
		m, _ := scope.(map[string]any)
		scope = m[n]
	}
	return scope
}

func (p toyPath) Value(scope any) (string, bool) {
	v := p.find(scope)
	s, ok := v.(string)
	return s, ok || v == nil && false
}

func (p toyPath) All(scope any) (out []string) {
	for _, e := range (p[:1]).Each(scope) {
		s, _ := toyPath(p[1:]).Value(e)
		out = append(out, s)
	}
	return out
}

func (p toyPath) Each(scope any) []any {
	l, _ := p.find(scope).([]any)
	return l
}

type o = map[string]any

func options(t testing.TB) Options {
	t.Helper()
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := codes.Default()
	if err != nil {
		t.Fatal(err)
	}
	items, err := ReadItems("items.csv", []byte("local_code,national_code,name,valid_from,valid_to\n"+
		"L1,N1,甲,,2026-06-30\nL1,N2,乙,2026-07-01,\nL2,N3,丙,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Catalog: cat, Tables: tables, Notations: []gateway.Notation{toy{}}, Items: items}
}

const confirmText = `mapping: t
version: "1"
source: toy
tables:
  way: {dict: psn_setlway, values: {all: "01", item: "02"}}
events:
  confirm:
    type: done
    when: at("kind") == "out"
    do: settlement.confirm
    of: {expr: '"OP-" + at("bill")'}
    set:
      request_id: no
      operator.id: clerk.no
      operator.name: clerk.name
      invono: {from: invoice, default: "none"}
      expect_cash: {from: cash, format: fen}
`

func load(t testing.TB, text string) *Definition {
	t.Helper()
	d, err := Load("t.yaml", []byte(text), nil, options(t))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// without cuts the table nobody uses out of confirmText.
func confirmDefinition() string {
	return strings.Replace(confirmText, "tables:\n  way: {dict: psn_setlway, values: {all: \"01\", item: \"02\"}}\n", "", 1)
}

func TestMap(t *testing.T) {
	d := load(t, confirmDefinition())
	got, err := d.Map(gateway.Source{Notation: "toy", Type: "done", Scope: o{"kind": "out", "bill": "77", "no": "M1", "cash": "1230",
		"clerk": o{"no": " 01 ", "name": "王　"}}})
	if err != nil {
		t.Fatal(err)
	}
	want := []gateway.Order{{Op: gateway.OrderConfirm, Of: "OP-77", Body: o{
		"request_id": "M1", "operator": o{"id": "01", "name": "王"}, "invono": "none", "expect_cash": "12.30"}}}
	if !reflect.DeepEqual(got.Orders, want) {
		t.Errorf("got  %+v\nwant %+v", got.Orders, want)
	}
	if got.Rule != "confirm" || !strings.HasPrefix(got.Version, "t@1 (") {
		t.Errorf("%q %q", got.Rule, got.Version)
	}
}

// Everything wrong with a definition is told with its line.
func TestLoadFaults(t *testing.T) {
	bill := func(lines string) string {
		return "mapping: t\nversion: \"1\"\nsource: toy\nevents:\n  e:\n    type: x\n" + lines
	}
	charge := func(rule string) string {
		return bill("    do: stay.charge\n    of: b\n    set:\n      request_id: a\n      operator.id: a\n      operator.name: a\n" +
			"      fees:\n        each: rows\n        set:\n          id: a\n          code: a\n          local_code: a\n          quantity: a\n          price: a\n" +
			"          amount: a\n          department.code: a\n          department.name: a\n          doctor.code: a\n          doctor.name: a\n          " + rule + "\n")
	}
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "a: [", "not YAML"},
		{"unknown key", "mapping: t\nversion: \"1\"\nsource: toy\ncolour: red\n", "4: 未知的键 colour"},
		{"key twice", "mapping: t\nmapping: u\n", "2: 重复或不可用的键"},
		{"no version", "mapping: t\nsource: toy\n", "version is missing"},
		{"no name", "version: \"1\"\nsource: toy\n", "mapping (its name) is missing"},
		{"source", "mapping: t\nversion: \"1\"\nsource: morse\n", `3: 未知的来源 "morse"`},
		{"no events", "mapping: t\nversion: \"1\"\nsource: toy\n", "there are no events"},
		{"operation", bill("    do: settlement.burn\n    set: {a: b}\n"), `no operation "settlement.burn"`},
		{"infno", bill("    do: transact\n    infno: \"9999X\"\n    set: {a: b}\n"), `no transaction "9999X"`},
		{"infno not described", bill("    do: transact\n    infno: \"1320\"\n    set: {request_id: a}\n"), "the fields of 1320 are not described"},
		{"both of and id", bill("    do: settlement\n    of: a\n    id: b\n"), "needs one of"},
		{"unknown target", charge("time: a\n          tiem: a"), "27: 没有目标字段 tiem (可用: t"},
		{"target twice", charge("time: a\n          time: b"), "27: 重复或不可用的键"},
		{"object as a whole", charge("time: a\n          rxno.a: b"), "rxno is not an object"},
		{"required", charge("rxno: a"), "15: 必填目标没有来源: time"},
		{"literal date", charge("time: =tomorrow"), "26: time: \"tomorrow\" 不符合 datetime"},
		{"literal too long", charge("time: a\n          rxno: =" + strings.Repeat("x", 31)), "27: rxno"},
		{"default not a number", charge("time: a\n          extra.prd_days: {from: a, default: x, map: none}"), "no table none"},
		{"path", charge("time: a\n          rxno: a b"), `27: 来源路径 "a b"`},
		{"two ways", charge("time: {from: a, value: b}"), "exactly one of"},
		{"format", charge("time: {from: a, format: fen}"), `format "fen" is not for datetime`},
		{"item without day", charge("time: a\n          name: {from: a, item: name}"), "item needs on"},
		{"item of what", charge("time: a\n          name: {from: a, item: colour, on: b}"), "item must be code or name"},
		{"expression", charge("time: {expr: 'at(\"a\") +'}"), "26: 表达式"},
		{"expression with floats", charge("time: {expr: 'string(float(at(\"a\")))'}"), "26: 表达式"},
		{"expression with now", charge("time: {expr: 'string(now())'}"), "26: 表达式"},
		{"path in an expression", charge("time: {expr: 'at(\"a b\")'}"), `26: 来源路径 "a b"`},
		{"path that is not a literal", charge("time: {expr: 'at(at(\"a\"))'}"), "literal text"},
		{"condition that is text", charge("time: {from: a, when: '\"x\"'}"), "26: 表达式"},
		{"list without each", bill("    do: stay.charge\n    of: b\n    set:\n      fees: a\n"), "fees 是列表"},
		{"each for a value", charge("time: {each: a, from: b}"), "time 不是列表"},
		{"dictionary", strings.Replace(confirmText, `"02"`, `"x9"`, 1), `"x9" is not in dictionary psn_setlway`},
		{"table nobody uses", confirmText, "5: 对照表 way 没有被使用"},
		{"unknown dictionary", strings.Replace(confirmText, "psn_setlway", "no_such", 1), "no dictionary no_such"},
		{"ignore and do", bill("    ignore: yes\n    do: settlement\n    id: a\n"), "either ignore or do"},
		{"event that does nothing", bill(""), "has no do"},
		{"extends without a base", confirmDefinition() + "extends: other\n", "can not be extended"},
		{"literal not in the dictionary", bill("    do: settlement.open\n    set:\n      visit.med_type: =\"zz\"\n"), `"zz" is not in dictionary med_type`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load("t.yaml", []byte(c.text), nil, options(t))
			var e Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %q", err, c.want)
			}
		})
	}
}

const uploadText = `mapping: up
version: "1"
source: toy
tables:
  sex: {dict: gend, values: {M: "1", F: "2"}}
events:
  person:
    type: p*
    do: transact
    infno: "1101"
    set:
      request_id: no
      operator.id: =1
      operator.name: =甲
      input.data.mdtrt_cert_type: ="02"
      input.data.mdtrt_cert_no: card
      input.data.certno: {from: card, when: 'len(at("card")) == 18'}
      input.data.psn_name: {expr: 'family(at("name")) + given(at("name"))'}
      input.data.begntime: when
  fees:
    type: fees
    orders:
      - do: stay.charge
        of: stay
        each: rows
        when: at("skip") != "y"
        set:
          request_id: no
          operator.id: =1
          operator.name: =甲
          fees:
            each: _all
            set:
              id: id
              code: {from: code, item: code, on: day}
              local_code: code
              name: {from: code, item: name, on: day, default: "?"}
              quantity: {from: n}
              price: p
              amount: {expr: 'product(at("n"), at("p"))'}
              time: day
              department.code: =1
              department.name: =内科
              doctor.code: =1
              doctor.name: =甲
              extra.etip_flag: {from: sex, map: sex}
  noise:
    type: noise
    ignore: of no interest
`

func TestTransact(t *testing.T) {
	d := load(t, uploadText)
	s := gateway.Source{Notation: "toy", Type: "person", Scope: o{"no": "1", "card": "99999919850312001X", "name": "欧阳测试", "when": "202603040506"}}
	got, err := d.Map(s)
	if err != nil {
		t.Fatal(err)
	}
	want := o{"request_id": "1", "operator": o{"id": "1", "name": "甲"}, "input": o{"data": o{"mdtrt_cert_type": "02",
		"mdtrt_cert_no": "99999919850312001X", "certno": "99999919850312001X", "psn_name": "欧阳测试", "begntime": "2026-03-04 05:06:00"}}}
	if !reflect.DeepEqual(got.Orders[0].Body, want) {
		t.Errorf("got  %v\nwant %v", got.Orders[0].Body, want)
	}
	text, err := json.Marshal(d.Trace(s))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"99999919850312001X", "欧阳"} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the trace holds %s: %s", secret, text)
		}
	}
	for _, part := range []string{`"target":"/input/data/psn_name","rule":"t.yaml:18","source":"name name","value":"欧***"`,
		`"target":"/input/data/mdtrt_cert_no","rule":"t.yaml:16","source":"card","value":"[cut out]"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the trace has no %s: %s", part, text)
		}
	}
}

func row(code, day, n, p, sex string) o {
	return o{"stay": "S", "no": "1", "_all": []any{o{"id": "1", "code": code, "day": day, "n": n, "p": p, "sex": sex}}}
}

func TestRows(t *testing.T) {
	d := load(t, uploadText)
	for _, c := range []struct {
		name            string
		row             o
		code, path      string
		national, local string
	}{
		{"before the change", row("L1", "2026-06-30 23:59:59", "2.0000", "1.5", "M"), "", "", "N1", "甲"},
		{"after the change", row("L1", "20260701", "2", "1.5", "M"), "", "", "N2", "乙"},
		{"open end", row("L2", "2030-01-01", "2", "1.5", "M"), "", "", "N3", "丙"},
		{"no such item", row("L9", "2026-01-01", "2", "1.5", "M"), CodeItem, "/fees/0/code", "", ""},
		{"no such day", row("L1", "2026-02-30", "2", "1.5", "M"), CodeItem, "/fees/0/code", "", ""},
		{"a quantity of five decimals", row("L1", "20260701", "2.00001", "1.5", "M"), check.CodeAmountDecimals, "/fees/0/quantity", "", ""},
		{"a quantity in words", row("L1", "20260701", "two", "1.5", "M"), CodeForm, "/fees/0/quantity", "", ""},
		{"not in the table", row("L1", "20260701", "2", "1.5", "X"), CodeUnlisted, "/fees/0/extra/etip_flag", "", ""},
		{"a price missing", row("L1", "20260701", "2", "", "M"), check.CodeFieldMissing, "/fees/0/price", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := gateway.Source{Notation: "toy", Type: "fees", Scope: o{"rows": []any{c.row, o{"skip": "y"}}}}
			got, err := d.Map(s)
			if c.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				if len(got.Orders) != 1 {
					t.Fatalf("%d orders", len(got.Orders))
				}
				fee := got.Orders[0].Body["fees"].([]any)[0].(o)
				if fee["code"] != c.national || fee["name"] != c.local || fee["amount"] != "3.00" {
					t.Errorf("%v", fee)
				}
				return
			}
			var e *gateway.Error
			if !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid || e.Findings[0].Code != c.code && !has(e.Findings, c.code, c.path) {
				t.Fatalf("%+v", err)
			}
			if !has(e.Findings, c.code, c.path) {
				t.Errorf("findings %+v", e.Findings)
			}
		})
	}
}

func has(list []check.Finding, code, path string) bool {
	for _, f := range list {
		if f.Code == code && f.Path == path && f.ZH != "" && f.Severity == check.Error {
			return true
		}
	}
	return false
}

func TestEvents(t *testing.T) {
	d := load(t, uploadText)
	got, err := d.Map(gateway.Source{Notation: "toy", Type: "noise"})
	if err != nil || len(got.Orders) != 0 || got.Rule != "noise" {
		t.Errorf("%+v %v", got, err)
	}
	var e *gateway.Error
	if _, err := d.Map(gateway.Source{Notation: "toy", Type: "other"}); !errors.As(err, &e) || e.Findings[0].Code != CodeNoEvent {
		t.Errorf("%v", err)
	}
	if _, err := d.Map(gateway.Source{Notation: "hl7", Type: "noise"}); !errors.As(err, &e) || e.Code != gateway.CodeInternal {
		t.Errorf("%v", err)
	}
}

// A hospital changes single targets of a shipped definition.
func TestExtends(t *testing.T) {
	shipped := fstest.MapFS{"up/mapping.yaml": {Data: []byte(uploadText)}, "t/mapping.yaml": {Data: []byte(confirmDefinition())}}
	text := `mapping: ours
version: "2"
extends: up
tables:
  sex: {dict: gend, values: {"1": "1"}}
events:
  extra: {type: person2, ignore: ours}
  person:
    set:
      input.data.psn_name: other
      input.data.card_sn: sn
`
	d, err := Load("ours.yaml", []byte(text), Folder(shipped), options(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.Map(gateway.Source{Notation: "toy", Type: "person", Scope: o{"no": "1", "card": "1", "other": "乙", "sn": "9"}})
	if err != nil {
		t.Fatal(err)
	}
	data := got.Orders[0].Body["input"].(o)["data"].(o)
	if data["psn_name"] != "乙" || data["card_sn"] != "9" || data["mdtrt_cert_no"] != "1" {
		t.Errorf("%v", data)
	}
	if got, err := d.Map(gateway.Source{Notation: "toy", Type: "person2"}); err != nil || got.Rule != "extra" {
		t.Errorf("%+v %v", got, err)
	}
	base := load(t, uploadText)
	if base.Digest == d.Digest || d.Source != "toy" {
		t.Errorf("%s %s", d.Digest, d.Source)
	}
	if _, err := Load("x.yaml", []byte("mapping: x\nversion: \"1\"\nextends: nobody\n"), Folder(shipped), options(t)); err == nil {
		t.Error("a base that is not there was found")
	}
	loop := fstest.MapFS{"a/mapping.yaml": {Data: []byte("mapping: a\nextends: a\n")}}
	if _, err := Load("x.yaml", []byte("mapping: x\nversion: \"1\"\nextends: a\n"), Folder(loop), options(t)); err == nil {
		t.Error("a definition extends itself")
	}
}

func TestCoverage(t *testing.T) {
	d := load(t, confirmDefinition())
	hits := make([]int, len(d.Rules()))
	d.Covered(gateway.Source{Notation: "toy", Type: "done", Scope: o{"kind": "out", "bill": "1", "no": "M1", "clerk": o{"no": "1", "name": "王"}}}, hits)
	var missed []string
	for i, r := range d.Rules() {
		if hits[i] == 0 {
			missed = append(missed, fmt.Sprint(r.Target, r.Line))
		}
	}
	if fmt.Sprint(missed) != "[expect_cash15]" {
		t.Errorf("not covered: %v", missed)
	}
}

// A message can not do more than a message: huge lists, odd values and broken expressions are findings.
func TestHostile(t *testing.T) {
	d := load(t, uploadText)
	many := make([]any, maxRows+1)
	for i := range many {
		many[i] = o{}
	}
	var e *gateway.Error
	if _, err := d.Map(gateway.Source{Notation: "toy", Type: "fees", Scope: o{"rows": many}}); !errors.As(err, &e) || !has(e.Findings, CodeTooMany, "") {
		t.Errorf("%v", err)
	}
	one := o{"rows": []any{o{"stay": "S", "no": "1", "_all": many}}}
	if _, err := d.Map(gateway.Source{Notation: "toy", Type: "fees", Scope: one}); !errors.As(err, &e) || !has(e.Findings, CodeTooMany, "/fees") {
		t.Errorf("%v", err)
	}
	bad := row("L1", "20260701", strings.Repeat("9", 40), "1", "M")
	if _, err := d.Map(gateway.Source{Notation: "toy", Type: "fees", Scope: o{"rows": []any{bad}}}); !errors.As(err, &e) || !has(e.Findings, CodeExpression, "/fees/0/amount") {
		t.Errorf("%+v", err)
	}
	many = many[:maxRows]
	if _, err := d.Map(gateway.Source{Notation: "toy", Type: "fees", Scope: o{"rows": []any{o{"stay": "S", "no": "1", "_all": many}}}}); !errors.As(err, &e) || len(e.Findings) > maxFindings {
		t.Errorf("%v", err)
	}
}

// Every member of every operation is described, and nothing is described that is not there.
func TestTargetsAreComplete(t *testing.T) {
	cat := options(t).Catalog
	tg, err := newTargets(cat)
	if err != nil {
		t.Fatal(err)
	}
	for op := range operations {
		if _, err := tg.form(op, "1101"); err != nil {
			t.Error(op, err)
		}
	}
	for name := range tg.used {
		if _, ok := tg.refs[name]; !ok {
			t.Errorf("targets.yaml says nothing of %s", name)
		}
	}
	for name := range tg.refs {
		if !tg.used[name] {
			t.Errorf("targets.yaml describes %s, which no operation has", name)
		}
	}
	for _, tx := range cat.All() {
		if !tx.Described() || len(tx.Input) == 0 {
			continue
		}
		if _, err := tg.form(gateway.OrderTransact, tx.Infno); err != nil {
			t.Error(tx.Infno, err)
		}
	}
}
