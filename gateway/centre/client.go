// Package centre is the way to one insurance centre over HTTP: it sends a message at most once,
// within a limit of time, and says truthfully what became of it.
//
// # What an attempt can end as
//
//	no connection (name, TCP, TLS, proxy), or one that broke before a byte left   refused   not-sent
//	the limit passed before a byte left                                           refused   not-sent
//	the limit passed afterwards, also in the middle of the answer                 unknown   timeout
//	the connection ended before a whole answer                                    unknown   cut
//	a status other than 200, whichever                                            unknown   not-interface
//	HTML, text, an encoding, broken or doubled JSON, no usable infcode, too long  unknown   not-interface
//	a reply that does not verify, also an unsigned outer error                    unknown   signature
//	a verified reply of another time (Options.ReplyWindow)                        unknown   signature
//	verified, infcode a whole number other than 0                                 refused   business
//	verified, infcode 0                                                           done
//	to a message that may be answered with a file: a file                         done
//
// Whether a byte left is counted at the connection. A connection kept from an earlier message that
// turns out to be closed is not replaced by another in the same Send: the caller decides.
//
// The reply carries the receiver's own id, not ours, so a reply to another message can not be told
// by its header. Against that, settlements travel on connections of their own (Options.Fresh) and
// what arrives unasked closes the connection.
//
// The standard library reports bytes it did not expect through package log; a program that uses
// this package sends that through its masking logger.
package centre

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// Client implements gateway.Centre over HTTP/1.1. Safe for concurrent use.
type Client struct {
	o      Options
	base   *url.URL
	shared *http.Transport // connections are kept for further messages
	brief  *http.Transport // they are kept for a moment
	fresh  *http.Transport // a connection for each message
	own    map[catalog.Limit]bool
	places chan struct{}
	brk    *gobreaker.TwoStepCircuitBreaker[struct{}]
	stats  stats
	skew   skew
}

var _ gateway.Centre = (*Client)(nil)

// New checks the options and gives a client. It opens no connection.
func New(o Options) (*Client, error) {
	o, base, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, base: base, places: make(chan struct{}, o.MaxInFlight), own: map[catalog.Limit]bool{}}
	for _, class := range o.Fresh {
		c.own[class] = true
	}
	c.shared, c.brief, c.fresh = c.transport(false), c.transport(false), c.transport(true)
	c.brief.IdleConnTimeout = min(c.o.Idle, briefly)
	c.brk = c.breaker()
	c.stats.endings = map[Ending]uint64{}
	return c, nil
}

// briefly is how long a connection stays open for another settlement: under load it saves making one
// each time, and no server or firewall closes one that was in use so lately without saying so.
const briefly = time.Second

// way chooses how a message travels.
func (c *Client) way(m gateway.Message) *http.Transport {
	switch {
	case !c.own[m.Limit]:
		return c.shared
	case m.Named:
		return c.brief
	}
	return c.fresh
}

func (c *Client) transport(fresh bool) *http.Transport {
	d := &dialer{dial: c.o.Dial, tls: c.o.TLS, limit: c.o.Connect, clock: c.o.Clock, proxy: c.o.Proxy != nil}
	one := new(http.Protocols)
	one.SetHTTP1(true)
	t := &http.Transport{
		Proxy:                  c.o.Proxy,
		DialContext:            d.plain,
		TLSClientConfig:        c.o.TLS.Clone(),
		TLSHandshakeTimeout:    c.o.Connect,
		DisableKeepAlives:      fresh,
		DisableCompression:     true,
		MaxIdleConns:           c.o.MaxInFlight,
		MaxIdleConnsPerHost:    c.o.MaxInFlight,
		IdleConnTimeout:        c.o.Idle,
		MaxResponseHeaderBytes: maxHeaders,
		Protocols:              one,
	}
	if c.o.Proxy == nil {
		t.DialTLSContext = d.secure
	}
	return t
}

// Close closes the connections that are kept. Messages under way are not disturbed.
func (c *Client) Close() {
	c.shared.CloseIdleConnections()
	c.brief.CloseIdleConnections()
	c.fresh.CloseIdleConnections()
}

// Admit implements gateway.Centre. The errors are centre-busy (no place within MaxWait, or ctx
// ended while waiting) and centre-down (sending is paused).
func (c *Client) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	state := c.brk.State()
	c.logChange()
	if state == gobreaker.StateOpen {
		return nil, c.down()
	}
	if err := c.place(ctx); err != nil {
		c.stats.busy.Add(1)
		return nil, &gateway.Error{Code: gateway.CodeCentreBusy, Op: "centre.admit",
			Detail: "all places among the calls in flight are taken", RetryAfter: time.Second, Err: err}
	}
	report, err := c.brk.Allow()
	if err != nil {
		<-c.places
		return nil, c.down()
	}
	return &permit{c: c, infno: n, report: report, done: make(chan struct{})}, nil
}

var errNoPlace = errors.New("no place")

func (c *Client) place(ctx context.Context) error {
	select {
	case c.places <- struct{}{}:
		return nil
	default:
	}
	if c.o.MaxWait == 0 {
		return errNoPlace
	}
	ctx, stop := limited(ctx, c.o.Clock.Sleep, c.o.MaxWait, errNoPlace)
	defer stop()
	select {
	case c.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// permit is one place. Its life is new, then sealed, then sent; or released from either.
type permit struct {
	c      *Client
	infno  ident.Infno
	report func(error) // tells the breaker, once

	mu       sync.Mutex
	sealed   bool
	bytes    []byte // what was sealed, and its digest and media type
	digest   [32]byte
	media    string
	data     []byte // what was protected
	used     bool   // Send has begun
	released bool

	done  chan struct{} // closed when reply is set
	reply gateway.Reply
}

// Seal implements gateway.Permit. The errors are *gateway.Error of code internal: the message can
// not be sealed, is not the one admitted, or the permit was used.
func (p *permit) Seal(m gateway.Message) (gateway.Sealed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fail := func(detail string, err error) (gateway.Sealed, error) {
		return gateway.Sealed{}, &gateway.Error{Code: gateway.CodeInternal, Op: "centre.seal", Detail: detail, Err: err}
	}
	switch {
	case p.sealed || p.used || p.released:
		return fail("the permit was used before", nil)
	case m.Infno != p.infno:
		return fail("admitted for another transaction", nil)
	case len(m.Body) == 0:
		return fail("empty message", nil)
	case p.c.o.Limits[m.Limit] == 0:
		return fail("unknown class of time limit "+string(m.Limit), nil)
	}
	// The number becomes a part of the URL.
	if _, err := ident.ParseInfno(string(m.Infno)); err != nil {
		return fail("malformed transaction number", nil)
	}
	x, beside, err := p.c.service(m.Infno)
	if err != nil {
		return fail("not a transaction of this centre", err)
	}
	p.data = m.Body
	if beside {
		if p.data, err = payload(m.Body, x.Node); err != nil {
			return fail("the message has not the part that travels", err)
		}
	}
	s, err := p.c.seal(m.Infno, p.data)
	if err != nil {
		return fail("the envelope can not be built", err)
	}
	p.sealed, p.bytes, p.digest, p.media = true, s.Body, p.c.o.SM3(s.Body), s.ContentType
	if p.c.o.ContentType != "" && !p.c.separate(m.Infno) {
		p.media = p.c.o.ContentType
	}
	return gateway.Sealed{Message: m, Bytes: s.Body, Digest: p.digest}, nil
}

// separate reports whether a transaction's file travels in a part of its own.
func (c *Client) separate(n ident.Infno) bool {
	return c.o.Multipart != nil && c.o.Multipart.Infno == n
}

// seal gives what travels for the data of a message.
func (c *Client) seal(n ident.Infno, data []byte) (envelope.Sealed, error) {
	if c.separate(n) {
		return c.o.Multipart.build(c.o.Rand, data)
	}
	return c.o.Profile.Seal(c.o.Rand, c.o.Clock.Now(), data)
}

// Release implements gateway.Permit.
func (p *permit) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.used && !p.released {
		p.released = true
		p.report(errNeutral)
		<-p.c.places
	}
}

// Send implements gateway.Permit. A second Send sends nothing and gives the reply of the first. A
// permit that was released, or bytes that it did not seal, are refused as not sent.
func (p *permit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	p.mu.Lock()
	if p.used {
		p.mu.Unlock()
		<-p.done
		return p.reply
	}
	if p.released {
		p.mu.Unlock()
		return gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent,
			Detail: "the permit was released", SentFrom: p.c.o.Clock.Now()}
	}
	p.used = true
	sealed, media := p.sealed && p.digest == s.Digest && bytes.Equal(s.Bytes, p.bytes), p.media
	p.mu.Unlock()

	// Also when something below panics the place is given back and a second Send does not hang.
	end := errFailure
	defer func() {
		p.report(end)
		<-p.c.places
		close(p.done)
		p.c.logChange()
	}()
	if !sealed {
		end = errNeutral
		p.reply = gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent,
			Detail: "the bytes are not those the permit sealed", SentFrom: p.c.o.Clock.Now()}
		return p.reply
	}
	reply, h := p.c.send(ctx, s, p.data, media)
	p.reply, end = reply, h.report()
	return reply
}
