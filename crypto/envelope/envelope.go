// Package envelope builds and opens signed and encrypted messages: the profiles of
// docs/interface/security.md. It knows bytes and keys, nothing of insurance.
//
// A profile composes two parts that are chosen by configuration: the envelope around the body
// (none, mpc) and the transport headers that authenticate the caller (plain, tif). Unknown
// combinations are refused when the endpoint is set up.
package envelope

import (
	"errors"
	"io"
	"net/http"
	"time"

	"yiqiao/crypto/sm"
)

// ErrOpen is the one outward error of a message that can not be trusted; Code of the wrapped
// *Fault tells people inside what it was.
var ErrOpen = errors.New("envelope: message can not be verified")

// Fault is the inward reason of a refusal. It never carries message content or keys.
type Fault struct{ Code string } // base64, length, padding, json, duplicate, signature, appid, member, ...

func (f *Fault) Error() string { return "envelope: " + f.Code }
func (f *Fault) Unwrap() error { return ErrOpen }

// Party is what one side needs to talk in a profile.
type Party struct {
	AppID     string
	AppSecret string
	UID       string         // SM2 user id; sm.DefaultUID unless a region differs
	Sign      *sm.PrivateKey // our own key
	// Verify holds the peer's public keys, newest first; a message is accepted when one of them
	// verifies it (key change with overlap).
	Verify []*sm.PublicKey
}

// Sealed is a message as it travels.
type Sealed struct {
	Body        []byte
	ContentType string
}

// Head is what an opened message says of itself, apart from its data.
type Head struct {
	AppID, Timestamp, Version, TransType string
	Code, Message                        string // replies only
}

// Profile turns a plain body into what travels and back. Safe for concurrent use.
type Profile interface {
	// Seal protects one request. rand is read for nonces, now becomes the timestamp.
	Seal(rand io.Reader, now time.Time, data []byte) (Sealed, error)
	// Open verifies and decrypts a request (what a centre does).
	Open(body []byte) (data []byte, head Head, err error)
	// SealReply protects a reply; code "0" is success. A reply with another code may have nil data.
	SealReply(rand io.Reader, now time.Time, code, message string, data []byte) (Sealed, error)
	// OpenReply verifies and decrypts a reply. Content of a reply with code other than 0 and no
	// signature is untrusted: head is filled, data is nil and err wraps ErrOpen.
	OpenReply(body []byte) (data []byte, head Head, err error)
}

// Options are the settings of a profile that regions differ in.
type Options struct {
	Version   string // member version; default 2.0.1
	TransType string
	Provider  sm.Provider
}

// New gives the profile named name ("none", "mpc") for one party.
func New(name string, p Party, o Options) (Profile, error) { return nil, errors.New("not built") }

// Transport adds and checks the headers that authenticate the caller of the gateway in front of a
// centre.
type Transport interface {
	// Stamp sets headers on an outgoing request for the given body.
	Stamp(rand io.Reader, now time.Time, h http.Header, body []byte) error
	// Check is the centre's side: nil when the headers authenticate the caller and the time is
	// within skew.
	Check(now time.Time, skew time.Duration, h http.Header, body []byte) error
}

// TransportConfig holds the secrets of a transport.
type TransportConfig struct {
	PaasID string // tif
	Token  string // tif
	Upper  bool   // tif: upper-case hex
}

// NewTransport gives the transport named name ("plain", "tif").
func NewTransport(name string, c TransportConfig) (Transport, error) {
	return nil, errors.New("not built")
}
