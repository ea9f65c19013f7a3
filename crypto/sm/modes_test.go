package sm

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"testing"
)

func TestModesAgreeAndLeaveTheCallerAlone(t *testing.T) {
	key, iv := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	for n := range 70 {
		spare := make([]byte, n, n+32)
		for i := range spare[:cap(spare)] {
			spare[:cap(spare)][i] = 0xaa
		}
		var ecb, cbc [][]byte
		for _, p := range both(t) {
			x, err := ECBEncrypt(p, key, spare)
			if err != nil || len(x) != (n/16+1)*16 {
				t.Fatal(n, err)
			}
			y, err := CBCEncrypt(p, key, iv, spare)
			if err != nil {
				t.Fatal(err)
			}
			ecb, cbc = append(ecb, x), append(cbc, y)
			if got, err := ECBDecrypt(p, key, x); err != nil || !bytes.Equal(got, spare) {
				t.Fatal(n, err)
			}
			if got, err := CBCDecrypt(p, key, iv, y); err != nil || !bytes.Equal(got, spare) {
				t.Fatal(n, err)
			}
		}
		if !bytes.Equal(ecb[0], ecb[1]) || !bytes.Equal(cbc[0], cbc[1]) {
			t.Fatalf("%d bytes: providers differ", n)
		}
		if bytes.Count(spare[:cap(spare)], []byte{0xaa}) != cap(spare) {
			t.Fatal("the caller's memory was written to")
		}
	}
}

func TestBadPaddingAndLength(t *testing.T) {
	key, iv := []byte("0123456789abcdef"), make([]byte, 16)
	for _, p := range both(t) {
		for _, n := range []int{0, 1, 15, 17, 31} {
			if _, err := ECBDecrypt(p, key, make([]byte, n)); !errors.Is(err, ErrCipher) {
				t.Errorf("%s: ECB of %d bytes: %v", p.Name(), n, err)
			}
			if _, err := CBCDecrypt(p, key, iv, make([]byte, n)); !errors.Is(err, ErrCipher) {
				t.Errorf("%s: CBC of %d bytes: %v", p.Name(), n, err)
			}
		}
		for _, tail := range []string{"\x00", "\x11", "\xff", "\x01\x02", "\x03\x02\x03", "\x02\x03\x03", "\x10", "\x00\x00"} {
			block := append(bytes.Repeat([]byte{'x'}, 32-len(tail)), tail...)
			b, err := p.SM4(key)
			if err != nil {
				t.Fatal(err)
			}
			b.Encrypt(block[:16], block[:16])
			b.Encrypt(block[16:], block[16:])
			if got, err := ECBDecrypt(p, key, block); !errors.Is(err, ErrPadding) || got != nil {
				t.Errorf("%s: padding %q: %q %v", p.Name(), tail, got, err)
			}
		}
		for _, n := range []int{0, 15, 17} {
			if _, err := CBCEncrypt(p, key, make([]byte, n), nil); !errors.Is(err, ErrKey) {
				t.Error(err)
			}
			if _, err := CBCDecrypt(p, key, make([]byte, n), make([]byte, 16)); !errors.Is(err, ErrKey) {
				t.Error(err)
			}
		}
	}
}

// RFC 8998 appendix A.1.
func TestGCMKnownAnswer(t *testing.T) {
	key := unhex(t, "0123456789abcdeffedcba9876543210")
	nonce := unhex(t, "00001234567800000000abcd")
	aad := unhex(t, "feedfacedeadbeeffeedfacedeadbeefabaddad2")
	plain := unhex(t, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccddddddddddddddddeeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa")
	want := unhex(t, "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d83de3541e4c2b58177e065a9bf7b62ec")
	for _, p := range both(t) {
		g, err := GCM(p, key)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Seal(nil, nonce, plain, aad); !bytes.Equal(got, want) {
			t.Errorf("%s: %x", p.Name(), got)
		}
		if got, err := g.Open(nil, nonce, want, aad); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: %v", p.Name(), err)
		}
		if _, err := g.Open(nil, nonce, want, aad[1:]); err == nil {
			t.Errorf("%s: other associated data accepted", p.Name())
		}
	}
}

func TestStrictDER(t *testing.T) {
	good := unhex(t, "3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa")
	if sig, err := ParseDER(good); err != nil || !bytes.Equal(sig.DER(), good) {
		t.Fatal(err)
	}
	small := Signature{31: 1, 63: 0x80}
	if got := small.DER(); !bytes.Equal(got, unhex(t, "300702010102020080")) {
		t.Errorf("%x", got)
	}
	if got := (Signature{}).DER(); !bytes.Equal(got, unhex(t, "3006020100020100")) {
		t.Errorf("%x", got)
	}
	for _, text := range []string{
		"", "30", "3000", "3003020101", "300702010102020080ff", "3008020101020200800000", "308107020101020200 80",
		"30080202000102020080", "3006020181020101", "3107020101020200 80", "3009020101020200800500",
		"300602010102017f00", "30800201010201010000",
		"3026022101" + "0000000000000000000000000000000000000000000000000000000000000000" + "020101",
	} {
		b := unhex(t, string(bytes.ReplaceAll([]byte(text), []byte(" "), nil)))
		if sig, err := ParseDER(b); !errors.Is(err, ErrSignature) {
			t.Errorf("%s accepted as %x", text, sig)
		}
	}
}

// What the first byte or a compressed point would let one library accept is refused by both.
func TestCiphertextLayoutIsExact(t *testing.T) {
	key := newKey(t)
	plain := []byte("nineteen bytes here")
	for _, p := range both(t) {
		texts := map[Order][]byte{}
		for _, o := range []Order{C1C3C2, C1C2C3, ASN1} {
			text, err := p.Encrypt(rand.Reader, key.Public(), plain, o)
			if err != nil {
				t.Fatal(err)
			}
			texts[o] = text
		}
		refuse := func(what string, text []byte, o Order) {
			t.Helper()
			if got, err := p.Decrypt(key, text, o); !errors.Is(err, ErrCipher) || got != nil {
				t.Errorf("%s: %s accepted: %q %v", p.Name(), what, got, err)
			}
		}
		for o, text := range texts {
			for _, other := range []Order{C1C3C2, C1C2C3, ASN1} {
				if other != o {
					refuse("another order", text, other)
				}
			}
			for n := range text {
				if n < 100 || n == len(text)-1 {
					refuse("cut text", text[:n], o)
				}
			}
			refuse("trailing byte", append(bytes.Clone(text), 0), o)
			for i := range text {
				if i%11 == 0 {
					bad := bytes.Clone(text)
					bad[i] ^= 4
					refuse("changed text", bad, o)
				}
			}
		}
		raw := texts[C1C3C2]
		compressed := append([]byte{2 + raw[64]&1}, raw[1:33]...)
		refuse("compressed C1", append(compressed, raw[65:]...), C1C3C2)
		off := bytes.Clone(raw)
		off[64] ^= 1
		refuse("C1 off the curve", off, C1C3C2)
	}
}

func FuzzVerify(f *testing.F) {
	ps := both(f)
	key, err := GenerateKey(source(ps[0])) // every fuzz worker must come to the same key
	if err != nil {
		f.Fatal(err)
	}
	sig, err := ps[0].Sign(source(ps[0]), key, []byte("u"), []byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("u"), []byte("m"), sig[:])
	f.Add([]byte{}, []byte{}, make([]byte, 64))
	f.Fuzz(func(t *testing.T, uid, msg, raw []byte) {
		var s Signature
		copy(s[:], raw)
		a, b := ps[0].Verify(key.Public(), uid, msg, s), ps[1].Verify(key.Public(), uid, msg, s)
		if (a == nil) != (b == nil) {
			t.Fatalf("%v and %v", a, b)
		}
		if a == nil && (s != sig || string(uid) != "u" || string(msg) != "m") {
			t.Fatal("forged")
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	key, err := NewPrivateKey(known("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"))
	if err != nil {
		f.Fatal(err)
	}
	ps := both(f)
	for _, o := range []Order{C1C3C2, C1C2C3, ASN1} {
		text, err := ps[0].Encrypt(rand.Reader, key.Public(), []byte("plain"), o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, byte(o))
	}
	f.Add([]byte{4}, byte(1))
	f.Fuzz(func(t *testing.T, text []byte, o byte) {
		a, aerr := ps[0].Decrypt(key, text, Order(o))
		b, berr := ps[1].Decrypt(key, text, Order(o))
		if (aerr == nil) != (berr == nil) || !bytes.Equal(a, b) {
			t.Fatalf("%x %v and %x %v", a, aerr, b, berr)
		}
	})
}

func FuzzParseDER(f *testing.F) {
	good, err := base64.StdEncoding.DecodeString("MEUCIGwJyn//OjlvT7JNvgJrHRcT3m+gFc8o7/UObQkMgfdTAiEA+UYfd5sP40hnpWSU6HHEYFblVgULeeAkGKLVB1Gp6Go=")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{0x30, 6, 2, 1, 0, 2, 1, 0})
	f.Fuzz(func(t *testing.T, der []byte) {
		sig, err := ParseDER(der)
		if err != nil {
			if !errors.Is(err, ErrSignature) || sig != (Signature{}) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(sig.DER(), der) {
			t.Fatalf("%x comes back as %x", der, sig.DER())
		}
	})
}

func FuzzECBDecrypt(f *testing.F) {
	key := []byte("0123456789abcdef")
	ps := both(f)
	text, err := ECBEncrypt(ps[0], key, []byte("some plain text of more than a block"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		a, aerr := ECBDecrypt(ps[0], key, text)
		b, berr := ECBDecrypt(ps[1], key, text)
		if (aerr == nil) != (berr == nil) || !bytes.Equal(a, b) {
			t.Fatalf("%v and %v", aerr, berr)
		}
		if aerr != nil {
			return
		}
		if again, err := ECBEncrypt(ps[0], key, a); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("comes back as %x: %v", again, err)
		}
	})
}

func BenchmarkSM2(b *testing.B) {
	key := newKey(b)
	uid, msg := []byte(DefaultUID), bytes.Repeat([]byte("x"), 1024)
	for _, p := range both(b) {
		sig, err := p.Sign(rand.Reader, key, uid, msg)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("sign/"+p.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Sign(rand.Reader, key, uid, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("verify/"+p.Name(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.Verify(key.Public(), uid, msg, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
