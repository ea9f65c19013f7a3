// Package policy computes what docs/simulated-policy.md says: how a fee row is split and how a
// batch is shared out between funds, hospital, personal account and cash. It keeps no state and
// does no input or output; whoever calls it keeps the accumulators.
package policy

import (
	"errors"
	"math/bits"

	"yiqiao/schemas/money"
)

// ErrQuantity refuses a row whose quantity is not above zero or whose price is below zero.
var ErrQuantity = errors.New("policy: quantity or price out of range")

// Split is a fee row divided: Total = Own + Over + Pre + Scope, all in fen.
type Split struct {
	Item    Item          // zero when Known is false
	Known   bool          // the code is in the catalogue
	Class   string        // chrgitm_lv after the rules: 01, 02, 03
	SelfPay money.Decimal // selfpay_prop after the rules
	Memo    string        // why a row became own pay, "" otherwise
	Total   money.Fen     // det_item_fee_sumamt, quantity x price rounded
	Own     money.Fen     // fulamt_ownpay_amt
	Over    money.Fen     // overlmt_amt
	Pre     money.Fen     // preselfpay_amt
	Scope   money.Fen     // inscp_scp_amt
}

// Split divides one row. approval is hosp_appr_flag. The only errors are ErrQuantity and those of
// package money for amounts that do not fit.
func (c *Catalogue) Split(code string, quantity, price money.Decimal, approval string) (Split, error) {
	if quantity.Coef <= 0 || price.Coef < 0 {
		return Split{}, ErrQuantity
	}
	total, err := money.Product(quantity, price)
	if err != nil {
		return Split{}, err
	}
	item, known := c.Lookup(code)
	s := Split{Item: item, Known: known, Total: total}
	switch {
	case !known:
		s.Memo = "目录外项目，按自费处理"
	case item.Class == "03":
		s.Memo = "自费项目"
	case approval == "2":
		s.Memo = "医院审批不通过，按自费处理"
	case item.Limited && approval != "1":
		s.Memo = "限制使用项目未审批，按自费处理"
	}
	if s.Memo != "" {
		s.Class, s.SelfPay, s.Own = "03", ratio(10000), total
		return s, nil
	}
	allowed := total
	if item.Cap.Coef > 0 && less(item.Cap, price) {
		if allowed, err = money.Product(quantity, item.Cap); err != nil {
			return Split{}, err
		}
	}
	pre, err := money.Share(allowed, item.SelfPay)
	if err != nil {
		return Split{}, err
	}
	s.Class, s.SelfPay = item.Class, item.SelfPay
	s.Over, s.Pre, s.Scope = total-allowed, pre, allowed-pre
	return s, nil
}

// Negated gives the split of the row that takes s back.
func (s Split) Negated() Split {
	s.Total, s.Own, s.Over, s.Pre, s.Scope = -s.Total, -s.Own, -s.Over, -s.Pre, -s.Scope
	return s
}

// less compares two decimals that are not negative, exactly.
func less(a, b money.Decimal) bool {
	ah, al := bits.Mul64(uint64(a.Coef), pow10(b.Scale))
	bh, bl := bits.Mul64(uint64(b.Coef), pow10(a.Scale))
	return ah < bh || ah == bh && al < bl
}

func pow10(n uint8) uint64 {
	p := uint64(1)
	for range min(n, 18) {
		p *= 10
	}
	return p
}
