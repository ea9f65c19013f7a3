package flow

import (
	"encoding/json"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

func TestBillIsCheckedBeforeAnythingIsSent(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*gateway.OpenSettlement)
		code  gateway.Code
		path  string
		find  string
	}{
		"no fees":            {func(r *gateway.OpenSettlement) { r.Fees = nil }, gateway.CodeRequestInvalid, "/fees", CodeFeesEmpty},
		"too many":           {func(r *gateway.OpenSettlement) { r.Fees = make([]gateway.Fee, 2001) }, gateway.CodeRequestInvalid, "/fees", CodeFeesTooMany},
		"twice":              {func(r *gateway.OpenSettlement) { r.Fees[2].ID = r.Fees[0].ID }, gateway.CodeRequestInvalid, "/fees/2/id", CodeFeeDuplicate},
		"amount a fen off":   {func(r *gateway.OpenSettlement) { r.Fees[1].Amount = "2.00"; r.Total = "6.02" }, gateway.CodeAmounts, "/fees/1/amount", CodeFeeAmount},
		"total off":          {func(r *gateway.OpenSettlement) { r.Total = "6.04" }, gateway.CodeAmounts, "/total", CodeBillTotal},
		"no total":           {func(r *gateway.OpenSettlement) { r.Total = "" }, gateway.CodeRequestInvalid, "/total", check.CodeFieldMissing},
		"three decimals":     {func(r *gateway.OpenSettlement) { r.Fees[0].Amount = "2.010" }, gateway.CodeRequestInvalid, "/fees/0/amount", check.CodeAmountDecimals},
		"exponent":           {func(r *gateway.OpenSettlement) { r.Fees[0].Quantity = "2e0" }, gateway.CodeRequestInvalid, "/fees/0/quantity", check.CodeAmountSyntax},
		"nothing of it":      {func(r *gateway.OpenSettlement) { r.Fees[0].Quantity = "0" }, gateway.CodeRequestInvalid, "/fees/0/quantity", check.CodeAmountRange},
		"negative price":     {func(r *gateway.OpenSettlement) { r.Fees[0].Price = "-1" }, gateway.CodeRequestInvalid, "/fees/0/price", check.CodeAmountNegative},
		"no code":            {func(r *gateway.OpenSettlement) { r.Fees[0].Code = "" }, gateway.CodeRequestInvalid, "/fees/0/code", check.CodeFieldMissing},
		"bad time":           {func(r *gateway.OpenSettlement) { r.Fees[0].Time = "2026-02-30 00:00:00" }, gateway.CodeRequestInvalid, "/fees/0/time", check.CodeDateInvalid},
		"extra takes over":   {func(r *gateway.OpenSettlement) { r.Fees[0].Extra = map[string]any{"pric": "1"} }, gateway.CodeRequestInvalid, "/fees/0/extra/pric", CodeFeeExtra},
		"no diagnosis":       {func(r *gateway.OpenSettlement) { r.Diagnoses = nil }, gateway.CodeRequestInvalid, "/diagnoses", CodeDiagnoses},
		"no credential":      {func(r *gateway.OpenSettlement) { r.Credential.Number = " " }, gateway.CodeRequestInvalid, "/credential/number", check.CodeFieldMissing},
		"no visit number":    {func(r *gateway.OpenSettlement) { r.Visit.Number = "" }, gateway.CodeRequestInvalid, "/visit/number", check.CodeFieldMissing},
		"doctor has no name": {func(r *gateway.OpenSettlement) { r.Visit.Doctor.Name = "" }, gateway.CodeRequestInvalid, "/visit/doctor/name", check.CodeFieldMissing},
		"no operator":        {func(r *gateway.OpenSettlement) { r.Operator.Name = "" }, gateway.CodeRequestInvalid, "", ""},
		"huge":               {func(r *gateway.OpenSettlement) { r.Fees[0].Amount = "99999999999999999999" }, gateway.CodeRequestInvalid, "/fees/0/amount", check.CodeAmountRange},
	} {
		b := newBench(t, askingRegion())
		r := bill("r1", 3)
		c.spoil(&r)
		_, err := b.desk.OpenSettlement(bg, his, r)
		e, _ := err.(*gateway.Error)
		if e == nil || e.Code != c.code {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.path != "" && !hasFinding(e.Findings, c.path, c.find) {
			t.Errorf("%s: no %s at %s in %+v", name, c.find, c.path, e.Findings)
		}
		if len(b.centre.Calls()) != 0 {
			t.Errorf("%s: something was sent", name)
		}
	}
}

func hasFinding(list []check.Finding, path, code string) bool {
	for _, f := range list {
		if f.Path == path && f.Code == code && f.ZH != "" && f.EN != "" {
			return true
		}
	}
	return false
}

func TestFeeRowsGoOutExactly(t *testing.T) {
	b := newBench(t, askingRegion())
	r := bill("r1", 1)
	f := &r.Fees[0]
	f.Quantity, f.Price, f.Amount, r.Total = "0.3333", "12.345678", "4.11", "4.11"
	f.Extra = map[string]any{"sin_dos_dscr": "每次一片", "own_member": json.Number("1")}
	if _, err := b.desk.OpenSettlement(bg, his, r); err != nil {
		t.Fatal(err)
	}
	got := row(b.centre.Sent("2204")[0].Input, "feedetail")
	for name, want := range map[string]string{
		"cnt": "0.3333", "pric": "12.345678", "det_item_fee_sumamt": "4.11", "sin_dos_dscr": "每次一片", "own_member": "1",
		"rx_circ_flag": "0", "hosp_appr_flag": "1", "mdtrt_id": "V000001", "psn_no": "P1",
	} {
		if text(got[name]) != want {
			t.Errorf("%s is %v, want %s", name, got[name], want)
		}
	}
}

func TestRegionsDifferByDataOnly(t *testing.T) {
	region := askingRegion()
	region.Variant = map[ident.Infno]ident.Infno{"2203": "2203A"}
	region.TreatmentCheck = true
	b := newBench(t, region)
	s := b.open("r1", 1)
	wantNumbers(t, b.numbers(), "1101", "2001", "2201", "2203A", "2204", "2206")
	if got := row(b.centre.Sent("2203A")[0].Input, "diseinfo"); text(got["maindiag_flag"]) != "1" || text(got["psn_no"]) != "P1" {
		t.Errorf("the variant's own members: %v", got)
	}
	plain := newBench(t, askingRegion())
	plain.open("r1", 1)
	if got := row(plain.centre.Sent("2203")[0].Input, "diseinfo"); got["maindiag_flag"] != nil {
		t.Errorf("members the table does not have: %v", got)
	}
	if done, err := b.confirm("c1", s); err != nil || done.State != gateway.BillSettled {
		t.Errorf("%+v %v", done, err)
	}
}

func TestInsuranceIsChosenOrAskedFor(t *testing.T) {
	b := newBench(t, askingRegion())
	r := bill("r1", 1)
	r.Insutype = "390"
	s, err := b.desk.OpenSettlement(bg, his, r)
	if err != nil || s.Insutype != "390" {
		t.Errorf("%+v %v", s, err)
	}
	r = bill("r2", 1)
	r.Insutype = "510"
	s, err = b.desk.OpenSettlement(bg, his, r)
	if codeOf(err) != gateway.CodeRequestInvalid || s.State != gateway.BillFailed {
		t.Errorf("%+v %v", s, err)
	}
	if live, err := b.desk.Settlement(bg, his, s.ID); err != nil || live.State != gateway.BillFailed {
		t.Errorf("%+v %v", live, err)
	}
}

func TestRowsThatAreNotOursEndTheBill(t *testing.T) {
	for name, spoil := range map[string]func([]any) []any{
		"one missing":    func(list []any) []any { return list[1:] },
		"another's":      func(list []any) []any { list[0].(object)["feedetl_sn"] = "x"; return list },
		"another amount": func(list []any) []any { list[0].(object)["det_item_fee_sumamt"] = "0.01"; return list },
		"one twice":      func(list []any) []any { list[0] = list[1]; return list },
	} {
		b := newBench(t, askingRegion())
		b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
			a := b.town.script(n, id, input)
			if n == "2204" {
				out := a.Output.(object)
				out["result"] = spoil(out["result"].([]any))
			}
			return a
		})
		s, err := b.desk.OpenSettlement(bg, his, bill("r1", 2))
		if codeOf(err) != gateway.CodeAmounts || s.State != gateway.BillFailed {
			t.Errorf("%s: %+v %v", name, s, err)
		}
		wantNumbers(t, numbersOf(b.centre), "1101", "2201", "2203", "2204", "2205", "2202")
	}
}

func TestEveryFindingHasWords(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range FindingCodes() {
		if m.ZH == "" || m.EN == "" || seen[m.Code] {
			t.Errorf("%+v", m)
		}
		seen[m.Code] = true
	}
	for _, m := range check.Codes() {
		if seen[m.Code] {
			t.Errorf("%s has two meanings", m.Code)
		}
	}
}
