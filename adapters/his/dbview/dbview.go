// Package dbview takes what a HIS puts into tables or views of its own database and writes results back
// there: the integration by "intermediate tables" that many HIS vendors offer.
//
// A message is one row of the view, with the rows of its detail tables. It is taken by a status column,
// or by a high-water mark together with a table of results. Rows are worked on one after the other, in
// the order of the mark or the order column; each result is written in one transaction of the HIS's
// database, together with the status.
//
// Nothing is remembered here that matters: what is to be done is asked of the HIS's database each time
// (the status, or the absence of a final result), and a row that is read again leads to the same
// requests, which the desk answers from its journal. So a process that is killed between reading,
// carrying out and writing back loses nothing and does nothing twice, and a mark that is lost only costs
// reading. Rows with equal marks, rows that arrive late below the mark and a clock that was set back are
// met by an overlap and by a sweep over everything since Mark.From. One journal's gateways work on a view,
// one of them at a time.
//
// A message whose outcome is not known is marked so and asked for until it is; its lane waits, the
// others go on. What can not be taken just now is tried for Wait, everything behind it waits, and then
// it is refused. A view that is away is Trouble, with a growing pause, and goes on when it is back.
//
// PostgreSQL and MySQL or MariaDB are tested against real servers. SQL Server and Oracle are compiled
// in with the build tag alldb and were never run against one.
package dbview

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Kind is the name mappings of databases have as their source.
const Kind = "sql"

// Options is what a Source needs. Fields without a default are required.
type Options struct {
	Desk         gateway.Desk
	Mapper       gateway.Mapper // of notation Kind
	Clock        gateway.Clock
	System       string
	Institutions []ident.Institution
	Driver       string // see Drivers
	DSN          string // without the password
	Password     string
	View         View
	Journal      string       // says which journal the gateway has: the view is claimed for it, see claim. None: it is not claimed
	MarkFile     string       // where the mark is kept; none: it is found anew after a restart, by reading more
	Log          *slog.Logger // default: nowhere

	Every time.Duration // between two looks; default 2 s
	Wait  time.Duration // how long what can not be taken is tried again; default 10 min, negative: not
	Batch int           // rows read at once; default 100
}

// Source is one view that is polled. Poll and Run are for one goroutine; Trouble for any.
type Source struct {
	o       Options
	d       dialect
	db      *sql.DB
	clerk   *tabular.Clerk
	open    map[string]*waiting // messages without a final answer, by key
	held    time.Time
	tries   int
	since   map[string]time.Time // when a message was first held
	mark    string               // highest mark below which nothing is open, "" before the first
	swept   time.Time
	ready   bool     // the columns were looked at
	results []string // columns of the table of results
	claim   claim
	wrote   tabular.Line // what was written last

	// step is called before every step a crash may fall on; an error ends the work as a crash would.
	step func(at string) error

	tender *tabular.Tender
}

// waiting is a message whose outcome is being found out.
type waiting struct {
	due   time.Time
	first time.Time
	tries int
	said  string // code that was written back
}

// maxBackOff is the longest pause between two tries.
const maxBackOff = 5 * time.Minute

// maxDetails bounds the rows of one message.
const maxDetails = 5000

// New checks the options. The database need not be there yet.
func New(o Options) (*Source, error) {
	if o.Desk == nil || o.Mapper == nil || o.Clock == nil {
		return nil, errors.New("dbview: desk, mapper and clock are required")
	}
	if err := o.View.Check(); err != nil {
		return nil, err
	}
	db, err := Open(o.Driver, o.DSN, o.Password)
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Every == 0 {
		o.Every = 2 * time.Second
	}
	if o.Wait == 0 {
		o.Wait = 10 * time.Minute
	}
	if o.Batch <= 0 {
		o.Batch = 100
	}
	clerk, err := tabular.NewClerk(o.Desk, o.Mapper, Kind, gateway.Caller{System: o.System, Institutions: o.Institutions}, o.Log)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s := &Source{o: o, d: dialects()[o.Driver], db: db, clerk: clerk, open: map[string]*waiting{}, since: map[string]time.Time{}, step: func(string) error { return nil },
		tender: &tabular.Tender{Kind: "dbview", What: "view", System: o.System, Log: o.Log, Clock: o.Clock, Every: o.Every, Most: time.Minute, Short: short}}
	s.db.SetMaxOpenConns(3) // one of them holds the claim
	s.db.SetConnMaxLifetime(5 * time.Minute)
	s.loadMark()
	return s, nil
}

// Close ends the connections.
func (s *Source) Close() error {
	s.unclaim()
	return s.db.Close()
}

// Trouble says what keeps the view from being worked on, "" when nothing does.
func (s *Source) Trouble() string { return s.tender.Trouble() }

// Run polls again and again until ctx ends.
func (s *Source) Run(ctx context.Context) error { return s.tender.Run(ctx, s.Poll) }

// record is one row of the view.
type record struct {
	key  string
	mark string // or what the order column holds
	row  *tabular.Row

	twice bool // another row has this key
}

// Poll works on everything that is due, once. An error is one of the database.
func (s *Source) Poll(ctx context.Context) error {
	now := s.o.Clock.Now()
	if s.held.Sub(now) > maxBackOff { // the clock was set back
		s.held = now
	}
	if now.Before(s.held) {
		return nil
	}
	if mine, err := s.claimed(ctx); err != nil || !mine {
		return err
	}
	if !s.ready {
		if err := s.lookColumns(ctx); err != nil {
			return err
		}
	}
	err := s.pass(ctx, now)
	if err != nil {
		s.ready = false // what was there may be so no more
	}
	return err
}

// lookColumns sees to it that every column that is needed is there.
func (s *Source) lookColumns(ctx context.Context) error {
	v := s.o.View
	needs := slices.Concat([]string{v.Key}, v.Columns, v.Lane)
	for _, n := range []string{v.Type, v.orderBy()} {
		if n != "" {
			needs = append(needs, n)
		}
	}
	if v.Status != nil {
		needs = append(needs, v.Status.Column)
	}
	if err := s.has(ctx, v.From, needs); err != nil {
		return err
	}
	for _, d := range v.Details {
		needs := append([]string{d.By}, d.Columns...)
		if d.Order != "" {
			needs = append(needs, d.Order)
		}
		if err := s.has(ctx, d.From, needs); err != nil {
			return err
		}
	}
	if err := s.lookResults(ctx); err != nil {
		return err
	}
	s.ready = true
	return nil
}

func (s *Source) has(ctx context.Context, table string, needs []string) error {
	there, err := s.columns(ctx, table)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if !slices.ContainsFunc(there, func(c string) bool { return strings.EqualFold(c, n) }) {
			return &problem{fmt.Sprintf("%s 没有列 %s, 有 / has no column %s, there are: %s", table, n, n, clip(strings.Join(there, ", "), 300))}
		}
	}
	return nil
}

// walk is one pass over what is to be done.
type walk struct {
	now     time.Time
	lanes   map[string]bool
	lowest  string // mark of the first message without a final answer
	highest string
	stopped bool // something is held, or the program ends
}

func (s *Source) pass(ctx context.Context, now time.Time) error {
	w := &walk{now: now, lanes: map[string]bool{}}
	m := s.o.View.Mark
	sweeping := false
	if m != nil {
		every, _ := m.sweep()
		sweeping = s.swept.IsZero() || now.Sub(s.swept) >= every || now.Before(s.swept)
	}
	after := (*record)(nil)
	for !w.stopped {
		list, more, err := s.read(ctx, after, sweeping)
		if err != nil {
			return err
		}
		for i := range list {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := s.message(ctx, &list[i], w); err != nil {
				return err
			}
			if w.stopped {
				break
			}
		}
		if !more {
			break
		}
		after = &list[len(list)-1]
	}
	if !w.stopped {
		s.tries = 0
		if sweeping {
			s.swept = now
		}
		if m != nil {
			return s.advance(w)
		}
	}
	return nil
}

// read gives the next rows that have no final result, and whether there are more behind them.
func (s *Source) read(ctx context.Context, after *record, sweeping bool) (out []record, more bool, err error) {
	v := s.o.View
	var where []string
	var args []any
	arg := func(a any) string { args = append(args, a); return s.d.place(len(args)) }
	ord := v.orderBy()
	if v.Status != nil {
		where = append(where, "v."+v.Status.Column+" in ("+arg(v.Status.New)+", "+arg(v.Status.Unknown)+")")
	} else {
		r := v.Result
		final := "final"
		if n := r.Rename["final"]; n != "" {
			final = n
		}
		where = append(where, "not exists (select 1 from "+r.Table+" r where r."+r.Key+" = v."+v.Key+" and r."+final+" = "+arg("1")+")")
		if from := s.bound(sweeping); sweeping {
			// A row without a mark is below every bound.
			where, ord = append(where, "(v."+v.Mark.Column+" >= "+arg(s.given(from))+" or v."+v.Mark.Column+" is null)"), ""
		} else {
			where = append(where, "v."+v.Mark.Column+" >= "+arg(s.given(from)))
		}
	}
	order := "v." + v.Key
	if ord != "" {
		order = "v." + ord + ", v." + v.Key
	}
	switch {
	case after == nil:
	case ord == "":
		where = append(where, "v."+v.Key+" > "+arg(after.key))
	default:
		where = append(where, "(v."+ord+" > "+arg(s.given(after.mark))+" or v."+ord+" = "+arg(s.given(after.mark))+" and v."+v.Key+" > "+arg(after.key)+")")
	}
	query := s.d.limit("select v.* from "+v.From+" v where "+strings.Join(where, " and ")+" order by "+order, s.o.Batch+1)
	keys := map[string]int{}
	err = s.rows(ctx, query, args, s.o.Batch+1, func(row *tabular.Row, marks []string) error {
		rec := record{key: row.Cell(v.Key), row: row}
		if rec.key == "" {
			return &problem{v.From + ": 有一行的 " + v.Key + " 为空 / a row has no " + v.Key}
		}
		if by := v.orderBy(); by != "" {
			if i := slices.Index(row.Head.Names(), by); i >= 0 {
				rec.mark = marks[i]
			}
		}
		keys[rec.key]++
		out = append(out, rec)
		return nil
	})
	if more = len(out) > s.o.Batch; more {
		out = out[:s.o.Batch] // the one behind them is read to see whether it has the key of the last
	}
	for i := range out {
		out[i].twice = keys[out[i].key] > 1
	}
	return out, more, err
}

// given is a mark as the driver wants it.
func (s *Source) given(mark string) any {
	if s.d.times {
		if t, _, ok := parseMark(mark); ok {
			return t
		}
	}
	return mark
}

// bound is the lowest mark that is read.
func (s *Source) bound(sweeping bool) string {
	m := s.o.View.Mark
	if sweeping || s.mark == "" {
		return m.From
	}
	d, n, _ := m.overlap()
	low := s.mark
	if t, form, ok := parseMark(s.mark); ok {
		low = t.Add(-d).Format(form)
		if from, _, ok := parseMark(m.From); ok && t.Add(-d).Before(from) {
			return m.From
		}
	} else if k, err := strconv.ParseInt(s.mark, 10, 64); err == nil {
		low = strconv.FormatInt(k-n, 10)
		if from, err := strconv.ParseInt(m.From, 10, 64); err == nil && k-n < from {
			return m.From
		}
	}
	return low
}

// rows runs a query and gives its rows as text.
func (s *Source) rows(ctx context.Context, query string, args []any, most int, each func(row *tabular.Row, marks []string) error) error {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = s.spelt(t.Name())
	}
	head, err := tabular.NewHead(names)
	if err != nil {
		return &problem{err.Error()}
	}
	for n := 1; rows.Next() && n <= most; n++ {
		cells, marks := make([]string, len(types)), make([]string, len(types))
		got, into := make([]any, len(types)), make([]any, len(types))
		for i := range got {
			into[i] = &got[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range got {
			cells[i], marks[i] = textOf(v, types[i].DatabaseTypeName())
		}
		if err := each(&tabular.Row{Head: head, Cells: cells, Number: n}, marks); err != nil {
			return err
		}
	}
	return rows.Err()
}

// spelt gives a column the spelling of the layout: databases differ in what they make of capitals.
func (s *Source) spelt(column string) string {
	v := s.o.View
	names := slices.Concat([]string{v.Key, v.Type, v.orderBy()}, v.Lane, v.Columns)
	for _, d := range v.Details {
		names = append(append(names, d.By), d.Columns...)
	}
	for _, n := range names {
		if n != "" && strings.EqualFold(n, column) {
			return n
		}
	}
	return column
}

// message carries out one row of the view and writes back what came of it.
func (s *Source) message(ctx context.Context, rec *record, w *walk) error {
	lane := rec.row.Joined(s.o.View.Lane)
	waits := func() {
		if lane != "" {
			w.lanes[lane] = true
		}
		if w.lowest == "" {
			w.lowest = rec.mark
		}
	}
	if rec.mark != "" {
		w.highest = later(w.highest, rec.mark)
	}
	known := s.open[rec.key]
	if known != nil && known.due.Sub(w.now) > maxBackOff {
		known.due = w.now
	}
	if lane != "" && w.lanes[lane] || known != nil && w.now.Before(known.due) {
		waits()
		return nil
	}
	m, faults, err := s.whole(ctx, rec)
	if err != nil {
		return err
	}
	if err := s.step("carry out " + rec.key); err != nil {
		return err
	}
	var r tabular.Result
	if len(faults) > 0 {
		r = tabular.Refuse(m, faults...)
	} else if r = s.clerk.Do(ctx, m); ctx.Err() != nil {
		return ctx.Err() // what it says of the end of our waiting is not what came of it
	}
	if err := s.step("carried out " + rec.key); err != nil {
		return err
	}
	last := r.Lines[len(r.Lines)-1]
	if r.Standing == tabular.Held && !s.late(rec.key, w.now) {
		waits()
		s.tries++
		s.held, w.stopped = s.o.Clock.Now().Add(min(time.Second<<min(s.tries, 16), 30*time.Second)), true
		return nil
	}
	delete(s.since, rec.key)
	if r.Standing == tabular.Open {
		if known == nil {
			known = &waiting{first: w.now}
			s.open[rec.key] = known
		}
		given := s.o.Wait < 0 || w.now.Sub(known.first) >= s.o.Wait
		if last.Code != string(gateway.CodeInternal) || !given {
			waits()
			known.tries++
			known.due = s.o.Clock.Now().Add(min(time.Second<<min(known.tries, 16), maxBackOff))
			if said := last.Outcome + last.Code; said != known.said {
				known.said = said
				return s.write(ctx, rec.key, last, false)
			}
			return nil
		}
	}
	if err := s.write(ctx, rec.key, last, true); err != nil {
		return err
	}
	delete(s.open, rec.key)
	s.clerk.Told(r.Lines)
	return nil
}

// late reports whether a message has been held for too long.
func (s *Source) late(key string, now time.Time) bool {
	if s.o.Wait < 0 {
		return true
	}
	first, ok := s.since[key]
	if !ok || now.Before(first) {
		first = now
		s.since[key] = now
	}
	return now.Sub(first) >= s.o.Wait
}

// later is the higher of two marks.
func later(a, b string) string {
	if a == "" {
		return b
	}
	if t, _, ok := parseMark(a); ok {
		if u, _, ok := parseMark(b); ok && u.After(t) {
			return b
		}
		return a
	}
	if n, err := strconv.ParseInt(a, 10, 64); err == nil {
		if k, err := strconv.ParseInt(b, 10, 64); err == nil && k > n {
			return b
		}
		return a
	}
	return max(a, b)
}

// whole reads the details of a message.
func (s *Source) whole(ctx context.Context, rec *record) (*tabular.Message, []tabular.Fault, error) {
	v := s.o.View
	rec.row.Number = 1
	m := &tabular.Message{Type: v.As, ID: s.id(rec.key), Key: rec.key, Rows: []*tabular.Row{rec.row}}
	if v.Type != "" {
		m.Type = rec.row.Cell(v.Type)
	}
	var faults []tabular.Fault
	if rec.twice {
		faults = append(faults, tabular.Fault{Row: 1, Column: v.Key, Code: tabular.CodeKeyTwice})
	}
	for _, d := range v.Details {
		query := "select * from " + d.From + " where " + d.By + " = " + s.d.place(1)
		if d.Order != "" {
			query += " order by " + d.Order
		}
		n := 0
		err := s.rows(ctx, query, []any{rec.key}, maxDetails+1, func(row *tabular.Row, _ []string) error {
			row.Part = d.Name
			n++
			m.Rows = append(m.Rows, row)
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		if n > maxDetails {
			faults = append(faults, tabular.Fault{Code: tabular.CodeLimits, What: d.Name + " > " + strconv.Itoa(maxDetails)})
			m.Rows = m.Rows[:1]
		}
	}
	for _, r := range m.Rows {
		for i, c := range r.Cells {
			if strings.IndexByte(c, 0) >= 0 {
				faults = append(faults, tabular.Fault{Row: r.Number, Column: r.Head.Names()[i], Code: tabular.CodeZero})
			}
		}
	}
	return m, faults, nil
}

// id is fit for a request id: of the system, the view and the key.
func (s *Source) id(key string) string {
	a, b := sha256.Sum256([]byte(s.o.System+"\x00"+s.o.View.From)), sha256.Sum256([]byte(key))
	return "D" + hex.EncodeToString(a[:8]) + "-" + hex.EncodeToString(b[:10])
}

// advance moves the mark: up to the first message that has no final answer.
func (s *Source) advance(w *walk) error {
	to := later(s.mark, w.highest)
	if w.highest == "" {
		to = s.mark
	}
	if w.lowest != "" && later(w.lowest, to) == to {
		to = w.lowest
	}
	// A mark of the future, of a clock that will be set back, must not hide what comes until then.
	if t, form, ok := parseMark(to); ok {
		if now := w.now.In(gateway.China); form == zoneForm && t.After(now) || form != zoneForm && t.After(time.Date(now.Year(), now.Month(), now.Day(), now.Hour(), now.Minute(), now.Second(), now.Nanosecond(), time.UTC)) {
			to = now.Format(form)
		}
	}
	if to == s.mark {
		return nil
	}
	s.mark = to
	if s.o.MarkFile == "" {
		return nil
	}
	b, err := json.Marshal(map[string]string{"view": s.o.View.From, "mark": to})
	if err == nil {
		err = os.WriteFile(s.o.MarkFile+".tmp", b, 0o600)
	}
	if err == nil {
		err = os.Rename(s.o.MarkFile+".tmp", s.o.MarkFile)
	}
	if err != nil {
		s.o.Log.Warn("the mark can not be kept", "system", s.o.System, "err", err.Error()) // it only saves reading
	}
	return nil
}

func (s *Source) loadMark() {
	if s.o.MarkFile == "" || s.o.View.Mark == nil {
		return
	}
	b, err := os.ReadFile(s.o.MarkFile)
	var kept struct{ View, Mark string }
	if err == nil && json.Unmarshal(b, &kept) == nil && kept.View == s.o.View.From {
		s.mark = kept.Mark
	}
}
