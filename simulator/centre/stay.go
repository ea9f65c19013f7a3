package centre

import (
	"maps"
	"time"

	"yiqiao/schemas/ident"
	"yiqiao/simulator/policy"
)

// openStay finds a stay of the person that has begun and not ended, wherever it is.
func (p *person) openStay() *visit {
	for _, v := range p.visits {
		if v.kind == inpatient && !v.cancelled && v.discharge == nil {
			return v
		}
	}
	return nil
}

// checkDiagnoses wants at least one valid main diagnosis, all of them of the person.
func checkDiagnoses(k *call, list []object) error {
	main, err := mainDiagnoses(list)
	if err != nil {
		return err
	}
	if main == 0 {
		return refuse("没有主诊断")
	}
	for _, d := range list {
		if text(d, "psn_no") != k.who.No {
			return refuse("诊断信息的人员编号与就诊人员不符")
		}
	}
	return nil
}

// admission is 2401: it gives the mdtrt_id of the stay.
func (c *Centre) admission(k *call) (action, error) {
	in, diagnoses := node(k.in, "mdtrtinfo"), rows(k.in, "diseinfo")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	if err := covered(k.who, text(in, "insutype")); err != nil {
		return action{}, err
	}
	switch {
	case k.place.Pharmacy():
		return action{}, refuse("定点药店不能办理入院")
	case !k.who.Credential(text(in, "mdtrt_cert_type"), text(in, "mdtrt_cert_no"), text(in, "card_sn")):
		return action{}, refuse("就诊凭证与人员不符")
	case policy.ClassOf(text(in, "med_type")) != policy.Inpatient:
		return action{}, refuse("医疗类别 %s 不是住院类别", text(in, "med_type"))
	case k.who.openStay() != nil:
		return action{}, refuse("人员已在院，不能重复办理入院")
	}
	if err := checkDiagnoses(k, diagnoses); err != nil {
		return action{}, err
	}
	need := ident.Infno("")
	if text(in, "med_type") == "23" {
		need = "2501"
	}
	f, err := c.needFiling(k, need, "reflin_medins_no", k.place.Code)
	if err != nil {
		return action{}, err
	}
	v := &visit{kind: inpatient, insutype: text(in, "insutype"), in: in, info: in, diagnoses: diagnoses, filing: f}
	return action{writes: true, entry: &entry{visit: v}, run: func() (any, error) {
		c.admit(k, v)
		return object{"result": object{"mdtrt_id": v.id}}, nil
	}}, nil
}

// stayOf finds the stay an input node names.
func (c *Centre) stayOf(k *call, in object) (*visit, error) {
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return nil, err
	}
	return c.visitOf(k, inpatient, text(in, "mdtrt_id"))
}

// discharge is 2402.
func (c *Centre) discharge(k *call) (action, error) {
	in, diagnoses := node(k.in, "dscginfo"), rows(k.in, "diseinfo")
	v, err := c.stayOf(k, in)
	switch {
	case err != nil:
		return action{}, err
	case v.discharge != nil:
		return action{}, refuse("已办理出院，请勿重复办理")
	case text(in, "insutype") != v.insutype:
		return action{}, refuse("险种类型与入院登记不一致")
	case moment(in, "endtime").Before(moment(v.info, "begntime")):
		return action{}, refuse("出院时间早于入院时间")
	}
	if err := checkDiagnoses(k, diagnoses); err != nil {
		return action{}, err
	}
	return action{writes: true, run: func() (any, error) {
		v.discharge, v.atExit = in, diagnoses
		return nil, nil
	}}, nil
}

// changeStay is 2403: it replaces what 2401 said. The person and the insurance stay.
func (c *Centre) changeStay(k *call) (action, error) {
	in, diagnoses := node(k.in, "adminfo"), rows(k.in, "diseinfo")
	v, err := c.stayOf(k, in)
	switch {
	case err != nil:
		return action{}, err
	case v.discharge != nil:
		return action{}, refuse("已办理出院，不能变更住院信息")
	case policy.ClassOf(text(in, "med_type")) != policy.Inpatient:
		return action{}, refuse("医疗类别 %s 不是住院类别", text(in, "med_type"))
	case text(in, "med_type") != v.medType() && len(v.rows) > 0:
		return action{}, refuse("存在费用明细，不能变更医疗类别")
	case text(in, "med_type") == "23" && v.medType() != "23" && c.opt.Region.RequireFiling:
		return action{}, refuse("转外诊治住院必须在入院登记时办理")
	}
	if err := checkDiagnoses(k, diagnoses); err != nil {
		return action{}, err
	}
	info := maps.Clone(v.info)
	maps.Copy(info, in)
	info["ipt_no"] = in["ipt_otp_no"]
	return action{writes: true, repeat: true, run: func() (any, error) {
		v.info, v.diagnoses = info, diagnoses
		return nil, nil
	}}, nil
}

// cancelStay is 2404.
func (c *Centre) cancelStay(k *call) (action, error) {
	v, err := c.stayOf(k, node(k.in, "data"))
	switch {
	case err != nil:
		return action{}, err
	case v.discharge != nil:
		return action{}, refuse("已办理出院，请先撤销出院")
	case len(v.rows) > 0:
		return action{}, refuse("存在未撤销的费用明细或结算，不能撤销入院")
	}
	return action{writes: true, run: func() (any, error) {
		v.cancelled = true
		return nil, nil
	}}, nil
}

// cancelDischarge is 2405.
func (c *Centre) cancelDischarge(k *call) (action, error) {
	v, err := c.stayOf(k, node(k.in, "data"))
	switch {
	case err != nil:
		return action{}, err
	case v.discharge == nil:
		return action{}, refuse("未办理出院，无需撤销")
	case v.final() != nil:
		return action{}, refuse("已出院结算，请先撤销结算")
	}
	if other := k.who.openStay(); other != nil {
		return action{}, refuse("人员已在院，不能撤销出院")
	}
	return action{writes: true, run: func() (any, error) {
		v.discharge, v.atExit = nil, nil
		return nil, nil
	}}, nil
}

// final gives the settlement that closed a stay.
func (v *visit) final() *settlement {
	for _, s := range v.bills {
		if s.inForce() && !s.mid {
			return s
		}
	}
	return nil
}

// begun is when a visit began.
func (v *visit) begun() time.Time {
	if v.info != nil && v.kind == inpatient {
		return moment(v.info, "begntime")
	}
	return moment(v.in, "begntime")
}

// number is the hospital's own number of a visit.
func (v *visit) number() string {
	if v.kind == inpatient {
		return text(v.info, "ipt_no")
	}
	return text(v.in, "ipt_otp_no")
}
