package rest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// digest stands for SM3: the handler takes whatever it is given.
func digest(b []byte) [32]byte { return sha256.Sum256(b) }

func options(desk gateway.Desk) rest.Options {
	return rest.Options{
		Desk:    desk,
		Digest:  digest,
		Clock:   gatewaytest.NewClock(histest.At),
		Version: "1.2.3",
		Clients: []rest.Client{
			{System: "other", KeyDigest: digest([]byte("other-key")), Institutions: []ident.Institution{"H44010000099"}},
			{System: histest.System, KeyDigest: digest([]byte(histest.Key)), Institutions: []ident.Institution{histest.Institution}},
		},
	}
}

func open(t testing.TB, o rest.Options) *rest.Handler {
	t.Helper()
	h, err := rest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// call makes one call without a network. Headers are pairs; they come after the usual ones.
func call(h http.Handler, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", bytes.NewReader(body))
	r.Method, r.URL.Path = method, path
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("Authorization", "Bearer "+histest.Key)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func problem(t testing.TB, w *httptest.ResponseRecorder) rest.Problem {
	t.Helper()
	var p rest.Problem
	if got := w.Header().Get("Content-Type"); got != rest.ProblemType {
		t.Fatalf("%d %s: %s", w.Code, got, w.Body)
	}
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatal(err)
	}
	if p.Status != w.Code || p.Type != "urn:yiqiao:error:"+string(p.Code) || p.Reference == "" || p.Instance == "" || p.Detail == "" {
		t.Errorf("incomplete problem %+v with status %d", p, w.Code)
	}
	return p
}

var routes = map[histest.Op]struct{ method, before, after string }{
	histest.OpTransact:    {"POST", "/api/v1/transactions/", ""},
	histest.OpUpload:      {"POST", "/api/v1/uploads/", ""},
	histest.OpTransaction: {"GET", "/api/v1/transactions/", ""},
	histest.OpOpen:        {"POST", "/api/v1/settlements", ""},
	histest.OpConfirm:     {"POST", "/api/v1/settlements/", "/confirm"},
	histest.OpRefund:      {"POST", "/api/v1/settlements/", "/refund"},
	histest.OpSettlement:  {"GET", "/api/v1/settlements/", ""},
	histest.OpAdmit:       {"POST", "/api/v1/stays", ""},
	histest.OpCharge:      {"POST", "/api/v1/stays/", "/fees"},
	histest.OpStayChange:  {"POST", "/api/v1/stays/", "/change"},
	histest.OpDischarge:   {"POST", "/api/v1/stays/", "/discharge"},
	histest.OpStaySettle:  {"POST", "/api/v1/stays/", "/settle"},
	histest.OpStayRefund:  {"POST", "/api/v1/stays/", "/refund"},
	histest.OpStay:        {"GET", "/api/v1/stays/", ""},
}

// target is the handler as the suite sees it.
func target(t *testing.T, desk gateway.Desk) histest.Target {
	o := options(desk)
	o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	h := open(t, o)
	return histest.Target{JSON: true, Do: func(c histest.Call) histest.Answer {
		r := routes[c.Op]
		auth := ""
		if c.Key != "" {
			auth = "Bearer " + c.Key
		}
		w := call(h, r.method, r.before+c.Infno+c.ID+r.after, c.Body, "Authorization", auth)
		return read(t, r.method, w)
	}}
}

func read(t *testing.T, method string, w *httptest.ResponseRecorder) histest.Answer {
	a := histest.Answer{Raw: bytes.Clone(w.Body.Bytes())}
	if w.Header().Get("Content-Type") == rest.ProblemType {
		p := problem(t, w)
		a.Code, a.Path, a.Rule, a.Findings, a.Detail = p.Code, p.Path, p.Rule, p.Findings, p.Detail
		a.Outcome = histest.OutcomeOf(p.Code)
		for _, prefix := range []string{"/api/v1/transactions/", "/api/v1/settlements/", "/api/v1/stays/"} {
			if id, ok := bytes.CutPrefix([]byte(p.Instance), []byte(prefix)); ok {
				a.ID = string(id)
			}
		}
		if p.Status != gateway.Codes[p.Code].Status {
			t.Errorf("%s with status %d", p.Code, p.Status)
		}
		return a
	}
	var body struct {
		ID, Outcome string
	}
	if err := json.Unmarshal(a.Raw, &body); err != nil {
		t.Errorf("answer %d: %v", w.Code, err)
	}
	a.ID, a.Outcome = body.ID, body.Outcome
	if w.Code == http.StatusAccepted && w.Header().Get("Location") != routePrefix(a.Raw)+a.ID {
		t.Errorf("202 with Location %q for %s", w.Header().Get("Location"), a.ID)
	}
	switch {
	case w.Code == http.StatusAccepted && a.Outcome != "queued":
		a.Outcome = "unknown"
	case a.Outcome == "" && w.Code < 300:
		a.Outcome = "done"
	}
	return a
}

// routePrefix tells a stay, a settlement and a transaction apart by what only the former have.
func routePrefix(raw []byte) string {
	if bytes.Contains(raw, []byte(`"charged"`)) {
		return "/api/v1/stays/"
	}
	if bytes.Contains(raw, []byte(`"outcome_unknown"`)) {
		return "/api/v1/settlements/"
	}
	return "/api/v1/transactions/"
}

func TestSuite(t *testing.T) { histest.Suite(t, target) }
