package check

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// The checked-in schemas are exactly what the tables give: run go run ./schemas/check/gen.
func TestSchemaFilesFollowTheTables(t *testing.T) {
	_, cat := newChecker(t, Options{})
	want := Generate(cat)
	files, err := filepath.Glob("schema/*")
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(f)
		have[name] = true
		if text, ok := want[name]; !ok {
			t.Errorf("%s: nothing generates it", name)
		} else if string(text) != string(b) {
			t.Errorf("%s differs from the tables", name)
		}
	}
	for name := range want {
		if !have[name] {
			t.Errorf("%s is missing", name)
		}
	}
	if len(want) != 2*197 {
		t.Errorf("%d schemas, want 394", len(want))
	}
	if again := Generate(cat); !reflect.DeepEqual(want, again) {
		t.Error("two runs give different schemas")
	}
}

func TestRequestFindings(t *testing.T) {
	c, cat := newChecker(t, Options{})
	for _, k := range []struct {
		name string
		n    ident.Infno
		path string
		to   any
		want string
	}{
		{"nothing wrong", "2207", "data/invono", "INV1", ""},
		{"field missing", "2207", "data/psn_no", drop, "E field-missing /input/data/psn_no"},
		{"field null", "2207", "data/psn_no", nil, "E field-empty /input/data/psn_no"},
		{"field empty", "2207", "data/psn_no", "", "E field-empty /input/data/psn_no"},
		{"field blank", "2207", "data/psn_no", " \t", "E field-empty /input/data/psn_no"},
		{"field too long", "2207", "data/psn_no", strings.Repeat("9", 31), "E field-too-long /input/data/psn_no"},
		{"characters, not bytes", "2207", "data/psn_no", strings.Repeat("张", 30), ""},
		{"number for text", "2207", "data/psn_no", json.Number("1"), "E field-type /input/data/psn_no"},
		{"truth for text", "2207", "data/psn_no", true, "E field-type /input/data/psn_no"},
		{"object for text", "2207", "data/psn_no", map[string]any{}, "E field-type /input/data/psn_no"},
		{"list for a number", "2207", "data/medfee_sumamt", []any{}, "E field-type /input/data/medfee_sumamt"},
		{"optional null", "2207", "data/invono", nil, ""},
		{"optional empty", "2207", "data/invono", "", ""},
		{"optional number empty", "2204", "feedetail/0/prd_days", "", ""},
		{"optional number null", "2204", "feedetail/0/prd_days", nil, ""},
		{"free form object", "2207", "data/exp_content", map[string]any{"a": "b"}, ""},
		{"free form text", "2207", "data/exp_content", `{"a":1}`, ""},

		{"amount as text", "2207", "data/medfee_sumamt", "12.30", ""},
		{"amount with three decimals", "2207", "data/medfee_sumamt", json.Number("1.234"), "E amount-decimals /input/data/medfee_sumamt"},
		{"amount text with three decimals", "2207", "data/medfee_sumamt", "1.234", "E amount-decimals /input/data/medfee_sumamt"},
		{"amount with a third zero", "2207", "data/medfee_sumamt", json.Number("1.230"), "E amount-decimals /input/data/medfee_sumamt"},
		{"amount negative", "2207", "data/medfee_sumamt", json.Number("-0.01"), "E amount-negative /input/data/medfee_sumamt"},
		{"amount text negative", "2207", "data/medfee_sumamt", "-0.01", "E amount-negative /input/data/medfee_sumamt"},
		{"amount minus zero", "2207", "data/medfee_sumamt", json.Number("-0"), "E amount-negative /input/data/medfee_sumamt"},
		{"largest amount", "2207", "data/medfee_sumamt", json.Number("99999999999999.99"), ""},
		{"amount too large", "2207", "data/medfee_sumamt", json.Number("100000000000000"), "E amount-range /input/data/medfee_sumamt"},
		{"amount text too large", "2207", "data/medfee_sumamt", "100000000000000", "E amount-range /input/data/medfee_sumamt"},
		{"amount NaN", "2207", "data/medfee_sumamt", "NaN", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with a blank", "2207", "data/medfee_sumamt", " 12", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with an exponent", "2207", "data/medfee_sumamt", "1e3", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with a plus", "2207", "data/medfee_sumamt", "+1", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with a comma", "2207", "data/medfee_sumamt", "1,000.00", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with a bare dot", "2207", "data/medfee_sumamt", "1.", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount with a line end", "2207", "data/medfee_sumamt", "1\n", "E amount-syntax /input/data/medfee_sumamt"},
		{"amount empty", "2207", "data/medfee_sumamt", "", "E field-empty /input/data/medfee_sumamt"},
		{"price has six decimals", "2204", "feedetail/0/pric", json.Number("0.123456"), ""},
		{"price has seven", "2204", "feedetail/0/pric", json.Number("0.1234567"), "E amount-decimals /input/feedetail/0/pric"},
		{"negative quantity where refunds are rows", "2301", "feedetail/0/cnt", json.Number("-1"), ""},
		{"negative price there", "2301", "feedetail/0/pric", json.Number("-1"), "E amount-negative /input/feedetail/0/pric"},
		{"negative quantity elsewhere", "2204", "feedetail/0/cnt", "-1", "E amount-negative /input/feedetail/0/cnt"},
		{"two wrongs in one number", "2204", "feedetail/0/cnt", "-1.00001", "E amount-decimals /input/feedetail/0/cnt\nE amount-negative /input/feedetail/0/cnt"},

		{"time", "2204", "feedetail/0/fee_ocur_time", "2024-02-29 00:00:00", ""},
		{"time of another form", "2204", "feedetail/0/fee_ocur_time", "2024/02/29 00:00:00", "E field-format /input/feedetail/0/fee_ocur_time"},
		{"time without seconds", "2204", "feedetail/0/fee_ocur_time", "2024-02-29 00:00", "E field-format /input/feedetail/0/fee_ocur_time"},
		{"no such day", "2204", "feedetail/0/fee_ocur_time", "2026-02-29 00:00:00", "E date-invalid /input/feedetail/0/fee_ocur_time"},
		{"no such hour", "2204", "feedetail/0/fee_ocur_time", "2026-02-28 24:00:00", "E date-invalid /input/feedetail/0/fee_ocur_time"},
		{"date with a time", "2203", "mdtrtinfo/birctrl_matn_date", "2026-02-28 00:00:00", "E field-format /input/mdtrtinfo/birctrl_matn_date"},
		{"date empty", "2203", "mdtrtinfo/birctrl_matn_date", "", ""},
		{"time missing", "2204", "feedetail/0/fee_ocur_time", "", "E field-empty /input/feedetail/0/fee_ocur_time"},

		{"code unknown", "2207", "data/insutype", "999", "E code-unknown /input/data/insutype"},
		{"code of a region", "2207", "data/mdtrt_cert_type", "04", "W code-local /input/data/mdtrt_cert_type"},
		{"code of a region, grouped", "2207", "data/med_type", "140104", "W code-local /input/data/med_type"},
		{"code of an uncertain table", "2204", "feedetail/0/etip_flag", "7", "W code-unknown /input/feedetail/0/etip_flag"},
		{"code of a stub", "2204", "feedetail/0/tcmdrug_used_way", "7", ""},
		{"optional code empty", "2204", "feedetail/0/etip_flag", "", ""},

		{"node missing", "2207", "data", drop, "E node-missing /input/data"},
		{"node null", "2207", "data", nil, "E node-missing /input/data"},
		{"object where a list is wanted", "2204", "feedetail", map[string]any{}, "E node-type /input/feedetail"},
		{"list where an object is wanted", "2207", "data", []any{}, "E node-type /input/data"},
		{"text for a node", "2207", "data", "x", "E node-type /input/data"},
		{"empty list", "2204", "feedetail", []any{}, "E node-empty /input/feedetail"},
		{"row is no object", "2204", "feedetail/0", "x", "E node-type /input/feedetail/0"},
		{"row is null", "2204", "feedetail/0", nil, "E node-type /input/feedetail/0"},
		{"optional list null", "2207", "drug_trac_info", nil, ""},
		{"optional list empty", "2207", "drug_trac_info", []any{}, ""},
		{"optional list, row without", "2207", "drug_trac_info", []any{map[string]any{"feedetl_sn": "1", "drug_trac_codg": "1", "trdn_flag": "0"}},
			"E field-missing /input/drug_trac_info/0/min_prcunt_type"},
		{"undeclared field", "2207", "data/zzz", "x", "W field-undeclared /input/data/zzz"},
		{"undeclared node", "2207", "agnterinfo", map[string]any{"x": json.Number("1")}, "W field-undeclared /input/agnterinfo"},
		{"undeclared with odd name", "2207", "data/a~b", "x", "W field-undeclared /input/data/a~0b"},
		{"other case is another name", "2207", "data/PSN_NO", "x", "W field-undeclared /input/data/PSN_NO"},

		{"borrowed length", "2207", "data/exp_content", strings.Repeat("x", 5000), ""},
		{"borrowed amount: length is not enforced", "2102", "druginfo/medfee_sumamt", "1.2345", ""},
		{"borrowed amount: form is", "2102", "druginfo/medfee_sumamt", "abc", "E amount-syntax /input/druginfo/medfee_sumamt"},
		{"borrowed amount: sign is", "2102", "druginfo/medfee_sumamt", json.Number("-1"), "E amount-negative /input/druginfo/medfee_sumamt"},
		{"borrowed text as number", "2102", "druginfo/psn_no", json.Number("1"), ""},

		{"alternative node", "3301", "data", drop, "E node-missing /input/data"},
		{"nested row", "3101", "data/patient_dtos", []any{map[string]any{"fsi_encounter_dtos": map[string]any{}}}, ""},
	} {
		in := input(t, cat, k.n)
		set(t, in, k.path, k.to)
		got := short(c.Request(k.n, in))
		if k.name == "nested row" { // many members are missing there; the wrong shape must be told
			if !strings.Contains(got, "E node-type /input/data/patient_dtos/0/fsi_encounter_dtos") {
				t.Errorf("%s: %s", k.name, got)
			}
			continue
		}
		if got != k.want {
			t.Errorf("%s (%s %s):\n got %s\nwant %s", k.name, k.n, k.path, got, k.want)
		}
	}
}

func TestAlternativeNodes(t *testing.T) {
	c, cat := newChecker(t, Options{})
	x, _ := cat.Lookup("3301")
	n, _ := x.Node(catalog.Input, "catalogcompin")
	row := map[string]any{}
	for _, f := range n.Fields {
		if f.Required == catalog.Always {
			row[f.Code] = map[string]any{"date": "2026-01-01", "string": "x", "number": json.Number("1")}[f.Type]
		}
	}
	row["list_type"] = "101"
	in := map[string]any{"catalogcompin": []any{row}}
	if got := short(c.Request("3301", in)); got != "" {
		t.Errorf("the alternative alone: %s", got)
	}
	in["data"] = input(t, cat, "3301")["data"]
	if got := short(c.Request("3301", in)); got != "E node-both /input/catalogcompin" {
		t.Errorf("both: %s", got)
	}
}

func TestAliases(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := input(t, cat, "3503")
	info := in["purcinfo"].(map[string]any)
	delete(info, "prodentp_name")
	if got := short(c.Request("3503", in)); got != "E field-missing /input/purcinfo/prodentp_name" {
		t.Errorf("none: %s", got)
	}
	info["prodentpName"] = "x"
	if got := short(c.Request("3503", in)); got != "" {
		t.Errorf("alias: %s", got)
	}
	info["prodentpName"] = strings.Repeat("x", 5000)
	if got := onlyCodes(c.Request("3503", in)); len(got) != 1 || got[0] != CodeFieldTooLong {
		t.Errorf("alias too long: %v", got)
	}
}

func TestUnknownAndNotDescribed(t *testing.T) {
	c, cat := newChecker(t, Options{})
	for n, want := range map[ident.Infno]string{
		"0000": "E infno-unknown /input", "": "E infno-unknown /input", "2207B": "E infno-not-described /input",
	} {
		if got := short(c.Request(n, map[string]any{})); got != want {
			t.Errorf("%q: %s", n, got)
		}
	}
	for _, x := range cat.All() {
		if got := short(c.Request(x.Infno, "text")); x.Described() && got != "E node-type /input" {
			t.Errorf("%s: a text for input: %s", x.Infno, got)
		}
	}
}

// For every described transaction: the smallest good message passes, and without any one of its
// required members it does not, and the finding names that member.
func TestEveryTable(t *testing.T) {
	c, cat := newChecker(t, Options{})
	for _, x := range cat.All() {
		if !x.Described() {
			continue
		}
		if got := c.Request(x.Infno, sample(t, x.Input, false)); got != nil {
			t.Errorf("%s: %s", x.Infno, short(got))
		}
		for _, n := range x.Input {
			if n.Parent != "" || n.Required != catalog.Always {
				continue
			}
			for _, f := range n.Fields {
				if f.Required != catalog.Always || f.Assumed {
					continue
				}
				in := sample(t, x.Input, false)
				at, where := any(in), "/input"
				if n.Name != "" {
					at, where = in[n.Name], where+"/"+n.Name
				}
				if rows, ok := at.([]any); ok {
					at, where = rows[0], where+"/0"
				}
				delete(at.(map[string]any), f.Code)
				want := "E field-missing " + where + "/" + f.Code
				if f.Type == "array" {
					want = "E node-missing " + where + "/" + f.Code
				}
				if got := short(c.Request(x.Infno, in)); got != want {
					t.Errorf("%s without %s: got %s, want %s", x.Infno, f.Code, got, want)
				}
			}
		}
	}
}

func TestWords(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := input(t, cat, "2207")
	set(t, in, "data/psn_no", drop)
	set(t, in, "data/medfee_sumamt", "1.234")
	got := c.Request("2207", in)
	want := []Finding{
		{Code: "field-missing", Path: "/input/data/psn_no", Severity: Error, Rule: "必填",
			ZH: "人员编号 (psn_no) 必填", EN: "psn_no is required"},
		{Code: "amount-decimals", Path: "/input/data/medfee_sumamt", Severity: Error, Rule: "16,2",
			ZH: "医疗费总额 (medfee_sumamt) 小数位过多, 最多 2 位", EN: "medfee_sumamt has too many decimals, at most 2"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOptions(t *testing.T) {
	c, cat := newChecker(t, Options{
		Relax: map[ident.Infno][]string{"2207": {"data.psn_no", "data.medfee_sumamt", "data.med_type"}, "2204": {"feedetail"}},
		Codes: map[string][]string{"insutype": {"999"}, "med_type": {"140104"}},
	})
	for _, to := range []any{drop, nil, "", "  "} {
		in := input(t, cat, "2207")
		set(t, in, "data/psn_no", to)
		if to != "  " {
			set(t, in, "data/medfee_sumamt", to)
		}
		set(t, in, "data/insutype", "999")
		set(t, in, "data/med_type", "140104")
		if got := short(c.Request("2207", in)); got != "" {
			t.Errorf("relaxed, %v: %s", to, got)
		}
	}
	in := input(t, cat, "2207")
	set(t, in, "data/psn_no", strings.Repeat("9", 31))
	set(t, in, "data/insutype", "998")
	if got := short(c.Request("2207", in)); got != "E field-too-long /input/data/psn_no\nE code-unknown /input/data/insutype" {
		t.Errorf("relaxing is not accepting everything: %s", got)
	}
	for _, v := range []any{map[string]any{}, map[string]any{"feedetail": nil}, map[string]any{"feedetail": []any{}}} {
		if got := short(c.Request("2204", v)); got != "" {
			t.Errorf("relaxed node, %v: %s", v, got)
		}
	}
	for name, o := range map[string]Options{
		"transaction": {Relax: map[ident.Infno][]string{"0000": {"x"}}},
		"field":       {Relax: map[ident.Infno][]string{"2207": {"data.none"}}},
		"dictionary":  {Codes: map[string][]string{"none": {"1"}}},
	} {
		if _, err := New(cat, o); err == nil {
			t.Errorf("an option for no %s: accepted", name)
		}
	}
	if _, err := New(nil, Options{}); err == nil {
		t.Error("no catalogue: accepted")
	}
}

// A checker may be used by many at once; the first use compiles.
func TestConcurrentUse(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := input(t, cat, "2207")
	set(t, in, "data/psn_no", drop)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got := short(c.Request("2207", in)); got != "E field-missing /input/data/psn_no" {
					t.Error(got)
				}
			}
		})
	}
	wg.Wait()
}
