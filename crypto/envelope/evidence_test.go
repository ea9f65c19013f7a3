package envelope

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/sm"
)

// Evidence of every profile that signs: it verifies later under the same key and nothing else, and never holds the
// secret.
func TestEvidence(t *testing.T) {
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	key := func() *sm.PrivateKey {
		k, err := sm.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	ours, theirs, other := key(), key(), key()
	const secret = "SECRET-MARK-123456"
	data := []byte(`{"infcode":0,"output":{"setlinfo":{"setl_id":"S1","medfee_sumamt":12.50}}}`)
	for _, c := range []struct {
		name, id, secret string
	}{{"mpc", "APPLICATION-0001", secret}, {"epc", "APPLICATION-0001", secret}, {"cainfo", "CLIENTID-0000001", ""}} {
		here, err := New(c.name, Party{AppID: c.id, AppSecret: c.secret, Sign: ours, Verify: []*sm.PublicKey{other.Public(), theirs.Public()}}, Options{Provider: p})
		if err != nil {
			t.Fatal(err)
		}
		there, err := New(c.name, Party{AppID: c.id, AppSecret: c.secret, Sign: theirs, Verify: []*sm.PublicKey{ours.Public()}}, Options{Provider: p})
		if err != nil {
			t.Fatal(err)
		}
		s, err := there.SealReply(rand.Reader, time.UnixMilli(1795406400000), "0", "成功", data)
		if err != nil {
			t.Fatal(err)
		}
		got, _, e, err := here.(Witness).OpenReplyEvidence(s.Body)
		if err != nil || e == nil || !bytes.Contains(got, []byte("12.50")) {
			t.Fatalf("%s: %v", c.name, err)
		}
		kept := e.Append(nil)
		if bytes.Contains(kept, []byte(secret)) {
			t.Errorf("%s: the secret is kept", c.name)
		}
		if e, err = ParseEvidence(kept); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err := e.Verify(p, theirs.Public(), c.secret); err != nil || !e.Key.Equal(theirs.Public()) || e.Secret != (c.secret != "") {
			t.Errorf("%s: %v", c.name, err)
		}
		if !strings.Contains(string(e.Text), "S1") {
			t.Errorf("%s: %s", c.name, e.Text)
		}
		if err := e.Verify(p, other.Public(), c.secret); !errors.Is(err, sm.ErrSignature) {
			t.Errorf("%s: under another key: %v", c.name, err)
		}
		if c.secret != "" && (e.Verify(p, theirs.Public(), "") == nil || e.Verify(p, theirs.Public(), "wrong") == nil) {
			t.Errorf("%s: verifies without the secret", c.name)
		}
		for i := range kept { // no byte can be changed without it being seen
			b := bytes.Clone(kept)
			b[i] ^= 1
			if e, err := ParseEvidence(b); err == nil && e.Key.Equal(theirs.Public()) && e.Verify(p, theirs.Public(), c.secret) == nil {
				t.Errorf("%s: byte %d", c.name, i)
			}
		}
	}
}

func FuzzParseEvidence(f *testing.F) {
	f.Add([]byte("sm2-evidence-1 secret\nAA==\nAA==\n\ntext"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := ParseEvidence(b); err == nil && !bytes.Equal(e.Append(nil), b) {
			t.Errorf("%q is read and written differently", b)
		}
	})
}
