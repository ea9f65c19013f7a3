package sm

import (
	"crypto/cipher"
	"hash"
	"io"

	esm2 "github.com/emmansun/gmsm/sm2"
	esm3 "github.com/emmansun/gmsm/sm3"
	esm4 "github.com/emmansun/gmsm/sm4"
)

// emmansun is github.com/emmansun/gmsm. Guarded against: an empty user id meaning the default
// one, detection of the ciphertext layout by its first byte, compressed C1, empty plaintext, a nil
// random source meaning deterministic signatures, and an encryption whose second draw of a nonce
// can not be decrypted (short plaintexts; see withNonce).
type emmansun struct{}

func (emmansun) Name() string { return "emmansun" }

func (p emmansun) Sign(rand io.Reader, key *PrivateKey, uid, msg []byte) (sig Signature, err error) {
	defer guard(&err, ErrSignature)
	if key == nil || key.k == nil {
		return sig, ErrKey
	}
	if err := checkUID(uid); err != nil {
		return sig, err
	}
	e, err := key.k.pub.k.digest(p, uid, msg)
	if err != nil {
		return sig, err
	}
	var der []byte
	err = withNonce(rand, 32, func(once io.Reader) (err error) {
		der, err = esm2.SignASN1(once, key.k.e, e[:], nil)
		return err
	})
	if err != nil {
		return Signature{}, oneOf(err, ErrSignature)
	}
	return ParseDER(der)
}

func (p emmansun) Verify(key *PublicKey, uid, msg []byte, sig Signature) (err error) {
	defer guard(&err, ErrSignature)
	if key == nil || key.k == nil {
		return ErrKey
	}
	if err := checkUID(uid); err != nil {
		return err
	}
	e, err := key.k.digest(p, uid, msg)
	if err != nil {
		return err
	}
	if !esm2.VerifyASN1(key.k.e, e[:], sig.DER()) {
		return ErrSignature
	}
	return nil
}

func (emmansun) Encrypt(rand io.Reader, key *PublicKey, plain []byte, o Order) (out []byte, err error) {
	defer guard(&err, ErrCipher)
	if key == nil || key.k == nil {
		return nil, ErrKey
	}
	if len(plain) == 0 {
		return nil, ErrPlain
	}
	opts := esm2.NewPlainEncrypterOpts(esm2.MarshalUncompressed, esm2.C1C3C2)
	err = withNonce(rand, 32, func(once io.Reader) (err error) {
		out, err = esm2.Encrypt(once, key.k.e, plain, opts)
		return err
	})
	if err != nil {
		return nil, oneOf(err, ErrCipher)
	}
	return arrange(out, o)
}

func (emmansun) Decrypt(key *PrivateKey, text []byte, o Order) (plain []byte, err error) {
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
	plain, err = key.k.e.Decrypt(nil, in, esm2.NewPlainDecrypterOpts(esm2.C1C3C2))
	if err != nil || len(plain) == 0 {
		return nil, ErrCipher
	}
	return plain, nil
}

func (emmansun) SM3(parts ...[]byte) (out [32]byte) {
	if len(parts) == 1 {
		return esm3.Sum(parts[0])
	}
	h := esm3.New()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	return out
}

func (emmansun) NewSM3() hash.Hash { return esm3.New() }

func (emmansun) SM4(key []byte) (b cipher.Block, err error) {
	defer guard(&err, ErrKey)
	if len(key) != 16 {
		return nil, ErrKey
	}
	b, err = esm4.NewCipher(key)
	if err != nil {
		return nil, ErrKey
	}
	return b, nil
}

// oneOf keeps an error of ours and turns one of a library into refusal.
func oneOf(err, refusal error) error {
	if err == ErrRandom || err == ErrKey {
		return err
	}
	return refusal
}
