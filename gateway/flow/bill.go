package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

// mostFees bounds the rows of one bill.
const mostFees = 2000

// Codes of findings about a bill, beside those of package check. Each is permanent.
const (
	CodeFeesEmpty     = "fees-empty"
	CodeFeesTooMany   = "fees-too-many"
	CodeFeeDuplicate  = "fee-duplicate"
	CodeFeeAmount     = "fee-amount"
	CodeFeeExtra      = "fee-extra"
	CodeBillTotal     = "bill-total"
	CodeDiagnoses     = "diagnoses-empty"
	CodeNotListed     = "value-not-listed"
	CodeRowsMismatch  = "rows-mismatch"
	CodeNotInsured    = "not-insured"
	CodeNoArea        = "area-missing"
	CodeAreaNeeded    = "area-needed"
	CodeCashDiffers   = "cash-differs"
	CodeTotalMismatch = "total-mismatch"
	CodeRowUnknown    = "refund-row-unknown"
	CodeRowGone       = "refund-row-gone"
	CodePartQuantity  = "refund-quantity"
)

// FindingCodes lists them for docs/errors.md.
func FindingCodes() []check.Meaning {
	return []check.Meaning{
		{Code: CodeFeesEmpty, ZH: "账单没有费用明细", EN: "the bill has no rows"},
		{Code: CodeFeesTooMany, ZH: "费用明细过多", EN: "the bill has too many rows"},
		{Code: CodeFeeDuplicate, ZH: "费用明细流水号重复", EN: "two rows have the same id"},
		{Code: CodeFeeAmount, ZH: "明细金额不等于数量乘单价 (四舍五入到分)", EN: "the amount is not quantity times price, rounded half up"},
		{Code: CodeFeeExtra, ZH: "extra 中的字段名已被占用", EN: "a member of extra has a name that is taken"},
		{Code: CodeBillTotal, ZH: "总金额不等于明细之和", EN: "the total is not the sum of the rows"},
		{Code: CodeDiagnoses, ZH: "账单没有诊断", EN: "the bill has no diagnosis"},
		{Code: CodeNotListed, ZH: "取值不在允许范围内", EN: "not one of the values allowed here"},
		{Code: CodeRowsMismatch, ZH: "医保返回的明细与上传的不一致", EN: "the centre's rows are not those that were uploaded"},
		{Code: CodeNotInsured, ZH: "人员没有此险种的参保信息", EN: "the person has no insurance of this type"},
		{Code: CodeNoArea, ZH: "医保未返回此人的参保地医保区划", EN: "the centre names no area of insurance for the person"},
		{Code: CodeAreaNeeded, ZH: "涉及参保人的交易须填参保地医保区划, 取自 1101 的答复", EN: "a message about a person needs the area of insurance, from the reply to 1101"},
		{Code: CodeCashDiffers, ZH: "告知患者的现金与预结算的现金不同", EN: "the cash the patient was told is not that of the trial settlement"},
		{Code: CodeRowUnknown, ZH: "账单中没有此明细", EN: "the bill has no such row"},
		{Code: CodeRowGone, ZH: "此明细已经退过", EN: "the row was refunded before"},
		{Code: CodePartQuantity, ZH: "退的数量须大于 0 且不超过该明细剩余的数量", EN: "the quantity to take back is not above 0, or more than the row has left"},
		{Code: CodeTotalMismatch, ZH: "医保返回的总金额与账单不一致", EN: "the centre's total is not that of the bill"},
	}
}

func billFinding(code, path, rule string) check.Finding {
	f := check.Finding{Code: code, Path: path, Severity: check.Error, Rule: rule}
	for _, list := range [][]check.Meaning{FindingCodes(), check.Codes()} {
		for _, m := range list {
			if m.Code == code {
				f.ZH, f.EN = m.ZH, m.EN
				return f
			}
		}
	}
	return f
}

// billCheck collects what is wrong with a bill.
type billCheck struct {
	found []check.Finding
}

func (b *billCheck) add(code, path, rule string) {
	if len(b.found) < 100 {
		b.found = append(b.found, billFinding(code, path, rule))
	}
}

func (b *billCheck) need(path, v string) {
	if strings.TrimSpace(v) == "" {
		b.add(check.CodeFieldMissing, path, "必填")
	}
}

func (b *billCheck) when(path, v string) {
	if strings.TrimSpace(v) == "" {
		b.add(check.CodeFieldMissing, path, "必填")
		return
	}
	if _, err := time.ParseInLocation(time.DateTime, v, gateway.China); err != nil {
		b.add(check.CodeDateInvalid, path, "yyyy-MM-dd HH:mm:ss")
	}
}

func (b *billCheck) coded(path string, c gateway.Coded) {
	b.need(path+"/code", c.Code)
	b.need(path+"/name", c.Name)
}

// checkBill tells everything that is wrong with a bill before anything is sent.
func checkBill(r *gateway.OpenSettlement) []check.Finding {
	b := &billCheck{}
	b.need("/credential/type", r.Credential.Type)
	b.need("/credential/number", r.Credential.Number)
	v := r.Visit
	b.need("/visit/number", v.Number)
	b.need("/visit/med_type", v.MedType)
	b.when("/visit/begin", v.Begin)
	b.coded("/visit/doctor", v.Doctor)
	b.coded("/visit/department", v.Department)
	b.need("/visit/caty", v.Caty)
	b.diagnoses(r.Diagnoses)
	b.fees(r)
	return b.found
}

func (b *billCheck) fees(r *gateway.OpenSettlement) {
	switch n := len(r.Fees); {
	case n == 0:
		b.add(CodeFeesEmpty, "/fees", ">=1")
		return
	case n > mostFees:
		b.add(CodeFeesTooMany, "/fees", fmt.Sprintf("<=%d", mostFees))
		return
	}
	seen := make(map[string]int, len(r.Fees))
	var sum money.Fen
	whole := true
	for i := range r.Fees {
		f := &r.Fees[i]
		at := "/fees/" + strconv.Itoa(i)
		if first, twice := seen[f.ID]; twice && f.ID != "" {
			b.add(CodeFeeDuplicate, at+"/id", fmt.Sprintf("/fees/%d/id", first))
		}
		seen[f.ID] = i
		if f.RefundOf != "" {
			b.add(CodeNotListed, at+"/refund_of", "")
		}
		amount, ok := b.fee(at, f)
		if !ok {
			whole = false
			continue
		}
		var err error
		if sum, err = money.Sum(sum, amount); err != nil {
			b.add(check.CodeAmountRange, at+"/amount", "16,2")
			return
		}
	}
	total, err := money.Parse(r.Total)
	switch {
	case err != nil:
		b.amount(err, "/total", r.Total, "16,2")
	case total <= 0:
		b.add(check.CodeAmountRange, "/total", ">0")
	case whole && total != sum:
		b.add(CodeBillTotal, "/total", "= Σ /fees/*/amount")
	}
}

// fee checks one row and gives its amount, ok when it can be counted.
func (b *billCheck) fee(at string, f *gateway.Fee) (money.Fen, bool) {
	b.need(at+"/id", f.ID)
	b.need(at+"/code", f.Code)
	b.need(at+"/local_code", f.LocalCode)
	b.when(at+"/time", f.Time)
	b.coded(at+"/department", f.Department)
	b.coded(at+"/doctor", f.Doctor)
	standard := feeRow(f, facts{})
	for _, name := range sortedNames(f.Extra) {
		if _, taken := standard[name]; taken || slices.Contains(feeMembers, name) {
			b.add(CodeFeeExtra, at+"/extra/"+escape(name), "")
		}
	}
	quantity, errQ := money.ParseDecimal(f.Quantity, 4)
	if errQ != nil {
		b.amount(errQ, at+"/quantity", f.Quantity, "16,4")
	} else if quantity.Coef == 0 || quantity.Coef < 0 != (f.RefundOf != "") {
		b.add(check.CodeAmountRange, at+"/quantity", quantityRule(f))
	}
	price, errP := money.ParseDecimal(f.Price, 6)
	if errP != nil {
		b.amount(errP, at+"/price", f.Price, "16,6")
	} else if price.Coef < 0 {
		b.add(check.CodeAmountNegative, at+"/price", ">=0")
	}
	amount, errA := money.Parse(f.Amount)
	if errA != nil {
		b.amount(errA, at+"/amount", f.Amount, "16,2")
	}
	if errQ != nil || errP != nil || errA != nil {
		return 0, false
	}
	if product, err := money.Product(quantity, price); err != nil || product != amount {
		b.add(CodeFeeAmount, at+"/amount", "= quantity × price")
	}
	return amount, true
}

func quantityRule(f *gateway.Fee) string {
	if f.RefundOf != "" {
		return "<0"
	}
	return ">0"
}

// amount words a number that could not be read.
func (b *billCheck) amount(err error, path, v, rule string) {
	switch {
	case strings.TrimSpace(v) == "":
		b.add(check.CodeFieldMissing, path, "必填")
	case isDecimals(err):
		b.add(check.CodeAmountDecimals, path, rule)
	case isRange(err):
		b.add(check.CodeAmountRange, path, rule)
	default:
		b.add(check.CodeAmountSyntax, path, rule)
	}
}

// amountsOnly reports whether all findings are about amounts that do not add up.
func amountsOnly(found []check.Finding) bool {
	for _, f := range found {
		if f.Code != CodeFeeAmount && f.Code != CodeBillTotal {
			return false
		}
	}
	return len(found) > 0
}

// escape is a member name as part of a JSON Pointer.
func escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}
