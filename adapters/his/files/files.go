// Package files takes what a HIS puts into a folder: CSV, TSV, fixed-width text, XLSX and JSON lines,
// in UTF-8 or GB18030. A Folder belongs to one HIS system; who may write to it is for the file system
// to say.
//
//	in/bills.csv              the HIS writes it, under another name first or in one go
//	in/working/…_bills.csv    taken, by one rename
//	in/bills.csv.result.csv   what came of every message, there at once and whole
//	in/bills.csv.reject.csv   what was refused: row, column, code, words; not there when nothing was
//	in/bills.csv.refused      the file itself, when nothing of it could be used
//
// A file is taken when its size and time have stood still for Settle, or when a file of the same name
// with the Marker behind it lies beside it. It is read whole, once, before anything of it is carried
// out: a file whose rows can not be told apart is refused as a whole. A row that can not be read, or
// whose content is at fault, spoils the message it belongs to and no other.
//
// Files of one folder are worked on one after the other in the order they were taken, files that lie
// there together by name; messages in the order of their rows. A message the gateway or the centre takes
// no time for is tried again for Wait, and everything behind it waits: then it is refused, for nobody
// settles a bill hours later unasked. A message whose outcome is not known is asked for until it is; its
// Lane waits, the others go on, and the result file says unknown and is replaced later.
//
// What a process that was killed has left is done again from the working folder: the same rows give the
// same requests (Message.ID is made from the file's bytes and the message's key), so nothing is lost
// and nothing happens twice. A file its writer goes on writing after it was taken is read again before it
// is let go: what was added is carried out too, what was there keeps its ids. One gateway works on a folder.
//
// Folders are looked at by polling: network shares tell nobody of changes.
package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Kind is the name mappings of files have as their source.
const Kind = "csv"

// Options is what a Folder needs. Fields without a default are required.
type Options struct {
	Desk         gateway.Desk
	Mapper       gateway.Mapper // of notation Kind
	Clock        gateway.Clock
	System       string
	Institutions []ident.Institution
	Dir          string // must be there; its folders working and done are made
	Layout       Layout
	Log          *slog.Logger // default: nowhere

	Settle  time.Duration // how long a file must stand still; default 5 s, negative: it is taken at once
	Marker  string        // ".done": take a.csv when a.csv.done is there, and only then
	Every   time.Duration // between two looks; default 2 s
	Wait    time.Duration // how long what can not be taken is tried again; default 10 min, negative: not
	Keep    time.Duration // how long files that are done stay in done, with patients' data in clear; default: not at all
	GB18030 bool          // results in GB18030; else UTF-8 with a byte order mark
	MaxSize int64         // bytes of a file; default 256 MiB
}

// Folder is one watched folder. Look and Run are for one goroutine; Trouble for any.
type Folder struct {
	o     Options
	clerk *tabular.Clerk
	seen  map[string]sight
	jobs  map[string]*job
	last  time.Time // of the newest token
	held  time.Time // until then nothing is tried
	tries int       // of what is held

	// step is called before every step a crash may fall on; an error ends the work as a crash would.
	step func(at string) error

	tender *tabular.Tender
}

type sight struct {
	size  int64
	mtime time.Time
	since time.Time
}

// job is one file in the working folder.
type job struct {
	name, original string
	picked         time.Time
	due            time.Time
	tries          int
	lanes          map[string]bool   // that wait for an outcome
	held           time.Time         // since when nothing of it can be taken; zero: it can
	broken         map[int]time.Time // messages that met our own faults, and since when
}

const (
	working   = "working"
	done      = "done"
	progressX = ".progress"
	tokenForm = "20060102T150405.000000000"
)

// New checks the options and makes the folders. What a killed process left in working is taken up by
// the first Look.
func New(o Options) (*Folder, error) {
	if o.Desk == nil || o.Mapper == nil || o.Clock == nil || o.Dir == "" {
		return nil, errors.New("files: desk, mapper, clock and folder are required")
	}
	if err := o.Layout.Check(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.Settle, 5*time.Second)
	def(&o.Every, 2*time.Second)
	def(&o.Wait, 10*time.Minute)
	if o.MaxSize <= 0 {
		o.MaxSize = 256 << 20
	}
	if o.Marker != "" && (!strings.HasPrefix(o.Marker, ".") || strings.ContainsAny(o.Marker, `/\`)) {
		return nil, errors.New("files: marker must be an ending like .done")
	}
	clerk, err := tabular.NewClerk(o.Desk, o.Mapper, Kind, gateway.Caller{System: o.System, Institutions: o.Institutions}, o.Log)
	if err != nil {
		return nil, err
	}
	f := &Folder{o: o, clerk: clerk, seen: map[string]sight{}, jobs: map[string]*job{}, step: func(string) error { return nil },
		tender: &tabular.Tender{Kind: "files", What: "folder", System: o.System, Log: o.Log, Clock: o.Clock, Every: o.Every, Most: 30 * time.Second, Short: short}}
	if st, err := os.Stat(o.Dir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("files: %s 不是文件夹 / is no folder: %w", o.Dir, errors.Join(err))
	}
	return f, os.MkdirAll(f.at(working), 0o700)
}

func (f *Folder) at(names ...string) string {
	return filepath.Join(append([]string{f.o.Dir}, names...)...)
}

// Trouble says what keeps the folder from being worked on, "" when nothing does.
func (f *Folder) Trouble() string { return f.tender.Trouble() }

// short leaves out the names of files: what a HIS calls its files may tell of people.
func short(err error) error {
	var at *fs.PathError
	var moved *os.LinkError
	switch {
	case errors.As(err, &at):
		return fmt.Errorf("%s: %w", at.Op, at.Err)
	case errors.As(err, &moved):
		return fmt.Errorf("%s: %w", moved.Op, moved.Err)
	}
	return err
}

// Run looks again and again until ctx ends.
func (f *Folder) Run(ctx context.Context) error { return f.tender.Run(ctx, f.Look) }

// Look takes what is ready and works on everything that is due, once. An error is one of the folder: a
// file's own faults are in its result.
func (f *Folder) Look(ctx context.Context) error {
	if err := f.find(); err != nil {
		return err
	}
	if err := f.pick(); err != nil {
		return err
	}
	f.expire()
	now := f.o.Clock.Now()
	if f.held.Sub(now) > maxBackOff { // the clock was set back
		f.held = now
	}
	names := make([]string, 0, len(f.jobs))
	for name := range f.jobs {
		names = append(names, name)
	}
	sort.Strings(names)
	blocked := map[string]bool{}
	var first error
	for _, name := range names {
		if now.Before(f.held) || ctx.Err() != nil {
			break
		}
		j := f.jobs[name]
		if j.due.Sub(now) > maxBackOff {
			j.due = now
		}
		if !now.Before(j.due) {
			if err := f.work(ctx, j, blocked); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				f.postpone(j)
				if first == nil {
					first = err
				}
			}
		}
		for l := range j.lanes {
			blocked[l] = true
		}
	}
	return first
}

// maxBackOff is the longest pause between two tries.
const maxBackOff = 5 * time.Minute

func (f *Folder) postpone(j *job) {
	j.tries++
	j.due = f.o.Clock.Now().Add(min(time.Second<<min(j.tries, 16), maxBackOff))
}

// find brings the list of jobs up to what lies in the working folder.
func (f *Folder) find() error {
	entries, err := os.ReadDir(f.at(working))
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(f.at(working), 0o700); err == nil {
			entries, err = os.ReadDir(f.at(working))
		}
	}
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, e := range entries {
		name := e.Name()
		token, original, ok := strings.Cut(name, "_")
		picked, err := time.ParseInLocation(tokenForm, token, gateway.China)
		if !ok || err != nil || !e.Type().IsRegular() {
			continue
		}
		switch base := strings.TrimSuffix(name, progressX); {
		case strings.HasSuffix(name, tmpX):
			_ = os.Remove(f.at(working, name))
			continue
		case base != name:
			if !there[base] {
				_ = os.Remove(f.at(working, name)) // its file is finished
			}
			continue
		case f.o.Marker != "" && strings.HasSuffix(name, f.o.Marker):
			// The marker was taken and its file perhaps not.
			if err := f.follow(name, strings.TrimSuffix(original, f.o.Marker)); err != nil {
				return err
			}
			there[strings.TrimSuffix(name, f.o.Marker)] = true
			continue
		}
		if picked.After(f.last) {
			f.last = picked
		}
		if f.jobs[name] == nil {
			f.jobs[name] = &job{name: name, original: original, picked: picked}
		}
	}
	for name := range f.jobs {
		if !there[name] {
			delete(f.jobs, name)
		}
	}
	return nil
}

const tmpX = ".tmp"

// ours are files the gateway itself puts beside the HIS's, and those that are being written.
func (f *Folder) ours(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "~") {
		return true
	}
	for _, x := range []string{resultX, rejectX, refusedX, tmpX, progressX, ".part", ".filepart", ".crdownload", f.o.Marker} {
		if x != "" && strings.HasSuffix(strings.ToLower(name), x) {
			return true
		}
	}
	return false
}

// pick moves what is ready into the working folder, in the order of names.
func (f *Folder) pick() error {
	entries, err := os.ReadDir(f.o.Dir)
	if err != nil {
		return err
	}
	now := f.o.Clock.Now()
	there, busy := map[string]bool{}, map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
	}
	for _, j := range f.jobs {
		busy[j.original] = true
	}
	for name := range f.seen {
		if !there[name] {
			delete(f.seen, name)
		}
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || f.ours(name) || f.o.Layout.formatOf(name) == "" || busy[name] {
			continue
		}
		if f.o.Marker != "" {
			if !there[name+f.o.Marker] {
				continue
			}
		} else if st, err := e.Info(); err != nil || !f.still(name, st, now) {
			continue
		}
		if err := f.take(name, now); err != nil {
			return err
		}
		delete(f.seen, name)
	}
	return nil
}

// still reports whether a file has stood still long enough. An empty one is about to be written.
func (f *Folder) still(name string, st fs.FileInfo, now time.Time) bool {
	s, known := f.seen[name]
	if !known || s.size != st.Size() || !s.mtime.Equal(st.ModTime()) || now.Before(s.since) {
		s = sight{st.Size(), st.ModTime(), now}
		f.seen[name] = s
	}
	return st.Size() > 0 && (f.o.Settle < 0 || now.Sub(s.since) >= f.o.Settle && now.After(s.since))
}

// take moves one file. With a marker the marker moves first: what is left behind by a crash is then
// never a marker without its file, which would let the next file in half-written.
func (f *Folder) take(name string, now time.Time) error {
	if !now.After(f.last) {
		now = f.last.Add(1)
	}
	f.last = now
	token := now.In(gateway.China).Format(tokenForm) + "_" + name
	if err := f.step("take " + name); err != nil {
		return err
	}
	if f.o.Marker != "" {
		mark := token + f.o.Marker
		if err := os.Rename(f.at(name+f.o.Marker), f.at(working, mark)); err != nil {
			return gone(err)
		}
		if err := f.step("marked " + name); err != nil {
			return err
		}
		return f.follow(mark, name)
	}
	// A writer that keeps the file to itself makes this fail where the system knows such a thing.
	if err := os.Rename(f.at(name), f.at(working, token)); err != nil {
		return gone(err)
	}
	f.jobs[token] = &job{name: token, original: name, picked: now}
	return f.step("taken " + name)
}

// follow moves the file a marker in the working folder stands for, and ends the marker.
func (f *Folder) follow(mark, name string) error {
	token := strings.TrimSuffix(mark, f.o.Marker)
	if _, err := os.Lstat(f.at(working, token)); errors.Is(err, fs.ErrNotExist) {
		if err := os.Rename(f.at(name), f.at(working, token)); err != nil && gone(err) != nil {
			return err
		}
	}
	if err := f.step("followed " + name); err != nil {
		return err
	}
	if err := os.Remove(f.at(working, mark)); err != nil {
		return gone(err)
	}
	if _, err := os.Lstat(f.at(working, token)); err != nil || f.jobs[token] != nil {
		return nil
	}
	at, _, _ := strings.Cut(token, "_")
	picked, err := time.ParseInLocation(tokenForm, at, gateway.China)
	if err == nil {
		f.jobs[token] = &job{name: token, original: name, picked: picked}
	}
	return nil
}

// gone lets pass that somebody took the file back.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// expire deletes what was kept for long enough.
func (f *Folder) expire() {
	entries, err := os.ReadDir(f.at(done))
	if err != nil {
		return
	}
	for _, e := range entries {
		token, _, _ := strings.Cut(e.Name(), "_")
		at, err := time.ParseInLocation(tokenForm, token, gateway.China)
		if err == nil && f.o.Clock.Now().Sub(at) > f.o.Keep {
			_ = os.Remove(f.at(done, e.Name()))
		}
	}
}

// progress is what is known of a file's messages: an append-only file beside it.
type progress struct {
	file    *os.File
	at      map[int]int64  // place of the newest note of each message
	final   map[int]string // ids of the messages with a final answer
	digest  string         // of the file when it was first read: what the ids of its messages are made from
	checked bool           // the file was read whole and can be used
	written bool           // its last result lies beside it
	end     int64
}

// note is one line of it.
type note struct {
	Digest  string         `json:"digest,omitempty"`
	Checked bool           `json:"checked,omitempty"`
	Written bool           `json:"written,omitempty"`
	N       int            `json:"n"` // of the message, from 1; 0: about the file
	ID      string         `json:"id,omitempty"`
	Final   bool           `json:"final,omitempty"`
	Lines   []tabular.Line `json:"lines,omitempty"`
}

// openProgress reads what was noted of a file, and notes its digest when nothing was. A line that was cut
// off by a crash is overwritten.
func openProgress(name, digest string) (*progress, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	p := &progress{file: file, at: map[int]int64{}, final: map[int]string{}}
	d := json.NewDecoder(file)
	for {
		var n note
		if d.Decode(&n) != nil || p.digest == "" && n.Digest == "" {
			break
		}
		p.apply(n, p.end)
		p.end = d.InputOffset()
	}
	if err := file.Truncate(p.end); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if p.end == 0 {
		err = p.add(note{Digest: digest})
	}
	return p, err
}

func (p *progress) apply(n note, at int64) {
	if n.Digest != "" {
		p.digest = n.Digest
	}
	p.checked = p.checked || n.Checked
	if n.N > 0 {
		p.at[n.N] = at
		if delete(p.final, n.N); n.Final {
			p.final[n.N] = n.ID
		}
		p.written = false
	}
	p.written = p.written || n.Written
}

func (p *progress) add(n note) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if _, err = p.file.WriteAt(append(b, '\n'), p.end); err != nil {
		return err
	}
	p.apply(n, p.end)
	p.end += int64(len(b)) + 1
	return nil
}

// lines reads the newest note of a message.
func (p *progress) lines(n int) ([]tabular.Line, error) {
	at, ok := p.at[n]
	if !ok {
		return nil, nil
	}
	var out note
	err := json.NewDecoder(io.NewSectionReader(p.file, at, p.end-at)).Decode(&out)
	return out.Lines, err
}
