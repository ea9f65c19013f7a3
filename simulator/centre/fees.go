package centre

import (
	"encoding/json"
	"slices"

	"yiqiao/schemas/money"
	"yiqiao/simulator/policy"
)

// maxRows is how many fee rows one 2204 or 2301 may carry.
const maxRows = 100

func (c *Centre) fees(k *call) (action, error) {
	list := rows(k.in, "feedetail")
	if len(list) == 0 {
		return action{}, refuse("费用明细List不能为空")
	}
	if len(list) > maxRows {
		return action{}, refuse("单次上传费用明细不能超过 %d 条", maxRows)
	}
	first := list[0]
	if err := c.needPerson(k, text(first, "psn_no")); err != nil {
		return action{}, err
	}
	v, err := c.visitOf(k, outpatient, text(first, "mdtrt_id"))
	if err != nil {
		return action{}, err
	}
	if v.info == nil {
		return action{}, refuse("未上传就诊信息，不能上传费用明细")
	}
	batch, disease := text(first, "chrg_bchno"), text(first, "dise_codg")
	if batch == "0000" {
		return action{}, refuse("收费批次号不能为 0000")
	}
	for _, r := range v.rows {
		if r.batch != batch {
			continue
		}
		if r.settled != nil {
			return action{}, refuse("收费批次 %s 已结算，不能再上传明细", batch)
		}
		if text(r.in, "dise_codg") != disease {
			return action{}, refuse("同一收费批次只能有一个病种编码")
		}
	}
	fresh := make([]*row, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, in := range list {
		sn := text(in, "feedetl_sn")
		switch {
		case text(in, "psn_no") != k.who.No || text(in, "mdtrt_id") != v.id:
			return action{}, refuse("同一次上传的明细必须属于同一人员和就诊")
		case text(in, "chrg_bchno") != batch:
			return action{}, refuse("同一次上传的明细必须属于同一收费批次")
		case text(in, "dise_codg") != disease:
			return action{}, refuse("同一收费批次只能有一个病种编码")
		case v.bySN[sn] != nil || seen[sn]:
			return action{}, refuse("费用明细流水号重复：%s", sn)
		case sn == "0000":
			return action{}, refuse("费用明细流水号不能为 0000")
		}
		seen[sn] = true
		r, err := c.row(in)
		if err != nil {
			return action{}, err
		}
		fresh = append(fresh, r)
	}
	return action{writes: true, run: func() (any, error) { return object{"result": v.take(fresh)}, nil }}, nil
}

// take adds rows to a visit and writes the answer to each.
func (v *visit) take(fresh []*row) []any {
	result := make([]any, 0, len(fresh))
	for _, r := range fresh {
		v.rows = append(v.rows, r)
		v.bySN[r.sn] = r
		result = append(result, r.reply())
	}
	return result
}

// drop deletes the rows for which gone holds.
func (v *visit) drop(gone func(*row) bool) {
	for _, r := range v.rows {
		if gone(r) {
			delete(v.bySN, r.sn)
		}
	}
	v.rows = slices.DeleteFunc(v.rows, gone)
}

// row checks and splits one fee row.
func (c *Centre) row(in object) (*row, error) {
	sn := text(in, "feedetl_sn")
	cnt, err := money.ParseDecimal(text(in, "cnt"), 4)
	if err != nil {
		return nil, refuse("明细 %s 数量格式不正确", sn)
	}
	price, err := money.ParseDecimal(text(in, "pric"), 6)
	if err != nil {
		return nil, refuse("明细 %s 单价格式不正确", sn)
	}
	total, err := amount(in, "det_item_fee_sumamt")
	if err != nil {
		return nil, err
	}
	appr := approval(in)
	if appr != "0" && appr != "1" && appr != "2" {
		return nil, refuse("明细 %s 医院审批标志不在字典内", sn)
	}
	code := text(in, "med_list_codg")
	if _, known := c.items.Lookup(code); !known && c.opt.Region.RefuseUnknownItem {
		return nil, refuse("明细 %s 医疗目录编码未找到：%s", sn, code)
	}
	s, err := c.items.Split(code, cnt, price, appr)
	if err != nil {
		return nil, refuse("明细 %s 数量或单价超出范围", sn)
	}
	if s.Total != total {
		return nil, refuse("明细 %s 费用总额不等于数量乘以单价", sn)
	}
	return &row{in: in, sn: sn, batch: text(in, "chrg_bchno"), cnt: cnt, pric: price, split: s}, nil
}

// approval is hosp_appr_flag; 2301 need not send it and a pharmacy has none.
func approval(in object) string {
	if flag := text(in, "hosp_appr_flag"); flag != "" {
		return flag
	}
	return "0"
}

// reply writes a row as 2204 answers it. Numbers of the request come back as numbers.
func (r *row) reply() object {
	s := r.split
	return object{
		"feedetl_sn": r.sn, "det_item_fee_sumamt": money.Number(s.Total), "cnt": json.Number(r.cnt.String()),
		"pric": json.Number(r.pric.String()), "pric_uplmt_amt": limit(s), "selfpay_prop": json.Number(s.SelfPay.String()),
		"fulamt_ownpay_amt": money.Number(s.Own), "overlmt_amt": money.Number(s.Over), "preselfpay_amt": money.Number(s.Pre),
		"inscp_scp_amt": money.Number(s.Scope), "chrgitm_lv": s.Class, "med_chrgitm_type": charge(s),
		"bas_medn_flag": flag(s.Item.Basic), "hi_nego_drug_flag": flag(s.Item.Negotiated), "chld_medc_flag": flag(s.Item.Child),
		"list_sp_item_flag": nil, "lmt_used_flag": flag(s.Item.Limited), "drt_reim_flag": nil, "memo": orNull(s.Memo),
		"exp_content": nil, "med_list_codg": text(r.in, "med_list_codg"), "setl_time_start": nil,
	}
}

// limit writes pric_uplmt_amt; "no limit" is a very large number in scientific notation, as some
// centres write it.
func limit(s policy.Split) json.Number {
	if s.Item.Cap.Coef == 0 {
		return "9.999999999E9"
	}
	return json.Number(s.Item.Cap.String())
}

func charge(s policy.Split) string {
	if s.Item.Charge == "" {
		return "14"
	}
	return s.Item.Charge
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func (c *Centre) dropFees(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	v, err := c.visitOf(k, outpatient, text(in, "mdtrt_id"))
	if err != nil {
		return action{}, err
	}
	batch := text(in, "chrg_bchno")
	dropped := func(r *row) bool { return r.settled == nil && (batch == "0000" || r.batch == batch) }
	found, settled := false, false
	for _, r := range v.rows {
		found = found || dropped(r)
		settled = settled || r.batch == batch && r.settled != nil
	}
	if settled {
		return action{}, refuse("收费批次 %s 已结算，请先撤销结算", batch)
	}
	if !found {
		return action{}, refuse("未查询到任何有效相关的记录")
	}
	return action{writes: true, run: func() (any, error) {
		v.drop(dropped)
		return nil, nil
	}}, nil
}
