package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	esm2 "github.com/emmansun/gmsm/sm2"

	"yiqiao/crypto/sm"
)

// shortKey has a leading zero byte, as ENV-P12 of the vectors.
const shortKey = "00ab9a69bb39570cce19953b28d73c21d4f77316185a1da898dc156773c656bc"

func key(t testing.TB, d string) *sm.PrivateKey {
	t.Helper()
	b, err := hex.DecodeString(d)
	if err != nil {
		t.Fatal(err)
	}
	k, err := sm.NewPrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// outside is the key as another implementation writes it.
type outside struct{ pkcs8, sec1, spki []byte }

func write(t testing.TB, k *sm.PrivateKey) outside {
	t.Helper()
	e, err := esm2.NewPrivateKey(k.Scalar())
	if err != nil {
		t.Fatal(err)
	}
	var o outside
	if o.pkcs8, err = smx509.MarshalPKCS8PrivateKey(e); err != nil {
		t.Fatal(err)
	}
	if o.sec1, err = smx509.MarshalSM2PrivateKey(e); err != nil {
		t.Fatal(err)
	}
	if o.spki, err = smx509.MarshalPKIXPublicKey(&e.PublicKey); err != nil {
		t.Fatal(err)
	}
	return o
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestPrivateForms(t *testing.T) {
	random, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []*sm.PrivateKey{random, key(t, shortKey), key(t, "ff"+shortKey[2:])} {
		d := k.Scalar()
		trimmed := bytes.TrimLeft(d, "\x00")
		o := write(t, k)
		wrapped := b64(o.pkcs8)
		for name, text := range map[string]string{
			"hex":            hex.EncodeToString(d),
			"upper hex":      strings.ToUpper(hex.EncodeToString(d)),
			"33-byte hex":    "00" + hex.EncodeToString(d),
			"trimmed hex":    hex.EncodeToString(trimmed),
			"odd hex":        strings.TrimLeft(hex.EncodeToString(d), "0"),
			"base64":         b64(d),
			"33-byte base64": b64(append([]byte{0}, d...)),
			"trimmed base64": b64(trimmed),
			"spaces":         " \t" + b64(d) + "\r\n",
			"PKCS#8 PEM":     pemText("PRIVATE KEY", o.pkcs8),
			"SEC 1 PEM":      pemText("EC PRIVATE KEY", o.sec1),
			"openssl PEM":    pemText("EC PARAMETERS", []byte{6, 0}) + pemText("EC PRIVATE KEY", o.sec1),
			"PKCS#8 base64":  wrapped[:76] + "\r\n" + wrapped[76:],
			"PKCS#8 hex":     hex.EncodeToString(o.pkcs8),
			"SEC 1 base64":   b64(o.sec1),
			"formatted":      FormatPrivate(k),
		} {
			got, err := ParsePrivate(text)
			if err != nil || !got.Equal(k) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, text := range map[string]string{
			"hex":        hex.EncodeToString(k.Public().Point()),
			"hex X||Y":   hex.EncodeToString(k.Public().Point()[1:]),
			"base64":     b64(k.Public().Point()),
			"base64 X+Y": b64(k.Public().Point()[1:]),
			"PEM":        pemText("PUBLIC KEY", o.spki),
			"DER base64": b64(o.spki),
			"DER hex":    hex.EncodeToString(o.spki),
			"wrapped":    b64(k.Public().Point())[:76] + "\n" + b64(k.Public().Point())[76:] + "\n",
			"formatted":  FormatPublic(k.Public()),
		} {
			got, err := ParsePublic(text)
			if err != nil || !got.Equal(k.Public()) {
				t.Errorf("public %s: %v", name, err)
			}
		}
	}
}

func TestRefusedForms(t *testing.T) {
	k := key(t, shortKey)
	other, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d, point := k.Scalar(), k.Public().Point()
	o := write(t, k)
	mixed := bytes.Replace(o.pkcs8, point, other.Public().Point(), 1)
	if bytes.Equal(mixed, o.pkcs8) {
		t.Fatal("the PKCS#8 key holds no public key to exchange")
	}
	nist := bytes.Replace(o.pkcs8, []byte{0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x82, 0x2d}, []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}, 1)
	n := "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d541"
	long := append([]byte{1}, d...)
	for name, text := range map[string]string{
		"empty": "", "blank": " \n", "words": "not a key", "zero": strings.Repeat("0", 64),
		"n-1": n + "22", "n": n + "23", "n+1": n + "24", "ff": strings.Repeat("f", 64),
		"33 bytes with 01": hex.EncodeToString(long), "33 bytes base64": b64(long), "34 bytes": "0000" + hex.EncodeToString(d),
		"cut": hex.EncodeToString(d)[20:], "tiny": "01", "url base64": strings.Repeat("_-", 22), "unpadded": strings.TrimRight(b64(d), "="),
		"inner space": hex.EncodeToString(d)[:32] + " " + hex.EncodeToString(d)[32:], "0x": "0x" + hex.EncodeToString(d),
		"public":        FormatPublic(k.Public()),
		"huge":          strings.Repeat("A", 1<<20),
		"foreign PEM":   pemText("PUBLIC KEY", o.pkcs8),
		"encrypted PEM": pemText("ENCRYPTED PRIVATE KEY", o.pkcs8),
		"two PEM":       pemText("PRIVATE KEY", o.pkcs8) + pemText("PRIVATE KEY", o.pkcs8),
		"headers":       string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "x"}, Bytes: o.sec1})),
		"only params":   pemText("EC PARAMETERS", []byte{6, 0}),
		"broken PEM":    "-----BEGIN PRIVATE KEY-----\nx",
		"trailing DER":  b64(append(bytes.Clone(o.pkcs8), 0)),
		"mixed pair":    b64(mixed),
		"other curve":   b64(nist),
		"cut DER":       b64(o.pkcs8[:len(o.pkcs8)-3]),
	} {
		if got, err := ParsePrivate(text); !errors.Is(err, sm.ErrKey) || got != nil {
			t.Errorf("private %s accepted: %v", name, err)
		} else if text != "" && len(text) > 20 && strings.Contains(err.Error(), text[:20]) {
			t.Errorf("private %s: the error quotes the text", name)
		}
	}
	off := bytes.Clone(point)
	off[64] ^= 1
	for name, text := range map[string]string{
		"empty": "", "off curve": hex.EncodeToString(off), "prefix": "05" + hex.EncodeToString(point[1:]),
		"cut": hex.EncodeToString(point[:64]), "compressed": "02" + hex.EncodeToString(point[1:33]),
		"infinity": "00", "0004": "00" + hex.EncodeToString(point), "long": hex.EncodeToString(point) + "00",
		"private": FormatPrivate(k), "private PEM": pemText("PRIVATE KEY", o.pkcs8), "trailing": b64(append(bytes.Clone(o.spki), 0)),
		"zero": strings.Repeat("00", 64), "huge": strings.Repeat("ab", 1<<19),
	} {
		if got, err := ParsePublic(text); !errors.Is(err, sm.ErrKey) || got != nil {
			t.Errorf("public %s accepted: %v", name, err)
		}
	}
	if FormatPrivate(nil) != "" || FormatPublic(nil) != "" {
		t.Error("no key has a format")
	}
}

func sealer(t testing.TB, provider string, master []byte) *Sealer {
	t.Helper()
	p, err := sm.New(provider)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealer(p, master)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer(t *testing.T) {
	master := []byte("0123456789abcdefFEDCBA9876543210")
	for _, name := range sm.Names() {
		s, o := sealer(t, name, master), sealer(t, "emmansun", master)
		for _, plain := range [][]byte{nil, {}, []byte("x"), bytes.Repeat([]byte("record"), 5000)} {
			sealed, err := s.Seal(rand.Reader, "txn/1", plain)
			if err != nil || len(sealed) != len(plain)+Overhead {
				t.Fatal(err)
			}
			again, err := s.Seal(rand.Reader, "txn/1", plain)
			if err != nil || bytes.Equal(again, sealed) {
				t.Fatal("sealing twice gives equal bytes")
			}
			got, err := o.Open("txn/1", sealed)
			if err != nil || !bytes.Equal(got, plain) {
				t.Fatal(err)
			}
			for _, id := range []string{"", "txn/2", "txn/1 ", "txn/"} {
				if _, err := s.Open(id, sealed); !errors.Is(err, ErrSealed) {
					t.Errorf("opens for %q", id)
				}
			}
			for i := range min(len(sealed), 60) {
				bad := bytes.Clone(sealed)
				bad[i] ^= 1
				if _, err := s.Open("txn/1", bad); !errors.Is(err, ErrSealed) {
					t.Errorf("byte %d may be changed", i)
				}
				if _, err := s.Open("txn/1", sealed[:i]); !errors.Is(err, ErrSealed) && i < len(sealed) {
					t.Errorf("may be cut to %d", i)
				}
			}
		}
		for i := range master {
			m := bytes.Clone(master)
			m[i] ^= 1
			x := sealer(t, name, m)
			sealed, err := x.Seal(rand.Reader, "a", []byte("p"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Open("a", sealed); !errors.Is(err, ErrSealed) || x.KeyID() == s.KeyID() {
				t.Errorf("master byte %d does not count", i)
			}
		}
		if _, err := s.Seal(nil, "a", nil); !errors.Is(err, sm.ErrRandom) {
			t.Error(err)
		}
		if _, err := s.Seal(strings.NewReader("x"), "a", nil); !errors.Is(err, sm.ErrRandom) {
			t.Error(err)
		}
	}
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(p, make([]byte, n)); !errors.Is(err, sm.ErrKey) {
			t.Error(err)
		}
	}
	if _, err := NewSealer(nil, master); !errors.Is(err, sm.ErrKey) {
		t.Error(err)
	}
}

func TestDigest(t *testing.T) {
	master := []byte("0123456789abcdefFEDCBA9876543210")
	a, b := sealer(t, "emmansun", master), sealer(t, "tjfoc", master)
	seen := map[[32]byte]string{}
	for _, parts := range [][]string{nil, {""}, {"", ""}, {"abc"}, {"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}} {
		var bs [][]byte
		for _, p := range parts {
			bs = append(bs, []byte(p))
		}
		d := a.Digest(bs...)
		if d != b.Digest(bs...) || !a.Same(d, bs...) {
			t.Errorf("%q: providers differ", parts)
		}
		if was, ok := seen[d]; ok {
			t.Errorf("%q and %s have one digest", parts, was)
		}
		seen[d] = fmt.Sprintf("%q", parts)
		d[31] ^= 1
		if a.Same(d, bs...) {
			t.Error("another digest is the same")
		}
	}
	master[31] ^= 1
	if sealer(t, "", master).Digest([]byte("abc")) == a.Digest([]byte("abc")) {
		t.Error("the digest has no key")
	}
}

func TestSealerNeverPrintsItsMaster(t *testing.T) {
	master := []byte("0123456789abcdefFEDCBA9876543210")
	s := sealer(t, "", master)
	type holder struct {
		S  *Sealer
		in *Sealer
		v  Sealer
	}
	h := holder{s, s, *s}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%c", "%U"} {
		fmt.Fprintf(&out, verb+verb+verb, s, h, &h)
	}
	b, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	for _, secret := range []string{"0123456789abcdef", "48 49 50 51", "30313233", "0x30, 0x31", "FEDCBA", "70 69 68", "46454443"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q is in the output", secret)
		}
	}
	var none *Sealer
	if fmt.Sprint(none) == "" || fmt.Sprint(s) != "sealer:"+s.KeyID() {
		t.Error(fmt.Sprint(none), s)
	}
}

func TestSealerConcurrently(t *testing.T) {
	for _, name := range sm.Names() {
		s := sealer(t, name, bytes.Repeat([]byte{7}, 32))
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				plain := bytes.Repeat([]byte{byte(g)}, 500)
				for range 10 {
					sealed, err := s.Seal(rand.Reader, "id", plain)
					if err != nil {
						t.Error(err)
					}
					if got, err := s.Open("id", sealed); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%s: %v", name, err)
					}
					s.Digest(plain)
				}
			})
		}
		wg.Wait()
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "own.key")
	k := key(t, shortKey)
	if err := WriteFile(path, FormatPrivate(k)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Errorf("mode %v", info.Mode())
	}
	text, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParsePrivate(text); err != nil || !got.Equal(k) {
		t.Error(err)
	}
	if err := WriteFile(path, "other"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwrites: %v", err)
	}
	if again, err := ReadFile(path); err != nil || again != text {
		t.Error("a refused write changed the file")
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err == nil {
		if err := WriteFile(link, "x"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("writes through a link: %v", err)
		}
	}
	if err := WriteFile(filepath.Join(dir, "no", "such"), "x"); err == nil {
		t.Error("writes into a folder that is not there")
	}
	if _, err := ReadFile(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for name, content := range map[string]string{"empty": "", "blank": " \n", "long": strings.Repeat("a", maxText+1)} {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadFile(p); !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadFile(dir); !errors.Is(err, ErrFile) {
		t.Errorf("folder: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	k := key(f, shortKey)
	o := write(f, k)
	for _, s := range []string{
		FormatPrivate(k), FormatPublic(k.Public()), shortKey, pemText("PRIVATE KEY", o.pkcs8),
		pemText("EC PRIVATE KEY", o.sec1), pemText("PUBLIC KEY", o.spki), b64(o.pkcs8), b64(o.spki), "-----BEGIN",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if k, err := ParsePrivate(text); err == nil {
			if again, err := ParsePrivate(FormatPrivate(k)); err != nil || !again.Equal(k) {
				t.Fatal("a key does not come back", err)
			}
		} else if !errors.Is(err, sm.ErrKey) {
			t.Fatal(err)
		}
		if k, err := ParsePublic(text); err == nil {
			if again, err := ParsePublic(FormatPublic(k)); err != nil || !again.Equal(k) {
				t.Fatal("a key does not come back", err)
			}
		} else if !errors.Is(err, sm.ErrKey) {
			t.Fatal(err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := sealer(f, "", bytes.Repeat([]byte{7}, 32))
	// Every fuzz worker must come to the same bytes.
	sealed, err := s.Seal(bytes.NewReader(make([]byte, 12)), "id", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("id", sealed)
	f.Add("", []byte{1})
	dk, err := NewDataKey(s.p, bytes.Repeat([]byte{9}, DataKeySize), "use")
	if err != nil {
		f.Fatal(err)
	}
	data, err := dk.Seal(bytes.NewReader(make([]byte, 12)), "id", []byte("plain"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("id", data)
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		if _, err := dk.Open(id, b); err == nil && (id != "id" || !bytes.Equal(b, data)) {
			t.Fatal("forged")
		}
		if _, _, err := SealedBy(b); err != nil && !errors.Is(err, ErrSealed) {
			t.Fatal(err)
		}
		if _, err := s.Open(id, b); err == nil && (id != "id" || !bytes.Equal(b, sealed)) {
			t.Fatal("forged")
		}
	})
}
