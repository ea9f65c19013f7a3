package keys

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"yiqiao/crypto/sm"
)

// dataFormat is the first byte of what a DataKey sealed; the form is that of a Sealer otherwise.
const dataFormat = 3

// DataKeySize is the length of a data key in bytes.
const DataKeySize = 16

// DataKey seals bodies with SM4-GCM under a fresh random nonce, bound to an identity (associated
// data), as Sealer does; it is itself kept wrapped by a Wrapper. Its id follows from the key and
// from what it is for, so a key that was exchanged for another does not have the id it is kept
// under. Safe for concurrent use; it prints as its id. It may seal some 2^32 bodies.
type DataKey struct {
	p  sm.Provider
	id [keyIDSize]byte
	s  **[DataKeySize]byte // two pointers away: see secrets
}

// NewDataKey takes the 16 bytes of a key and a text that says what it is for. Another length, or no
// provider, is sm.ErrKey. key is copied.
func NewDataKey(p sm.Provider, key []byte, use string) (*DataKey, error) {
	if p == nil || len(key) != DataKeySize {
		return nil, refuse("a data key is 16 bytes")
	}
	s := new([DataKeySize]byte)
	copy(s[:], key)
	k := &DataKey{p: p, s: &s}
	sum := p.SM3([]byte("yiqiao data key\x00"), key, []byte(use))
	copy(k.id[:], sum[:])
	return k, nil
}

// ID names the key without revealing it, 16 hex digits.
func (k *DataKey) ID() string { return hex.EncodeToString(k.id[:]) }

// Format shows the id to every verb.
func (k *DataKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "data key:"+k.ID()) }

// MarshalText shows the id to the encoders.
func (k *DataKey) MarshalText() ([]byte, error) { return []byte("data key:" + k.ID()), nil }

// Forget zeroes the key; it must not be used any more.
func (k *DataKey) Forget() { clear((*k.s)[:]) }

// Seal is Sealer.Seal.
func (k *DataKey) Seal(rand io.Reader, name string, plain []byte) ([]byte, error) {
	return sealWith(k.p, (*k.s)[:], dataFormat, k.id, rand, name, plain)
}

// Open is Sealer.Open.
func (k *DataKey) Open(name string, sealed []byte) ([]byte, error) {
	return openWith(k.p, (*k.s)[:], dataFormat, k.id, name, sealed)
}

// SealedBy tells the id of the key that sealed something, 8 bytes, and whether that is a DataKey or
// a Sealer. ErrSealed when it is neither's.
func SealedBy(sealed []byte) (id [8]byte, data bool, err error) {
	if len(sealed) < Overhead || sealed[0] != dataFormat && sealed[0] != format {
		return id, false, ErrSealed
	}
	copy(id[:], sealed[1:])
	return id, sealed[0] == dataFormat, nil
}

func sealWith(p sm.Provider, key []byte, form byte, id [keyIDSize]byte, rand io.Reader, name string, plain []byte) ([]byte, error) {
	if rand == nil {
		return nil, sm.ErrRandom
	}
	aead, err := sm.GCM(p, key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, headSize+nonceSize, Overhead+len(plain))
	out[0] = form
	copy(out[1:], id[:])
	nonce := out[headSize:]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, sm.ErrRandom
	}
	return aead.Seal(out, nonce, plain, bind(out[:headSize], name)), nil
}

func openWith(p sm.Provider, key []byte, form byte, id [keyIDSize]byte, name string, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != form || subtle.ConstantTimeCompare(sealed[1:headSize], id[:]) != 1 {
		return nil, ErrSealed
	}
	aead, err := sm.GCM(p, key)
	if err != nil {
		return nil, ErrSealed
	}
	nonce, text := sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:]
	plain, err := aead.Open(nil, nonce, text, bind(sealed[:headSize], name))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// Digester makes keyed digests; it prints as nothing but its kind. Safe for concurrent use.
type Digester struct {
	p   sm.Provider
	key **[]byte
}

// NewDigester takes a key of 16 to 64 bytes, which is copied; anything else is sm.ErrKey.
func NewDigester(p sm.Provider, key []byte) (*Digester, error) {
	if p == nil || len(key) < 16 || len(key) > 64 {
		return nil, refuse("the key of a digest is 16 to 64 bytes")
	}
	b := append([]byte(nil), key...)
	s := &b
	return &Digester{p, &s}, nil
}

// Format shows nothing of the key to any verb.
func (d *Digester) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "digester") }

// MarshalText shows nothing of the key to the encoders.
func (d *Digester) MarshalText() ([]byte, error) { return []byte("digester"), nil }

// Forget zeroes the key; it must not be used any more.
func (d *Digester) Forget() { clear(**d.key) }

// Digest is HMAC-SM3 (GM/T 0004 under RFC 2104) over the parts, each preceded by its length as 8
// big-endian bytes: a keyed digest by which equal contents are recognised without keeping them.
// ("a","bc") and ("ab","c") differ. Deterministic for one key.
func (d *Digester) Digest(parts ...[]byte) [32]byte { return digest(d.p, **d.key, parts) }

func digest(p sm.Provider, key []byte, parts [][]byte) (sum [32]byte) {
	mac := hmac.New(p.NewSM3, key)
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		mac.Write(n[:])
		mac.Write(part)
	}
	mac.Sum(sum[:0])
	return sum
}

// Parts gives a copy of the master and of its second half, which keys digests: what a journal that
// was sealed with the master itself needs wrapped before the master may retire.
func (s *Sealer) Parts() (master, mac []byte) {
	return append(s.s.seal[:len(s.s.seal):len(s.s.seal)], s.s.mac[:]...), append([]byte(nil), s.s.mac[:]...)
}
