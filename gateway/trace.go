package gateway

import (
	"context"

	"yiqiao/schemas/ident"
)

// Tracer draws what is done for a request as spans, for whoever follows a request through several
// programs. Where one is optional nil means that nobody does, and then nothing is spent on it. Safe for
// concurrent use.
type Tracer interface {
	// Begin starts a span below the one ctx holds, if any. end is called once, with a permanent word for what came of
	// it ("" when it went well). ctx is for what is done inside.
	Begin(ctx context.Context, s Span) (inside context.Context, end func(outcome string))
}

// Span says what is being done. There is no place in it for anything that tells of a person.
type Span struct {
	Name        string // request, map, validate, journal, send, verify, resolve, deliver
	Infno       ident.Infno
	MsgID       ident.MsgID
	Institution ident.Institution
	System      string // name of a HIS system in the configuration
	Route       string // template of an HTTP route
	Count       int    // of entries, tries
}
