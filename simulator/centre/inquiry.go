package centre

import (
	"strconv"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/policy"
)

// askStays answers 5303: who is in hospital here, by the time of admission. Whoever was discharged
// or cancelled is not in hospital.
func (c *Centre) askStays(k *call) (action, error) {
	in := node(k.in, "data")
	if psn := text(in, "psn_no"); psn != "" {
		if err := c.needPerson(k, psn); err != nil {
			return action{}, err
		}
	}
	from, to := moment(in, "begntime"), moment(in, "endtime")
	if to.Before(from) {
		return action{}, refuse("结束时间早于开始时间")
	}
	list := c.state.visitOrder
	if k.who != nil {
		list = k.who.visits
	}
	return action{run: func() (any, error) {
		out := []any{}
		for _, v := range list {
			begun := v.begun()
			if v.kind != inpatient || v.cancelled || v.discharge != nil || v.place.Code != k.place.Code || begun.Before(from) || begun.After(to) {
				continue
			}
			p := v.who
			out = append(out, object{
				"mdtrt_id": v.id, "psn_no": p.No, "psn_cert_type": "01", "certno": p.Cert, "psn_name": p.Name, "gend": p.Gender,
				"brdy": p.Birth, "age": age(p.Birth, k.now), "insutype": v.insutype, "begndate": begun.Format(time.DateOnly),
				"med_type": v.medType(), "ipt_otp_no": v.number(), "out_flag": flag(p.Area != v.place.Area),
			})
		}
		return object{"data": out}, nil
	}}, nil
}

// askDiagnoses answers 5202: those of admission or visit (inout_diag_type 1) and of discharge (2).
func (c *Centre) askDiagnoses(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	v := c.state.visits[text(in, "mdtrt_id")]
	if v == nil || v.who != k.who || v.place.Code != k.place.Code || v.cancelled {
		return action{}, refuse("未查询到就诊信息")
	}
	return action{run: func() (any, error) {
		out := []any{}
		for i, list := range [...][]object{v.diagnoses, v.atExit} {
			for _, d := range list {
				o := object{"mdtrt_id": v.id, "psn_no": v.who.No, "inout_diag_type": strconv.Itoa(i + 1),
					"diag_info_id": v.id + "-" + strconv.Itoa(len(out)+1), "opter_id": nil, "opter_name": nil, "opt_time": nil}
				for _, m := range [...]string{"diag_type", "maindiag_flag", "diag_code", "diag_name", "adm_cond", "diag_dept",
					"dise_dor_no", "dise_dor_name", "diag_time"} {
					o[m] = orNull(text(d, m))
				}
				o["diag_srt_no"] = figure(d, "diag_srt_no")
				out = append(out, o)
			}
		}
		return object{"diseinfo": out}, nil
	}}, nil
}

// askChronicDrugs answers 5205: settled rows of med_type 14, at any institution.
func (c *Centre) askChronicDrugs(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	from, to := moment(in, "begntime"), moment(in, "endtime")
	if to.IsZero() {
		to = k.now
	}
	if to.Before(from) {
		return action{}, refuse("结束时间早于开始时间")
	}
	return action{run: func() (any, error) {
		out := []any{}
		for _, v := range k.who.visits {
			if v.cancelled || policy.ClassOf(v.medType()) != policy.Chronic {
				continue
			}
			for _, r := range v.rows {
				if at := moment(r.in, "fee_ocur_time"); r.settled == nil || at.Before(from) || at.After(to) {
					continue
				}
				o := feeReply(v, r)
				o["psn_no"], o["fixmedins_code"], o["fixmedins_name"] = v.who.No, v.place.Code, v.place.Name
				out = append(out, o)
			}
		}
		return object{"feedetail": out}, nil
	}}, nil
}

// askUsed answers 5206 with what was used this year, or in the year of cum_ym. No source tells
// the codes of cum_type_code; docs/simulator.md lists ours.
func (c *Centre) askUsed(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	month := k.now
	if s := text(in, "cum_ym"); s != "" {
		t, err := time.Parse("200601", s)
		if err != nil {
			return action{}, refuse("cum_ym 格式不正确")
		}
		month = t
	}
	return action{run: func() (any, error) {
		out := []any{}
		for _, i := range k.who.Insurances {
			u := k.who.usedBy(i.Type, month.Year())
			for _, one := range [...]struct {
				code string
				sum  money.Fen
			}{{"DEDC", u.Deductible}, {"POOL", u.Pool}, {"STAYPOOL", u.StayPool}, {"LARGE", u.Large}, {"CVLSERV", u.Servant}, {"MAF", u.Aid}} {
				if one.sum != 0 {
					out = append(out, object{"insutype": i.Type, "year": month.Format("2006"), "cum_ym": month.Format("200601"),
						"cum_type_code": one.code, "cum": money.Number(one.sum)})
				}
			}
		}
		return object{"cuminfo": out}, nil
	}}, nil
}
