// Package doctor finds out why two sides do not agree on a signature or a ciphertext of the
// insurance envelope (docs/interface/security.md, section 2).
//
// Examine rebuilds what should have been signed and, when it is told what the other side sent,
// expects or complains about, searches the known mistakes for the one that explains it. SM2 is
// randomised, so two signatures can not be compared; but a signature and the public key of its
// maker give back the digest that was signed (e = r - x(sG + (r+s)P) mod n). That digest is
// computed once, and every variant then costs one SM3.
//
// It works offline and keeps nothing. A Report holds no key and no appSecret; it does hold the
// signing string, and so whatever the message says of a patient.
package doctor

import (
	"errors"
	"fmt"
	"io"

	"yiqiao/crypto/sm"
)

// ErrCase is wrapped by every error of Examine: the case can not be looked at. Everything that is
// wrong with keys, message or signature is part of the Report instead.
var ErrCase = errors.New("doctor: case can not be examined")

const (
	maxMessage = 1 << 20 // bytes of the message and of every other text of a case
	maxKeys    = 8       // public keys of a case
	maxUIDs    = 8       // further user ids of a case
)

// Case is what is known. Message is needed, the rest as far as it is at hand.
type Case struct {
	// Message is a JSON object with its data in the plain, a message as it travels (encData and
	// perhaps signData), or the exact text that was signed. A text that ends in "key=***" gets
	// the secret put in.
	Message   []byte
	AppID     string // default: member appId of the message
	AppSecret string
	// UserID is the configured SM2 user id; empty means sm.DefaultUID. UserIDs are others to try.
	UserID  string
	UserIDs []string
	// PrivateKey is the text of our key in any form of crypto/keys.
	PrivateKey string
	// PublicKeys are texts of public keys; the first is the one that the signature should verify
	// with. Without any it is the key that belongs to PrivateKey.
	PublicKeys []string
	// Expect is a signature, an encData or a 32-byte digest (SM3 of the signing string, or e) in
	// hex, base64 or DER. Empty: signData and encData of the message.
	Expect string
	// ExpectString is the signing string of the other side, its secret masked or not.
	ExpectString string
	// Cipher is an SM2 ciphertext for PrivateKey, hex or base64, whose layout is asked for.
	Cipher string
	// Provider does the cryptography; nil is the default one. Rand, when given together with
	// PrivateKey, makes a correct signature to show.
	Provider sm.Provider
	Rand     io.Reader
}

// Verdicts of a Report.
const (
	AsSpecified = "as-specified" // what was expected follows the rules
	Variant     = "variant"      // explained by the named deviations
	NoMatch     = "no-match"     // nothing we know explains it
	Shown       = "shown"        // nothing was expected: only what we would sign
	// Unusable: something was expected, but without a usable key, secret or message there was
	// nothing to compare it with; Notes say what is missing.
	Unusable = "unusable"
)

// Subjects of a Result.
const (
	SubjectSignature = "signature"
	SubjectDigest    = "digest"
	SubjectEncData   = "encData"
	SubjectString    = "string"
	SubjectCipher    = "cipher"
)

// Finding is one thing that was found, in both languages, and what to do about it.
type Finding struct {
	Code  string `json:"code"` // permanent
	ZH    string `json:"zh"`
	EN    string `json:"en"`
	FixZH string `json:"fix_zh,omitempty"`
	FixEN string `json:"fix_en,omitempty"`
	// Or are other findings in its place that have the same effect on this message.
	Or []Finding `json:"or,omitempty"`
}

// Result is what became of one expected thing.
type Result struct {
	Subject string `json:"subject"`
	Verdict string `json:"verdict"`
	// Explanations are sets of deviations, each of which explains the expectation on its own and
	// with as few deviations as possible. More than one, and alternatives in Finding.Or: this
	// message can not tell them apart.
	Explanations [][]Finding `json:"explanations,omitempty"`
	Tried        int         `json:"tried"`          // hypotheses that were computed
	Diff         *Diff       `json:"diff,omitempty"` // SubjectString only
	// Near is the set that comes closest to an ExpectString that nothing explains.
	Near []Finding `json:"near,omitempty"`
}

// Diff is the first place where the expected signing string leaves ours.
type Diff struct {
	At     int    `json:"at"`             // characters before it, from 0
	Member string `json:"member"`         // the top-level member it lies in
	Ours   string `json:"ours"`           // a few characters from there on, secret masked
	Theirs string `json:"theirs"`         // the same of the other side
	Before string `json:"before"`         // what both have before it
	Tail   string `json:"tail,omitempty"` // how their secret compares: same, masked, absent, other
}

// Signing is what is signed according to the rules.
type Signing struct {
	Kind   string `json:"kind"`   // plain, wire, text
	String string `json:"string"` // secret masked; "" when the rules give none, see Notes
	Bytes  int    `json:"bytes"`  // length with the secret
	SM3    string `json:"sm3"`    // of the string with the secret
	UserID string `json:"user_id"`
	Z      string `json:"z,omitempty"` // of UserID and the first key
	E      string `json:"e,omitempty"` // what SM2 signs
}

// Forms are the ways to write one signature.
type Forms struct {
	Found     string `json:"found,omitempty"` // how it was given
	R         string `json:"r"`
	S         string `json:"s"`
	RawBase64 string `json:"raw_base64"` // the form of the interface
	RawHex    string `json:"raw_hex"`
	DERBase64 string `json:"der_base64"`
	DERHex    string `json:"der_hex"`
}

// EncForms are the ways to write the encrypted data.
type EncForms struct {
	Hex      string `json:"hex"` // upper case, the form of the interface
	HexLower string `json:"hex_lower"`
	Base64   string `json:"base64"`
}

// KeyCheck is what was found about one key.
type KeyCheck struct {
	Role        string `json:"role"` // private, public-1, public-2 ...
	Form        string `json:"form"` // as it was written
	OK          bool   `json:"ok"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Report is the result of an examination. It is for people and machines and holds no secret.
type Report struct {
	Verdict   string     `json:"verdict"` // the worst of Results, or Shown
	Signing   Signing    `json:"signing"`
	Keys      []KeyCheck `json:"keys,omitempty"`
	Signature *Forms     `json:"signature,omitempty"` // the expected one, most likely reading
	Ours      *Forms     `json:"ours,omitempty"`      // a correct one, made with Case.Rand
	EncData   *EncForms  `json:"enc_data,omitempty"`
	Results   []Result   `json:"results,omitempty"`
	Notes     []Finding  `json:"notes,omitempty"`     // about keys and message
	Remaining []Finding  `json:"remaining,omitempty"` // what to look at when nothing matched
}

// Examine looks at a case. It never panics and its work is bounded (a second or so for the longest
// message); the error wraps ErrCase. Deterministic without Rand. Safe for concurrent use.
func Examine(c Case) (Report, error) { return examine(c, most) }

// examine goes no further than depth deviations at once.
func examine(c Case, depth int) (Report, error) {
	x, err := newExam(c)
	if err != nil {
		return Report{}, err
	}
	x.depth = depth
	x.checkKeys()
	if err := x.readMessage(); err != nil {
		return Report{}, err
	}
	x.show()
	x.judge()
	x.finish()
	return x.clean(x.report), nil
}

// exam is one examination under way.
type exam struct {
	c      Case
	p      sm.Provider
	depth  int
	src    source
	own    *sm.PrivateKey
	keys   []*sm.PublicKey // Case.PublicKeys that could be read, in order
	makers []maker         // who may have signed, the expected one first
	uids   []namedUID      // the configured one first
	report Report
}

func newExam(c Case) (*exam, error) {
	for _, t := range []int{len(c.Message), len(c.Expect), len(c.ExpectString), len(c.Cipher)} {
		if t > maxMessage {
			return nil, fmt.Errorf("%w: a text is longer than %d bytes", ErrCase, maxMessage)
		}
	}
	if len(c.Message) == 0 {
		return nil, fmt.Errorf("%w: no message", ErrCase)
	}
	if len(c.PublicKeys) > maxKeys || len(c.UserIDs) > maxUIDs {
		return nil, fmt.Errorf("%w: more than %d public keys or %d user ids", ErrCase, maxKeys, maxUIDs)
	}
	for _, id := range append([]string{c.UserID, c.AppID, c.AppSecret}, c.UserIDs...) {
		if len(id) > 1024 {
			return nil, fmt.Errorf("%w: an id or the secret is longer than 1024 bytes", ErrCase)
		}
	}
	p := c.Provider
	if p == nil {
		var err error
		if p, err = sm.New(""); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCase, err)
		}
	}
	return &exam{c: c, p: p, depth: most}, nil
}

func (x *exam) note(f Finding) { x.report.Notes = append(x.report.Notes, f) }
