package flow

import (
	"fmt"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

// mostFees bounds the rows of one bill.
const mostFees = 2000

// Codes of findings about a bill; package draft says what they mean.
const (
	CodeFeesEmpty     = draft.FeesEmpty
	CodeFeesTooMany   = draft.FeesTooMany
	CodeFeeDuplicate  = draft.FeeDuplicate
	CodeFeeAmount     = draft.FeeAmount
	CodeFeeExtra      = draft.FeeExtra
	CodeBillTotal     = draft.BillTotal
	CodeDiagnoses     = draft.Diagnoses
	CodeNotListed     = draft.NotListed
	CodeRowsMismatch  = draft.RowsMismatch
	CodeNotInsured    = draft.NotInsured
	CodeNoArea        = draft.NoArea
	CodeAreaNeeded    = draft.AreaNeeded
	CodeCashDiffers   = draft.CashDiffers
	CodeTotalMismatch = draft.TotalMismatch
	CodeRowUnknown    = draft.RowUnknown
	CodeRowGone       = draft.RowGone
	CodePartQuantity  = draft.PartQuantity
)

// FindingCodes lists them for docs/errors.md.
func FindingCodes() []check.Meaning { return draft.Codes() }

func billFinding(code, path, rule string) check.Finding { return draft.Finding(code, path, rule) }

// billCheck collects what is wrong with a bill.
type billCheck struct{ draft.Sheet }

// checkBill tells everything that is wrong with a bill before anything is sent.
func checkBill(r *gateway.OpenSettlement) []check.Finding {
	b := &billCheck{}
	b.Need("/credential/type", r.Credential.Type)
	b.Need("/credential/number", r.Credential.Number)
	v := r.Visit
	b.Need("/visit/number", v.Number)
	b.Need("/visit/med_type", v.MedType)
	b.When("/visit/begin", v.Begin)
	b.Coded("/visit/doctor", v.Doctor)
	b.Coded("/visit/department", v.Department)
	b.Need("/visit/caty", v.Caty)
	b.diagnoses(r.Diagnoses)
	b.fees(r)
	return b.Found
}

func (b *billCheck) fees(r *gateway.OpenSettlement) {
	switch n := len(r.Fees); {
	case n == 0:
		b.Add(CodeFeesEmpty, "/fees", ">=1")
		return
	case n > mostFees:
		b.Add(CodeFeesTooMany, "/fees", fmt.Sprintf("<=%d", mostFees))
		return
	}
	seen := make(map[string]int, len(r.Fees))
	var sum money.Fen
	whole := true
	for i := range r.Fees {
		f := &r.Fees[i]
		at := "/fees/" + strconv.Itoa(i)
		if first, twice := seen[f.ID]; twice && f.ID != "" {
			b.Add(CodeFeeDuplicate, at+"/id", fmt.Sprintf("/fees/%d/id", first))
		}
		seen[f.ID] = i
		if f.RefundOf != "" {
			b.Add(CodeNotListed, at+"/refund_of", "")
		}
		amount, ok := b.fee(at, f)
		if !ok {
			whole = false
			continue
		}
		var err error
		if sum, err = money.Sum(sum, amount); err != nil {
			b.Add(check.CodeAmountRange, at+"/amount", "16,2")
			return
		}
	}
	b.Total("/total", r.Total, sum, whole)
}

// fee checks one row and gives its amount, ok when it can be counted.
func (b *billCheck) fee(at string, f *gateway.Fee) (money.Fen, bool) {
	b.Need(at+"/id", f.ID)
	b.Need(at+"/code", f.Code)
	b.Need(at+"/local_code", f.LocalCode)
	b.When(at+"/time", f.Time)
	b.Coded(at+"/department", f.Department)
	b.Coded(at+"/doctor", f.Doctor)
	standard := feeRow(f, facts{})
	for _, name := range sortedNames(f.Extra) {
		if _, taken := standard[name]; taken || slices.Contains(feeMembers, name) {
			b.Add(CodeFeeExtra, at+"/extra/"+draft.Escape(name), "")
		}
	}
	return b.Row(at, f.Quantity, f.Price, f.Amount, f.RefundOf != "")
}
