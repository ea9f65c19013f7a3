package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Reviews is what a HIS adapter may ask of the book in which two people end what the gateway can not end by
// itself. A caller sees what belongs to its institutions, whatever the person may see. Who the person is, and
// that it is really that person, the adapter has found out before (Prover). Errors are *Error:
// CodeReviewTaken when somebody else was faster or has decided already, and says who; CodeSecondPerson when it
// needs another person; CodeNotFound, CodeRequestInvalid, CodeState, CodeNotPermitted, CodeStorage.
type Reviews interface {
	// ReviewList gives what waits for people and, newest last, the proposals: those that are not over, or all.
	ReviewList(ctx context.Context, c Caller, by Person, all bool) (ReviewList, error)
	// Review gives one proposal with its history.
	Review(ctx context.Context, c Caller, by Person, no int) (Review, error)
	// ProposeReview enters a proposal. The same of the same person again gives the one that is there.
	ProposeReview(ctx context.Context, c Caller, by Person, r ProposeReview) (Review, error)
	// ApproveReview is the second person's yes; repeated it gives what became of it.
	ApproveReview(ctx context.Context, c Caller, by Person, no int, why string) (Review, error)
	// RejectReview is anybody's no, also of the person who proposed.
	RejectReview(ctx context.Context, c Caller, by Person, no int, why string) (Review, error)
}

// PersonClaim is what a call says about the person behind it.
type PersonClaim struct {
	ID       string
	Name     string
	Password string // typed by the person for this call; kept nowhere
	Session  string // token of a session, instead of a password
	From     string // network address of the caller
}

// Prover finds out who a person is.
type Prover interface {
	// Who gives the person. Where there are no accounts the claim is taken for the person, as the command
	// line does; where there are, a session or a password proves it: CodeSessionNeeded, CodeLoginRefused. A
	// session that is named always has to be one, and gives the person.
	Who(ctx context.Context, claim PersonClaim) (Person, error)
}

// ClaimedBy is a claim as a body carries it.
type ClaimedBy struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Password string `json:"password,omitempty"`
}

// ProposeReview is a proposal: about a record, or with From what a suggestion says.
type ProposeReview struct {
	RequestID string       `json:"request_id"` // for the log: the book tells a repetition by what it says
	By        ClaimedBy    `json:"by"`
	Record    ident.MsgID  `json:"record,omitempty"`
	From      int          `json:"from,omitempty"` // number of a suggestion
	Decision  HandDecision `json:"decision"`       // members that are missing are taken from the suggestion
	Why       string       `json:"why"`            // for the second person to read
}

// DecideReview is a yes or a no.
type DecideReview struct {
	RequestID string    `json:"request_id"` // for the log
	By        ClaimedBy `json:"by"`
	Why       string    `json:"why,omitempty"` // a no needs it
}

// ReviewState is the state of a proposal.
type ReviewState string

// ReviewSubject is what is decided about.
type ReviewSubject struct {
	Kind        string            `json:"kind"` // record: ID is a message id; difference: ID names one of a reconciliation
	ID          string            `json:"id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Infno       ident.Infno       `json:"infno,omitempty"`
	Bill        string            `json:"bill,omitempty"`
	Title       string            `json:"title,omitempty"`  // of a difference: what differs
	Amount      string            `json:"amount,omitempty"` // and by how much
}

// ReviewMark is who did something, and when.
type ReviewMark struct {
	By  Person    `json:"by"`
	At  time.Time `json:"at"`
	Why string    `json:"why,omitempty"`
}

// Review is one proposal or suggestion as it stands.
type Review struct {
	No       int           `json:"no"`
	State    ReviewState   `json:"state"`
	Subject  ReviewSubject `json:"subject"`
	Decision HandDecision  `json:"decision"`
	Proposed ReviewMark    `json:"proposed"`
	Expires  time.Time     `json:"expires,omitzero"`
	From     int           `json:"from,omitempty"` // the suggestion it was made from
	To       int           `json:"to,omitempty"`   // of a suggestion: the proposal made from it
	Decided  *ReviewMark   `json:"decided,omitempty"`
	Ended    time.Time     `json:"ended,omitzero"`
	Outcome  string        `json:"outcome,omitempty"`
	Try      ident.MsgID   `json:"try,omitempty"` // the message that took the record back
	History  []ReviewStep  `json:"history"`
}

// ReviewStep is one entry of the book about a proposal.
type ReviewStep struct {
	Entry int       `json:"entry"`
	Do    string    `json:"do"`
	By    Person    `json:"by"`
	At    time.Time `json:"at"`
	Words string    `json:"words,omitempty"`
}

// ReviewWaiting is a record that waits for people, and what they may decide about it.
type ReviewWaiting struct {
	ID          ident.MsgID       `json:"id"`
	At          time.Time         `json:"at"`
	Institution ident.Institution `json:"institution"`
	Infno       ident.Infno       `json:"infno"`
	Cause       Cause             `json:"cause,omitempty"`
	System      string            `json:"system,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	Bill        string            `json:"bill,omitempty"`
	Choices     []HandChoice      `json:"choices"`
	Open        int               `json:"open,omitempty"` // the proposal that is under way about it
}

// ReviewList is what waits, and what was proposed.
type ReviewList struct {
	Waiting   []ReviewWaiting `json:"waiting"`
	Proposals []Review        `json:"proposals"`
}
