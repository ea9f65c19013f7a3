package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/gateway/traffic"
)

// A day is recorded as three hospitals send it, and replayed through a candidate: the messages it changes are
// told field by field, nobody is named, and no credential lies on the disk.
func TestRecordedDay(t *testing.T) {
	key, base := "", ""
	_, gw := newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		if err != nil {
			t.Fatal(err)
		}
		key, base = strings.TrimSpace(string(b)), g.base
		g.FHIR.Mapping, g.SOAP.Mapping, g.Record.On = "generic-fhir", "generic-xml", true
		g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7",
			Clients: []hl7Client{{System: "his-hl7", Networks: []string{"127.0.0.0/8"}, Institutions: []string{"H44010000001"}}}}}
	})
	f := fhirSender{t, "http://" + gw.addr() + "/fhir", key}
	for _, name := range []string{"outpatient-bill", "outpatient-bill-card", "outpatient-settle-card", "outpatient-bill-unknown-item", "registration"} {
		f.send(name)
	}
	h := newSender(t, gw)
	h.send("outpatient-bill")
	h.send("outpatient-settle-card")
	if _, _, err := post(t.Context(), "http://"+gw.addr()+"/soap/"+key, "", []byte("<Ask no=\"1\" bill=\"X\"/>")); err != nil {
		t.Fatal(err)
	}

	days := traffic.Days(filepath.Join(base, "data", "traffic"))
	if len(days) == 0 {
		t.Fatal("nothing was recorded")
	}
	_ = filepath.WalkDir(filepath.Join(base, "data", "traffic"), func(p string, e fs.DirEntry, _ error) error {
		if b, err := os.ReadFile(p); err == nil && (bytes.Contains(b, []byte("测试甲")) || bytes.Contains(b, []byte("resourceType"))) {
			t.Errorf("%s is not sealed", p)
		}
		return nil
	})
	var raw []string
	for _, d := range days {
		if _, err := traffic.Read(filepath.Join(base, "data", "traffic"), d, gw.journal.vault.Drawer("query", systemClock{}.Now), func(m traffic.Message) error {
			raw = append(raw, m.Kind+string(m.Raw))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range raw {
		for _, secret := range []string{"999999198503120018", "T99900001", "0000000000000000000000000000A001", key} {
			if strings.Contains(m, secret) {
				t.Errorf("%s is kept in %.40s", secret, m)
			}
		}
	}
	if len(raw) != 8 {
		t.Fatalf("%d messages kept", len(raw))
	}

	candidate := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(candidate, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "mapping: new\nversion: \"1\"\nextends: generic-fhir\nevents:\n  outpatient-bill:\n    set:\n      visit.complaint: {value: 复诊}\n      credential.name: patient.resolve().name.given\n"
	if err := os.WriteFile(filepath.Join(candidate, "mapping.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	items := filepath.Join("..", "..", "gateway", "mapping", "defs", "generic-fhir", "items.csv")
	code, out := runMap(t, "replay", "--config", base, "--against", "generic-fhir", "--defs", candidate, "--items", items, "--json")
	var r replayReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitNo {
		t.Fatalf("exit %d %v\n%s", code, err, out)
	}
	if r.Messages != 5 || r.Changed != 2 || len(r.Unread) != 0 || r.Lost != 0 {
		t.Errorf("%d messages, %d changed, %d unread, %d lost\n%s", r.Messages, r.Changed, len(r.Unread), r.Lost, out)
	}
	for _, m := range r.Differ {
		if len(m.Changes) != 2 || !strings.HasSuffix(m.Changes[0].Path, "/credential/name") || !strings.HasSuffix(m.Changes[1].Path, "/visit/complaint") {
			t.Errorf("%s: %+v", m.File, m.Changes)
		}
	}
	if strings.Contains(out, "测试甲") {
		t.Error("a name is printed")
	}
	for _, args := range [][]string{{"--day", "2001-01-01"}, {"--day", "x"}} {
		if code, out := runMap(t, append([]string{"replay", "--config", base, "--against", "generic-fhir", "--defs", candidate, "--items", items}, args...)...); code != exitFail {
			t.Errorf("%v: exit %d %s", args, code, out)
		}
	}
}

// replaysItsDay feeds what a reference hospital recorded through a candidate that gives every outpatient bill another
// complaint: as many messages change as there were bills that could be mapped, in that field alone; everything is
// read again, nothing on the disk or in the report names a patient or holds what the patient showed.
func replaysItsDay(t *testing.T, base, mapping string, least, bills int) {
	t.Helper()
	candidate := filepath.Join(t.TempDir(), "new")
	if err := os.MkdirAll(candidate, 0o700); err != nil {
		t.Fatal(err)
	}
	text := "mapping: new\nversion: \"1\"\nextends: " + mapping + "\nevents:\n  outpatient-bill:\n    set:\n      visit.complaint: {value: 复诊取药}\n"
	if err := os.WriteFile(filepath.Join(candidate, "mapping.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	items := filepath.Join("..", "..", "gateway", "mapping", "defs", mapping, "items.csv")
	code, out := runMap(t, "replay", "--config", base, "--against", mapping, "--defs", candidate, "--items", items, "--json")
	var r replayReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitNo {
		t.Fatalf("exit %d %v\n%s", code, err, out)
	}
	if r.Messages < least || r.Changed != bills || len(r.Unread) != 0 || r.Lost != 0 {
		t.Errorf("%d messages, want at least %d; %d changed, want %d; %d unread, %d lost\n%s", r.Messages, least, r.Changed, bills, len(r.Unread), r.Lost, out)
	}
	for _, m := range r.Differ {
		if len(m.Changes) != 1 || !strings.HasSuffix(m.Changes[0].Path, "/visit/complaint") {
			t.Errorf("%s: %+v", m.File, m.Changes)
		}
	}
	if strings.Contains(out, "测试甲") || strings.Contains(out, "999999198503120018") {
		t.Error("a patient is named in the report")
	}
	_ = filepath.WalkDir(filepath.Join(base, "data", "traffic"), func(p string, e fs.DirEntry, _ error) error {
		if b, err := os.ReadFile(p); err == nil && bytes.Contains(b, []byte("测试甲")) {
			t.Errorf("%s is not sealed", p)
		}
		return nil
	})
}

// A folder of files, too, is fed through both mappings: each is read by its layout.
func TestReplayFolder(t *testing.T) {
	for _, name := range shippedNames() {
		old := unpack(t, name)
		_ = filepath.WalkDir(filepath.Join(old, "cases"), func(p string, e fs.DirEntry, _ error) error {
			if strings.HasSuffix(p, ".json") {
				return os.Remove(p)
			}
			return nil
		})
		code, out := runMap(t, "replay", filepath.Join(old, "cases"), "--against", old, "--defs", name, "--json")
		var r replayReport
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitOK {
			t.Fatalf("%s: exit %d %v\n%s", name, code, err, out)
		}
		if r.Messages < 10 || r.Changed != 0 || len(r.Unread) > 0 {
			t.Errorf("%s: %d messages, %d changed, %v", name, r.Messages, r.Changed, r.Unread)
		}
	}
}

// The mapping in force is found as the gateway finds it: a folder beside the configuration, or a shipped one.
func TestMappingInForce(t *testing.T) {
	base := t.TempDir()
	if err := os.MkdirAll(filepath.Join(base, "ours"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(base, "ours", "mapping.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gatewaySettings{base: base, HL7: []hl7Settings{{Mapping: "ours"}}, SOAP: soapSettings{Mapping: "./ours"}, FHIR: fhirSettings{Mapping: "generic-fhir"},
		Files: []filesSettings{{Mapping: "ours", Items: "a.csv"}}, DBView: []dbviewSettings{{Mapping: "generic-sql"}}}
	ours := filepath.Join(base, "ours")
	for source, want := range map[string]string{"hl7": ours, "xml": ours, "fhir": "generic-fhir", "csv": ours, "sql": "generic-sql", "x": ""} {
		if got, _ := g.mappingOf(source); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	if _, items := g.mappingOf("csv"); items != filepath.Join(base, "a.csv") {
		t.Errorf("items at %s", items)
	}
}
