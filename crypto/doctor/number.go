package doctor

import (
	"math"
	"strconv"
	"strings"
)

// How a number becomes text.
const (
	numberSpec     = iota // BigDecimal: as written, small exponents resolved
	numberJS              // shortest form of a double: 0.10 is 0.1, 1.0 is 1
	numberVerbatim        // exactly the characters of the message
	numberPlain           // BigDecimal.toPlainString: never an exponent
	numberJava            // Double.toString unless an integer: 1.0 stays, 0.10 is 0.1
	numberAllReal         // as numberJava, integers too: 1 is 1.0
	numberTwo             // two decimals: 1 is 1.00
	numberRules
)

func numberForms(lit string) *[numberRules]string {
	var f [numberRules]string
	for i := range f {
		f[i] = lit
	}
	f[numberSpec] = specNumber(lit)
	f[numberPlain] = plainNumber(f[numberSpec])
	v, err := strconv.ParseFloat(lit, 64)
	if err != nil || math.IsInf(v, 0) {
		return &f
	}
	f[numberJS] = jsNumber(v)
	f[numberAllReal] = javaDouble(v)
	if strings.ContainsAny(lit, ".eE") {
		f[numberJava] = f[numberAllReal]
	}
	f[numberTwo] = strconv.FormatFloat(v, 'f', 2, 64)
	return &f
}

// jsNumber is Number::toString of ECMAScript.
func jsNumber(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a >= 1e-6 && a < 1e21 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	mantissa, exp, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
	return mantissa + "e" + exp[:1] + strings.TrimLeft(exp[1:], "0")
}

// javaDouble is Double.toString of Java 19 and later.
func javaDouble(v float64) string {
	if a := math.Abs(v); a != 0 && (a < 1e-3 || a >= 1e7) {
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(v, 'e', -1, 64), "e")
		if !strings.Contains(mantissa, ".") {
			mantissa += ".0"
		}
		return mantissa + "E" + strings.TrimLeft(strings.TrimPrefix(strings.Replace(exp, "-0", "-", 1), "+"), "0")
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// plainNumber writes a BigDecimal text without exponent.
func plainNumber(s string) string {
	mantissa, exp, ok := strings.Cut(s, "E")
	if !ok {
		return s
	}
	n, err := strconv.Atoi(exp)
	if err != nil || n > 400 || n < -400 {
		return s
	}
	sign := ""
	if strings.HasPrefix(mantissa, "-") {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits, point := whole+frac, len(whole)+n
	switch {
	case point >= len(digits):
		return sign + digits + strings.Repeat("0", point-len(digits))
	case point <= 0:
		return sign + "0." + strings.Repeat("0", -point) + digits
	}
	return sign + digits[:point] + "." + digits[point:]
}
