package doctor

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/crypto/vectors"
)

const (
	testID     = "1A2B3C4D5E6F7G8H9I0JTESTAPPLICAT"
	testSecret = "QwErTyUiOpAsDfGhJkLzXcVbNm098765"
)

// counter is a random source that can be repeated.
type counter struct {
	p    sm.Provider
	n    uint32
	rest []byte
}

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		if len(c.rest) == 0 {
			c.n++
			d := c.p.SM3(binary.BigEndian.AppendUint32(nil, c.n))
			c.rest = d[:]
		}
		b[i], c.rest = c.rest[0], c.rest[1:]
	}
	return len(b), nil
}

func fixture(t testing.TB) (sm.Provider, io.Reader, *sm.PrivateKey, *sm.PrivateKey) {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	r := &counter{p: p}
	a, err := sm.GenerateKey(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sm.GenerateKey(r)
	if err != nil {
		t.Fatal(err)
	}
	return p, r, a, b
}

// rich holds something for every rule to differ on.
const rich = `{"version":"2.0.1","appId":"` + testID + `","timestamp":"1707593788918","encType":"SM4","signType":"SM2",` +
	`"transType":"","code":null,"Zone":"B","extra":"x","aFlag":true,"data":{"userName":"测试/甲","amt":0.10,"cnt":1.0,"big":1E+3,"small":1e-2,"n":12,` +
	`"ok":true,"memo":"a<b\nc","none":null,"blank":"","list":[],"obj":{},"Bed":"1","items":[{"z":1.50,"a":"x","e":""},{"b":2}],` +
	`"deep":{"y":1,"b":{"q":2,"a":3},"v":null}},"signData":"x"}`

func richCase(own *sm.PrivateKey) Case {
	return Case{Message: []byte(rich), AppSecret: testSecret, PublicKeys: []string{keys.FormatPublic(own.Public())}}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func codes(set []Finding) []string {
	var out []string
	for _, f := range set {
		out = append(out, f.Code)
	}
	slices.Sort(out)
	return out
}

func result(t *testing.T, r Report, subject string) Result {
	t.Helper()
	for _, res := range r.Results {
		if res.Subject == subject {
			return res
		}
	}
	t.Fatalf("no result about %s: %+v", subject, r)
	return Result{}
}

// expand writes out the alternatives of an explanation.
func expand(set []Finding) [][]string {
	out := [][]string{nil}
	for _, f := range set {
		var next [][]string
		for _, o := range append([]Finding{f}, f.Or...) {
			for _, c := range out {
				next = append(next, append(slices.Clone(c), o.Code))
			}
		}
		out = next
	}
	for _, c := range out {
		slices.Sort(c)
	}
	return out
}

// wants demands that the set of codes is an explanation, and gives how many there are.
func wants(t *testing.T, res Result, want ...string) int {
	t.Helper()
	slices.Sort(want)
	var all [][]string
	for _, set := range res.Explanations {
		all = append(all, expand(set)...)
	}
	if res.Verdict == Variant && slices.ContainsFunc(all, func(c []string) bool { return slices.Equal(c, want) }) {
		return len(all)
	}
	t.Errorf("want %v, got %s %v", want, res.Verdict, all)
	return 0
}

// newExamOf prepares an exam as Examine does.
func newExamOf(t testing.TB, c Case) *exam {
	t.Helper()
	x, err := newExam(c)
	if err != nil {
		t.Fatal(err)
	}
	x.checkKeys()
	if err := x.readMessage(); err != nil {
		t.Fatal(err)
	}
	return x
}

// Every deviation of the text, made with a real signature, is named.
func TestEveryTextDeviationIsNamed(t *testing.T) {
	p, rand, own, _ := fixture(t)
	messages := map[string]Case{
		"plain":  richCase(own),
		"item":   {Message: []byte(strings.Replace(rich, `"list":[]`, `"list":["p",null,""]`, 1)), AppSecret: testSecret, PublicKeys: richCase(own).PublicKeys},
		"text":   {Message: []byte("appId=测试&b=2\nx&key=***"), AppSecret: testSecret, AppID: testID, PublicKeys: richCase(own).PublicKeys},
		"nokey":  {Message: []byte("appId=1\r\n&b=2"), AppSecret: testSecret, AppID: testID, PublicKeys: richCase(own).PublicKeys},
		"other":  {Message: []byte("appId=1&b=2&key=wrong"), AppSecret: testSecret, AppID: testID, PublicKeys: richCase(own).PublicKeys},
		"spaces": {Message: []byte("appId=1&b=2&key=" + testSecret + "\n"), AppSecret: testSecret, AppID: testID, PublicKeys: richCase(own).PublicKeys},
	}
	alone := map[string]int{}
	for _, c := range messages {
		x := newExamOf(t, c)
		base, baseOK := x.src.build(plan{}, x.c.AppID)
		for _, ch := range x.textChoices() {
			var pl plan
			pl[ch.dim] = ch.value
			text, ok := x.src.build(pl, x.c.AppID)
			if !ok || baseOK && string(text) == string(base) {
				continue // this message can not show it
			}
			sig, err := p.Sign(rand, own, []byte(sm.DefaultUID), text)
			if err != nil {
				t.Fatal(err)
			}
			c.Expect = b64(sig[:])
			r, err := Examine(c)
			if err != nil {
				t.Fatal(err)
			}
			n := wants(t, result(t, r, SubjectSignature), ch.Code)
			if n > 0 && (alone[ch.Code] == 0 || n < alone[ch.Code]) {
				alone[ch.Code] = n
			}
		}
	}
	for _, ch := range choices() {
		if ch.dim >= dSigner {
			continue
		}
		switch n := alone[ch.Code]; n {
		case 0:
			t.Errorf("%s was never shown", ch.Code)
		case 1:
		default:
			t.Errorf("%s is never told apart: %d explanations at best", ch.Code, n)
		}
	}
}

// Every deviation of the digest is named, and with no other.
func TestEveryDigestDeviationIsNamed(t *testing.T) {
	_, _, own, other := fixture(t)
	c := richCase(own)
	c.PublicKeys = append(c.PublicKeys, keys.FormatPublic(other.Public()))
	c.UserID, c.UserIDs = "ORG-0001", []string{"ALICE123@YAHOO.COM"}
	x := newExamOf(t, c)
	text, ok := x.src.build(plan{}, x.c.AppID)
	if !ok {
		t.Fatal("no text")
	}
	h := hasher{x: x, c: newCurve(), zs: map[[3]uint8][32]byte{}, wraps: map[uint8][]byte{}}
	for _, ch := range x.digestChoices() {
		var pl plan
		pl[ch.dim] = ch.value
		key := own
		if ch.dim == dSigner {
			key = other
		}
		e, ok := h.e(text, pl)
		if !ok {
			continue
		}
		sig := signDigest(t, key, e)
		c.Expect = b64(sig[:])
		r, err := Examine(c)
		if err != nil {
			t.Fatal(err)
		}
		if n := wants(t, result(t, r, SubjectSignature), ch.Code); n > 1 {
			t.Errorf("%s: %d explanations", ch.Code, n)
		}
	}
}

// signDigest signs the number e itself; the library would hash first.
func signDigest(t *testing.T, key *sm.PrivateKey, e [32]byte) (sig sm.Signature) {
	t.Helper()
	sig, ok := newCurve().sign(key.Scalar(), e[:])
	if !ok {
		t.Fatal("can not sign")
	}
	return sig
}

// Two deviations at once are found too; so is a wrong private key.
func TestTogether(t *testing.T) {
	p, rand, own, other := fixture(t)
	c := richCase(own)
	x := newExamOf(t, c)
	var pl plan
	pl[dNumber], pl[dEmpty] = numberJS, emptyNestedText
	text, _ := x.src.build(pl, testID)
	sig, err := p.Sign(rand, own, []byte(testSecret), text)
	if err != nil {
		t.Fatal(err)
	}
	c.Expect = hex.EncodeToString(sig.DER())
	r, err := Examine(c)
	if err != nil {
		t.Fatal(err)
	}
	if n := wants(t, result(t, r, SubjectSignature), "number-shortest", "empty-text-kept", "uid-appsecret", "form-der", "form-hex"); n != 1 {
		t.Errorf("%d explanations", n)
	}

	// Signed with our key where the platform's was expected.
	c = richCase(other)
	c.PrivateKey = keys.FormatPrivate(own)
	text, _ = x.src.build(plan{}, testID)
	sig, _ = p.Sign(rand, own, []byte(sm.DefaultUID), text)
	c.Expect = b64(sig[:])
	if r, err = Examine(c); err != nil {
		t.Fatal(err)
	}
	wants(t, result(t, r, SubjectSignature), "signer-own-key")

	// A private key of 33 bytes of which a library took the first 32, and a reversed one.
	d := own.Scalar()
	for code, b := range map[string][]byte{"signer-key-shifted": append([]byte{0}, d[:31]...), "signer-key-reversed": reversed(d)} {
		bad, err := sm.NewPrivateKey(b)
		if err != nil {
			t.Fatal(err)
		}
		sig, _ = p.Sign(rand, bad, []byte(sm.DefaultUID), text)
		c := Case{Message: []byte(rich), AppSecret: testSecret, PrivateKey: keys.FormatPrivate(own), Expect: b64(sig[:])}
		if r, err = Examine(c); err != nil {
			t.Fatal(err)
		}
		wants(t, result(t, r, SubjectSignature), code)
	}
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

func TestSignatureForms(t *testing.T) {
	p, rand, own, _ := fixture(t)
	c := richCase(own)
	x := newExamOf(t, c)
	text, _ := x.src.build(plan{}, testID)
	// A signature whose r begins with a zero byte, and one whose s does not fit 31 bits of sign.
	var sig sm.Signature
	for sig[0] != 0 || sig[1]&0xf0 == 0 || sig[32]&0x80 == 0 {
		var err error
		if sig, err = p.Sign(rand, own, []byte(sm.DefaultUID), text); err != nil {
			t.Fatal(err)
		}
	}
	der := sig.DER()
	long := append([]byte{0x30, 0x81, der[1]}, der[2:]...)
	java := append(append([]byte{0}, sig[:32]...), append([]byte{0}, sig[32:]...)...)
	for _, f := range []struct {
		name, text string
		want       []string
	}{
		{"regular", b64(sig[:]), nil},
		{"line ends", b64(sig[:])[:40] + "\r\n" + b64(sig[:])[40:], nil},
		{"hex", hex.EncodeToString(sig[:]), []string{"form-hex"}},
		{"0x", "0x" + strings.ToUpper(hex.EncodeToString(sig[:])), []string{"form-hex"}},
		{"DER", b64(der), []string{"form-der"}},
		{"DER hex", hex.EncodeToString(der), []string{"form-der", "form-hex"}},
		{"loose DER", b64(long), []string{"form-der", "form-der-loose"}},
		{"DER and more", b64(append(der[:len(der):len(der)], 0)), []string{"form-der", "form-der-loose"}},
		{"unpadded", strings.TrimRight(b64(sig[:]), "="), []string{"form-unpadded"}},
		{"of hex", b64([]byte(hex.EncodeToString(sig[:]))), []string{"form-encoded-twice"}},
		{"of base64", b64([]byte(b64(sig[:]))), []string{"form-encoded-twice"}},
		{"31 bytes", b64(sig[1:]), []string{"form-trimmed"}},
		{"31 bytes hex", hex.EncodeToString(sig[1:]), []string{"form-hex", "form-trimmed"}},
		{"33 bytes", b64(java), []string{"form-sign-byte"}},
		{"33 and 32 bytes", b64(java[:65]), nil},
		{"swapped", b64(append(append([]byte(nil), sig[32:]...), sig[:32]...)), []string{"form-swapped"}},
	} {
		if f.name == "33 and 32 bytes" {
			f.text, f.want = b64(append(append([]byte(nil), sig[:32]...), java[33:]...)), []string{"form-sign-byte"}
		}
		c.Expect = f.text
		r, err := Examine(c)
		if err != nil {
			t.Fatal(err)
		}
		res := result(t, r, SubjectSignature)
		if f.want == nil {
			if res.Verdict != AsSpecified || r.Verdict != AsSpecified {
				t.Errorf("%s: %s %v", f.name, res.Verdict, res.Explanations)
			}
		} else if n := wants(t, res, f.want...); n != 1 {
			t.Errorf("%s: %d explanations", f.name, n)
		}
		if r.Signature == nil || r.Signature.RawBase64 != b64(sig[:]) || r.Signature.DERHex != hex.EncodeToString(der) {
			t.Errorf("%s: forms %+v", f.name, r.Signature)
		}
	}
}

// What is shown is what the product signs, and every published message is as specified.
func TestVectors(t *testing.T) {
	var file struct {
		Positive []struct {
			ID, AppSecret, SM2Uid, RequestRaw, SignString, ZaHex, EHex, SignData, EncData, AppID string
			Key                                                                                  struct{ PubHex, DBase64 string }
			Wire                                                                                 json.RawMessage
		}
	}
	if err := json.Unmarshal(vectors.Embedded, &file); err != nil || len(file.Positive) == 0 {
		t.Fatal(err)
	}
	for _, v := range file.Positive {
		for _, c := range []Case{
			{Message: []byte(v.RequestRaw), AppID: v.AppID, AppSecret: v.AppSecret, PublicKeys: []string{v.Key.PubHex}, Expect: v.SignData},
			{Message: v.Wire, AppID: v.AppID, AppSecret: v.AppSecret, PrivateKey: v.Key.DBase64},
			{Message: []byte(v.SignString), AppID: v.AppID, AppSecret: v.AppSecret, PublicKeys: []string{v.Key.PubHex}, Expect: v.SignData},
			{Message: []byte(v.RequestRaw), AppID: v.AppID, AppSecret: v.AppSecret, PublicKeys: []string{v.Key.PubHex}, Expect: v.EncData, ExpectString: v.SignString},
			{Message: []byte(v.RequestRaw), AppID: v.AppID, AppSecret: v.AppSecret, PublicKeys: []string{v.Key.PubHex}, Expect: v.EHex},
		} {
			r, err := Examine(c)
			if err != nil {
				t.Fatal(v.ID, err)
			}
			if r.Verdict != AsSpecified || r.Signing.Z != v.ZaHex || r.Signing.E != v.EHex {
				t.Errorf("%s: %s %+v %+v", v.ID, r.Verdict, r.Results, r.Notes)
			}
			want := strings.Replace(v.SignString, v.AppSecret, "***", 1)
			if r.Signing.String != want {
				t.Errorf("%s: shows %q", v.ID, r.Signing.String)
			}
			if r.EncData != nil && r.EncData.Hex != v.EncData {
				t.Errorf("%s: encData", v.ID)
			}
		}
	}
}

func TestOursVerifies(t *testing.T) {
	p, rand, own, other := fixture(t)
	c := Case{Message: []byte(rich), AppSecret: testSecret, PrivateKey: keys.FormatPrivate(own), Rand: rand}
	r, err := Examine(c)
	if err != nil || r.Ours == nil || r.Verdict != Shown { // signData of the message is "x"
		t.Fatal(err, r.Verdict)
	}
	profile, err := envelope.New("mpc", envelope.Party{AppID: testID, AppSecret: testSecret, Sign: own, Verify: []*sm.PublicKey{other.Public()}}, envelope.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := profile.Seal(rand, time.UnixMilli(1700000000000), []byte(`{"a":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if r, err = Examine(Case{Message: sealed.Body, AppSecret: testSecret, PrivateKey: keys.FormatPrivate(own)}); err != nil || r.Verdict != AsSpecified || len(r.Results) != 2 {
		t.Errorf("%v %+v", err, r)
	}
	text, _ := newExamOf(t, c).src.build(plan{}, testID)
	r, _ = Examine(c)
	raw, _ := base64.StdEncoding.DecodeString(r.Ours.RawBase64)
	if p.Verify(own.Public(), []byte(sm.DefaultUID), text, sm.Signature(raw)) != nil {
		t.Error("the signature shown does not verify")
	}
}

func TestCaseErrors(t *testing.T) {
	for _, c := range []Case{{}, {Message: make([]byte, maxMessage+1)}, {Message: []byte("a"), PublicKeys: make([]string, maxKeys+1)},
		{Message: []byte("a"), UserIDs: make([]string, maxUIDs+1)}, {Message: []byte("a"), UserID: strings.Repeat("x", 1025)}} {
		if _, err := Examine(c); !errors.Is(err, ErrCase) {
			t.Errorf("%v", err)
		}
	}
	r, err := Examine(Case{Message: []byte(rich), AppSecret: testSecret, Expect: strings.Repeat("ab", 64)})
	if err != nil || r.Verdict != Unusable {
		t.Errorf("%v %s", err, r.Verdict)
	}
	r, err = Examine(Case{Message: []byte(strings.Replace(rich, `,"signData":"x"`, "", 1)), AppSecret: testSecret})
	if err != nil || r.Verdict != Shown || r.Signing.String == "" {
		t.Errorf("%v %s", err, r.Verdict)
	}
}

// What one message can not tell apart is said once for each rule, not in every combination.
func TestAlternativesArePutTogether(t *testing.T) {
	p, rand, own, _ := fixture(t)
	m := `{"appId":"` + testID + `","data":{"amt":12.50,"memo":""}}`
	sig, err := p.Sign(rand, own, []byte(sm.DefaultUID), []byte(`appId=`+testID+`&data={"amt":"12.5","memo":""}&key=`+testSecret))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Examine(Case{Message: []byte(m), AppSecret: testSecret, PublicKeys: []string{keys.FormatPublic(own.Public())}, Expect: b64(sig[:])})
	if err != nil {
		t.Fatal(err)
	}
	res := result(t, r, SubjectSignature)
	if len(res.Explanations) != 1 || len(res.Explanations[0]) != 2 {
		t.Fatalf("%+v", res.Explanations)
	}
	if n := wants(t, res, "number-shortest", "empty-text-kept"); n != 20 {
		t.Errorf("%d combinations", n)
	}
}

// A signature in base64 that begins like hex is read all the same.
func TestBase64ThatBeginsLikeHex(t *testing.T) {
	p, rand, own, _ := fixture(t)
	c := richCase(own)
	text, _ := newExamOf(t, c).src.build(plan{}, testID)
	for c.Expect = ""; !strings.HasPrefix(c.Expect, "0x"); {
		sig, err := p.Sign(rand, own, []byte(sm.DefaultUID), text)
		if err != nil {
			t.Fatal(err)
		}
		c.Expect = b64(sig[:])
	}
	if r, err := Examine(c); err != nil || r.Verdict != AsSpecified {
		t.Errorf("%v %+v", err, r.Results)
	}
}
