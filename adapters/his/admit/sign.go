package admit

import (
	"crypto/hmac"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
)

// Headers of a signed call. Each is sent once.
const (
	headerSystem    = "Yiqiao-System"
	headerTime      = "Yiqiao-Timestamp" // seconds since 1970
	headerNonce     = "Yiqiao-Nonce"     // 16 to 64 of A-Z a-z 0-9 - _, never the same twice
	headerDigest    = "Yiqiao-Digest"    // "sm3=" and 64 hex digits: of the body as it is sent
	headerSignature = "Yiqiao-Signature" // "hmac-sm3=" and 64 hex digits
	headerRequest   = "Idempotency-Key"  // where the request id stands there
)

// Text is what a signed call signs, with HMAC-SM3 under the system's key: nine lines, with a line feed
// (0x0A) between them and none at the end. path and query are as they stand in the first line of the
// call, percent signs and all, without the question mark; what there is none of is an empty line.
func Text(system, method, path, query, timestamp, nonce, requestID, digest string) string {
	return strings.Join([]string{"yiqiao-call-1", system, method, path, query, timestamp, nonce, requestID, digest}, "\n")
}

// Sign puts the headers of a signed call on a request whose other parts are set. It is what a client
// does; body is sent as it is.
func Sign(newHash func() hash.Hash, key []byte, system string, r *http.Request, body []byte, now time.Time, nonce string) {
	d := newHash()
	d.Write(body)
	digest := hex.EncodeToString(d.Sum(nil))
	stamp := strconv.FormatInt(now.Unix(), 10)
	path, query := target(r)
	h := r.Header
	h.Set(headerSystem, system)
	h.Set(headerTime, stamp)
	h.Set(headerNonce, nonce)
	h.Set(headerDigest, "sm3="+digest)
	mac := hmac.New(newHash, key)
	_, _ = io.WriteString(mac, Text(system, r.Method, path, query, stamp, nonce, h.Get(headerRequest), digest))
	h.Set(headerSignature, "hmac-sm3="+hex.EncodeToString(mac.Sum(nil)))
}

// target is path and query of a call as they were sent.
func target(r *http.Request) (path, query string) {
	if strings.HasPrefix(r.RequestURI, "/") { // set by a server alone
		path, query, _ = strings.Cut(r.RequestURI, "?")
		return path, query
	}
	return r.URL.EscapedPath(), r.URL.RawQuery
}

// isSigned reports whether a call claims to be signed.
func isSigned(h http.Header) bool {
	for _, name := range []string{headerSystem, headerTime, headerNonce, headerDigest, headerSignature} {
		if len(h.Values(name)) > 0 {
			return true
		}
	}
	return false
}

// signed is what is known of a signed call whose signature is right.
type signed struct {
	nonce  string
	at     time.Time
	digest [32]byte
}

// bySignature verifies a signed call. Until the signature is right there is one answer for everything
// that is wrong, and one HMAC whether or not the system is known.
func (g *Guard) bySignature(r *http.Request) (*Client, *signed, error) {
	wrong := func(system, why string) error {
		return g.refuse(&gateway.Error{Code: gateway.CodeSignature, Op: op}, system, why)
	}
	part := map[string]string{}
	for _, name := range []string{headerSystem, headerTime, headerNonce, headerDigest, headerSignature, headerRequest} {
		list := r.Header.Values(name)
		switch {
		case len(list) == 0 && name == headerRequest:
		case len(list) != 1:
			return nil, nil, wrong("", name+" is missing or there more than once")
		default:
			part[name] = list[0]
		}
	}
	var s signed
	digest, isSM3 := strings.CutPrefix(part[headerDigest], "sm3=")
	claimed, isMAC := strings.CutPrefix(part[headerSignature], "hmac-sm3=")
	stamp, err := strconv.ParseInt(part[headerTime], 10, 64)
	s.nonce, s.at = part[headerNonce], time.Unix(stamp, 0)
	switch {
	case !isSM3 || !isHex(digest, s.digest[:]), !isMAC || !isHex(claimed, make([]byte, 32)):
		return nil, nil, wrong("", "digest or signature is not 64 hex digits in small letters behind its name")
	case err != nil || stamp < 0 || stamp > 1<<40 || strconv.FormatInt(stamp, 10) != part[headerTime]:
		return nil, nil, wrong("", "the time is not in seconds since 1970")
	case len(s.nonce) < 16 || !isSystem(s.nonce):
		return nil, nil, wrong("", "the nonce is not 16-64 of A-Z a-z 0-9 - _ .")
	}
	path, query := target(r)
	text := Text(part[headerSystem], r.Method, path, query, part[headerTime], s.nonce, part[headerRequest], digest)
	var found *Client
	keys := [][]byte{make([]byte, 32)} // nobody's
	for i := range g.o.Clients {
		if c := &g.o.Clients[i]; c.System == part[headerSystem] && len(c.Signing) > 0 {
			found, keys = c, c.Signing
		}
	}
	right := false
	for _, key := range keys {
		mac := hmac.New(g.o.Hash, key)
		_, _ = io.WriteString(mac, text)
		right = hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(claimed)) || right
	}
	switch {
	case found == nil:
		return nil, nil, wrong("", "a system that is not known, or does not sign")
	case !right:
		return nil, nil, wrong(found.System, "the HMAC is another")
	}
	if off := g.o.Clock.Now().Sub(s.at); off > g.o.Window || off < -g.o.Window {
		e := &gateway.Error{Code: gateway.CodeSignatureStale, Op: op, Rule: "+-" + g.o.Window.String(),
			Detail: "gateway " + strconv.FormatInt(g.o.Clock.Now().Unix(), 10)}
		return nil, nil, g.refuse(e, found.System, "the time is off by "+off.Round(time.Second).String())
	}
	return found, &s, nil
}

// isHex reads lower-case hex digits.
func isHex(text string, into []byte) bool {
	if len(text) != 2*len(into) || strings.Trim(text, "0123456789abcdef") != "" {
		return false
	}
	_, err := hex.Decode(into, []byte(text))
	return err == nil
}

// isSystem reports whether a text may stand in a line that is signed.
func isSystem(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// signedBody gives a body on and holds it against its digest when it ends.
type signedBody struct {
	from   io.ReadCloser
	hash   hash.Hash
	want   [32]byte
	refuse func() error
	bad    error
}

func (b *signedBody) Read(p []byte) (int, error) {
	if b.bad != nil {
		return 0, b.bad
	}
	n, err := b.from.Read(p)
	b.hash.Write(p[:n])
	if err == io.EOF && !hmac.Equal(b.hash.Sum(nil), b.want[:]) {
		b.bad = b.refuse()
		return n, b.bad
	}
	return n, err
}

func (b *signedBody) Close() error { return b.from.Close() }
