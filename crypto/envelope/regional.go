package envelope

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"yiqiao/crypto/sm"
)

// Constructions that a few platforms prescribe beside the envelope. MD5 and SHA-1 are theirs, not
// our choice: they authenticate only together with TLS or a private line.

// CSBInput is the text of security.md 1.4: every parameter as name=value, sorted by name, joined
// by &, nothing escaped.
func CSBInput(params map[string]string) string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(params)) {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(name + "=" + params[name])
	}
	return b.String()
}

// CSBSign is base64 of HMAC-SHA1 over CSBInput, the secret taken as its text. Deterministic.
func CSBSign(params map[string]string, secret string) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(CSBInput(params)))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// EInvoiceInput is the text that EInvoiceSign digests; the order is fixed and not alphabetical
// (einvoice.md). It holds the key: never log it.
func EInvoiceInput(appID, data, noise, key, version string) string {
	return "appid=" + appID + "&data=" + data + "&noise=" + noise + "&key=" + key + "&version=" + version
}

// EInvoiceSign is the upper-case hex MD5 of EInvoiceInput; data is the base64 text as it is sent.
// Compare signs in constant time.
func EInvoiceSign(appID, data, noise, key, version string) string {
	sum := md5.Sum([]byte(EInvoiceInput(appID, data, noise, key, version)))
	return string(appendHex(nil, sum[:]))
}

// CainfoSeal is the construction core-oauth-cainfo of security.md 1.5: cainfo is base64 of the
// raw SM2 signature over the exact text of input, text is base64 of SM4-ECB of input under the
// client id, which must be 16 bytes. uid is the SM2 user id, sm.DefaultUID in the one product that
// is known. Errors wrap ErrSeal.
func CainfoSeal(p sm.Provider, rand io.Reader, key *sm.PrivateKey, uid, clientID string, input []byte) (cainfo, text string, err error) {
	enc, err := sm.ECBEncrypt(p, []byte(clientID), input)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", refusal("sign"), err)
	}
	sig, err := p.Sign(rand, key, []byte(uid), input)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", refusal("sign"), err)
	}
	return base64.StdEncoding.EncodeToString(sig[:]), base64.StdEncoding.EncodeToString(enc), nil
}

// CainfoOpen undoes CainfoSeal and verifies before it gives anything back; errors wrap ErrOpen.
func CainfoOpen(p sm.Provider, key *sm.PublicKey, uid, clientID, cainfo, text string) ([]byte, error) {
	enc, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fault("base64")
	}
	input, err := sm.ECBDecrypt(p, []byte(clientID), enc)
	if err != nil {
		return nil, fault("padding")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(cainfo)
	var sig sm.Signature
	if err != nil || len(raw) != len(sig) {
		return nil, fault("signature-length")
	}
	copy(sig[:], raw)
	if p.Verify(key, []byte(uid), input, sig) != nil {
		return nil, fault("signature")
	}
	return input, nil
}
