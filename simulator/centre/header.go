package centre

import (
	"errors"
	"strings"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/people"
)

// call is one request on its way through the business.
type call struct {
	req   wire.Request
	in    object
	now   time.Time // in China's zone
	place people.Institution
	who   *person // set by needPerson
}

// action is what a checked request will do. It runs only after everything was checked; it may
// still refuse as long as it has changed nothing.
type action struct {
	writes bool // remembers the message id and refuses it a second time
	repeat bool // a repeated message id is harmless: the same content again changes nothing
	run    func() (any, error)
	entry  *entry // filled in by run for 2601
}

// answer runs one request to its reply output or a refusal. It holds the lock.
func (c *Centre) answer(req wire.Request, input any) (any, error) {
	now := c.opt.Now().In(china())
	in, ok := input.(object)
	if !ok {
		return nil, refuse("input 应为对象")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &call{req: req, in: in, now: now}
	if err := c.header(k); err != nil {
		return nil, err
	}
	table, known := c.tableOf(req.Infno)
	if !known {
		return nil, refuse("不支持的交易编号：%s", req.Infno)
	}
	if err := c.checkFields(table, in); err != nil {
		return nil, err
	}
	act, err := c.plan(k, table)
	if err != nil {
		return nil, err
	}
	if !act.writes {
		return act.run()
	}
	if c.state.byMsg[string(req.MsgID)] != nil && !act.repeat {
		return nil, refuse("报文ID重复：%s", req.MsgID)
	}
	out, err := act.run()
	if err != nil {
		return nil, err
	}
	e := act.entry
	if e == nil {
		e = &entry{}
	}
	e.infno, e.place = req.Infno, k.place.Code
	if k.who != nil {
		e.psn = k.who.No
	}
	if c.state.byMsg[string(req.MsgID)] == nil {
		c.state.byMsg[string(req.MsgID)] = e
	}
	return out, nil
}

// plan checks a request against the state and gives what it would do. It changes nothing.
func (c *Centre) plan(k *call, t *catalog.Transaction) (action, error) {
	if act, known, err := c.planCare(k); known {
		return act, err
	}
	if act, known, err := c.planOther(k); known {
		return act, err
	}
	switch {
	case k.req.Infno == "1162":
		return c.scanned(k)
	case k.req.Infno == "3101" || k.req.Infno == "3102":
		return c.audit(k)
	case c.state.kept.Knows(k.req.Infno):
		return c.keepsRecords(k, t)
	case t.Kind == catalog.Download && strings.HasPrefix(string(t.Infno), "13"):
		return c.catalogueFile(k)
	}
	if t.Queued && t.Described() {
		// Any other upload of the queued class is accepted when its fields are in order, and forgotten.
		return action{writes: true, repeat: true, run: func() (any, error) { return nil, nil }}, nil
	}
	return action{}, refuse("模拟中心不支持交易 %s", k.req.Infno)
}

// planCare knows the transactions of visits, stays and sales.
func (c *Centre) planCare(k *call) (act action, known bool, err error) {
	known = true
	switch k.req.Infno {
	case "2201":
		act, err = c.register(k)
	case "2202":
		act, err = c.unregister(k)
	case "2203", "2203A":
		act, err = c.visitInfo(k)
	case "2204":
		act, err = c.fees(k)
	case "2205":
		act, err = c.dropFees(k)
	case "2206", "2206A":
		act, err = c.trial(k)
	case "2207", "2207A":
		act, err = c.settle(k)
	case "2208":
		act, err = c.undo(k, outpatient)
	case "2401", "2401A":
		act, err = c.admission(k)
	case "2402":
		act, err = c.discharge(k)
	case "2403":
		act, err = c.changeStay(k)
	case "2404":
		act, err = c.cancelStay(k)
	case "2405":
		act, err = c.cancelDischarge(k)
	case "2301":
		act, err = c.stayFees(k)
	case "2302":
		act, err = c.dropStayFees(k)
	case "2303":
		act, err = c.stayTrial(k)
	case "2304", "2304A":
		act, err = c.staySettle(k)
	case "2305":
		act, err = c.undo(k, inpatient)
	case "2101":
		act, err = c.saleTrial(k)
	case "2102", "2102A":
		act, err = c.saleSettle(k)
	case "2103":
		act, err = c.undo(k, pharmacy)
	case "2601":
		act, err = c.reverse(k)
	default:
		known = false
	}
	return act, known, err
}

// planOther knows sign-in, persons, filings, queries, reconciliation and files.
func (c *Centre) planOther(k *call) (act action, known bool, err error) {
	known = true
	switch k.req.Infno {
	case "9001":
		act, err = c.signIn(k)
	case "9002":
		act, err = c.signOut(k)
	case "9101":
		act, err = c.upload(k)
	case "9102":
		act, err = c.download(k)
	case "1101":
		act, err = c.identify(k)
	case "2001":
		act, err = c.entitlement(k)
	case "2501", "2501A", "2503", "2505", "2507":
		act, err = c.file(k)
	case "2502", "2504", "2506", "2508":
		act, err = c.withdraw(k)
	case "3201":
		act, err = c.statement(k)
	case "3202":
		act, err = c.statementRows(k)
	case "3203":
		act, err = c.clearing(k)
	case "3204":
		act, err = c.withdrawClearing(k)
	case "5201":
		act, err = c.askVisits(k)
	case "5202":
		act, err = c.askDiagnoses(k)
	case "5203":
		act, err = c.askSettlement(k)
	case "5204":
		act, err = c.askFees(k)
	case "5205":
		act, err = c.askChronicDrugs(k)
	case "5206":
		act, err = c.askUsed(k)
	case "5301", "5302", "5304":
		act, err = c.askFilings(k)
	case "5303":
		act, err = c.askStays(k)
	default:
		known = false
	}
	return act, known, err
}

// header checks the outer message beyond its form.
func (c *Centre) header(k *call) error {
	r := k.req
	place, ok := c.places[string(r.Institution)]
	if !ok {
		return refuse("未找到定点医药机构：%s", r.Institution)
	}
	k.place = place
	if !strings.HasPrefix(string(r.MsgID), place.Code) {
		return refuse("发送方报文ID msgid 与机构编号不符")
	}
	if r.MdtrtArea != place.Area {
		return refuse("就医地医保区划 mdtrtarea_admvs 与机构所在区划不符")
	}
	if r.OperatorType != "1" && r.OperatorType != "2" && r.OperatorType != "3" {
		return refuse("经办人类别 opter_type 不在字典内")
	}
	if c.opt.Region.RequireSign && r.Infno != "9001" {
		s := c.state.signs[r.SignNo]
		if r.SignNo == "" || s == nil || s.key != (signKey{place.Code, r.Operator}) {
			return refuse("未签到或签到流水号无效，请先签到")
		}
		if k.now.Sub(s.at) > c.opt.Region.SignLife {
			return refuse("签到流水号已过期，请重新签到")
		}
	}
	return nil
}

// needPerson finds the person a request names and holds the header's area against it.
func (c *Centre) needPerson(k *call, psnNo string) error {
	p := c.state.byNo[psnNo]
	if p == nil {
		return refuse("未查询到人员信息")
	}
	if k.req.InsuplcArea == "" {
		return refuse("参保地医保区划 insuplc_admdvs 不能为空")
	}
	if k.req.InsuplcArea != p.Area {
		return refuse("参保地医保区划 insuplc_admdvs 与人员参保地不符")
	}
	k.who = p
	return nil
}

func (c *Centre) signIn(k *call) (action, error) {
	operator := text(node(k.in, "signIn"), "opter_no")
	if operator != k.req.Operator {
		return action{}, refuse("签到操作员与报文头经办人不一致")
	}
	key := signKey{k.place.Code, operator}
	return action{writes: true, run: func() (any, error) {
		no := c.state.id(k.place.Area, k.now)
		delete(c.state.signs, c.state.signOf[key])
		c.state.signs[no], c.state.signOf[key] = &sign{key, k.now}, no
		return object{"signinoutb": object{"sign_time": k.now.Format(time.DateTime), "sign_no": no}}, nil
	}}, nil
}

func (c *Centre) signOut(k *call) (action, error) {
	in := node(k.in, "signOut")
	no := text(in, "sign_no")
	s := c.state.signs[no]
	if s == nil || s.key != (signKey{k.place.Code, text(in, "opter_no")}) {
		return action{}, refuse("未找到签到记录")
	}
	return action{writes: true, run: func() (any, error) {
		delete(c.state.signs, no)
		delete(c.state.signOf, s.key)
		return object{"signoutoutb": object{"sign_time": k.now.Format(time.DateTime)}}, nil
	}}, nil
}

// badMessage puts an unreadable outer message into words.
func badMessage(err error) error {
	var f *wire.FieldError
	if errors.As(err, &f) {
		switch f.Rule {
		case wire.RuleMissing:
			return refuse("报文缺少必填项：%s", f.Field)
		case wire.RuleLength:
			return refuse("报文项 %s 超长", f.Field)
		}
		return refuse("报文项 %s 格式不正确", f.Field)
	}
	var j *strictjson.Error
	if errors.As(err, &j) {
		return refuse("报文不是合法的 JSON（%s）", j.Kind)
	}
	return refuse("报文格式错误")
}

// trim keeps names that end up in a log short, whatever was sent.
func trim(n ident.Infno) string {
	if len(n) > 6 {
		n = n[:6]
	}
	return string(n)
}
