package envelope

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"yiqiao/schemas/strictjson"
)

// canon writes the canonical text of a JSON text while it reads it, without making values of it:
// strings are copied as they stand, members are put in order where they were written. It vouches
// only for what is plain: no \u or \/ escapes, no exponents, no names beyond U+DFFF. Everything else,
// and everything that is wrong, it leaves to strictjson and writer, which read all there is and know
// what to call a fault. What it accepts they accept, with the same text; a fuzz target holds it to that.
type canon struct {
	src   []byte
	lim   strictjson.Limits
	nodes int
	depth int
	mems  []canonMember // of the objects that are open
	tmp   []byte        // an object's members while they are put in order

	// The rows of a list mostly have the same names in the same order: shape is what the last object
	// whose members were put in order looked like, rank[k] which of them comes k-th.
	shape []canonMember
	rank  []int
	at    []span // members of a row that looks the same
}

// canonMember is one member of an object: its name in src, quotes left out, and its text in the
// output (of a row: its value in src), which is empty when the member is dropped. Offsets, no pointers: many are moved about.
type canonMember struct{ from, to, start, end int }

// maxPlainMembers bounds what is sorted by insertion.
const maxPlainMembers = 64

// maxPlainNumber is the longest number literal that is surely within every limit.
const maxPlainNumber = 32

// appendCanonical appends the canonical text of the object or the array that is raw. ok is false
// when that is for others to decide; dst is then as it was, and the bytes behind it are undefined.
func (c *canon) appendCanonical(dst, raw []byte, lim strictjson.Limits) (out []byte, ok bool) {
	if len(raw) == 0 || len(raw) > lim.MaxBytes || !utf8.Valid(raw) {
		return dst, false
	}
	c.src, c.lim, c.nodes, c.depth, c.mems, c.shape = raw, lim, 0, 0, c.mems[:0], c.shape[:0]
	i := c.blanks(0)
	if i >= len(raw) || raw[i] != '{' && raw[i] != '[' {
		return dst, false
	}
	from := len(dst)
	out, i, ok = c.value(dst, i)
	if !ok || len(out) == from || c.blanks(i) != len(raw) {
		return dst[:from], false
	}
	return out, true
}

// blanks gives the offset of the next token.
func (c *canon) blanks(i int) int {
	if i < len(c.src) && c.src[i] > ' ' {
		return i
	}
	return c.moreBlanks(i)
}

func (c *canon) moreBlanks(i int) int {
	for i < len(c.src) {
		switch c.src[i] {
		case ' ', '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// value writes the value at i. A value that is empty in the sense of isEmpty writes nothing.
func (c *canon) value(dst []byte, i int) (out []byte, next int, ok bool) {
	c.nodes++
	if c.nodes > c.lim.MaxNodes || i >= len(c.src) {
		return dst, i, false
	}
	switch c.src[i] {
	case '"':
		end, ok := c.text(i)
		if !ok || end == i+2 {
			return dst, end, ok
		}
		return append(dst, c.src[i:end]...), end, true
	case '{':
		return c.object(dst, i)
	case '[':
		return c.array(dst, i)
	case 't':
		return c.word(dst, i, "true")
	case 'f':
		return c.word(dst, i, "false")
	case 'n':
		if bytes.HasPrefix(c.src[i:], []byte("null")) {
			return dst, i + 4, true
		}
		return dst, i, false
	}
	return c.number(dst, i)
}

func (c *canon) word(dst []byte, i int, word string) ([]byte, int, bool) {
	if len(c.src)-i < len(word) || string(c.src[i:i+len(word)]) != word {
		return dst, i, false
	}
	dst = append(append(append(dst, '"'), word...), '"')
	return dst, i + len(word), true
}

// text gives the offset behind the string at i when its escapes are those appendString writes.
func (c *canon) text(i int) (next int, ok bool) {
	for i++; ; i += 2 {
		i = plainRun(c.src, i)
		if i >= len(c.src) {
			return i, false
		}
		if c.src[i] == '"' {
			return i + 1, true
		}
		if c.src[i] != '\\' || i+1 >= len(c.src) {
			return i, false
		}
		switch c.src[i+1] {
		case '"', '\\', 'b', 'f', 'n', 'r', 't':
		default:
			return i, false
		}
	}
}

// plainRun gives the offset of the first byte from i on that is a quote, a backslash or a control
// character.
func plainRun(s []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		quote, slash := w^(ones*'"'), w^(ones*'\\')
		if hit := ((quote-ones)&^quote | (slash-ones)&^slash | (w-ones*0x20)&^w) & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)>>3
		}
	}
	for i < len(s) && s[i] != '"' && s[i] != '\\' && s[i] >= 0x20 {
		i++
	}
	return i
}

// number writes the number at i.
func (c *canon) number(dst []byte, from int) ([]byte, int, bool) {
	s, i := c.src, from
	if s[i] == '-' {
		i++
	}
	first := i
	i = digitRun(s, i)
	if i == first || s[first] == '0' && i > first+1 {
		return dst, i, false
	}
	if i < len(s) && s[i] == '.' {
		point := i
		if i = digitRun(s, i+1); i == point+1 {
			return dst, i, false
		}
	}
	if i-from > maxPlainNumber || i >= len(s) {
		return dst, i, false
	}
	switch s[i] {
	case ',', ']', '}', ' ', '\n', '\r', '\t':
	default: // an exponent, or no number
		return dst, i, false
	}
	lit := s[from:i]
	dst = append(dst, '"')
	// Java writes these as they stand; -0 and very small numbers it does not.
	if lit[0] != '-' && !bytes.HasPrefix(lit, []byte("0.00000")) {
		dst = append(dst, lit...)
	} else {
		dst = append(dst, numberText(string(lit))...)
	}
	return append(dst, '"'), i, true
}

func digitRun(s []byte, i int) int {
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

// array writes the array at i; an empty one writes nothing, one with an empty item is not ours.
func (c *canon) array(dst []byte, i int) ([]byte, int, bool) {
	if c.depth >= c.lim.MaxDepth {
		return dst, i, false
	}
	c.depth++
	from := len(dst)
	i = c.blanks(i + 1)
	if i < len(c.src) && c.src[i] == ']' {
		c.depth--
		return dst, i + 1, true
	}
	dst = append(dst, '[')
	for {
		before := len(dst)
		var ok bool
		if dst, i, ok = c.value(dst, i); !ok || len(dst) == before {
			return dst[:from], i, false
		}
		if i = c.blanks(i); i >= len(c.src) {
			return dst[:from], i, false
		}
		switch c.src[i] {
		case ',':
			dst = append(dst, ',')
			i = c.blanks(i + 1)
		case ']':
			c.depth--
			return append(dst, ']'), i + 1, true
		default:
			return dst[:from], i, false
		}
	}
}

// object writes the object at i, its members in the order they have and then, if need be, in the
// order of their names.
func (c *canon) object(dst []byte, i int) ([]byte, int, bool) {
	if c.depth >= c.lim.MaxDepth {
		return dst, i, false
	}
	if out, next, ok := c.row(dst, i); ok {
		return out, next, true
	}
	c.depth++
	from, base := len(dst), len(c.mems)
	dst = append(dst, '{')
	sorted := true
	i = c.blanks(i + 1)
	if i < len(c.src) && c.src[i] == '}' {
		c.depth--
		return append(dst, '}'), i + 1, true
	}
	for {
		m, end, ok := c.name(i, len(c.mems)-base)
		if !ok {
			return dst[:from], i, false
		}
		m.start = len(dst)
		dst = append(append(dst, c.src[i:end]...), ':')
		if i = c.blanks(end); i >= len(c.src) || c.src[i] != ':' {
			return dst[:from], i, false
		}
		value := len(dst)
		if dst, i, ok = c.value(dst, c.blanks(i+1)); !ok {
			return dst[:from], i, false
		}
		if len(dst) == value {
			dst = dst[:m.start] // dropped
		} else {
			dst = append(dst, ',')
		}
		m.end = len(dst)
		if n := len(c.mems); sorted && n > base {
			sorted = c.compare(c.mems[n-1], m) < 0
		}
		c.mems = append(c.mems, m)
		if i = c.blanks(i); i >= len(c.src) {
			return dst[:from], i, false
		}
		if c.src[i] == ',' {
			i = c.blanks(i + 1)
			continue
		}
		if c.src[i] != '}' {
			return dst[:from], i, false
		}
		break
	}
	if !sorted && !c.order(dst, from+1, c.mems[base:]) {
		return dst[:from], i, false
	}
	c.mems = c.mems[:base]
	c.depth--
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = '}'
		return dst, i + 1, true
	}
	return append(dst, '}'), i + 1, true
}

// row writes the object at i when its values are strings, plain numbers and nulls, which the rows of
// a list are: it copies each member once, from where it stands to where it belongs. ok is false when
// the object is another one; nothing has happened then.
func (c *canon) row(dst []byte, i int) ([]byte, int, bool) {
	if out, next, ok := c.sameRow(dst, i); ok {
		return out, next, true
	}
	base, before := len(c.mems), c.nodes
	defer func() { c.mems = c.mems[:base] }()
	src := c.src
	sorted := true
	for i = c.blanks(i + 1); ; i = c.blanks(i + 1) {
		m, next, ok := c.name(i, len(c.mems)-base)
		if !ok {
			break
		}
		if i = c.blanks(next); i >= len(src) || src[i] != ':' {
			break
		}
		i = c.blanks(i + 1)
		c.nodes++
		if m.start = i; i >= len(src) {
			break
		}
		switch b := src[i]; {
		case b == '"':
			if i, ok = c.text(i); i == m.start+2 {
				m.start = i // dropped
			}
		case b >= '1' && b <= '9':
			i, ok = c.amount(i)
		case b == 'n' && bytes.HasPrefix(src[i:], []byte("null")):
			i += 4
			m.start = i
		default:
			ok = false
		}
		if m.end = i; !ok {
			break
		}
		if n := len(c.mems); sorted && n > base {
			sorted = c.compare(c.mems[n-1], m) < 0
		}
		c.mems = append(c.mems, m)
		if i = c.blanks(i); i >= len(src) {
			break
		}
		if src[i] == ',' {
			continue
		}
		mems := c.mems[base:]
		if src[i] != '}' || c.nodes > c.lim.MaxNodes || !sorted && !c.sameShape(mems) && !c.learn(mems) {
			break
		}
		return c.emit(dst, mems, sorted), i + 1, true
	}
	c.nodes = before
	return dst, i, false
}

// sameRow writes the object at i when it is written as the one shape comes from: the same names in the same
// order, no blanks, and strings without escapes that are not empty. It compares names and quotes in one go and
// copies each member with the comma behind it. ok is false for any other object; nothing has happened then.
func (c *canon) sameRow(dst []byte, i int) ([]byte, int, bool) {
	src, shape := c.src, c.shape
	if len(shape) == 0 || c.nodes+len(shape) > c.lim.MaxNodes {
		return dst, i, false
	}
	from := i
	at := slices.Grow(c.at[:0], len(shape))[:len(shape)]
	c.at = at
	i++
	for k := range shape {
		s := &shape[k]
		n := s.to - s.from + 4 // "name":"
		if n > len(src)-i || src[i+n-1] != '"' || src[i+n-2] != ':' || string(src[i:i+n]) != string(src[s.from-1:s.from-1+n]) {
			return dst, from, false
		}
		end := plainRun(src, i+n)
		if end+1 >= len(src) || src[end] != '"' || end == i+n {
			return dst, from, false
		}
		at[k] = span{i, end + 2}
		if i = end + 2; src[end+1] != ',' && (src[end+1] != '}' || k+1 < len(shape)) || src[end+1] == ',' && k+1 == len(shape) {
			return dst, from, false
		}
	}
	c.nodes += len(shape)
	n := len(dst)
	dst = slices.Grow(dst, i-from)[:n+i-from]
	dst[n] = '{'
	n++
	for _, k := range c.rank {
		n += copy(dst[n:], src[at[k].from:at[k].to])
		dst[n-1] = ','
	}
	dst[n-1] = '}'
	return dst, i, true
}

// amount reads a number that Java writes as it stands: no sign, no leading zero, no exponent.
func (c *canon) amount(i int) (next int, ok bool) {
	from := i
	if i = digitRun(c.src, i); i < len(c.src) && c.src[i] == '.' {
		point := i
		if i = digitRun(c.src, i+1); i == point+1 {
			return i, false
		}
	}
	if i-from > maxPlainNumber || i >= len(c.src) {
		return i, false
	}
	switch c.src[i] {
	case ',', '}', ' ', '\n', '\r', '\t':
		return i, true
	}
	return i, false
}

// emit writes the members of a row, which lie in src, in their order.
func (c *canon) emit(dst []byte, mems []canonMember, sorted bool) []byte {
	dst = append(dst, '{')
	for k := range mems {
		m := mems[k]
		if !sorted {
			m = mems[c.rank[k]]
		}
		switch {
		case m.start == m.end:
			continue
		case c.src[m.start] != '"':
			dst = append(append(dst, c.src[m.from-1:m.to+1]...), ':', '"')
			dst = append(append(dst, c.src[m.start:m.end]...), '"', ',')
		case m.start == m.to+2:
			dst = append(append(dst, c.src[m.from-1:m.end]...), ',')
		default:
			dst = append(append(dst, c.src[m.from-1:m.to+1]...), ':')
			dst = append(append(dst, c.src[m.start:m.end]...), ',')
		}
	}
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = '}'
		return dst
	}
	return append(dst, '}')
}

// name reads the name at i, the k-th of its object; next is the offset behind its closing quote.
func (c *canon) name(i, k int) (m canonMember, next int, ok bool) {
	if i >= len(c.src) || c.src[i] != '"' {
		return m, i, false
	}
	if k < len(c.shape) { // most likely the name that stood here in the row before, quotes and all
		s := c.shape[k]
		if n := s.to - s.from + 2; n <= len(c.src)-i && string(c.src[i:i+n]) == string(c.src[s.from-1:s.to+1]) {
			return canonMember{from: i + 1, to: i + n - 1}, i + n, true
		}
	}
	next, ok = c.text(i)
	if !ok || !plainName(c.src[i+1:next-1]) {
		return m, i, false
	}
	return canonMember{from: i + 1, to: next - 1}, next, true
}

func (c *canon) compare(a, b canonMember) int {
	return bytes.Compare(c.src[a.from:a.to], c.src[b.from:b.to])
}

// order puts members in order and rewrites their text, which begins at from; false when a name
// comes twice.
func (c *canon) order(dst []byte, from int, mems []canonMember) bool {
	if !c.sameShape(mems) && !c.learn(mems) {
		return false
	}
	c.tmp = append(c.tmp[:0], dst[from:]...)
	at := from
	for _, k := range c.rank {
		m := mems[k]
		at += copy(dst[at:], c.tmp[m.start-from:m.end-from])
	}
	return true
}

// sameShape tells whether mems have the names of shape, in its order.
func (c *canon) sameShape(mems []canonMember) bool {
	if len(mems) != len(c.shape) {
		return false
	}
	for k, m := range mems {
		if s := c.shape[k]; string(c.src[m.from:m.to]) != string(c.src[s.from:s.to]) {
			return false
		}
	}
	return true
}

// learn sorts the names of mems into shape and rank; false when one comes twice.
func (c *canon) learn(mems []canonMember) bool {
	if len(mems) > maxPlainMembers {
		return false
	}
	c.shape, c.rank = append(c.shape[:0], mems...), c.rank[:0]
	for k := range mems {
		c.rank = append(c.rank, k)
		for j := k; j > 0; j-- {
			order := c.compare(mems[c.rank[j-1]], mems[c.rank[j]])
			if order == 0 {
				c.shape = c.shape[:0]
				return false
			}
			if order < 0 {
				break
			}
			c.rank[j-1], c.rank[j] = c.rank[j], c.rank[j-1]
		}
	}
	return true
}

// plainName tells whether a name orders by its bytes as by its UTF-16 units.
func plainName(name []byte) bool {
	for _, b := range name {
		if b >= 0xee || b == '\\' {
			return false
		}
	}
	return true
}

// scratch is what one message needs beside its result. It holds the application's secret and what
// the message says: it is cleared before it waits for the next.
type scratch struct {
	canon     canon
	buf, text []byte
	spans     []span
	dropItems bool
}

// keep bounds what waits for the next message.
const keep = 64 << 10

func newScratch(pool *sync.Pool, dropItems bool) *scratch {
	s, ok := pool.Get().(*scratch)
	if !ok {
		s = new(scratch)
	}
	s.dropItems = dropItems
	return s
}

func (s *scratch) free(pool *sync.Pool) {
	if cap(s.buf) > keep || cap(s.text) > keep || cap(s.canon.tmp) > keep || cap(s.canon.mems) > 1024 {
		return
	}
	for _, b := range [][]byte{s.buf, s.text, s.canon.tmp} {
		clear(b[:cap(b)])
	}
	s.canon.src = nil
	s.buf, s.text, s.spans = s.buf[:0], s.text[:0], s.spans[:0]
	pool.Put(s)
}

// appendHex writes upper-case hex, eight digits in one step.
func appendHex(dst, b []byte) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 2*len(b))[:at+2*len(b)]
	out := dst[at:]
	for len(b) >= 4 && len(out) >= 8 {
		binary.LittleEndian.PutUint64(out, uint64(pairs[b[0]])|uint64(pairs[b[1]])<<16|uint64(pairs[b[2]])<<32|uint64(pairs[b[3]])<<48)
		b, out = b[4:], out[8:]
	}
	for k, c := range b {
		binary.LittleEndian.PutUint16(out[2*k:], pairs[c])
	}
	return dst
}

// pairs are the two digits of each byte, the first one in the low half. What is looked up in it travels.
var pairs = func() (t [256]uint16) {
	const digits = "0123456789ABCDEF"
	for b := range t {
		t[b] = uint16(digits[b>>4]) | uint16(digits[b&15])<<8
	}
	return t
}()

// hexDigits gives the upper-case digits of eight numbers below 16.
func hexDigits(n uint64) uint64 {
	const ones = 0x0101010101010101
	return n + ones*'0' + ((n+ones*6)>>4&ones)*('A'-'0'-10)
}

// decodeHex reads hex in either case, eight digits in one step; false for anything else. The empty
// text is no bytes.
func decodeHex(s []byte) ([]byte, bool) {
	const ones = 0x0101010101010101
	if len(s)%2 != 0 {
		return nil, false
	}
	dst := make([]byte, len(s)/2)
	out, wrong := dst, uint64(0)
	for len(s) >= 8 && len(out) >= 4 {
		x := binary.LittleEndian.Uint64(s)
		letter := x >> 6 & ones
		n := x&(ones*0x0f) + letter*9
		// The digits of n are x but for the case of letters, or x was no hex.
		wrong |= n&(ones*0xf0) | (hexDigits(n) ^ x&^(letter<<5))
		y := (n<<4 | n>>8) & 0x00ff00ff00ff00ff
		y = (y | y>>8) & 0x0000ffff0000ffff
		binary.LittleEndian.PutUint32(out, uint32(y|y>>16))
		s, out = s[8:], out[4:]
	}
	for ; len(s) > 0; s, out = s[2:], out[1:] {
		hi, lo := hexValue(s[0]), hexValue(s[1])
		if hi < 0 || lo < 0 {
			return nil, false
		}
		out[0] = byte(hi<<4 | lo)
	}
	return dst, wrong == 0
}

func hexValue(c byte) int {
	if c >= 'A' && c <= 'F' {
		c += 'a' - 'A'
	}
	return strings.IndexByte("0123456789abcdef", c)
}
