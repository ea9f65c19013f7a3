package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/spec"
)

// Default reads the embedded national tables and our own columns. Every call reads them anew:
// keep the result.
func Default() (*Catalog, error) {
	b, err := behaviourFS.ReadFile("behaviour.json")
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return Load(spec.FS, b)
}

// Members are member names beyond those of behaviour.json, as an edition adds them. They make what a member holds
// stricter, never looser: a published credential stays one.
type Members struct {
	Credential []string
	Personal   []string
}

// With reads other tables of the same form, an edition for a region say, with our own columns and further members.
func With(tables fs.FS, more Members) (*Catalog, error) {
	b, err := behaviourFS.ReadFile("behaviour.json")
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	return loadMore(tables, b, more)
}

// Load reads transactions/*.json of tables, and the columns of behaviour (see README.md). Unknown
// keys and references to what does not exist are errors.
func Load(tables fs.FS, behaviour []byte) (*Catalog, error) {
	return loadMore(tables, behaviour, Members{})
}

func loadMore(tables fs.FS, behaviour []byte, more Members) (*Catalog, error) {
	files, err := fs.Glob(tables, "transactions/*.json")
	if err != nil {
		return nil, fmt.Errorf("catalog: %w", err)
	}
	c := &Catalog{byNumber: make(map[ident.Infno]*Transaction, len(files))}
	for _, f := range files {
		b, err := fs.ReadFile(tables, f)
		if err != nil {
			return nil, fmt.Errorf("catalog: %w", err)
		}
		t, err := parse(b)
		if err != nil {
			return nil, fmt.Errorf("catalog: %s: %w", f, err)
		}
		if want := strings.TrimSuffix(path.Base(f), ".json"); string(t.Infno) != want {
			return nil, fmt.Errorf("catalog: %s describes %s", f, t.Infno)
		}
		c.byNumber[t.Infno] = t
		c.all = append(c.all, t)
	}
	slices.SortFunc(c.all, func(a, b *Transaction) int { return strings.Compare(string(a.Infno), string(b.Infno)) })
	if err := c.behave(behaviour, more); err != nil {
		return nil, fmt.Errorf("catalog: behaviour: %w", err)
	}
	for _, t := range c.all {
		if t.Undo != "" && c.byNumber[t.Undo] == nil {
			return nil, fmt.Errorf("catalog: %s is undone by %s, which does not exist", t.Infno, t.Undo)
		}
	}
	return c, nil
}

type rawTransaction struct {
	Infno        ident.Infno    `json:"infno"`
	Name         string         `json:"name"`
	Group        string         `json:"group"`
	Kind         Kind           `json:"kind"`
	Scope        string         `json:"scope"`
	Compensation ident.Infno    `json:"compensation"`
	Reversible   bool           `json:"reversible_by_2601"`
	Input        []rawNode      `json:"input"`
	Output       []rawNode      `json:"output"`
	Extensions   []rawExtension `json:"extension_nodes"`
	Sources      []string       `json:"sources"`
	Confidence   string         `json:"confidence"`
	Disputes     []string       `json:"disputes"`
	Remarks      []string       `json:"remarks"`
	Stats        any            `json:"stats"`
	Overlays     []string       `json:"overlays"`
}

type rawNode struct {
	Node          string     `json:"node"`
	Title         string     `json:"title"`
	Repeat        bool       `json:"repeat"`
	Required      any        `json:"required"`
	Parent        string     `json:"parent"`
	AlternativeTo string     `json:"alternativeTo"`
	OnlyIn        string     `json:"onlyIn"`
	Fields        []rawField `json:"fields"`
}

type rawExtension struct {
	rawNode
	Side   Direction `json:"side"`
	OnlyIn string    `json:"only_in"`
}

type rawField struct {
	Code     string   `json:"code"`
	Name     string   `json:"name"`
	Aliases  []string `json:"aliases"`
	Type     string   `json:"type"`
	Length   *string  `json:"length"`
	Dict     string   `json:"dict"`
	Required any      `json:"required"`
	Known    *bool    `json:"required_known"`
	Borrowed bool     `json:"length_borrowed"`
	Note     string   `json:"note"`
}

func parse(b []byte) (*Transaction, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var r rawTransaction
	if err := dec.Decode(&r); err != nil {
		return nil, err
	}
	t := &Transaction{
		Infno: r.Infno, Name: r.Name, Group: r.Group, Kind: r.Kind, Scope: r.Scope,
		Confidence: r.Confidence, Undo: r.Compensation, Reversible: r.Reversible,
		Sources: r.Sources, Disputes: r.Disputes, Remarks: r.Remarks, Overlays: r.Overlays,
	}
	switch t.Kind {
	case Query, Write, Settle, Reverse, Upload, Download, Session:
	default:
		return nil, fmt.Errorf("kind %q", t.Kind)
	}
	var err error
	if t.Input, err = nodes(r.Input); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	if t.Output, err = nodes(r.Output); err != nil {
		return nil, fmt.Errorf("output: %w", err)
	}
	for _, x := range r.Extensions {
		n, err := node(x.rawNode)
		if err != nil {
			return nil, fmt.Errorf("extension: %w", err)
		}
		t.Extensions = append(t.Extensions, Extension{Side: x.Side, OnlyIn: x.OnlyIn, Node: n})
	}
	return t, nil
}

// nodes reads one side. Names are unique on a side; a parent or an alternative must be on it.
func nodes(raw []rawNode) ([]Node, error) {
	var out []Node
	at := map[string]int{}
	for i, r := range raw {
		n, err := node(r)
		if err != nil {
			return nil, err
		}
		if _, twice := at[n.Name]; twice {
			return nil, fmt.Errorf("node %q twice", n.Name)
		}
		at[n.Name] = i
		out = append(out, n)
	}
	for i, n := range out {
		if n.Parent != "" {
			seen := 0
			for up := n.Parent; up != ""; seen++ {
				j, ok := at[up]
				if !ok || j == i || seen > len(out) {
					return nil, fmt.Errorf("node %q: parent %q", n.Name, n.Parent)
				}
				up = out[j].Parent
			}
		}
		if j, ok := at[n.AlternativeTo]; n.AlternativeTo != "" && (!ok || out[j].Parent != n.Parent) {
			return nil, fmt.Errorf("node %q: alternative to %q", n.Name, n.AlternativeTo)
		}
	}
	return out, nil
}

func node(r rawNode) (Node, error) {
	n := Node{
		Name: r.Node, Title: r.Title, Repeat: r.Repeat, Parent: r.Parent,
		AlternativeTo: r.AlternativeTo, OnlyIn: r.OnlyIn,
	}
	var err error
	if n.Required, err = required(r.Required); err != nil {
		return n, fmt.Errorf("node %q: %w", r.Node, err)
	}
	names := map[string]bool{}
	for _, rf := range r.Fields {
		f, err := field(rf)
		if err != nil {
			return n, fmt.Errorf("node %q field %q: %w", r.Node, rf.Code, err)
		}
		for _, name := range append([]string{f.Code}, f.Aliases...) {
			if name == "" || names[name] {
				return n, fmt.Errorf("node %q: member %q twice or empty", r.Node, name)
			}
			names[name] = true
		}
		n.Fields = append(n.Fields, f)
	}
	return n, nil
}

func field(r rawField) (Field, error) {
	f := Field{
		Code: r.Code, Name: r.Name, Aliases: r.Aliases, Type: r.Type, Decimals: -1, Dict: r.Dict,
		Assumed: r.Known != nil && !*r.Known, Borrowed: r.Borrowed, Note: r.Note,
	}
	switch f.Type {
	case "string", "number", "date", "datetime", "array", "object":
	default:
		return f, fmt.Errorf("type %q", f.Type)
	}
	var err error
	if f.Required, err = required(r.Required); err != nil {
		return f, err
	}
	if r.Length == nil {
		return f, nil
	}
	whole, decimals, both := strings.Cut(*r.Length, ",")
	if f.Length, err = strconv.Atoi(whole); err != nil || f.Length < 1 {
		return f, fmt.Errorf("length %q", *r.Length)
	}
	if both {
		if f.Decimals, err = strconv.Atoi(decimals); err != nil || f.Decimals < 0 || f.Decimals >= f.Length {
			return f, fmt.Errorf("length %q", *r.Length)
		}
	}
	return f, nil
}

func required(v any) (Required, error) {
	switch v {
	case true:
		return Always, nil
	case false:
		return Optional, nil
	case "conditional":
		return Conditional, nil
	}
	return Optional, fmt.Errorf("required %v", v)
}
