//go:build crashpoints && unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/invoice/book"
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
// or at a boundary that is counted: "armed:FILE" counts from the moment the process gets SIGUSR1 and
// dies at the boundary whose number stands in FILE by then. Boundaries are each write to the journal and
// to the book of electronic invoices, before and after, and each call to the centre and to the platform,
// before and after.
//
// Tests use it to stop the real program at every durable boundary; a release never has it.
var crash = func() (c struct{ place, infno string }) {
	c.place, c.infno, _ = strings.Cut(os.Getenv("YIQIAO_CRASH"), ":")
	return
}()

func crashAt(place string, n ident.Infno) {
	if crash.place == place && crash.infno == string(n) {
		die()
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// countdown is what is left until the process dies; 0: it is not armed.
var countdown atomic.Int64

// arm has the process listen for SIGUSR1, once.
var arm = sync.OnceFunc(func() {
	if crash.place != "armed" {
		return
	}
	armed := make(chan os.Signal, 1)
	signal.Notify(armed, syscall.SIGUSR1)
	go func() {
		for range armed {
			text, err := os.ReadFile(crash.infno)
			n, err2 := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			if err := errors.Join(err, err2); err != nil {
				fmt.Fprintln(os.Stderr, "crash:", err)
				continue
			}
			countdown.Store(n)
			fmt.Fprintf(os.Stderr, "armed %d\n", n)
		}
	}()
})

func crashStep(name string) {
	if countdown.Load() > 0 && countdown.Add(-1) == 0 {
		fmt.Fprintf(os.Stderr, "died at: %s\n", name)
		die()
	}
}

type crashingJournal struct{ gateway.Journal }

func crashJournal(j gateway.Journal) gateway.Journal {
	arm()
	return crashingJournal{j}
}

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
	crashStep("before journal")
	existing, err := j.Journal.Write(ctx, entries...)
	crashStep("journal")
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
	crashStep("before " + string(p.infno))
	r := p.Permit.Send(ctx, s)
	crashStep(string(p.infno))
	crashAt("after-answer", p.infno)
	return r
}

type crashingBook struct{ invoice.Book }

func crashBook(b invoice.Book) invoice.Book { return crashingBook{b} }

func (b crashingBook) Write(ctx context.Context, entries ...book.Entry) (*book.Request, error) {
	name := "book"
	for _, e := range entries {
		switch {
		case e.Append != nil:
			name += " " + string(e.Append.Event.Kind)
		case e.Subject != nil:
			name += " subject"
		case e.Request != nil:
			name += " request"
		}
	}
	crashStep("before " + name)
	old, err := b.Book.Write(ctx, entries...)
	crashStep(name)
	return old, err
}

type crashingPlatform struct{ gateway.InvoicePlatform }

func crashPlatform(p gateway.InvoicePlatform) gateway.InvoicePlatform { return crashingPlatform{p} }

func (p crashingPlatform) Issue(ctx context.Context, d gateway.InvoiceDraft) gateway.InvoiceAnswer[gateway.PlatformBill] {
	crashStep("before issue")
	a := p.InvoicePlatform.Issue(ctx, d)
	crashStep("issue")
	return a
}

func (p crashingPlatform) Reverse(ctx context.Context, r gateway.InvoiceReversal) gateway.InvoiceAnswer[gateway.PlatformBill] {
	crashStep("before red")
	a := p.InvoicePlatform.Reverse(ctx, r)
	crashStep("red")
	return a
}

func (p crashingPlatform) TurnPaper(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	crashStep("before paper")
	a := p.InvoicePlatform.TurnPaper(ctx, o)
	crashStep("paper")
	return a
}

func (p crashingPlatform) VoidPaper(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	crashStep("before void")
	a := p.InvoicePlatform.VoidPaper(ctx, o)
	crashStep("void")
	return a
}
