package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func newChecker(t testing.TB, o Options) (*Checker, *catalog.Catalog) {
	t.Helper()
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cat, o)
	if err != nil {
		t.Fatal(err)
	}
	return c, cat
}

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := strictjson.Decode([]byte(text), strictjson.Reply())
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// short writes findings as "code path", errors first letter E, warnings W.
func short(fs []Finding) string {
	var out []string
	for _, f := range fs {
		out = append(out, strings.ToUpper(string(f.Severity[:1]))+" "+f.Code+" "+f.Path)
	}
	return strings.Join(out, "\n")
}

// sample builds the smallest message of the table that should have no findings: every required
// member, of a national code where there is a dictionary.
func sample(t testing.TB, ns []catalog.Node, full bool) map[string]any {
	t.Helper()
	tables := dictionaries()
	if tables == nil {
		t.Fatal("no dictionaries")
	}
	root := map[string]any{}
	objects := map[string]map[string]any{"": root}
	for _, n := range ns {
		if n.Name != "" {
			objects[n.Name] = map[string]any{}
		}
		for _, f := range n.Fields {
			if f.Required == catalog.Always && !f.Assumed || full {
				objects[n.Name][f.Code] = value(tables, f)
			}
		}
	}
	for _, n := range ns {
		if n.Name == "" || n.AlternativeTo != "" || !(n.Required == catalog.Always || full) {
			continue
		}
		objects[n.Parent][n.Name] = objects[n.Name]
		if n.Repeat {
			objects[n.Parent][n.Name] = []any{objects[n.Name]}
		}
	}
	return root
}

var dictionaries = sync.OnceValue(func() *codes.Tables {
	t, _ := codes.Default()
	return t
})

func value(tables *codes.Tables, f catalog.Field) any {
	switch f.Type {
	case "number":
		return json.Number("1")
	case "date":
		return "2026-02-28"
	case "datetime":
		return "2026-02-28 23:59:59"
	case "array":
		return []any{}
	case "object":
		return map[string]any{}
	}
	if d, ok := tables.Lookup(f.Dict); ok && len(d.Values) > 0 {
		for _, v := range d.Values {
			if f.Length == 0 || f.Borrowed || len(v.Code) <= f.Length {
				return v.Code
			}
		}
	}
	return "x"
}

func input(t testing.TB, cat *catalog.Catalog, n ident.Infno) map[string]any {
	t.Helper()
	x, ok := cat.Lookup(n)
	if !ok {
		t.Fatalf("no %s", n)
	}
	return sample(t, x.Input, false)
}

// set puts a value at a path of names and rows; drop removes what is there.
func set(t testing.TB, v any, path string, to any) {
	t.Helper()
	tokens := strings.Split(path, "/")
	for i, tok := range tokens {
		last := i == len(tokens)-1
		switch x := v.(type) {
		case map[string]any:
			if last {
				if to == drop {
					delete(x, tok)
				} else {
					x[tok] = to
				}
				return
			}
			v = x[tok]
		case []any:
			var row int
			if _, err := fmt.Sscan(tok, &row); err != nil || row >= len(x) {
				t.Fatalf("no row %s in %s", tok, path)
			}
			if last {
				x[row] = to
				return
			}
			v = x[row]
		default:
			t.Fatalf("nothing at %s of %s", tok, path)
		}
	}
}

type dropped struct{}

var drop any = dropped{}

// fees builds a 2204 of so many rows with every field of the table.
func fees(t testing.TB, cat *catalog.Catalog, rows int) map[string]any {
	t.Helper()
	x, _ := cat.Lookup("2204")
	full := sample(t, x.Input, true)
	one := full["feedetail"].([]any)[0].(map[string]any)
	one["det_item_fee_sumamt"], one["cnt"], one["pric"] = json.Number("25.60"), json.Number("2"), json.Number("12.8000")
	one["exp_content"] = ""
	var list []any
	for i := range rows {
		row := maps.Clone(one)
		row["feedetl_sn"] = fmt.Sprintf("F%06d", i)
		list = append(list, row)
	}
	return map[string]any{"feedetail": list}
}

func onlyCodes(fs []Finding) []string {
	var out []string
	for _, f := range fs {
		if !slices.Contains(out, f.Code) {
			out = append(out, f.Code)
		}
	}
	return out
}
