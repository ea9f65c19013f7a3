package dbview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"yiqiao/adapters/his/tabular"
)

// ResultColumns are what a table of results may have beside its key; what it does not have is not
// written. All are texts. Lengths to provide: text, next and detail 400 characters, place 1000, key,
// ids and amounts 64, everything else 64; final is 1 or 0.
var ResultColumns = append([]string{"final", "outcome", "code", "text", "next", "owner", "detail", "place", "op", "request_id", "id", "state",
	"setl_id", "mdtrt_id", "msgid", "charged", "mapping"}, tabular.AmountNames[:]...)

// values are the columns of a line.
func values(l tabular.Line, final bool) map[string]string {
	out := map[string]string{"final": "0", "outcome": l.Outcome, "code": l.Code, "text": clip(l.Text, 400), "next": clip(l.Next, 400), "owner": l.Owner,
		"detail": clip(l.Detail, 400), "place": places(l), "op": l.Op, "request_id": l.RequestID, "id": l.ID, "state": l.State, "setl_id": l.SetlID,
		"mdtrt_id": l.Visit, "msgid": l.MsgID, "charged": l.Charged, "mapping": clip(l.Mapping, 64)}
	if final {
		out["final"] = "1"
	}
	for i, n := range tabular.AmountNames {
		out[n] = l.Amounts[i]
	}
	return out
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// places says where in the message what is wrong: [fee]2 item_code map-item-unknown ...; a row of a
// detail is counted within the detail.
func places(l tabular.Line) string {
	var list []string
	for i, f := range l.Findings {
		if i == 10 {
			list = append(list, "…")
			break
		}
		at := f.Column
		if f.Part != "" {
			at = fmt.Sprintf("[%s]%d %s", f.Part, f.Row, f.Column)
		}
		list = append(list, strings.Join(strings.Fields(at+" "+f.Path+" "+f.Code+" "+f.Text), " "))
	}
	return clip(strings.Join(list, "; "), 1000)
}

// write puts a result in its place and says in the status column that it is there: one transaction of
// the HIS's database.
func (s *Source) write(ctx context.Context, key string, l tabular.Line, final bool) error {
	if err := s.step("write " + key); err != nil {
		return err
	}
	s.wrote = l
	v := values(l, final)
	err := s.writeBoth(ctx, key, v, l, final)
	if err == nil || ctx.Err() != nil || errors.Is(err, errStopped) {
		return err
	}
	// A column may be shorter than it should: one row must not keep all the others from being read.
	for n, text := range v {
		v[n] = clip(text, 60)
	}
	if again := s.writeBoth(ctx, key, v, l, final); again == nil {
		s.o.Log.Warn("a result was written in short: the table's columns are too short", "system", s.o.System, "err", short(err).Error())
		return nil
	}
	return err
}

// errStopped is what a step ends with.
var errStopped = errors.New("stopped")

func (s *Source) writeBoth(ctx context.Context, key string, v map[string]string, l tabular.Line, final bool) (err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	if s.o.View.Result.Table != "" {
		if err = s.writeRow(ctx, tx, key, v); err != nil {
			return err
		}
	}
	if st := s.o.View.Status; st != nil {
		if err = s.writeStatus(ctx, tx, key, st.of(l, final)); err != nil {
			return err
		}
	}
	if err = s.step("commit " + key); err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	return s.step("committed " + key)
}

// of is the status that stands for a result.
func (st Status) of(l tabular.Line, final bool) string {
	switch {
	case !final:
		return st.Unknown
	case l.Outcome == "queued" && st.Queued != "":
		return st.Queued
	case l.Outcome == "done", l.Outcome == "queued", l.Outcome == "ignored":
		return st.Done
	}
	return st.Refused
}

func (s *Source) writeRow(ctx context.Context, tx *sql.Tx, key string, v map[string]string) error {
	r := s.o.View.Result
	var set, names, marks []string
	var args []any
	for _, c := range s.results {
		theirs := c
		if n := r.Rename[c]; n != "" {
			theirs = n
		}
		args = append(args, v[c])
		set = append(set, theirs+" = "+s.d.place(len(args)))
		names, marks = append(names, theirs), append(marks, s.d.place(len(args)))
	}
	args = append(args, key)
	at := s.d.place(len(args))
	done, err := tx.ExecContext(ctx, "update "+r.Table+" set "+strings.Join(set, ", ")+" where "+r.Key+" = "+at, args...)
	if err != nil {
		return err
	}
	if n, err := done.RowsAffected(); err != nil || n > 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "insert into "+r.Table+" ("+strings.Join(append(names, r.Key), ", ")+") values ("+strings.Join(append(marks, at), ", ")+")", args...)
	return err
}

func (s *Source) writeStatus(ctx context.Context, tx *sql.Tx, key, to string) error {
	st := s.o.View.Status
	table := st.Table
	if table == "" {
		table = s.o.View.From
	}
	p := s.d.place
	// Only what is still as it was taken: the HIS may have withdrawn it.
	_, err := tx.ExecContext(ctx, "update "+table+" set "+st.Column+" = "+p(1)+" where "+s.o.View.Key+" = "+p(2)+" and "+st.Column+" in ("+p(3)+", "+p(4)+")",
		to, key, st.New, st.Unknown)
	return err
}

// look finds out which columns of results there are.
func (s *Source) lookResults(ctx context.Context) error {
	r := s.o.View.Result
	if r.Table == "" {
		return nil
	}
	there, err := s.columns(ctx, r.Table)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(there, func(n string) bool { return strings.EqualFold(n, r.Key) }) {
		return &problem{"result: " + r.Table + " 没有列 / has no column " + r.Key}
	}
	s.results = nil
	for _, c := range ResultColumns {
		theirs := c
		if n := r.Rename[c]; n != "" {
			theirs = n
		}
		has := slices.ContainsFunc(there, func(n string) bool { return strings.EqualFold(n, theirs) })
		switch {
		case strings.EqualFold(theirs, r.Key):
			// The key of their table may be called as one of ours is.
		case has:
			s.results = append(s.results, c)
		case r.Rename[c] != "" || c == "outcome" || c == "final" && s.o.View.Mark != nil:
			return &problem{"result: " + r.Table + " 没有列 / has no column " + theirs}
		}
	}
	return nil
}

// columns are those of a table or view, without reading a row.
func (s *Source) columns(ctx context.Context, table string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "select * from "+table+" where 1 = 0")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err == nil {
		err = rows.Err()
	}
	return names, err
}
