// Package strictjson reads JSON that other people wrote, and believes nothing.
//
// It refuses what encoding/json lets through: duplicate member names, trailing bytes, invalid
// UTF-8, lone surrogates, very long numbers, exponents (unless allowed), deep nesting and
// oversized texts. Numbers keep the literal they were written with (json.Number); there is no
// float anywhere.
//
// A decoded value is one of nil, bool, string, json.Number, []any or map[string]any.
package strictjson

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits bounds what Decode accepts. A zero field means the default of Request.
type Limits struct {
	MaxBytes  int  // whole text, bytes
	MaxDepth  int  // nesting of arrays and objects; never more than 1000
	MaxNumber int  // length of one number literal, bytes
	MaxNodes  int  // values in the whole document
	Exponent  bool // allow 1e3 forms, up to two exponent digits
	Compact   bool // refuse blanks between tokens (Syntax, or Trailing behind the value)
}

// deepest bounds MaxDepth whatever a caller asks for: reading is recursive.
const deepest = 1000

// Request returns the limits for messages we are asked to act on: 8 MiB, depth 32, number
// literals of 32 bytes, no exponents.
func Request() Limits {
	return Limits{MaxBytes: 8 << 20, MaxDepth: 32, MaxNumber: 32, MaxNodes: 1 << 20}
}

// Reply returns the limits for answers of a centre: as Request, 32 MiB, exponents allowed
// (a "no limit" price is printed in scientific notation by some centres).
func Reply() Limits {
	return Limits{MaxBytes: 32 << 20, MaxDepth: 64, MaxNumber: 48, MaxNodes: 4 << 20, Exponent: true}
}

func (l Limits) filled() Limits {
	d := Request()
	if l.MaxBytes <= 0 {
		l.MaxBytes = d.MaxBytes
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = d.MaxDepth
	}
	if l.MaxDepth > deepest {
		l.MaxDepth = deepest
	}
	if l.MaxNumber <= 0 {
		l.MaxNumber = d.MaxNumber
	}
	if l.MaxNodes <= 0 {
		l.MaxNodes = d.MaxNodes
	}
	return l
}

// Kind says what was wrong with a text.
type Kind string

// The kinds of refusal; each is permanent and documented in docs/errors.md.
const (
	Syntax    Kind = "json-syntax" // also a text that ends too early, and unescaped control characters
	Trailing  Kind = "json-trailing"
	Duplicate Kind = "json-duplicate"
	UTF8      Kind = "json-utf8" // invalid UTF-8, or half a surrogate pair in an escape
	Depth     Kind = "json-depth"
	Size      Kind = "json-size"   // too many bytes, or too many values
	Number    Kind = "json-number" // too long, an exponent where none is allowed, NaN and friends
)

// Error tells where and why a text was refused. It never carries a value of the text; Path names
// members, of which each is cut to 64 bytes.
type Error struct {
	Kind   Kind
	Offset int    // byte offset of the fault
	Path   string // JSON Pointer of the innermost value being read, "" for the document
}

func (e *Error) Error() string {
	return "strictjson: " + string(e.Kind) + " at byte " + strconv.Itoa(e.Offset) + " " + strconv.Quote(e.Path)
}

// Decode reads exactly one JSON value from b. Every refusal is an *Error. Strings and numbers in
// the result do not alias b; they share one private copy of it, so whoever keeps a small piece of
// a large text for long should strings.Clone it.
func Decode(b []byte, lim Limits) (any, error) {
	p := begin(lim)
	defer p.end()
	var v any
	if err := p.document(b, func(i int) (int, bool) {
		var ok bool
		v, i, ok = p.value(i)
		return i, ok
	}); err != nil {
		return nil, err
	}
	return v, nil
}

// Member is one member of an object, with the bytes its value was written in.
type Member struct {
	Name  string
	Value any
	Raw   []byte // aliases the text given to Members
}

// Members reads exactly one JSON object from b as Decode does, and gives its members in the order
// they were written. It serves those who must sign, verify or pass on the very bytes of a member.
// A text that is another kind of value is a Syntax error.
func Members(b []byte, lim Limits) ([]Member, error) {
	p := begin(lim)
	defer p.end()
	var run []member
	if err := p.document(b, func(i int) (int, bool) {
		if i >= len(p.s) || p.s[i] != '{' {
			return p.fail(Syntax, i)
		}
		p.nodes++
		var ok bool
		run, i, ok = p.members(i)
		if ok {
			_, ok = p.asMap(run)
		}
		return i, ok
	}); err != nil {
		return nil, err
	}
	out := make([]Member, len(run))
	for i, m := range run {
		out[i] = Member{Name: m.name, Value: m.value, Raw: b[m.from:m.to:m.to]}
	}
	return out, nil
}

// document reads one value with read and sees to what surrounds it: size, UTF-8, blanks, the end.
func (p *parser) document(b []byte, read func(int) (int, bool)) error {
	if len(b) > p.lim.MaxBytes {
		return &Error{Kind: Size, Offset: p.lim.MaxBytes}
	}
	if bad := invalidUTF8(b); bad >= 0 {
		// Reading what comes before the bad byte finds an earlier fault, or the path.
		p.s = string(b[:bad])
		if i, ok := read(p.blanks(0)); ok {
			if i = p.blanks(i); i < bad {
				return &Error{Kind: Trailing, Offset: i}
			}
			return &Error{Kind: UTF8, Offset: bad}
		}
		if p.err.Offset >= bad {
			p.err.Kind, p.err.Offset = UTF8, bad
		}
		return p.err
	}
	p.s = string(b)
	i, ok := read(p.blanks(0))
	if !ok {
		return p.err
	}
	if i = p.blanks(i); i < len(p.s) {
		return &Error{Kind: Trailing, Offset: i}
	}
	return nil
}

// invalidUTF8 gives the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// pointer gives one step of a JSON Pointer.
func pointer(name string) string {
	const most = 64
	if len(name) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "…"
	}
	if strings.ContainsAny(name, "~/") {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
	}
	return "/" + name
}
