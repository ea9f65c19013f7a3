package centre

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"

	"yiqiao/gateway"
)

// send is one attempt: it returns when the answer was read, the limit has passed or the
// connection failed.
func (c *Client) send(caller context.Context, s gateway.Sealed, data []byte, media string) (gateway.Reply, health) {
	from := c.o.Clock.Now()
	v, size := c.exchange(caller, s, data, media)
	now := c.o.Clock.Now()
	reply := gateway.Reply{Outcome: v.outcome, Cause: v.cause, Reply: v.reply, File: v.file, FileType: v.media, Detail: v.detail, Evidence: v.evidence, Checking: v.checking,
		Took: now.Sub(from), SentFrom: from}
	c.stats.ended(reply, now)
	c.o.Observe(s.Message.Infno, reply)

	level := slog.LevelInfo
	if v.health != healthy {
		level = slog.LevelWarn
	}
	c.o.Log.LogAttrs(caller, level, "centre",
		slog.String("infno", string(s.Message.Infno)), slog.String("msgid", string(s.Message.MsgID)),
		slog.Int("sent_bytes", len(s.Bytes)), slog.Int("got_bytes", size), slog.Duration("took", reply.Took),
		slog.String("outcome", v.outcome.String()), slog.String("cause", string(v.cause)), slog.String("detail", v.detail))
	return reply, v.health
}

// exchange does the HTTP call and reads the whole answer. The limit of the message's class governs
// all of it; the end of the caller's context does not matter.
func (c *Client) exchange(caller context.Context, s gateway.Sealed, data []byte, media string) (v verdict, size int) {
	ctx, stop := limited(context.WithoutCancel(caller), c.o.Clock.Sleep, c.o.Limits[s.Message.Limit], errLapsed)
	defer stop()

	var nc *conn // the connection the message goes out on
	var now *turn
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		connected = true
		switch got := i.Conn.(type) {
		case *conn:
			nc = got
		case *tls.Conn: // through a proxy
			nc, _ = got.NetConn().(*conn)
		}
		if nc != nil {
			now = nc.begin()
		}
	}})
	defer func() {
		if now.finish([32]byte{}, false); now != nil {
			now.before = nil
		}
	}()
	if c.o.Tokens != nil {
		if err := c.o.Tokens.Ready(ctx); err != nil {
			return notSent(err), 0
		}
	}
	sent := c.o.Clock.Now()
	req, err := c.request(ctx, s, media)
	if err != nil {
		return notSent(err), 0
	}
	// RoundTrip of a POST with a body and no GetBody is never repeated by net/http, and RoundTrip
	// follows no redirect and keeps no cookie.
	resp, err := c.way(s.Message).RoundTrip(req)
	if err != nil {
		if left := connected && nc.kill(); !left {
			return notSent(reason(ctx, err)), 0
		}
		return broken(ctx, err), 0
	}
	defer resp.Body.Close()
	received := c.o.Clock.Now()
	c.stats.certified(resp.TLS)
	if resp.StatusCode == http.StatusUnauthorized && c.o.Tokens != nil {
		c.o.Tokens.Drop()
	}
	if resp.StatusCode == http.StatusSwitchingProtocols { // its body would never end
		nc.kill()
		return foreign("status 101"), 0
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.o.MaxReply+1))
	if err != nil {
		nc.kill()
		return broken(ctx, err), len(body)
	}
	if int64(len(body)) > c.o.MaxReply {
		nc.kill()
		return foreign(fmt.Sprintf("status %d, more than %d bytes", resp.StatusCode, c.o.MaxReply)), len(body)
	}
	if s.Message.Named && now.goesAstray(c.o.SM3(body)) {
		nc.kill()
		return foreign("the answer to the message before, once more"), len(body)
	}
	nc.end(now)
	read := c.o.Clock.Now()
	x, beside, _ := c.service(s.Message.Infno) // Seal has seen that it is one
	switch {
	case beside:
		v = classifyService(c.o.Profile, s.Message.Evidence, x, data, resp.StatusCode, resp.Header, body)
	case s.Message.File:
		v = classifyFile(c.o.Profile, s.Message.Evidence, resp.StatusCode, resp.Header, body)
	default:
		v = classify(c.o.Profile, s.Message.Evidence, resp.StatusCode, resp.Header, body)
	}
	v.checking = c.o.Clock.Now().Sub(read)
	c.measure(resp.Header, v.stamp, sent, received)
	return c.stale(v, received), len(body)
}

func (c *Client) request(ctx context.Context, s gateway.Sealed, media string) (*http.Request, error) {
	u := *c.base
	last := ""
	if x, beside, _ := c.service(s.Message.Infno); beside {
		last = x.Path
	} else if c.o.URLStyle == URLPerInfno {
		last = string(s.Message.Infno)
	}
	if last != "" {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/" + last
		if u.RawPath != "" {
			u.RawPath = strings.TrimSuffix(u.RawPath, "/") + "/" + last
		}
	}
	header := http.Header{}
	header.Set("Content-Type", media)
	header.Set("Accept", "application/json")
	header.Set("User-Agent", "yiqiao")
	if err := c.o.Transport.Stamp(c.o.Rand, c.o.Clock.Now(), header, s.Bytes); err != nil {
		return nil, fmt.Errorf("transport headers: %w", err)
	}
	// With these net/http would feel free to send the message twice.
	header.Del("Idempotency-Key")
	header.Del("X-Idempotency-Key")
	req := &http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body:          io.NopCloser(bytes.NewReader(s.Bytes)), // GetBody stays nil
		ContentLength: int64(len(s.Bytes)),
	}
	return req.WithContext(ctx), nil
}

// notSent is proof that nothing left this machine.
func notSent(err error) verdict {
	return verdict{outcome: gateway.OutcomeRefused, cause: gateway.CauseNotSent, detail: line(err.Error())}
}

// broken is an exchange that ended after a byte may have left and before the answer was whole. The
// text of most errors is not passed on: some quote what the peer sent.
func broken(ctx context.Context, err error) verdict {
	if errors.Is(context.Cause(ctx), errLapsed) {
		return verdict{cause: gateway.CauseTimeout, detail: errLapsed.Error()}
	}
	cut := verdict{cause: gateway.CauseCut}
	var op *net.OpError
	var protocol textproto.ProtocolError
	switch text := err.Error(); {
	case errors.As(err, &op):
		cut.detail = line(op.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		cut.detail = "connection closed before a whole answer"
	case errors.As(err, &protocol), strings.Contains(text, "malformed"), strings.Contains(text, "chunk"),
		strings.Contains(text, "response headers exceeded"):
		return foreign("the answer is not HTTP")
	default:
		cut.detail = fmt.Sprintf("connection broken (%T)", err)
	}
	return cut
}

// line makes a text fit for one line of a log.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "")
	}
	return s
}
