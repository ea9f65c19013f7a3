// Package deliver brings final answers to a HIS that did not fetch them: the second leg.
//
// Nothing is queued beside the journal. What is to be delivered is what has a final answer and no
// "told" mark, and the answer is written in the same commit as the end of the transaction; so
// nothing can be lost between the two, and a kill at any place leads to one delivery more, never to
// one less. What came over twice carries the same delivery id. A 2xx of the receiver sets the mark.
//
// Answers of one bill, stay or visit are brought one at a time and in the order they became final; a
// refused one holds back those behind it. Others go on, several at once. A receiver that can not be
// reached is tried with one delivery at a time, after pauses that double up to Most and are
// spread. Of several gateways on one journal one delivers to a system at a time (a lease).
//
// Only the configured address is called: no redirect is followed and no proxy used.
package deliver

import (
	"context"
	"crypto/hmac"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
)

// Receiver is where the answers of one HIS system go.
type Receiver struct {
	System  string
	URL     string        // http or https
	Key     []byte        // of the signature, at least 16 bytes
	After   time.Duration // how old an answer is before it is brought: the HIS may be fetching it. Default 10 s
	Timeout time.Duration // of one delivery. Default 10 s
	Roots   *x509.CertPool

	// Bring, when it is given, brings an answer in another way than over HTTP; URL, Key and Roots are then not looked at. id names
	// the delivery. why is "" when it was taken; dead: the receiver takes nothing just now. ctx ends with Timeout.
	Bring func(ctx context.Context, id string, n gateway.Notice) (why string, dead bool)
}

// Check tells what is wrong with a receiver. Pure.
func (r Receiver) Check() error {
	u, err := url.Parse(r.URL)
	switch {
	case r.System == "":
		return errors.New("deliver: receiver without a system")
	case r.After < 0 || r.Timeout < 0 || r.Timeout > 5*time.Minute:
		return errors.New("deliver: after or timeout out of range")
	case r.Bring != nil:
		return nil
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("deliver: url must be http://HOST/PATH or https://HOST/PATH")
	case u.User != nil, u.Fragment != "":
		return errors.New("deliver: url must not hold a user, password or fragment")
	case len(r.Key) < 16:
		return errors.New("deliver: key must have at least 16 bytes")
	}
	return nil
}

// Journal is what is needed of the journal.
type Journal interface {
	Untold(ctx context.Context, system string, before time.Time, after gateway.RequestKey, limit int) ([]gateway.Request, error)
	Told(key gateway.RequestKey, at time.Time)
}

// Options of a Courier. Journal, DB, Notices, Clock and SM3 are required.
type Options struct {
	Journal   Journal
	DB        *store.DB // the journal's: keeps tries and leases
	Notices   gateway.Notices
	Receivers []Receiver
	Clock     gateway.Clock
	SM3       func() hash.Hash
	Holder    string        // of the lease: the same after a restart, another for each gateway
	Every     time.Duration // how often it is looked for work. Default 2 s
	First     time.Duration // pause after the first failure. Default 2 s
	Most      time.Duration // longest pause. Default 5 min
	Workers   int           // deliveries to one system at once. Default 4
	Log       *slog.Logger
	Trace     gateway.Tracer // nil: nobody looks
}

// Courier delivers. Safe for concurrent use.
type Courier struct {
	o     Options
	posts []*post
}

// post is one receiver at work.
type post struct {
	c      *Courier
	r      Receiver
	client *http.Client
	held   time.Time // end of the lease; of the one who runs the rounds

	mu    sync.Mutex
	lanes map[gateway.RequestKey]string // of what waits; may forget
	fails int                           // in a row, of the receiver itself
	again time.Time                     // when it is tried again
	why   string
	since time.Time
	stuck int // answers it has refused several times
}

// New checks the options. It starts nothing.
func New(o Options) (*Courier, error) {
	if o.Journal == nil || o.DB == nil || o.Notices == nil || o.Clock == nil || o.SM3 == nil || o.Holder == "" {
		return nil, errors.New("deliver: journal, database, notices, clock, SM3 and holder are required")
	}
	for _, x := range []struct {
		d *time.Duration
		v time.Duration
	}{{&o.Every, 2 * time.Second}, {&o.First, 2 * time.Second}, {&o.Most, 5 * time.Minute}} {
		if *x.d <= 0 {
			*x.d = x.v
		}
	}
	if o.Workers <= 0 {
		o.Workers = 4
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Courier{o: o}
	seen := map[string]bool{}
	for _, r := range o.Receivers {
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("%s: %w", r.System, err)
		}
		if seen[r.System] {
			return nil, fmt.Errorf("deliver: two receivers of %s", r.System)
		}
		seen[r.System] = true
		if r.After == 0 {
			r.After = 10 * time.Second
		}
		if r.Timeout == 0 {
			r.Timeout = 10 * time.Second
		}
		c.posts = append(c.posts, &post{c: c, r: r, client: client(r, o.Workers), lanes: map[gateway.RequestKey]string{}})
	}
	return c, nil
}

// client calls one address and no other.
func client(r Receiver, conns int) *http.Client {
	d := &net.Dialer{Timeout: min(r.Timeout, 5*time.Second)}
	return &http.Client{
		Timeout:       r.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: r.Roots},
			TLSHandshakeTimeout: r.Timeout, ResponseHeaderTimeout: r.Timeout, MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns,
			IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// Headers of a delivery.
const (
	HeaderID        = "Yiqiao-Delivery"  // the same each time the same answer comes
	HeaderTime      = "Yiqiao-Timestamp" // seconds since 1970 of this try
	HeaderSignature = "Yiqiao-Signature" // "hmac-sm3=" and 64 hex digits; see Sign
	HeaderTry       = "Yiqiao-Try"       // 1, 2, ...
)

// Sign is HMAC-SM3 under key over the timestamp as it stands in its header, a line feed and the body.
func Sign(sm3 func() hash.Hash, key []byte, timestamp string, body []byte) string {
	mac := hmac.New(sm3, key)
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'\n'})
	mac.Write(body)
	return "hmac-sm3=" + hex.EncodeToString(mac.Sum(nil))
}

// Verify is what a receiver does: it tells whether a delivery is genuine and not older or newer than
// skew. It is here for tests and as the reference for those who write one.
func Verify(sm3 func() hash.Hash, key []byte, h http.Header, body []byte, now time.Time, skew time.Duration) bool {
	stamp := h.Get(HeaderTime)
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(n, 0)).Abs() > skew {
		return false
	}
	return hmac.Equal([]byte(Sign(sm3, key, stamp, body)), []byte(h.Get(HeaderSignature)))
}

// id names the delivery of an answer.
func (c *Courier) id(key gateway.RequestKey, at time.Time) string {
	h := c.o.SM3()
	fmt.Fprintf(h, "%d:%s:%d:%s:%d", len(key.System), key.System, len(key.ID), key.ID, at.UnixMilli())
	return "D" + hex.EncodeToString(h.Sum(nil)[:16])
}

// Run delivers until ctx ends, then waits for the deliveries under way, which takes at most their
// Timeout. It returns nil.
func (c *Courier) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range c.posts {
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := p.round(ctx); err != nil && ctx.Err() == nil {
					c.o.Log.Error("deliveries: journal", "system", p.r.System, "err", err.Error())
				}
				if c.o.Clock.Sleep(ctx, c.o.Every) != nil {
					break
				}
			}
			_ = c.free(context.WithoutCancel(ctx), p.r.System) // its lease runs out in any case
		})
	}
	wg.Wait()
	return nil
}

// Round looks once for everything that is due and delivers it; for tests, and for those who run it
// by hand.
func (c *Courier) Round(ctx context.Context) error {
	var all error
	for _, p := range c.posts {
		all = errors.Join(all, p.round(ctx))
	}
	return all
}

// Trouble is "" when every receiver takes what it is brought, else words for the operator.
func (c *Courier) Trouble() string {
	var list []string
	for _, p := range c.posts {
		p.mu.Lock()
		if p.fails > 0 {
			list = append(list, fmt.Sprintf("deliveries to %s fail since %s: %s", p.r.System, p.since.In(gateway.China).Format(time.DateTime), p.why))
		}
		if p.stuck > 0 {
			list = append(list, fmt.Sprintf("%s refuses %d deliveries, see yiqiao deliveries list", p.r.System, p.stuck))
		}
		p.mu.Unlock()
	}
	return strings.Join(list, "; ")
}
