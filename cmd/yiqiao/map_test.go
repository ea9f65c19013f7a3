package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/gateway/mapping/defs"
)

func runMap(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	code = run(context.Background(), append([]string{"map"}, args...), strings.NewReader(""), &b, &b)
	return code, b.String()
}

// unpack puts a shipped definition into a folder, where it can be changed.
func unpack(t *testing.T, name string) string {
	t.Helper()
	sub, err := fs.Sub(defs.FS, name)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, sub); err != nil {
		t.Fatal(err)
	}
	return dir
}

func change1(t *testing.T, file, old, new string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s does not hold %q", file, old)
	}
	if err := os.WriteFile(file, bytes.Replace(b, []byte(old), []byte(new), 1), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every shipped mapping gives what its cases say, and its cases touch nearly every rule.
func TestShippedMappings(t *testing.T) {
	for _, name := range shippedNames() {
		if code, out := runMap(t, "test", "--defs", name, "--least", "98"); code != exitOK {
			t.Errorf("%s: exit %d\n%s", name, code, out)
		}
	}
	for _, name := range []string{"ours", "fhir", "clinic"} {
		if code, out := runMap(t, "test", "--defs", filepath.Join("..", "..", "examples", "mapping", name)); code != exitOK {
			t.Errorf("the example %s: exit %d\n%s", name, code, out)
		}
	}
	if len(shippedNames()) == 0 {
		t.Error("nothing is shipped")
	}
}

func TestMapExplain(t *testing.T) {
	dir := unpack(t, "generic-hl7")
	file := filepath.Join(dir, "cases", "outpatient-bill.hl7")
	code, out := runMap(t, file, "--source", "hl7", "--explain")
	if code != exitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for _, secret := range []string{"999999198503120018", "测试甲"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s is printed", secret)
		}
	}
	for _, want := range []string{"/fees/1/code", "FT1[2] FT1-7.1", "XZ99AAA001A001010100001", "[cut out]", "settlement.open"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	code, out = runMap(t, filepath.Join(dir, "cases", "outpatient-bill-unknown-item.hl7"), "--source", "hl7", "--json")
	var r mapReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitNo || r.Valid {
		t.Fatalf("exit %d %v\n%s", code, err, out)
	}
	if f := r.Messages[0].Findings; len(f) != 1 || f[0].Code != "map-item-unknown" || f[0].Path != "/fees/0/code" {
		t.Errorf("%+v", f)
	}
	if code, out := runMap(t, file, "--source", "morse"); code != exitFail || !strings.Contains(out, "hl7") {
		t.Errorf("exit %d %s", code, out)
	}
}

func TestMapFaults(t *testing.T) {
	dir := unpack(t, "generic-hl7")
	change1(t, filepath.Join(dir, "mapping.yaml"), "visit.number: PV1-19", "visit.nummer: PV1-19")
	code, out := runMap(t, "test", "--defs", dir)
	if code != exitNo || !strings.Contains(out, "mapping.yaml:38") || !strings.Contains(out, "visit.nummer") || !strings.Contains(out, "visit.number") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out := runMap(t, "test", "--defs", filepath.Join(dir, "cases")); code != exitFail || !strings.Contains(out, "generic-hl7") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestMapTestTellsDifferences(t *testing.T) {
	dir := unpack(t, "generic-hl7")
	change1(t, filepath.Join(dir, "mapping.yaml"), `E: "13"`, `E: "14"`)
	code, out := runMap(t, "test", "--defs", dir)
	if code != exitNo || !strings.Contains(out, `"13" -> "14"`) || strings.Count(out, "不同  ") != 1 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out = runMap(t, "test", "--defs", dir, "--update"); code != exitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if code, out = runMap(t, "test", "--defs", dir); code != exitOK {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out = runMap(t, "test", "--defs", dir, "--least", "100"); code != exitNo {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// A candidate that differs in one rule changes the messages that rule touches, and no others.
func TestMapReplay(t *testing.T) {
	dir := unpack(t, "generic-hl7")
	day := filepath.Join(dir, "cases")
	if err := os.WriteFile(filepath.Join(day, "noise.hl7"), []byte("not a message"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(t.TempDir(), "ours")
	if err := os.MkdirAll(ours, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "mapping: ours\nversion: \"1\"\nextends: generic-hl7\nevents:\n  outpatient-bill:\n    set:\n      credential.name: PID-5.2\n      visit.complaint: {value: 复诊}\n"
	if err := os.WriteFile(filepath.Join(ours, "mapping.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out := runMap(t, "replay", day, "--defs", ours, "--against", "generic-hl7", "--items", filepath.Join(dir, "items.csv"), "--json")
	var r replayReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitNo {
		t.Fatalf("exit %d %v\n%s", code, err, out)
	}
	if r.Messages != 25 || r.Changed != 2 || len(r.Unread) == 0 {
		t.Errorf("%d messages, %d changed, %d unread", r.Messages, r.Changed, len(r.Unread))
	}
	for _, m := range r.Differ {
		if len(m.Changes) != 2 || !strings.HasSuffix(m.Changes[0].Path, "/credential/name") || !strings.HasSuffix(m.Changes[1].Path, "/visit/complaint") {
			t.Errorf("%s: %+v", m.File, m.Changes)
			continue
		}
		if name, said := m.Changes[0], m.Changes[1]; name.Old != "测***" || name.New != "" || said.New != "复诊" || strings.Contains(said.Old, "***") {
			t.Errorf("%s: a person's name is masked, what is said is shown: %+v", m.File, m.Changes)
		}
	}
	if strings.Contains(out, "测试甲") {
		t.Error("a name is printed")
	}
	if code, out := runMap(t, "replay", filepath.Join(day, "settle.hl7"), "--defs", ours, "--against", "generic-hl7", "--items", filepath.Join(dir, "items.csv")); code != exitOK {
		t.Errorf("exit %d\n%s", code, out)
	}
}
