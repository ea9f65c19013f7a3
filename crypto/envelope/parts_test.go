package envelope

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/sm"
)

const testClient = "TESTCLIENT000001"

func TestCompose(t *testing.T) {
	for _, c := range Combinations() {
		if got, err := Compose(c.Envelope, c.Transport); err != nil || got != c.Profile {
			t.Errorf("%+v: %q %v", c, got, err)
		}
	}
	for _, c := range [][2]string{{"mpc", "oauth-cainfo"}, {"epc", "oauth-cainfo"}, {"amp", "plain"}, {"none", "rio"}, {"cainfo", "plain"}, {"", "plain"}, {"none", ""}, {"MPC", "tif"}} {
		_, err := Compose(c[0], c[1])
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func csbConfig() TransportConfig {
	return TransportConfig{APIName: "hssServives", APIVersion: "1.0.0", AccessKey: "test-access", SecretKey: "dGVzdC1zZWNyZXQ="}
}

func TestCSB(t *testing.T) {
	tr, err := NewTransport("csb", csbConfig())
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := tr.Stamp(nil, moment(), h, nil); err != nil {
		t.Fatal(err)
	}
	var wire bytes.Buffer
	if err := h.Write(&wire); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"_api_name: hssServives\r\n", "_api_version: 1.0.0\r\n", "_api_access_key: test-access\r\n", "_api_timestamp: 1700000000123\r\n", "_api_signature: "} {
		if !strings.Contains("\r\n"+wire.String(), "\r\n"+name) {
			t.Errorf("%q is not on the wire:\n%s", name, wire.String())
		}
	}
	minute := time.Minute
	for name, c := range map[string]struct {
		change func(http.Header)
		at     time.Duration
		want   string
	}{
		"as it is":         {func(http.Header) {}, 0, "<nil>"},
		"at the edge":      {func(http.Header) {}, minute, "<nil>"},
		"too old":          {func(http.Header) {}, minute + 1, "skew"},
		"from the future":  {func(http.Header) {}, -minute - 1, "skew"},
		"another api":      {func(h http.Header) { h["_api_name"] = []string{"x"} }, 0, "paasid"},
		"another key":      {func(h http.Header) { h["_api_access_key"] = []string{"test-acces"} }, 0, "paasid"},
		"another version":  {func(h http.Header) { h["_api_version"] = []string{"1.0.1"} }, 0, "paasid"},
		"another time":     {func(h http.Header) { h["_api_timestamp"] = []string{"1700000000124"} }, 0, "caller"},
		"time in seconds":  {func(h http.Header) { h["_api_timestamp"] = []string{"1700000000"} }, 0, "time"},
		"no number":        {func(h http.Header) { h["_api_timestamp"] = []string{"170000000012x"} }, 0, "time"},
		"below zero":       {func(h http.Header) { h["_api_timestamp"] = []string{"-170000000012"} }, 0, "time"},
		"spoilt signature": {func(h http.Header) { h["_api_signature"] = []string{"AAAA"} }, 0, "caller"},
		"no signature":     {func(h http.Header) { delete(h, "_api_signature") }, 0, "caller"},
		"two signatures":   {func(h http.Header) { h["_api_signature"] = append(h["_api_signature"], h["_api_signature"]...) }, 0, "caller"},
		"nothing":          {func(h http.Header) { clear(h) }, 0, "caller"},
	} {
		h := h.Clone()
		c.change(h)
		if got := code(tr.Check(moment().Add(c.at), minute, h, nil)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for _, spoil := range []func(*TransportConfig){
		func(c *TransportConfig) { c.APIName = "" }, func(c *TransportConfig) { c.APIVersion = "1\r\nx: y" },
		func(c *TransportConfig) { c.AccessKey = "a b" }, func(c *TransportConfig) { c.SecretKey = "" },
	} {
		c := csbConfig()
		spoil(&c)
		if _, err := NewTransport("csb", c); !errors.Is(err, ErrConfig) {
			t.Errorf("%v", err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v %s", tr, tr, tr, csbConfig()); strings.Contains(s, "dGVz") {
		t.Error("the secret is printed")
	}
}

func TestBearer(t *testing.T) {
	token, failure := "good-token", error(nil)
	ours, err := NewTransport("oauth-cainfo", TransportConfig{Bearer: func() (string, error) { return token, failure }})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := NewTransport("oauth-cainfo", TransportConfig{Accept: func(s string, _ time.Time) bool { return s == "good-token" }})
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	if err := ours.Stamp(nil, moment(), h, nil); err != nil || h.Get("Authorization") != "Bearer good-token" {
		t.Fatal(err, h)
	}
	if err := theirs.Check(moment(), 0, h, nil); err != nil {
		t.Error(err)
	}
	for _, list := range [][]string{nil, {"Bearer"}, {"Bearer "}, {"Basic good-token"}, {"Bearer other"}, {"Bearer good-token", "Bearer good-token"}, {"Bearer " + strings.Repeat("x", 5000)}} {
		if err := theirs.Check(moment(), 0, http.Header{"Authorization": list}, nil); code(err) != "caller" {
			t.Errorf("%.40q: %v", list, err)
		}
	}
	for _, bad := range []string{"", "a b", "a\r\nX-Evil: 1", "a\x00", "中"} {
		token = bad
		h := http.Header{}
		if err := ours.Stamp(nil, moment(), h, nil); err == nil || len(h) > 0 {
			t.Errorf("token %q: %v %v", bad, err, h)
		}
	}
	failure = errors.New("no token")
	if err := ours.Stamp(nil, moment(), http.Header{}, nil); !errors.Is(err, failure) {
		t.Error(err)
	}
	if ours.Check(moment(), 0, h, nil) == nil || theirs.Stamp(nil, moment(), h, nil) == nil {
		t.Error("one side does the other's work")
	}
	if _, err := NewTransport("oauth-cainfo", TransportConfig{}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}

// caPair are both ends of a line with cainfo.
func caPair(t testing.TB, provider string, signedReplies bool) (ours, theirs Profile) {
	t.Helper()
	p, err := sm.New(provider)
	if err != nil {
		t.Fatal(err)
	}
	hospital, centre := fixedKey(t, "hospital"), fixedKey(t, "centre")
	a := Party{AppID: testClient, Sign: hospital}
	b := Party{AppID: testClient, Verify: []*sm.PublicKey{hospital.Public()}}
	if signedReplies {
		a.Verify, b.Sign = []*sm.PublicKey{centre.Public()}, centre
	}
	if ours, err = New("cainfo", a, Options{Provider: p}); err != nil {
		t.Fatal(err)
	}
	if theirs, err = New("cainfo", b, Options{Provider: p}); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

const (
	caRequest = `{"infno":"2207","msgid":"M1","cainfo":"","signtype":"","input":{"data":{"psn_name":"测试甲","amt":"1.00"}}}`
	caReply   = `{"infcode":0,"inf_refmsgid":"R","err_msg":"","output":{"setlinfo":{"amt":1.00}}}`
)

func TestCainfoProfile(t *testing.T) {
	for _, provider := range sm.Names() {
		for _, signed := range []bool{false, true} {
			ours, theirs := caPair(t, provider, signed)
			s, err := ours.Seal(rand.Reader, moment(), []byte(caRequest))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(s.Body, []byte("psn_name")) || !bytes.Contains(s.Body, []byte(`"signtype":"SM2"`)) || !bytes.Contains(s.Body, []byte(`"encType":"SM4"`)) {
				t.Errorf("%s", s.Body)
			}
			data, _, err := theirs.Open(s.Body)
			if want := `{"infno":"2207","msgid":"M1","input":{"data":{"psn_name":"测试甲","amt":"1.00"}}}`; err != nil || string(data) != want {
				t.Errorf("%s %v", data, err)
			}
			r, err := theirs.SealReply(rand.Reader, moment(), "0", "", []byte(caReply))
			if err != nil || bytes.Contains(r.Body, []byte("setlinfo")) {
				t.Fatalf("%s %v", r.Body, err)
			}
			if data, _, err = ours.OpenReply(r.Body); err != nil || string(data) != caReply {
				t.Errorf("%s %v", data, err)
			}
			// A refusal has no output and so no signature.
			refusal := []byte(`{"infcode":-1,"err_msg":"no","output":null}`)
			if r, err = theirs.SealReply(rand.Reader, moment(), "0", "", refusal); err != nil {
				t.Fatal(err)
			}
			if data, _, err = ours.OpenReply(r.Body); err != nil || !bytes.Equal(data, refusal) {
				t.Errorf("%s %v", data, err)
			}
		}
	}
}

func TestCainfoRefusals(t *testing.T) {
	ours, theirs := caPair(t, "", true)
	s, err := ours.Seal(rand.Reader, moment(), []byte(caRequest))
	if err != nil {
		t.Fatal(err)
	}
	other, err := ours.Seal(rand.Reader, moment(), []byte(strings.Replace(caRequest, "1.00", "2.00", 1)))
	if err != nil {
		t.Fatal(err)
	}
	member := func(body []byte, name string) string {
		_, rest, _ := strings.Cut(string(body), `"`+name+`":"`)
		value, _, _ := strings.Cut(rest, `"`)
		return value
	}
	good, input, sign := string(s.Body), member(s.Body, "input"), member(s.Body, "cainfo")
	for name, c := range map[string]struct{ body, want string }{
		"as it is":            {good, "<nil>"},
		"another's input":     {strings.Replace(good, input, member(other.Body, "input"), 1), "signature"},
		"another's signature": {strings.Replace(good, sign, member(other.Body, "cainfo"), 1), "signature"},
		"truncated":           {strings.Replace(good, input, input[:len(input)-24], 1), "length"},
		"half a block":        {strings.Replace(good, input, input[:24], 1), "length"},
		"no base64":           {strings.Replace(good, input, "*"+input[1:], 1), "base64"},
		"line end in base64":  {strings.Replace(good, input, input[:4]+`\n`+input[4:], 1), "base64"},
		"no signature":        {strings.Replace(good, sign, "", 1), "unsigned"},
		"short signature":     {strings.Replace(good, sign, sign[:80], 1), "signature-length"},
		"no encType":          {strings.Replace(good, `"encType":"SM4",`, "", 1), "enctype"},
		"another signtype":    {strings.Replace(good, `"SM2"`, `"SM3"`, 1), "signtype"},
		"plain input":         {strings.Replace(good, `"`+input+`"`, `{"data":{}}`, 1), "member"},
		"input twice":         {strings.Replace(good, `"encType"`, `"input":"","encType"`, 1), "duplicate"},
		"not JSON":            {good[:len(good)-1], "json"},
		"two messages":        {good + good, "trailing"},
		"our own reply key":   {string(mustReply(t, theirs)), "member"},
	} {
		data, _, err := theirs.Open([]byte(c.body))
		if code(err) != c.want || err != nil && (data != nil || !errors.Is(err, ErrOpen)) {
			t.Errorf("%s: %s %q, want %s", name, code(err), data, c.want)
		}
	}
	reply := string(mustReply(t, theirs))
	out, signed := member([]byte(reply), "output"), member([]byte(reply), "cainfo")
	for name, c := range map[string]struct{ body, want string }{
		"as it is":          {reply, "<nil>"},
		"signature taken":   {strings.Replace(reply, `"cainfo":"`+signed+`","signtype":"SM2",`, "", 1), "unsigned"},
		"plain output":      {caReply, "unsigned"},
		"signed, no flag":   {strings.Replace(reply, `"encType":"SM4",`, "", 1), "enctype"},
		"a request's words": {strings.Replace(strings.Replace(reply, out, input, 1), signed, sign, 1), "signature"},
		"no answer at all":  {`[]`, "json"},
	} {
		data, _, err := ours.OpenReply([]byte(c.body))
		if code(err) != c.want || err != nil && data != nil {
			t.Errorf("reply %s: %s %q, want %s", name, code(err), data, c.want)
		}
	}
	for _, bad := range []string{`{"infno":"1"}`, `{"input":"x"}`, `{"input":[1]}`, `x`, `{"input":{},"input":{}}`} {
		if _, err := ours.Seal(rand.Reader, moment(), []byte(bad)); !errors.Is(err, ErrSeal) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if _, err := ours.Seal(nil, moment(), []byte(caRequest)); code(err) != "refused:random" {
		t.Error(err)
	}
	for _, p := range []Party{{AppID: "short", Sign: fixedKey(t, "hospital")}, {AppID: testClient}} {
		if _, err := New("cainfo", p, Options{}); !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), testClient) {
			t.Errorf("%v", err)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", ours, ours, struct{ P Profile }{ours}); strings.Contains(s, testClient) {
		t.Error("the key is printed: " + s)
	}
}

func mustReply(t testing.TB, p Profile) []byte {
	t.Helper()
	s, err := p.SealReply(rand.Reader, moment(), "0", "", []byte(caReply))
	if err != nil {
		t.Fatal(err)
	}
	return s.Body
}

func FuzzCainfo(f *testing.F) {
	ours, theirs := caPair(f, "", true)
	s, err := ours.Seal(zeros{}, moment(), []byte(caRequest))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Body)
	f.Add(mustReply(f, theirs))
	f.Add([]byte(`{"encType":"SM4","input":"","cainfo":""}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if data, _, err := theirs.Open(body); err != nil && (data != nil || !errors.Is(err, ErrOpen)) {
			t.Fatalf("%q: %q %v", body, data, err)
		}
		if data, _, err := ours.OpenReply(body); err != nil && (data != nil || !errors.Is(err, ErrOpen)) {
			t.Fatalf("%q: %q %v", body, data, err)
		}
	})
}

// FuzzTransports: whatever stands in the headers, a check ends in nil or in ErrOpen.
func FuzzTransports(f *testing.F) {
	tif, err := NewTransport("tif", TransportConfig{PaasID: "test", Token: "token"})
	if err != nil {
		f.Fatal(err)
	}
	csb, err := NewTransport("csb", csbConfig())
	if err != nil {
		f.Fatal(err)
	}
	now := moment()
	f.Add("test", strconv.FormatInt(now.Unix(), 10), "n", TIFSignature("token", strconv.FormatInt(now.Unix(), 10), "n", false))
	f.Add("hssServives", strconv.FormatInt(now.UnixMilli(), 10), "test-access", "x")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		h := http.Header{"X-Tif-Paasid": {a}, "X-Tif-Timestamp": {b}, "X-Tif-Nonce": {c}, "X-Tif-Signature": {d},
			"_api_name": {a}, "_api_version": {"1.0.0"}, "_api_timestamp": {b}, "_api_access_key": {c}, "_api_signature": {d}}
		for _, tr := range []Transport{tif, csb} {
			if err := tr.Check(now, time.Minute, h, nil); err != nil && !errors.Is(err, ErrOpen) {
				t.Fatal(err)
			}
		}
	})
}

// A key of the peer that is to come or has gone verifies nothing, and says so inside.
func TestKeyWindows(t *testing.T) {
	old, next := fixedKey(t, "old"), fixedKey(t, "new")
	hospital := fixedKey(t, "hospital")
	change := moment()
	now := change
	party := Party{AppID: testID, AppSecret: testSecret, Sign: hospital, Verify: []*sm.PublicKey{next.Public(), old.Public()},
		Windows: []Window{{From: change.Add(-time.Hour)}, {Until: change.Add(time.Hour)}}}
	ours, err := New("mpc", party, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	reply := func(key *sm.PrivateKey) []byte {
		p, err := New("mpc", Party{AppID: testID, AppSecret: testSecret, Sign: key, Verify: []*sm.PublicKey{hospital.Public()}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.SealReply(rand.Reader, moment(), "0", "", []byte(`{"a":"1"}`))
		if err != nil {
			t.Fatal(err)
		}
		return s.Body
	}
	fromOld, fromNew, fromNobody := reply(old), reply(next), reply(fixedKey(t, "nobody"))
	for _, c := range []struct {
		at       time.Duration
		old, new string
	}{
		{-time.Hour - 1, "<nil>", "key-window"}, {-time.Hour, "<nil>", "<nil>"}, {time.Hour - 1, "<nil>", "<nil>"}, {time.Hour, "key-window", "<nil>"},
	} {
		now = change.Add(c.at)
		for i, body := range [][]byte{fromOld, fromNew, fromNobody} {
			data, _, err := ours.OpenReply(body)
			if want := []string{c.old, c.new, "signature"}[i]; code(err) != want || err != nil && data != nil {
				t.Errorf("%s, key %d: %s, want %s", c.at, i, code(err), want)
			}
		}
	}
	for name, spoil := range map[string]func(*Party, *Options){
		"no clock":       func(_ *Party, o *Options) { o.Now = nil },
		"empty window":   func(p *Party, _ *Options) { p.Windows[0].Until = p.Windows[0].From },
		"too many":       func(p *Party, _ *Options) { p.Windows = append(p.Windows, Window{}) },
		"the same twice": func(p *Party, _ *Options) { p.Verify[1] = p.Verify[0] },
	} {
		p, o := party, Options{Now: time.Now}
		p.Verify, p.Windows = slices.Clone(party.Verify), slices.Clone(party.Windows)
		spoil(&p, &o)
		if _, err := New("mpc", p, o); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypeNames(t *testing.T) {
	d := newDesk(t, "", "mpc")
	for _, c := range []struct{ profile, names, want string }{
		{"mpc", "", `"encType":"SM4","signType":"SM2"`}, {"mpc", "lower", `"encType":"sm4","signType":"sm2"`},
		{"epc", "", `"encType":"sm4","signType":"sm2"`}, {"epc", "upper", `"encType":"SM4","signType":"SM2"`},
	} {
		p, err := New(c.profile, d.party, Options{TypeNames: c.names})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Seal(rand.Reader, moment(), []byte(`{"a":"1"}`))
		if err != nil || !bytes.Contains(s.Body, []byte(c.want)) {
			t.Errorf("%+v: %s %v", c, s.Body, err)
		}
		if data, _, err := d.reply.Open(s.Body); err != nil || string(data) != `{"a":"1"}` {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := New("mpc", d.party, Options{TypeNames: "Upper"}); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
}
