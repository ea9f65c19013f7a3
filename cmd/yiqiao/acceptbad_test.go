package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"yiqiao/simulator/acceptance"
	simcentre "yiqiao/simulator/centre"
)

// A target that is down, answers HTML, redirects, has a wrong certificate or is slower than its limit can not be tried: 2, with both sides shown.
// One that does so at times fails where it does, the run goes on: 1. One that changes its mind is seen beside the run before.
func TestAcceptBadTargets(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	set, err := loadSimulator(dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider("")
	if err != nil {
		t.Fatal(err)
	}
	profile, transport, _, err := set.line(p)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := simcentre.New(simcentre.Options{Profile: profile, Transport: transport, Region: simcentre.Region{RequireSign: true}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	var bad atomic.Value
	bad.Store("")
	free := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		what, only, _ := strings.Cut(bad.Load().(string), " ")
		if only != "" && !strings.HasSuffix(r.URL.Path, "/"+only) {
			what = ""
		}
		switch what {
		case "html":
			_, _ = io.WriteString(w, "<html>502</html>")
		case "redirect":
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		case "slow":
			select {
			case <-r.Context().Done():
			case <-free:
			}
		default:
			sim.Handler().ServeHTTP(w, r)
		}
	})
	plain, tls := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	t.Cleanup(func() { close(free); plain.Close(); tls.Close() })
	gone := httptest.NewServer(h)
	gone.Close()
	site := write(t, filepath.Join(dir, "site.yaml"), string(acceptance.SiteExample()))
	config := filepath.Join(dir, "yiqiao.yaml")
	settings, err := os.ReadFile(config)
	if err != nil || !strings.Contains(string(settings), "http://127.0.0.1:1/") {
		t.Fatalf("%v %s", err, settings)
	}
	report := filepath.Join(dir, "report")
	try := func(url, how string, more ...string) (int, string) {
		bad.Store(how)
		write(t, config, strings.Replace(string(settings), "http://127.0.0.1:1/", url+"/", 1))
		return acceptOut(t, append([]string{"run", "--target", "centre", "--config", dir, "--site", site, "--this-is-a-test-environment", "--limit", "2s"}, more...)...)
	}
	for _, c := range []struct{ name, url, how, says string }{
		{"down", gone.URL, "", "连接失败"}, {"HTML", plain.URL, "html", "网页"}, {"redirect", plain.URL, "redirect", "302"}, {"certificate", tls.URL, "", "证书"}, {"slow", plain.URL, "slow", "超过时限"},
	} {
		args := []string{"--only", "OP-18"}
		if c.how == "slow" {
			args = append(args, "--limit", "100ms")
		}
		if code, text := try(c.url, c.how, args...); code != exitFail || !strings.Contains(text, c.says) || !strings.Contains(text, "应为") {
			t.Errorf("%s: %d %s", c.name, code, text)
		}
	}
	if code, text := try(plain.URL, "", "--only", "OP-01,OP-18", "--out", report); code != exitOK {
		t.Fatalf("a good one: %d %s", code, text)
	}
	code, text := try(plain.URL, "html 2206", "--seed", "500", "--only", "OP-01,OP-18", "--previous", filepath.Join(report, acceptance.FileJSON))
	if code != exitNo || !strings.Contains(text, "网页") || !strings.Contains(text, "OP-18") || !strings.Contains(text, "与上次相比: FLD-2206-O pass -> ") {
		t.Errorf("one that changes its mind: %d %s", code, text)
	}
}
