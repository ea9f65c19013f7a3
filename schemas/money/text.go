package money

import "math"

// literal is a decimal taken apart.
type literal struct {
	minus       bool
	whole, frac string // digits; whole has at least one
	exp         int
}

// split takes -?digits(.digits)? apart, with an exponent behind it when loose.
func split(s string, loose bool) (literal, error) {
	var t literal
	if s != "" && s[0] == '-' {
		t.minus, s = true, s[1:]
	}
	n := digits(s)
	t.whole, s = s[:n], s[n:]
	if n == 0 {
		return literal{}, ErrSyntax
	}
	if s != "" && s[0] == '.' {
		n = digits(s[1:])
		if n == 0 {
			return literal{}, ErrSyntax
		}
		t.frac, s = s[1:1+n], s[1+n:]
	}
	if loose && s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		sign := 1
		if s != "" && (s[0] == '+' || s[0] == '-') {
			if s[0] == '-' {
				sign = -1
			}
			s = s[1:]
		}
		n = digits(s)
		if n == 0 {
			return literal{}, ErrSyntax
		}
		for i := range n {
			// Far beyond every limit and every text's length the exact value no longer matters.
			t.exp = min(t.exp*10+int(s[i]-'0'), math.MaxInt32/16)
		}
		t.exp *= sign
		s = s[n:]
	}
	if s != "" {
		return literal{}, ErrSyntax
	}
	return t, nil
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// coef gives the digits of whole and frac followed by zeros, with the sign.
func (t literal) coef(whole, frac string, zeros int) (int64, error) {
	var c uint64
	for _, part := range [2]string{whole, frac} {
		for i := range len(part) {
			if c > math.MaxInt64/10 {
				return 0, ErrRange
			}
			c = c*10 + uint64(part[i]-'0') // at most 2^63+1, no wrap
		}
	}
	for range zeros {
		if c > math.MaxInt64/10 {
			return 0, ErrRange
		}
		if c == 0 {
			break
		}
		c *= 10
	}
	if c > math.MaxInt64 {
		return 0, ErrRange
	}
	if t.minus {
		return -int64(c), nil
	}
	return int64(c), nil
}
