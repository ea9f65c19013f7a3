package vectors

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

// maxIterations bounds the work one vector may ask for.
const maxIterations = 2_000_000

// standard runs the examples of the standards themselves.
func standard(v *vector, p sm.Provider) *checks {
	switch alg, rest, _ := strings.Cut(v.Alg, ","); {
	case alg == "SM3" && rest == "":
		return sm3Digest(v, p)
	case alg == "SM4 block":
		n, ok := iterations(rest)
		if !ok {
			return (&checks{}).fail("unknown algorithm", nil)
		}
		return sm4Block(v, p, n)
	case alg == "SM2 signature" && rest == "":
		return sm2Signature(v, p)
	}
	return (&checks{}).fail("unknown algorithm", nil)
}

// iterations reads " 1000000 iterations"; nothing means one.
func iterations(s string) (int, bool) {
	fields := strings.Fields(s)
	switch {
	case len(fields) == 0:
		return 1, true
	case len(fields) == 2 && strings.HasPrefix(fields[1], "iteration"):
		n, err := strconv.Atoi(fields[0])
		return n, err == nil && n > 0 && n <= maxIterations
	}
	return 0, false
}

// message is messageAscii, or messageHex.
func (v *vector) message() ([]byte, bool) {
	if v.MessageASCII != nil {
		return []byte(*v.MessageASCII), true
	}
	if v.MessageHex != nil {
		return unhex(*v.MessageHex)
	}
	return nil, false
}

func sm3Digest(v *vector, p sm.Provider) *checks {
	c := &checks{}
	msg, ok := v.message()
	want, wok := unhex(v.DigestHex)
	if !ok || !wok {
		return c.fail("members missing", nil)
	}
	sum := p.SM3(msg)
	c.that("SM3", bytes.Equal(sum[:], want))
	h := p.NewSM3()
	for _, b := range msg {
		h.Write([]byte{b})
	}
	c.that("SM3 byte by byte", bytes.Equal(h.Sum(nil), want))
	return c
}

func sm4Block(v *vector, p sm.Provider, n int) *checks {
	c := &checks{}
	key, ok1 := unhex(v.keyHex())
	block, ok2 := unhex(v.PlainHex)
	want, ok3 := unhex(v.CipherHex)
	if !ok1 || !ok2 || !ok3 || len(block) != 16 {
		return c.fail("members missing", nil)
	}
	b, err := p.SM4(key)
	if err != nil {
		return c.fail("key", err)
	}
	plain := bytes.Clone(block)
	for range n {
		b.Encrypt(block, block)
	}
	c.that("encrypt", bytes.Equal(block, want))
	if n == 1 {
		b.Decrypt(block, block)
		c.that("decrypt", bytes.Equal(block, plain))
	}
	return c
}

// keyHex is keyHex, "" when absent.
func (v *vector) keyHex() string {
	if v.KeyHex == nil {
		return ""
	}
	return *v.KeyHex
}

func sm2Signature(v *vector, p sm.Provider) *checks {
	c := &checks{}
	msg, ok := v.message()
	r, rok := unhex(v.RHex)
	s, sok := unhex(v.SHex)
	if !ok || !rok || !sok || len(r) > 32 || len(s) > 32 {
		return c.fail("members missing", nil)
	}
	key, err := keys.ParsePublic(v.PubHex)
	if err != nil {
		return c.fail("pubHex", err)
	}
	c.digest(p, key, v.UID, string(msg), v.ZaHex, v.EHex)
	var sig sm.Signature
	copy(sig[32-len(r):], r)
	copy(sig[64-len(s):], s)
	c.that("verify", p.Verify(key, []byte(v.UID), msg, sig) == nil)
	c.equal("DER", strings.ToLower(v.DerHex), hex.EncodeToString(sig.DER()))
	if v.DHex != "" {
		d, err := keys.ParsePrivate(v.DHex)
		if err != nil {
			return c.fail("dHex", err)
		}
		c.that("key pair", d.Public().Equal(key))
		own, err := p.Sign(&numbers{p: p, seed: v.ID}, d, []byte(v.UID), msg)
		c.that("sign", err == nil && p.Verify(key, []byte(v.UID), msg, own) == nil)
	}
	return c
}
