package admit

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, gateway.China)

func provider() sm.Provider {
	p, err := sm.New("")
	if err != nil {
		panic(err)
	}
	return p
}

func newSM3() hash.Hash { return provider().NewSM3() }

// nonces is a gateway.Nonces in memory.
type nonces struct {
	mu   sync.Mutex
	used map[string]bool
	err  error
}

func (n *nonces) Use(_ context.Context, system, nonce string, expires time.Time, durable bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return n.err
	}
	if n.used[system+nonce] {
		return &gateway.Error{Code: gateway.CodeReplayed}
	}
	n.used[system+nonce] = true
	return nil
}

var (
	signKey = []byte("a-key-of-thirty-two-characters!!")
	oldKey  = []byte("the-key-before-of-32-characters!")
	hosp    = []ident.Institution{"H44010000001"}
)

func clients() []Client {
	p := provider()
	return []Client{
		{System: "plain", KeyDigest: p.SM3([]byte("plain-key")), Institutions: hosp},
		{System: "signs", Signing: [][]byte{signKey, oldKey}, Institutions: hosp},
		{System: "both", KeyDigest: p.SM3([]byte("both-key")), Signing: [][]byte{[]byte("both-signing-key-0123456789")}, Institutions: hosp},
		{System: "slow", KeyDigest: p.SM3([]byte("slow-key")), Rate: 0.1, Burst: 1, Institutions: hosp},
	}
}

func guard(t testing.TB, list []Client) (*Guard, *nonces, *gatewaytest.Clock) {
	t.Helper()
	n := &nonces{used: map[string]bool{}}
	c := gatewaytest.NewClock(noon)
	g, err := New(Options{Clients: list, Digest: func(b []byte) [32]byte { return provider().SM3(b) }, Hash: newSM3, Clock: c, Nonces: n})
	if err != nil {
		t.Fatal(err)
	}
	return g, n, c
}

// pass takes a call through the guard as a door does, and gives the system, what was read and the code.
func pass(g *Guard, r *http.Request, inPath string) (system, body string, code gateway.Code) {
	p, err := g.Who(r, inPath)
	if err == nil {
		err = p.Enter(r.Context(), r)
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(r.Body)
	}
	var e *gateway.Error
	if errors.As(err, &e) {
		return "", "", e.Code
	}
	if err != nil {
		return "", "", gateway.Code("? " + err.Error())
	}
	return p.Caller.System, string(b), ""
}

func request(method, target, body string) *http.Request {
	return httptest.NewRequest(method, target, strings.NewReader(body))
}

func signedRequest(method, target, body, nonce string) *http.Request {
	r := request(method, target, body)
	r.Header.Set("Idempotency-Key", "R1")
	Sign(newSM3, signKey, "signs", r, []byte(body), noon, nonce)
	return r
}

func TestPlainKeys(t *testing.T) {
	g, _, _ := guard(t, clients())
	h := func(pairs ...string) *http.Request {
		r := request("POST", "/api/v1/settlements", "{}")
		for i := 0; i+1 < len(pairs); i += 2 {
			r.Header.Add(pairs[i], pairs[i+1])
		}
		return r
	}
	for i, c := range []struct {
		r      *http.Request
		inPath string
		system string
		code   gateway.Code
	}{
		{h("Authorization", "Bearer plain-key"), "", "plain", ""},
		{h("X-API-Key", "plain-key"), "", "plain", ""},
		{h(), "plain-key", "plain", ""},
		{h("X-API-Key", "both-key"), "", "both", ""},
		{h(), "", "", gateway.CodeKeyMissing},
		{h("Authorization", "Bearer other"), "", "", gateway.CodeKeyWrong},
		{h("Authorization", "Bearer "), "", "", gateway.CodeKeyWrong},
		{h("Authorization", "Basic cGxhaW4="), "", "", gateway.CodeKeyWrong},
		{h("Authorization", "Bearer plain-key", "X-API-Key", "both-key"), "", "", gateway.CodeKeyWrong},
		{h("Authorization", "Bearer plain-key", "Authorization", "Bearer both-key"), "", "", gateway.CodeKeyWrong},
		{h("X-API-Key", "plain-key", "X-API-Key", "plain-key"), "", "", gateway.CodeKeyWrong},
		{h("X-API-Key", "plain-key"), "both-key", "", gateway.CodeKeyWrong},
		{h("Authorization", "Bearer "+string(signKey)), "", "", gateway.CodeKeyWrong}, // the key of signatures is no plain key
		{h("Authorization", "Bearer yqs_somebodys-session"), "", "", gateway.CodeKeyWrong},
		{h("X-Forwarded-For", "127.0.0.1", "X-Client-Cert", "CN=signs"), "", "", gateway.CodeKeyMissing},
	} {
		if system, _, code := pass(g, c.r, c.inPath); system != c.system || code != c.code {
			t.Errorf("%d: %q %q, want %q %q", i, system, code, c.system, c.code)
		}
	}
	if system, _, _ := pass(g, h("X-API-Key", "slow-key"), ""); system != "slow" {
		t.Error("refused within the burst")
	}
	if _, _, code := pass(g, h("X-API-Key", "slow-key"), ""); code != gateway.CodeRateLimited {
		t.Error("not held to its rate: ", code)
	}
}

const target1 = "/api/v1/settlements/B1%2F2/refund?a=1&b=%20x"

func TestSignedCalls(t *testing.T) {
	const body = `{"request_id":"R1"}`
	g, n, clock := guard(t, clients())
	if system, got, code := pass(g, signedRequest("POST", target1, body, "nonce-0123456789ab"), ""); system != "signs" || got != body || code != "" {
		t.Fatal(system, got, code)
	}
	if _, _, code := pass(g, signedRequest("POST", target1, body, "nonce-0123456789ab"), ""); code != gateway.CodeReplayed {
		t.Error("a call is taken twice: ", code)
	}
	old := request("GET", "/api/v1/settlements/B1", "")
	Sign(newSM3, oldKey, "signs", old, nil, noon, "nonce-of-the-old-key")
	if system, _, _ := pass(g, old, ""); system != "signs" {
		t.Error("the key before is not taken")
	}
	fresh := 0
	for name, spoil := range map[string]func(r *http.Request){
		"method":         func(r *http.Request) { r.Method = "PUT" },
		"path":           func(r *http.Request) { r.RequestURI = strings.Replace(target1, "B1", "B2", 1) },
		"path unescaped": func(r *http.Request) { r.RequestURI = strings.Replace(target1, "%2F", "/", 1) },
		"query":          func(r *http.Request) { r.RequestURI = strings.Replace(target1, "a=1", "a=2", 1) },
		"no query":       func(r *http.Request) { r.RequestURI, _, _ = strings.Cut(target1, "?") },
		"other request":  func(r *http.Request) { r.Header.Set("Idempotency-Key", "R2") },
		"no request":     func(r *http.Request) { r.Header.Del("Idempotency-Key") },
		"two requests":   func(r *http.Request) { r.Header.Add("Idempotency-Key", "R1") },
		"time":           func(r *http.Request) { r.Header.Set(headerTime, strconv.FormatInt(noon.Unix()+1, 10)) },
		"time +":         func(r *http.Request) { r.Header.Set(headerTime, "+"+r.Header.Get(headerTime)) },
		"time huge":      func(r *http.Request) { r.Header.Set(headerTime, "9223372036854775807") },
		"time below 0":   func(r *http.Request) { r.Header.Set(headerTime, "-1") },
		"nonce":          func(r *http.Request) { r.Header.Set(headerNonce, "another-nonce-123456") },
		"nonce short":    func(r *http.Request) { r.Header.Set(headerNonce, "short") },
		"nonce long":     func(r *http.Request) { r.Header.Set(headerNonce, strings.Repeat("n", 65)) },
		"nonce lines":    func(r *http.Request) { r.Header.Set(headerNonce, "nonce-0123456789\nR9") },
		"digest":         func(r *http.Request) { r.Header.Set(headerDigest, "sm3="+strings.Repeat("0", 64)) },
		"digest name": func(r *http.Request) {
			r.Header.Set(headerDigest, strings.Replace(r.Header.Get(headerDigest), "sm3", "sm2", 1))
		},
		"signature":      func(r *http.Request) { r.Header.Set(headerSignature, "hmac-sm3="+strings.Repeat("0", 64)) },
		"SIGNATURE":      func(r *http.Request) { r.Header.Set(headerSignature, strings.ToUpper(r.Header.Get(headerSignature))) },
		"no signature":   func(r *http.Request) { r.Header.Del(headerSignature) },
		"two signatures": func(r *http.Request) { r.Header.Add(headerSignature, r.Header.Get(headerSignature)) },
		"system":         func(r *http.Request) { r.Header.Set(headerSystem, "both") },
		"unknown system": func(r *http.Request) { r.Header.Set(headerSystem, "nobody") },
		"plain system":   func(r *http.Request) { r.Header.Set(headerSystem, "plain") },
		"two systems":    func(r *http.Request) { r.Header.Add(headerSystem, "both") },
		"a key, too":     func(r *http.Request) { r.Header.Set("X-API-Key", "plain-key") },
		"body":           func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"request_id":"R2"}`)) },
		"body longer":    func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(body + " ")) },
		"body gone":      func(r *http.Request) { r.Body = http.NoBody },
	} {
		fresh++
		r := signedRequest("POST", target1, body, fmt.Sprintf("fresh-nonce-%08d", fresh))
		spoil(r)
		if system, got, code := pass(g, r, ""); code != gateway.CodeSignature || got != "" {
			t.Errorf("%s: %q %q %q", name, system, got, code)
		}
	}
	// What was refused has not used a nonce up, except where everything but the body was right.
	if len(n.used) != 2+3 {
		t.Errorf("%d nonces are used up", len(n.used))
	}
	for _, off := range []time.Duration{-5*time.Minute - time.Second, 5*time.Minute + time.Second} {
		fresh++
		r := request("POST", target1, body)
		Sign(newSM3, signKey, "signs", r, []byte(body), noon.Add(off), fmt.Sprintf("fresh-nonce-%08d", fresh))
		if _, _, code := pass(g, r, ""); code != gateway.CodeSignatureStale {
			t.Errorf("%s off: %q", off, code)
		}
	}
	clock.Advance(4 * time.Minute)
	if system, _, code := pass(g, signedRequest("POST", target1, body, "within-the-window-1"), ""); system != "signs" {
		t.Error(code)
	}
	n.err = &gateway.Error{Code: gateway.CodeStorage}
	if _, _, code := pass(g, signedRequest("POST", target1, body, "within-the-window-2"), ""); code != gateway.CodeStorage {
		t.Error("taken although it can not be remembered: ", code)
	}
}

// Who overheard a call and makes it again and again does not use up the rate of the system.
func TestAReplayIsNotTheSystemsCall(t *testing.T) {
	list := clients()
	list[1].Rate, list[1].Burst = 0.1, 2
	g, _, _ := guard(t, list)
	for i, c := range []struct {
		nonce string
		code  gateway.Code
	}{{"nonce-0123456789ab", ""}, {"nonce-0123456789ab", gateway.CodeReplayed}, {"nonce-0123456789ab", gateway.CodeReplayed},
		{"nonce-0123456789ab", gateway.CodeReplayed}, {"another-0123456789", ""}, {"another-than-these", gateway.CodeRateLimited}} {
		if _, _, code := pass(g, signedRequest("POST", target1, "{}", c.nonce), ""); code != c.code {
			t.Errorf("%d: %q, want %q", i, code, c.code)
		}
	}
}

// The same everywhere it is read, and the same as OpenSSL gives (printf TEXT | openssl dgst -sm3 -hmac KEY).
func TestTextIsKept(t *testing.T) {
	r := request("POST", target1, "")
	r.Header.Set("Idempotency-Key", "R1")
	Sign(newSM3, signKey, "signs", r, []byte(`{"a":1}`), noon, "nonce-0123456789ab")
	text := Text("signs", "POST", "/api/v1/settlements/B1%2F2/refund", "a=1&b=%20x", "1772596800", "nonce-0123456789ab", "R1", strings.TrimPrefix(r.Header.Get(headerDigest), "sm3="))
	if want := "yiqiao-call-1\nsigns\nPOST\n/api/v1/settlements/B1%2F2/refund\na=1&b=%20x\n1772596800\nnonce-0123456789ab\nR1\n" + vectorDigest; text != want {
		t.Errorf("%q", text)
	}
	if got := r.Header.Get(headerSignature); got != "hmac-sm3="+vectorSignature {
		t.Errorf("%s", got)
	}
}

func certificate(t *testing.T, cn string, from, to time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: cn, Organization: []string{"测试"}}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCertificates(t *testing.T) {
	pinned := certificate(t, "pinned", noon.Add(-time.Hour), noon.Add(time.Hour))
	named := certificate(t, "named", noon.Add(-time.Hour), noon.Add(time.Hour))
	late := certificate(t, "late", noon.Add(-time.Hour), noon.Add(-time.Second))
	stranger := certificate(t, "pinned", noon.Add(-time.Hour), noon.Add(time.Hour))
	list := append(clients(),
		Client{System: "pinned", Certificates: []Certificate{{SHA256: sha256.Sum256(pinned.Raw)}, {SHA256: sha256.Sum256(late.Raw)}}, Institutions: hosp},
		Client{System: "named", Certificates: []Certificate{{Subject: named.Subject.String()}}, Institutions: hosp})
	g, _, _ := guard(t, list)
	for name, c := range map[string]struct {
		cert     *x509.Certificate
		verified bool
		key      string
		system   string
		code     gateway.Code
	}{
		"pinned":               {pinned, false, "", "pinned", ""},
		"named, verified":      {named, true, "", "named", ""},
		"named, by itself":     {named, false, "", "", gateway.CodeCertificate},
		"another of that name": {stranger, true, "", "", gateway.CodeCertificate},
		"out of its time":      {late, false, "", "", gateway.CodeCertificate},
		"unknown, with a key":  {stranger, true, "plain-key", "plain", ""},
		"another system's key": {pinned, false, "plain-key", "", gateway.CodeCertificate},
		"a wrong key":          {pinned, false, "nobodys", "", gateway.CodeKeyWrong},
		"none":                 {nil, false, "", "", gateway.CodeKeyMissing},
	} {
		r := request("GET", "/api/v1/settlements/B1", "")
		r.TLS = &tls.ConnectionState{}
		if c.cert != nil {
			r.TLS.PeerCertificates = []*x509.Certificate{c.cert}
			if c.verified {
				r.TLS.VerifiedChains = [][]*x509.Certificate{{c.cert}}
			}
		}
		if c.key != "" {
			r.Header.Set("X-API-Key", c.key)
		}
		if system, _, code := pass(g, r, ""); system != c.system || code != c.code {
			t.Errorf("%s: %q %q", name, system, code)
		}
	}
}

func TestClientsAreChecked(t *testing.T) {
	digest := func(b []byte) [32]byte { return provider().SM3(b) }
	for name, c := range map[string]Client{
		"nothing":       {System: "x", Institutions: hosp},
		"no name":       {KeyDigest: [32]byte{1}, Institutions: hosp},
		"nowhere":       {System: "x", KeyDigest: [32]byte{1}},
		"empty key":     {System: "x", KeyDigest: digest(nil), Institutions: hosp},
		"key taken":     {System: "x", KeyDigest: digest([]byte("plain-key")), Institutions: hosp},
		"short signing": {System: "x", Signing: [][]byte{[]byte("short")}, Institutions: hosp},
		"signing taken": {System: "x", Signing: [][]byte{signKey}, Institutions: hosp},
		"strange name":  {System: "x\ny", Signing: [][]byte{[]byte("0123456789abcdef")}, Institutions: hosp},
		"no cert":       {System: "x", Certificates: []Certificate{{}}, Institutions: hosp},
		"rate":          {System: "x", KeyDigest: [32]byte{1}, Rate: -1, Institutions: hosp},
	} {
		if _, err := New(Options{Clients: append(clients(), c), Digest: digest, Hash: newSM3, Clock: gatewaytest.NewClock(noon), Nonces: &nonces{}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := New(Options{Clients: clients(), Digest: digest, Clock: gatewaytest.NewClock(noon)}); err == nil {
		t.Error("signatures without a memory for nonces")
	}
}

// Whatever headers say, a body is given on only when it is the one that was signed, and nothing panics.
func FuzzSigned(f *testing.F) {
	f.Add("signs", "1772596800", "nonce-0123456789ab", "sm3="+vectorDigest, "hmac-sm3="+vectorSignature, []byte(`{"a":1}`))
	f.Add("", "", "", "", "", []byte(nil))
	g, _, _ := guard(f, clients())
	f.Fuzz(func(t *testing.T, system, stamp, nonce, digest, signature string, body []byte) {
		r := httptest.NewRequest("POST", target1, bytes.NewReader(body))
		r.Header = http.Header{headerSystem: {system}, headerTime: {stamp}, headerNonce: {nonce}, headerDigest: {digest}, headerSignature: {signature}, headerRequest: {"R1"}}
		if got, _, code := pass(g, r, ""); code == "" && (got != "signs" || string(body) != `{"a":1}`) {
			t.Errorf("%q gets in with %q", got, body)
		}
	})
}

// Made with OpenSSL 3.
const (
	vectorDigest    = "d646a76e347ce7c1a4c11acff67604928ccfaf03fc2e4fb8faaf5b2b1227605a"
	vectorSignature = "ffc56bf6f731bdc97b9a83c21e30f1b14cce7b179a696aad7ed8ad16ab4a4561"
)
