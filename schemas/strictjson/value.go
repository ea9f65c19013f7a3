package strictjson

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"
)

// Append writes v as compact JSON to dst: object members sorted by the bytes of their names, no
// HTML escaping, number literals as they are. Equal values give equal bytes. Strings are written
// as they are but for quote, backslash and control characters; what is not UTF-8 in a string
// somebody built becomes U+FFFD, and a json.Number that is no number literal is written as text.
// It panics only on a type that Decode never returns.
func Append(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case string:
		return AppendString(dst, v)
	case json.Number:
		if !isNumber(string(v)) {
			return AppendString(dst, string(v))
		}
		return append(dst, v...)
	case []any:
		dst = append(dst, '[')
		for i := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, v[i])
		}
		return append(dst, ']')
	case map[string]any:
		return appendObject(dst, v)
	}
	panic(fmt.Sprintf("strictjson: cannot write a %T", v))
}

// Encode is Append to nothing: a slice of its own, made once and in its size.
func Encode(v any) []byte {
	p := drafts.Get().(*[]byte)
	text := Append((*p)[:0], v)
	out := slices.Clone(text)
	if cap(text) <= 64<<10 {
		clear(text) // what people wrote does not stay behind
		*p = text
		drafts.Put(p)
	}
	return out
}

// drafts are kept for their room, which every text would otherwise grow anew.
var drafts = sync.Pool{New: func() any { return new([]byte) }}

func appendObject(dst []byte, m map[string]any) []byte {
	var room [32]string
	names := room[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendString(dst, name)
		dst = append(dst, ':')
		dst = Append(dst, m[name])
	}
	return append(dst, '}')
}

// Writable reports whether v is made only of types that Decode returns, so that Append takes it.
func Writable(v any) bool {
	switch v := v.(type) {
	case nil, bool, string, json.Number:
		return true
	case []any:
		for i := range v {
			if !Writable(v[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, member := range v {
			if !Writable(member) {
				return false
			}
		}
		return true
	}
	return false
}

// AppendString writes s as a JSON string to dst, escaped as Append does.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	if !utf8.ValidString(s) {
		s = string([]rune(s))
	}
	dst = append(dst, '"')
	for {
		i := special(s, 0)
		dst = append(dst, s[:i]...)
		if i == len(s) {
			return append(dst, '"')
		}
		switch c := s[i]; c {
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
		s = s[i+1:]
	}
}

// isNumber reports whether s is a JSON number literal of any length.
func isNumber(s string) bool {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i < len(s) && s[i] == '0':
		i++
	case i < len(s) && s[i] >= '1' && s[i] <= '9':
		i = digits(s, i)
	default:
		return false
	}
	if i < len(s) && s[i] == '.' {
		j := digits(s, i+1)
		if j == i+1 {
			return false
		}
		i = j
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		j := digits(s, i)
		if j == i {
			return false
		}
		i = j
	}
	return i == len(s)
}

// Get follows path through objects (by member name) and arrays (by decimal index from 0). It gives
// nil when there is no such value, as it does for a null.
func Get(v any, path ...string) any {
	for _, step := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil
			}
			v = in[i]
		default:
			return nil
		}
	}
	return v
}

// Object gives v as an object.
func Object(v any) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	return m, ok
}

// List gives v as an array.
func List(v any) ([]any, bool) {
	l, ok := v.([]any)
	return l, ok
}

// Rows lists the objects of a member: an array of them, or a single one; for the name "" those of v
// itself. What is no object is left out.
func Rows(v any, name string) (rows []map[string]any) {
	if name != "" {
		v = Get(v, name)
	}
	switch v := v.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		for _, x := range v {
			if o, ok := x.(map[string]any); ok {
				rows = append(rows, o)
			}
		}
	}
	return rows
}

// Text gives a string's text or a number's literal, "" for everything else.
func Text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return string(v)
	}
	return ""
}

// Clone copies v deeply: changing the copy's objects and arrays leaves v alone.
func Clone(v any) any {
	switch v := v.(type) {
	case []any:
		if v == nil {
			return v
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = Clone(v[i])
		}
		return out
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = Clone(member)
		}
		return out
	}
	return v
}
