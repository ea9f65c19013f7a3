package centre

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

func testMultipart() *Multipart {
	return &Multipart{Infno: "9101", Node: "fsUploadIn", Member: "in", Name: "filename", FileField: "file", MessageField: "data"}
}

// The file travels in a part of its own, byte for byte, in whichever form it was given; everything
// else travels as ever.
func TestMultipart(t *testing.T) {
	none, _ := pair(t, "none")
	got := map[string]string{}
	var names []string
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clear(got)
		names = nil
		media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil {
			t.Error(err)
		}
		got["media"] = media
		if media == "multipart/form-data" {
			for f := multipart.NewReader(r.Body, params["boundary"]); ; {
				p, err := f.NextPart()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Error(err)
					break
				}
				b, err := io.ReadAll(p)
				if err != nil {
					t.Error(err)
				}
				got[p.FormName()], names = string(b), append(names, p.FileName())
			}
		}
		w.Write(replyText("0", "", "M1"))
	}))
	o := options(t, srv.URL, gatewaytest.NewClock(t0))
	o.Profile, o.Multipart, o.ContentType = none, testMultipart(), "text/plain"
	c := newClient(t, o)
	send := func(m gateway.Message) {
		t.Helper()
		p, err := c.Admit(t.Context(), m.Infno)
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Seal(m)
		if err != nil {
			t.Fatal(err)
		}
		want(t, p.Send(t.Context(), s), done, gateway.CauseNone)
	}
	file := []byte("\x00\x7f\x80\xff\r\n--x")
	for name, in := range map[string]string{
		"base64":     `"` + base64.StdEncoding.EncodeToString(file) + `"`,
		"int8array":  `[0,127,-128,-1,13,10,45,45,120]`,
		"uint8array": `[0,127,128,255,13,10,45,45,120]`,
	} {
		send(gateway.Message{Infno: "9101", MsgID: "M1", Limit: "file", Body: []byte(`{"infno":"9101","input":{"fsUploadIn":{"filename":"a.zip","in":` + in + `}}}`)})
		if got["file"] != string(file) || got["data"] != `{"infno":"9101","input":{"fsUploadIn":{"filename":"a.zip"}}}` || strings.Join(names, ",") != ",a.zip" {
			t.Errorf("%s: %q %q", name, got, names)
		}
	}
	send(gateway.Message{Infno: "1101", MsgID: "M1", Limit: "query", Body: []byte(`{"infno":"1101"}`)})
	if got["media"] != "text/plain" {
		t.Error(got)
	}
	for name, in := range map[string]string{
		"no file": `{"filename":"a"}`, "no name": `{"in":"AAAA"}`, "empty": `{"filename":"a","in":""}`, "no base64": `{"filename":"a","in":"*"}`, "no bytes": `{"filename":"a","in":[256]}`,
		"a header in the name": `{"filename":"a\"\r\nX-Evil: 1","in":"AAAA"}`, "a path": `{"filename":"../a","in":"AAAA"}`, "a list": `[]`,
	} {
		if _, err := testMultipart().build(rand.Reader, []byte(`{"input":{"fsUploadIn":`+in+`}}`)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, spoil := range []func(*Multipart){func(m *Multipart) { m.FileField = "data" }, func(m *Multipart) { m.FileField = "a\"b" }, func(m *Multipart) { m.Node = "" }} {
		o.Multipart = testMultipart()
		spoil(o.Multipart)
		if _, err := New(o); err == nil {
			t.Errorf("%+v", o.Multipart)
		}
	}
}

func FuzzMultipart(f *testing.F) {
	f.Add([]byte(`{"input":{"fsUploadIn":{"filename":"a.zip","in":"AAAA"}}}`))
	f.Add([]byte(`{"input":{"fsUploadIn":{"filename":"a.zip","in":[1,-1]}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := testMultipart().build(bytes.NewReader(make([]byte, 16)), body)
		if err != nil {
			return
		}
		_, params, err := mime.ParseMediaType(s.ContentType)
		if err != nil {
			t.Fatal(err)
		}
		form, err := multipart.NewReader(bytes.NewReader(s.Body), params["boundary"]).ReadForm(1 << 20)
		if err != nil || len(form.File["file"]) != 1 || len(form.Value["data"]) != 1 {
			return // a file that holds the boundary, which is random everywhere but here
		}
	})
}
