package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	n := func(s string) any { return json.Number(s) }
	for text, want := range map[string]any{
		`null`:                    nil,
		` true `:                  true,
		"\t\r\nfalse":             false,
		`""`:                      "",
		`"医保"`:                    "医保",
		`"a\"\\\/\b\f\n\r\tb"`:    "a\"\\/\b\f\n\r\tb",
		`"\u4e2d\u00E9"`:          "中é",
		`"\ud83d\uDE00"`:          "😀",
		`"\u0000"`:                "\x00",
		"\"\x7f\u2028\"":          "\x7f\u2028",
		`0`:                       n("0"),
		`-0`:                      n("-0"),
		`-0.00`:                   n("-0.00"),
		`12.30`:                   n("12.30"),
		`12345678901234567890.12`: n("12345678901234567890.12"),
		`[]`:                      []any{},
		`[ ]`:                     []any{},
		`[1,"a",null,[true]]`:     []any{n("1"), "a", nil, []any{true}},
		`{}`:                      map[string]any{},
		`{ "a" : 1 , "b" : {} }`:  map[string]any{"a": n("1"), "b": map[string]any{}},
		`{"":{"a":[{"a":1}]}}`:    map[string]any{"": map[string]any{"a": []any{map[string]any{"a": n("1")}}}},
		`{"a":1,"A":2}`:           map[string]any{"a": n("1"), "A": n("2")},
		`["长度八字节以上的文本","\\"]`:      []any{"长度八字节以上的文本", `\`},
		`"12345678\"12345678\n12"`: "12345678\"12345678\n12",
	} {
		got, err := Decode([]byte(text), Limits{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %#v, %v; want %#v", text, got, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		text   string
		kind   Kind
		offset int
		path   string
	}{
		{``, Syntax, 0, ""},
		{`  `, Syntax, 2, ""},
		{`nul`, Syntax, 0, ""},
		{`True`, Syntax, 0, ""},
		{`'a'`, Syntax, 0, ""},
		{"\ufeff{}", Syntax, 0, ""},
		{`{"a":1`, Syntax, 6, ""},
		{`{"a":`, Syntax, 5, "/a"},
		{`{"a"`, Syntax, 4, ""},
		{`{"a" 1}`, Syntax, 5, ""},
		{`{"a":1,}`, Syntax, 7, ""},
		{`{,}`, Syntax, 1, ""},
		{`{a:1}`, Syntax, 1, ""},
		{`{"a":1 "b":2}`, Syntax, 7, ""},
		{`[1,]`, Syntax, 3, "/1"},
		{`[1 2]`, Syntax, 3, ""},
		{`[1`, Syntax, 2, ""},
		{`[1}`, Syntax, 2, ""},
		{`"abc`, Syntax, 4, ""},
		{"\"a\nb\"", Syntax, 2, ""},
		{"\"0123456789\tb\"", Syntax, 11, ""},
		{`"\x"`, Syntax, 2, ""},
		{`"\`, Syntax, 2, ""},
		{`"\u12g4"`, Syntax, 5, ""},
		{`"\u12`, Syntax, 5, ""},
		{`"\ud800"`, UTF8, 1, ""},
		{`"\udc00"`, UTF8, 1, ""},
		{`{"a":["x\ud800\u0041"]}`, UTF8, 8, "/a/0"},
		{`"\ud800\ud800"`, UTF8, 1, ""},
		{`"\ud800\u12x4"`, Syntax, 11, ""},
		{"\"\xff\"", UTF8, 1, ""},
		{"{\"psn_name\":\"\xd5\xc5\xc8\xfd\"}", UTF8, 13, "/psn_name"}, // GBK
		{"{\"a\":[1,\"\xed\xa0\x80\"]}", UTF8, 9, "/a/1"},
		{"{\"\xff\":1}", UTF8, 2, ""},
		{"{\"a\":1}\xff", UTF8, 7, ""},
		{"{\"a\":1,\"a\":2,\"b\":\"\xff\"}", UTF8, 18, "/b"},
		{"{\"a\":tru,\"b\":\"\xff\"}", Syntax, 5, "/a"},
		{"{} x\xff", Trailing, 3, ""},
		{`{} {}`, Trailing, 3, ""},
		{`1 2`, Trailing, 2, ""},
		{`{}xyz`, Trailing, 2, ""},
		{"{}\x00", Trailing, 2, ""},
		{`{"a":1,"a":2}`, Duplicate, 7, "/a"},
		{`{"a":1,"\u0061":2}`, Duplicate, 7, "/a"},
		{`{"d":[0,{"x/y~":1,"b":2,"x/y~":3}]}`, Duplicate, 24, "/d/1/x~1y~0"},
		{`01`, Number, 1, ""},
		{`-01`, Number, 2, ""},
		{`-`, Number, 1, ""},
		{`+1`, Number, 0, ""},
		{`.5`, Number, 0, ""},
		{`1.`, Number, 2, ""},
		{`[1.]`, Number, 3, "/0"},
		{`-.5`, Number, 1, ""},
		{`0x10`, Number, 1, ""},
		{`1_000`, Trailing, 1, ""},
		{`1f`, Number, 1, ""},
		{`1.2.3`, Number, 3, ""},
		{`NaN`, Number, 0, ""},
		{`nan`, Number, 0, ""},
		{`Infinity`, Number, 0, ""},
		{`-Infinity`, Number, 1, ""},
		{`{"amt":1e5}`, Number, 8, "/amt"},
		{`[1E2]`, Number, 2, "/0"},
		{`{"a":` + strings.Repeat("9", 33) + `}`, Number, 5, "/a"},
		{strings.Repeat("[", 33), Depth, 32, strings.Repeat("/0", 32)},
	} {
		_, err := Decode([]byte(c.text), Request())
		var e *Error
		if !errors.As(err, &e) || *e != (Error{c.kind, c.offset, c.path}) {
			t.Errorf("%q: got %v, want %s at byte %d %q", c.text, err, c.kind, c.offset, c.path)
		}
	}
}

func TestLimits(t *testing.T) {
	try := func(text string, lim Limits, want Kind) {
		t.Helper()
		_, err := Decode([]byte(text), lim)
		var e *Error
		got := Kind("")
		if errors.As(err, &e) {
			got = e.Kind
		}
		if got != want {
			t.Errorf("%.60s with %+v: got %q, want %q", text, lim, got, want)
		}
	}
	try(`[1,2]`, Limits{MaxBytes: 5}, "")
	try(`[1,2]`, Limits{MaxBytes: 4}, Size)
	try(`[1,2]`, Limits{MaxNodes: 3}, "")
	try(`[1,2]`, Limits{MaxNodes: 2}, Size)
	try(`[{"a":[]}]`, Limits{MaxDepth: 3}, "")
	try(`[{"a":[]}]`, Limits{MaxDepth: 2}, Depth)
	try(`-1.25`, Limits{MaxNumber: 5}, "")
	try(`-1.25`, Limits{MaxNumber: 4}, Number)
	try(`1e10`, Limits{Exponent: true}, "")
	try(`1E+10`, Limits{Exponent: true}, "")
	try(`1e-9`, Limits{Exponent: true}, "")
	try(`1e100`, Limits{Exponent: true}, Number)
	try(`1e`, Limits{Exponent: true}, Number)
	try(`1e+`, Limits{Exponent: true}, Number)
	try(`1e1.5`, Limits{Exponent: true}, Number)
	try(`1e5`, Reply(), "")
	try(`1e5`, Limits{}, Number)
	try(strings.Repeat("[", 64)+strings.Repeat("]", 64), Reply(), "")
	try(strings.Repeat("[", 65)+strings.Repeat("]", 65), Reply(), Depth)
	for text, want := range map[string]Kind{`{"a":[1,{"b":" "}]}`: "", ` 1`: Syntax, `1 `: Trailing, `{ }`: Syntax, `{"a" :1}`: Syntax,
		`{"a": 1}`: Syntax, `{"a":1 }`: Syntax, "{\"a\":1,\n\"b\":2}": Syntax, `[ ]`: Syntax, `[1, 2]`: Syntax, `[1 ]`: Syntax, "{}\n": Trailing} {
		try(text, Limits{Compact: true}, want)
	}
	deep := 1 << 20
	try(strings.Repeat("[", deep), Limits{MaxDepth: deep}, Depth)
	try(strings.Repeat(`{"a":`, deep), Limits{MaxDepth: deep}, Depth)
}

func TestErrorHoldsNoValueAndNoLongName(t *testing.T) {
	_, err := Decode([]byte(`{"certno":"110101199003070011x`+"\n"), Request())
	if err == nil || strings.Contains(err.Error(), "1990") {
		t.Errorf("the error repeats the text: %v", err)
	}
	_, err = Decode([]byte(`{"`+strings.Repeat("医", 5000)+`":NaN}`), Request())
	var e *Error
	if !errors.As(err, &e) || len(e.Path) > 80 || e.Kind != Number {
		t.Errorf("a long member name is not cut: %v", err)
	}
}

func TestResultDoesNotAliasInput(t *testing.T) {
	b := []byte(`{"a":"text","b":12.5,"c":["\u0041x"]}`)
	v, err := Decode(b, Request())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] = 'X'
	}
	if got := string(Append(nil, v)); got != `{"a":"text","b":12.5,"c":["Ax"]}` {
		t.Errorf("changed with its source: %s", got)
	}
}

func TestMembers(t *testing.T) {
	b := []byte(` { "infno" : "2204", "input": { "b" : 1.0, "a":[ ] } ,"x":null}`)
	ms, err := Members(b, Request())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range ms {
		got = append(got, m.Name+"="+string(m.Raw)+"="+string(Append(nil, m.Value)))
	}
	want := []string{`infno="2204"="2204"`, `input={ "b" : 1.0, "a":[ ] }={"a":[],"b":1.0}`, `x=null=null`}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if ms, err := Members([]byte(`{}`), Request()); err != nil || len(ms) != 0 {
		t.Errorf("empty object: %v, %v", ms, err)
	}
	for text, want := range map[string]Kind{
		`[]`: Syntax, `"a"`: Syntax, ``: Syntax, `{"a":1,"a":1}`: Duplicate, `{} 1`: Trailing,
		"{\"a\":\"\xff\"}": UTF8, `{"a":1`: Syntax,
	} {
		_, err := Members([]byte(text), Request())
		var e *Error
		if !errors.As(err, &e) || e.Kind != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestAppend(t *testing.T) {
	v := map[string]any{
		"b": []any{nil, true, json.Number("1.50"), "<&>\u2028"},
		"a": "\"\\/\b\t\n\f\r\x00\x1f\x7f医",
		"":  map[string]any{},
		"B": []any{},
		"c": json.Number(`1,"x":2`),
		"d": "\xff",
	}
	want := `{"":{},"B":[],"a":"\"\\/\b\t\n\f\r\u0000\u001f` + "\x7f" + `医","b":[null,true,1.50,"<&>` + "\u2028" +
		`"],"c":"1,\"x\":2","d":"` + "\ufffd" + `"}`
	if got := string(Append(nil, v)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(Append([]byte("x"), json.Number(""))); got != `x""` {
		t.Errorf("empty number: %s", got)
	}
	many := map[string]any{}
	for i := range 100 {
		many[fmt.Sprintf("k%02d", i)] = nil
	}
	first := Append(nil, many)
	for range 10 {
		if !bytes.Equal(first, Append(nil, Clone(many))) {
			t.Fatal("equal values gave different bytes")
		}
	}
}

func TestAccessors(t *testing.T) {
	v, err := Decode([]byte(`{"a":[{"b":1.50},"x",null],"t":true}`), Request())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		want string
	}{
		{"a 0 b", "1.50"}, {"a 1", "x"}, {"a 2", ""}, {"a 3", ""}, {"a -1", ""}, {"a b", ""}, {"t", ""}, {"t x", ""}, {"zz y", ""},
	} {
		if got := Text(Get(v, strings.Fields(c.path)...)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.path, got, c.want)
		}
	}
	if _, ok := Object(v); !ok {
		t.Error("an object is not an object")
	}
	if _, ok := Object(nil); ok {
		t.Error("nil is an object")
	}
	if l, ok := List(Get(v, "a")); !ok || len(l) != 3 {
		t.Error("a list is not a list")
	}
	if !Writable(v) || Writable([]any{map[string]any{"a": 1}}) || Writable(1.5) {
		t.Error("Writable is wrong")
	}
	c := Clone(v)
	if !reflect.DeepEqual(c, v) {
		t.Errorf("clone differs: %v", c)
	}
	Get(c, "a", "0").(map[string]any)["b"] = "changed"
	Get(c, "a").([]any)[1] = "changed"
	if Text(Get(v, "a", "0", "b")) != "1.50" || Text(Get(v, "a", "1")) != "x" {
		t.Error("changing a clone changed its origin")
	}
}

// FuzzDecode holds Decode against encoding/json: what we accept it accepts, with an equal value,
// and it comes back equal through Append.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5,"x\u4e2d\ud83d\ude00",null,true,{"b":{}}]}`, `1e5`, `"\ud800"`, "\"\xff\"",
		`{"a":1,"a":2}`, `[[[[]]]]`, ` 01`, `"医保\n"`, `{"":""} `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, lim := range []Limits{Request(), Reply()} {
			v, err := Decode(b, lim)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(b) || e.Kind == "" {
					t.Fatalf("bad error %#v", err)
				}
				continue
			}
			d := json.NewDecoder(bytes.NewReader(b))
			d.UseNumber()
			var w any
			if err := d.Decode(&w); err != nil {
				t.Fatalf("encoding/json refuses: %v", err)
			}
			if !reflect.DeepEqual(v, w) {
				t.Fatalf("got %#v, encoding/json has %#v", v, w)
			}
			again := Append(nil, v)
			compact := lim
			compact.Compact = true
			u, err := Decode(again, compact)
			if err != nil || !reflect.DeepEqual(u, v) {
				t.Fatalf("%s came back as %#v, %v", again, u, err)
			}
			if !reflect.DeepEqual(Clone(v), v) {
				t.Fatal("clone differs")
			}
			if ms, err := Members(b, lim); err == nil {
				for _, m := range ms {
					if x, err := Decode(m.Raw, lim); err != nil || !reflect.DeepEqual(x, m.Value) {
						t.Fatalf("member %q: raw %s is not %#v", m.Name, m.Raw, m.Value)
					}
				}
			} else if _, is := Object(v); is {
				t.Fatalf("Members refuses an object: %v", err)
			}
		}
	})
}

// feeMessage is a 2204 request with rows of 31 members, the largest everyday message.
func feeMessage(rows int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"infno":"2204","msgid":"H43010012345202601011200000001","input":{"feedetail":[`)
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"feedetl_sn":"SN%08d","mdtrt_id":"43000023345566","psn_no":"43000000000000123456","chrg_bchno":"B2026010100%d",`+
			`"dise_codg":"","rxno":"RX%d","rx_circ_flag":"0","fee_ocur_time":"2026-01-01 12:00:00","med_list_codg":"XA02BCA%09d",`+
			`"medins_list_codg":"YP%06d","det_item_fee_sumamt":%d.50,"cnt":2.0000,"pric":%d.250000,"sin_dos_dscr":"每次一片","used_frqu_dscr":"每日三次",`+
			`"prd_days":3,"medc_way_dscr":"口服","bilg_dept_codg":"A03.01","bilg_dept_name":"消化内科门诊","bilg_dr_codg":"D430100001234",`+
			`"bilg_dr_name":"张三","acord_dept_codg":"","acord_dept_name":"","orders_dr_code":"","orders_dr_name":"","hosp_appr_flag":"1",`+
			`"tcmdrug_used_way":"","etip_flag":"0","etip_hosp_code":"","dscg_tkdrug_flag":"0","matn_fee_flag":"0"}`, i, i, i, i, i, i, i)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

func BenchmarkDecode(b *testing.B) {
	for _, rows := range []int{1, 50} {
		msg := feeMessage(rows)
		b.Run(fmt.Sprintf("strictjson/rows=%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(msg, Request()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("encoding-json/rows=%d", rows), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			for b.Loop() {
				d := json.NewDecoder(bytes.NewReader(msg))
				d.UseNumber()
				var v any
				if err := d.Decode(&v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	msg := feeMessage(50)
	v, err := Decode(msg, Request())
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.Run("strictjson", func(b *testing.B) {
		b.SetBytes(int64(len(msg)))
		b.ReportAllocs()
		for b.Loop() {
			buf = Append(buf[:0], v)
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(msg)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestRows(t *testing.T) {
	v, err := Decode([]byte(`{"many":[{"a":"1"},7,{"a":"2"}],"one":{"a":"3"},"none":"x"}`), Reply())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"many": "12", "one": "3", "none": "", "absent": ""} {
		got := ""
		for _, r := range Rows(v, name) {
			got += Text(r["a"])
		}
		if got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(Rows(v, "")) != 1 || len(Rows(Get(v, "many"), "")) != 2 || Rows(nil, "") != nil || Rows("x", "y") != nil {
		t.Error("without a name")
	}
}
