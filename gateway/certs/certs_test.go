package certs

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock stands still unless it is set.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func (c *clock) Sleep(ctx context.Context, _ time.Duration) error { <-ctx.Done(); return ctx.Err() }

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// made is a certificate with its key, as PEM.
func made(t *testing.T, serial int64, from, to time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: from, NotAfter: to, DNSNames: []string{"gw"}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

type bench struct {
	t         *testing.T
	clock     clock
	cert, key string
	log       bytes.Buffer
	p         *Pair
}

// put writes a file as certificate tools do: beside it, then over it.
func (b *bench) put(path string, text []byte) {
	b.t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) both(serial int64, from, to time.Time) {
	b.t.Helper()
	cert, key := made(b.t, serial, from, to)
	b.put(b.cert, cert)
	b.put(b.key, key)
}

func newBench(t *testing.T) *bench {
	dir := t.TempDir()
	b := &bench{t: t, clock: clock{at: noon}, cert: filepath.Join(dir, "gw.pem"), key: filepath.Join(dir, "gw.key")}
	b.both(1, noon.Add(-time.Hour), noon.Add(48*time.Hour))
	var err error
	b.p, err = Open(Options{Name: "interface", Cert: b.cert, Key: b.key, Clock: &b.clock, Log: slog.New(slog.NewTextHandler(&b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// shown is the certificate a caller is shown.
func (b *bench) shown() int64 {
	b.t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := make(chan error, 1)
	go func() {
		served <- tls.Server(far, &tls.Config{GetCertificate: b.p.Certificate, SessionTicketsDisabled: true}).Handshake()
	}()
	c := tls.Client(near, &tls.Config{InsecureSkipVerify: true, ServerName: "gw"})
	if err := c.Handshake(); err != nil {
		b.t.Fatal(err)
	}
	if err := <-served; err != nil {
		b.t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func (b *bench) is(what string, serial int64, trouble string) {
	b.t.Helper()
	if got := b.shown(); got != serial {
		b.t.Errorf("%s: certificate %d is shown, want %d", what, got, serial)
	}
	st := b.p.Stand()
	if (st.Trouble == "") != (trouble == "") || !strings.Contains(st.Trouble, trouble) {
		b.t.Errorf("%s: trouble %q, want %q", what, st.Trouble, trouble)
	}
}

// A renewed certificate is shown without a restart, not before its time to look has come, and its end follows.
func TestRenewed(t *testing.T) {
	b := newBench(t)
	b.is("at first", 1, "")
	b.both(2, noon, noon.Add(1000*time.Hour))
	b.clock.add(9 * time.Second)
	b.is("within ten seconds", 1, "")
	b.clock.add(time.Second)
	b.is("after ten seconds", 2, "")
	if st := b.p.Stand(); st.Name != "interface" || !st.Until.Equal(noon.Add(1000*time.Hour)) {
		t.Errorf("%+v", st)
	}
	if n := strings.Count(b.log.String(), "read anew"); n != 1 {
		t.Errorf("%d lines: %s", n, &b.log)
	}
	for range 5 { // what has not changed is not read
		b.clock.add(time.Minute)
		b.is("later", 2, "")
	}
	if n := strings.Count(b.log.String(), "\n"); n != 1 {
		t.Errorf("%d lines: %s", n, &b.log)
	}
	b.both(3, noon, noon.Add(1000*time.Hour))
	b.clock.add(-time.Hour) // a clock that is set back does not keep the old one
	b.is("set back", 2, "valid from")
	b.clock.add(2 * time.Hour)
	b.is("set right", 3, "")
}

// While the files hold what can not be used the old pair stays; it is said once, and mended by itself.
func TestBroken(t *testing.T) {
	good, goodKey := made(t, 2, noon.Add(-time.Hour), noon.Add(time.Hour))
	old, oldKey := made(t, 3, noon.Add(-2*time.Hour), noon.Add(-time.Hour))
	early, earlyKey := made(t, 4, noon.Add(time.Hour), noon.Add(2*time.Hour))
	for name, c := range map[string]struct {
		cert, key []byte // nil: the file is gone
		trouble   string
	}{
		"half a certificate": {good[:len(good)/2], goodKey, "PEM"}, "nothing": {[]byte{}, goodKey, "PEM"}, "another's key": {good, oldKey, "match"},
		"no certificate": {nil, goodKey, "gw.pem"}, "no key": {good, nil, "gw.key"}, "over": {old, oldKey, "valid from"}, "too early": {early, earlyKey, "valid from"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			for path, text := range map[string][]byte{b.cert: c.cert, b.key: c.key} {
				if text == nil {
					if err := os.Remove(path); err != nil {
						t.Fatal(err)
					}
					continue
				}
				b.put(path, text)
			}
			for range 3 {
				b.clock.add(10 * time.Second)
				b.is("broken", 1, c.trouble)
			}
			if n := strings.Count(b.log.String(), "not taken"); n != 1 || strings.Contains(b.log.String(), "PRIVATE") {
				t.Errorf("%d lines: %s", n, &b.log)
			}
			if !b.p.Stand().Until.Equal(noon.Add(48 * time.Hour)) {
				t.Errorf("%+v", b.p.Stand())
			}
			b.put(b.cert, good)
			b.put(b.key, goodKey)
			b.clock.add(10 * time.Second)
			b.is("mended", 2, "")
		})
	}
}

// What becomes valid later is taken when it does, without another change of the files.
func TestTakenWhenItsTimeComes(t *testing.T) {
	b := newBench(t)
	b.both(2, noon.Add(time.Hour), noon.Add(100*time.Hour))
	b.clock.add(time.Minute)
	b.is("too early", 1, "valid from")
	b.clock.add(time.Hour)
	b.is("in time", 2, "")
}

// A look without a call does the same, and the pair that was there put back ends the trouble.
func TestLook(t *testing.T) {
	b := newBench(t)
	kept := b.cert + ".kept"
	if err := os.Rename(b.cert, kept); err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	b.p.Look()
	if b.p.Stand().Trouble == "" {
		t.Error("a file that is gone is no trouble")
	}
	if err := os.Rename(kept, b.cert); err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Minute)
	b.p.Look()
	b.is("put back", 1, "")
}

// Many handshakes while the files change again and again: each is shown a whole pair.
func TestManyAtOnce(t *testing.T) {
	b := newBench(t)
	b.p.o.Every = 1
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := b.p.Certificate(nil)
				if err != nil || c.Leaf == nil || !c.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(c.PrivateKey.(*ecdsa.PrivateKey).Public()) {
					t.Error("half a pair")
					return
				}
				b.clock.add(time.Second)
				_ = b.p.Stand()
			}
		})
	}
	for i := range int64(15) {
		b.both(10+i, noon.Add(-time.Hour), noon.Add(1e6*time.Hour))
	}
	close(stop)
	wg.Wait()
}

func TestOptions(t *testing.T) {
	b := newBench(t)
	for _, o := range []Options{{}, {Cert: b.cert, Key: b.key}, {Cert: b.cert, Clock: &b.clock}, {Cert: b.cert, Key: b.cert, Clock: &b.clock},
		{Cert: b.cert + "x", Key: b.key, Clock: &b.clock}} {
		if _, err := Open(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}
