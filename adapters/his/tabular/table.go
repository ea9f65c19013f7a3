// Package tabular is what the HIS adapters that read rows have in common, whether the rows lie in files
// or in the HIS's database: the rows of one message, the paths a mapping writes for them, and a Clerk
// that has a message mapped and carried out and says in rows what came of it.
//
// A Message is one or more Rows that belong together: the lines of a bill in a CSV file, or the row
// of a view and the rows of its detail tables. Everything in a cell is text, as the source wrote it.
//
// Paths (notation "csv" for files, "sql" for databases):
//
//	金额              the column, of the row at hand; from the message: of its first row, for All of every row
//	/金额             the column of the message's first row, wherever the path is used
//	[类别=费用]金额    the column of the rows whose column 类别 is 费用
//	[fee]金额         the column of the rows of the part fee: a detail table
//	$id $row $key $file   what the reader says of the message: an id made from where it came from
//
// and for each: * (every row), / (the first row), 金额 (every row where it is not empty),
// [类别=费用] and [fee].
package tabular

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// Head is the columns of rows, shared by all of them.
type Head struct {
	names []string
	index map[string]int
}

// NewHead gives the head of a table. Names are trimmed; an empty one, one that is there twice and one
// that a path could not name are errors.
func NewHead(names []string) (*Head, error) {
	h := &Head{names: make([]string, len(names)), index: make(map[string]int, len(names))}
	for i, n := range names {
		n = Trim(n)
		h.names[i] = n
		at := strconv.Itoa(i + 1)
		switch _, twice := h.index[n]; {
		case n == "":
			return nil, errors.New("第 " + at + " 列没有列名 / column " + at + " has no name")
		case twice:
			return nil, errors.New("列名 " + n + " 重复 / column " + n + " is there twice")
		case !plain(n):
			return nil, errors.New("列名 " + n + " 含有 [ ] $ / 等开头或控制字符 / can not be named in a path")
		}
		h.index[n] = i
	}
	return h, nil
}

// Names are the columns in their order.
func (h *Head) Names() []string { return h.names }

// Has reports whether there is such a column.
func (h *Head) Has(name string) bool { _, ok := h.index[name]; return ok }

// Lacks gives the names that are not among the columns.
func (h *Head) Lacks(names []string) (missing []string) {
	for _, n := range names {
		if !h.Has(n) {
			missing = append(missing, n)
		}
	}
	return missing
}

// Row is one row. Cells may be fewer than the columns: what is not there is empty.
type Row struct {
	Head   *Head
	Cells  []string
	Number int    // in the file, counted from 1; in a database the place within the message
	Part   string // name of the detail table it came from, "" for the message's own
}

// Cell is the trimmed text of a column, "" when there is none.
func (r *Row) Cell(name string) string {
	if i, ok := r.Head.index[name]; ok && i < len(r.Cells) {
		return Trim(r.Cells[i])
	}
	return ""
}

// Joined is the texts of several columns as one, "" when all are empty.
func (r *Row) Joined(columns []string) string {
	var b strings.Builder
	some := false
	for _, c := range columns {
		text := r.Cell(c)
		some = some || text != ""
		b.WriteString(text)
		b.WriteByte('\x1f')
	}
	if !some {
		return ""
	}
	return b.String()
}

// Message is rows that are carried out as one. Rows is never empty.
type Message struct {
	Type string // of the event
	ID   string // made from where it came from; the same source gives the same id. Fit for a request id
	Key  string // what its rows have in common, for people
	File string
	Rows []*Row
}

// Trim takes blanks off both ends, also the wide one.
func Trim(s string) string {
	return strings.Trim(s, " \t\r\n\u3000\u00a0\ufeff")
}

// Source is a message as a mapping sees it. notation is that of the definition.
func (m *Message) Source(notation string) gateway.Source {
	return gateway.Source{Notation: notation, Type: m.Type, ID: m.ID, Scope: &scope{m: m}}
}

// scope is a message, or one of its rows.
type scope struct {
	m  *Message
	at *Row
}

// Notation is the paths of rows, under the name of a kind of source: csv or sql.
type Notation struct{ Kind string }

// Name implements gateway.Notation.
func (n Notation) Name() string { return n.Kind }

type path struct {
	virtual  string
	absolute bool   // of the first row
	narrowed bool   // [...] stands before it
	part     string // [part]
	col, is  string // [col=is]
	column   string // "" and "*": the row itself
}

// Compile implements gateway.Notation.
func (Notation) Compile(text string) (gateway.Path, error) {
	wrong := errors.New("路径应形如 金额, /金额, [类别=费用]金额, [fee]金额 或 $id / a path looks like AMOUNT, /AMOUNT, [KIND=FEE]AMOUNT, [fee]AMOUNT or $id")
	p := &path{}
	switch text {
	case "$id", "$row", "$key", "$file":
		p.virtual = text
		return p, nil
	case "*":
		return p, nil
	case "/":
		p.absolute = true
		return p, nil
	}
	rest := text
	if inner, ok := strings.CutPrefix(rest, "["); ok {
		which, behind, closed := strings.Cut(inner, "]")
		if !closed || which == "" {
			return nil, wrong
		}
		p.narrowed, rest = true, behind
		var byValue bool
		if p.col, p.is, byValue = strings.Cut(which, "="); !byValue {
			p.part, p.col = p.col, ""
		}
		if byValue && (!plain(p.col) || p.is == "") || !byValue && !plain(p.part) {
			return nil, wrong
		}
		if rest == "" {
			return p, nil
		}
	} else if rest, p.absolute = strings.CutPrefix(rest, "/"); rest == "" {
		return nil, wrong
	}
	if !plain(rest) || Trim(rest) != rest {
		return nil, wrong
	}
	p.column = rest
	return p, nil
}

// plain reports whether a name can stand in a path.
func plain(name string) bool {
	return name != "" && name != "*" && !strings.ContainsAny(name[:1], "[/$") && !strings.ContainsAny(name, "[]\x00\r\n\t") && len(name) <= 200
}

// rows are those the path is about.
func (p *path) rows(v any) []*Row {
	s, ok := v.(*scope)
	switch {
	case !ok || len(s.m.Rows) == 0:
		return nil
	case p.absolute:
		return s.m.Rows[:1]
	case p.narrowed:
		var out []*Row
		for _, r := range s.m.Rows {
			if p.col == "" && r.Part == p.part || p.col != "" && r.Cell(p.col) == p.is {
				out = append(out, r)
			}
		}
		return out
	case s.at != nil:
		return []*Row{s.at}
	}
	return s.m.Rows
}

// Value implements gateway.Path.
func (p *path) Value(v any) (string, bool) {
	if p.virtual != "" {
		s, ok := v.(*scope)
		return s.said(p.virtual), ok
	}
	rows := p.rows(v)
	if len(rows) == 0 || p.column == "" {
		return "", false
	}
	text := rows[0].Cell(p.column)
	return text, text != ""
}

func (s *scope) said(what string) string {
	if s == nil {
		return ""
	}
	switch what {
	case "$id":
		return s.m.ID
	case "$key":
		return s.m.Key
	case "$file":
		return s.m.File
	}
	r := s.at
	if r == nil {
		r = s.m.Rows[0]
	}
	return strconv.Itoa(r.Number)
}

// All implements gateway.Path.
func (p *path) All(v any) []string {
	if p.virtual != "" {
		if text, ok := p.Value(v); ok {
			return []string{text}
		}
		return nil
	}
	var out []string
	for _, r := range p.rows(v) {
		if text := r.Cell(p.column); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// Each implements gateway.Path.
func (p *path) Each(v any) []any {
	s, ok := v.(*scope)
	if !ok {
		return nil
	}
	from := v
	if s.at != nil {
		from = &scope{m: s.m} // a row holds no rows: all of the message
	}
	var out []any
	for _, r := range p.rows(from) {
		if p.column == "" || r.Cell(p.column) != "" {
			out = append(out, &scope{s.m, r})
		}
	}
	return out
}

// Codes of findings about rows that can not be read. Each is permanent.
const (
	CodeCells     = "row-cells"
	CodeDuplicate = "row-duplicate"
	CodeFormula   = "row-formula"
	CodeExponent  = "row-exponent"
	CodeZero      = "row-zero-byte"
	CodeCharset   = "row-charset"
	CodeApart     = "row-apart"
	CodeLimits    = "row-limits"
	CodeSyntax    = "row-syntax"
	CodeColumns   = "row-columns"
	CodeNeighbour = "row-neighbour"
	CodeKeyTwice  = "row-key-twice"
)

// FindingCodes lists them for docs/errors.md.
func FindingCodes() []check.Meaning {
	return []check.Meaning{
		{Code: CodeCells, ZH: "单元格数与表头不一致, 可能错列", EN: "the row has not as many cells as the head: columns may have shifted"},
		{Code: CodeDuplicate, ZH: "与前面的行完全相同", EN: "the row repeats one before it"},
		{Code: CodeFormula, ZH: "单元格是公式, 请导出为数值", EN: "the cell holds a formula: export values"},
		{Code: CodeExponent, ZH: "数字被写成科学计数法, 位数已丢失, 请把该列设为文本", EN: "a number in scientific notation has lost digits: make the column text"},
		{Code: CodeZero, ZH: "单元格中有零字节", EN: "the cell holds a zero byte"},
		{Code: CodeCharset, ZH: "文字不能按字符集读取", EN: "the text can not be read in its character set"},
		{Code: CodeApart, ZH: "同一单据的行没有放在一起", EN: "rows of one message do not stand together"},
		{Code: CodeLimits, ZH: "行、单据或文件过大", EN: "a row, a message or the file is too large"},
		{Code: CodeSyntax, ZH: "不能按文件格式解析", EN: "it can not be read in the file's format"},
		{Code: CodeColumns, ZH: "缺少必要的列, 或列名有误", EN: "a column that is needed is not there, or a name is wrong"},
		{Code: CodeKeyTwice, ZH: "视图中有多行使用同一主键, 无法确定以哪一行为准", EN: "several rows of the view have this key: which of them counts can not be known"},
		{Code: CodeNeighbour, ZH: "相邻的行不可读, 无法确定它是否属于这份单据", EN: "a row beside it can not be read, and may belong to this message"},
	}
}

// Fault is why a row, or all of a file, can not be used.
type Fault struct {
	Row    int    `json:"row,omitempty"` // 0: the file as a whole
	Column string `json:"column,omitempty"`
	Code   string `json:"code"`
	What   string `json:"what,omitempty"` // the figures behind the code; never a cell's text
}

// Finding is the fault in the words of its code.
func (f Fault) Finding() check.Finding {
	out := check.Finding{Code: f.Code, Rule: f.What, Severity: check.Error}
	codes := FindingCodes()
	if i := slices.IndexFunc(codes, func(m check.Meaning) bool { return m.Code == f.Code }); i >= 0 {
		out.ZH, out.EN = codes[i].ZH, codes[i].EN
	}
	return out
}
