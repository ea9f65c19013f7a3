package gateway

import (
	"fmt"
	"time"

	"yiqiao/schemas/check"
)

// Owner says whose job it is to act on an error.
type Owner string

const (
	OwnerHIS      Owner = "his"      // the HIS vendor: the message is wrong
	OwnerDesk     Owner = "desk"     // the person at the counter
	OwnerOperator Owner = "operator" // whoever runs the gateway
	OwnerCentre   Owner = "centre"   // the insurance centre
)

// Code is a permanent, public error code; it is never given a new meaning. Codes lists them all.
type Code string

// Error is the one error record inside the gateway. Only an edge (HTTP answer, command line) turns
// it into words. It never carries personal data.
type Error struct {
	Code       Code
	Op         string // what was being done: "flow.confirm"
	Path       string // JSON Pointer of the field at fault, or ""
	Rule       string // what the field should have been
	Detail     string // one line for the operator; the centre's own words for centre-refused
	Ref        string // record or bill id the caller can ask about
	RetryAfter time.Duration
	Findings   []check.Finding
	Err        error // inner cause, for the log only
}

func (e *Error) Error() string {
	s := string(e.Code)
	if e.Op != "" {
		s = e.Op + ": " + s
	}
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += fmt.Sprintf(" (%v)", e.Err)
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Words is how a code is put to people.
type Words struct {
	ZH, EN         string // what happened
	NextZH, NextEN string // what to do now
	Owner          Owner
	Status         int // HTTP status an edge answers with
}
