package vectors

import (
	"encoding/hex"
	"fmt"
	"strings"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

// checks collects what was checked of one vector and the first thing that went wrong.
type checks struct {
	done   []string
	failed string
}

// that notes one check and gives ok back.
func (c *checks) that(name string, ok bool) bool {
	if ok {
		c.done = append(c.done, name)
	} else if c.failed == "" {
		c.failed = name
	}
	return ok
}

// fail notes a check that could not even be made; err never holds a secret.
func (c *checks) fail(name string, err error) *checks {
	if c.failed == "" {
		c.failed = name
		if err != nil {
			c.failed = fmt.Sprintf("%s: %v", name, err)
		}
	}
	return c
}

// equal compares a member the vector may lack: an absent one is not checked.
func (c *checks) equal(name, want, got string) {
	if want != "" {
		c.that(name, want == got)
	}
}

// result: a vector that led to no check at all has failed.
func (c *checks) result() (bool, string) {
	switch {
	case c.failed != "":
		return false, "failed: " + c.failed
	case len(c.done) == 0:
		return false, "failed: nothing to check"
	}
	return true, strings.Join(c.done, ", ")
}

// unhex reads hex in either case; the second value is false for anything else.
func unhex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil
}

// load reads a key pair in every form the vector gives and demands that all are the same key.
func (c *checks) load(k pair) (*sm.PrivateKey, bool) {
	key, err := keys.ParsePrivate(k.DHex)
	if err != nil {
		c.fail("key dHex", err)
		return nil, false
	}
	c.that("private key", true)
	for _, text := range []string{k.DBase64, k.DJava} {
		if text == "" {
			continue
		}
		o, err := keys.ParsePrivate(text)
		if !c.that("private key in base64", err == nil && o.Equal(key)) {
			return nil, false
		}
	}
	for _, text := range []string{k.PubHex, k.PubB64} {
		if text == "" {
			continue
		}
		o, err := keys.ParsePublic(text)
		if !c.that("public key", err == nil && o.Equal(key.Public())) {
			return nil, false
		}
	}
	return key, true
}

// digest checks Z and e when the vector gives them.
func (c *checks) digest(p sm.Provider, key *sm.PublicKey, uid, msg, za, e string) {
	if za != "" {
		z, err := sm.Z(p, key, []byte(uid))
		c.that("za", err == nil && hex.EncodeToString(z[:]) == strings.ToLower(za))
	}
	if e != "" {
		d, err := sm.Digest(p, key, []byte(uid), []byte(msg))
		c.that("e", err == nil && hex.EncodeToString(d[:]) == strings.ToLower(e))
	}
}

// numbers is a fixed source for the signatures a run makes. Run is not for secrets.
type numbers struct {
	p     sm.Provider
	seed  string
	count int
	rest  []byte
}

func (n *numbers) Read(b []byte) (int, error) {
	if len(n.rest) == 0 {
		n.count++
		sum := n.p.SM3([]byte(n.seed), fmt.Append(nil, n.count))
		n.rest = sum[:]
	}
	k := copy(b, n.rest)
	n.rest = n.rest[k:]
	return k, nil
}
