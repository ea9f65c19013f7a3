package sm

import (
	"crypto/cipher"
	"hash"
	"io"
	"math/big"

	tsm2 "github.com/tjfoc/gmsm/sm2"
	tsm3 "github.com/tjfoc/gmsm/sm3"
	tsm4 "github.com/tjfoc/gmsm/sm4"
)

// tjfoc is github.com/tjfoc/gmsm, of which only Sm2Sign, Sm2Verify, Encrypt, Decrypt, sm3.New,
// sm3.Sm3Sum and sm4.NewCipher are used. Guarded against: an empty user id meaning the default
// one, loose DER, panics of Decrypt on short input, C1 off the curve, plaintext returned beside an
// error, an endless loop on empty plaintext or a repeating random source, Sum(prefix) that changes
// the hash, blocks that share scratch memory, and every Sm4 helper (padding errors swallowed, a
// global IV, wrong GCM tags).
type tjfoc struct{}

func (tjfoc) Name() string { return "tjfoc" }

func (tjfoc) Sign(rand io.Reader, key *PrivateKey, uid, msg []byte) (sig Signature, err error) {
	defer guard(&err, ErrSignature)
	if key == nil || key.k == nil {
		return sig, ErrKey
	}
	if err := checkUID(uid); err != nil {
		return sig, err
	}
	var r, s *big.Int
	err = withNonce(rand, 40, func(once io.Reader) (err error) {
		r, s, err = tsm2.Sm2Sign(key.k.t, msg, uid, once)
		return err
	})
	if err != nil {
		return Signature{}, oneOf(err, ErrSignature)
	}
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, nil
}

func (tjfoc) Verify(key *PublicKey, uid, msg []byte, sig Signature) (err error) {
	defer guard(&err, ErrSignature)
	if key == nil || key.k == nil {
		return ErrKey
	}
	if err := checkUID(uid); err != nil {
		return err
	}
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if !tsm2.Sm2Verify(key.k.t, msg, uid, r, s) {
		return ErrSignature
	}
	return nil
}

func (tjfoc) Encrypt(rand io.Reader, key *PublicKey, plain []byte, o Order) (out []byte, err error) {
	defer guard(&err, ErrCipher)
	if key == nil || key.k == nil {
		return nil, ErrKey
	}
	if len(plain) == 0 {
		return nil, ErrPlain
	}
	err = withNonce(rand, 40, func(once io.Reader) (err error) {
		out, err = tsm2.Encrypt(key.k.t, plain, once, tsm2.C1C3C2)
		return err
	})
	if err != nil {
		return nil, oneOf(err, ErrCipher)
	}
	return arrange(out, o)
}

func (tjfoc) Decrypt(key *PrivateKey, text []byte, o Order) (plain []byte, err error) {
	defer func() {
		if err != nil {
			plain = nil
		}
	}()
	defer guard(&err, ErrCipher)
	if key == nil || key.k == nil {
		return nil, ErrKey
	}
	in, err := inside(text, o)
	if err != nil || !onCurve(in) {
		return nil, ErrCipher
	}
	plain, err = tsm2.Decrypt(key.k.t, in, tsm2.C1C3C2)
	if err != nil || len(plain) == 0 {
		return nil, ErrCipher
	}
	return plain, nil
}

func (tjfoc) SM3(parts ...[]byte) (out [32]byte) {
	if len(parts) == 1 {
		copy(out[:], tsm3.Sm3Sum(parts[0]))
		return out
	}
	h := tsm3.New()
	for _, p := range parts {
		h.Write(p)
	}
	copy(out[:], h.Sum(nil))
	return out
}

func (tjfoc) NewSM3() hash.Hash { return plainSum{tsm3.New()} }

func (tjfoc) SM4(key []byte) (b cipher.Block, err error) {
	defer guard(&err, ErrKey)
	if len(key) != 16 {
		return nil, ErrKey
	}
	b, err = tsm4.NewCipher(key)
	if err != nil {
		return nil, ErrKey
	}
	return b, nil
}

// plainSum gives Sum its meaning back: append the digest to b, hash nothing.
type plainSum struct{ hash.Hash }

func (h plainSum) Sum(b []byte) []byte { return append(b, h.Hash.Sum(nil)...) }
