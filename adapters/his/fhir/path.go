package fhir

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
)

// Notation is a small part of FHIRPath. It is our own: the libraries that evaluate FHIRPath can not be had
// here, work on floating point, or fetch what a reference names.
//
//	identifier.value                    below the scope: the focus of the document, or the row
//	Patient.name.text                   every Patient of the document; in a row that is a Patient itself, that one
//	Bundle.identifier.value             the Bundle
//	name[0].given, first(), last()      one of several, counted from 0
//	identifier.where(system = 'urn:x' and use != 'old').value
//	extension('urn:card').value         the extension with that url; value is valueString, valueCode ...
//	doctor.resolve().name.text          what a reference leads to inside the document
//	subject.resolve().ofType(Patient)   of those the resources of one type
//
// A path gives texts: strings, true and false, and decimals as they were written.
type Notation struct{}

// Name is "fhir".
func (Notation) Name() string { return "fhir" }

type step struct {
	name string // of a member
	call func(d *Document, in []node) []node
}

type path struct {
	root  string // a type of resource, "Bundle", or "" for the scope
	steps []step
}

// node is a place in a document.
type node struct {
	v  any
	in map[string]any // the outermost resource it is in
}

// scope is a node of a document: its focus, or a row.
type scope struct {
	d   *Document
	at  node
	row bool
}

var (
	memberForm = regexp.MustCompile(`^_?[a-z][A-Za-z0-9]{0,63}`)
	typeForm   = regexp.MustCompile(`^[A-Z][A-Za-z]{1,63}`)
	indexForm  = regexp.MustCompile(`^\[(0|[1-9]\d{0,4})\]`)
	callForm   = regexp.MustCompile(`^(first|last|resolve)\(\)`)
	extForm    = regexp.MustCompile(`^extension\('([^']{1,200})'\)`)
	ofTypeForm = regexp.MustCompile(`^ofType\(([A-Z][A-Za-z]{1,63})\)`)
	whereForm  = regexp.MustCompile(`^where\(((?:[^()']|'[^']*'|\(\)|\('[^']*'\))*)\)`)
	equalForm  = regexp.MustCompile(`^\s*([^=!']+?(?:\('[^']*'\)[^=!']*?)?)\s*(!?=)\s*'([^']{0,200})'\s*`)
)

// choices are the members FHIR lets have one of several types: value is valueString, valueQuantity ...
var choices = []string{"value", "onset", "abatement", "occurrence", "performed", "deceased", "serviced", "location", "diagnosis", "procedure",
	"product", "event", "timing", "multipleBirth"}

// most bounds the places of one path, whatever the document.
const most = 100_000

// Compile implements gateway.Notation.
func (Notation) Compile(text string) (gateway.Path, error) {
	wrong := errors.New("路径应形如 Claim.item.net.value, identifier.where(system = 'x').value 或 doctor.resolve().name.text" +
		" / a path looks like Claim.item.net.value, identifier.where(system = 'x').value or doctor.resolve().name.text")
	p := &path{}
	rest := text
	if t := typeForm.FindString(rest); t != "" {
		if t != "Bundle" && !taken(t) {
			return nil, errors.New("没有资源类型 / no resource type " + t)
		}
		p.root, rest = t, rest[len(t):]
	}
	if rest == "" && p.root == "" || len(text) > 500 {
		return nil, wrong
	}
	for begin := p.root == ""; rest != ""; begin = false {
		if m := indexForm.FindStringSubmatch(rest); m != nil && !begin {
			n, _ := strconv.Atoi(m[1])
			p.steps = append(p.steps, step{call: nth(n)})
			rest = rest[len(m[0]):]
			continue
		}
		if !begin {
			var dot bool
			if rest, dot = strings.CutPrefix(rest, "."); !dot {
				return nil, wrong
			}
		}
		s, n, err := compileStep(rest)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, wrong
		}
		p.steps, rest = append(p.steps, s), rest[n:]
	}
	return p, nil
}

// compileStep reads one function or member; n is how long it is, 0 when it is neither.
func compileStep(s string) (st step, n int, err error) {
	if m := callForm.FindStringSubmatch(s); m != nil {
		return step{call: map[string]func(*Document, []node) []node{"first": nth(0), "last": last, "resolve": resolve}[m[1]]}, len(m[0]), nil
	}
	if m := extForm.FindStringSubmatch(s); m != nil {
		return step{call: extension(m[1])}, len(m[0]), nil
	}
	if m := ofTypeForm.FindStringSubmatch(s); m != nil {
		if !taken(m[1]) {
			return st, 0, errors.New("没有资源类型 / no resource type " + m[1])
		}
		return step{call: where(func(_ *Document, n node) bool { return strictjson.Get(n.v, "resourceType") == m[1] })}, len(m[0]), nil
	}
	if m := whereForm.FindStringSubmatch(s); m != nil {
		test, err := condition(m[1])
		return step{call: where(test)}, len(m[0]), err
	}
	name := memberForm.FindString(s)
	if name == "" || strings.HasPrefix(s[len(name):], "(") {
		return st, 0, nil
	}
	return step{name: name}, len(name), nil
}

// condition reads what stands in where(): comparisons with a text, joined by and.
func condition(text string) (func(*Document, node) bool, error) {
	type test struct {
		p    *path
		not  bool
		want string
	}
	var tests []test
	for rest := text; ; {
		m := equalForm.FindStringSubmatch(rest)
		if m == nil {
			return nil, errors.New("where 的条件应形如 system = 'x' and use != 'y' / a condition looks like system = 'x' and use != 'y'")
		}
		p, err := Notation{}.Compile(m[1])
		if err != nil {
			return nil, err
		}
		tests = append(tests, test{p.(*path), m[2] == "!=", m[3]})
		if rest = rest[len(m[0]):]; rest == "" {
			break
		}
		var and bool
		if rest, and = strings.CutPrefix(rest, "and "); !and {
			return nil, errors.New("where 只支持 and / only and joins conditions")
		}
	}
	return func(d *Document, n node) bool {
		for _, t := range tests {
			if slices.Contains(t.p.All(&scope{d, n, true}), t.want) == t.not {
				return false
			}
		}
		return true
	}, nil
}

func where(keep func(*Document, node) bool) func(*Document, []node) []node {
	return func(d *Document, in []node) (out []node) {
		for _, n := range in {
			if keep(d, n) {
				out = append(out, n)
			}
		}
		return out
	}
}

func nth(i int) func(*Document, []node) []node {
	return func(_ *Document, in []node) []node {
		if i >= len(in) {
			return nil
		}
		return in[i : i+1]
	}
}

func last(_ *Document, in []node) []node { return in[max(0, len(in)-1):] }

func resolve(d *Document, in []node) (out []node) {
	for _, n := range in {
		s, ok := n.v.(string)
		if !ok {
			s, ok = strictjson.Get(n.v, "reference").(string)
		}
		if !ok {
			continue
		}
		if r, found := d.resolve(s, n.in); found && r.body != nil {
			out = append(out, node{r.body, r.in})
		}
	}
	return out
}

func extension(url string) func(*Document, []node) []node {
	return func(_ *Document, in []node) (out []node) {
		for _, n := range in {
			for _, e := range append(list(strictjson.Get(n.v, "extension")), list(strictjson.Get(n.v, "modifierExtension"))...) {
				if strictjson.Get(e, "url") == url {
					out = append(out, node{e, n.in})
				}
			}
		}
		return out
	}
}

// find gives every place of the path.
func (p *path) find(v any) []node {
	s, ok := v.(*scope)
	if !ok {
		return nil
	}
	at := []node{s.at}
	switch {
	case p.root == "":
	case p.root == "Bundle":
		if at = nil; s.d.Bundle != "" {
			at = []node{{s.d.Root, s.d.Root}}
		}
	case s.row && strictjson.Get(s.at.v, "resourceType") == p.root:
	default:
		at = nil
		for _, r := range s.d.of[p.root] {
			at = append(at, node{r.body, r.in})
		}
	}
	for _, st := range p.steps {
		if st.call != nil {
			at = st.call(s.d, at)
		} else {
			at = members(at, st.name)
		}
		if len(at) > most {
			return nil
		}
	}
	return at
}

func members(in []node, name string) (out []node) {
	for _, n := range in {
		m, ok := n.v.(map[string]any)
		if !ok {
			continue
		}
		v, there := m[name]
		if !there && slices.Contains(choices, name) {
			v = choice(m, name)
		}
		if l, many := v.([]any); many {
			for _, e := range l {
				out = append(out, node{e, n.in})
			}
		} else if v != nil {
			out = append(out, node{v, n.in})
		}
	}
	return out
}

// choice is the member valueX for value; nil when there is none or, against the rules, more than one.
func choice(m map[string]any, name string) (v any) {
	for k, e := range m {
		if len(k) > len(name) && strings.HasPrefix(k, name) && k[len(name)] >= 'A' && k[len(name)] <= 'Z' {
			if v != nil {
				return nil
			}
			v = e
		}
	}
	return v
}

func text(v any) (string, bool) {
	switch x := v.(type) {
	case string:
		return x, true
	case json.Number:
		return x.String(), true
	case bool:
		return strconv.FormatBool(x), true
	}
	return "", false
}

// Value implements gateway.Path.
func (p *path) Value(v any) (string, bool) {
	for _, n := range p.find(v) {
		if s, ok := text(n.v); ok {
			return s, true
		}
	}
	return "", false
}

// All implements gateway.Path.
func (p *path) All(v any) []string {
	var out []string
	for _, n := range p.find(v) {
		if s, ok := text(n.v); ok {
			out = append(out, s)
		}
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
		out = append(out, &scope{s.d, n, true})
	}
	return out
}

// Source is a document as a mapping sees it.
func Source(d *Document) gateway.Source {
	return gateway.Source{Notation: Notation{}.Name(), Type: d.Kind, ID: d.ID(), Scope: &scope{d: d, at: node{d.at.body, d.at.in}}}
}

// Read reads a document as a mapping sees it. known is that of Parse.
func Read(b []byte, known ...string) (gateway.Source, error) {
	d, err := Parse(b, known...)
	if err != nil {
		return gateway.Source{}, err
	}
	return Source(d), nil
}
