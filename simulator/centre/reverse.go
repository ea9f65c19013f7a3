package centre

import (
	"errors"

	"yiqiao/simulator/ledger"
)

// reversible is the list of transactions 2601 accepts.
func reversible(infno string) bool {
	switch infno {
	case "2102", "2103", "2207", "2208", "2304", "2305", "2401":
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
	case e == nil, string(e.infno) != infno, e.psn != k.who.No, e.place != k.place.Code, e.setl == nil:
		return action{}, refuse("未找到原交易")
	case e.reversed:
		return action{}, refuse("原交易已冲正，请勿重复操作")
	}
	if e.setl.undoOf != nil {
		return c.reverseUndo(k, e)
	}
	return c.reverseSettlement(k, e)
}

func (c *Centre) reverseSettlement(k *call, e *entry) (action, error) {
	s := e.setl
	if s.undoneBy != nil {
		return action{}, refuse("该笔结算已撤销，不能冲正")
	}
	return action{writes: true, run: func() (any, error) {
		if err := c.state.book.Post(s.posting.Negated(string(k.req.MsgID), "2601")); err != nil {
			return nil, refuse("冲正金额无法记账")
		}
		e.reversed, s.reversed = true, true
		release(s)
		k.who.use(s.uses, s.at.Year(), -1)
		return nil, nil
	}}, nil
}

// reverseUndo brings the settlement back that a 2208 had undone.
func (c *Centre) reverseUndo(k *call, e *entry) (action, error) {
	u, s := e.setl, e.setl.undoOf
	if s.visit.cancelled {
		return action{}, refuse("该挂号已撤销，不能冲正")
	}
	for _, r := range s.rows {
		if s.visit.bySN[r.sn] != r {
			return action{}, refuse("原结算的费用明细已撤销，不能冲正")
		}
		if r.settled != nil {
			return action{}, refuse("原结算的费用明细已另行结算，不能冲正")
		}
	}
	return action{writes: true, run: func() (any, error) {
		switch err := c.state.book.Post(u.posting.Negated(string(k.req.MsgID), "2601")); {
		case errors.Is(err, ledger.ErrOverdrawn):
			return nil, refuse("个人账户余额不足，不能冲正")
		case err != nil:
			return nil, refuse("冲正金额无法记账")
		}
		e.reversed, u.reversed = true, true
		s.undoneBy = nil
		for _, r := range s.rows {
			r.settled = s
		}
		k.who.use(s.uses, s.at.Year(), 1)
		return nil, nil
	}}, nil
}
