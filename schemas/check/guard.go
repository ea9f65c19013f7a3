package check

import (
	"encoding/json"

	"yiqiao/schemas/check/internal/shape"
)

// Bounds of what is handed to the schema library. A value from strictjson never meets them; the
// library must not see others: it panics on some numbers, spends seconds on others, and passes
// over kinds of values it does not know.
const (
	deepest       = 64
	longestNumber = 48
	rowsAtOnce    = 200  // rows validated in one go: bounds the memory of a message full of errors
	rowsInRecord  = 2000 // rows inside one row or object
)

// fault is the first thing a guard finds.
type fault uint8

const (
	sound fault = iota
	badKind
	badNumber
	tooDeep
)

// guard walks the whole value once. rows is the count of array elements in it.
func guard(v any, depth int, exponent bool) (rows int, f fault) {
	if depth > deepest {
		return 0, tooDeep
	}
	switch x := v.(type) {
	case nil, string, bool:
		return 0, sound
	case json.Number:
		if !plainNumber(string(x), exponent) {
			return 0, badNumber
		}
		return 0, sound
	case []any:
		rows = len(x)
		for _, e := range x {
			n, f := guard(e, depth+1, exponent)
			if f != sound {
				return 0, f
			}
			rows += n
		}
		return rows, sound
	case map[string]any:
		for _, e := range x {
			switch e.(type) {
			case string, nil:
				continue
			}
			n, f := guard(e, depth+1, exponent)
			if f != sound {
				return 0, f
			}
			rows += n
		}
		return rows, sound
	}
	return 0, badKind
}

// plainNumber reads a JSON number literal; an exponent has two digits at most.
func plainNumber(s string, exponent bool) bool {
	if len(s) > longestNumber {
		return false
	}
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	n := digits(s[i:])
	if n == 0 || n > 1 && s[i] == '0' {
		return false
	}
	i += n
	if i < len(s) && s[i] == '.' {
		n = digits(s[i+1:])
		if n == 0 {
			return false
		}
		i += 1 + n
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		n = digits(s[i:])
		if !exponent || n == 0 || n > 2 {
			return false
		}
		i += n
	}
	return i == len(s)
}

func digits(s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// rowsOf counts the array elements in a value that passed the guard.
func rowsOf(v any) int { n, _ := guard(v, 0, true); return n }

// faulty says what the guard found. It tells the first fault only, at the root: such a value does
// not come from a JSON text read strictly.
func faulty(f fault, root string) Finding {
	m := &shape.Member{Name: root[1:]}
	switch f {
	case badNumber:
		return say(CodeAmountSyntax, Error, root, m, "JSON", "含有写法不规范或过长的数字", "holds a number that is malformed, too long or has an exponent")
	case tooDeep:
		return say(CodeFieldType, Error, root, m, "<=64", "嵌套过深", "is nested too deeply")
	}
	return say(CodeFieldType, Error, root, m, "JSON", "含有不是 JSON 的值", "holds a value that is not JSON")
}
