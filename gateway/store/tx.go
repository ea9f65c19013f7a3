package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// kept is a statement that travels with the next one.
type kept struct {
	query string
	args  []any
	op    int
}

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
// time, both are nothing. A text that is sorted by with {bytewise} behind it has the same order on both.
type Tx struct {
	db      *DB
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	changed bool  // the operation under way has changed something
	dirty   bool  // some operation has
	broken  error // storage failure of the transaction under way
	lost    bool  // it was the connection that failed
	spoiled error // statement after which the transaction can not go on

	op    int // place of the operation under way
	blame int // place of the operation whose kept statement failed, -1 for none
	kept  []kept

	lane    int
	notes   [][]byte // for the ledger
	entered bool     // the ledger has written into this transaction

	pages   int     // SQLite: written by the connection up to the last commit
	session session // PostgreSQL: the connection, or the last one when there is none
}

// Exec runs a statement that changes something and gives the number of rows it changed.
func (t *Tx) Exec(query string, args ...any) (int64, error) {
	if err := t.stuck(); err != nil {
		return 0, err
	}
	n, err := t.db.engine.exec(t, query, args)
	if err != nil {
		return 0, t.failed(err)
	}
	if n > 0 {
		t.changed, t.dirty = true, true
	}
	return n, nil
}

// Put is Exec for a statement that is known to change something and of which nothing is to be
// learnt. On PostgreSQL it travels together with the next statement, or with the commit, and only
// then does its failure show; it is blamed on the operation all the same.
func (t *Tx) Put(query string, args ...any) error {
	if err := t.stuck(); err != nil {
		return err
	}
	t.changed, t.dirty = true, true
	if err := t.db.engine.put(t, query, args); err != nil {
		return t.failed(err)
	}
	return nil
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

// Add runs an INSERT of at most one row into a table whose key column is seq, and gives the key; false
// when nothing was inserted (ON CONFLICT DO NOTHING). The statement has no RETURNING: SQLite knows the
// key without it, for half the work.
func (t *Tx) Add(query string, args []any, key *int64) (bool, error) {
	if err := t.stuck(); err != nil {
		return false, err
	}
	ok, err := t.db.engine.add(t, query, args, key)
	if err != nil {
		return false, t.failed(err)
	}
	if ok {
		t.changed, t.dirty = true, true
	}
	return ok, nil
}

// Get scans the first row of a SELECT; false when there is none.
func (t *Tx) Get(query string, args []any, into ...any) (bool, error) {
	if err := t.stuck(); err != nil {
		return false, err
	}
	found, err := t.db.engine.get(t, query, args, into)
	if err != nil {
		return false, t.failed(err)
	}
	return found, nil
}

// flush runs what Put has kept back.
func (t *Tx) flush() error {
	if err := t.stuck(); err != nil {
		return err
	}
	if err := t.db.engine.flush(t); err != nil {
		return t.failed(err)
	}
	return nil
}

// stuck is why the transaction can not go on, or nil.
func (t *Tx) stuck() error {
	if t.broken != nil {
		return t.broken
	}
	return t.spoiled
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

// stmt prepares a statement, once for each connection.
func (t *Tx) stmt(query string) (*sql.Stmt, error) {
	if s := t.stmts[query]; s != nil {
		return s, nil
	}
	s, err := t.conn.PrepareContext(context.Background(), t.db.engine.text(query))
	if err != nil {
		return nil, err
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
	t.broken, t.spoiled, t.changed, t.dirty, t.lost, t.blame, t.kept = nil, nil, false, false, false, -1, t.kept[:0]
	clear(t.notes)
	t.notes, t.entered = t.notes[:0], false
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
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	_, err = s.ExecContext(context.Background())
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
