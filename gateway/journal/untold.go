package journal

import (
	"context"
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Untold lists requests of a system that have a final answer which the HIS has not been given: those
// answered before a time, in the order they were answered, behind after (the zero request: from the
// first). Answers are left out. At most limit, 1,000 where it is 0.
func (j *Journal) Untold(ctx context.Context, system string, before time.Time, after gateway.RequestKey, limit int) ([]gateway.Request, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	var at, seq int64
	if after.ID != "" {
		if _, err := j.db.Get(ctx, `SELECT answered, seq FROM request WHERE system = $1 AND id = $2`, []any{after.System, after.ID}, &at, &seq); err != nil {
			return nil, err
		}
	}
	if limit <= 0 {
		limit = 1000
	}
	rows, err := j.db.Query(ctx, `SELECT id, op, institution, ref, created, answered FROM request
		WHERE system = $1 AND told = 0 AND answer IS NOT NULL AND answered < $2
			AND (answered > $3 OR answered = $3 AND seq > $4)
		ORDER BY answered, seq LIMIT $5`, system, toMillis(before), at, seq, int64(limit))
	if err != nil {
		return nil, err
	}
	var list []gateway.Request
	for rows.Next() && err == nil {
		r := gateway.Request{Key: gateway.RequestKey{System: system}}
		var inst string
		var created, answered int64
		if err = rows.Scan(&r.Key.ID, &r.Op, &inst, &r.Ref, &created, &answered); err == nil {
			r.Institution, r.CreatedAt, r.AnsweredAt = ident.Institution(inst), fromMillis(created), fromMillis(answered)
			r.Told = j.isTold(r.Key) // noted, and about to be written: the caller passes over it
			list = append(list, r)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, j.db.Failed(err)
	}
	return list, nil
}
