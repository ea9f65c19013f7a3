package strictjson

import (
	"encoding/json"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads s once, left to right. Values of open arrays and members of open objects wait on
// two stacks until their bracket closes, so that each slice and map is made once, in its size.
type parser struct {
	s     string
	lim   Limits
	nodes int
	depth int
	items []any
	mems  []member
	buf   []byte // for strings with escapes
	err   *Error
}

// parsers are kept for their stacks, which every text would otherwise grow anew.
var parsers = sync.Pool{New: func() any { return new(parser) }}

func begin(lim Limits) *parser {
	p := parsers.Get().(*parser)
	p.lim = lim.filled()
	return p
}

// end gives the parser back, empty; one whose stacks a large text has blown up is dropped.
func (p *parser) end() {
	if cap(p.mems) > 256 || cap(p.items) > 1024 || cap(p.buf) > 64<<10 {
		return
	}
	clear(p.mems[:cap(p.mems)])
	clear(p.items[:cap(p.items)])
	clear(p.buf[:cap(p.buf)])
	*p = parser{mems: p.mems[:0], items: p.items[:0], buf: p.buf[:0]}
	parsers.Put(p)
}

type member struct {
	name     string
	value    any
	at       int // of the name
	from, to int // of the value
}

// fail notes a fault; the result is for returning.
func (p *parser) fail(k Kind, at int) (int, bool) {
	p.err = &Error{Kind: k, Offset: at}
	return at, false
}

// blanks gives the offset of the next token; when blanks are refused it stays, for the reader to
// stumble over them.
func (p *parser) blanks(i int) int {
	if p.lim.Compact {
		return i
	}
	for i < len(p.s) {
		switch p.s[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// value reads the value that begins at i and gives the offset behind it.
func (p *parser) value(i int) (v any, next int, ok bool) {
	p.nodes++
	if p.nodes > p.lim.MaxNodes {
		next, ok = p.fail(Size, i)
		return nil, next, ok
	}
	if i >= len(p.s) {
		next, ok = p.fail(Syntax, i)
		return nil, next, ok
	}
	switch p.s[i] {
	case '"':
		var t string
		if t, next, ok = p.text(i); ok {
			v = t
		}
		return v, next, ok
	case '{':
		base := len(p.mems)
		var run []member
		if run, next, ok = p.members(i); ok {
			v, ok = p.asMap(run)
			p.mems = p.mems[:base]
		}
		return v, next, ok
	case '[':
		return p.array(i)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		if next, ok = p.number(i); ok {
			v = json.Number(p.s[i:next])
		}
		return v, next, ok
	case 't':
		if strings.HasPrefix(p.s[i:], "true") {
			return true, i + 4, true
		}
	case 'f':
		if strings.HasPrefix(p.s[i:], "false") {
			return false, i + 5, true
		}
	case 'n':
		if strings.HasPrefix(p.s[i:], "null") {
			return nil, i + 4, true
		}
	}
	next, ok = p.fail(p.oddKind(i), i)
	return nil, next, ok
}

// oddKind tells a would-be number (NaN, Infinity, +1, .5) from other rubbish.
func (p *parser) oddKind(i int) Kind {
	rest := p.s[i:min(len(p.s), i+3)]
	if rest[0] == '+' || rest[0] == '.' || strings.EqualFold(rest, "nan") || strings.EqualFold(rest, "inf") {
		return Number
	}
	return Syntax
}

// members reads the object that begins at i. Its members are left on the stack; the run is valid
// until the next read. Duplicates are asMap's business.
func (p *parser) members(i int) (run []member, next int, ok bool) {
	if p.depth >= p.lim.MaxDepth {
		next, ok = p.fail(Depth, i)
		return nil, next, ok
	}
	p.depth++
	base := len(p.mems)
	i = p.blanks(i + 1)
	if i < len(p.s) && p.s[i] == '}' {
		p.depth--
		return nil, i + 1, true
	}
	for {
		if i >= len(p.s) || p.s[i] != '"' {
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
		at := i
		var name string
		if name, i, ok = p.text(i); !ok {
			return nil, i, false
		}
		if i < len(p.s) && p.s[i] != ':' {
			i = p.blanks(i)
		}
		if i >= len(p.s) || p.s[i] != ':' {
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
		i = p.blanks(i + 1)
		from := i
		var v any
		if v, i, ok = p.value(i); !ok {
			p.err.Path = pointer(name) + p.err.Path
			return nil, i, false
		}
		p.mems = append(p.mems, member{name: name, value: v, at: at, from: from, to: i})
		i = p.blanks(i)
		if i >= len(p.s) {
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
		switch p.s[i] {
		case ',':
			i = p.blanks(i + 1)
		case '}':
			p.depth--
			return p.mems[base:], i + 1, true
		default:
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
	}
}

// asMap makes the map of an object; a name that comes twice is a fault at its second coming.
func (p *parser) asMap(run []member) (map[string]any, bool) {
	m := make(map[string]any, len(run))
	for i := range run {
		m[run[i].name] = run[i].value
	}
	if len(m) == len(run) {
		return m, true
	}
	clear(m)
	for i := range run {
		if _, twice := m[run[i].name]; twice {
			p.fail(Duplicate, run[i].at)
			p.err.Path = pointer(run[i].name)
			break
		}
		m[run[i].name] = nil
	}
	return nil, false
}

func (p *parser) array(i int) (v any, next int, ok bool) {
	if p.depth >= p.lim.MaxDepth {
		next, ok = p.fail(Depth, i)
		return nil, next, ok
	}
	p.depth++
	base := len(p.items)
	i = p.blanks(i + 1)
	if i < len(p.s) && p.s[i] == ']' {
		p.depth--
		return []any{}, i + 1, true
	}
	for {
		var item any
		if item, i, ok = p.value(i); !ok {
			p.err.Path = "/" + strconv.Itoa(len(p.items)-base) + p.err.Path
			return nil, i, false
		}
		p.items = append(p.items, item)
		i = p.blanks(i)
		if i >= len(p.s) {
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
		switch p.s[i] {
		case ',':
			i = p.blanks(i + 1)
		case ']':
			p.depth--
			list := make([]any, len(p.items)-base)
			copy(list, p.items[base:])
			p.items = p.items[:base]
			return list, i + 1, true
		default:
			next, ok = p.fail(Syntax, i)
			return nil, next, ok
		}
	}
}

// number reads the number literal that begins at i, a digit or a minus sign.
func (p *parser) number(i int) (next int, ok bool) {
	s, from := p.s, i
	if s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case i < len(s) && s[i] >= '1' && s[i] <= '9':
		i = digits(s, i)
	default:
		return p.fail(Number, i)
	}
	if i < len(s) && s[i] == '.' {
		j := digits(s, i+1)
		if j == i+1 {
			return p.fail(Number, j)
		}
		i = j
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		if !p.lim.Exponent {
			return p.fail(Number, i)
		}
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		j := digits(s, i)
		if j == i || j > i+2 {
			return p.fail(Number, i)
		}
		i = j
	}
	if i < len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == '+', c == '-':
			return p.fail(Number, i) // 01, 0x1, 1.2.3, 1f
		}
	}
	if i-from > p.lim.MaxNumber {
		return p.fail(Number, from)
	}
	return i, true
}

func digits(s string, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// text reads the string whose opening quote is at i.
func (p *parser) text(i int) (t string, next int, ok bool) {
	from := i + 1
	i = special(p.s, from)
	if i < len(p.s) && p.s[i] == '"' {
		return p.s[from:i], i + 1, true
	}
	p.buf = append(p.buf[:0], p.s[from:i]...)
	for {
		if i >= len(p.s) || p.s[i] < 0x20 {
			next, ok = p.fail(Syntax, i)
			return "", next, ok
		}
		if p.s[i] == '"' {
			return string(p.buf), i + 1, true
		}
		if i, ok = p.escape(i); !ok {
			return "", i, false
		}
		j := special(p.s, i)
		p.buf = append(p.buf, p.s[i:j]...)
		i = j
	}
}

// escape reads the escape sequence whose backslash is at i into buf.
func (p *parser) escape(i int) (next int, ok bool) {
	if i+1 >= len(p.s) {
		return p.fail(Syntax, len(p.s))
	}
	c := p.s[i+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, at := hex4(p.s, i+2)
		if r < 0 {
			return p.fail(Syntax, at)
		}
		next = i + 6
		if utf16.IsSurrogate(r) {
			if next+1 >= len(p.s) || p.s[next] != '\\' || p.s[next+1] != 'u' {
				return p.fail(UTF8, i)
			}
			low, at := hex4(p.s, next+2)
			if low < 0 {
				return p.fail(Syntax, at)
			}
			if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
				return p.fail(UTF8, i)
			}
			next += 6
		}
		p.buf = utf8.AppendRune(p.buf, r)
		return next, true
	default:
		return p.fail(Syntax, i+1)
	}
	p.buf = append(p.buf, c)
	return i + 2, true
}

// hex4 reads four hexadecimal digits at i; -1 and the offset of the fault when there are none.
func hex4(s string, i int) (rune, int) {
	var r rune
	for n := 0; n < 4; n++ {
		if i+n >= len(s) {
			return -1, len(s)
		}
		c := s[i+n]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1, i + n
		}
		r = r<<4 | rune(c)
	}
	return r, i + 4
}

// special gives the offset of the first byte from i on that is a quote, a backslash or a control
// character, or len(s). Eight bytes are looked at in one step.
func special(s string, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		w := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		hit := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs
		if hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
	}
	for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= 0x20 {
		i++
	}
	return i
}
