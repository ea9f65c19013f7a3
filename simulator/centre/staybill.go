package centre

import (
	"math"

	"yiqiao/schemas/money"
)

// stayFees is 2301: rows of one stay, at most maxRows, all or none.
func (c *Centre) stayFees(k *call) (action, error) {
	list := rows(k.in, "feedetail")
	if len(list) == 0 {
		return action{}, refuse("费用明细List不能为空")
	}
	if len(list) > maxRows {
		return action{}, refuse("单次上传费用明细不能超过 %d 条", maxRows)
	}
	v, err := c.stayOf(k, list[0])
	if err != nil {
		return action{}, err
	}
	if v.final() != nil {
		return action{}, refuse("已出院结算，不能再上传明细")
	}
	fresh := make([]*row, 0, len(list))
	seen := make(map[string]*row, len(list))
	for _, in := range list {
		sn := text(in, "feedetl_sn")
		switch {
		case text(in, "psn_no") != k.who.No || text(in, "mdtrt_id") != v.id:
			return action{}, refuse("同一次上传的明细必须属于同一人员和就诊")
		case text(in, "med_type") != v.medType():
			return action{}, refuse("明细 %s 医疗类别与入院登记不一致", sn)
		case v.bySN[sn] != nil || seen[sn] != nil:
			return action{}, refuse("费用明细流水号重复：%s", sn)
		case sn == "0000":
			return action{}, refuse("费用明细流水号不能为 0000")
		}
		r, err := c.stayRow(v, in, fresh, seen)
		if err != nil {
			return action{}, err
		}
		seen[sn] = r
		fresh = append(fresh, r)
	}
	return action{writes: true, run: func() (any, error) { return object{"result": v.take(fresh)}, nil }}, nil
}

// stayRow checks one row: a charge as everywhere, or one with init_feedetl_sn and a negative
// quantity, which takes a charge of the stay back in whole or in part.
func (c *Centre) stayRow(v *visit, in object, fresh []*row, seen map[string]*row) (*row, error) {
	sn, initial := text(in, "feedetl_sn"), text(in, "init_feedetl_sn")
	cnt, err := money.ParseDecimal(text(in, "cnt"), 4)
	if err != nil {
		return nil, refuse("明细 %s 数量格式不正确", sn)
	}
	if cnt.Coef >= 0 {
		if initial != "" {
			return nil, refuse("明细 %s 不是退费，不能填写原明细流水号", sn)
		}
		return c.row(in)
	}
	if initial == "" {
		return nil, refuse("退费明细 %s 必须填写原费用明细流水号 init_feedetl_sn", sn)
	}
	origin := v.bySN[initial]
	if origin == nil {
		origin = seen[initial]
	}
	price, err := money.ParseDecimal(text(in, "pric"), 6)
	switch {
	case origin == nil || origin.refunds != nil:
		return nil, refuse("退费明细 %s 的原明细不存在", sn)
	case origin.settled != nil:
		return nil, refuse("退费明细 %s 的原明细已结算，请先撤销结算", sn)
	case text(in, "med_list_codg") != text(origin.in, "med_list_codg"):
		return nil, refuse("退费明细 %s 的目录编码与原明细不符", sn)
	case err != nil || !equal(price, origin.pric):
		return nil, refuse("退费明细 %s 的单价与原明细不符", sn)
	}
	left, ok := units(origin.cnt)
	back, fits := units(money.Decimal{Coef: -cnt.Coef, Scale: cnt.Scale})
	if !ok || !fits {
		return nil, refuse("明细 %s 数量或单价超出范围", sn)
	}
	for _, list := range [...][]*row{v.rows, fresh} {
		for _, r := range list {
			if r.refunds == origin {
				n, _ := units(r.cnt)
				left += n
			}
		}
	}
	if back > left {
		return nil, refuse("退费明细 %s 的数量大于原明细的剩余数量", sn)
	}
	split, err := c.items.Split(text(in, "med_list_codg"), money.Decimal{Coef: -cnt.Coef, Scale: cnt.Scale}, price, approval(origin.in))
	if err != nil {
		return nil, refuse("明细 %s 数量或单价超出范围", sn)
	}
	split = split.Negated()
	total, err := amount(in, "det_item_fee_sumamt")
	if err != nil {
		return nil, err
	}
	if total != split.Total {
		return nil, refuse("明细 %s 费用总额不等于数量乘以单价", sn)
	}
	return &row{in: in, sn: sn, cnt: cnt, pric: price, split: split, refunds: origin}, nil
}

// units gives a quantity in ten-thousandths; false when it does not fit.
func units(d money.Decimal) (int64, bool) { return scaled(d, 4) }

func equal(a, b money.Decimal) bool {
	x, okX := scaled(a, 6)
	y, okY := scaled(b, 6)
	return okX && okY && x == y
}

func scaled(d money.Decimal, scale uint8) (int64, bool) {
	n := d.Coef
	for range int(scale) - int(d.Scale) {
		if n > math.MaxInt64/100 || n < math.MinInt64/100 {
			return 0, false
		}
		n *= 10
	}
	return n, true
}

// dropStayFees is 2302: rows by feedetl_sn, or with 0000 every unsettled row of the stay. A row goes
// only together with its refunds.
func (c *Centre) dropStayFees(k *call) (action, error) {
	list := rowsOrOne(k.in, "data")
	if len(list) == 0 {
		return action{}, refuse("费用明细List不能为空")
	}
	v, err := c.stayOf(k, list[0])
	if err != nil {
		return action{}, err
	}
	all, named := false, make(map[*row]bool, len(list))
	for _, in := range list {
		if text(in, "psn_no") != k.who.No || text(in, "mdtrt_id") != v.id {
			return action{}, refuse("同一次撤销的明细必须属于同一人员和就诊")
		}
		sn := text(in, "feedetl_sn")
		if sn == "0000" {
			all = true
			continue
		}
		r := v.bySN[sn]
		if r == nil {
			return action{}, refuse("未查询到任何有效相关的记录")
		}
		if r.settled != nil {
			return action{}, refuse("明细 %s 已结算，请先撤销结算", sn)
		}
		named[r] = true
	}
	found := false
	gone := func(r *row) bool { return r.settled == nil && (all || named[r]) }
	for _, r := range v.rows {
		found = found || gone(r)
		if r.refunds != nil && gone(r.refunds) && !gone(r) {
			return action{}, refuse("明细 %s 已有退费，不能单独撤销", r.refunds.sn)
		}
	}
	if !found {
		return action{}, refuse("未查询到任何有效相关的记录")
	}
	return action{writes: true, run: func() (any, error) {
		v.drop(gone)
		return nil, nil
	}}, nil
}

// stayBill checks what 2303 and 2304 have in common and shares the unsettled rows of a stay out.
func (c *Centre) stayBill(k *call) (*settlement, error) {
	in := node(k.in, "data")
	v, err := c.stayOf(k, in)
	if err != nil {
		return nil, err
	}
	mid := text(in, "mid_setl_flag")
	var open []*row
	for _, r := range v.rows {
		if r.settled == nil {
			open = append(open, r)
		}
	}
	switch {
	case mid != "0" && mid != "1":
		return nil, refuse("中途结算标志不在字典内")
	case v.final() != nil:
		return nil, refuse("该就诊已出院结算，不能重复结算")
	case mid == "1" && v.discharge != nil:
		return nil, refuse("已办理出院，不能中途结算")
	case mid == "0" && v.discharge == nil && !c.opt.Region.SettleBeforeDischarge:
		return nil, refuse("未办理出院，不能出院结算")
	case len(open) == 0:
		return nil, refuse("未查询到未结算的费用明细")
	}
	if err := settleWay(in); err != nil {
		return nil, err
	}
	d := demand{in: in, visit: v, rows: open, mid: mid == "1", exit: v.discharge != nil}
	d.again, d.charged = v.deductibleSoFar(k.now.Year())
	s, err := c.share(k, d)
	if err != nil {
		return nil, err
	}
	return s, sameParts(in, s, false)
}

// deductibleSoFar tells whether another stay of the person was settled this year, which halves the
// deductible, and what this stay was charged already. The first settlement of a stay decides for
// all of it.
func (v *visit) deductibleSoFar(year int) (again bool, charged money.Fen) {
	standing := v.standing()
	for _, s := range standing {
		charged += s.result.Deductible
	}
	if len(standing) > 0 {
		return standing[0].again, charged
	}
	for _, other := range v.who.visits {
		if other == v || other.kind != inpatient || other.insutype != v.insutype {
			continue
		}
		for _, s := range other.standing() {
			if s.at.Year() == year {
				return true, 0
			}
		}
	}
	return false, 0
}

func (c *Centre) stayTrial(k *call) (action, error) {
	s, err := c.stayBill(k)
	if err != nil {
		return action{}, err
	}
	return action{run: func() (any, error) { return c.trialReply(s), nil }}, nil
}

func (c *Centre) staySettle(k *call) (action, error) {
	s, err := c.stayBill(k)
	if err != nil {
		return action{}, err
	}
	return c.settling(k, s), nil
}
