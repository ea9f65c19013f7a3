package centre

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// The same nonce and the same sealed bytes are taken once, whoever sends them again.
func TestRepeatedMessagesAreRefused(t *testing.T) {
	hospital, centre, _ := parties(t)
	tif, err := envelope.NewTransport("tif", envelope.TransportConfig{PaasID: "test", Token: "test-token"})
	if err != nil {
		t.Fatal(err)
	}
	now := noon()
	d := newDesk(t, Options{Profile: centre, Transport: tif, Skew: time.Minute, Now: func() time.Time { return now }, Rand: rand.NewChaCha8([32]byte{3})})
	p := someone(t, people.Active)
	seeded := rand.NewChaCha8([32]byte{4})
	seal := func() []byte {
		body, err := wire.EncodeRequest(d.request("1101", d.msgid(), "", object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}}))
		if err != nil {
			t.Fatal(err)
		}
		s, err := hospital.Seal(seeded, now, body)
		if err != nil {
			t.Fatal(err)
		}
		return s.Body
	}
	headers := func() http.Header {
		h := http.Header{}
		if err := tif.Stamp(seeded, now, h, nil); err != nil {
			t.Fatal(err)
		}
		return h
	}
	post := func(h http.Header, body []byte) (int, string) {
		r := httptest.NewRequest(http.MethodPost, "/1101", bytes.NewReader(body))
		r.Header = h.Clone()
		w := httptest.NewRecorder()
		d.c.Handler().ServeHTTP(w, r)
		_, head, err := hospital.OpenReply(w.Body.Bytes())
		if err != nil {
			return w.Code, "-"
		}
		return w.Code, head.Code
	}
	h, body := headers(), seal()
	if status, code := post(h, body); status != http.StatusOK || code != "0" {
		t.Fatalf("%d %s", status, code)
	}
	if status, _ := post(h, seal()); status != http.StatusUnauthorized {
		t.Errorf("a nonce was taken twice: %d", status)
	}
	if status, code := post(headers(), body); status != http.StatusOK || code == "0" {
		t.Errorf("a message was taken twice: %d %s", status, code)
	}
	other := seal()
	swapped := bytes.Replace(body, []byte(member(body, "encData")), []byte(member(other, "encData")), 1)
	if _, code := post(headers(), swapped); code == "0" {
		t.Error("one message's words under another's signature were taken")
	}
	if status, code := post(headers(), other); status != http.StatusOK || code != "0" {
		t.Errorf("the next message: %d %s", status, code)
	}
	if n := len(d.c.Calls()); n != 2 {
		t.Errorf("%d calls reached the business", n)
	}
}

func member(body []byte, name string) string {
	_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func TestMemoryForgets(t *testing.T) {
	var m memory
	now := noon()
	if m.again([32]byte{1}, now, time.Minute) || !m.again([32]byte{1}, now.Add(2*time.Minute), time.Minute) {
		t.Error("not remembered")
	}
	if m.again([32]byte{1}, now.Add(3*time.Minute), time.Minute) {
		t.Error("remembered longer than anybody could send it")
	}
	for i := range 1000 {
		m.again([32]byte{2, byte(i), byte(i >> 8)}, now.Add(time.Duration(i)*time.Minute), time.Minute)
	}
	if len(m.seen) > 10 {
		t.Errorf("%d are kept", len(m.seen))
	}
}

func TestIssuer(t *testing.T) {
	now := noon()
	i := NewIssuer(IssuerOptions{ClientID: "app", ClientSecret: "s", Username: "u", Password: "p", Life: time.Hour, Now: func() time.Time { return now }})
	ask := func(method, id, secret, body string) (int, string) {
		r := httptest.NewRequest(method, TokenPath, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(id, secret)
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		v, err := strictjson.Decode(w.Body.Bytes(), strictjson.Request())
		if err != nil {
			t.Fatal(err)
		}
		o, _ := v.(object)
		return w.Code, text(o, "access_token")
	}
	form := url.Values{"grant_type": {"password"}, "username": {"u"}, "password": {"p"}}.Encode()
	status, token := ask(http.MethodPost, "app", "s", form)
	if status != http.StatusOK || token == "" || !i.Accept(token, now) || !i.Accept(token, now.Add(time.Hour-1)) || i.Accept(token, now.Add(time.Hour)) || i.Accept("", now) || i.Accept(token+"x", now) {
		t.Errorf("%d %q", status, token)
	}
	for name, c := range map[string][4]string{
		"GET": {http.MethodGet, "app", "s", form}, "another client": {"POST", "x", "s", form}, "wrong secret": {"POST", "app", "x", form},
		"wrong password": {"POST", "app", "s", "grant_type=password&username=u&password=x"}, "no user": {"POST", "app", "s", "grant_type=client_credentials"},
		"no grant": {"POST", "app", "s", ""}, "no form": {"POST", "app", "s", "%zz"},
	} {
		if status, token := ask(c[0], c[1], c[2], c[3]); status == http.StatusOK || token != "" {
			t.Errorf("%s: %d %q", name, status, token)
		}
	}
	i.Revoke()
	if i.Accept(token, now) {
		t.Error("a revoked token is good")
	}
}

func form(parts ...string) (string, []byte) {
	var b strings.Builder
	for i := 0; i < len(parts); i += 2 {
		b.WriteString("--B\r\nContent-Disposition: form-data; name=\"" + parts[i] + "\"\r\n\r\n" + parts[i+1] + "\r\n")
	}
	return `multipart/form-data; boundary=B`, []byte(b.String() + "--B--\r\n")
}

// A file of 9101 in a part of its own is taken where there is no envelope, and never goes around one.
func TestFileAsForm(t *testing.T) {
	_, centre, _ := parties(t)
	for _, k := range []struct {
		name, region string
		sealed       bool
		parts        []string
		ok           bool
	}{
		{"taken", "", false, []string{"data", "%", "file", "hello"}, true},
		{"wanted", formMultipart, false, []string{"data", "%", "file", "hello"}, true},
		{"not wanted", formBase64, false, []string{"data", "%", "file", "hello"}, false},
		{"around the envelope", "", true, []string{"data", "%", "file", "hello"}, false},
		{"no file", "", false, []string{"data", "%"}, false},
		{"an empty file", "", false, []string{"data", "%", "file", ""}, false},
		{"no message", "", false, []string{"file", "hello"}, false},
		{"a part twice", "", false, []string{"data", "%", "file", "hello", "file", "x"}, false},
		{"in the message", formMultipart, false, nil, false},
	} {
		o := Options{Region: Region{FileForm: k.region}}
		if k.sealed {
			o.Profile = centre
		}
		d := newDesk(t, o)
		place := people.Institutions()[0].Code
		in := object{"fsUploadIn": object{"filename": "a.txt", "fixmedins_code": place}}
		contentType := "application/json"
		if k.parts == nil {
			in["fsUploadIn"].(object)["in"] = "aGVsbG8="
		}
		body, err := wire.EncodeRequest(d.request("9101", d.msgid(), "", in))
		if err != nil {
			t.Fatal(err)
		}
		if k.parts != nil {
			list := append([]string(nil), k.parts...)
			for i := range list {
				if list[i] == "%" {
					list[i] = string(body)
				}
			}
			contentType, body = form(list...)
		}
		r := httptest.NewRequest(http.MethodPost, "/9101", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		d.c.Handler().ServeHTTP(w, r)
		if ok := strings.Contains(w.Body.String(), `"infcode":0`); ok != k.ok {
			t.Errorf("%s: %s", k.name, w.Body)
		}
	}
}

func FuzzForm(f *testing.F) {
	kind, body := form("data", `{"input":{"fsUploadIn":{}}}`, "file", "x")
	f.Add(kind, body)
	f.Fuzz(func(t *testing.T, kind string, body []byte) {
		message, ok, err := joinForm(kind, body)
		if ok && err == nil && len(message) == 0 {
			t.Fatal("no message")
		}
	})
}
