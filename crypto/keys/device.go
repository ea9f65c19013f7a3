package keys

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"yiqiao/crypto/sm"
)

// ErrDevice is a key that could not be used where it lives: the device is away, locked, or answers
// with what does not fit its public key. Using it may be tried again.
var ErrDevice = errors.New("keys: key device failed")

// Private is a private SM2 key that is used and never seen: in this program's memory (Soft), in an
// HSM or behind a cryptographic service. Safe for concurrent use; every call may be repeated. An
// implementation prints no secret, keeps no content of messages and wraps its failures in ErrDevice.
//
// What to know when writing one for a device: SDF (GM/T 0018) and PKCS#11 devices sign a digest,
// which is SM3(Z || msg), where Z is sm.Z(provider, Public(), uid); and they give r and s as two
// numbers, to be filled to 32 bytes each. Decrypt gets the layout the caller asks for and turns it
// into the device's own.
type Private interface {
	// Public is the key's public half; never nil, always the same.
	Public() *sm.PublicKey
	// Sign signs SM3(Z(uid)||msg) as sm.Provider.Sign. A device that has randomness of its own need
	// not read rand.
	Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error)
	// Decrypt opens what was encrypted for Public. A text that does not open is sm.ErrCipher and not
	// the device's fault.
	Decrypt(cipher []byte, o sm.Order) ([]byte, error)
}

// Soft is a key in this program's memory. It prints as its fingerprint. sm.ErrKey without a key or a
// provider.
func Soft(p sm.Provider, k *sm.PrivateKey) (Private, error) {
	if p == nil || k.Public() == nil {
		return nil, refuse("no key")
	}
	return soft{p, k}, nil
}

type soft struct {
	p sm.Provider
	k *sm.PrivateKey
}

func (s soft) Public() *sm.PublicKey { return s.k.Public() }

func (s soft) Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error) {
	return s.p.Sign(rand, s.k, uid, msg)
}

func (s soft) Decrypt(text []byte, o sm.Order) ([]byte, error) { return s.p.Decrypt(s.k, text, o) }

// Format shows the fingerprint to every verb.
func (s soft) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "key:"+s.k.Fingerprint())
}

// MarshalText shows the fingerprint to the encoders.
func (s soft) MarshalText() ([]byte, error) { return []byte("key:" + s.k.Fingerprint()), nil }

// Try proves that a key is there and fits its public half: a signature it makes verifies, and what
// is encrypted for it opens. ErrDevice when not. It belongs at program start.
func Try(p sm.Provider, rand io.Reader, k Private) error {
	if k == nil || k.Public() == nil {
		return fmt.Errorf("%w: it has no public key", ErrDevice)
	}
	uid, text := []byte(sm.DefaultUID), []byte("yiqiao: is this key here?")
	sig, err := k.Sign(rand, uid, text)
	if err != nil {
		return fmt.Errorf("%w: signing: %w", ErrDevice, err)
	}
	if err := p.Verify(k.Public(), uid, text, sig); err != nil {
		return fmt.Errorf("%w: its signature does not fit its public key", ErrDevice)
	}
	sealed, err := p.Encrypt(rand, k.Public(), text, sm.C1C3C2)
	if err != nil {
		return err
	}
	got, err := k.Decrypt(sealed, sm.C1C3C2)
	if err != nil {
		return fmt.Errorf("%w: decrypting: %w", ErrDevice, err)
	}
	if !bytes.Equal(got, text) {
		return fmt.Errorf("%w: what it decrypts is not what was encrypted", ErrDevice)
	}
	return nil
}

// Wrapper protects other keys: a key-encryption key. Sealer is one, for a secret of 32 bytes;
// NewDeviceWrapper makes one of a Private. Safe for concurrent use; it prints as its id.
type Wrapper interface {
	// KeyID names the key without revealing it; equal keys have equal ids.
	KeyID() string
	// Seal wraps a key and binds it to its name; Open gives it back for the same name. Anything
	// else, another key-encryption key too, is ErrSealed.
	Seal(rand io.Reader, name string, key []byte) ([]byte, error)
	Open(name string, wrapped []byte) ([]byte, error)
}

var _ Wrapper = (*Sealer)(nil)

// wrapUID keeps signatures over wrapped keys apart from every other signature of the same key.
const wrapUID = "yiqiao wrapped key"

// NewDeviceWrapper wraps keys with an SM2 key that may live in a device: encrypted for its public
// half, and signed by it together with the name, because whoever may write to the database knows
// the public key too. A wrapped key is format 2 || id (8) || signature (64) || ciphertext (C1C3C2).
func NewDeviceWrapper(p sm.Provider, k Private) (Wrapper, error) {
	if p == nil || k == nil || k.Public() == nil {
		return nil, refuse("no key")
	}
	return &deviceWrapper{p: p, k: k}, nil
}

type deviceWrapper struct {
	p sm.Provider
	k Private
}

const (
	wrapFormat = 2
	wrapHead   = 1 + keyIDSize
	wrapSigned = wrapHead + len(sm.Signature{})
)

// KeyID is the fingerprint of the public key.
func (w *deviceWrapper) KeyID() string { return w.k.Public().Fingerprint() }

func (w *deviceWrapper) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "wrapper:"+w.KeyID())
}

func (w *deviceWrapper) MarshalText() ([]byte, error) { return []byte("wrapper:" + w.KeyID()), nil }

func (w *deviceWrapper) head() []byte {
	sum := w.p.SM3(w.k.Public().Point())
	return append([]byte{wrapFormat}, sum[:keyIDSize]...)
}

// signed is what the signature is over: the head, the name with its length, the ciphertext.
func signed(head []byte, name string, text []byte) []byte {
	n := base64.StdEncoding.EncodeToString([]byte(name))
	b := append(append([]byte(nil), head...), n...)
	return append(append(b, '.'), text...)
}

func (w *deviceWrapper) Seal(rand io.Reader, name string, key []byte) ([]byte, error) {
	text, err := w.p.Encrypt(rand, w.k.Public(), key, sm.C1C3C2)
	if err != nil {
		return nil, err
	}
	head := w.head()
	sig, err := w.k.Sign(rand, []byte(wrapUID), signed(head, name, text))
	if err != nil {
		return nil, err
	}
	return append(append(head, sig[:]...), text...), nil
}

func (w *deviceWrapper) Open(name string, wrapped []byte) ([]byte, error) {
	head := w.head()
	if len(wrapped) <= wrapSigned || !bytes.Equal(wrapped[:wrapHead], head) {
		return nil, ErrSealed
	}
	var sig sm.Signature
	copy(sig[:], wrapped[wrapHead:])
	text := wrapped[wrapSigned:]
	if err := w.p.Verify(w.k.Public(), []byte(wrapUID), signed(head, name, text), sig); err != nil {
		return nil, ErrSealed
	}
	key, err := w.k.Decrypt(text, sm.C1C3C2)
	if errors.Is(err, sm.ErrCipher) {
		return nil, ErrSealed
	}
	return key, err
}
