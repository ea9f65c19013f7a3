package soap

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"yiqiao/gateway"
)

// Notation is a small part of XPath, with local names:
//
//	Patient/IdNo      below the scope: the document's root element, or the row
//	Fee[2]/Code       the second Fee
//	Id[@type='NI']    the first Id whose attribute type is NI
//	Fee/@code         an attribute
//	.                 the scope's own text
//	/Bill/Number      from the root element on, wherever the scope is
type Notation struct{}

// Name is "xml".
func (Notation) Name() string { return "xml" }

type step struct {
	name       string
	nth        int
	attr, want string // [@attr='want']
}

type path struct {
	absolute bool
	steps    []step
	attr     string
}

var stepForm = regexp.MustCompile(`^([\p{L}_][\p{L}\p{N}_.-]*)(?:\[(?:([1-9]\d{0,3})|@([\p{L}_][\p{L}\p{N}_.-]*)='([^']{0,60})')\])?$`)

// Compile implements gateway.Notation.
func (Notation) Compile(text string) (gateway.Path, error) {
	wrong := errors.New("路径应形如 Patient/IdNo, Fee[2]/@code 或 /Bill/Number / a path looks like Patient/IdNo, Fee[2]/@code or /Bill/Number")
	p := &path{}
	if text == "." {
		return p, nil
	}
	rest, absolute := strings.CutPrefix(text, "/")
	p.absolute = absolute
	parts := strings.Split(rest, "/")
	for i, part := range parts {
		if a, ok := strings.CutPrefix(part, "@"); ok && i == len(parts)-1 && stepForm.MatchString(a) && !strings.Contains(a, "[") {
			p.attr = a
			continue
		}
		g := stepForm.FindStringSubmatch(part)
		if g == nil {
			return nil, wrong
		}
		s := step{name: g[1], attr: g[3], want: g[4]}
		if g[2] != "" {
			s.nth, _ = strconv.Atoi(g[2])
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

// scope is an element, and the root of its document.
type scope struct{ root, at *Node }

// find gives every element of the path.
func (p *path) find(v any) []*Node {
	s, ok := v.(*scope)
	if !ok {
		return nil
	}
	list, steps := []*Node{s.at}, p.steps
	if p.absolute {
		if len(steps) == 0 || steps[0].name != s.root.Name {
			return nil
		}
		list, steps = []*Node{s.root}, steps[1:]
	}
	for _, st := range steps {
		var next []*Node
		for _, n := range list {
			next = st.below(n, next)
		}
		list = next
	}
	return list
}

func (st step) below(n *Node, out []*Node) []*Node {
	seen := 0
	for _, c := range n.Children {
		if c.Name != st.name || st.attr != "" && attr(c, st.attr) != st.want {
			continue
		}
		if seen++; st.nth == 0 || st.nth == seen {
			out = append(out, c)
		}
	}
	return out
}

func attr(n *Node, name string) string {
	for _, a := range n.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (p *path) text(n *Node) string {
	if p.attr != "" {
		return attr(n, p.attr)
	}
	return n.Text
}

// Value implements gateway.Path.
func (p *path) Value(v any) (string, bool) {
	list := p.find(v)
	if len(list) == 0 {
		return "", false
	}
	s := p.text(list[0])
	return s, s != ""
}

// All implements gateway.Path.
func (p *path) All(v any) []string {
	var out []string
	for _, n := range p.find(v) {
		out = append(out, p.text(n))
	}
	return out
}

// Each implements gateway.Path.
func (p *path) Each(v any) []any {
	s, ok := v.(*scope)
	if !ok {
		return nil
	}
	var out []any
	for _, n := range p.find(v) {
		out = append(out, &scope{s.root, n})
	}
	return out
}

// Source is a document as a mapping sees it: its type is the name of the root element.
func Source(root *Node) gateway.Source {
	return gateway.Source{Notation: Notation{}.Name(), Type: root.Name, Scope: &scope{root, root}}
}

// Read reads a document, in an envelope or plain, as a mapping sees it.
func Read(b []byte) (gateway.Source, error) {
	root, err := Parse(b)
	if err != nil {
		return gateway.Source{}, err
	}
	body, _, err := payload(root)
	if err != nil {
		return gateway.Source{}, err
	}
	return Source(body), nil
}
