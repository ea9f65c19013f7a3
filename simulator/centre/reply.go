package centre

import (
	"encoding/json"
	"time"

	"yiqiao/schemas/money"
)

// setlinfo writes what the trial, the settlement, the undo and 5203 have in common. sign is 1, or
// -1 for an undo. The members differ by transaction: see the callers.
func (c *Centre) setlinfo(s *settlement, sign money.Fen) object {
	r, p := s.result, s.visit.who
	insured, _ := p.Insurance(s.visit.insutype)
	m := func(f money.Fen) json.Number { return money.Number(sign * f) }
	fund := r.Fund
	if c.opt.Region.FundIncludesAccount {
		fund += r.Account
	}
	return object{
		"mdtrt_id": orNull(s.visit.id), "setl_id": orNull(s.id), "psn_no": p.No, "psn_name": p.Name, "psn_cert_type": "01", "certno": p.Cert,
		"gend": p.Gender, "naty": p.Ethnic, "brdy": p.Birth, "age": age(p.Birth, s.at), "insutype": s.visit.insutype,
		"psn_type": insured.PersonType, "cvlserv_flag": flag(p.Has("320")), "setl_time": s.at.Format(time.DateTime),
		"mdtrt_cert_type": s.certType, "med_type": s.medType,
		"medfee_sumamt": m(r.Total), "fulamt_ownpay_amt": m(r.Own), "overlmt_selfpay": m(r.Over), "preselfpay_amt": m(r.Pre),
		"inscp_scp_amt": m(r.Scope), "act_pay_dedc": m(r.Deductible), "hifp_pay": m(r.Pool),
		"pool_prop_selfpay": json.Number(r.Ratio.String()), "cvlserv_pay": m(r.Servant), "hifes_pay": m(0),
		"hifmi_pay": m(r.Serious), "hifob_pay": m(r.Large), "hifdm_pay": m(0), "maf_pay": m(r.Aid), "oth_pay": m(0),
		"fund_pay_sumamt": m(fund), "acct_pay": m(r.Account), "balc": money.Number(s.after), "medins_setl_id": s.msgid,
		"clr_optins": s.visit.place.Area, "clr_way": "01", "clr_type": string(s.visit.kind),
		// Members no table declares, seen in real answers.
		"insu_admdvs": p.Area, "dedc_std": money.Number(r.Standard), "othfund_pay": m(0), "inscp_amt": m(r.Scope),
		"ownpay_hosp_part": m(0), "psn_insu_rlts_id": nil, "exp_content": nil,
	}
}

// detail writes one row per fund, the account and the hospital's part (identity J).
func detail(s *settlement, sign money.Fen) []any {
	r := s.result
	out := []any{}
	for _, d := range []struct {
		kind, name string
		scope, pay money.Fen
		limit      any
	}{
		{poolType(s.visit.insutype), poolName(s.visit.insutype), r.Scope, r.Pool, money.Number(r.PoolLimit)},
		{"330100", "大额医疗费用补助基金", r.Scope, r.Large, nil},
		{"390200", "城乡居民大病医疗保险基金", r.Scope, r.Serious, nil},
		{"320100", "公务员医疗补助基金", r.Scope, r.Servant, nil},
		{"610100", "医疗救助基金", r.Scope, r.Aid, nil},
		{"310200", "职工基本医疗保险个人账户基金", 0, r.Account, nil},
		{"999996", "医院垫付基金", 0, r.Hospital, nil},
	} {
		if d.pay == 0 {
			continue
		}
		out = append(out, object{"fund_pay_type": d.kind, "inscp_scp_amt": money.Number(sign * d.scope), "crt_payb_lmt_amt": d.limit,
			"fund_payamt": money.Number(sign * d.pay), "fund_pay_type_name": d.name, "setl_proc_info": nil})
	}
	return out
}

func poolName(insutype string) string {
	if insutype == "390" {
		return "城乡居民基本医疗保险基金"
	}
	return "职工基本医疗保险统筹基金"
}

// trialReply answers 2206: nothing was booked, so there is no setl_id and the time and the
// clearing members are null (identity L).
func (c *Centre) trialReply(s *settlement) object {
	info := c.setlinfo(s, 1)
	delete(info, "setl_id")
	for _, member := range [...]string{"setl_time", "clr_optins", "clr_way"} {
		info[member] = nil
	}
	c.personal(info, s)
	return object{"setlinfo": info, "setldetail": detail(s, 1)}
}

func (c *Centre) settledReply(s *settlement) object {
	info := c.setlinfo(s, 1)
	c.personal(info, s)
	return object{"setlinfo": info, "setldetail": detail(s, 1)}
}

func (c *Centre) personal(info object, s *settlement) {
	r := s.result
	info["psn_part_amt"], info["psn_cash_pay"] = money.Number(r.Personal), money.Number(r.Cash)
	info["hosp_part_amt"], info["acct_mulaid_pay"] = money.Number(r.Hospital), money.Number(0)
	info["psn_pay"], info["cashPayamt"] = money.Number(r.Personal), money.Number(r.Cash)
}

// undoneReply answers 2208, 2305 and 2103, which has its own names for the personal amounts: every amount negative, three of them null (identity K and the samples
// behind it).
func (c *Centre) undoneReply(u *settlement) object {
	info := c.setlinfo(u, -1)
	cash := money.Number(-u.result.Cash)
	if u.visit.kind == pharmacy {
		info["psn_pay"], info["cash_payamt"], info["acct_mulaid_pay"] = money.Number(-u.result.Personal), cash, nil
		return object{"setlinfo": info, "setldetail": detail(u, -1)}
	}
	info["psn_part_amt"], info["hosp_part_amt"], info["acct_mulaid_pay"] = nil, nil, nil
	info["psn_cash_pay"] = cash
	if u.visit.kind == outpatient {
		info["pdn_cash_pay"] = cash
	}
	return object{"setlinfo": info, "setldetail": detail(u, -1)}
}
