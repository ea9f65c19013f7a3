package metrics

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"go.yaml.in/yaml/v3"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

type fixed struct{ at time.Time }

func (f *fixed) Now() time.Time { return f.at }

func (f *fixed) Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, gateway.China)

// busy is a Metrics of which everything has been shown once.
func busy(t testing.TB) *Metrics {
	t.Helper()
	m, err := New(Options{Version: "v1", Name: "a", Infnos: []ident.Infno{"2207", "4101"}, Institutions: []ident.Institution{"H44010000001"}, Clock: &fixed{noon},
		Picture: func() Picture {
			return Picture{Centres: []Centre{{Name: "main", Breaker: "open", InFlight: 3, MaxInFlight: 64, Busy: 2, Down: 5, LastAnswer: noon, Skew: -90 * time.Second, SkewKnown: true}},
				Journal: Journal{Operations: 40, Commits: 10, Rollbacks: 1, Syncs: 12}, SignIns: map[ident.Institution]int{"H44010000001": 2},
				Expiries: []Expiry{{Kind: "certificate", Name: "centre:main", Until: noon.Add(36 * time.Hour)},
					{Kind: "certificate", Name: "interface", Until: noon.Add(36 * time.Hour), Listener: true, Trouble: true},
					{Kind: "certificate", Name: "hl7:0", Until: noon.Add(36 * time.Hour), Listener: true}}, Queue: &gateway.QueueState{Kind: "kafka", Trouble: "x"}, Degraded: true}
		},
		Look: func(context.Context) (Sample, error) {
			return Sample{Healthy: true, Deliveries: map[string]Waiting{"his-main": {4, noon.Add(-time.Minute)}}, Live: []Live{
				{"H44010000001", "2207", gateway.StateUnknown, false, Waiting{2, noon.Add(-time.Hour)}},
				{"H44010000001", "2206", gateway.StateUnknown, false, Waiting{1, noon.Add(-2 * time.Hour)}},
				{"H99", "4101", gateway.StatePrepared, true, Waiting{7, noon.Add(-time.Second)}},
				{"H99", "不是编号", gateway.StateParked, true, Waiting{1, noon.Add(-time.Second)}},
			}}, nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	l := m.Line("main")
	l.Transaction("2207", gateway.Reply{Outcome: gateway.OutcomeDone, Took: 30 * time.Millisecond})
	l.Transaction("2207", gateway.Reply{Outcome: gateway.OutcomeUnknown, Cause: gateway.CauseTimeout, Took: 4 * time.Minute})
	l.Transaction("999999198503120018", gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: "测试甲"})
	m.Call("POST", "/api/v1/settlements", 201, 80*time.Millisecond)
	m.Call("GET", "", 404, time.Millisecond)
	m.Refused(gateway.CodeKeyWrong)
	m.Refused("no such code")
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := m.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return m
}

func scrape(t testing.TB, h http.Handler, token string) (int, string) {
	t.Helper()
	r := httptest.NewRequest("GET", "/metrics", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestWhatIsShown(t *testing.T) {
	_, text := scrape(t, busy(t).Handler(""), "")
	for _, want := range []string{
		`yiqiao_info{gateway="a",version="v1"} 1`,
		`yiqiao_transactions_total{cause="",centre="main",infno="2207",outcome="done"} 1`,
		`yiqiao_transactions_total{cause="timeout",centre="main",infno="2207",outcome="unknown"} 1`,
		`yiqiao_transactions_total{cause="other",centre="main",infno="other",outcome="refused"} 1`,
		`yiqiao_transaction_seconds_bucket{centre="main",infno="2207",le="0.025"} 0`,
		`yiqiao_transaction_seconds_bucket{centre="main",infno="2207",le="0.05"} 1`,
		`yiqiao_transaction_seconds_bucket{centre="main",infno="2207",le="180"} 1`,
		`yiqiao_transaction_seconds_bucket{centre="main",infno="2207",le="+Inf"} 2`,
		`yiqiao_transaction_seconds_sum{centre="main",infno="2207"} 240.03`,
		`yiqiao_calls_total{method="POST",route="/api/v1/settlements",status="2xx"} 1`,
		`yiqiao_calls_total{method="GET",route="none",status="4xx"} 1`,
		`yiqiao_refusals_total{code="api-key-wrong"} 1`, `yiqiao_refusals_total{code="other"} 1`,
		`yiqiao_centre_breaker{centre="main",state="open"} 1`, `yiqiao_centre_breaker{centre="main",state="closed"} 0`,
		`yiqiao_centre_in_flight{centre="main"} 3`, `yiqiao_centre_clock_skew_seconds{centre="main"} -90`,
		`yiqiao_open_transactions{institution="H44010000001",state="unknown"} 3`,
		`yiqiao_open_oldest_seconds{institution="H44010000001",state="unknown"} 7200`,
		`yiqiao_open_transactions{institution="H44010000001",state="parked"} 0`,
		`yiqiao_certificate_not_taken{name="interface"} 1`, `yiqiao_certificate_not_taken{name="hl7:0"} 0`,
		`yiqiao_uploads_waiting{infno="4101",state="prepared"} 7`, `yiqiao_dead_letters{infno="other"} 1`,
		`yiqiao_deliveries_oldest_seconds{system="his-main"} 60`, `yiqiao_sign_ins{institution="H44010000001"} 2`,
		`yiqiao_expiry_days{kind="certificate",name="centre:main"} 1.5`, `yiqiao_journal_healthy 1`, `yiqiao_queue_trouble{kind="kafka"} 1`,
		`yiqiao_journal_commits_total 10`, `yiqiao_degraded 1`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
	for _, name := range Names() {
		if !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s is listed and not shown", name)
		}
	}
	for _, never := range []string{"测试甲", "999999198503120018", "不是编号", "H99"} {
		if strings.Contains(text, never) {
			t.Errorf("%s became a label", never)
		}
	}
}

func TestToken(t *testing.T) {
	h := busy(t).Handler("0123456789abcdef")
	for token, want := range map[string]int{"": 401, "0123456789abcdee": 401, "0123456789abcdef": 200} {
		if got, _ := scrape(t, h, token); got != want {
			t.Errorf("token %q: %d", token, got)
		}
	}
	for _, r := range []*http.Request{httptest.NewRequest("POST", "/metrics", nil), httptest.NewRequest("GET", "/", nil)} {
		r.Header.Set("Authorization", "Bearer 0123456789abcdef")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code == 200 {
			t.Errorf("%s %s: %d", r.Method, r.URL, w.Code)
		}
	}
}

// Routes come from the program's own table, but a mistake there must not fill memory.
func TestRoutesAreBounded(t *testing.T) {
	m := busy(t)
	for i := range 10_000 {
		m.Call("GET", "/x/"+string(rune(0x4e00+i)), 200, 0)
	}
	if n := len(*m.calls.Load()); n > maxCalls+1 {
		t.Errorf("%d routes", n)
	}
}

// A look that fails leaves the figures as they were, with their time.
func TestFailedLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock, n := &fixed{noon}, 0
		m, err := New(Options{Clock: clock, Every: time.Second, Look: func(context.Context) (Sample, error) {
			if n++; n > 1 {
				return Sample{}, errors.New("gone")
			}
			return Sample{Healthy: true}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), 5500*time.Millisecond)
		defer stop()
		if err := m.Run(ctx); err != nil || n != 6 {
			t.Errorf("%v, %d looks", err, n)
		}
		clock.at = noon.Add(time.Hour)
		if _, text := scrape(t, m.Handler(""), ""); !strings.Contains(text, "yiqiao_journal_looked_timestamp_seconds "+"1.7954064e+09") {
			t.Error(text)
		}
	})
}

func TestCountingAllocatesNothing(t *testing.T) {
	m := busy(t)
	l := m.Line("b")
	r := gateway.Reply{Outcome: gateway.OutcomeDone, Took: time.Millisecond}
	if n := testing.AllocsPerRun(100, func() {
		l.Transaction("2207", r)
		m.Call("POST", "/api/v1/settlements", 201, time.Millisecond)
		m.Refused(gateway.CodeKeyWrong)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTransaction(b *testing.B) {
	l := busy(b).Line("b")
	r := gateway.Reply{Outcome: gateway.OutcomeDone, Took: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		l.Transaction("2207", r)
	}
}

// rules is deploy/alerts.yaml.
type rules struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []struct {
			Alert       string            `yaml:"alert"`
			Expr        string            `yaml:"expr"`
			For         string            `yaml:"for"`
			Labels      map[string]string `yaml:"labels"`
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"groups"`
}

// labelled gives the labels each metric of a scrape has.
func labelled(text string) map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(yiqiao_\w+)(?:\{(.*)\})? `).FindAllStringSubmatch(text, -1) {
		if out[m[1]] == nil {
			out[m[1]] = map[string]bool{}
		}
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			out[m[1]][l[1]] = true
		}
	}
	return out
}

// The shipped rules parse, name metrics that are shown with labels they have, and their words use labels that
// are left.
func TestAlertRules(t *testing.T) {
	f, err := os.Open("../../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all rules
	dec := yaml.NewDecoder(f)
	dec.KnownFields(true)
	if err := dec.Decode(&all); err != nil {
		t.Fatal(err)
	}
	_, text := scrape(t, busy(t).Handler(""), "")
	shown := labelled(text)
	seen := map[string]bool{}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.Annotations["summary"] == "" || r.Labels["severity"] != "page" && r.Labels["severity"] != "ticket" {
				t.Errorf("%s: name, summary or severity is missing, or it is there twice", r.Alert)
			}
			seen[r.Alert] = true
			if r.For != "" {
				if _, err := time.ParseDuration(r.For); err != nil {
					t.Errorf("%s: %v", r.Alert, err)
				}
			}
			e, err := metricsql.Parse(r.Expr)
			if err != nil {
				t.Errorf("%s: %v", r.Alert, err)
				continue
			}
			faults(t, r.Alert, e, shown, r.Annotations["summary"])
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d rules", len(seen))
	}
}

// faults holds one expression against what is shown.
func faults(t *testing.T, alert string, e metricsql.Expr, shown map[string]map[string]bool, words string) {
	t.Helper()
	var left map[string]bool // labels after the first grouping from outside; nil: those of the metric
	n := 0
	metricsql.VisitAll(e, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.AggrFuncExpr:
			left = map[string]bool{}
			for _, l := range e.Modifier.Args {
				left[l] = true
			}
		case *metricsql.MetricExpr:
			for _, filters := range e.LabelFilterss {
				name := filters[0].Value
				if filters[0].Label != "__name__" {
					t.Errorf("%s: a selector without a name", alert)
				}
				if name == "up" {
					continue
				}
				labels, ok := shown[name]
				if n++; !ok {
					t.Errorf("%s: %s is not shown by a gateway", alert, name)
				}
				for _, f := range filters[1:] {
					if !labels[f.Label] {
						t.Errorf("%s: %s has no label %s", alert, name, f.Label)
					}
					if _, known := gateway.Codes[gateway.Code(f.Value)]; f.Label == "code" && !known {
						t.Errorf("%s: there is no code %s", alert, f.Value)
					}
				}
				if left == nil {
					left = maps.Clone(labels)
				}
			}
		}
	})
	for _, l := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(words, -1) {
		if l[1] != "instance" && !left[l[1]] {
			t.Errorf("%s: its words use label %s, which is not left: %v", alert, l[1], slices.Sorted(maps.Keys(left)))
		}
	}
	if n == 0 && !strings.Contains(alert, "Down") {
		t.Errorf("%s: looks at nothing", alert)
	}
}

// promtool's tests of the rules (scripts/alerts.sh) have for each alert a moment in which it fires and one in
// which it does not.
func TestEveryAlertHasItsTests(t *testing.T) {
	var all rules
	var tested struct {
		Tests []struct {
			Rules []struct {
				Alert string `yaml:"alertname"`
				Fires []any  `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		} `yaml:"tests"`
	}
	for name, into := range map[string]any{"alerts.yaml": &all, "alerts_test.yaml": &tested} {
		b, err := os.ReadFile("../../../deploy/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(b, into); err != nil {
			t.Fatal(name, err)
		}
	}
	fires, quiet := map[string]bool{}, map[string]bool{}
	for _, one := range tested.Tests {
		for _, r := range one.Rules {
			if len(r.Fires) > 0 {
				fires[r.Alert] = true
			} else {
				quiet[r.Alert] = true
			}
		}
	}
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if !fires[r.Alert] || !quiet[r.Alert] {
				t.Errorf("%s: fires in a test %v, stays quiet in one %v", r.Alert, fires[r.Alert], quiet[r.Alert])
			}
		}
	}
}

func TestAlertTestBites(t *testing.T) {
	_, text := scrape(t, busy(t).Handler(""), "")
	shown := labelled(text)
	for _, bad := range []string{`yiqiao_no_such > 1`, `yiqiao_dead_letters{centre="x"} > 0`, `yiqiao_refusals_total{code="nothing"} > 0`} {
		e, err := metricsql.Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		probe := &testing.T{}
		faults(probe, "X", e, shown, "")
		if !probe.Failed() {
			t.Errorf("%s passes", bad)
		}
	}
}
