package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// Tx is the transaction an operation runs in. It is valid only during the call it was given to.
// Statements are prepared once and kept. A storage failure of any statement undoes the operation,
// even when it returns nil.
type Tx struct {
	db      *DB
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	written int   // pages written by the connection up to the last commit
	changed bool  // the operation under way has changed something
	broken  error // storage failure of the transaction under way
}

// Exec runs a statement that changes something and gives the number of rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, t.failed(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, t.failed(err)
	}
	if n > 0 {
		t.changed = true
	}
	return n, nil
}

// Insert runs an INSERT ... RETURNING and scans the row it returns; false when it returned none
// (ON CONFLICT DO NOTHING).
func (t *Tx) Insert(query string, args []any, into ...any) (bool, error) {
	ok, err := t.Get(query, args, into...)
	if ok {
		t.changed = true
	}
	return ok, err
}

// Get scans the first row of a SELECT; false when there is none.
func (t *Tx) Get(query string, args []any, into ...any) (bool, error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	switch err := s.QueryRowContext(context.Background(), args...).Scan(into...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, t.failed(err)
	}
	return true, nil
}

// failed marks the transaction when the storage is to blame.
func (t *Tx) failed(err error) error {
	err = storageError(err)
	if t.broken == nil && isStorage(err) {
		t.broken = err
	}
	return err
}

func (t *Tx) stmt(query string) (*sql.Stmt, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, t.failed(err)
	}
	if len(t.stmts) >= maxStmts {
		for q, old := range t.stmts {
			_ = old.Close() // making room; the connection frees it in any case
			delete(t.stmts, q)
			break
		}
	}
	t.stmts[query] = s
	return s, nil
}

// begin takes a connection when there is none and opens a transaction that may write.
func (t *Tx) begin() error {
	t.broken, t.changed = nil, false
	if t.conn == nil {
		c, err := t.db.writer.Conn(context.Background())
		if err != nil {
			return mustStorage(err)
		}
		t.conn, t.stmts, t.written = c, map[string]*sql.Stmt{}, 0
		if t.written, err = pagesWritten(c); err != nil {
			t.drop()
			return mustStorage(err)
		}
	}
	if err := t.plain(beginSQL); err != nil {
		t.rollback()
		return mustStorage(err)
	}
	return nil
}

// commit makes the transaction durable and gives the number of pages it wrote.
func (t *Tx) commit() (pages int, err error) {
	if err := t.plain("COMMIT"); err != nil {
		return 0, mustStorage(err)
	}
	now, err := pagesWritten(t.conn)
	if err != nil {
		now = t.written + 1 // it is committed; only the count is not known
	}
	pages, t.written = int(int32(now)-int32(t.written)), now // the counter has 32 bits
	return pages, nil
}

// rollback ends the transaction. The connection is given up when even that fails, so that the
// next transaction begins on a new one.
func (t *Tx) rollback() {
	if err := t.plain("ROLLBACK"); err != nil && !noTransaction(err) {
		t.drop()
		return
	}
	if now, err := pagesWritten(t.conn); err == nil {
		t.written = now
	}
}

func (t *Tx) plain(query string) error {
	s := t.stmts[query]
	if s == nil {
		var err error
		if s, err = t.conn.PrepareContext(context.Background(), query); err != nil {
			return err
		}
		t.stmts[query] = s
	}
	_, err := s.ExecContext(context.Background())
	return err
}

// drop gives the connection up.
func (t *Tx) drop() {
	if t.conn == nil {
		return
	}
	for _, s := range t.stmts {
		_ = s.Close()
	}
	_ = t.conn.Raw(func(any) error { return errDropped }) // driver.ErrBadConn: closed, not reused
	_ = t.conn.Close()
	t.conn, t.stmts = nil, nil
}

const maxStmts = 256

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
	s, err := d.reads.get(ctx, query)
	if err != nil {
		return nil, d.Failed(err)
	}
	var rows *sql.Rows
	if s != nil {
		rows, err = s.QueryContext(ctx, args...)
	} else {
		rows, err = d.reader.QueryContext(ctx, query, args...)
	}
	if err != nil {
		return nil, d.Failed(err)
	}
	return rows, nil
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
