// Package sample makes the input of a transaction from the catalogue alone: valid by its table, or broken in one named way.
//
// The same number and seed give the same input. People are invented (identity numbers begin with 999999); amounts of one message are
// not made to add up, which no table says: a sample is for trying how a message is read, not what it means.
package sample

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
)

// Kind is a way a sample is broken.
type Kind string

// What Broken does to a valid sample: leave a required field out, write a number as a word, a text that is too long, a value its dictionary
// does not have, a date that does not exist, an amount with too many decimals, a member nobody declared, no node at all.
const (
	Missing    Kind = "missing"
	Type       Kind = "type"
	Long       Kind = "long"
	Dict       Kind = "dict"
	Date       Kind = "date"
	Decimals   Kind = "decimals"
	Undeclared Kind = "undeclared"
	Node       Kind = "node"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Missing, Type, Long, Dict, Date, Decimals, Undeclared, Node} }

// ErrNone: the table has nothing that can be broken that way, or no fields at all.
var ErrNone = errors.New("sample: not possible with this table")

// Maker makes samples. It is immutable and safe for concurrent use.
type Maker struct {
	cat   *catalog.Catalog
	codes *codes.Tables
	now   time.Time
}

// New makes a Maker whose dates lie before now.
func New(c *catalog.Catalog, t *codes.Tables, now time.Time) *Maker { return &Maker{c, t, now} }

// Valid is an input that its table allows: required nodes and fields, and about half of the others. The error is ErrNone
// for a transaction without fields.
func (m *Maker) Valid(t *catalog.Transaction, seed uint64) (map[string]any, error) {
	if len(t.Input) == 0 {
		return nil, fmt.Errorf("%s: %w", t.Infno, ErrNone)
	}
	g := &gen{m: m, r: rand.New(rand.NewPCG(seed, 1)), seed: seed}
	out := map[string]any{}
	made := map[string][]map[string]any{} // node: what it is in
	for i := range t.Input {
		n := &t.Input[i]
		if n.AlternativeTo != "" || n.OnlyIn != "" || n.Required == catalog.Optional && n.Parent != "" {
			continue
		}
		at := out
		if n.Parent != "" {
			if len(made[n.Parent]) == 0 {
				continue
			}
			at = made[n.Parent][0]
		}
		one := at
		if n.Name != "" {
			one = map[string]any{}
		}
		for j := range n.Fields {
			f := &n.Fields[j]
			if slices.ContainsFunc(t.Input, func(o catalog.Node) bool { return o.Name == f.Code }) {
				continue // a node of its own
			}
			if v := g.field(t, f); v != nil {
				one[f.Code] = v
			}
		}
		made[n.Name] = append(made[n.Name], one)
		switch {
		case n.Name == "":
		case n.Repeat:
			at[n.Name] = []any{one}
		default:
			at[n.Name] = one
		}
	}
	return out, nil
}

// gen is the making of one sample.
type gen struct {
	m    *Maker
	r    *rand.Rand
	seed uint64
	n    int
}

// field is a value for a field, or nil when it is left out.
func (g *gen) field(t *catalog.Transaction, f *catalog.Field) any {
	g.n++
	if f.Required != catalog.Always && g.r.IntN(2) == 0 {
		return nil
	}
	switch f.Type {
	case "array", "object":
		return nil // what is in them is a node of its own, or not known
	case "number":
		return g.number(f)
	case "date":
		return g.m.now.AddDate(0, 0, -1-g.r.IntN(300)).Format(time.DateOnly)
	case "datetime":
		return g.m.now.Add(-time.Duration(1+g.r.IntN(1000)) * time.Minute).Format(time.DateTime)
	}
	s := g.text(f)
	if f.Length > 0 && len([]rune(s)) > f.Length {
		s = string([]rune(s)[:f.Length])
	}
	return s
}

func (g *gen) number(f *catalog.Field) any {
	whole := 1 + g.r.IntN(9)
	if f.Decimals > 0 {
		return json.Number(fmt.Sprintf("%d.%0*d", whole, min(f.Decimals, 2), g.r.IntN(10)))
	}
	return json.Number(fmt.Sprint(whole))
}

// text is a text a person can read as what it is; dictionaries give a value of theirs.
func (g *gen) text(f *catalog.Field) string {
	for _, name := range []string{f.Dict, f.Code} {
		if d, ok := g.m.codes.Lookup(name); ok && name != "" && len(d.Values) > 0 {
			fits := slices.DeleteFunc(slices.Clone(d.Values), func(v codes.Value) bool { return f.Length > 0 && len([]rune(v.Code)) > f.Length })
			if len(fits) > 0 {
				return fits[g.r.IntN(len(fits))].Code
			}
		}
	}
	switch {
	case strings.Contains(f.Note, "yyyyMMddHHmmss"):
		return g.m.now.Format("20060102150405")
	case strings.Contains(f.Note, "yyyyMMdd"):
		return g.m.now.Format("20060102")
	case strings.Contains(f.Note, "yyyyMM"):
		return g.m.now.Format("200601")
	case strings.Contains(f.Code, "cert") && strings.HasSuffix(f.Code, "no"):
		return "999999198503120018"
	case strings.HasPrefix(f.Code, "fixmedins_code"):
		return "H44010000001"
	case strings.Contains(f.Code, "admdvs") || strings.HasSuffix(f.Code, "optins"):
		return "440100"
	case strings.HasSuffix(f.Code, "_flag"):
		return fmt.Sprint(g.r.IntN(2))
	case strings.HasSuffix(f.Code, "_name"):
		return "测试" + fmt.Sprint(g.n)
	case strings.Contains(f.Code, "tel"):
		return "13900000000"
	}
	return fmt.Sprintf("T%d%03d", g.seed%1000, g.n%1000)
}

// Broken is a valid sample with one thing wrong, and where. ErrNone when the table has nothing to break that way.
func (m *Maker) Broken(t *catalog.Transaction, seed uint64, kind Kind) (in map[string]any, path string, err error) {
	if in, err = m.Valid(t, seed); err != nil {
		return nil, "", err
	}
	path, err = m.Spoil(t, in, kind)
	return in, path, err
}

// Spoil makes one thing of a valid input wrong, in place, and says where. ErrNone when the table has nothing to break that way; the
// input is then as it was.
func (m *Maker) Spoil(t *catalog.Transaction, in map[string]any, kind Kind) (path string, err error) {
	if !slices.Contains(Kinds(), kind) {
		return "", fmt.Errorf("sample: %q: %v", kind, Kinds())
	}
	for i := range t.Input {
		n := &t.Input[i]
		if n.Parent != "" {
			continue
		}
		at, ok := in, true
		if n.Name != "" {
			if at, ok = in[n.Name].(map[string]any); !ok {
				list, _ := in[n.Name].([]any)
				if len(list) == 0 {
					continue
				}
				if at, ok = list[0].(map[string]any); !ok {
					continue
				}
			}
		}
		if kind == Node {
			if n.Name != "" && n.Required == catalog.Always {
				delete(in, n.Name)
				return n.Name, nil
			}
			continue
		}
		if kind == Undeclared {
			at["not_declared_anywhere"] = "1"
			return strings.TrimPrefix(n.Name+"/not_declared_anywhere", "/"), nil
		}
		for j := range n.Fields {
			f := &n.Fields[j]
			if m.spoil(at, f, kind) {
				return strings.TrimPrefix(n.Name+"/"+f.Code, "/"), nil
			}
		}
	}
	return "", fmt.Errorf("%s %s: %w", t.Infno, kind, ErrNone)
}

// spoil breaks a field, when it can be broken that way.
func (m *Maker) spoil(at map[string]any, f *catalog.Field, kind Kind) bool {
	firm := !f.Borrowed
	switch kind {
	case Missing:
		if f.Required == catalog.Always && !f.Assumed && at[f.Code] != nil {
			delete(at, f.Code)
			return true
		}
	case Type:
		if f.Type == "number" && firm {
			at[f.Code] = "许多"
			return true
		}
	case Long:
		if f.Type == "string" && firm && f.Length > 0 && f.Dict == "" {
			at[f.Code] = strings.Repeat("长", f.Length+1)
			return true
		}
	case Dict:
		if d, ok := m.codes.Lookup(f.Dict); ok && f.Dict != "" && firm && d.Enforced() && f.Type == "string" && (f.Length == 0 || f.Length >= 2) {
			at[f.Code] = "~~"
			return true
		}
	case Date:
		if f.Type == "date" && firm {
			at[f.Code] = "2026-02-30"
			return true
		}
		if f.Type == "datetime" && firm {
			at[f.Code] = "2026-02-30 08:00:00"
			return true
		}
	case Decimals:
		if f.Type == "number" && firm && f.Decimals >= 0 {
			at[f.Code] = json.Number("1." + strings.Repeat("1", f.Decimals+1))
			return true
		}
	}
	return false
}
