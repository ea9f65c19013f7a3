package gateway

import (
	"fmt"
	"time"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// State of a record. The first four are the life of an ordinary transaction; the others are ways
// an unknown outcome ends.
type State string

const (
	StatePrepared State = "prepared" // durable, bytes fixed, not sent (queued uploads)
	StateSent     State = "sent"     // may have reached the centre
	StateDone     State = "done"     // the centre did it
	StateRefused  State = "refused"  // the centre did not do it
	StateUnknown  State = "unknown"  // sent, outcome not known; the resolver owns it
	StateReversed State = "reversed" // was unknown, undone at the centre, verified
	StateAbsent   State = "absent"   // was unknown, proved never to have happened
	StateParked   State = "parked"   // was unknown, waits for a person
)

// Final reports whether nothing more will happen to a record by itself. One step can still follow:
// what was proved absent may turn out to have arrived very late, and is done then.
func (s State) Final() bool {
	switch s {
	case StateDone, StateRefused, StateReversed, StateAbsent:
		return true
	}
	return false
}

// EventKind names a step in a record's history.
type EventKind string

const (
	EventSent     EventKind = "sent"     // handed to the network, or about to be
	EventDone     EventKind = "done"     // Data: the reply's output; Cause says "adopted" when learnt by asking
	EventRefused  EventKind = "refused"  // Data: the reply, when there was one
	EventUnknown  EventKind = "unknown"  // Cause says why
	EventAsked    EventKind = "asked"    // resolver asked; Ref is the msgid of the question
	EventReversed EventKind = "reversed" // Ref is the msgid of the 2601 or undo
	EventAbsent   EventKind = "absent"
	EventParked   EventKind = "parked"
)

// Event is one entry of a record's append-only history.
type Event struct {
	Seq   int // 1, 2, ... within the record; set by the journal
	Kind  EventKind
	At    time.Time // millisecond precision
	Cause Cause
	Ref   ident.MsgID // another record this one was resolved by
	Data  []byte      // JSON, credentials cut out; sealed by the journal
	Note  string      // for people; no personal data
	// Evidence is what the centre signed of the answer this event came from, with the signature
	// (envelope.Evidence), or nil. Kept only when no credential stands in it; sealed by the journal.
	Evidence []byte
	// Marks by which the record is to be found from now on; ignored on the way out.
	Marks []Mark
}

// Next is the state after an event, or an error when the event can not follow. Pure.
func Next(s State, e EventKind) (State, error) {
	if next := after(s, e); next != "" {
		return next, nil
	}
	return s, fmt.Errorf("gateway: event %s can not follow state %s", e, s)
}

// after is Next with "" for what can not follow.
func after(s State, e EventKind) State {
	switch s {
	case StatePrepared:
		switch e {
		case EventSent:
			return StateSent
		case EventRefused:
			return StateRefused
		case EventParked: // queued uploads only: it could not even be sent
			return StateParked
		}
	case StateSent:
		switch e {
		case EventDone:
			return StateDone
		case EventRefused:
			return StateRefused
		case EventUnknown:
			return StateUnknown
		}
	case StateUnknown:
		switch e {
		case EventAsked, EventUnknown:
			return StateUnknown
		case EventSent: // queued uploads only: re-sent byte for byte
			return StateSent
		case EventDone: // adopted
			return StateDone
		case EventRefused:
			return StateRefused
		case EventReversed:
			return StateReversed
		case EventAbsent:
			return StateAbsent
		case EventParked:
			return StateParked
		}
	case StateParked:
		switch e {
		case EventAsked:
			return StateParked
		case EventUnknown: // queued uploads only: a person took it up again
			return StateUnknown
		case EventDone:
			return StateDone
		case EventReversed:
			return StateReversed
		case EventAbsent:
			return StateAbsent
		}
	case StateAbsent:
		if e == EventDone { // found late: it arrived after all
			return StateDone
		}
	}
	return ""
}

// Record is one transaction with the centre: one msgid, one attempt.
type Record struct {
	ID          ident.MsgID // the msgid; unique everywhere
	Institution ident.Institution
	Infno       ident.Infno
	Request     RequestKey // the HIS request it was made for; zero for the gateway's own (9001, 5203)
	Step        string     // place in the request's ladder: "2204#2"; the infno for a single transaction
	Attempt     int        // 1, 2, ...: further attempts only after proof that the earlier did not happen
	Bill        string     // id of the settlement it belongs to, or ""
	Visit       string     // ordering key for queued records: keyed digest of mdtrt_id, or ""
	Operator    Operator   // in the journal without its name; see FullOperator
	Mapping     string     // the mapping its request came through, with its version; "" for none
	WireDigest  [32]byte   // SM3 of the exact bytes that leave
	CreatedAt   time.Time
	Input       []byte // JSON of input, credentials cut out; sealed by the journal
	Marks       []Mark // by which it is to be found; ignored on the way out
	Wire        []byte // queued records only: the exact core message, sealed by the journal

	// The fold of the events.
	State     State
	Version   int // number of events
	UpdatedAt time.Time
	Cause     Cause
	Output    []byte // Data of the event that ended it, or nil

	Holder Holder // who works on it now, or ""; see Holders; ignored on the way in
}

// Apply folds one more event into r: State, Version, UpdatedAt, Cause and, when the event ends the
// record, Output. EventAsked keeps the Cause, every other event sets it. The error is that of Next
// and leaves r as it was. Folding all events of a record, beginning with its state before the
// first one, gives the stored record: a record written with StateSent begins as prepared and has
// an EventSent at CreatedAt as its first event.
func (r *Record) Apply(e Event) error {
	s, err := Next(r.State, e.Kind)
	if err != nil {
		return err
	}
	r.State = s
	r.Version++
	r.UpdatedAt = e.At
	if e.Kind != EventAsked {
		r.Cause = e.Cause
	}
	r.Output = nil
	if s.Final() {
		r.Output = e.Data
	}
	return nil
}

// OperatorNameMember stands beside the nodes of a sealed Input: the operator's name is a person's, and is kept
// nowhere in clear.
const OperatorNameMember = "opter_name"

// FullOperator is the operator with the name out of Input. A record listed with Query.Brief has none, and
// neither has a queued upload, whose name is in Wire.
func (r *Record) FullOperator() Operator {
	o := r.Operator
	if o.Name != "" || len(r.Input) == 0 {
		return o // written before the name was sealed
	}
	if v, err := strictjson.Decode(r.Input, strictjson.Reply()); err == nil {
		o.Name = strictjson.Text(strictjson.Get(v, OperatorNameMember))
	}
	return o
}

// RequestKey names one HIS request: the HIS system's own id within that system. It is kept in clear and
// written into logs: an id must not be made of a person's number or name.
type RequestKey struct {
	System string // name of the HIS system (API client)
	ID     string // at most 64 characters of A-Z a-z 0-9 - _ . :
}

// Request is the HIS leg: one call of a HIS system and the answer it gets. The same key always
// gives the same Request; another Digest under it is a conflict.
type Request struct {
	Key         RequestKey
	Digest      [32]byte // keyed digest of operation and body
	Op          string   // "transact", "upload", "settlement.open", "settlement.confirm", "settlement.refund"
	Institution ident.Institution
	Ref         string // record id (transact, upload) or bill id
	CreatedAt   time.Time
	Answer      []byte // final answer as JSON, sealed by the journal; nil while there is none
	AnsweredAt  time.Time
	Told        bool // the HIS has been given the final answer
}

// Bill is the high-level settlement: what the HIS handed in. Its state is the fold of its records.
type Bill struct {
	ID          string // "B" + a msgid
	Institution ident.Institution
	System      string // the HIS system that owns it
	CreatedAt   time.Time
	Body        []byte // JSON of the bill, credentials cut out; sealed by the journal
}
