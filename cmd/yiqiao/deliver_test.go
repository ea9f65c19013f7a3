//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/deliver"
)

// hook is a HIS that is brought its results, and is down now and then.
type hook struct {
	t    *testing.T
	key  []byte
	sm3  func() hash.Hash
	mu   sync.Mutex
	down bool
	n    int
	got  []string          // request ids in the order they were first taken
	ids  map[string]string // request id -> delivery id
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway was killed
	}
	if !deliver.Verify(h.sm3, h.key, r.Header, body, time.Now(), time.Minute) {
		h.t.Errorf("not genuine: %s", body)
	}
	var m struct {
		Delivery string `json:"delivery_id"`
		gateway.Notice
	}
	if err := json.Unmarshal(body, &m); err != nil || m.Transaction == nil || m.Transaction.State != gateway.StateDone || m.RequestID != m.Transaction.RequestID {
		h.t.Errorf("%v in %s", err, body)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	old, again := h.ids[m.RequestID]
	if again && old != m.Delivery {
		h.t.Errorf("%s came as %s and as %s", m.RequestID, old, m.Delivery)
	}
	if h.down || h.n%5 == 0 {
		w.WriteHeader(503)
		return
	}
	if h.ids[m.RequestID] = m.Delivery; !again {
		h.got = append(h.got, m.RequestID)
	}
}

func (h *hook) taken() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.got)
}

func (h *hook) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// The real program brings the results of uploads to a HIS that is down at times, is killed on the way
// and started again: everything comes over at least once, in order, under one id.
func TestResultsAreBroughtByTheRealProgram(t *testing.T) {
	p, err := provider("")
	if err != nil {
		t.Fatal(err)
	}
	h := &hook{t: t, key: []byte("a key of the hospital"), sm3: p.NewSM3, ids: map[string]string{}}
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	s := newSite(t)
	if err := os.WriteFile(filepath.Join(s.dir, "secrets", "hook.key"), append(h.key, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	s.edit("yiqiao.yaml", "    institutions: [H44010000001]\n", "    institutions: [H44010000001]\n    deliver:\n      url: "+web.URL+
		"/results\n      key: file:secrets/hook.key\n      after: 50ms\n      timeout: 2s\n")
	s.append("yiqiao.yaml", "  upload_retry: 200ms\n  upload_most: 1s\n")
	h.setDown(true)
	s.serve("")
	for i := range 25 {
		s.upload(i)
	}
	s.eventually("the trouble shows", func() bool {
		resp, err := http.Get("http://" + s.gw.addr + "/healthz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode == 200 && strings.Contains(string(b), "deliveries to his-main fail")
	})
	if st := s.deliveries(); len(st.Waiting) == 0 || st.Waiting[0].Tries == 0 || st.Waiting[0].Why != "answers 503" {
		t.Errorf("%+v", st)
	}
	s.gw.kill()
	h.setDown(false)
	s.serve("")
	s.eventually("some came over", func() bool { return h.taken() > 5 })
	s.gw.kill()
	s.serve("")
	for i := 25; i < 40; i++ {
		s.upload(i)
	}
	s.eventually("all came over", func() bool {
		if h.taken() == 40 {
			return true
		}
		_ = exec.Command(s.bin, "deliveries", "retry", "his-main", "--config", s.dir).Run()
		return false
	})
	h.mu.Lock()
	last := map[int]int{}
	for _, id := range h.got {
		var i int
		if _, err := fmt.Sscanf(id, "up-%d", &i); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[i%7]; ok && before > i {
			t.Errorf("visit %d: %d came after %d", i%7, i, before)
		}
		last[i%7] = i
	}
	h.mu.Unlock()
	s.eventually("nothing waits", func() bool { return len(s.deliveries().Waiting) == 0 })
	s.fsck()
	if out, err := exec.Command(s.bin, "deliveries", "pause", "nobody", "--why", "x", "--config", s.dir).CombinedOutput(); err == nil {
		t.Errorf("%s", out)
	}
}

func (s *site) deliveries() deliver.State {
	s.t.Helper()
	out, err := exec.Command(s.bin, "deliveries", "list", "--json", "--config", s.dir).Output()
	var list []deliver.State
	if err != nil || json.Unmarshal(out, &list) != nil || len(list) != 1 {
		s.t.Fatalf("deliveries: %v %s", err, out)
	}
	return list[0]
}

func TestDeliverSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if code, _, errs := yiqiao(t, "", "init", dir); code != 0 {
		t.Fatal(errs)
	}
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("YIQIAO_HOOK", "0123456789abcdef")
	for name, c := range map[string]struct {
		d    deliverSettings
		want string
	}{
		"none":      {deliverSettings{}, ""},
		"good":      {deliverSettings{URL: "https://his.example/results", Key: "env:YIQIAO_HOOK"}, ""},
		"no key":    {deliverSettings{URL: "https://his.example/results"}, "key"},
		"no url":    {deliverSettings{Key: "env:YIQIAO_HOOK"}, "url"},
		"file":      {deliverSettings{URL: "file:///etc/passwd", Key: "env:YIQIAO_HOOK"}, "http"},
		"no such":   {deliverSettings{URL: "https://his.example", Key: "env:YIQIAO_HOOK", CA: "nowhere.pem"}, "ca"},
		"too short": {deliverSettings{URL: "https://his.example", Key: "env:HOME_THAT_IS_NOT_SET"}, "key"},
	} {
		g.HIS[0].Deliver = c.d
		list, err := g.receivers()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v %v", name, list, err)
		}
	}
	g.HIS[0].Deliver = deliverSettings{}
	for url, want := range map[string]string{"mllp://10.1.0.9:2576": "", "mllps://his.example:2576": "", "https://his.example": "mllp://", "mllp://10.1.0.9": "mllp://", "mllp://a:1/path": "mllp://", "mllp://u@a:1": "mllp://", "": "mllp://"} {
		g.HL7 = []hl7Settings{{Clients: []hl7Client{{System: "a", Deliver: deliverSettings{URL: url, After: 1}}}}}
		if list, err := g.receivers(); (err == nil) != (want == "") || err == nil && (len(list) != 1 || list[0].Bring == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v", url, list, err)
		}
	}
}
