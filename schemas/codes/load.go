package codes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"yiqiao/schemas/spec"
)

// Default reads the embedded national tables. Every call reads them anew: keep the result.
func Default() (*Tables, error) {
	b, err := spec.FS.ReadFile("dictionaries.json")
	if err != nil {
		return nil, fmt.Errorf("codes: %w", err)
	}
	return Parse(b)
}

type rawDictionary struct {
	Name         string                     `json:"name"`
	Values       map[string]string          `json:"values"`
	LocalValues  map[string]json.RawMessage `json:"localValues"`
	FieldAliases []string                   `json:"fieldAliases"`
	Aliases      map[string]string          `json:"aliases"`
	Sources      []string                   `json:"sources"`
	Confidence   string                     `json:"confidence"`
	Note         string                     `json:"note"`
	Disputes     []string                   `json:"disputes"`
}

// Parse reads tables in the form of spec/dictionaries.json. Unknown keys, an alias of a value that
// is not listed, and a field claimed by two dictionaries are errors.
func Parse(b []byte) (*Tables, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var raw map[string]*rawDictionary
	if err := dec.Decode(&raw); err != nil {
		return nil, fmt.Errorf("codes: %w", err)
	}
	t := &Tables{byName: make(map[string]*Dictionary, len(raw)), byField: map[string]string{}}
	for name, r := range raw {
		if r == nil {
			return nil, fmt.Errorf("codes: %s: empty", name)
		}
		d, err := r.dictionary(name)
		if err != nil {
			return nil, err
		}
		t.byName[name] = d
		t.names = append(t.names, name)
	}
	sort.Strings(t.names)
	for _, name := range t.names {
		for _, f := range t.byName[name].FieldAliases {
			if other, taken := t.byField[f]; taken {
				return nil, fmt.Errorf("codes: field %s belongs to %s and %s", f, other, name)
			}
			t.byField[f] = name
		}
	}
	return t, nil
}

func (r *rawDictionary) dictionary(name string) (*Dictionary, error) {
	d := &Dictionary{
		Code: name, Name: r.Name, Confidence: r.Confidence, FieldAliases: r.FieldAliases,
		Aliases: r.Aliases, Sources: r.Sources, Note: r.Note, Disputes: r.Disputes,
		labels: r.Values, local: map[string]string{},
	}
	switch d.Confidence {
	case High, Medium, Low:
	default:
		return nil, fmt.Errorf("codes: %s: confidence %q", name, d.Confidence)
	}
	for code, label := range r.Values {
		d.Values = append(d.Values, Value{code, label})
	}
	sort.Slice(d.Values, func(i, j int) bool { return d.Values[i].Code < d.Values[j].Code })
	for alias, to := range r.Aliases {
		if _, ok := r.Values[to]; !ok {
			return nil, fmt.Errorf("codes: %s: alias %s of unlisted value", name, alias)
		}
	}
	for key, val := range r.LocalValues {
		var label string
		if json.Unmarshal(val, &label) == nil { // flat: code to text
			d.Local = append(d.Local, LocalValue{Code: key, Label: label})
			continue
		}
		var group map[string]string // grouped by region
		if err := json.Unmarshal(val, &group); err != nil {
			return nil, fmt.Errorf("codes: %s: localValues %s: %w", name, key, err)
		}
		for code, label := range group {
			d.Local = append(d.Local, LocalValue{Region: key, Code: code, Label: label})
		}
	}
	sort.Slice(d.Local, func(i, j int) bool {
		a, b := d.Local[i], d.Local[j]
		if a.Region != b.Region {
			return a.Region < b.Region
		}
		return a.Code < b.Code
	})
	for _, v := range d.Local {
		if _, ok := d.local[v.Code]; !ok {
			d.local[v.Code] = v.Label
		}
	}
	return d, nil
}
