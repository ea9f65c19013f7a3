package sm

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// DER is the signature as SEQUENCE { r INTEGER, s INTEGER } of GM/T 0009: 8 to 72 bytes. A number
// out of range is written as it is; only Verify judges it.
func (s Signature) DER() []byte {
	out := make([]byte, 0, 72)
	out = append(out, byte(asn1.SEQUENCE), 0)
	out = appendInt(out, s[:32])
	out = appendInt(out, s[32:])
	out[1] = byte(len(out) - 2)
	return out
}

// appendInt writes the non-negative big-endian number v (32 bytes) as a minimal INTEGER.
func appendInt(out, v []byte) []byte {
	for len(v) > 1 && v[0] == 0 {
		v = v[1:]
	}
	n, pad := len(v), v[0]&0x80 != 0
	if pad {
		n++
	}
	out = append(out, byte(asn1.INTEGER), byte(n))
	if pad {
		out = append(out, 0)
	}
	return append(out, v...)
}

// ParseDER reads a signature as SEQUENCE { r, s } in strict DER: minimal lengths and numbers,
// nothing before or after, r and s not negative and at most 32 bytes. Anything else is
// ErrSignature. Whatever it accepts, DER gives back byte for byte.
func ParseDER(der []byte) (Signature, error) {
	var sig Signature
	var inner cryptobyte.String
	input := cryptobyte.String(der)
	if !input.ReadASN1(&inner, asn1.SEQUENCE) || !input.Empty() ||
		!readInt(&inner, sig[:32]) || !readInt(&inner, sig[32:]) || !inner.Empty() {
		return Signature{}, ErrSignature
	}
	return sig, nil
}

// readInt reads a minimal non-negative INTEGER into the 32 bytes of out, left-padded.
func readInt(s *cryptobyte.String, out []byte) bool {
	var v []byte
	if !s.ReadASN1Integer(&v) || len(v) > len(out) {
		return false
	}
	copy(out[len(out)-len(v):], v)
	return true
}
