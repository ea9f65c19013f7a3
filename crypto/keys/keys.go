// Package keys reads keys in the forms the field uses, keeps them in files, and seals data at rest.
//
// Accepted key forms (security.md 2.4): base64 or hex of d (32 bytes, 33 with a leading 00 as Java
// writes it, or shorter), PEM and PKCS#8; base64 or hex of a public point with or without 04.
// Everything else, points off the curve and d outside [1, n-2] are refused. A key never prints.
package keys

import (
	"errors"
	"io"

	"yiqiao/crypto/sm"
)

// Sealer protects data at rest: SM4-GCM with a fresh nonce, bound to an identity (associated
// data). Safe for concurrent use.
type Sealer struct{}

var ErrSealed = errors.New("keys: sealed data can not be opened")

// NewSealer takes a 32-byte master secret: 16 bytes encrypt, 16 bytes key the HMAC-SM3 digests.
func NewSealer(p sm.Provider, master []byte) (*Sealer, error) { return nil, errors.New("not built") }

// Seal encrypts plain for the record named id. The result starts with a format byte and a key id.
func (s *Sealer) Seal(rand io.Reader, id string, plain []byte) ([]byte, error) {
	return nil, errors.New("not built")
}

// Open gives back what Seal was given for the same id; anything else is ErrSealed.
func (s *Sealer) Open(id string, sealed []byte) ([]byte, error) { return nil, ErrSealed }

// Digest is HMAC-SM3 over the parts, each preceded by its length: a keyed digest by which equal
// contents are recognised without keeping them.
func (s *Sealer) Digest(parts ...[]byte) [32]byte { return [32]byte{} }

// ParsePrivate reads a private key in any accepted form.
func ParsePrivate(text string) (*sm.PrivateKey, error) { return nil, sm.ErrKey }

// ParsePublic reads a public key in any accepted form.
func ParsePublic(text string) (*sm.PublicKey, error) { return nil, sm.ErrKey }
