package envelope

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"
)

// Two good messages of one moment that have exchanged a part are two that are refused, and so is one whose
// encData was cut anywhere or put together from two: one error class, no data, no head.
func TestPartsOfMessagesAreNotExchanged(t *testing.T) {
	for _, profile := range []string{"mpc", "epc"} {
		d := newDesk(t, "", profile)
		read := func(s Sealed, err error) map[string]json.RawMessage {
			t.Helper()
			var m map[string]json.RawMessage
			if err == nil {
				err = json.Unmarshal(s.Body, &m)
			}
			if err != nil {
				t.Fatal(err)
			}
			return m
		}
		const one, two = `{"payOrdId":"ORD1","ownPayAmt":"12.50","note":"一二三四五六七八"}`, `{"payOrdId":"ORD2","ownPayAmt":"99.50","note":"一二三四五六七八"}`
		refused := func(what string, open func([]byte) ([]byte, Head, error), m map[string]json.RawMessage) {
			t.Helper()
			b, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if data, head, err := open(b); !errors.Is(err, ErrOpen) || data != nil || head != (Head{}) {
				t.Errorf("%s %s: %q %+v %v", profile, what, data, head, err)
			}
		}
		change := func(m map[string]json.RawMessage, name string, v json.RawMessage) map[string]json.RawMessage {
			out := map[string]json.RawMessage{}
			for k, old := range m {
				out[k] = old
			}
			out[name] = v
			return out
		}
		for kind, c := range map[string]struct {
			seal func(at time.Time, data string) (Sealed, error)
			open func([]byte) ([]byte, Head, error)
		}{
			"request": {func(at time.Time, data string) (Sealed, error) { return d.request.Seal(rand.Reader, at, []byte(data)) }, d.reply.Open},
			"reply": {func(at time.Time, data string) (Sealed, error) {
				return d.reply.SealReply(rand.Reader, at, "0", "", []byte(data))
			}, d.request.OpenReply},
		} {
			a, b := read(c.seal(moment(), one)), read(c.seal(moment(), two))
			later := read(c.seal(moment().Add(time.Second), one))
			for _, m := range []map[string]json.RawMessage{a, b, later} { // the parts are good as they are
				text, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, err := c.open(text); err != nil {
					t.Fatal(err)
				}
			}
			refused(kind+", another's body", c.open, change(a, "encData", b["encData"]))
			refused(kind+", another's signature", c.open, change(a, "signData", b["signData"]))
			refused(kind+", another time", c.open, change(a, "timestamp", later["timestamp"]))
			refused(kind+", an old body at a new time", c.open, change(later, "signData", a["signData"]))
			refused(kind+", turned back", c.open, change(a, "appId", json.RawMessage(`"TESTAPP000000000000000000000000B"`)))
			text, other := bytes.Trim(a["encData"], `"`), bytes.Trim(b["encData"], `"`)
			for n := 0; n < len(text); n++ {
				refused(fmt.Sprintf("%s, cut after %d", kind, n), c.open, change(a, "encData", json.RawMessage(`"`+string(text[:n])+`"`)))
			}
			for n := 32; n+32 <= min(len(text), len(other)); n += 32 { // whole blocks: ECB decrypts them
				mixed := string(text[:n]) + string(other[n:])
				if mixed == string(text) || mixed == string(other) {
					continue
				}
				refused(fmt.Sprintf("%s, two halves at %d", kind, n), c.open, change(a, "encData", json.RawMessage(`"`+mixed+`"`)))
			}
		}
	}
}
