// Package histest holds what every HIS adapter is held to, whatever form the HIS speaks: Suite, and
// the scripted Desk it runs on.
//
// An adapter's own test gives Suite a Target: the adapter made over a given desk, reached in the
// adapter's own form. The bodies of calls are the JSON of gateway's structs; an adapter of another
// form translates them and leaves JSON false, which takes away only the table of malformed texts.
package histest

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// The one client a Target must know.
const (
	Key         = "histest-key-1f0c"
	System      = "histest-his"
	Institution = "H44010000012"
)

// Call is one call of a HIS.
type Call struct {
	Op    Op
	Infno string // of OpTransact and OpUpload
	ID    string // of everything that names a transaction or settlement
	Key   string // the API key, "" for none
	Body  []byte // none for OpTransaction and OpSettlement
}

// Answer is what the HIS can read from the answer it gets.
type Answer struct {
	Outcome  string // done, refused, unknown, queued; "" when the answer says nothing of it
	Code     gateway.Code
	Path     string
	Rule     string
	Findings []check.Finding
	ID       string // of the transaction or settlement, when one is named
	Detail   string
	Raw      []byte // the whole answer
}

// Target is an adapter under test. Do makes one call and must be safe for concurrent use.
type Target struct {
	Do   func(Call) Answer
	JSON bool // bodies are the JSON texts of the calls
}

// Suite runs everything. open makes a fresh adapter over a desk.
func Suite(t *testing.T, open func(t *testing.T, desk gateway.Desk) Target) {
	s := suite{open}
	t.Run("HandsOver", s.handsOver)
	t.Run("Settlement", s.settlement)
	t.Run("Idempotency", s.idempotency)
	t.Run("ThreeValues", s.threeValues)
	t.Run("Settling", s.settling)
	t.Run("Stay", s.stay)
	t.Run("Told", s.told)
	t.Run("Literals", s.literals)
	t.Run("BadInput", s.badInput)
	t.Run("Keys", s.keys)
	t.Run("EveryCode", s.everyCode)
	t.Run("UnforeseenError", s.unforeseen)
	t.Run("Panic", s.panics)
	t.Run("Concurrent", s.concurrent)
	t.Run("Order", s.order)
	t.Run("BackPressure", s.backPressure)
}

type suite struct {
	open func(t *testing.T, desk gateway.Desk) Target
}

// OutcomeOf is what a code says of the outcome of the request it answers: refused when nothing was
// done, "" when the code says nothing of it.
func OutcomeOf(c gateway.Code) string {
	switch c {
	case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson:
		return "unknown"
	case gateway.CodeInternal, gateway.CodeRequestInProgress, gateway.CodeRequestIDReused:
		return ""
	}
	return "refused"
}
