package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"yiqiao/crypto/sm"
)

// Kind is what an entry of a Ring is for.
type Kind string

const (
	KindSM2    Kind = "sm2"    // a private SM2 key with its public one
	KindPublic Kind = "public" // another party's public SM2 key
	KindMaster Kind = "master" // 32 bytes that wrap data keys
	KindSecret Kind = "secret" // a text: a token, an application's secret, a password
)

// State of one generation of an entry. A name has one current generation at most, one next at most.
type State string

const (
	StateNext    State = "next"    // made, its public half not yet known to the other side; not used
	StateCurrent State = "current" // in use
	StateOld     State = "old"     // used only to open or verify what was made with it
)

// Item is one generation of a key as it may be shown to anybody.
type Item struct {
	Name       string    `json:"name"`
	Generation int       `json:"generation"` // 1, 2, ...
	Kind       Kind      `json:"kind"`
	State      State     `json:"state"`
	Created    time.Time `json:"created"`
	// Fingerprint tells keys apart: of the public key, or the id of a master; "" for a secret, whose
	// digest could be guessed at.
	Fingerprint string `json:"fingerprint,omitempty"`
}

var (
	// ErrName: a ring has no such key, or has it already.
	ErrName = errors.New("keys: no such key, or it is there already")
	// ErrKind: the key is of another kind than what is wanted of it.
	ErrKind = errors.New("keys: key of another kind")
)

// Ring is a set of named keys in memory, as a sealed key file holds it. It prints as its number of
// keys. Close zeroes what it holds; copies that were given out (texts, keys) are the caller's. Not
// safe for concurrent use.
type Ring struct{ r *ring }

type ring struct {
	p       sm.Provider
	entries []*entry
}

type entry struct {
	Item
	value *[]byte // two pointers away from a Ring: see secrets
}

// NewRing gives an empty ring.
func NewRing(p sm.Provider) (*Ring, error) {
	if p == nil {
		return nil, refuse("no provider")
	}
	return &Ring{&ring{p: p}}, nil
}

// Format shows the number of keys to every verb.
func (r Ring) Format(f fmt.State, _ rune) {
	n := 0
	if r.r != nil {
		n = len(r.r.entries)
	}
	fmt.Fprintf(f, "ring:%d", n)
}

// MarshalText shows the number of keys to the encoders.
func (r Ring) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(r)), nil }

// Close zeroes the keys and empties the ring. It may be repeated.
func (r *Ring) Close() {
	for _, e := range r.r.entries {
		clear(*e.value)
	}
	r.r.entries = nil
}

// List shows every generation, by name and the newest first.
func (r *Ring) List() []Item {
	var list []Item
	for _, e := range r.r.entries {
		list = append(list, e.Item)
	}
	slices.SortFunc(list, func(a, b Item) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return b.Generation - a.Generation
	})
	return list
}

// Add puts a key in under a new name, as current. text is any form ParsePrivate, ParsePublic or
// ParseMaster reads, or the secret itself. sm.ErrKey when it is no key, ErrName when the name is
// taken or not 1 to 64 of a-z, 0-9, - and _.
func (r *Ring) Add(name string, kind Kind, text string, now time.Time) (Item, error) {
	if !goodName(name) {
		return Item{}, fmt.Errorf("%w: a name is 1 to 64 of a-z, 0-9, - and _", ErrName)
	}
	if r.find(name, "") != nil {
		return Item{}, fmt.Errorf("%w: %s", ErrName, name)
	}
	return r.put(name, kind, text, StateCurrent, now)
}

// Replace puts another key in under a name that is there. What was current becomes old; a key of
// KindSM2 waits as next until Activate, because the other side must know its public half first.
// ErrName also when one waits already.
func (r *Ring) Replace(name, text string, now time.Time) (Item, error) {
	was := r.find(name, StateCurrent)
	if was == nil || r.find(name, StateNext) != nil {
		return Item{}, fmt.Errorf("%w: %s", ErrName, name)
	}
	if was.Kind == KindSM2 {
		return r.put(name, was.Kind, text, StateNext, now)
	}
	it, err := r.put(name, was.Kind, text, StateCurrent, now)
	if err == nil {
		was.State = StateOld
	}
	return it, err
}

// Rotate is Replace with a key made from rand. A secret and another's public key can not be made
// here: ErrKind.
func (r *Ring) Rotate(rand io.Reader, name string, now time.Time) (Item, error) {
	was := r.find(name, StateCurrent)
	if was == nil {
		return Item{}, fmt.Errorf("%w: %s", ErrName, name)
	}
	text, err := Generate(rand, was.Kind)
	if err != nil {
		return Item{}, err
	}
	return r.Replace(name, text, now)
}

// Activate makes the waiting generation the current one and the current one old. ErrName when none
// waits.
func (r *Ring) Activate(name string) (Item, error) {
	next := r.find(name, StateNext)
	if next == nil {
		return Item{}, fmt.Errorf("%w: nothing waits under %s", ErrName, name)
	}
	if was := r.find(name, StateCurrent); was != nil {
		was.State = StateOld
	}
	next.State = StateCurrent
	return next.Item, nil
}

// Drop forgets a generation that is old, or one that waits, and zeroes it. ErrName otherwise: what
// is in use is not dropped.
func (r *Ring) Drop(name string, generation int) error {
	for i, e := range r.r.entries {
		if e.Name == name && e.Generation == generation && e.State != StateCurrent {
			clear(*e.value)
			r.r.entries = slices.Delete(r.r.entries, i, i+1)
			return nil
		}
	}
	return fmt.Errorf("%w: %s generation %d is not there, or in use", ErrName, name, generation)
}

// Text is the current key in the form ParsePrivate, ParsePublic or ParseMaster reads, or the
// secret. The text is the secret itself.
func (r *Ring) Text(name string) (string, error) {
	e := r.find(name, StateCurrent)
	if e == nil {
		return "", fmt.Errorf("%w: %s", ErrName, name)
	}
	return e.text()
}

// OldTexts gives the old generations of a name, newest first; none is no error.
func (r *Ring) OldTexts(name string) ([]string, error) {
	var list []string
	for _, it := range r.List() {
		if it.Name != name || it.State != StateOld {
			continue
		}
		for _, e := range r.r.entries {
			if e.Name == name && e.Generation == it.Generation {
				text, err := e.text()
				if err != nil {
					return nil, err
				}
				list = append(list, text)
			}
		}
	}
	return list, nil
}

// Public is the public half of a key of KindSM2 or KindPublic in the given state; ErrName when
// there is none, ErrKind when it has none.
func (r *Ring) Public(name string, s State) (*sm.PublicKey, error) {
	e := r.find(name, s)
	if e == nil {
		return nil, fmt.Errorf("%w: %s (%s)", ErrName, name, s)
	}
	return e.public()
}

func (e *entry) text() (string, error) {
	switch e.Kind {
	case KindSM2:
		k, err := sm.NewPrivateKey(*e.value)
		if err != nil {
			return "", refuse("damaged entry")
		}
		return FormatPrivate(k), nil
	case KindPublic:
		k, err := e.public()
		return FormatPublic(k), err
	case KindMaster:
		return hex.EncodeToString(*e.value), nil
	}
	return string(*e.value), nil
}

func (e *entry) public() (*sm.PublicKey, error) {
	switch e.Kind {
	case KindSM2:
		k, err := sm.NewPrivateKey(*e.value)
		if err != nil {
			return nil, refuse("damaged entry")
		}
		return k.Public(), nil
	case KindPublic:
		return sm.NewPublicKey(*e.value)
	}
	return nil, fmt.Errorf("%w: %s has no public half", ErrKind, e.Name)
}

// find gives the newest entry of a name in a state, or in any.
func (r *Ring) find(name string, s State) (found *entry) {
	for _, e := range r.r.entries {
		if e.Name == name && (s == "" || e.State == s) && (found == nil || e.Generation > found.Generation) {
			found = e
		}
	}
	return found
}

func (r *Ring) put(name string, kind Kind, text string, s State, now time.Time) (Item, error) {
	value, err := parse(kind, text)
	if err != nil {
		return Item{}, err
	}
	e := &entry{Item{Name: name, Generation: 1, Kind: kind, State: s, Created: now.UTC().Truncate(time.Second)}, &value}
	if was := r.find(name, ""); was != nil {
		e.Generation = was.Generation + 1
	}
	if err := r.seal(e); err != nil {
		clear(value)
		return Item{}, err
	}
	r.r.entries = append(r.r.entries, e)
	return e.Item, nil
}

// seal checks an entry's value and fills its fingerprint.
func (r *Ring) seal(e *entry) error {
	switch e.Kind {
	case KindSM2, KindPublic:
		k, err := e.public()
		if err != nil {
			return err
		}
		e.Fingerprint = k.Fingerprint()
	case KindMaster:
		s, err := NewSealer(r.r.p, *e.value)
		if err != nil {
			return err
		}
		e.Fingerprint = s.KeyID()
	case KindSecret:
		if len(*e.value) == 0 || !utf8.Valid(*e.value) {
			return refuse("an empty secret, or one that is no text")
		}
	default:
		return fmt.Errorf("%w: %q", ErrKind, e.Kind)
	}
	return nil
}

func parse(kind Kind, text string) ([]byte, error) {
	switch kind {
	case KindSM2:
		k, err := ParsePrivate(text)
		if err != nil {
			return nil, err
		}
		return k.Scalar(), nil
	case KindPublic:
		k, err := ParsePublic(text)
		if err != nil {
			return nil, err
		}
		return k.Point(), nil
	case KindMaster:
		return ParseMaster(text)
	case KindSecret:
		if len(text) > maxText {
			return nil, refuse("text too long")
		}
		return []byte(strings.TrimSpace(text)), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrKind, kind)
}

// ParseMaster reads a master secret: 64 hex digits, white space around them ignored. sm.ErrKey for
// anything else.
func ParseMaster(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil || len(b) != 32 {
		clear(b)
		return nil, refuse("a master secret is 64 hex digits")
	}
	return b, nil
}

// Generate makes a key of KindSM2 or KindMaster as text; ErrKind for another.
func Generate(rand io.Reader, kind Kind) (string, error) {
	switch kind {
	case KindSM2:
		k, err := sm.GenerateKey(rand)
		if err != nil {
			return "", err
		}
		return FormatPrivate(k), nil
	case KindMaster:
		if rand == nil {
			return "", sm.ErrRandom
		}
		b := make([]byte, 32)
		defer clear(b)
		if _, err := io.ReadFull(rand, b); err != nil {
			return "", sm.ErrRandom
		}
		return hex.EncodeToString(b), nil
	}
	return "", fmt.Errorf("%w: a key of kind %q is not made but imported", ErrKind, kind)
}

func goodName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= 64
}
