package review

import (
	"strconv"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Types of the book, as adapters see them.
type (
	State    = gateway.ReviewState
	Subject  = gateway.ReviewSubject
	Mark     = gateway.ReviewMark
	Proposal = gateway.Review
	Step     = gateway.ReviewStep
)

// States of a proposal.
const (
	Suggested State = "suggested" // by a program: a person has to take it up
	Taken     State = "taken"     // a suggestion that a proposal was made from
	Proposed  State = "proposed"  // waits for another person
	Approved  State = "approved"  // is being carried out
	Applied   State = "applied"   // carried out
	Failed    State = "failed"    // could not be carried out
	Rejected  State = "rejected"
	Expired   State = "expired" // nobody decided in time; may be proposed anew
)

// Kinds of subject.
const (
	KindRecord     = "record"     // ID is a message id
	KindDifference = "difference" // ID names a difference of a reconciliation; carried out by people, noted here
)

func subjectKey(s Subject) string { return s.Kind + ":" + s.ID }

func ref(p *Proposal) string { return strconv.Itoa(p.No) }

func expired(p *Proposal, now time.Time) bool {
	return p.State == Proposed && !p.Expires.IsZero() && !now.Before(p.Expires)
}

// over reports whether the same may be proposed anew: nothing came of it.
func over(p *Proposal, now time.Time) bool {
	return p == nil || expired(p, now) || p.State == Expired || p.State == Rejected || p.State == Failed
}

// asAt is a copy as it stands at a time.
func asAt(p *Proposal, now time.Time) Proposal {
	c := *p
	c.History = append([]Step(nil), p.History...)
	if expired(p, now) {
		c.State = Expired
	}
	return c
}

// What an entry does.
const (
	doSuggest = "suggest"
	doPropose = "propose"
	doApprove = "approve"
	doReject  = "reject"
	doApply   = "apply"
	doFail    = "fail"
)

// event is one entry of the book.
type event struct {
	Do       string                `json:"do"`
	No       int                   `json:"no"` // of the proposal: the entry that made it
	At       time.Time             `json:"at"`
	By       gateway.Person        `json:"by"`
	Subject  *Subject              `json:"subject,omitempty"`
	Decision *gateway.HandDecision `json:"decision,omitempty"`
	Why      string                `json:"why,omitempty"`
	From     int                   `json:"from,omitempty"`
	Expires  time.Time             `json:"expires,omitzero"`
	Ended    bool                  `json:"ended,omitempty"` // approve: carried out in the same breath
	Outcome  string                `json:"outcome,omitempty"`
	Try      ident.MsgID           `json:"try,omitempty"`
	Nonce    string                `json:"nonce"`
}

// fold takes the n-th entry in. What can not follow is passed over: it was written by a program that
// knew less, and a later entry wins nothing over an earlier one.
func (b *Book) fold(n int, e event) {
	step := Step{Entry: n, Do: e.Do, By: e.By, At: e.At, Words: e.Why}
	if e.Outcome != "" && step.Words == "" {
		step.Words = e.Outcome
	}
	if e.Do == doSuggest || e.Do == doPropose {
		b.foldNew(n, e, step)
		return
	}
	p := b.items[e.No]
	if p == nil {
		return
	}
	mark := Mark{By: e.By, At: e.At, Why: e.Why}
	end := func(s State) {
		p.State, p.Ended, p.Outcome, p.Try = s, e.At, e.Outcome, e.Try
		if b.open[subjectKey(p.Subject)] == p.No {
			delete(b.open, subjectKey(p.Subject))
		}
	}
	switch {
	case e.Do == doApprove && p.State == Proposed:
		p.State, p.Decided = Approved, &mark
		if e.Ended {
			end(Applied)
		}
	case e.Do == doReject && p.State == Proposed:
		p.Decided = &mark
		end(Rejected)
	case e.Do == doApply && p.State == Approved:
		end(Applied)
	case e.Do == doFail && (p.State == Approved || p.State == Proposed):
		end(Failed)
	default:
		return
	}
	p.History = append(p.History, step)
}

func (b *Book) foldNew(n int, e event, step Step) {
	if e.Subject == nil || e.Decision == nil || e.No != n {
		return
	}
	p := &Proposal{No: n, State: Suggested, Subject: *e.Subject, Decision: *e.Decision, Proposed: Mark{By: e.By, At: e.At, Why: e.Why},
		From: e.From, History: []Step{step}}
	b.items[n] = p
	if e.Do == doSuggest {
		return
	}
	p.State, p.Expires = Proposed, e.Expires
	if old := b.items[b.open[subjectKey(p.Subject)]]; old != nil { // it had expired
		old.State = Expired
	}
	b.open[subjectKey(p.Subject)] = n
	if s := b.items[e.From]; s != nil && (s.State == Suggested || s.State == Taken) {
		s.State, s.To = Taken, n
	}
}
