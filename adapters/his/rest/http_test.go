package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

const transactPath = "/api/v1/transactions/1101"

var body = []byte(histest.TransactBody)

func TestNewRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*rest.Options){
		"no desk":         func(o *rest.Options) { o.Desk = nil },
		"no digest":       func(o *rest.Options) { o.Digest = nil },
		"no clock":        func(o *rest.Options) { o.Clock = nil },
		"no clients":      func(o *rest.Options) { o.Clients = nil },
		"no name":         func(o *rest.Options) { o.Clients[0].System = "" },
		"no institutions": func(o *rest.Options) { o.Clients[0].Institutions = nil },
		"empty code":      func(o *rest.Options) { o.Clients[0].Institutions = []ident.Institution{""} },
		"zero digest":     func(o *rest.Options) { o.Clients[0].KeyDigest = [32]byte{} },
		"empty key":       func(o *rest.Options) { o.Clients[0].KeyDigest = digest(nil) },
		"shared key":      func(o *rest.Options) { o.Clients[0].KeyDigest = o.Clients[1].KeyDigest },
		"negative rate":   func(o *rest.Options) { o.Clients[0].Rate = -1 },
		"negative body":   func(o *rest.Options) { o.MaxBody = -1 },
		"negative places": func(o *rest.Options) { o.MaxConcurrent = -1 },
	} {
		o := options(&histest.Desk{})
		spoil(&o)
		if _, err := rest.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRequestID(t *testing.T) {
	none := histest.Edit(t, histest.TransactBody, "/request_id", "")
	null := histest.Edit(t, histest.TransactBody, "/request_id", "null")
	for _, c := range []struct {
		name, header string
		body         []byte
		code         gateway.Code
		want         string
	}{
		{"member", "", body, "", "R-1"},
		{"header", "R-7", none, "", "R-7"},
		{"quoted header", `"R-7"`, none, "", "R-7"},
		{"header and null", "R-7", null, "", "R-7"},
		{"both the same", "R-1", body, "", "R-1"},
		{"both, different", "R-7", body, gateway.CodeRequestInvalid, ""},
		{"neither", "", none, gateway.CodeRequestIDMissing, ""},
		{"bad header", "a b", none, gateway.CodeRequestIDMissing, ""},
		{"a lone quote", `"`, none, gateway.CodeRequestIDMissing, ""},
	} {
		desk := &histest.Desk{}
		w := call(open(t, options(desk)), "POST", transactPath, c.body, "Idempotency-Key", c.header)
		if c.code != "" {
			if p := problem(t, w); p.Code != c.code || p.Path != "/request_id" {
				t.Errorf("%s: %s at %s", c.name, p.Code, p.Path)
			}
			continue
		}
		if w.Code != 200 || desk.Calls()[0].Request.(gateway.Transact).RequestID != c.want {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
}

func TestMediaType(t *testing.T) {
	h := open(t, options(&histest.Desk{}))
	for kind, ok := range map[string]bool{
		"application/json": true, "application/json; charset=utf-8": true, "application/JSON;charset=UTF-8": true,
		"": false, "text/plain": false, "application/json; charset=gbk": false, "application/json; charset=gb18030": false,
		"application/xml": false, "multipart/form-data; boundary=x": false, "application/json; charset": false, "application/problem+json": false,
	} {
		w := call(h, "POST", transactPath, body, "Content-Type", kind)
		if (w.Code == 200) != ok {
			t.Errorf("%q: %d", kind, w.Code)
		} else if !ok && problem(t, w).Code != gateway.CodeMediaType {
			t.Errorf("%q: not media-type", kind)
		}
	}
	if w := call(h, "POST", transactPath, body, "Content-Encoding", "gzip"); problem(t, w).Code != gateway.CodeMediaType {
		t.Error("gzip was accepted")
	}
}

func TestKeys(t *testing.T) {
	h := open(t, options(&histest.Desk{}))
	for _, c := range []struct {
		name, auth, apiKey string
		code               gateway.Code
	}{
		{"bearer", "Bearer " + histest.Key, "", ""},
		{"lower case scheme", "bearer  " + histest.Key, "", ""},
		{"x-api-key", "", histest.Key, ""},
		{"both the same", "Bearer " + histest.Key, histest.Key, ""},
		{"both, different", "Bearer " + histest.Key, "other-key", gateway.CodeKeyWrong},
		{"basic", "Basic " + histest.Key, "", gateway.CodeKeyWrong},
		{"empty bearer", "Bearer ", "", gateway.CodeKeyWrong},
		{"no scheme", histest.Key, "", gateway.CodeKeyWrong},
		{"none", "", "", gateway.CodeKeyMissing},
	} {
		w := call(h, "POST", transactPath, body, "Authorization", c.auth, "X-API-Key", c.apiKey)
		if c.code == "" {
			if w.Code != 200 {
				t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			}
			continue
		}
		if p := problem(t, w); p.Code != c.code || w.Code != 401 || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %s %v", c.name, w.Code, p.Code, w.Header())
		}
	}
	// Another client's key is good, but not for this institution.
	if p := problem(t, call(h, "POST", transactPath, body, "Authorization", "Bearer other-key")); p.Code != gateway.CodeInstitution {
		t.Errorf("the other client: %s", p.Code)
	}
}

func TestNoSuchRoute(t *testing.T) {
	h := open(t, options(&histest.Desk{}))
	for _, c := range []struct {
		method, path string
		code         gateway.Code
		allow        string
	}{
		{"GET", "/nothing", gateway.CodeNotFound, ""},
		{"GET", "/api/v1/settlements/", gateway.CodeNotFound, ""},
		{"GET", "/healthz/", gateway.CodeNotFound, ""},
		{"GET", "", gateway.CodeNotFound, ""},
		{"OPTIONS", "*", gateway.CodeNotFound, ""},
		{"GET", "/api/v1/settlements", gateway.CodeMethod, "POST"},
		{"DELETE", "/api/v1/settlements/B1", gateway.CodeMethod, "GET"},
		{"BREW", "/healthz", gateway.CodeMethod, "GET"},
		{"GET", "/api/v1/settlements/" + strings.Repeat("x", 65), gateway.CodeNotFound, ""},
		{"GET", "/api/v1/transactions/编号", gateway.CodeNotFound, ""},
		{"POST", "/api/v1/settlements/B 1/confirm", gateway.CodeNotFound, ""},
	} {
		w := call(h, c.method, c.path, nil)
		if p := problem(t, w); p.Code != c.code || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %s, Allow %q", c.method, c.path, p.Code, w.Header().Get("Allow"))
		}
	}
}

// What the centre sent goes out with its own numbers; ours are in China's time.
func TestAnswerText(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, options(desk))
	got := call(h, "POST", transactPath, body).Body.String()
	want := `{"id":"H44010000012202603040506070001","request_id":"R-1","infno":"1101","state":"done","outcome":"done",` +
		`"output":{"baseinfo":{"age":61.50,"balc":null,"psn_no":"P<0001>&"}},` +
		`"created_at":"2026-03-04T05:06:07+08:00","updated_at":"2026-03-04T05:06:08.5+08:00"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	desk.Put(gateway.Settlement{ID: "B1", State: gateway.BillOpening, Steps: nil})
	got = call(h, "GET", "/api/v1/settlements/B1", nil).Body.String()
	if want := `{"id":"B1","state":"opening","outcome_unknown":false,"steps":[]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	desk.Put(gateway.Transaction{ID: "T1", State: gateway.StateDone, CreatedAt: time.Date(2026, 3, 3, 21, 6, 7, 123456789, time.UTC)})
	if got = call(h, "GET", "/api/v1/transactions/T1", nil).Body.String(); !strings.Contains(got, `"created_at":"2026-03-04T05:06:07.123+08:00"`) {
		t.Errorf("time: %s", got)
	}
}

// An output no centre can have sent, and a time no clock can show, are faults of ours.
func TestUnwritableAnswers(t *testing.T) {
	for _, bad := range []gateway.Transaction{
		{ID: "T1", State: gateway.StateDone, Output: 1.5},
		{ID: "T1", State: gateway.StateDone, Output: map[string]any{"x": make(chan int)}},
		{ID: "T1", State: gateway.StateDone, CreatedAt: time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		desk := &histest.Desk{}
		desk.On = map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
			histest.OpTransact: func(context.Context, gateway.Caller, any) (any, error) { return bad, nil },
		}
		w := call(open(t, options(desk)), "POST", transactPath, body)
		if p := problem(t, w); p.Code != gateway.CodeInternal || len(desk.ToldOf()) > 0 {
			t.Errorf("%+v: %s, told %v", bad, p.Code, desk.ToldOf())
		}
	}
}

func TestProblemWords(t *testing.T) {
	desk := &histest.Desk{Err: &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "该人员已暂停参保", Ref: "T1"}}
	h := open(t, options(desk))
	p := problem(t, call(h, "POST", transactPath, body))
	if p.Title != "医保中心未受理" || p.Detail != "医保中心未受理: 该人员已暂停参保" || p.EN == nil || p.ZH != nil ||
		p.EN.Title != "The insurance centre refused." || p.Owner != gateway.OwnerDesk || p.Instance != "/api/v1/transactions/T1" {
		t.Errorf("%+v", p)
	}
	for header, english := range map[string]bool{
		"en": true, "en-US,en;q=0.9": true, "en;q=0.9,zh;q=0.8": true, "zh-CN,en;q=0.8": false, "": false, "*": false, "fr": false,
		"en;q=0": false, "en;q=x": false, "zh;q=0.1, en-GB;q=0.2": true, ",;,=": false, "en;q=NaN": false, "en;q=9": false,
	} {
		w := call(h, "POST", transactPath, body, "Accept-Language", header)
		p := problem(t, w)
		if got := p.Title == "The insurance centre refused."; got != english || (p.ZH != nil) != english {
			t.Errorf("%q: %+v", header, p)
		}
		if english && (p.Detail != "The insurance centre refused: 该人员已暂停参保" || w.Header().Get("Content-Language") != "en") {
			t.Errorf("%q: %q %v", header, p.Detail, w.Header())
		}
	}
	desk.Err = &gateway.Error{Code: gateway.CodeAmounts, Detail: "in English", Findings: []check.Finding{{Path: "/total", ZH: "不等于明细之和", EN: "Not the sum."}, {}}}
	if p := problem(t, call(h, "POST", transactPath, body)); p.Detail != "金额不平: /total 不等于明细之和 (1/2)" {
		t.Errorf("%q", p.Detail)
	}
	desk.Err = &gateway.Error{Code: gateway.CodeInfnoNotAllowed, Detail: "POST /api/v1/uploads/4101"}
	if p := problem(t, call(h, "POST", transactPath, body)); !strings.HasSuffix(p.Detail, ": POST /api/v1/uploads/4101") {
		t.Errorf("%q", p.Detail)
	}
	// Details of faults on our side stay inside; so does an inner error.
	for _, code := range []gateway.Code{gateway.CodeStorage, gateway.CodeInternal, gateway.CodeCentreUnreachable, gateway.CodeOutcomeUnknown, gateway.CodeCentreDown} {
		desk.Err = &gateway.Error{Code: code, Detail: "dial 10.1.2.3", Err: errors.New("10.1.2.3")}
		if w := call(h, "POST", transactPath, body); strings.Contains(w.Body.String(), "10.1.2.3") {
			t.Errorf("%s: %s", code, w.Body)
		}
	}
	if p := problem(t, call(h, "POST", transactPath, []byte("\xc0\xee"))); !strings.Contains(p.Detail, "UTF-8") {
		t.Errorf("GBK is answered with %q", p.Detail)
	}
}

func TestRetryAfter(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, options(desk))
	for _, c := range []struct {
		code gateway.Code
		give time.Duration
		want string
	}{
		{gateway.CodeCentreDown, 1500 * time.Millisecond, "2"}, {gateway.CodeCentreDown, 0, "5"}, {gateway.CodeCentreBusy, -1, "5"},
		{gateway.CodeRateLimited, 0, "1"}, {gateway.CodeRateLimited, time.Hour * 100, "3600"}, {gateway.CodeOutcomeUnknown, 0, "3"}, {gateway.CodeNeedsPerson, 10 * time.Minute, "600"},
		{gateway.CodeRequestInProgress, 0, "1"}, {gateway.CodeRequestInvalid, 0, ""}, {gateway.CodeState, 4 * time.Second, "4"},
	} {
		desk.Err = &gateway.Error{Code: c.code, RetryAfter: c.give}
		if w := call(h, "POST", transactPath, body); w.Header().Get("Retry-After") != c.want {
			t.Errorf("%s %v: Retry-After %q, want %q", c.code, c.give, w.Header().Get("Retry-After"), c.want)
		}
	}
}

func TestUnknownLocation(t *testing.T) {
	for _, c := range []struct{ path, body, ref, want string }{
		{transactPath, histest.TransactBody, "T1", "/api/v1/transactions/T1"},
		{"/api/v1/uploads/4101", histest.TransactBody, "T1", "/api/v1/transactions/T1"},
		{"/api/v1/settlements", histest.BillBody, "B1", "/api/v1/settlements/B1"},
		{"/api/v1/settlements", histest.BillBody, "", ""},
		{"/api/v1/settlements/B7/confirm", histest.ConfirmBody, "T1", "/api/v1/settlements/B7"},
		{"/api/v1/settlements/B7/refund", histest.RefundBody, "", "/api/v1/settlements/B7"},
		{transactPath, histest.TransactBody, "a/../b", ""},
	} {
		desk := &histest.Desk{Err: &gateway.Error{Code: gateway.CodeOutcomeUnknown, Ref: c.ref}}
		w := call(open(t, options(desk)), "POST", c.path, []byte(c.body))
		if w.Code != 202 || w.Header().Get("Location") != c.want {
			t.Errorf("%s %q: %d, Location %q", c.path, c.ref, w.Code, w.Header().Get("Location"))
		}
	}
}

func TestStatuses(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, options(desk))
	bill := call(h, "POST", "/api/v1/settlements", []byte(histest.BillBody))
	if bill.Code != 201 || !strings.HasPrefix(bill.Header().Get("Location"), "/api/v1/settlements/B") {
		t.Fatalf("open: %d %v", bill.Code, bill.Header())
	}
	at := bill.Header().Get("Location")
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", at + "/confirm", histest.ConfirmBody, 200}, {"POST", at + "/refund", histest.RefundBody, 200},
		{"GET", at, "", 200}, {"POST", "/api/v1/uploads/4101", histest.TransactBody, 202},
	} {
		if w := call(h, c.method, c.path, []byte(c.body)); w.Code != c.want {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
	}
}

// countingDesk counts what is open.
type countingDesk struct {
	*histest.Desk
	n gateway.OpenCount
}

func (d countingDesk) Open() gateway.OpenCount { return d.n }

func TestHealth(t *testing.T) {
	desk := &histest.Desk{}
	refused := 0
	o := options(desk)
	o.Refused = func(rest.RefusedCall) { refused++ }
	h := open(t, o)
	if w := call(h, "GET", "/healthz", nil, "Authorization", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"status":"ok"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	counted := options(countingDesk{desk, gateway.OpenCount{Unknown: 2, Parked: 1, Oldest: time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)}})
	if w := call(open(t, counted), "GET", "/healthz", nil, "Authorization", ""); !strings.Contains(w.Body.String(),
		`"open":{"unknown":2,"parked":1,"uploads_parked":0,"oldest":"2026-03-04T08:00:00+08:00"}`) {
		t.Errorf("%s", w.Body)
	}
	for err, code := range map[error]string{
		&gateway.Error{Code: gateway.CodeStorage, Detail: "disk"}: "storage-unavailable", errors.New("disk"): "internal",
	} {
		desk.Err = err
		if w := call(h, "GET", "/healthz", nil, "Authorization", ""); w.Code != 503 || !strings.Contains(w.Body.String(), `"code":"`+code+`"`) || strings.Contains(w.Body.String(), "disk") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if refused > 0 {
		t.Error("a probe was reported as a refused call")
	}
}

// The hook hears of every refused call, and a hook that fails harms nobody.
func TestRefusedHook(t *testing.T) {
	var seen []rest.RefusedCall
	desk := &histest.Desk{}
	o := options(desk)
	o.Refused = func(r rest.RefusedCall) { seen = append(seen, r); panic("the audit is full") }
	h := open(t, o)
	calls := []struct {
		method, path string
		body         []byte
		key          string
		err          error
		want         rest.RefusedCall
	}{
		{"POST", transactPath, body, "", nil, rest.RefusedCall{Route: "/api/v1/transactions/:id", Code: gateway.CodeKeyMissing, Status: 401}},
		{"POST", transactPath, body, "Bearer guess", nil, rest.RefusedCall{Route: "/api/v1/transactions/:id", Code: gateway.CodeKeyWrong, Status: 401}},
		{"GET", "/.env", nil, "", nil, rest.RefusedCall{Code: gateway.CodeNotFound, Status: 404}},
		{"POST", transactPath, histest.Edit(t, histest.TransactBody, "/x", "1"), "Bearer " + histest.Key, nil,
			rest.RefusedCall{Route: "/api/v1/transactions/:id", System: histest.System, RequestID: "R-1", Code: gateway.CodeRequestInvalid, Status: 422, Path: "/x"}},
		{"POST", transactPath, body, "Bearer " + histest.Key, &gateway.Error{Code: gateway.CodeCentreRefused},
			rest.RefusedCall{Route: "/api/v1/transactions/:id", System: histest.System, RequestID: "R-1", Code: gateway.CodeCentreRefused, Status: 422}},
		{"POST", transactPath, body, "Bearer " + histest.Key, &gateway.Error{Code: gateway.CodeOutcomeUnknown}, rest.RefusedCall{}},
		{"POST", transactPath, body, "Bearer " + histest.Key, nil, rest.RefusedCall{}},
	}
	for i, c := range calls {
		seen, desk.Err = nil, c.err
		w := call(h, c.method, c.path, c.body, "Authorization", c.key)
		if c.want.Code == "" {
			if len(seen) > 0 {
				t.Errorf("%d: told of %+v with status %d", i, seen, w.Code)
			}
			continue
		}
		p := problem(t, w)
		c.want.At, c.want.Method, c.want.Reference = histest.At, c.method, p.Reference
		if len(seen) != 1 || seen[0] != c.want {
			t.Errorf("%d: %+v\nwant %+v", i, seen, c.want)
		}
	}
}

// The log names what was called and how it ended, and nobody.
func TestLogNamesNobody(t *testing.T) {
	var log bytes.Buffer
	desk := &histest.Desk{}
	o := options(desk)
	o.Log = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	h := open(t, o)
	call(h, "POST", transactPath, body)
	if line := log.String(); !strings.Contains(line, `"system":"histest-his"`) || !strings.Contains(line, `"request_id":"R-1"`) ||
		!strings.Contains(line, `"route":"/api/v1/transactions/:id"`) || !strings.Contains(line, `"id":"H44010000012202603040506070001"`) {
		t.Errorf("log: %s", line)
	}
	call(h, "POST", "/api/v1/settlements", []byte(histest.BillBody))
	call(h, "POST", "/api/v1/settlements", histest.Edit(t, histest.BillBody, "/李四", "1"))
	call(h, "POST", transactPath, histest.Edit(t, histest.TransactBody, "/request_id", `"李四 999999199001011238"`))
	call(h, "GET", "/李四?name=李四", nil)
	call(h, "GET", "/api/v1/transactions/李四", nil)
	call(h, "李四", "/", nil, "User-Agent", "李四")
	call(h, "POST", transactPath, body, "Authorization", "Bearer guess-李四")
	desk.Err = &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "李四已暂停参保"}
	call(h, "POST", transactPath, body)
	desk.Err, desk.Panic = nil, "李四"
	call(h, "POST", transactPath, body)
	for _, s := range []string{"李四", "999999199001011238", histest.Key, "guess", "暂停"} {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log holds %q:\n%s", s, log.String())
		}
	}
	if n := strings.Count(log.String(), `"msg":"call"`); n != 10 {
		t.Errorf("%d lines for 10 calls", n)
	}
	if !strings.Contains(log.String(), "panic in a call") {
		t.Error("the panic is not in the log")
	}
}

func TestErrorTable(t *testing.T) {
	o := options(&histest.Desk{})
	o.Clock = gatewaytest.NewClock(histest.At)
	var table rest.ErrorTable
	w := call(open(t, o), "GET", "/api/v1/errors", nil, "Authorization", "")
	if err := json.Unmarshal(w.Body.Bytes(), &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Errors) != len(gateway.Codes) {
		t.Errorf("%d codes, want %d", len(table.Errors), len(gateway.Codes))
	}
	for _, e := range table.Errors {
		if want := gateway.Codes[e.Code]; e.Status != want.Status || e.ZH.Title != want.ZH || e.EN.Next != want.NextEN || e.Owner != want.Owner {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

// A system that calls too often is told when to come again; another is not hurt, and nothing reaches the desk.
func TestTooManyCalls(t *testing.T) {
	o := options(&histest.Desk{})
	o.Clients[1].Rate, o.Clients[1].Burst = 0.1, 1
	h := open(t, o)
	const path = "/api/v1/transactions/H44010000001202611230900000001"
	if w := call(h, "GET", path, nil); w.Code == 429 {
		t.Fatal("the first call is refused")
	}
	w := call(h, "GET", path, nil)
	if p := problem(t, w); w.Code != 429 || p.Code != gateway.CodeRateLimited || p.RetryAfter != 10 || w.Header().Get("Retry-After") != "10" {
		t.Fatalf("%d %+v", w.Code, p)
	}
	if w := call(h, "GET", path, nil, "Authorization", "Bearer other-key"); w.Code == 429 {
		t.Fatal("another system pays for it")
	}
	if w := call(h, "GET", "/healthz", nil); w.Code != 200 {
		t.Fatalf("health: %d", w.Code)
	}
}
