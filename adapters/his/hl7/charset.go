package hl7

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charset is how a message's bytes are text.
type charset uint8

const (
	utf8Set charset = iota
	gbSet           // GB18030, and with it GBK and GB2312
	latinSet
)

// Name is the charset as MSH-18 has it (table 0211).
func (c charset) Name() string { return [...]string{"UNICODE UTF-8", "GB 18030-2000", "8859/1"}[c] }

// charsets are the names that are understood; those that are not here are refused.
var charsets = map[string]charset{
	"UNICODEUTF8": utf8Set, "UTF8": utf8Set,
	"GB180302000": gbSet, "GB18030": gbSet, "GBK": gbSet, "GB2312": gbSet, "GB23121980": gbSet, "CP936": gbSet,
	"88591": latinSet, "ISO88591": latinSet,
}

// vague are names that say little of what is really sent.
var vague = map[string]bool{"": true, "ASCII": true, "UNICODE": true}

// nameOf folds a name: UNICODE UTF-8 and utf8 are one.
func nameOf(s string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "/", "", "_", "").Replace(s))
}

// charsetOf finds the charset before anything is decoded. MSH-18 is read twice: byte by byte, and with
// pairs of bytes kept together as GBK has them; whichever reading gives a name that fits itself counts.
func charsetOf(b []byte, d delimiters, fallback string) (charset, error) {
	plain, paired := nameOf(msh18(b, d, false)), nameOf(msh18(b, d, true))
	if c, ok := charsets[paired]; ok && c == gbSet {
		return c, nil
	}
	if c, ok := charsets[plain]; ok {
		return c, nil
	}
	valid := utf8.Valid(b)
	if valid && !vague[plain] || !valid && !vague[paired] {
		return utf8Set, &ParseError{Charset, 1, "MSH-18 names a charset that is not known"}
	}
	if fallback != "" {
		if c, ok := charsets[nameOf(fallback)]; ok {
			return c, nil
		}
	}
	if valid {
		return utf8Set, nil
	}
	return gbSet, nil
}

// msh18 is the first repetition of MSH-18 in bytes.
func msh18(b []byte, d delimiters, pairs bool) string {
	field, from := 1, 3
	for i := 3; i < len(b) && b[i] != '\r' && b[i] != '\n'; i++ {
		switch {
		case pairs && b[i] >= 0x81 && i+1 < len(b) && b[i+1] >= 0x40:
			i++
		case b[i] == d.field:
			if field == 18 {
				return first(b[from:i], d)
			}
			field, from = field+1, i+1
		}
		if i+1 == len(b) || b[i+1] == '\r' || b[i+1] == '\n' {
			if field == 18 {
				return first(b[from:i+1], d)
			}
		}
	}
	return ""
}

func first(b []byte, d delimiters) string {
	if i := bytes.IndexByte(b, d.repetition); i >= 0 && d.repetition != 0 {
		b = b[:i]
	}
	return string(b[:min(len(b), 40)])
}

// decode makes UTF-8 of a whole message.
func (c charset) decode(b []byte) (string, error) {
	if bytes.IndexByte(b, 0) >= 0 {
		return "", &ParseError{Encoding, 0, "a zero byte"}
	}
	switch c {
	case gbSet:
		out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
		if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
			return "", &ParseError{Encoding, 0, "bytes that are not GB18030"}
		}
		return string(out), nil
	case latinSet:
		out, err := charmap.ISO8859_1.NewDecoder().Bytes(b)
		if err != nil {
			return "", &ParseError{Encoding, 0, "bytes that are not ISO 8859-1"}
		}
		return string(out), nil
	}
	if !utf8.Valid(b) {
		return "", &ParseError{Encoding, 0, "bytes that are not UTF-8"}
	}
	return string(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))), nil
}

// encode makes bytes of text. What the charset does not have becomes "?".
func (c charset) encode(s string) []byte {
	switch c {
	case gbSet:
		if out, err := simplifiedchinese.GB18030.NewEncoder().Bytes([]byte(s)); err == nil {
			return out
		}
	case latinSet:
		out := make([]byte, 0, len(s))
		for _, r := range s {
			if r > 0xff {
				r = '?'
			}
			out = append(out, byte(r))
		}
		return out
	}
	return []byte(s)
}
