package centre

import (
	"errors"

	"yiqiao/simulator/ledger"
)

// reversible is the list of transactions 2601 accepts.
func reversible(infno string) bool {
	switch infno {
	case "2102", "2102A", "2103", "2207", "2208", "2304", "2304A", "2305", "2401":
		return true
	}
	return false
}

// reverse takes back a transaction by the message id of its request, as if it had never been.
func (c *Centre) reverse(k *call) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	infno := text(in, "oinfno")
	if !reversible(infno) {
		return action{}, refuse("交易 %s 不支持冲正", infno)
	}
	e := c.state.byMsg[text(in, "omsgid")]
	switch {
	case e == nil, string(e.infno) != infno, e.psn != k.who.No, e.place != k.place.Code, e.setl == nil && e.visit == nil:
		return action{}, refuse("未找到原交易")
	case e.reversed:
		return action{}, refuse("原交易已冲正，请勿重复操作")
	}
	var why error
	var run func(ref, why string) error
	switch {
	case e.setl == nil:
		why = canForget(e.visit)
		run = func(string, string) error { e.visit.cancelled = true; return nil }
	case e.setl.undoOf != nil:
		why = canReturn(e.setl)
		run = func(ref, why string) error { return c.bringBack(e.setl, ref, why) }
	default:
		why = canTakeBack(e.setl)
		run = func(ref, why string) error { return c.takeBack(e.setl, ref, why) }
	}
	if why != nil {
		return action{}, why
	}
	return action{writes: true, run: func() (any, error) {
		if err := run(string(k.req.MsgID), "2601"); err != nil {
			return nil, err
		}
		e.reversed = true
		return nil, nil
	}}, nil
}

// canForget tells whether an admission can still be made as if it had never been.
func canForget(v *visit) error {
	switch {
	case v.cancelled:
		return refuse("该住院登记已撤销，不能冲正")
	case v.discharge != nil:
		return refuse("已办理出院，不能冲正入院登记")
	case len(v.rows) > 0:
		return refuse("存在费用明细，不能冲正入院登记")
	}
	return nil
}

func canTakeBack(s *settlement) error {
	if s.undoneBy != nil {
		return refuse("该笔结算已撤销，不能冲正")
	}
	return nil
}

// takeBack makes a settlement as if it had never been.
func (c *Centre) takeBack(s *settlement, ref, why string) error {
	if err := c.state.book.Post(s.posting.Negated(ref, why)); err != nil {
		return refuse("冲正金额无法记账")
	}
	s.reversed = true
	release(s)
	s.visit.who.use(s.uses, s.at.Year(), -1)
	return nil
}

// canReturn tells whether the settlement that u undid can come back.
func canReturn(u *settlement) error {
	s := u.undoOf
	v := s.visit
	if v.cancelled && v.kind != pharmacy {
		return refuse("该挂号已撤销，不能冲正")
	}
	if v.kind == inpatient && !s.mid && v.discharge == nil && s.exit {
		return refuse("该就诊已撤销出院，不能冲正")
	}
	if v.kind == inpatient && !s.mid && v.final() != nil {
		return refuse("该就诊已另行出院结算，不能冲正")
	}
	held := make(map[*row]bool, len(s.rows))
	for _, r := range s.rows {
		if v.bySN[r.sn] != r {
			return refuse("原结算的费用明细已撤销，不能冲正")
		}
		if r.settled != nil {
			return refuse("原结算的费用明细已另行结算，不能冲正")
		}
		held[r] = true
	}
	for _, r := range v.rows {
		if r.refunds != nil && held[r.refunds] && !held[r] {
			return refuse("原结算的费用明细已退费，不能冲正")
		}
		if v.kind == inpatient && !s.mid && r.settled == nil && !held[r] {
			return refuse("原结算之后又上传了费用明细，不能冲正")
		}
	}
	return nil
}

// bringBack makes an undo as if it had never been: the settlement stands again.
func (c *Centre) bringBack(u *settlement, ref, why string) error {
	s := u.undoOf
	switch err := c.state.book.Post(u.posting.Negated(ref, why)); {
	case errors.Is(err, ledger.ErrOverdrawn):
		return refuse("个人账户余额不足，不能冲正")
	case err != nil:
		return refuse("冲正金额无法记账")
	}
	u.reversed = true
	s.undoneBy = nil
	for _, r := range s.rows {
		r.settled = s
	}
	if s.visit.kind == pharmacy {
		s.visit.cancelled = false
	}
	s.visit.who.use(s.uses, s.at.Year(), 1)
	return nil
}
