// Package nonce keeps what HIS systems used once in signed calls, in memory and in the journal's
// database, so that a call that was overheard can not be made again: not at this gateway, not at
// another on the same database, not after a restart.
//
// What has expired is removed. How far that went is remembered, too, and a nonce that expires before
// that is refused: when a clock goes back, calls that have been forgotten do not come to life.
package nonce

import (
	"context"
	"errors"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// Options of a Book. DB and Clock are required.
type Options struct {
	DB    *store.DB
	Clock gateway.Clock
	// Most is how many unexpired nonces one system may have; beyond that it is rate-limited. Nothing
	// that has not expired is ever forgotten to make room. Default 200,000, some 20 MB.
	Most int
	// Every is how often expired ones are removed. Default 1 min.
	Every time.Duration
}

// Book is a gateway.Nonces. Safe for concurrent use; several, in several processes, may share one
// database.
type Book struct {
	o Options

	mu      sync.Mutex
	systems map[string]map[string]int64 // nonce -> expires, in milliseconds
	swept   time.Time
}

var _ gateway.Nonces = (*Book)(nil)

// New checks the options. It reads nothing and starts nothing.
func New(o Options) (*Book, error) {
	if o.DB == nil || o.Clock == nil {
		return nil, errors.New("nonce: database and clock are required")
	}
	if o.Most <= 0 {
		o.Most = 200_000
	}
	if o.Every <= 0 {
		o.Every = time.Minute
	}
	return &Book{o: o, systems: map[string]map[string]int64{}}, nil
}

const op = "nonce"

func replayed() error { return &gateway.Error{Code: gateway.CodeReplayed, Op: op} }

// Use implements gateway.Nonces.
func (b *Book) Use(ctx context.Context, system, nonce string, expires time.Time, durable bool) error {
	now := b.o.Clock.Now()
	until := expires.UnixMilli()
	if err := b.take(system, nonce, until, now); err != nil {
		return err
	}
	var err error
	if durable {
		err = b.write(ctx, system, nonce, until)
	} else {
		err = b.look(ctx, system, nonce, until)
	}
	if err != nil && !isReplay(err) {
		b.giveBack(system, nonce) // it may be tried again
	}
	return err
}

func isReplay(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeReplayed
}

// take notes a nonce in memory.
func (b *Book) take(system, nonce string, until int64, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := now.Sub(b.swept); d >= b.o.Every || d < 0 {
		b.swept = now
		b.sweep(now.UnixMilli())
	}
	m := b.systems[system]
	if m == nil {
		m = map[string]int64{}
		b.systems[system] = m
	}
	if _, used := m[nonce]; used {
		return replayed()
	}
	if len(m) >= b.o.Most {
		return &gateway.Error{Code: gateway.CodeRateLimited, Op: op, RetryAfter: b.o.Every}
	}
	m[nonce] = until
	return nil
}

func (b *Book) giveBack(system, nonce string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.systems[system], nonce)
}

// sweep forgets in memory what has expired; the database still knows until its own is removed. mu is
// held.
func (b *Book) sweep(now int64) {
	for system, m := range b.systems {
		for n, until := range m {
			if until < now {
				delete(m, n)
			}
		}
		if len(m) == 0 {
			delete(b.systems, system)
		}
	}
	// Removing from the database is the next commit's business; a failure is made good next time.
	b.o.DB.Later(func(tx *store.Tx) error { return remove(tx, now) }, nil)
}

const (
	sqlUse       = `INSERT INTO his_nonce (system, nonce, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`
	sqlForgotten = `SELECT COALESCE(MAX(expires), 0) FROM his_nonce WHERE system = ''`
	sqlLook      = `SELECT (SELECT COUNT(*) FROM his_nonce WHERE system = $1 AND nonce = $2), (` + sqlForgotten + `)`
)

// remove takes out what has expired, and notes up to when.
func remove(tx *store.Tx, now int64) error {
	var last int64
	_, err := tx.Get(`SELECT COALESCE(MAX(expires), 0) FROM his_nonce WHERE expires < $1 AND system <> ''`, []any{now}, &last)
	if err != nil || last == 0 {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO his_nonce (system, nonce, expires) VALUES ('', '', $1)
		ON CONFLICT (system, nonce) DO UPDATE SET expires = CASE WHEN his_nonce.expires < excluded.expires THEN excluded.expires ELSE his_nonce.expires END`, last); err != nil {
		return err
	}
	_, err = tx.Exec(`DELETE FROM his_nonce WHERE expires <= $1 AND system <> ''`, last)
	return err
}

// write makes a nonce durable.
func (b *Book) write(ctx context.Context, system, nonce string, until int64) error {
	err := b.o.DB.Do(ctx, func(tx *store.Tx) error {
		var forgotten int64
		if _, err := tx.Get(sqlForgotten, nil, &forgotten); err != nil {
			return err
		}
		n, err := tx.Exec(sqlUse, system, nonce, until)
		if err == nil && (n == 0 || until <= forgotten) {
			err = replayed()
		}
		return err
	})
	return storage(err)
}

// look asks the database, and has the nonce written with the next commit.
func (b *Book) look(ctx context.Context, system, nonce string, until int64) error {
	var used, forgotten int64
	if _, err := b.o.DB.Get(ctx, sqlLook, []any{system, nonce}, &used, &forgotten); err != nil {
		return storage(err)
	}
	if used > 0 || until <= forgotten {
		return replayed()
	}
	b.o.DB.Later(func(tx *store.Tx) error {
		_, err := tx.Exec(sqlUse, system, nonce, until)
		return err
	}, nil)
	return nil
}

func storage(err error) error {
	var e *gateway.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
}
