package book

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

const (
	columns = `id, subject, n, revision, kind, institution, system, request, lane, total, place, business, created,
		state, rev, updated, sent, tries, red_wanted, cause, batch, number, due`
	sqlBills = `SELECT ` + columns + `, draft, platform, seq FROM einvoice `
	// Listing does without what is sealed.
	sqlBrief = `SELECT ` + columns + `, NULL, NULL, seq FROM einvoice `
)

// Brief is what is needed to find out who goes next.
type Brief struct {
	Seq  int64
	ID   string
	Lane string
	Due  time.Time
}

// Query selects bills; zero fields select everything.
type Query struct {
	Institution ident.Institution
	System      string
	Place       string
	From, To    time.Time // business time, To exclusive
	States      []gateway.InvoiceState
	After       int64 // seq: those behind it
	Limit       int   // default 1000
}

// Bill gives one bill; ErrNotFound.
func (b *Book) Bill(ctx context.Context, id string) (Bill, error) {
	list, err := b.bills(ctx, sqlBills+`WHERE id = $1`, id)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%w: bill %s", gateway.ErrNotFound, id)
	}
	if err != nil {
		return Bill{}, err
	}
	return list[0], nil
}

// Bills lists the bills ever made for a subject, oldest first.
func (b *Book) Bills(ctx context.Context, subject string) ([]Bill, error) {
	return b.bills(ctx, sqlBills+`WHERE subject = $1 ORDER BY n`, subject)
}

// Request gives a request that was made before; ErrNotFound.
func (b *Book) Request(ctx context.Context, system, id string) (Request, error) {
	r := Request{System: system, ID: id}
	var digest []byte
	var at int64
	found, err := b.db.Get(ctx, sqlKnown, []any{system, id}, &digest, &r.Op, &r.Ref, &at)
	if err == nil && !found {
		err = fmt.Errorf("%w: request %s", gateway.ErrNotFound, id)
	}
	copy(r.Digest[:], digest)
	r.At = fromMillis(at)
	return r, err
}

// Marked lists the bills of a mark, oldest first.
func (b *Book) Marked(ctx context.Context, mark string) ([]Bill, error) {
	return b.bills(ctx, sqlBills+`WHERE id IN (SELECT bill FROM einvoice_mark WHERE mark = $1) ORDER BY seq`, mark)
}

// List gives the selected bills in the order they were made, without drafts and what platforms told.
// next is what Query.After continues behind.
func (b *Book) List(ctx context.Context, q Query) (list []Bill, next int64, err error) {
	where := []string{"seq > $1"}
	args := []any{q.After}
	add := func(text string, v any) {
		args = append(args, v)
		where = append(where, strings.ReplaceAll(text, "?", "$"+strconv.Itoa(len(args))))
	}
	if q.Institution != "" {
		add("institution = ?", string(q.Institution))
	}
	if q.System != "" {
		add("system = ?", q.System)
	}
	if q.Place != "" {
		add("place = ?", q.Place)
	}
	if !q.From.IsZero() {
		add("business >= ?", millis(q.From))
	}
	if !q.To.IsZero() {
		add("business < ?", millis(q.To))
	}
	if len(q.States) > 0 {
		var in []string
		for _, s := range q.States {
			args = append(args, string(s))
			in = append(in, "$"+strconv.Itoa(len(args)))
		}
		where = append(where, "state IN ("+strings.Join(in, ", ")+")")
	}
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	args = append(args, q.Limit)
	err = b.each(ctx, sqlBrief+"WHERE "+strings.Join(where, " AND ")+" ORDER BY seq LIMIT $"+strconv.Itoa(len(args)), args, func(x Bill, seq int64) {
		list, next = append(list, x), seq
	})
	return list, next, err
}

// Moving lists the bills behind after that are not at rest, in the order they were made.
func (b *Book) Moving(ctx context.Context, after int64, limit int) (list []Brief, err error) {
	rows, err := b.db.Query(ctx, `SELECT seq, id, lane, due FROM einvoice WHERE due > 0 AND seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var x Brief
		var due int64
		if err = rows.Scan(&x.Seq, &x.ID, &x.Lane, &due); err == nil {
			x.Due = fromMillis(due)
			list = append(list, x)
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, b.db.Failed(err)
	}
	return list, nil
}

// Before reports whether a bill of the lane that was made before this one is not at rest.
func (b *Book) Before(ctx context.Context, lane, id string) (bool, error) {
	var n int64
	_, err := b.db.Get(ctx, `SELECT COUNT(*) FROM einvoice WHERE due > 0 AND lane = $1 AND seq < (SELECT seq FROM einvoice WHERE id = $2)`,
		[]any{lane, id}, &n)
	return n > 0, err
}

// Subject gives a subject; ErrNotFound.
func (b *Book) Subject(ctx context.Context, id string) (Subject, error) {
	s := Subject{ID: id}
	var inst string
	var wanted, held, due int64
	var asked []byte
	found, err := b.db.Get(ctx, `SELECT institution, system, rev, wanted, hold, held, due, asked FROM einvoice_subject WHERE id = $1`, []any{id},
		&inst, &s.System, &s.Rev, &wanted, &s.Hold, &held, &due, &asked)
	if err == nil && !found {
		err = fmt.Errorf("%w: subject %s", gateway.ErrNotFound, id)
	}
	if err != nil {
		return Subject{}, err
	}
	s.Institution, s.Wanted, s.HeldAt, s.Due = institution(inst), wanted == 1, fromMillis(held), fromMillis(due)
	return s, b.unseal("einvoice-subject:"+id, asked, &s.Asked)
}

// DueSubjects lists subjects to look at, those first that have been due the longest.
func (b *Book) DueSubjects(ctx context.Context, now time.Time, limit int) (ids []string, err error) {
	rows, err := b.db.Query(ctx, `SELECT id FROM einvoice_subject WHERE due > 0 AND due <= $1 ORDER BY due, id LIMIT $2`, millis(now), limit)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var id string
		if err = rows.Scan(&id); err == nil {
			ids = append(ids, id)
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, b.db.Failed(err)
	}
	return ids, nil
}

// Overtaken lists subjects at rest with a live bill whose settlement has records, made since, that moved after
// the bill was made; of a settlement in the middle of a stay (gateway.MidID) the records of the stay count. The tables
// of the journal must be beside those of the book.
func (b *Book) Overtaken(ctx context.Context, since time.Time) (ids []string, err error) {
	rows, err := b.db.Query(ctx, `SELECT DISTINCT s.id FROM record r JOIN bill x ON x.seq = r.bill JOIN einvoice_subject s ON s.id = x.id
		JOIN einvoice i ON i.subject = s.id AND i.live = 1
		WHERE r.created >= $1 AND r.updated >= i.created AND s.due = 0
		UNION SELECT s.id FROM record r CROSS JOIN bill x CROSS JOIN einvoice_subject s CROSS JOIN einvoice i
		WHERE r.created >= $1 AND x.seq = r.bill AND x.id > 'S' AND x.id < 'T' AND s.id > x.id || 'M' AND s.id < x.id || 'N'
		AND i.subject = s.id AND i.live = 1 AND r.updated >= i.created AND s.due = 0`, millis(since))
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var id string
		if err = rows.Scan(&id); err == nil {
			ids = append(ids, id)
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, b.db.Failed(err)
	}
	return ids, nil
}

// Events gives the history of a bill. What platforms told is opened.
func (b *Book) Events(ctx context.Context, id string) (list []Event, err error) {
	rows, err := b.db.Query(ctx, `SELECT v.place, v.kind, v.at, v.state, v.system, v.desk, v.operator, v.request, v.cause, v.code, v.note, v.data
		FROM einvoice_event v JOIN einvoice i ON v.place > i.seq * 1048576 AND v.place < (i.seq + 1) * 1048576 WHERE i.id = $1 ORDER BY v.place`, id)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var e Event
		var place, at int64
		var data []byte
		if err = rows.Scan(&place, &e.Kind, &at, &e.State, &e.System, &e.Desk, &e.Operator, &e.Request, &e.Cause, &e.Code, &e.Note, &data); err != nil {
			break
		}
		e.Seq, e.At = int(place%eventsPerBill), fromMillis(at)
		if len(data) > 0 {
			e.Bill = &gateway.PlatformBill{}
			err = b.unseal("einvoice-platform:"+id, data, e.Bill)
		}
		list = append(list, e)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, b.db.Failed(err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: bill %s", gateway.ErrNotFound, id)
	}
	return list, nil
}

// Health is nil when a write would be accepted now.
func (b *Book) Health(ctx context.Context) error { return b.db.Health(ctx) }

func (b *Book) bills(ctx context.Context, query string, args ...any) (list []Bill, err error) {
	err = b.each(ctx, query, args, func(x Bill, _ int64) { list = append(list, x) })
	return list, err
}

func (b *Book) each(ctx context.Context, query string, args []any, see func(Bill, int64)) error {
	rows, err := b.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	for rows.Next() && err == nil {
		var x Bill
		var seq int64
		if x, seq, err = b.scan(rows); err == nil {
			see(x, seq)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return b.db.Failed(err)
	}
	return nil
}

func (b *Book) scan(rows *sql.Rows) (x Bill, seq int64, err error) {
	var inst string
	var total, business, created, updated, sent, red, due int64
	var draft, told []byte
	var number gateway.InvoiceNumber
	if err = rows.Scan(&x.ID, &x.Subject, &x.N, &x.Revision, &x.Kind, &inst, &x.System, &x.Request, &x.Lane, &total, &x.Place, &business, &created,
		&x.State, &x.Rev, &updated, &sent, &x.Tries, &red, &x.Cause, &number.Batch, &number.No, &due, &draft, &told, &seq); err != nil {
		return x, 0, err
	}
	x.Institution, x.Total, x.RedWanted = institution(inst), money.Fen(total), red == 1
	x.Business, x.CreatedAt, x.UpdatedAt, x.SentAt, x.Due = fromMillis(business), fromMillis(created), fromMillis(updated), fromMillis(sent), fromMillis(due)
	if err = b.unseal("einvoice-draft:"+x.ID, draft, &x.Draft); err != nil {
		return x, 0, err
	}
	err = b.unseal("einvoice-platform:"+x.ID, told, &x.Platform)
	x.Platform.Number = number
	return x, seq, err
}
