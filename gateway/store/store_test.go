package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"yiqiao/gateway"
)

var bg = context.Background()

func openAt(t *testing.T, o Options) *DB {
	t.Helper()
	if o.Path == "" && o.DSN == "" {
		o.Path = filepath.Join(t.TempDir(), "a.db")
	}
	d, err := Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

const insertCounter = "INSERT INTO msgid_counter (institution, second, seq) VALUES ($1, $2, $3)"

func insert(name string) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec(insertCounter, name, 1, 1)
		return err
	}
}

func count(t *testing.T, d *DB, like string) (n int) {
	t.Helper()
	if _, err := d.Get(bg, "SELECT COUNT(*) FROM msgid_counter WHERE institution LIKE $1", []any{like}, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a #?%41 b.db")
	d := openAt(t, Options{Path: path})
	if err := d.Do(bg, insert("x")); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() == 0 {
		t.Errorf("file %v, %v; want a database only its owner can read", info, err)
	}
	d = openAt(t, Options{Path: path})
	if n := count(t, d, "x"); n != 1 {
		t.Errorf("%d rows after reopening, want 1", n)
	}
	for name, o := range map[string]Options{"no path": {}, "bad sync": {Path: path, Sync: "normal"}} {
		if _, err := Open(bg, o); err == nil || errors.Is(err, gateway.ErrStorage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte(strings.Repeat("this is not a database. ", 400)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"no folder": filepath.Join(dir, "none", "a.db"), "junk": junk, "a folder": dir} {
		if _, err := Open(bg, Options{Path: path}); !errors.Is(err, gateway.ErrStorage) {
			t.Errorf("%s: %v, want ErrStorage", name, err)
		}
	}
}

func TestSettings(t *testing.T) {
	d := openAt(t, Options{})
	err := d.Do(bg, func(tx *Tx) error {
		for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "wal_autocheckpoint": "0"} {
			var got string
			if _, err := tx.Get("PRAGMA "+pragma, nil, &got); err != nil || got != want {
				return fmt.Errorf("%s is %s (%v), want %s", pragma, got, err, want)
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

func TestNewerDatabaseIsRefused(t *testing.T) { onBoth(t, testNewerDatabaseIsRefused) }

func testNewerDatabaseIsRefused(t *testing.T, o Options) {
	d := openAt(t, o)
	err := d.Do(bg, func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO schema_version (version, name) VALUES (9999, 'later')")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(bg, o); err == nil || errors.Is(err, gateway.ErrStorage) {
		t.Errorf("open of a newer database: %v", err)
	}
}

// A migration that fails half-way leaves nothing, and runs again whole.
func TestMigrationIsAtomic(t *testing.T) {
	d := openAt(t, Options{})
	next, err := migrations(migrationFiles, sqliteDialect)
	if err != nil {
		t.Fatal(err)
	}
	m := migration{version: int64(len(next) + 1), name: "x", statements: []string{"CREATE TABLE half (id BIGINT)", "nonsense"}}
	db := d.reader // only to have a handle that no goroutine uses: let it write for once
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("PRAGMA query_only(0)"); err != nil {
		t.Fatal(err)
	}
	if err := apply(bg, db, sqliteDialect, append(next, m)); err == nil {
		t.Fatal("a migration with nonsense in it went through")
	}
	m.statements[1] = "CREATE TABLE other (id BIGINT)"
	for range 2 {
		if err := apply(bg, db, sqliteDialect, append(next, m)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTwoProcessesMayMigrate(t *testing.T) { onBoth(t, testTwoProcessesMayMigrate) }

func testTwoProcessesMayMigrate(t *testing.T, o Options) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			d, err := Open(bg, o)
			if err != nil {
				t.Error(err)
				return
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// gate holds the batcher inside an operation so that others gather behind it.
func gate(t *testing.T, d *DB) (open func()) {
	t.Helper()
	inside, release := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var once sync.Once
		done <- d.Do(bg, func(*Tx) error {
			once.Do(func() { close(inside) })
			<-release
			return nil
		})
	}()
	<-inside
	return func() {
		close(release)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// waitFor spins until n operations stand in line.
func waitFor(d *DB, n int) {
	for {
		d.line.mu.Lock()
		have := len(d.line.queue)
		d.line.mu.Unlock()
		if have >= n {
			return
		}
		// Give the callers the processor.
		done := make(chan struct{})
		go close(done)
		<-done
	}
}

// onBoth runs a test on a file and on a server, with one lane.
func onBoth(t *testing.T, test func(t *testing.T, o Options)) {
	t.Run("sqlite", func(t *testing.T) { test(t, Options{Path: filepath.Join(t.TempDir(), "a.db")}) })
	t.Run("postgres", func(t *testing.T) { test(t, Options{DSN: servers.Schema(t), Writers: 1}) })
}

func TestOneCommitForMany(t *testing.T) { onBoth(t, testOneCommitForMany) }

func testOneCommitForMany(t *testing.T, o Options) {
	d := openAt(t, o)
	before := d.Stats()
	open := gate(t, d)
	const n = 100
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = d.Do(bg, insert(fmt.Sprint("row", i))) })
	}
	waitFor(d, n)
	open()
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	s := d.Stats()
	if c, y := s.Commits-before.Commits, s.Syncs-before.Syncs; c != 1 || y != 1 {
		t.Errorf("%d commits and %d syncs for %d operations that waited together, want 1 and 1", c, y, n)
	}
	if got := count(t, d, "row%"); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

// Operations that fail, panic, hide a failure or were called off do not hurt those beside them.
func TestBadCompany(t *testing.T) {
	for _, bad := range []int{1, 3, 20} {
		onBoth(t, func(t *testing.T, o Options) {
			d := openAt(t, o)
			if err := d.Do(bg, insert("taken")); err != nil {
				t.Fatal(err)
			}
			mine := errors.New("mine")
			badly := []func(i int) (func(*Tx) error, func(error) bool){
				func(i int) (func(*Tx) error, func(error) bool) { // fails after a change
					return func(tx *Tx) error {
						if err := insert(fmt.Sprint("bad", i))(tx); err != nil {
							return err
						}
						return mine
					}, func(err error) bool { return errors.Is(err, mine) }
				},
				func(i int) (func(*Tx) error, func(error) bool) { // panics after a change
					return func(tx *Tx) error {
						if err := insert(fmt.Sprint("bad", i))(tx); err != nil {
							return err
						}
						panic("secret")
					}, func(err error) bool { return err != nil && !strings.Contains(err.Error(), "secret") }
				},
				func(int) (func(*Tx) error, func(error) bool) { return insert("taken"), IsUnique },
				func(int) (func(*Tx) error, func(error) bool) { // fails later, when others are at work
					return func(tx *Tx) error { return tx.Put(insertCounter, "taken", 1, 1) }, IsUnique
				},
				func(int) (func(*Tx) error, func(error) bool) { // fails without a change
					return func(*Tx) error { return mine }, func(err error) bool { return errors.Is(err, mine) }
				},
				func(i int) (func(*Tx) error, func(error) bool) { // panics by itself
					return func(*Tx) error { var none []int; none[i]++; return nil }, func(err error) bool { return err != nil }
				},
				func(i int) (func(*Tx) error, func(error) bool) { // a statement fails and it says nothing of it
					hidden := func(tx *Tx) error { _ = insert("taken")(tx); return nil }
					return hidden, func(err error) bool { return (err != nil) == (o.DSN != "") }
				},
			}
			open := gate(t, d)
			const n = 60
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					if i < bad {
						fn, want := badly[i%len(badly)](i)
						if err := d.Do(bg, fn); !want(err) {
							t.Errorf("bad operation %d: %v", i, err)
						}
						return
					}
					if err := d.Do(bg, insert(fmt.Sprint("good", i))); err != nil {
						t.Errorf("good operation %d: %v", i, err)
					}
				})
			}
			waitFor(d, n)
			open()
			wg.Wait()
			if g, b := count(t, d, "good%"), count(t, d, "bad%"); g != n-bad || b != 0 {
				t.Errorf("%d good rows and %d bad ones, want %d and 0", g, b, n-bad)
			}
		})
	}
}

func TestCancelled(t *testing.T) { onBoth(t, testCancelled) }

func testCancelled(t *testing.T, o Options) {
	d := openAt(t, o)
	open := gate(t, d)
	ctx, cancel := context.WithCancel(bg)
	result := make(chan error, 1)
	go func() { result <- d.Do(ctx, insert("never")) }()
	waitFor(d, 1)
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Errorf("called off while waiting: %v", err)
	}
	open()
	if err := d.Do(bg, insert("after")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, d, "never"); n != 0 {
		t.Error("an operation that was called off ran")
	}
	// Once it has begun the caller learns the truth.
	ctx, cancel = context.WithCancel(bg)
	err := d.Do(ctx, func(tx *Tx) error {
		cancel()
		return insert("begun")(tx)
	})
	if err != nil || count(t, d, "begun") != 1 {
		t.Errorf("called off after it began: %v, %d rows; want it done", err, count(t, d, "begun"))
	}
}

func TestLater(t *testing.T) { onBoth(t, testLater) }

func testLater(t *testing.T, o Options) {
	d := openAt(t, o)
	before := d.Stats()
	told := make(chan error, 2)
	for _, name := range []string{"later1", "later2"} {
		if !d.Later(insert(name), func(err error) { told <- err }) {
			t.Fatal("refused")
		}
	}
	if s := d.Stats(); s.Commits != before.Commits || count(t, d, "later%") != 0 {
		t.Error("an operation for later ran by itself")
	}
	if err := d.Do(bg, insert("now")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(<-told, <-told); err != nil || count(t, d, "later%") != 2 {
		t.Errorf("%v, %d rows; want both with the next commit", err, count(t, d, "later%"))
	}
	if s := d.Stats(); s.Commits-before.Commits != 1 {
		t.Errorf("%d commits, want 1", s.Commits-before.Commits)
	}
	accepted := 0
	for range maxLater + 10 {
		if d.Later(func(*Tx) error { return nil }, nil) {
			accepted++
		}
	}
	if accepted != maxLater {
		t.Errorf("%d operations wait for company, want %d", accepted, maxLater)
	}
	if err := d.Do(bg, insert("again")); err != nil { // takes 255 of them along
		t.Fatal(err)
	}
	if !d.Later(insert("last"), nil) {
		t.Fatal("refused")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d.Later(insert("x"), nil) {
		t.Error("a closed database accepted")
	}
	d = openAt(t, o)
	if count(t, d, "last") != 1 {
		t.Error("Close did not flush")
	}
}

func TestClosed(t *testing.T) { onBoth(t, testClosed) }

func testClosed(t *testing.T, o Options) {
	d := openAt(t, o)
	open := gate(t, d)
	result := make(chan error, 1)
	go func() { result <- d.Do(bg, insert("in line")) }()
	waitFor(d, 1)
	closed := make(chan error, 2)
	go func() { closed <- d.Close() }()
	go func() { closed <- d.Close() }()
	open()
	if err := errors.Join(<-result, <-closed, <-closed); err != nil {
		t.Fatal(err)
	}
	var n int
	_, err := d.Get(bg, "SELECT 1", nil, &n)
	for what, err := range map[string]error{"do": d.Do(bg, insert("x")), "get": err, "health": d.Health(bg)} {
		if !errors.Is(err, gateway.ErrStorage) {
			t.Errorf("%s after Close: %v", what, err)
		}
	}
}
