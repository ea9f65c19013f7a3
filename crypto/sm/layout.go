package sm

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Inside, a ciphertext is 04||X||Y || C3 || C2. Both libraries only ever see this one layout;
// what the other layouts allow is decided here and is therefore the same for both.
const (
	c1Size  = 65
	c3Size  = 32
	minimum = c1Size + c3Size + 1 // C2 has at least one byte
)

// arrange gives the inside layout in the order o.
func arrange(inside []byte, o Order) ([]byte, error) {
	if len(inside) < minimum {
		return nil, ErrCipher
	}
	c1, c3, c2 := inside[:c1Size], inside[c1Size:c1Size+c3Size], inside[c1Size+c3Size:]
	switch o {
	case C1C3C2:
		return inside, nil
	case C1C2C3:
		out := make([]byte, 0, len(inside))
		out = append(out, c1...)
		out = append(out, c2...)
		return append(out, c3...), nil
	case ASN1:
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(appendInt(nil, c1[1:33]))
			b.AddBytes(appendInt(nil, c1[33:]))
			b.AddASN1OctetString(c3)
			b.AddASN1OctetString(c2)
		})
		out, err := b.Bytes()
		if err != nil {
			return nil, ErrCipher
		}
		return out, nil
	}
	return nil, ErrCipher
}

// inside reads a ciphertext in the order o, strictly, into the inside layout. The result does not
// alias text.
func inside(text []byte, o Order) ([]byte, error) {
	switch o {
	case C1C3C2, C1C2C3:
		if len(text) < minimum || text[0] != 4 {
			return nil, ErrCipher
		}
		out := make([]byte, 0, len(text))
		out = append(out, text[:c1Size]...)
		if o == C1C3C2 {
			return append(out, text[c1Size:]...), nil
		}
		c3 := len(text) - c3Size
		out = append(out, text[c3:]...)
		return append(out, text[c1Size:c3]...), nil
	case ASN1:
		var seq, c3, c2 cryptobyte.String
		var c1 [c1Size]byte
		c1[0] = 4
		input := cryptobyte.String(text)
		if !input.ReadASN1(&seq, asn1.SEQUENCE) || !input.Empty() ||
			!readInt(&seq, c1[1:33]) || !readInt(&seq, c1[33:]) ||
			!seq.ReadASN1(&c3, asn1.OCTET_STRING) || len(c3) != c3Size ||
			!seq.ReadASN1(&c2, asn1.OCTET_STRING) || len(c2) == 0 || !seq.Empty() {
			return nil, ErrCipher
		}
		out := make([]byte, 0, c1Size+c3Size+len(c2))
		out = append(out, c1[:]...)
		out = append(out, c3...)
		return append(out, c2...), nil
	}
	return nil, ErrCipher
}

// onCurve tells whether C1 of the inside layout is a point of the curve with canonical
// coordinates. Multiplying another point with the private key would leak the key.
func onCurve(inside []byte) bool {
	_, err := NewPublicKey(inside[:c1Size])
	return err == nil
}
