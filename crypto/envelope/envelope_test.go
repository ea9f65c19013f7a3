package envelope

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/sm"
)

const (
	testID     = "TESTAPP000000000000000000000000A"
	testSecret = "TESTSECRET-0123456789-ABCDEFGHIJ"
)

// moment is 2023-11-14 22:13:20.123 UTC.
func moment() time.Time { return time.UnixMilli(1700000000123) }

// desk is both ends of a line: hospital and centre.
type desk struct {
	hospital, centre *sm.PrivateKey
	request, reply   Profile
	party, platform  Party
	p                sm.Provider
}

func newKey(t testing.TB) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// fixedKey is the same in every process, so that fuzz workers agree.
func fixedKey(t testing.TB, name string) *sm.PrivateKey {
	t.Helper()
	k, err := sm.GenerateKey(strings.NewReader(strings.Repeat(name, 40)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newDesk(t testing.TB, provider, profile string) *desk {
	t.Helper()
	p, err := sm.New(provider)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{hospital: fixedKey(t, "hospital"), centre: fixedKey(t, "centre"), p: p}
	d.party = Party{AppID: testID, AppSecret: testSecret, UID: sm.DefaultUID, Sign: d.hospital, Verify: []*sm.PublicKey{d.centre.Public()}}
	d.platform = Party{AppID: testID, AppSecret: testSecret, Sign: d.centre, Verify: []*sm.PublicKey{d.hospital.Public()}}
	if d.request, err = New(profile, d.party, Options{Provider: p}); err != nil {
		t.Fatal(err)
	}
	if d.reply, err = New(profile, d.platform, Options{Provider: p}); err != nil {
		t.Fatal(err)
	}
	return d
}

// message builds a message by hand: members as given, data encrypted, the whole signed by key.
func (d *desk) message(t testing.TB, key *sm.PrivateKey, members map[string]any, plain string, signed string) []byte {
	t.Helper()
	secret, err := DeriveKey(d.p, testID, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := d.p.Sign(rand.Reader, key, []byte(sm.DefaultUID), []byte(signed))
	if err != nil {
		t.Fatal(err)
	}
	enc, err := sm.ECBEncrypt(d.p, secret, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]any{
		"encData": strings.ToUpper(hex.EncodeToString(enc)), "signData": base64.StdEncoding.EncodeToString(sig[:]),
	}
	for k, v := range members {
		if v == "-" {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (d *desk) usual() map[string]any {
	return map[string]any{"appId": testID, "version": "2.0.1", "encType": "SM4", "signType": "SM2", "timestamp": "1700000000123"}
}

const usualEnd = "&encType=SM4&signType=SM2&timestamp=1700000000123&version=2.0.1&key=" + testSecret

func code(err error) string {
	var f *Fault
	if errors.As(err, &f) {
		return f.Code
	}
	var r *Refusal
	if errors.As(err, &r) {
		return "refused:" + r.Code
	}
	return fmt.Sprint(err)
}

func TestRoundTrip(t *testing.T) {
	for _, provider := range sm.Names() {
		for _, profile := range []string{"mpc", "epc"} {
			d := newDesk(t, provider, profile)
			for _, data := range []string{
				`{}`, `{"a":"1"}`, "{ \"b\" : [ {\"x\":1.10} , \"y\" ],\n\t\"a\":{\"n\":null,\"e\":\"\",\"l\":[]} }",
				`{"姓名":"测试甲","emoji":"😀","html":"<b>&'\"\\\/</b>","u":"\u4e2d\u0001\u007f"}`,
				`{"big":"` + strings.Repeat("数据", 3000) + `"}`,
			} {
				sealed, err := d.request.Seal(rand.Reader, moment(), []byte(data))
				if err != nil {
					t.Fatal(data, err)
				}
				if sealed.ContentType != "application/json" {
					t.Error(sealed.ContentType)
				}
				got, head, err := d.reply.Open(sealed.Body)
				if err != nil || string(got) != data {
					t.Fatalf("%s %s: %q came back as %q: %v", provider, profile, data, got, err)
				}
				version := map[string]string{"mpc": "2.0.1", "epc": "1.0.0"}[profile]
				if head != (Head{AppID: testID, Timestamp: "1700000000123", Version: version}) {
					t.Errorf("%+v", head)
				}
				// Nobody else opens it, and the sender's own key does not either.
				if _, _, err := d.request.Open(sealed.Body); code(err) != "signature" {
					t.Error(err)
				}
				sealed, err = d.reply.SealReply(rand.Reader, moment(), "0", "成功 & <ok>", []byte(data))
				if err != nil {
					t.Fatal(err)
				}
				got, head, err = d.request.OpenReply(sealed.Body)
				if err != nil || string(got) != data || head.Code != "0" || head.Message != "成功 & <ok>" {
					t.Fatalf("reply: %+v %v", head, err)
				}
			}
		}
	}
}

func TestMessageOnTheWire(t *testing.T) {
	d := newDesk(t, "", "mpc")
	sealed, err := d.request.Seal(rand.Reader, moment(), []byte(`{"b":1,"a":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"appId":"` + testID + `","version":"2.0.1","encType":"SM4","signType":"SM2","timestamp":"1700000000123","encData":"`
	if !strings.HasPrefix(string(sealed.Body), want) {
		t.Errorf("%s", sealed.Body)
	}
	p, err := New("mpc", d.party, Options{Version: "1.2", TransType: "ec.query"})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err = p.Seal(rand.Reader, moment(), []byte(`{}`))
	if err != nil || !bytes.Contains(sealed.Body, []byte(`"version":"1.2"`)) || !bytes.Contains(sealed.Body, []byte(`"transType":"ec.query"`)) {
		t.Errorf("%s %v", sealed.Body, err)
	}
	if _, head, err := d.reply.Open(sealed.Body); err != nil || head.TransType != "ec.query" || head.Version != "1.2" {
		t.Error(head, err)
	}
}

func TestReplies(t *testing.T) {
	d := newDesk(t, "", "mpc")
	// A signed refusal, with data and without.
	for _, data := range []string{"", `{"why":"x"}`} {
		var plain []byte
		if data != "" {
			plain = []byte(data)
		}
		sealed, err := d.reply.SealReply(rand.Reader, moment(), "40001", "no", plain)
		if err != nil {
			t.Fatal(err)
		}
		got, head, err := d.request.OpenReply(sealed.Body)
		if err != nil || string(got) != data || (got == nil) != (data == "") || head.Code != "40001" || head.Message != "no" {
			t.Errorf("%q %+v %v", got, head, err)
		}
	}
	if s, err := d.reply.SealReply(rand.Reader, moment(), "E01", "no", nil); err != nil || !bytes.Contains(s.Body, []byte(`"code":"E01"`)) {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`{"code":500,"message":"busy","appId":"` + testID + `"}`:    "unsigned-error",
		`{"code":"500","message":"busy","signData":""}`:             "unsigned-error",
		`{"code":-1,"encData":"00","signData":null}`:                "unsigned-error",
		`{"code":0,"message":"ok"}`:                                 "unsigned",
		`{"code":"0","encData":"00"}`:                               "unsigned",
		`{"message":"ok"}`:                                          "member",
		`{"code":null}`:                                             "member",
		`{"code":""}`:                                               "member",
		`{"code":true}`:                                             "member",
		`{"code":1,"appId":"someone else"}`:                         "appid",
		`{"code":1,"encType":"AES"}`:                                "enctype",
		`{"code":1,"signType":"RSA"}`:                               "signtype",
		`{"code":1,"timestamp":"now"}`:                              "timestamp",
		`{"code":1,"data":{"a":1}}`:                                 "member",
		`{"code":1,"signData":5}`:                                   "member",
		`{"code":1,"encData":5}`:                                    "member",
		`{"code":1,"message":{}}`:                                   "member",
		`{"code":1,"signData":"AAAA"}`:                              "signature-length",
		`{"code":1,"signData":"A A="}`:                              "base64",
		`{"code":1,"signData":"` + strings.Repeat("A", 85) + `=="}`: "base64",
		`{"code":1,"signData":"` + strings.Repeat("A", 86) + `=="}`: "signature",
		`<html>`:                      "json",
		`{"code":1,"code":2}`:         "duplicate",
		`{"code":1} x`:                "trailing",
		"{\"code\":1,\"m\":\"\xff\"}": "utf8",
		`[1]`:                         "member",
		``:                            "json",
		`{"code":1,"x&y":"1"}`:        "member",
		`{"code":1,"x=y":"1"}`:        "member",
	} {
		data, head, err := d.request.OpenReply([]byte(text))
		if code(err) != want || !errors.Is(err, ErrOpen) || data != nil {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
		if want == "unsigned-error" {
			if head.Code == "" || head.Code == "0" {
				t.Errorf("%s: head %+v", text, head)
			}
		} else if head != (Head{}) {
			t.Errorf("%s: head of an untrusted message: %+v", text, head)
		}
	}
	// An old middle platform leaves appId and the types out.
	body := d.message(t, d.centre, map[string]any{"code": 0}, `{"a":1}`, `code=0&data={"a":"1"}&key=`+testSecret)
	if data, head, err := d.request.OpenReply(body); err != nil || string(data) != `{"a":1}` || head.Code != "0" {
		t.Error(err)
	}
}

func TestOpenRefusals(t *testing.T) {
	d := newDesk(t, "", "mpc")
	open := func(change map[string]any, plain, data string) error {
		t.Helper()
		m := d.usual()
		for k, v := range change {
			m[k] = v
		}
		signed := "appId=" + testID + "&data=" + data + usualEnd
		got, head, err := d.reply.Open(d.message(t, d.hospital, m, plain, signed))
		if err != nil && (got != nil || head != (Head{}) || !errors.Is(err, ErrOpen)) {
			t.Errorf("%v: a refused message gives %q %+v", err, got, head)
		}
		return err
	}
	if err := open(nil, `{"a":1}`, `{"a":"1"}`); err != nil {
		t.Fatal(err)
	}
	// Members that the platform does not sign or does not care about.
	for _, m := range []map[string]any{
		{"extra": map[string]any{"a": 1}}, {"empty": ""}, {"none": nil}, {"list": []any{}}, {"transType": ""},
	} {
		if err := open(m, `{"a":1}`, `{"a":"1"}`); err != nil {
			t.Errorf("%v: %v", m, err)
		}
	}
	for _, c := range []struct {
		change      map[string]any
		plain, data string
		want        string
	}{
		{map[string]any{"appId": "TESTAPP000000000000000000000000B"}, `{"a":1}`, `{"a":"1"}`, "appid"},
		{map[string]any{"appId": "-"}, `{"a":1}`, `{"a":"1"}`, "appid"},
		{map[string]any{"appId": 5}, `{"a":1}`, `{"a":"1"}`, "member"},
		{map[string]any{"encType": "AES"}, `{"a":1}`, `{"a":"1"}`, "enctype"},
		{map[string]any{"encType": "-"}, `{"a":1}`, `{"a":"1"}`, "enctype"},
		{map[string]any{"signType": "-"}, `{"a":1}`, `{"a":"1"}`, "signtype"},
		{map[string]any{"timestamp": "-"}, `{"a":1}`, `{"a":"1"}`, "timestamp"},
		{map[string]any{"timestamp": "170000000012"}, `{"a":1}`, `{"a":"1"}`, "timestamp"},
		{map[string]any{"timestamp": "17000000001234x"}, `{"a":1}`, `{"a":"1"}`, "timestamp"},
		{map[string]any{"timestamp": "1700000000124"}, `{"a":1}`, `{"a":"1"}`, "signature"},
		{map[string]any{"version": "2.0.2"}, `{"a":1}`, `{"a":"1"}`, "signature"},
		{map[string]any{"more": "x"}, `{"a":1}`, `{"a":"1"}`, "signature"},
		{map[string]any{"encType": "sm4"}, `{"a":1}`, `{"a":"1"}`, "signature"},
		{map[string]any{"data": map[string]any{"a": 1}}, `{"a":1}`, `{"a":"1"}`, "member"},
		{map[string]any{"encData": "-"}, `{"a":1}`, `{"a":"1"}`, "member"},
		{map[string]any{"signData": "-"}, `{"a":1}`, `{"a":"1"}`, "member"},
		{map[string]any{"encData": "0"}, `{"a":1}`, `{"a":"1"}`, "hex"},
		{map[string]any{"encData": "zz"}, `{"a":1}`, `{"a":"1"}`, "hex"},
		{map[string]any{"encData": ""}, `{"a":1}`, `{"a":"1"}`, "length"},
		{map[string]any{"encData": "00"}, `{"a":1}`, `{"a":"1"}`, "length"},
		{map[string]any{"encData": strings.Repeat("00", 16)}, `{"a":1}`, `{"a":"1"}`, "padding"},
		{nil, `{"a":2}`, `{"a":"1"}`, "signature"},
		{nil, `{"a":1} `, `{"a":"2"}`, "signature"},
		{nil, `{"a":1,"a":2}`, `{"a":"2"}`, "data-duplicate"},
		{nil, `{"a":1}{}`, `{"a":"1"}`, "data-trailing"},
		{nil, "{\"a\":\"\xff\"}", `{"a":"x"}`, "data-utf8"},
		{nil, `{"a":"\ud800"}`, `{"a":"x"}`, "data-utf8"},
		{nil, `a`, `a`, "data-json"},
		{nil, ``, ``, "data-json"},
		{nil, `"text"`, `text`, "data"},
		{nil, `null`, ``, "data"},
		{nil, `[]`, ``, "data"},
		{nil, `5`, `5`, "data"},
		{nil, `{"a":["x",null]}`, `{"a":["x"]}`, "array-item"},
		{nil, `{"a":[""]}`, `{"a":[]}`, "array-item"},
		{nil, `{"a":[[]]}`, `{"a":[]}`, "array-item"},
	} {
		if err := open(c.change, c.plain, c.data); code(err) != c.want {
			t.Errorf("%v %s: got %v, want %s", c.change, c.plain, err, c.want)
		}
	}
	// Lower-case hex and types are accepted where they were signed so.
	m := d.usual()
	m["encType"], m["signType"] = "sm4", "sm2"
	body := d.message(t, d.hospital, m, `{"a":1}`, "appId="+testID+`&data={"a":"1"}&encType=sm4&signType=sm2&timestamp=1700000000123&version=2.0.1&key=`+testSecret)
	if _, _, err := d.reply.Open(bytes.Replace(body, []byte("encData"), []byte("encData"), 1)); err != nil {
		t.Error(err)
	}
	i := bytes.Index(body, []byte(`"encData":"`)) + len(`"encData":"`)
	j := i + bytes.IndexByte(body[i:], '"')
	copy(body[i:j], bytes.ToLower(body[i:j]))
	if _, _, err := d.reply.Open(body); err != nil {
		t.Error("lower-case hex:", err)
	}
}

func TestEmptyItemsOnReceipt(t *testing.T) {
	d := newDesk(t, "", "mpc")
	loose, err := New("mpc", d.platform, Options{DropEmptyItems: true})
	if err != nil {
		t.Fatal(err)
	}
	body := d.message(t, d.hospital, d.usual(), `{"a":["x",null,"",[],"y"]}`, "appId="+testID+`&data={"a":["x","y"]}`+usualEnd)
	if data, _, err := loose.Open(body); err != nil || string(data) != `{"a":["x",null,"",[],"y"]}` {
		t.Error(err)
	}
	if _, _, err := d.reply.Open(body); code(err) != "array-item" {
		t.Error(err)
	}
}

func TestKeyChange(t *testing.T) {
	d := newDesk(t, "", "mpc")
	next := newKey(t)
	sealed, err := d.reply.SealReply(rand.Reader, moment(), "0", "ok", []byte(`{"a":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		keys []*sm.PublicKey
		good bool
	}{
		"before": {[]*sm.PublicKey{d.centre.Public()}, true},
		"during": {[]*sm.PublicKey{next.Public(), d.centre.Public()}, true},
		"after":  {[]*sm.PublicKey{next.Public()}, false},
	} {
		party := d.party
		party.Verify = c.keys
		p, err := New("mpc", party, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.OpenReply(sealed.Body); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	uid := d.party
	uid.UID = "another"
	p, err := New("mpc", uid, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.OpenReply(sealed.Body); code(err) != "signature" {
		t.Error("the user id does not count")
	}
}

func TestSealRefusals(t *testing.T) {
	d := newDesk(t, "", "mpc")
	for data, want := range map[string]string{
		``: "json", `x`: "json", `{"a":1} x`: "json", `{"a":1,"a":1}`: "json", "{\"a\":\"\xff\"}": "json", `{"a":"\udc00"}`: "json",
		`[]`: "data", `"x"`: "data", `5`: "data", `null`: "data",
		`{"a":1e2}`: "exponent", `{"a":1E+3}`: "exponent",
		`{"a":[null]}`: "array-item", `{"a":[{"b":[""]}]}`: "array-item", `{"a":[[]]}`: "array-item",
		"{\"a\":\"x\u2028\"}": "line-separator", `{"a":{"\u2029":"x"}}`: "line-separator",
	} {
		if s, err := d.request.Seal(rand.Reader, moment(), []byte(data)); code(err) != "refused:"+want || !errors.Is(err, ErrSeal) || s.Body != nil {
			t.Errorf("%s: %v, want %s", data, err, want)
		}
	}
	if _, err := d.request.Seal(rand.Reader, moment(), []byte("{\"a\":\"\u2027\u2030\u2010\"}")); err != nil {
		t.Error("a neighbour of the separators is refused:", err)
	}
	for _, r := range []io.Reader{nil, strings.NewReader("")} {
		if _, err := d.request.Seal(r, moment(), []byte(`{}`)); code(err) != "refused:random" || !errors.Is(err, sm.ErrRandom) {
			t.Error(err)
		}
	}
	for _, now := range []time.Time{{}, time.UnixMilli(999999999999), time.UnixMilli(-1), time.UnixMilli(10000000000000)} {
		if _, err := d.request.Seal(rand.Reader, now, []byte(`{}`)); code(err) != "refused:member" {
			t.Error(now, err)
		}
	}
	for _, c := range [][3]string{{"", "m", "{}"}, {"1\xff", "m", "{}"}, {"1", "\u2028", "{}"}, {"1", "\xff", "{}"}} {
		if _, err := d.reply.SealReply(rand.Reader, moment(), c[0], c[1], []byte(c[2])); code(err) != "refused:member" {
			t.Error(c, err)
		}
	}
	if _, err := d.reply.SealReply(rand.Reader, moment(), "0", "", nil); code(err) != "refused:data" {
		t.Error(err)
	}
	if _, err := d.request.Seal(rand.Reader, moment(), nil); err == nil {
		t.Error("a request without data is sealed")
	}
}

func TestConfiguration(t *testing.T) {
	d := newDesk(t, "", "mpc")
	for name, change := range map[string]func(p *Party, o *Options){
		"short id":    func(p *Party, _ *Options) { p.AppID = "123456789012345" },
		"wide id":     func(p *Party, _ *Options) { p.AppID = "应用应用应用应用应用" },
		"spaced id":   func(p *Party, _ *Options) { p.AppID = "1234567890123456 " },
		"no secret":   func(p *Party, _ *Options) { p.AppSecret = "" },
		"bad secret":  func(p *Party, _ *Options) { p.AppSecret = "\xff" },
		"no key":      func(p *Party, _ *Options) { p.Sign = nil },
		"zero key":    func(p *Party, _ *Options) { p.Sign = &sm.PrivateKey{} },
		"no peer":     func(p *Party, _ *Options) { p.Verify = nil },
		"nil peer":    func(p *Party, _ *Options) { p.Verify = []*sm.PublicKey{nil} },
		"zero peer":   func(p *Party, _ *Options) { p.Verify = []*sm.PublicKey{{}} },
		"long uid":    func(p *Party, _ *Options) { p.UID = strings.Repeat("x", 8192) },
		"bad version": func(_ *Party, o *Options) { o.Version = "\u2028" },
		"bad trans":   func(_ *Party, o *Options) { o.TransType = "\xff" },
	} {
		p, o := d.party, Options{}
		change(&p, &o)
		if got, err := New("mpc", p, o); !errors.Is(err, ErrConfig) || got != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), testSecret) {
			t.Error("the error holds the secret")
		}
	}
	if _, err := New("web-hall", d.party, Options{}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	// The caller may reuse its slice.
	keys := []*sm.PublicKey{d.centre.Public()}
	party := d.party
	party.Verify = keys
	p, err := New("mpc", party, Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys[0] = nil
	s, err := d.reply.SealReply(rand.Reader, moment(), "0", "", []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.OpenReply(s.Body); err != nil {
		t.Error(err)
	}
}

func TestNone(t *testing.T) {
	p, err := New("none", Party{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Seal(nil, time.Time{}, []byte("x"))
	if err != nil || string(s.Body) != "x" || s.ContentType != contentType {
		t.Error(err)
	}
	if data, head, err := p.OpenReply(s.Body); err != nil || string(data) != "x" || head != (Head{}) {
		t.Error(err)
	}
	if _, _, err := p.Open(nil); code(err) != "empty" {
		t.Error(err)
	}
	if _, err := p.SealReply(nil, time.Time{}, "1", "m", nil); code(err) != "refused:data" {
		t.Error(err)
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	d := newDesk(t, "", "mpc")
	tr, err := NewTransport("tif", TransportConfig{PaasID: "paas", Token: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	derived, err := DeriveKey(d.p, testID, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		p Profile
		t Transport
		P Party
		T TransportConfig
	}
	h := holder{d.request, tr, d.party, TransportConfig{Token: testSecret}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%t", "%c"} {
		fmt.Fprintf(&out, verb+verb+verb+verb+verb+verb+"\n", d.request, tr, d.party, &d.party, h, &h)
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, s := range []string{testSecret, string(derived), fmt.Sprint(derived)[1:20], fmt.Sprint(d.hospital.Scalar())[1:20]} {
		if strings.Contains(out.String(), s) {
			t.Errorf("%q is printed", s)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, name := range sm.Names() {
		d := newDesk(t, name, "mpc")
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 4 {
					data := fmt.Sprintf(`{"g":"%d","i":"%d"}`, g, i)
					s, err := d.request.Seal(rand.Reader, moment(), []byte(data))
					if err != nil {
						t.Error(err)
						return
					}
					if got, _, err := d.reply.Open(s.Body); err != nil || string(got) != data {
						t.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		wg.Wait()
	}
}

// Every byte of a message counts, except in what the profile does not sign and where two ways of
// writing mean the same (the case of hex digits).
func TestEveryByteCounts(t *testing.T) {
	d := newDesk(t, "", "mpc")
	s, err := d.request.Seal(rand.Reader, moment(), []byte(`{"payOrdId":"ORD1","amt":"12.50"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Body {
		for _, bit := range []byte{1, 4, 0x20} {
			bad := bytes.Clone(s.Body)
			bad[i] ^= bit
			data, _, err := d.reply.Open(bad)
			if err != nil {
				continue
			}
			if bit == 0x20 && strings.EqualFold(string(bad), string(s.Body)) && string(data) == `{"payOrdId":"ORD1","amt":"12.50"}` {
				continue // hex of the other case
			}
			t.Errorf("byte %d ^ %x (%q) goes unnoticed", i, bit, bad[max(0, i-8):i+1])
		}
	}
}
