package watch

import (
	"slices"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// record is one message of the HIS and what became of it.
type record struct {
	infno, msgid string
	head         wire.Request
	in, out      any
	done         bool // the centre did it
	told         bool // and the HIS was told so
	undone       bool
	undid        []*record
	by           string // the number that undid it
	plant        string // what the centre did wrong with it
	again        string // what came while its answer was late
}

// find gives the value of a member that lies nearest to the top of a message, "" where none is: what is said of the whole comes before
// what is said of a row.
func find(v any, name string) string {
	for level := []any{v}; len(level) > 0; {
		var below []any
		for _, one := range level {
			switch one := one.(type) {
			case map[string]any:
				if x, ok := one[name]; ok && x != nil {
					switch x.(type) {
					case map[string]any, []any:
					default:
						if s := strictjson.Text(x); s != "" {
							return s
						}
					}
				}
				for _, k := range keysOf(one) {
					below = append(below, one[k])
				}
			case []any:
				below = append(below, one...)
			}
		}
		level = below
	}
	return ""
}

// all gives every value of a member.
func all(v any, name string) []string {
	var out []string
	switch v := v.(type) {
	case map[string]any:
		for _, k := range keysOf(v) {
			switch v[k].(type) {
			case map[string]any, []any:
				out = append(out, all(v[k], name)...)
			default:
				if k == name && v[k] != nil {
					out = append(out, strictjson.Text(v[k]))
				}
			}
		}
	case []any:
		for _, x := range v {
			out = append(out, all(x, name)...)
		}
	}
	return out
}

// rowsOf gives the objects that carry a member.
func rowsOf(v any, name string) []map[string]any {
	var out []map[string]any
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v[name]; ok {
			out = append(out, v)
		}
		for _, k := range keysOf(v) {
			out = append(out, rowsOf(v[k], name)...)
		}
	case []any:
		for _, x := range v {
			out = append(out, rowsOf(x, name)...)
		}
	}
	return out
}

func keysOf(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// key is a value a message is known by: of its input, else of its output.
func (r *record) key(name string) string {
	if s := find(r.in, name); s != "" {
		return s
	}
	return find(r.out, name)
}

// alike reports whether two messages say the same of some members; what one of them does not say does not part them, and
// 0000 is every one.
func alike(a, b *record, names []string) bool {
	for _, n := range names {
		x, y := a.key(n), b.key(n)
		if x != "" && y != "" && x != y && x != "0000" && y != "0000" {
			return false
		}
	}
	return true
}

// identity is what one bill and another differ in.
var identity = []string{"mdtrt_id", "chrg_bchno", "setl_id"}

// applied keeps what a message that was done changed.
func (w *Watcher) applied(r *record) {
	if r.infno == "2601" {
		for _, o := range w.hist {
			if o.msgid == find(r.in, "omsgid") && o.done && !o.undone {
				o.undone, o.by = true, r.infno
				r.undid = append(r.undid, o)
				for _, u := range o.undid {
					u.undone = false
				}
			}
		}
		return
	}
	if sn := find(r.in, "feedetl_sn"); sn != "" && sn != "0000" && w.undoes(r.infno) {
		for _, s := range all(r.in, "feedetl_sn") {
			w.deleted[r.key("mdtrt_id")+"/"+s] = true
		}
		return
	}
	for _, o := range w.hist {
		if o == r || !o.done || o.undone || string(w.undoOf(o.infno)) != r.infno || !alike(o, r, identity) || find(o.in, "psn_no") != find(r.in, "psn_no") {
			continue
		}
		o.undone, o.by = true, r.infno
		r.undid = append(r.undid, o)
	}
}

func (w *Watcher) undoOf(infno string) ident.Infno {
	if t, ok := w.o.Catalog.Lookup(ident.Infno(infno)); ok {
		return t.Undo
	}
	return ""
}

// undoes reports whether a transaction takes something back.
func (w *Watcher) undoes(infno string) bool {
	for _, t := range w.o.Catalog.All() {
		if string(t.Undo) == infno {
			return true
		}
	}
	return false
}

// inForce gives the messages of some numbers that were done and not undone, oldest first.
func (w *Watcher) inForce(r *record, infnos, same []string) []*record {
	var out []*record
	for _, o := range w.hist {
		if o != r && o.done && !o.undone && slices.Contains(infnos, o.infno) && matches(o, r, same) {
			out = append(out, o)
		}
	}
	return out
}

// matches wants the members to be there and the same.
func matches(o, r *record, same []string) bool {
	for _, n := range same {
		if x := find(r.in, n); x == "" || o.key(n) != x && o.key(n) != "0000" && x != "0000" {
			return false
		}
	}
	return true
}
