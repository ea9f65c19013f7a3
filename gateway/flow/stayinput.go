package flow

import (
	"encoding/json"
	"strconv"

	"yiqiao/gateway"
)

// admitInput is 2401.
func admitInput(r *gateway.AdmitStay, f facts, c gateway.Credential) any {
	v, main := r.Visit, r.Diagnoses[0]
	m := object{
		"psn_no": f.person, "insutype": f.insutype, "begntime": v.Begin, "mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number,
		"med_type": v.MedType, "ipt_no": v.Number, "atddr_no": v.Doctor.Code, "chfpdr_name": v.Doctor.Name,
		"adm_diag_dscr": main.Name, "adm_dept_codg": v.Department.Code, "adm_dept_name": v.Department.Name, "adm_bed": v.Bed,
		"dscg_maindiag_code": main.Code, "dscg_maindiag_name": main.Name,
	}
	set(m, "medrcdno", v.RecordNo)
	set(m, "main_cond_dscr", v.Complaint)
	set(m, "dise_codg", v.Disease.Code)
	set(m, "dise_name", v.Disease.Name)
	set(m, "oprn_oprt_code", v.Operation.Code)
	set(m, "oprn_oprt_name", v.Operation.Name)
	return object{"mdtrtinfo": m, "diseinfo": stayDiagnoses(r.Diagnoses, f)}
}

func stayDiagnoses(list []gateway.Diagnosis, f facts) []any {
	out := make([]any, 0, len(list))
	for i, g := range list {
		first := "0"
		if i == 0 {
			first = "1"
		}
		o := object{
			"psn_no": f.person, "diag_type": g.Type, "maindiag_flag": first, "diag_srt_no": json.Number(strconv.Itoa(i + 1)),
			"diag_code": g.Code, "diag_name": g.Name, "diag_dept": g.Department, "dise_dor_no": g.Doctor.Code,
			"dise_dor_name": g.Doctor.Name, "diag_time": g.Time, "vali_flag": "1",
		}
		set(o, "mdtrt_id", f.visit)
		out = append(out, o)
	}
	return out
}

// chargeInput is one call of 2301.
func chargeInput(fees []gateway.Fee, medType string, f facts) any {
	list := make([]any, 0, len(fees))
	for i := range fees {
		o := feeRow(&fees[i], f)
		o["med_type"] = medType
		set(o, "init_feedetl_sn", fees[i].RefundOf)
		for name, v := range fees[i].Extra {
			o[name] = v
		}
		list = append(list, o)
	}
	return object{"feedetail": list}
}

// unchargeInput is 2302 of some rows, or with none of all that are not settled.
func unchargeInput(fees []gateway.Fee, f facts) any {
	ids := []string{"0000"}
	if len(fees) > 0 {
		ids = nil
	}
	for _, fee := range fees {
		ids = append(ids, fee.ID)
	}
	list := make([]any, 0, len(ids))
	for _, id := range ids {
		list = append(list, object{"feedetl_sn": id, "mdtrt_id": f.visit, "psn_no": f.person})
	}
	return object{"data": list}
}

// changeInput is 2403.
func changeInput(r gateway.ChangeStay, certType string, f facts) any {
	v, main := r.Visit, r.Diagnoses[0]
	m := object{
		"mdtrt_id": f.visit, "psn_no": f.person, "begntime": v.Begin, "mdtrt_cert_type": certType, "med_type": v.MedType, "ipt_otp_no": v.Number,
		"atddr_no": v.Doctor.Code, "chfpdr_name": v.Doctor.Name, "adm_diag_dscr": main.Name, "adm_dept_codg": v.Department.Code,
		"adm_dept_name": v.Department.Name, "adm_bed": v.Bed, "dscg_maindiag_code": main.Code, "dscg_maindiag_name": main.Name,
	}
	set(m, "coner_name", r.Contact)
	set(m, "tel", r.Phone)
	set(m, "medrcdno", v.RecordNo)
	set(m, "main_cond_dscr", v.Complaint)
	set(m, "dise_codg", v.Disease.Code)
	set(m, "dise_name", v.Disease.Name)
	set(m, "oprn_oprt_code", v.Operation.Code)
	set(m, "oprn_oprt_name", v.Operation.Name)
	return object{"adminfo": m, "diseinfo": stayDiagnoses(r.Diagnoses, f)}
}

func flagOf(yes bool) string {
	if yes {
		return "1"
	}
	return "0"
}

// leaveInput is 2402.
func leaveInput(r gateway.DischargeStay, f facts) any {
	m := object{
		"mdtrt_id": f.visit, "psn_no": f.person, "insutype": f.insutype, "endtime": r.End,
		"dscg_dept_codg": r.Department.Code, "dscg_dept_name": r.Department.Name, "dscg_way": r.Way,
	}
	set(m, "dscg_bed", r.Bed)
	set(m, "dise_codg", r.Disease.Code)
	set(m, "dise_name", r.Disease.Name)
	set(m, "oprn_oprt_code", r.Operation.Code)
	set(m, "oprn_oprt_name", r.Operation.Name)
	return object{"dscginfo": m, "diseinfo": stayDiagnoses(r.Diagnoses, f)}
}

// staySettleInput is 2303 and 2304: the split of the rows as the centre gave it.
func staySettleInput(r gateway.SettleStay, f facts, c gateway.Credential, sum charges) any {
	o := object{
		"psn_no": f.person, "mdtrt_cert_type": c.Type, "mdtrt_cert_no": c.Number, "medfee_sumamt": fenOf(sum.total.String()),
		"psn_setlway": orElse(r.SettleWay, "01"), "mdtrt_id": f.visit, "acct_used_flag": flagOf(r.UseAccount), "insutype": f.insutype,
		"mid_setl_flag": flagOf(r.MidStay),
	}
	for i, name := range splitMembers {
		o[name] = fenOf(sum.split[i].String())
	}
	set(o, "invono", r.Invoice)
	return object{"data": o}
}

// stayUndoInput is 2404 and 2405; with the settlement 2305.
func stayUndoInput(f facts, setl string) any {
	o := object{"mdtrt_id": f.visit, "psn_no": f.person}
	set(o, "setl_id", setl)
	return object{"data": o}
}
