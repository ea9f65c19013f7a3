package dbview

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
)

// claim keeps two gateways from polling one view: locks of the HIS's database that end with the connection they
// were taken on. The first is that of a journal on this view: who does not get it shares the journal with the one who polls,
// and stands by to take over. The second is the view's: who has the first and not this one has a journal of its own, and
// would do everything again; that is Trouble.
//
// A holder whose connection breaks has lost the claim; it notices at the next Poll. Only PostgreSQL, MySQL (5.7 and
// later) and MariaDB have such locks here.
type claim struct {
	conn *sql.Conn
	got  [2]bool
	said bool // that this one stands by
}

// locks is how a database does it. name is any text.
type locks struct {
	free  string                // the statement that gives one back
	value func(name string) any // of it
	take  func(ctx context.Context, c *sql.Conn, name string) (bool, error)
	owner func(ctx context.Context, c *sql.Conn, name string) string // who has it, as far as it can be seen
}

// claimed reports whether this gateway is the one to poll.
func (s *Source) claimed(ctx context.Context) (bool, error) {
	if s.o.Journal == "" || s.d.locks.take == nil {
		return true, nil
	}
	c := &s.claim
	if c.conn == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return false, err
		}
		c.conn, c.got = conn, [2]bool{}
	} else if err := c.conn.PingContext(ctx); err != nil {
		s.unclaim()
		return false, err
	}
	for i, name := range s.claims() {
		if c.got[i] {
			continue
		}
		ok, err := s.d.locks.take(ctx, c.conn, name)
		switch {
		case err != nil:
			s.unclaim()
			return false, err
		case !ok && i == 0:
			if !c.said {
				s.o.Log.Info("another gateway on this journal polls the view; this one stands by", "system", s.o.System)
			}
			c.said = true
			return false, nil
		case !ok:
			by := s.d.locks.owner(ctx, c.conn, name)
			return false, &problem{s.o.View.From + " 正由另一个网关轮询 (" + by + "), 它有自己的交易日志; 一个视图只能由一个交易日志处理" +
				" / is polled by another gateway (" + by + ") with a journal of its own"}
		}
		c.got[i] = true
	}
	c.said = false
	return true, nil
}

func (s *Source) claims() [2]string {
	view := "view\x00" + s.rowsNamed()
	return [2]string{"journal\x00" + s.o.Journal + "\x00" + view, view}
}

// rowsNamed says which rows of which view: two layouts may share a view by different marks of what is new.
func (s *Source) rowsNamed() string {
	v := s.o.View
	if v.Status != nil {
		return strings.Join([]string{v.From, v.Status.Column, v.Status.New}, "\x00")
	}
	return strings.Join([]string{v.From, v.Result.Table}, "\x00")
}

// unclaim gives the claim back.
func (s *Source) unclaim() {
	if s.claim.conn != nil {
		// A server takes a moment to see that a connection is gone: who stops says so.
		ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
		defer stop()
		for i, name := range s.claims() {
			if s.claim.got[i] {
				_, _ = s.claim.conn.ExecContext(ctx, s.d.locks.free, s.d.locks.value(name))
			}
		}
		_ = s.claim.conn.Raw(func(any) error { return driver.ErrBadConn }) // ends with what it holds
		_ = s.claim.conn.Close()
	}
	s.claim = claim{}
}

var postgresLocks = locks{
	free:  "select pg_advisory_unlock($1)",
	value: func(name string) any { return lockNumber(name) },
	take: func(ctx context.Context, c *sql.Conn, name string) (ok bool, err error) {
		err = c.QueryRowContext(ctx, "select pg_try_advisory_lock($1)", lockNumber(name)).Scan(&ok)
		return ok, err
	},
	owner: func(ctx context.Context, c *sql.Conn, name string) string {
		var app, host sql.NullString
		_ = c.QueryRowContext(ctx, `select a.application_name, host(a.client_addr) from pg_locks l join pg_stat_activity a on a.pid = l.pid
			where l.locktype = 'advisory' and l.granted and l.database = (select oid from pg_database where datname = current_database())
			and ((l.classid::bigint << 32) | l.objid::bigint) = $1 limit 1`, lockNumber(name)).Scan(&app, &host)
		return strings.TrimSpace(app.String + " " + host.String)
	},
}

func lockNumber(name string) int64 {
	d := sha256.Sum256([]byte("yiqiao\x00" + name))
	return int64(binary.BigEndian.Uint64(d[:]))
}

// In MySQL a lock is one of the server: the database's name is made part of it.
var mysqlLocks = locks{
	free:  "do release_lock(concat('yiqiao-', sha1(concat(database(), ?))))",
	value: func(name string) any { return lockText(name) },
	take: func(ctx context.Context, c *sql.Conn, name string) (bool, error) {
		var got sql.NullInt64
		err := c.QueryRowContext(ctx, "select get_lock(concat('yiqiao-', sha1(concat(database(), ?))), 0)", lockText(name)).Scan(&got)
		return got.Int64 == 1, err
	},
	owner: func(ctx context.Context, c *sql.Conn, name string) string {
		var host sql.NullString
		_ = c.QueryRowContext(ctx, `select p.host from information_schema.processlist p
			where p.id = is_used_lock(concat('yiqiao-', sha1(concat(database(), ?))))`, lockText(name)).Scan(&host)
		return host.String
	},
}

func lockText(name string) string {
	d := sha256.Sum256([]byte(name))
	return hex.EncodeToString(d[:])
}
