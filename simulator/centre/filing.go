package centre

import (
	"time"

	"yiqiao/schemas/ident"
)

// filing is one entry of 2501, 2501A, 2503, 2505 or 2507.
type filing struct {
	sn        string
	msgid     string
	infno     ident.Infno
	who       *person
	place     string
	at        time.Time
	in        object
	withdrawn bool
}

// Filing is one filing as the centre keeps it.
type Filing struct {
	Number    string      `json:"trt_dcla_detl_sn"`
	MsgID     string      `json:"msgid"` // of the message that made it
	Infno     ident.Infno `json:"infno"`
	Person    string      `json:"psn_no"`
	Place     string      `json:"fixmedins_code"`
	Withdrawn bool        `json:"withdrawn,omitempty"`
}

// Filings lists all filings in the order they were made.
func (c *Centre) Filings() []Filing {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Filing, len(c.state.filingOrder))
	for i, f := range c.state.filingOrder {
		out[i] = Filing{Number: f.sn, MsgID: f.msgid, Infno: f.infno, Person: f.who.No, Place: f.place, Withdrawn: f.withdrawn}
	}
	return out
}

// sort gives the number a filing is known by: 2501A is a 2501.
func (f *filing) sort() ident.Infno {
	if f.infno == "2501A" {
		return "2501"
	}
	return f.infno
}

// covers reports whether a filing is good on a day.
func (f *filing) covers(day time.Time) bool {
	from, to := date(f.in, "begndate"), date(f.in, "enddate")
	return (from.IsZero() || !day.Before(from)) && (to.IsZero() || day.Before(to.AddDate(0, 0, 1)))
}

// date reads a date of a request in China's zone; zero when there is none.
func date(o object, member string) time.Time {
	t, err := time.ParseInLocation(time.DateOnly, text(o, member), china())
	if err != nil {
		return time.Time{}
	}
	return t
}

// filingNode is where a filing keeps its members.
func filingNode(k *call) object {
	if k.req.Infno == "2501" || k.req.Infno == "2501A" {
		return node(k.in, "refmedin")
	}
	return node(k.in, "data")
}

// key gives the members of which two filings of a person in force may not agree in all.
func key(infno ident.Infno) []string {
	switch infno {
	case "2501", "2501A":
		return []string{"reflin_medins_no", "refl_date"}
	case "2503":
		return []string{"opsp_dise_code"}
	case "2505":
		return []string{"biz_appy_type", "fix_srt_no"}
	}
	return []string{"trum_time", "trum_site"}
}

func sameFiling(a, b object, members []string) bool {
	for _, m := range members {
		if text(a, m) != text(b, m) {
			return false
		}
	}
	return true
}

// file takes a filing.
func (c *Centre) file(k *call) (action, error) {
	in := filingNode(k)
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	if insutype := text(in, "insutype"); insutype != "" {
		if err := covered(k.who, insutype); err != nil {
			return action{}, err
		}
	}
	from, to := date(in, "begndate"), date(in, "enddate")
	if !to.IsZero() && to.Before(from) {
		return action{}, refuse("结束日期早于开始日期")
	}
	if k.req.Infno == "2501" || k.req.Infno == "2501A" {
		if text(in, "reflin_medins_no") == k.place.Code {
			return action{}, refuse("转入医院不能是本机构")
		}
	}
	if k.req.Infno == "2501A" {
		v := c.state.visits[text(in, "refl_old_mdtrt_id")]
		if v == nil || v.who != k.who || v.place.Code != k.place.Code || v.cancelled {
			return action{}, refuse("未查询到就诊信息")
		}
	}
	f := &filing{msgid: string(k.req.MsgID), infno: k.req.Infno, who: k.who, place: k.place.Code, at: k.now.Truncate(time.Second), in: in}
	for _, other := range c.state.filingOrder {
		if !other.withdrawn && other.who == k.who && other.sort() == f.sort() && sameFiling(other.in, in, key(f.infno)) {
			return action{}, refuse("已有有效的同类备案，不能重复备案")
		}
	}
	return action{writes: true, run: func() (any, error) {
		f.sn = c.state.id(k.place.Area, k.now)
		c.state.filings[f.sn] = f
		c.state.filingOrder = append(c.state.filingOrder, f)
		return object{"result": object{"trt_dcla_detl_sn": f.sn}}, nil
	}}, nil
}

// withdraw takes a filing back: 2502, 2504, 2506, 2508, each only its own kind and only by the
// institution that filed it. A filing that carries a visit stays.
func (c *Centre) withdraw(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	sn := text(in, "trt_dcla_detl_sn")
	of := map[ident.Infno]ident.Infno{"2502": "2501", "2504": "2503", "2506": "2505", "2508": "2507"}[k.req.Infno]
	f := c.state.filings[sn]
	switch {
	case f == nil || f.who != k.who || f.sort() != of:
		return action{}, refuse("未查询到备案信息")
	case f.place != k.place.Code:
		return action{}, refuse("备案由其他机构办理，不能撤销")
	case f.withdrawn:
		return action{}, refuse("该备案已撤销，请勿重复操作")
	}
	for _, v := range k.who.visits {
		if v.filing == f && !v.cancelled && (len(v.standing()) > 0 || v == k.who.openStay()) {
			return action{}, refuse("该备案已用于就诊，不能撤销")
		}
	}
	return action{writes: true, run: func() (any, error) {
		f.withdrawn = true
		if of == "2501" {
			return object{"result": object{"trt_dcla_detl_sn": sn}}, nil
		}
		return nil, nil
	}}, nil
}

// chronicFiling names the filing a medical category needs, "" for none.
func chronicFiling(medType string) ident.Infno {
	if medType == "14" {
		return "2503"
	}
	return ""
}

// needFiling finds the filing a visit needs where the region asks for one.
func (c *Centre) needFiling(k *call, sort ident.Infno, member, value string) (*filing, error) {
	if sort == "" || !c.opt.Region.RequireFiling {
		return nil, nil
	}
	for _, f := range c.state.filingOrder {
		if !f.withdrawn && f.who == k.who && f.sort() == sort && text(f.in, member) == value && f.covers(k.now) {
			return f, nil
		}
	}
	if sort == "2501" {
		return nil, refuse("未查询到转入本机构的转院备案")
	}
	return nil, refuse("未查询到病种 %s 的慢特病备案", value)
}

// askFilings answers 5301 (chronic diseases), 5302 (fixed institutions) and 5304 (transfers, by the
// time they were filed).
func (c *Centre) askFilings(k *call) (action, error) {
	in := node(k.in, "data")
	var sort ident.Infno
	name, all := "feedetail", false
	switch k.req.Infno {
	case "5301":
		sort = "2503"
	case "5302":
		sort, name = "2505", "psnfixmedin"
	default:
		sort, name, all = "2501", "refmedin", text(in, "psn_no") == ""
	}
	if !all {
		if err := c.needPerson(k, text(in, "psn_no")); err != nil {
			return action{}, err
		}
	}
	from, to := moment(in, "begntime"), moment(in, "endtime")
	if sort == "2501" && to.Before(from) {
		return action{}, refuse("结束时间早于开始时间")
	}
	return action{run: func() (any, error) {
		list := []any{}
		for _, f := range c.state.filingOrder {
			switch {
			case f.withdrawn, f.sort() != sort, !all && f.who != k.who, all && f.place != k.place.Code:
				continue
			case sort == "2501" && (f.at.Before(from) || f.at.After(to)):
				continue
			case sort == "2505" && text(in, "biz_appy_type") != "" && text(in, "biz_appy_type") != text(f.in, "biz_appy_type"):
				continue
			}
			list = append(list, f.reply(k.now))
		}
		return object{name: list}, nil
	}}, nil
}

func (f *filing) reply(now time.Time) object {
	pick := func(members ...string) object {
		o := object{}
		for _, m := range members {
			o[m] = orNull(text(f.in, m))
		}
		return o
	}
	switch f.sort() {
	case "2503":
		return pick("opsp_dise_code", "opsp_dise_name", "begndate", "enddate")
	case "2505":
		o := pick("fix_srt_no", "fixmedins_code", "fixmedins_name", "begndate", "enddate", "memo")
		o["psn_no"], o["insutype"] = f.who.No, firstInsurance(f.who)
		return o
	}
	o := pick("insutype", "tel", "addr", "insu_optins", "diag_code", "diag_name", "dise_cond_dscr", "reflin_medins_no",
		"reflin_medins_name", "refl_date", "refl_rea", "begndate", "enddate", "hosp_agre_refl_flag")
	p := f.who
	if o["insutype"] == nil {
		o["insutype"] = firstInsurance(p)
	}
	for m, v := range (object{
		"dcla_souc": "02", "psn_no": p.No, "psn_cert_type": "01", "certno": p.Cert, "psn_name": p.Name, "gend": p.Gender, "brdy": p.Birth,
		"age": age(p.Birth, now), "emp_name": orNull(p.Employer), "out_flag": "0", "opt_time": f.at.Format(time.DateTime),
	}) {
		o[m] = v
	}
	return o
}

func firstInsurance(p *person) any {
	if len(p.Insurances) == 0 {
		return nil
	}
	return p.Insurances[0].Type
}
