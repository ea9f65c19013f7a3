package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/strictjson"
)

// fhirSender sends cases of the generic FHIR hospital and finds the resource of the answer.
type fhirSender struct {
	t         testing.TB
	base, key string
}

func (s fhirSender) send(name string, edits ...string) (status int, answer map[string]any) {
	s.t.Helper()
	b, err := defs.FS.ReadFile("generic-fhir/cases/" + name + ".fhir")
	if err != nil {
		s.t.Fatal(err)
	}
	b = []byte(strings.NewReplacer(edits...).Replace(string(b)))
	path := "/Claim/$submit"
	switch {
	case bytes.Contains(b, []byte(`"type": "message"`)):
		path = "/$process-message"
	case bytes.Contains(b, []byte(`"type": "transaction"`)):
		path = ""
	}
	r, err := http.NewRequest("POST", s.base+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Content-Type", "application/fhir+json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	v, err := strictjson.Decode(text, strictjson.Reply())
	if err != nil {
		s.t.Fatalf("%v %s", err, text)
	}
	answer, _ = v.(map[string]any)
	for _, e := range strictjson.Rows(answer, "entry") {
		if in, ok := e["resource"].(map[string]any); ok && in["resourceType"] != "MessageHeader" {
			answer = in
		}
	}
	return resp.StatusCode, answer
}

func fhirExt(r map[string]any, name string) string {
	for _, e := range strictjson.Rows(r, "extension") {
		if e["url"] == "urn:yiqiao:"+name {
			return strictjson.Text(e["valueString"])
		}
	}
	return ""
}

// fhirTotal is the literal of an amount.
func fhirTotal(r map[string]any, code string) string {
	for _, t := range strictjson.Rows(r, "total") {
		for _, c := range strictjson.Rows(strictjson.Get(t, "category"), "coding") {
			if c["code"] == code {
				return strictjson.Text(strictjson.Get(t, "amount", "value"))
			}
		}
	}
	return ""
}

func (s fhirSender) want(step string, r map[string]any, outcome, state string) {
	s.t.Helper()
	if fhirExt(r, "outcome") != outcome || fhirExt(r, "state") != state {
		b, _ := json.Marshal(r)
		s.t.Fatalf("%s: want %s %s: %s", step, outcome, state, b)
	}
}

// The generic FHIR hospital: the whole outpatient ladder, with a lost answer, a repeated Claim, rows taken
// back and the refund; then a stay from admission to the way back.
func TestFHIRHospital(t *testing.T) {
	s, base := fhirSender{t: t}, ""
	sim, gw := newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		if err != nil {
			t.Fatal(err)
		}
		s.key = strings.TrimSpace(string(b))
		g.FHIR.Mapping, base, g.Record.On = "generic-fhir", g.base, true
	})
	s.base = "http://" + gw.addr() + "/fhir"
	do := func(step, outcome, state string, edits ...string) map[string]any {
		t.Helper()
		_, r := s.send(step, edits...)
		s.want(step, r, outcome, state)
		return r
	}

	opened := do("outpatient-bill", "done", "presettled")
	if fhirTotal(opened, "submitted") != "479.54" || fhirTotal(opened, "psn_cash_pay") == "" || opened["use"] != "predetermination" || opened["created"] == nil {
		t.Errorf("trial: %v", opened)
	}
	if again := do("outpatient-bill", "done", "presettled"); again["id"] != opened["id"] {
		t.Errorf("a repeat opened %v after %v", again["id"], opened["id"])
	}
	if status, r := s.send("outpatient-bill", "MZF1", "MZF9"); status != 409 || r["resourceType"] != "OperationOutcome" {
		t.Errorf("another bill under the same identifier: %d %v", status, r)
	}
	if err := sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	_, settled := s.send("outpatient-settle")
	for fhirExt(settled, "outcome") == "unknown" {
		_, settled = s.send("outpatient-settle")
	}
	s.want("settle", settled, "done", "settled")
	do("outpatient-ask", "done", "settled")
	rows := do("outpatient-refund-rows", "done", "settled")
	if fhirTotal(rows, "submitted") != "444.04" {
		t.Errorf("what is left: %v", rows)
	}
	do("outpatient-refund", "done", "refunded")
	do("outpatient-bill-card", "done", "presettled")
	status, r := s.send("outpatient-bill-unknown-item")
	issue := strictjson.Get(r, "issue", "1")
	if status != 422 || strictjson.Get(issue, "details", "coding", "0", "code") != "map-item-unknown" ||
		strictjson.Get(issue, "expression", "0") != "Claim.item[1] productOrService.coding.code" {
		t.Errorf("%d %v", status, r)
	}

	do("admission", "done", "in-hospital")
	if r := do("charges", "done", "in-hospital"); fhirExt(r, "charged") != "479.54" {
		t.Errorf("charged %v", r)
	}
	do("charges", "done", "in-hospital") // the same Bundle.identifier
	if r := do("charges-taken-back", "done", "in-hospital"); fhirExt(r, "charged") != "444.04" {
		t.Errorf("charged %v", r)
	}
	do("discharge", "done", "discharged")
	do("trial", "done", "discharged")
	if r := do("settle", "done", "settled"); fhirTotal(r, "submitted") != "444.04" {
		t.Errorf("settled %v", r)
	}
	do("undo-settlement", "done", "discharged")
	do("undo-discharge", "done", "in-hospital")
	do("undo-admission", "done", "cancelled")
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	// Every record that a mapping led to names it with its version; the gateway's own sign-in does not.
	recs, err := gw.journal.List(context.Background(), gateway.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range recs {
		if named := strings.HasPrefix(rec.Mapping, "generic-fhir@1 ("); named != (rec.Request.ID != "") && rec.Infno != "5203" && rec.Infno != "5201" {
			t.Errorf("%s %s of request %q came through %q", rec.ID, rec.Infno, rec.Request.ID, rec.Mapping)
		}
	}
	if f, err := gw.journal.Fsck(context.Background()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%v %v", err, f.Problems)
	}
	replaysItsDay(t, base, "generic-fhir", 18, 4)
}

// Every value of a bill can be followed to its place, and nothing of the person is printed.
func TestFHIRExplain(t *testing.T) {
	code, out := runMap(t, filepath.Join(unpack(t, "generic-fhir"), "cases", "outpatient-bill.fhir"), "--source", "fhir", "--explain")
	if code != exitOK {
		t.Fatalf("exit %d\n%s", code, out)
	}
	for _, secret := range []string{"999999198503120018", "测试甲"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s is printed", secret)
		}
	}
	for _, want := range []string{"/fees/1/code", "Claim.item[2] productOrService.coding.code", "XZ99AAA001A001010100001", "[cut out]", "settlement.open"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
