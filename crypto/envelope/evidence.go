package envelope

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"yiqiao/crypto/sm"
)

// Evidence is what the sender of a verified reply signed, kept so that somebody else can verify it
// later.
//
// In the envelopes mpc and epc the signing text ends with the application's secret, which is not kept
// (Secret is true then, and Text ends with "key="). Only who is given the secret can hold the
// signature against the text; without it the signature proves nothing at all, because for any
// signature there is a digest that it fits. In cainfo nothing secret is signed, and the public key is
// enough.
type Evidence struct {
	Text      []byte // what was signed, up to the secret
	Signature sm.Signature
	Key       *sm.PublicKey // that verified it
	UID       []byte        // SM2 user id
	Secret    bool          // the secret was signed behind Text
}

// Witness is a Profile whose replies may carry signatures.
type Witness interface {
	// OpenReplyEvidence is Profile.OpenReply, and gives what was signed; nil when the reply was good
	// without a signature.
	OpenReplyEvidence(body []byte) (data []byte, head Head, e *Evidence, err error)
}

const (
	evidenceLine   = "sm2-evidence-1"
	evidenceSecret = "sm2-evidence-1 secret"
)

// Append writes e behind dst, to be kept: four lines, the last one of which is all that follows.
func (e *Evidence) Append(dst []byte) []byte {
	first := evidenceLine
	if e.Secret {
		first = evidenceSecret
	}
	dst = append(append(dst, first...), '\n')
	dst = append(base64.StdEncoding.AppendEncode(dst, e.Signature[:]), '\n')
	dst = append(base64.StdEncoding.AppendEncode(dst, e.Key.Point()), '\n')
	dst = append(base64.StdEncoding.AppendEncode(dst, e.UID), '\n')
	return append(dst, e.Text...)
}

var errEvidence = errors.New("envelope: not evidence of a signature")

// ParseEvidence reads what Append wrote; only the exact form.
func ParseEvidence(b []byte) (*Evidence, error) {
	e := &Evidence{}
	var parts [4][]byte
	rest := b
	for i := range parts {
		var ok bool
		if parts[i], rest, ok = bytes.Cut(rest, []byte{'\n'}); !ok {
			return nil, errEvidence
		}
	}
	switch string(parts[0]) {
	case evidenceLine:
	case evidenceSecret:
		e.Secret = true
	default:
		return nil, errEvidence
	}
	var raw [3][]byte
	for i := range raw {
		var err error
		if raw[i], err = base64.StdEncoding.Strict().AppendDecode(nil, parts[i+1]); err != nil || bytes.ContainsAny(parts[i+1], "\r") {
			return nil, errEvidence
		}
	}
	key, err := sm.NewPublicKey(raw[1])
	if err != nil || len(raw[0]) != len(e.Signature) {
		return nil, errEvidence
	}
	copy(e.Signature[:], raw[0])
	e.Key, e.UID, e.Text = key, raw[2], rest
	return e, nil
}

// Verify holds the signature against the text under a key that the caller trusts. secret is the
// application's, needed where e.Secret says so. sm.ErrSignature when it does not hold.
func (e *Evidence) Verify(p sm.Provider, key *sm.PublicKey, secret string) error {
	text := e.Text
	if e.Secret {
		if secret == "" {
			return fmt.Errorf("%w: the application's secret is needed", ErrConfig)
		}
		text = append(bytes.Clone(text), secret...)
	}
	return p.Verify(key, e.UID, text, e.Signature)
}
