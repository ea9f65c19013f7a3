// Package keys reads keys in the forms the field uses, keeps them in files (plain ones that only their
// owner may read, or a Ring sealed with a passphrase), uses keys that live in a device (Private), and
// seals data at rest.
//
// Accepted key forms (security.md 2.4): base64 or hex of d (32 bytes, 33 with a leading 00 as Java
// writes it, or shorter), PEM and PKCS#8; base64 or hex of a public point with or without 04.
// Everything else, points off the curve and d outside [1, n-2] are refused. A key never prints.
package keys

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"

	"yiqiao/crypto/sm"
)

const (
	// maxText bounds a key text in bytes; the longest accepted form is far shorter.
	maxText = 16 << 10
	// minScalar is the least number of bytes of a short d. A random key loses 9 leading bytes with
	// probability 2^-72; a shorter text is one that was cut when it was copied.
	minScalar = 24
)

// Every refusal of ParsePrivate and ParsePublic wraps sm.ErrKey and says which form was not met,
// never what the text was.
func refuse(why string) error { return fmt.Errorf("keys: %w: %s", sm.ErrKey, why) }

// ParsePrivate reads a private key in any accepted form, white space around it ignored:
//
//   - hex of d, 32 bytes; 33 with a leading 00; shorter (down to 24 bytes, an odd number of digits
//     too) is padded on the left;
//   - base64 (standard, padded, line breaks allowed) of the same bytes;
//   - PEM "PRIVATE KEY" (PKCS#8) or "EC PRIVATE KEY" (SEC 1), not encrypted; base64 or hex of
//     their DER. A public key inside must belong to d.
//
// A text that can be read as hex is hex.
func ParsePrivate(text string) (*sm.PrivateKey, error) {
	if len(text) > maxText {
		return nil, refuse("text too long")
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----") {
		der, kind, err := readPEM(text, "PRIVATE KEY", "EC PRIVATE KEY")
		if err != nil {
			return nil, err
		}
		defer clear(der)
		if kind == "PRIVATE KEY" {
			return pkcs8(der)
		}
		return sec1(der, true)
	}
	raw, err := decode(text)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	if len(raw) > 33 && raw[0] == 0x30 {
		if key, err := pkcs8(raw); err == nil {
			return key, nil
		}
		return sec1(raw, true)
	}
	return scalar(raw)
}

// scalar takes d in at most 33 bytes.
func scalar(raw []byte) (*sm.PrivateKey, error) {
	if len(raw) == 33 && raw[0] == 0 {
		raw = raw[1:]
	}
	if len(raw) > 32 || len(raw) < minScalar {
		return nil, refuse("private key is not 24 to 32 bytes")
	}
	var d [32]byte
	defer clear(d[:])
	copy(d[32-len(raw):], raw)
	key, err := sm.NewPrivateKey(d[:])
	if err != nil {
		return nil, refuse("private key outside [1, n-2]")
	}
	return key, nil
}

// ParsePublic reads a public key in any accepted form, white space around it ignored: hex or
// base64 of 04||X||Y (65 bytes) or X||Y (64 bytes), PEM "PUBLIC KEY", base64 or hex of its DER.
func ParsePublic(text string) (*sm.PublicKey, error) {
	if len(text) > maxText {
		return nil, refuse("text too long")
	}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----") {
		der, _, err := readPEM(text, "PUBLIC KEY")
		if err != nil {
			return nil, err
		}
		return spki(der)
	}
	raw, err := decode(text)
	if err != nil {
		return nil, err
	}
	switch {
	case len(raw) == 64:
		return point(append([]byte{4}, raw...))
	case len(raw) > 65 && raw[0] == 0x30:
		return spki(raw)
	}
	return point(raw)
}

func point(raw []byte) (*sm.PublicKey, error) {
	key, err := sm.NewPublicKey(raw)
	if err != nil {
		return nil, refuse("not a point of the curve as 04||X||Y or X||Y")
	}
	return key, nil
}

// FormatPrivate is base64 of the 32 bytes of d, the form key files use and ParsePrivate reads.
// The text is the secret itself. "" for the zero value.
func FormatPrivate(k *sm.PrivateKey) string {
	d := k.Scalar()
	defer clear(d)
	return base64.StdEncoding.EncodeToString(d)
}

// FormatPublic is base64 of 04||X||Y, the form to hand to the platform. "" for the zero value.
func FormatPublic(k *sm.PublicKey) string {
	return base64.StdEncoding.EncodeToString(k.Point())
}

// FormatPublicPEM is the PEM of the public key (RFC 5480), as OpenSSL and the web consoles of
// platforms read it. "" for the zero value.
func FormatPublicPEM(k *sm.PublicKey) string {
	point := k.Point()
	if point == nil {
		return ""
	}
	// SEQUENCE { SEQUENCE { ecPublicKey, sm2p256v1 }, BIT STRING point }
	der := append([]byte{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
		0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, 0x03, 0x42, 0x00}, point...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// decode reads hex, else base64.
func decode(text string) ([]byte, error) {
	if text == "" {
		return nil, refuse("empty text")
	}
	if isHex(text) {
		if len(text)%2 == 1 {
			text = "0" + text // some writers drop leading zeros
		}
		raw, err := hex.DecodeString(text)
		if err != nil {
			return nil, refuse("not hex")
		}
		return raw, nil
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, refuse("neither hex nor base64")
	}
	return raw, nil
}

func isHex(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}

// readPEM gives the one block of the wanted kinds; a leading block of curve parameters is skipped
// as openssl writes one, anything else beside it is refused.
func readPEM(text string, kinds ...string) (der []byte, kind string, err error) {
	rest := []byte(text)
	for range 2 {
		block, after := pem.Decode(rest)
		if block == nil {
			return nil, "", refuse("not PEM")
		}
		if block.Type == "EC PARAMETERS" {
			rest = after
			continue
		}
		if len(block.Headers) != 0 {
			return nil, "", refuse("encrypted or annotated PEM")
		}
		if len(strings.TrimSpace(string(after))) != 0 {
			return nil, "", refuse("text after the PEM block")
		}
		for _, k := range kinds {
			if block.Type == k {
				return block.Bytes, k, nil
			}
		}
		return nil, "", refuse("PEM block of another kind")
	}
	return nil, "", refuse("PEM without a key")
}
