package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"yiqiao/gateway"
)

// code is SQLite's number of an error, 0 when it is not SQLite's.
func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// state is PostgreSQL's code of an error, "" when it is not PostgreSQL's.
func state(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// IsUnique reports whether a statement failed because a key is taken.
func IsUnique(err error) bool {
	switch code(err) {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return true
	}
	return state(err) == "23505"
}

func isStorage(err error) bool { return errors.Is(err, gateway.ErrStorage) }

// inTheWay: another transaction was, and the same thing may work in the next one: a deadlock, a
// serialization failure, a lock waited for too long.
func inTheWay(err error) bool {
	return collided(err) || state(err) == "55P03"
}

// collided: nobody waited for long; another try is cheap.
func collided(err error) bool {
	s := state(err)
	return s == "40001" || s == "40P01"
}

// isLost: the connection to PostgreSQL is gone, or was never there.
func isLost(err error) bool {
	if err == nil || code(err) != 0 {
		return false
	}
	if s := state(err); s != "" {
		var e *pgconn.PgError
		// The server ends the connection after a FATAL or PANIC.
		return s[:2] == "08" || errors.As(err, &e) && e.SeverityUnlocalized != "ERROR"
	}
	var network net.Error
	return isRefused(err) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

// isRefused: a new connection could not be made.
func isRefused(err error) bool {
	var dial *pgconn.ConnectError
	return errors.As(err, &dial)
}

// storageError marks what the storage is to blame for: disk full, read-only, input and output,
// damage, a lock that was not given up, a server that is not there. Everything else is left alone,
// also what a caller's own ctx has ended.
func storageError(err error) error {
	if err == nil || isStorage(err) {
		return err
	}
	switch code(err) & 0xff {
	case lib.SQLITE_FULL, lib.SQLITE_IOERR, lib.SQLITE_READONLY, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB,
		lib.SQLITE_CANTOPEN, lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PERM, lib.SQLITE_NOMEM,
		lib.SQLITE_PROTOCOL, lib.SQLITE_NOLFS:
		return mustStorage(err)
	}
	if s := state(err); s != "" {
		switch s[:2] {
		case "08", // connection
			"28", "3D", // not let in, no such database
			"53", // out of disk, memory, connections
			"57", // shut down, cancelled by the server
			"58", // the server's own input and output
			"F0", // its configuration
			"XX": // damage
			return mustStorage(err)
		}
		if s == "25006" { // read-only: this one follows another server
			return mustStorage(err)
		}
	}
	if !isRefused(err) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return err
	}
	if isLost(err) {
		return mustStorage(err)
	}
	return err
}

// mustStorage is for what can fail for no other reason.
func mustStorage(err error) error {
	if isStorage(err) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrStorage, err)
}
