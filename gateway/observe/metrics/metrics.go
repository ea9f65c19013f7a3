// Package metrics is what a monitoring system sees of the gateway: the text format of Prometheus over
// HTTP, on an address of its own. docs/operating.md says what to watch, deploy/alerts.yaml what to be
// woken by.
//
// Nothing that names a person can become a label: label values are transaction numbers of the
// catalogue, institutions, centres and systems of the configuration, routes and permanent words. A
// value that is none of them is counted as "other".
//
// What happens in a call (Transaction, Call, Refused) costs a look-up in a map that never changes and a
// few atomic additions; nothing is allocated. States are looked at when they are asked for, and what
// must be read from the journal every Options.Every.
package metrics

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Options of Metrics. Clock is required.
type Options struct {
	Version, Name string
	Infnos        []ident.Infno       // of the catalogue
	Institutions  []ident.Institution // of the configuration
	Clock         gateway.Clock
	// Picture is the present state of what is in memory. It must not block. Default: nothing.
	Picture func() Picture
	// Look reads what is in the journal. Default: nothing.
	Look  func(ctx context.Context) (Sample, error)
	Every time.Duration // how often Run looks; default 15 s
	Log   *slog.Logger  // default: nowhere
}

// Picture is what a scrape sees of the parts that are in memory.
type Picture struct {
	Centres  []Centre
	Journal  Journal
	SignIns  map[ident.Institution]int // operators signed in; of institutions that have to
	Expiries []Expiry
	Queue    *gateway.QueueState
	Degraded bool // something beside the desk fails; /healthz says what
}

// Centre is how the way to a centre stands.
type Centre struct {
	Name                  string
	Breaker               string // closed, half-open, open
	InFlight, MaxInFlight int
	Busy, Down            uint64 // calls that were not admitted
	LastAnswer            time.Time
	Skew                  time.Duration // above zero: the centre's clock is ahead
	SkewKnown             bool
}

// Journal counts what the store has done since the start.
type Journal struct{ Operations, Commits, Rollbacks, Syncs int64 }

// Expiry is something that is good until a time.
type Expiry struct {
	Kind  string // certificate, key
	Name  string // "centre:main", "hl7:0", "peer-key:main:0"
	Until time.Time
	// Of a listener's certificate: whether its files hold a newer one that can not be used.
	Listener, Trouble bool
}

// Sample is what Look has read.
type Sample struct {
	Live       []Live
	Deliveries map[string]Waiting // answers to be brought, by system
	Healthy    bool               // the journal takes writes
}

// Live counts records that are not finished.
type Live struct {
	Institution ident.Institution
	Infno       ident.Infno
	State       gateway.State
	Queued      bool // of the upload class
	Waiting
}

// Waiting is how many there are, and since when the oldest.
type Waiting struct {
	Count  int
	Oldest time.Time
}

// Metrics counts and shows. Safe for concurrent use.
type Metrics struct {
	o       Options
	reg     *prometheus.Registry
	infnos  map[ident.Infno]bool
	insts   map[ident.Institution]bool
	refused map[gateway.Code]*atomic.Uint64 // fixed
	other   atomic.Uint64                   // refusals of a code that is none

	mu    sync.Mutex // guards additions to what follows
	lines []*Line
	calls atomic.Pointer[map[callKey]*callSeries] // replaced, never changed

	sample atomic.Pointer[taken]
}

// taken is a sample and when it was taken.
type taken struct {
	Sample
	at time.Time
}

// New makes a Metrics. It starts nothing.
func New(o Options) (*Metrics, error) {
	if o.Clock == nil {
		return nil, errors.New("metrics: no clock")
	}
	if o.Picture == nil {
		o.Picture = func() Picture { return Picture{} }
	}
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{o: o, reg: prometheus.NewRegistry(), infnos: map[ident.Infno]bool{}, insts: map[ident.Institution]bool{}, refused: map[gateway.Code]*atomic.Uint64{}}
	for _, n := range o.Infnos {
		m.infnos[n] = true
	}
	for _, i := range o.Institutions {
		m.insts[i] = true
	}
	for code := range gateway.Codes {
		m.refused[code] = &atomic.Uint64{}
	}
	m.calls.Store(&map[callKey]*callSeries{})
	for _, c := range []prometheus.Collector{m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := m.reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Line counts the messages of one centre. A nil Line counts nothing.
type Line struct {
	name  string
	by    map[ident.Infno]*series // fixed
	other series
}

// Line adds a centre. Call it while the program is put together.
func (m *Metrics) Line(name string) *Line {
	l := &Line{name: name, by: make(map[ident.Infno]*series, len(m.infnos))}
	for n := range m.infnos {
		l.by[n] = &series{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, l)
	return l
}

// Transaction counts one message and what became of it. Allocates nothing.
func (l *Line) Transaction(n ident.Infno, r gateway.Reply) {
	if l == nil {
		return
	}
	s := l.by[n]
	if s == nil {
		s = &l.other
	}
	s.ended[min(int(r.Outcome), outcomes-1)][causeIndex(r.Cause)].Add(1)
	s.took.add(r.Took)
}

// outcomes is how many there are: unknown, done, refused.
const outcomes = 3

// causes an attempt can have; the last stands for what is none of them.
var causes = [...]gateway.Cause{gateway.CauseNone, gateway.CauseBusiness, gateway.CauseNotSent, gateway.CauseTimeout, gateway.CauseCut,
	gateway.CauseNotInterface, gateway.CauseSignature, gateway.CauseMismatch, "other"}

func causeIndex(c gateway.Cause) int {
	for i, known := range causes {
		if c == known {
			return i
		}
	}
	return len(causes) - 1
}

// series is one transaction number at one centre.
type series struct {
	ended [outcomes][len(causes)]atomic.Uint64
	took  histogram
}

// Call counts one call of a HIS: route is its template. Allocates only the first time a route is seen.
func (m *Metrics) Call(method, route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	k := callKey{method, route}
	s := (*m.calls.Load())[k]
	if s == nil {
		s = m.newCall(k)
	}
	s.by[min(max(status/100, 0), len(s.by)-1)].Add(1)
	s.took.add(took)
}

type callKey struct{ method, route string }

type callSeries struct {
	by   [6]atomic.Uint64 // by hundreds of the status
	took histogram
}

// maxCalls bounds the routes that are told apart.
const maxCalls = 200

func (m *Metrics) newCall(k callKey) *callSeries {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.calls.Load()
	if len(old) >= maxCalls {
		k = callKey{"OTHER", "other"}
	}
	if s := old[k]; s != nil {
		return s
	}
	next := maps.Clone(old)
	next[k] = &callSeries{}
	m.calls.Store(&next)
	return next[k]
}

// Refused counts a call that was answered with a problem.
func (m *Metrics) Refused(code gateway.Code) {
	if n := m.refused[code]; n != nil {
		n.Add(1)
		return
	}
	m.other.Add(1)
}

// Run looks at the journal until ctx ends; the first time at once. It returns nil.
func (m *Metrics) Run(ctx context.Context) error {
	if m.o.Look == nil {
		return nil
	}
	for {
		s, err := m.o.Look(ctx)
		if err != nil && ctx.Err() == nil {
			m.o.Log.Warn("metrics: the journal could not be looked at", "err", err.Error())
		}
		if err == nil {
			m.sample.Store(&taken{s, m.o.Clock.Now()})
		}
		if m.o.Clock.Sleep(ctx, m.o.Every) != nil {
			return nil
		}
	}
}

// bounds of the buckets, in seconds.
var bounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180}

// histogram counts durations. The zero value is ready.
type histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	nanos  atomic.Int64
}

func (h *histogram) add(d time.Duration) {
	s, i := d.Seconds(), 0
	for i < len(bounds) && s > bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.nanos.Add(int64(max(d, 0)))
}
