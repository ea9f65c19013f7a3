package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/centre"
	"yiqiao/gateway/config"
	"yiqiao/schemas/strictjson"
)

// The example bill settles, loses an answer, is found and is refunded over every envelope and transport
// there is, each through the real gateway and the simulator speaking the other side of it.
func TestEveryProfileSettles(t *testing.T) {
	for _, profile := range demoProfiles() {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			var errs bytes.Buffer
			r, err := runDemo(t.Context(), io.Discard, &errs, profile)
			if err != nil {
				t.Fatalf("%v\n%s", err, errs.String())
			}
			if r.Normal.State != gateway.BillSettled || r.LostAnswer.State != gateway.BillSettled || r.AtCentre != 1 || r.Problems != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
	if _, err := runDemo(t.Context(), io.Discard, io.Discard, "mpc+oauth-cainfo"); err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

// What travels shows which profile it was: somebody on the line looks at every message.
func TestProfilesOnTheLine(t *testing.T) {
	for profile, want := range map[string]struct {
		header, body string
		hides        bool
	}{
		"none+csb":          {"_api_signature", `"infno":"1101"`, false},
		"epc+tif":           {"X-Tif-Signature", `"encType":"sm4"`, true},
		"none+oauth-cainfo": {"Authorization", `"encType":"SM4","input":"`, true},
		"none+plain":        {"Content-Type", `"input":{"data"`, false},
	} {
		t.Run(profile, func(t *testing.T) {
			var mu sync.Mutex
			var seen []*http.Request
			var bodies []string
			st, err := newStageWith(t.Context(), io.Discard, io.Discard, profile, stageOptions{via: spy(t, func(r *http.Request, body []byte) {
				mu.Lock()
				defer mu.Unlock()
				seen, bodies = append(seen, r), append(bodies, string(body))
			})})
			if err != nil {
				t.Fatal(err)
			}
			defer st.stop()
			if outcome := st.identify(t, "LINE-1"); outcome != "done" {
				t.Fatal(outcome)
			}
			mu.Lock()
			defer mu.Unlock()
			found := false
			for i, r := range seen {
				found = found || len(r.Header[want.header]) == 1 && strings.Contains(bodies[i], want.body)
				if want.hides && strings.Contains(bodies[i], "999999198503120018") {
					t.Errorf("a number in the clear: %s", bodies[i])
				}
			}
			if !found {
				t.Errorf("no message with %s and %s among %d: %q", want.header, want.body, len(seen), bodies)
			}
		})
	}
}

// spy is a proxy that looks at every message on its way to the centre.
func spy(t *testing.T, look func(*http.Request, []byte)) func(addr string) string {
	t.Helper()
	return func(addr string) string {
		target := &url.URL{Scheme: "http", Host: addr}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			look(r.Clone(context.WithoutCancel(r.Context())), body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			proxy.ServeHTTP(w, r)
		}))
		t.Cleanup(srv.Close)
		return srv.Listener.Addr().String()
	}
}

// identify sends a 1101 and gives its outcome, or the code of the problem.
func (st *stage) identify(t *testing.T, request string) string {
	t.Helper()
	body := `{"request_id":"` + request + `","operator":{"id":"0101","name":"王收费","type":"1"},"input":{"data":{"mdtrt_cert_type":"02",` +
		`"mdtrt_cert_no":"999999198503120018","psn_cert_type":"01","certno":"999999198503120018","psn_name":"测试甲"}}}`
	_, text, err := post(t.Context(), "http://"+st.gw.addr()+"/api/v1/transactions/1101", st.key, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Outcome, Code string }
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err, string(text))
	}
	return answer.Outcome + answer.Code
}

// A configuration that can not be meant is refused at start, in one line that names what is wrong.
func TestImpossibleEndpoints(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secrets", "client-id"), []byte("TESTCLIENT000001\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	oauth := func(e *endpointSettings) {
		*e = endpointSettings{Transport: "oauth-cainfo", ClientID: "file:secrets/client-id", ClientSecret: "file:secrets/app-secret", TokenURL: "https://192.0.2.1/token", PrivateKey: e.PrivateKey}
	}
	for name, c := range map[string]struct {
		change func(c *centreSettings)
		want   string
	}{
		"as it is":             {func(*centreSettings) {}, ""},
		"unknown envelope":     {func(c *centreSettings) { c.Protect.Envelope = "amp" }, `unknown envelope "amp"`},
		"unknown transport":    {func(c *centreSettings) { c.Protect.Transport = "rio" }, `unknown transport "rio"`},
		"two protections":      {func(c *centreSettings) { c.Protect.Transport = "oauth-cainfo" }, "does not go with"},
		"another's settings":   {func(c *centreSettings) { c.Protect.Transport = "plain" }, "paas_id, token: no meaning"},
		"keys without use":     {func(c *centreSettings) { c.Protect.Envelope = "none" }, "app_id, app_secret"},
		"csb without key":      {func(c *centreSettings) { c.Protect = endpointSettings{Transport: "csb", APIName: "x", APIVersion: "1"} }, "access_key"},
		"csb with parameters":  {func(c *centreSettings) { c.URL += "?a=1"; c.Protect = endpointSettings{Transport: "csb"} }, "parameters"},
		"oauth over http":      {func(c *centreSettings) { c.URL = "http://192.0.2.1/"; oauth(&c.Protect) }, "https://"},
		"token over http":      {func(c *centreSettings) { oauth(&c.Protect); c.Protect.TokenURL = "http://192.0.2.1/" }, "https://"},
		"client id of 32":      {func(c *centreSettings) { oauth(&c.Protect); c.Protect.ClientID = "file:secrets/app-secret" }, "16 bytes"},
		"our own key as peer":  {func(c *centreSettings) { c.Protect.PeerKeys = []peerKey{{Key: "file:keys/gateway.pub"}} }, "our own"},
		"oauth without secret": {func(c *centreSettings) { oauth(&c.Protect); c.Protect.ClientSecret = "" }, "client_secret"},
		"a form and mpc":       {func(c *centreSettings) { c.Multipart = &multipartSettings{} }, "multipart"},
		"parts of one name": {func(c *centreSettings) {
			c.Protect = endpointSettings{}
			c.Multipart = &multipartSettings{File: "data"}
		}, "different names"},
		"mpc and oauth": {func(c *centreSettings) { oauth(&c.Protect); c.Protect.Envelope = "mpc" }, "does not go with"},
	} {
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		m := g.Centres["main"]
		c.change(&m)
		g.Centres["main"] = m
		_, err = g.build(io.Discard, systemClock{})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPeerKeysInTheConfiguration(t *testing.T) {
	read := func(text string) ([]peerKey, error) {
		path := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var e endpointSettings
		err := config.Load(path, &e)
		return e.PeerKeys, err
	}
	got, err := read("peer_keys:\n  - file:a\n  - {key: file:b, until: 2027-01-08T00:00:00+08:00}\n  - key: env:C\n    from: 2026-12-25T00:00:00+08:00\n")
	if err != nil || len(got) != 3 || got[0].Key != "file:a" || !got[0].Window.Until.IsZero() || got[1].Window.Until.Unix() != 1799337600 || got[2].Window.From.IsZero() || got[2].Key != "env:C" {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range []string{"peer_keys: [[a]]", "peer_keys: [{key: file:a, before: x}]", "peer_keys: [{key: file:a, until: 2027-01-08}]"} {
		if _, err := read(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// A token that the centre no longer takes costs one message, which did not happen, and is replaced.
func TestAccessTokenIsReplaced(t *testing.T) {
	st, err := newStage(t.Context(), io.Discard, io.Discard, "none+oauth-cainfo")
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	if got := st.identify(t, "T-1"); got != "done" {
		t.Fatal(got)
	}
	st.sim.issuer.Revoke()
	if got := st.identify(t, "T-2"); got == "done" {
		t.Fatal("a revoked token was taken")
	}
	if got := st.identify(t, "T-3"); got != "done" {
		t.Fatal(got)
	}
	if skew := clientOf(t, st).Stats().Skew; skew.At.IsZero() || skew.By.Abs() > skew.Within+2e9 {
		t.Errorf("%+v", skew)
	}
}

func clientOf(t *testing.T, st *stage) *centre.Client {
	t.Helper()
	c := st.gw.parts.centres["main"]
	if c == nil {
		t.Fatal("no client")
	}
	return c
}

// syncBuffer takes the log of a running gateway.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// The platform changes its key: with both known replies verify through the change; with the old one
// past its end, or another's, nothing is believed, outward in one way, in the log by its name.
func TestPlatformKeyChange(t *testing.T) {
	day := 24 * time.Hour
	for name, c := range map[string]struct {
		keys func(own config.Secret) []peerKey
		want string // in the log; "" where replies verify
	}{
		"through the change": {func(own config.Secret) []peerKey {
			return []peerKey{{Key: own, Window: envelope.Window{From: time.Now().Add(-day)}}, {Key: "file:keys/other.pub", Window: envelope.Window{Until: time.Now().Add(day)}}}
		}, ""},
		"past its end": {func(own config.Secret) []peerKey {
			return []peerKey{{Key: "file:keys/other.pub"}, {Key: own, Window: envelope.Window{Until: time.Now().Add(-day)}}}
		}, "key-window"},
		"not yet": {func(own config.Secret) []peerKey {
			return []peerKey{{Key: own, Window: envelope.Window{From: time.Now().Add(day)}}}
		}, "key-window"},
		"another's": {func(config.Secret) []peerKey { return []peerKey{{Key: "file:keys/other.pub"}} }, "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			st, err := newStageWith(t.Context(), io.Discard, &log, "", stageOptions{change: func(g *gatewaySettings, _ *simulatorSettings) {
				other, err := sm.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				if err := keys.WriteFile(filepath.Join(g.base, "keys", "other.pub"), keys.FormatPublic(other.Public())); err != nil {
					t.Fatal(err)
				}
				m := g.Centres["main"]
				m.Protect.PeerKeys = c.keys(m.Protect.PeerKeys[0].Key)
				g.Centres["main"], g.Log.Level = m, "info"
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer st.stop()
			outcome := st.identify(t, "K-1")
			if c.want == "" && outcome != "done" || c.want != "" && (outcome == "done" || !strings.Contains(log.String(), c.want)) {
				t.Errorf("%s\n%s", outcome, log.String())
			}
		})
	}
}

// The file of 9101 in a part of its own, to a centre that wants it so, and back by 9102.
func TestFileAsFormThroughTheProgram(t *testing.T) {
	st, err := newStageWith(t.Context(), io.Discard, io.Discard, "none+plain", stageOptions{change: func(g *gatewaySettings, s *simulatorSettings) {
		m := g.Centres["main"]
		m.Multipart = &multipartSettings{}
		g.Centres["main"], s.FileForm = m, "multipart"
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.stop()
	up := st.done(t, "F-1", "9101", map[string]any{"fsUploadIn": map[string]any{"in": "aGVsbG8=", "filename": "a.txt", "fixmedins_code": "H44010000001"}})
	no := fmt.Sprint(strictjson.Get(up, "file_qury_no"))
	down := st.done(t, "F-2", "9102", map[string]any{"fsDownloadIn": map[string]any{"file_qury_no": no, "filename": "a.txt", "fixmedins_code": "H44010000001"}})
	if text := fmt.Sprint(down); !strings.Contains(text, "aGVsbG8=") {
		t.Errorf("%s", text)
	}
}
