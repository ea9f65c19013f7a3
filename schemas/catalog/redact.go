package catalog

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Redacted stands where a credential was cut out.
const Redacted = "[cut out]"

// class says what a member of some name holds.
type class uint8

const (
	plain class = iota
	credential
	personal
	freeForm
)

// Credential reports whether a member of that name carries a patient's credential (card number,
// credential token, password), which is never stored, logged or reported. Case and underscores
// make no difference: mdtrt_cert_no and mdtrtCertNo are the same member.
func (c *Catalog) Credential(member string) bool { return c.class(member) == credential }

// Personal reports whether a member of that name identifies a person (name, identity number,
// telephone, address): sealed at rest, masked everywhere else. Case and underscores make no
// difference.
func (c *Catalog) Personal(member string) bool { return c.class(member) == personal }

// FreeForm reports whether a member of that name holds whatever a region puts there: a text, an
// object, or JSON written into a text.
func (c *Catalog) FreeForm(member string) bool { return c.class(member) == freeForm }

// class without tables is credential: nothing is known to be harmless then.
func (c *Catalog) class(member string) class {
	if c == nil {
		return credential
	}
	if k, ok := c.spelled[member]; ok {
		return k
	}
	return c.classes[fold(member)]
}

// Redact returns a deep copy of a decoded input or output in which every credential is replaced
// by Redacted. v itself is not changed. Null and "" stay as they are: they carry nothing. A
// free-form text that names a credential is replaced whole.
func (c *Catalog) Redact(v any) any { return c.copy(v, "", false) }

// Mask returns a deep copy for people's eyes: credentials replaced as by Redact, personal members
// shown by their first and last character at most.
func (c *Catalog) Mask(v any) any { return c.copy(v, "", true) }

func (c *Catalog) copy(v any, member string, mask bool) any {
	if member != "" && !blank(v) {
		switch c.class(member) {
		case credential:
			return Redacted
		case personal:
			if mask {
				return masked(v)
			}
		case freeForm:
			if s, ok := v.(string); ok {
				return c.freeText(s, mask)
			}
		}
	}
	switch x := v.(type) {
	case map[string]any:
		if x == nil {
			return x
		}
		out := make(map[string]any, len(x))
		for k, e := range x {
			out[k] = c.copy(e, k, mask)
		}
		return out
	case []any:
		if x == nil {
			return x
		}
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = c.copy(e, "", mask)
		}
		return out
	}
	return v
}

// freeText cuts a text out whole when it names a credential, or for people a personal member:
// it is JSON in a text, or something of a region's own making.
func (c *Catalog) freeText(s string, mask bool) string {
	f := fold(s)
	found := plain
	for name, k := range c.classes {
		if (k == credential || mask && k == personal) && strings.Contains(f, name) {
			if found = k; k == credential {
				return Redacted
			}
		}
	}
	if found == personal {
		return stars
	}
	return s
}

const stars = "***"

func masked(v any) any {
	var s string
	switch x := v.(type) {
	case string:
		s = x
	case json.Number:
		s = string(x)
	default:
		return stars
	}
	n := utf8.RuneCountInString(s)
	if n < 2 {
		return stars
	}
	first, w := utf8.DecodeRuneInString(s)
	if n < 6 {
		return string(first) + stars
	}
	last, _ := utf8.DecodeLastRuneInString(s[w:])
	return string(first) + stars + string(last)
}

func blank(v any) bool { return v == nil || v == "" }

// fold makes the spellings of one member name equal.
func fold(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }
