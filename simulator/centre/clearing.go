package centre

import "time"

// clearing is one application of 3203.
type clearing struct {
	place     string
	in        object
	withdrawn bool
}

// clearing is 3203: one application per institution, clearing type, way and month. It is not held
// against the settlements; no source shows a platform doing so.
func (c *Centre) clearing(k *call) (action, error) {
	in := node(k.in, "data")
	if _, err := time.Parse("200601", text(in, "setlym")); err != nil {
		return action{}, refuse("清算年月 setlym 格式不正确")
	}
	if date(in, "enddate").Before(date(in, "begndate")) {
		return action{}, refuse("结束日期早于开始日期")
	}
	for _, member := range [...]string{"medfee_sumamt", "med_sumfee", "fund_appy_sum", "cash_payamt", "acct_pay"} {
		if _, err := amount(in, member); err != nil {
			return action{}, err
		}
	}
	for _, other := range c.state.clearings {
		if !other.withdrawn && other.place == k.place.Code && sameFiling(other.in, in, []string{"clr_type", "clr_way", "setlym"}) {
			return action{}, refuse("本期已申请清算，请先撤销")
		}
	}
	return action{writes: true, run: func() (any, error) {
		id := c.state.id(k.place.Area, k.now)
		c.state.clearings[id] = &clearing{place: k.place.Code, in: in}
		return object{"result": object{"clr_appy_evt_id": id}}, nil
	}}, nil
}

// withdrawClearing is 3204.
func (c *Centre) withdrawClearing(k *call) (action, error) {
	x := c.state.clearings[text(node(k.in, "data"), "clr_appy_evt_id")]
	switch {
	case x == nil || x.place != k.place.Code:
		return action{}, refuse("未查询到清算申请")
	case x.withdrawn:
		return action{}, refuse("该清算申请已撤销，请勿重复操作")
	}
	return action{writes: true, run: func() (any, error) {
		x.withdrawn = true
		return nil, nil
	}}, nil
}
