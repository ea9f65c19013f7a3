package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/examples"
	"yiqiao/schemas/strictjson"
)

var nextYear = filepath.Join("..", "..", "examples", "schema", "next-year.yaml")

func schemaDiff(t *testing.T, args ...string) (int, schemaReport, string) {
	t.Helper()
	var b bytes.Buffer
	code := run(context.Background(), append([]string{"schema", "diff"}, args...), strings.NewReader(""), &b, &b)
	var r schemaReport
	if json.Unmarshal(b.Bytes(), &r) != nil && strings.HasPrefix(b.String(), "{") {
		t.Fatalf("%s", b.String())
	}
	return code, r, b.String()
}

func TestSchemaDiff(t *testing.T) {
	code, r, out := schemaDiff(t, "national", nextYear, "--defs", "generic-fhir", "--defs", "generic-xml", "--json")
	if code != exitNo || len(r.Differ) != 5 || r.From != "2027-01-01" || r.Version != "V1.1" {
		t.Fatalf("exit %d\n%s", code, out)
	}
	// generic-xml sends med_type 14, which the new edition no longer has.
	if len(r.Mappings) != 1 || r.Mappings[0].Mapping != "generic-xml" || !strings.Contains(r.Mappings[0].Faults[0].Text, "14") {
		t.Errorf("%+v", r.Mappings)
	}
	for _, w := range r.Work {
		if w.What == "" || w.Owner == "" || w.Until != "2027-01-01" {
			t.Errorf("%+v", w)
		}
	}
	if code, _, out := schemaDiff(t, "national", nextYear); code != exitNo || !strings.Contains(out, "工作清单") || !strings.Contains(out, "prd_batch (生产批号") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, r, out := schemaDiff(t, nextYear, nextYear, "--json"); code != exitOK || len(r.Differ)+len(r.Work)+len(r.Mappings) > 0 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, _, out := schemaDiff(t, "national", "nowhere.yaml"); code != exitFail {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// A change-over end to end: on one day and one gateway what was charged before goes in the old form, what is charged
// after in the new one; and the stored requests say beforehand who will be refused.
func TestChangeOver(t *testing.T) {
	key, base := "", ""
	sim, gw := newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		if err != nil {
			t.Fatal(err)
		}
		key, base = strings.TrimSpace(string(b)), g.base
		file, err := filepath.Abs(nextYear)
		if err != nil {
			t.Fatal(err)
		}
		g.Editions = []string{file}
	})
	open := func(id, time, batch string) (int, string) {
		v, err := strictjson.Decode(examples.OutpatientBill, strictjson.Request())
		if err != nil {
			t.Fatal(err)
		}
		bill := v.(map[string]any)
		bill["request_id"], bill["visit"].(map[string]any)["number"] = id, id
		for i, f := range strictjson.Rows(bill, "fees") {
			f["id"], f["time"] = id+"-"+string(rune('1'+i)), time
			if batch != "" {
				f["extra"] = map[string]any{"prd_batch": batch}
			}
		}
		status, answer, err := post(context.Background(), "http://"+gw.addr()+"/api/v1/settlements", key, strictjson.Encode(bill))
		if err != nil {
			t.Fatal(err)
		}
		return status, string(answer)
	}
	if status, answer := open("CO-1", "2026-11-23 09:20:00", ""); status != 201 {
		t.Errorf("of before: %d %s", status, answer)
	}
	if status, answer := open("CO-2", "2027-01-02 09:20:00", ""); status != 422 || !strings.Contains(answer, "/input/feedetail/0/prd_batch") || !strings.Contains(answer, "field-missing") {
		t.Errorf("of after, in the old form: %d %s", status, answer)
	}
	if status, answer := open("CO-3", "2027-01-02 09:20:00", "B1"); status != 201 {
		t.Errorf("of after: %d %s", status, answer)
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	code, r, out := schemaDiff(t, "national", nextYear, "--defs", "generic-fhir", "--config", base, "--json")
	if code != exitNo || r.Traffic == nil || r.Traffic.Checked < 6 || r.Traffic.Refused != 1 || len(r.Traffic.Kinds) != 1 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	if k := r.Traffic.Kinds[0]; k.Infno != "2204" || k.Code != "field-missing" || k.Path != "/input/feedetail/*/prd_batch" || k.Count != 1 {
		t.Errorf("%+v", k)
	}
	if strings.Contains(out, "测试") || strings.Contains(out, "999999") {
		t.Error("a person is named")
	}
}

func TestEditionSettings(t *testing.T) {
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("overlay: bad\ntransactions: {\"2204\": {input: {feedetail: {remove: [nothing]}}}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"bad.yaml", "nowhere.yaml"} {
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		g.Editions = []string{file}
		if srv, err := newServer(context.Background(), g, &bytes.Buffer{}, systemClock{}); err == nil {
			srv.close()
			t.Errorf("%s: started", file)
		} else if !strings.Contains(err.Error(), strings.TrimSuffix(file, ".yaml")) {
			t.Errorf("%v", err)
		}
	}
}
