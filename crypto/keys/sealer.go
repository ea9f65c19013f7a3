package keys

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
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
	if rand == nil {
		return nil, sm.ErrRandom
	}
	aead, err := sm.GCM(s.p, s.s.seal[:])
	if err != nil {
		return nil, err
	}
	out := make([]byte, headSize+nonceSize, Overhead+len(plain))
	out[0] = format
	copy(out[1:], s.keyID[:])
	nonce := out[headSize:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, sm.ErrRandom
	}
	return aead.Seal(out, nonce, plain, bind(out[:headSize], id)), nil
}

// Open gives back what Seal was given for the same id; anything else is ErrSealed.
func (s *Sealer) Open(id string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != format ||
		subtle.ConstantTimeCompare(sealed[1:headSize], s.keyID[:]) != 1 {
		return nil, ErrSealed
	}
	aead, err := sm.GCM(s.p, s.s.seal[:])
	if err != nil {
		return nil, ErrSealed
	}
	nonce, text := sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:]
	plain, err := aead.Open(nil, nonce, text, bind(sealed[:headSize], id))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// bind is the associated data: format and key id (fixed length), then the identity.
func bind(head []byte, id string) []byte {
	return append(append(make([]byte, 0, headSize+len(id)), head...), id...)
}

// Digest is HMAC-SM3 (GM/T 0004 under RFC 2104) over the parts, each preceded by its length as 8
// big-endian bytes: a keyed digest by which equal contents are recognised without keeping them.
// ("a","bc") and ("ab","c") differ. Deterministic for one master. Compare with Same.
func (s *Sealer) Digest(parts ...[]byte) (sum [32]byte) {
	mac := hmac.New(s.p.NewSM3, s.s.mac[:])
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		mac.Write(n[:])
		mac.Write(p)
	}
	mac.Sum(sum[:0])
	return sum
}

// Same tells in constant time whether digest is Digest(parts...).
func (s *Sealer) Same(digest [32]byte, parts ...[]byte) bool {
	sum := s.Digest(parts...)
	return subtle.ConstantTimeCompare(sum[:], digest[:]) == 1
}
