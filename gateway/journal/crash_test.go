package journal

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store/storetest"
	"yiqiao/schemas/ident"
)

// The tests of this file run the test program again as a child: YIQIAO_TEST_CHILD says what it
// does, YIQIAO_TEST_PATH on which file or DSN, YIQIAO_TEST_ROUND keeps its request ids apart.
const (
	childWhat  = "YIQIAO_TEST_CHILD"
	childPath  = "YIQIAO_TEST_PATH"
	childRound = "YIQIAO_TEST_ROUND"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childWhat) {
	case "":
		code := m.Run()
		if err := servers.Stop(); err != nil {
			fmt.Println(err)
			code = 1
		}
		os.Exit(code)
	case "settle":
		childSettles(os.Getenv(childPath), os.Getenv(childRound))
	case "ids":
		childIDs(os.Getenv(childPath))
	}
}

// servers are the PostgreSQL servers of this test program.
var servers storetest.Servers

// loud ends a child process.
type loud struct{}

func (loud) Helper() {}
func (loud) Fatal(args ...any) {
	fmt.Fprintln(os.Stderr, args...)
	os.Exit(1)
}

// say prints one line in one write, so that a line is there whole or not.
func say(kind string, words ...string) {
	if _, err := os.Stdout.WriteString(kind + " " + strings.Join(words, " ") + "\n"); err != nil {
		os.Exit(2) // the parent is gone
	}
}

const testInst = ident.Institution("H44010000001")

func sentEntry(id ident.MsgID, key gateway.RequestKey, at time.Time) gateway.Entry {
	return gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: [32]byte{1}, Op: "transact", Institution: testInst, Ref: string(id), CreatedAt: at},
		Record: &gateway.Record{
			ID: id, Institution: testInst, Infno: "2207", Request: key, Step: "2207", Attempt: 1,
			Operator: gateway.Operator{ID: "op", Name: "员", Type: "1"}, CreatedAt: at,
			Input: []byte(strings.Repeat("i", 1500)), State: gateway.StateSent,
		},
	}
}

func doneEntry(id ident.MsgID, key gateway.RequestKey, at time.Time) gateway.Entry {
	return gateway.Entry{
		Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: at, Data: []byte(strings.Repeat("o", 1200))}},
		Answer: &gateway.Answer{Key: key, Body: []byte("answer of " + string(id)), At: at},
	}
}

// childSettles writes settlements for ever and says what was acknowledged.
func childSettles(path, round string) {
	o := at(path)
	o.CheckpointPages = 40
	j := openAt(loud{}, o)
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id, err := j.NextMsgID(bg, testInst, time.Now())
				if err != nil {
					loud{}.Fatal(err)
				}
				say("given", string(id))
				key := gateway.RequestKey{System: "his", ID: fmt.Sprintf("r%s-%d-%d", round, worker, n)}
				if _, err := j.Write(bg, sentEntry(id, key, time.Now())); err != nil {
					loud{}.Fatal(err)
				}
				say("sent", string(id), key.ID)
				if _, err := j.Write(bg, doneEntry(id, key, time.Now())); err != nil {
					loud{}.Fatal(err)
				}
				say("done", string(id), key.ID)
				j.Told(key, time.Now())
			}
		})
	}
	wg.Wait()
}

// child starts the test program again and hands over each whole line it says until see returns
// false; then it is killed.
func child(t *testing.T, what, path, round string, see func(kind, id, rest string) bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childWhat+"="+what, childPath+"="+path, childRound+"="+round)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line that was cut off was not acknowledged
		}
		w := strings.SplitN(strings.TrimSuffix(line, "\n")+"  ", " ", 3)
		// After the kill what is still in the pipe was acknowledged too.
		if !see(w[0], w[1], strings.TrimSpace(w[2])) && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil && !killed {
		t.Fatalf("child: %v", err)
	}
}

// Whatever was acknowledged survives a kill at any moment (SIGKILL: no handler, no Close), nothing
// is half there, and no message id is given twice.
func TestKilled(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testKilled(t, filepath.Join(t.TempDir(), "j.db"), 14) })
	t.Run("postgres", func(t *testing.T) { testKilled(t, servers.Schema(t), 5) })
}

func testKilled(t *testing.T, path string, rounds int) {
	random := rand.New(rand.NewPCG(7, 2207))
	given := map[string]bool{}
	sent, done := map[string]string{}, map[string]string{}
	total := map[string]bool{}
	for round := range rounds {
		clear(sent)
		clear(done)
		left := 1 + random.IntN(400)
		child(t, "settle", path, fmt.Sprint(round), func(kind, id, key string) bool {
			switch kind {
			case "given":
				if given[id] {
					t.Errorf("round %d: %s was given twice", round, id)
				}
				given[id] = true
			case "sent":
				sent[id] = key
			case "done":
				done[id] = key
			}
			left--
			return left > 0
		})
		j := openAt(t, at(path))
		for id, key := range sent {
			r, err := j.Record(bg, ident.MsgID(id))
			if err != nil {
				t.Fatalf("round %d: acknowledged record %s: %v", round, id, err)
			}
			if r.Request.ID != key || len(r.Input) != 1500 {
				t.Fatalf("round %d: record %s is of request %q with %d bytes", round, id, r.Request.ID, len(r.Input))
			}
		}
		for id, key := range done {
			r, err := j.Record(bg, ident.MsgID(id))
			if err != nil || r.State != gateway.StateDone || len(r.Output) != 1200 {
				t.Fatalf("round %d: acknowledged end of %s: %s with %d bytes, %v", round, id, r.State, len(r.Output), err)
			}
			q, err := j.Request(bg, gateway.RequestKey{System: "his", ID: key})
			if err != nil || string(q.Answer) != "answer of "+id {
				t.Fatalf("round %d: acknowledged answer of %s: %+v, %v", round, key, q, err)
			}
		}
		for id := range sent {
			total[id] = true
		}
		for id := range total { // those of the rounds before stay too
			var n int
			if found, err := j.db.Get(bg, "SELECT 1 FROM record WHERE id = $1", []any{id}, &n); err != nil || !found {
				t.Fatalf("round %d: record %s of an earlier round: %v, %v", round, id, found, err)
			}
		}
		if broken, err := j.db.Check(bg); err != nil || len(broken) > 0 {
			t.Fatalf("round %d: integrity check: %v, %v", round, broken, err)
		}
		if err := fsckClean(j.Journal); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(total) < 100 {
		t.Errorf("only %d records were acknowledged: the test has shown little", len(total))
	}
}

func childIDs(path string) {
	j := openAt(loud{}, at(path))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 600 {
				id, err := j.NextMsgID(bg, testInst, time.Now())
				if err != nil {
					loud{}.Fatal(err)
				}
				say("given", string(id))
			}
		})
	}
	wg.Wait()
	if err := j.Close(); err != nil {
		loud{}.Fatal(err)
	}
}

// Processes that share a file never give the same id.
func TestProcessesShareIDs(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testProcessesShareIDs(t, filepath.Join(t.TempDir(), "j.db")) })
	t.Run("postgres", func(t *testing.T) { testProcessesShareIDs(t, servers.Schema(t)) })
}

func testProcessesShareIDs(t *testing.T, path string) {
	const processes = 3
	var mu sync.Mutex
	given := map[string]int{}
	var wg sync.WaitGroup
	for p := range processes {
		wg.Go(func() {
			child(t, "ids", path, "", func(_, id, _ string) bool {
				mu.Lock()
				defer mu.Unlock()
				if other, twice := given[id]; twice {
					t.Errorf("%s was given to process %d and to process %d", id, other, p)
				}
				given[id] = p
				return true
			})
		})
	}
	wg.Wait()
	if len(given) != processes*8*600 {
		t.Errorf("%d ids, want %d", len(given), processes*8*600)
	}
	j := openAt(t, at(path))
	if err := fsckClean(j.Journal); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
