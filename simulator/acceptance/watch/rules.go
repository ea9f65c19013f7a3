package watch

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	"yiqiao/simulator/acceptance"
)

//go:embed rules.yaml scenarios.yaml script.yaml
var files embed.FS

// Rule is one thing a message is asked. Exactly one of the questions is set; members are named as they are
// sent and looked for anywhere in the message.
type Rule struct {
	ID   string            `yaml:"id"`   // the requirement
	On   []string          `yaml:"on"`   // numbers it is asked of; "*" for all
	When map[string]string `yaml:"when"` // only where these members have these values; "!x": another one than x
	Same []string          `yaml:"same"` // members by which former messages belong to this one

	After    []string            `yaml:"after"`     // one of these is done and not undone
	NotAfter []string            `yaml:"not_after"` // none of these is
	Known    map[string][]string `yaml:"known"`     // the value of a member was given by a reply of one of these
	Equal    map[string]string   `yaml:"equal"`     // member: the member of the last reply of From it equals
	From     []string            `yaml:"from"`
	Total    string              `yaml:"total"` // this member is the sum of Amount over the replies of Rows since Since
	Amount   string              `yaml:"amount"`
	Rows     []string            `yaml:"rows"`
	Since    []string            `yaml:"since"`
	Unique   string              `yaml:"unique"`  // no value of this member came twice, within Same
	Single   string              `yaml:"single"`  // all values of this member are the same within Same
	Most     int                 `yaml:"most"`    // so many rows with the member Each
	Each     string              `yaml:"each"`    //
	Product  []string            `yaml:"product"` // of each row: product, factor, factor
	Sign     []string            `yaml:"sign"`    // of each row with the first member: the others are negative
	Match    map[string]string   `yaml:"match"`   // member: regular expression
	One      map[string]string   `yaml:"one"`     // exactly one row has this member with this value
	New      string              `yaml:"new"`     // the member was not used by an undone one of From
	Reply    map[string]string   `yaml:"reply"`   // what the centre's answer has to say: member: value
	Once     bool                `yaml:"once"`    // the same input is not done twice
}

// Exemption takes a finding of the tables away: a gap of them that everybody lives with.
type Exemption struct {
	Infno string `yaml:"infno"`
	Path  string `yaml:"path"`
	Why   string `yaml:"why"`
}

// Rules reads the embedded rules.
func Rules() ([]Rule, []Exemption, error) {
	b, err := files.ReadFile("rules.yaml")
	if err != nil {
		return nil, nil, err
	}
	var doc struct {
		Rules  []Rule      `yaml:"rules"`
		Exempt []Exemption `yaml:"exempt"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&doc); err != nil {
		return nil, nil, fmt.Errorf("rules.yaml: %w", err)
	}
	return doc.Rules, doc.Exempt, nil
}

// checkData finds rules and scenarios that name requirements nobody knows.
func checkData(rules []Rule, plan []Scenario, reqs []acceptance.Requirement) error {
	known := map[string]bool{}
	for _, q := range reqs {
		known[q.ID] = true
	}
	var bad []error
	for _, r := range rules {
		if !known[r.ID] || len(r.On) == 0 {
			bad = append(bad, fmt.Errorf("rule %s: no such requirement, or asked of nothing", r.ID))
		}
		for _, e := range r.Match {
			if _, err := regexp.Compile(e); err != nil {
				bad = append(bad, fmt.Errorf("rule %s: %w", r.ID, err))
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range plan {
		if seen[s.ID] || s.Title.ZH == "" || s.Task.ZH == "" || len(s.Steps) == 0 {
			bad = append(bad, fmt.Errorf("scenario %s: twice, or without title, task or steps", s.ID))
		}
		seen[s.ID] = true
		for _, id := range s.Verifies {
			if !known[id] {
				bad = append(bad, fmt.Errorf("scenario %s: no requirement %s", s.ID, id))
			}
		}
	}
	return errors.Join(bad...)
}

func (q Rule) applies(r *record) bool {
	if !slices.Contains(q.On, "*") && !slices.Contains(q.On, r.infno) {
		return false
	}
	for _, k := range sortedKeys(q.When) {
		want := q.When[k]
		if not, ok := strings.CutPrefix(want, "!"); ok {
			if find(r.in, k) == not {
				return false
			}
		} else if find(r.in, k) != want {
			return false
		}
	}
	return true
}

// before judges a message as it comes.
func (w *Watcher) before(r *record) {
	w.table(r)
	for _, q := range w.rules {
		if q.Reply == nil && q.applies(r) {
			if wanted, got := w.ask(q, r); wanted != "" {
				w.verdict([]string{q.ID}, wanted, got)
			}
		}
	}
}

// table holds the input against the catalogue.
func (w *Watcher) table(r *record) {
	var bad []string
	for _, f := range w.checker.Request(ident.Infno(r.infno), r.in) {
		exempt := slices.ContainsFunc(w.exempt, func(e Exemption) bool { return e.Infno == r.infno && e.Path == f.Path })
		if f.Severity == check.Error && !exempt {
			bad = append(bad, f.Path+" "+f.ZH)
		}
	}
	w.verdict([]string{"FLD-" + r.infno + "-I"}, "接口表 / the table", strings.Join(bad, "; "))
}

// ask gives what was wanted and, when it did not hold, what came; wanted is "" when the question does not arise.
func (w *Watcher) ask(q Rule, r *record) (wanted, got string) {
	switch {
	case q.After != nil:
		if len(w.inForce(r, q.After, q.Same)) == 0 {
			got = r.infno + " 之前没有有效的 " + strings.Join(q.After, "/") + " / none of them in force"
		}
		return "先有 " + strings.Join(q.After, "/") + " / first", got
	case q.NotAfter != nil:
		if f := w.inForce(r, q.NotAfter, q.Same); len(f) > 0 {
			got = f[0].infno + " 仍有效 / is in force"
		}
		return "没有有效的 " + strings.Join(q.NotAfter, "/") + " / none in force", got
	case q.Known != nil:
		return w.known(q, r)
	case q.Equal != nil:
		return w.equal(q, r)
	case q.Total != "":
		return w.total(q, r)
	case q.Unique != "":
		return w.unique(q, r)
	case q.Single != "":
		return w.single(q, r)
	case q.Most > 0:
		if n := len(rowsOf(r.in, q.Each)); n > q.Most {
			got = fmt.Sprint(n, " 行 / rows")
		}
		return fmt.Sprintf("最多 %d 行 / rows at most", q.Most), got
	case q.Product != nil:
		return product(q, r)
	case q.Sign != nil:
		return negative(q, r)
	case q.Match != nil:
		for _, k := range sortedKeys(q.Match) {
			for _, v := range all(r.in, k) {
				wanted = k + " ~ " + q.Match[k]
				if ok, _ := regexp.MatchString(q.Match[k], v); !ok {
					return wanted, w.value(k, v)
				}
			}
		}
		return wanted, ""
	case q.One != nil:
		for _, k := range sortedKeys(q.One) {
			n := 0
			for _, v := range all(r.in, k) {
				if v == q.One[k] {
					n++
				}
			}
			if n != 1 {
				got = fmt.Sprint(n)
			}
			wanted = k + " = " + q.One[k] + ": 1"
		}
		return wanted, got
	case q.New != "":
		return w.newer(q, r)
	case q.Once:
		key := string(strictjson.Encode(r.in))
		for _, o := range w.hist {
			if o != r && o.infno == r.infno && o.done && o.told && !o.undone && string(strictjson.Encode(o.in)) == key {
				return "每份内容上传一次 / uploaded once", "与 " + o.msgid + " 内容相同 / the same as"
			}
		}
		return "每份内容上传一次 / uploaded once", ""
	}
	return "", ""
}

func (w *Watcher) known(q Rule, r *record) (wanted, got string) {
	for _, k := range sortedKeys(q.Known) {
		for _, v := range all(r.in, k) {
			wanted = k + " 来自 / from " + strings.Join(q.Known[k], "/")
			if !slices.ContainsFunc(w.hist, func(o *record) bool {
				return o != r && o.done && slices.Contains(q.Known[k], o.infno) && slices.Contains(all(o.out, k), v)
			}) {
				return wanted, w.value(k, v) + " 没有任何答复给出过 / given by no reply"
			}
		}
	}
	return wanted, ""
}

func (w *Watcher) equal(q Rule, r *record) (wanted, got string) {
	list := w.inForce(r, q.From, q.Same)
	if len(list) == 0 {
		return "", ""
	}
	last := list[len(list)-1]
	for _, k := range sortedKeys(q.Equal) {
		want, have := find(last.out, q.Equal[k]), find(r.in, k)
		if want == "" || have == "" {
			continue
		}
		wanted = k + " = " + w.value(k, want)
		if !sameNumber(want, have) {
			return wanted, w.value(k, have)
		}
	}
	return wanted, ""
}

func (w *Watcher) total(q Rule, r *record) (wanted, got string) {
	cut := -1
	for _, o := range w.inForce(r, q.Since, q.Same) {
		cut = slices.Index(w.hist, o)
	}
	sum, rows := new(big.Rat), 0
	for _, o := range w.inForce(r, q.Rows, q.Same) {
		if slices.Index(w.hist, o) < cut {
			continue
		}
		for _, row := range rowsOf(o.out, q.Amount) {
			if w.deleted[o.key("mdtrt_id")+"/"+strictjson.Text(row["feedetl_sn"])] {
				continue
			}
			if n, ok := new(big.Rat).SetString(strictjson.Text(row[q.Amount])); ok {
				sum.Add(sum, n)
				rows++
			}
		}
	}
	if rows == 0 {
		return "", ""
	}
	want, have := sum.FloatString(2), find(r.in, q.Total)
	if !sameNumber(want, have) {
		got = have
		if got == "" {
			got = "没有 / missing"
		}
	}
	return q.Total + " = " + want + " (各行之和 / the sum of its rows)", got
}

func (w *Watcher) unique(q Rule, r *record) (wanted, got string) {
	wanted = q.Unique + " 不重复 / used once"
	mine := all(r.in, q.Unique)
	for i, v := range mine {
		if slices.Contains(mine[:i], v) {
			return wanted, w.value(q.Unique, v) + " 在同一报文中重复 / twice in one message"
		}
	}
	for _, o := range w.hist {
		if o == r || !o.done || o.undone || !slices.Contains(q.On, o.infno) || !matches(o, r, q.Same) {
			continue
		}
		for _, v := range all(o.in, q.Unique) {
			if slices.Contains(mine, v) && !w.deleted[o.key("mdtrt_id")+"/"+v] {
				return wanted, w.value(q.Unique, v) + " 已用过 / used before"
			}
		}
	}
	return wanted, ""
}

func (w *Watcher) single(q Rule, r *record) (wanted, got string) {
	var have string
	for _, o := range append(w.inForce(r, q.On, q.Same), r) {
		for _, v := range all(o.in, q.Single) {
			if v == "" {
				continue
			}
			if have != "" && v != have {
				return q.Single + " 只有一个 / one only", have + ", " + v
			}
			have = v
		}
	}
	if have == "" {
		return "", ""
	}
	return q.Single + " 只有一个 / one only", ""
}

func product(q Rule, r *record) (wanted, got string) {
	for _, row := range rowsOf(r.in, q.Product[0]) {
		x, err := money.ParseReplyDecimal(strictjson.Text(row[q.Product[1]]), 4)
		y, err2 := money.ParseReplyDecimal(strictjson.Text(row[q.Product[2]]), 6)
		if err != nil || err2 != nil {
			continue // the table has said so
		}
		p, err := money.Product(x, y)
		if err != nil {
			continue
		}
		wanted = q.Product[0] + " = " + q.Product[1] + " × " + q.Product[2] + " = " + p.String()
		if have := strictjson.Text(row[q.Product[0]]); !sameNumber(p.String(), have) {
			return wanted, have
		}
	}
	return wanted, ""
}

func negative(q Rule, r *record) (wanted, got string) {
	for _, row := range rowsOf(r.in, q.Sign[0]) {
		for _, k := range q.Sign[1:] {
			if strictjson.Text(row[q.Sign[0]]) == "" {
				continue
			}
			wanted = k + " < 0"
			if v := strictjson.Text(row[k]); !strings.HasPrefix(v, "-") {
				return wanted, v
			}
		}
	}
	return wanted, ""
}

func (w *Watcher) newer(q Rule, r *record) (wanted, got string) {
	mine, asked := find(r.in, q.New), false
	for _, o := range w.hist {
		if o == r || !o.undone || o.by == "2601" || !slices.Contains(q.From, o.infno) || !matches(o, r, q.Same) {
			continue
		}
		asked = true
		if find(o.in, q.New) == mine {
			got = mine + " 已用于撤销的结算 / was used by a settlement that was undone"
		}
	}
	if !asked {
		return "", ""
	}
	return "新的 " + q.New + " / a new one", got
}

// after judges what only the answer tells.
func (w *Watcher) after(r *record) {
	for _, q := range w.rules {
		if q.Reply == nil || !q.applies(r) {
			continue
		}
		for _, k := range sortedKeys(q.Reply) {
			got := ""
			if v := find(r.out, k); v != q.Reply[k] {
				got = k + " " + v
			}
			w.verdict([]string{q.ID}, "中心答复 "+k+" = "+q.Reply[k]+" / the centre answers", got)
		}
	}
}

// value is a value for the report; what identifies a person stays out.
func (w *Watcher) value(name, v string) string {
	if w.o.Catalog.Personal(name) || w.o.Catalog.Credential(name) {
		return name + " (不显示 / not shown)"
	}
	return v
}

func sameNumber(a, b string) bool {
	x, ok := new(big.Rat).SetString(a)
	y, ok2 := new(big.Rat).SetString(b)
	return ok && ok2 && x.Cmp(y) == 0
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
