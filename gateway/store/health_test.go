package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"yiqiao/gateway"
)

// bigRow writes more than one page.
func bigRow(name string) func(*Tx) error {
	return func(tx *Tx) error {
		_, err := tx.Exec("INSERT INTO bill (id, institution, system, created, body) VALUES ($1, 'i', 's', 1, $2)",
			name, make([]byte, 20_000))
		return err
	}
}

// pragma runs one on the writing connection.
func pragma(t *testing.T, d *DB, text string) (n int) {
	t.Helper()
	err := d.Do(bg, func(tx *Tx) error {
		_, err := tx.Get("PRAGMA "+text, nil, &n)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func intact(d *DB) error {
	var got string
	if _, err := d.Get(bg, "PRAGMA integrity_check", nil, &got); err != nil || got != "ok" {
		return fmt.Errorf("integrity check: %s, %w", got, err)
	}
	return nil
}

// fillUp writes rows until the storage refuses and gives how many it took.
func fillUp(d *DB, name string) (rows int, err error) {
	for rows = 0; rows < 100_000; rows++ {
		if err = d.Do(bg, bigRow(fmt.Sprint(name, rows))); err != nil {
			return rows, err
		}
	}
	return rows, errors.New("it never got full")
}

// A database that can not grow refuses, says so before it is asked to store, keeps what it has and
// recovers by itself.
func TestDatabaseFull(t *testing.T) {
	d := openAt(t, Options{MinFree: -1})
	if err := d.Health(bg); err != nil {
		t.Fatal(err)
	}
	pragma(t, d, fmt.Sprint("max_page_count=", pragma(t, d, "page_count")+60))
	rows, err := fillUp(d, "row")
	if !errors.Is(err, gateway.ErrStorage) || rows == 0 {
		t.Fatalf("after %d rows: %v, want ErrStorage", rows, err)
	}
	for range 2 {
		if err := d.Health(bg); !errors.Is(err, gateway.ErrStorage) {
			t.Errorf("health of a full database: %v, want ErrStorage", err)
		}
	}
	var n int
	if _, err := d.Get(bg, "SELECT COUNT(*) FROM bill", nil, &n); err != nil || n != rows {
		t.Errorf("%d rows (%v), want the %d that were accepted", n, err, rows)
	}
	// An operation that keeps the failure to itself is not believed.
	err = d.Do(bg, func(tx *Tx) error { _ = bigRow("hidden")(tx); return nil })
	if !errors.Is(err, gateway.ErrStorage) {
		t.Errorf("a hidden failure: %v, want ErrStorage", err)
	}
	pragma(t, d, "max_page_count=1000000")
	if err := d.Health(bg); err != nil {
		t.Errorf("health after recovery: %v", err)
	}
	if err := d.Do(bg, bigRow("after")); err != nil {
		t.Error(err)
	}
	before := d.Stats().Commits
	if err := d.Health(bg); err != nil || d.Stats().Commits != before {
		t.Errorf("%v, %d commits; want the work just done to be proof enough", err, d.Stats().Commits-before)
	}
	if err := intact(d); err != nil {
		t.Error(err)
	}
}

func TestHealthLooksAtFreeSpace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	free, ferr := uint64(1<<40), error(nil)
	d := openAt(t, Options{Path: path, MinFree: 1000, FreeSpace: func(folder string) (uint64, error) {
		if folder != filepath.Dir(path) {
			t.Errorf("asked for the space of %s", folder)
		}
		return free, ferr
	}})
	if err := d.Health(bg); err != nil {
		t.Error(err)
	}
	free = 999
	if err := d.Health(bg); !errors.Is(err, gateway.ErrStorage) {
		t.Errorf("with 999 bytes free: %v", err)
	}
	free, ferr = 1<<40, errors.New("gone")
	if err := d.Health(bg); !errors.Is(err, gateway.ErrStorage) {
		t.Errorf("with a volume that does not answer: %v", err)
	}
	ferr = nil
	if err := d.Health(bg); err != nil {
		t.Error(err)
	}
	if n, err := freeSpace(filepath.Dir(path)); err != nil || n == 0 {
		t.Errorf("free space here: %d, %v", n, err)
	}
}

// Health writes only when nothing else has.
func TestHealthProbesWhenIdle(t *testing.T) { onBoth(t, testHealthProbesWhenIdle) }

func testHealthProbesWhenIdle(t *testing.T, o Options) {
	d := openAt(t, o)
	commits := func(what string, want int64, do func() error) {
		t.Helper()
		before := d.Stats().Commits
		if err := do(); err != nil {
			t.Fatal(err)
		}
		if got := d.Stats().Commits - before; got != want {
			t.Errorf("%s: %d commits, want %d", what, got, want)
		}
	}
	health := func() error { return d.Health(bg) }
	commits("idle", 1, health)
	commits("still idle", 1, health)
	commits("work", 1, func() error { return d.Do(bg, insert("x")) })
	commits("after work", 0, health)
	commits("idle again", 1, health)
}

// The arithmetic that strace has confirmed (see Stats): one for a commit, two for a checkpoint, one
// more when the next commit begins the log anew.
func TestSyncsAreCounted(t *testing.T) {
	d := openAt(t, Options{CheckpointPages: 64})
	for i := 0; d.Stats().Checkpoints < 10; i++ {
		if err := d.Do(bg, bigRow(fmt.Sprint("row", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Do(bg, insert("short")); err != nil { // the last checkpoint is over, the next is far
		t.Fatal(err)
	}
	s := d.Stats()
	if want := s.Commits + 3*s.Checkpoints; s.Syncs != want {
		t.Errorf("%+v, want %d syncs", s, want)
	}
	if err := d.Do(bg, func(tx *Tx) error { _, err := tx.Exec("DELETE FROM bill WHERE id = 'nobody'"); return err }); err != nil {
		t.Fatal(err)
	}
	if got := d.Stats(); got.Commits != s.Commits || got.Syncs != s.Syncs {
		t.Errorf("a transaction that changed nothing was counted: %+v, was %+v", got, s)
	}
}

// The longest log is bounded: checkpoints happen and everything is there afterwards.
func TestCheckpoints(t *testing.T) {
	d := openAt(t, Options{CheckpointPages: 50, Sync: "off"})
	for i := range 200 {
		if err := d.Do(bg, bigRow(fmt.Sprint("row", i))); err != nil {
			t.Fatal(err)
		}
	}
	s := d.Stats()
	if s.Checkpoints < 10 || s.Syncs != 0 {
		t.Errorf("%+v, want many checkpoints and no sync", s)
	}
	if err := intact(d); err != nil {
		t.Error(err)
	}
}
