package tabular

import (
	"fmt"
	"strings"
	"testing"
)

func message(t testing.TB) *Message {
	t.Helper()
	head, err := NewHead([]string{" 行 ", "金额", "名"})
	if err != nil {
		t.Fatal(err)
	}
	row := func(n int, part string, cells ...string) *Row {
		return &Row{Head: head, Cells: cells, Number: n, Part: part}
	}
	return &Message{ID: "F1", Key: "L1", File: "a.csv", Rows: []*Row{
		row(2, "", "单据", "", "甲\u3000"), row(3, "fee", "费用", "1.00"), row(4, "fee", "费用", "2.50", "乙"), row(5, "", "诊断", "", "丙")}}
}

func TestPaths(t *testing.T) {
	src := message(t).Source("csv")
	for text, want := range map[string]string{
		"名": "甲 [甲 乙 丙]", "金额": " [1.00 2.50]", "/名": "甲 [甲]", "[行=费用]金额": "1.00 [1.00 2.50]", "[fee]名": " [乙]", "[行=无]名": " []",
		"$id": "F1 [F1]", "$row": "2 [2]", "$key": "L1 [L1]", "$file": "a.csv [a.csv]", "没有": " []",
	} {
		p, err := Notation{"csv"}.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		v, _ := p.Value(src.Scope)
		if got := fmt.Sprintf("%s %v", v, p.All(src.Scope)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	for each, want := range map[string]string{"*": "2 3 4 5", "/": "2", "金额": "3 4", "[行=费用]": "3 4", "[fee]": "3 4", "[fee]名": "4"} {
		p, err := Notation{"csv"}.Compile(each)
		if err != nil {
			t.Fatal(err)
		}
		number, _ := Notation{"csv"}.Compile("$row")
		var got []string
		for _, sc := range p.Each(src.Scope) {
			v, _ := number.Value(sc)
			got = append(got, v)
			if inside := p.Each(sc); each == "*" && len(inside) != 4 {
				t.Errorf("a row's rows are %d", len(inside))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("each %s: %v, want %s", each, got, want)
		}
	}
	for _, bad := range []string{"", "[", "[]", "[a", "[=x]y", "[a=]y", "[a]b]", " 名", "//x", "$other", "a\nb", "[$x]y"} {
		if _, err := (Notation{"csv"}).Compile(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	for _, bad := range [][]string{{"a", ""}, {"a", " a"}, {"*"}, {"[a"}, {"$a"}, {"/a"}, {"a\x00"}} {
		if _, err := NewHead(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"金额", "/金额", "[行=费用]金额", "[fee]金额", "*", "$id", "[a=b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Notation{"csv"}.Compile(text)
		if err != nil {
			return
		}
		m := message(t)
		sc := m.Source("csv").Scope
		if v, found := p.Value(sc); found && v == "" {
			t.Errorf("%q finds nothing and says it did", text)
		}
		if n := len(p.All(sc)); n > 4 {
			t.Errorf("%q gives %d values of four rows", text, n)
		}
		for _, one := range p.Each(sc) {
			p.Value(one)
			p.All(one)
			p.Each(one)
		}
		p.Value(nil)
		p.Each("x")
	})
}
