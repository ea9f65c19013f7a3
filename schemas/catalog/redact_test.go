package catalog

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestMemberClasses(t *testing.T) {
	c := load(t)
	for name, want := range map[string]class{
		"mdtrt_cert_no": credential, "mdtrtCertNo": credential, "MDTRT_CERT_NO": credential, "card_sn": credential,
		"ecToken": credential, "ec_token": credential, "cardno": credential, "password": credential,
		"psn_name": personal, "psnName": personal, "certno": personal, "tel": personal, "psn_no": personal, "coner_addr": personal,
		"exp_content": freeForm, "expContent": freeForm,
		"mdtrt_cert_type": plain, "psn_cert_type": plain, "medfee_sumamt": plain, "payToken": plain, "dept_name": plain, "": plain,
	} {
		if got := c.class(name); got != want {
			t.Errorf("%q: class %d, want %d", name, got, want)
		}
	}
}

// No member the tables label as certificate, telephone, address or token may be left unclassified.
func TestLabelsAgreeWithClasses(t *testing.T) {
	c := load(t)
	harmless := map[string]bool{ // of an institution, a department, a document or an order
		"dept_resper_tel": true,
	}
	for _, x := range c.All() {
		for _, d := range []Direction{Input, Output} {
			for _, n := range x.Nodes(d) {
				for _, f := range n.Fields {
					for _, word := range []string{"电话", "证件号", "身份证号", "凭证编号", "卡号", "住址", "联系地址", "户口地址"} {
						if strings.Contains(f.Name, word) && c.class(f.Code) == plain && !harmless[f.Code] {
							t.Errorf("%s %s.%s %s is neither credential nor personal", x.Infno, n.Name, f.Code, f.Name)
						}
					}
				}
			}
		}
	}
}

func TestRedactAndMask(t *testing.T) {
	c := load(t)
	in := map[string]any{
		"data": map[string]any{
			"psn_no": "410000000000123", "psn_name": "张小三", "mdtrt_cert_no": "secret-1", "card_sn": "",
			"medfee_sumamt": json.Number("12.30"), "tel": json.Number("13800000000"), "certno": nil,
			"exp_content": `{"card_token":"secret-2"}`, "expContent": "plain words",
			"rows":    []any{map[string]any{"ecToken": []any{"secret-3"}, "ec_token": map[string]any{"x": "secret-4"}, "addr": "A"}, "text", nil, true},
			"extData": map[string]any{"card_token": "secret-5", "keep": "this"},
		},
	}
	before, _ := json.Marshal(in)
	cut := c.Redact(in).(map[string]any)["data"].(map[string]any)
	text, _ := json.Marshal(cut)
	if strings.Contains(string(text), "secret") {
		t.Fatalf("a credential is left: %s", text)
	}
	want := map[string]any{
		"psn_no": "410000000000123", "psn_name": "张小三", "mdtrt_cert_no": Redacted, "card_sn": "",
		"medfee_sumamt": json.Number("12.30"), "tel": json.Number("13800000000"), "certno": nil,
		"exp_content": Redacted, "expContent": "plain words",
		"rows":    []any{map[string]any{"ecToken": Redacted, "ec_token": Redacted, "addr": "A"}, "text", nil, true},
		"extData": map[string]any{"card_token": Redacted, "keep": "this"},
	}
	if !reflect.DeepEqual(cut, want) {
		t.Errorf("redacted %v\nwant     %v", cut, want)
	}
	shown := c.Mask(in).(map[string]any)["data"].(map[string]any)
	for member, want := range map[string]any{
		"psn_no": "4***3", "psn_name": "张***", "tel": "1***0", "mdtrt_cert_no": Redacted, "certno": nil,
		"medfee_sumamt": json.Number("12.30"), "exp_content": Redacted,
	} {
		if shown[member] != want {
			t.Errorf("masked %s: %v, want %v", member, shown[member], want)
		}
	}
	if a := shown["rows"].([]any)[0].(map[string]any)["addr"]; a != "***" {
		t.Errorf("one character is shown: %v", a)
	}
	if m := c.Mask(map[string]any{"exp_content": `{"psn_name":"张小三"}`}).(map[string]any)["exp_content"]; m != "***" {
		t.Errorf("a name in a free text is shown: %v", m)
	}
	if after, _ := json.Marshal(in); string(after) != string(before) {
		t.Error("the value itself was changed")
	}
	cut["rows"].([]any)[1] = "changed"
	if in["data"].(map[string]any)["rows"].([]any)[1] != "text" {
		t.Error("the copy is not deep")
	}
}

func TestRedactLeavesOtherValues(t *testing.T) {
	c := load(t)
	for _, v := range []any{nil, true, "x", json.Number("1"), []any(nil), map[string]any(nil), 5} {
		if got := c.Redact(v); !reflect.DeepEqual(got, v) {
			t.Errorf("%#v became %#v", v, got)
		}
	}
}

func BenchmarkRedact2204x100(b *testing.B) {
	c := load(b)
	x, _ := c.Lookup("2204")
	n, _ := x.Node(Input, "feedetail")
	var rows []any
	for range 100 {
		row := map[string]any{}
		for _, f := range n.Fields {
			row[f.Code] = "value"
		}
		rows = append(rows, row)
	}
	v := map[string]any{"feedetail": rows}
	b.ReportAllocs()
	for b.Loop() {
		c.Redact(v)
	}
}
