// Package sm is SM2, SM3 and SM4 behind one small interface with two providers: "emmansun"
// (fast, the default) and "tjfoc" (prescribed, kept as a cross-check). Both are held to the same
// vectors; SelfTest runs known answers and a cross-verification and belongs at program start.
//
// Standards: GM/T 0003 and GB/T 32918 (SM2), GM/T 0004 and GB/T 32905 (SM3), GM/T 0002 and
// GB/T 32907 (SM4).
package sm

import (
	"crypto/cipher"
	"errors"
	"hash"
	"io"
)

// DefaultUID is the user id of GM/T 0009 that the insurance platform uses for Z.
const DefaultUID = "1234567812345678"

// PrivateKey is an SM2 private scalar d in [1, n-2] with its public key. It prints as a
// fingerprint, never as the key.
type PrivateKey struct{ impl any }

// PublicKey is a point on sm2p256v1 other than infinity.
type PublicKey struct{ impl any }

// Signature is r and s, each left-padded to 32 bytes.
type Signature [64]byte

var (
	ErrKey       = errors.New("sm: invalid key")
	ErrSignature = errors.New("sm: invalid signature")
	ErrCipher    = errors.New("sm: invalid ciphertext")
	ErrPadding   = errors.New("sm: invalid padding")
)

// Order is the layout of an SM2 ciphertext.
type Order uint8

const (
	C1C3C2 Order = iota // GM/T 0003-2012
	C1C2C3              // older libraries
	ASN1                // GM/T 0009
)

// Provider is one implementation. All methods are safe for concurrent use; none panics on any
// input; uid must not be empty (ErrKey).
type Provider interface {
	Name() string
	// Sign signs SM3(Z(uid)||msg). rand is read for the nonce.
	Sign(rand io.Reader, key *PrivateKey, uid, msg []byte) (Signature, error)
	// Verify returns nil only for a valid signature.
	Verify(key *PublicKey, uid, msg []byte, sig Signature) error
	// Encrypt refuses an empty plaintext.
	Encrypt(rand io.Reader, key *PublicKey, plain []byte, o Order) ([]byte, error)
	Decrypt(key *PrivateKey, cipher []byte, o Order) ([]byte, error)
	SM3(parts ...[]byte) [32]byte
	NewSM3() hash.Hash
	// SM4 gives a block for this one operation; it must not be shared between goroutines.
	SM4(key []byte) (cipher.Block, error)
}
