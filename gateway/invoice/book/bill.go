// Package book keeps electronic invoices: for each bill an append-only history, for each settlement
// at most one live bill.
//
// A bill is one business number. It is written down as a draft, content fixed, before anything is
// sent; where it stands is the fold of its events (Apply), and the columns that hold it are there to
// be searched. A subject is what a bill is for: it says whether one is wanted, and whether a refund
// keeps it from having one. That there is only one live bill of a subject is held by an index of
// the database, so it holds for every process that shares it.
//
// Everything written in one Write is durable together or not at all. Drafts, what the platform told
// and who asked are sealed; numbers, amounts and states are not.
package book

import (
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Kind names a step in a bill's history.
type Kind string

const (
	Drafted    Kind = "drafted"          // the business number was made
	Sent       Kind = "sent"             // issuing: handed to the network, or about to be
	NotSent    Kind = "not-sent"         // nothing left this machine
	Issued     Kind = "issued"           // the platform made it; Bill says what
	Unknown    Kind = "unknown"          // no trustworthy answer
	Asked      Kind = "asked"            // asked, and still not known
	Absent     Kind = "absent"           // asked, and proved not to have happened
	Refused    Kind = "refused"          // the platform would not
	Redrafted  Kind = "redrafted"        // what was refused was corrected: the same number, another content
	Doubted    Kind = "doubted"          // a refused bill is asked about before it is dropped
	Dropped    Kind = "dropped"          // never made, no longer wanted
	RedWanted  Kind = "reversal-wanted"  // it is to be reversed
	RedSent    Kind = "reversal-sent"    // writeOff handed to the network
	Reversed   Kind = "reversed"         // the red bill is there
	RedRefused Kind = "reversal-refused" // the platform would not: the bill stays
	PaperSent  Kind = "paper-sent"       // the exchange was handed to the network
	Papered    Kind = "paper"            // exchanged
	VoidSent   Kind = "void-sent"        // voiding the paper was handed to the network
	Voided     Kind = "voided"           // no paper any more
	Delivered  Kind = "delivered"        // the link was sent again
	Seen       Kind = "seen"             // a second screen asked for it
	Parked     Kind = "parked"           // a person is needed

	// What a person found out about a parked bill.
	PersonMade     Kind = "person-made"
	PersonAbsent   Kind = "person-absent"
	PersonReversed Kind = "person-reversed"
)

// Event is one entry of a bill's history. The journal of it is append-only.
type Event struct {
	Seq      int // 1, 2, ... within the bill; set by the book
	Kind     Kind
	At       time.Time
	State    gateway.InvoiceState // after it; set by the book
	System   string               // HIS system that asked, "" for the gateway itself
	Desk     string
	Operator string
	Request  string
	Cause    gateway.Cause
	Code     string                // the platform's
	Note     string                // the platform's words; no personal data
	Bill     *gateway.PlatformBill // what the platform told; sealed
	Draft    *gateway.InvoiceDraft // of Redrafted
}

// Bill is one business number and how it stands.
type Bill struct {
	ID          string // the business number
	Subject     string
	N           int    // 1, 2, ... within the subject
	Revision    string // which settlement of the subject it is for
	Kind        gateway.InvoiceKind
	Institution ident.Institution
	System      string
	Request     string // id of the HIS request it was made for, or ""
	Lane        string
	Total       money.Fen
	Place       string
	Business    time.Time // busDateTime
	CreatedAt   time.Time
	Draft       gateway.InvoiceDraft

	// The fold of the events.
	State     gateway.InvoiceState
	Rev       int
	UpdatedAt time.Time
	SentAt    time.Time // when the last message left
	Tries     int       // messages and questions since it last came to rest
	RedWanted bool
	Cause     gateway.Cause
	Platform  gateway.PlatformBill

	Due time.Time // when to go on; zero: at rest
}

// Next is the state after an event, or an error when the event can not follow. Pure.
func Next(s gateway.InvoiceState, k Kind) (gateway.InvoiceState, error) {
	type step struct {
		s gateway.InvoiceState
		k Kind
	}
	switch k {
	case Delivered, Seen:
		return s, nil // they say nothing about where it stands
	case RedWanted:
		if s.Live() {
			return s, nil
		}
	case Parked:
		if !s.Rests() {
			return gateway.InvoiceParked, nil
		}
	}
	next, ok := map[step]gateway.InvoiceState{
		{"", Drafted}:                           gateway.InvoiceDrafted,
		{gateway.InvoiceDrafted, Sent}:          gateway.InvoiceIssuing,
		{gateway.InvoiceDrafted, Dropped}:       gateway.InvoiceDropped,
		{gateway.InvoiceIssuing, NotSent}:       gateway.InvoiceDrafted,
		{gateway.InvoiceIssuing, Issued}:        gateway.InvoiceIssued,
		{gateway.InvoiceIssuing, Refused}:       gateway.InvoiceRefused,
		{gateway.InvoiceIssuing, Unknown}:       gateway.InvoiceIssueOpen,
		{gateway.InvoiceIssueOpen, Asked}:       gateway.InvoiceIssueOpen,
		{gateway.InvoiceIssueOpen, Absent}:      gateway.InvoiceDrafted,
		{gateway.InvoiceIssueOpen, Issued}:      gateway.InvoiceIssued,
		{gateway.InvoiceRefused, Redrafted}:     gateway.InvoiceDrafted,
		{gateway.InvoiceRefused, Doubted}:       gateway.InvoiceIssueOpen,
		{gateway.InvoiceIssued, RedSent}:        gateway.InvoiceReversing,
		{gateway.InvoiceIssued, RedRefused}:     gateway.InvoiceIssued, // refused before it was sent: posted
		{gateway.InvoiceIssued, Asked}:          gateway.InvoiceIssued, // whether it was posted could not be found out
		{gateway.InvoiceReversing, NotSent}:     gateway.InvoiceIssued,
		{gateway.InvoiceReversing, Reversed}:    gateway.InvoiceReversed,
		{gateway.InvoiceReversing, RedRefused}:  gateway.InvoiceIssued,
		{gateway.InvoiceReversing, Unknown}:     gateway.InvoiceRedOpen,
		{gateway.InvoiceRedOpen, Asked}:         gateway.InvoiceRedOpen,
		{gateway.InvoiceRedOpen, Absent}:        gateway.InvoiceIssued,
		{gateway.InvoiceRedOpen, Reversed}:      gateway.InvoiceReversed,
		{gateway.InvoiceIssued, Reversed}:       gateway.InvoiceReversed, // at the platform, behind our back
		{gateway.InvoiceIssued, PaperSent}:      gateway.InvoiceTurning,
		{gateway.InvoiceTurning, NotSent}:       gateway.InvoiceIssued,
		{gateway.InvoiceTurning, Papered}:       gateway.InvoicePaper,
		{gateway.InvoiceTurning, Refused}:       gateway.InvoiceIssued,
		{gateway.InvoiceTurning, Asked}:         gateway.InvoiceTurning,
		{gateway.InvoiceTurning, Absent}:        gateway.InvoiceIssued,
		{gateway.InvoicePaper, VoidSent}:        gateway.InvoiceVoiding,
		{gateway.InvoicePaper, RedRefused}:      gateway.InvoicePaper,
		{gateway.InvoicePaper, Asked}:           gateway.InvoicePaper,
		{gateway.InvoiceVoiding, NotSent}:       gateway.InvoicePaper,
		{gateway.InvoiceVoiding, Voided}:        gateway.InvoiceIssued,
		{gateway.InvoiceVoiding, Refused}:       gateway.InvoicePaper,
		{gateway.InvoiceVoiding, RedRefused}:    gateway.InvoicePaper,
		{gateway.InvoiceVoiding, Asked}:         gateway.InvoiceVoiding,
		{gateway.InvoiceVoiding, Absent}:        gateway.InvoicePaper,
		{gateway.InvoiceParked, PersonMade}:     gateway.InvoiceIssued,
		{gateway.InvoiceParked, PersonAbsent}:   gateway.InvoiceDrafted,
		{gateway.InvoiceParked, PersonReversed}: gateway.InvoiceReversed,
	}[step{s, k}]
	if !ok {
		return s, fmt.Errorf("book: event %s can not follow state %q", k, s)
	}
	return next, nil
}

// Apply folds one more event into b. The error is that of Next and leaves b as it was.
func (b *Bill) Apply(e Event) error {
	s, err := Next(b.State, e.Kind)
	if err != nil {
		return err
	}
	b.State = s
	b.Rev++
	b.UpdatedAt = e.At
	switch e.Kind {
	case Delivered, Seen:
		return nil
	case Sent, RedSent, PaperSent, VoidSent:
		b.SentAt = e.At
		b.Tries++
	case Asked:
		b.Tries++
	case RedWanted:
		b.RedWanted = true
	case RedRefused:
		b.RedWanted = false
	case Redrafted:
		if e.Draft != nil {
			b.Draft, b.Total = *e.Draft, e.Draft.Total
		}
	}
	b.Cause = e.Cause
	if e.Bill != nil {
		b.Platform = *e.Bill
	}
	if s.Rests() {
		b.Tries = 0
	}
	return nil
}

// Subject is what a bill is for.
type Subject struct {
	ID          string
	Institution ident.Institution
	System      string
	Rev         int  // number of writes; 0: not there yet
	Wanted      bool // it is to have a bill as long as it is in force
	Hold        string
	HeldAt      time.Time
	Due         time.Time // when to look at it; zero: at rest
	Asked       []byte    // JSON of who asked for what; sealed
}
