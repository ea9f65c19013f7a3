package journal

import (
	"bufio"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"hash"
	"io"
	"slices"

	"yiqiao/gateway/store"
)

// exportStep is how many rows are read by one query.
const exportStep = 1000

// Export writes everything to w: see move.go. sum is a new hash. It sees one state of the journal,
// also when others write meanwhile; what they write then is not in it.
func (j *Journal) Export(ctx context.Context, w io.Writer, sum hash.Hash) (Moved, error) {
	if err := j.open(ctx); err != nil {
		return Moved{}, err
	}
	buffered := bufio.NewWriterSize(w, 1<<20)
	e := exporting{j: j, ctx: ctx, w: lineWriter{to: buffered, sum: sum}}
	err := j.db.Snapshot(ctx, func(r store.Reader) error {
		e.r = r
		if err := e.w.put(line{Head: &headLine{moveName, moveVersion}}); err != nil {
			return err
		}
		for _, part := range []func() error{e.keys, e.counters, e.bills, e.requests, e.records, e.marks, e.invoices, e.w.end} {
			if err := part(); err != nil {
				return err
			}
		}
		return nil
	})
	return e.w.moved, errors.Join(err, buffered.Flush())
}

type exporting struct {
	j   *Journal
	ctx context.Context
	r   store.Reader
	w   lineWriter
}

func (e *exporting) put(l line) error {
	e.w.moved.count(l)
	return e.w.put(l)
}

// each runs a query and hands row after row to see.
func (e *exporting) each(query string, args []any, see func(*sql.Rows) error) error {
	rows, err := e.r.Query(e.ctx, query, args...)
	if err != nil {
		return err
	}
	for err == nil && rows.Next() {
		err = see(rows)
	}
	return e.j.db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

// steps runs a query with the arguments "behind $1, up to $2" over all of a table.
func (e *exporting) steps(table, query string, see func(*sql.Rows) error) error {
	var last int64
	err := e.each("SELECT COALESCE(MAX(seq), 0) FROM "+table, nil, func(rows *sql.Rows) error { return rows.Scan(&last) })
	for from := int64(0); err == nil && from < last; from += exportStep {
		err = e.each(query, []any{from, from + exportStep}, see)
	}
	return err
}

func (e *exporting) keys() error {
	const query = `SELECT id, purpose, institution, class, day, wrapper, wrapped, created, destroyed FROM data_key ORDER BY number`
	return e.each(query, nil, func(rows *sql.Rows) error {
		var k keyLine
		if err := rows.Scan(&k.ID, &k.Purpose, &k.Institution, &k.Class, &k.Day, &k.Wrapper, &k.Wrapped, &k.Created, &k.Destroyed); err != nil {
			return err
		}
		return e.put(line{Key: &k})
	})
}

func (e *exporting) marks() error {
	const query = `SELECT m.digest, r.id, k.id FROM record r JOIN mark m ON m.record = r.seq JOIN data_key k ON k.number = m.data_key
		WHERE r.seq > $1 AND r.seq <= $2 ORDER BY r.seq, m.digest`
	return e.steps("record", query, func(rows *sql.Rows) error {
		var m markLine
		if err := rows.Scan(&m.Digest, &m.Record, &m.Key); err != nil {
			return err
		}
		return e.put(line{Mark: &m})
	})
}

// counters are few and sorted here, for databases sort text each in its own way.
func (e *exporting) counters() error {
	var list []*counterLine
	err := e.each(`SELECT institution, second, seq FROM msgid_counter`, nil, func(rows *sql.Rows) error {
		c := &counterLine{}
		list = append(list, c)
		return rows.Scan(&c.Institution, &c.Second, &c.Seq)
	})
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(a, b *counterLine) int { return cmp.Compare(a.Institution, b.Institution) })
	for _, c := range list {
		if err := e.put(line{Counter: c}); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporting) bills() error {
	const query = `SELECT id, institution, system, created, body FROM bill WHERE seq > $1 AND seq <= $2 ORDER BY seq`
	return e.steps("bill", query, func(rows *sql.Rows) error {
		var b billLine
		if err := rows.Scan(&b.ID, &b.Institution, &b.System, &b.Created, &b.Body); err != nil {
			return err
		}
		return e.put(line{Bill: &b})
	})
}

func (e *exporting) requests() error {
	const query = `SELECT system, id, digest, op, institution, ref, created, answer, answered, told
		FROM request WHERE seq > $1 AND seq <= $2 ORDER BY seq`
	return e.steps("request", query, func(rows *sql.Rows) error {
		var q requestLine
		if err := rows.Scan(&q.System, &q.ID, &q.Digest, &q.Op, &q.Institution, &q.Ref, &q.Created, &q.Answer, &q.Answered, &q.Told); err != nil {
			return err
		}
		return e.put(line{Request: &q})
	})
}

const sqlExportRecords = `SELECT r.seq, r.id, r.institution, r.infno, COALESCE(q.system, ''), COALESCE(q.id, ''), r.step, r.attempt,
		COALESCE(b.id, ''), r.visit, r.operator, r.operator_name, r.operator_type, r.mapping, r.digest, r.created, r.queued, r.born,
		x.input, x.wire, r.state, r.version, r.updated, r.cause,
		e.place, e.kind, e.at, e.cause, e.ref, e.note, e.data, e.evidence
	FROM record r
	LEFT JOIN request q ON q.seq = r.request
	LEFT JOIN bill b ON b.seq = r.bill
	LEFT JOIN body x ON x.record = r.seq
	LEFT JOIN event e ON e.place > r.seq * 1048576 AND e.place < (r.seq + 1) * 1048576
	WHERE r.seq > $1 AND r.seq <= $2 ORDER BY r.seq, e.place`

func (e *exporting) records() error {
	var now *recordLine
	var nowSeq int64
	flush := func() error {
		if now == nil {
			return nil
		}
		l := line{Record: now}
		now = nil
		return e.put(l)
	}
	err := e.steps("record", sqlExportRecords, func(rows *sql.Rows) error {
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
		if now == nil || seq != nowSeq {
			if err := flush(); err != nil {
				return err
			}
			now, nowSeq = &r, seq
		}
		if place.Valid {
			now.Events = append(now.Events, eventLine{kind.String, at.Int64, cause.String, ref.String, note.String, data, evidence})
		}
		return nil
	})
	return errors.Join(err, flush())
}
