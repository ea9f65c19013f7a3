package keys

import (
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"

	"yiqiao/crypto/sm"
)

// ecPublicKey and sm2p256v1 are 1.2.840.10045.2.1 and 1.2.156.10197.1.301 (GM/T 0006).
func ecPublicKey() asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1} }
func sm2p256v1() asn1.ObjectIdentifier   { return asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301} }

// pkcs8 reads PrivateKeyInfo (RFC 5208) whose key is SEC 1. Attributes after the key are ignored,
// as RFC 5208 allows them.
func pkcs8(der []byte) (*sm.PrivateKey, error) {
	var seq, alg, key cryptobyte.String
	var version int
	input := cryptobyte.String(der)
	if !input.ReadASN1(&seq, tag.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1Integer(&version) || version < 0 || version > 1 ||
		!seq.ReadASN1(&alg, tag.SEQUENCE) ||
		!seq.ReadASN1(&key, tag.OCTET_STRING) {
		return nil, refuse("not PKCS#8")
	}
	if !isSM2(alg) {
		return nil, refuse("PKCS#8 key of another algorithm or curve")
	}
	return sec1(key, false)
}

// sec1 reads ECPrivateKey (RFC 5915). named tells whether the curve must be named inside.
func sec1(der []byte, named bool) (*sm.PrivateKey, error) {
	var seq, d, params, pub cryptobyte.String
	var version int
	var hasParams, hasPub bool
	input := cryptobyte.String(der)
	if !input.ReadASN1(&seq, tag.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1Integer(&version) || version != 1 ||
		!seq.ReadASN1(&d, tag.OCTET_STRING) ||
		!seq.ReadOptionalASN1(&params, &hasParams, tag.Tag(0).Constructed().ContextSpecific()) ||
		!seq.ReadOptionalASN1(&pub, &hasPub, tag.Tag(1).Constructed().ContextSpecific()) ||
		!seq.Empty() {
		return nil, refuse("not a SEC 1 key")
	}
	if hasParams {
		var oid asn1.ObjectIdentifier
		if !params.ReadASN1ObjectIdentifier(&oid) || !params.Empty() || !oid.Equal(sm2p256v1()) {
			return nil, refuse("key of another curve")
		}
	} else if named {
		return nil, refuse("key without its curve")
	}
	k, err := scalar(d)
	if err != nil {
		return nil, err
	}
	if hasPub {
		var bits []byte
		if !pub.ReadASN1BitStringAsBytes(&bits) || !pub.Empty() {
			return nil, refuse("not a SEC 1 key")
		}
		p, err := point(bits)
		if err != nil {
			return nil, err
		}
		if !p.Equal(k.Public()) {
			return nil, refuse("public key does not belong to the private key")
		}
	}
	return k, nil
}

// spki reads SubjectPublicKeyInfo (RFC 5480).
func spki(der []byte) (*sm.PublicKey, error) {
	var seq, alg cryptobyte.String
	var bits []byte
	input := cryptobyte.String(der)
	if !input.ReadASN1(&seq, tag.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1(&alg, tag.SEQUENCE) ||
		!seq.ReadASN1BitStringAsBytes(&bits) || !seq.Empty() {
		return nil, refuse("not a public key in DER")
	}
	if !isSM2(alg) {
		return nil, refuse("public key of another algorithm or curve")
	}
	return point(bits)
}

func isSM2(alg cryptobyte.String) bool {
	var a, c asn1.ObjectIdentifier
	return alg.ReadASN1ObjectIdentifier(&a) && alg.ReadASN1ObjectIdentifier(&c) && alg.Empty() &&
		a.Equal(ecPublicKey()) && c.Equal(sm2p256v1())
}
