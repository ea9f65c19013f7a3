package doctor

import (
	"math/big"

	"yiqiao/crypto/sm"
)

// sign makes an SM2 signature over the number e with a fixed nonce. For tests only: the nonce is
// no secret.
func (c *curve) sign(d, e []byte) (sig sm.Signature, ok bool) {
	k := new(big.Int).SetBytes(e)
	k.Xor(k, big.NewInt(0x5a5a5a5a)).Mod(k, c.n)
	sum := jacobian{new(big.Int), new(big.Int), new(big.Int)}
	g := jacobian{c.gx, c.gy, big.NewInt(1)}
	for i := 255; i >= 0; i-- {
		sum = c.double(sum)
		if k.Bit(i) == 1 {
			sum = c.add(sum, g)
		}
	}
	if sum.z.Sign() == 0 {
		return sig, false
	}
	x := c.mul(sum.x, new(big.Int).ModInverse(c.mul(sum.z, sum.z), c.p))
	dA := new(big.Int).SetBytes(d)
	r := new(big.Int).Add(new(big.Int).SetBytes(e), x)
	r.Mod(r, c.n)
	s := new(big.Int).Mul(r, dA)
	s.Sub(k, s)
	inv := new(big.Int).Add(dA, big.NewInt(1))
	s.Mul(s, inv.ModInverse(inv, c.n)).Mod(s, c.n)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return sig, r.Sign() > 0 && s.Sign() > 0
}
