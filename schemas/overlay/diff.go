package overlay

import (
	"fmt"
	"slices"
	"strings"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

// Kinds of difference. Each is permanent.
const (
	Added     = "added"
	Removed   = "removed"
	Tightened = "tightened" // what was taken may be refused
	Loosened  = "loosened"
	Changed   = "changed" // neither: a name, a dictionary
)

// Difference is one thing that two editions do not have in common.
type Difference struct {
	Kind   string            `json:"kind"`
	What   string            `json:"what"` // transaction, node, field, value
	Infno  ident.Infno       `json:"infno,omitempty"`
	Side   catalog.Direction `json:"side,omitempty"`
	Node   string            `json:"node,omitempty"`
	Field  string            `json:"field,omitempty"`
	Name   string            `json:"name,omitempty"` // Chinese
	Dict   string            `json:"dict,omitempty"`
	Value  string            `json:"value,omitempty"`
	Rule   string            `json:"rule,omitempty"` // what differs of a field: required, length, type, dict
	Old    string            `json:"old,omitempty"`
	New    string            `json:"new,omitempty"`
	Breaks bool              `json:"breaks"` // a message that was good may be refused, or a reply lacks what was there
}

// Diff lists what differs, by transaction, side, node and field; dictionaries behind them.
func Diff(old, new *catalog.Catalog, oldTables, newTables *codes.Tables) []Difference {
	d := &differ{}
	for _, t := range old.All() {
		n, there := new.Lookup(t.Infno)
		if !there {
			d.add(Difference{Kind: Removed, What: "transaction", Infno: t.Infno, Name: t.Name, Breaks: true})
			continue
		}
		for _, side := range []catalog.Direction{catalog.Input, catalog.Output} {
			d.nodes(Difference{Infno: t.Infno, Side: side}, t.Nodes(side), n.Nodes(side))
		}
	}
	for _, t := range new.All() {
		if _, there := old.Lookup(t.Infno); !there {
			d.add(Difference{Kind: Added, What: "transaction", Infno: t.Infno, Name: t.Name})
		}
	}
	for _, name := range oldTables.Names() {
		o, _ := oldTables.Lookup(name)
		n, _ := newTables.Lookup(name)
		d.values(name, o, n)
	}
	for _, name := range newTables.Names() {
		if !slices.Contains(oldTables.Names(), name) {
			n, _ := newTables.Lookup(name)
			d.values(name, nil, n)
		}
	}
	return d.list
}

type differ struct{ list []Difference }

func (d *differ) add(x Difference) { d.list = append(d.list, x) }

func (d *differ) nodes(at Difference, old, new []catalog.Node) {
	in := at.Side == catalog.Input
	for i := range old {
		o := &old[i]
		at := at
		at.Node, at.Name = o.Name, o.Title
		j := slices.IndexFunc(new, func(n catalog.Node) bool { return n.Name == o.Name })
		if j < 0 {
			at.Kind, at.What, at.Breaks = Removed, "node", true
			d.add(at)
			continue
		}
		n := &new[j]
		d.strict(at, "node", "required", word(o.Required), word(n.Required), int(n.Required)-int(o.Required), in)
		if o.Repeat != n.Repeat {
			at.Kind, at.What, at.Rule, at.Old, at.New, at.Breaks = Tightened, "node", "repeat", yes(o.Repeat), yes(n.Repeat), true
			d.add(at)
		}
		d.fields(at, o, n)
	}
	for i := range new {
		n := &new[i]
		if slices.ContainsFunc(old, func(o catalog.Node) bool { return o.Name == n.Name }) {
			continue
		}
		at := at
		at.Kind, at.What, at.Node, at.Name, at.New = Added, "node", n.Name, n.Title, word(n.Required)
		at.Breaks = in && n.Required == catalog.Always
		d.add(at)
	}
}

func (d *differ) fields(at Difference, old, new *catalog.Node) {
	in := at.Side == catalog.Input
	for i := range old.Fields {
		o := &old.Fields[i]
		at := at
		at.Field, at.Name, at.Dict = o.Code, o.Name, ""
		n, there := new.Field(o.Code)
		if !there {
			at.Kind, at.What, at.Old, at.Breaks = Removed, "field", form(o), true
			d.add(at)
			continue
		}
		was, is := o.Required, n.Required
		if o.Assumed && was == catalog.Always {
			was = catalog.Conditional
		}
		if n.Assumed && is == catalog.Always {
			is = catalog.Conditional
		}
		d.strict(at, "field", "required", word(was), word(is), int(is)-int(was), in)
		if o.Type != n.Type {
			at.Kind, at.What, at.Rule, at.Old, at.New, at.Breaks = Tightened, "field", "type", o.Type, n.Type, true
			d.add(at)
			continue
		}
		d.strict(at, "field", "length", length(o), length(n), shorter(o, n), in)
		if o.Dict != n.Dict {
			at.Kind, at.What, at.Rule, at.Old, at.New, at.Breaks = Changed, "field", "dict", o.Dict, n.Dict, in && n.Dict != ""
			d.add(at)
		}
	}
	for i := range new.Fields {
		n := &new.Fields[i]
		if _, there := old.Field(n.Code); there {
			continue
		}
		at := at
		at.Kind, at.What, at.Field, at.Name, at.New, at.Dict = Added, "field", n.Code, n.Name, form(n)+" "+word(n.Required), n.Dict
		at.Breaks = in && n.Required == catalog.Always && !n.Assumed && new.Required != catalog.Optional
		d.add(at)
	}
}

// strict adds a difference of degree: more is stricter.
func (d *differ) strict(at Difference, what, rule, old, new string, more int, in bool) {
	if old == new {
		return
	}
	at.What, at.Rule, at.Old, at.New = what, rule, old, new
	switch {
	case more > 0:
		at.Kind, at.Breaks = Tightened, in && (rule != "required" || new == "always")
	case more < 0:
		at.Kind = Loosened
	default:
		at.Kind = Changed
	}
	d.add(at)
}

func (d *differ) values(name string, old, new *codes.Dictionary) {
	has := func(x *codes.Dictionary, code string) bool {
		return x != nil && slices.ContainsFunc(x.Values, func(v codes.Value) bool { return v.Code == code })
	}
	if old != nil {
		for _, v := range old.Values {
			if !has(new, v.Code) {
				d.add(Difference{Kind: Removed, What: "value", Dict: name, Value: v.Code, Name: v.Label, Breaks: new.Enforced()})
			}
		}
	}
	if new != nil {
		for _, v := range new.Values {
			if !has(old, v.Code) {
				d.add(Difference{Kind: Added, What: "value", Dict: name, Value: v.Code, Name: v.Label})
			}
		}
	}
}

func word(r catalog.Required) string {
	b, _ := r.MarshalText()
	return string(b)
}

func yes(b bool) string {
	if b {
		return "list"
	}
	return "single"
}

func length(f *catalog.Field) string {
	switch {
	case f.Length == 0:
		return ""
	case f.Decimals >= 0:
		return fmt.Sprintf("%d,%d", f.Length, f.Decimals)
	}
	return fmt.Sprint(f.Length)
}

func form(f *catalog.Field) string { return strings.TrimSpace(f.Type + " " + length(f)) }

// shorter is above zero when the new field holds less. One whose length is only borrowed holds anything.
func shorter(o, n *catalog.Field) int {
	size := func(f *catalog.Field) (whole, decimals int) {
		if f.Length == 0 || f.Borrowed {
			return 1 << 20, 1 << 20
		}
		return f.Length - max(f.Decimals, 0), max(f.Decimals, 0)
	}
	ow, od := size(o)
	nw, nd := size(n)
	switch {
	case nw < ow || nd < od:
		return 1
	case nw > ow || nd > od:
		return -1
	}
	return 0
}
