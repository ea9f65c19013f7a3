package gateway

// Outcome is what is known of one attempt at the centre.
type Outcome uint8

const (
	// OutcomeUnknown is the zero value on purpose: an outcome nobody set is never "done".
	// Time-outs, cut lines, HTML, bad signatures and inconsistent totals are all Unknown.
	OutcomeUnknown Outcome = iota
	// OutcomeDone: infcode 0 and the reply verified.
	OutcomeDone
	// OutcomeRefused: proof that nothing was committed: a business refusal, or a failure before
	// the first byte could leave.
	OutcomeRefused
)

func (o Outcome) String() string {
	switch o {
	case OutcomeDone:
		return "done"
	case OutcomeRefused:
		return "refused"
	}
	return "unknown"
}

// Cause says why an attempt ended as it did; permanent words, listed in docs/errors.md.
type Cause string

const (
	CauseNone         Cause = ""
	CauseBusiness     Cause = "business"      // infcode other than 0 in a verified reply
	CauseSignIn       Cause = "sign-expired"  // refused because the sign-in had run out: may be sent again
	CauseNotSent      Cause = "not-sent"      // no connection: nothing left this machine
	CauseTimeout      Cause = "timeout"       // no answer within the limit
	CauseCut          Cause = "cut"           // connection ended before a whole answer
	CauseNotInterface Cause = "not-interface" // HTML, HTTP error status, JSON without infcode
	CauseSignature    Cause = "signature"     // envelope did not verify
	CauseMismatch     Cause = "mismatch"      // verified reply of another msgid, or totals that can not be
	CauseCrash        Cause = "crash"         // found in SENT at start-up
)
