// Package codes answers what a dictionary value means: insurance types, medical categories,
// certificate types and the other tables of spec/dictionaries.json.
//
// A table may hold fewer codes than a province really uses: Enforced tells whether a table is
// complete enough to refuse an unlisted value.
package codes

import "slices"

// Meaning says what is known of one value of one dictionary.
type Meaning uint8

const (
	Unknown  Meaning = iota // not listed
	National                // listed nationally, or an alias of such a value
	Local                   // listed for some region or product only
	NoTable                 // the dictionary is a stub or does not exist: nothing can be said
)

// String gives the word for logs and tables.
func (m Meaning) String() string {
	switch m {
	case National:
		return "national"
	case Local:
		return "local"
	case NoTable:
		return "no-table"
	}
	return "unknown"
}

// Confidence in a table, as spec/FORMAT.md explains it.
const (
	High   = "high"
	Medium = "medium"
	Low    = "low"
)

// Value is one listed code.
type Value struct {
	Code  string
	Label string
}

// LocalValue is a code of one region or product. One code may mean different things in two regions.
type LocalValue struct {
	Region string // "" when the table does not name it
	Code   string
	Label  string
}

// Dictionary is one code table. It is shared: read it, do not change it.
type Dictionary struct {
	Code         string // name the tables use: "insutype"
	Name         string // Chinese label
	Confidence   string // high, medium, low
	Values       []Value
	Local        []LocalValue
	FieldAliases []string          // field codes that use this table under another name
	Aliases      map[string]string // other spellings of a value -> listed code
	Sources      []string
	Note         string
	Disputes     []string

	labels map[string]string
	local  map[string]string
}

// Meaning says what is known of a value.
func (d *Dictionary) Meaning(code string) Meaning {
	if d == nil || (len(d.labels) == 0 && len(d.local) == 0) {
		return NoTable
	}
	if _, ok := d.labels[code]; ok {
		return National
	}
	if to, ok := d.Aliases[code]; ok {
		if _, ok := d.labels[to]; ok {
			return National
		}
	}
	if _, ok := d.local[code]; ok {
		return Local
	}
	if len(d.labels) == 0 {
		return NoTable
	}
	return Unknown
}

// Label gives the text of a value; false when it is not listed. A code with different local
// meanings gives the first one in order of region.
func (d *Dictionary) Label(code string) (string, bool) {
	if d == nil {
		return "", false
	}
	if l, ok := d.labels[code]; ok {
		return l, true
	}
	if to, ok := d.Aliases[code]; ok {
		if l, ok := d.labels[to]; ok {
			return l, true
		}
	}
	l, ok := d.local[code]
	return l, ok
}

// Enforced reports whether the table is well enough known to refuse a value it does not list.
func (d *Dictionary) Enforced() bool {
	return d != nil && len(d.labels) > 0 && (d.Confidence == High || d.Confidence == Medium)
}

// Tables is the set of all dictionaries. It is immutable and safe for concurrent use.
type Tables struct {
	byName  map[string]*Dictionary
	byField map[string]string
	names   []string
}

// Lookup finds a dictionary by its name, or by a field code that uses it under another name.
func (t *Tables) Lookup(dict string) (*Dictionary, bool) {
	if t == nil {
		return nil, false
	}
	if d, ok := t.byName[dict]; ok {
		return d, true
	}
	if n, ok := t.byField[dict]; ok {
		return t.byName[n], true
	}
	return nil, false
}

// Label gives the Chinese text of a value; false when dictionary or value is not known.
func (t *Tables) Label(dict, code string) (string, bool) {
	d, _ := t.Lookup(dict)
	return d.Label(code)
}

// Meaning says what is known of one value; NoTable when the dictionary is not known.
func (t *Tables) Meaning(dict, code string) Meaning {
	d, _ := t.Lookup(dict)
	return d.Meaning(code)
}

// Names lists the dictionaries in alphabetical order.
func (t *Tables) Names() []string { return slices.Clone(t.names) }
