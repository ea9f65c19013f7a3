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
