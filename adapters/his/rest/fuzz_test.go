package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

type still struct{}

func (still) Now() time.Time                             { return histest.At }
func (still) Sleep(context.Context, time.Duration) error { return nil }

func minimal() Options {
	return Options{
		Desk: &histest.Desk{}, Clock: still{}, MaxBody: 1 << 16,
		Digest: func(b []byte) (d [32]byte) { copy(d[:], b); d[31] = byte(len(b)); return d },
		Clients: []Client{{System: histest.System, Institutions: []ident.Institution{histest.Institution},
			KeyDigest: [32]byte{'k', 31: 1}}},
	}
}

// Whatever is sent, with a key: no panic, no 5xx, an answer that is JSON, and a code that has words.
func FuzzHandler(f *testing.F) {
	for _, s := range []struct{ path, body string }{
		{"/api/v1/transactions/1101", histest.TransactBody}, {"/api/v1/uploads/4101", histest.TransactBody},
		{"/api/v1/settlements", histest.BillBody}, {"/api/v1/settlements/B1/confirm", histest.ConfirmBody},
		{"/api/v1/settlements/B1/refund", histest.RefundBody},
	} {
		f.Add("POST", s.path, "application/json", "Bearer k", "", "en", []byte(s.body))
	}
	f.Add("POST", "/api/v1/transactions/1101", "application/json; charset=gbk", "k", "R-1", "zh", []byte("\xc0\xee"))
	f.Add("POST", "/api/v1/transactions/1101", "application/json", "Bearer k", `"R-1"`, "en;q=NaN", []byte(`{"input":1e3}`))
	f.Add("GET", "/healthz", "", "", "", "", []byte(nil))
	f.Add("GET", "", "", "", "", "", []byte(nil))
	f.Add("OPTIONS", "*", "", "", "", "", []byte(nil))
	f.Add("CONNECT", "//..//api/v1/settlements/%2e", "", "", "", "", []byte(nil))
	h, err := New(minimal())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, kind, auth, id, lang string, body []byte) {
		h.o.Desk = &histest.Desk{}
		r := httptest.NewRequest("GET", "/", bytes.NewReader(body))
		r.Method, r.URL.Path = method, path
		for name, value := range map[string]string{"Content-Type": kind, "Authorization": auth, "Idempotency-Key": id, "Accept-Language": lang} {
			r.Header[name] = []string{value}
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= http.StatusInternalServerError || w.Code < 200 {
			t.Fatalf("%s %q: %d %s", method, path, w.Code, w.Body)
		}
		if path == "/openapi.json" {
			return
		}
		v, err := strictjson.Decode(w.Body.Bytes(), strictjson.Reply())
		if err != nil {
			t.Fatalf("the answer is not JSON: %v\n%s", err, w.Body)
		}
		if w.Code < 400 {
			return
		}
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || gateway.Codes[p.Code].Status != w.Code {
			t.Fatalf("%d is not the status of %v", w.Code, v)
		}
	})
}
