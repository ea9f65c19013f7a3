package overlay

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"testing/fstest"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/spec"
)

type obj = map[string]any

// tables are the published ones, decoded where something changed them.
type tables struct {
	tx    map[ident.Infno]obj
	dicts obj
	more  catalog.Members
}

func published() (*tables, error) {
	t := &tables{tx: map[ident.Infno]obj{}}
	files, err := fs.Glob(spec.FS, "transactions/*.json")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		m, err := decode(f)
		if err != nil {
			return nil, err
		}
		n, _ := m["infno"].(string)
		t.tx[ident.Infno(n)] = m
	}
	t.dicts, err = decode("dictionaries.json")
	return t, err
}

func decode(file string) (obj, error) {
	b, err := fs.ReadFile(spec.FS, file)
	if err != nil {
		return nil, err
	}
	var m obj
	return m, json.Unmarshal(b, &m)
}

// read makes a catalogue and dictionaries of them.
func (t *tables) read() (*catalog.Catalog, *codes.Tables, error) {
	files := fstest.MapFS{}
	for n, m := range t.tx {
		b, err := json.Marshal(m)
		if err != nil {
			return nil, nil, err
		}
		files["transactions/"+string(n)+".json"] = &fstest.MapFile{Data: b}
	}
	c, err := catalog.With(files, t.more)
	if err != nil {
		return nil, nil, err
	}
	b, err := json.Marshal(t.dicts)
	if err != nil {
		return nil, nil, err
	}
	d, err := codes.Parse(b)
	return c, d, err
}

// lay applies one overlay. Every fault is told.
func (t *tables) lay(o *Overlay) error {
	var faults []error
	t.more.Credential = append(t.more.Credential, o.Credential...)
	t.more.Personal = append(t.more.Personal, o.Personal...)
	for _, n := range slices.Sorted(maps.Keys(o.Transactions)) {
		for _, err := range t.change(o, n, o.Transactions[n]) {
			faults = append(faults, fmt.Errorf("overlay %s: %s: %w", o.Name, n, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Dictionaries)) {
		for _, err := range t.dict(name, o.Dictionaries[name]) {
			faults = append(faults, fmt.Errorf("overlay %s: dictionary %s: %w", o.Name, name, err))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(o.BusinessDay)) {
		if t.tx[n] == nil {
			faults = append(faults, fmt.Errorf("overlay %s: business_day: no transaction %s", o.Name, n))
		}
	}
	return errors.Join(faults...)
}

func (t *tables) change(o *Overlay, n ident.Infno, c Change) []error {
	if c.Table != nil {
		if t.tx[n] != nil {
			return []error{errors.New("table: the transaction is there already; say what changes")}
		}
		m := plain(c.Table).(obj)
		m["infno"], m["overlays"] = string(n), []any{o.Name}
		t.tx[n] = m
		return nil
	}
	m := t.tx[n]
	if m == nil {
		return []error{errors.New("there is no such transaction; a new one is given whole, under table")}
	}
	var faults []error
	for _, part := range []struct {
		side   string
		nodes  map[string]Node
		add    []RawNode
		remove []string
		change []NodeChange
	}{{"input", c.Input, c.AddNodes.Input, c.RemoveNodes.Input, c.Nodes.Input}, {"output", c.Output, c.AddNodes.Output, c.RemoveNodes.Output, c.Nodes.Output}} {
		side := part.side
		list, _ := m[side].([]any)
		fault := func(format string, a ...any) { faults = append(faults, fmt.Errorf(side+": "+format, a...)) }
		for _, name := range part.remove {
			i := find(list, "node", name)
			if i < 0 {
				fault("no node %q to remove", name)
				continue
			}
			list = slices.Delete(slices.Clone(list), i, i+1)
		}
		for _, add := range part.add {
			if find(list, "node", add.Node) >= 0 {
				fault("node %q is there already", add.Node)
				continue
			}
			list = append(slices.Clone(list), add.raw())
		}
		for _, ch := range part.change {
			i := find(list, "node", ch.Node)
			if i < 0 {
				fault("no node %q", ch.Node)
				continue
			}
			if ch.Required != nil {
				list[i].(obj)["required"] = ch.Required
			}
			if ch.Repeat != nil {
				list[i].(obj)["repeat"] = *ch.Repeat
			}
		}
		for _, name := range slices.Sorted(maps.Keys(part.nodes)) {
			i := find(list, "node", name)
			if i < 0 {
				fault("no node %q", name)
				continue
			}
			node := list[i].(obj)
			fields, _ := node["fields"].([]any)
			for _, err := range part.nodes[name].apply(&fields) {
				fault("%s: %w", name, err)
			}
			node["fields"] = fields
		}
		m[side] = list
	}
	over, _ := m["overlays"].([]any)
	m["overlays"] = append(slices.Clone(over), o.Name)
	return faults
}

func find(list []any, key, name string) int {
	return slices.IndexFunc(list, func(v any) bool { m, _ := v.(obj); s, ok := m[key].(string); return ok && s == name })
}

func (n Node) apply(fields *[]any) (faults []error) {
	for _, code := range n.Remove {
		i := find(*fields, "code", code)
		if i < 0 {
			faults = append(faults, fmt.Errorf("no field %q to remove", code))
			continue
		}
		*fields = slices.Delete(slices.Clone(*fields), i, i+1)
	}
	for _, f := range n.Change {
		i := find(*fields, "code", f.Code)
		if i < 0 {
			faults = append(faults, fmt.Errorf("no field %q to change", f.Code))
			continue
		}
		f.onto((*fields)[i].(obj))
	}
	for _, f := range n.Add {
		if find(*fields, "code", f.Code) >= 0 {
			faults = append(faults, fmt.Errorf("field %q is there already", f.Code))
			continue
		}
		m := obj{"code": f.Code, "name": f.Code, "type": "string", "length": nil, "dict": nil, "required": false, "note": ""}
		f.onto(m)
		*fields = append(slices.Clone(*fields), m)
	}
	return faults
}

// onto writes what is given. What an edition says of a field is said: it is no longer a default.
func (f Field) onto(m obj) {
	for key, v := range map[string]*string{"name": f.Name, "type": f.Type, "length": f.Length, "dict": f.Dict, "note": f.Note} {
		if v != nil {
			m[key] = *v
		}
	}
	if f.Length != nil && *f.Length == "" {
		m["length"] = nil
	}
	if f.Length != nil || f.Type != nil {
		delete(m, "length_borrowed")
	}
	if f.Required != nil {
		m["required"] = f.Required
		delete(m, "required_known")
	}
	if f.Aliases != nil {
		m["aliases"] = plain(f.Aliases)
	}
}

func (n RawNode) raw() obj {
	m := obj{"node": n.Node, "title": n.Title, "repeat": n.Repeat, "required": n.Required, "parent": n.Parent}
	if n.Required == nil {
		m["required"] = false
	}
	fields := []any{}
	Node{Add: n.Fields}.apply(&fields)
	m["fields"] = fields
	return m
}

func (t *tables) dict(name string, c DictChange) (faults []error) {
	d, _ := t.dicts[name].(obj)
	if d == nil {
		if c.Name == "" {
			return []error{errors.New("there is no such dictionary; a new one needs a name")}
		}
		confidence := c.Confidence
		if confidence == "" {
			confidence = codes.Medium
		}
		d = obj{"name": c.Name, "values": obj{}, "confidence": confidence}
		t.dicts[name] = d
	}
	values, _ := d["values"].(obj)
	if values == nil {
		values = obj{}
	}
	for _, code := range c.Remove {
		if _, there := values[code]; !there {
			faults = append(faults, fmt.Errorf("no value %q to remove", code))
		}
		delete(values, code)
		aliases, _ := d["aliases"].(obj)
		maps.DeleteFunc(aliases, func(_ string, to any) bool { return to == code })
	}
	for code, label := range c.Add {
		values[code] = label
	}
	d["values"] = values
	return faults
}

// plain turns what YAML gave into what JSON gives.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return obj{}
	}
	var out any
	if json.Unmarshal(b, &out) != nil {
		return obj{}
	}
	return out
}
