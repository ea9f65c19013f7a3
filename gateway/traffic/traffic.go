// Package traffic keeps what HIS systems sent, so that a changed mapping can be tried on a real day before
// it is used. It is off unless the operator turns it on.
//
// A message is kept as it came, sealed with the vault, in one file a day. What the mapping takes for a patient's
// credential, and what the adapter says is a key, is blotted out first: every such text is replaced in the raw
// bytes, the result is read again, and when anything of it is still there, or is too short to be replaced without
// damage, the message is not kept. What could not be read or is of no known mapping is not kept either.
//
// Files older than Days are removed; when all of them are larger than MaxBytes the oldest go, and when today's alone
// is, nothing more is kept that day. Keeping never delays a message by a sync to disk and never fails one: what is
// lost at a power cut is lost for the trial only. A torn end of a file is left out when it is read.
package traffic

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
)

// Sealer seals and opens; vault.Drawer is one.
type Sealer interface {
	Seal(r io.Reader, name string, plain []byte) ([]byte, error)
	Open(name string, sealed []byte) ([]byte, error)
}

// Options is what a Recorder needs. Fields without a default are required.
type Options struct {
	Dir      string // made when it is not there
	Sealer   Sealer
	Clock    gateway.Clock
	Days     int          // default 7
	MaxBytes int64        // of all files; default 256 MiB
	Log      *slog.Logger // default: nowhere
}

// Message is one that was kept.
type Message struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`    // of the source: hl7, xml, fhir, csv, sql
	Mapping string    `json:"mapping"` // that took it, with its version
	Raw     []byte    `json:"raw"`     // with the credentials blotted out
}

// Recorder is safe for concurrent use.
type Recorder struct {
	o Options

	mu    sync.Mutex
	day   string
	file  *os.File
	n     int   // messages in the file
	today int64 // its length
	all   int64 // of all files
	full  bool
	said  string // the last trouble that was logged
}

const ending = ".traffic"

// maxFrame bounds one kept message, bytes.
const maxFrame = 64 << 20

// Open begins to keep. A day's file is gone on with.
func Open(o Options) (*Recorder, error) {
	if o.Dir == "" || o.Sealer == nil || o.Clock == nil {
		return nil, errors.New("traffic: dir, sealer and clock are required")
	}
	if o.Days <= 0 {
		o.Days = 7
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("traffic: %w", err)
	}
	return &Recorder{o: o}, nil
}

// Close ends keeping.
func (r *Recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
	}
	r.file, r.day = nil, ""
}

// Secretive is a mapper that can say which texts of a source are credentials.
type Secretive interface {
	gateway.Mapper
	Secrets(gateway.Source) []string
}

// Mapper is m, with everything it maps kept. read reads raw bytes again.
func (r *Recorder) Mapper(m Secretive, read func([]byte) ([]gateway.Source, error)) gateway.Mapper {
	return &keeping{Secretive: m, r: r, read: read}
}

type keeping struct {
	Secretive
	r    *Recorder
	read func([]byte) ([]gateway.Source, error)
}

// Map implements gateway.Mapper.
func (k *keeping) Map(s gateway.Source) (gateway.Mapped, error) {
	mapped, err := k.Secretive.Map(s)
	if len(s.Raw) > 0 && mapped.Version != "" {
		k.keep(s, mapped.Version)
	}
	return mapped, err
}

// keep never panics: a message is worth more than its copy.
func (k *keeping) keep(s gateway.Source, version string) {
	defer func() {
		if p := recover(); p != nil {
			k.r.o.Log.Error("panic while a message was kept", "panic", fmt.Sprintf("%T", p))
		}
	}()
	raw, ok := k.blotted(s)
	if !ok {
		k.r.trouble("a message is not kept: its credential can not be blotted out", nil)
		return
	}
	k.r.add(Message{At: k.r.o.Clock.Now(), Kind: s.Notation, Mapping: version, Raw: raw})
}

// shortest is the shortest text that is blotted out: a shorter one stands in a message by chance.
const shortest = 6

// blotted replaces the secrets of a source in its bytes.
func (k *keeping) blotted(s gateway.Source) ([]byte, bool) {
	secrets := append(k.Secrets(s), s.Hide...)
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	raw := slices.Clone(s.Raw)
	for _, secret := range secrets {
		if len(secret) < shortest {
			return nil, false
		}
		raw = bytes.ReplaceAll(raw, []byte(secret), []byte(blot(secret)))
	}
	if len(secrets) == 0 {
		return raw, true
	}
	again, err := k.read(raw)
	if err != nil {
		return nil, false
	}
	for _, a := range again {
		for _, v := range append(k.Secrets(a), a.Hide...) {
			for _, secret := range secrets {
				if strings.Contains(v, secret) && v != blot(v) {
					return nil, false
				}
			}
		}
	}
	return raw, true
}

// blot keeps the length and the kind of characters: digits become 0, everything else X.
func blot(s string) string {
	b := []byte(s)
	for i, c := range b {
		if '0' <= c && c <= '9' {
			b[i] = '0'
		} else {
			b[i] = 'X'
		}
	}
	return string(b)
}

// trouble is logged once until something else, or nothing, is wrong.
func (r *Recorder) trouble(what string, err error) {
	r.mu.Lock()
	again := r.said == what
	r.said = what
	r.mu.Unlock()
	if !again {
		r.o.Log.Warn(what, "err", fmt.Sprint(err))
	}
}

func (r *Recorder) add(m Message) {
	day := m.At.In(gateway.China).Format(time.DateOnly)
	plain, err := json.Marshal(m)
	if err != nil || len(plain) > maxFrame {
		r.trouble("a message is not kept: too large", err)
		return
	}
	r.mu.Lock()
	err = r.write(day, plain)
	r.mu.Unlock()
	if err != nil {
		r.trouble("a message is not kept", err)
	}
}

var errFull = errors.New("traffic: as much is kept as may be")

// write appends a frame: four bytes of length, the sealed message. The lock is held.
func (r *Recorder) write(day string, plain []byte) error {
	if r.file == nil || r.day != day {
		if err := r.turn(day); err != nil {
			return err
		}
	}
	if r.full {
		return errFull
	}
	sealed, err := r.o.Sealer.Seal(nil, frameName(day, r.n), plain)
	if err != nil {
		return err
	}
	frame := append(binary.BigEndian.AppendUint32(make([]byte, 0, len(sealed)+4), uint32(len(sealed))), sealed...)
	if r.all+int64(len(frame)) > r.o.MaxBytes {
		r.prune(day, int64(len(frame)))
		if r.all+int64(len(frame)) > r.o.MaxBytes {
			r.full = true
			return errFull
		}
	}
	if _, err := r.file.WriteAt(frame, r.today); err != nil {
		_ = r.file.Truncate(r.today)
		return err
	}
	r.n++
	r.today += int64(len(frame))
	r.all += int64(len(frame))
	return nil
}

func frameName(day string, n int) string { return fmt.Sprintf("traffic:%s:%d", day, n) }

// turn goes over to the file of a day, and lets go of days that are too old.
func (r *Recorder) turn(day string) error {
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	f, err := os.OpenFile(filepath.Join(r.o.Dir, day+ending), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	n, good, err := count(f)
	if err != nil {
		_ = f.Close()
		return err
	}
	r.file, r.day, r.n, r.today, r.full = f, day, n, good, false
	r.prune(day, 0)
	return nil
}

// count walks the frames of a file: how many are whole, and where they end.
func count(f *os.File) (n int, good int64, err error) {
	var head [4]byte
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	for {
		if _, err := f.ReadAt(head[:], good); err != nil {
			return n, good, nil
		}
		next := good + 4 + int64(binary.BigEndian.Uint32(head[:]))
		if next > st.Size() || next-good > maxFrame*2 {
			return n, good, nil
		}
		n, good = n+1, next
	}
}

// prune removes files that are too old, then the oldest until room more bytes fit. Today's stays.
func (r *Recorder) prune(day string, room int64) {
	days := Days(r.o.Dir)
	first := ""
	if t, err := time.Parse(time.DateOnly, day); err == nil {
		first = t.AddDate(0, 0, 1-r.o.Days).Format(time.DateOnly)
	}
	sizes := map[string]int64{}
	r.all = r.today
	for _, d := range days {
		if st, err := os.Stat(filepath.Join(r.o.Dir, d+ending)); err == nil && d != day {
			sizes[d] = st.Size()
			r.all += st.Size()
		}
	}
	for _, d := range days {
		if d != day && (d < first || r.all+room > r.o.MaxBytes) {
			if err := os.Remove(filepath.Join(r.o.Dir, d+ending)); err == nil {
				r.all -= sizes[d]
			}
		}
	}
}

// Days lists the days of which something is kept, oldest first.
func Days(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if d, ok := strings.CutSuffix(e.Name(), ending); ok {
			if _, err := time.Parse(time.DateOnly, d); err == nil {
				out = append(out, d)
			}
		}
	}
	return out
}

// Read gives the messages of a day in their order. lost counts those whose seal does not open any more, because
// their data key was destroyed, or which were changed.
func Read(dir, day string, s Sealer, see func(Message) error) (lost int, err error) {
	if _, err := time.Parse(time.DateOnly, day); err != nil {
		return 0, fmt.Errorf("traffic: %q is no day", day)
	}
	f, err := os.Open(filepath.Join(dir, day+ending))
	if err != nil {
		return 0, fmt.Errorf("traffic: %w", err)
	}
	defer f.Close()
	n, good, err := count(f)
	if err != nil {
		return 0, fmt.Errorf("traffic: %w", err)
	}
	in := io.NewSectionReader(f, 0, good)
	var head [4]byte
	for i := range n {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return lost, fmt.Errorf("traffic: %w", err)
		}
		sealed := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(in, sealed); err != nil {
			return lost, fmt.Errorf("traffic: %w", err)
		}
		plain, err := s.Open(frameName(day, i), sealed)
		if errors.Is(err, gateway.ErrStorage) {
			return lost, fmt.Errorf("traffic: %w", err)
		}
		var m Message
		if err != nil || json.Unmarshal(plain, &m) != nil {
			lost++
			continue
		}
		if err := see(m); err != nil {
			return lost, err
		}
	}
	return lost, nil
}
