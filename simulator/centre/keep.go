package centre

import (
	"strconv"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/money"
	"yiqiao/simulator/policy"
	"yiqiao/simulator/records"
)

// keepsRecords carries out what package records knows: its rules say what, the centre says who, when and what else it knows.
func (c *Centre) keepsRecords(k *call, t *catalog.Transaction) (action, error) {
	now := k.now.Format(time.DateTime)
	own := object{"fixmedins_code": k.place.Code, "fixmedins_name": k.place.Name, "optins_no": k.place.Area, "poolarea_no": k.place.Area, "crte_optins_no": k.place.Area,
		"opter_id": k.req.Operator, "opter_name": k.req.OperatorName, "crter_id": k.req.Operator, "crter_name": k.req.OperatorName,
		"opt_time": now, "updt_time": now, "crte_time": now, "vali_flag": "1"}
	run, writes, err := c.state.kept.Plan(t, k.in, records.Facts{
		Place: k.place.Code, Own: own,
		NewID:  func() string { return c.state.id(k.place.Area, k.now) },
		Known:  func(psn string) error { return c.needPerson(k, psn) },
		Person: c.whoIs,
		View:   func(name string) ([]object, bool) { return c.view(k, name) },
	})
	if err != nil {
		return action{}, refuse("%s", err.Error())
	}
	return action{writes: writes, repeat: true, run: func() (any, error) { return run(), nil }}, nil
}

func (c *Centre) whoIs(psn string) object {
	p := c.state.byNo[psn]
	if p == nil {
		return nil
	}
	return object{"psn_name": p.Name, "psn_cert_type": "01", "certno": p.Cert, "gend": p.Gender, "naty": p.Ethnic, "brdy": p.Birth, "insu_admdvs": p.Area, "emp_name": p.Employer}
}

// view gives what the centre knows without having been sent it as records.
func (c *Centre) view(k *call, name string) (list []object, ok bool) {
	switch name {
	case "places":
		for _, code := range sorted(c.places) {
			p := c.places[code]
			kind := "1"
			if code[0] == 'P' {
				kind = "2"
			}
			list = append(list, object{"fixmedins_code": p.Code, "fixmedins_name": p.Name, "fixmedins_type": kind, "hosp_lv": p.Level, "clr_optins": p.Area})
		}
	case "items", "drugs", "limits":
		for _, i := range c.opt.Items {
			if name == "drugs" && i.List != "101" || name == "limits" && i.Cap == (money.Decimal{}) {
				continue
			}
			list = append(list, itemRecord(i, k.place.Area))
		}
	case "codes":
		list = codeRecords()
	case "files":
		for _, f := range c.state.fileOrder {
			if f.place == k.place.Code {
				list = append(list, object{"file_qury_no": f.no, "filename": f.name})
			}
		}
	case "filings":
		for _, f := range c.state.filingOrder {
			if !f.withdrawn && f.sort() == "2503" {
				list = append(list, object{"psn_no": f.who.No, "psn_trt_no": f.sn, "psn_trt_type": string(f.infno), "psn_trt_type_name": "慢特病备案", "dise_no": text(f.in, "opsp_dise_code"),
					"dise_name": text(f.in, "opsp_dise_name"), "begntime": text(f.in, "begndate"), "endtime": text(f.in, "enddate")})
			}
		}
	case "settlements", "funds", "abroad":
		list = c.settledRecords(k, name)
	default:
		return nil, false
	}
	return list, true
}

func (c *Centre) settledRecords(k *call, name string) (list []object) {
	for _, s := range c.state.setlOrder {
		if s.reversed || s.visit.place.Code != k.place.Code {
			continue
		}
		sign := money.Fen(1)
		if s.undoOf != nil {
			sign = -1
		}
		o := c.settlementReply(s, sign)
		o["trt_year"], o["trt_month"] = s.at.Format("2006"), s.at.Format("01")
		switch {
		case name == "settlements", name == "abroad" && s.visit.who.Area != k.place.Area:
			list = append(list, o)
		case name == "funds":
			for _, d := range detail(s, sign) {
				row, _ := d.(object)
				row["setl_id"], row["mdtrt_id"], row["psn_no"] = s.id, s.visit.id, s.visit.who.No
				list = append(list, row)
			}
		}
	}
	return list
}

func itemRecord(i policy.Item, area string) object {
	o := object{"hilist_code": i.Code, "med_list_codg": i.Code, "hilist_name": i.Name, "drug_genname": i.Name, "reg_name": i.Name, "drug_spec": i.Spec, "dosform": i.Form,
		"list_type": i.List, "chrgitm_lv": i.Class, "med_chrgitm_type": i.Charge, "selfpay_prop": i.SelfPay.String(), "lmt_used_flag": flag(i.Limited), "insu_admdvs": area, "vali_flag": "1"}
	if i.Cap != (money.Decimal{}) {
		o["hilist_pric_uplmt_amt"] = i.Cap.String()
	}
	return o
}

// codeRecords are the code tables, a row for each value.
func codeRecords() (list []object) {
	tables, err := codes.Default()
	if err != nil {
		return nil // the tables are part of the program; its tests read them
	}
	for _, name := range tables.Names() {
		d, ok := tables.Lookup(name)
		if !ok {
			continue
		}
		for i, v := range d.Values {
			list = append(list, object{"type": name, "label": v.Label, "value": v.Code, "parentValue": "0", "sort": strconv.Itoa(i + 1), "valiFlag": "1"})
		}
	}
	return list
}

// scanned is 1162: the person of an e-credential, as 1101 shows him.
func (c *Centre) scanned(k *call) (action, error) {
	token := text(node(k.in, "data"), "ecQrCode")
	p := c.state.byToken[token]
	if p == nil || token == "" || len(p.Insurances) == 0 {
		return action{}, refuse("电子凭证无效或未参保")
	}
	return action{run: func() (any, error) {
		out := c.personReply(p, k.now)
		out["cardno"], out["card_sn"], out["ecToken"] = p.Card, orNull(p.CardSN), p.Token
		return out, nil
	}}, nil
}
