package acceptance

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
	"yiqiao/simulator/centre"
)

// tables are read once; they are immutable.
var tables = sync.OnceValue(func() *catalog.Catalog {
	c, err := catalog.Default()
	if err != nil {
		panic(err)
	}
	return c
})

func at0() time.Time { return time.Date(2026, 6, 18, 4, 0, 0, 0, time.UTC) }

func key(t testing.TB, seed byte) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func line(t testing.TB, name string, own, peer *sm.PrivateKey) envelope.Profile {
	t.Helper()
	p, err := envelope.New(name, envelope.Party{AppID: "TESTAPPID0000000001", AppSecret: "test-secret", Sign: own, Verify: []*sm.PublicKey{peer.Public()}}, envelope.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// simulated is a simulated centre and the way to it.
func simulated(t testing.TB, profile string, bend func(http.Handler) http.Handler) *Client {
	t.Helper()
	hospital, platform, stranger := key(t, 1), key(t, 2), key(t, 3)
	o := centre.Options{Now: at0, Catalog: tables(), Rand: rand.NewChaCha8([32]byte{4})}
	c := &Client{URL: "http://centre/fsi/api", Rand: rand.NewChaCha8([32]byte{5}), Now: at0, Seals: profile != "none"}
	if c.Seals {
		o.Profile = line(t, profile, platform, hospital)
		c.Profile, c.Stranger = line(t, profile, hospital, platform), line(t, profile, stranger, platform)
	} else {
		c.Profile = line(t, "none", hospital, platform)
	}
	s, err := centre.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := s.Handler()
	if bend != nil {
		h = bend(h)
	}
	c.HTTP = Local(h)
	return c
}

func run(t testing.TB, c *Client, o Options) *Result {
	t.Helper()
	site, err := SimulatorSite()
	if err != nil {
		t.Fatal(err)
	}
	o.Target, o.Site, o.Now = c, site, at0
	r, err := New(tables(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(context.Background())
}

func TestTheSimulatorPasses(t *testing.T) {
	for _, profile := range []string{"none", "mpc"} {
		res := run(t, simulated(t, profile, nil), Options{})
		for _, k := range res.Cases {
			if k.Status != Fail {
				continue
			}
			t.Errorf("%s: case %s %s: %s", profile, k.ID, k.Title.ZH, k.Stopped)
			for i, s := range k.Steps {
				if s.Status == Fail {
					t.Errorf("    step %d %s: %v\n      %s\n      %s", i+1, s.Infno, s.Faults, s.Request, s.Reply)
				}
			}
		}
		for _, q := range res.Requirements {
			if q.Status == Fail {
				t.Errorf("%s: %s %s: %+v", profile, q.ID, q.Text.ZH, q.Evidence)
			}
		}
		t.Logf("%s: %v", profile, res.Counts())
	}
}
