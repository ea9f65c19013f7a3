package files

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
)

// What is put beside the HIS's files.
const (
	resultX  = ".result.csv"
	rejectX  = ".reject.csv"
	refusedX = ".refused"
)

// work carries out what of a file is not done yet. An error is one of the disk, or the end of ctx.
func (f *Folder) work(ctx context.Context, j *job, blocked map[string]bool) error {
	in, err := os.Open(f.at(working, j.name))
	if err != nil {
		return gone(err)
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return err
	}
	if st.Size() > f.o.MaxSize {
		return f.refuse(j, in, whole(0, tabular.CodeLimits, "%d > %d bytes", st.Size(), f.o.MaxSize))
	}
	digest, charset, err := survey(io.NewSectionReader(in, 0, st.Size()))
	if err != nil {
		return f.refuse(j, in, err)
	}
	p, err := openProgress(f.at(working, j.name)+progressX, digest)
	if err != nil {
		return err
	}
	defer p.file.Close()
	if p.written && p.digest == digest {
		return f.finish(j, in, p)
	}
	w := &worker{f: f, j: j, p: p, blocked: blocked, lanes: map[string]bool{}}
	read := func(do func(n int, g *group) (bool, error)) error {
		return f.each(in, st.Size(), j.original, p.digest, charset, do)
	}
	if !p.checked {
		if err := read(func(int, *group) (bool, error) { return ctx.Err() == nil, nil }); err != nil {
			return f.refuse(j, in, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := p.add(note{Checked: true}); err != nil {
			return err
		}
	}
	if err := read(func(n int, g *group) (bool, error) { return w.message(ctx, n, g) }); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return f.settle(j, in, st, w)
}

// each goes through the messages of a file in order, until do says false.
func (f *Folder) each(in io.ReaderAt, size int64, name, digest, charset string, do func(n int, g *group) (bool, error)) error {
	r, _, err := f.o.Layout.open(name, charset, in, size)
	if err != nil {
		return err
	}
	list := f.o.Layout.messages(r, name, digest)
	for n := 1; ; n++ {
		g, err := list.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if more, err := do(n, g); err != nil || !more {
			return err
		}
	}
}

// worker is one pass over a file.
type worker struct {
	f       *Folder
	j       *job
	p       *progress
	blocked map[string]bool // lanes of files before this one
	lanes   map[string]bool // lanes that wait for an outcome of this one
	waiting int             // messages without a final answer
	held    bool
	news    bool
}

func (w *worker) message(ctx context.Context, n int, g *group) (more bool, err error) {
	if id, final := w.p.final[n]; final && id == g.m.ID {
		return true, nil
	}
	lane := g.lane != "" && (w.blocked[g.lane] || w.lanes[g.lane])
	if lane {
		w.waiting++
		w.lanes[g.lane] = true
		return true, nil
	}
	if err := w.f.step("message " + strconv.Itoa(n)); err != nil {
		return false, err
	}
	var r tabular.Result
	if len(g.faults) > 0 {
		r = tabular.Refuse(g.m, g.faults...)
	} else if r = w.f.clerk.Do(ctx, g.m); ctx.Err() != nil {
		return false, ctx.Err() // what it says of the end of our waiting is not what came of it
	}
	if err := w.f.step("done " + strconv.Itoa(n)); err != nil {
		return false, err
	}
	now := w.f.o.Clock.Now()
	if r.Standing == tabular.Held {
		if !w.f.late(&w.j.held, now) {
			w.held, w.waiting = true, w.waiting+1
			return false, nil
		}
	} else {
		w.j.held = time.Time{}
	}
	ours := r.Lines[len(r.Lines)-1].Code == string(gateway.CodeInternal)
	if ours {
		since := w.j.broken[n]
		ours = w.f.late(&since, now)
		if w.j.broken == nil {
			w.j.broken = map[int]time.Time{}
		}
		w.j.broken[n] = since
	}
	switch {
	case r.Standing == tabular.Open && !ours:
		w.waiting++
		if g.lane != "" {
			w.lanes[g.lane] = true
		}
	default:
		w.news = true
		return true, w.p.add(note{N: n, ID: g.m.ID, Final: true, Lines: r.Lines})
	}
	w.news = true
	return true, w.p.add(note{N: n, ID: g.m.ID, Lines: r.Lines})
}

// late notes since when something is so, and reports whether it has been so for Wait.
func (f *Folder) late(since *time.Time, now time.Time) bool {
	if since.IsZero() || now.Before(*since) {
		*since = now
	}
	return f.o.Wait < 0 || now.Sub(*since) >= f.o.Wait
}

// settle decides how a file goes on after a pass. was is how the file was when the pass began.
func (f *Folder) settle(j *job, in *os.File, was os.FileInfo, w *worker) error {
	j.lanes = w.lanes
	if w.held {
		f.tries++
		f.held = f.o.Clock.Now().Add(min(time.Second<<min(f.tries, 16), 30*time.Second))
		return nil
	}
	f.tries = 0
	if w.waiting > 0 {
		if w.news {
			j.tries = 0
		}
		f.postpone(j)
		if len(w.p.at) == 0 {
			return nil
		}
		return f.publish(j, w.p)
	}
	switch is, err := in.Stat(); {
	case err != nil:
		return err
	case is.Size() != was.Size() || !is.ModTime().Equal(was.ModTime()): // its writer is not done
		f.postpone(j)
		return nil
	}
	if err := f.publish(j, w.p); err != nil {
		return err
	}
	if err := f.step("published"); err != nil {
		return err
	}
	if err := w.p.add(note{Written: true}); err != nil {
		return err
	}
	return f.finish(j, in, w.p)
}

// finish lets go of a file whose result lies there.
func (f *Folder) finish(j *job, in *os.File, p *progress) error {
	for n := range p.at {
		lines, err := p.lines(n)
		if err != nil {
			return err
		}
		f.clerk.Told(lines)
	}
	if err := f.step("told"); err != nil {
		return err
	}
	_ = in.Close() // where a file that is open can not be moved
	_ = p.file.Close()
	if f.o.Keep > 0 {
		if err := os.MkdirAll(f.at(done), 0o700); err != nil {
			return err
		}
		if err := os.Rename(f.at(working, j.name), f.at(done, j.name)); err != nil {
			return err
		}
	} else if err := os.Remove(f.at(working, j.name)); err != nil {
		return err
	}
	delete(f.jobs, j.name)
	if err := f.step("let go"); err != nil {
		return err
	}
	return gone(os.Remove(f.at(working, j.name+progressX)))
}

// refuse gives a file back of which nothing can be used; err says why. Errors of the disk pass through.
func (f *Folder) refuse(j *job, in *os.File, err error) error {
	var bad *wholeFault
	if !errors.As(err, &bad) {
		return err
	}
	r := tabular.Refuse(&tabular.Message{}, bad.Fault)
	r.Lines[0].Row = bad.Row
	if err := f.write(j, [][]tabular.Line{r.Lines}); err != nil {
		return err
	}
	if err := f.step("refused"); err != nil {
		return err
	}
	_ = in.Close()
	to := f.at(j.original + refusedX)
	if err := os.Rename(f.at(working, j.name), to); err != nil {
		return err
	}
	delete(f.jobs, j.name)
	f.o.Log.Warn("a file was refused", "system", f.o.System, "code", bad.Code, "row", bad.Row)
	return gone(os.Remove(f.at(working, j.name+progressX)))
}

// publish writes what is known of a file's messages, in their order.
func (f *Folder) publish(j *job, p *progress) error {
	most := 0
	for n := range p.at {
		most = max(most, n)
	}
	return f.writeWith(j, func(put func([]tabular.Line) error) error {
		for n := 1; n <= most; n++ {
			lines, err := p.lines(n)
			if err != nil {
				return err
			}
			if err := put(lines); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *Folder) write(j *job, list [][]tabular.Line) error {
	return f.writeWith(j, func(put func([]tabular.Line) error) error {
		for _, l := range list {
			if err := put(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// ResultColumns and RejectColumns are the head rows of what is written.
var (
	ResultColumns = append(append([]string{"row", "last", "type", "key", "order", "operation", "outcome", "code", "text", "next", "owner", "detail", "path", "rule",
		"request_id", "id", "state", "setl_id", "mdtrt_id", "msgid", "charged"}, tabular.AmountNames[:]...), "mapping")
	RejectColumns = []string{"row", "column", "code", "text", "rule", "path", "key", "next", "owner"}
)

// writeWith writes both files under other names and puts them in place, the result last.
func (f *Folder) writeWith(j *job, feed func(put func([]tabular.Line) error) error) error {
	result, err := f.sheet(j, resultX, ResultColumns)
	if err != nil {
		return err
	}
	defer result.drop()
	reject, err := f.sheet(j, rejectX, RejectColumns)
	if err != nil {
		return err
	}
	defer reject.drop()
	rejected := 0
	if err := feed(func(lines []tabular.Line) error {
		for _, l := range lines {
			if err := result.w.Write(resultCells(l)); err != nil {
				return err
			}
			for _, r := range rejectCells(l) {
				rejected++
				if err := reject.w.Write(r); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if rejected == 0 {
		reject.drop()
		if err := gone(os.Remove(f.at(j.original + rejectX))); err != nil {
			return err
		}
	} else if err := reject.put(); err != nil {
		return err
	}
	if err := f.step("result"); err != nil {
		return err
	}
	return result.put()
}

func resultCells(l tabular.Line) []string {
	order := ""
	if l.Order > 0 {
		order = strconv.Itoa(l.Order)
	}
	out := []string{strconv.Itoa(l.Row), strconv.Itoa(l.Last), l.Type, l.Key, order, l.Op, l.Outcome, l.Code, l.Text, l.Next, l.Owner, harmless(l.Detail), l.Path, harmless(l.Rule),
		l.RequestID, l.ID, l.State, l.SetlID, l.Visit, l.MsgID, l.Charged}
	return append(append(out, l.Amounts[:]...), l.Mapping)
}

// rejectCells are what keeps a message from being done: one row for each finding, or one for all.
func rejectCells(l tabular.Line) (out [][]string) {
	if l.Code == "" || l.Outcome == "unknown" {
		return nil
	}
	for _, g := range l.Findings {
		column := g.Column
		if g.Part != "" {
			column = "[" + g.Part + "]" + column
		}
		out = append(out, []string{strconv.Itoa(g.Row), column, g.Code, g.Text, harmless(g.Rule), g.Path, l.Key, l.Next, l.Owner})
	}
	if len(out) == 0 {
		out = [][]string{{strconv.Itoa(l.Row), "", l.Code, l.Text, harmless(l.Rule), l.Path, l.Key, l.Next, l.Owner}}
	}
	return out
}

// harmless keeps other people's words from being taken for a formula by the program that opens them.
func harmless(s string) string {
	if s != "" && strings.ContainsAny(s[:1], "=+-@\t") {
		return "'" + s
	}
	return s
}

// sheet is a table being written beside the place it goes to.
type sheetFile struct {
	file *os.File
	w    *csv.Writer
	end  io.Closer // what encodes
	buf  *bufio.Writer
	to   string
}

func (f *Folder) sheet(j *job, ending string, head []string) (*sheetFile, error) {
	name := f.at(working, j.name+ending+tmpX)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	s := &sheetFile{file: file, buf: bufio.NewWriter(file), to: f.at(j.original + ending)}
	var out io.Writer = s.buf
	if f.o.GB18030 {
		t := transform.NewWriter(s.buf, simplifiedchinese.GB18030.NewEncoder())
		out, s.end = t, t
	} else if _, err := s.buf.WriteString("\xef\xbb\xbf"); err != nil {
		return s, err
	}
	s.w = csv.NewWriter(out)
	s.w.UseCRLF = true
	return s, s.w.Write(head)
}

// put makes the table durable and moves it to its place at once.
func (s *sheetFile) put() error {
	s.w.Flush()
	err := s.w.Error()
	if s.end != nil {
		err = errors.Join(err, s.end.Close())
	}
	if err = errors.Join(err, s.buf.Flush(), s.file.Sync(), s.file.Close()); err != nil {
		return err
	}
	return os.Rename(s.file.Name(), s.to)
}

// drop removes it when it was not put.
func (s *sheetFile) drop() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}
