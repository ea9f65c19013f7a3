package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Operations is what people who are signed in may look at and look after. What a visitor may do at all the caller has
// asked (Visitor.May); here each sees what belongs to its institutions. Errors are *Error.
type Operations interface {
	// JournalLines lists records, newest first, without their bodies.
	JournalLines(ctx context.Context, v Visitor, q LinesAsked) ([]JournalLine, error)
	// Accounts lists the people whose institutions the visitor sees, all of them.
	Accounts(ctx context.Context, v Visitor) ([]AccountLine, error)
	// Deliveries tells of each HIS system that is brought its results, and has institutions the visitor sees, what
	// of theirs has not come over: at most limit of a system, 100 for 0.
	Deliveries(ctx context.Context, v Visitor, limit int) ([]DeliveryState, error)
	// Deliver carries an order about deliveries out and gives how many it was about; it is in the audit record
	// before. What is not seen is CodeNotFound; an order about a whole system is CodeNotPermitted for who sees
	// only some of its institutions. Repeated it does the same again, which changes nothing.
	Deliver(ctx context.Context, v Visitor, o DeliveryOrder) (int, error)
	// AuditState tells how the end of the audit record stands, and its newest lines: those about institutions the
	// visitor sees, all of them for who sees everything. At most limit, 100 for 0.
	AuditState(ctx context.Context, v Visitor, limit int) (AuditState, error)
}

// DeliveryState is how bringing results to a HIS system stands.
type DeliveryState struct {
	System    string         `json:"system"`
	Whole     bool           `json:"whole"` // every institution of the system is seen: figures are shown, it may be paused
	Paused    bool           `json:"paused"`
	PausedWhy string         `json:"paused_why,omitempty"` // by whom and why; with Whole
	Delivered int            `json:"delivered,omitempty"`  // in all; with Whole
	Last      time.Time      `json:"last,omitzero"`        // with Whole
	Waiting   []DeliveryLine `json:"waiting"`              // oldest first
	More      bool           `json:"more"`                 // there are more
}

// DeliveryLine is one answer that has not come over.
type DeliveryLine struct {
	Institution ident.Institution `json:"institution"`
	Delivery    string            `json:"delivery"` // request id of the HIS
	Op          string            `json:"op"`
	Ref         string            `json:"ref"`
	AnsweredAt  time.Time         `json:"answered_at"`
	Tries       int               `json:"tries"`
	Tried       time.Time         `json:"tried_at,omitzero"`
	Again       time.Time         `json:"again_at,omitzero"`
	Why         string            `json:"why,omitempty"` // why it did not come over
}

// What an order about deliveries does.
const (
	DeliveryRetry  = "retry"  // try what failed at once: one, or all of the system
	DeliverySkip   = "skip"   // give one up: the HIS was told otherwise
	DeliveryPause  = "pause"  // bring nothing to the system
	DeliveryResume = "resume" // go on
)

// DeliveryOrder is an order about deliveries to a system.
type DeliveryOrder struct {
	RequestID string `json:"request_id"` // for the log
	Do        string `json:"-"`
	System    string `json:"-"`
	Delivery  string `json:"delivery,omitempty"` // request id of the HIS; skip needs it, retry may have it
	Why       string `json:"why,omitempty"`      // skip and pause need it
}

// AuditState is the end of the audit record as far as it was looked at: the newest entries of each chain.
// The whole of it, and the journal beside it, is for `yiqiao audit verify`.
type AuditState struct {
	Sound   bool        `json:"sound"`   // nothing that was looked at is wrong
	Checked int         `json:"checked"` // entries that were looked at
	Heads   int         `json:"heads"`   // newest signed heads that hold; 0 also without a public key
	Chains  []AuditLink `json:"chains"`  // for who sees everything
	Lines   []AuditLine `json:"lines"`   // newest first
}

// AuditLink is how one chain stands.
type AuditLink struct {
	Chain    string    `json:"chain"`
	Entries  int       `json:"entries"`
	Last     string    `json:"last"` // hash of the last entry, hex
	At       time.Time `json:"at,omitzero"`
	SignedTo int       `json:"signed_to"`       // last entry under a signed head
	Found    string    `json:"found,omitempty"` // what is wrong
}

// AuditLine is one line of the record: who did what to which record. It holds no personal data.
type AuditLine struct {
	Kind string    `json:"kind"`
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	What string    `json:"what"`
	Ref  string    `json:"ref"`
	Text string    `json:"text,omitempty"` // of acts: a few words
}

// LinesAsked selects records; zero fields select everything.
type LinesAsked struct {
	Institution ident.Institution // one the visitor does not see gives CodeInstitution
	State       State
	Infno       ident.Infno
	Uploads     bool // queued uploads only
	Limit       int  // default 100, at most 1,000
}

// JournalLine is a record as a list shows it: no personal data.
type JournalLine struct {
	ID          ident.MsgID       `json:"id"`
	Institution ident.Institution `json:"institution"`
	Infno       ident.Infno       `json:"infno"`
	State       State             `json:"state"`
	Cause       Cause             `json:"cause,omitempty"`
	System      string            `json:"system,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	Bill        string            `json:"bill,omitempty"`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
}

// AccountLine is an account as a list shows it.
type AccountLine struct {
	Person       Person              `json:"person"`
	Institutions []ident.Institution `json:"institutions"` // none with everywhere
	Everywhere   bool                `json:"everywhere"`
	Disabled     bool                `json:"disabled"`
	Locked       bool                `json:"locked"`
	MustChange   bool                `json:"must_change_password"`
}
