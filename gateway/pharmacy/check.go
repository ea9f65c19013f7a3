package pharmacy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

// mostRows bounds the rows of one sale: a call can not be cut in two (docs/interface/invariants.md, "Limits").
const mostRows = 100

// rowMembers are the members of a row that a sale has words of its own for.
var rowMembers = []string{"feedetl_sn", "rxno", "rx_circ_flag", "fee_ocur_time", "med_list_codg", "medins_list_codg",
	"det_item_fee_sumamt", "cnt", "pric", "bilg_dr_codg", "bilg_dr_name"}

// checkSale tells everything that is wrong with a sale before anything is sent.
func checkSale(r *gateway.OpenSale) []check.Finding {
	b := &draft.Sheet{}
	b.Credential(r.Credential)
	b.Need("/med_type", r.MedType)
	b.When("/begin", r.Begin)
	switch n := len(r.Fees); {
	case n == 0:
		b.Add(draft.FeesEmpty, "/fees", ">=1")
		return b.Found
	case n > mostRows:
		b.Add(draft.FeesTooMany, "/fees", fmt.Sprintf("<=%d", mostRows))
		return b.Found
	}
	seen := make(map[string]int, len(r.Fees))
	var sum money.Fen
	whole := true
	for i := range r.Fees {
		f, at := &r.Fees[i], "/fees/"+strconv.Itoa(i)
		if first, twice := seen[f.ID]; twice && f.ID != "" {
			b.Add(draft.FeeDuplicate, at+"/id", fmt.Sprintf("/fees/%d/id", first))
		}
		seen[f.ID] = i
		b.Need(at+"/id", f.ID)
		b.Need(at+"/code", f.Code)
		b.Need(at+"/local_code", f.LocalCode)
		b.When(at+"/time", f.Time)
		for _, name := range slices.Sorted(maps.Keys(f.Extra)) {
			if slices.Contains(rowMembers, name) {
				b.Add(draft.FeeExtra, at+"/extra/"+draft.Escape(name), "")
			}
		}
		amount, ok := b.Row(at, f.Quantity, f.Price, f.Amount, false)
		if !ok {
			whole = false
			continue
		}
		var err error
		if sum, err = money.Sum(sum, amount); err != nil {
			b.Add(check.CodeAmountRange, at+"/amount", "16,2")
			return b.Found
		}
	}
	b.Total("/total", r.Total, sum, whole)
	return b.Found
}
