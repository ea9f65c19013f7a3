package centre

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"yiqiao/gateway"
)

var (
	errLapsed      = errors.New("no answer within the limit")
	errConnect     = errors.New("no connection within the limit")
	errUnsolicited = errors.New("the peer spoke before it was asked")
)

// conn is a connection that knows whether a byte of the present message has left this machine,
// which net/http does not tell: its trace reports a request as written while it still lies in a
// buffer.
type conn struct {
	net.Conn
	layered bool // another party's protocol lies on top (TLS through a proxy): Read does not judge

	mu      sync.Mutex
	busy    *turn // the message under way, nil when idle
	last    *turn // the last message
	written int64 // bytes since the message began
	writing bool  // a Write is under way
	dead    bool
}

// turn is one message on a connection.
type turn struct {
	before *turn // the one before it; of the one goroutine that sends the message
	over   chan struct{}
	once   sync.Once
	answer [32]byte // digest of what it was answered with, zero for none; valid when over is closed, as is
	astray bool     // that this was the answer to another message
}

// begin marks the start of a message. Its turn has to be given to finish.
func (c *conn) begin() *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = &turn{before: c.last, over: make(chan struct{})}
	c.busy, c.written = c.last, 0
	return c.last
}

// end marks the end of a message; without effect when another has begun already.
func (c *conn) end(t *turn) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == t {
		c.busy = nil
	}
}

// finish lets the turn behind this one know what it was answered with. Only the first call counts.
func (t *turn) finish(answer [32]byte, astray bool) {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.answer, t.astray = answer, astray
		close(t.over)
	})
}

// goesAstray reports whether a message was answered with the very bytes that answered the one before it on the same
// connection: such an answer is a doubled one, for what the centre writes for two messages differs. What comes on the
// connection from then on is for whoever asked before.
func (t *turn) goesAstray(answer [32]byte) bool {
	if t == nil {
		return false
	}
	astray := false
	if t.before != nil {
		<-t.before.over // its answer has been read whole, or this one could not have come
		astray = t.before.astray || t.before.answer == answer
	}
	t.finish(answer, astray)
	return astray
}

// kill closes the connection, makes sure that nothing more is written to it and reports whether
// a byte of the message may have left. Of a connection of unknown make (nil) it reports true.
func (c *conn) kill() (left bool) {
	if c == nil {
		return true
	}
	c.mu.Lock()
	c.dead = true
	left = c.writing || c.written > 0
	c.mu.Unlock()
	c.Conn.Close()
	return left
}

func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return 0, net.ErrClosed
	}
	c.writing = true
	c.mu.Unlock()

	n, err := c.Conn.Write(b)

	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
	c.written += int64(n)
	return n, err
}

// Read refuses what arrives while nothing was asked: it would be taken for the answer to the next
// message.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 {
		return n, err
	}
	c.mu.Lock()
	asked := c.layered || c.busy != nil && (c.writing || c.written > 0)
	c.dead = c.dead || !asked
	c.mu.Unlock()
	if !asked {
		clear(b[:n])
		c.Conn.Close()
		return 0, errUnsolicited
	}
	return n, err
}

// dialer makes connections within a time limit.
type dialer struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	tls   *tls.Config
	limit time.Duration
	clock gateway.Clock
	proxy bool
}

// plain connects.
func (d *dialer) plain(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, stop := limited(ctx, d.clock.Sleep, d.limit, errConnect)
	defer stop()
	nc, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, reason(ctx, err)
	}
	return &conn{Conn: nc, layered: d.proxy}, nil
}

// secure connects and does the TLS handshake. Bytes are counted inside TLS, so that an alert at
// closing is not mistaken for a part of a message.
func (d *dialer) secure(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, stop := limited(ctx, d.clock.Sleep, d.limit, errConnect)
	defer stop()
	nc, err := d.dial(ctx, network, addr)
	if err != nil {
		return nil, reason(ctx, err)
	}
	cfg := d.tls
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, reason(ctx, err)
	}
	return &conn{Conn: tc}, nil
}

// limited gives a context that ends with cause lapse after d. The caller must call stop, which
// waits for the one goroutine this needs.
func limited(parent context.Context, sleep func(context.Context, time.Duration) error, d time.Duration, lapse error) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	over := make(chan struct{})
	go func() {
		defer close(over)
		if sleep(ctx, d) == nil {
			cancel(lapse)
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-over
	}
}

// reason is the cause the context ended with, when it has ended, else err.
func reason(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}
