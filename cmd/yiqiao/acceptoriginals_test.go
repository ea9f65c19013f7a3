package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/simulator/acceptance"
)

// The originals of a run lie sealed beside its report: nobody is named in the folder, the passphrase opens them, a change is found,
// and without a passphrase nothing is sent.
func TestAcceptKeepsOriginals(t *testing.T) {
	t.Setenv(passphraseEnv, "")
	dir := t.TempDir()
	report, pass := filepath.Join(dir, "report"), write(t, filepath.Join(dir, "pass"), "a long passphrase\n")
	run := []string{"run", "--profile", "mpc", "--only", "OP-01,EN-01", "--keep-originals"}
	for _, args := range [][]string{run, append(run, "--passphrase-file", pass), append(run, "--out", report), {"run", "--only", "OP-01", "--passphrase-file", pass},
		{"run", "--target", "his", "--rehearse", "--keep-originals", "--out", report}} {
		if code, text := acceptOut(t, args...); code != exitFail {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
	if _, err := os.Stat(filepath.Join(report, acceptance.FileJSON)); err == nil {
		t.Error("a report without a passphrase")
	}
	run = []string{"run", "--profile", "mpc", "--only", "OP-01", "--keep-originals", "--out", report, "--passphrase-file", pass}
	if code, text := acceptOut(t, run...); code != exitOK {
		t.Fatalf("%d %s", code, text)
	}
	const person = "999999198503120018" // in site.yaml
	for _, name := range []string{acceptance.FileJSON, acceptance.FileHTML, acceptance.FileOriginals} {
		if b, err := os.ReadFile(filepath.Join(report, name)); err != nil || bytes.Contains(b, []byte(person)) {
			t.Errorf("%s: %v, or it names a person", name, err)
		}
	}
	open := []string{"originals", report, "--case", "OP-01", "--passphrase-file", pass}
	code, text := acceptOut(t, open...)
	if code != exitOK || !strings.Contains(text, person) || !strings.Contains(text, "signData") || !strings.Contains(text, `"infno":"2207"`) {
		t.Errorf("%d %.300s", code, text)
	}
	if code, _ := acceptOut(t, "originals", report, "--passphrase-file", write(t, filepath.Join(dir, "other"), "another")); code != exitNo {
		t.Errorf("another passphrase: %d", code)
	}
	path := filepath.Join(report, acceptance.FileOriginals)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(whole, []byte("\n"))
	swapped := bytes.Join([][]byte{lines[0], lines[2], lines[1]}, nil)
	for _, bad := range [][]byte{swapped, append(bytes.Clone(lines[0]), bytes.Join(lines[2:], nil)...), bytes.Join(lines[:4], nil), whole[:200], nil} {
		write(t, path, string(bad))
		if code, text := acceptOut(t, open...); code != exitNo {
			t.Errorf("%d bytes of %d: %d %.300s", len(bad), len(whole), code, text)
		}
	}
	write(t, path, string(bytes.Join(lines[:4], nil))+"broken off")
	if code, text := acceptOut(t, append(run, "--resume")...); code != exitOK {
		t.Errorf("resume: %d %s", code, text)
	}
	if code, _ := acceptOut(t, open...); code != exitOK {
		t.Errorf("after resume: %d", code)
	}
}

// What a HIS, and a gateway, sent and was answered is kept in the same way.
func TestAcceptKeepsOriginalsOfSenders(t *testing.T) {
	dir := t.TempDir()
	pass := write(t, filepath.Join(dir, "pass"), "a long passphrase\n")
	for target, more := range map[string][]string{"his": {"--rehearse", "--suite", "outpatient"}, "gateway": {"--profile", "mpc", "--only", "H-OP-01"}} {
		report := filepath.Join(dir, target)
		if code, text := acceptOut(t, append([]string{"run", "--target", target, "--keep-originals", "--out", report, "--passphrase-file", pass}, more...)...); code != exitOK {
			t.Fatalf("%s: %d %s", target, code, text)
		}
		const person = "999999198503120018"
		for _, name := range []string{acceptance.FileJSON, acceptance.FileHTML, acceptance.FileOriginals} {
			if b, err := os.ReadFile(filepath.Join(report, name)); err != nil || bytes.Contains(b, []byte(person)) {
				t.Errorf("%s: %s: %v, or it names a person", target, name, err)
			}
		}
		code, text := acceptOut(t, "originals", report, "--case", "H-OP-01", "--passphrase-file", pass)
		if code != exitOK || !strings.Contains(text, person) || !strings.Contains(text, `"infno":"2207"`) || !strings.Contains(text, "setl_id") || target == "gateway" && !strings.Contains(text, "signData") {
			t.Errorf("%s: %d %.300s", target, code, text)
		}
	}
}
