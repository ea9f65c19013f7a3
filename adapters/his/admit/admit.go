// Package admit finds out which HIS system makes an HTTP call. Every door that speaks HTTP asks the
// same Guard, so a system has the same ways to prove who it is, the same rate and the same memory of
// used calls at all of them.
//
// There are three ways, and a system has those its Client names:
//
//   - a plain key, in Authorization: Bearer, in X-API-Key, or where a door takes it from the path.
//     Whoever sees one call can make any other: for closed lines only;
//   - a signed call: see Text. A call that was overheard can neither be changed nor made again;
//   - a client certificate, bound to the system by its SHA-256 or by its subject. A subject counts
//     only when the listener has verified the certificate against a CA.
//
// A header that carries more than one of its kind is refused, and nothing a proxy may have added
// (X-Forwarded-For, client certificates in headers) is believed.
package admit

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Client is a HIS system that may call. A system that is changing its plain key is listed once per key.
type Client struct {
	System       string   // name, for the journal and the log
	KeyDigest    [32]byte // Options.Digest of the plain key; zero: plain keys are not taken
	Signing      [][]byte // keys of signed calls, each of them is taken; none: signed calls are not
	Certificates []Certificate
	Institutions []ident.Institution // those it may act for, at least one
	Rate         float64             // calls a second on the average; 0: no limit. Beyond it: rate-limited, 429 with Retry-After
	Burst        int                 // calls at once; default twice the rate
}

// Certificate is one that a system shows: one of the two is set.
type Certificate struct {
	SHA256  [32]byte // of the certificate as it is sent (DER)
	Subject string   // as RFC 2253 writes it: CN=his-main,O=...
}

// Options of a Guard. Clients, Digest and Clock are required; Hash and Nonces as soon as a client signs.
type Options struct {
	Clients []Client
	Digest  func([]byte) [32]byte // SM3
	Hash    func() hash.Hash      // SM3
	Clock   gateway.Clock
	Nonces  gateway.Nonces
	Window  time.Duration // how far the time of a signed call may be off, default 5 min
	Log     *slog.Logger  // default: nowhere
}

// leastKey is the shortest key of signatures, in bytes.
const leastKey = 16

// Guard is safe for concurrent use.
type Guard struct {
	o     Options
	rates map[string]*bucket
}

// New checks the options.
func New(o Options) (*Guard, error) {
	switch {
	case o.Digest == nil:
		return nil, errors.New("no digest")
	case o.Clock == nil:
		return nil, errors.New("no clock")
	case len(o.Clients) == 0:
		return nil, errors.New("no clients: nobody could call")
	}
	if o.Window <= 0 {
		o.Window = 5 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Clients = slices.Clone(o.Clients)
	seen := proofs{}
	for i := range o.Clients {
		c := &o.Clients[i]
		c.Institutions = slices.Clone(c.Institutions)
		if err := seen.check(c, &o); err != nil {
			return nil, err
		}
	}
	return &Guard{o: o, rates: buckets(o.Clients)}, nil
}

// proofs are what clients prove themselves by, so that no two have the same.
type proofs map[string]string

func (p proofs) check(c *Client, o *Options) error {
	if !(c.Rate >= 0 && c.Rate <= 1e6) || c.Burst < 0 {
		return fmt.Errorf("client %q has a rate that is none", c.System)
	}
	if c.System == "" || len(c.Institutions) == 0 || slices.Contains(c.Institutions, "") {
		return fmt.Errorf("client %q needs a name and institutions", c.System)
	}
	var all []string
	if c.KeyDigest != [32]byte{} {
		if c.KeyDigest == o.Digest(nil) {
			return fmt.Errorf("client %q has no key", c.System)
		}
		all = append(all, "key "+string(c.KeyDigest[:]))
	}
	for _, k := range c.Signing {
		if len(k) < leastKey {
			return fmt.Errorf("client %q: a key of signatures has at least %d characters", c.System, leastKey)
		}
		if o.Hash == nil || o.Nonces == nil {
			return fmt.Errorf("client %q signs: hash and nonces are required", c.System)
		}
		all = append(all, "signing "+string(k))
	}
	if len(c.Signing) > 0 && !isSystem(c.System) {
		return fmt.Errorf("client %q signs: its name must be letters, digits, - _ and dots, at most 64", c.System)
	}
	for _, x := range c.Certificates {
		if (x.SHA256 == [32]byte{}) == (x.Subject == "") {
			return fmt.Errorf("client %q: a certificate has either a SHA-256 or a subject", c.System)
		}
		all = append(all, "certificate "+string(x.SHA256[:])+x.Subject)
	}
	if len(all) == 0 {
		return fmt.Errorf("client %q has no key, and no other way to prove itself", c.System)
	}
	for _, proof := range all {
		if other, taken := p[proof]; taken {
			kind, _, _ := strings.Cut(proof, " ")
			return fmt.Errorf("client %q has the %s of client %q", c.System, kind, other)
		}
		p[proof] = c.System
	}
	return nil
}

// Pass is a call that may go on.
type Pass struct {
	Caller gateway.Caller
	g      *Guard
	signed *signed // nil: not a signed call
}

// Who finds the system of a call and holds it to its rate. It reads the headers alone and changes
// nothing but the rate. inPath is a plain key that stood in the path, or "". Errors are *gateway.Error.
func (g *Guard) Who(r *http.Request, inPath string) (Pass, error) {
	p, err := g.who(r, inPath)
	if err != nil {
		return Pass{}, err
	}
	if b := g.rates[p.Caller.System]; b != nil {
		if wait, ok := b.take(g.o.Clock.Now()); !ok {
			return Pass{}, &gateway.Error{Code: gateway.CodeRateLimited, Op: op, RetryAfter: max(wait, time.Millisecond)}
		}
	}
	return p, nil
}

const op = "admit"

func (g *Guard) who(r *http.Request, inPath string) (Pass, error) {
	shown, bad := g.byCertificate(r)
	var found *Client
	var s *signed
	var err error
	key, given, err := plainKey(r.Header, inPath)
	switch {
	case isSigned(r.Header):
		if given {
			return Pass{}, g.refuse(&gateway.Error{Code: gateway.CodeSignature, Op: op}, "", "a signature and a key")
		}
		if found, s, err = g.bySignature(r); err != nil {
			return Pass{}, err
		}
	case err != nil:
		return Pass{}, err
	case given:
		if found = g.byKey(key); found == nil {
			return Pass{}, &gateway.Error{Code: gateway.CodeKeyWrong, Op: op}
		}
	case bad != "":
		return Pass{}, g.refuse(&gateway.Error{Code: gateway.CodeCertificate, Op: op}, "", bad)
	case shown == nil:
		return Pass{}, &gateway.Error{Code: gateway.CodeKeyMissing, Op: op}
	default:
		found = shown
	}
	if shown != nil && shown.System != found.System {
		return Pass{}, g.refuse(&gateway.Error{Code: gateway.CodeCertificate, Op: op}, found.System, "the certificate is that of "+shown.System)
	}
	return Pass{Caller: gateway.Caller{System: found.System, Institutions: found.Institutions}, g: g, signed: s}, nil
}

// refuse tells the log why, which the caller is not told.
func (g *Guard) refuse(e *gateway.Error, system, why string) error {
	g.o.Log.Warn("a call was not admitted", "code", string(e.Code), "system", system, "why", why)
	return e
}

// plainKey is the key of a call, and whether there is one. Two that differ are one too many.
func plainKey(h http.Header, inPath string) (key string, given bool, err error) {
	wrong := &gateway.Error{Code: gateway.CodeKeyWrong, Op: op}
	if len(h.Values("Authorization")) > 1 || len(h.Values("X-Api-Key")) > 1 {
		return "", true, wrong
	}
	bearer, given := bearer(h.Get("Authorization"))
	for _, k := range []string{bearer, h.Get("X-Api-Key"), inPath} {
		if k == "" {
			continue
		}
		if key != "" && key != k {
			return "", true, wrong
		}
		key, given = k, true
	}
	if key == "" && given {
		return "", true, wrong
	}
	return key, given, nil
}

// bearer gives the key of an Authorization header, and whether the header said anything.
func bearer(header string) (key string, given bool) {
	scheme, key, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", scheme != ""
	}
	return strings.TrimSpace(key), true
}

// byKey compares every client, in constant time.
func (g *Guard) byKey(key string) (found *Client) {
	digest := g.o.Digest([]byte(key))
	for i := range g.o.Clients {
		c := &g.o.Clients[i]
		if subtle.ConstantTimeCompare(digest[:], c.KeyDigest[:]) == 1 {
			found = c
		}
	}
	return found
}

// Enter uses the pass up, when it is one that can be used once, and sees to it that the body which is
// read is the one that was signed: reading another ends in an error that is a *gateway.Error.
func (p Pass) Enter(ctx context.Context, r *http.Request) error {
	if p.signed == nil {
		return nil
	}
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead
	if err := p.g.o.Nonces.Use(ctx, p.Caller.System, p.signed.nonce, p.signed.at.Add(p.g.o.Window), changes); err != nil {
		var e *gateway.Error
		if !errors.As(err, &e) {
			e = &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
		}
		if b := p.g.rates[p.Caller.System]; b != nil && e.Code == gateway.CodeReplayed {
			b.giveBack() // whoever overheard a call does not use the system's rate up with it
		}
		return p.g.refuse(e, p.Caller.System, "nonce")
	}
	r.Body = &signedBody{from: r.Body, hash: p.g.o.Hash(), want: p.signed.digest, refuse: func() error {
		return p.g.refuse(&gateway.Error{Code: gateway.CodeSignature, Op: op, Rule: headerDigest}, p.Caller.System, "another body than was signed")
	}}
	return nil
}

// Within enters and does work while it holds one of the places. When all are taken, or the pass does not let in, the
// refusal is what comes back, and work is not done. by names the door.
func (p Pass) Within(places chan struct{}, r *http.Request, by string, work func()) *gateway.Error {
	select {
	case places <- struct{}{}:
		defer func() { <-places }()
		if err := p.Enter(r.Context(), r); err != nil {
			return Refusal(err)
		}
		work()
		return nil
	default:
		return &gateway.Error{Code: gateway.CodeRateLimited, Op: by}
	}
}

// Refusal is what Who and Enter gave, as the record it is.
func Refusal(err error) *gateway.Error {
	e := new(gateway.Error)
	if !errors.As(err, &e) {
		e = &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	return e
}
