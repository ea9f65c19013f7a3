package fhir_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/fhir"
	"yiqiao/adapters/his/histest"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func digest(b []byte) [32]byte { return sha256.Sum256(b) }

func value(scope any, text string) string {
	p, err := fhir.Notation{}.Compile(text)
	if err != nil {
		panic(err)
	}
	v, _ := p.Value(scope)
	return v
}

// carrier is a mapping for tests: the message holds the operation and the JSON of the body.
type carrier struct{}

func (carrier) Trace(gateway.Source) []gateway.Trace { return nil }

func (carrier) Map(s gateway.Source) (gateway.Mapped, error) {
	at := func(name string) string { return value(s.Scope, "extension('"+name+"').value") }
	if s.Type == "message:panic" {
		panic("secret of a patient")
	}
	if at("op") == "" {
		return gateway.Mapped{Rule: "nothing", Version: "carrier@1"}, nil
	}
	o := gateway.Order{Op: gateway.OrderOp(at("op")), Infno: ident.Infno(at("infno")), ID: at("id")}
	if body := at("body"); body != "" {
		v, err := strictjson.Decode([]byte(body), strictjson.Request())
		if err != nil {
			return gateway.Mapped{}, err
		}
		o.Body, _ = v.(map[string]any)
	}
	return gateway.Mapped{Orders: []gateway.Order{o}, Rule: "carry", Version: "carrier@1"}, nil
}

func open(t testing.TB, desk gateway.Desk) *fhir.Handler {
	t.Helper()
	guard, err := admit.New(admit.Options{Digest: digest, Clock: gatewaytest.NewClock(histest.At), Clients: []admit.Client{
		{System: "other", KeyDigest: digest([]byte("other-key")), Institutions: []ident.Institution{"H44010000099"}},
		{System: histest.System, KeyDigest: digest([]byte(histest.Key)), Institutions: []ident.Institution{histest.Institution}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := fhir.New(fhir.Options{Desk: desk, Mapper: carrier{}, Guard: guard, Path: "/fhir", Known: []string{"urn:known"}})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

type obj = map[string]any

func text(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func extensions(c histest.Call) []obj {
	return []obj{{"url": "op", "valueString": string(c.Op)}, {"url": "infno", "valueString": c.Infno}, {"url": "id", "valueString": c.ID},
		{"url": "body", "valueString": string(c.Body)}}
}

// forms are the three ways a document comes in.
func forms(t testing.TB, c histest.Call) map[string][2]string {
	claim := obj{"resourceType": "Claim", "id": "c", "use": "claim", "patient": obj{"reference": "urn:uuid:p"}, "extension": extensions(c)}
	bundle := func(kind string, entries ...obj) string {
		return text(t, obj{"resourceType": "Bundle", "type": kind, "entry": entries})
	}
	patient := obj{"fullUrl": "urn:uuid:p", "resource": obj{"resourceType": "Patient"}, "request": obj{"method": "POST", "url": "Patient"}}
	return map[string][2]string{
		"message": {"/fhir/$process-message", bundle("message", obj{"resource": obj{"resourceType": "MessageHeader", "id": "m1",
			"eventCoding": obj{"code": "call"}, "extension": extensions(c)}})},
		"transaction": {"/fhir", bundle("transaction", patient, obj{"resource": claim, "request": obj{"method": "POST", "url": "Claim"}})},
		"submit":      {"/fhir/Claim/$submit", bundle("collection", obj{"resource": claim}, patient)},
		"parameters": {"/fhir/Claim/$submit", text(t, obj{"resourceType": "Parameters", "parameter": []obj{{"name": "resource", "resource": obj{
			"resourceType": "Claim", "id": "c", "use": "claim", "extension": extensions(c)}}}})},
	}
}

func send(h *fhir.Handler, key, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/fhir+json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// read finds the gateway's answer in whatever Bundle it lies.
func read(t testing.TB, w *httptest.ResponseRecorder) histest.Answer {
	t.Helper()
	raw := bytes.Clone(w.Body.Bytes())
	v, err := strictjson.Decode(raw, strictjson.Reply())
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/fhir+json") {
		t.Errorf("%s", w.Header().Get("Content-Type"))
	}
	body, _ := v.(obj)
	if body["resourceType"] == "Bundle" {
		for _, e := range strictjson.Rows(body, "entry") {
			if r, ok := e["resource"].(obj); ok && r["resourceType"] != "MessageHeader" {
				body = r
			}
		}
	}
	ext := func(in any, name string) string {
		for _, e := range strictjson.Rows(in, "extension") {
			if e["url"] == "urn:yiqiao:"+name {
				return e["valueString"].(string)
			}
		}
		return ""
	}
	a := histest.Answer{Raw: raw, Outcome: ext(body, "outcome")}
	switch body["resourceType"] {
	case "ClaimResponse":
		a.ID, _ = body["id"].(string)
		if o := body["outcome"]; o == "complete" != (a.Outcome == "done") || o == "error" != (a.Outcome == "refused") {
			t.Errorf("outcome %v of %s", o, a.Outcome)
		}
	case "Parameters":
		for _, p := range strictjson.Rows(body, "parameter") {
			switch s, _ := p["valueString"].(string); p["name"] {
			case "outcome":
				a.Outcome = s
			case "id":
				a.ID = s
			}
		}
	case "OperationOutcome":
		for i, issue := range strictjson.Rows(body, "issue") {
			details := strictjson.Get(issue, "details")
			code, _ := strictjson.Get(details, "coding", "0", "code").(string)
			zh, _ := strictjson.Get(details, "text").(string)
			if i == 0 {
				a.Code, a.Path, a.Rule, a.Detail, a.ID, a.Outcome = gateway.Code(code), ext(issue, "path"), ext(issue, "rule"), ext(issue, "detail"), ext(issue, "id"), ext(issue, "outcome")
				continue
			}
			a.Findings = append(a.Findings, check.Finding{Code: code, Path: ext(issue, "path"), Rule: ext(issue, "rule"), ZH: zh})
		}
		if w.Code < 300 && a.Outcome != "unknown" && a.Code != "" {
			t.Errorf("status %d of %s", w.Code, a.Code)
		}
	}
	return a
}

func TestSuite(t *testing.T) {
	for name := range forms(t, histest.Call{}) {
		t.Run(name, func(t *testing.T) {
			histest.Suite(t, func(t *testing.T, desk gateway.Desk) histest.Target {
				h := open(t, desk)
				return histest.Target{Do: func(c histest.Call) histest.Answer {
					f := forms(t, c)[name]
					return read(t, send(h, c.Key, f[0], f[1]))
				}}
			})
		})
	}
}

// A message is answered by a message that names it, a transaction entry by entry.
func TestForms(t *testing.T) {
	h := open(t, &histest.Desk{})
	f := forms(t, histest.Call{Op: histest.OpOpen, Body: []byte(histest.BillBody)})
	w := send(h, histest.Key, f["message"][0], f["message"][1])
	if s := w.Body.String(); w.Code != 200 || !strings.Contains(s, `"response":{"code":"ok","identifier":"m1"}`) || !strings.Contains(s, `"eventCoding":{"code":"call"}`) {
		t.Errorf("%d %s", w.Code, s)
	}
	w = send(h, histest.Key, f["transaction"][0], f["transaction"][1])
	var b struct {
		Type  string
		Entry []struct {
			Resource obj
			Response struct{ Status string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil || b.Type != "transaction-response" || len(b.Entry) != 2 ||
		b.Entry[0].Resource != nil || b.Entry[1].Resource["resourceType"] != "ClaimResponse" || b.Entry[1].Response.Status != "200 OK" {
		t.Errorf("%v %s", err, w.Body)
	}
	if p := b.Entry[1].Resource["patient"]; fmt.Sprint(p) != "map[reference:urn:uuid:p]" {
		t.Errorf("patient %v", p)
	}
	quiet := send(h, histest.Key, "/fhir/$process-message", `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","eventUri":"urn:x:quiet"}}]}`)
	if quiet.Code != 200 || !strings.Contains(quiet.Body.String(), "informational") {
		t.Errorf("%d %s", quiet.Code, quiet.Body)
	}
	// While the desk does not know, it is queued and no failure.
	unsure := histest.Settlement("R-2", "B1", gateway.BillSettling)
	desk := &histest.Desk{}
	desk.Put(unsure)
	f = forms(t, histest.Call{Op: histest.OpSettlement, ID: "B1"})
	w = send(open(t, desk), histest.Key, f["submit"][0], f["submit"][1])
	if s := w.Body.String(); w.Code != 202 || !strings.Contains(s, `"outcome":"queued"`) || !strings.Contains(s, "并非失败") {
		t.Errorf("%d %s", w.Code, s)
	}
}

func TestRefusals(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, desk)
	claim := func(members string) string { return `{"resourceType":"Claim","use":"claim"` + members + `}` }
	bundle := func(kind, entries string) string {
		return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + entries + `]}`
	}
	const submit, process, base = "/fhir/Claim/$submit", "/fhir/$process-message", "/fhir"
	for _, c := range []struct{ name, path, body, rule, at, what string }{
		{"modifier extension", submit, claim(`,"modifierExtension":[{"url":"urn:known"},{"url":"http://x/not-for-payment","valueBoolean":true}]`),
			"fhir-modifier-extension", "/modifierExtension/1", "http://x/not-for-payment"},
		{"deep modifier extension", submit, claim(`,"item":[{"sequence":1,"detail":[{"modifierExtension":[{"url":"urn:neg"}]}]}]`),
			"fhir-modifier-extension", "/item/0/detail/0/modifierExtension/0", "urn:neg"},
		{"contained modifier extension", submit, claim(`,"contained":[{"resourceType":"Patient","modifierExtension":[{"url":"urn:neg"}]}]`),
			"fhir-modifier-extension", "/contained/0/modifierExtension/0", "urn:neg"},
		{"modifier extension that is none", submit, claim(`,"modifierExtension":{}`), "fhir-form", "/modifierExtension", ""},
		{"implicit rules", submit, claim(`,"implicitRules":"urn:rules"`), "fhir-implicit-rules", "/implicitRules", "urn:rules"},
		{"resource type", submit, bundle("collection", `{"resource":`+claim("")+`},{"resource":{"resourceType":"MedicationRequest"}}`), "fhir-resource-type", "/entry/1/resource/resourceType", "MedicationRequest"},
		{"no type", submit, `{}`, "fhir-resource-type", "/resourceType", "(none)"},
		{"a name in the type", submit, `{"resourceType":"张 三"}`, "fhir-resource-type", "/resourceType", "(?)"},
		{"bundle in bundle", submit, bundle("collection", `{"resource":{"resourceType":"Bundle"}}`), "fhir-resource-type", "/entry/0/resource/resourceType", "Bundle"},
		{"batch", base, bundle("batch", `{"resource":`+claim("")+`}`), "fhir-bundle", "/type", ""},
		{"no entries", base, bundle("transaction", ""), "fhir-bundle", "/entry", ""},
		{"no request", base, bundle("transaction", `{"resource":`+claim("")+`}`), "fhir-bundle", "/entry/0/request", ""},
		{"delete", base, bundle("transaction", `{"resource":`+claim("")+`,"request":{"method":"DELETE","url":"Claim/1"}}`), "fhir-bundle", "/entry/0/request/method", ""},
		{"another type's url", base, bundle("transaction", `{"resource":`+claim("")+`,"request":{"method":"POST","url":"Patient"}}`), "fhir-bundle", "/entry/0/request/url", ""},
		{"conditional", base, bundle("transaction", `{"resource":`+claim("")+`,"request":{"method":"POST","url":"Claim","ifNoneExist":"identifier=1"}}`), "fhir-bundle", "/entry/0/request/ifNoneExist", ""},
		{"message at the base", base, bundle("message", `{"resource":{"resourceType":"MessageHeader","eventCoding":{"code":"x"}}}`), "fhir-bundle", "/type", "metadata"},
		{"message without header", process, bundle("message", `{"resource":`+claim("")+`}`), "fhir-bundle", "/entry/0/resource", ""},
		{"message without event", process, bundle("message", `{"resource":{"resourceType":"MessageHeader"}}`), "fhir-form", "/entry/0/resource/eventCoding", ""},
		{"urn that is not there", submit, claim(`,"patient":{"reference":"urn:uuid:none"}`), "fhir-reference", "/patient/reference", "urn:uuid:"},
		{"contained that is not there", submit, claim(`,"patient":{"reference":"#p"}`), "fhir-reference", "/patient/reference", "#"},
		{"fullUrl twice", submit, bundle("collection", `{"fullUrl":"urn:uuid:1","resource":`+claim("")+`},{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient"}}`), "fhir-reference", "/entry/1/fullUrl", ""},
		{"two are meant", submit, bundle("collection", `{"resource":`+claim(`,"patient":{"reference":"Patient/1"}`)+`},{"resource":{"resourceType":"Patient","id":"1"}},{"resource":{"resourceType":"Patient","id":"1"}}`),
			"fhir-reference", "/entry/0/resource/patient/reference", "Patient/"},
		{"entered in error", base, bundle("transaction", `{"resource":{"resourceType":"ChargeItem","status":"entered-in-error"},"request":{"method":"POST","url":"ChargeItem"}}`), "fhir-status", "/entry/0/resource/status", "entered-in-error"},
		{"refuted", submit, bundle("collection", `{"resource":`+claim("")+`},{"resource":{"resourceType":"Condition","verificationStatus":{"coding":[{"code":"refuted"}]}}}`), "fhir-status", "/entry/1/resource/verificationStatus", "refuted"},
		{"nothing to act on", base, bundle("transaction", `{"resource":{"resourceType":"Organization"},"request":{"method":"POST","url":"Organization"}}`), "fhir-resource-type", "", ""},
		{"many contained", submit, claim(`,"contained":[` + strings.Repeat(`{"resourceType":"Patient"},`, 200) + `{"resourceType":"Patient"}]`), "fhir-form", "/contained", "too many"},
		{"many resources", submit, bundle("collection", strings.Repeat(`{"resource":{"resourceType":"Patient"}},`, 6000)+`{"resource":`+claim("")+`}`), "fhir-bundle", "/entry", "too many"},
		{"parameters", submit, `{"resourceType":"Parameters","parameter":[{"name":"a"},{"name":"b"}]}`, "fhir-form", "/parameter", ""},
		{"a list", submit, `[]`, "fhir-form", "", ""},
		{"not JSON", submit, `<Claim/>`, "json-syntax", "", ""},
		{"exponent", submit, claim(`,"total":{"value":1e3}`), "json-number", "/total/value", ""},
		{"member twice", submit, claim(`,"use":"claim"`), "json-duplicate", "/use", ""},
		{"deep", submit, strings.Repeat(`{"a":`, 60) + "1" + strings.Repeat("}", 60), "json-depth", "*", ""},
	} {
		w := send(h, histest.Key, c.path, c.body)
		a := read(t, w)
		if a.Rule != c.rule || c.at != "*" && a.Path != c.at || !strings.Contains(a.Detail, c.what) || w.Code < 400 || a.Outcome != "refused" {
			t.Errorf("%s: %d %s at %q %q, want %s at %q", c.name, w.Code, a.Rule, a.Path, a.Detail, c.rule, c.at)
		}
	}
	r := httptest.NewRequest("POST", submit, strings.NewReader(claim("")))
	r.Header.Set("Content-Type", "application/fhir+xml")
	r.Header.Set("X-API-Key", histest.Key)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 415 || read(t, w).Code != gateway.CodeMediaType {
		t.Errorf("XML: %d %s", w.Code, w.Body)
	}
	if w := send(h, histest.Key, "/fhir/Patient", "{}"); w.Code != 404 {
		t.Errorf("an address that is not there: %d", w.Code)
	}
	if w := send(h, histest.Key, submit, strings.Repeat(" ", 9<<20)); w.Code != 413 {
		t.Errorf("9 MB: %d", w.Code)
	}
	w = send(h, histest.Key, process, bundle("message", `{"resource":{"resourceType":"MessageHeader","eventCoding":{"code":"panic"}}}`))
	if a := read(t, w); a.Code != gateway.CodeInternal || strings.Contains(string(a.Raw), "secret") || a.Outcome != "" {
		t.Errorf("a panic in the mapping: %s", a.Raw)
	}
	if n := len(desk.Calls()); n > 0 {
		t.Errorf("the desk was asked %d times", n)
	}
}

func TestCapability(t *testing.T) {
	r := httptest.NewRequest("GET", "/fhir/metadata", nil)
	w := httptest.NewRecorder()
	open(t, &histest.Desk{}).ServeHTTP(w, r)
	var c struct {
		ResourceType, FhirVersion, Kind, Status string
		Rest                                    []struct{ Resource []struct{ Type string } }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &c); err != nil || w.Code != 200 || c.ResourceType != "CapabilityStatement" || c.FhirVersion != "4.0.1" || len(c.Rest) != 1 {
		t.Fatalf("%v %d %s", err, w.Code, w.Body)
	}
	for _, want := range []string{"Patient", "Coverage", "Encounter", "Condition", "Procedure", "ChargeItem", "Invoice", "Claim"} {
		if !slices.ContainsFunc(c.Rest[0].Resource, func(r struct{ Type string }) bool { return r.Type == want }) {
			t.Errorf("no %s", want)
		}
	}
}

const document = `{"resourceType":"Bundle","type":"collection","identifier":{"value":"B-7"},"entry":[
{"fullUrl":"http://his/fhir/Claim/c1","resource":{"resourceType":"Claim","id":"c1","use":"predetermination",
 "contained":[{"resourceType":"Practitioner","id":"d","name":[{"text":"李医生"}]}],
 "identifier":[{"system":"urn:a","value":"1"},{"system":"urn:b","use":"old","value":"2"},{"system":"urn:b","value":"3"}],
 "patient":{"reference":"Patient/p1"},"provider":{"reference":"#d"},
 "extension":[{"url":"urn:card","extension":[{"url":"sn","valueString":"S"},{"url":"no","valueCode":"N"}]}],
 "item":[{"sequence":1,"servicedDate":"2026-11-23","net":{"value":12.3400}},{"sequence":2,"servicedPeriod":{"start":"2026-11"},"net":{"value":-0.10}}]}},
{"fullUrl":"http://his/fhir/Patient/p1","resource":{"resourceType":"Patient","active":true,"name":[{"family":"测","given":["试","甲"]}],"managingOrganization":{"reference":"http://his/fhir/Claim/c1/_history/3"}}},
{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Patient","name":[{"family":"乙"}],"deceasedBoolean":false,"deceasedDateTime":"2020"}}]}`

func TestPaths(t *testing.T) {
	d, err := fhir.Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	s := fhir.Source(d)
	if s.Type != "Claim:predetermination" || s.ID != "B-7" || s.Notation != "fhir" {
		t.Errorf("%s %s %s", s.Type, s.ID, s.Notation)
	}
	for path, want := range map[string]string{
		"use": "predetermination", "Claim.use": "predetermination", "Bundle.identifier.value": "B-7", "Bundle.type": "collection",
		"identifier.value": "1", "identifier[2].value": "3", "identifier.last().value": "3", "identifier.first().value": "1", "identifier[9].value": "",
		"identifier.where(system = 'urn:b').value": "2", "identifier.where(system='urn:b' and use != 'old').value": "3", "identifier.where(system = 'x').value": "",
		"patient.resolve().name.family": "测", "patient.resolve().ofType(Patient).active": "true", "patient.resolve().ofType(Location).id": "",
		"provider.resolve().name.text": "李医生", "Practitioner.name[0].text": "李医生",
		"extension('urn:card').extension('no').value": "N", "extension('urn:card').extension('sn').valueString": "S",
		"item.net.value": "12.3400", "item[1].net.value": "-0.10", "item.where(sequence = '2').net.value": "-0.10",
		"item.serviced": "2026-11-23", "item[1].serviced.start": "2026-11", "Patient.name.family": "测",
		"Patient.where(name.given = '甲').name.family": "测", "Patient.where(managingOrganization.resolve().use = 'predetermination').name.family": "测",
		"Patient[1].deceased": "", "item": "", "Patient.managingOrganization.resolve().id": "c1",
	} {
		if got := value(s.Scope, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	p := func(text string) gateway.Path {
		p, err := fhir.Notation{}.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if all := p("Patient.name.family").All(s.Scope); !slices.Equal(all, []string{"测", "乙"}) {
		t.Errorf("%v", all)
	}
	rows := p("item").Each(s.Scope)
	if len(rows) != 2 || value(rows[1], "sequence") != "2" || value(rows[1], "Claim.patient.resolve().name.given") != "试" {
		t.Errorf("%v", rows)
	}
	people := p("Patient").Each(s.Scope)
	if len(people) != 2 || value(people[1], "Patient.name.family") != "乙" || value(people[1], "name.family") != "乙" {
		t.Errorf("%v", people)
	}
	d, err = fhir.Parse([]byte(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"1"}},{"resource":{"resourceType":"Patient","id":"2"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if all := p("Patient.id").All(fhir.Source(d).Scope); !slices.Equal(all, []string{"1", "2"}) {
		t.Errorf("beside a focus of the same type: %v", all)
	}
	for _, bad := range []string{"", ".", "use.", ".use", "Use.", "Nothing.id", "[0]", "item[-1]", "item[01]", "where(a = 1)", "where(a = 'x' or b = 'y')", "iif(a)",
		"ofType(Nothing)", "extension(x)", "item..net", "name given", "resolve(1)", "Patient/name", "where(where(a = 'x') = 'y')x", strings.Repeat("a.", 400) + "b"} {
		if _, err := (fhir.Notation{}).Compile(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A message about nobody's map order: the same document is always read the same way.
func TestSameErrorEachTime(t *testing.T) {
	doc := []byte(`{"resourceType":"Claim","modifierExtension":[{"url":"urn:1"}],"implicitRules":"urn:2","patient":{"reference":"#x"}}`)
	_, first := fhir.Parse(doc)
	for range 20 {
		if _, err := fhir.Parse(doc); err == nil || err.Error() != first.Error() {
			t.Fatalf("%v after %v", err, first)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(document), "Claim.item.where(sequence = '2').net.value")
	f.Add([]byte(`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Claim"}}]}`), "patient.resolve().name")
	f.Add([]byte(`{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"MessageHeader","eventUri":"a#b"}}]}`), "extension('x').value")
	f.Add([]byte(`{"resourceType":"Patient","contained":[{"resourceType":"Patient","id":"a"}],"link":[{"other":{"reference":"#a"}}]}`), "link.other.resolve()")
	f.Fuzz(func(t *testing.T, b []byte, at string) {
		s, err := fhir.Read(b)
		var bad *fhir.Error
		if err != nil {
			if !errors.As(err, &bad) {
				t.Errorf("%v", err)
			}
			return
		}
		if p, err := (fhir.Notation{}).Compile(at); err == nil {
			p.Value(s.Scope)
			p.All(s.Scope)
			p.Each(s.Scope)
		}
	})
}
