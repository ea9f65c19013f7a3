package centre

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

const (
	done    = gateway.OutcomeDone
	refused = gateway.OutcomeRefused
	unknown = gateway.OutcomeUnknown
)

func TestRequestAsItTravels(t *testing.T) {
	type seen struct {
		path, proto, media, length, stamp, host string
		body                                    []byte
	}
	for _, c := range []struct {
		base, style, media string
		path, wantMedia    string
	}{
		{"", "", "", "/2207", "application/json; charset=utf-8"},
		{"/ebus/app/", URLPerInfno, "text/plain", "/ebus/app/2207", "text/plain"},
		{"/ebus/a%2Fb", "", "", "/ebus/a%2Fb/2207", "application/json; charset=utf-8"},
		{"/CSB", URLSingle, "", "/CSB", "application/json; charset=utf-8"},
	} {
		t.Run(c.base+c.style, func(t *testing.T) {
			got := make(chan seen, 1)
			srv := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				if len(r.TransferEncoding) != 0 || r.Method != http.MethodPost || r.Header.Get("Idempotency-Key") != "" {
					t.Errorf("%s, transfer encoding %v, %v", r.Method, r.TransferEncoding, r.Header)
				}
				got <- seen{r.URL.EscapedPath(), r.Proto, r.Header.Get("Content-Type"), r.Header.Get("Content-Length"), r.Header.Get("x-stamp"), r.Host, b}
			}))
			o := options(t, srv.URL+c.base, clock())
			o.URLStyle, o.ContentType = c.style, c.media
			var stampedBytes []byte
			o.Transport = stampFunc(func(h http.Header, b []byte) error {
				stampedBytes = bytes.Clone(b)
				h.Set("x-stamp", "yes")
				h.Set("Idempotency-Key", "would make net/http send twice")
				return nil
			})
			want(t, attempt(t, newClient(t, o), "M1", catalog.LimitQuery), unknown, gateway.CauseNotInterface) // empty answer
			s := <-got
			if s.path != c.path || s.media != c.wantMedia || s.proto != "HTTP/1.1" || s.stamp != "yes" || s.length != fmt.Sprint(len(s.body)) {
				t.Errorf("the request travelled as %+v", s)
			}
			if !bytes.Equal(s.body, stampedBytes) {
				t.Error("other bytes were stamped than sent")
			}
		})
	}
}

func TestRedirectsAndCookiesAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		var hits atomic.Int32
		srv := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if hits.Add(1); len(r.Cookies()) != 0 || r.URL.Path != "/2207" {
				t.Errorf("%d: %s %s with cookies %v", status, r.Method, r.URL.Path, r.Cookies())
			}
			http.SetCookie(rw, &http.Cookie{Name: "id", Value: "1"})
			http.Redirect(rw, r, "/elsewhere", status)
		}))
		c := newClient(t, options(t, srv.URL, clock()))
		for range 2 {
			want(t, attempt(t, c, "M1", catalog.LimitQuery), unknown, gateway.CauseNotInterface)
		}
		if hits.Load() != 2 {
			t.Errorf("%d: the server was asked %d times, want 2", status, hits.Load())
		}
	}
}

// A kept connection that the server closes while a message is under way is the classic case in
// which HTTP clients send again.
func TestNothingIsSentTwiceOnAKeptConnection(t *testing.T) {
	var in inbox
	h := good(t, &in)
	conns := map[string]int{}
	var mu sync.Mutex
	srv := serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr]++
		second := conns[r.RemoteAddr] == 2
		mu.Unlock()
		if !second {
			h(rw, r)
			return
		}
		b, _ := io.ReadAll(r.Body)
		in.add(msgidOf(t, stampProfile{}, b))
		nc, _, err := rw.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		nc.Close()
	}))
	c := newClient(t, options(t, srv.URL, clock()))
	want(t, attempt(t, c, "M1", catalog.LimitQuery), done, gateway.CauseNone)
	want(t, attempt(t, c, "M2", catalog.LimitQuery), unknown, gateway.CauseCut)
	mu.Lock()
	defer mu.Unlock()
	if len(conns) != 1 {
		t.Fatalf("%d connections: the second message did not go over a kept one", len(conns))
	}
	if n := in.count("M2"); n != 1 {
		t.Errorf("the message arrived %d times, want once", n)
	}
}

// Whatever the race between a server that closes its idle connections and a message, the answer is
// true: refused means it never arrived, done means it arrived, and it never arrives twice.
func TestServerClosingIdleConnections(t *testing.T) {
	var in inbox
	srv := serve(t, good(t, &in))
	o := options(t, srv.URL, clock())
	o.Breaker.Consecutive, o.Breaker.Percent, o.Breaker.Minimum = 1<<30, 100, 1<<30
	c := newClient(t, o)
	for i := range 200 {
		id := ident.MsgID(fmt.Sprint("M", i))
		closing := make(chan struct{})
		go func() { srv.CloseClientConnections(); close(closing) }()
		r := attempt(t, c, id, catalog.LimitQuery)
		<-closing
		n := in.count(id)
		switch {
		case n > 1,
			r.Outcome == done && n != 1,
			r.Outcome == refused && (n != 0 || r.Cause != gateway.CauseNotSent),
			r.Outcome == unknown && r.Cause != gateway.CauseCut:
			t.Fatalf("%s/%q (%s), and the message arrived %d times", r.Outcome, r.Cause, r.Detail, n)
		}
	}
}

// brokenConn is a kept connection that went bad: from the second message on, writing fails.
type brokenConn struct {
	net.Conn
	mu     sync.Mutex
	answer bool // an answer was read
	first  int  // bytes of the second message that still leave
}

func (b *brokenConn) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.mu.Lock()
	b.answer = b.answer || n > 0
	b.mu.Unlock()
	return n, err
}

func (b *brokenConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.answer {
		return b.Conn.Write(p)
	}
	n, _ := b.Conn.Write(p[:b.first])
	return n, &net.OpError{Op: "write", Net: "tcp", Err: net.ErrClosed}
}

func TestWhetherAByteLeftDecides(t *testing.T) {
	for _, c := range []struct {
		left    int
		outcome gateway.Outcome
		cause   gateway.Cause
	}{
		{0, refused, gateway.CauseNotSent},
		{1, unknown, gateway.CauseCut},
	} {
		var in inbox
		srv := serve(t, good(t, &in))
		o := options(t, srv.URL, clock())
		var dials atomic.Int32
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			return &brokenConn{Conn: nc, first: c.left}, err
		}
		cl := newClient(t, o)
		want(t, attempt(t, cl, "M1", catalog.LimitQuery), done, gateway.CauseNone)
		want(t, attempt(t, cl, "M2", catalog.LimitQuery), c.outcome, c.cause)
		if in.count("M2") != 0 || dials.Load() != 1 {
			t.Errorf("%d byte left: arrived %d times over %d connections", c.left, in.count("M2"), dials.Load())
		}
	}
}

func TestSettlementsTravelAlone(t *testing.T) {
	for _, c := range []struct {
		limit catalog.Limit
		named bool
		fresh []catalog.Limit
		idle  time.Duration
		conns int
	}{
		{limit: catalog.LimitSettle, conns: 3},
		{limit: catalog.LimitSettle, named: true, conns: 1},
		{limit: catalog.LimitSettle, named: true, idle: time.Nanosecond, conns: 3}, // not within the moment
		{limit: catalog.LimitQuery, conns: 1},
		{limit: catalog.LimitSettle, fresh: []catalog.Limit{}, conns: 1},
		{limit: catalog.LimitWrite, fresh: []catalog.Limit{catalog.LimitWrite}, conns: 3},
	} {
		var in inbox
		var dials atomic.Int32
		o := options(t, serve(t, good(t, &in)).URL, clock())
		o.Fresh, o.Idle = c.fresh, c.idle
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		cl := newClient(t, o)
		for i := range 3 {
			m := coreMessage(ident.MsgID(fmt.Sprint("M", i)), c.limit)
			m.Named = c.named
			want(t, attemptOf(t, cl, m), done, gateway.CauseNone)
		}
		if int(dials.Load()) != c.conns {
			t.Errorf("3 messages of class %s, fresh %v: %d connections, want %d", c.limit, c.fresh, dials.Load(), c.conns)
		}
	}
}

// rawServer answers with exact bytes, however wrong.
func rawServer(t *testing.T, answer func(nc net.Conn, r *http.Request)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				br := bufio.NewReader(nc)
				r, err := http.ReadRequest(br)
				if err != nil {
					return
				}
				io.Copy(io.Discard, r.Body)
				answer(nc, r)
			})
		}
	})
	return "http://" + l.Addr().String()
}

func TestAnswersThatAreNotWhole(t *testing.T) {
	const secret = "999999199001011238"
	long := strings.Repeat("x", 2<<20)
	for name, c := range map[string]struct {
		text  string
		cause gateway.Cause
	}{
		"nothing":                {"", gateway.CauseCut},
		"half a status line":     {"HTTP/1.1 20", gateway.CauseNotInterface},
		"no body":                {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", gateway.CauseCut},
		"half a body":            {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + good0, gateway.CauseCut},
		"half a chunked body":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":", gateway.CauseCut},
		"bad chunk":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + good0, gateway.CauseNotInterface},
		"another protocol":       {secret + "\r\n\r\n", gateway.CauseNotInterface},
		"broken header":          {"HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n", gateway.CauseNotInterface},
		"endless header":         {"HTTP/1.1 200 OK\r\nX: " + long + "\r\n\r\n", gateway.CauseNotInterface},
		"oversized":              {"HTTP/1.1 200 OK\r\n\r\n" + long, gateway.CauseNotInterface},
		"body cut inside JSON":   {"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + good0[:20], gateway.CauseNotInterface},
		"switching protocols":    {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", gateway.CauseNotInterface},
		"two replies as one":     {"HTTP/1.1 200 OK\r\n\r\n" + good0 + good0, gateway.CauseNotInterface},
		"reply in a 500, no end": {"HTTP/1.1 500 Oops\r\n\r\n" + good0, gateway.CauseNotInterface},
	} {
		t.Run(name, func(t *testing.T) {
			u := rawServer(t, func(nc net.Conn, _ *http.Request) { io.WriteString(nc, c.text) })
			var logged bytes.Buffer
			o := options(t, u, clock())
			o.Log = slog.New(slog.NewTextHandler(&logged, nil))
			r := attempt(t, newClient(t, o), "M1", catalog.LimitSettle)
			want(t, r, unknown, c.cause)
			if strings.Contains(r.Detail+logged.String(), secret) {
				t.Errorf("what the peer sent is in the log: %s", logged.String())
			}
		})
	}
}

func TestLimits(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	arrived := make(chan struct{}, 1)
	u := rawServer(t, func(nc net.Conn, r *http.Request) {
		if r.URL.Path == "/half/2207" {
			io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"+good0)
		}
		arrived <- struct{}{}
		<-hang
	})
	for _, c := range []struct {
		path  string
		limit catalog.Limit
		after time.Duration
	}{
		{"", catalog.LimitQuery, time.Minute},
		{"", catalog.LimitWrite, time.Minute},
		{"", catalog.LimitSettle, 3 * time.Minute},
		{"", catalog.LimitFile, 3 * time.Minute},
		{"/half", catalog.LimitQuery, time.Minute}, // reading the body is inside the limit
	} {
		t.Run(c.path+string(c.limit), func(t *testing.T) {
			clk := clock()
			cl := newClient(t, options(t, u+c.path, clk))
			got := make(chan gateway.Reply, 1)
			go func() { got <- attempt(t, cl, "M1", c.limit) }()
			<-arrived
			clk.Advance(c.after - 1)
			if clk.Waiters() != 1 {
				t.Fatal("the limit passed too early")
			}
			clk.Advance(1)
			r := <-got
			want(t, r, unknown, gateway.CauseTimeout)
			if r.Took != c.after || !r.SentFrom.Equal(t0) {
				t.Errorf("took %s from %s", r.Took, r.SentFrom)
			}
			if clk.Waiters() != 0 {
				t.Error("a goroutine is left behind")
			}
		})
	}
}

// A limit that passes while the connection is being made is proof that nothing left.
func TestLimitsBeforeAByteLeft(t *testing.T) {
	for name, move := range map[string]time.Duration{"connect": 10 * time.Second, "query": time.Minute} {
		t.Run(name, func(t *testing.T) {
			clk := clock()
			o := options(t, "http://centre.invalid", clk)
			if name == "query" {
				o.Connect = time.Hour
			}
			o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			cl := newClient(t, o)
			got := make(chan gateway.Reply, 1)
			go func() { got <- attempt(t, cl, "M1", catalog.LimitQuery) }()
			if err := clk.AwaitWaiters(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			clk.Advance(move)
			want(t, <-got, refused, gateway.CauseNotSent)
			clk.Advance(time.Hour) // lets the dial end too
		})
	}
}

func TestNoConnectionIsNotSent(t *testing.T) {
	failing := errors.New("lookup failed")
	for name, change := range map[string]func(*Options){
		"port closed": func(o *Options) { o.BaseURL = "http://" + closedPort(t) },
		"no such name": func(o *Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, failing }
		},
		"TLS to a plain server": func(o *Options) { o.BaseURL = strings.Replace(o.BaseURL, "http:", "https:", 1) },
		"headers can not be made": func(o *Options) {
			o.Transport = stampFunc(func(http.Header, []byte) error { return failing })
		},
		"proxy can not be found": func(o *Options) {
			o.Proxy = func(*http.Request) (*url.URL, error) { return nil, failing }
		},
	} {
		t.Run(name, func(t *testing.T) {
			var in inbox
			o := options(t, serve(t, good(t, &in)).URL, clock())
			change(&o)
			r := attempt(t, newClient(t, o), "M1", catalog.LimitSettle)
			want(t, r, refused, gateway.CauseNotSent)
			if in.count("M1") != 0 {
				t.Error("the message arrived")
			}
			if r.Detail == "" {
				t.Error("no detail for the operator")
			}
		})
	}
}

// What arrives while nothing was asked would be taken for the answer to the next message.
func TestUnaskedBytesCloseTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		before func(*conn)
		taken  bool
	}{
		"before the first message":    {func(*conn) {}, false},
		"begun, nothing written":      {func(c *conn) { c.begin() }, false},
		"written":                     {func(c *conn) { c.begin(); c.Write([]byte("ask")) }, true},
		"after the answer":            {func(c *conn) { n := c.begin(); c.Write([]byte("ask")); c.end(n) }, false},
		"next begun, nothing written": {func(c *conn) { n := c.begin(); c.Write([]byte("ask")); c.end(n); c.begin() }, false},
		"an end that comes late":      {func(c *conn) { n := c.begin(); c.begin(); c.Write([]byte("ask")); c.end(n) }, true},
		"under another protocol":      {func(c *conn) { c.layered = true }, true},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			go io.Copy(io.Discard, theirs)
			nc := &conn{Conn: ours}
			c.before(nc)
			go theirs.Write([]byte("answer"))
			n, err := nc.Read(make([]byte, 100))
			if c.taken && (n != 6 || err != nil) {
				t.Errorf("the answer was not taken: %d, %v", n, err)
			}
			if !c.taken {
				if n != 0 || !errors.Is(err, errUnsolicited) {
					t.Errorf("unasked bytes were taken: %d, %v", n, err)
				}
				if _, err := nc.Write([]byte("x")); err == nil {
					t.Error("the connection can still be used")
				}
			}
		})
	}
}

func TestTLS(t *testing.T) {
	var in inbox
	srv := httptest.NewUnstartedServer(good(t, &in))
	quiet(srv)
	srv.EnableHTTP2 = true // and it must not be used
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())

	o := options(t, srv.URL, clock())
	want(t, attempt(t, newClient(t, o), "M1", catalog.LimitSettle), refused, gateway.CauseNotSent)
	o.TLS = &tls.Config{RootCAs: roots}
	c := newClient(t, o)
	for i, limit := range []catalog.Limit{catalog.LimitSettle, catalog.LimitQuery, catalog.LimitQuery} {
		want(t, attempt(t, c, ident.MsgID(fmt.Sprint("T", i)), limit), done, gateway.CauseNone)
	}
	if in.count("M1") != 0 {
		t.Error("a message reached a server that was not trusted")
	}
	o.TLS = &tls.Config{RootCAs: roots, ServerName: "another.example"}
	want(t, attempt(t, newClient(t, o), "M1", catalog.LimitSettle), refused, gateway.CauseNotSent)
}

// The words of the message and of the answer are never logged.
func TestLogLines(t *testing.T) {
	var logged bytes.Buffer
	var in inbox
	o := options(t, serve(t, good(t, &in)).URL, clock())
	o.Log = slog.New(slog.NewTextHandler(&logged, nil))
	want(t, attempt(t, newClient(t, o), "M1", catalog.LimitSettle), done, gateway.CauseNone)
	for _, w := range []string{"infno=2207", "msgid=M1", "sent_bytes=", "got_bytes=", "took=", "outcome=done"} {
		if !strings.Contains(logged.String(), w) {
			t.Errorf("the log line lacks %q: %s", w, logged.String())
		}
	}
	for _, w := range []string{"S-M1", "input", "setl_id"} {
		if strings.Contains(logged.String(), w) {
			t.Errorf("the log line holds %q of a body: %s", w, logged.String())
		}
	}
}

// A refusal does not name the message it is about. One that comes twice on a connection is not taken for the answer
// to the settlement that took the connection over: that one may stand.
func TestDoubledRefusalOnATakenOverConnection(t *testing.T) {
	refusal := func(id string) string {
		s, _ := stampProfile{}.SealReply(nil, t0, "0", "", replyText(`"-1"`, "no such patient "+id, ""))
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(s.Body), s.Body)
	}
	for name, c := range map[string]struct {
		second  string
		outcome gateway.Outcome
		cause   gateway.Cause
	}{
		"doubled": {refusal("1"), unknown, gateway.CauseNotInterface},
		"another": {refusal("2"), refused, gateway.CauseBusiness},
	} {
		var conns atomic.Int32
		cl := newClient(t, options(t, rawServer(t, func(nc net.Conn, _ *http.Request) {
			conns.Add(1)
			io.WriteString(nc, refusal("1"))
			r, err := http.ReadRequest(bufio.NewReader(nc))
			if err != nil {
				return
			}
			io.Copy(io.Discard, r.Body)
			io.WriteString(nc, c.second)
		}), clock()))
		send := func(id ident.MsgID) gateway.Reply {
			m := coreMessage(id, catalog.LimitSettle)
			m.Named = true
			return attemptOf(t, cl, m)
		}
		want(t, send("M1"), refused, gateway.CauseBusiness)
		r := send("M2")
		if want(t, r, c.outcome, c.cause); conns.Load() != 1 {
			t.Errorf("%s: %d connections", name, conns.Load())
		}
	}
}
