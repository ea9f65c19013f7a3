package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Cases carries out business that is a few transactions in a row and is neither a bill nor a stay: a sale
// over a pharmacy's counter, a filing. A case is a bill of the journal whose id begins with the letter of
// its kind; where it stands is the fold of its records. What a kind of case consists of says its CaseKind,
// which sends nothing and stores nothing. The rules are those of Desk: calls are idempotent on (system,
// request id), what is unknown is resolved, errors are *Error.
type Cases interface {
	// DoCase carries out a call. It is begun by an opening (ID "") and goes on by calls about it.
	DoCase(ctx context.Context, c Caller, letter byte, r CaseCall) (CaseAnswer, error)
	// Case tells where a case stands.
	Case(ctx context.Context, c Caller, letter byte, id string) (CaseAnswer, error)
}

// CaseCall is one call of a HIS about a case.
type CaseCall struct {
	Op          string // "sale.open": kept with the request
	RequestID   string
	ID          string            // of the case; "" opens one
	Institution ident.Institution // of an opening; default: the caller's only one
	Operator    Operator
	Credential  *Credential // nil when the call carries none: the one held in memory is used
	// Kept is what the case is kept as, of an opening: an object of JSON without credentials that has a
	// member request_id and, when the person is to be insured by a certain type, insutype.
	Kept []byte
	// Same is what two calls of one request id are compared by.
	Same []byte
	// Asked is handed to the kind as it is. It is not kept: a step that was taken is known by its record.
	Asked any
}

// CaseKind says what one kind of case consists of. All methods are pure and safe for concurrent use.
type CaseKind interface {
	// Letter begins the ids of its cases. One of its own, no B, S or E.
	Letter() byte
	// Place is where such a case is asked about, with a slash at the end: "/api/v1/filings/".
	Place() string
	// StepName is a step's name for people; "" where the catalogue's will do.
	StepName(n ident.Infno) string
	// Next is the step to be taken now for the call of the view. No name: the call has come to its end. An
	// error, an *Error, refuses it: CodeRequestInvalid and CodeAmounts end the request for good.
	// It is asked again after every step. What was sent and is not known to have ended never reaches it:
	// the desk looks into that first.
	Next(v CaseView) (CaseStep, error)
	// Answer is how the case stands.
	Answer(v CaseView) CaseAnswer
	// Again is the stored answer of a call that is made again, brought up to how the case stands now.
	Again(kept, now CaseAnswer) CaseAnswer
}

// CasePerson is the step that finds the person (1101). Its input is made by the desk.
const CasePerson = "1101#1"

// CaseStep is one transaction of a case. Steps of one name are attempts of one thing, of which at most one
// takes effect.
type CaseStep struct {
	Name  string // national number and a number among its kind: "2102#1". The region may send a variant
	Needs bool   // the patient's credential is needed
	// Input makes the input; members that the table does not have are left out. nil with CasePerson.
	Input func(c Credential) any
	Keep  map[string]bool // members that stay although the table does not have them
	Begin string          // of CasePerson: the time the person is asked about
}

// CaseAnswer is what a call is answered with: one of them.
type CaseAnswer struct {
	Sale   *Sale
	Filing *Filing
}

// CaseView is a case as its kind sees it.
type CaseView struct {
	Bill        Bill
	Institution *Institution
	Request     string     // the id of the request that opened it
	Op          string     // of the call, or of the request whose answer is being made
	Key         RequestKey // of the call
	Asked       any        // CaseCall.Asked; nil when an answer is made without the HIS waiting
	Person      CasePersonFound
	Attempts    []CaseAttempt // every one that was made, oldest first
	Unknown     bool          // the outcome of one is not known
	NeedsPerson bool          // and a person has to decide
	Dead        bool          // opening it was refused for good
	Warnings    []check.Finding
}

// CasePersonFound is whom 1101 found; empty before.
type CasePersonFound struct {
	No       string // psn_no
	Insutype string // the one asked for, else the first that is in force
	Area     string // insuplc_admdvs
}

// CaseEnd is what an attempt came to.
type CaseEnd uint8

const (
	CaseOpen    CaseEnd = iota // not known yet
	CaseDone                   // it took effect
	CaseRefused                // the centre refused it for a business reason
	CaseNothing                // nothing of it stands at the centre: not sent, absent, or taken back
)

// CaseAttempt is one attempt at a step.
type CaseAttempt struct {
	Step      string
	ID        ident.MsgID
	Infno     ident.Infno
	Key       RequestKey // of the request it was made for
	State     State
	Cause     Cause
	End       CaseEnd
	Done      bool   // it took effect, or the centre said that there is nothing left to take back
	Input     any    // as it is kept: without credentials
	Output    any    // with CaseDone
	Words     string // the centre's own, with CaseRefused
	At, Ended time.Time
}

// Last is the attempt at a step that counts: the one that took effect, else the latest.
func (v CaseView) Last(step string) (CaseAttempt, bool) {
	var last CaseAttempt
	found := false
	for _, a := range v.Attempts {
		if a.Step != step || found && last.End == CaseDone && a.End != CaseDone {
			continue
		}
		last, found = a, true
	}
	return last, found
}

// Stands reports whether a step took effect.
func (v CaseView) Stands(step string) bool {
	a, ok := v.Last(step)
	return ok && a.End == CaseDone
}
