package journal

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

// written is what was acknowledged to a writer, and what was not.
type written struct {
	mu     sync.Mutex
	given  map[ident.MsgID]bool
	sent   map[ident.MsgID]string
	done   map[ident.MsgID]string
	failed map[ident.MsgID]string // ErrStorage: may be there or not
}

func (w *written) note(into map[ident.MsgID]string, id ident.MsgID, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	into[id] = key
}

// The server is killed with SIGKILL under load and started again, several times. The journal stays
// open all the while: what it acknowledged is there, whatever it refused is there whole or not at
// all, no message id is given twice, and it works again by itself.
func TestServerKilled(t *testing.T) {
	server := servers.Own(t)
	dsn := server.Schema(t)
	j := openAt(t, store.Options{DSN: dsn, Timeout: 3 * time.Second})
	w := &written{given: map[ident.MsgID]bool{}, sent: map[ident.MsgID]string{}, done: map[ident.MsgID]string{}, failed: map[ident.MsgID]string{}}
	for round := range 3 {
		var stop atomic.Bool
		var acknowledged atomic.Int64
		enough := make(chan struct{})
		var wg sync.WaitGroup
		for worker := range 12 {
			wg.Go(func() {
				for n := 0; !stop.Load(); n++ {
					id, err := j.NextMsgID(bg, testInst, time.Now())
					if errors.Is(err, gateway.ErrStorage) {
						continue
					} else if err != nil {
						t.Error(err)
						return
					}
					w.mu.Lock()
					if w.given[id] {
						t.Errorf("%s was given twice", id)
					}
					w.given[id] = true
					w.mu.Unlock()
					key := fmt.Sprintf("r%d-%d-%d", round, worker, n)
					k := gateway.RequestKey{System: "his", ID: key}
					for _, step := range []struct {
						e    gateway.Entry
						into map[ident.MsgID]string
					}{{sentEntry(id, k, time.Now()), w.sent}, {doneEntry(id, k, time.Now()), w.done}} {
						_, err := j.Write(bg, step.e)
						if errors.Is(err, gateway.ErrStorage) {
							w.note(w.failed, id, key)
							break
						} else if err != nil {
							t.Errorf("%s: %v", id, err)
							return
						}
						w.note(step.into, id, key)
						if acknowledged.Add(1) == 150 {
							close(enough)
						}
					}
				}
			})
		}
		<-enough
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = j.Health(bg) // may still speak of what was written just before
		if err := j.Health(bg); !errors.Is(err, gateway.ErrStorage) {
			t.Errorf("health without a server: %v", err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		stop.Store(true)
		wg.Wait()
		if err := j.Health(bg); err != nil {
			t.Fatalf("round %d: health after the restart: %v", round, err)
		}
		w.verify(t, j)
		if err := fsckClean(j.Journal); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	t.Logf("%d sent, %d done, %d refused", len(w.sent), len(w.done), len(w.failed))
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func (w *written) verify(t *testing.T, j owned) {
	t.Helper()
	for id, key := range w.sent {
		r, err := j.Record(bg, id)
		if err != nil || r.Request.ID != key || len(r.Input) != 1500 {
			t.Fatalf("acknowledged record %s: %+v, %v", id, r, err)
		}
		if w.done[id] != "" && (r.State != gateway.StateDone || len(r.Output) != 1200) {
			t.Fatalf("acknowledged end of %s: %s", id, r.State)
		}
	}
	for id, key := range w.failed {
		r, err := j.Record(bg, id)
		_, qerr := j.Request(bg, gateway.RequestKey{System: "his", ID: key})
		if errors.Is(err, gateway.ErrNotFound) != errors.Is(qerr, gateway.ErrNotFound) {
			t.Fatalf("half of %s is there: record %v, request %v", id, err, qerr)
		}
		if err == nil && len(r.Input) != 1500 {
			t.Fatalf("half of record %s is there", id)
		}
	}
}

// Two processes work on one database; one is killed, the other goes on. Both's work is there.
func TestTwoProcesses(t *testing.T) {
	dsn := servers.Schema(t)
	w := &written{given: map[ident.MsgID]bool{}, sent: map[ident.MsgID]string{}, done: map[ident.MsgID]string{}}
	var wg sync.WaitGroup
	for p, lines := range []int{150, 700} {
		wg.Go(func() {
			child(t, "settle", dsn, fmt.Sprint("p", p), func(kind, id, key string) bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				id2 := ident.MsgID(id)
				switch kind {
				case "given":
					if w.given[id2] {
						t.Errorf("%s was given twice", id)
					}
					w.given[id2] = true
				case "sent":
					w.sent[id2] = key
				case "done":
					w.done[id2] = key
				}
				lines--
				return lines > 0
			})
		})
	}
	wg.Wait()
	j := openAt(t, store.Options{DSN: dsn})
	w.verify(t, j)
	if err := fsckClean(j.Journal); err != nil {
		t.Error(err)
	}
	if len(w.done) < 100 {
		t.Errorf("only %d were done", len(w.done))
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// With CI set there is no way around these tests.
func TestNotSkippedInCI(t *testing.T) {
	if os.Getenv("CI") != "" && servers.Schema(t) == "" {
		t.Error("no PostgreSQL")
	}
}
