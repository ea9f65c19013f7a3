package journal

import (
	"context"
	"database/sql"
	"errors"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

// Auditor puts into lines what the audit record is to keep of what is written: see store.Tx.Note.
// Its methods are pure and safe for concurrent use.
type Auditor interface {
	// Items is called before the write, by its caller. A part the entry does not have has no line;
	// a Request that is written with its Answer has a line for each.
	Items(e *gateway.Entry) Items
	// Imported tells of a journal that came from elsewhere and was read up to these places.
	Imported(m Moved, p Places) []byte
}

// Items are the lines of one entry, by the part they stand for.
type Items struct{ Request, Bill, Record, Append, Answer []byte }

// Places are the last rows of the tables, 0 when there is none.
type Places struct{ Request, Bill, Record int64 }

// items asks the auditor, when there is one.
func (j *Journal) items(e *gateway.Entry) Items {
	if j.o.Audit == nil {
		return Items{}
	}
	return j.o.Audit.Items(e)
}

const sqlPlaces = `SELECT (SELECT COALESCE(MAX(seq), 0) FROM request), (SELECT COALESCE(MAX(seq), 0) FROM bill),
	(SELECT COALESCE(MAX(seq), 0) FROM record)`

// Places tells how far the journal has come.
func (j *Journal) Places(ctx context.Context) (p Places, err error) {
	if err := j.open(ctx); err != nil {
		return p, err
	}
	_, err = j.db.Get(ctx, sqlPlaces, nil, &p.Request, &p.Bill, &p.Record)
	return p, err
}

// imported notes an import in its own transaction.
func (in *importing) imported() error {
	if in.j.o.Audit == nil {
		return nil
	}
	var p Places
	if _, err := in.tx.Get(sqlPlaces, nil, &p.Request, &p.Bill, &p.Record); err != nil {
		return err
	}
	in.tx.Note(in.j.o.Audit.Imported(in.moved, p))
	return nil
}

// Written is one thing as it was written: exactly one part of Entry is set. Seq is the place of its
// request, bill or record. Err is set when its body can not be opened, and then there is none:
// gateway.ErrExpired when its key was destroyed in its time.
type Written struct {
	Seq   int64
	Entry gateway.Entry
	Err   error
}

// Walk gives everything that was ever written to see, part by part: bills, requests with their
// answers, records with their events, each in its order. It sees one state of the journal.
func (j *Journal) Walk(ctx context.Context, see func(Written) error) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	return j.db.Snapshot(ctx, func(r store.Reader) error {
		w := walking{exporting: exporting{j: j, ctx: ctx, r: r}, see: see}
		for _, part := range []func() error{w.bills, w.requests, w.records} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
}

type walking struct {
	exporting
	see func(Written) error
}

func (w *walking) body(name string, sealed []byte) ([]byte, error) {
	return w.j.unseal(w.ctx, name, sealed)
}

func (w *walking) bills() error {
	const query = `SELECT seq, id, institution, system, created, body FROM bill WHERE seq > $1 AND seq <= $2 ORDER BY seq`
	return w.steps("bill", query, func(rows *sql.Rows) error {
		var b gateway.Bill
		var seq, created int64
		var body []byte
		if err := rows.Scan(&seq, &b.ID, &b.Institution, &b.System, &created, &body); err != nil {
			return err
		}
		b.CreatedAt = fromMillis(created)
		var err error
		b.Body, err = w.body(billName(b.ID), body)
		return w.see(Written{seq, gateway.Entry{Bill: &b}, err})
	})
}

func (w *walking) requests() error {
	const query = `SELECT seq, system, id, digest, op, institution, ref, created, answer, answered
		FROM request WHERE seq > $1 AND seq <= $2 ORDER BY seq`
	return w.steps("request", query, func(rows *sql.Rows) error {
		var q gateway.Request
		var seq, created, answered int64
		var digest, answer []byte
		if err := rows.Scan(&seq, &q.Key.System, &q.Key.ID, &digest, &q.Op, &q.Institution, &q.Ref, &created, &answer, &answered); err != nil {
			return err
		}
		copy(q.Digest[:], digest)
		q.CreatedAt = fromMillis(created)
		if err := w.see(Written{seq, gateway.Entry{Request: &q}, nil}); err != nil || len(answer) == 0 {
			return err
		}
		plain, err := w.body(answerName(q.Key), answer)
		return w.see(Written{seq, gateway.Entry{Answer: &gateway.Answer{Key: q.Key, Body: plain, At: fromMillis(answered)}}, err})
	})
}

func (w *walking) records() error {
	var now int64
	var born bool
	return w.steps("record", sqlExportRecords, func(rows *sql.Rows) error {
		var r recordLine
		var seq int64
		var place, at sql.NullInt64
		var kind, cause, ref, note sql.NullString
		var data, evidence []byte
		if err := rows.Scan(&seq, &r.ID, &r.Institution, &r.Infno, &r.System, &r.Request, &r.Step, &r.Attempt,
			&r.Bill, &r.Visit, &r.Operator, &r.OperatorName, &r.OperatorType, &r.Mapping, &r.Digest, &r.Created, &r.Queued, &r.Born,
			&r.Input, &r.Wire, &r.State, &r.Version, &r.Updated, &r.Cause,
			&place, &kind, &at, &cause, &ref, &note, &data, &evidence); err != nil {
			return err
		}
		if seq != now {
			now, born = seq, r.Born == 1
			if err := w.record(seq, &r); err != nil {
				return err
			}
		}
		n := int(place.Int64 - seq*eventsPerRecord)
		if !place.Valid || born && n == 1 {
			return nil // the sending a record was born with is told with the record
		}
		id := ident.MsgID(r.ID)
		plain, err := w.body(eventName(id, n), data)
		signed, err2 := w.body(evidenceName(id, n), evidence)
		return w.see(Written{seq, gateway.Entry{Append: &gateway.Append{ID: id, Version: n - 1, Event: gateway.Event{
			Seq: n, Kind: gateway.EventKind(kind.String), At: fromMillis(at.Int64), Cause: gateway.Cause(cause.String),
			Ref: ident.MsgID(ref.String), Note: note.String, Data: plain, Evidence: signed}}}, errors.Join(err, err2)})
	})
}

func (w *walking) record(seq int64, l *recordLine) error {
	r := gateway.Record{
		ID: ident.MsgID(l.ID), Institution: ident.Institution(l.Institution), Infno: ident.Infno(l.Infno),
		Request: gateway.RequestKey{System: l.System, ID: l.Request}, Step: l.Step, Attempt: int(l.Attempt), Bill: l.Bill, Visit: l.Visit,
		Operator:  gateway.Operator{ID: l.Operator, Name: l.OperatorName, Type: l.OperatorType},
		CreatedAt: fromMillis(l.Created), State: gateway.StatePrepared, Mapping: l.Mapping,
	}
	copy(r.WireDigest[:], l.Digest)
	if l.Born == 1 {
		r.State = gateway.StateSent
	}
	var errs [2]error
	r.Input, errs[0] = w.body(inputName(r.ID), l.Input)
	r.Wire, errs[1] = w.body(wireName(r.ID), l.Wire)
	return w.see(Written{seq, gateway.Entry{Record: &r}, errors.Join(errs[:]...)})
}
