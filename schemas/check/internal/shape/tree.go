// Package shape turns a row of the catalogue into the tree a message has, and that tree into a
// JSON Schema. It knows no field by name.
package shape

import (
	"strings"

	"yiqiao/schemas/catalog"
)

// Object is a JSON object a message holds.
type Object struct {
	Node    string // name of the node whose fields it has, "" for input or output itself
	Label   string
	Members []Member // in the order of the table, fields before the nodes inside
	// Index finds a member by its name or by another spelling of it.
	Index map[string]int
}

// Member is a member of an object: a field, or a node.
type Member struct {
	Name     string
	Aliases  []string
	Label    string
	Field    *catalog.Field // nil for a node that no field announces
	Object   *Object        // nil for a field
	List     bool           // Object is the form of each element
	Required bool
	// Instead is the member this one may replace, Rival the one that may replace it: "" for none.
	Instead, Rival string
	Negative       bool // a number that may be below zero
	Any            bool // holds whatever a region puts there
}

// Tree gives the form of one side of a transaction; list tells that the side itself is an array
// of such objects. A side nothing is known of gives an object without members.
func Tree(c *catalog.Catalog, t *catalog.Transaction, d catalog.Direction) (root *Object, list bool) {
	nodes := t.Nodes(d)
	root = &Object{Label: string(d)}
	built := map[string]*Object{"": root}
	for i := range nodes {
		n := &nodes[i]
		o := root
		if n.Name == "" {
			list = n.Repeat
		} else {
			o = &Object{Node: n.Name, Label: n.Title}
			built[n.Name] = o
		}
		for j := range n.Fields {
			f := &n.Fields[j]
			o.Members = append(o.Members, Member{
				Name: f.Code, Aliases: f.Aliases, Label: f.Name, Field: f,
				Required: f.Required == catalog.Always && !f.Assumed,
				Negative: !amount(f) || t.MayBeNegative(f.Code),
				Any:      c.FreeForm(f.Code),
			})
		}
	}
	for i := range nodes {
		n := &nodes[i]
		if n.Name == "" {
			continue
		}
		built[n.Parent].hold(n, built[n.Name])
	}
	for _, o := range built {
		o.Index = make(map[string]int, len(o.Members))
		for i := range o.Members {
			for _, a := range o.Members[i].Aliases {
				o.Index[a] = i
			}
		}
		for i := range o.Members { // a member's own name goes before another's alias
			o.Index[o.Members[i].Name] = i
		}
	}
	return root, list
}

// hold puts a node into the object it lies in, over the field that announces it when there is one.
func (o *Object) hold(n *catalog.Node, child *Object) {
	m := Member{Name: n.Name, Label: n.Title, Required: n.Required == catalog.Always}
	at := len(o.Members)
	for i := range o.Members {
		if o.Members[i].Name == n.Name {
			at, m = i, o.Members[i]
			m.Required = m.Required || n.Required == catalog.Always
		}
		if n.AlternativeTo != "" && o.Members[i].Name == n.AlternativeTo {
			o.Members[i].Rival = n.Name
		}
	}
	m.Object, m.List, m.Instead, m.Any = child, n.Repeat, n.AlternativeTo, false
	if at == len(o.Members) {
		o.Members = append(o.Members, m)
		return
	}
	o.Members[at] = m
}

// amount reports whether a number is of the kind that counts money or goods.
func amount(f *catalog.Field) bool { return f.Type == "number" && f.Decimals >= 2 }

// Loose reports whether a date or time has a form of its own, which only its note tells.
func Loose(f *catalog.Field) bool {
	switch f.Type {
	case "date":
		return f.Borrowed || strings.Contains(f.Note, "yyyy") && !strings.Contains(f.Note, "yyyy-MM-dd") ||
			strings.Contains(f.Note, "HH")
	case "datetime":
		return f.Borrowed || strings.Contains(f.Note, "yyyy") && !strings.Contains(f.Note, "yyyy-MM-dd HH:mm:ss")
	}
	return false
}
