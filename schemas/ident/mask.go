package ident

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The masks are for people's eyes. All of them give "" for "", one star for each hidden character
// (at most 32 stars in a row), and never a control character.

// MaskCert shows the first three and the last four characters of an identity or card number when
// it is longer than ten, nothing of a shorter one.
func MaskCert(s string) string { return mask(s, 3, 4, 11) }

// MaskPhone shows the first three and the last four characters when there are eleven or more,
// nothing of a shorter number.
func MaskPhone(s string) string { return mask(s, 3, 4, 11) }

// MaskPerson shows the first two and the last two characters of a person's number when there are
// eight or more, nothing of a shorter one.
func MaskPerson(s string) string { return mask(s, 2, 2, 8) }

// MaskName shows the first character of a name of two or more, nothing of a single one.
func MaskName(s string) string { return mask(s, 1, 0, 2) }

// mask shows the first and last characters of s when it has at least enough of them.
func mask(s string, first, last, enough int) string {
	n := utf8.RuneCountInString(s)
	if n < enough {
		first, last = 0, 0
	}
	const most = 32
	hidden := n - first - last
	var b strings.Builder
	i := 0
	for _, r := range s {
		switch {
		case i >= first && i < n-last:
			if i < first+min(hidden, most) {
				b.WriteByte('*')
			}
		case r == utf8.RuneError || !unicode.IsGraphic(r):
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
		i++
	}
	return b.String()
}
