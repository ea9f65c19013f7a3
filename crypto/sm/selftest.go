package sm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// ErrSelfTest is wrapped by every failure of SelfTest.
var ErrSelfTest = errors.New("sm: self test failed")

// SelfTest runs the published known answers (GB/T 32905, GB/T 32907, GM/T 0003.5) on each
// provider, then lets each verify and decrypt what each other made. Without arguments it tests all
// providers. It takes some 30 ms, needs no random source and may be repeated at any time. nil
// means that everything agreed; the error names the provider and the step.
func SelfTest(providers ...Provider) error {
	if len(providers) == 0 {
		providers = []Provider{emmansun{}, tjfoc{}}
	}
	key, err := NewPrivateKey(known("3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"))
	if err != nil {
		return failure("any", "load key", err)
	}
	for _, p := range providers {
		if p == nil {
			return failure("nil", "provider", ErrProvider)
		}
		if step, err := knownAnswers(p, key); err != nil || step != "" {
			return failure(p.Name(), step, err)
		}
	}
	for _, a := range providers {
		for _, b := range providers {
			if step, err := cross(a, b, key); err != nil || step != "" {
				return failure(a.Name()+" with "+b.Name(), step, err)
			}
		}
	}
	return nil
}

func failure(who, step string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s: %s: %v", ErrSelfTest, who, step, err)
	}
	return fmt.Errorf("%w: %s: %s", ErrSelfTest, who, step)
}

// knownAnswers gives the step that went wrong, "" when none did.
func knownAnswers(p Provider, key *PrivateKey) (string, error) {
	sum := p.SM3([]byte("a"), nil, []byte("bc"))
	if !bytes.Equal(sum[:], known("66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0")) {
		return "SM3", nil
	}
	h := p.NewSM3()
	h.Write([]byte("abc"))
	if got := h.Sum([]byte("x")); !bytes.Equal(got[1:], sum[:]) || !bytes.Equal(h.Sum(nil), sum[:]) {
		return "running SM3", nil
	}
	block := known("0123456789abcdeffedcba9876543210")
	b, err := p.SM4(block)
	if err != nil {
		return "SM4 key", err
	}
	var got [16]byte
	b.Encrypt(got[:], block)
	if !bytes.Equal(got[:], known("681edf34d206965e86b3e94f536e4246")) {
		return "SM4", nil
	}
	uid, msg := []byte(DefaultUID), []byte("message digest")
	e, err := Digest(p, key.Public(), uid, msg)
	if err != nil || !bytes.Equal(e[:], known("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640")) {
		return "SM2 digest", err
	}
	var sig Signature
	copy(sig[:32], known("f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3"))
	copy(sig[32:], known("b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa"))
	if err := p.Verify(key.Public(), uid, msg, sig); err != nil {
		return "SM2 verify", err
	}
	sig[40] ^= 1
	if p.Verify(key.Public(), uid, msg, sig) == nil {
		return "SM2 verify accepts a changed signature", nil
	}
	plain, err := p.Decrypt(key, known(knownCipher), C1C3C2)
	if err != nil || string(plain) != "encryption standard" {
		return "SM2 decrypt", err
	}
	return "", nil
}

// knownCipher is the encryption example of GM/T 0003.5 for the key above.
const knownCipher = "04" +
	"04ebfc718e8d1798620432268e77feb6415e2ede0e073c0f4f640ecd2e149a73" +
	"e858f9d81e5430a57b36daab8f950a3c64e6ee6a63094d99283aff767e124df0" +
	"59983c18f809e262923c53aec295d30383b54e39d609d160afcb1908d0bd8766" +
	"21886ca989ca9c7d58087307ca93092d651efa"

// cross lets b check what a made.
func cross(a, b Provider, key *PrivateKey) (string, error) {
	uid, msg := []byte(DefaultUID), []byte("yiqiao self test")
	sig, err := a.Sign(&stream{p: a}, key, uid, msg)
	if err != nil {
		return "sign", err
	}
	if err := b.Verify(key.Public(), uid, msg, sig); err != nil {
		return "verify", err
	}
	if b.Verify(key.Public(), uid, msg[1:], sig) == nil {
		return "verify accepts another message", nil
	}
	for _, o := range []Order{C1C3C2, C1C2C3, ASN1} {
		text, err := a.Encrypt(&stream{p: a}, key.Public(), msg, o)
		if err != nil {
			return "encrypt", err
		}
		plain, err := b.Decrypt(key, text, o)
		if err != nil || !bytes.Equal(plain, msg) {
			return "decrypt", err
		}
		text[len(text)-1] ^= 1
		if _, err := b.Decrypt(key, text, o); err == nil {
			return "decrypt accepts a changed ciphertext", nil
		}
	}
	return "", nil
}

// known decodes a constant of this file.
func known(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil // every comparison with it fails
	}
	return b
}

// stream is a reproducible source of numbers for the self test, whose key is published anyway.
type stream struct {
	p     Provider
	count byte
	rest  []byte
}

var _ io.Reader = (*stream)(nil)

func (s *stream) Read(b []byte) (int, error) {
	if len(s.rest) == 0 {
		s.count++
		sum := s.p.SM3([]byte("self test"), []byte{s.count})
		s.rest = sum[:]
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}
