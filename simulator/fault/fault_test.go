package fault

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"reflect"
	"sync"
	"testing"
	"time"
)

func TestRulesFire(t *testing.T) {
	s, err := NewScript(
		Rule{Infno: "2207", Kind: CommitThenLose, Nth: 2},
		Rule{MsgID: "m", Kind: HTML, Times: 1},
		Rule{Infno: "2207", Kind: Garbage, Times: 2},
	)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		infno, msgid string
		want         Kind
	}{
		{"1101", "x", ""},
		{"2207", "a", Garbage},
		{"2207", "b", CommitThenLose},
		{"2207", "m", HTML},
		{"2207", "m", Garbage},
		{"2207", "c", ""},
	}
	for i, step := range steps {
		r, ok := s.Next(step.infno, step.msgid)
		if ok != (step.want != "") || r.Kind != step.want {
			t.Errorf("step %d: %v %v, want %q", i, r.Kind, ok, step.want)
		}
	}
	if s.Fired(Garbage) != 2 || s.Fired(HTML) != 1 || s.Fired(Slow) != 0 {
		t.Errorf("counts %+v", s.Counts())
	}
	s.Clear()
	if _, ok := s.Next("2207", "a"); ok {
		t.Error("a cleared script fires")
	}
	var none *Script
	if _, ok := none.Next("2207", "a"); ok || none.Counts() != nil {
		t.Error("no script at all fires")
	}
}

func TestConcurrentTimesIsExact(t *testing.T) {
	s, err := NewScript(Rule{Kind: HTTP500, Times: 50})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s.Next("2207", "x")
			}
		})
	}
	wg.Wait()
	if c := s.Counts()[0]; c.Fired != 50 || c.Seen != 800 {
		t.Errorf("%+v", c)
	}
}

func TestPlan(t *testing.T) {
	want := []Rule{
		{Infno: "2207", Kind: CommitThenLose, Nth: 1, Delay: Delay(2 * time.Second)},
		{Kind: HTML, Times: 3, Commit: true},
	}
	written, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(written),
		"# two of them\n- infno: 2207, kind: commit-then-lose, nth: 1, delay: 2s\n\n- kind: html, times: 3, commit: true",
		"infno: \"2207\", kind: commit-then-lose, nth: 1, delay: 2000ms # x\nkind: 'html', times: 3, commit: true",
	} {
		got, err := Plan(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		`[{"kind":"explode"}]`, `[{"kind":"html","colour":"red"}]`, `[{"kind":"html"}] x`, `{"kind":"slow"}`,
		`{"kind":"slow","delay":"-1s"}`, `{"kind":"slow","delay":"99h"}`, `[`, "kind: html, colour: red", "kind", "kind: html, nth: x",
		"kind: html, nth: -1", "kind:",
	} {
		if got, err := Plan(bad); !errors.Is(err, ErrRule) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
	if got, err := Plan(" \n"); err != nil || len(got) != 0 {
		t.Errorf("empty plan: %v %v", got, err)
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(`[{"infno":"2207","kind":"slow","delay":"2s"}]`)
	f.Add("- kind: html, times: 3")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Plan(text)
		if err != nil {
			return
		}
		if _, err := NewScript(rules...); err != nil {
			t.Fatalf("a plan gave a rule that a script refuses: %v", err)
		}
	})
}

func TestListener(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func() error {
		resp, err := client.Get("http://" + l.Addr().String())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err == nil && string(b) != "ok" {
			err = errors.New("wrong body")
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	l.Refuse(-1)
	if err := get(); err == nil {
		t.Error("a reset connection answered")
	}
	l.Refuse(0)
	if l.Resets() == 0 {
		t.Error("no reset counted")
	}
	if err := get(); err != nil {
		t.Errorf("after resets: %v", err)
	}
	if err := l.Down(); err != nil {
		t.Fatal(err)
	}
	var op *net.OpError
	if err := get(); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("while down: %v", err)
	}
	if err := l.Up(); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("up again: %v", err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
