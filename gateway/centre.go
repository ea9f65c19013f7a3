package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// Message is one transaction on its way to a centre.
type Message struct {
	Infno       ident.Infno
	Institution ident.Institution
	MsgID       ident.MsgID
	Body        []byte        // the core message, exact bytes of wire.EncodeRequest
	Limit       catalog.Limit // class of time limit
	Evidence    bool          // what the centre signs of its answer is wanted
	File        bool          // the answer may be the bytes of a file instead of a message (downloads)
	// Named says that a good answer names this message (medins_setl_id is our msgid) and that the sender compares
	// it, so that an answer to another message can not be taken for it.
	Named bool
}

// Centre is the way to one insurance centre. It sends a message at most once and never retries.
// Safe for concurrent use.
type Centre interface {
	// Admit asks for a place among the calls in flight, before anything is written. The error is
	// an *Error (centre-busy, centre-down) with RetryAfter. A permit must be used by exactly one
	// Seal+Send, or released.
	Admit(ctx context.Context, n ident.Infno) (Permit, error)
}

// Permit is a place among the calls in flight.
type Permit interface {
	// Seal gives the exact bytes that will leave; no IO. May be called once.
	Seal(m Message) (Sealed, error)
	// Send sends them, waits at most the limit of the message's class and classifies the answer.
	// It returns when the outcome is known or the limit has passed; cancelling ctx does not turn
	// a sent message into a refused one. The permit is released.
	Send(ctx context.Context, s Sealed) Reply
	// Release gives the place back unused. After Send it does nothing.
	Release()
}

// Sealed is a message ready to leave.
type Sealed struct {
	Message Message
	Bytes   []byte
	Digest  [32]byte // SM3 of Bytes
}

// Reply is what came back for one message.
type Reply struct {
	Outcome  Outcome
	Cause    Cause
	Reply    wire.Reply    // set when the outcome is Done, or Refused with CauseBusiness
	File     []byte        // done, and the answer was a file; Reply then says no more than infcode 0
	FileType string        // its media type
	Evidence []byte        // what the centre signed of a verified answer, when the message wanted it and the line has signatures; see envelope.Evidence
	Detail   string        // for the operator's log: status, media type, inward fault code; no body
	Checking time.Duration // of Took: opening and verifying the answer
	Took     time.Duration // sending to last byte
	SentFrom time.Time
}
