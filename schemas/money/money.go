// Package money is exact decimal arithmetic for insurance amounts.
//
// An amount is Fen, an int64 count of 1/100 yuan; the interface's 16,2 amounts always fit.
// Quantities have four decimals and prices six (invariants.md); only their product is rounded,
// half up away from zero, and only by a function that says so. Nothing here is a float.
package money

import (
	"encoding/json"
	"errors"
	"math/bits"
	"strconv"
	"strings"
)

// Fen is an amount of money in fen (1/100 yuan). The zero value is 0.00. In our own JSON it is
// text with two decimals ("12.30"); Number gives the literal for the centre's wire.
type Fen int64

// MaxFen is the largest amount of the interface's 16,2 form.
const MaxFen Fen = 9_999_999_999_999_999

var (
	ErrSyntax   = errors.New("money: not a decimal number")
	ErrDecimals = errors.New("money: too many decimals")
	ErrRange    = errors.New("money: out of range")
)

// mostDecimals bounds the decimals of a Decimal.
const mostDecimals = 8

// Parse reads -?digits(.d{1,2})? strictly: no plus sign, exponent, blank, grouping, leading or
// trailing dot. Zeros beyond the second decimal are refused as well (ErrDecimals). "-0.00" is
// 0.00. ErrRange beyond MaxFen on either side. The errors are exactly the three of this package
// and never carry the text.
func Parse(s string) (Fen, error) {
	d, err := ParseDecimal(s, 2)
	if err != nil {
		return 0, err
	}
	return d.Fen()
}

// ParseReply reads an amount out of a centre's answer: as Parse, but exponents and further
// decimals are accepted when they are exact (1.5E1, 12.3000).
func ParseReply(s string) (Fen, error) {
	d, err := ParseReplyDecimal(s, 2)
	if err != nil {
		return 0, err
	}
	return d.Fen()
}

// String gives the two-decimal form: 12.30, -0.05.
func (f Fen) String() string {
	return Decimal{Coef: int64(f), Scale: 2}.String()
}

// Number gives f as a JSON number literal with two decimals, for the centre's wire.
func Number(f Fen) json.Number { return json.Number(f.String()) }

// MarshalText gives the form of String, so that our own JSON carries amounts as text.
func (f Fen) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads what Parse reads.
func (f *Fen) UnmarshalText(b []byte) error {
	v, err := Parse(string(b))
	if err == nil {
		*f = v
	}
	return err
}

// Decimal is an exact number with a fixed count of decimals, for quantities and prices: its value
// is Coef / 10^Scale. 1.5 and 1.50 are different Decimals of equal value.
type Decimal struct {
	Coef  int64
	Scale uint8 // decimals, 0..8
}

// ParseDecimal reads a decimal with at most maxScale decimals (never more than 8), strictly as
// Parse does. The result has the decimals that were written. ErrRange when the digits do not fit
// an int64.
func ParseDecimal(s string, maxScale uint8) (Decimal, error) {
	t, err := split(s, false)
	if err != nil {
		return Decimal{}, err
	}
	if len(t.frac) > int(atMost(maxScale)) {
		return Decimal{}, ErrDecimals
	}
	coef, err := t.coef(t.whole, t.frac, 0)
	return Decimal{Coef: coef, Scale: uint8(len(t.frac))}, err
}

// ParseReplyDecimal reads a decimal out of a centre's answer: as ParseDecimal, but exponents and
// further decimals are accepted when they are exact. The result has no more decimals than needed.
func ParseReplyDecimal(s string, maxScale uint8) (Decimal, error) {
	t, err := split(s, true)
	if err != nil {
		return Decimal{}, err
	}
	// The value is whole.frac x 10^exp; zeros at the end of the digits move into the exponent.
	exp := t.exp - len(t.frac)
	t.frac, exp = trimZeros(t.frac, exp)
	if t.frac == "" {
		t.whole, exp = trimZeros(t.whole, exp)
	}
	if t.whole == "" && t.frac == "" {
		return Decimal{}, nil
	}
	if exp < -int(atMost(maxScale)) {
		return Decimal{}, ErrDecimals
	}
	coef, err := t.coef(t.whole, t.frac, max(exp, 0))
	if err != nil {
		return Decimal{}, err
	}
	return Decimal{Coef: coef, Scale: uint8(max(-exp, 0))}, nil
}

func trimZeros(digits string, exp int) (string, int) {
	short := strings.TrimRight(digits, "0")
	return short, exp + len(digits) - len(short)
}

func atMost(scale uint8) uint8 { return min(scale, mostDecimals) }

// String gives the number with exactly Scale decimals.
func (d Decimal) String() string {
	var room [32]byte
	b := room[:0]
	if d.Coef < 0 {
		b = append(b, '-')
	}
	digits := strconv.FormatUint(magnitude(d.Coef), 10)
	scale := int(d.Scale)
	if short := scale + 1 - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	b = append(b, digits[:len(digits)-scale]...)
	if scale > 0 {
		b = append(b, '.')
		b = append(b, digits[len(digits)-scale:]...)
	}
	return string(b)
}

// Fen gives the decimal as an amount when that is exact: ErrDecimals when it is not, ErrRange
// beyond MaxFen.
func (d Decimal) Fen() (Fen, error) {
	f, exact, err := scaled(d.Coef, 1, int(d.Scale))
	if err == nil && !exact {
		return 0, ErrDecimals
	}
	return f, err
}

// Product gives quantity x price in fen, rounded half up (away from zero): 0.005 is 0.01 and
// -0.005 is -0.01. ErrRange on overflow beyond MaxFen, ErrDecimals for a Scale above 8.
func Product(quantity, price Decimal) (Fen, error) {
	if quantity.Scale > mostDecimals || price.Scale > mostDecimals {
		return 0, ErrDecimals
	}
	f, _, err := scaled(quantity.Coef, price.Coef, int(quantity.Scale)+int(price.Scale))
	return f, err
}

// Share gives amount x ratio in fen, rounded half up (away from zero). Errors as Product.
func Share(amount Fen, ratio Decimal) (Fen, error) {
	return Product(Decimal{Coef: int64(amount), Scale: 2}, ratio)
}

// Sum adds amounts exactly, in any order; ErrRange when the total is beyond MaxFen.
func Sum(amounts ...Fen) (Fen, error) {
	var high, low uint64 // 128 bits, two's complement
	for _, a := range amounts {
		var carry uint64
		low, carry = bits.Add64(low, uint64(a), 0)
		high, _ = bits.Add64(high, uint64(a>>63), carry)
	}
	total := Fen(low)
	if high != uint64(total>>63) || total > MaxFen || total < -MaxFen {
		return 0, ErrRange
	}
	return total, nil
}

// scaled gives a x b / 10^scale in fen, rounded half away from zero, and whether that was exact.
func scaled(a, b int64, scale int) (f Fen, exact bool, err error) {
	high, low := bits.Mul64(magnitude(a), magnitude(b))
	exact = true
	switch {
	case scale > 2+19: // beyond what one division can do; nobody of this package needs it
		return 0, false, ErrDecimals
	case scale > 2:
		by := pow10(scale - 2)
		if high >= by {
			return 0, false, ErrRange
		}
		var rest uint64
		low, rest = bits.Div64(high, low, by)
		if rest >= by-rest {
			low++ // the quotient of a division by 10 or more is below the largest uint64
		}
		exact = rest == 0
	case high != 0 || low > uint64(MaxFen):
		return 0, false, ErrRange
	default:
		low *= pow10(2 - scale) // at most 10^18
	}
	if low > uint64(MaxFen) {
		return 0, false, ErrRange
	}
	f = Fen(low)
	if (a < 0) != (b < 0) {
		f = -f
	}
	return f, exact, nil
}

func pow10(n int) uint64 {
	p := uint64(1)
	for range n {
		p *= 10
	}
	return p
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}
