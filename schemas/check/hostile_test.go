package check

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"yiqiao/schemas/ident"
)

// Values that do not come from a strict reading of JSON must neither panic nor take long.
func TestForeignValues(t *testing.T) {
	c, cat := newChecker(t, Options{})
	deep := any("x")
	for range 200 {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"float": 1.5, "integer": 7, "struct": struct{}{}, "typed map": map[string]string{"a": "b"}, "pointer": new(int),
		"NaN": json.Number("NaN"), "empty number": json.Number(""), "huge exponent": json.Number("1e1000001"),
		"exponent": json.Number("1e3"), "long": json.Number(strings.Repeat("9", 1<<20)), "hexadecimal": json.Number("0x1F"),
		"fraction": json.Number("1/3"), "leading zero": json.Number("01"), "deep": deep,
	} {
		for _, place := range []string{"data/medfee_sumamt", "data/psn_no", "data/unknown", "other"} {
			in := input(t, cat, "2207")
			set(t, in, place, v)
			got := c.Request("2207", in)
			if len(got) != 1 || got[0].Severity != Error {
				t.Errorf("%s at %s: %s", name, place, short(got))
			}
			if name != "exponent" {
				if got := c.Reply("2207", map[string]any{"setlinfo": map[string]any{"medfee_sumamt": v}}); len(got) == 0 {
					t.Errorf("%s in a reply: accepted", name)
				}
				if got := c.Amounts("2207", map[string]any{"setlinfo": map[string]any{"medfee_sumamt": v}}); len(got) == 0 {
					t.Errorf("%s in amounts: accepted", name)
				}
			}
		}
	}
	if got := c.Request("2207", map[string]any(nil)); short(got) != "E node-missing /input/data" {
		t.Errorf("nil map: %s", short(got))
	}
	if got := c.Request("2204", map[string]any{"feedetail": []any(nil)}); short(got) != "E node-empty /input/feedetail" {
		t.Errorf("nil list: %s", short(got))
	}
}

func TestManyFindingsAreCapped(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := fees(t, cat, 300)
	rows := in["feedetail"].([]any)
	for i := range rows {
		row := rows[i].(map[string]any)
		row["hosp_appr_flag"] = "7"                         // error
		row["etip_flag"] = "7"                              // warning
		row[fmt.Sprintf("zz%d", i)] = "undeclared each row" // warning
		row["same"] = "undeclared, told once"
	}
	got := c.Request("2204", in)
	if len(got) != 100 || got[99].Code != CodeMore || got[99].Severity != Error {
		t.Fatalf("%d findings, last %+v", len(got), got[len(got)-1])
	}
	for i, f := range got[:99] {
		if want := fmt.Sprintf("/input/feedetail/%d/hosp_appr_flag", i); f.Path != want {
			t.Fatalf("finding %d is %s %s, want %s", i, f.Code, f.Path, want)
		}
	}
	for i := range rows {
		rows[i].(map[string]any)["hosp_appr_flag"] = "1"
	}
	rows[290].(map[string]any)["psn_no"] = strings.Repeat("x", 31)
	rows[295].(map[string]any)["cnt"] = "-1"
	delete(rows[299].(map[string]any), "pric")
	got = c.Request("2204", in)
	text := short(got)
	for _, want := range []string{"E field-too-long /input/feedetail/290/psn_no", "E amount-negative /input/feedetail/295/cnt", "E field-missing /input/feedetail/299/pric"} {
		if !strings.Contains(text, want) {
			t.Errorf("errors behind many warnings are lost: %s", want)
		}
	}
	if len(got) != 100 || got[99].Code != CodeMore || got[99].Severity != Warning {
		t.Errorf("%d findings, last %+v", len(got), got[len(got)-1])
	}
	if n := strings.Count(text, "/same"); n != 1 {
		t.Errorf("the same undeclared member is told %d times", n)
	}
}

// The same message gives the same findings, whatever the order of maps.
func TestFindingsAreStable(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := fees(t, cat, 450)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, r := range in["feedetail"].([]any) {
		row := r.(map[string]any)
		for name := range row {
			switch rng.IntN(60) {
			case 0:
				delete(row, name)
			case 1:
				row[name] = ""
			case 2:
				row[name] = []any{}
			case 3:
				row["x_"+name] = "x"
			}
		}
	}
	want := short(c.Request("2204", in))
	for range 5 {
		fresh, _ := newChecker(t, Options{})
		if got := short(fresh.Request("2204", in)); got != want {
			t.Fatalf("first\n%s\nthen\n%s", want, got)
		}
	}
}

// Pieces of a long list give what the whole would: every planted fault is found at its row.
func TestLongListsArePiecedTogether(t *testing.T) {
	c, cat := newChecker(t, Options{})
	for _, row := range []int{0, 199, 200, 201, 399, 400, 999} {
		in := fees(t, cat, 1000)
		delete(in["feedetail"].([]any)[row].(map[string]any), "psn_no")
		want := fmt.Sprintf("E field-missing /input/feedetail/%d/psn_no", row)
		if got := short(c.Request("2204", in)); got != want {
			t.Errorf("row %d: %s", row, got)
		}
	}
	var list []any
	for range 500 {
		list = append(list, map[string]any{"cnt": "1"})
	}
	list[450] = map[string]any{"cnt": map[string]any{}}
	if got := short(c.Reply("5204", list)); got != "E field-type /output/450/cnt" {
		t.Errorf("a long output: %s", got)
	}
}

// A message of nothing but faults is refused after its first piece, and a record with too many rows
// inside is not looked into.
func TestMessagesFullOfFaults(t *testing.T) {
	c, cat := newChecker(t, Options{})
	var junk []any
	for range 1 << 17 {
		junk = append(junk, json.Number("0"))
	}
	full := map[string]any{"feedetail": junk}
	if got := c.Request("2204", full); len(got) != 100 {
		t.Errorf("%d findings", len(got))
	}
	r := run{root: "/input", side: c.requests["2204"], strict: true}
	if r.look(full); len(r.out.list) > 2*rowsAtOnce {
		t.Errorf("%d faults were looked at, one piece is enough", len(r.out.list))
	}
	for _, v := range []any{
		map[string]any{"patient_dtos": junk},
		map[string]any{"patient_dtos": []any{map[string]any{"fsi_encounter_dtos": junk}}},
	} {
		in := input(t, cat, "3101")
		in["data"] = v
		if got := short(c.Request("3101", in)); !strings.Contains(got, "E node-too-long /input/data") {
			t.Errorf("nested junk: %s", got)
		}
	}
	in := input(t, cat, "2204")
	in["feedetail"].([]any)[0].(map[string]any)["exp_content"] = junk
	if got := short(c.Request("2204", in)); got != "E node-too-long /input/feedetail/0" {
		t.Errorf("junk in a row: %s", got)
	}
}

// Whatever is sent, no finding repeats a value.
func TestFindingsCarryNoValues(t *testing.T) {
	c, cat := newChecker(t, Options{})
	const secret = "SECRETVALUE"
	for _, x := range cat.All() {
		in := sample(t, x.Input, true)
		spoil(in, secret+strings.Repeat("9", 60000))
		b, err := json.Marshal(c.Request(x.Infno, in))
		if err != nil || strings.Contains(string(b), "SECRET") || strings.Contains(string(b), "999999") {
			t.Fatalf("%s: a value is repeated, or %v", x.Infno, err)
		}
	}
	out := decode(t, settled)
	spoil(out, secret)
	b, _ := json.Marshal(c.Reply("2207", out))
	if strings.Contains(string(b), secret) {
		t.Error("a reply's value is repeated")
	}
}

func spoil(v any, with string) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			switch e.(type) {
			case string, json.Number:
				x[k] = with
			default:
				spoil(e, with)
			}
		}
	case []any:
		for _, e := range x {
			spoil(e, with)
		}
	}
}

func TestEveryCodeIsListed(t *testing.T) {
	c, cat := newChecker(t, Options{})
	listed := map[string]bool{}
	for _, m := range Codes() {
		if m.ZH == "" || m.EN == "" || listed[m.Code] {
			t.Errorf("%q: incomplete or twice", m.Code)
		}
		listed[m.Code] = true
	}
	rng := rand.New(rand.NewPCG(3, 4))
	values := []any{nil, "", " ", "x", true, json.Number("-1.2345678"), json.Number("99999999999999999999"), "1e3", "2026-02-30",
		"2026-02-30 25:00:00", []any{}, map[string]any{}, []any{nil, "x", map[string]any{}}, strings.Repeat("长", 9000)}
	all := cat.All()
	for range 3000 {
		x := all[rng.IntN(len(all))]
		in := sample(t, x.Input, rng.IntN(2) == 0)
		shuffle(in, values, rng)
		check(t, c.Request(x.Infno, in), listed, x.Infno)
		check(t, c.Reply(x.Infno, in), listed, x.Infno)
	}
}

func check(t *testing.T, fs []Finding, listed map[string]bool, n ident.Infno) {
	t.Helper()
	if len(fs) > 100 {
		t.Fatalf("%s: %d findings", n, len(fs))
	}
	for _, f := range fs {
		if !listed[f.Code] || f.ZH == "" || f.EN == "" || f.Code == CodeFailed || !strings.HasPrefix(f.Path, "/") {
			t.Fatalf("%s: %+v", n, f)
		}
	}
}

func shuffle(v any, values []any, rng *rand.Rand) {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if rng.IntN(6) == 0 {
				x[k] = values[rng.IntN(len(values))]
				continue
			}
			shuffle(e, values, rng)
		}
	case []any:
		for _, e := range x {
			shuffle(e, values, rng)
		}
	}
}

func BenchmarkRequest2204x100(b *testing.B) {
	c, cat := newChecker(b, Options{})
	in := fees(b, cat, 100)
	if got := c.Request("2204", in); got != nil {
		b.Fatal(short(got))
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Request("2204", in)
	}
}

func BenchmarkGojsonschemaAlone(b *testing.B) {
	c, cat := newChecker(b, Options{})
	in := fees(b, cat, 100)
	c.Request("2204", in)
	schema := c.requests["2204"].schema
	b.ReportAllocs()
	for b.Loop() {
		if errs, err := validate(schema, in); len(errs) > 0 || err != nil {
			b.Fatal(errs, err)
		}
	}
}

func BenchmarkReply2207(b *testing.B) {
	c, _ := newChecker(b, Options{})
	out := decode(b, settled)
	if got := c.Reply("2207", out); got != nil {
		b.Fatal(short(got))
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Reply("2207", out)
	}
}
