package envelope

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yiqiao/crypto/sm"
)

// plain sends no headers and accepts everybody: the line authenticates.
type plain struct{}

func (plain) Stamp(io.Reader, time.Time, http.Header, []byte) error     { return nil }
func (plain) Check(time.Time, time.Duration, http.Header, []byte) error { return nil }

// The headers of security.md 1.3.
const (
	headerPaasID    = "x-tif-paasid"
	headerTime      = "x-tif-timestamp"
	headerNonce     = "x-tif-nonce"
	headerSignature = "x-tif-signature"

	maxNonce = 36 // characters
)

// tif is SHA-256 over time, token and nonce. It authenticates the caller and covers no body.
type tif struct{ c *TransportConfig }

// Format shows no secret, whatever the verb.
func (t *tif) Format(f fmt.State, verb rune) { t.c.Format(f, verb) }

func newTIF(c TransportConfig) (Transport, error) {
	for _, s := range []string{c.PaasID, c.Token} {
		if s == "" || !visible(s) {
			return nil, fmt.Errorf("%w: tif needs paasid and token in printable ASCII", ErrConfig)
		}
	}
	return &tif{&c}, nil
}

// TIFSignature is the hex of SHA-256 over timestamp, token, nonce and timestamp again, without
// separators; timestamp is Unix time in seconds as decimal text. Upper or lower case by upper.
func TIFSignature(token, timestamp, nonce string, upper bool) string {
	sum := sha256.Sum256([]byte(timestamp + token + nonce + timestamp))
	if upper {
		return string(appendHex(nil, sum[:]))
	}
	return hex.EncodeToString(sum[:])
}

// Stamp writes the four headers; the nonce is 32 hex digits from 16 bytes of rand.
func (t *tif) Stamp(rand io.Reader, now time.Time, h http.Header, _ []byte) error {
	var b [16]byte
	if rand == nil {
		return sm.ErrRandom
	}
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return sm.ErrRandom
	}
	stamp, nonce := strconv.FormatInt(now.Unix(), 10), hex.EncodeToString(b[:])
	h.Set(headerPaasID, t.c.PaasID)
	h.Set(headerTime, stamp)
	h.Set(headerNonce, nonce)
	h.Set(headerSignature, TIFSignature(t.c.Token, stamp, nonce, t.c.Upper))
	return nil
}

// Check compares secrets in constant time and the case of the hex exactly, as a gateway does. The
// time is judged last, so that a stranger learns nothing of our clock.
func (t *tif) Check(now time.Time, skew time.Duration, h http.Header, _ []byte) error {
	var got [4]string
	for i, name := range []string{headerPaasID, headerTime, headerNonce, headerSignature} {
		values := h.Values(name)
		if len(values) != 1 {
			return fault("caller")
		}
		got[i] = values[0]
	}
	paasID, stamp, nonce, signature := got[0], got[1], got[2], got[3]
	if subtle.ConstantTimeCompare([]byte(paasID), []byte(t.c.PaasID)) != 1 {
		return fault("paasid")
	}
	if nonce == "" || len(nonce) > maxNonce || !visible(nonce) {
		return fault("nonce")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 40)
	if err != nil || seconds < 0 || strconv.FormatInt(seconds, 10) != stamp {
		return fault("time")
	}
	want := TIFSignature(t.c.Token, stamp, nonce, t.c.Upper)
	if subtle.ConstantTimeCompare([]byte(signature), []byte(want)) != 1 {
		return fault("caller")
	}
	// Whole seconds on both sides: a stamp carries no fraction.
	if d := time.Duration(now.Unix()-seconds) * time.Second; d > skew || -d > skew {
		return fault("skew")
	}
	return nil
}

// visible tells whether s is printable ASCII without spaces.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x21 || r > 0x7e })
}
