package sm

import (
	"bytes"
	"crypto/cipher"
	"crypto/subtle"
	"slices"
)

const blockSize = 16

// ecbModes is what a block offers that encrypts many blocks at once; the results are the same.
type ecbModes interface {
	NewECBEncrypter() cipher.BlockMode
	NewECBDecrypter() cipher.BlockMode
}

// ECBEncrypt encrypts with SM4 (GM/T 0002) in ECB mode with PKCS#7 padding, as the insurance
// envelope prescribes: equal blocks give equal blocks, so it protects no more than the profile
// does. plain may be empty and is not changed; the result is 1 to 16 bytes longer. Deterministic.
// ErrKey when key is not 16 bytes.
func ECBEncrypt(p Provider, key, plain []byte) ([]byte, error) {
	return AppendECB(nil, p, key, plain)
}

// AppendECB is ECBEncrypt that appends to dst, which must not overlap plain. On an error it gives
// nil.
func AppendECB(dst []byte, p Provider, key, plain []byte) ([]byte, error) {
	b, err := p.SM4(key)
	if err != nil {
		return nil, err
	}
	from, n := len(dst), blockSize-len(plain)%blockSize
	dst = append(slices.Grow(dst, len(plain)+n), plain...)
	for range n {
		dst = append(dst, byte(n))
	}
	buf := dst[from:]
	if m, ok := b.(ecbModes); ok {
		m.NewECBEncrypter().CryptBlocks(buf, buf)
		return dst, nil
	}
	for i := 0; i < len(buf); i += blockSize {
		b.Encrypt(buf[i:i+blockSize], buf[i:i+blockSize])
	}
	return dst, nil
}

// ECBDecrypt undoes ECBEncrypt. A length of zero or not a multiple of 16 is ErrCipher, wrong
// padding ErrPadding; the two must not be told apart by anybody outside.
func ECBDecrypt(p Provider, key, text []byte) ([]byte, error) {
	return ECBDecryptIn(p, key, bytes.Clone(text))
}

// ECBDecryptIn is ECBDecrypt in the place of the ciphertext: the result is the front of buf. When it
// fails nothing of the plaintext is left there.
func ECBDecryptIn(p Provider, key, buf []byte) ([]byte, error) {
	b, err := p.SM4(key)
	if err != nil {
		return nil, err
	}
	if len(buf) == 0 || len(buf)%blockSize != 0 {
		return nil, ErrCipher
	}
	if m, ok := b.(ecbModes); ok {
		m.NewECBDecrypter().CryptBlocks(buf, buf)
		return unpad(buf)
	}
	for i := 0; i < len(buf); i += blockSize {
		b.Decrypt(buf[i:i+blockSize], buf[i:i+blockSize])
	}
	return unpad(buf)
}

// CBCEncrypt encrypts with SM4 in CBC mode (GB/T 17964) with PKCS#7 padding. iv is 16 bytes,
// fresh and unpredictable for every message, and is not part of the result. ErrKey for a wrong
// length of key or iv.
func CBCEncrypt(p Provider, key, iv, plain []byte) ([]byte, error) {
	b, err := p.SM4(key)
	if err != nil {
		return nil, err
	}
	if len(iv) != blockSize {
		return nil, ErrKey
	}
	buf := pad(plain)
	cipher.NewCBCEncrypter(b, iv).CryptBlocks(buf, buf)
	return buf, nil
}

// CBCDecrypt undoes CBCEncrypt; errors as ECBDecrypt. It proves nothing about who wrote text.
func CBCDecrypt(p Provider, key, iv, text []byte) ([]byte, error) {
	b, err := p.SM4(key)
	if err != nil {
		return nil, err
	}
	if len(iv) != blockSize {
		return nil, ErrKey
	}
	if len(text) == 0 || len(text)%blockSize != 0 {
		return nil, ErrCipher
	}
	buf := make([]byte, len(text))
	cipher.NewCBCDecrypter(b, iv).CryptBlocks(buf, text)
	return unpad(buf)
}

// GCM gives SM4-GCM (16-byte tag, 12-byte nonce) for one operation; as the block inside it, it
// must not be shared between goroutines.
func GCM(p Provider, key []byte) (cipher.AEAD, error) {
	b, err := p.SM4(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(b)
}

// pad copies plain and appends PKCS#7 padding; the caller's spare capacity is left alone.
func pad(plain []byte) []byte {
	n := blockSize - len(plain)%blockSize
	buf := make([]byte, len(plain)+n)
	copy(buf, plain)
	for i := len(plain); i < len(buf); i++ {
		buf[i] = byte(n)
	}
	return buf
}

// unpad removes PKCS#7 padding from full blocks, looking at all of the last block whatever it
// holds.
func unpad(buf []byte) ([]byte, error) {
	last := buf[len(buf)-blockSize:]
	n := int(last[blockSize-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, blockSize)
	for i, c := range last {
		inside := subtle.ConstantTimeLessOrEq(blockSize-n, i)
		same := subtle.ConstantTimeByteEq(c, byte(n))
		good &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	if good != 1 {
		clear(buf)
		return nil, ErrPadding
	}
	return buf[:len(buf)-n], nil
}
