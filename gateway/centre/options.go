package centre

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// How the URL of a transaction is made.
const (
	URLPerInfno = "per-infno" // BaseURL + "/" + infno
	URLSingle   = "single"    // BaseURL for every transaction
)

// Options are the settings of a Client. A zero field means its default; fields without a default
// are required.
type Options struct {
	BaseURL     string // http or https, no user and password
	URLStyle    string // default per-infno
	ContentType string // default: what Profile says; some centres insist on text/plain

	Profile   envelope.Profile   // required
	Transport envelope.Transport // required
	Service   *gateway.Service   // a centre beside the core one; nil for the core interface
	Multipart *Multipart         // nil: files travel inside their message
	Tokens    *Tokens            // where Transport takes its access tokens from; nil for other transports

	// ReplyWindow is how far the time in a verified reply may be from ours, in both directions; beyond it
	// the reply proves nothing and the outcome is unknown. Default 15 min; below zero it is not looked at.
	ReplyWindow time.Duration
	// MaxSkew is how far the centre's clock may be from ours before it is complained of; default 30 s.
	MaxSkew time.Duration

	// Limits is how long a message may take, sending to last byte of the answer, by class.
	// Defaults: query and write 60 s, settle and file 180 s.
	Limits  map[catalog.Limit]time.Duration
	Connect time.Duration // name look-up, TCP and TLS together; default 10 s

	// MaxInFlight bounds the permits out at once; default 32.
	MaxInFlight int
	// MaxWait is how long Admit may wait for a place; default 0: it answers at once. At most 1 min.
	MaxWait time.Duration

	Breaker Breaker

	// MaxReply bounds the body of an answer in bytes; default 32 MiB.
	MaxReply int64
	// Idle is how long a connection may stay unused before it is closed; default 15 s. Keep it
	// below the idle time of every firewall on the way: what such a firewall has forgotten
	// swallows a message, and that outcome is unknown.
	Idle time.Duration
	// Fresh lists the classes whose messages get a connection of their own, so that a late or
	// doubled answer to another message can never be taken for theirs. Default: settle. An empty
	// list that is not nil lets every class share. A message whose answer names it
	// (gateway.Message.Named) may take over one that was in use within the last second: a good answer to
	// another message names that one, and a refusal, which names none, is not taken twice.
	Fresh []catalog.Limit

	TLS   *tls.Config                                                       // optional; cloned, HTTP/1.1 only, TLS 1.2 or later
	Proxy func(*http.Request) (*url.URL, error)                             // default: no proxy, whatever the environment says
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // default: a net.Dialer

	Clock gateway.Clock                  // required
	Rand  io.Reader                      // required; read for nonces. Safe for concurrent use
	SM3   func(parts ...[]byte) [32]byte // required: sm.Provider.SM3
	Log   *slog.Logger                   // optional
	// Observe is told of every message that was tried and what became of it. It must not block, and must not keep the
	// reply. Default: nobody.
	Observe func(ident.Infno, gateway.Reply)
}

// Breaker says when sending is paused because the centre keeps failing. Failures are time-outs,
// cuts, connections that can not be made, answers that are not of the interface and answers that
// do not verify. A business refusal is a success: the centre works.
type Breaker struct {
	Consecutive uint32        // pause after so many failures in a row; default 5
	Percent     uint32        // or when so many of a hundred fail ...; default 50
	Minimum     uint32        // ... among at least so many; default 20
	Interval    time.Duration // within the last Interval, a rolling window; default 60 s
	Bucket      time.Duration // step of the window; default 10 s
	Open        time.Duration // how long a pause lasts before one message is tried; default 15 s
	Probes      uint32        // messages tried at once after a pause, all of which must succeed; default 1
}

const (
	maxWait    = time.Minute
	maxHeaders = 64 << 10
)

func (o Options) withDefaults() (Options, *url.URL, error) {
	u, err := url.Parse(o.BaseURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Opaque != "":
		return o, nil, errors.New("centre: BaseURL must begin with http:// or https:// and name a host")
	case u.User != nil:
		return o, nil, errors.New("centre: BaseURL must not hold a user or password")
	case u.Fragment != "":
		return o, nil, errors.New("centre: BaseURL must not have a fragment")
	}
	def(&o.URLStyle, URLPerInfno)
	if o.URLStyle != URLPerInfno && o.URLStyle != URLSingle {
		return o, nil, fmt.Errorf("centre: URLStyle %q is neither %q nor %q", o.URLStyle, URLPerInfno, URLSingle)
	}
	for name, missing := range map[string]bool{
		"Profile": o.Profile == nil, "Transport": o.Transport == nil, "Clock": o.Clock == nil,
		"Rand": o.Rand == nil, "SM3": o.SM3 == nil,
	} {
		if missing {
			return o, nil, errors.New("centre: " + name + " is required")
		}
	}
	if m := o.Multipart; m != nil && (m.Infno == "" || m.Node == "" || m.Member == "" || m.Name == "" ||
		!token(m.FileField) || !token(m.MessageField) || m.FileField == m.MessageField) {
		return o, nil, errors.New("centre: Multipart needs a transaction, its members and two different names for its parts")
	}
	limits := map[catalog.Limit]time.Duration{
		catalog.LimitQuery: time.Minute, catalog.LimitWrite: time.Minute,
		catalog.LimitSettle: 3 * time.Minute, catalog.LimitFile: 3 * time.Minute,
	}
	for class, d := range o.Limits {
		if _, known := limits[class]; !known || d <= 0 {
			return o, nil, fmt.Errorf("centre: limit %q of %s: unknown class or not positive", class, d)
		}
	}
	maps.Copy(limits, o.Limits)
	o.Limits = limits
	if o.Fresh == nil {
		o.Fresh = []catalog.Limit{catalog.LimitSettle}
	}
	for _, class := range o.Fresh {
		if _, known := limits[class]; !known {
			return o, nil, fmt.Errorf("centre: unknown class %q in Fresh", class)
		}
	}
	def(&o.Connect, 10*time.Second)
	def(&o.MaxInFlight, 32)
	def(&o.ReplyWindow, 15*time.Minute)
	def(&o.MaxSkew, 30*time.Second)
	def(&o.MaxReply, 32<<20)
	def(&o.Idle, 15*time.Second)
	def(&o.Breaker.Consecutive, 5)
	def(&o.Breaker.Percent, 50)
	def(&o.Breaker.Minimum, 20)
	def(&o.Breaker.Interval, time.Minute)
	def(&o.Breaker.Bucket, min(10*time.Second, o.Breaker.Interval))
	def(&o.Breaker.Open, 15*time.Second)
	def(&o.Breaker.Probes, 1)
	switch {
	case o.Connect < 0, o.MaxSkew < 0, o.MaxInFlight < 0, o.MaxReply < 0, o.Idle < 0,
		o.Breaker.Interval < 0, o.Breaker.Bucket < 0, o.Breaker.Open < 0:
		return o, nil, errors.New("centre: a duration or size is negative")
	case o.MaxWait < 0 || o.MaxWait > maxWait:
		return o, nil, fmt.Errorf("centre: MaxWait must be between 0 and %s", maxWait)
	case o.Breaker.Percent > 100:
		return o, nil, errors.New("centre: Breaker.Percent is above 100")
	case o.Breaker.Bucket > o.Breaker.Interval:
		return o, nil, errors.New("centre: Breaker.Bucket is longer than Breaker.Interval")
	}
	if o.Dial == nil {
		o.Dial = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 10 * time.Second, Count: 3}}).DialContext
	}
	if o.Observe == nil {
		o.Observe = func(ident.Infno, gateway.Reply) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	o.TLS = o.TLS.Clone()
	o.TLS.NextProtos = []string{"http/1.1"}
	o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	return o, u, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
