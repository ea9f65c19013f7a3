// Package mapping turns what a HIS says into orders for the desk, by definitions that are data: a
// YAML file says for every target where its value comes from, and this package reads it.
//
// A definition is checked against the interface tables when it is loaded: an unknown target, a value
// that can not fit, a required target nobody fills and a path the source's notation does not have
// are errors with file and line. What it does with a message can be asked for value by value
// (Trace), and is tested by cases that lie beside it. docs/mapping.md shows the whole on one page.
//
//	mapping: clinic-a
//	version: "3"
//	source: hl7
//	tables:
//	  sex: {dict: gend, values: {M: "1", F: "2"}}
//	events:
//	  charge:
//	    type: DFT^P03
//	    when: at("PV1-2") == "O"
//	    do: settlement.open
//	    set:
//	      request_id: MSH-10            # a path in the source's notation
//	      psn_setlway: ="01"            # a literal
//	      total: {expr: 'sum(all("FT1-11.1"))'}
//	      fees:
//	        each: FT1                   # one row for each FT1
//	        set:
//	          id: FT1-2
//	          code: {from: FT1-7.1, item: code, on: FT1-4}
//
// Amounts stay text from the source to the target; nothing here computes with floating point.
package mapping

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
)

// Options are what definitions are read against.
type Options struct {
	Catalog   *catalog.Catalog   // required
	Tables    *codes.Tables      // dictionaries; required
	Notations []gateway.Notation // those a definition may be written in
	Items     gateway.Items      // local to national codes; nil: definitions that need them are refused
}

// File is where definitions lie inside their folder.
const File = "mapping.yaml"

// Fault is one thing wrong with a definition.
type Fault struct {
	File string `json:"file"`
	Line int    `json:"line"` // 0: the file as a whole
	Text string `json:"text"` // Chinese / English
}

// Error is all that is wrong with a definition, in the order of its lines.
type Error []Fault

func (e Error) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
	return strings.Join(lines, "\n")
}

// Definition is a loaded mapping. It is immutable, implements gateway.Mapper and is safe for
// concurrent use.
type Definition struct {
	Name    string
	Number  string // the version its author gave
	Digest  string // 8 hex digits over everything it was read from
	Source  string // notation
	About   string
	events  []*event
	items   gateway.Items
	rules   []*rule // all, in the order of the file, for coverage
	version string
}

var _ gateway.Mapper = (*Definition)(nil)

// Version names it as it is written beside what it made: "clinic-a@3 (0f31c2aa)".
func (d *Definition) Version() string { return d.version }

// Base finds a definition another extends: the text of its mapping.yaml.
type Base func(name string) ([]byte, error)

// Folder gives the definitions of a file system, one folder each, as bases.
func Folder(fsys fs.FS) Base {
	return func(name string) ([]byte, error) {
		if !fs.ValidPath(name) || name == "." {
			return nil, fs.ErrNotExist
		}
		return fs.ReadFile(fsys, name+"/"+File)
	}
}

// Load reads the definition text that came from file; base finds what it extends, and may be nil.
// What is wrong with the text is an Error.
func Load(file string, text []byte, base Base, o Options) (*Definition, error) {
	if o.Catalog == nil || o.Tables == nil {
		return nil, errors.New("mapping: catalogue and dictionaries are required")
	}
	raw, err := read(file, text, base, 0)
	if err != nil {
		return nil, err
	}
	return compile(raw, o)
}

// Codes of findings about what a message holds, beside those of package check. Each is permanent.
const (
	CodeNoEvent    = "map-event-unknown"
	CodeUnlisted   = "map-value-unlisted"
	CodeItem       = "map-item-unknown"
	CodeForm       = "map-value-form"
	CodeExpression = "map-expression"
	CodeTooMany    = "map-too-many"
)

// FindingCodes lists them for docs/errors.md.
func FindingCodes() []check.Meaning {
	return []check.Meaning{
		{Code: CodeNoEvent, ZH: "映射中没有处理这种消息的规则", EN: "the mapping has no event for this message"},
		{Code: CodeUnlisted, ZH: "来源取值不在对照表中", EN: "the value table does not list the source's value"},
		{Code: CodeItem, ZH: "本地项目在费用发生日没有有效的国家编码", EN: "the local item has no national code valid on the day of the charge"},
		{Code: CodeForm, ZH: "来源取值不能按目标类型读取 (日期、数字或是否)", EN: "the source's value can not be read as the target's type (date, number, yes or no)"},
		{Code: CodeExpression, ZH: "映射中的表达式未能算出结果", EN: "an expression of the mapping gave no result"},
		{Code: CodeTooMany, ZH: "重复组过多", EN: "too many repetitions"},
	}
}
