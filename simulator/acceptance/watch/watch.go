// Package watch judges the other side of the interface: it stands where the centre stands, lets a HIS (or a
// gateway) work through scenarios, says which message it waits for next, and books for every requirement
// whether what came held.
//
// Behind it a centre answers in plain messages (the simulated one); in front of it stands the protection the
// HIS speaks. What is judged is data: rules.yaml holds the rules, each naming its requirement, scenarios.yaml what a
// person at the HIS is asked to do and what the centre does wrong on purpose meanwhile. Tables are judged by the
// catalogue. The engine knows messages, histories and a dozen questions to ask of them, and no transaction beyond the session
// (9001, 9002) and the reversal (2601), whose meaning is not in the tables.
//
// Nothing here runs by itself: a Watcher works while it serves a request. It is safe for concurrent use; requests
// are judged one after the other in the order of their arrival.
package watch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/simulator/acceptance"
)

// Hint is what a person at the HIS is told. Scenario is "" when all is over.
type Hint struct {
	Scenario string          `json:"scenario"`
	Title    acceptance.Text `json:"title"`
	Task     acceptance.Text `json:"task"`
	Step     int             `json:"step"` // from 1
	Of       int             `json:"of"`
	Next     []string        `json:"next"` // numbers that are waited for
	Note     acceptance.Text `json:"note"`
	Faults   []string        `json:"faults,omitempty"` // what the last message got wrong
}

// Options of a Watcher.
type Options struct {
	Catalog   *catalog.Catalog
	Centre    http.Handler       // answers plain messages
	Profile   envelope.Profile   // how the HIS protects its messages, seen from the centre; nil: plain
	Transport envelope.Transport // caller headers; nil: none
	Sealed    bool               // Profile signs: replies can be spoilt
	Rand      io.Reader
	Now       func() time.Time
	Skew      time.Duration // zero: five minutes
	Site      acceptance.Site
	Actor     string   // his (when empty) or gateway: whose requirements the scenarios are to show
	Suite     string   // only scenarios of that suite; "" for all
	Only      []string // only these scenarios; nil for all
	// Seen, when set, is told of every message that was opened, before it is answered. It must not call the Watcher.
	Seen func(infno, msgid string)
	// Originals, when set, is told of every message and its answer unmasked, concurrently. It must not call the Watcher.
	Originals func(acceptance.Original)
	// Wait passes the time of a slow answer; nil waits for real.
	Wait func(time.Duration)
	// Show, when set, is called after every message and at the start, never concurrently.
	Show func(Hint)
}

// Watcher is one acceptance of one HIS.
type Watcher struct {
	o       Options
	checker *check.Checker
	rules   []Rule
	exempt  []Exemption
	plan    []Scenario

	mu      sync.Mutex
	found   map[string]*acceptance.RequirementResult
	tried   func(acceptance.Requirement) bool
	order   []string
	cases   []acceptance.CaseResult
	at      int // scenario of plan under way; len(plan) when over
	step    int // of it, the next one
	hist    []*record
	msgids  map[string]bool
	sealed  map[[32]byte]bool
	signs   map[string]string // sign_no: operator, while good
	expired bool              // a sign-in was ended by the centre and none was made since
	open    []*record         // outcomes the HIS does not know
	refused map[string]int    // a refused input: how often
	deleted map[string]bool   // fee rows that were taken back one by one
	faults  []string          // of the message being judged
	reached bool
	judging string // the number verdicts are about
	began   time.Time
	done    chan struct{}
}

// New prepares a watcher. The error says what is wrong with options or data.
func New(o Options) (*Watcher, error) {
	reqs, err := acceptance.Requirements(o.Catalog)
	if err != nil {
		return nil, err
	}
	rules, exempt, err := Rules()
	if err != nil {
		return nil, err
	}
	plan, err := Scenarios()
	if err != nil {
		return nil, err
	}
	elsewhere, err := acceptance.Methods()
	if err != nil {
		return nil, err
	}
	if err := checkData(rules, plan, reqs); err != nil {
		return nil, err
	}
	checker, err := check.New(o.Catalog, check.Options{FundIncludesAccount: o.Site.FundIncludesAccount})
	if err != nil {
		return nil, err
	}
	if o.Centre == nil || o.Rand == nil || o.Now == nil {
		return nil, errors.New("watch: a centre, randomness and a clock are needed")
	}
	if o.Skew == 0 {
		o.Skew = 5 * time.Minute
	}
	if o.Wait == nil {
		o.Wait = time.Sleep
	}
	if o.Actor == "" {
		o.Actor = "his"
	}
	w := &Watcher{o: o, checker: checker, rules: rules, exempt: exempt, found: acceptance.Unjudged(reqs), tried: Tried(plan, o.Actor, elsewhere), msgids: map[string]bool{},
		sealed: map[[32]byte]bool{}, signs: map[string]string{}, refused: map[string]int{}, deleted: map[string]bool{}, done: make(chan struct{}), began: o.Now()}
	for _, q := range reqs {
		w.order = append(w.order, q.ID)
	}
	for _, s := range plan {
		if o.Suite != "" && s.Suite != o.Suite || len(o.Only) > 0 && !slices.Contains(o.Only, s.ID) || !slices.Contains(s.actors(), o.Actor) {
			continue
		}
		w.plan = append(w.plan, s)
		w.cases = append(w.cases, acceptance.CaseResult{ID: s.ID, Suite: s.Suite, Title: s.Title, Status: acceptance.NotRun, Steps: []acceptance.StepResult{}})
	}
	if len(w.plan) == 0 {
		return nil, fmt.Errorf("watch: no scenario of suite %q among %v", o.Suite, o.Only)
	}
	w.pass()
	w.show(nil)
	return w, nil
}

// Site is the test data it was made with.
func (w *Watcher) Site() acceptance.Site { return w.o.Site }

// Done is closed when every scenario is over.
func (w *Watcher) Done() <-chan struct{} { return w.done }

// Skip ends the scenario under way without a verdict.
func (w *Watcher) Skip(why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at < len(w.plan) {
		if w.cases[w.at].Status == acceptance.NotRun {
			w.cases[w.at].Stopped = why
		}
		w.next()
		w.show(nil)
	}
}

// GoOn leaves a scenario to which nothing more must come; false when something is still missing.
func (w *Watcher) GoOn() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.at >= len(w.plan) || !w.plan[w.at].tail(w.step) || len(w.open) > 0 {
		return false
	}
	w.next()
	w.show(nil)
	return true
}

// Now gives what is waited for.
func (w *Watcher) Now() Hint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hint(nil)
}

// Result is what was found so far. With end, what must not stay open is judged first; it is then called once, after the
// last message.
func (w *Watcher) Result(end bool) *acceptance.Result {
	w.mu.Lock()
	defer w.mu.Unlock()
	if end {
		for _, r := range w.open {
			w.judging = r.infno
			w.verdict(append([]string{"HUNK-1"}, plantIDs[r.plant]...), "查询或冲正, 直到知道结果 / asked for or reversed until it is known", r.infno+" "+r.msgid+" 的结果一直没有查清 / never resolved")
			w.note(r)
		}
		w.open = nil
		if w.at < len(w.plan) && len(w.cases[w.at].Steps) > 0 && !w.plan[w.at].tail(w.step) {
			c := &w.cases[w.at]
			c.Status, c.Stopped = acceptance.Fail, fmt.Sprintf("停在第 %d 步, 等待 %v / ended while waiting at step %d", w.step+1, w.plan[w.at].Steps[w.step].Send, w.step+1)
			w.verdict(w.plan[w.at].Verifies, fmt.Sprint(w.plan[w.at].Steps[w.step].Send), "没有收到 / never came")
		}
	}
	res := &acceptance.Result{Tool: "yiqiao accept", Suite: w.o.Suite, Began: w.began, Ended: w.o.Now(), Reached: w.reached, Cases: slices.Clone(w.cases)}
	for _, id := range w.order {
		q := *w.found[id]
		q.Settle(q.Actor == "his" || q.Actor == w.o.Actor, w.tried(q.Requirement))
		q.Evidence = slices.Clone(q.Evidence)
		res.Requirements = append(res.Requirements, q)
	}
	return res
}

// verdict books a check of some requirements: got is "" when it held.
func (w *Watcher) verdict(ids []string, wanted, got string) bool {
	for _, id := range w.ofActor(ids) {
		q := w.found[id]
		if q == nil {
			continue
		}
		q.Checks++
		switch {
		case got != "":
			q.Status = acceptance.Fail
			if len(q.Evidence) < 5 {
				q.Evidence = append(q.Evidence, acceptance.Evidence{Case: w.scenario().ID, Step: w.step + 1, Infno: w.judging, Wanted: wanted, Got: got})
			}
		case q.Status == acceptance.NotRun:
			q.Status = acceptance.Pass
		}
	}
	if got != "" {
		w.faults = append(w.faults, fmt.Sprintf("[%s] 应为 %s; 实为 %s", first(ids), wanted, got))
	}
	return got == ""
}

// alsoGateway: what a HIS has to do about an answer the gateway has to do for it.
var alsoGateway = map[string]string{"HUNK-2": "TIM-01", "HREP-1": "VER-03", "HREP-2": "VER-02", "HREP-3": "VER-01"}

func (w *Watcher) ofActor(ids []string) []string {
	if w.o.Actor != "gateway" {
		return ids
	}
	out := slices.Clone(ids)
	for _, id := range ids {
		if g := alsoGateway[id]; g != "" {
			out = append(out, g)
		}
	}
	return out
}

func first(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// Keep hands an original to whoever keeps them, with the scenario under way; nothing without Options.Originals.
func (w *Watcher) Keep(o acceptance.Original) {
	if w.o.Originals == nil {
		return
	}
	w.mu.Lock()
	o.At = w.o.Now()
	if o.Case == "" {
		o.Case = w.scenario().ID
	}
	w.mu.Unlock()
	w.o.Originals(o)
}

// Judge books something seen beside the messages, as at the front door of a gateway: got is "" when it held.
func (w *Watcher) Judge(id, wanted, got string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.verdict([]string{id}, wanted, got)
	if got != "" && w.at < len(w.plan) {
		w.cases[w.at].Status = acceptance.Fail
	}
	w.faults = nil
}
