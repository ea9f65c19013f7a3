package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Ref names a queued record. It is all that travels through a Queue: the record itself, its bytes
// and its state are in the Journal and nowhere else.
type Ref struct {
	ID ident.MsgID `json:"id"`
	// Lane holds what has to stay in order: institution and visit. Refs without a lane are in no
	// order with anything.
	Lane string `json:"lane,omitempty"`
}

// Verdict is what a Handler says about the reference it was given. It is given after the journal
// knows what was done: only then is the reference taken off the queue.
type Verdict struct {
	// Again is when Next comes back; the zero time: nothing does.
	Again time.Time
	// Next is what comes back; without an ID: the same reference.
	Next Ref
	// Dead is set when the record will not be sent any more unless a person takes it up, with the
	// reason. A queue that can notes it where others look.
	Dead string
}

// Handler does what a reference asks for.
type Handler func(ctx context.Context, r Ref) Verdict

// Queue brings references to workers. The Journal is the truth and the queue a messenger: a
// handler reads the record before it does anything, so a reference that comes twice has no second
// effect, and whoever announces looks through the journal from time to time for records whose
// reference was lost. Methods are safe for concurrent use.
type Queue interface {
	// Announce hands in references. After nil each comes to a handler at least once, as far as the
	// queue outlives what happens to it; after an error some may. It waits while more wait than
	// the queue holds, until ctx ends.
	Announce(ctx context.Context, refs ...Ref) error
	// Deliver calls h for references until ctx ends, then waits for the calls that run and returns
	// nil: h is never cut short, and what it was not called for comes in a later Deliver, here or
	// in another process. References of one lane come one at a time and in the order they were
	// announced, those of different lanes as many at once as there are workers. Two things may
	// break that order, and the handler has the journal to keep it: what comes back by Verdict.Again
	// comes at its time, and for a moment after a worker was lost or joined two processes may both
	// hold a lane. A call of h that panics is repeated later. One Deliver at a time.
	Deliver(ctx context.Context, h Handler) error
	// Announced but not yet taken off, as far as is known; and how the queue feels.
	State() QueueState
	// Close ends the queue; Deliver must have returned. It may be repeated.
	Close() error
}

// Degraded is implemented by a Desk that can say what does not work although new work is accepted.
type Degraded interface {
	// Degraded is "" when all is well, else words for the operator. It does not wait for anything.
	Degraded() string
}

// Watched is implemented by a Desk that counts what is open.
type Watched interface {
	// Open is as of the last round of resolving, the zero value before the first. It does not wait.
	Open() OpenCount
}

// OpenCount is how many transactions of a journal have no known end, whoever sent them.
type OpenCount struct {
	Unknown int       `json:"unknown"`         // being found out
	Parked  int       `json:"parked"`          // wait for a person
	Uploads int       `json:"uploads_parked"`  // queued uploads that wait for a person
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest of them all was made
}

// QueueState is how a queue stands.
type QueueState struct {
	Kind    string    `json:"kind"`              // embedded, kafka
	Waiting int64     `json:"waiting"`           // references not taken off yet; -1 when not known
	Held    int64     `json:"held"`              // of these, held back until their time, as far as known
	Trouble string    `json:"trouble,omitempty"` // what is wrong and whom to ask; "" when nothing is
	Since   time.Time `json:"since,omitzero"`    // since when there is trouble
}
