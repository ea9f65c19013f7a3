package journal

import (
	"context"
	"fmt"
	"slices"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// sealedEntry is an entry with its bodies sealed.
type sealedEntry struct {
	gateway.Entry
	answered []byte  // of Request
	body     []byte  // of Bill
	input    []byte  // of Record
	wire     []byte  // of Record
	data     []byte  // of Append
	evidence []byte  // of Append
	answer   []byte  // of Answer
	born     marking // of Record
	found    marking // of Append
	items    Items
}

func (j *Journal) sealEntry(ctx context.Context, e gateway.Entry) (s sealedEntry, err error) {
	if err := e.Check(); err != nil {
		return s, err
	}
	s.Entry, s.items = e, j.items(&e)
	of := vault.Scope{Institution: institutionOf(e), Class: e.Class}
	if r := e.Request; r != nil {
		of.At = r.CreatedAt
		if s.answered, err = j.seal(ctx, of, answerName(r.Key), r.Answer); err != nil {
			return s, err
		}
	}
	if b := e.Bill; b != nil {
		of.At = b.CreatedAt
		if s.body, err = j.seal(ctx, of, billName(b.ID), b.Body); err != nil {
			return s, err
		}
	}
	if r := e.Record; r != nil {
		of.At = r.CreatedAt
		if s.input, err = j.seal(ctx, of, inputName(r.ID), r.Input); err != nil {
			return s, err
		}
		if s.wire, err = j.seal(ctx, of, wireName(r.ID), r.Wire); err != nil {
			return s, err
		}
		if s.born, err = j.marks(ctx, of, r.Marks); err != nil {
			return s, err
		}
	}
	if a := e.Append; a != nil {
		of.At = a.Event.At
		if s.data, err = j.seal(ctx, of, eventName(a.ID, a.Version+1), a.Event.Data); err != nil {
			return s, err
		}
		if s.evidence, err = j.seal(ctx, of, evidenceName(a.ID, a.Version+1), a.Event.Evidence); err != nil {
			return s, err
		}
		if s.found, err = j.marks(ctx, of, a.Event.Marks); err != nil {
			return s, err
		}
	}
	if a := e.Answer; a != nil {
		of.At = a.At
		s.answer, err = j.seal(ctx, of, answerName(a.Key), a.Body)
	}
	return s, err
}

// institutionOf is whose an entry is, "" for nobody's.
func institutionOf(e gateway.Entry) ident.Institution {
	switch {
	case e.Request != nil && e.Request.Institution != "":
		return e.Request.Institution
	case e.Bill != nil && e.Bill.Institution != "":
		return e.Bill.Institution
	case e.Record != nil:
		return e.Record.Institution
	case e.Append != nil:
		return e.Append.ID.Institution()
	case e.Answer != nil:
		return e.Answer.Institution
	}
	return ""
}

// Write see gateway.Journal.
func (j *Journal) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	sealed := make([]sealedEntry, len(entries))
	requests := 0
	for i, e := range entries {
		var err error
		if sealed[i], err = j.sealEntry(ctx, e); err != nil {
			return nil, err
		}
		if e.Request != nil {
			requests++
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	// A single request at the front can be inserted without looking: when it is there already
	// nothing else has been written.
	look := requests > 1 || requests == 1 && entries[0].Request == nil
	appended := appendsTo(entries)
	var old *requestRow
	err := j.db.Do(ctx, func(tx *store.Tx) error {
		old = nil
		w := writing{tx: tx}
		if look {
			for i := range sealed {
				r := sealed[i].Request
				if r == nil {
					continue
				}
				var err error
				if old, err = w.known(r); err != nil || old != nil {
					return err
				}
			}
		}
		if err := w.lock(appended); err != nil {
			return err
		}
		for i := range sealed {
			found, err := w.entry(&sealed[i])
			if err != nil {
				return err
			}
			if found == nil {
				continue
			}
			if look || i > 0 {
				return fmt.Errorf("journal: request %s twice in one write", found.key.ID)
			}
			old = found
			return nil
		}
		return nil
	})
	if err != nil || old == nil {
		return nil, err
	}
	r, err := j.request(ctx, old)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// appendsTo lists the records that are there already and that entries change, in the order in which
// every process takes them, so that no two wait for each other. One needs no order.
func appendsTo(entries []gateway.Entry) []ident.MsgID {
	var list []ident.MsgID
	for _, e := range entries {
		if e.Append != nil {
			list = append(list, e.Append.ID)
		}
	}
	if len(list) < 2 {
		return nil
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (w *writing) lock(records []ident.MsgID) error {
	for _, id := range records {
		var seq int64
		if _, err := w.tx.Get(sqlLock, []any{string(id)}, &seq); err != nil {
			return err
		}
	}
	return nil
}

// writing is one Write inside its transaction.
type writing struct {
	tx       *store.Tx
	requests []requestSeq // written here
	bills    []billSeq
}

type requestSeq struct {
	key gateway.RequestKey
	seq int64
}

type billSeq struct {
	id  string
	seq int64
}

const (
	sqlKnown = `SELECT digest, op, institution, ref, created, answer, answered, told FROM request
		WHERE system = $1 AND id = $2`
	sqlRequest = `INSERT INTO request (system, id, digest, op, institution, ref, created, answer, answered, told)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`
	sqlRequestSeq = `SELECT seq FROM request WHERE system = $1 AND id = $2`
	sqlBill       = `INSERT INTO bill (id, institution, system, created, body)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`
	sqlBillSeq = `SELECT seq FROM bill WHERE id = $1`
	sqlRecord  = `INSERT INTO record (id, institution, infno, request, step, attempt, bill, visit,
			operator, operator_name, operator_type, digest, created, queued, born,
			state, version, updated, cause, live, holder, held, mapping)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, '', 1, $19, $20, $21)
		ON CONFLICT DO NOTHING`
	sqlBody  = `INSERT INTO body (record, input, wire) VALUES ($1, $2, $3)`
	sqlEvent = `INSERT INTO event (place, kind, at, cause, ref, note, data, evidence) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`
	sqlFold  = `SELECT seq, state, version, cause, holder, held FROM record WHERE id = $1 {lock}`
	sqlMove  = `UPDATE record SET state = $1, version = $2, updated = $3, cause = $4, live = $5, holder = $6, held = $7
		WHERE seq = $8 AND version = $9`
	sqlMark   = `INSERT INTO mark (digest, record, data_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	sqlMark2  = `INSERT INTO mark (digest, record, data_key) VALUES ($1, $2, $3), ($4, $2, $3) ON CONFLICT DO NOTHING`
	sqlLock   = `SELECT seq FROM record WHERE id = $1 {lock}`
	sqlAnswer = `UPDATE request SET answer = $1, answered = $2 WHERE system = $3 AND id = $4 AND answer IS NULL`
)

// place is the key of an event: see the migration.
const eventsPerRecord = 1 << 20

func place(record int64, n int) (int64, error) {
	if n < 1 || n >= eventsPerRecord {
		return 0, fmt.Errorf("journal: a record can not have %d events", n)
	}
	return record*eventsPerRecord + int64(n), nil
}

// known gives the request that is there already, nil when it is new, ErrConflict when its body is
// another.
func (w *writing) known(r *gateway.Request) (*requestRow, error) {
	row := &requestRow{key: r.Key}
	found, err := w.tx.Get(sqlKnown, []any{r.Key.System, r.Key.ID}, row.columns()...)
	if err != nil || !found {
		return nil, err
	}
	if string(row.digest) != string(r.Digest[:]) {
		return nil, gateway.ErrConflict
	}
	return row, nil
}

// entry writes one entry. A request that was there already is returned and ends it.
func (w *writing) entry(e *sealedEntry) (*requestRow, error) {
	if r := e.Request; r != nil {
		seq, answered, told := int64(0), toMillis(r.AnsweredAt), int64(0)
		if len(e.answered) == 0 {
			answered = 0
		} else if r.Told {
			told = max(answered, 1)
		}
		fresh, err := w.tx.Add(sqlRequest, []any{r.Key.System, r.Key.ID, r.Digest[:], r.Op,
			string(r.Institution), r.Ref, toMillis(r.CreatedAt), null(e.answered), answered, told}, &seq)
		if err != nil {
			return nil, err
		}
		if !fresh {
			return w.known(r)
		}
		w.requests = append(w.requests, requestSeq{r.Key, seq})
		w.tx.Note(e.items.Request)
	}
	if b := e.Bill; b != nil {
		var seq int64
		fresh, err := w.tx.Add(sqlBill, []any{b.ID, string(b.Institution), b.System, toMillis(b.CreatedAt), null(e.body)}, &seq)
		if err != nil {
			return nil, err
		}
		if !fresh {
			return nil, fmt.Errorf("%w: bill %s", gateway.ErrExists, b.ID)
		}
		w.bills = append(w.bills, billSeq{b.ID, seq})
		w.tx.Note(e.items.Bill)
	}
	if e.Record != nil {
		if err := w.record(e); err != nil {
			return nil, err
		}
		w.tx.Note(e.items.Record)
	}
	if e.Append != nil {
		if err := w.append(e); err != nil {
			return nil, err
		}
		w.tx.Note(e.items.Append)
	}
	if a := e.Answer; a != nil {
		n, err := w.tx.Exec(sqlAnswer, e.answer, toMillis(a.At), a.Key.System, a.Key.ID)
		if err != nil {
			return nil, err
		}
		if n == 0 { // it has an answer, or is not there
			if _, err := w.requestSeq(a.Key); err != nil {
				return nil, err
			}
		} else {
			w.tx.Note(e.items.Answer)
		}
	}
	return nil, nil
}

func (w *writing) requestSeq(k gateway.RequestKey) (seq int64, err error) {
	for _, r := range w.requests {
		if r.key == k {
			return r.seq, nil
		}
	}
	found, err := w.tx.Get(sqlRequestSeq, []any{k.System, k.ID}, &seq)
	if err == nil && !found {
		err = fmt.Errorf("%w: request %s", gateway.ErrNotFound, k.ID)
	}
	return seq, err
}

func (w *writing) billSeq(id string) (seq int64, err error) {
	for _, b := range w.bills {
		if b.id == id {
			return b.seq, nil
		}
	}
	found, err := w.tx.Get(sqlBillSeq, []any{id}, &seq)
	if err == nil && !found {
		err = fmt.Errorf("%w: bill %s", gateway.ErrNotFound, id)
	}
	return seq, err
}

func (w *writing) record(e *sealedEntry) error {
	r := e.Record
	var request, bill any // nil, or their seq
	if r.Request.ID != "" {
		seq, err := w.requestSeq(r.Request)
		if err != nil {
			return err
		}
		request = seq
	}
	if r.Bill != "" {
		seq, err := w.billSeq(r.Bill)
		if err != nil {
			return err
		}
		bill = seq
	}
	created, queued, born := toMillis(r.CreatedAt), int64(0), int64(0)
	if len(e.wire) > 0 {
		queued = 1
	}
	holder, held := "", int64(0)
	if r.State == gateway.StateSent {
		born = 1
		holder, held = sentBy(e.Holder)
	}
	var seq int64
	fresh, err := w.tx.Add(sqlRecord, []any{
		string(r.ID), string(r.Institution), string(r.Infno), request, r.Step, int64(r.Attempt), bill, r.Visit,
		r.Operator.ID, r.Operator.Name, r.Operator.Type, r.WireDigest[:], created, queued, born,
		string(r.State), born, created, holder, held, r.Mapping,
	}, &seq)
	if err != nil {
		return err
	}
	if !fresh {
		return fmt.Errorf("%w: record %s, or step %s attempt %d of request %s",
			gateway.ErrExists, r.ID, r.Step, r.Attempt, r.Request.ID)
	}
	if len(e.input)+len(e.wire) > 0 {
		if err := w.tx.Put(sqlBody, seq, null(e.input), null(e.wire)); err != nil {
			return err
		}
	}
	if err := w.mark(seq, e.born); err != nil {
		return err
	}
	if born == 0 {
		return nil
	}
	return w.event(seq, 1, gateway.Event{Kind: gateway.EventSent, At: r.CreatedAt}, nil, nil)
}

// mark notes under what a record is found; two at once, which is the usual number.
func (w *writing) mark(record int64, m marking) error {
	for len(m.digests) >= 2 {
		if err := w.tx.Put(sqlMark2, m.digests[0], record, m.key, m.digests[1]); err != nil {
			return err
		}
		m.digests = m.digests[2:]
	}
	if len(m.digests) == 1 {
		return w.tx.Put(sqlMark, m.digests[0], record, m.key)
	}
	return nil
}

func (w *writing) event(record int64, n int, e gateway.Event, data, evidence []byte) error {
	key, err := place(record, n)
	if err != nil {
		return err
	}
	return w.tx.Put(sqlEvent, key, string(e.Kind), toMillis(e.At), string(e.Cause), string(e.Ref), e.Note, null(data), null(evidence))
}

func (w *writing) append(e *sealedEntry) error {
	a := e.Append
	var seq int64
	var r gateway.Record
	var holder string
	var held int64
	found, err := w.tx.Get(sqlFold, []any{string(a.ID)}, &seq, &r.State, &r.Version, &r.Cause, &holder, &held)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: record %s", gateway.ErrNotFound, a.ID)
	}
	if r.Version != a.Version {
		return stale(a.ID, r.Version, a.Version)
	}
	if e.Holder != "" && holder != "" && holder != string(e.Holder) {
		return fmt.Errorf("%w: %s was taken over by %s", gateway.ErrStale, a.ID, holder)
	}
	was := r.State
	if err := r.Apply(a.Event); err != nil {
		return err
	}
	if err := w.event(seq, r.Version, a.Event, e.data, e.evidence); err != nil {
		return err
	}
	if err := w.mark(seq, e.found); err != nil {
		return err
	}
	live := int64(1)
	if r.State.Final() {
		live = 0
	}
	switch {
	case r.State == gateway.StateSent:
		holder, held = sentBy(e.Holder)
	case was == gateway.StateSent, live == 0:
		holder, held = "", 0
	}
	// The row is locked: it is still at that version.
	return w.tx.Put(sqlMove, string(r.State), int64(r.Version), toMillis(a.Event.At), string(r.Cause), live,
		holder, held, seq, int64(a.Version))
}

// sentBy is who holds what was just sent, and until when.
func sentBy(h gateway.Holder) (string, int64) {
	if h == "" {
		return "", 0
	}
	return string(h), heldWhileSent
}

func stale(id ident.MsgID, have, want int) error {
	return fmt.Errorf("%w: %s is at version %d, not %d", gateway.ErrStale, id, have, want)
}

// null makes "no bytes" NULL; the driver would store an empty value.
func null(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
