// Package flowtest is a desk with everything around it, for the tests of what is built on it: a journal in
// memory that can die at any write, a clock that stands still, and a town, a small centre that keeps books of
// sales and filings and takes a second one of the same without a word, so that it is the gateway that must not
// send it.
package flowtest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Shop is the institution of a bench, System the HIS that asks for it.
const (
	Shop   ident.Institution = "P43010000001"
	System string            = "his"
)

// Caller is the HIS of a bench, Clerk who sits at its counter.
var (
	Caller = gateway.Caller{System: System, Institutions: []ident.Institution{Shop}}
	Clerk  = gateway.Operator{ID: "0001", Name: "王收费", Type: "1"}
)

// Bench is a desk and what is around it.
type Bench struct {
	T       testing.TB
	Clock   *gatewaytest.Clock
	Town    *Town
	Centre  *gatewaytest.Centre
	Journal *gatewaytest.MemJournal
	Desk    *flow.Desk

	kinds []gateway.CaseKind
	stop  func()
}

var tables = sync.OnceValues(func() (*catalog.Catalog, error) { return catalog.Default() })

var checker = sync.OnceValues(func() (*check.Checker, error) {
	cat, err := tables()
	if err != nil {
		return nil, err
	}
	return check.New(cat, check.Options{})
})

// New is a bench whose desk knows the kinds.
func New(t testing.TB, kinds ...gateway.CaseKind) *Bench {
	t.Helper()
	b := &Bench{T: t, Clock: gatewaytest.NewClock(time.Date(2026, 3, 2, 8, 30, 0, 0, gateway.China)), Journal: gatewaytest.NewJournal(), kinds: kinds}
	b.Town = newTown()
	b.Centre = gatewaytest.NewCentre(b.Town.script)
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start is a program over the journal and the centre that are there.
func (b *Bench) start() {
	b.T.Helper()
	cat, err := tables()
	if err != nil {
		b.T.Fatal(err)
	}
	ch, err := checker()
	if err != nil {
		b.T.Fatal(err)
	}
	region := &gateway.Region{
		Code: "test", Capabilities: []string{"5203-by-visit"}, NotFound: []string{"未查询到"},
		NothingToUndo: map[ident.Infno][]string{"2103": {"该笔结算已撤销"}, "2504": {"该备案已撤销"}},
	}
	inst := &gateway.Institution{Code: Shop, Name: "测试药店", Area: "430100", Receiver: "YBXT", Version: "V1.0", Region: region}
	b.Desk, err = flow.New(flow.Options{
		Journal: b.Journal, Centre: func(ident.Institution) gateway.Centre { return b.Centre },
		Institutions: map[ident.Institution]*gateway.Institution{Shop: inst}, Catalog: cat,
		Check: func(*gateway.Region) *check.Checker { return ch }, Clock: b.Clock, Digest: digest, Workers: 1, Kinds: b.kinds,
	})
	if err != nil {
		b.T.Fatal(err)
	}
	if err := b.Desk.Recover(b.T.Context()); err != nil && !errors.Is(err, gateway.ErrStorage) {
		b.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.T.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = b.Desk.Run(ctx)
	}()
	b.stop = func() { cancel(); <-ended }
}

// Restart ends the program and starts it anew.
func (b *Bench) Restart() {
	b.T.Helper()
	b.stop()
	b.start()
}

// Rest lets half an hour pass, in which the resolver works.
func (b *Bench) Rest() {
	b.T.Helper()
	for range 60 {
		if err := b.Clock.AwaitWaiters(b.T.Context(), 1); err != nil {
			b.T.Fatal(err)
		}
		b.Clock.Advance(30 * time.Second)
	}
	if err := b.Clock.AwaitWaiters(b.T.Context(), 1); err != nil {
		b.T.Fatal(err)
	}
}

// Death kills the journal at one write: before it is stored, or after it is and before anybody hears.
// Everything the program does afterwards is lost, as if it had been killed.
type Death struct {
	At     int // number of the write
	Stored bool

	mu     sync.Mutex
	writes int
	dead   bool
}

// Dead reports whether it has happened; Writes how many there were before.
func (d *Death) Dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// Writes is how many writes there were.
func (d *Death) Writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// Hook is what the journal asks.
func (d *Death) Hook(point string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.dead:
		return gateway.ErrStorage
	case point == "write":
		if d.writes++; d.writes == d.At && !d.Stored {
			d.dead = true
			return gateway.ErrStorage
		}
	case point == "written" && d.writes == d.At && d.Stored:
		d.dead = true
		return gateway.ErrStorage
	}
	return nil
}

// Insist repeats a call, as a HIS does that gets no answer, until it is answered for good, starting the program
// anew when the death has come. It gives the last error when a person has to decide.
func (b *Bench) Insist(d *Death, call func() error) error {
	b.T.Helper()
	var err error
	for range 8 {
		err = call()
		if d != nil && d.Dead() {
			b.Journal.Hook(nil)
			b.Restart()
			d = nil
			continue
		}
		switch Code(err) {
		case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeCentreNoAnswer, gateway.CodeCentreUnreachable,
			gateway.CodeRequestInProgress, gateway.CodeStorage:
			b.Rest()
			continue
		}
		return err
	}
	return err
}

// Code is the code of an error, "" for none.
func Code(err error) gateway.Code {
	if err == nil {
		return ""
	}
	if e := (*gateway.Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return gateway.CodeInternal
}

func digest(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
