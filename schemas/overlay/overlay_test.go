package overlay_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"yiqiao/schemas/check"
	"yiqiao/schemas/overlay"
)

func read(t testing.TB, text string) *overlay.Overlay {
	t.Helper()
	o, err := overlay.Read("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func example(t testing.TB) *overlay.Overlay {
	t.Helper()
	b, err := os.ReadFile("../../examples/schema/next-year.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return read(t, string(b))
}

func row(time string, more ...string) map[string]any {
	m := map[string]any{"feedetl_sn": "F1", "mdtrt_id": "V1", "psn_no": "P1", "chrg_bchno": "C1", "rx_circ_flag": "0",
		"fee_ocur_time": time, "med_list_codg": "XZ99AAA001A001010100001", "medins_list_codg": "YP0101",
		"det_item_fee_sumamt": json.Number("37.01"), "cnt": json.Number("3"), "pric": json.Number("12.335"), "bilg_dept_codg": "A03.01", "bilg_dept_name": "呼吸内科门诊",
		"bilg_dr_codg": "D440100000001", "bilg_dr_name": "李医生", "hosp_appr_flag": "1"}
	for i := 0; i+1 < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

// Both editions live side by side: the day of the business decides, and after the change-over only the new one is left.
func TestBusinessDay(t *testing.T) {
	st, err := overlay.Editions([]*overlay.Overlay{example(t)}, "national")
	if err != nil {
		t.Fatal(err)
	}
	today := ""
	ck, err := check.New(st.Base, check.Options{Tables: st.Tables, Later: st.Later, Today: func() string { return today }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		today, rowTime string
		more           []string
		want           string // code and place of the first error, "" for none
		version        string
	}{
		{"2026-12-31", "2026-12-31 23:59:59", nil, "", "V1.0"},
		{"2026-12-31", "2026-12-31 23:59:59", []string{"rxno", strings.Repeat("9", 30)}, "", "V1.0"},
		{"2027-01-01", "2026-12-31 23:59:59", nil, "", "V1.0"},
		{"2027-01-01", "2027-01-01 00:00:00", nil, "field-missing /input/feedetail/0/prd_batch", "V1.1"},
		{"2027-01-01", "2027-01-01 00:00:00", []string{"prd_batch", "B1"}, "", "V1.1"},
		{"2027-01-01", "2027-01-01 00:00:00", []string{"prd_batch", "B1", "rxno", strings.Repeat("9", 21)}, "field-too-long /input/feedetail/0/rxno", "V1.1"},
		{"2027-01-31", "2026-12-31 08:00:00", nil, "", "V1.0"},
		{"2027-02-01", "2026-12-31 08:00:00", nil, "field-missing /input/feedetail/0/prd_batch", "V1.1"}, // the change-over is past
		{"2026-12-30", "2027-01-01 08:00:00", []string{"prd_batch", "B1"}, "", "V1.1"},
	} {
		today = c.today
		input := map[string]any{"feedetail": []any{row(c.rowTime, c.more...)}}
		got := ""
		for _, f := range ck.Request("2204", input) {
			if f.Severity == check.Error {
				got = f.Code + " " + f.Path
				break
			}
		}
		if got != c.want {
			t.Errorf("sent %s, charged %s %v: %q, want %q", c.today, c.rowTime, c.more, got, c.want)
		}
		if v := ck.Version("2204", input, "V1.0"); v != c.version {
			t.Errorf("sent %s, charged %s: version %s, want %s", c.today, c.rowTime, v, c.version)
		}
	}
	// Rows of both days in one message: it is as old as its oldest row.
	today = "2027-01-02"
	mixed := map[string]any{"feedetail": []any{row("2027-01-01 08:00:00"), row("2026-12-31 08:00:00")}}
	if v := ck.Version("2204", mixed, "V1.0"); v != "V1.0" {
		t.Errorf("mixed: %s", v)
	}
	// A message without a business day is of the day it is sent.
	if v := ck.Version("1101", map[string]any{"data": map[string]any{}}, "V1.0"); v != "V1.1" {
		t.Errorf("no day: %s", v)
	}
}

func TestDiff(t *testing.T) {
	old, err := overlay.Editions(nil, "")
	if err != nil {
		t.Fatal(err)
	}
	st, err := overlay.Editions([]*overlay.Overlay{example(t), read(t, `
overlay: more
from: 2027-06-01
transactions:
  "2204": {input: {feedetail: {remove: [dise_codg], change: [{code: cnt, type: string, length: "10"}, {code: prd_batch, required: false, length: "50"}]}}}
  "2206": {add_nodes: {input: [{node: extra, title: 附加, required: true, fields: [{code: a, name: 甲, required: true}]}, {node: may, title: 可选, fields: [{code: b}]}]}}
  "4298": {table: {name: 新交易, group: 其他, kind: query, confidence: low, input: [], output: []}}
`)}, "")
	if err != nil {
		t.Fatal(err)
	}
	oc, ot := old.Last()
	nc, nt := st.Last()
	var got []string
	for _, d := range overlay.Diff(oc, nc, ot, nt) {
		mark := ""
		if d.Breaks {
			mark = "!"
		}
		got = append(got, strings.Join(strings.Fields(mark+d.Kind+" "+d.What+" "+string(d.Infno)+" "+d.Node+" "+d.Field+" "+d.Dict+" "+d.Value+" "+d.Rule), " "))
	}
	want := []string{"!tightened field 2204 feedetail cnt type", "!tightened field 2204 feedetail rxno length", "!removed field 2204 feedetail dise_codg",
		"added field 2204 feedetail prd_batch", "!added node 2206 extra", "added node 2206 may", "!tightened field 2207 data invono required",
		"added transaction 4298", "!removed value med_type 14", "added value med_type 99"}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if same := overlay.Diff(oc, oc, ot, ot); len(same) > 0 {
		t.Errorf("an edition differs from itself: %v", same)
	}
}

// The union takes messages of every edition, and asks for nothing that one of them does not ask for.
func TestUnion(t *testing.T) {
	c, tables, err := overlay.Union([]*overlay.Overlay{example(t), read(t, "overlay: a\nfrom: 2027-02-01\nregions: [sichuan]\ntransactions: {\"2204\": {input: {feedetail: {remove: [rxno]}}}}")})
	if err != nil {
		t.Fatal(err)
	}
	ck, err := check.New(c, check.Options{Tables: tables})
	if err != nil {
		t.Fatal(err)
	}
	for _, more := range [][]string{nil, {"prd_batch", "B1"}, {"rxno", strings.Repeat("9", 30)}} {
		for _, f := range ck.Request("2204", map[string]any{"feedetail": []any{row("2026-12-31 08:00:00", more...)}}) {
			if f.Severity == check.Error {
				t.Errorf("%v: %+v", more, f)
			}
		}
	}
	for _, code := range []string{"14", "99"} {
		if _, ok := tables.Label("med_type", code); !ok {
			t.Errorf("med_type %s is gone", code)
		}
	}
}

func TestRegions(t *testing.T) {
	o := read(t, "overlay: a\nregions: [sichuan]\ntransactions: {\"2204\": {input: {feedetail: {add: [{code: x, required: true}]}}}}")
	for region, want := range map[string]bool{"sichuan": true, "national": false} {
		st, err := overlay.Editions([]*overlay.Overlay{o}, region)
		if err != nil {
			t.Fatal(err)
		}
		tx, _ := st.Base.Lookup("2204")
		n, _ := tx.Node("input", "feedetail")
		if _, there := n.Field("x"); there != want {
			t.Errorf("%s: %v", region, there)
		}
	}
}

func TestFaults(t *testing.T) {
	for name, c := range map[string][2]string{
		"unknown key":       {"overlay: a\nfrm: x", "frm"},
		"no name":           {"about: x", "a name"},
		"day":               {"overlay: a\nfrom: 2027-13-01", "days"},
		"until before":      {"overlay: a\nfrom: 2027-02-01\nold_until: 2027-01-01", "days"},
		"until alone":       {"overlay: a\nold_until: 2027-01-01", "days"},
		"number":            {"overlay: a\ntransactions: {x: {}}", "not a number"},
		"two documents":     {"overlay: a\n---\noverlay: b", "more than one"},
		"not YAML":          {"{", "overlay x.yaml"},
		"no transaction":    {"overlay: a\ntransactions: {\"9999\": {input: {data: {remove: [a]}}}}", "under table"},
		"no node":           {"overlay: a\ntransactions: {\"2204\": {input: {nodata: {remove: [a]}}}}", `no node "nodata"`},
		"no field":          {"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {remove: [nofield]}}}}", `no field "nofield" to remove`},
		"change no field":   {"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {change: [{code: nofield, length: \"1\"}]}}}}", `no field "nofield" to change`},
		"field twice":       {"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {add: [{code: cnt}]}}}}", `field "cnt" is there`},
		"type":              {"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {add: [{code: x, type: float}]}}}}", `type "float"`},
		"required":          {"overlay: a\ntransactions: {\"2204\": {input: {feedetail: {add: [{code: x, required: perhaps}]}}}}", "perhaps"},
		"table of old":      {"overlay: a\ntransactions: {\"2204\": {table: {name: x}}}", "there already"},
		"dictionary":        {"overlay: a\ndictionaries: {nodict: {add: {a: b}}}", "needs a name"},
		"value":             {"overlay: a\ndictionaries: {med_type: {remove: [nope]}}", `no value "nope"`},
		"business day":      {"overlay: a\nbusiness_day: {\"9999\": a.b}", "no transaction 9999"},
		"node there":        {"overlay: a\ntransactions: {\"2204\": {add_nodes: {input: [{node: feedetail}]}}}", "there already"},
		"parent not there":  {"overlay: a\ntransactions: {\"2204\": {add_nodes: {input: [{node: x, parent: y}]}}}", "parent"},
		"whole table wrong": {"overlay: a\ntransactions: {\"4298\": {table: {name: x, kind: magic}}}", "magic"},
	} {
		o, err := overlay.Read("x.yaml", []byte(c[0]))
		if err == nil {
			_, err = overlay.Editions([]*overlay.Overlay{o}, "")
		}
		if err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, want %q", name, err, c[1])
		}
	}
}

func FuzzRead(f *testing.F) {
	b, err := os.ReadFile("../../examples/schema/next-year.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("overlay: a\ntransactions: {\"4298\": {table: {name: [1, {a: ~}]}}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := overlay.Read("x.yaml", b); err == nil && len(o.Transactions) > 0 {
			_, _ = overlay.Editions([]*overlay.Overlay{o}, "")
		}
	})
}
