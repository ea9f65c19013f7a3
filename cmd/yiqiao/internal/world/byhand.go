package world

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// ladder is a bill whose HIS drives the ladder itself, transaction by transaction.
type ladder struct {
	person, area, insutype, visit string
	trial, settled                object
}

// step sends one transaction and repeats it until it is answered; its output, nil when it was not
// done.
func (c *cashier) step(b *bill, tag string, infno ident.Infno, area string, input object) object {
	in := gateway.Transact{RequestID: fmt.Sprintf("t%s-%s%s", b.name, infno, tag), Infno: infno, Institution: b.open.Institution,
		Operator: c.oper, InsuplcArea: area, Input: input}
	undoes := strictjson.Text(strictjson.Get(input, "data", "setl_id"))
	r := b.add(&request{op: opTransact, id: in.RequestID, key: in.RequestID, undoes: undoes, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		t, err := d.Transact(ctx, c.caller, in)
		return answer{tx: t}, err
	}})
	if !c.insist(r, 8) || r.told == nil {
		return nil
	}
	out, ok := r.told.tx.Output.(object)
	if !ok {
		out = object{}
	}
	return out
}

// byHand climbs the ladder, and now and then back again.
func (c *cashier) byHand(b *bill) {
	l := &ladder{}
	b.ladder = l
	if !c.registerByHand(b, l) {
		return
	}
	if c.w.s.chance(500) {
		c.upload(b, l.visit, 1+c.w.s.rng.IntN(3))
	}
	if c.step(b, "", "2204", l.area, object{"feedetail": b.rows(l)}) == nil {
		return
	}
	out := c.step(b, "", "2206", l.area, object{"data": b.demand(l)})
	if l.trial, _ = out["setlinfo"].(object); l.trial == nil {
		return
	}
	for n := range 3 {
		if !c.settleByHand(b, fmt.Sprint(n)) || !c.w.s.chance(400) {
			return
		}
		c.pause(time.Second, 10*time.Minute)
		out := c.step(b, fmt.Sprint(n), "2208", l.area, object{"data": object{
			"setl_id": strictjson.Text(l.settled["setl_id"]), "mdtrt_id": l.visit, "psn_no": l.person}})
		if out == nil || !c.w.s.chance(500) { // otherwise it is settled anew
			return
		}
	}
}

// registerByHand climbs to the visit.
func (c *cashier) registerByHand(b *bill, l *ladder) bool {
	o, cr := &b.open, b.open.Credential
	data := object{"mdtrt_cert_type": cr.Type, "mdtrt_cert_no": cr.Number}
	if cr.CardSN != "" {
		data["card_sn"] = cr.CardSN
	}
	out := c.step(b, "", "1101", "", object{"data": data})
	if out == nil {
		return false
	}
	l.person = strictjson.Text(strictjson.Get(out, "baseinfo", "psn_no"))
	l.area, l.insutype = b.person.Area, b.person.Insurances[0].Type
	out = c.step(b, "", "2201", l.area, object{"data": object{
		"psn_no": l.person, "insutype": l.insutype, "begntime": o.Visit.Begin, "mdtrt_cert_type": cr.Type, "mdtrt_cert_no": cr.Number,
		"ipt_otp_no": o.Visit.Number, "atddr_no": o.Visit.Doctor.Code, "dr_name": o.Visit.Doctor.Name,
		"dept_code": o.Visit.Department.Code, "dept_name": o.Visit.Department.Name, "caty": o.Visit.Caty}})
	if l.visit = strictjson.Text(strictjson.Get(out, "data", "mdtrt_id")); l.visit == "" {
		return false
	}
	g := o.Diagnoses[0]
	return c.step(b, "", "2203", l.area, object{
		"mdtrtinfo": object{"mdtrt_id": l.visit, "psn_no": l.person, "med_type": "11", "begntime": o.Visit.Begin},
		"diseinfo": []any{object{"psn_no": l.person, "mdtrt_id": l.visit, "maindiag_flag": "1", "diag_type": g.Type, "diag_srt_no": json.Number("1"),
			"diag_code": g.Code, "diag_name": g.Name, "diag_dept": g.Department, "dise_dor_no": g.Doctor.Code,
			"dise_dor_name": g.Doctor.Name, "diag_time": g.Time, "vali_flag": "1"}},
	}) != nil
}

func (c *cashier) settleByHand(b *bill, tag string) bool {
	l := b.ladder
	in := b.demand(l)
	for _, name := range [...]string{"fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt"} {
		in[name] = l.trial[name]
	}
	out := c.step(b, tag, "2207", l.area, object{"data": in})
	l.settled, _ = out["setlinfo"].(object)
	return l.settled != nil
}

func (b *bill) demand(l *ladder) object {
	used := "0"
	if b.open.UseAccount {
		used = "1"
	}
	return object{"psn_no": l.person, "mdtrt_cert_type": b.open.Credential.Type, "mdtrt_cert_no": b.open.Credential.Number,
		"med_type": "11", "medfee_sumamt": decimal(b.open.Total), "psn_setlway": "01", "mdtrt_id": l.visit, "chrg_bchno": "H" + b.name,
		"acct_used_flag": used, "insutype": l.insutype}
}

func (b *bill) rows(l *ladder) []any {
	var list []any
	for i := range b.open.Fees {
		f := &b.open.Fees[i]
		list = append(list, object{"feedetl_sn": f.ID, "mdtrt_id": l.visit, "psn_no": l.person, "chrg_bchno": "H" + b.name, "rx_circ_flag": "0",
			"fee_ocur_time": f.Time, "med_list_codg": f.Code, "medins_list_codg": f.LocalCode, "det_item_fee_sumamt": decimal(f.Amount),
			"cnt": decimal(f.Quantity), "pric": decimal(f.Price), "bilg_dept_codg": f.Department.Code, "bilg_dept_name": f.Department.Name,
			"bilg_dr_codg": f.Doctor.Code, "bilg_dr_name": f.Doctor.Name, "hosp_appr_flag": "1"})
	}
	return list
}

func decimal(text string) any {
	if d, err := money.ParseDecimal(text, 6); err == nil {
		return json.Number(d.String())
	}
	return text
}
