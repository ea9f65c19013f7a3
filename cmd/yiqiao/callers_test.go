package main

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
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"hash"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/adapters/his/admit"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
)

const signingKey = "signing-key-of-his-main-0123456789"

// authority makes certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	life time.Duration // of what it makes
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, life: time.Hour}
	a.cert, a.key = a.make("test CA", nil)
	return a
}

func (a *authority) make(cn string, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(a.life), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := tmpl, key
	if by != nil {
		parent, signer = by.cert, by.key
	} else {
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage = true, true, x509.KeyUsageCertSign
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, key
}

func (a *authority) pair(cn string) tls.Certificate {
	c, k := a.make(cn, a)
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: k, Leaf: c}
}

func writePEM(t *testing.T, dir, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// secured is a gateway with TLS whose system his-main signs, his-cert shows a certificate and his-plain has a key.
type secured struct {
	t     *testing.T
	dir   string
	ca    *authority
	his   tls.Certificate // of his-cert
	clock movedClock
	gw    *server
	end   func()
}

func newSecured(t *testing.T) *secured {
	s := &secured{t: t, dir: filepath.Join(t.TempDir(), "site"), ca: newAuthority(t)}
	s.his = s.ca.pair("his-cert")
	if _, err := writeStarter(s.dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	s.own(s.ca.pair("gateway"))
	writePEM(t, s.dir, "ca.pem", "CERTIFICATE", s.ca.cert.Raw)
	if err := os.WriteFile(filepath.Join(s.dir, "secrets/his-main.sign"), []byte(signingKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

// own makes a pair the gateway's.
func (s *secured) own(pair tls.Certificate) {
	s.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		s.t.Fatal(err)
	}
	writePEM(s.t, s.dir, "gw.pem", "CERTIFICATE", pair.Certificate[0])
	writePEM(s.t, s.dir, "gw.key", "PRIVATE KEY", key)
}

func (s *secured) start() {
	s.t.Helper()
	g, err := loadGateway(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	g.Log.Level = "error"
	g.TLS = tlsSettings{Cert: "gw.pem", Key: "gw.key", ClientCA: "ca.pem"}
	p, _ := sm.New("")
	digest := p.SM3([]byte("plain-key-of-his"))
	sum := sha256.Sum256(s.his.Certificate[0])
	g.HIS[0].SigningKeys = []config.Secret{"file:secrets/his-main.sign"}
	g.HIS = append(g.HIS, hisSettings{System: "his-cert", Certificates: []string{"sha256:" + hex.EncodeToString(sum[:])}, Institutions: g.HIS[0].Institutions},
		hisSettings{System: "his-named", Certificates: []string{"subject:CN=his-named"}, Institutions: g.HIS[0].Institutions},
		hisSettings{System: "his-plain", KeyDigest: hex.EncodeToString(digest[:]), Institutions: g.HIS[0].Institutions})
	g.SOAP.Mapping, g.FHIR.Mapping = "generic-xml", "generic-fhir"
	g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7", Cert: "gw.pem", Key: "gw.key", Clients: []hl7Client{{System: "hl7", Networks: []string{"127.0.0.0/8"}, Institutions: g.HIS[0].Institutions}}}}
	g.Manage.Listen = "127.0.0.1:0"
	if err := g.check(); err != nil {
		s.t.Fatal(err)
	}
	if s.gw, err = newServer(context.Background(), g, io.Discard, &s.clock); err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.gw.run(ctx) })
	end := sync.OnceFunc(func() { stop(); wg.Wait(); s.gw.close() })
	s.end = end
	s.t.Cleanup(end)
}

func (s *secured) base() string { return "https://" + s.gw.addr() }

// client trusts the gateway and shows a certificate, or none.
func (s *secured) client(show ...tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	pool.AddCert(s.ca.cert)
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: show}}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func (s *secured) request(method, target, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequest(method, s.base()+target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r
}

// send gives status, code of the problem and body.
func (s *secured) send(c *http.Client, r *http.Request) (int, gateway.Code, string) {
	s.t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var p struct {
		Code gateway.Code `json:"code"`
	}
	_ = json.Unmarshal(b, &p)
	return resp.StatusCode, p.Code, string(b)
}

func (s *secured) sign(r *http.Request, body string) *http.Request {
	p, err := sm.New("")
	if err != nil {
		s.t.Fatal(err)
	}
	admit.Sign(func() hash.Hash { return p.NewSM3() }, []byte(signingKey), "his-main", r, []byte(body), time.Now(), rand.Text())
	return r
}

// A renewed certificate is shown by both listeners without a restart, and what is told of its end follows; one
// that can not be used is not taken, and that is told.
func TestCertificateIsReadAnew(t *testing.T) {
	s := newSecured(t)
	shown := func(address string) string {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AddCert(s.ca.cert)
		c, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	told := func(want ...string) {
		t.Helper()
		resp, err := http.Get("http://" + s.gw.parts.watch.ln.Addr().String() + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(b), w) {
				t.Errorf("no %s in the metrics", w)
			}
		}
	}
	at := []string{s.gw.addr(), s.gw.hl7[0].ln.Addr().String()}
	is := func(want string) {
		t.Helper()
		for _, a := range at {
			if got := shown(a); got != want {
				t.Errorf("%s shows %s, want %s", a, got, want)
			}
		}
	}
	is("gateway")
	told(`yiqiao_certificate_not_taken{name="interface"} 0`, `yiqiao_certificate_not_taken{name="hl7:0"} 0`, `yiqiao_expiry_days{kind="certificate",name="interface"} 0.04`)
	kept := s.client() // a connection that is there goes on
	if status, _, _ := s.send(kept, s.request("GET", "/healthz", "")); status != 200 {
		t.Error(status)
	}
	s.own(s.ca.pair("renewed"))
	s.clock.forward(10 * time.Second)
	is("renewed")
	if status, _, _ := s.send(kept, s.request("GET", "/healthz", "")); status != 200 {
		t.Error(status)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "gw.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.clock.forward(10 * time.Second)
	is("renewed")
	told(`yiqiao_certificate_not_taken{name="interface"} 1`, `yiqiao_certificate_not_taken{name="hl7:0"} 1`)
	s.ca.life = 48 * time.Hour
	s.own(s.ca.pair("again"))
	s.clock.forward(10 * time.Second)
	is("again")
	told(`yiqiao_certificate_not_taken{name="interface"} 0`, `yiqiao_expiry_days{kind="certificate",name="interface"} 1.99`, `yiqiao_expiry_days{kind="certificate",name="hl7:0"} 1.99`)
}

// Signed calls at every door that speaks HTTP; and none is taken twice, also after a restart.
func TestSignedCallsAtTheGateway(t *testing.T) {
	s := newSecured(t)
	c := s.client()
	const absent = "/api/v1/settlements/BH44010000001202601010101010001"
	if status, code, body := s.send(c, s.sign(s.request("GET", absent, ""), "")); status != 404 || code != gateway.CodeNotFound {
		t.Fatal(status, code, body)
	}
	key, err := os.ReadFile(filepath.Join(s.dir, starterAPIKey))
	if err != nil {
		t.Fatal(err)
	}
	plainKey := s.request("GET", absent, "")
	plainKey.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	if _, code, body := s.send(c, plainKey); code != gateway.CodeKeyWrong {
		t.Errorf("a system that can sign is let in with its plain key: %s", body)
	}
	other := s.request("GET", absent, "")
	other.Header.Set("X-API-Key", "plain-key-of-his")
	if _, code, body := s.send(c, other); code != gateway.CodeNotFound {
		t.Errorf("%s", body)
	}

	// The body may not be exchanged, and the call not be repeated, whichever door it goes to.
	doors := map[string]struct{ target, body, admitted string }{
		"rest":   {"/api/v1/settlements", `{"request_id":"S-1"}`, "request-invalid"},
		"native": {"/native", `{"infno":"1101"}`, "infcode"},
		"soap":   {"/soap", `<Nothing/>`, "Error"},
		"fhir":   {"/fhir/$process-message", `{"resourceType":"Bundle"}`, "OperationOutcome"},
	}
	var kept []*http.Request
	for name, d := range doors {
		signed := s.sign(s.request("POST", d.target, d.body), d.body)
		again := signed.Clone(context.Background())
		again.Body = io.NopCloser(strings.NewReader(d.body))
		status, _, text := s.send(c, signed)
		if status == 401 || !strings.Contains(text, d.admitted) || strings.Contains(text, "signature") {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, _, text := s.send(c, again); status < 400 || !strings.Contains(text, "call-replayed") {
			t.Errorf("%s: a call was taken twice: %d %s", name, status, text)
		}
		swapped := s.sign(s.request("POST", d.target, d.body+" "), d.body)
		if status, _, text := s.send(c, swapped); status < 400 || !strings.Contains(text, "signature-refused") {
			t.Errorf("%s: another body than was signed: %d %s", name, status, text)
		}
		later := signed.Clone(context.Background())
		later.Body = io.NopCloser(strings.NewReader(d.body))
		kept = append(kept, later)
	}
	s.end()
	was := s.gw.addr()
	s.start()
	for _, r := range kept {
		r.URL.Host = s.gw.addr()
		if status, _, text := s.send(c, r); status < 400 || !strings.Contains(text, "call-replayed") {
			t.Errorf("%s: taken again after a restart (%s): %d %s", r.URL.Path, was, status, text)
		}
	}
}

func TestClientCertificatesAtTheGateway(t *testing.T) {
	s := newSecured(t)
	const absent = "/api/v1/settlements/BH44010000001202601010101010001"
	stranger := newAuthority(t).pair("his-named")
	for name, c := range map[string]struct {
		cert []tls.Certificate
		code gateway.Code
	}{
		"pinned": {[]tls.Certificate{s.his}, gateway.CodeNotFound}, "named": {[]tls.Certificate{s.ca.pair("his-named")}, gateway.CodeNotFound},
		"of the CA, but nobody": {[]tls.Certificate{s.ca.pair("nobody")}, gateway.CodeCertificate}, "none": {nil, gateway.CodeKeyMissing},
		"the pinned name, another key": {[]tls.Certificate{s.ca.pair("his-cert")}, gateway.CodeCertificate},
	} {
		if _, code, text := s.send(s.client(c.cert...), s.request("GET", absent, "")); code != c.code {
			t.Errorf("%s: %s", name, text)
		}
	}
	// One that another CA made does not even get a connection.
	r := s.request("GET", absent, "")
	tr := s.client().Transport.(*http.Transport)
	tr.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
	if resp, err := (&http.Client{Transport: tr}).Do(r); err == nil {
		resp.Body.Close()
		t.Error("a certificate of another CA was let in")
	}
}

// The examples for HIS vendors work against the real gateway.
func TestSignedExamples(t *testing.T) {
	s := newSecured(t)
	body := filepath.Join(s.dir, "body.json")
	if err := os.WriteFile(body, []byte(`{"request_id":"EX-1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(s.dir, "ca.pem")
	for name, command := range map[string][]string{
		"shell": {"sh", "../../examples/signed/call.sh"}, "python": {"python3", "../../examples/signed/call.py"}, "go": {"go", "run", "../../examples/signed"},
	} {
		if _, err := exec.LookPath(command[0]); err != nil {
			if os.Getenv("CI") != "" {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%s is not tried: %v", name, err)
			continue
		}
		for want, args := range map[string][]string{
			"request-invalid": {"POST", "/api/v1/settlements", body}, "not-found": {"GET", "/api/v1/settlements/B1?x=%20y"},
		} {
			cmd := exec.Command(command[0], append(append(command[1:], s.base(), "his-main"), args...)...)
			cmd.Env = append(os.Environ(), "YIQIAO_KEY="+signingKey, "SSL_CERT_FILE="+ca, "CURL_OPTIONS=--cacert "+ca)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			_ = cmd.Run() // a refusal of ours is not its failure
			if !strings.Contains(out.String(), `"`+want+`"`) {
				t.Errorf("%s %v: %s", name, args, out.String())
			}
			cmd = exec.Command(command[0], append(append(command[1:], s.base(), "his-main"), args...)...)
			cmd.Env = append(os.Environ(), "YIQIAO_KEY=another-key-0123456789", "SSL_CERT_FILE="+ca, "CURL_OPTIONS=--cacert "+ca)
			if b, _ := cmd.CombinedOutput(); !strings.Contains(string(b), "signature-refused") {
				t.Errorf("%s with another key: %s", name, b)
			}
		}
	}
}

func TestCallerMistakes(t *testing.T) {
	for name, edit := range map[string]func(g *gatewaySettings){
		"no way": func(g *gatewaySettings) { g.HIS[0].KeyDigest = "" },
		"plain, no key": func(g *gatewaySettings) {
			g.HIS[0].KeyDigest, g.HIS[0].PlainKey, g.HIS[0].Certificates = "", true, []string{"sha256:" + strings.Repeat("a", 64)}
		},
		"cert, no tls": func(g *gatewaySettings) { g.HIS[0].Certificates = []string{"sha256:" + strings.Repeat("a", 64)} },
		"cert, half": func(g *gatewaySettings) {
			g.TLS.Cert, g.TLS.Key = "x", "y"
			g.HIS[0].Certificates = []string{"sha256:abcd"}
		},
		"cert, kind": func(g *gatewaySettings) {
			g.TLS.Cert, g.TLS.Key = "x", "y"
			g.HIS[0].Certificates = []string{"md5:abcd"}
		},
		"subject, no CA": func(g *gatewaySettings) {
			g.TLS.Cert, g.TLS.Key = "x", "y"
			g.HIS[0].Certificates = []string{"subject:CN=x"}
		},
		"key, no cert":    func(g *gatewaySettings) { g.TLS.Key = "y" },
		"CA, no cert":     func(g *gatewaySettings) { g.TLS.ClientCA = "y" },
		"people":          func(g *gatewaySettings) { g.People.ByAccount = "perhaps" },
		"people's memory": func(g *gatewaySettings) { g.People.MemoryMiB = 1 << 20 },
	} {
		dir := filepath.Join(t.TempDir(), "site")
		if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
			t.Fatal(err)
		}
		g, err := loadGateway(dir)
		if err != nil {
			t.Fatal(err)
		}
		edit(g)
		if g.check() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
