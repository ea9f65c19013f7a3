package bind_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

type leaf struct {
	Name  string         `json:"name"`
	Price string         `json:"price"`
	Note  string         `json:"note,omitempty"`
	More  map[string]any `json:"more,omitempty"`
}

type tree struct {
	Leaf   leaf             `json:"leaf"`
	Leaves []leaf           `json:"leaves"`
	Maybe  *leaf            `json:"maybe,omitempty"`
	Rows   []string         `json:"rows,omitempty"`
	Flag   bool             `json:"flag"`
	Any    any              `json:"any,omitempty"`
	State  gateway.State    `json:"state,omitempty"`
	Inner  string           `json:"-"`
	Zero   struct{}         `json:"zero,omitzero"`
	Many   []map[string]any `json:"many,omitempty"`
}

var rules = bind.Rules{
	Optional: []string{"tree.flag"},
	Decimal:  []string{"leaf.price"},
	MaxText:  map[string]int{"leaf.name": 3},
}

// obj gives a decoded object as strictjson would.
func obj(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func binder(t testing.TB) *bind.Binder[tree] {
	t.Helper()
	b, err := bind.New[tree](rules)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBind(t *testing.T) {
	got, found := binder(t).Bind(obj(t, `{"leaf":{"name":"汉字三","price":1.50,"more":{"a":1}},
		"leaves":[{"name":"a","price":"2.000"}],"maybe":{"name":"b","price":"NaN"},"rows":["x",""],
		"any":[1],"state":"done","flag":null}`))
	if len(found) > 0 {
		t.Fatalf("findings %v", found)
	}
	want := tree{
		Leaf:   leaf{Name: "汉字三", Price: "1.50", More: map[string]any{"a": json.Number("1")}},
		Leaves: []leaf{{Name: "a", Price: "2.000"}}, Maybe: &leaf{Name: "b", Price: "NaN"},
		Rows: []string{"x", ""}, Any: []any{json.Number("1")}, State: gateway.StateDone,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFindings(t *testing.T) {
	const good = `"leaf":{"name":"a","price":"1"},"leaves":[]`
	for _, c := range []struct {
		body string
		want []string // code path
	}{
		{`{}`, []string{"field-missing /leaf", "field-missing /leaves"}},
		{`[]`, []string{"field-type "}},
		{`null`, []string{"field-type "}},
		{`"x"`, []string{"field-type "}},
		{`{` + good + `,"LEAF":1,"Inner":"x","-":0}`, []string{"field-undeclared /-", "field-undeclared /Inner", "field-undeclared /LEAF"}},
		{`{` + good + `,"a/b~c":1}`, []string{"field-undeclared /a~1b~0c"}},
		{`{` + good + `,"leaf":{"price":"1"}}`, []string{"field-missing /leaf/name"}},
		{`{` + good + `,"leaf":{"name":null,"price":"1"}}`, []string{"field-missing /leaf/name"}},
		{`{` + good + `,"leaf":{"name":1,"price":"1"}}`, []string{"field-type /leaf/name"}},
		{`{` + good + `,"leaf":{"name":"汉字四个","price":"1"}}`, []string{"field-too-long /leaf/name"}},
		{`{` + good + `,"leaf":{"name":"a","price":true}}`, []string{"field-type /leaf/price"}},
		{`{` + good + `,"leaf":{"name":"a","price":"` + strings.Repeat("1", 33) + `"}}`, []string{"field-too-long /leaf/price"}},
		{`{` + good + `,"leaf":[]}`, []string{"field-type /leaf"}},
		{`{` + good + `,"leaves":{}}`, []string{"field-type /leaves"}},
		{`{` + good + `,"leaves":[{"name":"a","price":1},7,null]}`, []string{"field-type /leaves/1", "field-type /leaves/2"}},
		{`{` + good + `,"maybe":{"name":"a"}}`, []string{"field-missing /maybe/price"}},
		{`{` + good + `,"maybe":""}`, []string{"field-type /maybe"}},
		{`{` + good + `,"rows":[1]}`, []string{"field-type /rows/0"}},
		{`{` + good + `,"rows":[null]}`, []string{"field-type /rows/0"}},
		{`{` + good + `,"flag":"true"}`, []string{"field-type /flag"}},
		{`{` + good + `,"leaf":{"name":"a","price":"1","more":[]}}`, []string{"field-type /leaf/more"}},
		{`{` + good + `,"leaf":{"name":"a","price":"1","note":"` + strings.Repeat("长", 4001) + `"}}`, []string{"field-too-long /leaf/note"}},
	} {
		_, found := binder(t).Bind(obj(t, c.body))
		var got []string
		for _, f := range found {
			got = append(got, f.Code+" "+f.Path)
			if f.Severity != check.Error || f.ZH == "" || f.EN == "" || f.Rule == "" {
				t.Errorf("%.80s: incomplete finding %+v", c.body, f)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.80s:\n got  %q\n want %q", c.body, got, c.want)
		}
	}
}

// A body of nothing but faults gives a bounded answer.
func TestFindingsAreBounded(t *testing.T) {
	m := map[string]any{strings.Repeat("名", 5000): "x"}
	for i := range 5000 {
		m[fmt.Sprint("k", i)] = 1
	}
	_, found := binder(t).Bind(m)
	if len(found) != bind.MaxFindings {
		t.Errorf("%d findings, want %d", len(found), bind.MaxFindings)
	}
	_, found = binder(t).Bind(map[string]any{"leaf": map[string]any{strings.Repeat("名", 5000): "x"}})
	for _, f := range found {
		if len(f.Path) > 300 {
			t.Errorf("a path of %d bytes", len(f.Path))
		}
	}
}

func TestNewRefuses(t *testing.T) {
	type cycle struct {
		Next []cycle `json:"next"`
	}
	type untagged struct{ Name string }
	type float struct {
		F float64 `json:"f"`
	}
	type embedded struct {
		leaf `json:"leaf"`
	}
	type wrong struct {
		N bool `json:"n"`
	}
	_, e1 := bind.New[cycle](bind.Rules{})
	_, e2 := bind.New[untagged](bind.Rules{})
	_, e3 := bind.New[float](bind.Rules{})
	_, e4 := bind.New[embedded](bind.Rules{})
	_, e5 := bind.New[string](bind.Rules{})
	_, e6 := bind.New[leaf](bind.Rules{Optional: []string{"leaf.nmae"}})
	_, e7 := bind.New[wrong](bind.Rules{Decimal: []string{"wrong.n"}})
	for i, err := range []error{e1, e2, e3, e4, e5, e6, e7} {
		if err == nil {
			t.Errorf("case %d: accepted", i+1)
		}
	}
}

// Whatever is decoded, binding ends with a struct or with findings; and a value that binds says
// the same again when it is written out and bound once more.
func FuzzBind(f *testing.F) {
	f.Add(`{"leaf":{"name":"a","price":1.50},"leaves":[{"name":"b","price":"x","more":{"k":[]}}],"rows":["x"],"flag":true}`)
	f.Add(`{"leaf":null,"leaves":[null,1,{}],"maybe":{},"x":1}`)
	f.Add(`[[[]]]`)
	b, err := bind.New[tree](rules)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if d.Decode(&v) != nil {
			return
		}
		got, found := b.Bind(v)
		if len(found) > 0 {
			if len(found) > bind.MaxFindings {
				t.Fatalf("%d findings", len(found))
			}
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		got2, found := b.Bind(obj(t, string(again)))
		if len(found) > 0 {
			t.Fatalf("what was bound does not bind again: %v\n%s", found, again)
		}
		if text2, _ := json.Marshal(got2); string(text2) != string(again) {
			t.Fatalf("bound differently the second time:\n%s\n%s", again, text2)
		}
	})
}
