package doctor

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

const encMessage = `{"appId":"` + testID + `","timestamp":"1707593788918","data":{"userName":"测试甲","amt":"0.10"}}`
const encPlain = `{"userName":"测试甲","amt":"0.10"}`

func ecb(t *testing.T, key, padded []byte) []byte {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.SM4(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(padded))
	for i := 0; i < len(out); i += 16 {
		b.Encrypt(out[i:i+16], padded[i:i+16])
	}
	return out
}

func padded(text string) []byte {
	n := 16 - len(text)%16
	return append([]byte(text), bytes.Repeat([]byte{byte(n)}, n)...)
}

func TestEncDataDeviations(t *testing.T) {
	p, _, _, _ := fixture(t)
	key, err := envelope.DeriveKey(p, testID, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	up := func(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }
	step, _ := sm.ECBEncrypt(p, []byte(testID[:16]), []byte(testSecret))
	swapped, _ := sm.ECBEncrypt(p, []byte(testSecret[:16]), []byte(testID))
	digest := p.SM3([]byte(testSecret))
	good := padded(encPlain)
	block, _ := p.SM4(key)
	cbc := func(iv []byte) []byte {
		out := make([]byte, len(good))
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, good)
		return out
	}
	gb, err := simplifiedchinese.GB18030.NewEncoder().String(encPlain)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(text string, c byte) []byte {
		return append([]byte(text), bytes.Repeat([]byte{c}, 16-len(text)%16)...)
	}
	random := fill(encPlain, 0x5a)
	random[len(random)-1] = byte(len(random) - len(encPlain))
	whole := encPlain
	for len(whole)%16 != 0 {
		whole = strings.Replace(whole, "测", "测a", 1)
	}
	plainOf := func(data string) string { return strings.Replace(encMessage, encPlain, data, 1) }
	for _, c := range []struct {
		enc, message string
		want         []string
	}{
		{up(ecb(t, key, good)), "", nil},
		{hex.EncodeToString(ecb(t, key, good)), "", []string{"enc-hex-lower"}},
		{b64(ecb(t, key, good)), "", []string{"enc-base64"}},
		{up(ecb(t, []byte(testSecret[:16]), good)), "", []string{"sm4-key-secret"}},
		{up(ecb(t, []byte(testSecret[16:]), good)), "", []string{"sm4-key-secret-tail"}},
		{up(ecb(t, []byte(testID[:16]), good)), "", []string{"sm4-key-appid"}},
		{up(ecb(t, []byte(hex.EncodeToString(step)[:16]), good)), "", []string{"sm4-key-hex-lower"}},
		{up(ecb(t, []byte(up(step)[len(step)*2-16:]), good)), "", []string{"sm4-key-hex-tail"}},
		{up(ecb(t, []byte(b64(step)[:16]), good)), "", []string{"sm4-key-base64"}},
		{up(ecb(t, step[:16], good)), "", []string{"sm4-key-raw"}},
		{up(ecb(t, []byte(up(swapped)[:16]), good)), "", []string{"sm4-key-swapped"}},
		{up(ecb(t, digest[:16], good)), "", []string{"sm4-key-sm3"}},
		{up(cbc(make([]byte, 16))), "", []string{"sm4-cbc-zero"}},
		{up(cbc(key)), "", []string{"sm4-cbc-key"}},
		{up(ecb(t, key, fill(encPlain, 0))), "", []string{"padding-zero"}},
		{up(ecb(t, key, fill(encPlain, ' '))), "", []string{"padding-blank"}},
		{up(ecb(t, key, random)), "", []string{"padding-random"}},
		{up(ecb(t, key, []byte(whole))), plainOf(whole), []string{"padding-none"}},
		{up(ecb(t, key, padded(gb))), "", []string{"enc-charset-gb18030"}},
		{up(ecb(t, key, padded(`{"userName":"测试乙","amt":"0.10"}`))), "", []string{"enc-data-differs"}},
		{up(ecb(t, key, padded(`{"amt":"0.10", "userName":"\u6d4b试甲"}`+"\n"))), "", nil},
		{b64(ecb(t, []byte(testSecret[:16]), fill(encPlain, 0))), "", []string{"enc-base64", "padding-zero", "sm4-key-secret"}},
	} {
		if c.message == "" {
			c.message = encMessage
		}
		r, err := Examine(Case{Message: []byte(c.message), AppSecret: testSecret, Expect: c.enc})
		if err != nil {
			t.Fatal(err)
		}
		if res := result(t, r, SubjectEncData); c.want == nil {
			if res.Verdict != AsSpecified {
				t.Errorf("as specified: %+v", res)
			}
		} else if n := wants(t, res, c.want...); n != 1 {
			t.Errorf("%v: %d explanations", c.want, n)
		}
	}
	hexSecret := "00112233445566778899aabbccddeeff"
	raw, _ := hex.DecodeString(hexSecret)
	r, err := Examine(Case{Message: []byte(encMessage), AppSecret: hexSecret, Expect: up(ecb(t, raw, good))})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, result(t, r, SubjectEncData), "sm4-key-secret-hex")
	r, err = Examine(Case{Message: []byte(encMessage), AppSecret: testSecret, Expect: up(make([]byte, 48))})
	if err != nil || r.Verdict != NoMatch || len(r.Remaining) == 0 {
		t.Errorf("garbage: %v %+v", err, r)
	}
}

// A wire message whose encData was made otherwise is opened all the same, and its signature judged.
func TestWireMadeOtherwise(t *testing.T) {
	p, rand, own, _ := fixture(t)
	enc := strings.ToUpper(hex.EncodeToString(ecb(t, []byte(testSecret[:16]), padded(encPlain))))
	text, err := envelope.SigningString([]byte(encMessage), testSecret)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Sign(rand, own, []byte(testID), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	wire := strings.Replace(encMessage, `"data":`+encPlain, `"encData":"`+enc+`","signData":"`+b64(sig[:])+`"`, 1)
	r, err := Examine(Case{Message: []byte(wire), AppSecret: testSecret, PrivateKey: keys.FormatPrivate(own)})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, result(t, r, SubjectEncData), "sm4-key-secret")
	wants(t, result(t, r, SubjectSignature), "uid-appid")
	// With another secret nothing opens, but a signature over the cipher text can still be seen.
	sig, _ = p.Sign(rand, own, []byte(sm.DefaultUID), []byte("appId="+testID+"&data="+enc+"&timestamp=1707593788918&key=other-secret-000000"))
	wire = strings.Replace(encMessage, `"data":`+encPlain, `"encData":"`+enc+`","signData":"`+b64(sig[:])+`"`, 1)
	if r, err = Examine(Case{Message: []byte(wire), AppSecret: "other-secret-000000", PrivateKey: keys.FormatPrivate(own)}); err != nil {
		t.Fatal(err)
	}
	if r.Signing.String != "" || r.Verdict != NoMatch {
		t.Errorf("%+v", r)
	}
	wants(t, result(t, r, SubjectSignature), "data-encrypted")
}

func TestExpectString(t *testing.T) {
	_, _, own, _ := fixture(t)
	base := richCase(own)
	base.Message = []byte(strings.Replace(rich, `,"signData":"x"`, "", 1))
	x := newExamOf(t, base)
	build := func(d dim, v uint8) string {
		var pl plan
		pl[d] = v
		text, _ := x.src.build(pl, testID)
		return string(text)
	}
	right := build(dNumber, 0)
	head, _, _ := splitKey(right)
	for _, c := range []struct {
		text, tail, member string
		want               []string
	}{
		{right, "", "", nil},
		{head + "&key=***", "", "", nil},
		{head + "&key=xxxxxxxx", "", "", nil},
		{build(dNumber, numberJS), "same", "data", []string{"number-shortest"}},
		{strings.Replace(build(dNest, nestWeb), testSecret, "******", 1), "masked", "data", []string{"nest-first-level"}},
		{build(dSuffix, suffixNone), "absent", "", []string{"key-missing"}},
		{build(dSuffix, suffixLower), "other", "key", []string{"key-lower"}},
		{head + "&key=AnotherSecret00001", "other", "key", []string{"secret-other"}},
		{strings.Replace(build(dOrder, orderNestedSent), testSecret, "AnotherSecret00001", 1), "other", "data", []string{"order-nested-sent", "secret-other"}},
		{build(dEmpty, emptyTopKept), "same", "", []string{"empty-top-kept"}},
	} {
		k := base
		k.ExpectString = c.text
		r, err := Examine(k)
		if err != nil {
			t.Fatal(err)
		}
		res := result(t, r, SubjectString)
		if c.want == nil {
			if res.Verdict != AsSpecified || res.Diff != nil {
				t.Errorf("%+v", res)
			}
			continue
		}
		wants(t, res, c.want...)
		if res.Diff == nil || res.Diff.Tail != c.tail || c.member != "" && res.Diff.Member != c.member {
			t.Errorf("%v: diff %+v", c.want, res.Diff)
		}
		if out := dump(t, r); strings.Contains(out, "AnotherSecret") || strings.Contains(out, testSecret) {
			t.Errorf("%v: a secret is shown: %s", c.want, out)
		}
	}
	// A rule and something nobody knows: the rule is named as near.
	k := base
	k.ExpectString = strings.Replace(build(dNumber, numberJS), "2.0.1", "2.0.2", 1)
	r, err := Examine(k)
	if err != nil {
		t.Fatal(err)
	}
	res := result(t, r, SubjectString)
	if res.Verdict != NoMatch || !slices.Equal(codes(res.Near), []string{"number-shortest"}) || res.Diff == nil || res.Diff.Before == "" {
		t.Errorf("%+v", res)
	}
	// Their string explains their signature.
	p, rand, _, _ := fixture(t)
	sig, _ := p.Sign(rand, own, []byte(sm.DefaultUID), []byte(k.ExpectString))
	k.Expect = b64(sig[:])
	if r, err = Examine(k); err != nil {
		t.Fatal(err)
	}
	wants(t, result(t, r, SubjectSignature), "peer-string-signed")
}

func dump(t testing.TB, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String() + fmt.Sprintf("%+v", v)
}

func TestCipherLayouts(t *testing.T) {
	p, rand, own, _ := fixture(t)
	for order, want := range map[sm.Order]string{sm.C1C3C2: "", sm.C1C2C3: "cipher-c1c2c3", sm.ASN1: "cipher-asn1"} {
		c, err := p.Encrypt(rand, own.Public(), []byte("secret words"), order)
		if err != nil {
			t.Fatal(err)
		}
		k := Case{Message: []byte("x"), PrivateKey: keys.FormatPrivate(own), Cipher: b64(c)}
		r, err := Examine(k)
		if err != nil {
			t.Fatal(err)
		}
		if res := result(t, r, SubjectCipher); want == "" && res.Verdict != AsSpecified {
			t.Errorf("%+v", res)
		} else if want != "" {
			wants(t, res, want)
		}
		if strings.Contains(dump(t, r), "secret words") {
			t.Error("the plain text is shown")
		}
		if order == sm.C1C2C3 {
			k.Cipher = hex.EncodeToString(c[1:])
			if r, err = Examine(k); err != nil {
				t.Fatal(err)
			}
			wants(t, result(t, r, SubjectCipher), "cipher-c1c2c3", "cipher-no-04")
		}
	}
}

func TestKeyForms(t *testing.T) {
	_, _, own, other := fixture(t)
	d, pt := own.Scalar(), own.Public().Point()
	off := slices.Clone(pt)
	off[64] ^= 1
	for _, c := range []struct {
		private, public, code string
		ok                    bool
	}{
		{b64(d), "", "", true},
		{b64(append([]byte{0}, d...)), "", "key-leading-00", true},
		{"0x" + hex.EncodeToString(d), "", "key-form", true},
		{base64.RawURLEncoding.EncodeToString(d), "", "key-form", true},
		{b64(pt), "", "key-public-as-private", false},
		{strings.Repeat("ff", 32), "", "key-range", false},
		{b64(d[:20]), "", "key-cut", false},
		{"?", "", "key-unreadable", false},
		{"", b64(pt), "", true},
		{"", b64(pt[1:]), "", true},
		{"", hex.EncodeToString(append([]byte{0}, pt...)), "key-prefix", true},
		{"", hex.EncodeToString(append([]byte{4}, pt...)), "key-prefix", true},
		{"", strings.TrimRight(b64(pt), "="), "key-form", true},
		{"", b64(off), "key-off-curve", false},
		{"", b64(append(slices.Clone(pt[33:]), pt[1:33]...)), "key-swapped", true},
		{"", b64(append([]byte{2}, pt[1:33]...)), "key-compressed", false},
		{"", b64(d), "key-private-as-public", false},
		{"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "key-certificate", false},
		{b64(d), b64(pt), "own-key-as-platform", true},
		{b64(d), b64(other.Public().Point()), "keys-not-a-pair", true},
	} {
		k := Case{Message: []byte("x"), PrivateKey: c.private}
		if c.public != "" {
			k.PublicKeys = []string{c.public}
		}
		r, err := Examine(k)
		if err != nil {
			t.Fatal(err)
		}
		got := codes(r.Notes)
		if c.code == "" && len(got) > 0 || c.code != "" && !slices.Equal(got, []string{c.code}) {
			t.Errorf("%q: notes %v", c.code, got)
		}
		if r.Keys[0].OK != c.ok || r.Keys[0].Form == "" {
			t.Errorf("%q: %+v", c.code, r.Keys[0])
		}
		if out := dump(t, r); strings.Contains(out, b64(d)) || strings.Contains(out, hex.EncodeToString(d)) {
			t.Errorf("%q: the private key is shown", c.code)
		}
	}
}

// Garbage gives no match, soon, whatever the size.
func TestGarbageIsBounded(t *testing.T) {
	_, _, own, other := fixture(t)
	c := richCase(own)
	c.PublicKeys = append(c.PublicKeys, keys.FormatPublic(other.Public()))
	c.PrivateKey = keys.FormatPrivate(own)
	g := make([]byte, 64)
	for i := range g {
		g[i] = byte(7*i + 1)
	}
	c.Expect, c.ExpectString = b64(g), "nothing like it"
	big := strings.Replace(rich, `"memo":"`, `"memo":"`+strings.Repeat("长文本/", 80000), 1)
	for _, m := range []string{rich, big, strings.Repeat("x&y=", 100000)} {
		c.Message = []byte(m)
		start := time.Now()
		r, err := Examine(c)
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != NoMatch || len(r.Remaining) == 0 {
			t.Errorf("%d bytes: %s", len(m), r.Verdict)
		}
		for _, res := range r.Results {
			if res.Tried == 0 || len(res.Explanations) > 0 {
				t.Errorf("%d bytes: %+v", len(m), res)
			}
		}
		if took := time.Since(start); took > 60*time.Second { // a wide margin: the machine may be busy
			t.Errorf("%d bytes took %v", len(m), took)
		}
		t.Logf("%d bytes: %v, tried %d", len(m), time.Since(start), result(t, r, SubjectSignature).Tried)
	}
}

// The search builds the specified text exactly as the product does, for any message.
func FuzzExamine(f *testing.F) {
	_, _, own, _ := fixture(f)
	pub, priv := keys.FormatPublic(own.Public()), keys.FormatPrivate(own)
	f.Add([]byte(rich), testSecret, strings.Repeat("ab", 64), "appId=1&key=***", "")
	f.Add([]byte(encMessage), testSecret, strings.Repeat("AB", 48), "x", "zz")
	f.Add([]byte("a=1&key=***"), "", "MEUCIQ==", "", pub)
	f.Add([]byte(`{"encData":"00","signData":"AA=="}`), testSecret, "", "&KEY=1&key=2&key=", priv)
	f.Fuzz(func(t *testing.T, message []byte, secret, expect, theirs, key string) {
		if len(message) > 2000 || len(expect) > 2000 || len(theirs) > 2000 {
			return // speed only
		}
		c := Case{Message: message, AppID: testID, AppSecret: secret, PublicKeys: []string{key, pub}, PrivateKey: priv, Expect: expect, ExpectString: theirs, Cipher: expect}
		r, err := examine(c, 1) // deeper is the same code again, only slower
		if err != nil {
			return
		}
		for _, n := range r.Notes {
			if n.Code == "doctor-disagrees" {
				t.Errorf("%q", message)
			}
		}
		out := dump(t, r)
		if strings.Contains(out, priv) || len(secret) >= 12 && secret == testSecret && strings.Contains(out, secret) {
			t.Errorf("a secret is shown for %q", message)
		}
		if len(r.Results) > 0 && r.Verdict == Shown {
			t.Error("results without verdict")
		}
	})
}
