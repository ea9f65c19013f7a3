package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/argon2"

	"yiqiao/crypto/sm"
)

// ErrPassphrase: a sealed file does not open. The passphrase is wrong or the file was changed; the
// two can not be told apart.
var ErrPassphrase = errors.New("keys: wrong passphrase, or the key file was changed")

// Stretch says how a passphrase becomes a key: Argon2id (RFC 9106). Higher costs an attacker more,
// and every start as much.
type Stretch struct {
	Time      uint32 `json:"time"`       // passes over the memory
	MemoryKiB uint32 `json:"memory_kib"` // memory used while it is opened
	Threads   uint8  `json:"threads"`
}

// DefaultStretch is the second recommendation of RFC 9106 with one thread: 64 MiB, about a quarter of
// a second.
func DefaultStretch() Stretch { return Stretch{Time: 3, MemoryKiB: 64 << 10, Threads: 1} }

// weakest and strongest bound what is read from a file: less would let a changed file weaken the
// next one, more would let it stop the program.
func (s Stretch) good() bool {
	return s.Time >= 1 && s.Time <= 16 && s.MemoryKiB >= 8<<10 && s.MemoryKiB <= 1<<20 && s.Threads >= 1 && s.Threads <= 16
}

// sealedFile is a key file as it lies on the disk. Everything but Sealed is bound to it.
type sealedFile struct {
	What    string  `json:"yiqiao"` // "keys"
	Version int     `json:"version"`
	KDF     string  `json:"kdf"` // "argon2id"
	Stretch Stretch `json:"stretch"`
	Salt    []byte  `json:"salt"`
	Sealed  []byte  `json:"sealed,omitempty"` // Sealer's form, over the JSON of []ringEntry
}

type ringEntry struct {
	Name       string    `json:"name"`
	Generation int       `json:"generation"`
	Kind       Kind      `json:"kind"`
	State      State     `json:"state"`
	Created    time.Time `json:"created"`
	Value      []byte    `json:"value"`
}

const (
	maxSealedFile = 1 << 20 // bytes
	saltSize      = 16
)

func (f sealedFile) master(passphrase []byte) []byte {
	return argon2.IDKey(passphrase, f.Salt, f.Stretch.Time, f.Stretch.MemoryKiB, f.Stretch.Threads, 32)
}

// name is what the sealed part is bound to.
func (f sealedFile) name() (string, error) {
	f.Sealed = nil
	b, err := json.Marshal(f)
	return string(b), err
}

// Seal writes a ring as the content of a sealed key file. A new salt is read from rand each time.
// An empty passphrase is sm.ErrKey.
func (r *Ring) Seal(rand io.Reader, passphrase []byte, s Stretch) ([]byte, error) {
	if len(passphrase) == 0 || !s.good() {
		return nil, refuse("empty passphrase, or a stretch out of bounds")
	}
	list := make([]ringEntry, 0, len(r.r.entries))
	for _, e := range r.r.entries {
		list = append(list, ringEntry{e.Name, e.Generation, e.Kind, e.State, e.Created, *e.value})
	}
	plain, err := json.Marshal(list)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	f := sealedFile{What: "keys", Version: 1, KDF: "argon2id", Stretch: s, Salt: make([]byte, saltSize)}
	if rand == nil {
		return nil, sm.ErrRandom
	}
	if _, err := io.ReadFull(rand, f.Salt); err != nil {
		return nil, sm.ErrRandom
	}
	master := f.master(passphrase)
	defer clear(master)
	sealer, err := NewSealer(r.r.p, master)
	if err != nil {
		return nil, err
	}
	defer sealer.Forget()
	name, err := f.name()
	if err != nil {
		return nil, err
	}
	if f.Sealed, err = sealer.Seal(rand, name, plain); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

// OpenRing reads what Seal wrote. ErrFile when it is no sealed key file of a version known here,
// ErrPassphrase when it does not open.
func OpenRing(p sm.Provider, text, passphrase []byte) (*Ring, error) {
	r, err := NewRing(p)
	if err != nil {
		return nil, err
	}
	var f sealedFile
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if len(text) > maxSealedFile || dec.Decode(&f) != nil || dec.More() || f.What != "keys" || f.Version != 1 ||
		f.KDF != "argon2id" || !f.Stretch.good() || len(f.Salt) != saltSize {
		return nil, fmt.Errorf("%w: not a sealed key file, or of another version", ErrFile)
	}
	master := f.master(passphrase)
	defer clear(master)
	sealer, err := NewSealer(p, master)
	if err != nil {
		return nil, err
	}
	defer sealer.Forget()
	name, err := f.name()
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Open(name, f.Sealed)
	if err != nil {
		return nil, ErrPassphrase
	}
	defer clear(plain)
	var list []ringEntry
	if err := json.Unmarshal(plain, &list); err != nil {
		return nil, fmt.Errorf("%w: damaged", ErrFile)
	}
	for _, e := range list {
		it := &entry{Item{Name: e.Name, Generation: e.Generation, Kind: e.Kind, State: e.State, Created: e.Created}, &e.Value}
		if err := r.seal(it); err != nil {
			r.Close()
			return nil, fmt.Errorf("%w: damaged entry %s", ErrFile, e.Name)
		}
		r.r.entries = append(r.r.entries, it)
	}
	return r, nil
}

// IsSealed tells a sealed key file from others by its first bytes.
func IsSealed(text []byte) bool {
	var f struct {
		What string `json:"yiqiao"`
	}
	return json.Unmarshal(text, &f) == nil && f.What == "keys"
}

// ReadRing opens a sealed key file. Errors as OpenRing, or those of the system.
func ReadRing(p sm.Provider, path string, passphrase []byte) (*Ring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("keys: read key file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSealedFile+1))
	if err != nil {
		return nil, fmt.Errorf("keys: read key file: %w", err)
	}
	return OpenRing(p, text, passphrase)
}

// WriteRing replaces the file at path by what Seal gives, readable by its owner only: afterwards it is
// the old or the new one, whole, whatever happens in between. fresh: there must be none yet, else
// the error wraps fs.ErrExist.
func WriteRing(path string, r *Ring, rand io.Reader, passphrase []byte, s Stretch, fresh bool) error {
	text, err := r.Seal(rand, passphrase, s)
	if err != nil {
		return err
	}
	if fresh {
		return WriteFile(path, string(text))
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".keys-*") // mode 0600
	if err != nil {
		return fmt.Errorf("keys: write key file: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("keys: write key file: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // the name too; not every system can
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}
