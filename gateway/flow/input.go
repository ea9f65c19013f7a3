package flow

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/money"
)

// facts is what the steps of a ladder have learnt so far.
type facts struct {
	person   string // psn_no
	area     string // insuplc_admdvs
	insutype string
	visit    string // mdtrt_id
	batch    string // chrg_bchno
	trial    object // setlinfo of 2206
	setl     string // setl_id of 2207
}

// batchRows is how many fee rows one upload carries.
const batchRows = 100

// feeMembers are the members of a fee row the bill has words of its own for.
var feeMembers = []string{
	"feedetl_sn", "mdtrt_id", "psn_no", "chrg_bchno", "dise_codg", "rxno", "rx_circ_flag", "fee_ocur_time",
	"med_list_codg", "medins_list_codg", "det_item_fee_sumamt", "cnt", "pric", "bilg_dept_codg",
	"bilg_dept_name", "bilg_dr_codg", "bilg_dr_name", "hosp_appr_flag",
}

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// set puts a text into an object unless it is empty.
func set(o object, name, v string) {
	if v != "" {
		o[name] = v
	}
}

// fenOf is an amount of a reply or of a checked bill as a number to send; text that is no amount is
// sent as it came.
func fenOf(v string) any {
	if f, err := money.ParseReply(v); err == nil {
		return money.Number(f)
	}
	return v
}

func decimalOf(v string, scale uint8) any {
	if d, err := money.ParseDecimal(v, scale); err == nil {
		return json.Number(d.String())
	}
	return v
}

func orElse(v, other string) string {
	if v == "" {
		return other
	}
	return v
}

// personInput is 1101.
func personInput(c gateway.Credential, v gateway.VisitInfo) any {
	o := object{"mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number}
	set(o, "card_sn", c.CardSN)
	set(o, "begntime", v.Begin)
	set(o, "psn_cert_type", c.CertType)
	set(o, "certno", c.CertNo)
	set(o, "psn_name", c.Name)
	return object{"data": o}
}

// treatmentInput is 2001.
func treatmentInput(b *gateway.OpenSettlement, f facts) any {
	o := object{
		"psn_no": f.person, "insutype": f.insutype, "fixmedins_code": string(b.Institution),
		"med_type": b.Visit.MedType, "begntime": b.Visit.Begin,
	}
	set(o, "dise_codg", b.Visit.Disease.Code)
	set(o, "dise_name", b.Visit.Disease.Name)
	return object{"data": o}
}

// registerInput is 2201.
func registerInput(b *gateway.OpenSettlement, f facts, c gateway.Credential) any {
	v := b.Visit
	return object{"data": object{
		"psn_no": f.person, "insutype": f.insutype, "begntime": v.Begin,
		"mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number, "ipt_otp_no": v.Number,
		"atddr_no": v.Doctor.Code, "dr_name": v.Doctor.Name,
		"dept_code": v.Department.Code, "dept_name": v.Department.Name, "caty": v.Caty,
	}}
}

// visitInput is 2203 and its variants: what a variant does not know is left out by fit.
func visitInput(b *gateway.OpenSettlement, f facts) any {
	v := b.Visit
	m := object{"mdtrt_id": f.visit, "psn_no": f.person, "med_type": v.MedType, "begntime": v.Begin}
	set(m, "main_cond_dscr", v.Complaint)
	set(m, "dise_codg", v.Disease.Code)
	set(m, "dise_name", v.Disease.Name)
	list := make([]any, 0, len(b.Diagnoses))
	for i, g := range b.Diagnoses {
		first := "0"
		if i == 0 {
			first = "1"
		}
		list = append(list, object{
			"psn_no": f.person, "mdtrt_id": f.visit, "maindiag_flag": first,
			"diag_type": g.Type, "diag_srt_no": json.Number(strconv.Itoa(i + 1)), "diag_code": g.Code,
			"diag_name": g.Name, "diag_dept": g.Department, "dise_dor_no": g.Doctor.Code,
			"dise_dor_name": g.Doctor.Name, "diag_time": g.Time, "vali_flag": "1",
		})
	}
	return object{"mdtrtinfo": m, "diseinfo": list}
}

// feeRow is one row of 2204.
func feeRow(fee *gateway.Fee, f facts) object {
	o := object{
		"feedetl_sn": fee.ID, "mdtrt_id": f.visit, "psn_no": f.person, "chrg_bchno": f.batch,
		"rx_circ_flag": orElse(fee.Circulated, "0"), "fee_ocur_time": fee.Time,
		"med_list_codg": fee.Code, "medins_list_codg": fee.LocalCode,
		"det_item_fee_sumamt": fenOf(fee.Amount), "cnt": decimalOf(fee.Quantity, 4), "pric": decimalOf(fee.Price, 6),
		"bilg_dept_codg": fee.Department.Code, "bilg_dept_name": fee.Department.Name,
		"bilg_dr_codg": fee.Doctor.Code, "bilg_dr_name": fee.Doctor.Name,
		"hosp_appr_flag": orElse(fee.Approved, "1"),
	}
	set(o, "rxno", fee.RxNo)
	return o
}

// feesInput is batch n (1, 2, ...) of 2204.
func feesInput(b *gateway.OpenSettlement, f facts, n int) any {
	fees := batchOf(b.Fees, n)
	list := make([]any, 0, len(fees))
	for i := range fees {
		o := feeRow(&fees[i], f)
		set(o, "dise_codg", b.Visit.Disease.Code)
		for name, v := range fees[i].Extra {
			o[name] = v
		}
		list = append(list, o)
	}
	return object{"feedetail": list}
}

func batchOf(fees []gateway.Fee, n int) []gateway.Fee {
	from := min((n-1)*batchRows, len(fees))
	return fees[from:min(from+batchRows, len(fees))]
}

func batches(fees []gateway.Fee) int { return (len(fees) + batchRows - 1) / batchRows }

// settleInput is 2206, and with the split of the trial 2207.
func settleInput(b *gateway.OpenSettlement, f facts, c gateway.Credential) object {
	used := "0"
	if b.UseAccount {
		used = "1"
	}
	return object{
		"psn_no": f.person, "mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number, "med_type": b.Visit.MedType,
		"medfee_sumamt": fenOf(b.Total), "psn_setlway": b.SettleWay, "mdtrt_id": f.visit,
		"chrg_bchno": f.batch, "acct_used_flag": used, "insutype": f.insutype,
	}
}

// splitMembers are the four figures of the trial that the settlement repeats.
var splitMembers = []string{"fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt"}

func confirmInput(b *gateway.OpenSettlement, f facts, c gateway.Credential, invoice string) any {
	o := settleInput(b, f, c)
	for _, name := range splitMembers {
		o[name] = fenOf(orElse(text(f.trial[name]), "0"))
	}
	set(o, "invono", invoice)
	return object{"data": o}
}

// undoInput serves 2205 and 2202; refundInput 2208.
func undoFeesInput(f facts) any {
	return object{"data": object{"psn_no": f.person, "mdtrt_id": f.visit, "chrg_bchno": f.batch}}
}

func undoVisitInput(b *gateway.OpenSettlement, f facts) any {
	return object{"data": object{"psn_no": f.person, "mdtrt_id": f.visit, "ipt_otp_no": b.Visit.Number}}
}

func refundInput(f facts) any {
	return object{"data": object{"setl_id": f.setl, "mdtrt_id": f.visit, "psn_no": f.person}}
}

// fit leaves out the members a transaction's table does not have, where the table has any: the
// flows build the widest form and a variant takes what it knows. keep names members that stay.
func fit(tx *catalog.Transaction, input any, keep map[string]bool) any {
	top, ok := input.(object)
	if !ok {
		return input
	}
	for _, n := range tx.Input {
		known := make(map[string]bool, len(n.Fields))
		for _, f := range n.Fields {
			known[f.Code] = true
		}
		for _, r := range rows(top, n.Name) {
			for name := range r {
				if !known[name] && !keep[name] {
					delete(r, name)
				}
			}
		}
	}
	return input
}
