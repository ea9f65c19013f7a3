// Package money is exact decimal arithmetic for insurance amounts.
//
// An amount is Fen, an int64 count of 1/100 yuan; the interface's 16,2 amounts always fit.
// Quantities have four decimals and prices six (invariants.md); only their product is rounded,
// half up away from zero, and only by a function that says so. Nothing here is a float.
package money

import "errors"

// Fen is an amount of money in fen (1/100 yuan). The zero value is 0.00.
type Fen int64

// MaxFen is the largest amount of the interface's 16,2 form.
const MaxFen Fen = 9_999_999_999_999_999

var (
	ErrSyntax   = errors.New("money: not a decimal number")
	ErrDecimals = errors.New("money: too many decimals")
	ErrRange    = errors.New("money: out of range")
)

// Parse reads -?digits(.d{1,2})? strictly: no plus sign, exponent, blank, grouping, leading or
// trailing dot. Zeros beyond the second decimal are refused as well (ErrDecimals).
func Parse(s string) (Fen, error) { return 0, ErrSyntax }

// ParseReply reads an amount out of a centre's answer: as Parse, but exponents and further
// decimals are accepted when they are exact (1.5E1, 12.3000).
func ParseReply(s string) (Fen, error) { return 0, ErrSyntax }

// String gives the two-decimal form: 12.30, -0.05.
func (f Fen) String() string { return "" }

// Decimal is an exact number with a fixed count of decimals, for quantities and prices.
type Decimal struct {
	Coef  int64
	Scale uint8 // decimals, 0..8
}

// ParseDecimal reads a decimal with at most maxScale decimals, strictly as Parse does.
func ParseDecimal(s string, maxScale uint8) (Decimal, error) { return Decimal{}, ErrSyntax }

// Product gives quantity x price in fen, rounded half up (away from zero). ErrRange on overflow.
func Product(quantity, price Decimal) (Fen, error) { return 0, ErrRange }

// Share gives amount x ratio in fen, rounded half up (away from zero).
func Share(amount Fen, ratio Decimal) (Fen, error) { return 0, ErrRange }

// Sum adds amounts; ErrRange on overflow beyond MaxFen.
func Sum(amounts ...Fen) (Fen, error) { return 0, ErrRange }
