// Package journal keeps every transaction as an append-only history in a store.
//
// A record's state is the fold of its events; the columns that hold it are there to be searched and
// are checked against the events by Fsck. Bodies are sealed by the caller's goroutine before the
// write waits in line, so that many callers share one fsync and none waits for another's cipher.
package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// Sealer protects bodies at rest; vault.Vault is one. Safe for concurrent use.
type Sealer interface {
	// Seal encrypts plain and binds it to name. The key is that of the scope.
	Seal(ctx context.Context, of vault.Scope, name string, plain []byte) ([]byte, error)
	// Open gives back what was sealed for the same name and fails for anything else;
	// gateway.ErrExpired when it was destroyed.
	Open(ctx context.Context, name string, sealed []byte) ([]byte, error)
	// Mark is the keyed digest of a number within an institution; nil when it is not to be found.
	Mark(inst ident.Institution, kind, number string) []byte
	// Key is the number under which the database knows the key of a scope.
	Key(ctx context.Context, of vault.Scope) (int64, error)
}

// Options of a journal.
type Options struct {
	Sealer Sealer  // required
	Audit  Auditor // has what is written noted in the database's ledger. Default: nobody
}

// Journal implements gateway.Journal on a database. Several may share one database, in one process
// or in many.
type Journal struct {
	db     *store.DB
	o      Options
	ids    idBlocks
	closed atomic.Bool

	mu   sync.Mutex
	told map[gateway.RequestKey]bool // noted, waiting for the next commit
}

var _ gateway.Journal = (*Journal)(nil)

// Open puts a journal on db, whose tables are there already. It starts nothing. Close leaves db
// open: whoever opened it closes it, after the journal.
func Open(db *store.DB, o Options) (*Journal, error) {
	if db == nil || o.Sealer == nil {
		return nil, errors.New("journal: needs a database and a sealer")
	}
	return &Journal{db: db, o: o, told: map[gateway.RequestKey]bool{}}, nil
}

// open is the error every method gives after Close.
func (j *Journal) open(ctx context.Context) error {
	if j.closed.Load() {
		return fmt.Errorf("%w: closed", gateway.ErrStorage)
	}
	return ctx.Err()
}

// Health see gateway.Journal and store.DB.Health.
func (j *Journal) Health(ctx context.Context) error {
	if err := j.open(ctx); err != nil {
		return err
	}
	return j.db.Health(ctx)
}

const sqlTold = `UPDATE request SET told = $1 WHERE system = $2 AND id = $3 AND told = 0 AND answer IS NOT NULL`

// Told see gateway.Journal. It joins the next commit or Close; until then Request and Write of this
// journal answer as if it were there. When too many wait (the storage fails) it is forgotten.
func (j *Journal) Told(key gateway.RequestKey, at time.Time) {
	if j.closed.Load() {
		return
	}
	j.mu.Lock()
	waits := j.told[key]
	j.told[key] = true
	j.mu.Unlock()
	if waits {
		return
	}
	forget := func(error) {
		j.mu.Lock()
		delete(j.told, key)
		j.mu.Unlock()
	}
	when := max(toMillis(at), 1)
	if !j.db.Later(func(tx *store.Tx) error {
		return tx.Put(sqlTold, when, key.System, key.ID)
	}, forget) {
		forget(nil)
	}
}

// isTold reports what Told has noted and the database does not have yet.
func (j *Journal) isTold(key gateway.RequestKey) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.told[key]
}

// Close writes down what Told has noted, as far as the storage takes it, and ends the journal. It
// may be repeated.
func (j *Journal) Close() error {
	if j.closed.Swap(true) {
		return nil
	}
	for last := -1; ; {
		j.mu.Lock()
		n := len(j.told)
		j.mu.Unlock()
		if n == 0 || n == last {
			return nil
		}
		last = n
		// What is lost here only means that a HIS is told again.
		_ = j.db.Do(context.Background(), func(*store.Tx) error { return nil })
	}
}

// toMillis is a time as it is stored; no time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).In(gateway.China)
}
