package centre

import (
	"encoding/json"
	"strconv"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/ledger"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
)

// kind of visit; the texts are clr_type.
type kind string

const (
	outpatient kind = "11"
	inpatient  kind = "21"
	pharmacy   kind = "41"
)

// visit is one registration: an outpatient visit, a stay, or one sale of a pharmacy.
type visit struct {
	id        string
	kind      kind
	who       *person
	place     people.Institution
	insutype  string
	in        object // 2201 data, 2401 mdtrtinfo, 2102 druginfo
	info      object // 2203 mdtrtinfo, nil before; for others as in, with the changes of 2403
	diagnoses []object
	cancelled bool
	rows      []*row
	bySN      map[string]*row
	bills     []*settlement // all of them, undos and reversed ones included
	discharge object        // 2402 dscginfo, nil while in hospital
	atExit    []object      // 2402 diseinfo
	filing    *filing       // what the visit was allowed by, nil where none is asked for
	outside   bool          // invented by the control port
}

// row is one fee row.
type row struct {
	in      object
	sn      string
	batch   string
	cnt     money.Decimal
	pric    money.Decimal
	split   policy.Split
	refunds *row // the row this one takes back, nil for a charge
	settled *settlement
}

func (v *visit) medType() string { return text(v.info, "med_type") }

// visitOf finds a visit of this institution and person that was not cancelled.
func (c *Centre) visitOf(k *call, want kind, id string) (*visit, error) {
	v := c.state.visits[id]
	if v == nil || v.kind != want || v.place.Code != k.place.Code || v.who != k.who {
		return nil, refuse("未查询到就诊信息")
	}
	if v.cancelled {
		if want == inpatient {
			return nil, refuse("该住院登记已撤销")
		}
		return nil, refuse("该挂号已撤销")
	}
	return v, nil
}

// admit makes a visit known to the centre.
func (c *Centre) admit(k *call, v *visit) {
	v.id, v.who, v.place, v.bySN = c.state.id(k.place.Area, k.now), k.who, k.place, map[string]*row{}
	c.state.visits[v.id] = v
	c.state.visitOrder = append(c.state.visitOrder, v)
	v.who.visits = append(v.who.visits, v)
}

func age(birth string, now time.Time) json.Number {
	b, err := time.Parse(time.DateOnly, birth)
	if err != nil {
		return "0"
	}
	years := now.Year() - b.Year()
	if now.Month() < b.Month() || now.Month() == b.Month() && now.Day() < b.Day() {
		years--
	}
	return json.Number(strconv.Itoa(years))
}

// balance of a person's account in fen.
func (s *state) balance(psn string) money.Fen {
	return s.book.Balance(ledger.Account{Kind: ledger.Person, ID: psn})
}

// find gives the person a credential belongs to.
func (c *Centre) find(in object) (*person, error) {
	kind, no := text(in, "mdtrt_cert_type"), text(in, "mdtrt_cert_no")
	var p *person
	switch kind {
	case "01":
		p = c.state.byToken[no]
	case "02":
		p = c.state.byCert[no]
	case "03":
		if text(in, "card_sn") == "" {
			return nil, refuse("缺少必填项：data.card_sn（卡识别码）")
		}
		p = c.state.byCard[no]
	default:
		return nil, refuse("就诊凭证类型 mdtrt_cert_type 不在字典内")
	}
	if p == nil || !p.Credential(kind, no, text(in, "card_sn")) {
		return nil, refuse("基本信息为空")
	}
	for member, want := range map[string]string{"certno": p.Cert, "psn_name": p.Name} {
		if got := text(in, member); got != "" && got != want {
			return nil, refuse("人员基本信息与凭证不一致")
		}
	}
	return p, nil
}

func (c *Centre) identify(k *call) (action, error) {
	p, err := c.find(node(k.in, "data"))
	if err != nil {
		return action{}, err
	}
	if len(p.Insurances) == 0 {
		return action{}, refuse("参保信息为空")
	}
	return action{run: func() (any, error) { return c.personReply(p, k.now), nil }}, nil
}

// personReply writes who somebody is, as 1101 does.
func (c *Centre) personReply(p *person, now time.Time) object {
	var insured, identities []any
	for _, i := range p.Insurances {
		balc := money.Fen(0)
		if i.Type == "310" {
			balc = c.state.balance(p.No)
		}
		flag := "0"
		if p.Has("320") {
			flag = "1"
		}
		insured = append(insured, object{
			"balc": money.Number(balc), "insutype": i.Type, "psn_type": i.PersonType, "psn_insu_stas": i.State,
			"psn_insu_date": i.Since, "paus_insu_date": orNull(i.Paused), "cvlserv_flag": flag,
			"insuplc_admdvs": p.Area, "emp_name": orNull(p.Employer), "clct_standard_prince": nil,
		})
	}
	for _, i := range p.Identities {
		identities = append(identities, object{"psn_idet_type": i.Type, "psn_type_lv": orNull(i.Level), "memo": i.Memo,
			"begntime": i.Since, "endtime": nil})
	}
	if identities == nil {
		identities = []any{}
	}
	return object{
		"baseinfo": object{
			"psn_no": p.No, "psn_cert_type": "01", "certno": p.Cert, "psn_name": p.Name, "gend": p.Gender, "naty": p.Ethnic,
			"brdy": p.Birth, "age": age(p.Birth, now), "exp_content": nil, "psn_mgtcode": nil,
		},
		"insuinfo": insured, "idetinfo": identities,
	}
}

// covered tells whether a person can be treated under an insurance, and why not.
func covered(p *person, insutype string) error {
	i, ok := p.Insurance(insutype)
	switch {
	case !ok:
		return refuse("人员未参加该险种：%s", insutype)
	case insutype != "310" && insutype != "390":
		return refuse("险种 %s 不能单独就诊结算", insutype)
	case i.State != "1":
		return refuse("人员暂停参保，不能享受医保待遇")
	}
	return nil
}

func (c *Centre) entitlement(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	if text(in, "fixmedins_code") != k.place.Code {
		return action{}, refuse("机构编号与报文头不一致")
	}
	insutype := text(in, "insutype")
	return action{run: func() (any, error) {
		flag, why := "1", any(nil)
		if err := covered(k.who, insutype); err != nil {
			flag, why = "0", err.Error()
		} else if policy.ClassOf(text(in, "med_type")) == policy.NotCovered {
			flag, why = "0", "该医疗类别不享受待遇"
		}
		fund := "310100"
		if insutype == "390" {
			fund = "390100"
		}
		return object{"trtinfo": []any{object{
			"psn_no": k.who.No, "trt_chk_type": "1", "fund_pay_type": fund, "trt_enjymnt_flag": flag,
			"begndate": k.now.Format("2006") + "-01-01", "enddate": nil, "trt_chk_rslt": why,
		}}}, nil
	}}, nil
}

func (c *Centre) register(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	if err := covered(k.who, text(in, "insutype")); err != nil {
		return action{}, err
	}
	if k.place.Pharmacy() {
		return action{}, refuse("定点药店不能办理门诊挂号")
	}
	if !k.who.Credential(text(in, "mdtrt_cert_type"), text(in, "mdtrt_cert_no"), text(in, "card_sn")) {
		return action{}, refuse("就诊凭证与人员不符")
	}
	return action{writes: true, run: func() (any, error) {
		v := &visit{kind: outpatient, insutype: text(in, "insutype"), in: in}
		c.admit(k, v)
		return object{"data": object{"mdtrt_id": v.id, "psn_no": k.who.No, "ipt_otp_no": text(in, "ipt_otp_no"), "exp_content": nil}}, nil
	}}, nil
}

func (c *Centre) unregister(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	v, err := c.visitOf(k, outpatient, text(in, "mdtrt_id"))
	if err != nil {
		return action{}, err
	}
	if text(v.in, "ipt_otp_no") != text(in, "ipt_otp_no") {
		return action{}, refuse("门诊号与挂号信息不符")
	}
	if len(v.rows) > 0 {
		return action{}, refuse("存在未撤销的费用明细或结算，不能撤销挂号")
	}
	return action{writes: true, run: func() (any, error) {
		v.cancelled = true
		return nil, nil
	}}, nil
}

func (c *Centre) visitInfo(k *call) (action, error) {
	in, diagnoses := node(k.in, "mdtrtinfo"), rows(k.in, "diseinfo")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	v, err := c.visitOf(k, outpatient, text(in, "mdtrt_id"))
	if err != nil {
		return action{}, err
	}
	if class := policy.ClassOf(text(in, "med_type")); class != policy.Outpatient && class != policy.Chronic {
		return action{}, refuse("医疗类别 %s 不支持门诊结算", text(in, "med_type"))
	}
	if text(in, "med_type") == "14" && text(in, "dise_codg") == "" {
		return action{}, refuse("门诊慢特病必须填写病种编码 dise_codg")
	}
	main, err := mainDiagnoses(diagnoses)
	if err != nil {
		return action{}, err
	}
	if k.req.Infno == "2203A" && main != 1 {
		return action{}, refuse("主诊断必须有且只有一条")
	}
	f, err := c.needFiling(k, chronicFiling(text(in, "med_type")), "opsp_dise_code", text(in, "dise_codg"))
	if err != nil {
		return action{}, err
	}
	return action{writes: true, repeat: true, run: func() (any, error) {
		v.info, v.diagnoses, v.filing = in, diagnoses, f
		return nil, nil
	}}, nil
}

// mainDiagnoses counts the main ones among the valid diagnoses; a list without any valid one is
// refused.
func mainDiagnoses(list []object) (main int, err error) {
	valid := 0
	for _, d := range list {
		if text(d, "vali_flag") == "1" {
			valid++
			if text(d, "maindiag_flag") == "1" {
				main++
			}
		}
	}
	if valid == 0 {
		return 0, refuse("没有有效的诊断信息")
	}
	return main, nil
}

// orNull writes an empty text as null, as centres do.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
