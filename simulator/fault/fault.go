// Package fault says when and how a simulated centre misbehaves: a script of rules, each naming
// the calls it applies to and what goes wrong. The script only decides; the centre acts.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Kind is one way to misbehave.
type Kind string

const (
	Slow             Kind = "slow"               // does the business, answers after Delay
	NeverAnswer      Kind = "never-answer"       // keeps the connection open and says nothing
	CommitThenLose   Kind = "commit-then-lose"   // does the business, then the connection is gone
	DropBeforeCommit Kind = "drop-before-commit" // the connection is gone and nothing was done
	Late             Kind = "late"               // does the business only after Delay, whether or not the client still waits
	AnswerTwice      Kind = "answer-twice"       // writes the whole answer two times
	HTML             Kind = "html"               // answers a web page with status 200
	HTTP500          Kind = "http-500"           // answers status 500
	Garbage          Kind = "garbage"            // answers bytes that are no message
	CutMidBody       Kind = "cut-mid-body"       // does the business, half of the answer arrives
	WrongSignature   Kind = "wrong-signature"    // does the business, the answer does not verify
	WrongTotal       Kind = "wrong-total"        // does the business, fund_pay_sumamt is 0.01 too high
	Refuse           Kind = "refuse-connection"  // closes the connection without reading further
)

// Kinds lists every kind.
func Kinds() []Kind {
	return []Kind{Slow, NeverAnswer, CommitThenLose, DropBeforeCommit, Late, AnswerTwice, HTML, HTTP500, Garbage,
		CutMidBody, WrongSignature, WrongTotal, Refuse}
}

// Commits tells whether the business is done before things go wrong; for kinds that could go
// either way the rule decides.
func (r Rule) Commits() bool {
	switch r.Kind {
	case Slow, CommitThenLose, Late, AnswerTwice, CutMidBody, WrongSignature, WrongTotal:
		return true
	case NeverAnswer, HTML, HTTP500, Garbage:
		return r.Commit
	}
	return false
}

// Rule applies to calls that match Infno and MsgID (empty matches all).
type Rule struct {
	Infno string `json:"infno,omitempty"`
	MsgID string `json:"msgid,omitempty"`
	Kind  Kind   `json:"kind"`
	// Nth: only the nth matching call, counted from 1; 0 means every one.
	Nth int `json:"nth,omitempty"`
	// Times: at most so often; 0 means no limit.
	Times int `json:"times,omitempty"`
	// Delay: how long Slow and Late wait, and how long CommitThenLose and DropBeforeCommit hold the
	// connection before they close it (0 closes at once). NeverAnswer waits for the client to
	// give up, or Delay when it is set.
	Delay Delay `json:"delay,omitempty"`
	// Commit: NeverAnswer, HTML, HTTP500 and Garbage do the business first.
	Commit bool `json:"commit,omitempty"`
}

// Delay is a time.Duration written as text ("1500ms", "2s").
type Delay time.Duration

// MarshalText writes the duration as Go writes durations.
func (d Delay) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a duration of at least zero and at most an hour.
func (d *Delay) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 || v > time.Hour {
		return fmt.Errorf("%w: delay %q", ErrRule, text)
	}
	*d = Delay(v)
	return nil
}

// ErrRule refuses a rule that could not mean anything.
var ErrRule = errors.New("fault: bad rule")

// Valid reports why a rule is refused.
func (r Rule) Valid() error {
	switch {
	case !slices.Contains(Kinds(), r.Kind):
		return fmt.Errorf("%w: kind %q", ErrRule, r.Kind)
	case r.Nth < 0 || r.Times < 0 || r.Delay < 0:
		return fmt.Errorf("%w: a number below zero", ErrRule)
	case (r.Kind == Slow || r.Kind == Late) && r.Delay == 0:
		return fmt.Errorf("%w: %s without delay", ErrRule, r.Kind)
	}
	return nil
}

// Count is a rule with what it has seen and done.
type Count struct {
	Rule  Rule `json:"rule"`
	Seen  int  `json:"seen"`
	Fired int  `json:"fired"`
}

// Script is a list of rules, tried in order; the first that applies fires. The zero Script has no
// rules. Safe for concurrent use.
type Script struct {
	mu    sync.Mutex
	rules []Count
}

// NewScript makes a script; the error is that of the first bad rule.
func NewScript(rules ...Rule) (*Script, error) {
	s := &Script{}
	return s, s.Add(rules...)
}

// Add appends rules, all or none.
func (s *Script) Add(rules ...Rule) error {
	for _, r := range rules {
		if err := r.Valid(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		s.rules = append(s.rules, Count{Rule: r})
	}
	return nil
}

// Clear removes all rules and their counts.
func (s *Script) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Next says whether this call goes wrong, and how. Every matching rule counts the call.
func (s *Script) Next(infno, msgid string) (Rule, bool) {
	if s == nil {
		return Rule{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	hit := -1
	for i := range s.rules {
		c := &s.rules[i]
		if c.Rule.Infno != "" && c.Rule.Infno != infno || c.Rule.MsgID != "" && c.Rule.MsgID != msgid {
			continue
		}
		c.Seen++
		if hit < 0 && (c.Rule.Nth == 0 || c.Rule.Nth == c.Seen) && (c.Rule.Times == 0 || c.Fired < c.Rule.Times) {
			hit = i
		}
	}
	if hit < 0 {
		return Rule{}, false
	}
	s.rules[hit].Fired++
	return s.rules[hit].Rule, true
}

// Counts lists the rules with their counts, in order.
func (s *Script) Counts() []Count {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rules)
}

// Fired tells how often rules of a kind have fired.
func (s *Script) Fired(k Kind) int {
	n := 0
	for _, c := range s.Counts() {
		if c.Rule.Kind == k {
			n += c.Fired
		}
	}
	return n
}
