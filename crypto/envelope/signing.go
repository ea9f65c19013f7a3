package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode"
	"unicode/utf8"

	"yiqiao/schemas/strictjson"
)

// member is one top-level member of a message; value is as strictjson decodes it.
type member struct {
	name  string
	value any
}

// SigningString is the text that is signed for the message raw, a JSON object with its data in
// the plain (security.md 2.2): signData, encData and extra are left out, empty members dropped,
// every value in its canonical text, name=value sorted without regard to case and joined, the
// secret last. Deterministic. The result ends with the secret: never log it. Errors are faults
// (wrap ErrOpen).
func SigningString(raw []byte, appSecret string) (string, error) {
	v, err := strictjson.Decode(raw, strictjson.Reply())
	if err != nil {
		return "", jsonFault("", err)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return "", fault("member")
	}
	members := make([]member, 0, len(object))
	for name, value := range object {
		members = append(members, member{name, value})
	}
	text, err := new(scratch).signingText(members, appSecret)
	return string(text), err
}

// errItem is an array item that has no agreed signing text.
var errItem = errors.New("array item")

// span is the place of one name=value in a buffer.
type span struct{ from, to int }

// dataText is a member whose value is still JSON text: one pass reads it, judges it and writes its
// canonical text.
type dataText struct {
	text   []byte
	lim    strictjson.Limits
	sealed bool // we are asked to seal it: refusals instead of faults
}

// appendCanonical is for what canon does not vouch for.
func (d *dataText) appendCanonical(dst []byte, dropItems bool) ([]byte, error) {
	read := incoming
	if d.sealed {
		read = outgoing
	}
	v, err := read(d.text, d.lim)
	if err != nil {
		return nil, err
	}
	if dst, err = appendTop(dst, v, dropItems); err != nil {
		if d.sealed {
			return nil, refusal("array-item")
		}
		return nil, fault("array-item")
	}
	return dst, nil
}

// signingText builds the signing string of members. It lives in s, until that is freed.
func (s *scratch) signingText(members []member, secret string) ([]byte, error) {
	buf, spans := s.buf[:0], s.spans[:0]
	var err error
	for _, m := range members {
		switch m.name {
		case "signData", "encData", "extra":
			continue
		}
		if isEmpty(m.value) {
			continue
		}
		from := len(buf)
		buf = append(append(buf, m.name...), '=')
		switch v := m.value.(type) {
		case string:
			buf = append(buf, v...)
		case *dataText:
			ok := false
			if !v.sealed || startsObject(v.text) {
				buf, ok = s.canon.appendCanonical(buf, v.text, v.lim)
			}
			if !ok {
				if buf, err = v.appendCanonical(buf, s.dropItems); err != nil {
					return nil, err
				}
			}
		default:
			if buf, err = appendTop(buf, v, s.dropItems); err != nil {
				return nil, fault("array-item")
			}
		}
		spans = append(spans, span{from, len(buf)})
	}
	s.buf, s.spans = buf, spans
	slices.SortFunc(spans, func(a, b span) int {
		return compareFold(buf[a.from:a.to], buf[b.from:b.to])
	})
	out := slices.Grow(s.text[:0], len(buf)+len(spans)+len("key=")+len(secret))
	for _, at := range spans {
		out = append(append(out, buf[at.from:at.to]...), '&')
	}
	s.text = append(append(out, "key="...), secret...)
	return s.text, nil
}

// startsObject tells whether the first token of a JSON text is a brace.
func startsObject(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\n', '\r', '\t':
			continue
		}
		return c == '{'
	}
	return false
}

// isEmpty tells whether a member is dropped: null, "" or [].
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

// appendTop writes a value that is not a string as it stands after name= : scalars bare.
func appendTop(dst []byte, v any, dropItems bool) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		return appendBool(dst, v), nil
	case json.Number:
		return append(dst, numberText(string(v))...), nil
	}
	w := writer{dropItems: dropItems}
	return w.canonical(dst, v)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}

// writer writes canonical text; stack holds the names of the objects it is inside of.
type writer struct {
	dropItems bool
	stack     []string
}

// canonical writes a value in the canonical form of security.md 2.2 step 4: members sorted by
// UTF-16 unit and dropped when empty, every scalar a string, no spaces.
func (w *writer) canonical(dst []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case string:
		return appendString(dst, v), nil
	case bool:
		return append(appendBool(append(dst, '"'), v), '"'), nil
	case json.Number:
		return append(append(append(dst, '"'), numberText(string(v))...), '"'), nil
	case []any:
		dst = append(dst, '[')
		first := true
		for _, item := range v {
			if isEmpty(item) {
				if w.dropItems {
					continue
				}
				return nil, errItem
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			if dst, err = w.canonical(dst, item); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case map[string]any:
		base := len(w.stack)
		high := false
		for name, value := range v {
			if !isEmpty(value) {
				w.stack = append(w.stack, name)
				high = high || hasHigh(name)
			}
		}
		end := len(w.stack)
		if names := w.stack[base:end]; high {
			slices.SortFunc(names, compareUTF16)
		} else {
			slices.Sort(names)
		}
		dst = append(dst, '{')
		for i := base; i < end; i++ {
			if i > base {
				dst = append(dst, ',')
			}
			name := w.stack[i] // the stack may move while the value is written
			dst = append(appendString(dst, name), ':')
			if dst, err = w.canonical(dst, v[name]); err != nil {
				return nil, err
			}
		}
		w.stack = w.stack[:base]
		return append(dst, '}'), nil
	}
	return nil, errItem // null, which the callers have dropped
}

// appendString writes s as a JSON string with the fewest escapes: quote, backslash and control
// characters. Everything else, / < > & and non-ASCII too, is written as it is.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// hasHigh tells whether s has a character from U+E000 on, where bytes and UTF-16 units may order
// differently.
func hasHigh(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0xee {
			return true
		}
	}
	return false
}

// compareUTF16 orders valid UTF-8 by UTF-16 code units: as bytes, except that a character above
// U+FFFF (surrogates D800 to DFFF) stands before U+E000 to U+FFFF.
func compareUTF16(a, b string) int {
	n := min(len(a), len(b))
	for i := 0; i < n; i++ {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xee && y >= 0xee && (x >= 0xf0) != (y >= 0xf0) {
			return int(y) - int(x)
		}
		return int(x) - int(y)
	}
	return len(a) - len(b)
}

// compareFold orders as Java's String.CASE_INSENSITIVE_ORDER; texts that it calls equal are
// ordered by their bytes.
func compareFold(a, b []byte) int {
	x, y := a, b
	for len(x) > 0 && len(y) > 0 {
		if x[0] < utf8.RuneSelf && y[0] < utf8.RuneSelf {
			if c, d := lower(x[0]), lower(y[0]); c != d {
				return int(c) - int(d)
			}
			x, y = x[1:], y[1:]
			continue
		}
		r, n := utf8.DecodeRune(x)
		s, m := utf8.DecodeRune(y)
		if r != s {
			r, s = unicode.ToLower(unicode.ToUpper(r)), unicode.ToLower(unicode.ToUpper(s))
			if r != s {
				return compareUTF16(string(r), string(s))
			}
		}
		x, y = x[n:], y[m:]
	}
	if len(x) != len(y) {
		return len(x) - len(y)
	}
	return bytes.Compare(a, b)
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// jsonFault names what strictjson refused; prefix is "" or "data-".
func jsonFault(prefix string, err error) error {
	code := "json"
	if e := (*strictjson.Error)(nil); errors.As(err, &e) {
		switch e.Kind {
		case strictjson.Duplicate:
			code = "duplicate"
		case strictjson.UTF8:
			code = "utf8"
		case strictjson.Trailing:
			code = "trailing"
		}
	}
	return fault(prefix + code)
}
