package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// stmtCache keeps prepared statements of the reading handle.
type stmtCache struct {
	mu      sync.RWMutex
	stmts   map[string]*sql.Stmt
	closed  bool
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
}

// get gives nil without an error when the cache is full: run the query unprepared.
func (c *stmtCache) get(ctx context.Context, query string) (*sql.Stmt, error) {
	c.mu.RLock()
	s, full := c.stmts[query], len(c.stmts) >= maxStmts || c.closed
	c.mu.RUnlock()
	if s != nil || full {
		return s, nil
	}
	s, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.stmts[query]; old != nil || c.closed {
		return old, s.Close()
	}
	if c.stmts == nil {
		c.stmts = map[string]*sql.Stmt{}
	}
	c.stmts[query] = s
	return s, nil
}

func (c *stmtCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, s := range c.stmts {
		_ = s.Close() // the handle is closed next and reports what matters
	}
	c.stmts = nil
}

// Query reads what is committed. Everything Do has returned nil for is seen. The caller closes the
// rows. Errors of the storage are gateway.ErrStorage; pass errors of Scan and Rows.Err through
// Failed.
func (d *DB) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if d.closed.Load() {
		return nil, errClosed()
	}
	rows, err := d.query(ctx, query, args)
	// Connections that died while nobody used them are all tried before the server is given up.
	for n := 0; n < d.o.Readers && isLost(err) && !isRefused(err) && ctx.Err() == nil; n++ {
		rows, err = d.query(ctx, query, args)
	}
	if err != nil {
		return nil, d.Failed(err)
	}
	return rows, nil
}

func (d *DB) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	s, err := d.reads.get(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return d.reader.QueryContext(ctx, d.engine.text(query), args...)
	}
	return s.QueryContext(ctx, args...)
}

// Get scans the first row of a query; false when there is none.
func (d *DB) Get(ctx context.Context, query string, args []any, into ...any) (bool, error) {
	rows, err := d.Query(ctx, query, args...)
	if err != nil {
		return false, err
	}
	found := rows.Next()
	if found {
		err = rows.Scan(into...)
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return false, d.Failed(err)
	}
	return found, nil
}

// Failed turns a driver's error into gateway.ErrStorage where the storage is to blame, and leaves
// every other alone. nil stays nil.
func (d *DB) Failed(err error) error {
	if err != nil && d.closed.Load() {
		return errClosed()
	}
	return storageError(err)
}

// Reader reads one state of the database, however many queries are made.
type Reader struct {
	tx *sql.Tx
	d  *DB
}

// Snapshot runs fn with a Reader that sees what was committed when it began and nothing later.
func (d *DB) Snapshot(ctx context.Context, fn func(Reader) error) error {
	if d.closed.Load() {
		return errClosed()
	}
	tx, err := d.reader.BeginTx(ctx, d.snapshot)
	if err != nil {
		return d.Failed(err)
	}
	return errors.Join(fn(Reader{tx, d}), tx.Rollback())
}

// Query is DB.Query. The rows must be closed before the next one is made.
func (r Reader) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	rows, err := r.tx.QueryContext(ctx, r.d.engine.text(query), args...)
	if err != nil {
		return nil, r.d.Failed(err)
	}
	return rows, nil
}
