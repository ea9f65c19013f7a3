package files

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"yiqiao/adapters/his/tabular"
)

// group is a message, or rows of one that can not be used.
type group struct {
	m      *tabular.Message
	lane   string
	faults []tabular.Fault
}

// maxFaults is how many of a group's faults are kept.
const maxFaults = 100

// messages puts rows together, one group in memory at a time.
type messages struct {
	l      Layout
	in     rows
	file   string
	digest string // of the file, hex
	seen   map[[16]byte]int

	open    *group
	key     string // of open
	spoiled *tabular.Fault
	ended   bool
	trailed bool
}

func (l Layout) messages(in rows, file, digest string) *messages {
	return &messages{l: l, in: in, file: file, digest: digest, seen: map[[16]byte]int{}}
}

func digestOf(s string) (d [16]byte) {
	sum := sha256.Sum256([]byte(s))
	copy(d[:], sum[:])
	return d
}

// next gives the next group, io.EOF behind the last; other errors are wholeFaults or of the disk.
func (g *messages) next() (*group, error) {
	for !g.ended {
		got, err := g.in.next()
		if err == io.EOF {
			g.ended = true
			if g.l.Trailer != "" && !g.trailed {
				return nil, whole(0, tabular.CodeSyntax, "trailer")
			}
			break
		}
		if err != nil {
			return nil, err
		}
		if g.l.Trailer != "" && len(got.row.Cells) > 0 && tabular.Trim(got.row.Cells[0]) == g.l.Trailer {
			g.trailed = true
			continue
		}
		if g.trailed {
			return nil, whole(got.row.Number, tabular.CodeSyntax, "rows behind the trailer")
		}
		if done := g.take(got); done != nil {
			return done, nil
		}
	}
	if last := g.open; last != nil {
		g.open = nil
		return last, nil
	}
	return nil, io.EOF
}

// take puts a row to the open group, or gives the open group when the row begins another.
func (g *messages) take(got raw) (done *group) {
	r := got.row
	fault := got.fault
	if fault == nil && r.Head != nil {
		asText(r.Cells)
		if fault = cellFaults(r.Cells); fault != nil {
			fault.Row = r.Number
			if i, _ := strconv.Atoi(fault.What); i >= 1 && i <= len(r.Head.Names()) {
				fault.Column = r.Head.Names()[i-1]
			}
			fault.What = ""
		}
	}
	if fault == nil {
		if missing := r.Head.Lacks(g.l.Group); len(missing) > 0 { // a JSON line says for itself what it has
			fault = &tabular.Fault{Row: r.Number, Column: missing[0], Code: tabular.CodeColumns}
		}
	}
	if fault != nil && !g.belongs(r, fault) {
		return g.unplaced(r, fault)
	}
	key := g.keyOf(r)
	if g.open == nil || key != g.key || len(g.l.Group) == 0 {
		done = g.open
		g.begin(r, key)
	}
	open := g.open
	if len(open.m.Rows) >= maxGroup {
		open.fault(tabular.Fault{Row: r.Number, Code: tabular.CodeLimits, What: fmt.Sprint(maxGroup)})
		return done
	}
	open.m.Rows = append(open.m.Rows, r)
	if fault != nil {
		open.fault(*fault)
		return done
	}
	if !g.l.Repeats {
		g.repeated(r, key)
	}
	return done
}

// maxGroup bounds the rows of one message.
const maxGroup = 5000

// belongs reports whether a faulty row still says to which message it belongs: its cells stand where
// they should and those of the group can be read.
func (g *messages) belongs(r *tabular.Row, f *tabular.Fault) bool {
	if len(g.l.Group) == 0 {
		return true
	}
	if r.Head == nil || f.Code == tabular.CodeCells || f.Code == tabular.CodeLimits || f.Code == tabular.CodeSyntax || f.Code == tabular.CodeColumns {
		return false
	}
	for _, c := range g.l.Group {
		if f.Column == c {
			return false
		}
	}
	return true
}

// unplaced is a row nobody knows the message of: the messages before and behind it are refused with
// it, because it may have been a row of either.
func (g *messages) unplaced(r *tabular.Row, f *tabular.Fault) (done *group) {
	near := tabular.Fault{Row: r.Number, Code: tabular.CodeNeighbour}
	if done = g.open; done != nil {
		done.fault(near)
	}
	g.open = nil
	if r.Head == nil {
		r.Head, _ = tabular.NewHead(nil)
	}
	alone := &group{m: &tabular.Message{File: g.file, Rows: []*tabular.Row{r}, ID: g.id("row " + strconv.Itoa(r.Number))}}
	alone.fault(*f)
	g.spoiled = &near
	g.open, g.key = alone, "\x00"
	return done
}

func (g *messages) begin(r *tabular.Row, key string) {
	m := &tabular.Message{File: g.file, Type: g.l.As}
	if g.l.Type != "" {
		m.Type = r.Cell(g.l.Type)
	}
	if len(g.l.Group) > 0 {
		m.Key, m.ID = strings.TrimSuffix(strings.ReplaceAll(key, "\x1f", "|"), "|"), g.id("key "+key)
	} else {
		m.ID = g.id("row " + strconv.Itoa(r.Number))
	}
	g.open, g.key = &group{m: m}, key
	g.open.lane = r.Joined(g.l.Lane)
	if g.spoiled != nil {
		if len(g.l.Group) > 0 {
			g.open.fault(*g.spoiled)
		}
		g.spoiled = nil
	}
	if len(g.l.Group) == 0 {
		return
	}
	d := digestOf("key " + key)
	if row, twice := g.seen[d]; twice {
		g.open.fault(tabular.Fault{Row: r.Number, Code: tabular.CodeApart, What: strconv.Itoa(row)})
	}
	g.seen[d] = r.Number
}

func (g *messages) repeated(r *tabular.Row, key string) {
	d := digestOf(key + "\x1e" + r.Part + "\x1e" + strings.Join(r.Cells, "\x1f"))
	if row, twice := g.seen[d]; twice {
		g.open.fault(tabular.Fault{Row: r.Number, Code: tabular.CodeDuplicate, What: strconv.Itoa(row)})
		return
	}
	g.seen[d] = r.Number
}

func (g *group) fault(f tabular.Fault) {
	if len(g.faults) < maxFaults {
		g.faults = append(g.faults, f)
	}
}

func (g *messages) keyOf(r *tabular.Row) string {
	var b strings.Builder
	for _, c := range g.l.Group {
		b.WriteString(r.Cell(c))
		b.WriteByte('\x1f')
	}
	return b.String()
}

// id is fit for a request id: of the file's bytes and the place in it.
func (g *messages) id(key string) string {
	d := digestOf(key)
	return "F" + g.digest[:20] + "-" + hex.EncodeToString(d[:8])
}

// survey reads all of a file once: its digest, and whether it is UTF-8 or else GB18030.
func survey(in io.Reader) (digest, charset string, err error) {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	var left []byte // of a letter that is not whole yet
	utf, first := true, true
	for {
		n, err := in.Read(buf)
		h.Write(buf[:n])
		if first && n >= 2 {
			if a, b := buf[0], buf[1]; a == 0xff && b == 0xfe || a == 0xfe && b == 0xff {
				return "", "", whole(0, tabular.CodeCharset, "UTF-16")
			}
			first = false
		}
		if utf {
			left = append(left, buf[:n]...)
			for len(left) > 0 {
				if left[0] < utf8.RuneSelf {
					i := 1
					for i < len(left) && left[i] < utf8.RuneSelf {
						i++
					}
					left = left[i:]
					continue
				}
				r, size := utf8.DecodeRune(left)
				if r == utf8.RuneError && size <= 1 {
					if !utf8.FullRune(left) && err != io.EOF {
						break
					}
					utf = false
					break
				}
				left = left[size:]
			}
			left = append([]byte(nil), left...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", "", err
		}
	}
	if utf && len(left) == 0 {
		charset = "utf-8"
	} else {
		charset = "gb18030"
	}
	return hex.EncodeToString(h.Sum(nil)), charset, nil
}
