package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Operations is what people who are signed in may look at. What a visitor may do at all the caller has
// asked (Visitor.May); here each sees what belongs to its institutions. Errors are *Error.
type Operations interface {
	// JournalLines lists records, newest first, without their bodies.
	JournalLines(ctx context.Context, v Visitor, q LinesAsked) ([]JournalLine, error)
	// Accounts lists the people whose institutions the visitor sees, all of them.
	Accounts(ctx context.Context, v Visitor) ([]AccountLine, error)
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
