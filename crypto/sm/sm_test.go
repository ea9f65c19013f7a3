package sm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"strings"
	"sync"
	"testing"
)

func both(t testing.TB) []Provider {
	t.Helper()
	var out []Provider
	for _, name := range Names() {
		p, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Name() != name {
			t.Fatalf("%s calls itself %s", name, p.Name())
		}
		out = append(out, p)
	}
	return out
}

func newKey(t testing.TB) *PrivateKey {
	t.Helper()
	k, err := GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// source is a reproducible one.
func source(p Provider) io.Reader { return &stream{p: p} }

func TestNew(t *testing.T) {
	if p, err := New(""); err != nil || p.Name() != "emmansun" {
		t.Error("the default is not emmansun")
	}
	if _, err := New("openssl"); !errors.Is(err, ErrProvider) {
		t.Error(err)
	}
}

func TestSelfTest(t *testing.T) {
	if err := SelfTest(); err != nil {
		t.Fatal(err)
	}
	if err := SelfTest(nil); !errors.Is(err, ErrSelfTest) {
		t.Error("nil provider passes")
	}
	for _, bad := range []Provider{noVerify{emmansun{}}, badSM3{emmansun{}}, badSign{emmansun{}}, badDecrypt{tjfoc{}}} {
		if err := SelfTest(emmansun{}, bad); !errors.Is(err, ErrSelfTest) {
			t.Errorf("%T passes the self test", bad)
		}
	}
}

type noVerify struct{ Provider }

func (noVerify) Verify(*PublicKey, []byte, []byte, Signature) error { return nil }

type badSM3 struct{ Provider }

func (p badSM3) SM3(parts ...[]byte) [32]byte { return p.Provider.SM3(parts[0]) }

type badSign struct{ Provider }

func (p badSign) Sign(r io.Reader, k *PrivateKey, uid, msg []byte) (Signature, error) {
	s, err := p.Provider.Sign(r, k, append([]byte("x"), uid...), msg)
	return s, err
}

type badDecrypt struct{ Provider }

func (p badDecrypt) Decrypt(k *PrivateKey, c []byte, o Order) ([]byte, error) {
	return p.Provider.Decrypt(k, c, C1C3C2)
}

// Signatures and ciphertexts of each provider are good for the other, for many keys, user ids,
// lengths and orders.
func TestProvidersAgree(t *testing.T) {
	ps := both(t)
	for round := range 220 {
		key := newKey(t)
		uid := []byte(DefaultUID)
		if round%2 == 1 {
			uid = bytes.Repeat([]byte{byte(round)}, 1+round*37%maxUID)
		}
		msg := make([]byte, round*13%300)
		if _, err := rand.Read(msg); err != nil {
			t.Fatal(err)
		}
		a, b := ps[round%2], ps[(round/2)%2]
		sig, err := a.Sign(rand.Reader, key, uid, msg)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(key.Public(), uid, msg, sig); err != nil {
			t.Fatalf("%s refuses a signature of %s: %v", b.Name(), a.Name(), err)
		}
		if again, err := ParseDER(sig.DER()); err != nil || again != sig {
			t.Fatalf("DER does not come back: %v", err)
		}
		bad := sig
		bad[round%64] ^= 1 << (round % 8)
		for _, p := range []Provider{emmansun{}, ps[round/4%2]} { // every round the fast one, some the other
			if err := p.Verify(key.Public(), uid, msg, bad); !errors.Is(err, ErrSignature) {
				t.Fatalf("%s: changed signature: %v", p.Name(), err)
			}
			if err := p.Verify(key.Public(), uid, append(msg, 0), sig); !errors.Is(err, ErrSignature) {
				t.Fatalf("%s: changed message: %v", p.Name(), err)
			}
		}
		plain := append([]byte{byte(round)}, msg...)
		o := Order(round % 3)
		text, err := a.Encrypt(rand.Reader, key.Public(), plain, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Decrypt(key, text, o)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%s can not read what %s encrypted, order %d, %d bytes: %v", b.Name(), a.Name(), o, len(plain), err)
		}
		if a.SM3(uid, msg) != b.SM3(append(append([]byte{}, uid...), msg...)) {
			t.Fatal("SM3 differs")
		}
		k16 := key.Scalar()[:16]
		x, err := ECBEncrypt(a, k16, msg)
		if err != nil {
			t.Fatal(err)
		}
		y, err := ECBDecrypt(b, k16, x)
		if err != nil || !bytes.Equal(y, msg) {
			t.Fatalf("ECB: %v", err)
		}
	}
}

// One library makes an unreadable ciphertext when its first nonce gives an all-zero key stream
// (1 in 256 for one byte), the other never ends when its source repeats.
func TestShortPlaintextIsAlwaysReadable(t *testing.T) {
	key := newKey(t)
	for _, p := range both(t) {
		rounds := 1500
		if p.Name() == "tjfoc" {
			rounds = 64
		}
		r := source(p)
		for i := range rounds {
			text, err := p.Encrypt(&mixed{r, byte(i), byte(i >> 8)}, key.Public(), []byte{7}, C1C3C2)
			if err != nil {
				t.Fatal(err)
			}
			got, err := emmansun{}.Decrypt(key, text, C1C3C2)
			if err != nil || !bytes.Equal(got, []byte{7}) {
				t.Fatalf("%s: round %d: one byte is not readable: %v", p.Name(), i, err)
			}
		}
	}
}

// mixed varies a source whose counter is short.
type mixed struct {
	r    io.Reader
	a, b byte
}

func (m *mixed) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 1 {
		p[0] ^= m.a
		p[1] ^= m.b
	}
	return n, err
}

func TestRepeatingSourceEnds(t *testing.T) {
	key := newKey(t)
	for _, p := range both(t) {
		failed := false
		for b := 0; b < 256 && !failed; b++ {
			_, err := p.Encrypt(repeating(b), key.Public(), []byte{7}, C1C3C2)
			failed = errors.Is(err, ErrRandom)
			if err != nil && !failed {
				t.Fatalf("%s: %v", p.Name(), err)
			}
		}
	}
}

type repeating byte

func (r repeating) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestRefusals(t *testing.T) {
	key := newKey(t)
	uid, msg := []byte(DefaultUID), []byte("m")
	for _, p := range both(t) {
		sig, err := p.Sign(rand.Reader, key, uid, nil)
		if err != nil || p.Verify(key.Public(), uid, nil, sig) != nil {
			t.Errorf("%s: an empty message can not be signed: %v", p.Name(), err)
		}
		text, err := p.Encrypt(rand.Reader, key.Public(), msg, C1C3C2)
		if err != nil {
			t.Fatal(err)
		}
		check := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %s: got %v, want %v", p.Name(), what, err, want)
			}
		}
		for _, k := range []*PrivateKey{nil, {}} {
			_, err = p.Sign(rand.Reader, k, uid, msg)
			check("sign without key", err, ErrKey)
			_, err = p.Decrypt(k, text, C1C3C2)
			check("decrypt without key", err, ErrKey)
			_, err = p.Encrypt(rand.Reader, k.Public(), msg, C1C3C2)
			check("encrypt without key", err, ErrKey)
			check("verify without key", p.Verify(k.Public(), uid, msg, sig), ErrKey)
			check("verify with zero key", p.Verify(&PublicKey{}, uid, msg, sig), ErrKey)
			_, err = p.Encrypt(rand.Reader, &PublicKey{}, msg, C1C3C2)
			check("encrypt with zero key", err, ErrKey)
		}
		for _, id := range [][]byte{nil, {}, make([]byte, 8192), make([]byte, 1<<16)} {
			_, err = p.Sign(rand.Reader, key, id, msg)
			check("user id", err, ErrKey)
			check("user id", p.Verify(key.Public(), id, msg, sig), ErrKey)
			_, err = Z(p, key.Public(), id)
			check("user id", err, ErrKey)
		}
		for _, r := range []io.Reader{nil, broken{}, strings.NewReader("short")} {
			_, err = p.Sign(r, key, uid, msg)
			check("sign without entropy", err, ErrRandom)
			_, err = p.Encrypt(r, key.Public(), msg, C1C3C2)
			check("encrypt without entropy", err, ErrRandom)
			_, err = GenerateKey(r)
			check("key without entropy", err, ErrRandom)
		}
		_, err = p.Encrypt(rand.Reader, key.Public(), nil, C1C3C2)
		check("empty plaintext", err, ErrPlain)
		_, err = p.Encrypt(rand.Reader, key.Public(), msg, Order(9))
		check("unknown order", err, ErrCipher)
		_, err = p.Decrypt(key, text, Order(9))
		check("unknown order", err, ErrCipher)
		for _, n := range []int{0, 15, 17, 32} {
			_, err = p.SM4(make([]byte, n))
			check("SM4 key", err, ErrKey)
			_, err = ECBEncrypt(p, make([]byte, n), msg)
			check("SM4 key", err, ErrKey)
			_, err = GCM(p, make([]byte, n))
			check("SM4 key", err, ErrKey)
		}
	}
}

func TestImpossibleSignatures(t *testing.T) {
	key := newKey(t)
	uid, msg := []byte(DefaultUID), []byte("m")
	n := order()
	for _, p := range both(t) {
		good, err := p.Sign(rand.Reader, key, uid, msg)
		if err != nil {
			t.Fatal(err)
		}
		r, s := new(big.Int).SetBytes(good[:32]), new(big.Int).SetBytes(good[32:])
		ones := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
		for name, rs := range map[string][2]*big.Int{
			"r=0": {new(big.Int), s}, "s=0": {r, new(big.Int)}, "both 0": {new(big.Int), new(big.Int)},
			"r=n": {n, s}, "s=n": {r, n}, "r max": {ones, s}, "s max": {r, ones},
			"r+s=n": {r, new(big.Int).Sub(n, r)}, "n-s": {r, new(big.Int).Sub(n, s)}, "swapped": {s, r},
		} {
			var sig Signature
			rs[0].FillBytes(sig[:32])
			rs[1].FillBytes(sig[32:])
			for _, v := range both(t) {
				if err := v.Verify(key.Public(), uid, msg, sig); !errors.Is(err, ErrSignature) {
					t.Errorf("%s accepts %s: %v", v.Name(), name, err)
				}
			}
		}
	}
}

func TestSmallAndLargeKeys(t *testing.T) {
	last := new(big.Int).Sub(order(), big.NewInt(2))
	for _, d := range []*big.Int{big.NewInt(1), big.NewInt(2), big.NewInt(3), new(big.Int).Rsh(order(), 9), last} {
		key, err := NewPrivateKey(d.FillBytes(make([]byte, 32)))
		if err != nil {
			t.Fatalf("%x: %v", d, err)
		}
		for _, a := range both(t) {
			for _, b := range both(t) {
				sig, err := a.Sign(rand.Reader, key, []byte("u"), []byte("m"))
				if err != nil || b.Verify(key.Public(), []byte("u"), []byte("m"), sig) != nil {
					t.Errorf("%x: %s to %s: %v", d, a.Name(), b.Name(), err)
				}
				text, err := a.Encrypt(rand.Reader, key.Public(), []byte("plain"), ASN1)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := b.Decrypt(key, text, ASN1); err != nil || string(got) != "plain" {
					t.Errorf("%x: %s to %s: %v", d, a.Name(), b.Name(), err)
				}
			}
		}
	}
}

func TestKeysOutOfRange(t *testing.T) {
	n := order()
	for _, d := range []*big.Int{new(big.Int), new(big.Int).Sub(n, big.NewInt(1)), n, new(big.Int).Add(n, big.NewInt(1))} {
		if _, err := NewPrivateKey(d.FillBytes(make([]byte, 32))); !errors.Is(err, ErrKey) {
			t.Errorf("d = %x accepted", d)
		}
	}
	for _, l := range []int{0, 1, 31, 33, 64} {
		if _, err := NewPrivateKey(bytes.Repeat([]byte{1}, l)); !errors.Is(err, ErrKey) {
			t.Errorf("d of %d bytes accepted", l)
		}
	}
	good := newKey(t).Public().Point()
	p := unhex(t, "fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff")
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, point := range map[string][]byte{
		"empty":      {},
		"infinity":   {0},
		"prefix":     change(func(b []byte) []byte { b[0] = 5; return b }),
		"compressed": append([]byte{2}, good[1:33]...),
		"hybrid":     change(func(b []byte) []byte { b[0] = 6; return b }),
		"short":      good[:64],
		"long":       append(bytes.Clone(good), 0),
		"off curve":  change(func(b []byte) []byte { b[64] ^= 1; return b }),
		"zero":       append([]byte{4}, make([]byte, 64)...),
		"x >= p":     change(func(b []byte) []byte { copy(b[1:33], p); return b }),
		"y >= p":     change(func(b []byte) []byte { copy(b[33:], bytes.Repeat([]byte{255}, 32)); return b }),
	} {
		if _, err := NewPublicKey(point); !errors.Is(err, ErrKey) {
			t.Errorf("%s accepted", name)
		}
	}
}

func TestGenerateKeyRepeatsItsSource(t *testing.T) {
	a, err := GenerateKey(repeating(9))
	if err != nil {
		t.Fatal(err)
	}
	b, err := GenerateKey(repeating(9))
	if err != nil || !a.Equal(b) || !a.Public().Equal(b.Public()) {
		t.Error("equal bytes give other keys")
	}
	c, err := GenerateKey(repeating(0)) // d = 1
	if err != nil || a.Equal(c) || a.Public().Equal(c.Public()) || c.Scalar()[31] != 1 {
		t.Error(err)
	}
	again, err := NewPrivateKey(a.Scalar())
	if err != nil || !again.Equal(a) {
		t.Error("scalar does not come back")
	}
	pub, err := NewPublicKey(a.Public().Point())
	if err != nil || !pub.Equal(a.Public()) || pub.Fingerprint() != a.Fingerprint() || len(a.Fingerprint()) != 16 {
		t.Error("point does not come back")
	}
	a.Scalar()[0] ^= 1
	a.Public().Point()[1] ^= 1
	if !again.Equal(a) || !pub.Equal(a.Public()) {
		t.Error("a caller can change a key")
	}
	var none *PrivateKey
	if none.Public() != nil || none.Scalar() != nil || none.Fingerprint() != "none" || none.Equal(none) || (&PrivateKey{}).Public() != nil {
		t.Error("the zero key is a key")
	}
}

func TestKeysNeverPrint(t *testing.T) {
	key := newKey(t)
	d := new(big.Int).SetBytes(key.Scalar())
	secrets := []string{
		hex.EncodeToString(key.Scalar())[:24], strings.ToUpper(hex.EncodeToString(key.Scalar()))[:24],
		d.String()[:24], fmt.Sprint(key.Scalar())[1:24],
	}
	var out strings.Builder
	type holder struct {
		K  *PrivateKey
		V  PrivateKey
		in PrivateKey
		P  *PublicKey
	}
	h := holder{key, *key, *key, key.Public()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%t", "%e", "%p", "%T", "%U", "%y"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+" "+verb+"\n", key, *key, h, &h)
	}
	for _, v := range []any{key, *key, h, &h, []any{key}, map[string]any{"k": *key}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "key", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "key", v)
	}
	fmt.Fprintln(&out, key, key.Public(), fmt.Errorf("with %w %v", ErrKey, key))
	for _, s := range secrets {
		if strings.Contains(out.String(), s) {
			t.Errorf("the key is in the output")
		}
	}
	if got := fmt.Sprint(key); got != "sm2-private:"+key.Fingerprint() {
		t.Error(got)
	}
	if b, err := json.Marshal(key.Public()); err != nil || string(b) != `"sm2-public:`+key.Fingerprint()+`"` {
		t.Errorf("%s %v", b, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	key := newKey(t)
	secret := []byte("0123456789abcdef")
	for _, p := range both(t) {
		want, err := ECBEncrypt(p, secret, bytes.Repeat([]byte("block"), 99))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				uid := []byte(DefaultUID)
				if g%2 == 1 {
					uid = []byte("another")
				}
				for i := range 6 {
					msg := []byte{byte(g), byte(i)}
					sig, err := p.Sign(rand.Reader, key, uid, msg)
					if err != nil || p.Verify(key.Public(), uid, msg, sig) != nil {
						t.Errorf("%s: sign and verify: %v", p.Name(), err)
					}
					text, err := p.Encrypt(rand.Reader, key.Public(), msg, C1C2C3)
					if err != nil {
						t.Error(err)
					}
					if got, err := p.Decrypt(key, text, C1C2C3); err != nil || !bytes.Equal(got, msg) {
						t.Errorf("%s: decrypt: %v", p.Name(), err)
					}
					for range 20 {
						got, err := ECBEncrypt(p, secret, bytes.Repeat([]byte("block"), 99))
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("%s: ECB under concurrency", p.Name())
						}
					}
					p.SM3(msg, uid)
				}
			})
		}
		wg.Wait()
	}
}

func TestHashContract(t *testing.T) {
	for _, p := range both(t) {
		h := p.NewSM3()
		if h.Size() != 32 || h.BlockSize() != 64 {
			t.Error(h.Size(), h.BlockSize())
		}
		long := bytes.Repeat([]byte("0123456789"), 30)
		for n := range len(long) {
			h.Reset()
			h.Write(long[:n/3])
			h.Sum([]byte("prefix")) // must not change anything
			h.Write(long[n/3 : n])
			want := emmansun{}.SM3(long[:n])
			if got := h.Sum([]byte("p")); !bytes.Equal(got[1:], want[:]) || got[0] != 'p' {
				t.Fatalf("%s: %d bytes", p.Name(), n)
			}
		}
		mac := hmac.New(p.NewSM3, []byte("key"))
		mac.Write([]byte("message"))
		other := hmac.New(emmansun{}.NewSM3, []byte("key"))
		other.Write([]byte("message"))
		if !bytes.Equal(mac.Sum([]byte{1})[1:], other.Sum(nil)) {
			t.Errorf("%s: HMAC differs", p.Name())
		}
	}
}
