package rest

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Client is a HIS system that may call. A system that is changing its key is listed once per key.
type Client struct {
	System       string              // name, for the journal and the log
	KeyDigest    [32]byte            // Options.Digest of the API key
	Institutions []ident.Institution // those it may act for, at least one
	Rate         float64             // calls a second on the average; 0: no limit. Beyond it: rate-limited, 429 with Retry-After
	Burst        int                 // calls at once; default twice the rate
}

// Options is what a Handler needs. Fields without a default are required.
type Options struct {
	Desk    gateway.Desk
	Clients []Client
	Digest  func([]byte) [32]byte // SM3
	Clock   gateway.Clock
	Log     *slog.Logger // default: nowhere
	Version string       // of the program, for the index

	Reviews gateway.Reviews // what people decide; nil: not offered
	People  gateway.Prover  // who they are; needed with Reviews

	MaxBody       int64 // longest body in bytes; default 8 MiB
	MaxConcurrent int   // POSTs being worked on at once, and as many GETs; default 512

	// Refused is told of every call answered with a status of 400 or more, before the answer is
	// written. It must not block for long. Default: nobody.
	Refused func(RefusedCall)
	// Served is told of every call that was answered: route is the template, "" when none matched. It must not
	// block. Default: nobody.
	Served func(method, route string, status int, took time.Duration)
}

// RefusedCall is a call that was not done, for the audit record. It holds nothing of the body but
// the names in Path, and never the key.
type RefusedCall struct {
	At        time.Time
	Method    string
	Route     string // template, "" when no route matched
	System    string // "" when the caller is not known
	RequestID string // "" when it was not read or malformed
	Code      gateway.Code
	Status    int
	Path      string // JSON Pointer of the field at fault
	Reference string // of the problem document
}

func (o *Options) check() error {
	switch {
	case o.Desk == nil:
		return errors.New("rest: no desk")
	case o.Digest == nil:
		return errors.New("rest: no digest")
	case o.Clock == nil:
		return errors.New("rest: no clock")
	case len(o.Clients) == 0:
		return errors.New("rest: no clients: nobody could call")
	case o.MaxBody < 0 || o.MaxConcurrent < 0:
		return errors.New("rest: a limit is negative")
	}
	empty := o.Digest(nil)
	digests := map[[32]byte]string{{}: "", empty: ""}
	for _, c := range o.Clients {
		if !(c.Rate >= 0 && c.Rate <= 1e6) || c.Burst < 0 {
			return fmt.Errorf("rest: client %q has a rate that is none", c.System)
		}
		if c.System == "" || len(c.Institutions) == 0 || slices.Contains(c.Institutions, "") {
			return fmt.Errorf("rest: client %q needs a name and institutions", c.System)
		}
		if other, taken := digests[c.KeyDigest]; taken {
			return fmt.Errorf("rest: client %q has no key, or the key of client %q", c.System, other)
		}
		digests[c.KeyDigest] = c.System
	}
	if o.MaxBody == 0 {
		o.MaxBody = 8 << 20
	}
	if o.MaxConcurrent == 0 {
		o.MaxConcurrent = 512
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Refused == nil {
		o.Refused = func(RefusedCall) {}
	}
	if o.Served == nil {
		o.Served = func(string, string, int, time.Duration) {}
	}
	o.Clients = slices.Clone(o.Clients)
	for i := range o.Clients {
		o.Clients[i].Institutions = slices.Clone(o.Clients[i].Institutions)
	}
	return nil
}
