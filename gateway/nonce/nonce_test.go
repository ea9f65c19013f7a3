package nonce

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
)

var bg = context.Background()

var servers storetest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var dawn = time.Date(2026, 3, 2, 8, 30, 0, 0, gateway.China)

// clock may go back, too.
type clock struct{ ms atomic.Int64 }

func (c *clock) Now() time.Time                             { return time.UnixMilli(c.ms.Load()) }
func (c *clock) Sleep(context.Context, time.Duration) error { panic("nothing sleeps here") }
func (c *clock) move(d time.Duration)                       { c.ms.Add(d.Milliseconds()) }

func code(err error) gateway.Code {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return "?"
	}
	return ""
}

const window = 5 * time.Minute

func TestBook(t *testing.T) {
	for name, so := range map[string]func(t *testing.T) store.Options{
		"sqlite": func(t *testing.T) store.Options {
			return store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off", MinFree: -1}
		},
		"postgres": func(t *testing.T) store.Options { return store.Options{DSN: servers.Schema(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			o := so(t)
			c := &clock{}
			c.ms.Store(dawn.UnixMilli())
			open := func() (*Book, func()) {
				t.Helper()
				db, err := store.Open(bg, o)
				if err != nil {
					t.Fatal(err)
				}
				b, err := New(Options{DB: db, Clock: c, Most: 50})
				if err != nil {
					t.Fatal(err)
				}
				return b, func() { _ = db.Close() }
			}
			b, done := open()
			use := func(b *Book, system, nonce string, durable bool, want gateway.Code) {
				t.Helper()
				if got := code(b.Use(bg, system, nonce, c.Now().Add(window), durable)); got != want {
					t.Errorf("%s %s: %q, want %q", system, nonce, got, want)
				}
			}
			use(b, "his", "one", true, "")
			use(b, "his", "one", true, gateway.CodeReplayed)
			use(b, "his", "one", false, gateway.CodeReplayed)
			use(b, "other", "one", true, "") // each system has its own
			use(b, "his", "asked", false, "")
			use(b, "his", "asked", true, gateway.CodeReplayed)
			other, done2 := open() // a gateway beside it
			use(other, "his", "one", true, gateway.CodeReplayed)
			use(other, "his", "one", false, gateway.CodeReplayed)
			done2()
			done() // a restart
			b, done = open()
			defer done()
			use(b, "his", "one", true, gateway.CodeReplayed)
			use(b, "his", "one", false, gateway.CodeReplayed)
			use(b, "his", "asked", false, gateway.CodeReplayed)

			// Once it has expired it is forgotten, and then a clock that goes back helps nobody.
			old := c.Now().Add(window)
			c.move(window + 2*time.Minute)
			use(b, "his", "two", true, "")
			use(b, "his", "three", true, "")
			var n int64
			if _, err := b.o.DB.Get(bg, `SELECT COUNT(*) FROM his_nonce WHERE nonce = 'one'`, nil, &n); err != nil || n != 0 {
				t.Errorf("%d rows are left, %v", n, err)
			}
			c.move(-window - 2*time.Minute)
			for _, durable := range []bool{true, false} {
				if got := code(b.Use(bg, "his", "one", old, durable)); got != gateway.CodeReplayed {
					t.Errorf("durable %v: the clock went back and a call lives again: %q", durable, got)
				}
			}
		})
	}
}

// Many at once with one nonce: one has it. More than may be remembered are turned away, and nothing is forgotten.
func TestCrowd(t *testing.T) {
	db, err := store.Open(bg, store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off", MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c := &clock{}
	c.ms.Store(dawn.UnixMilli())
	b, _ := New(Options{DB: db, Clock: c, Most: 20})
	var wg sync.WaitGroup
	var taken atomic.Int64
	for i := range 40 {
		wg.Go(func() {
			if b.Use(bg, "his", "the one", c.Now().Add(window), i%2 == 0) == nil {
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if taken.Load() != 1 {
		t.Errorf("%d have it", taken.Load())
	}
	full := 0
	for i := range 100 {
		if code(b.Use(bg, "his", fmt.Sprint(i), c.Now().Add(window), false)) == gateway.CodeRateLimited {
			full++
		}
	}
	if full != 81 || len(b.systems["his"]) != 20 {
		t.Errorf("%d were turned away, %d are remembered", full, len(b.systems["his"]))
	}
	if code(b.Use(bg, "his", "the one", c.Now().Add(window), false)) != gateway.CodeReplayed || code(b.Use(bg, "other", "x", c.Now().Add(window), false)) != "" {
		t.Error("a flood of one system made room or hurt another")
	}
	c.move(window + time.Second)
	if err := b.Use(bg, "his", "later", c.Now().Add(window), true); err != nil {
		t.Error(err)
	}
	_ = db.Close()
	if code(b.Use(bg, "his", "x", c.Now().Add(window), true)) != gateway.CodeStorage || code(b.Use(bg, "his", "x", c.Now().Add(window), false)) != gateway.CodeStorage {
		t.Error("a closed database is not told")
	}
}
