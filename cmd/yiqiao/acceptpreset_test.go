package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Presets are listed, used, and refused where they contradict what else was said.
func TestAcceptPresets(t *testing.T) {
	if code, text := acceptOut(t, "run", "--preset", "list"); code != exitOK || !strings.Contains(text, "guangdong") || !strings.Contains(text, "none+csb") {
		t.Errorf("%d %s", code, text)
	}
	if code, text := acceptOut(t, "run", "--preset", "guangdong", "--only", "OP-01"); code != exitOK {
		t.Errorf("%d %s", code, text)
	}
	own := filepath.Join(t.TempDir(), "own.yaml")
	text := "name: {zh: 本地, en: own}\nenvelope: none\ntransport: plain\nurl_style: single\norder: settle-first\nconfidence: high\nsource: ours\n"
	if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, text := acceptOut(t, "run", "--preset", own, "--only", "OP-01,IN-03"); code != exitOK || !strings.Contains(text, "先结算后出院") {
		t.Errorf("%d %s", code, text)
	}
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	site := filepath.Join(dir, "site.yaml")
	if _, text := acceptOut(t, "site"); os.WriteFile(site, []byte(text), 0o600) != nil {
		t.Fatal("site")
	}
	for want, args := range map[string][]string{
		"没有预设":          {"--preset", "atlantis"},
		"--profile":     {"--preset", "guangdong", "--profile", "mpc"},
		"gateway":       {"--preset", "guangdong", "--target", "gateway"},
		"与预设 jiangsu":   {"--preset", "jiangsu", "--target", "his", "--rehearse"},
		"与预设 chongqing": {"--preset", "chongqing", "--target", "centre", "--config", dir, "--site", site, "--this-is-a-test-environment"},
	} {
		if code, text := acceptOut(t, append([]string{"run"}, args...)...); code != exitFail || !strings.Contains(text, want) {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
}
