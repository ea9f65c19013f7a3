package sm

import (
	"crypto/ecdsa"
	"crypto/subtle"
	"encoding/hex"
	"io"
	"math/big"
	"sync/atomic"

	esm2 "github.com/emmansun/gmsm/sm2"
	esm3 "github.com/emmansun/gmsm/sm3"
	tsm2 "github.com/tjfoc/gmsm/sm2"
)

// PrivateKey is an SM2 private scalar d in [1, n-2] with its public key. It prints as a
// fingerprint, never as the key. It is immutable and safe for concurrent use. The zero value is
// no key: every use of it is ErrKey.
type PrivateKey struct{ k *privateKey }

// PublicKey is a point on sm2p256v1 other than infinity. Immutable and safe for concurrent use;
// the zero value is no key.
type PublicKey struct{ k *publicKey }

// privateKey holds the key in the form of each provider, so that an operation converts nothing. d
// is behind a pointer because fmt follows one pointer into a struct whose field it can not ask to
// format itself (an unexported field under a verb that does not fit), but never two.
type privateKey struct {
	d   *[32]byte
	pub *PublicKey
	e   *esm2.PrivateKey
	t   *tsm2.PrivateKey
}

type publicKey struct {
	point [65]byte
	print string
	e     *ecdsa.PublicKey
	t     *tsm2.PublicKey
	z     atomic.Pointer[zOf] // Z for the user id used last
}

// zOf is the value Z of GM/T 0003.2 for one user id.
type zOf struct {
	uid string
	z   [32]byte
}

// NewPrivateKey takes d as 32 big-endian bytes; ErrKey when it is not in [1, n-2] (GM/T 0003.1).
func NewPrivateKey(d []byte) (key *PrivateKey, err error) {
	defer guard(&err, ErrKey)
	if len(d) != 32 || !inRange(d) {
		return nil, ErrKey
	}
	e, err := esm2.NewPrivateKey(d)
	if err != nil {
		return nil, ErrKey
	}
	var point [65]byte
	point[0] = 4
	e.X.FillBytes(point[1:33])
	e.Y.FillBytes(point[33:])
	pub, err := NewPublicKey(point[:])
	if err != nil {
		return nil, ErrKey
	}
	k := &privateKey{d: new([32]byte), pub: pub, e: e, t: &tsm2.PrivateKey{PublicKey: *pub.k.t, D: new(big.Int).SetBytes(d)}}
	copy(k.d[:], d)
	return &PrivateKey{k}, nil
}

// GenerateKey makes a private key from 40 bytes of rand (GM/T 0003.1 6.1; the surplus bytes make
// the bias negligible). Equal bytes give equal keys. ErrRandom when rand fails.
func GenerateKey(rand io.Reader) (*PrivateKey, error) {
	if rand == nil {
		return nil, ErrRandom
	}
	var b [40]byte
	defer clear(b[:])
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return nil, ErrRandom
	}
	one := big.NewInt(1)
	limit := new(big.Int).Sub(order(), big.NewInt(2))
	d := new(big.Int).SetBytes(b[:])
	d.Mod(d, limit).Add(d, one) // [1, n-2]
	var scalar [32]byte
	defer clear(scalar[:])
	d.FillBytes(scalar[:])
	return NewPrivateKey(scalar[:])
}

// NewPublicKey takes a point as 65 bytes 04||X||Y. Another form, a coordinate not below p, or a
// point off the curve is ErrKey.
func NewPublicKey(point []byte) (key *PublicKey, err error) {
	defer guard(&err, ErrKey)
	if len(point) != 65 || point[0] != 4 {
		return nil, ErrKey
	}
	k := &publicKey{}
	copy(k.point[:], point)
	e, err := esm2.NewPublicKey(k.point[:])
	if err != nil {
		return nil, ErrKey
	}
	k.e = e
	// Its own integers: nothing one library does to a key can reach the other.
	k.t = &tsm2.PublicKey{
		Curve: tsm2.P256Sm2(),
		X:     new(big.Int).SetBytes(point[1:33]),
		Y:     new(big.Int).SetBytes(point[33:]),
	}
	sum := esm3.Sum(point)
	k.print = hex.EncodeToString(sum[:8])
	return &PublicKey{k}, nil
}

// Public is the key others verify with; nil for the zero value.
func (k *PrivateKey) Public() *PublicKey {
	if k == nil || k.k == nil {
		return nil
	}
	return k.k.pub
}

// Scalar is a copy of d, 32 big-endian bytes, for storage only; nil for the zero value.
func (k *PrivateKey) Scalar() []byte {
	if k == nil || k.k == nil {
		return nil
	}
	return append([]byte(nil), k.k.d[:]...)
}

// Fingerprint is that of the public key, so that a pair is recognised in a log.
func (k *PrivateKey) Fingerprint() string { return k.Public().Fingerprint() }

// Equal compares in constant time; the zero value equals nothing.
func (k *PrivateKey) Equal(o *PrivateKey) bool {
	if k == nil || o == nil || k.k == nil || o.k == nil {
		return false
	}
	return subtle.ConstantTimeCompare(k.k.d[:], o.k.d[:]) == 1
}

// Point is a copy of 04||X||Y, 65 bytes; nil for the zero value.
func (k *PublicKey) Point() []byte {
	if k == nil || k.k == nil {
		return nil
	}
	return append([]byte(nil), k.k.point[:]...)
}

// Fingerprint is 16 hex digits of SM3 over the 65 bytes of the point: enough to tell keys apart,
// not to prove anything. "none" for the zero value.
func (k *PublicKey) Fingerprint() string {
	if k == nil || k.k == nil {
		return "none"
	}
	return k.k.print
}

// Equal tells whether both are the same point; the zero value equals nothing.
func (k *PublicKey) Equal(o *PublicKey) bool {
	if k == nil || o == nil || k.k == nil || o.k == nil {
		return false
	}
	return k.k.point == o.k.point
}

// order is n of sm2p256v1 (GM/T 0003.5).
func order() *big.Int { return esm2.P256().Params().N }

// inRange tells whether the big-endian d is in [1, n-2].
func inRange(d []byte) bool {
	v := new(big.Int).SetBytes(d)
	return v.Sign() > 0 && v.Cmp(new(big.Int).Sub(order(), big.NewInt(1))) < 0
}
