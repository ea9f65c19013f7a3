package centre

import (
	"encoding/json"
	"strings"
	"time"

	"yiqiao/schemas/money"
)

// askVisits answers 5201. A visit whose medical category is not known yet (no 2203) answers to
// every category.
func (c *Centre) askVisits(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	from, to := moment(in, "begntime"), moment(in, "endtime")
	if to.Before(from) {
		return action{}, refuse("结束时间早于开始时间")
	}
	return action{run: func() (any, error) {
		list := []any{}
		for _, v := range k.who.visits {
			begun := v.begun()
			if v.place.Code != k.place.Code || v.cancelled || begun.Before(from) || begun.After(to) {
				continue
			}
			if m := v.medType(); m != "" && m != text(in, "med_type") {
				continue
			}
			if id := text(in, "mdtrt_id"); id != "" && id != v.id {
				continue
			}
			list = append(list, visitReply(v, k.now))
		}
		return object{"mdtrtinfo": list}, nil
	}}, nil
}

func visitReply(v *visit, now time.Time) object {
	p := v.who
	insured, _ := p.Insurance(v.insutype)
	var diagnosis any
	if len(v.diagnoses) > 0 {
		diagnosis = text(v.diagnoses[0], "diag_name")
	}
	return object{
		"mdtrt_id": v.id, "psn_no": p.No, "psn_cert_type": "01", "certno": p.Cert, "psn_name": p.Name, "gend": p.Gender,
		"naty": p.Ethnic, "brdy": p.Birth, "age": age(p.Birth, now), "coner_name": nil, "tel": nil, "insutype": v.insutype,
		"psn_type": insured.PersonType, "maf_psn_flag": flag(p.Aided()), "cvlserv_flag": flag(p.Has("320")), "flxempe_flag": "0",
		"nwb_flag": "0", "insu_optins": p.Area, "emp_name": orNull(p.Employer), "begntime": v.begun().Format(time.DateTime),
		"endtime": orNull(text(v.discharge, "endtime")), "mdtrt_cert_type": text(v.in, "mdtrt_cert_type"),
		"med_type": orNull(v.medType()), "ipt_otp_no": orNull(v.number()),
		"atddr_no": v.said("atddr_no", "atddr_no"), "chfpdr_name": v.said("chfpdr_name", "dr_name"),
		"adm_dept_codg": v.said("adm_dept_codg", "dept_code"), "adm_dept_name": v.said("adm_dept_name", "dept_name"),
		"adm_bed": orNull(text(v.info, "adm_bed")), "dscg_dept_codg": orNull(text(v.discharge, "dscg_dept_codg")),
		"dscg_dept_name": orNull(text(v.discharge, "dscg_dept_name")), "dscg_way": orNull(text(v.discharge, "dscg_way")), "main_cond_dscr": orNull(text(v.info, "main_cond_dscr")),
		"dise_codg": orNull(text(v.info, "dise_codg")), "dise_name": orNull(text(v.info, "dise_name")), "otp_diag_info": diagnosis,
		"memo": nil, "opter_id": nil, "opter_name": nil, "opt_time": nil, "fixmedins_code": v.place.Code,
	}
}

// said gives what a stay calls by the first name and an outpatient visit by the second.
func (v *visit) said(stay, visit string) any {
	if v.kind == inpatient {
		return orNull(text(v.info, stay))
	}
	return orNull(text(v.in, visit))
}

// askSettlement answers 5203. Without setl_id, where the region allows it, every settlement of the
// visit: null for none, an object for one, an array for more.
func (c *Centre) askSettlement(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	var found []*settlement
	if id := text(in, "setl_id"); id != "" {
		s, err := c.settlementOf(k, id)
		if err != nil {
			return action{}, err
		}
		if s.visit.id != text(in, "mdtrt_id") {
			return action{}, refuse("未查询到结算信息")
		}
		found = append(found, s)
	} else if v := c.state.visits[text(in, "mdtrt_id")]; v != nil && v.who == k.who && v.place.Code == k.place.Code {
		for _, s := range v.bills {
			if !s.reversed {
				found = append(found, s)
			}
		}
	}
	return action{run: func() (any, error) {
		details := []any{}
		infos := []any{}
		for _, s := range found {
			sign := money.Fen(1)
			if s.undoOf != nil {
				sign = -1
			}
			infos = append(infos, c.settlementReply(s, sign))
			for _, d := range detail(s, sign) {
				row, ok := d.(object)
				if ok {
					row["setl_id"] = s.id
				}
				details = append(details, d)
			}
		}
		out := object{"setlinfo": nil, "setldetail": details}
		switch len(infos) {
		case 0:
		case 1:
			out["setlinfo"] = infos[0]
		default:
			out["setlinfo"] = infos
		}
		return out, nil
	}}, nil
}

// settlementReply writes a settlement as 5203 does: psn_pay and cash_payamt instead of the names
// the settlement uses, and refd_setl_flag 1 for an undo and for what was undone.
func (c *Centre) settlementReply(s *settlement, sign money.Fen) object {
	info := c.setlinfo(s, sign)
	for _, member := range [...]string{"hifdm_pay", "inscp_amt", "othfund_pay", "ownpay_hosp_part"} {
		delete(info, member)
	}
	p, r := s.visit.who, s.result
	loc := "2"
	if p.Area != s.visit.place.Area {
		loc = "4"
		if len(p.Area) >= 2 && strings.HasPrefix(s.visit.place.Area, p.Area[:2]) {
			loc = "3"
		}
	}
	for member, v := range (object{
		"flxempe_flag": "0", "nwb_flag": "0", "insu_optins": p.Area, "emp_name": orNull(p.Employer), "pay_loc": loc,
		"fixmedins_code": s.visit.place.Code, "fixmedins_name": s.visit.place.Name, "hosp_lv": orNull(s.visit.place.Level),
		"fixmedins_poolarea": s.visit.place.Area, "lmtpric_hosp_lv": orNull(s.visit.place.Level), "dedc_hosp_lv": orNull(s.visit.place.Level),
		"begndate": day(s.visit), "enddate": s.at.Format(time.DateOnly),
		"psn_pay": money.Number(sign * r.Personal), "cash_payamt": money.Number(sign * r.Cash), "acct_mulaid_pay": money.Number(0),
		"hosp_part_amt": money.Number(sign * r.Hospital), "refd_setl_flag": flag(s.undoOf != nil || s.undoneBy != nil),
		"year": s.at.Format("2006"), "dise_codg": orNull(text(s.visit.info, "dise_codg")),
		"dise_name": orNull(text(s.visit.info, "dise_name")), "invono": s.invoice, "opter_id": s.operator, "opter_name": s.opterNm,
		"opt_time": s.at.Format(time.DateTime),
	}) {
		info[member] = v
	}
	return info
}

func day(v *visit) any {
	t := v.begun()
	if t.IsZero() {
		return nil
	}
	return t.Format(time.DateOnly)
}

// askFees answers 5204: a list directly under output, empty when there is none.
func (c *Centre) askFees(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	v := c.state.visits[text(in, "mdtrt_id")]
	if v == nil || v.who != k.who || v.place.Code != k.place.Code {
		return action{}, refuse("未查询到就诊信息")
	}
	list := v.rows
	if id := text(in, "setl_id"); id != "" {
		s, err := c.settlementOf(k, id)
		if err != nil {
			return action{}, err
		}
		list = s.rows
	}
	return action{run: func() (any, error) {
		out := make([]any, 0, len(list))
		for _, r := range list {
			out = append(out, feeReply(v, r))
		}
		return out, nil
	}}, nil
}

// figure writes a number of a request as a number, null when there is none. A request may spell it
// in ways that are no JSON (007).
func figure(o object, member string) any {
	d, err := money.ParseDecimal(text(o, member), 8)
	if err != nil {
		return nil
	}
	return json.Number(d.String())
}

func feeReply(v *visit, r *row) object {
	o := r.reply()
	delete(o, "setl_time_start")
	for _, member := range [...]string{
		"fee_ocur_time", "sin_dos_dscr", "used_frqu_dscr", "medc_way_dscr", "medins_list_codg", "bilg_dept_codg",
		"bilg_dept_name", "bilg_dr_codg", "bilg_dr_name", "acord_dept_codg", "acord_dept_name", "orders_dr_code", "orders_dr_name",
		"hosp_appr_flag", "tcmdrug_used_way", "etip_flag", "etip_hosp_code", "dscg_tkdrug_flag", "matn_fee_flag", "chrg_bchno",
	} {
		o[member] = orNull(text(r.in, member))
	}
	var setl any
	if r.settled != nil {
		setl = r.settled.id
	}
	name := r.split.Item.Name
	if name == "" {
		name = "目录外项目"
	}
	for member, value := range (object{
		"mdtrt_id": v.id, "setl_id": setl, "rx_drord_no": orNull(text(r.in, "rxno") + text(r.in, "drord_no")), "med_type": orNull(v.medType()), "prd_days": figure(r.in, "prd_days"),
		"hilist_code": text(r.in, "med_list_codg"), "hilist_name": name, "list_type": orNull(r.split.Item.List),
		"medins_list_name": name, "spec": orNull(r.split.Item.Spec), "dosform_name": orNull(r.split.Item.Form),
		"prodname": nil, "opter_id": nil, "opter_name": nil, "opt_time": nil,
	}) {
		o[member] = value
	}
	return o
}
