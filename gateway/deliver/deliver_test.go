package deliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
	"yiqiao/gateway/vault/vaulttest"
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

func sm3() hash.Hash {
	p, err := sm.New("")
	if err != nil {
		panic(err)
	}
	return p.NewSM3()
}

// notices reads the journal's answer as the lane.
type notices struct{ j gateway.Journal }

func (n notices) Notice(ctx context.Context, key gateway.RequestKey) (gateway.Notice, error) {
	r, err := n.j.Request(ctx, key)
	if err != nil {
		return gateway.Notice{}, err
	}
	if string(r.Answer) == "damaged" {
		return gateway.Notice{}, &gateway.Error{Code: gateway.CodeInternal}
	}
	return gateway.Notice{System: key.System, RequestID: key.ID, Ref: r.Ref, AnsweredAt: r.AnsweredAt, Lane: string(r.Answer)}, nil
}

// his is a receiver that checks what it gets.
type his struct {
	t      *testing.T
	web    *httptest.Server
	now    func() time.Time
	answer func(id string, try int) int

	mu    sync.Mutex
	got   []string          // request ids in the order they were taken
	ids   map[string]string // request id -> delivery id
	calls int
}

var key = []byte("0123456789abcdef")

func newHIS(t *testing.T, now func() time.Time) *his {
	h := &his{t: t, now: now, ids: map[string]string{}, answer: func(string, int) int { return 204 }}
	h.web = httptest.NewServer(h)
	t.Cleanup(h.web.Close)
	return h
}

func (h *his) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !Verify(sm3, key, r.Header, body, h.now(), time.Minute) {
		h.t.Errorf("not genuine: %s %v", body, r.Header)
	}
	if Verify(sm3, key, r.Header, append(body, ' '), h.now(), time.Minute) || Verify(sm3, []byte("0123456789abcdeX"), r.Header, body, h.now(), time.Minute) ||
		Verify(sm3, key, r.Header, body, h.now().Add(2*time.Minute), time.Minute) {
		h.t.Error("a signature proves nothing")
	}
	var m message
	if err := json.Unmarshal(body, &m); err != nil || m.Delivery != r.Header.Get(HeaderID) || m.Event != "request.answered" {
		h.t.Errorf("%s %v", body, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	var try int
	_, _ = fmt.Sscan(r.Header.Get(HeaderTry), &try)
	if old := h.ids[m.RequestID]; old != "" && old != m.Delivery {
		h.t.Errorf("%s came under %s and %s", m.RequestID, old, m.Delivery)
	}
	h.ids[m.RequestID] = m.Delivery
	status := h.answer(m.RequestID, try)
	if status >= 300 && status < 400 {
		w.Header().Set("Location", h.web.URL+"/elsewhere")
	}
	if status < 300 {
		h.got = append(h.got, m.RequestID)
	}
	w.WriteHeader(status)
}

// answers sets what it answers from now on.
func (h *his) answers(f func(id string, try int) int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

type bench struct {
	t     *testing.T
	j     *journal.Journal
	db    *store.DB
	clock *gatewaytest.Clock
	his   *his
}

func each(t *testing.T, test func(b *bench)) {
	for name, place := range map[string]func(t *testing.T) store.Options{
		"sqlite":   func(t *testing.T) store.Options { return store.Options{Path: filepath.Join(t.TempDir(), "j.db")} },
		"postgres": func(t *testing.T) store.Options { return store.Options{DSN: servers.Schema(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(bg, place(t))
			if err != nil {
				t.Fatal(err)
			}
			j, err := journal.Open(db, journal.Options{Sealer: vaulttest.Plain{}})
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{t: t, j: j, db: db, clock: gatewaytest.NewClock(dawn)}
			b.his = newHIS(t, b.clock.Now)
			t.Cleanup(func() { _ = errors.Join(j.Close(), db.Close()) })
			test(b)
		})
	}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) courier(holder string) *Courier {
	b.t.Helper()
	c, err := New(Options{Journal: b.j, DB: b.db, Notices: notices{b.j}, Clock: b.clock, SM3: sm3, Holder: holder,
		Receivers: []Receiver{{System: "his", URL: b.his.web.URL, Key: key}}})
	b.must(err)
	return c
}

// answered makes a request whose answer waits in a lane.
func (b *bench) answered(id, lane string) {
	b.t.Helper()
	now := b.clock.Now()
	_, err := b.j.Write(bg, gateway.Entry{Request: &gateway.Request{Key: gateway.RequestKey{System: "his", ID: id}, Op: "transact", CreatedAt: now}})
	b.must(err)
	_, err = b.j.Write(bg, gateway.Entry{Answer: &gateway.Answer{Key: gateway.RequestKey{System: "his", ID: id}, Body: []byte(lane), At: now}})
	b.must(err)
	b.clock.Advance(time.Millisecond)
}

func (b *bench) waiting() []Waiting {
	b.t.Helper()
	s, err := Desk{b.j, b.db, b.clock}.State(bg, "his", 1000)
	b.must(err)
	return s.Waiting
}

func (b *bench) round(c *Courier) {
	b.t.Helper()
	b.must(c.Round(bg))
}

func TestAnswersComeOverInOrder(t *testing.T) {
	each(t, func(b *bench) {
		for i := range 30 {
			b.answered(fmt.Sprintf("r%02d", i), fmt.Sprintf("visit%d", i%3))
		}
		_, err := b.j.Write(bg, gateway.Entry{Request: &gateway.Request{Key: gateway.RequestKey{System: "other", ID: "x"}, Op: "transact", CreatedAt: dawn,
			Answer: []byte("y"), AnsweredAt: dawn}})
		b.must(err)
		c := b.courier("a")
		b.round(c)
		if b.his.calls != 0 {
			b.t.Fatalf("%d were brought while the HIS may be fetching them", b.his.calls)
		}
		b.clock.Advance(10 * time.Second)
		b.j.Told(gateway.RequestKey{System: "his", ID: "r07"}, b.clock.Now()) // fetched meanwhile
		b.round(c)
		b.round(c)
		last := map[byte]string{}
		for _, id := range b.his.got {
			lane := (id[1]*10 + id[2]) % 3
			if last[lane] >= id {
				b.t.Errorf("%s after %s", id, last[lane])
			}
			last[lane] = id
		}
		if len(b.his.got) != 29 || b.his.calls != 29 || len(b.waiting()) != 0 {
			b.t.Errorf("%d taken in %d calls, %d wait", len(b.his.got), b.his.calls, len(b.waiting()))
		}
		r, err := b.j.Request(bg, gateway.RequestKey{System: "his", ID: "r01"})
		if err != nil || !r.Told {
			b.t.Errorf("not told: %v", err)
		}
	})
}

// A lane whose first is refused waits; others go on.
func TestARefusedAnswerHoldsItsLane(t *testing.T) {
	each(t, func(b *bench) {
		stubborn := true
		b.his.answers(func(id string, _ int) int {
			if id == "a1" && stubborn {
				return 422
			}
			return 200
		})
		b.answered("a1", "A")
		b.answered("b1", "B")
		b.answered("a2", "A")
		b.answered("d1", "damaged")
		b.clock.Advance(10 * time.Second)
		c := b.courier("a")
		for range 5 {
			b.round(c)
		}
		if w := b.waiting(); len(w) != 3 || w[0].RequestID != "a1" || w[0].Tries != 1 || w[0].Why == "" || w[1].Tries != 0 || len(b.his.got) != 1 || c.Trouble() != "" {
			b.t.Errorf("%+v %q", w, c.Trouble())
		}
		n := b.his.calls
		b.clock.Advance(time.Hour)
		b.round(b.courier("a")) // started again: what was tried is known
		if w := b.waiting(); w[0].Tries != 2 || b.his.calls != n+1 {
			b.t.Errorf("%+v, %d calls", w, b.his.calls-n)
		}
		for range 3 {
			b.clock.Advance(time.Hour)
			b.round(c)
		}
		if !strings.Contains(c.Trouble(), "his refuses") {
			b.t.Errorf("health says %q of what is refused again and again", c.Trouble())
		}
		b.answered("f1", "F") // is refused twice, then fetched by the HIS itself
		b.his.answers(func(id string, _ int) int { return map[bool]int{true: 409, false: 200}[id == "a1" || id == "f1"] })
		for range 4 {
			b.clock.Advance(time.Hour)
			b.round(c)
		}
		b.j.Told(gateway.RequestKey{System: "his", ID: "f1"}, b.clock.Now())
		b.his.answers(func(id string, _ int) int { return map[bool]int{true: 409, false: 200}[id == "a1" && stubborn] })
		b.clock.Advance(time.Hour)
		b.round(c)
		b.round(c)
		if !strings.Contains(c.Trouble(), "refuses 2 deliveries") && !strings.Contains(c.Trouble(), "refuses 1 deliveries") {
			b.t.Errorf("%q", c.Trouble())
		}
		if m, err := attempts(bg, b.db, "his"); err != nil || m["f1"].tries != 0 {
			b.t.Errorf("tries of what the HIS fetched are kept: %+v %v", m, err)
		}
		stubborn = false
		desk := Desk{b.j, b.db, b.clock}
		if n, err := desk.Retry(bg, "his", "a1"); err != nil || n != 1 {
			b.t.Errorf("%d %v", n, err)
		}
		if err := desk.Skip(bg, "his", "d1", "li", ""); err == nil {
			b.t.Error("given up without a reason")
		}
		b.must(desk.Skip(bg, "his", "d1", "li", "told by telephone"))
		if err := desk.Skip(bg, "his", "d1", "li", "again"); err == nil {
			b.t.Error("given up twice")
		}
		b.round(c)
		b.round(c)
		if c.Trouble() != "" || len(b.waiting()) != 0 || strings.Join(b.his.got, " ") != "b1 a1 a2" {
			b.t.Errorf("%v, %+v wait", b.his.got, b.waiting())
		}
	})
}

func TestAReceiverThatIsDownIsLeftAloneAndTriedAgain(t *testing.T) {
	each(t, func(b *bench) {
		for _, status := range []int{500, 302, 401, 429} {
			b.his.answers(func(string, int) int { return status })
			b.his.calls = 0
			for i := range 20 {
				b.answered(fmt.Sprintf("s%d-%02d", status, i), fmt.Sprint(i))
			}
			b.clock.Advance(10 * time.Second)
			c := b.courier("a")
			for range 60 {
				b.round(c)
				b.clock.Advance(time.Second)
			}
			if b.his.calls < 4 || b.his.calls > 12 { // the first few at once, then one after each pause
				b.t.Errorf("%d: %d calls in a minute", status, b.his.calls)
			}
			if c.Trouble() == "" || len(b.waiting()) != 20 {
				b.t.Errorf("%d: %q, %d wait", status, c.Trouble(), len(b.waiting()))
			}
			b.his.answers(func(string, int) int { return 200 })
			b.clock.Advance(time.Hour)
			b.round(c)
			b.round(c)
			if c.Trouble() != "" || len(b.waiting()) != 0 {
				b.t.Errorf("%d: %q, %d wait", status, c.Trouble(), len(b.waiting()))
			}
		}
		b.his.web.Close()
		b.answered("gone", "x")
		b.clock.Advance(10 * time.Second)
		c := b.courier("a")
		b.round(c)
		if !strings.Contains(c.Trouble(), "his") || len(b.waiting()) != 1 {
			b.t.Errorf("%q", c.Trouble())
		}
	})
}

// Of two gateways one delivers; when it is gone the other does.
func TestOneOfTwoGatewaysDelivers(t *testing.T) {
	each(t, func(b *bench) {
		one, two := b.courier("one"), b.courier("two")
		b.answered("r1", "x")
		b.clock.Advance(10 * time.Second)
		b.his.answers(func(string, int) int { return 422 })
		b.round(one)
		b.clock.Advance(5 * time.Second)
		b.round(two)
		if b.his.calls != 1 {
			b.t.Errorf("%d calls: both deliver", b.his.calls)
		}
		b.clock.Advance(time.Minute)
		b.round(two)
		if b.his.calls != 2 {
			b.t.Errorf("%d calls: nobody took over", b.his.calls)
		}
		b.round(one)
		if b.his.calls != 2 {
			b.t.Error("the one that was replaced goes on")
		}
		desk := Desk{b.j, b.db, b.clock}
		b.must(desk.Pause(bg, "his", "li", "HIS is being changed"))
		b.clock.Advance(10 * time.Second)
		b.round(two)
		if s, err := desk.State(bg, "his", 10); err != nil || s.Paused == "" || b.his.calls != 2 {
			b.t.Errorf("%+v %v, %d calls", s, err, b.his.calls)
		}
		b.must(desk.Pause(bg, "his", "", ""))
		b.his.answers(func(string, int) int { return 200 })
		b.round(two)
		if len(b.his.got) != 1 {
			b.t.Error("not resumed")
		}
	})
}

// A stop in the middle loses nothing.
func TestStoppedInTheMiddle(t *testing.T) {
	each(t, func(b *bench) {
		for i := range 50 {
			b.answered(fmt.Sprint("r", i), fmt.Sprint(i%5))
		}
		b.clock.Advance(10 * time.Second)
		ctx, stop := context.WithCancel(bg)
		b.his.answers(func(string, int) int {
			if b.his.calls == 20 {
				stop()
			}
			return 200
		})
		_ = b.courier("a").Round(ctx)
		b.his.answers(func(string, int) int { return 200 })
		b.round(b.courier("a"))
		b.round(b.courier("a"))
		seen := map[string]bool{}
		for _, id := range b.his.got {
			seen[id] = true
		}
		if len(seen) != 50 || len(b.waiting()) != 0 {
			b.t.Errorf("%d came over, %d wait", len(seen), len(b.waiting()))
		}
	})
}

func TestReceiversAreChecked(t *testing.T) {
	good := Receiver{System: "his", URL: "https://his.example/hook?x=1", Key: key}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, bend := range map[string]func(*Receiver){
		"no system": func(r *Receiver) { r.System = "" },
		"file":      func(r *Receiver) { r.URL = "file:///etc/passwd" },
		"no host":   func(r *Receiver) { r.URL = "http://" },
		"no scheme": func(r *Receiver) { r.URL = "his.example/hook" },
		"user":      func(r *Receiver) { r.URL = "http://a:b@his.example/" },
		"fragment":  func(r *Receiver) { r.URL = "http://his.example/#x" },
		"short key": func(r *Receiver) { r.Key = r.Key[:15] },
		"timeout":   func(r *Receiver) { r.Timeout = time.Hour },
		"after":     func(r *Receiver) { r.After = -1 },
	} {
		r := good
		bend(&r)
		if r.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
