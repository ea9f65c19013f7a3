package check

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check/internal/shape"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

//go:embed identities.json
var identityText []byte

// Amounts checks the identities of invariants.md on every setlinfo of an output: A, B, C or E, D,
// J for a settlement, K (all amounts negative) for an undo, and per row of a fee result. An
// identity with a term that is null or absent is not judged. The error or warning stands at the
// left side of the identity. A transaction without amounts has no findings.
func (c *Checker) Amounts(n ident.Infno, output any) []Finding {
	t, ok := c.catalog.Lookup(n)
	if !ok || output == nil {
		return nil
	}
	if _, f := guard(output, 0, true); f != sound {
		return []Finding{faulty(f, "/output")}
	}
	var out collector
	c.amounts(t, output, &out)
	return out.findings("/output")
}

// amounts looks at an output that passed the guard.
func (c *Checker) amounts(t *catalog.Transaction, output any, out *collector) {
	a, n := audit{c: c, t: t, out: out}, t.Infno
	s := &c.identities.Settlement
	if slices.Contains(s.Infnos, n) {
		top, _ := output.(map[string]any)
		for _, at := range elements(top, s.Node) {
			a.settlement(s, top, at)
		}
	}
	for i := range c.identities.Rows {
		r := &c.identities.Rows[i]
		if slices.Contains(r.Infnos, n) {
			for _, at := range elements(output, r.Node) {
				a.sum(&terms{of: at.object}, r, at.path, r.Node)
			}
		}
	}
}

// element is an object found in an output.
type element struct {
	object map[string]any
	path   string
}

// elements gives the objects of a node, be it one object or a list; "" is the output itself.
func elements(output any, node string) []element {
	v, path := output, "/output"
	if node != "" {
		m, _ := output.(map[string]any)
		v, path = m[node], path+"/"+escape(node)
	}
	switch x := v.(type) {
	case map[string]any:
		return []element{{x, path}}
	case []any:
		var out []element
		for i, e := range x {
			if m, ok := e.(map[string]any); ok {
				out = append(out, element{m, path + "/" + itoa(i)})
			}
		}
		return out
	}
	return nil
}

// audit collects what does not add up.
type audit struct {
	c   *Checker
	t   *catalog.Transaction
	out *collector
}

// add puts a finding behind those of the schema, in the order they are met.
func (a *audit) add(f Finding) {
	if a.out.full() || f.Severity == Warning && len(a.out.list) > 2*most {
		return
	}
	a.out.add([]int32{1 << 30, int32(len(a.out.list))}, f)
}

func (a *audit) settlement(s *settlement, top map[string]any, at element) {
	v := &terms{of: at.object, names: s.Names, top: top, fallback: s.Fallback}
	for i := range s.Identities {
		if r := &s.Identities[i]; r.When == "" || (r.When == includes) == a.c.fundHolds {
			a.sum(v, r, at.path, s.Node)
		}
	}
	a.parts(s, v, at)
	if slices.Contains(s.Undo.Infnos, a.t.Infno) {
		a.undo(s, v, at)
	}
}

// sum judges left = one of right.
func (a *audit) sum(v *terms, r *identity, path, node string) {
	left, ok := a.term(v, r.Left, path, node)
	if !ok {
		return
	}
	judged := false
	for _, right := range r.Right {
		total, ok := a.total(v, right, path, node)
		if !ok {
			continue
		}
		if judged = true; total == left {
			return
		}
	}
	if judged {
		a.unequal(r.ID, r.Severity, path+"/"+escape(v.spelled(r.Left)), node, r.Left, r.Right[0])
	}
}

// parts judges J: the rows of setldetail together.
func (a *audit) parts(s *settlement, v *terms, at element) {
	rows := elements(v.top, s.Parts.Node)
	if len(rows) == 0 {
		return
	}
	var all []money.Fen
	for _, row := range rows {
		f, ok := a.term(&terms{of: row.object}, s.Parts.Value, row.path, s.Parts.Node)
		if !ok {
			return
		}
		all = append(all, f)
	}
	sum, err := money.Sum(all...)
	rights := s.Parts.Excludes
	if a.c.fundHolds {
		rights = s.Parts.Includes
	}
	judged := false
	for _, right := range rights {
		if total, ok := a.total(v, right, at.path, s.Node); ok {
			if judged = true; err == nil && total == sum {
				return
			}
		}
	}
	if judged {
		left := "sum(" + s.Parts.Node + "." + s.Parts.Value + ")"
		a.unequal(s.Parts.ID, s.Parts.Severity, "/output/"+escape(s.Parts.Node), s.Node, left, rights[0])
	}
}

// undo judges K: no amount of an undo is above zero.
func (a *audit) undo(s *settlement, v *terms, at element) {
	for _, name := range s.Undo.Members {
		if f, ok := a.term(v, name, at.path, s.Node); ok && f > 0 {
			path := at.path + "/" + escape(v.spelled(name))
			a.add(say(CodeIdentityPrefix+s.Undo.ID, s.Undo.Severity, path, a.member(s.Node, v.spelled(name)), "<=0",
				"在撤销答复中应为负数或零", "must be negative or zero in the answer to an undo"))
		}
	}
}

func (a *audit) unequal(id string, sev Severity, path, node, left string, right []string) {
	var names, labels []string
	for _, r := range right {
		r = strings.Trim(r, "[]")
		names = append(names, r)
		labels = append(labels, a.member(node, r).Label)
	}
	rule := left + " = " + strings.Join(names, " + ")
	label := a.member(node, left).Label
	if strings.HasPrefix(left, "sum(") {
		label = "各基金支付金额之和"
	}
	a.add(Finding{
		Code: CodeIdentityPrefix + id, Path: path, Severity: sev, Rule: rule,
		ZH: "金额不平: " + label + " 应等于 " + strings.Join(labels, " + "),
		EN: "amounts do not add up: " + rule,
	})
}

// member gives a field as the table has it, for its label.
func (a *audit) member(node, code string) *shape.Member {
	m := &shape.Member{Name: code, Label: code}
	if n, ok := a.t.Node(catalog.Output, node); ok {
		if f, ok := n.Field(code); ok {
			m.Label = f.Name
		}
	}
	return m
}

// total adds the terms of a right side; false when one is not known or the sum is out of range.
func (a *audit) total(v *terms, right []string, path, node string) (money.Fen, bool) {
	var all []money.Fen
	for _, name := range right {
		bare := strings.Trim(name, "[]")
		f, ok := a.term(v, bare, path, node)
		if !ok {
			if bare != name && v.raw(bare) == nil {
				continue
			}
			return 0, false
		}
		all = append(all, f)
	}
	sum, err := money.Sum(all...)
	return sum, err == nil
}

// term reads an amount; false when it is null, absent or no amount. The last is itself told.
func (a *audit) term(v *terms, name, path, node string) (money.Fen, bool) {
	raw := v.raw(name)
	if raw == nil {
		return v.elsewhere(name)
	}
	f, ok := amountOf(raw)
	if !ok {
		m := a.member(node, v.spelled(name))
		a.add(say(CodeAmountSyntax, Error, path+"/"+escape(v.spelled(name)), m, "16,2", "不是金额", "is not an amount"))
	}
	return f, ok
}

// terms are the amounts of one object.
type terms struct {
	of       map[string]any
	names    map[string][]string // name in an identity -> names in messages, in order
	top      map[string]any
	fallback map[string]fallback
}

// raw gives the value of a term, nil when null, absent or an empty text.
func (v *terms) raw(name string) any { return filled(v.of[v.spelled(name)]) }

func filled(x any) any {
	if x == "" {
		return nil
	}
	return x
}

// spelled gives the name a term has in this object.
func (v *terms) spelled(name string) string {
	for _, n := range v.names[name] {
		if filled(v.of[n]) != nil {
			return n
		}
	}
	return name
}

// elsewhere finds a term that is null in a row of another node. Two rows with different amounts
// say nothing.
func (v *terms) elsewhere(name string) (money.Fen, bool) {
	f, ok := v.fallback[name]
	if !ok {
		return 0, false
	}
	var found money.Fen
	seen := false
	for _, row := range elements(v.top, f.Node) {
		if kind, _ := row.object[f.By].(string); !slices.Contains(f.Is, kind) {
			continue
		}
		x, ok := amountOf(row.object[f.Value])
		if !ok || seen && x != found {
			return 0, false
		}
		found, seen = x, true
	}
	return found, seen
}

func amountOf(v any) (money.Fen, bool) {
	var s string
	switch x := v.(type) {
	case json.Number:
		s = string(x)
	case string:
		s = x
	default:
		return 0, false
	}
	if len(s) > longestNumber {
		return 0, false
	}
	f, err := money.ParseReply(s)
	return f, err == nil
}
