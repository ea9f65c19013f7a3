package kafka

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault/vaulttest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// Whole uploads: from the Desk through the journal and a real broker to a centre, with everything
// that can fail failing in the middle.

const (
	hospital ident.Institution = "H44010000001"
	order    ident.Infno       = "4402" // an inpatient's order: queued, and short
)

var tables = sync.OnceValues(func() (*catalog.Catalog, error) { return catalog.Default() })

var checker = sync.OnceValues(func() (*check.Checker, error) {
	cat, err := tables()
	if err != nil {
		return nil, err
	}
	return check.New(cat, check.Options{})
})

// town is one journal, one centre and some gateways.
type town struct {
	journal *journal.Journal
	hall    hall
}

func newTown(t testing.TB) *town {
	t.Helper()
	db, err := store.Open(context.Background(), store.Options{Path: filepath.Join(t.TempDir(), "journal.db")})
	if err != nil {
		t.Fatal(err)
	}
	w := &town{}
	if w.journal, err = journal.Open(db, journal.Options{Sealer: vaulttest.Plain{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(w.journal.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// desk is one gateway of the town, with a handle of its own on the queue.
func (w *town) desk(t testing.TB, q gateway.Queue, timing flow.Timing) *flow.Desk {
	t.Helper()
	cat, err := tables()
	if err != nil {
		t.Fatal(err)
	}
	ch, err := checker()
	if err != nil {
		t.Fatal(err)
	}
	inst := &gateway.Institution{Code: hospital, Name: "测试医院", Area: "440100", Receiver: "YBXT", Version: "V1.0", Region: &gateway.Region{Code: "test"}}
	d, err := flow.New(flow.Options{
		Journal: w.journal, Centre: func(ident.Institution) gateway.Centre { return &w.hall }, Clock: realClock{},
		Institutions: map[ident.Institution]*gateway.Institution{hospital: inst}, Catalog: cat,
		Check:  func(*gateway.Region) *check.Checker { return ch },
		Digest: digest, Timing: timing, Queue: q,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func digest(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func upload(d *flow.Desk, n int, visit string) (gateway.Transaction, error) {
	row := map[string]any{"mdtrt_sn": "SN" + visit, "mdtrt_id": visit, "vali_flag": "1", "medcas_drord_detl_id": fmt.Sprintf("D%07d", n)}
	return d.Upload(context.Background(), gateway.Caller{System: "his", Institutions: []ident.Institution{hospital}}, gateway.Transact{
		RequestID: fmt.Sprintf("u%d", n), Infno: order, Operator: gateway.Operator{ID: "0101", Name: "李四"},
		Input: map[string]any{"data": []any{row}}})
}

// accept queues uploads [from, to) over some visits, one after the other.
func accept(t testing.TB, d *flow.Desk, from, to, visits int) (ids []ident.MsgID) {
	t.Helper()
	for n := from; n < to; n++ {
		got, err := upload(d, n, fmt.Sprintf("V%d", n%visits))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.ID)
	}
	return ids
}

// run runs a desk until stop.
func run(t testing.TB, d *flow.Desk, q gateway.Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, q.Close()); err != nil {
			t.Errorf("end: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// hall is a centre that does everything at once and notes the ids in the order they came.
type hall struct {
	quiet   bool // notes nothing
	count   atomic.Int64
	mu      sync.Mutex
	came    []ident.MsgID
	changed chan struct{}
}

func (h *hall) note(id ident.MsgID) {
	h.count.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.quiet {
		h.came = append(h.came, id)
	}
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// await waits until n messages came.
func (h *hall) await(t testing.TB, n int64, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		h.mu.Lock()
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed := h.changed
		h.mu.Unlock()
		if h.count.Load() >= n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("%d of %d came", h.count.Load(), n)
		}
	}
}

func (h *hall) Admit(context.Context, ident.Infno) (gateway.Permit, error) { return &pass{h}, nil }

type pass struct{ h *hall }

func (p *pass) Seal(m gateway.Message) (gateway.Sealed, error) {
	return gateway.Sealed{Message: m, Bytes: m.Body, Digest: sha256.Sum256(m.Body)}, nil
}

func (p *pass) Send(_ context.Context, s gateway.Sealed) gateway.Reply {
	p.h.note(s.Message.MsgID)
	return gateway.Reply{Outcome: gateway.OutcomeDone, Reply: wire.Reply{InfCode: "0"}}
}

func (p *pass) Release() {}

// check wants every upload to be done and to have come once, those of a visit in their order.
func (w *town) check(t *testing.T, ids []ident.MsgID) {
	t.Helper()
	w.hall.mu.Lock()
	came := slices.Clone(w.hall.came)
	w.hall.mu.Unlock()
	place := map[ident.MsgID]int{}
	for i, id := range came {
		if _, twice := place[id]; twice {
			t.Errorf("%s was sent twice", id)
		}
		place[id] = i
	}
	last := map[string]int{}
	for _, id := range ids {
		rec, err := w.journal.Record(context.Background(), id)
		if err != nil || rec.State != gateway.StateDone {
			t.Errorf("%s is %s, %v", id, rec.State, err)
		}
		at, ok := place[id]
		if !ok {
			t.Errorf("%s never came", id)
		}
		if before, ok := last[rec.Visit]; ok && at < before {
			t.Errorf("%s overtook one of its visit", id)
		}
		last[rec.Visit] = at
	}
}

// settled waits until the journal knows the end of everything that came.
func (w *town) settled(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		live, err := w.journal.List(ctx, gateway.Query{Queued: true, Brief: true, Limit: 1,
			States: []gateway.State{gateway.StatePrepared, gateway.StateSent, gateway.StateUnknown, gateway.StateParked}})
		if err != nil {
			t.Fatal(err)
		}
		if len(live) == 0 {
			return
		}
	}
}

func TestTwoGatewaysAndABrokerThatDies(t *testing.T) {
	b := brokers.Own(t, false)
	o := options(b.Address)
	quick := flow.Timing{Poll: 100 * time.Millisecond, UploadRetry: 300 * time.Millisecond, UploadMost: time.Second}
	w := newTown(t)
	q1, q2 := open(t, o), open(t, o)
	one, two := w.desk(t, q1, quick), w.desk(t, q2, quick)
	const visits = 30
	ids := accept(t, one, 0, 100, visits) // before anybody sends
	run(t, one, q1)
	w.hall.await(t, 20, time.Minute)
	stop2 := run(t, two, q2) // a second gateway joins
	ids = append(ids, accept(t, two, 100, 300, visits)...)
	w.hall.await(t, 150, time.Minute)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	ids = append(ids, accept(t, one, 300, 400, visits)...) // no broker: accepted all the same
	if err := one.Health(context.Background()); err != nil {
		t.Errorf("new work is refused: %v", err)
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	w.hall.await(t, 320, 2*time.Minute)
	stop2() // the second leaves
	ids = append(ids, accept(t, one, 400, 500, visits)...)
	w.hall.await(t, 500, 2*time.Minute)
	w.settled(t)
	w.check(t, ids)
}
