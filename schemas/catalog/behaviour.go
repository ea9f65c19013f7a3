package catalog

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/schemas/ident"
)

//go:embed behaviour.json
var behaviourFS embed.FS

// columns are the columns of behaviour.json. An absent one leaves what a wider rule said.
type columns struct {
	Limit    Limit    `json:"limit"`
	Commits  *bool    `json:"commits"`
	Queued   *bool    `json:"queued"`
	Deadline *string  `json:"deadline"` // as time.ParseDuration reads it
	Signed   *bool    `json:"signed"`
	Evidence *bool    `json:"evidence"`
	Negative []string `json:"negative"`
	Remedies []Remedy `json:"remedies"`
	Asks     []rawAsk `json:"asks"`
	ByHand   []ByHand `json:"by_hand"`
	Held     []Held   `json:"held"`
	Why      string   `json:"why"`
}

type rawAsk struct {
	Infno ident.Infno       `json:"infno"`
	Send  string            `json:"send"`
	By    map[string]string `json:"by"`
	Node  string            `json:"node"`
	Match map[string]string `json:"match"`
	Gives string            `json:"gives"`
	Needs string            `json:"needs"`
}

type group struct {
	Prefixes []string `json:"prefixes"`
	Kinds    []Kind   `json:"kinds"`
	columns
}

type behaviour struct {
	About        []string                `json:"about"`
	Kinds        map[Kind]columns        `json:"kinds"`
	Groups       []group                 `json:"groups"`
	Transactions map[ident.Infno]columns `json:"transactions"`
	Credential   []string                `json:"credential"`
	Personal     []string                `json:"personal"`
	FreeForm     []string                `json:"free_form"`
	Persons      []string                `json:"person_number"`
	Visits       []string                `json:"visit_number"`
}

// behave fills our own columns: first by kind, then by groups in order, then by number.
func (c *Catalog) behave(b []byte, more Members) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	var r behaviour
	if err := dec.Decode(&r); err != nil {
		return err
	}
	for _, t := range c.all {
		kind, ok := r.Kinds[t.Kind]
		if !ok {
			return fmt.Errorf("kind %q has no defaults", t.Kind)
		}
		rows := []columns{kind}
		for _, g := range r.Groups {
			if g.covers(t) {
				rows = append(rows, g.columns)
			}
		}
		if own, ok := r.Transactions[t.Infno]; ok {
			rows = append(rows, own)
		}
		for _, row := range rows {
			if err := row.apply(t); err != nil {
				return fmt.Errorf("%s: %w", t.Infno, err)
			}
		}
		if !t.Queued {
			t.Deadline = 0
		} else {
			t.Evidence = false
		}
		if err := c.consistent(t); err != nil {
			return fmt.Errorf("%s: %w", t.Infno, err)
		}
	}
	for n := range r.Transactions {
		if c.byNumber[n] == nil {
			return fmt.Errorf("transaction %s does not exist", n)
		}
	}
	c.persons, c.visits = r.Persons, r.Visits
	return c.classify(map[class][]string{credential: r.Credential, personal: r.Personal, freeForm: r.FreeForm}, more)
}

// classify keeps what each member name holds, also under the spellings the tables use. Every name of a field holds
// the same: a name that is a credential makes its field and the other spellings one.
func (c *Catalog) classify(names map[class][]string, more Members) error {
	c.classes, c.spelled = map[string]class{}, map[string]class{}
	for k, list := range names {
		for _, n := range list {
			f := fold(n)
			if _, twice := c.classes[f]; twice || f == "" {
				return fmt.Errorf("member %q listed twice", n)
			}
			c.classes[f] = k
		}
	}
	for k, list := range map[class][]string{credential: more.Credential, personal: more.Personal} {
		for _, n := range list {
			f := fold(n)
			if f == "" {
				return fmt.Errorf("member %q has no name", n)
			}
			c.classes[f] = stricter(c.classes[f], k)
		}
	}
	c.alike()
	for _, t := range c.all {
		for _, side := range [][]Node{t.Input, t.Output} {
			for _, n := range side {
				c.spelled[n.Name] = c.classes[fold(n.Name)]
				for _, f := range n.Fields {
					c.spelled[f.Code] = c.classes[fold(f.Code)]
				}
			}
		}
	}
	return nil
}

// alike gives a field and its aliases the strictest class any of them has, until nothing changes: an alias may be
// another field's name.
func (c *Catalog) alike() {
	for changed := true; changed; {
		changed = false
		for _, t := range c.all {
			for _, n := range slices.Concat(t.Input, t.Output) {
				for i := range n.Fields {
					changed = c.alikeIn(&n.Fields[i]) || changed
				}
			}
		}
	}
}

func (c *Catalog) alikeIn(f *Field) (changed bool) {
	if len(f.Aliases) == 0 {
		return false
	}
	k := c.classes[fold(f.Code)]
	for _, a := range f.Aliases {
		k = stricter(k, c.classes[fold(a)])
	}
	if k != credential && k != personal {
		return false
	}
	for _, name := range append([]string{f.Code}, f.Aliases...) {
		if name = fold(name); c.classes[name] != k {
			c.classes[name], changed = k, true
		}
	}
	return changed
}

// stricter is the one of two classes that shows less.
func stricter(a, b class) class {
	for _, k := range []class{credential, personal, freeForm} {
		if a == k || b == k {
			return k
		}
	}
	return plain
}

func (g *group) covers(t *Transaction) bool {
	return slices.Contains(g.Kinds, t.Kind) &&
		slices.ContainsFunc(g.Prefixes, func(p string) bool { return strings.HasPrefix(string(t.Infno), p) })
}

func (k *columns) apply(t *Transaction) error {
	if k.Limit != "" {
		t.Limit = k.Limit
	}
	if k.Commits != nil {
		t.Commits = *k.Commits
	}
	if k.Queued != nil {
		t.Queued = *k.Queued
	}
	if k.Signed != nil {
		t.Signed = *k.Signed
	}
	if k.Evidence != nil {
		t.Evidence = *k.Evidence
	}
	if k.Negative != nil {
		t.Negative = k.Negative
	}
	if k.Remedies != nil {
		t.Remedies = k.Remedies
	}
	if k.ByHand != nil {
		t.ByHand = k.ByHand
	}
	if k.Held != nil {
		t.Held = k.Held
	}
	if k.Asks != nil {
		t.Asks = nil
		for _, a := range k.Asks {
			t.Asks = append(t.Asks, Ask(a))
		}
	}
	if k.Deadline != nil {
		d, err := time.ParseDuration(*k.Deadline)
		if err != nil || d <= 0 {
			return fmt.Errorf("deadline %q", *k.Deadline)
		}
		t.Deadline = Span(d)
	}
	return nil
}

// consistent refuses columns that could not be followed.
func (c *Catalog) consistent(t *Transaction) error {
	switch t.Limit {
	case LimitQuery, LimitWrite, LimitSettle, LimitFile:
	default:
		return fmt.Errorf("limit %q", t.Limit)
	}
	for _, a := range t.Asks {
		if c.byNumber[a.Infno] == nil {
			return fmt.Errorf("asks %s, which does not exist", a.Infno)
		}
		if a.Gives != "" && t.Described() && !names(t.Output, a.Gives) {
			return fmt.Errorf("asks %s for %s, which it does not give itself", a.Infno, a.Gives)
		}
	}
	if !t.Commits && len(t.Remedies) > 0 {
		return fmt.Errorf("commits nothing, yet has remedies")
	}
	if t.Commits && len(t.Remedies) == 0 {
		return fmt.Errorf("commits, and nothing ends an unknown outcome")
	}
	for _, r := range t.Remedies {
		switch r {
		case RemedyResend, RemedyPark:
		case RemedyAsk:
			if len(t.Asks) == 0 {
				return fmt.Errorf("remedy ask without asks")
			}
		case RemedyReverse:
			if !t.Reversible {
				return fmt.Errorf("remedy reverse, but 2601 does not take it")
			}
		case RemedyUndo:
			if t.Undo == "" {
				return fmt.Errorf("remedy undo, but nothing undoes it")
			}
		default:
			return fmt.Errorf("remedy %q", r)
		}
	}
	for _, h := range t.Held {
		if h.Member == "" || h.By != HeldVisit && h.By != HeldGiven {
			return fmt.Errorf("held %q by %q", h.Member, h.By)
		}
	}
	return t.handsConsistent()
}

// handsConsistent refuses what people could not decide. Of a kind's defaults the ways that do not
// apply to a transaction are left out.
func (t *Transaction) handsConsistent() error {
	t.ByHand = slices.DeleteFunc(slices.Clone(t.ByHand), func(h ByHand) bool {
		return !t.Commits || h.Do == HandReverse && !t.Reversible || h.Do == HandUndo && t.Undo == ""
	})
	for _, h := range t.ByHand {
		switch h.Do {
		case HandAdopt, HandAbsent, HandReverse, HandUndo:
		default:
			return fmt.Errorf("by_hand %q", h.Do)
		}
		for _, p := range h.Proof {
			if p != ProofQuery && p != ProofStatement && p != ProofOffice {
				return fmt.Errorf("by_hand %s: proof %q", h.Do, p)
			}
		}
		for _, code := range h.Shows {
			if h.Do != HandAdopt || len(t.Output) == 0 {
				return fmt.Errorf("by_hand %s shows %s", h.Do, code)
			}
			if _, ok := t.Output[0].Field(code); !ok {
				return fmt.Errorf("by_hand %s shows %s, which is no member of the answer", h.Do, code)
			}
		}
	}
	return nil
}

// names reports whether one of the nodes has a field of that code.
func names(nodes []Node, code string) bool {
	for _, n := range nodes {
		for _, f := range n.Fields {
			if f.Code == code {
				return true
			}
		}
	}
	return false
}
