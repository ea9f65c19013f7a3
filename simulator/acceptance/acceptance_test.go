package acceptance

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"yiqiao/crypto/sm"
	"yiqiao/simulator/acceptance/accepttest"
)

func made(t testing.TB, from io.Reader) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(from)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// simulated is a simulated centre and the ways to it.
func simulated(t testing.TB, profile string, bend func(http.Handler) http.Handler) *Simulation {
	t.Helper()
	s, err := Simulate(SimulationOptions{Catalog: accepttest.Tables(), Profile: profile, Rand: rand.NewChaCha8([32]byte{4}), Now: accepttest.At0, Bend: bend})
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
	o.Target, o.Services, o.Site, o.Now = s.Target, s.Services, site, accepttest.At0
	r, err := New(accepttest.Tables(), o)
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
		sent := map[string]bool{}
		for _, k := range res.Cases {
			for _, s := range k.Steps {
				sent[s.Infno] = true
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
			if q.Status == NoCase || !sent[q.Infno] && q.Infno != "" && q.Status == Pass {
				t.Errorf("%s: %s is %s", profile, q.ID, q.Status)
			}
		}
		if judged, testable := res.Testable(); profile == "mpc" && judged != testable {
			t.Errorf("%d of %d have a verdict, %v", judged, testable, res.Counts())
		}
		if len(res.Cases) < 80 {
			t.Errorf("only %d cases", len(res.Cases))
		}
		t.Logf("%s: %d cases, %v", profile, len(res.Cases), res.Counts())
	}
}
