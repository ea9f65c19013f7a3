package doctor

import (
	"encoding/binary"
	"math/big"

	"yiqiao/crypto/sm"
)

// The curve sm2p256v1 (GM/T 0003.5), for public values only: nothing here is constant in time and
// nothing here may touch a private key.
type curve struct{ p, n, a, b, gx, gy *big.Int }

func newCurve() *curve {
	h := func(s string) *big.Int { v, _ := new(big.Int).SetString(s, 16); return v }
	return &curve{
		p:  h("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"),
		n:  h("fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"),
		a:  h("fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc"),
		b:  h("28e9fa9e9d9f5e344d5a9e4bcf6509a7f39789f515ab8f92ddbcbd414d940e93"),
		gx: h("32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7"),
		gy: h("bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0"),
	}
}

// jacobian is (x/z^2, y/z^3); z = 0 is infinity.
type jacobian struct{ x, y, z *big.Int }

func (c *curve) mul(a, b *big.Int) *big.Int {
	r := new(big.Int).Mul(a, b)
	return r.Mod(r, c.p)
}

func (c *curve) sub(a, b *big.Int) *big.Int {
	r := new(big.Int).Sub(a, b)
	return r.Mod(r, c.p)
}

func (c *curve) double(q jacobian) jacobian {
	if q.z.Sign() == 0 || q.y.Sign() == 0 {
		return jacobian{new(big.Int), new(big.Int), new(big.Int)}
	}
	zz, yy := c.mul(q.z, q.z), c.mul(q.y, q.y)
	s := c.mul(big.NewInt(4), c.mul(q.x, yy))
	// a = -3: m = 3 (x - z^2) (x + z^2)
	m := c.mul(big.NewInt(3), c.mul(c.sub(q.x, zz), new(big.Int).Add(q.x, zz)))
	x := c.sub(c.mul(m, m), new(big.Int).Lsh(s, 1))
	y := c.sub(c.mul(m, c.sub(s, x)), c.mul(big.NewInt(8), c.mul(yy, yy)))
	return jacobian{x, y, c.mul(big.NewInt(2), c.mul(q.y, q.z))}
}

func (c *curve) add(q, r jacobian) jacobian {
	if q.z.Sign() == 0 {
		return r
	}
	if r.z.Sign() == 0 {
		return q
	}
	qz, rz := c.mul(q.z, q.z), c.mul(r.z, r.z)
	u1, u2 := c.mul(q.x, rz), c.mul(r.x, qz)
	s1, s2 := c.mul(q.y, c.mul(r.z, rz)), c.mul(r.y, c.mul(q.z, qz))
	h, d := c.sub(u2, u1), c.sub(s2, s1)
	if h.Sign() == 0 {
		if d.Sign() == 0 {
			return c.double(q)
		}
		return jacobian{new(big.Int), new(big.Int), new(big.Int)}
	}
	hh := c.mul(h, h)
	hhh, v := c.mul(h, hh), c.mul(u1, hh)
	x := c.sub(c.sub(c.mul(d, d), hhh), new(big.Int).Lsh(v, 1))
	y := c.sub(c.mul(d, c.sub(v, x)), c.mul(s1, hhh))
	return jacobian{x, y, c.mul(h, c.mul(q.z, r.z))}
}

// signedDigest gives the e, modulo n, for which sig verifies under key. ok is false when sig
// verifies for none: r or s out of range, or r+s = 0.
func (c *curve) signedDigest(key *sm.PublicKey, sig sm.Signature) (e [32]byte, ok bool) {
	point := key.Point()
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if point == nil || r.Sign() == 0 || s.Sign() == 0 || r.Cmp(c.n) >= 0 || s.Cmp(c.n) >= 0 {
		return e, false
	}
	t := new(big.Int).Add(r, s)
	if t.Mod(t, c.n).Sign() == 0 {
		return e, false
	}
	one := big.NewInt(1)
	g := jacobian{c.gx, c.gy, one}
	q := jacobian{new(big.Int).SetBytes(point[1:33]), new(big.Int).SetBytes(point[33:]), one}
	both := c.add(g, q)
	sum := jacobian{new(big.Int), new(big.Int), new(big.Int)}
	for i := 255; i >= 0; i-- {
		sum = c.double(sum)
		switch {
		case s.Bit(i) == 1 && t.Bit(i) == 1:
			sum = c.add(sum, both)
		case s.Bit(i) == 1:
			sum = c.add(sum, g)
		case t.Bit(i) == 1:
			sum = c.add(sum, q)
		}
	}
	if sum.z.Sign() == 0 {
		return e, false
	}
	inv := new(big.Int).ModInverse(c.mul(sum.z, sum.z), c.p)
	x := c.mul(sum.x, inv)
	r.Sub(r, x).Mod(r, c.n).FillBytes(e[:])
	return e, true
}

// reduce gives the number in b modulo n: two digests that SM2 can not tell apart become equal.
func (c *curve) reduce(b []byte) (e [32]byte) {
	v := new(big.Int).SetBytes(b)
	v.Mod(v, c.n).FillBytes(e[:])
	return e
}

// How Z is made.
const (
	zSpec     = iota
	zLength   // ENTL in bytes instead of bits
	zShifted  // the key's 04 taken for its first byte: the first 64 of 65 bytes
	zPrefixed // all 65 bytes of the key
	zOther    // of another key; zOther+i is the key of maker i
)

// z is Z of GM/T 0003.2 with the mistake how; unlike sm.Z it takes an empty user id.
func (c *curve) z(p sm.Provider, key *sm.PublicKey, uid string, how uint8) ([32]byte, bool) {
	point := key.Point()
	if point == nil || len(uid) > 8191 {
		return [32]byte{}, false
	}
	var size [2]byte
	binary.BigEndian.PutUint16(size[:], uint16(8*len(uid)))
	part := point[1:]
	switch how {
	case zLength:
		binary.BigEndian.PutUint16(size[:], uint16(len(uid)))
	case zShifted:
		part = point[:64]
	case zPrefixed:
		part = point
	}
	middle := make([]byte, 0, 128)
	for _, v := range []*big.Int{c.a, c.b, c.gx, c.gy} {
		var b [32]byte
		middle = append(middle, v.FillBytes(b[:])...)
	}
	return p.SM3(size[:], []byte(uid), middle, part), true
}
