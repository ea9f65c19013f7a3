// Package flow is the heart of the gateway: it turns what a HIS asks for into transactions with
// the centre and knows afterwards what became of each.
//
// There is one way anything reaches a centre (send): the record is durable before a byte leaves,
// the answer is judged, and the judgement is appended to the record. What is not known for certain
// is StateUnknown and belongs to the resolver, which asks, reverses, undoes or parks as the
// catalogue says (Decide). The settlement of an outpatient bill is a ladder of such transactions;
// where it stands is the fold of their records and nothing else, so a request that is repeated
// after a crash goes on where it stopped.
package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Options are the parts a Desk is put together from. All but Check, Log and Workers are required.
type Options struct {
	Journal      gateway.Journal
	Centre       func(ident.Institution) gateway.Centre // never nil for a configured institution
	Institutions map[ident.Institution]*gateway.Institution
	Catalog      *catalog.Catalog
	// Check gives the checker of a region; nil: made by New from Catalog, one for each region.
	Check func(*gateway.Region) *check.Checker
	Clock gateway.Clock
	// Digest is a keyed digest of the parts, each taken with its length. The key stays the same for
	// the life of the journal: request ids are compared by it.
	Digest func(parts ...[]byte) [32]byte
	Timing Timing
	// Kinds are the kinds of cases the desk carries out; see gateway.Cases.
	Kinds []gateway.CaseKind
	// Queue carries queued uploads to those who send them. nil: Run looks for them itself in every
	// round, which is simple and slow.
	Queue gateway.Queue
	Log   *slog.Logger // nil: nothing is logged. Bodies never are.
	// Workers bounds how many unknown records and, without a Queue, queued uploads are worked on at
	// once; default 16. With 1 everything is done in turn.
	Workers int
	// Name is what this process is called on a journal that others work on at the same time; no two
	// running ones may have the same, and one that is started again should keep it. "": nobody else
	// works on the journal. See gateway.Holders.
	Name string
	// Trace draws what is done as spans; nil: nobody looks.
	Trace gateway.Tracer
}

// Timing holds the times of the flow. A zero member means its default.
type Timing struct {
	Limits        map[catalog.Limit]time.Duration // of the centre client; defaults as in package catalog
	SettleGrace   time.Duration                   // default 1 min: absence counts when asked after limit + grace; a message held up for half of it is not sent
	AskEvery      time.Duration                   // default 5 s: first pause between questions, doubled each time
	AskMost       time.Duration                   // default 10 min: longest pause between questions
	AskTries      int                             // default 30: questions before the next remedy is tried
	CredentialTTL time.Duration                   // default 30 min: how long a credential stays in memory
	UploadRetry   time.Duration                   // default 5 s: first pause before a queued upload goes again
	UploadMost    time.Duration                   // default 10 min: longest such pause
	UploadTries   int                             // default 60: tries without a usable answer before an upload is parked
	UploadSweep   time.Duration                   // default 15 min: how often the journal is searched for uploads a busy queue forgot
	Poll          time.Duration                   // default 1 s: how often Run looks for work
	Lease         time.Duration                   // default 15 s: others take over from a process that has said nothing for so long
}

func (t Timing) filled() Timing {
	limits := map[catalog.Limit]time.Duration{
		catalog.LimitQuery: time.Minute, catalog.LimitWrite: time.Minute,
		catalog.LimitSettle: 3 * time.Minute, catalog.LimitFile: 3 * time.Minute,
	}
	for class, d := range t.Limits {
		if d > 0 {
			limits[class] = d
		}
	}
	t.Limits = limits
	for _, x := range []struct {
		d *time.Duration
		v time.Duration
	}{
		{&t.SettleGrace, time.Minute}, {&t.AskEvery, 5 * time.Second}, {&t.AskMost, 10 * time.Minute},
		{&t.CredentialTTL, 30 * time.Minute}, {&t.UploadRetry, 5 * time.Second},
		{&t.UploadMost, 10 * time.Minute}, {&t.UploadSweep, 15 * time.Minute}, {&t.Poll, time.Second},
		{&t.Lease, 15 * time.Second},
	} {
		if *x.d <= 0 {
			*x.d = x.v
		}
	}
	if t.AskTries <= 0 {
		t.AskTries = 30
	}
	if t.UploadTries <= 0 {
		t.UploadTries = 60
	}
	return t
}

// settled is when the centre can no longer be working on something sent at that time.
func (t Timing) settled(class catalog.Limit, sent time.Time) time.Time {
	limit, ok := t.Limits[class]
	if !ok {
		limit = 3 * time.Minute
	}
	return sent.Add(limit + t.SettleGrace)
}

// Desk implements gateway.Desk. Safe for concurrent use; several Desks may share one journal.
type Desk struct {
	opt      Options
	timing   Timing
	log      *slog.Logger
	checkers map[*gateway.Region]*check.Checker

	calls  flights // HIS requests being worked on
	signs  signs
	bills  locks
	creds  credentials
	held   *holding // nil without a name
	busy   busy     // records this process is working on
	alone  busy     // those of them nobody waits for
	relay  relay
	orders orders // of people, about uploads
	kinds  map[byte]gateway.CaseKind

	work sync.WaitGroup // everything the Desk has started
	slot chan struct{}  // places for the resolver and the dispatcher

	mu    sync.Mutex
	late  []lateEvent               // what could not be written after sending
	looks map[ident.MsgID]time.Time // when to look at an unknown record again
	still gateway.OpenCount         // see count
	back  []ident.MsgID             // claims to be given back
}

var _ gateway.Desk = (*Desk)(nil)

// New checks the options and gives a Desk that has started nothing. Call Recover before the first
// request, and Run to have unknown outcomes resolved and uploads sent.
func New(o Options) (*Desk, error) {
	switch {
	case o.Journal == nil, o.Centre == nil, o.Catalog == nil, o.Clock == nil, o.Digest == nil:
		return nil, errors.New("flow: journal, centre, catalog, clock and digest are required")
	case len(o.Institutions) == 0:
		return nil, errors.New("flow: no institution configured")
	}
	d := &Desk{
		opt: o, timing: o.Timing.filled(), log: o.Log,
		checkers: map[*gateway.Region]*check.Checker{},
		looks:    map[ident.MsgID]time.Time{},
	}
	var err error
	if d.kinds, err = caseKinds(o.Kinds); err != nil {
		return nil, err
	}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.opt.Workers <= 0 {
		d.opt.Workers = 16
	}
	if o.Name != "" {
		d.held = &holding{Journal: o.Journal, name: o.Name}
		d.opt.Journal = d.held
	}
	d.slot = make(chan struct{}, d.opt.Workers)
	d.relay.fresh = make(chan gateway.Ref, relayRoom)
	for code, inst := range o.Institutions {
		if inst == nil || inst.Region == nil || inst.Code != code {
			return nil, fmt.Errorf("flow: institution %s: needs its own code and a region", code)
		}
		if d.checkers[inst.Region] != nil {
			continue
		}
		c, err := checkerOf(o, inst.Region)
		if err != nil {
			return nil, fmt.Errorf("flow: institution %s: %w", code, err)
		}
		d.checkers[inst.Region] = c
	}
	return d, nil
}

func checkerOf(o Options, r *gateway.Region) (*check.Checker, error) {
	if o.Check != nil {
		if c := o.Check(r); c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("no checker for region %s", r.Code)
	}
	return check.New(o.Catalog, check.Options{
		Relax: r.Relax, Codes: r.Codes, FundIncludesAccount: r.FundIncludesAccount,
	})
}

// Told implements gateway.Desk.
func (d *Desk) Told(c gateway.Caller, requestID string) {
	d.opt.Journal.Told(gateway.RequestKey{System: c.System, ID: requestID}, d.opt.Clock.Now())
}

// Health implements gateway.Desk.
func (d *Desk) Health(ctx context.Context) error {
	if err := d.opt.Journal.Health(ctx); err != nil {
		return &gateway.Error{Code: gateway.CodeStorage, Op: "flow.health", Err: err}
	}
	return nil
}

// span begins one where somebody looks.
func (d *Desk) span(ctx context.Context, s gateway.Span) (context.Context, func(string)) {
	if d.opt.Trace == nil {
		return ctx, unseen
	}
	return d.opt.Trace.Begin(ctx, s)
}

func unseen(string) {}

// institution is the one the caller means, if it may.
func (d *Desk) institution(c gateway.Caller, code ident.Institution) (*gateway.Institution, error) {
	bad := &gateway.Error{Code: gateway.CodeInstitution, Op: "flow.institution", Path: "/institution"}
	if c.System == "" || c.System == internal {
		return nil, bad
	}
	if code == "" && len(c.Institutions) == 1 {
		code = c.Institutions[0]
	}
	inst := d.opt.Institutions[code]
	if inst == nil || !mayActFor(c, code) {
		return nil, bad
	}
	return inst, nil
}

func mayActFor(c gateway.Caller, code ident.Institution) bool {
	for _, own := range c.Institutions {
		if own == code {
			return true
		}
	}
	return false
}

// lookup finds a transaction that can be sent.
func (d *Desk) lookup(n ident.Infno) (*catalog.Transaction, error) {
	tx, ok := d.opt.Catalog.Lookup(n)
	if !ok {
		return nil, &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: "flow.lookup", Detail: string(n)}
	}
	if !tx.Described() {
		return nil, &gateway.Error{Code: gateway.CodeInfnoNotDescribed, Op: "flow.lookup", Detail: string(n)}
	}
	return tx, nil
}

// variant is the number a region uses for a transaction of the flows.
func variant(r *gateway.Region, n ident.Infno) ident.Infno {
	if v, ok := r.Variant[n]; ok {
		return v
	}
	return n
}
