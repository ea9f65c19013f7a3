package envelope

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"yiqiao/crypto/sm"
	"yiqiao/schemas/strictjson"
)

func TestSigningString(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{}`, `key=S`},
		{`{"b":"2","a":"1"}`, `a=1&b=2&key=S`},
		{`{"B":"2","a":"1","C":"3"}`, `a=1&B=2&C=3&key=S`},
		{`{"ab":"1","a":"2","a_":"3","aZ":"4"}`, `a=2&a_=3&ab=1&aZ=4&key=S`},
		{`{"signData":"x","encData":"y","extra":{"z":1},"Extra":"kept","signdata":"kept"}`, `Extra=kept&signdata=kept&key=S`},
		{`{"a":null,"b":"","c":[],"d":{},"e":0,"f":false}`, `d={}&e=0&f=false&key=S`},
		{`{"data":{"b":{"y":null,"x":""},"a":[{"d":1,"c":[true]},"s",-0.50]}}`, `data={"a":[{"c":["true"],"d":"1"},"s","-0.50"],"b":{}}&key=S`},
		{`{"data":"text & \"quoted\""}`, `data=text & "quoted"&key=S`},
		{`{"data":{"q":"\"\\\/\b\t\n\f\r\u0000\u001f\u007f<>&'\u2028"}}`, "data={\"q\":\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0000\\u001f\x7f<>&'\u2028\"}&key=S"},
		{`{"data":{"\ud83d\ude00":1,"\uffff":2,"\ue000":3,"z":4,"é":5}}`, "data={\"z\":\"4\",\"é\":\"5\",\"😀\":\"1\",\"\ue000\":\"3\",\"\uffff\":\"2\"}&key=S"},
		{`{"n":1e-2,"m":0.10,"o":1E+3,"data":{"p":1e3}}`, `data={"p":"1E+3"}&m=0.10&n=0.01&o=1E+3&key=S`},
	} {
		if got, err := SigningString([]byte(c.raw), "S"); err != nil || got != c.want {
			t.Errorf("%s\n got %q %v\nwant %q", c.raw, got, err, c.want)
		}
	}
	for raw, want := range map[string]string{
		`[]`: "member", `x`: "json", `{"a":1,"a":2}`: "duplicate", `{} {}`: "trailing", `{"a":[null]}`: "array-item",
		`{"data":{"a":[""]}}`: "array-item", "{\"a\":\"\xff\"}": "utf8",
	} {
		if got, err := SigningString([]byte(raw), "S"); code(err) != want || !errors.Is(err, ErrOpen) || got != "" {
			t.Errorf("%s: %q %v, want %s", raw, got, err, want)
		}
	}
}

// What java.math.BigDecimal(literal).toString() gives, and BigInteger for integers.
func TestNumberText(t *testing.T) {
	for lit, want := range map[string]string{
		"0": "0", "-0": "0", "7": "7", "-3": "-3", "100": "100", "12345678901234567890123456789012": "12345678901234567890123456789012",
		"0.10": "0.10", "1.0": "1.0", "88.08": "88.08", "-0.50": "-0.50", "0.0": "0.0", "-0.00": "0.00", "0.000001": "0.000001",
		"0.0000001": "1E-7", "0.00000012": "1.2E-7", "-0.00000012": "-1.2E-7", "0.0000000": "0E-7",
		"1e-2": "0.01", "1E+3": "1E+3", "1e3": "1E+3", "1e0": "1", "1E-0": "1", "15e-1": "1.5", "1.5e3": "1.5E+3", "1.0e1": "10",
		"1.00e1": "10.0", "100e-2": "1.00", "123e-9": "1.23E-7", "123e2": "1.23E+4", "-123e2": "-1.23E+4", "0e5": "0E+5", "0e-3": "0.000",
		"0.00e1": "0.0", "0.0e2": "0E+1", "10e1": "1.0E+2", "9e99": "9E+99", "9.9e-99": "9.9E-99", "1e007": "1E+7", "-1e-6": "-0.000001",
		"1e-7": "1E-7", "1e12345": "", "": "",
	} {
		if got := numberText(lit); got != want {
			t.Errorf("%s: got %q, want %q", lit, got, want)
		}
	}
}

func TestOrders(t *testing.T) {
	words := []string{"", "a", "A", "b", "B", "ab", "aB", "_", "a_", "a=", "é", "É", "z", "\ud7ff", "\ue000", "\uffff", "😀", "😀a", "a😀", "a\ue000", "中", "文", "ß", "İ", "K"}
	for _, a := range words {
		for _, b := range words {
			want := slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
			if got := compareUTF16(a, b); sign(got) != want {
				t.Errorf("UTF-16: %q and %q: %d, want %d", a, b, got, want)
			}
			x, y := compareFold([]byte(a), []byte(b)), compareFold([]byte(b), []byte(a))
			if sign(x) != -sign(y) || (x == 0) != (a == b) {
				t.Errorf("fold: %q and %q: %d and %d", a, b, x, y)
			}
		}
	}
	sorted := []string{"É", "b", "a_", "ab", "B", "A", "a="}
	slices.SortFunc(sorted, func(a, b string) int { return compareFold([]byte(a), []byte(b)) })
	if got := strings.Join(sorted, " "); got != "A a= a_ ab B b É" {
		t.Error(got)
	}
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestDeriveKey(t *testing.T) {
	for _, name := range sm.Names() {
		p, err := sm.New(name)
		if err != nil {
			t.Fatal(err)
		}
		key, err := DeriveKey(p, "1S0PDH1SKDP11QUCIRMV968QPHZZ21E8", "80UMS9RFZX5ATDHRV71UVP2KGNFK42NX")
		if err != nil || string(key) != "0E4592BDB0A1DFC8" {
			t.Errorf("%q %v", key, err)
		}
	}
}

func TestTIF(t *testing.T) {
	c := TransportConfig{PaasID: "test_hosp", Token: "VJX4FLH66GQVWPEQ2MJ6D7JPTN5M38GQ"}
	tr, err := NewTransport("tif", c)
	if err != nil {
		t.Fatal(err)
	}
	stamped := func(now time.Time) http.Header {
		h := http.Header{}
		if err := tr.Stamp(rand.Reader, now, h, nil); err != nil {
			t.Fatal(err)
		}
		return h
	}
	now := time.Unix(1705186661, 900_000_000)
	h := stamped(now)
	if h.Get("x-tif-timestamp") != "1705186661" || h.Get("x-tif-paasid") != "test_hosp" || len(h.Get("x-tif-nonce")) != 32 {
		t.Error(h)
	}
	if stamped(now).Get("x-tif-nonce") == h.Get("x-tif-nonce") {
		t.Error("two requests share a nonce")
	}
	for offset, want := range map[time.Duration]string{
		0: "", 5 * time.Minute: "", -5 * time.Minute: "", 5*time.Minute + time.Second: "skew", -5*time.Minute - time.Second: "skew",
		1000000 * time.Hour: "skew",
	} {
		err := tr.Check(now.Add(offset), 5*time.Minute, h, nil)
		if (err == nil) != (want == "") || err != nil && (code(err) != want || !errors.Is(err, ErrOpen)) {
			t.Errorf("%v: %v", offset, err)
		}
	}
	for name, c := range map[string]struct {
		change func(h http.Header)
		want   string
	}{
		"no paasid":      {func(h http.Header) { h.Del("x-tif-paasid") }, "caller"},
		"two paasids":    {func(h http.Header) { h.Add("x-tif-paasid", "test_hosp") }, "caller"},
		"other paasid":   {func(h http.Header) { h.Set("x-tif-paasid", "other") }, "paasid"},
		"no nonce":       {func(h http.Header) { h.Set("x-tif-nonce", "") }, "nonce"},
		"long nonce":     {func(h http.Header) { h.Set("x-tif-nonce", strings.Repeat("a", 37)) }, "nonce"},
		"blank nonce":    {func(h http.Header) { h.Set("x-tif-nonce", "a b") }, "nonce"},
		"other nonce":    {func(h http.Header) { h.Set("x-tif-nonce", "abc") }, "caller"},
		"time text":      {func(h http.Header) { h.Set("x-tif-timestamp", "now") }, "time"},
		"signed time":    {func(h http.Header) { h.Set("x-tif-timestamp", "+1705186661") }, "time"},
		"padded time":    {func(h http.Header) { h.Set("x-tif-timestamp", "01705186661") }, "time"},
		"negative time":  {func(h http.Header) { h.Set("x-tif-timestamp", "-5") }, "time"},
		"huge time":      {func(h http.Header) { h.Set("x-tif-timestamp", strings.Repeat("9", 40)) }, "time"},
		"other time":     {func(h http.Header) { h.Set("x-tif-timestamp", "1705186662") }, "caller"},
		"no signature":   {func(h http.Header) { h.Del("x-tif-signature") }, "caller"},
		"upper case":     {func(h http.Header) { h.Set("x-tif-signature", strings.ToUpper(h.Get("x-tif-signature"))) }, "caller"},
		"cut signature":  {func(h http.Header) { h.Set("x-tif-signature", h.Get("x-tif-signature")[:63]) }, "caller"},
		"zero signature": {func(h http.Header) { h.Set("x-tif-signature", strings.Repeat("0", 64)) }, "caller"},
	} {
		h := stamped(now)
		c.change(h)
		if err := tr.Check(now, time.Minute, h, nil); code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	for _, n := range []int{1, 36} { // a stranger's nonce of any permitted length
		h := http.Header{}
		nonce := strings.Repeat("n", n)
		h.Set("x-tif-paasid", c.PaasID)
		h.Set("x-tif-nonce", nonce)
		h.Set("x-tif-timestamp", "1705186661")
		h.Set("x-tif-signature", TIFSignature(c.Token, "1705186661", nonce, false))
		if err := tr.Check(now, 0, h, nil); err != nil {
			t.Error(err)
		}
	}
	c.Upper = true
	upper, err := NewTransport("tif", c)
	if err != nil {
		t.Fatal(err)
	}
	if err := upper.Check(now, time.Minute, h, nil); code(err) != "caller" {
		t.Error("lower case accepted where upper is agreed")
	}
	h = http.Header{}
	if err := upper.Stamp(rand.Reader, now, h, nil); err != nil || upper.Check(now, time.Minute, h, nil) != nil {
		t.Error(err)
	}
	if s := h.Get("x-tif-signature"); s != strings.ToUpper(s) {
		t.Error(s)
	}
	if err := tr.Stamp(nil, now, h, nil); !errors.Is(err, sm.ErrRandom) {
		t.Error(err)
	}
	if err := tr.Stamp(strings.NewReader("x"), now, h, nil); !errors.Is(err, sm.ErrRandom) {
		t.Error(err)
	}
	for _, bad := range []TransportConfig{{}, {PaasID: "a"}, {Token: "a"}, {PaasID: "a\r\nb", Token: "t"}, {PaasID: "a", Token: "院"}} {
		if got, err := NewTransport("tif", bad); !errors.Is(err, ErrConfig) || got != nil {
			t.Errorf("%+v: %v", bad.PaasID, err)
		}
	}
	if _, err := NewTransport("csb", c); !errors.Is(err, ErrConfig) {
		t.Error(err)
	}
	plain, err := NewTransport("plain", TransportConfig{})
	if err != nil {
		t.Fatal(err)
	}
	empty := http.Header{}
	if plain.Stamp(nil, now, empty, nil) != nil || plain.Check(now, 0, empty, nil) != nil || len(empty) != 0 {
		t.Error("plain does something")
	}
}

func TestCainfo(t *testing.T) {
	for _, name := range sm.Names() {
		p, err := sm.New(name)
		if err != nil {
			t.Fatal(err)
		}
		key, input := newKey(t), []byte(`{"data":{"a":"甲"}}`)
		cainfo, text, err := CainfoSeal(p, rand.Reader, key, sm.DefaultUID, "0123456789abcdef", input)
		if err != nil {
			t.Fatal(err)
		}
		got, err := CainfoOpen(p, key.Public(), sm.DefaultUID, "0123456789abcdef", cainfo, text)
		if err != nil || !bytes.Equal(got, input) {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"client id":    second(CainfoOpen(p, key.Public(), sm.DefaultUID, "0123456789abcdeX", cainfo, text)),
			"short id":     second(CainfoOpen(p, key.Public(), sm.DefaultUID, "0123", cainfo, text)),
			"user id":      second(CainfoOpen(p, key.Public(), "x", "0123456789abcdef", cainfo, text)),
			"no user id":   second(CainfoOpen(p, key.Public(), "", "0123456789abcdef", cainfo, text)),
			"other key":    second(CainfoOpen(p, newKey(t).Public(), sm.DefaultUID, "0123456789abcdef", cainfo, text)),
			"no key":       second(CainfoOpen(p, nil, sm.DefaultUID, "0123456789abcdef", cainfo, text)),
			"text":         second(CainfoOpen(p, key.Public(), sm.DefaultUID, "0123456789abcdef", cainfo, text[4:])),
			"no base64":    second(CainfoOpen(p, key.Public(), sm.DefaultUID, "0123456789abcdef", cainfo, "!")),
			"no signature": second(CainfoOpen(p, key.Public(), sm.DefaultUID, "0123456789abcdef", "", text)),
		} {
			if !errors.Is(err, ErrOpen) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, _, err := CainfoSeal(p, rand.Reader, key, sm.DefaultUID, "short", input); !errors.Is(err, ErrSeal) {
			t.Error(err)
		}
		if _, _, err := CainfoSeal(p, nil, key, sm.DefaultUID, "0123456789abcdef", input); !errors.Is(err, sm.ErrRandom) {
			t.Error(err)
		}
	}
}

func second(_ []byte, err error) error { return err }

func FuzzSigningString(f *testing.F) {
	for _, s := range []string{`{"data":{"b":[1,{"c":"x"}],"a":1e-2},"A":"b"}`, `{"signData":"x"}`, `{"a":[null]}`, `[`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := SigningString([]byte(raw), "S")
		if err != nil {
			if !errors.Is(err, ErrOpen) {
				t.Fatal(err)
			}
			return
		}
		again, err := SigningString([]byte(raw), "S")
		if err != nil || again != got || !strings.HasSuffix(got, "key=S") {
			t.Fatalf("%q then %q %v", got, again, err)
		}
		// The canonical text of data is itself JSON and canonical.
		v, err := strictjson.Decode([]byte(raw), strictjson.Reply())
		if err != nil {
			t.Fatal(err)
		}
		data, ok := v.(map[string]any)["data"].(map[string]any)
		if !ok {
			return
		}
		text, err := (&writer{}).canonical(nil, data)
		if err != nil {
			t.Fatal(err)
		}
		back, err := strictjson.Decode(text, strictjson.Reply())
		if err != nil {
			t.Fatalf("%s is not JSON: %v", text, err)
		}
		if twice, err := (&writer{}).canonical(nil, back); err != nil || !bytes.Equal(twice, text) {
			t.Fatalf("%s then %s", text, twice)
		}
	})
}

func FuzzOpen(f *testing.F) {
	d := newDesk(f, "", "mpc")
	s, err := d.request.Seal(rand.Reader, moment(), []byte(`{"a":"1","b":[{"c":2}]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Body)
	for _, text := range []string{`{"code":1}`, `{"code":0,"encData":"","signData":"AA=="}`, `{`, ``} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, open := range []func([]byte) ([]byte, Head, error){d.reply.Open, d.reply.OpenReply, d.request.OpenReply} {
			data, _, err := open(body)
			if err != nil && (data != nil || !errors.Is(err, ErrOpen)) {
				t.Fatalf("%q %v", data, err)
			}
			if err == nil && string(data) != `{"a":"1","b":[{"c":2}]}` {
				t.Fatalf("forged %q", data)
			}
		}
	})
}

// fourKiB is data in the shape of a fee upload.
func fourKiB() []byte {
	var b bytes.Buffer
	b.WriteString(`{"orgCodg":"H00000000001","psnNo":"P0000001","medfeeSumamt":"12.50","feedetailList":[`)
	for i := 0; b.Len() < 4000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"feedetlSn":"2","cnt":"1.0000","pric":"2.5000","detItemFeeSumamt":"2.50","medListCodg":"T002","medListName":"检查费"}`)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}
