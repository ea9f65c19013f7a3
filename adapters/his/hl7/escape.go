package hl7

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// unescape reads \F\ \S\ \T\ \R\ \E\ \P\, \Xhh..\ (bytes in the message's charset), \.br\ and the other
// formatting commands. What it does not know stays as it is.
func (m *Message) unescape(s string) string {
	e := m.delims.escape
	if e == 0 || strings.IndexByte(s, e) < 0 {
		return s
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, e)
		if i < 0 {
			break
		}
		j := strings.IndexByte(s[i+1:], e)
		if j < 0 {
			break
		}
		b.WriteString(s[:i])
		code := s[i+1 : i+1+j]
		if text, ok := m.escaped(code); ok {
			b.WriteString(text)
		} else {
			b.WriteString(s[i : i+j+2])
		}
		s = s[i+j+2:]
	}
	b.WriteString(s)
	return b.String()
}

func (m *Message) escaped(code string) (string, bool) {
	d := m.delims
	one := func(c byte) (string, bool) {
		if c == 0 {
			return "", true
		}
		return string(rune(c)), true
	}
	switch code {
	case "F":
		return one(d.field)
	case "S":
		return one(d.component)
	case "T":
		return one(d.sub)
	case "R":
		return one(d.repetition)
	case "E":
		return one(d.escape)
	case "P":
		return "#", true
	case "H", "N", ".nf", ".fi", ".ce":
		return "", true
	case ".br":
		return "\n", true
	}
	switch {
	case strings.HasPrefix(code, ".sp"):
		return "\n", true
	case strings.HasPrefix(code, ".in"), strings.HasPrefix(code, ".ti"), strings.HasPrefix(code, ".sk"):
		return " ", true
	case strings.HasPrefix(code, "X") && len(code) > 1:
		raw, err := hex.DecodeString(code[1:])
		if err != nil {
			return "", false
		}
		text, err := m.charset.decode(raw)
		return text, err == nil && utf8.ValidString(text)
	}
	return "", false
}

// escape is the other way round, for what we write: always the usual delimiters.
func escape(s string) string {
	if !strings.ContainsAny(s, "|^~\\&\r\n") {
		return s
	}
	return escaper.Replace(s)
}

var escaper = strings.NewReplacer("\\", `\E\`, "|", `\F\`, "^", `\S\`, "&", `\T\`, "~", `\R\`, "\r\n", `\.br\`, "\r", `\.br\`, "\n", `\.br\`)
