package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// requestRow is a row of request as sqlKnown selects it.
type requestRow struct {
	key                     gateway.RequestKey
	digest                  []byte
	op, institution, ref    string
	created, answered, told int64
	answer                  []byte
}

func (r *requestRow) columns() []any {
	return []any{&r.digest, &r.op, &r.institution, &r.ref, &r.created, &r.answer, &r.answered, &r.told}
}

// request opens what a row holds.
func (j *Journal) request(ctx context.Context, r *requestRow) (gateway.Request, error) {
	answer, err := j.unseal(ctx, answerName(r.key), r.answer)
	if err != nil {
		return gateway.Request{}, err
	}
	q := gateway.Request{
		Key: r.key, Op: r.op, Institution: ident.Institution(r.institution), Ref: r.ref,
		CreatedAt: fromMillis(r.created), Answer: answer, AnsweredAt: fromMillis(r.answered),
		Told: r.told != 0 || answer != nil && j.isTold(r.key),
	}
	copy(q.Digest[:], r.digest)
	return q, nil
}

// Request see gateway.Journal.
func (j *Journal) Request(ctx context.Context, key gateway.RequestKey) (gateway.Request, error) {
	if err := j.open(ctx); err != nil {
		return gateway.Request{}, err
	}
	row := requestRow{key: key}
	found, err := j.db.Get(ctx, sqlKnown, []any{key.System, key.ID}, row.columns()...)
	if err != nil {
		return gateway.Request{}, err
	}
	if !found {
		return gateway.Request{}, fmt.Errorf("%w: request %s", gateway.ErrNotFound, key.ID)
	}
	return j.request(ctx, &row)
}

// Bill see gateway.Journal.
func (j *Journal) Bill(ctx context.Context, id string) (gateway.Bill, error) {
	if err := j.open(ctx); err != nil {
		return gateway.Bill{}, err
	}
	b := gateway.Bill{ID: id}
	var created int64
	var body []byte
	found, err := j.db.Get(ctx, `SELECT institution, system, created, body FROM bill WHERE id = $1`, []any{id},
		&b.Institution, &b.System, &created, &body)
	if err != nil {
		return gateway.Bill{}, err
	}
	if !found {
		return gateway.Bill{}, fmt.Errorf("%w: bill %s", gateway.ErrNotFound, id)
	}
	b.CreatedAt = fromMillis(created)
	if b.Body, err = j.unseal(ctx, billName(id), body); err != nil {
		return gateway.Bill{}, err
	}
	return b, nil
}

// sqlRecords selects records whole. A final record's last event is the one that ended it.
const sqlRecords = `SELECT r.id, r.institution, r.infno, q.system, q.id, r.step, r.attempt, b.id, r.visit,
		r.operator, r.operator_name, r.operator_type, r.mapping, r.digest, r.created, x.input, x.wire,
		r.state, r.version, r.updated, r.cause, r.holder, e.data
	FROM record r
	LEFT JOIN request q ON q.seq = r.request
	LEFT JOIN bill b ON b.seq = r.bill
	LEFT JOIN body x ON x.record = r.seq
	LEFT JOIN event e ON r.live = 0 AND e.place = r.seq * 1048576 + r.version
	`

// sqlBrief selects records without what they carry.
const sqlBrief = `SELECT r.id, r.institution, r.infno, q.system, q.id, r.step, r.attempt, b.id, r.visit,
		r.operator, r.operator_name, r.operator_type, r.mapping, r.digest, r.created, NULL, NULL,
		r.state, r.version, r.updated, r.cause, r.holder, NULL
	FROM record r
	LEFT JOIN request q ON q.seq = r.request
	LEFT JOIN bill b ON b.seq = r.bill
	`

// sealedRecord is a record as it comes out of the database.
type sealedRecord struct {
	r                   gateway.Record
	system, key, bill   sql.NullString
	digest              []byte
	created, updated    int64
	input, wire, output []byte
}

func (s *sealedRecord) columns() []any {
	r := &s.r
	return []any{&r.ID, &r.Institution, &r.Infno, &s.system, &s.key, &r.Step, &r.Attempt, &s.bill, &r.Visit,
		&r.Operator.ID, &r.Operator.Name, &r.Operator.Type, &r.Mapping, &s.digest, &s.created, &s.input, &s.wire,
		&r.State, &r.Version, &s.updated, &r.Cause, &r.Holder, &s.output}
}

func (j *Journal) openRecord(ctx context.Context, s *sealedRecord) (gateway.Record, error) {
	r := s.r
	r.Request = gateway.RequestKey{System: s.system.String, ID: s.key.String}
	r.Bill = s.bill.String
	r.CreatedAt, r.UpdatedAt = fromMillis(s.created), fromMillis(s.updated)
	copy(r.WireDigest[:], s.digest)
	var errs [3]error
	r.Input, errs[0] = j.unseal(ctx, inputName(r.ID), s.input)
	r.Wire, errs[1] = j.unseal(ctx, wireName(r.ID), s.wire)
	r.Output, errs[2] = j.unseal(ctx, eventName(r.ID, r.Version), s.output)
	return r, errors.Join(errs[:]...)
}

// records runs sqlRecords with a condition, selected a whole query. Rows are read first and opened afterwards, so that a
// connection is not held while the cipher works.
func (j *Journal) records(ctx context.Context, where string, args ...any) ([]gateway.Record, error) {
	return j.selected(ctx, sqlRecords+where, args...)
}

func (j *Journal) selected(ctx context.Context, query string, args ...any) ([]gateway.Record, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	rows, err := j.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	var list []sealedRecord
	for rows.Next() && err == nil {
		var s sealedRecord
		if err = rows.Scan(s.columns()...); err == nil {
			list = append(list, s)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, j.db.Failed(err)
	}
	var out []gateway.Record
	var bad []error
	for i := range list {
		r, err := j.openRecord(ctx, &list[i])
		if err != nil {
			bad = append(bad, err)
		}
		if err == nil || expired(err) {
			out = append(out, r)
		}
	}
	return out, errors.Join(bad...)
}

// expired reports whether nothing else is wrong with a record than that bodies were destroyed.
func expired(err error) bool {
	list, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, gateway.ErrExpired)
	}
	for _, e := range list.Unwrap() {
		if !expired(e) {
			return false
		}
	}
	return true
}

// Record see gateway.Journal.
func (j *Journal) Record(ctx context.Context, id ident.MsgID) (gateway.Record, error) {
	list, err := j.records(ctx, "WHERE r.id = $1", string(id))
	if err != nil && len(list) == 1 { // expired
		return list[0], err
	}
	if err != nil {
		return gateway.Record{}, err
	}
	if len(list) == 0 {
		return gateway.Record{}, fmt.Errorf("%w: record %s", gateway.ErrNotFound, id)
	}
	return list[0], nil
}

// BillRecords see gateway.Journal. Damage is handled as in List.
func (j *Journal) BillRecords(ctx context.Context, bill string) ([]gateway.Record, error) {
	return j.records(ctx, "WHERE r.bill = (SELECT seq FROM bill WHERE id = $1) ORDER BY r.seq", bill)
}

// RequestRecords see gateway.Journal. Damage is handled as in List.
func (j *Journal) RequestRecords(ctx context.Context, key gateway.RequestKey) ([]gateway.Record, error) {
	return j.records(ctx, "WHERE r.request = (SELECT seq FROM request WHERE system = $1 AND id = $2) ORDER BY r.seq",
		key.System, key.ID)
}

// Events see gateway.Journal.
func (j *Journal) Events(ctx context.Context, id ident.MsgID) ([]gateway.Event, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	var seq int64
	found, err := j.db.Get(ctx, `SELECT seq FROM record WHERE id = $1`, []any{string(id)}, &seq)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: record %s", gateway.ErrNotFound, id)
	}
	rows, err := j.db.Query(ctx, `SELECT place, kind, at, cause, ref, note, data, evidence FROM event
		WHERE place > $1 AND place < $2 ORDER BY place`, seq*eventsPerRecord, (seq+1)*eventsPerRecord)
	if err != nil {
		return nil, err
	}
	var out []gateway.Event
	for rows.Next() && err == nil {
		var e gateway.Event
		var key, at int64
		if err = rows.Scan(&key, &e.Kind, &at, &e.Cause, &e.Ref, &e.Note, &e.Data, &e.Evidence); err == nil {
			e.Seq, e.At = int(key-seq*eventsPerRecord), fromMillis(at)
			out = append(out, e)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, j.db.Failed(err)
	}
	var gone error
	for i := range out {
		if out[i].Data, err = j.unseal(ctx, eventName(id, out[i].Seq), out[i].Data); errors.Is(err, gateway.ErrExpired) {
			gone = err
		} else if err != nil {
			return nil, err
		}
		if out[i].Evidence, err = j.unseal(ctx, evidenceName(id, out[i].Seq), out[i].Evidence); err != nil && !errors.Is(err, gateway.ErrExpired) {
			return nil, err
		}
	}
	return out, gone
}

// List see gateway.Journal. When some records can not be opened (damaged, or sealed with another
// key) the others are returned together with an error that names those. Records whose bodies were
// destroyed are among the others, without them, and the error is gateway.ErrExpired too.
func (j *Journal) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	var after int64
	if q.After != "" {
		found, err := j.db.Get(ctx, `SELECT seq FROM record WHERE id = $1`, []any{string(q.After)}, &after)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, fmt.Errorf("%w: record %s", gateway.ErrNotFound, q.After)
		}
	}
	where, args, err := j.condition(q, after)
	if err != nil {
		return nil, err
	}
	if q.Brief {
		return j.selected(ctx, sqlBrief+where, args...)
	}
	return j.records(ctx, where, args...)
}

// condition writes the WHERE of a query. The order is always that of seq; "+r.seq" keeps the
// database from walking all records by seq where a time window is the better way in.
func (j *Journal) condition(q gateway.Query, after int64) (string, []any, error) {
	var parts []string
	var args []any
	add := func(text string, v any) {
		args = append(args, v)
		parts = append(parts, text+" $"+strconv.Itoa(len(args)))
	}
	seq := "r.seq"
	if !q.From.IsZero() || !q.To.IsZero() || !q.Since.IsZero() || len(q.Marks) > 0 {
		seq = "+r.seq"
	}
	if !q.From.IsZero() {
		add("r.created >=", toMillis(q.From))
	}
	if !q.To.IsZero() {
		add("r.created <", toMillis(q.To))
	}
	if q.Institution != "" {
		add("r.institution =", string(q.Institution))
	}
	if q.Infno != "" {
		add("r.infno =", string(q.Infno))
	}
	if q.Queued {
		parts = append(parts, "r.queued = 1")
	}
	if q.Direct {
		parts = append(parts, "r.queued = 0")
	}
	if q.Billed {
		parts = append(parts, "r.bill IS NOT NULL")
	}
	if q.Visit != "" {
		add("r.visit =", q.Visit)
	}
	if !q.Since.IsZero() {
		add("r.updated >=", toMillis(q.Since))
	}
	if len(q.Marks) > 0 {
		if q.Institution == "" {
			return "", nil, errors.New("journal: marks are an institution's own: the query must name one")
		}
		var places []string
		for _, m := range q.Marks {
			args = append(args, j.o.Sealer.Mark(q.Institution, string(m.Kind), markNumber(m.Number)))
			places = append(places, "$"+strconv.Itoa(len(args)))
		}
		parts = append(parts, "r.seq IN (SELECT m.record FROM mark m WHERE m.digest IN ("+strings.Join(places, ", ")+"))")
	}
	if len(q.States) > 0 {
		live, over := true, true
		var places []string
		for _, s := range q.States {
			live, over = live && !s.Final(), over && s.Final()
			args = append(args, string(s))
			places = append(places, "$"+strconv.Itoa(len(args)))
		}
		if live {
			parts = append(parts, "r.live = 1")
		}
		if over {
			parts = append(parts, "r.live = 0")
		}
		parts = append(parts, "r.state IN ("+strings.Join(places, ", ")+")")
	}
	way := ""
	if q.Newest {
		way = " DESC"
	}
	if q.After != "" && q.Newest {
		add(seq+" <", after)
	} else if q.After != "" {
		add(seq+" >", after)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, 10_000)
	most := strconv.Itoa(limit)
	if limit != 1 && limit != 100 && limit != 1000 {
		// The usual ones stand in the text: SQLite plans a query anew each time a limit is bound.
		args = append(args, int64(limit))
		most = "$" + strconv.Itoa(len(args))
	}
	where := ""
	if len(parts) > 0 {
		where = "WHERE " + strings.Join(parts, " AND ") + " "
	}
	return where + "ORDER BY " + seq + way + " LIMIT " + most, args, nil
}
