package envelope

import "strings"

// numberText is the text a JSON number has in a signing string (security.md 2.3): the platform
// reads it into Java's BigDecimal (integers into a BigInteger) and writes that back, so 0.10 stays
// 0.10, 1e-2 becomes 0.01 and 1E+3 stays 1E+3. lit is a valid JSON number whose exponent is small
// (strictjson allows two digits); "" means that it was not.
func numberText(lit string) string {
	mantissa, exp, ok := splitExponent(lit)
	if !ok {
		return ""
	}
	sign := ""
	if rest, found := strings.CutPrefix(mantissa, "-"); found {
		sign, mantissa = "-", rest
	}
	whole, frac, decimal := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+frac, "0")
	if digits == "" {
		digits, sign = "0", "" // there is no negative zero
	}
	if !decimal && exp == 0 {
		return sign + digits
	}
	scale := len(frac) - exp
	adjusted := len(digits) - 1 - scale
	switch {
	case scale >= 0 && adjusted >= -6 && scale == 0:
		return sign + digits
	case scale >= 0 && adjusted >= -6:
		if len(digits) <= scale {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	out := sign + digits[:1]
	if len(digits) > 1 {
		out += "." + digits[1:]
	}
	if adjusted == 0 {
		return out
	}
	return out + "E" + signed(adjusted)
}

// splitExponent parts the literal at e or E; an exponent has at most four digits here.
func splitExponent(lit string) (mantissa string, exp int, ok bool) {
	i := strings.IndexAny(lit, "eE")
	if i < 0 {
		return lit, 0, lit != ""
	}
	text := lit[i+1:]
	negative := strings.HasPrefix(text, "-")
	if negative || strings.HasPrefix(text, "+") {
		text = text[1:]
	}
	text = strings.TrimLeft(text, "0")
	if len(text) > 4 {
		return "", 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
		exp = exp*10 + int(c-'0')
	}
	if negative {
		exp = -exp
	}
	return lit[:i], exp, true
}

// signed writes an exponent as Java does: +3, -7.
func signed(n int) string {
	s := "+"
	if n < 0 {
		s, n = "-", -n
	}
	var d [20]byte
	i := len(d)
	for {
		i--
		d[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return s + string(d[i:])
		}
	}
}
