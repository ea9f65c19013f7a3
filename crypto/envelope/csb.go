package envelope

import (
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// The headers of transport csb. They are written as they stand here: they begin with an underscore,
// which some proxies drop unless told otherwise (nginx: underscores_in_headers on).
const (
	csbName      = "_api_name"
	csbVersion   = "_api_version"
	csbAccess    = "_api_access_key"
	csbTime      = "_api_timestamp"
	csbSignature = "_api_signature"
)

// csb is HMAC-SHA1 over name, version, access key and time. It authenticates the caller and covers
// neither the body nor, as it is used here, parameters of the URL; and two messages of the same
// millisecond have the same signature, so that a centre can not tell a repetition by it.
type csb struct{ c *TransportConfig }

// Format shows no secret, whatever the verb.
func (t *csb) Format(f fmt.State, verb rune) { t.c.Format(f, verb) }

func newCSB(c TransportConfig) (Transport, error) {
	for _, s := range []string{c.APIName, c.APIVersion, c.AccessKey, c.SecretKey} {
		if s == "" || !visible(s) {
			return nil, fmt.Errorf("%w: csb needs api name, api version, access key and secret key in printable ASCII", ErrConfig)
		}
	}
	return &csb{&c}, nil
}

// sign is the signature of one time (Unix ms as decimal text).
func (t *csb) sign(stamp string) string {
	return CSBSign(map[string]string{csbName: t.c.APIName, csbVersion: t.c.APIVersion, csbAccess: t.c.AccessKey, csbTime: stamp}, t.c.SecretKey)
}

// Stamp writes the five headers, their names in the map as they are to be sent.
func (t *csb) Stamp(_ io.Reader, now time.Time, h http.Header, _ []byte) error {
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	h[csbName], h[csbVersion], h[csbAccess] = []string{t.c.APIName}, []string{t.c.APIVersion}, []string{t.c.AccessKey}
	h[csbTime], h[csbSignature] = []string{stamp}, []string{t.sign(stamp)}
	return nil
}

// Check compares secrets in constant time; the time is judged last, so that a stranger learns
// nothing of our clock.
func (t *csb) Check(now time.Time, skew time.Duration, h http.Header, _ []byte) error {
	var got [5]string
	for i, name := range []string{csbName, csbVersion, csbAccess, csbTime, csbSignature} {
		values := h[name]
		if len(values) != 1 {
			return fault("caller")
		}
		got[i] = values[0]
	}
	known := subtle.ConstantTimeCompare([]byte(got[0]), []byte(t.c.APIName)) &
		subtle.ConstantTimeCompare([]byte(got[1]), []byte(t.c.APIVersion)) &
		subtle.ConstantTimeCompare([]byte(got[2]), []byte(t.c.AccessKey))
	if known != 1 {
		return fault("paasid")
	}
	ms, err := strconv.ParseInt(got[3], 10, 64)
	if err != nil || ms < 0 || len(got[3]) != 13 {
		return fault("time")
	}
	if subtle.ConstantTimeCompare([]byte(got[4]), []byte(t.sign(got[3]))) != 1 {
		return fault("caller")
	}
	if d := now.Sub(time.UnixMilli(ms)); d > skew || -d > skew {
		return fault("skew")
	}
	return nil
}
