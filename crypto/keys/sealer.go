package keys

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"yiqiao/crypto/sm"
)

// ErrSealed is every failure of Open: wrong id, wrong master, changed or cut bytes.
var ErrSealed = errors.New("keys: sealed data can not be opened")

// Sealed data is format (1 byte) || key id (8) || nonce (12) || SM4-GCM text and tag (16 more).
const (
	format    = 1
	keyIDSize = 8
	nonceSize = 12
	tagSize   = 16
	headSize  = 1 + keyIDSize

	// Overhead is how many bytes sealed data is longer than its plain text.
	Overhead = headSize + nonceSize + tagSize
)

// Sealer protects data at rest: SM4-GCM with a fresh nonce, bound to an identity (associated
// data). Safe for concurrent use. It prints as its key id. One master may seal some 2^32 records
// before two random nonces are likely enough to meet; change it long before.
type Sealer struct {
	p     sm.Provider
	keyID [keyIDSize]byte
	s     *secrets
}

// secrets are two pointers away from a Sealer: fmt follows one of a struct whose field it can not
// ask to format itself, never two.
type secrets struct{ seal, mac *[16]byte }

// NewSealer takes a 32-byte master secret: 16 bytes encrypt, 16 bytes key the HMAC-SM3 digests.
// Another length, or no provider, is sm.ErrKey. master is copied.
func NewSealer(p sm.Provider, master []byte) (*Sealer, error) {
	if p == nil || len(master) != 32 {
		return nil, fmt.Errorf("keys: %w: master secret must be 32 bytes", sm.ErrKey)
	}
	s := &Sealer{p: p, s: &secrets{new([16]byte), new([16]byte)}}
	copy(s.s.seal[:], master[:16])
	copy(s.s.mac[:], master[16:])
	// Both halves decide the id, so that data is never tried with a half-changed master.
	inner := s.Digest([]byte("seal key"), s.s.seal[:])
	sum := s.Digest([]byte("key id"), inner[:])
	copy(s.keyID[:], sum[:])
	return s, nil
}

// Forget zeroes the keys. Afterwards nothing that was sealed opens, and nothing may be sealed.
func (s *Sealer) Forget() {
	clear(s.s.seal[:])
	clear(s.s.mac[:])
}

// KeyID names the master secret without revealing it, 16 hex digits.
func (s *Sealer) KeyID() string { return fmt.Sprintf("%x", s.keyID[:]) }

// Format shows the key id to every verb.
func (s *Sealer) Format(f fmt.State, _ rune) {
	if s == nil {
		_, _ = io.WriteString(f, "sealer:none")
		return
	}
	_, _ = io.WriteString(f, "sealer:"+s.KeyID())
}

// MarshalText shows the key id to the encoders.
func (s *Sealer) MarshalText() ([]byte, error) { return []byte("sealer:" + s.KeyID()), nil }

// Seal encrypts plain for the record named id; both may be empty. The result starts with a format
// byte and a key id and is Overhead bytes longer than plain. rand is read for 12 bytes of nonce
// that must never repeat; sm.ErrRandom when it fails. Sealing twice gives different bytes.
func (s *Sealer) Seal(rand io.Reader, id string, plain []byte) ([]byte, error) {
	return sealWith(s.p, s.s.seal[:], format, s.keyID, rand, id, plain)
}

// Open gives back what Seal was given for the same id; anything else is ErrSealed.
func (s *Sealer) Open(id string, sealed []byte) ([]byte, error) {
	return openWith(s.p, s.s.seal[:], format, s.keyID, id, sealed)
}

// bind is the associated data: format and key id (fixed length), then the identity.
func bind(head []byte, id string) []byte {
	return append(append(make([]byte, 0, headSize+len(id)), head...), id...)
}

// Digest is Digester.Digest under the second half of the master. Compare with Same.
func (s *Sealer) Digest(parts ...[]byte) [32]byte { return digest(s.p, s.s.mac[:], parts) }

// Same tells in constant time whether digest is Digest(parts...).
func (s *Sealer) Same(digest [32]byte, parts ...[]byte) bool {
	sum := s.Digest(parts...)
	return subtle.ConstantTimeCompare(sum[:], digest[:]) == 1
}
