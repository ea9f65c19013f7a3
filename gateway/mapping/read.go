package mapping

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What a definition says, before it is held against anything.
type rawDefinition struct {
	file                        string
	name, number, source, about string
	nameLine, sourceLine        int
	tables                      []*rawTable
	events                      []*rawEvent
	digest                      [32]byte
	faults                      Error
}

type rawTable struct {
	at     place
	name   string
	dict   string
	values [][2]string
	lines  []int
	def    *string
}

type rawEvent struct {
	at     place
	name   string
	types  []string
	when   string
	ignore string
	orders []*rawOrder
	patch  *rawSet // of an event that changes some targets of the base's only order
}

type rawOrder struct {
	at         place
	do, infno  string
	of, id     *rawRule
	each, when string
	set        *rawSet
}

// rawSet is targets and their rules, in the order of the file.
type rawSet struct {
	at    place
	keys  []string
	rules map[string]*rawRule
}

// rawRule is how one target is filled: by a value, or as a list of sets.
type rawRule struct {
	at                                         place
	from                                       []string
	value, expr, table, item, on, format, when string
	hasValue                                   bool
	def                                        *string
	each                                       string
	hasEach                                    bool
	set                                        *rawSet
}

type place struct {
	file string
	line int
}

func (r *rawDefinition) fault(at place, zh, en string, a ...any) {
	if len(a) > 0 {
		zh, en = fmt.Sprintf(zh, a...), fmt.Sprintf(en, a...)
	}
	r.faults = append(r.faults, Fault{at.file, at.line, zh + " / " + en})
}

// maxText bounds a definition, maxBases how many definitions stand on one another.
const (
	maxText  = 1 << 20
	maxBases = 4
)

// read parses text and puts it on what it extends.
func read(file string, text []byte, base Base, depth int) (*rawDefinition, error) {
	r := &rawDefinition{file: file, digest: sha256.Sum256(text)}
	top := place{file, 0}
	if len(text) > maxText {
		r.fault(top, "文件过大", "the file is too large")
		return nil, r.faults
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		r.fault(top, "不是规范的 YAML: %[1]s", "not YAML: %[1]s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil, r.faults
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		r.fault(top, "只能有一个文档", "more than one document")
		return nil, r.faults
	}
	extends := r.document(doc.Content[0])
	if extends != "" && base != nil && depth < maxBases {
		under, err := base(extends)
		if err != nil {
			r.fault(top, "找不到被继承的映射 %[1]s", "no definition %[1]s to extend", extends)
			return nil, r.faults
		}
		b, err := read(extends+"/"+File, under, base, depth+1)
		if err != nil {
			return nil, err
		}
		r.onto(b)
	} else if extends != "" {
		r.fault(top, "不能继承 %[1]s", "%[1]s can not be extended here", extends)
	}
	if r.nameLine == 0 {
		r.fault(top, "缺少 mapping (名称)", "mapping (its name) is missing")
	}
	if len(r.faults) > 0 {
		return nil, r.sorted()
	}
	return r, nil
}

func (r *rawDefinition) sorted() Error {
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Line - b.Line
	})
	return r.faults
}

// pairs walks a mapping node; twice the same key and what is no mapping are faults.
func (r *rawDefinition) pairs(n *yaml.Node, do func(key string, at place, v *yaml.Node)) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		r.fault(place{r.file, n.Line}, "此处应为 键: 值", "a mapping is wanted here")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		at := place{r.file, k.Line}
		if k.Kind != yaml.ScalarNode || seen[k.Value] {
			r.fault(at, "重复或不可用的键 %[1]s", "repeated or unusable key %[1]s", k.Value)
			continue
		}
		seen[k.Value] = true
		do(k.Value, at, v)
	}
}

func (r *rawDefinition) text(v *yaml.Node) string {
	if v.Kind != yaml.ScalarNode {
		r.fault(place{r.file, v.Line}, "此处应为文本", "text is wanted here")
		return ""
	}
	return v.Value
}

func (r *rawDefinition) texts(v *yaml.Node) []string {
	if v.Kind != yaml.SequenceNode {
		return []string{r.text(v)}
	}
	var list []string
	for _, e := range v.Content {
		list = append(list, r.text(e))
	}
	return list
}

func (r *rawDefinition) unknown(at place, key string) {
	r.fault(at, "未知的键 %[1]s", "unknown key %[1]s", key)
}

func (r *rawDefinition) document(n *yaml.Node) (extends string) {
	r.pairs(n, func(key string, at place, v *yaml.Node) {
		switch key {
		case "mapping":
			r.name, r.nameLine = r.text(v), at.line
		case "version":
			r.number = r.text(v)
		case "source":
			r.source, r.sourceLine = r.text(v), at.line
		case "about":
			r.about = r.text(v)
		case "extends":
			extends = r.text(v)
		case "tables":
			r.pairs(v, func(name string, at place, v *yaml.Node) { r.tables = append(r.tables, r.table(name, at, v)) })
		case "events":
			r.pairs(v, func(name string, at place, v *yaml.Node) { r.events = append(r.events, r.event(name, at, v)) })
		default:
			r.unknown(at, key)
		}
	})
	return extends
}

func (r *rawDefinition) table(name string, at place, n *yaml.Node) *rawTable {
	t := &rawTable{at: at, name: name}
	r.pairs(n, func(key string, at place, v *yaml.Node) {
		switch key {
		case "about":
		case "dict":
			t.dict = r.text(v)
		case "default":
			s := r.text(v)
			t.def = &s
		case "values":
			r.pairs(v, func(from string, at place, v *yaml.Node) {
				t.values = append(t.values, [2]string{from, r.text(v)})
				t.lines = append(t.lines, at.line)
			})
		default:
			r.unknown(at, key)
		}
	})
	return t
}

func (r *rawDefinition) event(name string, at place, n *yaml.Node) *rawEvent {
	e := &rawEvent{at: at, name: name}
	one := &rawOrder{at: at}
	several := false
	r.pairs(n, func(key string, at place, v *yaml.Node) {
		switch key {
		case "about":
		case "type":
			e.types = r.texts(v)
		case "when":
			e.when = r.text(v)
		case "ignore":
			e.ignore = r.text(v)
		case "orders":
			several = true
			if v.Kind != yaml.SequenceNode {
				r.fault(at, "orders 应为列表", "orders must be a list")
				return
			}
			for _, o := range v.Content {
				order := &rawOrder{at: place{r.file, o.Line}}
				r.pairs(o, func(key string, at place, v *yaml.Node) { r.orderKey(order, key, at, v, true) })
				e.orders = append(e.orders, order)
			}
		default:
			r.orderKey(one, key, at, v, false)
		}
	})
	switch {
	case several && (one.do != "" || one.set != nil):
		r.fault(at, "orders 与 do 只能选一个", "give either orders or do")
	case one.do != "":
		e.orders = append(e.orders, one)
	case one.set != nil:
		e.patch = one.set
	}
	return e
}

func (r *rawDefinition) orderKey(o *rawOrder, key string, at place, v *yaml.Node, own bool) {
	switch {
	case key == "do":
		o.do = r.text(v)
	case key == "infno":
		o.infno = r.text(v)
	case key == "of":
		o.of = r.rule(at, v)
	case key == "id":
		o.id = r.rule(at, v)
	case key == "each":
		o.each = r.text(v)
	case key == "when" && own:
		o.when = r.text(v)
	case key == "set":
		o.set = r.set(at, v)
	default:
		r.unknown(at, key)
	}
}

func (r *rawDefinition) set(at place, n *yaml.Node) *rawSet {
	s := &rawSet{at: at, rules: map[string]*rawRule{}}
	r.pairs(n, func(key string, at place, v *yaml.Node) {
		s.keys = append(s.keys, key)
		s.rules[key] = r.rule(at, v)
	})
	return s
}

func (r *rawDefinition) rule(at place, n *yaml.Node) *rawRule {
	u := &rawRule{at: at}
	switch n.Kind {
	case yaml.ScalarNode:
		if lit, ok := strings.CutPrefix(n.Value, "="); ok {
			u.value, u.hasValue = unquote(lit), true
		} else {
			u.from = []string{n.Value}
		}
		return u
	case yaml.SequenceNode:
		u.from = r.texts(n)
		return u
	}
	r.pairs(n, func(key string, at place, v *yaml.Node) {
		switch key {
		case "about":
		case "from":
			u.from = r.texts(v)
		case "value":
			u.value, u.hasValue = r.text(v), true
		case "expr":
			u.expr = r.text(v)
		case "map":
			u.table = r.text(v)
		case "item":
			u.item = r.text(v)
		case "on":
			u.on = r.text(v)
		case "format":
			u.format = r.text(v)
		case "when":
			u.when = r.text(v)
		case "default":
			s := r.text(v)
			u.def = &s
		case "each":
			u.each, u.hasEach = r.text(v), true
		case "set":
			u.set = r.set(at, v)
		default:
			r.unknown(at, key)
		}
	})
	return u
}

// unquote takes the quotes off ="01", which keep YAML editors from guessing.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// onto puts r on the definition it extends: what r says wins, tables and events by name, and a
// "set" without "do" changes single targets of the base's order.
func (r *rawDefinition) onto(b *rawDefinition) {
	sum := sha256.New()
	sum.Write(r.digest[:])
	sum.Write(b.digest[:])
	r.digest = [32]byte(sum.Sum(nil))
	if r.source == "" {
		r.source, r.sourceLine = b.source, b.sourceLine
	} else if r.source != b.source {
		r.fault(place{r.file, r.sourceLine}, "与被继承的映射来源不同: %[1]s", "the definition it extends is for %[1]s", b.source)
	}
	for _, t := range b.tables {
		if !slices.ContainsFunc(r.tables, func(own *rawTable) bool { return own.name == t.name }) {
			r.tables = append(r.tables, t)
		}
	}
	var added, rest []*rawEvent
	for _, e := range r.events {
		if !slices.ContainsFunc(b.events, func(o *rawEvent) bool { return o.name == e.name }) {
			added = append(added, e)
		}
	}
	for _, e := range b.events {
		for _, own := range r.events {
			if own.name == e.name {
				r.override(own, e)
				e = own
			}
		}
		rest = append(rest, e)
	}
	r.events = append(added, rest...)
}

func (r *rawDefinition) override(own, b *rawEvent) {
	if own.types == nil {
		own.types = b.types
	}
	if own.when == "" {
		own.when = b.when
	}
	if len(own.orders) > 0 || own.ignore != "" {
		return
	}
	own.orders, own.ignore = b.orders, b.ignore
	if own.patch == nil {
		return
	}
	if len(b.orders) != 1 {
		r.fault(own.at, "被继承的事件有多个 orders, 不能只改其中字段", "the event has several orders; single targets can not be changed")
		return
	}
	o := *b.orders[0]
	o.set = o.set.with(own.patch)
	own.orders, own.patch = []*rawOrder{&o}, nil
}

// with is s changed by p.
func (s *rawSet) with(p *rawSet) *rawSet {
	out := &rawSet{at: p.at, keys: slices.Clone(s.keys), rules: map[string]*rawRule{}}
	for k, u := range s.rules {
		out.rules[k] = u
	}
	for _, k := range p.keys {
		u, old := p.rules[k], out.rules[k]
		switch {
		case old == nil:
			out.keys = append(out.keys, k)
		case u.set != nil && !u.hasEach && old.set != nil:
			merged := *old
			merged.at, merged.set = u.at, old.set.with(u.set)
			u = &merged
		}
		out.rules[k] = u
	}
	return out
}

func (r *rawDefinition) short() string { return hex.EncodeToString(r.digest[:4]) }
