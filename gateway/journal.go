package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"yiqiao/schemas/ident"
)

var (
	// ErrConflict: the request key is known with another body.
	ErrConflict = errors.New("gateway: request id used for another body")
	// ErrStale: the record has moved on since it was read, or another holder has it; read again.
	ErrStale = errors.New("gateway: record has changed")
	// ErrNotFound: no such record, request or bill.
	ErrNotFound = errors.New("gateway: not found")
	// ErrExists: a new record or bill has an id that is taken, or the record's request has one
	// with the same step and attempt.
	ErrExists = errors.New("gateway: record or bill exists already")
	// ErrStorage: the journal can not promise durability now; nothing was accepted.
	ErrStorage = errors.New("gateway: journal unavailable")
	// ErrExpired: the body is past its retention and was destroyed; the record of it stays.
	ErrExpired = errors.New("gateway: body destroyed after its retention")
)

// Class groups what the journal keeps by how long it has to be kept.
type Class string

const (
	ClassSettlement Class = "settlement" // money: bills, stays, whatever is neither of the others
	ClassQuery      Class = "query"      // what only asks
	ClassUpload     Class = "upload"     // queued uploads
	ClassInvoice    Class = "invoice"    // electronic invoices
)

// Classes lists them.
func Classes() []Class { return []Class{ClassSettlement, ClassQuery, ClassUpload, ClassInvoice} }

// Mark is a number by which a record is to be found again. The journal keeps a keyed digest of it,
// never the number.
type Mark struct {
	Kind   MarkKind
	Number string // without the white space around it; case does not count
}

// MarkKind is what a number numbers.
type MarkKind string

const (
	MarkPerson MarkKind = "person" // a person, at the insurance or by a certificate
	MarkVisit  MarkKind = "visit"  // a visit or stay, at the centre or in the hospital
)

// Entry is what one Write makes durable, all of it or nothing. Several fields may be set; they are
// taken in the order they stand here. What the journal derives (Version, UpdatedAt, Cause, Output,
// Event.Seq) is ignored on the way in: a record written as prepared has Version 0, one written as
// sent has Version 1 and an EventSent at its CreatedAt. Times are kept to the millisecond.
type Entry struct {
	Request *Request // new HIS request; an equal key and digest already present makes Write return Existing
	Bill    *Bill
	Record  *Record // new record; State must be StatePrepared or StateSent; its Request and Bill must be there
	Append  *Append // event on an existing record
	Answer  *Answer // final answer of a request

	// Holder is the process that writes, or "" where only one works on the journal. What it sends,
	// Record as sent or an Append of EventSent, is held by it for as long as it lives; any other
	// Append is ErrStale when another has the record, dead or alive: it must be claimed first. ""
	// is not asked who has it. See Holders.
	Holder Holder

	// Class says how long what the entry carries is kept; "" is ClassSettlement.
	Class Class
}

// Check tells what is wrong with an entry by itself, before any journal looks at it. Pure.
func (e Entry) Check() error {
	if e.Request == nil && e.Bill == nil && e.Record == nil && e.Append == nil && e.Answer == nil {
		return errors.New("gateway: empty entry")
	}
	if r := e.Request; r != nil {
		if r.Key.System == "" || r.Key.ID == "" {
			return errors.New("gateway: request without a key")
		}
	}
	if b := e.Bill; b != nil && b.ID == "" {
		return errors.New("gateway: bill without an id")
	}
	if r := e.Record; r != nil {
		if r.ID == "" || r.Institution == "" || r.Infno == "" {
			return errors.New("gateway: record without id, institution or infno")
		}
		if r.State != StatePrepared && r.State != StateSent {
			return fmt.Errorf("gateway: a new record can not be %q", r.State)
		}
		if (r.Request.System == "") != (r.Request.ID == "") {
			return errors.New("gateway: record with half a request key")
		}
	}
	if a := e.Append; a != nil && a.ID == "" {
		return errors.New("gateway: event without a record")
	}
	for _, text := range e.texts() {
		if !utf8.ValidString(text) || strings.IndexByte(text, 0) >= 0 {
			return errors.New("gateway: text that is not UTF-8 or holds a zero byte")
		}
	}
	if a := e.Answer; a != nil {
		if len(a.Body) == 0 {
			return errors.New("gateway: empty answer")
		}
		if a.At.IsZero() {
			return errors.New("gateway: answer without a time")
		}
	}
	return nil
}

// texts is every text of an entry that is kept as it is.
func (e Entry) texts() []string {
	list := []string{string(e.Holder)}
	if r := e.Request; r != nil {
		list = append(list, r.Key.System, r.Key.ID, r.Op, string(r.Institution), r.Ref)
	}
	if b := e.Bill; b != nil {
		list = append(list, b.ID, string(b.Institution), b.System)
	}
	if r := e.Record; r != nil {
		list = append(list, string(r.ID), string(r.Institution), string(r.Infno), r.Step, r.Bill, r.Visit,
			r.Request.System, r.Request.ID, r.Operator.ID, r.Operator.Name, r.Operator.Type)
	}
	if a := e.Append; a != nil {
		list = append(list, string(a.ID), string(a.Event.Cause), string(a.Event.Ref), a.Event.Note)
	}
	return list
}

// Append adds an event to a record that must still be at Version.
type Append struct {
	ID      ident.MsgID
	Version int
	Event   Event
}

// Answer fills the final answer of a request; a request that has one keeps the first.
type Answer struct {
	Key  RequestKey
	Body []byte
	At   time.Time
	// Institution whose request it is; "": that of the entry's other parts, or nobody's. It decides
	// under which key the answer is sealed.
	Institution ident.Institution
}

// Journal is the durable memory. What a method has returned nil for survives kill -9 and power
// loss. Methods are safe for concurrent use, also by several processes on one database; many
// concurrent writes share one fsync. Bodies are sealed at rest. Any call may be repeated; Write
// with a new Record or Request is refused or answered with Existing the second time.
type Journal interface {
	// NextMsgID gives an id that was never given before for that institution, by any process
	// sharing the database. Its time part is never before that of an earlier id, also when the
	// clock went back. 9,999 ids a second, then the time part runs ahead.
	NextMsgID(ctx context.Context, inst ident.Institution, now time.Time) (ident.MsgID, error)

	// Write makes all entries durable in one database transaction, in order. When an entry's
	// Request exists already with an equal digest nothing is written and existing is that request;
	// with another digest the error is ErrConflict. ErrStale when an Append's version is old,
	// ErrExists when a new Record or Bill is there already, ErrNotFound when what an entry refers
	// to is not. After an error other than ErrStorage nothing was written; after ErrStorage nothing
	// was promised: it may have been written (the connection was lost in the middle of the commit),
	// and a read by the entry's own key or id tells once the journal is healthy again.
	Write(ctx context.Context, entries ...Entry) (existing *Request, err error)

	// Told notes that the HIS was given the final answer. Not durable when it returns: losing it
	// only means the HIS is told again. A request without an answer stays untold.
	Told(key RequestKey, at time.Time)

	// Record gives a record. When what it carried was destroyed after its retention the record comes
	// without it, together with ErrExpired; so do events and those of the lists below. Requests and
	// bills whose bodies were destroyed are ErrExpired.
	Record(ctx context.Context, id ident.MsgID) (Record, error)
	Events(ctx context.Context, id ident.MsgID) ([]Event, error)
	Request(ctx context.Context, key RequestKey) (Request, error)
	Bill(ctx context.Context, id string) (Bill, error)
	// BillRecords and RequestRecords list the records of a bill or of a request, oldest first.
	BillRecords(ctx context.Context, bill string) ([]Record, error)
	RequestRecords(ctx context.Context, key RequestKey) ([]Record, error)
	// List gives the selected records in the order they were written, or the other way round. What
	// another process is writing just now may take its place before records that were listed already:
	// whoever waits for new ones begins anew each time.
	List(ctx context.Context, q Query) ([]Record, error)

	Holders

	// Health is nil when a write would be accepted now.
	Health(ctx context.Context) error
	Close() error
}

// Holder is one life of one process that works on a journal: its name and a number that grows with
// every start. "" is nobody.
type Holder string

// Holders is how several processes on one journal share what is to be done, and how the living tell
// what a dead one left behind. All of it only keeps them from doing the same work: that no two of
// them change a record is held by versions (ErrStale), that no two begin the same step by ErrExists.
// So clocks may differ between machines by less than the leases are long, and where they differ by
// more work is done in vain, never twice.
type Holders interface {
	// Join begins a new life under a name, whose lease runs until then, and ends every earlier life
	// of that name: a process that is started again takes over from itself at once. No two running
	// processes may have one name.
	Join(ctx context.Context, name string, until time.Time) (Holder, error)
	// Hold prolongs a lease, or with the zero time ends it. ErrStale: the name has been joined
	// again; the caller must stop working.
	Hold(ctx context.Context, h Holder, until time.Time) error

	// Claim takes the records of ids that are not final and that nobody else has, for h until then
	// or until Release: those never held, those h has (the claim is prolonged), those whose claim
	// has run out at now and those whose holder's lease has. taken has the order of ids. What
	// another is just writing is not taken. An event on a sent record, and one that makes it final,
	// lets it go. ErrStale: h's name has been joined again.
	Claim(ctx context.Context, h Holder, ids []ident.MsgID, now, until time.Time) (taken []ident.MsgID, err error)
	// Release gives back what h has of ids; the rest is left alone.
	Release(ctx context.Context, h Holder, ids []ident.MsgID) error

	// Orphans lists the sent records nobody waits for any more: those sent by no holder, and those
	// whose holder's lease or claim has run out at now. Oldest first, at most 1,000: ask again when
	// they are dealt with, after a Claim or as nobody. A holder whose lease is over may still be
	// alive and write a record's end; then it or the caller gets ErrStale.
	Orphans(ctx context.Context, now time.Time) ([]Record, error)
}

// Query selects records; zero fields select everything.
type Query struct {
	Institution ident.Institution
	Infno       ident.Infno
	States      []State
	From, To    time.Time   // CreatedAt, To exclusive
	Queued      bool        // only records with Wire (the upload class)
	Direct      bool        // only records without Wire (the real-time class)
	Billed      bool        // only records of a Bill
	Visit       string      // only records of this ordering key
	Since       time.Time   // UpdatedAt at or after
	Marks       []Mark      // only records with one of these marks; wants an Institution
	Brief       bool        // leave Input, Wire and Output out: many records in little memory
	After       ident.MsgID // records behind this one in the order of the list; ErrNotFound when unknown
	Newest      bool        // newest first
	Limit       int         // default 100, at most 10,000
}
