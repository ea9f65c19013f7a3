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
	busy    uint64 // number of the message under way, 0 when idle
	last    uint64 // number of the last message
	written int64  // bytes since the message began
	writing bool   // a Write is under way
	dead    bool
}

// begin marks the start of a message and gives its number.
func (c *conn) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	c.busy, c.written = c.last, 0
	return c.last
}

// end marks the end of message n; without effect when another has begun already.
func (c *conn) end(n uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy == n {
		c.busy = 0
	}
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
	asked := c.layered || c.busy != 0 && (c.writing || c.written > 0)
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
