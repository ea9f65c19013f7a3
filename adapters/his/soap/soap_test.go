package soap_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"yiqiao/adapters/his/admit"
	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/soap"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func digest(b []byte) [32]byte { return sha256.Sum256(b) }

func value(scope any, text string) string {
	p, err := soap.Notation{}.Compile(text)
	if err != nil {
		panic(err)
	}
	v, _ := p.Value(scope)
	return v
}

// carrier is a mapping for tests: the document holds the operation and the JSON of the body.
type carrier struct{}

func (carrier) Trace(gateway.Source) []gateway.Trace { return nil }

func (carrier) Map(s gateway.Source) (gateway.Mapped, error) {
	o := gateway.Order{Op: gateway.OrderOp(value(s.Scope, "Op")), Infno: ident.Infno(value(s.Scope, "@infno")), ID: value(s.Scope, "/Call/Id")}
	if s.Type != "Call" {
		panic("secret of a patient")
	}
	if body := value(s.Scope, "Body"); body != "" {
		v, err := strictjson.Decode([]byte(body), strictjson.Request())
		if err != nil {
			return gateway.Mapped{}, err
		}
		o.Body, _ = v.(map[string]any)
	}
	return gateway.Mapped{Orders: []gateway.Order{o}, Rule: "carry", Version: "carrier@1"}, nil
}

func open(t testing.TB, desk gateway.Desk) *soap.Handler {
	t.Helper()
	guard, err := admit.New(admit.Options{Digest: digest, Clock: gatewaytest.NewClock(histest.At), Clients: []admit.Client{
		{System: "other", KeyDigest: digest([]byte("other-key")), Institutions: []ident.Institution{"H44010000099"}},
		{System: histest.System, KeyDigest: digest([]byte(histest.Key)), Institutions: []ident.Institution{histest.Institution}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	h, err := soap.New(soap.Options{Desk: desk, Mapper: carrier{}, Guard: guard, Path: "/soap"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func esc(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func document(c histest.Call) string {
	return `<Call infno="` + esc(c.Infno) + `"><Op>` + string(c.Op) + `</Op><Id>` + esc(c.ID) + `</Id><Body>` + esc(string(c.Body)) + `</Body></Call>`
}

func send(h *soap.Handler, key, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/soap", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answer finds the gateway's answer in plain XML, an envelope or a fault.
func answer(t testing.TB, b []byte) *soap.Node {
	t.Helper()
	n, err := soap.Parse(b)
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	for n.Name != "YiqiaoResponse" {
		if len(n.Children) == 0 {
			t.Fatalf("no answer in %s", b)
		}
		n = n.Children[len(n.Children)-1]
	}
	return n
}

func read(t testing.TB, b []byte) histest.Answer {
	s := soap.Source(answer(t, b)).Scope
	at := "Error/"
	if value(s, "Error/Code") == "" {
		at = "Order/Error/"
	}
	a := histest.Answer{Raw: bytes.Clone(b), Outcome: value(s, "Order/Outcome"), ID: value(s, "Order/Id"), Code: gateway.Code(value(s, at+"Code")),
		Path: value(s, at+"Path"), Rule: value(s, at+"Rule"), Detail: value(s, at+"Detail")}
	if at == "Error/" {
		a.Outcome = histest.OutcomeOf(a.Code)
	}
	for i := 1; value(s, fmt.Sprintf("%sFinding[%d]/Code", at, i)) != ""; i++ {
		f := func(n string) string { return value(s, fmt.Sprintf("%sFinding[%d]/%s", at, i, n)) }
		a.Findings = append(a.Findings, check.Finding{Code: f("Code"), Path: f("Path"), Rule: f("Rule"), ZH: f("Text")})
	}
	return a
}

func TestSuite(t *testing.T) {
	for name, wrap := range map[string][2]string{
		"plain":  {"", ""},
		"SOAP11": {`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body>`, `</s:Body></s:Envelope>`},
		"SOAP12": {`<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><Submit xmlns="urn:yiqiao:his">`, `</Submit></e:Body></e:Envelope>`},
	} {
		t.Run(name, func(t *testing.T) {
			histest.Suite(t, func(t *testing.T, desk gateway.Desk) histest.Target {
				h := open(t, desk)
				return histest.Target{Do: func(c histest.Call) histest.Answer {
					return read(t, send(h, c.Key, wrap[0]+document(c)+wrap[1]).Body.Bytes())
				}}
			})
		})
	}
}

func gbk(t testing.TB, s string) string {
	out, err := simplifiedchinese.GB18030.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCharsets(t *testing.T) {
	doc := `<a b="医">张<c>三</c></a>`
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"UTF-8": {doc, true}, "BOM": {"\xef\xbb\xbf" + doc, true}, "declared UTF-8": {`<?xml version="1.0" encoding="utf-8"?>` + doc, true},
		"GBK": {gbk(t, `<?xml version="1.0" encoding="GBK"?>`+doc), true}, "GB18030": {gbk(t, `<?xml version='1.0' encoding='gb18030' ?>`+doc), true},
		"GBK undeclared": {gbk(t, doc), true}, "GBK that says UTF-8": {gbk(t, `<?xml version="1.0" encoding="UTF-8"?>`+doc), false},
		"EBCDIC": {`<?xml version="1.0" encoding="EBCDIC"?>` + doc, false}, "zero": {doc + "\x00", false},
	} {
		n, err := soap.Parse([]byte(c.text))
		if (err == nil) != c.ok || c.ok && (n.Text != "张" || n.Children[0].Text != "三" || n.Attrs[0].Value != "医") {
			t.Errorf("%s: %v %+v", name, err, n)
		}
	}
}

// Bombs and foreign entities are refused before anything is made of them.
func TestHostileXML(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, desk)
	for name, c := range map[string]struct{ text, rule string }{
		"billion laughs":  {`<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "ha"><!ENTITY m "&l;&l;">]><a>&m;</a>`, "xml-doctype"},
		"external entity": {`<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>`, "xml-doctype"},
		"entity":          {`<a>&xxe;</a>`, "xml-syntax 1"},
		"deep":            {strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100), "xml-limits"},
		"many":            {"<a>" + strings.Repeat("<b/>", 300_000) + "</a>", "xml-limits"},
		"half":            {"<a><b>", "xml-syntax 1"},
		"two roots":       {"<a/><b/>", "xml-syntax"},
		"text behind":     {"<a/>x", "xml-syntax"},
		"nothing":         {"", "xml-syntax"},
		"empty body":      {`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`, "soap-body"},
		"no body":         {`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"/>`, "soap-body"},
	} {
		w := send(h, histest.Key, c.text)
		if a := read(t, w.Body.Bytes()); a.Code != gateway.CodeMessage || a.Rule != c.rule {
			t.Errorf("%s: %s %s", name, a.Code, a.Rule)
		}
	}
	if n := len(desk.Calls()); n > 0 {
		t.Errorf("the desk was asked %d times", n)
	}
	if a := read(t, send(h, histest.Key, strings.Repeat(" ", 9<<20)).Body.Bytes()); a.Code != gateway.CodeBodyTooLarge {
		t.Errorf("%s", a.Code)
	}
	if a := read(t, send(h, histest.Key, "<Other/>").Body.Bytes()); a.Code != gateway.CodeInternal || strings.Contains(string(a.Raw), "secret") {
		t.Errorf("a panic in the mapping: %s", a.Raw)
	}
}

func TestFaults(t *testing.T) {
	h := open(t, &histest.Desk{})
	w := send(h, histest.Key, `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>`)
	if w.Code != 500 || !strings.Contains(w.Body.String(), "<faultcode>soap:Client</faultcode>") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = send(h, histest.Key, `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`)
	if w.Code != 400 || !strings.Contains(w.Body.String(), "<soap:Value>soap:Sender</soap:Value>") || !strings.HasPrefix(w.Header().Get("Content-Type"), "application/soap+xml") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// XML in a string parameter, as many clients send it, and the key behind the path.
func TestTextPayload(t *testing.T) {
	desk := &histest.Desk{}
	h := open(t, desk)
	call := histest.Call{Op: histest.OpOpen, Body: []byte(histest.BillBody)}
	body := `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><x:Invoke xmlns:x="u"><x:arg>` + esc(document(call)) + `</x:arg></x:Invoke></s:Body></s:Envelope>`
	r := httptest.NewRequest("POST", "/soap/"+histest.Key, strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if a := read(t, w.Body.Bytes()); a.Outcome != "done" {
		t.Errorf("%s", a.Raw)
	}
}

func TestWSDL(t *testing.T) {
	r := httptest.NewRequest("GET", "/soap?wsdl", nil)
	r.Host = `gw"><x`
	w := httptest.NewRecorder()
	open(t, &histest.Desk{}).ServeHTTP(w, r)
	if n, err := soap.Parse(w.Body.Bytes()); err != nil || n.Name != "definitions" {
		t.Errorf("%v %s", err, w.Body)
	}
}

func TestPaths(t *testing.T) {
	n, err := soap.Parse([]byte(`<Bill no="7"><Id type="MR">1</Id><Id type="NI">2</Id><Fee c="x"><Code>A</Code></Fee><Fee><Code>B</Code><Code>C</Code></Fee></Bill>`))
	if err != nil {
		t.Fatal(err)
	}
	s := soap.Source(n)
	for path, want := range map[string]string{"@no": "7", "Id": "1", "Id[@type='NI']": "2", "Id[2]": "2", "Fee/@c": "x", "Fee[2]/Code": "B", "/Bill/@no": "7", "/Other/@no": "", "Fee/None": "", ".": ""} {
		if got := value(s.Scope, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	p, err := soap.Notation{}.Compile("Fee")
	if err != nil {
		t.Fatal(err)
	}
	rows := p.Each(s.Scope)
	q, err := soap.Notation{}.Compile("Code")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || fmt.Sprint(q.All(rows[1])) != "[B C]" || value(rows[1], "/Bill/@no") != "7" {
		t.Errorf("%v", rows)
	}
	for _, bad := range []string{"", "//Id", "Id[0]", "Id[x]", "a/@b/c", "@", "a b", "/"} {
		if _, err := (soap.Notation{}).Compile(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0" encoding="GBK"?><a b="c">x</a>`), "b/@c")
	f.Add([]byte(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><a>&lt;b/&gt;</a></s:Body></s:Envelope>`), "a[2]")
	f.Fuzz(func(t *testing.T, b []byte, at string) {
		s, err := soap.Read(b)
		var bad *soap.Error
		if err != nil {
			if !errors.As(err, &bad) {
				t.Errorf("%v", err)
			}
			return
		}
		if p, err := (soap.Notation{}).Compile(at); err == nil {
			p.Value(s.Scope)
			p.All(s.Scope)
			p.Each(s.Scope)
		}
	})
}
