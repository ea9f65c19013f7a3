// Package hl7 takes HL7 version 2 messages (2.3 to 2.8) over MLLP, on TCP or TLS, and hands what a
// mapping makes of them to the desk.
//
// The parser is our own: no HL7 library for Go that could be fetched reads GB18030, and a message has
// to be decoded before it is split, because the second byte of 464 GBK characters is a delimiter.
// It takes the delimiters from the message, CR, LF and CRLF as ends of segments, repetitions,
// components, subcomponents, escapes and FHS/BHS batches. Segments are not judged by a schema: what
// must be there is the mapping's business.
//
// A message is answered AA only after the journal holds what it asks for; AE says that the message is
// at fault, AR that the gateway could not take it now or does not take such messages. What the
// answer's segments mean is in docs/mapping.md.
package hl7

import (
	"fmt"
	"strings"
)

// Message is one parsed message. It is immutable.
type Message struct {
	delims   delimiters
	segments []segment
	charset  charset
}

// delimiters are field, component, repetition, escape and subcomponent. 0: there is none.
type delimiters struct{ field, component, repetition, escape, sub byte }

var usual = delimiters{'|', '^', '~', '\\', '&'}

// segment is one line; fields[0] is its name. In MSH fields[1] is the field separator and fields[2]
// the other delimiters, as the standard counts them.
type segment struct{ fields []string }

// Limits of one message.
const (
	maxSegments = 20_000
	maxFields   = 2_000 // in one segment
)

// ParseError says what is wrong with a message. It holds nothing of the content.
type ParseError struct {
	Reason  Reason
	Segment int    // counted from 1, 0 unknown
	What    string // English, for the log and ERR-7
}

// Reason is a class of faults.
type Reason string

const (
	NoHeader   Reason = "no-msh"
	Delimiters Reason = "delimiters"
	Charset    Reason = "charset"
	Encoding   Reason = "encoding" // bytes that are not in the charset
	BadSegment Reason = "segment"
	TooMany    Reason = "too-many"
	BadBatch   Reason = "batch"
)

func (e *ParseError) Error() string {
	if e.Segment > 0 {
		return fmt.Sprintf("hl7: %s in segment %d: %s", e.Reason, e.Segment, e.What)
	}
	return fmt.Sprintf("hl7: %s: %s", e.Reason, e.What)
}

// Parse reads one message, bytes as they came between the frame's ends. fallback is the charset of a
// message whose MSH-18 is empty or says ASCII while it is not: "" finds out (UTF-8 when it is valid,
// else GB18030).
func Parse(b []byte, fallback string) (*Message, error) {
	m := &Message{delims: usual}
	if len(b) < 8 || string(b[:3]) != "MSH" {
		return m, &ParseError{NoHeader, 1, "the message does not begin with MSH"}
	}
	var err error
	if m.delims, err = delimitersOf(b); err != nil {
		return m, err
	}
	m.charset, err = charsetOf(b, m.delims, fallback)
	if err != nil {
		// Enough is read of the header, as ASCII, for an answer to be addressed.
		m.header(b)
		return m, err
	}
	text, err := m.charset.decode(b)
	if err != nil {
		m.header(b)
		return m, err
	}
	return m, m.split(text)
}

// delimitersOf reads MSH-1 and MSH-2.
func delimitersOf(b []byte) (delimiters, error) {
	d := delimiters{field: b[3]}
	end := 4
	for end < len(b) && b[end] != d.field && b[end] != '\r' && b[end] != '\n' {
		end++
	}
	list := b[4:end]
	if len(list) < 1 || len(list) > 5 {
		return usual, &ParseError{Delimiters, 1, "MSH-2 must hold one to five delimiters"}
	}
	for i, into := range []*byte{&d.component, &d.repetition, &d.escape, &d.sub} {
		if i < len(list) {
			*into = list[i]
		}
	}
	seen := map[byte]bool{}
	for _, c := range append([]byte{d.field}, list...) {
		letter := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if c <= ' ' || c >= 0x7f || letter || seen[c] {
			return usual, &ParseError{Delimiters, 1, "a delimiter is a letter, a digit, not printable or given twice"}
		}
		seen[c] = true
	}
	return d, nil
}

// split cuts decoded text into segments and fields.
func (m *Message) split(text string) error {
	fields := strings.Count(text, string(rune(m.delims.field))) + strings.Count(text, "\r") + strings.Count(text, "\n") + 2
	pool := make([]string, 0, fields+2)
	for n := 1; text != ""; {
		end := strings.IndexAny(text, "\r\n")
		line := text
		if end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = ""
		}
		if line == "" {
			continue
		}
		if len(m.segments) >= maxSegments {
			return &ParseError{TooMany, n, "too many segments"}
		}
		if len(line) < 3 || !isName(line[:3]) || len(line) > 3 && line[3] != m.delims.field {
			return &ParseError{BadSegment, n, "a line is no segment: three letters and a delimiter are wanted"}
		}
		if n > 1 && line[:3] == "MSH" {
			return &ParseError{BadSegment, n, "a second MSH in one message"}
		}
		from := len(pool)
		pool = m.fieldsOf(pool, line)
		if len(pool)-from > maxFields {
			return &ParseError{TooMany, n, "too many fields"}
		}
		m.segments = append(m.segments, segment{pool[from:len(pool):len(pool)]})
		n++
	}
	return nil
}

func (m *Message) fieldsOf(pool []string, line string) []string {
	pool = append(pool, line[:3])
	if len(line) == 3 {
		return pool
	}
	rest := line[4:]
	if line[:3] == "MSH" {
		pool = append(pool, line[3:4])
	}
	for {
		i := strings.IndexByte(rest, m.delims.field)
		if i < 0 {
			return append(pool, rest)
		}
		pool = append(pool, rest[:i])
		rest = rest[i+1:]
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// header keeps what can be read of MSH when the rest can not: bytes beyond ASCII become "?".
func (m *Message) header(b []byte) {
	line := b
	for i, c := range b {
		if c == '\r' || c == '\n' {
			line = b[:i]
			break
		}
	}
	safe := make([]byte, len(line))
	for i, c := range line {
		if c >= 0x80 || c < ' ' {
			c = '?'
		}
		safe[i] = c
	}
	m.segments = []segment{{m.fieldsOf(nil, string(safe))}}
}

// field is the raw text of a field, all repetitions.
func (s segment) field(n int) string {
	if n < 0 || n >= len(s.fields) {
		return ""
	}
	return s.fields[n]
}

// piece is the n-th part of s between delimiters, counted from 1. Without a delimiter s is the first.
func piece(s string, delim byte, n int) string {
	if delim == 0 {
		if n == 1 {
			return s
		}
		return ""
	}
	for ; n > 1; n-- {
		i := strings.IndexByte(s, delim)
		if i < 0 {
			return ""
		}
		s = s[i+1:]
	}
	if i := strings.IndexByte(s, delim); i >= 0 {
		return s[:i]
	}
	return s
}

// text is one subcomponent of a repetition's raw text, unescaped.
func (m *Message) text(rep string, component, sub int) string {
	c := piece(rep, m.delims.component, component)
	return m.unescape(piece(c, m.delims.sub, sub))
}

// Header is a field of MSH, its first component; 0 components deep 1.
func (m *Message) Header(field, component int) string {
	if len(m.segments) == 0 {
		return ""
	}
	f := m.segments[0].field(field)
	if field <= 2 {
		return f
	}
	return m.text(piece(f, m.delims.repetition, 1), component, 1)
}

// Type is the message's type and event: DFT^P03.
func (m *Message) Type() string {
	t, e := m.Header(9, 1), m.Header(9, 2)
	if e == "" {
		return t
	}
	return t + "^" + e
}

// ID is MSH-10.
func (m *Message) ID() string { return m.Header(10, 1) }
