package check

import (
	"maps"
	"slices"

	"yiqiao/schemas/check/internal/shape"
)

// run is one check of one message.
type run struct {
	root   string
	side   *side
	strict bool
	out    collector
	cut    map[*member]bool // left out of the pieces and told of: not missing
}

// look collects what is wrong. Findings are returned only when it could not go through.
func (r *run) look(v any) []Finding {
	rows, f := guard(v, 0, !r.strict)
	if f != sound {
		return []Finding{faulty(f, r.root)}
	}
	if m, ok := v.(map[string]any); ok && r.strict {
		w := walk{root: r.root, out: &r.out}
		w.object(r.side.form, m, nil)
	}
	if rows <= rowsAtOnce {
		if !r.validate(v, "", 0) {
			return failed(r.root)
		}
	} else if !r.pieces(v) {
		return failed(r.root)
	}
	return nil
}

// validate hands a value to the schema library; false when it broke down.
func (r *run) validate(v any, shifted string, offset int) bool {
	if r.side.quick.fits(v) {
		return true
	}
	errs, err := validate(r.side.schema, v)
	if err != nil {
		return false
	}
	r.translate(errs, shifted, offset)
	return true
}

// pieces validates a message with many rows piece by piece and stops when enough is known: the
// library keeps an error for every fault it meets, and a message may hold millions.
func (r *run) pieces(v any) bool {
	if list, ok := v.([]any); ok {
		for from := 0; from < len(list) && !r.out.full(); {
			to := r.piece(list, from, r.self())
			if to > from && !r.validate(list[from:to], "", from) {
				return false
			}
			from = max(to, from+1)
		}
		return true
	}
	m, ok := v.(map[string]any)
	if !ok {
		return r.validate(v, "", 0)
	}
	first := maps.Clone(m)
	type rest struct {
		mem  *member
		name string
		list []any
		from int
	}
	var left []rest
	names := slices.Sorted(maps.Keys(m))
	for _, name := range names {
		_, mem := r.side.form.find(name)
		if mem == nil {
			delete(first, name) // unknown to the schema as well
			continue
		}
		switch x := m[name].(type) {
		case []any:
			if !mem.List {
				continue
			}
			to := r.piece(x, 0, mem)
			first[name] = x[:to]
			left = append(left, rest{mem, name, x, to})
		case map[string]any:
			if rowsOf(x) > rowsInRecord {
				r.tooLong(mem, name, -1)
				delete(first, name)
			}
		}
	}
	if !r.validate(first, "", 0) {
		return false
	}
	for _, l := range left {
		for from := l.from; from < len(l.list) && !r.out.full(); {
			to := r.piece(l.list, from, l.mem)
			if to > from && !r.validate(map[string]any{l.name: l.list[from:to]}, l.name, from) {
				return false
			}
			from = max(to, from+1)
		}
	}
	return true
}

// piece gives the end of the next piece of a list, by the rows inside. A row that is too long for
// itself is reported and left out: the piece is then empty and the next one starts after it.
func (r *run) piece(list []any, from int, mem *member) int {
	to, weight := from, 0
	for to < len(list) && weight < rowsAtOnce {
		inside := rowsOf(list[to])
		if inside > rowsInRecord {
			if to == from {
				r.tooLong(mem, mem.Name, from)
			}
			break
		}
		weight += 1 + inside
		to++
	}
	return to
}

func (r *run) tooLong(mem *member, name string, row int) {
	i, _ := r.side.form.find(name)
	at := &trail{nil, name, row, int32(i)}
	limit := itoa(rowsInRecord)
	if r.cut == nil {
		r.cut = map[*member]bool{}
	}
	r.cut[mem] = true
	r.out.add(at.places(), say(CodeNodeTooLong, Error, at.path(r.root), mem.Member, "<="+limit,
		"一条记录内的行数过多, 最多 "+limit+" 行", "holds too many rows in one record, at most "+limit))
}

// self stands for input or output itself.
func (r *run) self() *member {
	return &member{
		Member: &shape.Member{Name: r.root[1:], Object: r.side.form.Object, List: r.side.list, Required: r.strict},
		object: r.side.form,
	}
}

// lists puts a single object where a list belongs into one, in a copy: centres send both.
func (s *side) lists(output any) any {
	m, ok := output.(map[string]any)
	if !ok || s.list {
		return output
	}
	var out map[string]any
	for i := range s.form.members {
		mem := &s.form.members[i]
		if single, ok := m[mem.Name].(map[string]any); ok && mem.List {
			if out == nil {
				out = maps.Clone(m)
			}
			out[mem.Name] = []any{single}
		}
	}
	if out == nil {
		return output
	}
	return out
}
