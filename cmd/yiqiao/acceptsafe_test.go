package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// Nothing is sent for an institution nobody vouched for or that is not configured; a failing run ends with 1.
func TestAcceptSafeguards(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:1", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	_, example := acceptOut(t, "site")
	for _, c := range [][3]string{
		{"test_institution: true", "test_institution: false", "test_institution"},
		{"fixmedins_code: H44010000001", "fixmedins_code: H44010000777", "不在配置中"},
	} {
		site := write(t, filepath.Join(dir, "site.yaml"), strings.Replace(example, c[0], c[1], 1))
		code, text := acceptOut(t, "run", "--target", "centre", "--config", dir, "--site", site, "--this-is-a-test-environment", "--only", "OP-01")
		if code != exitFail || !strings.Contains(text, c[2]) {
			t.Errorf("%s: %d %s", c[1], code, text)
		}
	}
	site := write(t, filepath.Join(dir, "site.yaml"), strings.Replace(example, "fund_includes_account: false", "fund_includes_account: true", 1))
	if code, text := acceptOut(t, "run", "--site", site, "--only", "OP-01"); code != exitNo || !strings.Contains(text, "AMT-") {
		t.Errorf("a failing run: %d %.300s", code, text)
	}
	if code, text := acceptOut(t, "verify", dir, "--key", filepath.Join(dir, "keys", "simulator.pub"), "--json"); code != exitNo || !strings.Contains(text, `"valid": false`) {
		t.Errorf("verify --json: %d %s", code, text)
	}
}
