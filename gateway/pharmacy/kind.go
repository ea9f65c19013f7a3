package pharmacy

import (
	"bytes"
	"encoding/json"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

type object = map[string]any

const (
	stepTrial  = "2101#1"
	stepSettle = "2102#1"
	stepUndo   = "2103#1"
)

// Kind is a sale as a kind of case.
type Kind struct{}

var _ gateway.CaseKind = Kind{}

// Letter implements gateway.CaseKind.
func (Kind) Letter() byte { return letter }

// Place implements gateway.CaseKind.
func (Kind) Place() string { return "/api/v1/pharmacy-sales/" }

// StepName implements gateway.CaseKind.
func (Kind) StepName(n ident.Infno) string {
	return map[string]string{"1101": "人员信息获取", "2101": "药店预结算", "2102": "药店结算", "2103": "药店结算撤销", "2601": "冲正"}[string(n[:min(4, len(n))])]
}

// body is the sale as it was handed in.
func body(v gateway.CaseView) (*gateway.OpenSale, error) {
	var r gateway.OpenSale
	dec := json.NewDecoder(bytes.NewReader(v.Bill.Body))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil {
		return nil, unwritable(err)
	}
	return &r, nil
}

// Next implements gateway.CaseKind.
func (k Kind) Next(v gateway.CaseView) (gateway.CaseStep, error) {
	sale, err := body(v)
	if err != nil {
		return gateway.CaseStep{}, err
	}
	switch v.Op {
	case opOpen:
		return open(v, sale)
	case opConfirm:
		return confirm(v, sale)
	case opRefund:
		return refund(v)
	}
	return gateway.CaseStep{}, conflict(v)
}

// open goes on to the trial. A sale that has gone further was opened.
func open(v gateway.CaseView, sale *gateway.OpenSale) (gateway.CaseStep, error) {
	switch trial, ok := v.Last(stepTrial); {
	case v.Person.No == "":
		return gateway.CaseStep{Name: gateway.CasePerson, Needs: true, Begin: sale.Begin}, nil
	case !ok || trial.End != gateway.CaseDone:
		return gateway.CaseStep{Name: stepTrial, Needs: true, Keep: extras(sale),
			Input: func(c gateway.Credential) any { return saleInput(sale, v.Person, c, "") }}, nil
	default:
		return gateway.CaseStep{Needs: true}, trialFits(sale, trial)
	}
}

// confirm is one 2102. Another is made only when the one before is proved not to stand.
func confirm(v gateway.CaseView, sale *gateway.OpenSale) (gateway.CaseStep, error) {
	last, tried := v.Last(stepSettle)
	state := stateOf(v)
	switch {
	case tried && last.Key == v.Key && last.End == gateway.CaseDone:
		return gateway.CaseStep{}, nil
	case state != gateway.SalePresettled:
		return gateway.CaseStep{}, conflict(v)
	}
	trial, _ := v.Last(stepTrial)
	if err := trialFits(sale, trial); err != nil {
		return gateway.CaseStep{}, err
	}
	r, _ := v.Asked.(gateway.ConfirmSale)
	cash := strictjson.Text(row(trial.Output)["psn_cash_pay"])
	if r.ExpectCash != "" && !same(r.ExpectCash, cash) {
		return gateway.CaseStep{}, amiss(draft.CashDiffers, "/expect_cash", cash)
	}
	return gateway.CaseStep{Name: stepSettle, Needs: true, Keep: extras(sale),
		Input: func(c gateway.Credential) any { return saleInput(sale, v.Person, c, r.Invoice) }}, nil
}

// refund is one 2103. That the centre has it undone already is as good as done.
func refund(v gateway.CaseView) (gateway.CaseStep, error) {
	last, tried := v.Last(stepUndo)
	if tried && last.Key == v.Key && last.Done {
		return gateway.CaseStep{}, nil
	}
	if stateOf(v) != gateway.SaleSettled {
		return gateway.CaseStep{}, conflict(v)
	}
	settled, _ := v.Last(stepSettle)
	info := row(settled.Output)
	return gateway.CaseStep{Name: stepUndo, Input: func(gateway.Credential) any {
		return object{"data": object{"setl_id": strictjson.Text(info["setl_id"]), "mdtrt_id": strictjson.Text(info["mdtrt_id"]), "psn_no": v.Person.No}}
	}}, nil
}

func conflict(v gateway.CaseView) error {
	return &gateway.Error{Code: gateway.CodeState, Detail: string(stateOf(v))}
}

func amiss(code, path, rule string) error {
	f := draft.Finding(code, path, rule)
	return &gateway.Error{Code: gateway.CodeAmounts, Path: path, Rule: rule, Detail: f.EN, Findings: []check.Finding{f}}
}

// trialFits holds the trial against the sale: its total, and its rows where it gives them (detlcutinfo).
func trialFits(sale *gateway.OpenSale, trial gateway.CaseAttempt) error {
	if !same(strictjson.Text(row(trial.Output)["medfee_sumamt"]), sale.Total) {
		return amiss(draft.TotalMismatch, "/total", "")
	}
	want := make(map[string]string, len(sale.Fees))
	for _, f := range sale.Fees {
		want[f.ID] = f.Amount
	}
	back := strictjson.Rows(trial.Output, "detlcutinfo")
	for _, r := range back {
		id := strictjson.Text(r["feedetl_sn"])
		if amount, ok := want[id]; !ok || !same(amount, strictjson.Text(r["det_item_fee_sumamt"])) {
			return amiss(draft.RowsMismatch, "/fees", "")
		}
		delete(want, id)
	}
	if len(back) > 0 && len(want) > 0 {
		return amiss(draft.RowsMismatch, "/fees", "")
	}
	return nil
}

func extras(sale *gateway.OpenSale) map[string]bool {
	keep := map[string]bool{}
	for _, f := range sale.Fees {
		for name := range f.Extra {
			keep[name] = true
		}
	}
	return keep
}

// saleInput is 2101, and with or without an invoice number 2102.
func saleInput(r *gateway.OpenSale, p gateway.CasePersonFound, c gateway.Credential, invoice string) any {
	used := "0"
	if r.UseAccount {
		used = "1"
	}
	total, _ := money.Parse(r.Total) // it was read when the sale was handed in
	head := object{
		"psn_no": p.No, "mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number, "begntime": r.Begin, "medfee_sumamt": money.Number(total),
		"insutype": p.Insutype, "acct_used_flag": used, "med_type": r.MedType,
	}
	set(head, "dise_codg", r.Disease.Code)
	set(head, "dise_name", r.Disease.Name)
	set(head, "invono", invoice)
	list := make([]any, 0, len(r.Fees))
	for i := range r.Fees {
		list = append(list, rowInput(&r.Fees[i]))
	}
	return object{"druginfo": head, "drugdetail": list}
}

func rowInput(f *gateway.SaleRow) object {
	amount, _ := money.Parse(f.Amount)
	o := object{
		"feedetl_sn": f.ID, "fee_ocur_time": f.Time, "med_list_codg": f.Code, "medins_list_codg": f.LocalCode,
		"det_item_fee_sumamt": money.Number(amount), "cnt": decimal(f.Quantity, 4), "pric": decimal(f.Price, 6), "rx_circ_flag": "0",
	}
	set(o, "rx_circ_flag", f.Circulated)
	set(o, "rxno", f.RxNo)
	set(o, "bilg_dr_codg", f.Doctor.Code)
	set(o, "bilg_dr_name", f.Doctor.Name)
	for name, v := range f.Extra {
		o[name] = v
	}
	return o
}

func set(o object, name, v string) {
	if v != "" {
		o[name] = v
	}
}

func decimal(v string, scale uint8) any {
	if d, err := money.ParseDecimal(v, scale); err == nil {
		return json.Number(d.String())
	}
	return v
}

// row is the head of a reply.
func row(output any) object {
	if list := strictjson.Rows(output, "setlinfo"); len(list) > 0 {
		return list[0]
	}
	return nil
}

// same reports whether two texts are one amount.
func same(a, b string) bool {
	x, errX := money.ParseReply(strings.TrimSpace(a))
	y, errY := money.ParseReply(strings.TrimSpace(b))
	return errX == nil && errY == nil && x == y
}
