package watch

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/simulator/acceptance"
)

// Scenario is something a person at the HIS is asked to do, for one insured person, and the messages that are to come of it.
type Scenario struct {
	ID       string          `yaml:"id"`
	Suite    string          `yaml:"suite"`
	Actors   []string        `yaml:"actors"` // his, gateway; both when empty
	Title    acceptance.Text `yaml:"title"`
	Task     acceptance.Text `yaml:"task"`
	Person   string          `yaml:"person"`   // a role of the site's people
	Needs    string          `yaml:"needs"`    // sealed: only where replies are signed; sign-in: only where sign_no is asked for
	Verifies []string        `yaml:"verifies"` // beside what the rules say
	// Free: whatever comes, in any order, is judged by the tables and the rules; the scenario ends when the person at the HIS says so, or nothing comes.
	Free  bool   `yaml:"free"`
	Steps []Step `yaml:"steps"`
}

func (s Scenario) actors() []string {
	if len(s.Actors) == 0 {
		return []string{"his", "gateway"}
	}
	return s.Actors
}

// Step is one message that is waited for.
type Step struct {
	Send     []string        `yaml:"send"` // one of these numbers
	Optional bool            `yaml:"optional"`
	Many     bool            `yaml:"many"` // more of the same may follow
	Note     acceptance.Text `yaml:"note"`
	// Plant is what the centre does wrong with it: lost (done, no answer), dropped (not done, no answer), html (done, a web page),
	// wrong-signature, wrong-total, other-answer (done, an answer that is not to be believed), refuse (not done),
	// sign-expired (not done), slow (done, answered late).
	Plant string `yaml:"plant"`
}

// Scenarios reads the embedded scenarios.
func Scenarios() ([]Scenario, error) {
	b, err := files.ReadFile("scenarios.yaml")
	if err != nil {
		return nil, err
	}
	var list []Scenario
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	if err := dec.Decode(&list); err != nil {
		return nil, fmt.Errorf("scenarios.yaml: %w", err)
	}
	return list, nil
}

// Tried tells the requirements of a HIS or a gateway that something here tries: those of the request tables when a scenario of that
// actor waits for the transaction or takes whatever comes, and every other, which a rule, a scenario or the front of the watcher judges. What goes
// to another centre (elsewhere) does not come here.
func Tried(plan []Scenario, actor string, elsewhere map[string]map[string]acceptance.Method) func(acceptance.Requirement) bool {
	sent, free := map[string]bool{}, false
	for _, s := range plan {
		if !slices.Contains(s.actors(), actor) {
			continue
		}
		free = free || s.Free
		for _, st := range s.Steps {
			for _, n := range st.Send {
				sent["FLD-"+n+"-I"] = true
			}
		}
	}
	return func(q acceptance.Requirement) bool {
		if !strings.HasPrefix(q.ID, "FLD-") || sent[q.ID] {
			return true
		}
		for _, m := range elsewhere {
			if _, there := m[q.Infno]; there {
				return false
			}
		}
		return free
	}
}

func (w *Watcher) scenario() Scenario {
	if w.at < len(w.plan) {
		return w.plan[w.at]
	}
	return Scenario{}
}

// pass goes over scenarios that do not apply here.
func (w *Watcher) pass() {
	for w.at < len(w.plan) {
		s := w.plan[w.at]
		_, there := w.o.Site.People[s.Person]
		switch {
		case s.Person != "" && !there:
			w.cases[w.at].Stopped = "测试数据中没有这类人员: " + s.Person + " / no such person in the test data"
		case s.Needs == "sealed" && !w.o.Sealed:
			w.cases[w.at].Stopped = "报文没有签名, 不适用 / messages are not signed"
		case s.Needs == "sign-in" && !w.o.Site.SignIn:
			w.cases[w.at].Stopped = "不要求签到, 不适用 / no sign-in is asked for"
		default:
			return
		}
		w.at++
	}
	w.over()
}

func (w *Watcher) over() {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
}

// next ends the scenario under way.
func (w *Watcher) next() {
	w.at++
	w.step = 0
	w.pass()
}

// tail reports whether nothing that must come is missing from step i on.
func (s Scenario) tail(i int) bool {
	return !slices.ContainsFunc(s.Steps[i:], func(t Step) bool { return !t.Optional })
}

// finish books a scenario whose last needed message has come, and goes on when nothing more can belong to it.
func (w *Watcher) finish() {
	if w.at >= len(w.plan) || !w.plan[w.at].tail(w.step) || len(w.open) > 0 {
		return
	}
	c := &w.cases[w.at]
	if c.Status == acceptance.NotRun {
		c.Status = acceptance.Pass
	}
	if c.Status == acceptance.Pass {
		w.verdict(w.plan[w.at].Verifies, "", "")
	}
	if w.plan[w.at].Free {
		return // until it is left
	}
	if w.step == len(w.plan[w.at].Steps) && !(w.step > 0 && w.plan[w.at].Steps[w.step-1].Many) {
		w.next()
	} else if w.at == len(w.plan)-1 {
		w.over()
	}
}

// flow finds the step a message belongs to; nil when to none. What is not waited for is a fault, unless it only asks.
func (w *Watcher) flow(r *record) *Step {
	if w.at >= len(w.plan) {
		return nil
	}
	s := w.plan[w.at]
	if s.tail(w.step) && len(w.open) == 0 && w.index(s, r.infno) < 0 && w.at+1 < len(w.plan) && (!w.asks(r.infno) || w.after1().Free || slices.Contains(w.after1().Steps[0].Send, r.infno)) {
		w.next()
		if w.at >= len(w.plan) {
			return nil
		}
		s = w.plan[w.at]
	}
	if s.Free {
		return nil
	}
	i := w.index(s, r.infno)
	if i < 0 && w.asks(r.infno) {
		return nil
	}
	if psn := find(r.in, "psn_no"); psn != "" && s.Person != "" && psn != w.o.Site.People[s.Person].No {
		w.verdict([]string{"HFLOW-1"}, "为 "+s.Person+" 办理 / for the person of the task", "为别人办理 / for somebody else")
		return nil
	}
	if i >= 0 {
		w.verdict([]string{"HFLOW-1"}, "", "")
		w.step = i
		return &s.Steps[i]
	}
	w.verdict([]string{"HFLOW-1"}, strings.Join(w.waited(), " / "), r.infno)
	for j := w.step; j < len(s.Steps); j++ { // go on from there
		if slices.Contains(s.Steps[j].Send, r.infno) {
			w.step = j
			return &s.Steps[j]
		}
	}
	return nil
}

// after1 is the scenario behind the one under way.
func (w *Watcher) after1() Scenario {
	for i := w.at + 1; i < len(w.plan); i++ {
		if w.cases[i].Stopped == "" {
			return w.plan[i]
		}
	}
	return Scenario{Steps: []Step{{}}}
}

// index is the step a number may be now; -1: none.
func (w *Watcher) index(s Scenario, infno string) int {
	for j := w.step; j < len(s.Steps); j++ {
		if slices.Contains(s.Steps[j].Send, infno) {
			return j
		}
		if !s.Steps[j].Optional {
			break
		}
	}
	if w.step > 0 && s.Steps[w.step-1].Many && slices.Contains(s.Steps[w.step-1].Send, infno) {
		return w.step - 1
	}
	return -1
}

// asks reports whether a transaction changes nothing.
func (w *Watcher) asks(infno string) bool {
	if slices.ContainsFunc(w.rules, func(q Rule) bool { return q.After != nil && slices.Contains(q.On, infno) }) {
		return false // a trial is a step, though it changes nothing
	}
	t, ok := w.o.Catalog.Lookup(ident.Infno(infno))
	return ok && (t.Kind == catalog.Query || t.Kind == catalog.Session || t.Kind == catalog.Download)
}

// waited lists the numbers that may come now.
func (w *Watcher) waited() []string {
	var out []string
	if w.at >= len(w.plan) {
		return nil
	}
	for _, t := range w.plan[w.at].Steps[w.step:] {
		out = append(out, t.Send...)
		if !t.Optional {
			break
		}
	}
	return out
}

func (w *Watcher) hint(faults []string) Hint {
	if w.at >= len(w.plan) {
		return Hint{Faults: faults}
	}
	s := w.plan[w.at]
	h := Hint{Scenario: s.ID, Title: s.Title, Task: s.Task, Step: w.step + 1, Of: len(s.Steps), Next: w.waited(), Faults: faults}
	if w.step < len(s.Steps) {
		h.Note = s.Steps[w.step].Note
	}
	return h
}

func (w *Watcher) show(faults []string) {
	if w.o.Show != nil {
		w.o.Show(w.hint(faults))
	}
}
