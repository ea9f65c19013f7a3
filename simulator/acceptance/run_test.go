package acceptance

import (
	"context"
	"errors"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/simulator/acceptance/accepttest"
)

func newRun(t *testing.T, s *Simulation, o Options) *Runner {
	t.Helper()
	site, err := SimulatorSite()
	if err != nil {
		t.Fatal(err)
	}
	o.Target, o.Services, o.Site = s.Target, s.Services, site
	if o.Now == nil {
		o.Now = accepttest.At0
	}
	r, err := New(accepttest.Tables(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A run that was broken off goes on where it stopped: what was done is not done again, and the report says what a whole run says.
func TestARunGoesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "progress.jsonl")
	p, known, err := OpenProgress(file, "run 1", false)
	if err != nil || len(known) != 0 {
		t.Fatal(err)
	}
	sim := simulated(t, "none", nil)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	first := newRun(t, sim, Options{Keep: p.Keep, Progress: func(done, _ int, _ CaseResult) {
		if n = done; n == 40 {
			cancel()
		}
	}}).Run(ctx)
	if err := p.Close(false); err != nil || len(first.Cases) != 40 {
		t.Fatal(err, len(first.Cases))
	}
	// the last line was cut by the crash
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b[:len(b)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenProgress(file, "run 2", true); !errors.Is(err, ErrOtherRun) {
		t.Errorf("another run: %v", err)
	}
	p, known, err = OpenProgress(file, "run 1", true)
	if err != nil || len(known) != 39 {
		t.Fatal(err, len(known))
	}
	sent := 0
	again := newRun(t, sim, Options{Now: func() time.Time { return accepttest.At0().Add(time.Minute) }, Known: known, Keep: func(k Kept) { sent++; p.Keep(k) }}).Run(context.Background())
	if !again.Passed() || sent != len(again.Cases)-39 {
		t.Errorf("%v, %d of %d cases were run", again.Counts(), sent, len(again.Cases))
		for _, k := range again.Cases {
			if k.Status == Fail {
				t.Errorf("%s %s: %+v", k.ID, k.Stopped, k.Steps)
			}
		}
	}
	whole := newRun(t, simulated(t, "none", nil), Options{}).Run(context.Background())
	if !reflect.DeepEqual(whole.Counts(), again.Counts()) {
		t.Errorf("%v, want %v", again.Counts(), whole.Counts())
	}
	if err := p.Close(true); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file stays")
	}
}

// Cases of different persons run beside each other with the same verdicts.
func TestParallelLanes(t *testing.T) {
	res := newRun(t, simulated(t, "mpc", nil), Options{Parallel: 4}).Run(context.Background())
	for _, k := range res.Cases {
		if k.Status == Fail {
			t.Errorf("%s %s: %+v", k.ID, k.Stopped, k.Steps)
		}
	}
	if res.Counts()[Pass] < 180 {
		t.Error(res.Counts())
	}
}

// Whatever a target is, the run ends, the case says which expectation failed with both sides, and nothing hangs.
func TestBadTargets(t *testing.T) {
	good := simulated(t, "none", nil)
	answer := func(f http.HandlerFunc) (string, func()) { s := httptest.NewServer(f); return s.URL, s.Close }
	down, stop := answer(nil)
	stop()
	html, stop1 := answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>502</html>") })
	defer stop1()
	redirect, stop2 := answer(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
	})
	defer stop2()
	free := make(chan struct{})
	slow, stop3 := answer(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-free:
		}
	})
	defer stop3()
	defer close(free)
	broken, stop4 := answer(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"infcode":0,`)
	})
	defer stop4()
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	defer tls.Close()
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, c := range []struct{ name, url, says string }{
		{"down", down, "连接失败"}, {"HTML", html, "网页"}, {"a redirect", redirect, "302"}, {"a wrong certificate", tls.URL, "证书"}, {"slower than its limit", slow, "超过时限"}, {"breaks off", broken, "不完整"},
	} {
		s := *good
		client := *good.Target
		client.URL, client.HTTP, client.Limit, client.Rand = c.url, &http.Transport{DisableKeepAlives: true}, 200*time.Millisecond, rand.NewChaCha8([32]byte{})
		s.Target = &client
		res := newRun(t, &s, Options{Only: []string{"OP-19", "OP-18"}}).Run(context.Background())
		if res.Reached || res.Passed() || len(res.Cases) != 2 {
			t.Errorf("%s: reached %v passed %v %d cases", c.name, res.Reached, res.Passed(), len(res.Cases))
		}
		for _, k := range res.Cases {
			i := slices.IndexFunc(res.Requirements, func(q RequirementResult) bool { return q.Status == Fail })
			if k.Status != Fail || len(k.Steps[0].Faults) == 0 || !strings.Contains(k.Steps[0].Faults[0], "应为") || !strings.Contains(k.Steps[0].Faults[0], c.says) || i < 0 {
				t.Errorf("%s: %+v", c.name, k)
			}
		}
	}
}

// A target that changes its mind between runs is seen by comparing them.
func TestATargetThatChangesItsMind(t *testing.T) {
	before := run(t, simulated(t, "none", nil), Options{Suite: "outpatient"})
	after := run(t, simulated(t, "none", gullible("2208")), Options{Suite: "outpatient"})
	list := Compare(before, after)
	if !before.Passed() || after.Passed() || !slices.ContainsFunc(list, func(c Change) bool { return c.ID == "ORD-2208-2" && c.Was == Pass && c.Now == Fail }) {
		t.Errorf("%+v", list)
	}
}
