package tabular_test

import (
	"reflect"
	"strings"
	"testing"

	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
)

// A message that was written down reads as it did before, by every path.
func TestWritten(t *testing.T) {
	head, err := tabular.NewHead([]string{"id", "name", "amount"})
	if err != nil {
		t.Fatal(err)
	}
	fees, err := tabular.NewHead([]string{"amount", "code"})
	if err != nil {
		t.Fatal(err)
	}
	m := &tabular.Message{Type: "BILL", ID: "F1-2", Key: "K", File: "a.csv", Rows: []*tabular.Row{
		{Head: head, Cells: []string{"1", "甲 <a&b> \"c\" \\d", ""}, Number: 2},
		{Head: fees, Cells: []string{"12.30", "X"}, Number: 1, Part: "fee"},
		{Head: fees, Cells: []string{"0.5"}, Number: 2, Part: "fee"},
	}}
	was := m.Source("sql")
	b := tabular.Write(was)
	if !strings.Contains(string(b), "甲 <a&b>") {
		t.Errorf("a text is not as it was: %s", b)
	}
	is, err := tabular.Read("sql", b)
	if err != nil || is.Type != "BILL" || is.ID != "F1-2" || is.Notation != "sql" {
		t.Fatalf("%v %+v", err, is)
	}
	for _, text := range []string{"id", "name", "amount", "[fee]amount", "[fee]code", "$id", "$key", "$file", "$row", "/name", "[id=1]name"} {
		p, err := tabular.Notation{Kind: "sql"}.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		a, b := p.All(was.Scope), p.All(is.Scope)
		v, found := p.Value(was.Scope)
		w, there := p.Value(is.Scope)
		if !reflect.DeepEqual(a, b) || v != w || found != there || len(p.Each(was.Scope)) != len(p.Each(is.Scope)) {
			t.Errorf("%s: %q %q, %q %q", text, a, b, v, w)
		}
	}
	if tabular.Write(gateway.Source{Scope: "text"}) != nil {
		t.Error("what is no message of rows was written down")
	}
	for _, bad := range []string{"", "{}", `{"heads":[["a"]],"rows":[]}`, `{"heads":[["a"]],"rows":[{"head":1}]}`, `{"heads":[["a"]],"rows":[{"head":-1}]}`, `{"heads":[["a","a"]],"rows":[{"head":0}]}`} {
		if _, err := tabular.Read("sql", []byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func FuzzWritten(f *testing.F) {
	f.Add([]byte(`{"type":"T","id":"1","heads":[["a","b"]],"rows":[{"head":0,"number":1,"cells":["x"]},{"head":0,"part":"fee","cells":["1","2","3"]}]}`), "[fee]b")
	f.Fuzz(func(t *testing.T, b []byte, at string) {
		src, err := tabular.Read("sql", b)
		if err != nil {
			return
		}
		if p, err := (tabular.Notation{Kind: "sql"}).Compile(at); err == nil {
			p.Value(src.Scope)
			p.Each(src.Scope)
			p.All(src.Scope)
		}
		if again, err := tabular.Read("sql", tabular.Write(src)); err != nil || again.ID != src.ID || again.Type != src.Type {
			t.Errorf("%v: written again it reads otherwise", err)
		}
	})
}
