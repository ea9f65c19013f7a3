package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
)

// Progress is a file that keeps the cases of a run as they end, so that one that was broken off goes on where it stopped. Its first
// line says which run it belongs to; a line that was not written whole is forgotten.
type Progress struct {
	mu  sync.Mutex
	f   *os.File
	err error
}

// ErrOtherRun: the file belongs to a run of something else.
var ErrOtherRun = errors.New("acceptance: the progress file is of another run")

// OpenProgress begins a file, or with resume goes on with one; known are the cases that were run. run names what is tried, with what and how:
// it must be the same again.
func OpenProgress(path, run string, resume bool) (p *Progress, known map[string]Kept, err error) {
	known = map[string]Kept{}
	size := int64(0)
	if resume {
		b, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if size, err = readProgress(b, run, known); err != nil {
			return nil, nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	p = &Progress{f: f}
	if err = f.Truncate(size); err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	p.err = err
	if size == 0 {
		p.line(run)
	}
	if p.err != nil {
		_ = f.Close()
		return nil, nil, p.err
	}
	return p, known, nil
}

// readProgress gives how many bytes of a file are whole lines.
func readProgress(b []byte, run string, known map[string]Kept) (int64, error) {
	size := int64(0)
	in := bufio.NewReader(bytes.NewReader(b))
	for n := 0; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return size, nil
		}
		if n == 0 {
			var was string
			if json.Unmarshal(line, &was) != nil || was != run {
				return 0, fmt.Errorf("%w: %q", ErrOtherRun, was)
			}
		} else {
			var k Kept
			if json.Unmarshal(line, &k) != nil || k.Case.ID == "" {
				return size, nil
			}
			known[k.Case.ID] = k
		}
		size += int64(len(line))
	}
}

// Keep writes a case; the first error is kept for Close.
func (p *Progress) Keep(k Kept) { p.line(k) }

func (p *Progress) line(v any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(v)
	if err == nil {
		_, err = p.f.Write(append(b, '\n'))
	}
	if p.err == nil {
		p.err = err
	}
}

// Close ends the file; whole: the run is over and the file is not needed any more.
func (p *Progress) Close(whole bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(p.err, p.f.Close())
	if whole && err == nil {
		err = os.Remove(p.f.Name())
	}
	return err
}
