package hl7

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"yiqiao/gateway"
)

// Notation is how places in a message are named:
//
//	PID-5           field 5 of the first PID, its first component
//	PID-5.2         component 2
//	PID-3.4.2       subcomponent 2 of component 4
//	PID-3[2].1      the second repetition
//	PID-3[5=MR].1   the first repetition whose component 5 is MR
//	NK1[2]-2        of the second NK1
//	FT1             the segment itself: for each, one scope for every FT1 with what follows it
//
// Inside the scope of an FT1 a path looks first in that FT1 and the segments behind it, up to the next
// FT1, and then in what stands before the first FT1: never in another FT1's segments, so that what one row does
// not say is not taken from its neighbour. "" in quotes, HL7's way to say that a value is deleted, is an
// empty value that is there.
type Notation struct{}

// Name is "hl7".
func (Notation) Name() string { return "hl7" }

var pathForm = regexp.MustCompile(`^([A-Z][A-Z0-9]{2})(?:\[(\d{1,3})\])?(?:-(\d{1,3})(?:\[(?:(\d{1,3})|(\d{1,2})=([^\]]{1,40}))\])?(?:\.(\d{1,2}))?(?:\.(\d{1,2}))?)?$`)

// path is a compiled path.
type path struct {
	name           string
	nth            int // of the segment, 1 the first
	field          int // 0: the segment
	rep            int // 1 the first; 0: that with test
	testComponent  int
	test           string
	component, sub int
}

// Compile implements gateway.Notation.
func (Notation) Compile(text string) (gateway.Path, error) {
	g := pathForm.FindStringSubmatch(text)
	if g == nil {
		return nil, errors.New("路径应形如 PID-5.1, PID-3[2].1 或 FT1 / a path looks like PID-5.1, PID-3[2].1 or FT1")
	}
	p := &path{name: g[1], test: g[6]}
	for _, x := range []struct {
		text string
		into *int
		def  int
	}{{g[2], &p.nth, 1}, {g[3], &p.field, 0}, {g[4], &p.rep, 1}, {g[5], &p.testComponent, 0}, {g[7], &p.component, 1}, {g[8], &p.sub, 1}} {
		*x.into = x.def
		if x.text != "" {
			*x.into, _ = strconv.Atoi(x.text)
			if *x.into == 0 {
				return nil, fmt.Errorf("从 1 数起 / counting begins with 1")
			}
		}
	}
	if p.test != "" {
		p.rep = 0
	}
	return p, nil
}

// scope is a message or a run of its segments.
type scope struct {
	m        *Message
	from, to int
	up       *scope // around it; nil: it is the message
	head     int    // where, in up, the first of its kind begins
}

func scopeOf(v any) *scope {
	switch x := v.(type) {
	case *scope:
		return x
	case *Message:
		return &scope{m: x, to: len(x.segments)}
	}
	return nil
}

// find gives the segment a path means.
func (p *path) find(s *scope) (segment, bool) {
	seg, ok := p.within(s.m, s.from, s.to)
	for ; !ok && s.up != nil; s = s.up {
		seg, ok = p.within(s.m, s.up.from, s.head)
	}
	return seg, ok
}

func (p *path) within(m *Message, from, to int) (segment, bool) {
	left := p.nth
	for i := from; i < to; i++ {
		if m.segments[i].fields[0] == p.name {
			if left--; left == 0 {
				return m.segments[i], true
			}
		}
	}
	return segment{}, false
}

// Value implements gateway.Path.
func (p *path) Value(v any) (string, bool) {
	var whole scope
	s, ok := v.(*scope)
	if !ok {
		m, ok := v.(*Message)
		if !ok || p.field == 0 {
			return "", false
		}
		whole = scope{m: m, to: len(m.segments)}
		s = &whole
	}
	if p.field == 0 {
		return "", false
	}
	seg, ok := p.find(s)
	if !ok {
		return "", false
	}
	return p.read(s.m, seg)
}

func (p *path) read(m *Message, seg segment) (string, bool) {
	f := seg.field(p.field)
	if f == "" {
		return "", false
	}
	if p.name == "MSH" && p.field <= 2 {
		return f, true
	}
	rep := p.repetition(m, f)
	text := m.text(rep, p.component, p.sub)
	if text == `""` {
		return "", true
	}
	return text, text != ""
}

func (p *path) repetition(m *Message, f string) string {
	if p.rep > 0 {
		return piece(f, m.delims.repetition, p.rep)
	}
	for more := f != ""; more; {
		rep := f
		if i := strings.IndexByte(f, m.delims.repetition); i >= 0 && m.delims.repetition != 0 {
			rep, f = f[:i], f[i+1:]
		} else {
			more = false
		}
		if m.text(rep, p.testComponent, 1) == p.test {
			return rep
		}
	}
	return ""
}

// All implements gateway.Path: the value in every segment of the name, or with a segment number or a
// scope around it only there.
func (p *path) All(v any) []string {
	s := scopeOf(v)
	if s == nil || p.field == 0 {
		return nil
	}
	var out []string
	for i := s.from; i < s.to; i++ {
		if s.m.segments[i].fields[0] == p.name {
			text, _ := p.read(s.m, s.m.segments[i])
			out = append(out, text)
		}
	}
	return out
}

// Each implements gateway.Path. A segment gives a scope for every one of its name; a field gives one
// for the segment it is in, when it has a value.
func (p *path) Each(v any) []any {
	s := scopeOf(v)
	if s == nil {
		return nil
	}
	n, head := 0, s.from
	for i := s.from; i < s.to; i++ {
		if s.m.segments[i].fields[0] == p.name {
			if n++; n == 1 {
				head = i
			}
		}
	}
	scopes := make([]scope, 0, n)
	for i := s.from; i < s.to; i++ {
		if s.m.segments[i].fields[0] != p.name {
			continue
		}
		if k := len(scopes); k > 0 {
			scopes[k-1].to = i
		}
		scopes = append(scopes, scope{s.m, i, s.to, s, head})
	}
	out := make([]any, 0, n)
	for i := range scopes {
		if p.field > 0 {
			if text, _ := p.read(s.m, s.m.segments[scopes[i].from]); text == "" {
				continue
			}
		}
		out = append(out, &scopes[i])
	}
	return out
}
