package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Report is what Fsck found.
type Report struct {
	Records  int       `json:"records"`
	Events   int       `json:"events"`
	Requests int       `json:"requests"`
	Bills    int       `json:"bills"`
	Problems []Problem `json:"problems"` // at most MaxProblems
	More     int       `json:"more"`     // problems beyond those listed
}

// MaxProblems bounds a Report.
const MaxProblems = 1000

// Problem is one thing that is not as it must be.
type Problem struct {
	ID   string `json:"id"` // msgid, bill id, request id, institution, or "" when it is the database itself
	What string `json:"what"`
}

func (r *Report) add(id, format string, args ...any) {
	if len(r.Problems) >= MaxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{id, fmt.Sprintf(format, args...)})
}

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Problems) == 0 }

// fsckStep is how many rows are looked at in one read: each read is consistent in itself, and none
// holds the log for long.
const fsckStep = 1000

// Fsck looks at everything the journal holds: that the database file is sound; that the fold of
// each record's events is what its columns say; that every data key and every sealed body opens that was not
// destroyed; that events, bodies, marks, records and requests belong to something; that no message id occurs twice and that no counter is
// behind an id that was given. It changes nothing and may run beside the gateway. err tells when it
// could not be done.
func (j *Journal) Fsck(ctx context.Context) (Report, error) {
	r := Report{Problems: []Problem{}}
	if err := j.open(ctx); err != nil {
		return r, err
	}
	unsound, err := j.db.Check(ctx)
	if err != nil {
		return r, err
	}
	for _, line := range unsound {
		r.add("", "database: %s", line)
	}
	if k, ok := j.o.Sealer.(interface {
		Check(context.Context) ([]string, error)
	}); ok {
		wrong, err := k.Check(ctx)
		if err != nil {
			return r, err
		}
		for _, line := range wrong {
			r.add("", "data key: %s", line)
		}
	}
	f := fsck{j: j, ctx: ctx, r: &r, last: map[ident.Institution]ident.MsgID{}}
	for _, look := range []func() error{f.records, f.requests, f.bills, f.orphans, f.twins, f.counters} {
		if err := look(); err != nil {
			return r, err
		}
	}
	return r, nil
}

type fsck struct {
	j    *Journal
	ctx  context.Context
	r    *Report
	last map[ident.Institution]ident.MsgID // highest id seen
}

// each runs a query and hands row after row to see.
func (f *fsck) each(query string, args []any, see func(*sql.Rows) error) error {
	rows, err := f.j.db.Query(f.ctx, query, args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = see(rows)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return f.j.db.Failed(err)
	}
	return nil
}

// steps covers a table by its seq.
func (f *fsck) steps(table string, look func(from, to int64) error) error {
	var last int64
	if _, err := f.j.db.Get(f.ctx, "SELECT COALESCE(MAX(seq), 0) FROM "+table, nil, &last); err != nil {
		return err
	}
	for from := int64(0); from < last; from += fsckStep {
		if err := look(from, from+fsckStep); err != nil {
			return err
		}
	}
	return nil
}

func (f *fsck) given(id ident.MsgID) {
	if inst := id.Institution(); inst != "" && id > f.last[inst] {
		f.last[inst] = id
	}
}

const sqlFsckRecords = `SELECT r.seq, r.born, r.live, r.request, r.bill, q.seq, b.seq,
		e.place, e.kind, e.at, e.cause, e.data, e.evidence,
		r.id, r.created, x.input, x.wire, r.state, r.version, r.updated, r.cause, r.queued
	FROM record r
	LEFT JOIN request q ON q.seq = r.request
	LEFT JOIN bill b ON b.seq = r.bill
	LEFT JOIN body x ON x.record = r.seq
	LEFT JOIN event e ON e.place > r.seq * 1048576 AND e.place < (r.seq + 1) * 1048576
	WHERE r.seq > $1 AND r.seq <= $2 ORDER BY r.seq, e.place`

// fsckRow is a record with one of its events.
type fsckRow struct {
	seq, born, live, queued            int64
	request, bill, hasRequest, hasBill sql.NullInt64
	place, at                          sql.NullInt64
	kind, cause                        sql.NullString
	data, evidence                     []byte
	stored                             sealedRecord
}

func (f *fsck) records() error {
	return f.steps("record", func(from, to int64) error {
		var now *fsckRow
		var fold gateway.Record
		err := f.each(sqlFsckRecords, []any{from, to}, func(rows *sql.Rows) error {
			row := &fsckRow{}
			s := &row.stored
			if err := rows.Scan(&row.seq, &row.born, &row.live, &row.request, &row.bill, &row.hasRequest, &row.hasBill,
				&row.place, &row.kind, &row.at, &row.cause, &row.data, &row.evidence,
				&s.r.ID, &s.created, &s.input, &s.wire, &s.r.State, &s.r.Version, &s.updated, &s.r.Cause, &row.queued); err != nil {
				return err
			}
			if now == nil || now.seq != row.seq {
				f.compare(now, fold)
				now = row
				fold = gateway.Record{State: gateway.StatePrepared, UpdatedAt: fromMillis(s.created)}
				f.begin(row)
			}
			if row.place.Valid {
				f.event(row, &fold)
			}
			return nil
		})
		f.compare(now, fold)
		return err
	})
}

// begin looks at a record by itself.
func (f *fsck) begin(row *fsckRow) {
	f.r.Records++
	s := &row.stored
	id := s.r.ID
	f.given(id)
	if _, err := ident.ParseMsgID(string(id)); err != nil {
		f.r.add(string(id), "record: %v", err)
	}
	if row.request.Valid && !row.hasRequest.Valid {
		f.r.add(string(id), "record: its request %d is not there", row.request.Int64)
	}
	if row.bill.Valid && !row.hasBill.Valid {
		f.r.add(string(id), "record: its bill %d is not there", row.bill.Int64)
	}
	if (row.queued == 1) != (len(s.wire) > 0) {
		f.r.add(string(id), "record: queued is %d and its message has %d bytes", row.queued, len(s.wire))
	}
	if err := f.j.opens(f.ctx, inputName(id), s.input); err != nil {
		f.r.add(string(id), "record: input: %v", err)
	}
	if err := f.j.opens(f.ctx, wireName(id), s.wire); err != nil {
		f.r.add(string(id), "record: wire: %v", err)
	}
}

// event folds one event in.
func (f *fsck) event(row *fsckRow, fold *gateway.Record) {
	f.r.Events++
	id := row.stored.r.ID
	n := int(row.place.Int64 - row.seq*eventsPerRecord)
	if n != fold.Version+1 {
		f.r.add(string(id), "event %d follows event %d", n, fold.Version)
	}
	if err := f.j.opens(f.ctx, eventName(id, n), row.data); err != nil {
		f.r.add(string(id), "event %d: %v", n, err)
	}
	if err := f.j.opens(f.ctx, evidenceName(id, n), row.evidence); err != nil {
		f.r.add(string(id), "event %d: evidence: %v", n, err)
	}
	e := gateway.Event{Kind: gateway.EventKind(row.kind.String), At: fromMillis(row.at.Int64), Cause: gateway.Cause(row.cause.String)}
	if err := fold.Apply(e); err != nil {
		f.r.add(string(id), "event %d: %v", n, err)
	}
}

// compare holds the fold against the columns.
func (f *fsck) compare(row *fsckRow, fold gateway.Record) {
	if row == nil {
		return
	}
	s := &row.stored
	id := string(s.r.ID)
	if fold.State != s.r.State || fold.Version != s.r.Version {
		f.r.add(id, "record: %s at version %d, its events make it %s at version %d", s.r.State, s.r.Version, fold.State, fold.Version)
	}
	if fold.Cause != s.r.Cause {
		f.r.add(id, "record: cause %q, its events make it %q", s.r.Cause, fold.Cause)
	}
	if toMillis(fold.UpdatedAt) != s.updated {
		f.r.add(id, "record: updated at %d, its last event was at %d", s.updated, toMillis(fold.UpdatedAt))
	}
	if (row.live == 0) != s.r.State.Final() {
		f.r.add(id, "record: live is %d in state %s", row.live, s.r.State)
	}
	if row.born == 1 && fold.Version == 0 {
		f.r.add(id, "record: written as sent and has no events")
	}
}

const sqlFsckRequests = `SELECT q.system, q.id, q.digest, q.op, q.institution, q.ref, q.created, q.answer, q.answered, q.told,
		r.seq, b.seq
	FROM request q
	LEFT JOIN record r ON r.id = q.ref
	LEFT JOIN bill b ON b.id = q.ref
	WHERE q.seq > $1 AND q.seq <= $2 ORDER BY q.seq`

func (f *fsck) requests() error {
	return f.steps("request", func(from, to int64) error {
		return f.each(sqlFsckRequests, []any{from, to}, func(rows *sql.Rows) error {
			var q requestRow
			var record, bill sql.NullInt64
			into := append([]any{&q.key.System, &q.key.ID}, q.columns()...)
			if err := rows.Scan(append(into, &record, &bill)...); err != nil {
				return err
			}
			f.r.Requests++
			switch {
			case q.ref != "" && !record.Valid && !bill.Valid:
				f.r.add(q.key.ID, "request: %q, which it stands for, is not there", q.ref)
			case q.ref == "" && len(q.answer) == 0:
				f.r.add(q.key.ID, "request: stands for nothing and has no answer")
			}
			if len(q.digest) != 32 {
				f.r.add(q.key.ID, "request: digest of %d bytes", len(q.digest))
			}
			if (len(q.answer) > 0) != (q.answered != 0) {
				f.r.add(q.key.ID, "request: answered at %d with %d bytes", q.answered, len(q.answer))
			}
			if err := f.j.opens(f.ctx, answerName(q.key), q.answer); err != nil {
				f.r.add(q.key.ID, "request: answer: %v", err)
			}
			return nil
		})
	})
}

func (f *fsck) bills() error {
	return f.steps("bill", func(from, to int64) error {
		return f.each(`SELECT id, body FROM bill WHERE seq > $1 AND seq <= $2`, []any{from, to}, func(rows *sql.Rows) error {
			var id string
			var body []byte
			if err := rows.Scan(&id, &body); err != nil {
				return err
			}
			f.r.Bills++
			if err := f.j.opens(f.ctx, billName(id), body); err != nil {
				f.r.add(id, "bill: %v", err)
			}
			if id != "" { // a letter and a message id
				f.given(ident.MsgID(id[1:]))
			}
			return nil
		})
	})
}

// orphans looks for what belongs to no record.
func (f *fsck) orphans() error {
	for _, q := range []struct{ what, query string }{
		{"event", `SELECT e.place / 1048576 FROM event e WHERE NOT EXISTS (SELECT 1 FROM record r WHERE r.seq = e.place / 1048576) LIMIT $1`},
		{"mark", `SELECT m.record FROM mark m WHERE NOT EXISTS (SELECT 1 FROM record r WHERE r.seq = m.record)
			OR NOT EXISTS (SELECT 1 FROM data_key k WHERE k.number = m.data_key AND k.wrapped IS NOT NULL) LIMIT $1`},
		{"body", `SELECT x.record FROM body x WHERE NOT EXISTS (SELECT 1 FROM record r WHERE r.seq = x.record) LIMIT $1`},
	} {
		err := f.each(q.query, []any{MaxProblems}, func(rows *sql.Rows) error {
			var seq int64
			if err := rows.Scan(&seq); err != nil {
				return err
			}
			f.r.add("", "%s of record %d, which is not there", q.what, seq)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// twins looks for one id on two records without trusting the index that forbids it.
func (f *fsck) twins() error {
	return f.each(`SELECT MIN(r.id), COUNT(*) FROM record r GROUP BY r.id || '' HAVING COUNT(*) > 1 LIMIT $1`, []any{MaxProblems},
		func(rows *sql.Rows) error {
			var id string
			var n int
			if err := rows.Scan(&id, &n); err != nil {
				return err
			}
			f.r.add(id, "record: %d records have this id", n)
			return nil
		})
}

// counters comes last: counters only grow, so what was given while it ran is not held against them.
func (f *fsck) counters() error {
	have := map[ident.Institution]ident.MsgID{}
	err := f.each(`SELECT institution, second, seq FROM msgid_counter`, nil, func(rows *sql.Rows) error {
		var inst ident.Institution
		var second, seq int64
		if err := rows.Scan(&inst, &second, &seq); err != nil {
			return err
		}
		id, err := ident.NewMsgID(inst, fromSeconds(second), int(seq))
		if err != nil {
			f.r.add(string(inst), "counter: %v", err)
			return nil
		}
		have[inst] = id
		return nil
	})
	if err != nil {
		return err
	}
	for inst, id := range f.last {
		if have[inst] < id {
			f.r.add(string(id), "counter: stands at %q, behind this id", have[inst])
		}
	}
	return nil
}
