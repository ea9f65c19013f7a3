package centre

import (
	"errors"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/ledger"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
)

// settlement is a settled batch, stay or sale, or the undo of one.
type settlement struct {
	id       string
	visit    *visit
	batch    string
	msgid    string
	infno    string
	at       time.Time
	certType string
	medType  string
	invoice  any
	operator string
	opterNm  string
	mid      bool // settled in the middle of a stay
	exit     bool // settled after the discharge
	again    bool // the stay was not the first of the year
	result   policy.Result
	uses     people.Used
	posting  ledger.Posting
	rows     []*row
	undoneBy *settlement // the active undo of this one
	undoOf   *settlement // set: this is an undo, its amounts are those of undoOf taken back
	after    money.Fen   // account balance after it
	reversed bool
}

// inForce reports whether a settlement stands: neither an undo, nor undone, nor reversed.
func (s *settlement) inForce() bool { return s.undoOf == nil && s.undoneBy == nil && !s.reversed }

// standing gives the settlements of a visit in force.
func (v *visit) standing() []*settlement {
	var out []*settlement
	for _, s := range v.bills {
		if s.inForce() {
			out = append(out, s)
		}
	}
	return out
}

// batchRows gives the unsettled rows of a batch and whether some are settled.
func (v *visit) batchRows(batch string) (open []*row, settled bool) {
	for _, r := range v.rows {
		if r.batch != batch {
			continue
		}
		if r.settled != nil {
			settled = true
			continue
		}
		open = append(open, r)
	}
	return open, settled
}

// compute checks what 2206 and 2207 have in common and shares the bill out.
func (c *Centre) compute(k *call) (*settlement, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return nil, err
	}
	v, err := c.visitOf(k, outpatient, text(in, "mdtrt_id"))
	if err != nil {
		return nil, err
	}
	batch := text(in, "chrg_bchno")
	open, settled := v.batchRows(batch)
	switch {
	case v.info == nil:
		return nil, refuse("未上传就诊信息，不能结算")
	case settled:
		return nil, refuse("收费批次 %s 已结算，不能重复结算", batch)
	case len(open) == 0:
		return nil, refuse("未查询到收费批次 %s 的费用明细", batch)
	case text(in, "med_type") != v.medType():
		return nil, refuse("医疗类别与就诊信息不一致")
	}
	if err := settleWay(in); err != nil {
		return nil, err
	}
	return c.share(k, demand{in: in, visit: v, batch: batch, rows: open})
}

func settleWay(in object) error {
	if way := text(in, "psn_setlway"); way != "01" && way != "02" {
		return refuse("个人结算方式不在字典内")
	}
	return nil
}

// demand is what a trial or a settlement asks for, wherever its rows come from.
type demand struct {
	in      object // the node with the amounts and the credential
	visit   *visit
	batch   string
	rows    []*row
	mid     bool
	exit    bool
	again   bool      // stays: see policy.Facts
	charged money.Fen // stays: see policy.Facts
}

// share checks what every settlement has in common, adds the rows up and shares the bill out.
func (c *Centre) share(k *call, d demand) (*settlement, error) {
	in, v := d.in, d.visit
	switch {
	case text(in, "insutype") != v.insutype:
		return nil, refuse("险种类型与挂号信息不一致")
	case text(in, "acct_used_flag") != "0" && text(in, "acct_used_flag") != "1":
		return nil, refuse("个人账户使用标志不在字典内")
	case !k.who.Credential(text(in, "mdtrt_cert_type"), text(in, "mdtrt_cert_no"), text(in, "card_sn")):
		return nil, refuse("就诊凭证与人员不符")
	}
	if err := covered(k.who, v.insutype); err != nil {
		return nil, err
	}
	bill, err := addRows(d.rows)
	if err != nil {
		return nil, err
	}
	total, err := amount(in, "medfee_sumamt")
	if err != nil {
		return nil, err
	}
	if total != bill.Total {
		return nil, refuse("医疗费总额 %s 与明细合计 %s 不一致", total, bill.Total)
	}
	f := c.facts(v, k.now.Year())
	f.UseAccount, f.Again, f.Charged = text(in, "acct_used_flag") == "1", d.again, d.charged
	result, err := policy.Settle(bill, f)
	switch {
	case errors.Is(err, policy.ErrNegative):
		return nil, refuse("退费大于收费，费用合计为负")
	case err != nil:
		return nil, refuse("费用合计超出范围")
	}
	return &settlement{
		visit: v, batch: d.batch, msgid: string(k.req.MsgID), infno: string(k.req.Infno), at: k.now,
		certType: text(in, "mdtrt_cert_type"), medType: v.medType(), invoice: in["invono"],
		operator: k.req.Operator, opterNm: k.req.OperatorName, mid: d.mid, exit: d.exit, again: d.again,
		result: result, uses: result.Uses(v.insutype), rows: d.rows, after: result.Balance,
	}, nil
}

func addRows(rows []*row) (policy.Bill, error) {
	splits := make([]policy.Split, len(rows))
	for i, r := range rows {
		splits[i] = r.split
	}
	bill, err := policy.Add(splits...)
	if err != nil {
		return policy.Bill{}, refuse("费用合计超出范围")
	}
	return bill, nil
}

// facts gives what the policy looks at in a visit; the caller adds what the request decides.
func (c *Centre) facts(v *visit, year int) policy.Facts {
	p := v.who
	insured, _ := p.Insurance(v.insutype)
	return policy.Facts{
		Insurance: v.insutype, PersonType: insured.PersonType, Level: v.place.Level, MedType: v.medType(),
		Away: p.Area != v.place.Area, Large: v.insutype == "310" && p.Has("330"),
		Servant: v.insutype == "310" && p.Has("320"), Aided: p.Aided(),
		Balance: c.state.balance(p.No), Used: p.usedBy(v.insutype, year),
	}
}

func (c *Centre) trial(k *call) (action, error) {
	s, err := c.compute(k)
	if err != nil {
		return action{}, err
	}
	return action{run: func() (any, error) { return c.trialReply(s), nil }}, nil
}

func (c *Centre) settle(k *call) (action, error) {
	s, err := c.compute(k)
	if err != nil {
		return action{}, err
	}
	if err := sameParts(node(k.in, "data"), s, true); err != nil {
		return action{}, err
	}
	for _, d := range rows(k.in, "drug_trac_info") {
		if r := s.visit.bySN[text(d, "feedetl_sn")]; r == nil || r.batch != s.batch {
			return action{}, refuse("药品追溯码对应的费用明细不存在")
		}
	}
	return c.settling(k, s), nil
}

// sameParts holds the four split amounts of a request against ours. Where the table does not ask
// for them (all is false) one that is absent is not looked at.
func sameParts(in object, s *settlement, all bool) error {
	for _, part := range [...]struct {
		member string
		want   money.Fen
	}{
		{"fulamt_ownpay_amt", s.result.Own}, {"overlmt_selfpay", s.result.Over},
		{"preselfpay_amt", s.result.Pre}, {"inscp_scp_amt", s.result.Scope},
	} {
		if !all && text(in, part.member) == "" {
			continue
		}
		got, err := amount(in, part.member)
		if err != nil {
			return err
		}
		if got != part.want {
			return refuse("%s 与中心计算结果不一致", part.member)
		}
	}
	return nil
}

// settling is the action that makes a computed settlement stand.
func (c *Centre) settling(k *call, s *settlement) action {
	return action{writes: true, entry: &entry{setl: s}, run: func() (any, error) {
		if err := c.stand(s, k.now); err != nil {
			return nil, err
		}
		return c.settledReply(s), nil
	}}
}

// stand books a settlement and marks its rows.
func (c *Centre) stand(s *settlement, now time.Time) error {
	posting := s.book()
	if err := c.state.book.Post(posting); err != nil {
		return refuse("结算金额无法记账")
	}
	s.posting = posting
	s.id = c.state.id(s.visit.place.Area, now)
	c.state.keep(s)
	for _, r := range s.rows {
		r.settled = s
	}
	s.visit.who.use(s.uses, s.at.Year(), 1)
	return nil
}

func (s *state) keep(x *settlement) {
	s.settlements[x.id] = x
	s.setlOrder = append(s.setlOrder, x)
	x.visit.bills = append(x.visit.bills, x)
}

// book writes a settlement as a posting: the institution earned the bill, and everybody who bears
// a part of it gives that part.
func (s *settlement) book() ledger.Posting {
	place, r := s.visit.place.Code, s.result
	return ledger.Posting{Ref: s.msgid, Why: s.infno, Lines: []ledger.Line{
		{Account: ledger.Account{Kind: ledger.Hospital, ID: place}, Amount: r.Total},
		{Account: ledger.Account{Kind: ledger.Fund, ID: poolType(s.visit.insutype)}, Amount: -r.Pool},
		{Account: ledger.Account{Kind: ledger.Fund, ID: "330100"}, Amount: -r.Large},
		{Account: ledger.Account{Kind: ledger.Fund, ID: "390200"}, Amount: -r.Serious},
		{Account: ledger.Account{Kind: ledger.Fund, ID: "320100"}, Amount: -r.Servant},
		{Account: ledger.Account{Kind: ledger.Fund, ID: "610100"}, Amount: -r.Aid},
		{Account: ledger.Account{Kind: ledger.Waived, ID: place}, Amount: -r.Hospital},
		{Account: ledger.Account{Kind: ledger.Person, ID: s.visit.who.No}, Amount: -r.Account},
		{Account: ledger.Account{Kind: ledger.Cash, ID: place}, Amount: -r.Cash},
	}}
}

func poolType(insutype string) string {
	if insutype == "390" {
		return "390100"
	}
	return "310100"
}

// settlementOf finds a settlement of this institution and person that was not reversed.
func (c *Centre) settlementOf(k *call, id string) (*settlement, error) {
	s := c.state.settlements[id]
	if s == nil || s.reversed || s.visit.place.Code != k.place.Code || s.visit.who != k.who {
		return nil, refuse("未查询到结算信息")
	}
	return s, nil
}

// undo takes a settlement of a kind of visit back with a negative row: 2208, 2305, 2103.
func (c *Centre) undo(k *call, want kind) (action, error) {
	in := node(k.in, "data")
	if err := c.needPerson(k, text(in, "psn_no")); err != nil {
		return action{}, err
	}
	s, err := c.settlementOf(k, text(in, "setl_id"))
	switch {
	case err != nil:
		return action{}, err
	case s.visit.id != text(in, "mdtrt_id"), s.visit.kind != want:
		return action{}, refuse("未查询到结算信息")
	case s.undoOf != nil:
		return action{}, refuse("退费结算不能再次撤销")
	case s.undoneBy != nil:
		return action{}, refuse("该笔结算已撤销，请勿重复操作")
	}
	u := &settlement{
		visit: s.visit, batch: s.batch, msgid: string(k.req.MsgID), infno: string(k.req.Infno), at: k.now, certType: s.certType,
		medType: s.medType, invoice: s.invoice, operator: k.req.Operator, opterNm: k.req.OperatorName, mid: s.mid, exit: s.exit, again: s.again,
		result: s.result, uses: s.uses, rows: s.rows, undoOf: s,
	}
	return action{writes: true, entry: &entry{setl: u}, run: func() (any, error) {
		u.posting = s.posting.Negated(u.msgid, u.infno)
		if err := c.state.book.Post(u.posting); err != nil {
			return nil, refuse("撤销金额无法记账")
		}
		u.id = c.state.id(s.visit.place.Area, k.now)
		u.after = c.state.balance(k.who.No)
		c.state.keep(u)
		s.undoneBy = u
		release(s)
		k.who.use(s.uses, s.at.Year(), -1)
		return c.undoneReply(u), nil
	}}, nil
}

// release makes the rows of a settlement unsettled again. A sale of a pharmacy ends with it.
func release(s *settlement) {
	for _, r := range s.rows {
		if r.settled == s {
			r.settled = nil
		}
	}
	if s.visit.kind == pharmacy {
		s.visit.cancelled = true
	}
}
