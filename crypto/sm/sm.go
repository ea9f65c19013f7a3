// Package sm is SM2, SM3 and SM4 behind one small interface with two providers: "emmansun"
// (fast, the default) and "tjfoc" (prescribed, kept as a cross-check). Both are held to the same
// vectors; SelfTest runs known answers and a cross-verification and belongs at program start.
//
// Standards: GM/T 0003 and GB/T 32918 (SM2), GM/T 0004 and GB/T 32905 (SM3), GM/T 0002 and
// GB/T 32907 (SM4), GM/T 0009 (default user id, DER forms of signatures and ciphertexts).
//
// Nothing here panics on any input and nothing here reads a clock or a hidden random source:
// randomness is passed in. Operations on secret values are as constant in time as the chosen
// provider makes them: "tjfoc" works with math/big and is not.
package sm

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"hash"
	"io"
)

// DefaultUID is the user id of GM/T 0009 that the insurance platform uses for Z.
const DefaultUID = "1234567812345678"

// maxUID is the largest user id in bytes: its length in bits must fit 16 bits (GM/T 0003.2).
const maxUID = 8191

// Signature is r and s, each left-padded to 32 bytes.
type Signature [64]byte

// The refusals of this package. Errors returned are one of these or wrap one of these; none
// carries key, message or ciphertext bytes.
var (
	ErrKey       = errors.New("sm: invalid key")
	ErrSignature = errors.New("sm: invalid signature")
	ErrCipher    = errors.New("sm: invalid ciphertext")
	ErrPadding   = errors.New("sm: invalid padding")
	ErrPlain     = errors.New("sm: plaintext must not be empty")
	ErrUID       = fmt.Errorf("%w: user id must be 1 to %d bytes", ErrKey, maxUID)
	ErrRandom    = errors.New("sm: random source failed")
	ErrProvider  = errors.New("sm: unknown provider")
)

// Order is the layout of an SM2 ciphertext.
type Order uint8

const (
	C1C3C2 Order = iota // GM/T 0003-2012
	C1C2C3              // older libraries
	ASN1                // GM/T 0009
)

// Provider is one implementation. All methods are safe for concurrent use; none panics on any
// input; uid must not be empty (ErrKey), because both libraries would silently take the default
// user id and hide a missing setting. A nil or zero key is ErrKey, a nil rand is ErrRandom.
type Provider interface {
	Name() string
	// Sign signs SM3(Z(uid)||msg) (GM/T 0003.2). rand is read for the nonce: 32 or 40 bytes. Two
	// calls give different signatures; repeating a call is harmless. An empty msg can be signed.
	Sign(rand io.Reader, key *PrivateKey, uid, msg []byte) (Signature, error)
	// Verify returns nil only for a valid signature, else ErrSignature (or ErrKey).
	Verify(key *PublicKey, uid, msg []byte, sig Signature) error
	// Encrypt encrypts for key (GM/T 0003.4). It refuses an empty plaintext (ErrPlain).
	Encrypt(rand io.Reader, key *PublicKey, plain []byte, o Order) ([]byte, error)
	// Decrypt opens what Encrypt made; the layout must be o exactly, C1 uncompressed and on the
	// curve. Every failure is ErrCipher and gives no plaintext.
	Decrypt(key *PrivateKey, cipher []byte, o Order) ([]byte, error)
	// SM3 is the digest of the parts one after the other.
	SM3(parts ...[]byte) [32]byte
	// NewSM3 is a running SM3; as every hash.Hash it belongs to one goroutine.
	NewSM3() hash.Hash
	// SM4 gives a block for this one operation; it must not be shared between goroutines. The key
	// is 16 bytes, anything else is ErrKey.
	SM4(key []byte) (cipher.Block, error)
}

// New gives the provider named name: "emmansun" or "tjfoc". The empty name is the default,
// "emmansun". An unknown name is ErrProvider. Providers hold no state.
func New(name string) (Provider, error) {
	switch name {
	case "", "emmansun":
		return emmansun{}, nil
	case "tjfoc":
		return tjfoc{}, nil
	}
	return nil, fmt.Errorf("%w %q", ErrProvider, name)
}

// Names lists the providers, the default one first.
func Names() []string { return []string{"emmansun", "tjfoc"} }

// guard turns a panic of a library into refusal. It is deferred around every call into one.
func guard(err *error, refusal error) {
	if recover() != nil {
		*err = refusal
	}
}

// attempts bounds how often a nonce may be drawn again. The rarest reason to draw again that
// still occurs (an all-zero key stream for a one-byte plaintext) has probability 1/256.
const attempts = 64

// withNonce reads n bytes from rand and runs op with exactly these bytes as its random source. op
// reports io.EOF when it wanted to draw again; then it is run anew with fresh bytes. Libraries
// never get to loop over the caller's source themselves: one loops for ever over a source that
// repeats, the other makes an unreadable ciphertext of its second draw.
func withNonce(rand io.Reader, n int, op func(once io.Reader) error) error {
	if rand == nil {
		return ErrRandom
	}
	var buf [40]byte
	defer clear(buf[:])
	for range attempts {
		if _, err := io.ReadFull(rand, buf[:n]); err != nil {
			return ErrRandom
		}
		err := op(&nonce{rest: buf[:n]})
		if err == nil {
			return nil
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
	}
	return ErrRandom
}

// nonce hands out its bytes once.
type nonce struct{ rest []byte }

func (n *nonce) Read(p []byte) (int, error) {
	if len(n.rest) == 0 {
		return 0, io.EOF
	}
	c := copy(p, n.rest)
	n.rest = n.rest[c:]
	return c, nil
}
