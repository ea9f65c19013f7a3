package acceptance

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

// FileOriginals is the file of what was sent and answered as it was, sealed, beside a report. Its first line is a sealed key file
// (package keys) under a passphrase, with a key made for this run; every further line is one Original sealed with it, bound to its place in the file.
const FileOriginals = "originals.sealed"

// ErrOriginals: a file of originals does not open, or was changed.
var ErrOriginals = errors.New("acceptance: the originals do not open")

// Bytes are kept exactly: as text in JSON where they are UTF-8, else as {"base64": ...}.
type Bytes []byte

type encoded struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON see Bytes.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.Valid(b) {
		return json.Marshal(string(b))
	}
	return json.Marshal(encoded{b})
}

// UnmarshalJSON see Bytes.
func (b *Bytes) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) == nil {
		*b = Bytes(s)
		return nil
	}
	var e encoded
	err := json.Unmarshal(text, &e)
	*b = e.Base64
	return err
}

// Original is one exchange unmasked: it holds personal data and belongs into a sealed file only.
type Original struct {
	Case    string    `json:"case,omitempty"` // "" where a HIS sent it
	Step    int       `json:"step,omitempty"` // from 1; zero: a sign-in of the run
	Infno   string    `json:"infno,omitempty"`
	At      time.Time `json:"at"`
	Request Bytes     `json:"request,omitempty"` // the message before it was protected
	Reply   Bytes     `json:"reply,omitempty"`   // the message after it was opened
	Refusal string    `json:"refusal,omitempty"` // what was said instead, or why there is none
	Wire    []Wire    `json:"wire,omitempty"`    // what went over the line, signatures and encryption and all
}

// Wire is one HTTP exchange. Headers are not kept: they hold secrets of the caller.
type Wire struct {
	URL     string `json:"url"`
	Request Bytes  `json:"request"`
	Status  int    `json:"status,omitempty"`
	Reply   Bytes  `json:"reply"`
}

type wireKey struct{}

// onWire notes an exchange for whoever asked for it.
func onWire(ctx context.Context, w Wire) {
	if list, ok := ctx.Value(wireKey{}).(*[]Wire); ok {
		*list = append(*list, w)
	}
}

// sent is Target.Exchange; the original goes to Options.Originals.
func (r *Runner) sent(ctx context.Context, to Target, o Original, message []byte, how string) ([]byte, string, error) {
	if r.o.Originals == nil {
		return to.Exchange(ctx, o.Infno, message, how)
	}
	o.At, o.Request = r.o.Now(), message
	reply, refusal, err := to.Exchange(context.WithValue(ctx, wireKey{}, &o.Wire), o.Infno, message, how)
	o.Reply, o.Refusal = reply, refusal
	if err != nil {
		o.Refusal = err.Error()
	}
	r.o.Originals(o)
	return reply, refusal, err
}

// Originals is a file of originals being written. Safe for concurrent use.
type Originals struct {
	mu     sync.Mutex
	f      *os.File
	sealer *keys.Sealer
	rand   io.Reader
	n      int
	err    error
}

const originalKey = "originals"

// CreateOriginals begins a file; what was there is lost. An empty passphrase is sm.ErrKey.
func CreateOriginals(path string, p sm.Provider, rand io.Reader, passphrase []byte, now time.Time) (*Originals, error) {
	ring, err := keys.NewRing(p)
	if err != nil {
		return nil, err
	}
	defer ring.Close()
	text, err := keys.Generate(rand, keys.KindMaster)
	if err != nil {
		return nil, err
	}
	if _, err := ring.Add(originalKey, keys.KindMaster, text, now); err != nil {
		return nil, err
	}
	head, err := ring.Seal(rand, passphrase, keys.DefaultStretch())
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, head); err != nil {
		return nil, err
	}
	sealer, err := sealerOf(p, ring)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	o := &Originals{f: f, sealer: sealer, rand: rand}
	_, o.err = f.Write(append(line.Bytes(), '\n'))
	return o, o.err
}

// ContinueOriginals goes on with a file that CreateOriginals began; a line that was not written whole is forgotten. ErrOriginals when the
// passphrase is another.
func ContinueOriginals(path string, p sm.Provider, rand io.Reader, passphrase []byte) (*Originals, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	size, n := int64(0), 0
	sealer, err := readOriginals(f, p, passphrase, func(Original, bool) error { n++; return nil }, &size)
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &Originals{f: f, sealer: sealer, rand: rand, n: n}, nil
}

func sealerOf(p sm.Provider, ring *keys.Ring) (*keys.Sealer, error) {
	text, err := ring.Text(originalKey)
	if err != nil {
		return nil, err
	}
	master, err := keys.ParseMaster(text)
	if err != nil {
		return nil, err
	}
	defer clear(master)
	return keys.NewSealer(p, master)
}

// Keep seals an original. Close tells what went wrong.
func (o *Originals) Keep(x Original) { o.line(originalLine{Original: &x}) }

// originalLine is a line: an original, or the end.
type originalLine struct {
	Original *Original `json:"original,omitempty"`
	End      bool      `json:"end,omitempty"`
}

func (o *Originals) line(k originalLine) {
	b, err := json.Marshal(k)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if err == nil {
		b, err = o.sealer.Seal(o.rand, linePlace(o.n), b)
	}
	if err == nil {
		_, err = o.f.WriteString(base64.StdEncoding.EncodeToString(b) + "\n")
	}
	o.n++
	o.err = err
}

func linePlace(n int) string { return fmt.Sprint("accept original ", n) }

// Close ends the file; over says that the run is over.
func (o *Originals) Close(over bool) error {
	if over {
		o.line(originalLine{End: true})
	}
	o.sealer.Forget()
	return errors.Join(o.err, o.f.Sync(), o.f.Close())
}

// ReadOriginals opens a file and gives each original in turn. Errors wrap ErrOriginals when the passphrase is wrong, or a line was changed,
// moved or left out; whole tells whether the run that wrote it came to its end.
func ReadOriginals(r io.Reader, p sm.Provider, passphrase []byte, each func(Original) error) (whole bool, err error) {
	var size int64
	s, err := readOriginals(r, p, passphrase, func(o Original, end bool) error {
		whole = end
		if end {
			return nil
		}
		return each(o)
	}, &size)
	if s != nil {
		s.Forget()
	}
	return whole && err == nil, err
}

// readOriginals gives the lines; size is how many bytes were whole lines.
func readOriginals(r io.Reader, p sm.Provider, passphrase []byte, each func(o Original, end bool) error, size *int64) (*keys.Sealer, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("%w: 不是原文文件 / no file of originals", ErrOriginals)
	}
	*size = int64(len(head))
	ring, err := keys.OpenRing(p, head, passphrase)
	if err != nil {
		return nil, fmt.Errorf("%w: 口令不对, 或文件被改动 / wrong passphrase, or the file was changed", ErrOriginals)
	}
	defer ring.Close()
	sealer, err := sealerOf(p, ring)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOriginals, err)
	}
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return sealer, nil // what is left was not written whole
		}
		var k originalLine
		var b []byte
		if err == nil {
			b, err = base64.StdEncoding.DecodeString(string(bytes.TrimSuffix(line, []byte("\n"))))
		}
		if err == nil {
			b, err = sealer.Open(linePlace(n), b)
		}
		if err == nil {
			err = json.Unmarshal(b, &k)
		}
		if err != nil || !k.End && k.Original == nil {
			sealer.Forget()
			return nil, fmt.Errorf("%w: 第 %d 行被改动或缺失 / line %d was changed", ErrOriginals, n+2, n+2)
		}
		*size += int64(len(line))
		var o Original
		if k.Original != nil {
			o = *k.Original
		}
		if err := each(o, k.End); err != nil {
			sealer.Forget()
			return nil, err
		}
	}
}
