package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// maxStmts is how many statements a connection keeps prepared.
const maxStmts = 256

// Tx is the transaction an operation runs in. It is valid only during the call it was given to.
// Statements are prepared once and kept. A storage failure of any statement undoes the operation,
// even when it returns nil; on PostgreSQL every failure of a statement does.
//
// Transactions of several processes, and of several lanes in one, may run at once on PostgreSQL,
// each seeing what was committed when its statement began. A SELECT that something is then written
// by ends with {lock}: the row stays as it was read until the transaction is over. With {free} in
// its place rows that another transaction has locked are left out. On SQLite, where one writes at a
// time, both are nothing.
type Tx struct {
	db      *DB
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	changed bool  // the operation under way has changed something
	dirty   bool  // some operation has
	broken  error // storage failure of the transaction under way
	lost    bool  // it was the connection that failed
	spoiled error // statement after which the transaction can not go on

	pages   int     // SQLite: written by the connection up to the last commit
	session session // PostgreSQL: the connection, or the last one when there is none
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
		t.changed, t.dirty = true, true
	}
	return n, nil
}

// Insert runs an INSERT ... RETURNING and scans the row it returns; false when it returned none
// (ON CONFLICT DO NOTHING).
func (t *Tx) Insert(query string, args []any, into ...any) (bool, error) {
	ok, err := t.Get(query, args, into...)
	if ok {
		t.changed, t.dirty = true, true
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

// failed marks the transaction when the storage is to blame, or when it can not go on.
func (t *Tx) failed(err error) error {
	if t.broken == nil && isLost(err) {
		t.lost = true
	}
	err = storageError(err)
	switch {
	case isStorage(err):
		if t.broken == nil {
			t.broken = err
		}
	case t.spoiled == nil && t.db.engine.poisons():
		t.spoiled = err
	}
	return err
}

func (t *Tx) stmt(query string) (*sql.Stmt, error) {
	if t.broken != nil {
		return nil, t.broken
	}
	if t.spoiled != nil {
		return nil, t.spoiled
	}
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), t.db.engine.text(query))
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

// begin takes a connection when there is none and opens a transaction that may write. A connection
// that was lost while nobody used it is replaced.
func (t *Tx) begin(many bool) error {
	t.broken, t.spoiled, t.changed, t.dirty, t.lost = nil, nil, false, false, false
	old := t.conn != nil
	err := t.beginOn(many)
	if err != nil && old && isLost(err) {
		t.drop()
		err = t.beginOn(many)
	}
	if err != nil {
		t.rollback()
		return mustStorage(err)
	}
	return nil
}

func (t *Tx) beginOn(many bool) error {
	if err := t.connect(); err != nil {
		return err
	}
	return t.db.engine.begin(t, many)
}

// connect takes a connection when there is none.
func (t *Tx) connect() error {
	if t.conn != nil {
		return nil
	}
	c, err := t.db.writer.Conn(context.Background())
	if err != nil {
		return err
	}
	t.conn, t.stmts = c, map[string]*sql.Stmt{}
	if err := t.db.engine.connected(t); err != nil {
		t.drop()
		return err
	}
	return nil
}

// commit makes the transaction durable and says whether it changed anything.
func (t *Tx) commit() (wrote bool, err error) {
	wrote, err = t.db.engine.commit(t)
	if err != nil {
		return false, mustStorage(err)
	}
	return wrote, nil
}

// rollback ends the transaction. The connection is given up when even that fails, so that the
// next transaction begins on a new one.
func (t *Tx) rollback() {
	if t.conn == nil {
		return
	}
	if t.lost || t.db.engine.rollback(t) != nil {
		t.drop()
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
	_ = t.conn.Raw(func(any) error { return driver.ErrBadConn }) // closed, not reused
	_ = t.conn.Close()
	t.conn, t.stmts = nil, nil
}
