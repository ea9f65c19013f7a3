// Package envelope builds and opens signed and encrypted messages: the profiles of
// docs/interface/security.md. It knows bytes and keys, nothing of insurance.
//
// A profile composes two parts that are chosen by configuration: the envelope around the body
// (none, mpc, epc) and the transport headers that authenticate the caller (plain, tif, csb,
// oauth-cainfo). Compose refuses unknown names and combinations when the endpoint is set up.
//
// SM2 signatures follow GM/T 0003.2 with raw r||s instead of the DER of GM/T 0009; SM4 is used in
// ECB mode (GM/T 0002, GB/T 17964) with a key derived from the application's secret, as the
// platform prescribes. The construction hides data from casual eyes and proves who sent it; it
// does not replace TLS.
package envelope

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"yiqiao/crypto/sm"
)

// ErrOpen is the one outward error of a message that can not be trusted; Code of the wrapped
// *Fault tells people inside what it was.
var ErrOpen = errors.New("envelope: message can not be verified")

// ErrSeal is wrapped by every refusal to build a message; see Refusal.
var ErrSeal = errors.New("envelope: data can not be sealed")

// ErrConfig is wrapped by every refusal of New and NewTransport.
var ErrConfig = errors.New("envelope: invalid configuration")

// Fault is the inward reason of a refusal. It never carries message content or keys.
//
// Codes of a message: json, duplicate, utf8, trailing (its text); member (a member is missing,
// has a wrong type or an impossible name), appid, timestamp, enctype, signtype (top-level
// members); hex, length, padding (encData); data-json, data-duplicate, data-utf8, data-trailing,
// data (what encData held), array-item (null, "" or [] in an array: no agreed signing text);
// base64, signature-length, signature (signData), key-window (signed with a key of the peer outside
// the time that key is good for); unsigned (a success without signature),
// unsigned-error (a refusal without signature); empty (profile none: no body).
//
// Codes of a transport: paasid (also an unknown access key or API name), nonce, time, skew, caller.
type Fault struct{ Code string }

func (f *Fault) Error() string { return "envelope: " + f.Code }

// Unwrap makes every Fault an ErrOpen.
func (f *Fault) Unwrap() error { return ErrOpen }

func fault(code string) error { return &Fault{Code: code} }

// Refusal is the reason why data was not sealed; it carries no content. Codes: json (not strict
// JSON), exponent (a number with an exponent), data (not an object), array-item (null, "" or []
// in an array), line-separator (U+2028 or U+2029, which the platform's library escapes before it
// signs), member (code, message, version or transType that can not be written), random, sign.
type Refusal struct{ Code string }

func (r *Refusal) Error() string { return "envelope: not sealed: " + r.Code }

// Unwrap makes every Refusal an ErrSeal.
func (r *Refusal) Unwrap() error { return ErrSeal }

func refusal(code string) error { return &Refusal{Code: code} }

// Signer signs with a private SM2 key that need not be in this program's memory: an HSM, a
// cryptographic service. keys.Private is one. Safe for concurrent use.
type Signer interface {
	// Public is the key's public half, never nil.
	Public() *sm.PublicKey
	// Sign signs SM3(Z(uid)||msg) as sm.Provider.Sign.
	Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error)
}

// Party is what one side needs to talk in a profile.
type Party struct {
	AppID     string         // at least 16 printable ASCII characters (the key derivation needs 16)
	AppSecret string         // not empty
	UID       string         // SM2 user id; empty means sm.DefaultUID, some regions may differ
	Sign      *sm.PrivateKey // our own key, or
	Signer    Signer         // what has it, in place of Sign
	// Verify holds the peer's public keys, newest first; a message is accepted when one of them
	// verifies it (key change with overlap).
	Verify []*sm.PublicKey
	// Windows says when a key of Verify is good, by the same place; a missing or zero one: always.
	Windows []Window
}

// Window is a span of time: From inclusive, Until exclusive; a zero end is open.
type Window struct{ From, Until time.Time }

func (w Window) holds(at time.Time) bool {
	return !at.Before(w.From) && (w.Until.IsZero() || at.Before(w.Until))
}

// peers checks the peer's keys and makes them p's own.
func (p *Party) peers(now func() time.Time) error {
	if len(p.Verify) == 0 {
		return fmt.Errorf("%w: no public key of the peer", ErrConfig)
	}
	for i, k := range p.Verify {
		if k.Point() == nil {
			return fmt.Errorf("%w: empty public key of the peer", ErrConfig)
		}
		for _, o := range p.Verify[:i] {
			if o.Equal(k) {
				return fmt.Errorf("%w: public key %s of the peer is there twice", ErrConfig, k.Fingerprint())
			}
		}
	}
	if len(p.Windows) > len(p.Verify) {
		return fmt.Errorf("%w: a window without a key", ErrConfig)
	}
	for i, w := range p.Windows {
		if w != (Window{}) && now == nil {
			return fmt.Errorf("%w: keys with windows need a clock", ErrConfig)
		}
		if !w.Until.IsZero() && !w.From.Before(w.Until) {
			return fmt.Errorf("%w: the window of public key %s is empty", ErrConfig, p.Verify[i].Fingerprint())
		}
	}
	p.Verify, p.Windows = slices.Clone(p.Verify), slices.Clone(p.Windows)
	return nil
}

// verify accepts a signature when one of the peer's keys made it within its window, and says which.
func (p *Party) verify(with sm.Provider, uid, text []byte, sig sm.Signature, now func() time.Time) (*sm.PublicKey, error) {
	code := "signature"
	for i, key := range p.Verify {
		if with.Verify(key, uid, text, sig) != nil {
			continue
		}
		if i >= len(p.Windows) || p.Windows[i] == (Window{}) || p.Windows[i].holds(now()) {
			return key, nil
		}
		code = "key-window"
	}
	return nil, fault(code)
}

// Format shows no secret, whatever the verb.
func (p Party) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "party:"+p.AppID+" "+p.public().Fingerprint())
}

// MarshalText shows no secret to the encoders.
func (p Party) MarshalText() ([]byte, error) {
	return []byte("party:" + p.AppID + " " + p.public().Fingerprint()), nil
}

// public is the public half of our own key; nil without one.
func (p Party) public() *sm.PublicKey {
	if p.Signer != nil {
		return p.Signer.Public()
	}
	return p.Sign.Public()
}

// sign signs with our own key, wherever it is.
func (p Party) sign(with sm.Provider, rand io.Reader, uid, msg []byte) (sm.Signature, error) {
	if p.Signer != nil {
		return p.Signer.Sign(rand, uid, msg)
	}
	return with.Sign(rand, p.Sign, uid, msg)
}

// Sealed is a message as it travels.
type Sealed struct {
	Body        []byte
	ContentType string
}

// contentType of every profile; the text is UTF-8, which is what JSON means without a charset.
const contentType = "application/json"

// Head is what an opened message says of itself, apart from its data. A member that was absent or
// null is "".
type Head struct {
	AppID, Timestamp, Version, TransType string
	Code, Message                        string // replies only
}

// Profile turns a plain body into what travels and back. Safe for concurrent use.
//
// What a profile checks is origin and integrity. Whether a message is fresh (Head.Timestamp), and
// whether it answers this request (the identifiers in its data), is for the caller.
type Profile interface {
	// Seal protects one request: data is the text of a JSON object and is what gets encrypted,
	// byte for byte. rand is read for nonces, now becomes the timestamp (13 digits, ms). Sealing
	// again gives another message with the same meaning. Errors wrap ErrSeal.
	Seal(rand io.Reader, now time.Time, data []byte) (Sealed, error)
	// Open verifies and decrypts a request (what a centre does). On any error data is nil and
	// err wraps ErrOpen; head is empty.
	Open(body []byte) (data []byte, head Head, err error)
	// SealReply protects a reply; code "0" is success. A reply with another code may have nil data.
	SealReply(rand io.Reader, now time.Time, code, message string, data []byte) (Sealed, error)
	// OpenReply verifies and decrypts a reply. Content of a reply with code other than 0 and no
	// signature is untrusted: head is filled, data is nil and err wraps ErrOpen (fault
	// "unsigned-error"). A signed reply without data gives nil data and no error.
	OpenReply(body []byte) (data []byte, head Head, err error)
}

// Options are the settings of a profile that regions differ in.
type Options struct {
	Version   string // member version; default 2.0.1 (mpc), 1.0.0 (epc)
	TransType string // member transType; empty leaves it out
	Provider  sm.Provider
	// DropEmptyItems makes null, "" and [] inside arrays of received data disappear from the
	// signing string instead of being refused: only for a peer that is known to do so.
	DropEmptyItems bool
	TypeNames      string           // case of encType and signType: upper (default of mpc) or lower (default of epc)
	Now            func() time.Time // the clock for Party.Windows; not needed without them
}

// New gives the profile named name ("none", "mpc", "epc", "cainfo") for one party. "none" needs no
// party, "cainfo" is told at Cainfo. A nil Provider is the default one. Errors wrap ErrConfig and
// carry no secret.
func New(name string, p Party, o Options) (Profile, error) {
	switch name {
	case "none":
		return none{}, nil
	case "mpc":
		return newMPC(p, o, "2.0.1", false)
	case "epc":
		return newMPC(p, o, "1.0.0", true)
	case "cainfo":
		return newCainfo(p, o)
	}
	return nil, fmt.Errorf("%w: unknown profile %q", ErrConfig, name)
}

// Transport adds and checks the headers that authenticate the caller of the gateway in front of a
// centre. Safe for concurrent use. It does not cover the body.
type Transport interface {
	// Stamp sets headers on an outgoing request for the given body.
	Stamp(rand io.Reader, now time.Time, h http.Header, body []byte) error
	// Check is the centre's side: nil when the headers authenticate the caller and the time is
	// within skew, inclusive and in both directions. Errors wrap ErrOpen. It keeps no memory: a
	// header set is good for as long as skew allows.
	Check(now time.Time, skew time.Duration, h http.Header, body []byte) error
}

// TransportConfig holds the secrets of a transport.
type TransportConfig struct {
	PaasID string // tif
	Token  string // tif
	Upper  bool   // tif: upper-case hex

	APIName, APIVersion  string // csb
	AccessKey, SecretKey string // csb

	// Bearer gives the access token of the moment (oauth-cainfo, the caller's side). It must not
	// block; an error means that nothing can be sent now.
	Bearer func() (string, error)
	// Accept tells whether an access token is good now (oauth-cainfo, the centre's side).
	Accept func(token string, now time.Time) bool
}

// Format shows no secret, whatever the verb.
func (c TransportConfig) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "transport:"+c.PaasID+c.APIName)
}

// MarshalText shows no secret to the encoders.
func (c TransportConfig) MarshalText() ([]byte, error) {
	return []byte("transport:" + c.PaasID + c.APIName), nil
}

// NewTransport gives the transport named name ("plain", "tif", "csb", "oauth-cainfo"). Errors wrap
// ErrConfig.
func NewTransport(name string, c TransportConfig) (Transport, error) {
	switch name {
	case "plain":
		return plain{}, nil
	case "tif":
		return newTIF(c)
	case "csb":
		return newCSB(c)
	case "oauth-cainfo":
		return newBearer(c)
	}
	return nil, fmt.Errorf("%w: unknown transport %q", ErrConfig, name)
}

// Combinations lists the pairs of envelope and transport that are known, and the name of the profile
// New gives for them. Nothing else is allowed: two protections of one body, or a pair nobody has seen,
// are mistakes of a configuration.
func Combinations() []Combination {
	var list []Combination
	for _, t := range []string{"plain", "tif", "csb"} {
		for _, e := range []string{"none", "mpc", "epc"} {
			list = append(list, Combination{Envelope: e, Transport: t, Profile: e})
		}
	}
	return append(list, Combination{Envelope: "none", Transport: "oauth-cainfo", Profile: "cainfo"})
}

// Combination is an envelope and a transport that go together.
type Combination struct{ Envelope, Transport, Profile string }

// Compose gives the profile that goes with an envelope and a transport, as a configuration names
// them. The error wraps ErrConfig and says what there is, in one line.
func Compose(envelope, transport string) (profile string, err error) {
	envelopes, transports := map[string]bool{}, map[string]bool{}
	for _, c := range Combinations() {
		if c.Envelope == envelope && c.Transport == transport {
			return c.Profile, nil
		}
		envelopes[c.Envelope], transports[c.Transport] = true, true
	}
	switch {
	case !envelopes[envelope]:
		return "", fmt.Errorf("%w: unknown envelope %q; there are none, mpc, epc", ErrConfig, envelope)
	case !transports[transport]:
		return "", fmt.Errorf("%w: unknown transport %q; there are plain, tif, csb, oauth-cainfo", ErrConfig, transport)
	}
	return "", fmt.Errorf("%w: envelope %s does not go with transport %s, which protects the body itself", ErrConfig, envelope, transport)
}

// none is the profile without protection: what goes in comes out.
type none struct{}

func (none) Seal(_ io.Reader, _ time.Time, data []byte) (Sealed, error) {
	return Sealed{Body: data, ContentType: contentType}, nil
}

func (none) Open(body []byte) ([]byte, Head, error) {
	if len(body) == 0 {
		return nil, Head{}, fault("empty")
	}
	return body, Head{}, nil
}

// SealReply has no place for code and message: with this profile they are part of data.
func (none) SealReply(_ io.Reader, _ time.Time, _, _ string, data []byte) (Sealed, error) {
	if len(data) == 0 {
		return Sealed{}, refusal("data")
	}
	return Sealed{Body: data, ContentType: contentType}, nil
}

func (n none) OpenReply(body []byte) ([]byte, Head, error) { return n.Open(body) }
