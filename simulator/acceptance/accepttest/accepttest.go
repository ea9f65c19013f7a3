// Package accepttest holds what the tests of package acceptance and of those below it share: the tables, a clock that stands,
// keys and protected lines made from numbers. For tests only.
package accepttest

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
)

// Tables gives the catalogue. It is read once and immutable.
var Tables = sync.OnceValue(func() *catalog.Catalog {
	c, err := catalog.Default()
	if err != nil {
		panic(err)
	}
	return c
})

// At0 is the time of the clock that stands.
func At0() time.Time { return time.Date(2026, 6, 18, 4, 0, 0, 0, time.UTC) }

// Key makes a key: the same seed, the same key.
func Key(t testing.TB, seed byte) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Line makes one end of a protected line, of the party a simulated run is: its own key, and that of the other end.
func Line(t testing.TB, profile string, own, peer *sm.PrivateKey) envelope.Profile {
	t.Helper()
	p, err := envelope.New(profile, envelope.Party{AppID: "YIQIAOACCEPTANCE", AppSecret: "acceptance run", Sign: own, Verify: []*sm.PublicKey{peer.Public()}}, envelope.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
