package centre

import "yiqiao/simulator/policy"

// sale is what 2101 and 2102 have in common: head and rows of one sale, in one call.
func (c *Centre) sale(k *call) (*settlement, []*row, error) {
	in, list := node(k.in, "druginfo"), rows(k.in, "drugdetail")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return nil, nil, err
	}
	if len(list) == 0 {
		return nil, nil, refuse("费用明细List不能为空")
	}
	if len(list) > maxRows {
		return nil, nil, refuse("单次上传费用明细不能超过 %d 条", maxRows)
	}
	medType := text(in, "med_type")
	class := policy.ClassOf(medType)
	switch {
	case class != policy.Pharmacy && class != policy.Chronic:
		return nil, nil, refuse("医疗类别 %s 不支持药店结算", medType)
	case moment(in, "begntime").IsZero():
		return nil, nil, refuse("缺少必填项：druginfo.begntime（开始时间）")
	case class == policy.Chronic && text(in, "dise_codg") == "":
		return nil, nil, refuse("门诊慢特病必须填写病种编码 dise_codg")
	}
	f, err := c.needFiling(k, chronicFiling(medType), "opsp_dise_code", text(in, "dise_codg"))
	if err != nil {
		return nil, nil, err
	}
	v := &visit{kind: pharmacy, insutype: text(in, "insutype"), in: in, info: in, who: k.who, place: k.place, filing: f}
	fresh := make([]*row, 0, len(list))
	seen := make(map[string]bool, len(list))
	for _, one := range list {
		sn := text(one, "feedetl_sn")
		switch {
		case sn == "" || sn == "0000":
			return nil, nil, refuse("缺少必填项：drugdetail.feedetl_sn（费用明细流水号）")
		case seen[sn]:
			return nil, nil, refuse("费用明细流水号重复：%s", sn)
		case text(one, "med_list_codg") == "":
			return nil, nil, refuse("缺少必填项：drugdetail.med_list_codg（医疗目录编码）")
		}
		seen[sn] = true
		r, err := c.row(one)
		if err != nil {
			return nil, nil, err
		}
		fresh = append(fresh, r)
	}
	s, err := c.share(k, demand{in: in, visit: v, rows: fresh})
	return s, fresh, err
}

func (c *Centre) saleTrial(k *call) (action, error) {
	s, list, err := c.sale(k)
	if err != nil {
		return action{}, err
	}
	return action{run: func() (any, error) { return withRows(c.trialReply(s), list), nil }}, nil
}

// saleSettle is 2102: only its answer gives the mdtrt_id.
func (c *Centre) saleSettle(k *call) (action, error) {
	s, list, err := c.sale(k)
	if err != nil {
		return action{}, err
	}
	return action{writes: true, entry: &entry{setl: s}, run: func() (any, error) {
		if err := c.stand(s, k.now); err != nil {
			return nil, err
		}
		c.admit(k, s.visit)
		s.visit.take(list)
		return withRows(c.settledReply(s), list), nil
	}}, nil
}

// withRows adds how each row was split.
func withRows(out object, list []*row) object {
	cut := make([]any, 0, len(list))
	for _, r := range list {
		cut = append(cut, r.reply())
	}
	out["detlcutinfo"] = cut
	return out
}
