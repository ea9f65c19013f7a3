package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"yiqiao/gateway"
)

const (
	driverName = "sqlite"
	beginSQL   = "BEGIN IMMEDIATE"
	checkSQL   = "PRAGMA integrity_check(100)"
)

var errDropped = driver.ErrBadConn

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

// code is the driver's number of an error, 0 when it is not the driver's.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// IsUnique reports whether a statement failed because a key is taken.
func IsUnique(err error) bool {
	switch code(err) {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return true
	}
	return false
}

func isStorage(err error) bool { return errors.Is(err, gateway.ErrStorage) }

// storageError marks what the storage is to blame for: disk full, read-only, input and output,
// damage, a lock that was not given up. Everything else is left alone.
func storageError(err error) error {
	if err == nil || isStorage(err) {
		return err
	}
	switch code(err) & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB,
		lib.SQLITE_CANTOPEN, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PERM, lib.SQLITE_NOMEM,
		lib.SQLITE_PROTOCOL, lib.SQLITE_NOLFS:
		return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	return err
}

// mustStorage is for statements that can fail for no other reason.
func mustStorage(err error) error {
	if isStorage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
}

// noTransaction reports that a ROLLBACK had nothing to do: SQLite ends a transaction by itself when
// the disk is full.
func noTransaction(err error) bool { return code(err) == lib.SQLITE_ERROR }

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

// committed counts a transaction that wrote pages.
func (d *DB) committed(pages int) {
	d.health.written()
	d.stats.commits.Add(1)
	d.toCopy += pages
	if d.o.Sync == "off" {
		return
	}
	d.stats.syncs.Add(1)
	if d.restarts {
		d.restarts = false
		d.stats.syncs.Add(1)
	}
}

// checkpoint moves the log into the database file when it has grown long. It does not wait for
// readers: what they still need stays for the next time. A failure is no loss and is left to the
// next write to find.
func (d *DB) checkpoint() {
	if d.toCopy < d.o.CheckpointPages || d.tx.conn == nil {
		return
	}
	var busy, logged, copied int
	row := d.tx.conn.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	if err := row.Scan(&busy, &logged, &copied); err != nil {
		d.health.note(storageError(err))
		d.toCopy = d.o.CheckpointPages / 2 // not again at once
		return
	}
	d.stats.checkpoints.Add(1)
	whole := copied == logged
	if whole {
		d.toCopy = 0
	} else {
		d.toCopy = d.o.CheckpointPages / 2
	}
	if d.o.Sync == "off" {
		return
	}
	d.stats.syncs.Add(1)
	if whole {
		d.stats.syncs.Add(1)
		d.restarts = true
	}
}
