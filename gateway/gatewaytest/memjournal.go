package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// MemJournal is a gateway.Journal in memory. It keeps every promise of the contract except that
// nothing outlives the process. List walks all records: it is for tests.
type MemJournal struct {
	mu       sync.Mutex
	closed   bool
	hook     func(point string) error
	requests map[gateway.RequestKey]*gateway.Request
	bills    map[string]*gateway.Bill
	records  map[ident.MsgID]*memRecord
	order    []*memRecord
	steps    map[memStep]bool
	ofBill   map[string][]int // places in order
	ofReq    map[gateway.RequestKey][]int
	counters map[ident.Institution]memCounter
	holders  map[string]memHolder
}

type memRecord struct {
	place  int // index in order
	record gateway.Record
	events []gateway.Event
	held   time.Time // end of its claim; far away while it is sent
	marks  []gateway.Mark
}

// memStep is what a request has at most once.
type memStep struct {
	key     gateway.RequestKey
	step    string
	attempt int
}

type memCounter struct{ second, seq int64 }

var _ gateway.Journal = (*MemJournal)(nil)

// NewJournal gives an empty journal.
func NewJournal() *MemJournal {
	return &MemJournal{
		requests: map[gateway.RequestKey]*gateway.Request{},
		bills:    map[string]*gateway.Bill{},
		records:  map[ident.MsgID]*memRecord{},
		steps:    map[memStep]bool{},
		ofBill:   map[string][]int{},
		ofReq:    map[gateway.RequestKey][]int{},
		counters: map[ident.Institution]memCounter{},
		holders:  map[string]memHolder{},
	}
}

// Hook makes the journal fail on purpose. hook is called with "msgid", "write" and "health" before
// the work, and with "written" after a write that stored something; its error is what the caller
// gets. After "written" the entries stay: that is the storage that did it and could not say so.
// The hook must not call the journal. nil takes the hook away.
func (j *MemJournal) Hook(hook func(point string) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.hook = hook
}

// enter is called with the lock held.
func (j *MemJournal) enter(ctx context.Context, point string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if j.closed {
		return fmt.Errorf("%w: closed", gateway.ErrStorage)
	}
	if j.hook != nil && point != "" {
		return j.hook(point)
	}
	return nil
}

// NextMsgID see gateway.Journal.
func (j *MemJournal) NextMsgID(ctx context.Context, inst ident.Institution, now time.Time) (ident.MsgID, error) {
	if _, err := ident.ParseInstitution(string(inst)); err != nil {
		return "", err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "msgid"); err != nil {
		return "", err
	}
	c := j.counters[inst]
	switch s := now.Unix(); {
	case s > c.second:
		c = memCounter{s, 1}
	case c.seq < 9999:
		c.seq++
	default:
		c = memCounter{c.second + 1, 1}
	}
	id, err := ident.NewMsgID(inst, time.Unix(c.second, 0).In(gateway.China), int(c.seq))
	if err != nil {
		return "", err
	}
	j.counters[inst] = c
	return id, nil
}

// Write see gateway.Journal. All entries are tried on copies first and then put in place.
func (j *MemJournal) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	for _, e := range entries {
		if err := e.Check(); err != nil {
			return nil, err
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "write"); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.Request == nil {
			continue
		}
		if old := j.requests[e.Request.Key]; old != nil {
			if old.Digest != e.Request.Digest {
				return nil, gateway.ErrConflict
			}
			r := copyRequest(*old)
			return &r, nil
		}
	}
	w := memWrite{
		j:        j,
		requests: map[gateway.RequestKey]*gateway.Request{},
		bills:    map[string]*gateway.Bill{},
		records:  map[ident.MsgID]*memRecord{},
		steps:    map[memStep]bool{},
	}
	for _, e := range entries {
		if err := w.entry(e); err != nil {
			return nil, err
		}
	}
	for k, r := range w.requests {
		j.requests[k] = r
	}
	for k, b := range w.bills {
		j.bills[k] = b
	}
	for k, r := range w.records {
		if old := j.records[k]; old != nil {
			j.order[old.place] = r
		}
		j.records[k] = r
	}
	for _, m := range w.fresh {
		r := &m.record
		j.order = append(j.order, m)
		if r.Bill != "" {
			j.ofBill[r.Bill] = append(j.ofBill[r.Bill], m.place)
		}
		if r.Request.ID != "" {
			j.ofReq[r.Request] = append(j.ofReq[r.Request], m.place)
			j.steps[memStep{r.Request, r.Step, r.Attempt}] = true
		}
	}
	return nil, j.enter(context.WithoutCancel(ctx), "written")
}

// memWrite holds what a Write would change.
type memWrite struct {
	j        *MemJournal
	requests map[gateway.RequestKey]*gateway.Request
	bills    map[string]*gateway.Bill
	records  map[ident.MsgID]*memRecord
	steps    map[memStep]bool
	fresh    []*memRecord
}

func (w *memWrite) request(k gateway.RequestKey) *gateway.Request {
	if r := w.requests[k]; r != nil {
		return r
	}
	old := w.j.requests[k]
	if old == nil {
		return nil
	}
	r := *old
	w.requests[k] = &r
	return &r
}

func (w *memWrite) record(id ident.MsgID) *memRecord {
	if r := w.records[id]; r != nil {
		return r
	}
	old := w.j.records[id]
	if old == nil {
		return nil
	}
	r := &memRecord{place: old.place, record: old.record, events: append([]gateway.Event(nil), old.events...), held: old.held, marks: append([]gateway.Mark(nil), old.marks...)}
	w.records[id] = r
	return r
}

func (w *memWrite) entry(e gateway.Entry) error {
	if r := e.Request; r != nil {
		if w.request(r.Key) != nil {
			return fmt.Errorf("gatewaytest: request %s twice in one write", r.Key.ID)
		}
		c := copyRequest(*r)
		c.CreatedAt, c.AnsweredAt = millis(c.CreatedAt), millis(c.AnsweredAt)
		if len(c.Answer) == 0 {
			c.AnsweredAt, c.Told = time.Time{}, false
		}
		w.requests[r.Key] = &c
	}
	if b := e.Bill; b != nil {
		if w.bills[b.ID] != nil || w.j.bills[b.ID] != nil {
			return fmt.Errorf("%w: bill %s", gateway.ErrExists, b.ID)
		}
		c := copyBill(*b)
		c.CreatedAt = millis(c.CreatedAt)
		w.bills[b.ID] = &c
	}
	if r := e.Record; r != nil {
		if err := w.newRecord(*r, e.Holder); err != nil {
			return err
		}
	}
	if a := e.Append; a != nil {
		if err := w.append(a.ID, a.Version, a.Event, e.Holder); err != nil {
			return err
		}
	}
	if a := e.Answer; a != nil {
		r := w.request(a.Key)
		if r == nil {
			return fmt.Errorf("%w: request %s", gateway.ErrNotFound, a.Key.ID)
		}
		if len(r.Answer) == 0 {
			r.Answer, r.AnsweredAt = clone(a.Body), millis(a.At)
		}
	}
	return nil
}

func (w *memWrite) newRecord(r gateway.Record, by gateway.Holder) error {
	if w.record(r.ID) != nil {
		return fmt.Errorf("%w: record %s", gateway.ErrExists, r.ID)
	}
	if r.Request != (gateway.RequestKey{}) {
		if w.request(r.Request) == nil {
			return fmt.Errorf("%w: request %s of record %s", gateway.ErrNotFound, r.Request.ID, r.ID)
		}
		s := memStep{r.Request, r.Step, r.Attempt}
		if w.j.steps[s] || w.steps[s] {
			return fmt.Errorf("%w: step %s attempt %d of request %s", gateway.ErrExists, r.Step, r.Attempt, r.Request.ID)
		}
		w.steps[s] = true
	}
	if r.Bill != "" && w.bills[r.Bill] == nil && w.j.bills[r.Bill] == nil {
		return fmt.Errorf("%w: bill %s of record %s", gateway.ErrNotFound, r.Bill, r.ID)
	}
	sent := r.State == gateway.StateSent
	c := copyRecord(r)
	c.CreatedAt = millis(c.CreatedAt)
	c.State, c.Version, c.UpdatedAt, c.Cause, c.Output, c.Holder = gateway.StatePrepared, 0, c.CreatedAt, gateway.CauseNone, nil, ""
	m := &memRecord{place: len(w.j.order) + len(w.fresh), record: c, marks: c.Marks}
	m.record.Marks = nil
	w.records[r.ID] = m
	w.fresh = append(w.fresh, m)
	if !sent {
		return nil
	}
	return w.append(r.ID, 0, gateway.Event{Kind: gateway.EventSent, At: c.CreatedAt}, by)
}

func (w *memWrite) append(id ident.MsgID, version int, e gateway.Event, by gateway.Holder) error {
	m := w.record(id)
	if m == nil {
		return fmt.Errorf("%w: record %s", gateway.ErrNotFound, id)
	}
	if m.record.Version != version {
		return fmt.Errorf("%w: %s is at version %d, not %d", gateway.ErrStale, id, m.record.Version, version)
	}
	if by != "" && m.record.Holder != "" && m.record.Holder != by {
		return fmt.Errorf("%w: %s was taken over by %s", gateway.ErrStale, id, m.record.Holder)
	}
	was := m.record.State
	e.Seq, e.At, e.Data = version+1, millis(e.At), clone(e.Data)
	e.Evidence = clone(e.Evidence)
	if err := m.record.Apply(e); err != nil {
		return err
	}
	m.marks = append(m.marks, e.Marks...)
	e.Marks = nil
	m.events = append(m.events, e)
	switch {
	case e.Kind == gateway.EventSent && by != "":
		m.record.Holder, m.held = by, farAway
	case e.Kind == gateway.EventSent, was == gateway.StateSent, m.record.State.Final():
		m.record.Holder, m.held = "", time.Time{}
	}
	return nil
}

// Told see gateway.Journal.
func (j *MemJournal) Told(key gateway.RequestKey, _ time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if r := j.requests[key]; r != nil && len(r.Answer) > 0 && !j.closed {
		r.Told = true
	}
}

// Record see gateway.Journal.
func (j *MemJournal) Record(ctx context.Context, id ident.MsgID) (gateway.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return gateway.Record{}, err
	}
	m := j.records[id]
	if m == nil {
		return gateway.Record{}, fmt.Errorf("%w: record %s", gateway.ErrNotFound, id)
	}
	return copyRecord(m.record), nil
}

// Events see gateway.Journal.
func (j *MemJournal) Events(ctx context.Context, id ident.MsgID) ([]gateway.Event, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return nil, err
	}
	m := j.records[id]
	if m == nil {
		return nil, fmt.Errorf("%w: record %s", gateway.ErrNotFound, id)
	}
	out := append([]gateway.Event(nil), m.events...)
	for i := range out {
		out[i].Data, out[i].Evidence = clone(out[i].Data), clone(out[i].Evidence)
	}
	return out, nil
}

// Request see gateway.Journal.
func (j *MemJournal) Request(ctx context.Context, key gateway.RequestKey) (gateway.Request, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return gateway.Request{}, err
	}
	r := j.requests[key]
	if r == nil {
		return gateway.Request{}, fmt.Errorf("%w: request %s", gateway.ErrNotFound, key.ID)
	}
	return copyRequest(*r), nil
}

// Bill see gateway.Journal.
func (j *MemJournal) Bill(ctx context.Context, id string) (gateway.Bill, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return gateway.Bill{}, err
	}
	b := j.bills[id]
	if b == nil {
		return gateway.Bill{}, fmt.Errorf("%w: bill %s", gateway.ErrNotFound, id)
	}
	return copyBill(*b), nil
}

// BillRecords see gateway.Journal.
func (j *MemJournal) BillRecords(ctx context.Context, bill string) ([]gateway.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.some(ctx, j.ofBill[bill])
}

// RequestRecords see gateway.Journal.
func (j *MemJournal) RequestRecords(ctx context.Context, key gateway.RequestKey) ([]gateway.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.some(ctx, j.ofReq[key])
}

func (j *MemJournal) some(ctx context.Context, places []int) ([]gateway.Record, error) {
	if err := j.enter(ctx, ""); err != nil {
		return nil, err
	}
	var out []gateway.Record
	for _, p := range places {
		out = append(out, copyRecord(j.order[p].record))
	}
	return out, nil
}

// List see gateway.Journal.
func (j *MemJournal) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return nil, err
	}
	if len(q.Marks) > 0 && q.Institution == "" {
		return nil, errors.New("gatewaytest: marks are an institution's own: the query must name one")
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 10_000)
	at, step := 0, 1
	if q.Newest {
		at, step = len(j.order)-1, -1
	}
	if q.After != "" {
		m := j.records[q.After]
		if m == nil {
			return nil, fmt.Errorf("%w: record %s", gateway.ErrNotFound, q.After)
		}
		at = m.place + step
	}
	var out []gateway.Record
	for ; at >= 0 && at < len(j.order) && len(out) < limit; at += step {
		if r := &j.order[at].record; selected(q, r) && marked(q, j.order[at].marks) {
			c := *r
			if q.Brief {
				c.Input, c.Wire, c.Output = nil, nil, nil
			}
			out = append(out, copyRecord(c))
		}
	}
	return out, nil
}

// marked reports whether one of the query's marks is among a record's.
func marked(q gateway.Query, marks []gateway.Mark) bool {
	plain := func(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }
	for _, want := range q.Marks {
		for _, m := range marks {
			if m.Kind == want.Kind && plain(m.Number) != "" && plain(m.Number) == plain(want.Number) {
				return true
			}
		}
	}
	return len(q.Marks) == 0
}

func selected(q gateway.Query, r *gateway.Record) bool {
	switch {
	case q.Institution != "" && r.Institution != q.Institution,
		q.Infno != "" && r.Infno != q.Infno,
		!q.From.IsZero() && r.CreatedAt.Before(millis(q.From)),
		!q.To.IsZero() && !r.CreatedAt.Before(millis(q.To)),
		q.Queued && len(r.Wire) == 0, q.Direct && len(r.Wire) > 0, q.Billed && r.Bill == "",
		q.Visit != "" && q.Visit != r.Visit,
		!q.Since.IsZero() && r.UpdatedAt.Before(millis(q.Since)):
		return false
	}
	if len(q.States) == 0 {
		return true
	}
	for _, s := range q.States {
		if s == r.State {
			return true
		}
	}
	return false
}

// Health see gateway.Journal.
func (j *MemJournal) Health(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.enter(ctx, "health")
}

// Close ends the journal: every further call is ErrStorage. It may be repeated.
func (j *MemJournal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return nil
}

// millis cuts a time to the millisecond and gives it the interface's zone; no time stays none.
func millis(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).In(gateway.China)
}

// clone copies b; nothing stays nil.
func clone(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return bytes.Clone(b)
}

func copyRecord(r gateway.Record) gateway.Record {
	r.Input, r.Wire, r.Output = clone(r.Input), clone(r.Wire), clone(r.Output)
	return r
}

func copyRequest(r gateway.Request) gateway.Request {
	r.Answer = clone(r.Answer)
	return r
}

func copyBill(b gateway.Bill) gateway.Bill {
	b.Body = clone(b.Body)
	return b
}
