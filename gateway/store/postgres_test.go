package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
)

// cable stands between the store and the server and can be cut.
type cable struct {
	t      *testing.T
	server string
	listen net.Listener

	mu    sync.Mutex
	conns []net.Conn
	down  bool
	// cut is what happens to the next COMMIT: "before": it is not passed on; "hang": nor does the
	// server learn that nobody is there any more; "after": it is passed on and its answer is not.
	cut  string
	hung bool // connections that end here stay open at the server
}

// through gives a DSN that leads over the cable.
func through(t *testing.T, dsn string) (string, *cable) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{t: t, server: u.Host, listen: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { c.carry(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.setDown(true)
		wg.Wait()
	})
	u.Host = l.Addr().String()
	return u.String(), c
}

func (c *cable) carry(in net.Conn) {
	out, err := net.Dial("tcp", c.server)
	if err != nil {
		_ = in.Close()
		return
	}
	c.mu.Lock()
	c.conns = append(c.conns, in, out)
	if c.down {
		_ = in.Close()
		_ = out.Close()
	}
	c.mu.Unlock()
	done := make(chan struct{})
	var dropAnswer sync.Mutex
	dropped := false
	go func() {
		defer close(done)
		buf := make([]byte, 64<<10)
		for {
			n, err := out.Read(buf)
			if n > 0 {
				dropAnswer.Lock()
				gone := dropped
				dropAnswer.Unlock()
				if gone { // the server has answered the COMMIT; nobody hears it
					break
				}
				if _, err := in.Write(buf[:n]); err != nil {
					break
				}
			}
			if err != nil {
				break
			}
		}
		_ = in.Close()
		_ = out.Close()
	}()
	how := ""
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if bytes.Contains(buf[:n], []byte("COMMIT\x00")) {
				how = c.take()
				if how == "before" || how == "hang" {
					break
				}
				if how == "after" {
					dropAnswer.Lock()
					dropped = true
					dropAnswer.Unlock()
				}
			}
			if _, err := out.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	stays := c.hung || how == "hang" || how == "after"
	c.mu.Unlock()
	if !stays {
		_ = out.Close()
	}
	_ = in.Close()
	<-done
}

// take gives how the next COMMIT is to be cut, once.
func (c *cable) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	how := c.cut
	c.cut = ""
	return how
}

func (c *cable) cutNext(how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = how
}

// hang cuts every connection here and leaves the server waiting.
func (c *cable) hang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hung = true
	for i := 0; i < len(c.conns); i += 2 {
		_ = c.conns[i].Close()
	}
}

func (c *cable) setDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
	if down {
		for _, n := range c.conns {
			_ = n.Close()
		}
		c.conns = nil
	}
}

// A connection that is lost during a commit leaves no doubt: the server is asked, and what did not
// happen is done again. Each operation happens once, whichever way it went.
func TestLostCommit(t *testing.T) {
	dsn, line := through(t, servers.Schema(t))
	d := openAt(t, Options{DSN: dsn, Writers: 1})
	for n, how := range []string{"before", "after", "hang", "after", "before"} {
		for _, together := range []int{1, 7} {
			open := gate(t, d)
			errs := make([]error, together)
			var wg sync.WaitGroup
			var once sync.Once
			for i := range together {
				wg.Go(func() {
					errs[i] = d.Do(bg, func(tx *Tx) error {
						once.Do(func() { line.cutNext(how) })
						return insert(fmt.Sprint("x", n, "-", together, "-", i))(tx)
					})
				})
			}
			waitFor(d, together)
			open()
			wg.Wait()
			if line.take() != "" {
				t.Errorf("cut %s the server: no commit was cut", how)
			}
			if err := errors.Join(errs...); err != nil {
				t.Errorf("cut %s the server, %d together: %v", how, together, err)
			}
			if got := count(t, d, fmt.Sprint("x", n, "-", together, "-%")); got != together {
				t.Errorf("cut %s the server: %d rows, want %d", how, got, together)
			}
		}
	}
}

// A connection that is lost in the middle of a transaction, unnoticed by the server, does not stand
// in its own way with the locks it had.
func TestLostInTheMiddle(t *testing.T) {
	dsn, line := through(t, servers.Schema(t))
	d := openAt(t, Options{DSN: dsn, Writers: 1})
	if err := d.Do(bg, insert("counter")); err != nil {
		t.Fatal(err)
	}
	runs := 0
	err := d.Do(bg, func(tx *Tx) error {
		runs++
		if _, err := tx.Exec("UPDATE msgid_counter SET seq = seq + 1 WHERE institution = 'counter'"); err != nil {
			return err
		}
		if runs == 1 {
			line.hang()
		}
		return insert("beside")(tx)
	})
	var seq int
	if _, gerr := d.Get(bg, "SELECT seq FROM msgid_counter WHERE institution = 'counter'", nil, &seq); gerr != nil {
		t.Fatal(gerr)
	}
	if err != nil || runs != 2 || seq != 2 {
		t.Errorf("%v after %d runs, counter at %d; want it done once in the second", err, runs, seq)
	}
}

// A connection whose line was cleared away works on.
func TestLineClearedAway(t *testing.T) {
	dsn := servers.Schema(t)
	d := openAt(t, Options{DSN: dsn, Writers: 1})
	for n := range 3 {
		if err := d.Do(bg, insert(fmt.Sprint("row", n))); err != nil {
			t.Error(err)
		}
		if _, err := direct(t, dsn).Exec("DELETE FROM line"); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, d, "row%"); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
}

// With nobody to ask the caller is told that the storage failed, in time, and later it works again.
func TestServerAway(t *testing.T) {
	dsn, line := through(t, servers.Schema(t))
	d := openAt(t, Options{DSN: dsn, Timeout: 400 * time.Millisecond, Dial: 300 * time.Millisecond})
	if err := d.Do(bg, insert("first")); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		line.setDown(true)
		began := time.Now()
		var n int
		_, err := d.Get(bg, "SELECT 1", nil, &n)
		for what, err := range map[string]error{"do": d.Do(bg, insert(fmt.Sprint("lost", round))), "health": d.Health(bg), "get": err} {
			if !errors.Is(err, gateway.ErrStorage) {
				t.Errorf("%s without a server: %v, want ErrStorage", what, err)
			}
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("that took %v", took)
		}
		line.setDown(false)
		if err := d.Health(bg); err != nil {
			t.Errorf("health when it is back: %v", err)
		}
		if err := d.Do(bg, insert(fmt.Sprint("back", round))); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
	}
	if n := count(t, d, "back%"); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	if n := count(t, d, "lost%"); n != 0 {
		t.Errorf("%d rows of what was refused", n)
	}
	// A server that was restarted while nothing was asked of it is not even noticed.
	line.setDown(true)
	line.setDown(false)
	if err := d.Do(bg, insert("after")); err != nil {
		t.Errorf("an old connection: %v", err)
	}
}

// A commit nobody can be asked about is not run again.
func TestUnsureCommitIsNotRepeated(t *testing.T) {
	dsn, line := through(t, servers.Schema(t))
	d := openAt(t, Options{DSN: dsn, Writers: 1, Timeout: 300 * time.Millisecond})
	runs := 0
	err := d.Do(bg, func(tx *Tx) error {
		runs++
		line.cutNext("after")
		line.mu.Lock()
		line.down = true // who calls again finds nobody
		line.mu.Unlock()
		return insert("unsure")(tx)
	})
	if !errors.Is(err, gateway.ErrStorage) || !errors.Is(err, errUnsure) || runs != 1 {
		t.Errorf("%v after %d runs, want ErrStorage after one", err, runs)
	}
	line.setDown(false)
	if err := d.Health(bg); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "unsure"); n != 1 {
		t.Errorf("%d rows: it did happen", n)
	}
}

// direct is a connection beside the store.
func direct(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// One who holds a row and does not let go makes the others wait for a bounded time, and hurts only
// those who want that row.
func TestInTheWay(t *testing.T) {
	dsn := servers.Schema(t)
	d := openAt(t, Options{DSN: dsn, Writers: 1, BusyWait: 400 * time.Millisecond})
	if err := d.Do(bg, insert("wanted")); err != nil {
		t.Fatal(err)
	}
	other, err := direct(t, dsn).BeginTx(bg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Exec("UPDATE msgid_counter SET seq = 5 WHERE institution = 'wanted'"); err != nil {
		t.Fatal(err)
	}
	want := func(tx *Tx) error {
		_, err := tx.Exec("UPDATE msgid_counter SET seq = seq + 1 WHERE institution = $1", "wanted")
		return err
	}
	open := gate(t, d)
	var wg sync.WaitGroup
	errs := make([]error, 9)
	for i := range errs {
		wg.Go(func() {
			fn := insert(fmt.Sprint("free", i))
			if i == 4 {
				fn = want
			}
			errs[i] = d.Do(bg, fn)
		})
	}
	waitFor(d, len(errs))
	open()
	wg.Wait()
	for i, err := range errs {
		if (i == 4) != errors.Is(err, gateway.ErrStorage) || i != 4 && err != nil {
			t.Errorf("operation %d: %v", i, err)
		}
	}
	if n := count(t, d, "free%"); n != 8 {
		t.Errorf("%d rows, want 8", n)
	}
	if err := other.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := d.Do(bg, want); err != nil {
		t.Errorf("after it was let go: %v", err)
	}
}

// Two that lock the same rows in opposite order both come through.
func TestDeadlock(t *testing.T) {
	dsn := servers.Schema(t)
	a, b := openAt(t, Options{DSN: dsn}), openAt(t, Options{DSN: dsn})
	for _, name := range []string{"x", "y"} {
		if err := a.Do(bg, insert(name)); err != nil {
			t.Fatal(err)
		}
	}
	cross := func(meet *sync.WaitGroup, first, second string) func(*Tx) error {
		var once sync.Once
		return func(tx *Tx) error {
			if _, err := tx.Exec("UPDATE msgid_counter SET seq = seq + 1 WHERE institution = $1", first); err != nil {
				return err
			}
			once.Do(func() { meet.Done(); meet.Wait() }) // both have their first row
			_, err := tx.Exec("UPDATE msgid_counter SET seq = seq + 1 WHERE institution = $1", second)
			return err
		}
	}
	var meet, wg sync.WaitGroup
	meet.Add(2)
	wg.Go(func() {
		if err := a.Do(bg, cross(&meet, "x", "y")); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() {
		if err := b.Do(bg, cross(&meet, "y", "x")); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	var x, y int
	_, err1 := a.Get(bg, "SELECT seq FROM msgid_counter WHERE institution = 'x'", nil, &x)
	_, err2 := a.Get(bg, "SELECT seq FROM msgid_counter WHERE institution = 'y'", nil, &y)
	if x != 3 || y != 3 || err1 != nil || err2 != nil {
		t.Errorf("%d and %d (%v, %v), want 3 and 3", x, y, err1, err2)
	}
}

func TestServerSettings(t *testing.T) {
	dsn := servers.Schema(t)
	for sync, want := range map[string]string{"full": "on", "off": "off"} {
		d := openAt(t, Options{DSN: dsn, Sync: sync})
		err := d.Do(bg, func(tx *Tx) error {
			for name, want := range map[string]string{
				"synchronous_commit": want, "transaction_isolation": "read committed", "statement_timeout": "10s", "lock_timeout": "5s",
				"idle_in_transaction_session_timeout": "20s", "client_encoding": "UTF8",
			} {
				var got string
				if _, err := tx.Get("SELECT current_setting($1)", []any{name}, &got); err != nil || got != want {
					return fmt.Errorf("%s is %s (%v), want %s", name, got, err, want)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := d.reader.Exec("DELETE FROM msgid_counter"); err == nil {
			t.Error("the reading handle can write")
		}
	}
	if _, err := Open(bg, Options{DSN: dsn, Path: "x"}); err == nil || errors.Is(err, gateway.ErrStorage) {
		t.Errorf("a path and a DSN: %v", err)
	}
	bad := strings.Replace(dsn, "yiqiao@", "yiqiao:swordfish@", 1) + "&sslmode=nonsense"
	if _, err := Open(bg, Options{DSN: bad}); err == nil || strings.Contains(err.Error(), "swordfish") {
		t.Errorf("a bad DSN: %v", err)
	}
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nobody.Close()
	_, err = Open(ctx, Options{DSN: "postgres://u@" + nobody.Addr().String() + "/x?sslmode=disable", Password: "swordfish", Dial: 100 * time.Millisecond})
	if !errors.Is(err, gateway.ErrStorage) || strings.Contains(fmt.Sprint(err), "swordfish") {
		t.Errorf("a server that says nothing: %v", err)
	}
}

// A server that would lose what it has confirmed is not accepted.
func TestServerWithoutFsyncIsRefused(t *testing.T) {
	server := servers.Own(t)
	dsn := server.Schema(t)
	admin := direct(t, strings.Replace(server.DSN, "yiqiao@", "postgres@", 1))
	admin.SetMaxIdleConns(0) // each question on a new connection
	for _, s := range []string{"ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"} {
		if _, err := admin.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	for now := ""; now != "off"; { // the server takes it up in its own time
		if err := admin.QueryRow("SHOW fsync").Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(bg, Options{DSN: dsn}); err == nil || errors.Is(err, gateway.ErrStorage) {
		t.Errorf("opened: %v", err)
	}
	openAt(t, Options{DSN: dsn, Sync: "off"})
}

func TestHistoryIsFixed(t *testing.T) {
	dsn := servers.Schema(t)
	d := openAt(t, Options{DSN: dsn})
	for _, s := range []string{
		"INSERT INTO event (place, kind, at, cause, ref, note) VALUES (1048577, 'sent', 1, '', '', '')",
		"INSERT INTO request (system, id, digest, op, institution, ref, created, answered, told) VALUES ('s', 'i', '', '', '', '', 1, 0, 0)",
		"INSERT INTO record (id, institution, infno, step, attempt, visit, operator, operator_name, operator_type, digest, created, queued, born, state, version, updated, cause, live)" +
			" VALUES ('r', 'i', '1101', '', 1, '', '', '', '', '', 1, 0, 1, 'sent', 1, 1, '', 1)",
	} {
		if err := d.Do(bg, func(tx *Tx) error { _, err := tx.Exec(s); return err }); err != nil {
			t.Fatal(err)
		}
	}
	db := direct(t, dsn)
	for _, s := range []string{
		"UPDATE event SET note = 'x'", "DELETE FROM event", "TRUNCATE event", "DELETE FROM record", "TRUNCATE record", "DELETE FROM request", "TRUNCATE request CASCADE",
	} {
		if _, err := db.Exec(s); err == nil || !strings.Contains(err.Error(), "the journal only grows") {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"UPDATE record SET state = 'x'", "UPDATE record SET live = 0", "UPDATE request SET told = 1"} {
		if _, err := db.Exec(s); err == nil || state(err) != "23514" {
			t.Errorf("%s: %v, want it checked", s, err)
		}
	}
}

func TestSnapshot(t *testing.T) {
	onBoth(t, func(t *testing.T, o Options) {
		d := openAt(t, o)
		if err := d.Do(bg, insert("a")); err != nil {
			t.Fatal(err)
		}
		err := d.Snapshot(bg, func(r Reader) error {
			for range 2 {
				rows, err := r.Query(bg, "SELECT COUNT(*) FROM msgid_counter")
				if err != nil {
					return err
				}
				var n int
				rows.Next()
				if err := errors.Join(rows.Scan(&n), rows.Close()); err != nil {
					return err
				}
				if n != 1 {
					return fmt.Errorf("%d rows in the snapshot, want 1", n)
				}
				if err := d.Do(bg, insert("b")); err != nil && !IsUnique(err) {
					return err
				}
			}
			return io.EOF
		})
		if !errors.Is(err, io.EOF) || count(t, d, "%") != 2 {
			t.Error(err)
		}
	})
}
