package main

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/simulator/acceptance"
	"yiqiao/simulator/acceptance/watch"
)

// This build passes its own acceptance: every requirement of a gateway was asked and held, with lost, slow, false and
// unreadable answers from the centre.
func TestAcceptTheGateway(t *testing.T) {
	t.Parallel()
	code, text := acceptOut(t, "run", "--target", "gateway", "--profile", "mpc", "--json")
	var res acceptance.Result
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&res); err != nil || code != exitOK {
		t.Fatalf("%d %v %.2000s", code, err, text)
	}
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	list, err := acceptance.Requirements(cat)
	if err != nil {
		t.Fatal(err)
	}
	declared := map[string]bool{} // those the list itself says can not be tried from outside
	for _, q := range list {
		declared[q.ID] = q.Why != ""
	}
	for _, q := range res.Requirements {
		if q.Actor == "gateway" && q.Status != acceptance.Pass && !declared[q.ID] || q.Status == acceptance.Fail {
			t.Errorf("%s: %s %+v", q.ID, q.Status, q.Evidence)
		}
	}
	for _, c := range res.Cases {
		if c.Status != acceptance.Pass {
			t.Errorf("%s: %s %s", c.ID, c.Status, c.Stopped)
		}
	}
}

// What a HIS does wrong at the door of a gateway is caught there, and what is right is not.
func TestAcceptAtTheDoor(t *testing.T) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	site, err := acceptance.SimulatorSite()
	if err != nil {
		t.Fatal(err)
	}
	bill := func(id, visit string) string { return `{"request_id":"` + id + `","visit":{"number":"` + visit + `"}}` }
	type call struct{ path, body, answer string }
	unsure := func(s string) string { return "202 " + s }
	for _, c := range []struct {
		name, caught string
		calls        []call
	}{
		{"all is well", "", []call{{"/settlements", bill("A", "V1"), `201 {"id":"B1"}`}, {"/settlements/B1/confirm", `{"request_id":"A-C"}`, unsure(`{"id":"B1","outcome_unknown":true}`)},
			{"/settlements/B1/confirm", `{"request_id":"A-C"}`, `200 {"id":"B1"}`}, {"/settlements", bill("B", "V1"), `201 {"id":"B2"}`}}},
		{"another bill while the first is not known", "HDOOR-2", []call{{"/settlements", bill("A", "V1"), `201 {"id":"B1"}`},
			{"/settlements/B1/confirm", `{"request_id":"A-C"}`, unsure(`{"id":"B1","outcome_unknown":true}`)}, {"/settlements", bill("B", "V1"), `201 {"id":"B2"}`}}},
		{"another bill while the opening is not known", "HDOOR-2", []call{{"/settlements", bill("A", "V1"), unsure(`{"code":"outcome-unknown"}`)}, {"/settlements", bill("B", "V1"), `201 {"id":"B2"}`}}},
		{"the same id for something else", "HDOOR-1", []call{{"/settlements", bill("A", "V1"), `201 {"id":"B1"}`}, {"/settlements", bill("A", "V2"), `409 {"code":"request-conflict","owner":"his"}`}}},
		{"no id", "HDOOR-1", []call{{"/settlements", `{"visit":{"number":"V1"}}`, `400 {"code":"request-invalid","owner":"his"}`}}},
		{"no JSON", "HDOOR-1", []call{{"/settlements", `A`, `400 {"code":"body-not-json","owner":"his"}`}}},
		{"a request that is refused for its form", "HDOOR-3", []call{{"/settlements", bill("A", "V1"), `422 {"code":"message-invalid","owner":"his"}`}}},
		{"no key", "HDOOR-3", []call{{"/settlements", bill("A", "V1"), `401 {}`}}},
	} {
		next := ""
		gw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			status, body, _ := strings.Cut(next, " ")
			w.WriteHeader(map[string]int{"200": 200, "201": 201, "202": 202, "400": 400, "401": 401, "409": 409, "422": 422}[status])
			_, _ = io.WriteString(w, body)
		}))
		w, err := watch.New(watch.Options{Catalog: cat, Site: site, Centre: http.NotFoundHandler(), Rand: rand.NewChaCha8([32]byte{}), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		d := httptest.NewServer(newDoor(w, strings.TrimPrefix(gw.URL, "http://")))
		for _, k := range c.calls {
			next = k.answer
			resp, err := http.Post(d.URL+"/api/v1"+k.path, "application/json", strings.NewReader(k.body))
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			if err != nil || !strings.HasSuffix(k.answer, string(b)) {
				t.Errorf("%s: passed on %q %v", c.name, b, err)
			}
			resp.Body.Close()
		}
		d.Close()
		gw.Close()
		for _, q := range w.Result(true).Requirements {
			if strings.HasPrefix(q.ID, "HDOOR") && (q.Status == acceptance.Fail) != (q.ID == c.caught) && !(c.caught == "HDOOR-1" && q.ID == "HDOOR-3") {
				t.Errorf("%s: %s is %s", c.name, q.ID, q.Status)
			}
		}
	}
}
