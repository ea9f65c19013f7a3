package files

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/transform"

	"yiqiao/adapters/his/tabular"
	"yiqiao/schemas/sheet"
	"yiqiao/schemas/strictjson"
)

// Limits of one file.
const (
	maxLine  = 1 << 20
	maxCells = 1000
	maxRows  = 1_000_000
	maxBook  = 32 << 20 // a workbook is held in memory
)

// raw is a row as a format gives it, before anybody has looked into its cells.
type raw struct {
	row   *tabular.Row
	fault *tabular.Fault // it can not be used
}

// rows gives one row after another, io.EOF behind the last. Any other error is a wholeFault.
type rows interface{ next() (raw, error) }

// wholeFault is why a file as a whole is refused.
type wholeFault struct{ tabular.Fault }

func (f *wholeFault) Error() string { return "files: " + f.Code + " " + f.What }

func whole(row int, code, format string, a ...any) error {
	return &wholeFault{tabular.Fault{Row: row, Code: code, What: fmt.Sprintf(format, a...)}}
}

// open reads the head and gives the rows behind it. charset is what survey found out.
func (l Layout) open(name, charset string, in io.ReaderAt, size int64) (rows, *tabular.Head, error) {
	if l.Charset != "" {
		charset = l.Charset
	}
	section := func() io.Reader { return io.NewSectionReader(in, 0, size) }
	var r rows
	var err error
	switch l.formatOf(name) {
	case "csv", "tsv":
		r = l.separated(decoded(section(), charset), l.formatOf(name) == "tsv")
	case "xlsx":
		r, err = workbook(section(), size)
	case "fixed":
		head, err := tabular.NewHead(l.widths())
		if err != nil {
			return nil, nil, whole(0, tabular.CodeColumns, "%v", err)
		}
		return &fixed{l.Fixed, head, lines(section()), charset, 0}, head, l.lacking(head)
	case "jsonl":
		return &jsonl{lines(decoded(section(), charset)), 0}, nil, nil
	default:
		return nil, nil, whole(0, tabular.CodeSyntax, "ending: .csv .tsv .txt .xlsx .jsonl")
	}
	if err != nil {
		return nil, nil, err
	}
	names := l.Names
	first := 1
	if len(names) == 0 {
		got, err := r.next()
		if err == io.EOF {
			return nil, nil, whole(0, tabular.CodeColumns, "empty")
		}
		if err != nil {
			return nil, nil, err
		}
		if got.fault != nil {
			return nil, nil, &wholeFault{*got.fault}
		}
		if f := cellFaults(got.row.Cells); f != nil {
			return nil, nil, whole(got.row.Number, f.Code, "%s", f.What)
		}
		names, first = got.row.Cells, got.row.Number
		for len(names) > 0 && tabular.Trim(names[len(names)-1]) == "" && l.formatOf(name) == "xlsx" {
			names = names[:len(names)-1]
		}
	}
	head, err := tabular.NewHead(names)
	if err != nil {
		return nil, nil, whole(first, tabular.CodeColumns, "%v", err)
	}
	return &headed{r, head, l.formatOf(name) == "xlsx", l.Trailer}, head, l.lacking(head)
}

func (l Layout) widths() []string {
	names := make([]string, len(l.Fixed))
	for i, w := range l.Fixed {
		names[i] = w.Name
	}
	return names
}

func (l Layout) lacking(h *tabular.Head) error {
	if missing := h.Lacks(l.needs()); len(missing) > 0 {
		return whole(1, tabular.CodeColumns, "%s; 文件中有 / there are: %s", strings.Join(missing, ", "), clip(strings.Join(h.Names(), ", "), 300))
	}
	return nil
}

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// decoded is UTF-8 without a mark, whatever the file is in. What can not be read becomes U+FFFD.
func decoded(r io.Reader, charset string) io.Reader {
	if charset == "gb18030" {
		return transform.NewReader(r, simplifiedchinese.GB18030.NewDecoder())
	}
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		_, _ = b.Discard(3)
	}
	return b
}

// headed holds rows against their head.
type headed struct {
	rows
	head    *tabular.Head
	short   bool // rows may end early: a workbook drops empty cells
	trailer string
}

func (h *headed) next() (raw, error) {
	got, err := h.rows.next()
	if err != nil || got.fault != nil {
		return got, err
	}
	got.row.Head = h.head
	cells, want := got.row.Cells, len(h.head.Names())
	if h.trailer != "" && len(cells) > 0 && tabular.Trim(cells[0]) == h.trailer {
		return got, nil
	}
	for h.short && len(cells) > want && tabular.Trim(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1]
	}
	if len(cells) > want || len(cells) < want && !h.short {
		got.fault = &tabular.Fault{Row: got.row.Number, Code: tabular.CodeCells, What: fmt.Sprintf("%d/%d", len(cells), want)}
	}
	got.row.Cells = cells
	return got, nil
}

// separated is csv and tsv.
type separated struct {
	r    *csv.Reader
	gate *gate
	n    int
	at   int // line of the row before
}

// gate lets at most so many bytes through for one row: a quote that is never closed would read on to
// the end of the file.
type gate struct {
	in   io.Reader
	left int
}

var errTooLong = errors.New("the row is too long")

func (g *gate) Read(b []byte) (int, error) {
	if g.left <= 0 {
		return 0, errTooLong
	}
	n, err := g.in.Read(b[:min(len(b), g.left)])
	g.left -= n
	return n, err
}

func (l Layout) separated(in io.Reader, tabs bool) rows {
	g := &gate{in: in}
	r := csv.NewReader(g)
	r.FieldsPerRecord, r.ReuseRecord = -1, false
	switch {
	case tabs:
		r.Comma = '\t'
	case l.Comma != "":
		r.Comma = []rune(l.Comma)[0]
	}
	return &separated{r: r, gate: g}
}

func (s *separated) next() (raw, error) {
	for {
		s.gate.left = maxLine + 8192 // the reader below reads ahead
		cells, err := s.r.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, errTooLong):
			return raw{}, whole(s.at+1, tabular.CodeLimits, "row > %d bytes, or a quote that is not closed", maxLine)
		case errors.As(err, &bad):
			// Where rows end is not sure any more: nothing of the file is used.
			return raw{}, whole(bad.StartLine, tabular.CodeSyntax, "quote")
		case err == io.EOF:
			return raw{}, io.EOF
		case err != nil:
			return raw{}, err
		}
		s.at, _ = s.r.FieldPos(0)
		if s.n++; s.n > maxRows {
			return raw{}, whole(s.at, tabular.CodeLimits, "rows > %d", maxRows)
		}
		if blank(cells) {
			continue
		}
		row := &tabular.Row{Cells: cells, Number: s.at}
		if len(cells) > maxCells {
			return raw{row: row, fault: &tabular.Fault{Row: row.Number, Code: tabular.CodeLimits, What: "cells"}}, nil
		}
		return raw{row: row}, nil
	}
}

func blank(cells []string) bool {
	for _, c := range cells {
		if tabular.Trim(c) != "" {
			return false
		}
	}
	return true
}

// fixed is lines of columns that have a width.
type fixed struct {
	widths  []Width
	head    *tabular.Head
	in      *bufio.Scanner
	charset string
	n       int
}

func lines(in io.Reader) *bufio.Scanner {
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxLine)
	return s
}

// scan gives the next line that is not empty, and its number.
func scan(in *bufio.Scanner, n *int) ([]byte, error) {
	for in.Scan() {
		if *n++; *n > maxRows {
			return nil, whole(*n, tabular.CodeLimits, "rows > %d", maxRows)
		}
		line := bytes.TrimSuffix(in.Bytes(), []byte("\r"))
		if *n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
	}
	switch err := in.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, whole(*n+1, tabular.CodeLimits, "row > %d bytes", maxLine)
	case err != nil:
		return nil, err
	}
	return nil, io.EOF
}

func (f *fixed) next() (raw, error) {
	line, err := scan(f.in, &f.n)
	if err != nil {
		return raw{}, err
	}
	row := &tabular.Row{Head: f.head, Number: f.n}
	at := 0
	for _, w := range f.widths {
		at += w.Bytes
	}
	if len(line) != at {
		return raw{row: row, fault: &tabular.Fault{Row: f.n, Code: tabular.CodeCells, What: fmt.Sprintf("%d/%d bytes", len(line), at)}}, nil
	}
	for _, w := range f.widths {
		cell := line[:w.Bytes]
		line = line[w.Bytes:]
		if f.charset == "gb18030" {
			if cell, err = simplifiedchinese.GB18030.NewDecoder().Bytes(cell); err != nil {
				cell = []byte("\ufffd")
			}
		}
		// A letter cut in two by a border shows as one that can not be read.
		row.Cells = append(row.Cells, strings.ToValidUTF8(string(cell), "\ufffd"))
	}
	return raw{row: row}, nil
}

// jsonl is one flat object a line.
type jsonl struct {
	in *bufio.Scanner
	n  int
}

func (j *jsonl) next() (raw, error) {
	line, err := scan(j.in, &j.n)
	if err != nil {
		return raw{}, err
	}
	row := &tabular.Row{Number: j.n}
	bad := func(what string) (raw, error) {
		row.Head, _ = tabular.NewHead(nil)
		return raw{row: row, fault: &tabular.Fault{Row: j.n, Code: tabular.CodeSyntax, What: what}}, nil
	}
	v, err := strictjson.Decode(line, strictjson.Reply())
	m, ok := v.(map[string]any)
	if err != nil || !ok {
		return bad("JSON object")
	}
	flat := map[string]string{}
	if !flatten(m, "", flat) || len(flat) > maxCells {
		return bad("JSON list")
	}
	names := make([]string, 0, len(flat))
	for name := range flat {
		if name != PartColumn {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	if row.Head, err = tabular.NewHead(names); err != nil {
		return bad("JSON member name")
	}
	for _, n := range row.Head.Names() {
		row.Cells = append(row.Cells, flat[n])
	}
	row.Part = flat[PartColumn]
	return raw{row: row}, nil
}

// PartColumn is the member of a JSON line that says which part, or detail table, its row belongs to.
const PartColumn = "$part"

// flatten writes members as a.b; lists have no place in a row.
func flatten(m map[string]any, at string, out map[string]string) bool {
	for name, v := range m {
		switch x := v.(type) {
		case nil:
		case map[string]any:
			if !flatten(x, at+name+".", out) {
				return false
			}
		case []any:
			return false
		case string:
			out[at+name] = x
		default:
			out[at+name] = string(strictjson.Append(nil, v))
		}
	}
	return true
}

// book is the first sheet of a workbook, held in memory.
type book struct {
	list     []sheet.Row
	formulas map[int]string // by row: the first cell that is one
}

func workbook(in io.Reader, size int64) (rows, error) {
	if size > maxBook {
		return nil, whole(0, tabular.CodeLimits, "xlsx > %d bytes", maxBook)
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, err
	}
	list, err := sheet.Read("x.xlsx", b)
	if err != nil {
		return nil, whole(0, tabular.CodeSyntax, "xlsx")
	}
	formulas, err := sheet.Formulas(b)
	if err != nil {
		return nil, whole(0, tabular.CodeSyntax, "xlsx")
	}
	return &book{list, formulas}, nil
}

func (b *book) next() (raw, error) {
	if len(b.list) == 0 {
		return raw{}, io.EOF
	}
	r := b.list[0]
	b.list = b.list[1:]
	out := raw{row: &tabular.Row{Cells: r.Cells, Number: r.Number}}
	if at := b.formulas[r.Number]; at != "" {
		out.fault = &tabular.Fault{Row: r.Number, Code: tabular.CodeFormula, What: at}
	}
	return out, nil
}

var exponent = regexp.MustCompile(`^[+-]?\d(\.\d+)?[eE]\+?\d+$`)

// cellFaults finds the first cell that can not be what somebody meant. Column is its index, from 1, in What.
func cellFaults(cells []string) *tabular.Fault {
	for i, c := range cells {
		code := ""
		switch t := tabular.Trim(c); {
		case strings.IndexByte(c, 0) >= 0:
			code = tabular.CodeZero
		case strings.ContainsRune(c, utf8.RuneError):
			code = tabular.CodeCharset
		case strings.HasPrefix(t, "="):
			code = tabular.CodeFormula
		case len(t) < 40 && exponent.MatchString(t):
			code = tabular.CodeExponent
		}
		if code != "" {
			return &tabular.Fault{Code: code, What: fmt.Sprint(i + 1)}
		}
	}
	return nil
}

// asText takes ="001", which spreadsheets are made to keep as text, for what it means.
func asText(cells []string) {
	for i, c := range cells {
		t := tabular.Trim(c)
		if inner, ok := strings.CutPrefix(t, `="`); ok && strings.HasSuffix(inner, `"`) && !strings.ContainsAny(inner[:len(inner)-1], `"&()`) {
			cells[i] = inner[:len(inner)-1]
		}
	}
}
