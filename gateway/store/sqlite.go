package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"yiqiao/gateway"
)

const (
	driverName = "sqlite"

	// probeSize is how much Health writes: more than any one settlement needs.
	probeSize = 64 << 10
)

var sqliteDialect = dialect{
	name: "sqlite",
	columns: strings.NewReplacer(
		"{bytes}", "BLOB",
		"{serial}", "INTEGER PRIMARY KEY",
		"{key}", "INTEGER PRIMARY KEY",
	),
	locks: strings.NewReplacer("{lock}", "", "{free}", "", "{bytewise}", ""),
}

// sqliteFile is the engine of a file. It has one lane.
type sqliteFile struct {
	d        *DB
	toCopy   int  // pages in the write-ahead log that wait for a checkpoint
	restarts bool // the next commit begins the write-ahead log anew
}

func (d *DB) openSQLite(ctx context.Context) error {
	d.engine = &sqliteFile{d: d}
	f, err := os.OpenFile(d.o.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	if d.writer, err = sql.Open(driverName, d.o.dsn(false)); err != nil {
		return storageError(err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.reader, err = sql.Open(driverName, d.o.dsn(true)); err != nil {
		return storageError(err)
	}
	if err := toWAL(ctx, d.writer); err != nil {
		return err
	}
	return migrate(ctx, d.writer, sqliteDialect)
}

func (e *sqliteFile) text(query string) string { return sqliteDialect.locks.Replace(query) }
func (e *sqliteFile) poisons() bool            { return false }

// dsn is how the file is opened. Automatic checkpoints are off: the batcher makes them itself,
// where they can be counted and do not fall into the middle of somebody's commit.
func (o *Options) dsn(reader bool) string {
	v := url.Values{}
	v.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", o.BusyWait.Milliseconds()))
	v.Add("_pragma", "synchronous("+strings.ToUpper(o.Sync)+")")
	v.Add("_pragma", "wal_autocheckpoint(0)")
	v.Add("_pragma", "trusted_schema(0)")
	v.Set("_dqs", "false")
	if reader {
		v.Add("_pragma", "query_only(1)")
	} else {
		v.Add("_pragma", "cache_size(-16384)")
		v.Set("_txlock", "immediate")
	}
	path := filepath.ToSlash(o.Path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/folder/file
	}
	return (&url.URL{Scheme: "file", Path: path, OmitHost: true, RawQuery: v.Encode()}).String()
}

// toWAL makes a file keep a write-ahead log, which stays with the file. SQLite does not wait for
// another process here, so waiting is done by asking for the write lock, for which it does.
func toWAL(ctx context.Context, db *sql.DB) error {
	var last error
	for range 100 {
		var mode string
		err := db.QueryRowContext(ctx, "PRAGMA journal_mode(WAL)").Scan(&mode)
		if err == nil && mode == "wal" {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: the volume can not keep a write-ahead log (mode %s)", gateway.ErrStorage, mode)
		}
		if last = storageError(err); code(err)&0xff != lib.SQLITE_BUSY {
			return last
		}
		tx, err := db.BeginTx(ctx, nil) // waits for whoever is writing, at most BusyWait
		if err != nil {
			return storageError(err)
		}
		if err := tx.Rollback(); err != nil {
			return storageError(err)
		}
	}
	return last
}

// pagesWritten is how many pages a connection has written into the log so far.
func pagesWritten(c *sql.Conn) (n int, err error) {
	err = c.Raw(func(dc any) error {
		s, ok := dc.(sqlite.DBStatus)
		if !ok {
			return errors.New("store: the driver does not count pages")
		}
		n, _, err = s.Status(sqlite.DBStatusCacheWrite, false)
		return err
	})
	return n, err
}

func (e *sqliteFile) connected(t *Tx) (err error) {
	t.pages, err = pagesWritten(t.conn)
	return err
}

func (e *sqliteFile) exec(t *Tx, query string, args []any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (e *sqliteFile) get(t *Tx, query string, args, into []any) (bool, error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(context.Background(), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

func (e *sqliteFile) put(t *Tx, query string, args []any) error {
	_, err := e.exec(t, query, args)
	return err
}

func (e *sqliteFile) add(t *Tx, query string, args []any, key *int64) (bool, error) {
	s, err := t.stmt(query)
	if err != nil {
		return false, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == 0 {
		return false, err
	}
	*key, err = res.LastInsertId()
	return err == nil, err
}

func (e *sqliteFile) flush(*Tx) error { return nil }

func (e *sqliteFile) begin(t *Tx, _ bool) error { return t.plain("BEGIN IMMEDIATE") }

func (e *sqliteFile) commit(t *Tx) (wrote bool, err error) {
	if err := t.plain("COMMIT"); err != nil {
		return false, err
	}
	now, err := pagesWritten(t.conn)
	if err != nil {
		now = t.pages + 1 // it is committed; only the count is not known
	}
	n := int(int32(now) - int32(t.pages)) // the counter has 32 bits
	t.pages = now
	if n <= 0 {
		return false, nil
	}
	e.toCopy += n
	if e.d.o.Sync == "off" {
		return true, nil
	}
	e.d.stats.syncs.Add(1)
	if e.restarts {
		e.restarts = false
		e.d.stats.syncs.Add(1)
	}
	return true, nil
}

// rollback: SQLite ends a transaction by itself when the disk is full; then there is none.
func (e *sqliteFile) rollback(t *Tx) error {
	if err := t.plain("ROLLBACK"); err != nil && code(err) != lib.SQLITE_ERROR {
		return err
	}
	if now, err := pagesWritten(t.conn); err == nil {
		t.pages = now
	}
	return nil
}

// ready looks at the free space of the volume.
func (e *sqliteFile) ready() error {
	o := &e.d.o
	if o.MinFree <= 0 {
		return nil
	}
	free, err := o.FreeSpace(filepath.Dir(o.Path))
	if err != nil {
		return fmt.Errorf("%w: free space: %w", gateway.ErrStorage, err)
	}
	if free < uint64(o.MinFree) {
		return fmt.Errorf("%w: %d bytes free, want %d", gateway.ErrStorage, free, o.MinFree)
	}
	return nil
}

// probe writes 64 KiB, the new filler before it removes the old one, so that as much again stays
// free for real work when the database can not grow.
func (e *sqliteFile) probe(t *Tx) error {
	var last int64
	if _, err := t.Get("SELECT COALESCE(MAX(id), 0) FROM probe", nil, &last); err != nil {
		return err
	}
	if _, err := t.Exec("INSERT INTO probe (id, filler) VALUES ($1, $2)", last+1, make([]byte, probeSize)); err != nil {
		return err
	}
	_, err := t.Exec("DELETE FROM probe WHERE id <= $1", last)
	return err
}

func (e *sqliteFile) check(ctx context.Context, d *DB) (problems []string, err error) {
	list, err := d.lines(ctx, "PRAGMA integrity_check(100)")
	for _, line := range list {
		if line != "ok" {
			problems = append(problems, line)
		}
	}
	return problems, err
}

// rest moves the log into the database file when it has grown long. It does not wait for readers:
// what they still need stays for the next time. A failure is no loss and is left to the next write
// to find.
func (e *sqliteFile) rest(t *Tx) {
	most := e.d.o.CheckpointPages
	if e.toCopy < most || t.conn == nil {
		return
	}
	var busy, logged, copied int
	row := t.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	if err := row.Scan(&busy, &logged, &copied); err != nil {
		e.d.health.note(storageError(err))
		e.toCopy = most / 2 // not again at once
		return
	}
	e.d.stats.checkpoints.Add(1)
	whole := copied == logged
	if whole {
		e.toCopy = 0
	} else {
		e.toCopy = most / 2
	}
	if e.d.o.Sync == "off" {
		return
	}
	e.d.stats.syncs.Add(1)
	if whole {
		e.d.stats.syncs.Add(1)
		e.restarts = true
	}
}
