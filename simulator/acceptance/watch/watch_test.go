package watch

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/acceptance"
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

// watched is a watcher with a simulated centre behind it, and the way of a HIS to it.
func watched(t testing.TB, profile string, o Options) (*Watcher, *acceptance.Client, acceptance.Site) {
	t.Helper()
	site, err := acceptance.SimulatorSite()
	if err != nil {
		t.Fatal(err)
	}
	site.SignIn = true
	sim, err := centre.New(centre.Options{Now: at0, Catalog: tables(), Rand: rand.NewChaCha8([32]byte{4}), Region: centre.Region{AskByVisit: true, RequireSign: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	hospital, platform, stranger := key(t, 1), key(t, 2), key(t, 3)
	o.Catalog, o.Centre, o.Rand, o.Now, o.Site = tables(), sim.Handler(), rand.NewChaCha8([32]byte{6}), at0, site
	if o.Wait == nil {
		o.Wait = func(time.Duration) {}
	}
	c := &acceptance.Client{URL: "http://centre/fsi/api", Rand: rand.NewChaCha8([32]byte{5}), Now: at0, Seals: profile != "none"}
	c.Profile = line(t, profile, hospital, platform)
	if c.Seals {
		o.Profile, o.Sealed = line(t, profile, platform, hospital), true
		c.Stranger = line(t, profile, stranger, platform)
	}
	w, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.HTTP = straight{w}
	return w, c, site
}

// straight brings requests to a handler in this process; a line the handler cuts is an error.
type straight struct{ h http.Handler }

func (s straight) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				panic(v)
			}
			resp, err = nil, context.Canceled
		}
	}()
	return acceptance.Local(s.h).RoundTrip(r)
}

// play lets a script work against a target.
func play(t testing.TB, to acceptance.Target, site acceptance.Site, cases []acceptance.Case, inputs acceptance.Inputs) *acceptance.Result {
	t.Helper()
	r, err := acceptance.New(tables(), acceptance.Options{Target: to, Site: site, Cases: cases, Inputs: inputs, Now: at0, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.Run(context.Background())
}

func explain(t *testing.T, res, his *acceptance.Result) {
	t.Helper()
	for _, k := range res.Cases {
		if k.Status != acceptance.Fail {
			continue
		}
		t.Errorf("case %s %s: %s", k.ID, k.Title.ZH, k.Stopped)
		for i, s := range k.Steps {
			if s.Status == acceptance.Fail {
				t.Errorf("    step %d %s: %v\n      %s\n      %s", i+1, s.Infno, s.Faults, s.Request, s.Reply)
			}
		}
	}
	for _, k := range his.Cases {
		if k.Stopped != "" {
			t.Logf("script %s: %s", k.ID, k.Stopped)
			for i, s := range k.Steps {
				t.Logf("    step %d %s: %v %s", i+1, s.Infno, s.Faults, s.Reply)
			}
		}
	}
}

// A HIS that does everything right passes everything, and every requirement a HIS has by rule was asked.
func TestACorrectHISPasses(t *testing.T) {
	for _, profile := range []string{"none", "mpc"} {
		w, c, site := watched(t, profile, Options{})
		cases, inputs, err := Script()
		if err != nil {
			t.Fatal(err)
		}
		his := play(t, c, site, cases, inputs)
		res := w.Result(true)
		explain(t, res, his)
		for _, k := range res.Cases {
			if k.Status == acceptance.NotRun && !(profile == "none" && k.ID == "H-UN-06") {
				t.Errorf("%s: %s was not run: %s", profile, k.ID, k.Stopped)
			}
		}
		rules, _, err := Rules()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range res.Requirements {
			if q.Status == acceptance.Fail {
				t.Errorf("%s: %s %s: %+v", profile, q.ID, q.Text.ZH, q.Evidence)
			}
			byRule := slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == q.ID }) || strings.HasPrefix(q.ID, "H")
			if q.Actor == "his" && q.Status == acceptance.NotRun && byRule {
				t.Logf("%s: %s was not asked", profile, q.ID)
			}
		}
		select {
		case <-w.Done():
		default:
			t.Errorf("%s: not over, waits for %+v", profile, w.Now())
		}
	}
}

// last is the last message as it came, with its head.
func (w *Watcher) last() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.hist[len(w.hist)-1]
	h := r.head
	h.Input = strictjson.Encode(r.in)
	b, err := wire.EncodeRequest(h)
	if err != nil {
		panic(err)
	}
	return b
}
