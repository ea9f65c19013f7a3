package journal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

const (
	sqlJoin = `INSERT INTO holder (name, life, until) VALUES ($1, 1, $2)
		ON CONFLICT (name) DO UPDATE SET life = holder.life + 1, until = excluded.until RETURNING life`
	sqlHold = `UPDATE holder SET until = $1 WHERE name = $2 AND life = $3`
	sqlLife = `SELECT life FROM holder WHERE name = $1`

	// sqlGone holds for a record that nobody has at the time $1.
	sqlGone = `(r.held <= $1 OR r.holder NOT IN (SELECT h.name || '#' || CAST(h.life AS TEXT) FROM holder h WHERE h.until > $1))`

	sqlClaim = `UPDATE record SET holder = $2, held = $3 WHERE seq =
		(SELECT r.seq FROM record r WHERE r.id = $4 AND r.live = 1 AND (r.holder = $2 OR ` + sqlGone + `) {free})`
	sqlRelease = `UPDATE record SET holder = '', held = 0 WHERE seq =
		(SELECT r.seq FROM record r WHERE r.id = $1 AND r.holder = $2 {lock})`

	mostOrphans = 1000
)

// heldWhileSent is the end of the claim on a sent record: only its holder's lease ends it.
const heldWhileSent = math.MaxInt64

// life takes a holder apart.
func life(h gateway.Holder) (name string, n int64, err error) {
	at := strings.LastIndexByte(string(h), '#')
	if at > 0 {
		n, err = strconv.ParseInt(string(h[at+1:]), 10, 64)
	}
	if at <= 0 || err != nil {
		return "", 0, fmt.Errorf("journal: %q is no holder", h)
	}
	return string(h[:at]), n, nil
}

func again(name string) error { return fmt.Errorf("%w: %s was joined again", gateway.ErrStale, name) }

// Join see gateway.Holders.
func (j *Journal) Join(ctx context.Context, name string, until time.Time) (gateway.Holder, error) {
	if err := j.open(ctx); err != nil {
		return "", err
	}
	if name == "" {
		return "", errors.New("journal: a holder needs a name")
	}
	var n int64
	err := j.db.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Insert(sqlJoin, []any{name, toMillis(until)}, &n)
		return err
	})
	if err != nil {
		return "", err
	}
	return gateway.Holder(name + "#" + strconv.FormatInt(n, 10)), nil
}

// Hold see gateway.Holders.
func (j *Journal) Hold(ctx context.Context, h gateway.Holder, until time.Time) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	name, n, err := life(h)
	if err != nil {
		return err
	}
	return j.db.Do(ctx, func(tx *store.Tx) error {
		rows, err := tx.Exec(sqlHold, toMillis(until), name, n)
		if err == nil && rows == 0 {
			err = again(name)
		}
		return err
	})
}

// Claim see gateway.Holders.
func (j *Journal) Claim(ctx context.Context, h gateway.Holder, ids []ident.MsgID, now, until time.Time) ([]ident.MsgID, error) {
	if err := j.open(ctx); err != nil {
		return nil, err
	}
	name, n, err := life(h)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var taken []ident.MsgID
	err = j.db.Do(ctx, func(tx *store.Tx) error {
		taken = nil
		var present int64
		if _, err := tx.Get(sqlLife, []any{name}, &present); err != nil {
			return err
		}
		if present != n {
			return again(name)
		}
		for _, id := range ids {
			rows, err := tx.Exec(sqlClaim, toMillis(now), string(h), toMillis(until), string(id))
			if err != nil {
				return err
			}
			if rows == 1 {
				taken = append(taken, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

// Release see gateway.Holders.
func (j *Journal) Release(ctx context.Context, h gateway.Holder, ids []ident.MsgID) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	if len(ids) == 0 {
		return nil
	}
	return j.db.Do(ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			if _, err := tx.Exec(sqlRelease, string(id), string(h)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Orphans see gateway.Holders. Damage is handled as in List.
func (j *Journal) Orphans(ctx context.Context, now time.Time) ([]gateway.Record, error) {
	return j.records(ctx, "WHERE "+sqlGone+" AND r.live = 1 AND r.state = 'sent' ORDER BY r.seq LIMIT $2", toMillis(now), int64(mostOrphans))
}
