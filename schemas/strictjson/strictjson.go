// Package strictjson reads JSON that other people wrote, and believes nothing.
//
// It refuses what encoding/json lets through: duplicate member names, trailing bytes, invalid
// UTF-8, lone surrogates, very long numbers, exponents (unless allowed), deep nesting and
// oversized texts. Numbers keep the literal they were written with (json.Number); there is no
// float anywhere.
//
// A decoded value is one of nil, bool, string, json.Number, []any or map[string]any.
package strictjson

import "errors"

// Limits bounds what Decode accepts. A zero field means the default of Request.
type Limits struct {
	MaxBytes  int  // whole text, bytes
	MaxDepth  int  // nesting of arrays and objects
	MaxNumber int  // length of one number literal, bytes
	MaxNodes  int  // values in the whole document
	Exponent  bool // allow 1e3 forms, up to two exponent digits
}

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

// Kind says what was wrong with a text.
type Kind string

// The kinds of refusal; each is permanent and documented in docs/errors.md.
const (
	Syntax    Kind = "json-syntax"
	Trailing  Kind = "json-trailing"
	Duplicate Kind = "json-duplicate"
	UTF8      Kind = "json-utf8"
	Depth     Kind = "json-depth"
	Size      Kind = "json-size"
	Number    Kind = "json-number" // too long, an exponent where none is allowed, NaN and friends
)

// Error tells where and why a text was refused. It never carries the text itself.
type Error struct {
	Kind   Kind
	Offset int    // byte offset of the fault
	Path   string // JSON Pointer of the innermost value being read, "" for the document
}

func (e *Error) Error() string { return "strictjson: " + string(e.Kind) + " at " + e.Path }

// Decode reads exactly one JSON value from b. Every refusal is an *Error. Strings and numbers in
// the result do not alias b.
func Decode(b []byte, lim Limits) (any, error) { return nil, errors.New("not built") }

// Append writes v as compact JSON to dst: object members sorted by code unit, no HTML escaping,
// number literals as they are. Equal values give equal bytes. It panics only on a type that
// Decode never returns.
func Append(dst []byte, v any) []byte { return dst }
