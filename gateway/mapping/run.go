package mapping

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
)

// Limits of one message.
const (
	maxRows     = 5000 // repetitions of one group
	maxOrders   = 5000
	maxFindings = 100
)

// Map implements gateway.Mapper.
func (d *Definition) Map(s gateway.Source) (gateway.Mapped, error) {
	r := run{d: d}
	return r.source(s)
}

// Trace implements gateway.Mapper.
func (d *Definition) Trace(s gateway.Source) []gateway.Trace {
	r := run{d: d, tracing: true}
	_, _ = r.source(s)
	return r.trace
}

// Covered counts for every rule how often it gave a value in s, by index of Rules.
func (d *Definition) Covered(s gateway.Source, hits []int) {
	r := run{d: d, hits: hits}
	_, _ = r.source(s)
}

// Rule is one line of a definition that fills a target.
type Rule struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Target string `json:"target"`
}

// Rules lists what fills targets, in the order of the file.
func (d *Definition) Rules() []Rule {
	list := make([]Rule, len(d.rules))
	for i, r := range d.rules {
		list[i] = Rule{r.at.file, r.at.line, r.target}
	}
	return list
}

// run is one event being mapped.
type run struct {
	d       *Definition
	found   []check.Finding
	at      []step   // where in the order's body we are
	in      []string // the groups of the source we are in
	tracing bool
	trace   []gateway.Trace
	hits    []int
	order   int
}

type step struct {
	name  string // of a member, or "" for
	index int    // a row
}

func (r *run) source(s gateway.Source) (gateway.Mapped, error) {
	out := gateway.Mapped{Version: r.d.version}
	e, err := r.event(s)
	if err != nil {
		return out, err
	}
	if e == nil {
		f := check.Finding{Code: CodeNoEvent, Rule: r.d.version, Severity: check.Error}
		f.ZH, f.EN = words(CodeNoEvent)
		return out, r.fault([]check.Finding{f})
	}
	out.Rule = e.name
	for _, o := range e.orders {
		r.orders(o, s.Scope, &out.Orders)
	}
	if len(r.found) > 0 {
		return gateway.Mapped{Rule: e.name, Version: r.d.version}, r.fault(r.found)
	}
	return out, nil
}

func (r *run) fault(found []check.Finding) error {
	return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "mapping", Path: found[0].Path, Rule: found[0].Rule, Findings: found}
}

// event finds the first event that takes s; nil when there is none.
func (r *run) event(s gateway.Source) (*event, error) {
	if s.Notation != r.d.Source {
		return nil, &gateway.Error{Code: gateway.CodeInternal, Op: "mapping", Detail: "the mapping is for " + r.d.Source + ", the message is " + s.Notation}
	}
	for _, e := range r.d.events {
		if !slices.ContainsFunc(e.types, func(t string) bool { return matches(t, s.Type) }) {
			continue
		}
		yes, err := e.when.yes(s.Scope)
		if err != nil {
			r.report(CodeExpression, e.when.place())
			return nil, r.fault(r.found)
		}
		if yes {
			return e, nil
		}
	}
	return nil, nil
}

func matches(pattern, typ string) bool {
	if p, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(typ, p)
	}
	return pattern == typ
}

func (f *formula) place() string { return f.at.String() }

func (p place) String() string { return p.file + ":" + strconv.Itoa(p.line) }

func (r *run) orders(o *order, scope any, out *[]gateway.Order) {
	scopes := []any{scope}
	if o.each != nil {
		scopes = o.each.Each(scope)
	}
	if len(*out)+len(scopes) > maxOrders {
		r.report(CodeTooMany, o.of1)
		return
	}
	for i, sc := range scopes {
		r.order = len(*out)
		if yes, err := o.when.yes(sc); err != nil {
			r.report(CodeExpression, o.when.place())
			continue
		} else if !yes {
			continue
		}
		if o.each != nil {
			r.in = append(r.in, o.of1+"["+strconv.Itoa(i+1)+"]")
		}
		made := gateway.Order{Op: o.op, Infno: o.infno, Of: r.text(o.of, sc, "of"), ID: r.text(o.id, sc, "id")}
		if o.body != nil {
			made.Body = r.object(o.body, sc)
			if made.Body == nil {
				made.Body = map[string]any{}
			}
		}
		*out = append(*out, made)
		if o.each != nil {
			r.in = r.in[:len(r.in)-1]
		}
	}
}

// text is the value of a rule beside the body; it must be there.
func (r *run) text(u *rule, scope any, name string) string {
	if u == nil {
		return ""
	}
	r.at = append(r.at, step{name: name})
	defer func() { r.at = r.at[:len(r.at)-1] }()
	v, ok := r.value(u, scope)
	if !ok && !r.full() && !r.reported() {
		r.report(check.CodeFieldMissing, strings.Join(u.texts, " "))
	}
	s, _ := v.(string)
	return s
}

// object fills an object; nil when nothing of it is there.
func (r *run) object(o *object, scope any) map[string]any {
	var out map[string]any
	if o.form.required || len(r.at) == 0 {
		out = make(map[string]any, len(o.members))
	}
	for i := range o.members {
		m := &o.members[i]
		r.at = append(r.at, step{name: m.form.name})
		v, ok := r.member(m, scope)
		r.at = r.at[:len(r.at)-1]
		if !ok {
			continue
		}
		if out == nil {
			out = make(map[string]any, len(o.members))
		}
		out[m.form.name] = v
	}
	if out == nil {
		return nil
	}
	for i := range o.members {
		m := &o.members[i]
		if _, there := out[m.form.name]; !there && m.form.required {
			r.at = append(r.at, step{name: m.form.name})
			if !r.reported() {
				r.report(check.CodeFieldMissing, m.source())
			}
			r.at = r.at[:len(r.at)-1]
		}
	}
	return out
}

func (m *member) source() string {
	switch {
	case m.rule != nil:
		return strings.Join(m.rule.texts, " ")
	case m.list != nil:
		return m.list.text
	}
	return ""
}

func (r *run) member(m *member, scope any) (any, bool) {
	switch {
	case m.rule != nil:
		return r.value(m.rule, scope)
	case m.list != nil:
		return r.rows(m.list, scope)
	}
	v := r.object(m.object, scope)
	return v, v != nil
}

func (r *run) rows(l *list, scope any) (any, bool) {
	scopes := l.each.Each(scope)
	if len(scopes) > maxRows {
		r.report(CodeTooMany, l.text)
		return nil, false
	}
	out := make([]any, 0, len(scopes))
	for i, sc := range scopes {
		if r.full() {
			break
		}
		r.at = append(r.at, step{index: i})
		if r.tracing {
			r.in = append(r.in, l.text+"["+strconv.Itoa(i+1)+"]")
		}
		if l.leaf != nil {
			if v, ok := r.value(l.leaf, sc); ok {
				out = append(out, v)
			}
		} else if row := r.row(l.set, sc); row != nil {
			out = append(out, row)
		}
		if r.tracing {
			r.in = r.in[:len(r.in)-1]
		}
		r.at = r.at[:len(r.at)-1]
	}
	return out, len(out) > 0
}

// row is an object that is there because its repetition is.
func (r *run) row(o *object, scope any) map[string]any {
	row := r.object(o, scope)
	if row == nil && o.form.required {
		row = map[string]any{}
	}
	return row
}

// value gives what goes out for a rule. What is wrong is reported; ok is false when there is nothing.
func (r *run) value(u *rule, scope any) (any, bool) {
	if u.when != nil {
		if yes, err := u.when.yes(scope); err != nil {
			r.report(CodeExpression, u.when.place())
			return nil, false
		} else if !yes {
			return nil, false
		}
	}
	s, source, code := r.raw(u, scope)
	if code == "" && s != "" && u.table != nil {
		s, code = u.table.look(s)
	}
	if code == "" && s != "" && u.item != "" {
		s, code = r.item(u, s, scope)
	}
	if s == "" && (code == "" || code == CodeItem || code == CodeUnlisted) && u.def != nil {
		s, code, source = *u.def, "", ""
	}
	rule := source
	if code == "" && s != "" && u.leaf.kind != kindFree {
		var why string
		if code, why = fit(s, u.format, u.leaf, &s); code != "" {
			rule = strings.TrimSpace(source + " " + why)
		}
	}
	if r.tracing {
		r.traced(u, source, s, code)
	}
	if code != "" {
		r.report(code, rule)
		return nil, false
	}
	if s == "" {
		return nil, false
	}
	if r.hits != nil {
		r.hits[u.id]++
	}
	switch {
	case u.leaf.asNumber:
		return json.Number(s), true
	case u.leaf.kind == kindBool:
		return s == "true", true
	}
	return s, true
}

// raw is the source's own text, where it was found, and the code of what went wrong.
func (r *run) raw(u *rule, scope any) (s, source, code string) {
	switch {
	case u.literal != nil:
		return *u.literal, "", ""
	case u.expr != nil:
		s, _, err := u.expr.value(scope)
		if err != nil {
			return "", u.expr.place(), CodeExpression
		}
		if r.tracing {
			source = strings.Join(u.expr.names, " ")
		}
		return s, source, ""
	}
	for i, p := range u.from {
		v, found := p.Value(scope)
		if v = trim(v); v != "" || found && i == len(u.from)-1 {
			return v, u.texts[i], ""
		}
	}
	return "", u.texts[len(u.texts)-1], ""
}

// trim takes blanks off both ends, also the wide one.
func trim(s string) string {
	if s == "" || s[0] > ' ' && s[0] < utf8.RuneSelf && s[len(s)-1] > ' ' && s[len(s)-1] < utf8.RuneSelf {
		return s
	}
	return strings.Trim(s, " \t\r\n\u3000\u00a0")
}

func (t *table) look(s string) (string, string) {
	if v, ok := t.values[s]; ok {
		return v, ""
	}
	if t.def != nil {
		return *t.def, ""
	}
	return "", CodeUnlisted
}

func (r *run) item(u *rule, local string, scope any) (string, string) {
	when, _ := u.on.Value(scope)
	day, ok := instant(trim(when), "excel")
	if !ok {
		return "", CodeItem
	}
	it, ok := r.d.items.National(local, day[:10])
	switch {
	case !ok:
		return "", CodeItem
	case u.item == "name":
		return it.Name, ""
	}
	return it.Code, ""
}

func (r *run) full() bool { return len(r.found) >= maxFindings }

// reported reports whether the last finding is about the place we are at: one fault, one finding.
func (r *run) reported() bool {
	return len(r.found) > 0 && r.found[len(r.found)-1].Path == r.pointer() || r.full()
}

func (r *run) report(code, rule string) {
	if r.full() {
		return
	}
	path := r.pointer()
	for i := len(r.found) - 1; i >= 0 && i >= len(r.found)-8; i-- {
		if r.found[i].Path == path {
			return
		}
	}
	f := check.Finding{Code: code, Path: path, Rule: rule, Severity: check.Error}
	f.ZH, f.EN = words(code)
	if rule != "" {
		f.ZH, f.EN = f.ZH+" ("+rule+")", f.EN+" ("+rule+")"
	}
	r.found = append(r.found, f)
	if r.tracing && (code == check.CodeFieldMissing || code == CodeTooMany) {
		r.trace = append(r.trace, gateway.Trace{Order: r.order, Target: path, Source: r.where(rule), Fault: code})
	}
}

// words are those of the lists of codes.
func words(code string) (zh, en string) {
	for _, list := range [][]check.Meaning{FindingCodes(), check.Codes()} {
		for _, m := range list {
			if m.Code == code {
				return m.ZH, m.EN
			}
		}
	}
	return code, code
}

// pointer is where we are, as a JSON Pointer into the order's body.
func (r *run) pointer() string {
	var b strings.Builder
	for _, s := range r.at {
		b.WriteByte('/')
		if s.name == "" {
			b.WriteString(strconv.Itoa(s.index))
		} else {
			b.WriteString(strings.ReplaceAll(strings.ReplaceAll(s.name, "~", "~0"), "/", "~1"))
		}
	}
	return b.String()
}

func (r *run) where(source string) string {
	return strings.TrimSpace(strings.Join(r.in, " ") + " " + source)
}

func (r *run) traced(u *rule, source, value, code string) {
	if value == "" && code == "" {
		return
	}
	switch {
	case code != "":
		value = ""
	case u.leaf.hide == hideCredential:
		value = catalog.Redacted
	case u.leaf.hide == hidePersonal:
		value = masked(value)
	}
	if source != "" {
		source = r.where(source)
	}
	r.trace = append(r.trace, gateway.Trace{Order: r.order, Target: r.pointer(), Rule: u.at.String(), Source: source, Value: value, Fault: code})
}

func masked(s string) string {
	list := []rune(s)
	switch n := len(list); {
	case n < 2:
		return "***"
	case n < 6:
		return string(list[0]) + "***"
	default:
		return string(list[0]) + "***" + string(list[n-1])
	}
}
