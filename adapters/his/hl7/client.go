package hl7

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Link sends messages over one MLLP connection, one at a time. It is not safe for concurrent use.
type Link struct {
	conn  net.Conn
	r     *bufio.Reader
	limit int
}

// ErrUnanswered: the message may have arrived. It may be sent again as it is, under its own MSH-10,
// and never under another.
var ErrUnanswered = errors.New("hl7: sent, but not answered")

// NewLink sends over a connection that is open, plain or TLS. limit bounds an answer, in bytes; 0 is 8 MiB.
func NewLink(c net.Conn, limit int) *Link {
	if limit <= 0 {
		limit = 8 << 20
	}
	return &Link{conn: c, r: bufio.NewReader(c), limit: limit}
}

// Send sends a message and gives the content of the next frame that comes back. After any error the
// connection is closed and the Link is done for; ErrUnanswered says that bytes had left.
func (l *Link) Send(ctx context.Context, msg []byte) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n, err := l.conn.Write(frame(msg)); err != nil {
		_ = l.conn.Close()
		if n == 0 {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	return l.Next()
}

// Next gives one more frame: the application acknowledgement behind the commit acknowledgement.
func (l *Link) Next() ([]byte, error) {
	b, err := readFrame(l.r, l.limit, nil)
	if err != nil {
		_ = l.conn.Close()
		return nil, fmt.Errorf("%w: %w", ErrUnanswered, err)
	}
	return b, nil
}

// Close closes the connection.
func (l *Link) Close() error { return l.conn.Close() }
