package fault

import (
	"net"
	"sync"
)

// Listener is a network listener that can fail below HTTP: reset connections as soon as they are
// accepted, or not listen at all for a while.
type Listener struct {
	mu     sync.Mutex
	up     *sync.Cond
	inner  net.Listener // nil while down
	addr   net.Addr
	refuse int // connections still to be reset; below zero means all
	closed bool
	resets int
}

// Listen opens a TCP listener on addr ("127.0.0.1:0").
func Listen(addr string) (*Listener, error) {
	inner, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return Wrap(inner), nil
}

// Wrap takes over an open listener. Down and Up need it to be a TCP listener.
func Wrap(inner net.Listener) *Listener {
	l := &Listener{inner: inner, addr: inner.Addr()}
	l.up = sync.NewCond(&l.mu)
	return l
}

// Refuse resets the next n connections right after they are made; n below zero resets every one
// until Refuse(0).
func (l *Listener) Refuse(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = n
}

// Resets counts the connections that were reset.
func (l *Listener) Resets() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resets
}

// Down stops listening: new connections are refused by the operating system. Connections already
// accepted stay open.
func (l *Listener) Down() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner == nil {
		return nil
	}
	inner := l.inner
	l.inner = nil
	return inner.Close()
}

// Up listens again on the same address.
func (l *Listener) Up() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil || l.closed {
		return nil
	}
	inner, err := net.Listen(l.addr.Network(), l.addr.String())
	if err != nil {
		return err
	}
	l.inner = inner
	l.up.Broadcast()
	return nil
}

// Accept waits for a connection that is neither reset nor refused.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		l.mu.Lock()
		for l.inner == nil && !l.closed {
			l.up.Wait()
		}
		inner, closed := l.inner, l.closed
		l.mu.Unlock()
		if closed {
			return nil, net.ErrClosed
		}
		conn, err := inner.Accept()
		l.mu.Lock()
		changed := l.inner != inner && !l.closed
		drop := err == nil && l.refuse != 0
		if drop {
			l.resets++
			if l.refuse > 0 {
				l.refuse--
			}
		}
		l.mu.Unlock()
		switch {
		case drop:
			reset(conn)
		case err == nil:
			return conn, nil
		case !changed:
			return nil, err
		}
	}
}

// Close stops for good.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.up.Broadcast()
	if l.inner == nil {
		return nil
	}
	inner := l.inner
	l.inner = nil
	return inner.Close()
}

// Addr is the address listened on, also while down.
func (l *Listener) Addr() net.Addr { return l.addr }

// reset closes a connection so that the peer sees a reset, not an orderly end.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the close is only less abrupt
	}
	_ = conn.Close() // the peer is to see a broken connection either way
}
