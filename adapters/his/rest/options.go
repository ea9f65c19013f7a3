package rest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"yiqiao/adapters/his/admit"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Client is a HIS system that may call.
type Client = admit.Client

// Options is what a Handler needs. Fields without a default are required.
type Options struct {
	Desk    gateway.Desk
	Clients []Client
	Guard   *admit.Guard          // shared by all doors; default: made of Clients, which may then have plain keys only
	Digest  func([]byte) [32]byte // SM3
	Clock   gateway.Clock
	Log     *slog.Logger // default: nowhere
	Version string       // of the program, for the index

	Reviews gateway.Reviews // what people decide; nil: not offered
	People  gateway.Prover  // who they are; needed with Reviews

	Doorkeeper   gateway.Doorkeeper  // lets people sign in; nil: not offered
	Operations   gateway.Operations  // what those may look at; nil: not offered
	Institutions []ident.Institution // of the gateway: those of a person that works for all

	MaxBody       int64 // longest body in bytes; default 8 MiB
	MaxConcurrent int   // POSTs being worked on at once, as many GETs, and as many calls of people; default 512

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
	case o.MaxBody < 0 || o.MaxConcurrent < 0:
		return errors.New("rest: a limit is negative")
	}
	if o.Guard == nil {
		var err error
		if o.Guard, err = admit.New(admit.Options{Clients: o.Clients, Digest: o.Digest, Clock: o.Clock, Log: o.Log}); err != nil {
			return fmt.Errorf("rest: %w", err)
		}
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
	return nil
}
