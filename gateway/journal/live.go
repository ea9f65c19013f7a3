package journal

import (
	"context"
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Live counts the records of one kind that are not finished.
type Live struct {
	Institution ident.Institution
	Infno       ident.Infno
	State       gateway.State
	Queued      bool // of the upload class
	Count       int
	Oldest      time.Time // when the oldest was accepted
}

// Live counts what is not finished. It reads as many rows as there are such records.
func (j *Journal) Live(ctx context.Context) ([]Live, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	rows, err := j.db.Query(ctx, `SELECT institution, infno, state, queued, COUNT(*), MIN(created) FROM record
		WHERE live = 1 GROUP BY institution, infno, state, queued ORDER BY institution, infno, state, queued`)
	if err != nil {
		return nil, err
	}
	var list []Live
	for rows.Next() && err == nil {
		var l Live
		var queued, oldest int64
		if err = rows.Scan(&l.Institution, &l.Infno, &l.State, &queued, &l.Count, &oldest); err == nil {
			l.Queued, l.Oldest = queued == 1, fromMillis(oldest)
			list = append(list, l)
		}
	}
	return list, j.db.Failed(errors.Join(err, rows.Err(), rows.Close()))
}

// Backlog counts the final answers of a system that the HIS has not been given, and tells since when the
// oldest waits.
func (j *Journal) Backlog(ctx context.Context, system string) (n int, oldest time.Time, err error) {
	if err := j.open(ctx); err != nil {
		return 0, oldest, err
	}
	var first int64
	_, err = j.db.Get(ctx, `SELECT COUNT(*), COALESCE(MIN(answered), 0) FROM request
		WHERE system = $1 AND told = 0 AND answer IS NOT NULL`, []any{system}, &n, &first)
	return n, fromMillis(first), err
}
