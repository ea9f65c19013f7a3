package mapping

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"yiqiao/gateway"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
)

type event struct {
	name   string
	types  []string
	when   *formula
	ignore bool
	orders []*order
}

type order struct {
	op     gateway.OrderOp
	infno  ident.Infno
	of, id *rule
	each   gateway.Path
	of1    string // text of each
	when   *formula
	body   *object
}

// object fills one JSON object.
type object struct {
	members []member
	form    *form
}

type member struct {
	form   *form
	rule   *rule
	object *object
	list   *list
}

type list struct {
	at   place
	each gateway.Path
	text string
	set  *object
	leaf *rule // of a list of values
}

// rule fills one value.
type rule struct {
	at      place
	id      int // index in Definition.rules
	target  string
	leaf    *leaf
	from    []gateway.Path
	texts   []string
	literal *string
	expr    *formula
	when    *formula
	table   *table
	item    string // "", code, name
	on      gateway.Path
	format  string
	def     *string
}

type table struct {
	values map[string]string
	def    *string
}

// compiler holds a raw definition against the tables and the notation.
type compiler struct {
	raw      *rawDefinition
	o        Options
	notation gateway.Notation
	targets  *targets
	tables   map[string]*rawTable
	built    map[string]*table
	used     map[string]bool
	rules    []*rule
}

func compile(raw *rawDefinition, o Options) (*Definition, error) {
	t, err := newTargets(o.Catalog)
	if err != nil {
		return nil, err
	}
	c := &compiler{raw: raw, o: o, targets: t, tables: map[string]*rawTable{}, built: map[string]*table{}, used: map[string]bool{}}
	for _, n := range o.Notations {
		if n.Name() == raw.source {
			c.notation = n
		}
	}
	if c.notation == nil {
		raw.fault(place{raw.file, raw.sourceLine}, "未知的来源 %[1]q", "unknown source %[1]q", raw.source)
		return nil, raw.sorted()
	}
	if raw.number == "" {
		raw.fault(place{raw.file, raw.nameLine}, "缺少 version", "version is missing")
	}
	for _, rt := range raw.tables {
		c.table(rt)
	}
	d := &Definition{Name: raw.name, Number: raw.number, Digest: raw.short(), Source: raw.source, About: raw.about, items: o.Items}
	for _, re := range raw.events {
		d.events = append(d.events, c.event(re))
	}
	if len(raw.events) == 0 {
		raw.fault(place{raw.file, 0}, "没有任何 events", "there are no events")
	}
	for _, rt := range raw.tables {
		if !c.used[rt.name] && rt.at.file == raw.file {
			raw.fault(rt.at, "对照表 %[1]s 没有被使用", "table %[1]s is not used", rt.name)
		}
	}
	if len(raw.faults) > 0 {
		return nil, raw.sorted()
	}
	d.rules = c.rules
	d.version = fmt.Sprintf("%s@%s (%s)", d.Name, d.Number, d.Digest)
	return d, nil
}

func (c *compiler) table(rt *rawTable) {
	t := &table{values: map[string]string{}, def: rt.def}
	for _, kv := range rt.values {
		t.values[kv[0]] = kv[1]
	}
	c.tables[rt.name], c.built[rt.name] = rt, t
	if rt.dict == "" {
		return
	}
	if _, ok := c.o.Tables.Lookup(rt.dict); !ok {
		c.raw.fault(rt.at, "没有字典 %[1]s", "no dictionary %[1]s", rt.dict)
		return
	}
	c.tableIn(rt, rt.dict, 0)
}

// tableIn checks that what a table gives is in a dictionary and not too long.
func (c *compiler) tableIn(rt *rawTable, dict string, longest int) {
	for i, kv := range rt.values {
		c.listed(place{rt.at.file, rt.lines[i]}, dict, kv[1])
		if longest > 0 && utf8.RuneCountInString(kv[1]) > longest {
			c.raw.fault(place{rt.at.file, rt.lines[i]}, "%[1]q 超过目标长度 %[2]d", "%[1]q is longer than the target's %[2]d", kv[1], longest)
		}
	}
	if rt.def != nil {
		c.listed(rt.at, dict, *rt.def)
	}
}

func (c *compiler) listed(at place, dict, code string) {
	d, ok := c.o.Tables.Lookup(dict)
	if ok && code != "" && d.Enforced() && d.Meaning(code) == codes.Unknown {
		c.raw.fault(at, "%[1]q 不在字典 %[2]s 中", "%[1]q is not in dictionary %[2]s", code, dict)
	}
}

func (c *compiler) event(re *rawEvent) *event {
	e := &event{name: re.name, types: re.types, ignore: re.ignore != ""}
	if len(re.types) == 0 {
		c.raw.fault(re.at, "事件 %[1]s 缺少 type", "event %[1]s has no type", re.name)
	}
	e.when = c.condition(re.at, re.when)
	switch {
	case e.ignore && len(re.orders) > 0:
		c.raw.fault(re.at, "ignore 与 do 只能选一个", "give either ignore or do")
	case !e.ignore && len(re.orders) == 0:
		c.raw.fault(re.at, "事件 %[1]s 没有 do, orders 或 ignore", "event %[1]s has no do, orders or ignore", re.name)
	}
	for _, ro := range re.orders {
		e.orders = append(e.orders, c.order(ro))
	}
	return e
}

func (c *compiler) order(ro *rawOrder) *order {
	o := &order{op: gateway.OrderOp(ro.do), infno: ident.Infno(ro.infno), of1: ro.each}
	o.when = c.condition(ro.at, ro.when)
	if ro.each != "" {
		o.each = c.path(ro.at, ro.each)
	}
	if (ro.of != nil) == (ro.id != nil) && about[o.op] {
		c.raw.fault(ro.at, "%[1]s 须给出 of (开单请求号) 或 id 之一", "%[1]s needs one of: of (the opening request), id", ro.do)
	}
	if !about[o.op] && (ro.of != nil || ro.id != nil) {
		c.raw.fault(ro.at, "%[1]s 不带 of 或 id", "%[1]s takes neither of nor id", ro.do)
	}
	name := &leaf{max: 64}
	if ro.of != nil {
		o.of = c.rule(ro.of, name, "of")
	}
	if ro.id != nil {
		o.id = c.rule(ro.id, name, "id")
	}
	if asks[o.op] {
		if ro.set != nil {
			c.raw.fault(ro.at, "%[1]s 没有可填的字段", "%[1]s has nothing to set", ro.do)
		}
		return o
	}
	f, err := c.targets.form(o.op, o.infno)
	if err != nil {
		c.raw.fault(ro.at, "不能执行: %[1]v", "can not be done: %[1]v", err)
		return o
	}
	if ro.set == nil {
		c.raw.fault(ro.at, "缺少 set", "set is missing")
		return o
	}
	o.body = c.object(ro.set, f)
	return o
}

// object sorts the dotted keys of a set into a tree and holds it against a form.
func (c *compiler) object(rs *rawSet, f *form) *object {
	o := &object{form: f}
	for _, key := range rs.keys {
		c.put(o, rs.rules[key], strings.Split(key, "."), key)
	}
	c.required(rs.at, o, "")
	return o
}

func (c *compiler) put(o *object, u *rawRule, names []string, key string) {
	f := o.form.member(names[0])
	if f == nil {
		c.raw.fault(u.at, "没有目标字段 %[1]s (可用: %[2]s)", "there is no target %[1]s (there are: %[2]s)", key, known(o.form, names[0]))
		return
	}
	i := slices.IndexFunc(o.members, func(m member) bool { return m.form.name == f.name })
	switch {
	case len(names) > 1 && (f.leaf != nil && f.leaf.kind != kindFree || f.list):
		c.raw.fault(u.at, "%[1]s 不是对象", "%[1]s is not an object", strings.TrimSuffix(key, "."+names[len(names)-1]))
	case len(names) > 1:
		if i < 0 {
			sub := *f
			o.members = append(o.members, member{form: &sub, object: &object{form: &sub}})
			i = len(o.members) - 1
		}
		if o.members[i].object == nil {
			c.raw.fault(u.at, "%[1]s 已整体赋值", "%[1]s is filled as a whole", names[0])
			return
		}
		c.put(o.members[i].object, u, names[1:], key)
	case i >= 0:
		c.raw.fault(u.at, "目标 %[1]s 重复", "target %[1]s is given twice", key)
	case f.list:
		if l := c.list(u, f, key); l != nil {
			o.members = append(o.members, member{form: f, list: l})
		}
	case f.leaf == nil:
		c.raw.fault(u.at, "%[1]s 是对象: 请写成 %[1]s.%[2]s", "%[1]s is an object: write %[1]s.%[2]s", key, known(f, ""))
	case u.set != nil || u.hasEach:
		c.raw.fault(u.at, "%[1]s 不是列表", "%[1]s is not a list", key)
	default:
		o.members = append(o.members, member{form: f, rule: c.rule(u, f.leaf, key)})
	}
}

func (c *compiler) list(u *rawRule, f *form, key string) *list {
	if !u.hasEach {
		c.raw.fault(u.at, "%[1]s 是列表: 需要 each", "%[1]s is a list: each is needed", key)
		return nil
	}
	l := &list{at: u.at, text: u.each, each: c.path(u.at, u.each)}
	switch {
	case f.leaf != nil:
		l.leaf = c.rule(u, f.leaf, key)
	case u.set == nil:
		c.raw.fault(u.at, "%[1]s 缺少 set", "%[1]s has no set", key)
		return nil
	default:
		row := *f
		row.list = false
		l.set = c.object(u.set, &row)
	}
	return l
}

// required finds targets that must be there and that nothing fills.
func (c *compiler) required(at place, o *object, prefix string) {
	var missing []string
	for _, f := range o.form.members {
		i := slices.IndexFunc(o.members, func(m member) bool { return m.form.name == f.name })
		switch {
		case i < 0 && f.required && f.leaf == nil && !f.list && !f.open && len(f.members) > 0:
			for _, m := range f.members {
				if m.required {
					missing = append(missing, prefix+f.name+"."+m.name)
				}
			}
		case i < 0 && f.required:
			missing = append(missing, prefix+f.name)
		case i >= 0 && o.members[i].object != nil:
			c.required(at, o.members[i].object, prefix+f.name+".")
		}
	}
	if len(missing) > 0 {
		c.raw.fault(at, "必填目标没有来源: %[1]s", "required targets without a source: %[1]s", strings.Join(missing, ", "))
	}
}

// known lists what could have been meant.
func known(f *form, like string) string {
	var names []string
	for _, m := range f.members {
		names = append(names, m.name)
	}
	sort.SliceStable(names, func(i, j int) bool { return shared(names[i], like) > shared(names[j], like) })
	if len(names) > 6 {
		names = append(names[:6:6], "…")
	}
	return strings.Join(names, ", ")
}

func shared(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func (c *compiler) path(at place, text string) gateway.Path {
	p, err := c.notation.Compile(text)
	if err != nil {
		c.raw.fault(at, "来源路径 %[1]q: %[2]v", "source path %[1]q: %[2]v", text, err)
		return nothing{}
	}
	return p
}

func (c *compiler) rule(u *rawRule, l *leaf, target string) *rule {
	r := &rule{at: u.at, id: len(c.rules), target: target, leaf: l, format: u.format, def: u.def, item: u.item, texts: u.from}
	c.rules = append(c.rules, r)
	ways := 0
	if u.hasValue {
		ways++
		v := u.value
		r.literal = &v
		c.literal(u.at, v, l, target)
	}
	if len(u.from) > 0 {
		ways++
		for _, text := range u.from {
			r.from = append(r.from, c.path(u.at, text))
		}
	}
	if u.expr != "" {
		ways++
		r.expr = c.formula(u.at, u.expr, false)
	}
	if ways != 1 {
		c.raw.fault(u.at, "%[1]s 须恰好有 from、value、expr 之一", "%[1]s needs exactly one of from, value, expr", target)
	}
	r.when = c.condition(u.at, u.when)
	if u.def != nil {
		c.literal(u.at, *u.def, l, target)
	}
	if u.table != "" {
		r.table = c.built[u.table]
		c.used[u.table] = true
		if rt := c.tables[u.table]; rt == nil {
			c.raw.fault(u.at, "没有对照表 %[1]s", "no table %[1]s", u.table)
		} else {
			c.tableIn(rt, l.dict, l.max)
		}
	}
	c.itemRule(r, u)
	if err := checkFormat(u.format, l.kind); err != nil {
		c.raw.fault(u.at, "%[1]s: %[2]v", "%[1]s: %[2]v", target, err)
	}
	return r
}

func (c *compiler) itemRule(r *rule, u *rawRule) {
	switch {
	case u.item == "" && u.on != "":
		c.raw.fault(u.at, "on 只用于 item", "on belongs to item")
	case u.item == "":
	case u.item != "code" && u.item != "name":
		c.raw.fault(u.at, "item 应为 code 或 name", "item must be code or name")
	case u.on == "":
		c.raw.fault(u.at, "item 需要 on: 费用发生日期的来源路径", "item needs on: where the day of the charge is")
	case c.o.Items == nil:
		c.raw.fault(u.at, "没有项目对照表: 在映射旁放 items.csv (或 .tsv, .xlsx), 或用 --items 指定", "no table of items: put items.csv (or .tsv, .xlsx) beside the mapping, or give --items")
	default:
		r.on = c.path(u.at, u.on)
	}
}

// literal checks a value that is known now against its target.
func (c *compiler) literal(at place, v string, l *leaf, target string) {
	if v == "" {
		return
	}
	if code, rule := fit(v, "", l, new(string)); code != "" {
		c.raw.fault(at, "%[1]s: %[2]q 不符合 %[3]s", "%[1]s: %[2]q does not fit %[3]s", target, v, rule)
	}
	c.listed(at, l.dict, v)
}

// nothing is a path that could not be compiled; the definition is refused anyway.
type nothing struct{}

func (nothing) Value(any) (string, bool) { return "", false }
func (nothing) All(any) []string         { return nil }
func (nothing) Each(any) []any           { return nil }
