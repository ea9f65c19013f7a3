// Package records is the part of a simulated centre that only keeps and shows: departments, stock, settlement lists, self-paid
// patients, reports and the like. What a transaction does with what is kept is data (records.yaml); the engine knows rows, members and
// output tables, and none by name.
//
// Nothing is made up: an answer holds what was sent before, what the centre knows by itself (Facts), and null for the rest of its
// table. A Book is not safe for concurrent use.
package records

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

//go:embed records.yaml
var text []byte

// most is how many records of one name an institution has; the oldest are forgotten first.
const most = 500

// Rule is one thing a transaction does. Exactly one of Keep, Change, Drop and Ask is set.
type Rule struct {
	Keep   string   `yaml:"keep"`   // its rows become records of that name; the same key again replaces
	Change string   `yaml:"change"` // members of a record become those of the row; refused where there is none
	Drop   string   `yaml:"drop"`   // the record goes; refused where there is none
	Ask    []string `yaml:"ask"`    // records of these names that fit the question

	Of     string            `yaml:"of"`     // where the rows, or the question, are in the input: "data", "a.b"; absent: the input itself
	With   []string          `yaml:"with"`   // members elsewhere in the input, by path, that go with each row
	Key    []string          `yaml:"key"`    // members that name a record
	Group  []string          `yaml:"group"`  // members that name a set of records, which a new one replaces whole
	Needs  map[string]string `yaml:"needs"`  // member: the name of records one of which has it with that value
	Gives  string            `yaml:"gives"`  // member that gets a number of the centre
	Person bool              `yaml:"person"` // psn_no is of somebody the centre knows; always so in a question

	Find     map[string]string `yaml:"find"`     // member of the question: that of the record; "": not looked at
	Since    string            `yaml:"since"`    // member of the question: no record with an earlier Time
	Until    string            `yaml:"until"`    // no later one
	Time     string            `yaml:"time"`     // member of the record
	One      bool              `yaml:"one"`      // only the latest; refused where there is none
	Anywhere bool              `yaml:"anywhere"` // also those of other institutions

	To    string            `yaml:"to"`    // node of the output, "." for the output itself; absent: nothing is told of it
	As    map[string]string `yaml:"as"`    // member of the output: that of the record, "=x" for x itself, "#" for the number of the row
	Count []string          `yaml:"count"` // members of the output, by path, that say how many there are
}

// Record is one record: members without underscores and in small letters.
type Record map[string]any

// Facts is what the centre knows of a message and by itself.
type Facts struct {
	Place  string                          // institution
	Own    map[string]any                  // members a record gets that nobody sent: who, when, where
	NewID  func() string                   // a number of the centre
	Known  func(psn string) error          // whether a person is one of the centre's; an error is a refusal
	Person func(psn string) map[string]any // members of that person, nil for nobody
	// View gives records that are kept elsewhere in the centre; ok is false for names that are the book's.
	View func(name string) (list []map[string]any, ok bool)
}

// Refusal is a business refusal.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Book is what was kept.
type Book struct {
	rules map[string][]Rule
	kept  map[string][]Record // by institution and name, in their order
}

// Rules reads the embedded rules, by the number of the transaction.
func Rules() (map[string][]Rule, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	var rules map[string][]Rule
	if err := dec.Decode(&rules); err != nil {
		return nil, fmt.Errorf("records.yaml: %w", err)
	}
	for n, list := range rules {
		for _, q := range list {
			does := 0
			for _, one := range []bool{q.Keep != "", q.Change != "", q.Drop != "", len(q.Ask) > 0} {
				if one {
					does++
				}
			}
			if does != 1 {
				return nil, fmt.Errorf("records.yaml: %s does %d things at once", n, does)
			}
		}
	}
	return rules, nil
}

// New gives an empty book.
func New() (*Book, error) {
	rules, err := Rules()
	if err != nil {
		return nil, err
	}
	return &Book{rules: rules, kept: map[string][]Record{}}, nil
}

// Knows reports whether a transaction is one of records.
func (b *Book) Knows(n ident.Infno) bool { return len(b.rules[string(n)]) > 0 }

// Lines gives what is kept, a line for each record, in a fixed order.
func (b *Book) Lines() []string {
	var out []string
	for name, list := range b.kept {
		for i, r := range list {
			out = append(out, fmt.Sprintf("%s %06d %v", name, i, map[string]any(r)))
		}
	}
	slices.Sort(out)
	return out
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

func (r Record) text(name string) string { return strictjson.Text(r[fold(name)]) }

// Plan holds an input that its table allows against what is kept, and gives what it would do; run must be called before anything else
// is planned. writes is false for a question. Errors are a Refusal.
func (b *Book) Plan(t *catalog.Transaction, in map[string]any, f Facts) (run func() any, writes bool, err error) {
	var does []func(out map[string]any)
	for _, q := range b.rules[string(t.Infno)] {
		list, err := q.rows(in, f)
		if err != nil {
			return nil, false, err
		}
		if q.Of != "" && len(list) == 0 && len(q.Ask) == 0 {
			continue // a node that may be left out
		}
		switch {
		case len(q.Ask) > 0:
			if len(list) == 0 {
				list = []Record{{}}
			}
			found, err := b.find(t, q, list[0], f)
			if err != nil {
				return nil, false, err
			}
			does = append(does, func(out map[string]any) { answer(t, q, found, out) })
			continue
		case q.Keep != "":
			does = append(does, func(out map[string]any) { b.keep(t, q, list, f, out) })
		default:
			var hit []Record
			name := q.Change + q.Drop
			for _, r := range list {
				same := b.alike(f.Place, name, q.Key, r)
				if len(same) == 0 {
					return nil, false, Refusal("未查询到对应的记录: " + r.text(q.Key[0]))
				}
				if q.Change != "" {
					same = same[len(same)-1:]
				}
				hit = append(hit, same...)
			}
			does = append(does, func(out map[string]any) {
				if q.Drop != "" {
					b.drop(f.Place, name, hit)
				} else {
					for i, r := range list {
						for k, v := range r {
							hit[i][k] = v
						}
					}
				}
				answer(t, q, hit, out)
			})
		}
		writes = true
	}
	return func() any {
		out := map[string]any{}
		for _, do := range does {
			do(out)
		}
		if len(out) == 0 {
			return nil
		}
		return out
	}, writes, nil
}

// rows are the rows of an input a rule is about.
func (q Rule) rows(in map[string]any, f Facts) ([]Record, error) {
	with := Record{}
	for _, path := range q.With {
		if v := at(in, path); v != nil {
			with[fold(path[strings.LastIndexByte(path, '.')+1:])] = v
		}
	}
	list := spread(with, in, q.Of)
	for _, r := range list {
		if psn := r.text("psn_no"); psn != "" && (q.Person || len(q.Ask) > 0) {
			if err := f.Known(psn); err != nil {
				return nil, err
			}
		}
		if at := r.text("fixmedins_code"); len(q.Ask) > 0 && at != "" && at != f.Place && !q.Anywhere {
			return nil, Refusal("机构编号与报文头不一致")
		}
		for member, name := range q.Needs {
			view, _ := f.View(name)
			if !slices.ContainsFunc(view, func(o map[string]any) bool { return strictjson.Text(o[member]) == r.text(member) }) {
				return nil, Refusal(fmt.Sprintf("未查询到 %s: %s", member, r.text(member)))
			}
		}
	}
	return list, nil
}

// spread takes the rows at a path; rows within rows take over the plain members of those around them.
func spread(over Record, v any, path string) []Record {
	switch v := v.(type) {
	case []any:
		var out []Record
		for _, one := range v {
			out = append(out, spread(over, one, path)...)
		}
		return out
	case map[string]any:
		r := Record{}
		for k, x := range over {
			r[k] = x
		}
		for k, x := range v {
			switch x.(type) {
			case map[string]any, []any, nil:
			default:
				r[fold(k)] = x
			}
		}
		if path == "" {
			return []Record{r}
		}
		first, rest, _ := strings.Cut(path, ".")
		if v[first] == nil {
			return nil
		}
		return spread(r, v[first], rest)
	}
	return nil
}

func at(in map[string]any, path string) any {
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		return in[first]
	}
	if o, ok := in[first].(map[string]any); ok {
		return at(o, rest)
	}
	return nil
}

func (b *Book) keep(t *catalog.Transaction, q Rule, list []Record, f Facts, out map[string]any) {
	place := f.Place + " " + q.Keep
	for _, r := range list {
		if q.Gives != "" && r.text(q.Gives) == "" {
			r[fold(q.Gives)] = f.NewID()
		}
		for _, own := range []map[string]any{f.Own, f.Person(r.text("psn_no"))} {
			for k, v := range own {
				if r.text(k) == "" {
					r[fold(k)] = v
				}
			}
		}
		r["rid"] = f.NewID()
		if len(q.Key) > 0 {
			b.drop(f.Place, q.Keep, b.alike(f.Place, q.Keep, q.Key, r))
		}
	}
	if len(q.Group) > 0 && len(list) > 0 {
		b.drop(f.Place, q.Keep, b.alike(f.Place, q.Keep, q.Group, list[0]))
	}
	b.kept[place] = append(b.kept[place], list...)
	if n := len(b.kept[place]); n > most {
		b.kept[place] = slices.Clone(b.kept[place][n-most:])
	}
	answer(t, q, list, out)
}

// alike are the records that say the same where a row says anything.
func (b *Book) alike(place, name string, members []string, r Record) []Record {
	want := Record{}
	for _, m := range members {
		if v := r.text(m); v != "" {
			want[fold(m)] = v
		}
	}
	var out []Record
	for _, o := range b.kept[place+" "+name] {
		same := true
		for m, v := range want {
			same = same && strictjson.Text(o[m]) == v
		}
		if same {
			out = append(out, o)
		}
	}
	return out
}

func (b *Book) drop(place, name string, gone []Record) {
	if len(gone) == 0 {
		return
	}
	ids := map[string]bool{}
	for _, r := range gone {
		ids[r.text("rid")] = true
	}
	b.kept[place+" "+name] = slices.DeleteFunc(b.kept[place+" "+name], func(r Record) bool { return ids[r.text("rid")] })
}

// find answers a question.
func (b *Book) find(t *catalog.Transaction, q Rule, ask Record, f Facts) ([]Record, error) {
	var found []Record
	for _, name := range q.Ask {
		for _, r := range b.all(name, q.Anywhere, f) {
			if q.fits(t, ask, r) {
				found = append(found, r)
			}
		}
	}
	if q.One {
		if len(found) == 0 {
			return nil, Refusal("未查询到记录")
		}
		found = found[len(found)-1:]
	}
	return page(found, ask), nil
}

func (b *Book) all(name string, anywhere bool, f Facts) []Record {
	var out []Record
	if view, ok := f.View(name); ok {
		for _, o := range view {
			r := Record{}
			for k, v := range o {
				r[fold(k)] = v
			}
			out = append(out, r)
		}
		return out
	}
	for _, place := range sortedKeys(b.kept) {
		if place == f.Place+" "+name || anywhere && strings.HasSuffix(place, " "+name) {
			out = append(out, b.kept[place]...)
		}
	}
	return out
}

// fits reports whether a record is one that is asked for: wherever the question and the record both say something they agree.
func (q Rule) fits(t *catalog.Transaction, ask, r Record) bool {
	if day := short(r.text(q.Time)); q.Time != "" && (ask.text(q.Since) != "" && day < short(ask.text(q.Since)) || ask.text(q.Until) != "" && day > short(ask.text(q.Until))) {
		return false
	}
	for _, n := range t.Input {
		if n.Name != q.Of {
			continue
		}
		for _, field := range n.Fields {
			member, other := q.Find[field.Code]
			if !other {
				member = field.Code
			}
			want, have := ask.text(field.Code), r.text(member)
			if member == "" || want == "" || have == "" || field.Code == q.Since || field.Code == q.Until {
				continue
			}
			if have != want && short(have) != want {
				return false
			}
		}
	}
	return true
}

// short is the day of a time.
func short(s string) string {
	if len(s) == len(time.DateTime) {
		return s[:len(time.DateOnly)]
	}
	return s
}

// page gives the rows of the page that is asked for.
func page(list []Record, ask Record) []Record {
	n, size := 1, 0
	_, err := fmt.Sscan(ask.text("page_size"), &size)
	if err != nil || size <= 0 {
		return list
	}
	if _, err := fmt.Sscan(ask.text("page_num"), &n); err != nil || n < 1 {
		n = 1
	}
	size = min(size, most*most)
	from := min(len(list), (min(n, most*most)-1)*size)
	return list[from:min(len(list), from+size)]
}

// answer writes records as the table of the output has them.
func answer(t *catalog.Transaction, q Rule, list []Record, out map[string]any) {
	if q.To == "" {
		return
	}
	name := q.To[strings.LastIndexByte(q.To, '.')+1:]
	i := slices.IndexFunc(t.Output, func(n catalog.Node) bool { return n.Name == name && n.OnlyIn == "" })
	if i < 0 {
		return
	}
	n := &t.Output[i]
	var rows []any
	for k, r := range list {
		o := map[string]any{}
		for j := range n.Fields {
			if f := &n.Fields[j]; f.Type != "array" && f.Type != "object" {
				o[f.Code] = value(f, q, r, k+1)
			}
		}
		rows = append(rows, o)
	}
	switch {
	case n.Repeat && rows == nil:
		put(out, q.To, []any{})
	case n.Repeat:
		put(out, q.To, rows)
	case len(rows) == 0:
	case q.To == ".":
		for k, v := range rows[len(rows)-1].(map[string]any) {
			out[k] = v
		}
	default:
		put(out, q.To, rows[len(rows)-1])
	}
	for _, path := range q.Count {
		put(out, path, len(list))
	}
}

// put sets the member at a path; objects on the way are made.
func put(out map[string]any, path string, v any) {
	first, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		if n, ok := v.(int); ok {
			v = number(fmt.Sprint(n))
		}
		out[first] = v
		return
	}
	o, ok := out[first].(map[string]any)
	if !ok {
		o = map[string]any{}
		out[first] = o
	}
	put(o, rest, v)
}

// value is one member of an answer.
func value(f *catalog.Field, q Rule, r Record, row int) any {
	name, ok := q.As[f.Code]
	if !ok {
		name = f.Code
	}
	s := r.text(name)
	switch {
	case name == "#":
		s = fmt.Sprint(row)
	case strings.HasPrefix(name, "="):
		s = name[1:]
	}
	for _, alias := range f.Aliases {
		if s == "" {
			s = r.text(alias)
		}
	}
	switch {
	case s == "":
		return nil
	case f.Type == "number":
		return number(s)
	case f.Type == "date":
		return short(s)
	case f.Type == "datetime" && len(s) == len(time.DateOnly):
		return s + " 00:00:00"
	}
	return s
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// number is a number as it is written, nil for what is none.
func number(s string) any {
	if _, err := money.ParseDecimal(s, 8); err != nil {
		return nil
	}
	return json.Number(s)
}
