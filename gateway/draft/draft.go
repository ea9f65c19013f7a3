// Package draft looks through what a HIS handed in before anything is sent: what is missing, what is no
// date, which amounts do not add up. It knows no transaction; who uses it says which members there are.
// Everything here is pure. A Sheet is used by one goroutine.
package draft

import (
	"errors"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

// Most bounds the findings of one sheet; what comes after is not looked at.
const Most = 100

// Codes of findings about what was handed in, beside those of package check. Each is permanent.
const (
	FeesEmpty     = "fees-empty"
	FeesTooMany   = "fees-too-many"
	FeeDuplicate  = "fee-duplicate"
	FeeAmount     = "fee-amount"
	FeeExtra      = "fee-extra"
	BillTotal     = "bill-total"
	Diagnoses     = "diagnoses-empty"
	NotListed     = "value-not-listed"
	RowsMismatch  = "rows-mismatch"
	NotInsured    = "not-insured"
	NoArea        = "area-missing"
	AreaNeeded    = "area-needed"
	CashDiffers   = "cash-differs"
	TotalMismatch = "total-mismatch"
	RowUnknown    = "refund-row-unknown"
	RowGone       = "refund-row-gone"
	PartQuantity  = "refund-quantity"
	NumberNeeded  = "filing-number-needed"
	NumberDiffers = "filing-number-differs"
)

// Codes lists them for docs/errors.md.
func Codes() []check.Meaning {
	return []check.Meaning{
		{Code: FeesEmpty, ZH: "账单没有费用明细", EN: "the bill has no rows"},
		{Code: FeesTooMany, ZH: "费用明细过多", EN: "the bill has too many rows"},
		{Code: FeeDuplicate, ZH: "费用明细流水号重复", EN: "two rows have the same id"},
		{Code: FeeAmount, ZH: "明细金额不等于数量乘单价 (四舍五入到分)", EN: "the amount is not quantity times price, rounded half up"},
		{Code: FeeExtra, ZH: "extra 中的字段名已被占用", EN: "a member of extra has a name that is taken"},
		{Code: BillTotal, ZH: "总金额不等于明细之和", EN: "the total is not the sum of the rows"},
		{Code: Diagnoses, ZH: "账单没有诊断", EN: "the bill has no diagnosis"},
		{Code: NotListed, ZH: "取值不在允许范围内", EN: "not one of the values allowed here"},
		{Code: RowsMismatch, ZH: "医保返回的明细与上传的不一致", EN: "the centre's rows are not those that were uploaded"},
		{Code: NotInsured, ZH: "人员没有此险种的参保信息", EN: "the person has no insurance of this type"},
		{Code: NoArea, ZH: "医保未返回此人的参保地医保区划", EN: "the centre names no area of insurance for the person"},
		{Code: AreaNeeded, ZH: "涉及参保人的交易须填参保地医保区划, 取自 1101 的答复", EN: "a message about a person needs the area of insurance, from the reply to 1101"},
		{Code: CashDiffers, ZH: "告知患者的现金与预结算的现金不同", EN: "the cash the patient was told is not that of the trial settlement"},
		{Code: RowUnknown, ZH: "账单中没有此明细", EN: "the bill has no such row"},
		{Code: RowGone, ZH: "此明细已经退过", EN: "the row was refunded before"},
		{Code: PartQuantity, ZH: "退的数量须大于 0 且不超过该明细剩余的数量", EN: "the quantity to take back is not above 0, or more than the row has left"},
		{Code: TotalMismatch, ZH: "医保返回的总金额与账单不一致", EN: "the centre's total is not that of the bill"},
		{Code: NumberNeeded, ZH: "医保的答复已丢失, 备案流水号须由医院提供 (向医保经办查询)", EN: "the centre's answer was lost: the hospital has to give the filing's number, which the insurance office knows"},
		{Code: NumberDiffers, ZH: "备案流水号与医保给出的不同", EN: "the filing's number is not the one the centre gave"},
	}
}

// Finding is one finding in the words of its code, an error. rule is what the member should have been.
func Finding(code, path, rule string) check.Finding {
	f := check.Finding{Code: code, Path: path, Severity: check.Error, Rule: rule}
	for _, list := range [][]check.Meaning{Codes(), check.Codes()} {
		for _, m := range list {
			if m.Code == code {
				f.ZH, f.EN = m.ZH, m.EN
				return f
			}
		}
	}
	return f
}

// Sheet collects what is wrong. Paths are JSON Pointers into what was handed in.
type Sheet struct {
	Found []check.Finding
}

// Add notes a finding, at most Most of them.
func (s *Sheet) Add(code, path, rule string) {
	if len(s.Found) < Most {
		s.Found = append(s.Found, Finding(code, path, rule))
	}
}

// Need asks for a text that is not blank.
func (s *Sheet) Need(path, v string) {
	if strings.TrimSpace(v) == "" {
		s.Add(check.CodeFieldMissing, path, "必填")
	}
}

// When asks for a time, yyyy-MM-dd HH:mm:ss in China.
func (s *Sheet) When(path, v string) {
	if strings.TrimSpace(v) == "" {
		s.Add(check.CodeFieldMissing, path, "必填")
		return
	}
	if _, err := time.ParseInLocation(time.DateTime, v, gateway.China); err != nil {
		s.Add(check.CodeDateInvalid, path, "yyyy-MM-dd HH:mm:ss")
	}
}

// Coded asks for a code and its name.
func (s *Sheet) Coded(path string, c gateway.Coded) {
	s.Need(path+"/code", c.Code)
	s.Need(path+"/name", c.Name)
}

// Credential asks how the patient proves who he is.
func (s *Sheet) Credential(c gateway.Credential) {
	s.Need("/credential/type", c.Type)
	s.Need("/credential/number", c.Number)
}

// Amount words a number that could not be read.
func (s *Sheet) Amount(err error, path, v, rule string) {
	switch {
	case strings.TrimSpace(v) == "":
		s.Add(check.CodeFieldMissing, path, "必填")
	case errors.Is(err, money.ErrDecimals):
		s.Add(check.CodeAmountDecimals, path, rule)
	case errors.Is(err, money.ErrRange):
		s.Add(check.CodeAmountRange, path, rule)
	default:
		s.Add(check.CodeAmountSyntax, path, rule)
	}
}

// Row holds quantity (4 decimals), price (6) and amount (2) of a row against each other; back is for a row
// that takes another back, which is below zero. ok reports that the amount can be counted.
func (s *Sheet) Row(at, quantity, price, amount string, back bool) (sum money.Fen, ok bool) {
	q, errQ := money.ParseDecimal(quantity, 4)
	if errQ != nil {
		s.Amount(errQ, at+"/quantity", quantity, "16,4")
	} else if q.Coef == 0 || q.Coef < 0 != back {
		rule := ">0"
		if back {
			rule = "<0"
		}
		s.Add(check.CodeAmountRange, at+"/quantity", rule)
	}
	p, errP := money.ParseDecimal(price, 6)
	if errP != nil {
		s.Amount(errP, at+"/price", price, "16,6")
	} else if p.Coef < 0 {
		s.Add(check.CodeAmountNegative, at+"/price", ">=0")
	}
	sum, errA := money.Parse(amount)
	if errA != nil {
		s.Amount(errA, at+"/amount", amount, "16,2")
	}
	if errQ != nil || errP != nil || errA != nil {
		return 0, false
	}
	if product, err := money.Product(q, p); err != nil || product != sum {
		s.Add(FeeAmount, at+"/amount", "= quantity × price")
	}
	return sum, true
}

// Total holds the total of a bill against the sum of its rows; whole says that every row could be counted.
func (s *Sheet) Total(path, total string, sum money.Fen, whole bool) {
	t, err := money.Parse(total)
	switch {
	case err != nil:
		s.Amount(err, path, total, "16,2")
	case t <= 0:
		s.Add(check.CodeAmountRange, path, ">0")
	case whole && t != sum:
		s.Add(BillTotal, path, "= Σ /fees/*/amount")
	}
}

// Refusal is the error that tells of findings, nil when there are none. op names who refuses, ref what is
// asked about.
func Refusal(op, ref string, found []check.Finding) error {
	if len(found) == 0 {
		return nil
	}
	e := &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: found[0].Path, Rule: found[0].Rule, Ref: ref, Findings: found}
	for _, f := range found {
		if f.Code != FeeAmount && f.Code != BillTotal {
			return e
		}
	}
	e.Code = gateway.CodeAmounts
	return e
}

// Escape is a member name as part of a JSON Pointer.
func Escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
