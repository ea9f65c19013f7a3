package acceptance

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
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

func made(t testing.TB, from io.Reader) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(from)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func line(t testing.TB, name string, own, peer *sm.PrivateKey) envelope.Profile {
	t.Helper()
	p, err := envelope.New(name, envelope.Party{AppID: "YIQIAOACCEPTANCE", AppSecret: "acceptance run", Sign: own, Verify: []*sm.PublicKey{peer.Public()}}, envelope.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// simulated is a simulated centre and the ways to it.
func simulated(t testing.TB, profile string, bend func(http.Handler) http.Handler) *Simulation {
	t.Helper()
	s, err := Simulate(SimulationOptions{Catalog: tables(), Profile: profile, Rand: rand.NewChaCha8([32]byte{4}), Now: at0, Bend: bend})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Centre.Close)
	return s
}

func run(t testing.TB, s *Simulation, o Options) *Result {
	t.Helper()
	site, err := SimulatorSite()
	if err != nil {
		t.Fatal(err)
	}
	o.Target, o.Services, o.Site, o.Now = s.Target, s.Services, site, at0
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
		for _, q := range res.Requirements {
			if q.Status == NotRun && (profile == "mpc" || !strings.HasPrefix(q.ID, "SIG-")) {
				t.Errorf("%s: %s was not tried", profile, q.ID)
			}
		}
		if len(res.Cases) < 80 {
			t.Errorf("only %d cases", len(res.Cases))
		}
		t.Logf("%s: %d cases, %v", profile, len(res.Cases), res.Counts())
	}
}
