package hl7

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"yiqiao/adapters/his/counter"
	"yiqiao/gateway"
)

// Server takes messages over MLLP. It starts nothing before Serve.
type Server struct {
	o       Options
	counter *counter.Counter
	places  chan struct{} // messages in work
}

// New checks the options.
func New(o Options) (*Server, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := counter.New(o.Desk, o.Log)
	if err != nil {
		return nil, err
	}
	return &Server{o: o, counter: c, places: make(chan struct{}, o.MaxConcurrent)}, nil
}

// Serve takes connections from ln, which may be TLS, until ctx ends: then no new message is begun,
// those in work have Drain to be answered, and Serve returns when nothing it started is left. The
// messages of one connection are worked on in turn.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	outer := ctx
	ctx, last := context.WithCancel(ctx) // ends with the listener, too
	defer last()
	open := &connections{list: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	ended := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		open.hush()
	})
	defer ended()
	var err error
	for {
		var c net.Conn
		if c, err = ln.Accept(); err != nil {
			if passing(err) && ctx.Err() == nil {
				_ = s.o.Clock.Sleep(ctx, 50*time.Millisecond)
				continue
			}
			break
		}
		if !open.add(c, s.o.MaxConnections) {
			s.o.Log.Warn("too many connections: one was closed", "most", s.o.MaxConnections)
			_ = c.Close()
			continue
		}
		wg.Go(func() {
			defer open.remove(c)
			s.connection(ctx, work, c)
		})
	}
	if outer.Err() != nil {
		err = nil
	}
	last()
	open.hush()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.AfterFunc(s.o.Drain, func() { stop(); open.closeAll() })
	<-done
	t.Stop()
	return err
}

// passing reports an error of Accept that says nothing of the listener.
func passing(err error) bool {
	var n net.Error
	return !errors.Is(err, net.ErrClosed) && errors.As(err, &n)
}

// connection reads frames and answers them, until one can not be trusted or nobody sends any more.
// Deadlines are the machine's: the kernel keeps them.
func (s *Server) connection(ctx, work context.Context, c net.Conn) {
	defer c.Close()
	if t, ok := c.(interface{ HandshakeContext(context.Context) error }); ok { // TLS: who does not finish it keeps no place
		_ = c.SetDeadline(time.Now().Add(s.o.FrameTime))
		if err := t.HandshakeContext(ctx); err != nil {
			s.o.Log.Warn("a TLS handshake failed", "from", c.RemoteAddr().String())
			return
		}
		_ = c.SetDeadline(time.Time{})
	}
	r := bufio.NewReaderSize(c, 16<<10)
	for ctx.Err() == nil {
		_ = c.SetReadDeadline(time.Now().Add(s.o.Idle))
		if ctx.Err() != nil { // hush came between
			return
		}
		begun := false
		b, err := readFrame(r, s.o.MaxFrame, func() {
			begun = true
			_ = c.SetReadDeadline(time.Now().Add(s.o.FrameTime))
		})
		if err != nil {
			s.broken(c, b, err, begun)
			return
		}
		s.places <- struct{}{}
		ok := s.answer(work, c, b)
		<-s.places
		if !ok {
			return
		}
	}
}

// answer works on a frame and writes what comes of it; false when the connection is done for.
func (s *Server) answer(ctx context.Context, c net.Conn, b []byte) bool {
	batch, err := Split(b)
	if err != nil {
		return s.write(c, s.refusal(b, err)) == nil
	}
	var list []answered
	for _, raw := range batch.Messages {
		a := s.handle(ctx, raw, c.RemoteAddr())
		if list = append(list, a); batch.Wrapped {
			continue
		}
		for _, f := range a.frames {
			if s.write(c, f) != nil {
				return false
			}
		}
		s.told(a)
	}
	if !batch.Wrapped {
		return true
	}
	if s.write(c, s.wrap(list)) != nil {
		return false
	}
	for _, a := range list {
		s.told(a)
	}
	return true
}

func (s *Server) told(a answered) {
	if len(a.frames) == 0 {
		return // nobody was told anything
	}
	for _, x := range a.answers {
		s.counter.Told(a.caller, x)
	}
}

// wrap puts the acknowledgements of a batch into one.
func (s *Server) wrap(list []answered) []byte {
	var b strings.Builder
	n := 0
	b.WriteString("BHS|^~\\&|YIQIAO\r")
	for _, a := range list {
		for _, f := range a.frames {
			b.Write(f)
			n++
		}
	}
	b.WriteString("BTS|" + strconv.Itoa(n) + "\r")
	return []byte(b.String())
}

func (s *Server) write(c net.Conn, msg []byte) error {
	_ = c.SetWriteDeadline(time.Now().Add(s.o.FrameTime))
	_, err := c.Write(frame(msg))
	return err
}

// refusal answers what is no message.
func (s *Server) refusal(b []byte, err error) []byte {
	r := &reply{now: s.o.Clock.Now(), m: &Message{delims: usual}}
	if i := strings.Index(string(b[:min(len(b), 4096)]), "MSH"); i >= 0 {
		if d, e := delimitersOf(append([]byte(nil), b[i:min(len(b), i+4096)]...)); e == nil {
			r.m.delims = d
			r.m.header(b[i:min(len(b), i+4096)])
		}
	}
	r.err = s.judge(r.m, err)
	return r.bytes('A')
}

// broken deals with the end of a connection. What came of a frame is refused where there is still
// somebody to tell; nothing of it was handed on.
func (s *Server) broken(c net.Conn, b []byte, err error, begun bool) {
	var n net.Error
	switch {
	case errors.Is(err, io.EOF) && !begun, errors.Is(err, net.ErrClosed):
		return
	case errors.As(err, &n) && n.Timeout() && !begun:
		return // idle, or the server is to stop
	}
	e := &gateway.Error{Code: gateway.CodeMessage, Op: "hl7", Rule: "mllp-frame"}
	switch {
	case errors.Is(err, ErrTooLong):
		e.Code, e.Rule = gateway.CodeBodyTooLarge, "<="+strconv.Itoa(s.o.MaxFrame)
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Rule = "mllp-truncated"
	case n != nil && n.Timeout():
		e.Rule = "mllp-slow"
	}
	s.o.Log.Warn("a frame was refused", "code", string(e.Code), "rule", e.Rule)
	r := &reply{now: s.o.Clock.Now(), m: &Message{delims: usual}, err: e}
	if len(b) > 8 && string(b[:3]) == "MSH" {
		if d, bad := delimitersOf(b); bad == nil {
			r.m.delims = d
			r.m.header(b)
		}
	}
	if s.write(c, r.bytes('A')) == nil {
		linger(c)
	}
}

// linger lets an answer arrive: closing while something is unread would tear it from the other side.
func linger(c net.Conn) {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c, 1<<20)
}

// connections are those that are open.
type connections struct {
	mu     sync.Mutex
	list   map[net.Conn]bool
	hushed bool
}

func (l *connections) add(c net.Conn, most int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hushed || len(l.list) >= most {
		return false
	}
	l.list[c] = true
	return true
}

func (l *connections) remove(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.list, c)
}

// hush ends the waiting for further messages; what is being worked on goes on.
func (l *connections) hush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hushed = true
	for c := range l.list {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
}

func (l *connections) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.list {
		_ = c.Close()
	}
}
