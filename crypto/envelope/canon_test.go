package envelope

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"yiqiao/schemas/strictjson"
)

// slow is the canonical text by way of values, which says what is right.
func slow(text []byte, lim strictjson.Limits) ([]byte, bool) {
	v, err := strictjson.Decode(text, lim)
	if err != nil {
		return nil, false
	}
	out, err := appendTop(nil, v, false)
	return out, err == nil
}

// canonSamples are texts with something in them that a quick reader could get wrong.
func canonSamples() []string {
	return []string{
		`{"a":"1"}`, `{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"a":null,"a":""}`, `{"a":"","b":[],"c":null,"d":{}}`, `{}`, `[]`, `[{}]`,
		`[1,-0,-0.0,0.10,100,0.0000001,0.000001,-0.5,1.0,00,1.]`, `[0.10,-0,-0.0,-1.50,0.0000001,0.000001,12345678901234567890]`,
		`{"b":{"z":1,"a":[{"y":true,"x":false},{"x":1,"y":2}]},"a":"\"\\\n\t\r\b\f"}`, `{"a":"\/"}`, `{"a":"\u4e2d"}`, `{"\u0061":1,"a":2}`,
		`{"中文":"汉字","药":"é"}`, "{\"\ue000\":1,\"\U00010000\":2}", `{"a":[""]}`, `{"a":[null]}`, `{"a":[[]]}`, `{"a":[[1],[2]]}`,
		`{"a":1e3}`, `{"a":1E+2}`, `{"a":01}`, `{"a":+1}`, `{"a":.5}`, `{"a":nulll}`, `{"a":tru}`, ` { "b" : 1 , "a" : [ 1 , 2 ] } `, `{"a":1}x`,
		`{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":"` + "\x01" + `"}`, `{"a":"` + "\xff" + `"}`, `{"a":12345678901234567890123456789012345}`,
		strings.Repeat("[", 40) + "1" + strings.Repeat("]", 40), strings.Repeat(`{"a":`, 32) + "1" + strings.Repeat("}", 32),
		`{"aa":1,"a":2,"b":3,"ab":4}`, `"a"`, `1`, ``, ` `, `{"a":"b`, `{"a`, `[1,]`, `[,1]`, `{"a":true,"b":false}`, `[true false]`, `{"a":-}`, `[-1.]`,
		// A second row that looks like the first, and those that nearly do.
		`[{"b":"1","a":"2"},{"b":"3","a":"4"}]`, `[{"b":"1","a":"2"},{"b":"3","a":"4"},{"b":"","a":"4"},{"b":"3","a":""},{"b":"x\n","a":"y"}]`,
		`[{"b":"1","a":"2"},{"b":"3"}]`, `[{"b":"1","a":"2"},{"b":"3","a":"4","c":"5"}]`, `[{"b":"1","a":"2"},{"b":"3","a":"4",}]`, `[{"b":"1","a":"2"},{"b":"3","b":"4"}]`,
		`[{"b":"1","a":"2"},{"b" :"3","a":"4"}]`, `[{"b" : "1","a" : "2"},{"b" : "3","a" : "4"}]`, `[{"b":"1","a":"2"},{"b":"3","a":"4"]`, `[{"b":"1","a":"2"},{"b":"3","a":"4"`,
		`[{"b":"1","a":"2"},{"b":"3","a":"4`, `[{"b":"1","a":"2"},{"b":"3","a":"4" }]`, `[{"b":"1","a":"2"},{"b":3,"a":4}]`, `[{"b":"1","a":"2"},{"b":"3","a":"4"}}`,
		"[{\"b\":\"1\",\"a\":\"2\"},{\"b\":\"3\x01\",\"a\":\"4\"}]", `[{"b":"1","a":"2"},{"b":"3"},"a":"4"}]`, `[{"b":1,"a":2},{"b":"3","a":"4"},{"b":5,"a":"6"}]`,
	}
}

func checkCanon(t *testing.T, c *canon, text []byte) {
	t.Helper()
	for _, lim := range []strictjson.Limits{strictjson.Request(), strictjson.Reply(), {MaxBytes: 64, MaxDepth: 3, MaxNumber: 32, MaxNodes: 5}} {
		got, ok := c.appendCanonical([]byte("head"), text, lim)
		if !ok {
			if string(got) != "head" {
				t.Fatalf("%q: what stood before is gone: %q", text, got)
			}
			continue
		}
		want, fine := slow(text, lim)
		if !fine {
			t.Fatalf("%q: taken, and should not have been", text)
		}
		if string(got) != "head"+string(want) {
			t.Fatalf("%q: %q, want %q", text, got[4:], want)
		}
	}
}

func TestCanonAgreesWithTheSlowWay(t *testing.T) {
	c := new(canon)
	for _, text := range canonSamples() {
		checkCanon(t, c, []byte(text))
	}
	// What bills look like is not left to the slow way.
	for _, text := range []string{string(fourKiB()), `{"b":"汉字 \"x\"","a":[{"z":1.50,"y":null},{"y":"","z":-2}]}`} {
		if _, ok := c.appendCanonical(nil, []byte(text), strictjson.Request()); !ok {
			t.Errorf("%.60q is left to the slow way", text)
		}
	}
}

func FuzzCanon(f *testing.F) {
	for _, text := range canonSamples() {
		f.Add([]byte(text))
	}
	c := new(canon)
	f.Fuzz(func(t *testing.T, text []byte) { checkCanon(t, c, text) })
}

func TestHexAgreesWithTheLibrary(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for n := range 40 {
		b := all[n*5 : n*6]
		text := strings.ToUpper(hex.EncodeToString(b))
		if got := string(appendHex([]byte("x"), b)); got != "x"+text {
			t.Fatalf("%x: %s", b, got)
		}
		for _, form := range []string{text, strings.ToLower(text)} {
			if got, ok := decodeHex([]byte(form)); !ok || !bytes.Equal(got, b) {
				t.Fatalf("%s: %x %v", form, got, ok)
			}
		}
	}
	if got := string(appendHex(nil, all)); got != strings.ToUpper(hex.EncodeToString(all)) {
		t.Fatal(got)
	}
	// Every byte in every place of the eight that are read at once, and of the rest behind them.
	for at := range 10 {
		for c := range 256 {
			text := []byte("0aF3b5C79e")
			text[at] = byte(c)
			want, err := hex.DecodeString(string(text))
			got, ok := decodeHex(text)
			if ok != (err == nil) || ok && !bytes.Equal(got, want) {
				t.Fatalf("%q: %x %v, the library says %x %v", text, got, ok, want, err)
			}
		}
	}
	if _, ok := decodeHex([]byte("0")); ok {
		t.Error("half a byte")
	}
}

// checkFlat holds the short way of reading a message to the long one.
func checkFlat(t *testing.T, body []byte) (taken bool) {
	t.Helper()
	members, ok := flat(body, strictjson.Request())
	if !ok {
		return false
	}
	v, err := strictjson.Decode(body, strictjson.Request())
	object, isObject := v.(map[string]any)
	if err != nil || !isObject || len(object) != len(members) {
		t.Fatalf("%q: taken, and should not have been: %v", body, err)
	}
	for _, m := range members {
		want, ok := object[m.name]
		if b, is := m.value.(cipherText); is {
			text, isText := want.(string)
			if again, isHex := decodeHex([]byte(text)); !isText || !isHex || !bytes.Equal(again, b) {
				t.Fatalf("%q: encData is %x, want %#v", body, b, want)
			}
			continue
		}
		if !ok || m.value != want {
			t.Fatalf("%q: %s is %#v, want %#v", body, m.name, m.value, want)
		}
	}
	return true
}

func flatSamples(t testing.TB) []string {
	d := newDesk(t, "", "mpc")
	sealed, err := d.request.Seal(zeros{}, moment(), []byte(`{"a":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	return []string{string(sealed.Body), `{"code":0,"message":"成功","success":true,"type":null,"x":12}`, `{"a":"1","a":"1"}`, `{"a":"1"`, `{"a":"1"}x`,
		`{"a":01}`, `{"a":1.5}`, `{"a":-1}`, `{"a":{}}`, `{"a":"\n"}`, `{"":""}`, `{}`, `[]`, ` { "a" : "1" , "b" : false } `, `{"a":"1",}`, "{\"a\":\"\xff\"}",
		`{"a":truex}`, `{"a":1 }`, `{"a":nul}`, `{"\u0061":1}`, `{"encData":"00","encData":"00"}`, `{"encData":"0g"}`, `{"encData":"000"}`, `{"encData":"00\u0030"}`, `{"encData":"`,
		"{\"encData\":\"\xff\xff\"}", "{\"encData\":\"00\",\"a\":\"\xff\"}", "{\"\xff\":\"1\",\"encData\":\"00\"}", `{"encData":5}`, `{"encData":"","a":"1"}`, `{"a":"1","encData":"AbCd0123456789ef"}`}
}

func TestFlatAgreesWithTheSlowWay(t *testing.T) {
	for i, body := range flatSamples(t) {
		if taken := checkFlat(t, []byte(body)); i < 2 && !taken {
			t.Errorf("%.60q is left to the slow way", body)
		}
	}
	if _, ok := flat([]byte(`{"a1":1,"a2":1,"a3":1,"a4":1,"a5":1,"a6":1,"a7":1,"a8":1,"a9":1,"b1":1,"b2":1,"b3":1,"b4":1,"b5":1,"b6":1,"b7":1}`), strictjson.Request()); ok {
		t.Error("no place is left for data")
	}
}

func FuzzFlat(f *testing.F) {
	for _, body := range flatSamples(f) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkFlat(t, body) })
}

// zeros is a random source for messages whose signature nobody looks at.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 7
	}
	return len(p), nil
}
