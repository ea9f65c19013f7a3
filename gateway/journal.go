package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yiqiao/schemas/ident"
)

var (
	// ErrConflict: the request key is known with another body.
	ErrConflict = errors.New("gateway: request id used for another body")
	// ErrStale: the record has moved on since it was read; read again.
	ErrStale = errors.New("gateway: record has changed")
	// ErrNotFound: no such record, request or bill.
	ErrNotFound = errors.New("gateway: not found")
	// ErrExists: a new record or bill has an id that is taken, or the record's request has one
	// with the same step and attempt.
	ErrExists = errors.New("gateway: record or bill exists already")
	// ErrStorage: the journal can not promise durability now; nothing was accepted.
	ErrStorage = errors.New("gateway: journal unavailable")
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
}

// Check tells what is wrong with an entry by itself, before any journal looks at it. Pure.
func (e Entry) Check() error {
	if e == (Entry{}) {
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
	// was promised, and a read tells once the journal is healthy again.
	Write(ctx context.Context, entries ...Entry) (existing *Request, err error)

	// Told notes that the HIS was given the final answer. Not durable when it returns: losing it
	// only means the HIS is told again. A request without an answer stays untold.
	Told(key RequestKey, at time.Time)

	Record(ctx context.Context, id ident.MsgID) (Record, error)
	Events(ctx context.Context, id ident.MsgID) ([]Event, error)
	Request(ctx context.Context, key RequestKey) (Request, error)
	Bill(ctx context.Context, id string) (Bill, error)
	// BillRecords and RequestRecords list the records of a bill or of a request, oldest first.
	BillRecords(ctx context.Context, bill string) ([]Record, error)
	RequestRecords(ctx context.Context, key RequestKey) ([]Record, error)
	// List gives the selected records in the order they were written, or the other way round.
	List(ctx context.Context, q Query) ([]Record, error)

	// Health is nil when a write would be accepted now.
	Health(ctx context.Context) error
	Close() error
}

// Query selects records; zero fields select everything.
type Query struct {
	Institution ident.Institution
	Infno       ident.Infno
	States      []State
	From, To    time.Time   // CreatedAt, To exclusive
	Queued      bool        // only records with Wire (the upload class)
	After       ident.MsgID // records behind this one in the order of the list; ErrNotFound when unknown
	Newest      bool        // newest first
	Limit       int         // default 100, at most 10,000
}
