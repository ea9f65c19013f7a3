package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/simulator/acceptance"
	simcentre "yiqiao/simulator/centre"
)

func acceptOut(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out, errw bytes.Buffer
	code := run(context.Background(), append([]string{"accept"}, args...), strings.NewReader(""), &out, &errw)
	return code, out.String() + errw.String()
}

// A centre of the configuration is tried over the network with the keys and headers of the
// gateway, the report is signed, and whoever has the public key finds a change.
func TestAcceptACentre(t *testing.T) {
	dir := t.TempDir()
	var behind http.Handler
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { behind.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: strings.TrimPrefix(srv.URL, "http://"), Control: "127.0.0.1:0"}); err != nil {
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
	behind = sim.Handler()
	site := filepath.Join(dir, "site.yaml")
	if err := os.WriteFile(site, bytes.Replace(acceptance.SiteExample(), []byte("sign_in: false"), []byte("sign_in: true"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"office", "other"} {
		var out bytes.Buffer
		if code := run(context.Background(), []string{"keys", "generate", filepath.Join(dir, name)}, strings.NewReader(""), &out, &out); code != exitOK {
			t.Fatalf("%d %s", code, &out)
		}
	}
	args := []string{"run", "--target", "centre", "--config", dir, "--site", site}
	if code, text := acceptOut(t, args...); code != exitFail || !strings.Contains(text, "测试环境") {
		t.Errorf("without confirmation: %d %s", code, text)
	}
	if n := len(sim.Calls()); n != 0 {
		t.Fatalf("%d calls without confirmation", n)
	}
	report := filepath.Join(dir, "report")
	code, text := acceptOut(t, append(args, "--this-is-a-test-environment", "--json", "--out", report, "--key", filepath.Join(dir, "office.key"))...)
	if code != exitOK {
		t.Fatalf("%d %s", code, text)
	}
	var res acceptance.Result
	if err := json.Unmarshal([]byte(text), &res); err != nil || res.Counts()[acceptance.Pass] < 80 || res.Counts()[acceptance.Fail] != 0 {
		t.Errorf("%v %v", err, res.Counts())
	}
	if code, text := acceptOut(t, "verify", report, "--key", filepath.Join(dir, "office.pub")); code != exitOK {
		t.Errorf("%d %s", code, text)
	}
	if code, text := acceptOut(t, "verify", report, "--key", filepath.Join(dir, "other.pub")); code != exitNo {
		t.Errorf("another key: %d %s", code, text)
	}
	page := filepath.Join(report, acceptance.FileHTML)
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, append(b, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text := acceptOut(t, "verify", report, "--key", filepath.Join(dir, "office.pub")); code != exitNo || !strings.Contains(text, acceptance.FileHTML) {
		t.Errorf("changed: %d %s", code, text)
	}
	srv.Close()
	if code, text := acceptOut(t, append(args, "--this-is-a-test-environment", "--suite", "pharmacy")...); code != exitFail || !strings.Contains(text, "没有可用的答复") {
		t.Errorf("a centre that is down: %d %s", code, text)
	}
}

func TestAcceptRefusesWhatItCanNotDo(t *testing.T) {
	for _, args := range [][]string{
		{"run", "--target", "nobody"}, {"run", "--target", "his", "--suite", "nothing"}, {"run", "--target", "his", "--listen", "nowhere:x"}, {"run", "--target", "his", "--rehearse", "--config", "."}, {"run", "--profile", "epc"}, {"run", "--suite", "nothing"}, {"run", "--only", "OP-99"}, {"run", "--site", "nowhere.yaml"},
	} {
		if code, text := acceptOut(t, args...); code != exitFail || strings.Contains(text, "panic") {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
	if code, text := acceptOut(t, "requirements", "ORD-2207"); code != exitOK || strings.Count(text, "ORD-2207") != 3 {
		t.Errorf("%d %s", code, text)
	}
}

// A HIS that does everything right passes; one that sends nothing could not be tried.
func TestAcceptAHIS(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report")
	code, text := acceptOut(t, "run", "--target", "his", "--rehearse", "--out", report)
	if code != exitOK || strings.Contains(text, "未通过  ") {
		t.Errorf("%d %s", code, text)
	}
	if b, err := os.ReadFile(filepath.Join(report, acceptance.FileHTML)); err != nil || !bytes.Contains(b, []byte("HDUP-3")) {
		t.Errorf("%v", err)
	}
	if code, text := acceptOut(t, "run", "--target", "his", "--listen", "127.0.0.1:0", "--wait", "1ms"); code != exitFail {
		t.Errorf("nothing came: %d %s", code, text)
	}
}

// Whoever sits at the HIS can skip and end.
func TestAcceptAHISFromTheKeyboard(t *testing.T) {
	var out bytes.Buffer
	code := run(context.Background(), []string{"accept", "run", "--target", "his", "--listen", "127.0.0.1:0", "--json"}, strings.NewReader("s\nq\n"), &out, io.Discard)
	var res acceptance.Result
	if err := json.Unmarshal(out.Bytes(), &res); err != nil || code != exitFail || !strings.Contains(res.Cases[0].Stopped, "skipped") {
		t.Errorf("%d %v %.300s", code, err, &out)
	}
}
