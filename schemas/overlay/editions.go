package overlay

import (
	"maps"
	"slices"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

// Stack is the editions of one region: what holds now and has always held, and what follows.
type Stack struct {
	Base   *catalog.Catalog
	Tables *codes.Tables
	Later  []check.Edition // oldest first
}

// Editions lays the overlays of a region on the published tables, in the order of their days. region "" takes all.
func Editions(list []*Overlay, region string) (*Stack, error) {
	s := &Stack{}
	days := map[ident.Infno]string{}
	err := walk(list, func(o *Overlay) bool { return region == "" || o.For(region) }, func(o *Overlay, t *tables) error {
		c, d, err := t.read()
		switch {
		case err != nil:
			return err
		case o == nil:
			s.Base, s.Tables = c, d
			return nil
		}
		if n := len(s.Later); n > 0 && s.Later[n-1].From == o.From { // two overlays of one day are one edition
			s.Later = s.Later[:n-1]
		}
		maps.Copy(days, o.BusinessDay)
		s.Later = append(s.Later, check.Edition{Name: o.Name, From: o.From, OldUntil: o.OldUntil, Version: o.Version, Catalog: c, Tables: d, Day: maps.Clone(days)})
		return nil
	})
	return s, err
}

// walk lays overlays on, and gives the tables as they are before the first day (with nil) and from each day on.
func walk(list []*Overlay, take func(*Overlay) bool, each func(*Overlay, *tables) error) error {
	t, err := published()
	if err != nil {
		return err
	}
	begun := false
	for _, o := range ordered(list) {
		if !take(o) {
			continue
		}
		if o.From != "" && !begun {
			begun = true
			if err := each(nil, t); err != nil {
				return err
			}
		}
		if err := t.lay(o); err != nil {
			return err
		}
		if o.From != "" {
			if err := each(o, t); err != nil {
				return err
			}
		}
	}
	if !begun {
		return each(nil, t)
	}
	return nil
}

// Last is the newest edition.
func (s *Stack) Last() (*catalog.Catalog, *codes.Tables) {
	if n := len(s.Later); n > 0 {
		return s.Later[n-1].Catalog, s.Later[n-1].Tables
	}
	return s.Base, s.Tables
}

// Union is one catalogue that knows the members of every edition of every region, for whoever must take messages of
// all of them: a field or a node is required only where every edition requires it, and as long as the longest; a
// dictionary has every value.
func Union(list []*Overlay) (*catalog.Catalog, *codes.Tables, error) {
	regions := []string{""} // of none that an overlay names
	for _, o := range list {
		for _, r := range o.Regions {
			if !slices.Contains(regions, r) {
				regions = append(regions, r)
			}
		}
	}
	var all *tables
	for _, r := range regions {
		err := walk(list, func(o *Overlay) bool { return o.For(r) }, func(_ *Overlay, t *tables) error {
			c, _, err := t.read() // what is not of the tables' form can not be united
			if err != nil {
				return err
			}
			all = t.onto(all)
			all.more = hidden(all.more, c)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return all.read()
}

// hidden adds what an edition's own tables make a credential or personal, under every spelling: it is that in the union,
// where some of the spellings are missing.
func hidden(more catalog.Members, c *catalog.Catalog) catalog.Members {
	for _, t := range c.All() {
		if len(t.Overlays) == 0 {
			continue
		}
		for _, n := range slices.Concat(t.Input, t.Output) {
			for _, f := range n.Fields {
				for _, name := range f.Aliases {
					switch {
					case c.Credential(name):
						more.Credential = union(more.Credential, name, f.Code)
					case c.Personal(name):
						more.Personal = union(more.Personal, name, f.Code)
					}
				}
			}
		}
	}
	return more
}

// union adds what is not in a list.
func union(list []string, more ...string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// onto unites tables with those of other editions; nil: there are none yet.
func (t *tables) onto(all *tables) *tables {
	if all == nil {
		all = &tables{tx: map[ident.Infno]obj{}, dicts: plain(t.dicts).(obj)}
	}
	all.more.Credential = union(all.more.Credential, t.more.Credential...)
	all.more.Personal = union(all.more.Personal, t.more.Personal...)
	for name, v := range t.dicts {
		d, there := all.dicts[name].(obj)
		if !there {
			all.dicts[name] = plain(v)
			continue
		}
		values, _ := d["values"].(obj)
		if values == nil {
			values = obj{}
		}
		is, _ := v.(obj)["values"].(obj)
		for code, label := range is {
			if _, there := values[code]; !there {
				values[code] = label
			}
		}
		d["values"] = values
	}
	for n, m := range t.tx {
		was := all.tx[n]
		if was == nil {
			all.tx[n] = plain(m).(obj)
			continue
		}
		if m["overlays"] == nil && was["overlays"] == nil {
			continue
		}
		was["overlays"] = []any{"union"}
		for _, side := range []string{"input", "output"} {
			was[side] = united(was[side], m[side], "node")
		}
	}
	return all
}

// united is every node or field of two lists.
func united(a, b any, key string) []any {
	was, _ := a.([]any)
	is, _ := b.([]any)
	var out []any
	for _, v := range was {
		m, _ := plain(v).(obj)
		name, _ := m[key].(string)
		i := find(is, key, name)
		if i < 0 {
			m["required"] = false
			out = append(out, m)
			continue
		}
		other := is[i].(obj)
		if other["required"] != m["required"] {
			m["required"] = false
		}
		if key == "node" {
			m["fields"] = united(m["fields"], other["fields"], "code")
		} else if lengthOf(other["length"]) > lengthOf(m["length"]) {
			m["length"] = other["length"]
		}
		out = append(out, m)
	}
	for _, v := range is {
		m, _ := plain(v).(obj)
		name, _ := m[key].(string)
		if find(was, key, name) < 0 {
			m["required"] = false
			out = append(out, m)
		}
	}
	if key == "code" {
		ownNames(out)
	}
	return out
}

// ownNames leaves out aliases that are another field's name: one that was renamed has both in the union.
func ownNames(fields []any) {
	taken := map[any]bool{}
	for _, f := range fields {
		taken[f.(obj)["code"]] = true
	}
	for _, f := range fields {
		m := f.(obj)
		aliases, _ := m["aliases"].([]any)
		if aliases = slices.DeleteFunc(slices.Clone(aliases), func(a any) bool { return taken[a] }); len(aliases) > 0 {
			m["aliases"] = aliases
		} else {
			delete(m, "aliases")
		}
		for _, a := range aliases {
			taken[a] = true
		}
	}
}

// lengthOf is the digits in front of a length, no length is the longest.
func lengthOf(v any) int {
	s, ok := v.(string)
	if !ok {
		return 1 << 30
	}
	n := 0
	for i := 0; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n
}
