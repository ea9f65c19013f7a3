package check

import (
	"yiqiao/schemas/check/internal/shape"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

// object is shape.Object made ready for one region.
type object struct {
	*shape.Object
	members []member
}

// member is shape.Member with the region's facts.
type member struct {
	*shape.Member
	object  *object
	dict    *codes.Dictionary
	further map[string]bool // dictionary values this region adds
	relaxed bool            // not required here
	time    bool            // a date or time in the standard form
}

// form turns the tree of a side into what the walk needs.
func (c *Checker) form(n ident.Infno, o *shape.Object) *object {
	out := &object{Object: o, members: make([]member, len(o.Members))}
	for i := range o.Members {
		m := &o.Members[i]
		p := member{Member: m, relaxed: c.relaxed[n][relaxKey(o.Node, m.Name)]}
		if m.Object != nil {
			p.object = c.form(n, m.Object)
		} else {
			if m.Field.Dict != "" && !m.Any {
				p.dict, _ = c.tables.Lookup(m.Field.Dict)
				p.further = c.further[m.Field.Dict]
			}
			p.time = (m.Field.Type == "date" || m.Field.Type == "datetime") && !m.Any && !shape.Loose(m.Field)
		}
		out.members[i] = p
	}
	return out
}

// find gives a member by name or alias.
func (o *object) find(name string) (int, *member) {
	i, ok := o.Index[name]
	if !ok {
		return 0, nil
	}
	return i, &o.members[i]
}

func relaxKey(node, member string) string {
	if node == "" {
		return member
	}
	return node + "." + member
}

// trail is the way from the root to a value, kept on the stack and written out only when
// something is found there.
type trail struct {
	up    *trail
	name  string
	row   int // element of a list, -1 when the value is no element
	place int32
}

func (t *trail) path(root string) string {
	if t == nil {
		return root
	}
	p := t.up.path(root)
	if t.name != "" {
		p += "/" + escape(t.name)
	}
	if t.row >= 0 {
		p += "/" + itoa(t.row)
	}
	return p
}

func (t *trail) places() []int32 {
	if t == nil {
		return nil
	}
	p := t.up.places()
	if t.name != "" {
		p = append(p, t.place)
	}
	if t.row >= 0 {
		p = append(p, int32(min(t.row, 1<<30)))
	}
	return p
}
