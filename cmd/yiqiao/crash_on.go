//go:build crashpoints && unix

package main

import (
	"context"
	"os"
	"strings"
	"syscall"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// With the build tag crashpoints the program kills itself, as kill -9 would, at the place named by
// YIQIAO_CRASH: "PLACE:INFNO", where PLACE is one of
//
//	before-sent    the record of INFNO is about to be written
//	after-sent     it is durable, nothing has left
//	after-answer   the centre has answered, nothing of it is written
//	after-stored   the outcome is durable, the HIS knows nothing
//
// Tests use it to stop the real program at every durable boundary; a release never has it.
var crash = func() (c struct{ place, infno string }) {
	c.place, c.infno, _ = strings.Cut(os.Getenv("YIQIAO_CRASH"), ":")
	return
}()

func crashAt(place string, n ident.Infno) {
	if crash.place == place && crash.infno == string(n) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

type crashingJournal struct{ gateway.Journal }

func crashJournal(j gateway.Journal) gateway.Journal { return crashingJournal{j} }

func (j crashingJournal) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	var sent, ended ident.Infno
	for _, e := range entries {
		if e.Record != nil && e.Record.State == gateway.StateSent {
			sent = e.Record.Infno
		}
		if e.Append != nil {
			if r, err := j.Journal.Record(ctx, e.Append.ID); err == nil {
				ended = r.Infno
			}
		}
	}
	if sent != "" {
		crashAt("before-sent", sent)
	}
	existing, err := j.Journal.Write(ctx, entries...)
	if err == nil && sent != "" && existing == nil {
		crashAt("after-sent", sent)
	}
	if err == nil && ended != "" {
		crashAt("after-stored", ended)
	}
	return existing, err
}

type crashingCentre struct{ gateway.Centre }

func crashCentre(c gateway.Centre) gateway.Centre { return crashingCentre{c} }

func (c crashingCentre) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	p, err := c.Centre.Admit(ctx, n)
	if err != nil {
		return nil, err
	}
	return crashingPermit{p, n}, nil
}

type crashingPermit struct {
	gateway.Permit
	infno ident.Infno
}

func (p crashingPermit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	r := p.Permit.Send(ctx, s)
	crashAt("after-answer", p.infno)
	return r
}
