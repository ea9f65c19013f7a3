package centre

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// switchable answers with what is set: a status, or 0 for done, -1 for a business refusal.
func switchable(t *testing.T, in *inbox) (url string, status *atomic.Int32) {
	status = new(atomic.Int32)
	h := good(t, in)
	return serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch s := status.Load(); s {
		case 0:
			h(rw, r)
		case -1:
			b, _ := io.ReadAll(r.Body)
			s, _ := stampProfile{}.SealReply(nil, t0, "0", "", replyText("-1", "no", msgidOf(t, stampProfile{}, b)))
			rw.Write(s.Body)
		default:
			io.Copy(io.Discard, r.Body)
			rw.WriteHeader(int(s))
		}
	})).URL, status
}

// refusedBy checks that Admit refuses with a code and says when to come back.
func refusedBy(t *testing.T, c *Client, code gateway.Code) *gateway.Error {
	t.Helper()
	p, err := c.Admit(t.Context(), "2207")
	if err == nil {
		p.Release()
		t.Fatalf("Admit gave a permit, want %s", code)
	}
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != code || e.RetryAfter <= 0 {
		t.Fatalf("Admit refused with %#v, want %s with RetryAfter", err, code)
	}
	return e
}

func TestBreakerOpensOnFailuresInARow(t *testing.T) {
	var in inbox
	url, status := switchable(t, &in)
	clk := clock()
	o := options(t, url, clk)
	o.Breaker.Open = time.Hour
	c := newClient(t, o)
	status.Store(502)
	for range 4 {
		attempt(t, c, "M1", catalog.LimitQuery)
	}
	status.Store(0)
	attempt(t, c, "M1", catalog.LimitQuery) // ends the row
	status.Store(502)
	for range 5 {
		attempt(t, c, "M1", catalog.LimitQuery)
	}
	if e := refusedBy(t, c, gateway.CodeCentreDown); e.RetryAfter != time.Hour {
		t.Errorf("RetryAfter %s, want the whole pause", e.RetryAfter)
	}
	clk.Advance(20 * time.Minute)
	if e := refusedBy(t, c, gateway.CodeCentreDown); e.RetryAfter != 40*time.Minute {
		t.Errorf("RetryAfter %s, want what is left of the pause", e.RetryAfter)
	}
	s := c.Stats()
	if s.Breaker != "open" || s.RefusedDown != 2 || s.InFlight != 0 || s.Endings[Ending{unknown, gateway.CauseNotInterface}] != 9 ||
		s.Endings[Ending{done, ""}] != 1 || !s.LastDone.Equal(t0) || !s.LastAnswer.Equal(t0) {
		t.Errorf("stats %+v", s)
	}
}

func TestBreakerOpensOnAShareOfFailures(t *testing.T) {
	var in inbox
	url, status := switchable(t, &in)
	o := options(t, url, clock())
	o.Breaker = Breaker{Consecutive: 100, Percent: 50, Minimum: 6, Open: time.Hour}
	c := newClient(t, o)
	for i := range 6 { // done, failed, done, failed, done, failed
		if got := c.Stats().Breaker; got != "closed" {
			t.Fatalf("the breaker is %s after %d messages", got, i)
		}
		status.Store(int32(i % 2 * 500))
		attempt(t, c, "M1", catalog.LimitQuery)
	}
	refusedBy(t, c, gateway.CodeCentreDown)
}

// A centre that refuses, or that finds fault with single messages, is up.
func TestWhatDoesNotOpenTheBreaker(t *testing.T) {
	for _, answer := range []int32{-1, 400, 404, 413} {
		var in inbox
		url, status := switchable(t, &in)
		c := newClient(t, options(t, url, clock()))
		status.Store(answer)
		for range 30 {
			attempt(t, c, "M1", catalog.LimitQuery)
		}
		if s := c.Stats(); s.Breaker != "closed" || s.InFlight != 0 {
			t.Errorf("after 30 answers %d: %+v", answer, s)
		}
	}
}

func TestEveryKindOfFailureOpensTheBreaker(t *testing.T) {
	page := func(body string) string {
		return serve(t, http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, body) })).URL
	}
	for name, url := range map[string]string{
		"not sent":  "http://" + closedPort(t),
		"cut":       rawServer(t, func(net.Conn, *http.Request) {}),
		"html":      page("<html>"),
		"signature": page(`{"Word":"bad"}`),
	} {
		o := options(t, url, clock())
		o.Breaker.Open = time.Hour
		c := newClient(t, o)
		for range 5 {
			attempt(t, c, "M1", catalog.LimitQuery)
		}
		if got := c.Stats().Breaker; got != "open" {
			t.Errorf("%s: the breaker is %s", name, got)
		}
	}
}

func TestBreakerTriesOneMessage(t *testing.T) {
	var in inbox
	url, status := switchable(t, &in)
	o := options(t, url, clock())
	o.Breaker.Open = 1 // a pause of a nanosecond: the next Admit comes after it
	c := newClient(t, o)
	status.Store(500)
	for range 5 {
		attempt(t, c, "M1", catalog.LimitQuery)
	}
	probe, err := c.Admit(t.Context(), "2207")
	if err != nil {
		t.Fatal(err)
	}
	refusedBy(t, c, gateway.CodeCentreDown) // one at a time
	probe.Release()                         // unused: says nothing
	if got := c.Stats().Breaker; got != "half-open" {
		t.Fatalf("the breaker is %s after an unused probe", got)
	}
	status.Store(404) // unclear: neither
	attempt(t, c, "M1", catalog.LimitQuery)
	if got := c.Stats().Breaker; got != "half-open" {
		t.Fatalf("the breaker is %s after an answer that says nothing", got)
	}
	status.Store(-1)
	want(t, attempt(t, c, "M1", catalog.LimitQuery), refused, gateway.CauseBusiness)
	if s := c.Stats(); s.Breaker != "closed" || s.InFlight != 0 {
		t.Errorf("after a good probe: %+v", s)
	}
}

func TestAdmitWaitsForAPlace(t *testing.T) {
	var in inbox
	url, _ := switchable(t, &in)
	start := func() (*Client, gateway.Permit, func(context.Context) <-chan error, interface {
		Advance(time.Duration)
		AwaitWaiters(context.Context, int) error
	}) {
		clk := clock()
		o := options(t, url, clk)
		o.MaxInFlight, o.MaxWait = 1, time.Second
		c := newClient(t, o)
		held, err := c.Admit(t.Context(), "2207")
		if err != nil {
			t.Fatal(err)
		}
		return c, held, func(ctx context.Context) <-chan error {
			got := make(chan error, 1)
			go func() {
				p, err := c.Admit(ctx, "2207")
				if err == nil {
					p.Release()
				}
				got <- err
			}()
			if err := clk.AwaitWaiters(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			return got
		}, clk
	}
	busy := func(err error) {
		t.Helper()
		var e *gateway.Error
		if !errors.As(err, &e) || e.Code != gateway.CodeCentreBusy || e.RetryAfter <= 0 {
			t.Errorf("Admit gave %v, want centre-busy", err)
		}
	}

	_, held, wait, _ := start()
	got := wait(t.Context())
	held.Release()
	if err := <-got; err != nil {
		t.Errorf("a place came free, and Admit gave %v", err)
	}

	c, held, wait, clk := start()
	got = wait(t.Context())
	clk.Advance(time.Second)
	busy(<-got)
	held.Release()
	if s := c.Stats(); s.RefusedBusy != 1 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}

	_, held, wait, _ = start()
	ctx, cancel := context.WithCancel(t.Context())
	got = wait(ctx)
	cancel()
	busy(<-got)
	held.Release()
}

func TestSealRefuses(t *testing.T) {
	c := newClient(t, options(t, "http://centre.invalid", clock()))
	for name, change := range map[string]func(*gateway.Message){
		"another transaction": func(m *gateway.Message) { m.Infno = "2208" },
		"unknown limit":       func(m *gateway.Message) { m.Limit = "" },
		"empty body":          func(m *gateway.Message) { m.Body = nil },
	} {
		p, err := c.Admit(t.Context(), "2207")
		if err != nil {
			t.Fatal(err)
		}
		m := coreMessage("M1", catalog.LimitSettle)
		change(&m)
		_, err = p.Seal(m)
		var e *gateway.Error
		if !errors.As(err, &e) || e.Code != gateway.CodeInternal {
			t.Errorf("%s: Seal gave %v", name, err)
		}
		p.Release()
	}
	// A number becomes a part of the URL.
	for _, n := range []ident.Infno{"", "../x", "22", "2207/x", "2207a", "22070000", "22?7"} {
		p, err := c.Admit(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		m := coreMessage("M1", catalog.LimitSettle)
		m.Infno = n
		if _, err := p.Seal(m); err == nil {
			t.Errorf("transaction number %q was sealed", n)
		}
		p.Release()
	}
	if n := c.Stats().InFlight; n != 0 {
		t.Errorf("%d places are not given back", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, change := range map[string]func(*Options){
		"no URL":              func(o *Options) { o.BaseURL = "" },
		"other scheme":        func(o *Options) { o.BaseURL = "ftp://x" },
		"no host":             func(o *Options) { o.BaseURL = "http:///x" },
		"password":            func(o *Options) { o.BaseURL = "http://user:secret@x" },
		"fragment":            func(o *Options) { o.BaseURL = "http://x/#y" },
		"unknown style":       func(o *Options) { o.URLStyle = "path" },
		"no profile":          func(o *Options) { o.Profile = nil },
		"no transport":        func(o *Options) { o.Transport = nil },
		"no clock":            func(o *Options) { o.Clock = nil },
		"no randomness":       func(o *Options) { o.Rand = nil },
		"no digest":           func(o *Options) { o.SM3 = nil },
		"unknown limit":       func(o *Options) { o.Limits = map[catalog.Limit]time.Duration{"slow": 1} },
		"zero limit":          func(o *Options) { o.Limits = map[catalog.Limit]time.Duration{catalog.LimitFile: 0} },
		"unknown fresh class": func(o *Options) { o.Fresh = []catalog.Limit{"slow"} },
		"endless wait":        func(o *Options) { o.MaxWait = time.Hour },
		"negative places":     func(o *Options) { o.MaxInFlight = -1 },
		"negative size":       func(o *Options) { o.MaxReply = -1 },
		"more than all":       func(o *Options) { o.Breaker.Percent = 101 },
		"bucket too long":     func(o *Options) { o.Breaker.Bucket = time.Hour },
	} {
		o := options(t, "http://centre.invalid", clock())
		change(&o)
		if c, err := New(o); err == nil || c != nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows a password: %v", name, err)
		}
	}
}

// A change of the breaker is logged once, and not from within the breaker.
func TestBreakerChangesAreLogged(t *testing.T) {
	var in inbox
	url, status := switchable(t, &in)
	o := options(t, url, clock())
	var c *Client
	var states []string
	o.Log = slog.New(logFunc(func(r slog.Record) {
		if r.Message == "centre breaker" {
			states = append(states, c.Stats().Breaker) // would hang under the breaker's lock
		}
	}))
	o.Breaker.Open = time.Hour
	c = newClient(t, o)
	status.Store(500)
	for range 5 {
		attempt(t, c, "M1", catalog.LimitQuery)
	}
	refusedBy(t, c, gateway.CodeCentreDown)
	if len(states) != 1 || states[0] != "open" {
		t.Errorf("logged %v", states)
	}
}

type logFunc func(slog.Record)

func (f logFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (f logFunc) Handle(_ context.Context, r slog.Record) error { f(r); return nil }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f logFunc) WithGroup(string) slog.Handler                 { return f }
