package centre

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"yiqiao/schemas/money"
)

// StatementForm is how a region writes the results of 3201 and 3202.
type StatementForm struct {
	// Columns of a result row: 7, 8, 10 or 11; zero means 10.
	Columns int `json:"columns"`
	// Hubei: results are six digits (000000 ...) and nothing is written null, instead of 0 to 3 and "".
	Hubei bool `json:"hubei"`
	// Differing: only rows that differ are listed.
	Differing bool `json:"differing"`
	// Bare: a row only the centre has carries neither setl_id nor mdtrt_id.
	Bare bool `json:"bare"`
}

func (f StatementForm) check() error {
	switch f.Columns {
	case 0, 7, 8, 10, 11:
		return nil
	}
	return errRegion
}

// verdict is what a comparison found.
type verdict int

const (
	balanced verdict = iota
	centreMore
	placeMore
	differs
)

func (f StatementForm) code(v verdict) string {
	if f.Hubei {
		return [...]string{"000000", "000101", "000102", "000103"}[v]
	}
	return strconv.Itoa(int(v))
}

// TotalsKey says which settlements are added up: those of an institution, cleared by an agency,
// of one clearing type, settled on the days From to To (yyyy-MM-dd, both included).
type TotalsKey struct {
	Place     string
	Agency    string // setl_optins
	Insurance string // insutype; "" is all
	ClrType   string
	From, To  string
	// NoRefunds leaves undos and what they undid out (refd_setl_flag 0); otherwise both are added.
	NoRefunds bool
}

// Totals is what 3201 compares, in fen.
type Totals struct {
	Total   money.Fen `json:"medfee_sumamt"`
	Fund    money.Fen `json:"fund_pay_sumamt"` // as the region writes it
	Account money.Fen `json:"acct_pay"`
	Count   int       `json:"fixmedins_setl_cnt"`
}

// Totals adds up what the centre has. Reversed settlements never count.
func (c *Centre) Totals(key TotalsKey) Totals {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.totals(key)
}

func (c *Centre) totals(key TotalsKey) Totals {
	var t Totals
	for _, s := range c.listed(key) {
		r := c.asRow(s)
		t.Total, t.Fund, t.Account, t.Count = t.Total+r.total, t.Fund+r.fund, t.Account+r.account, t.Count+1
	}
	return t
}

// listed gives the settlements a key means, oldest first.
func (c *Centre) listed(key TotalsKey) []*settlement {
	var out []*settlement
	for _, s := range c.state.setlOrder {
		switch {
		case s.reversed, s.visit.place.Code != key.Place, s.visit.place.Area != key.Agency, string(s.visit.kind) != key.ClrType:
			continue
		case key.Insurance != "" && s.visit.insutype != key.Insurance, key.NoRefunds && !s.inForce():
			continue
		}
		if day := s.at.Format(time.DateOnly); key.From <= day && day <= key.To {
			out = append(out, s)
		}
	}
	return out
}

// asRow writes a settlement as a row of a detail file.
func (c *Centre) asRow(s *settlement) tableRow {
	sign := money.Fen(1)
	if s.undoOf != nil {
		sign = -1
	}
	fund := s.result.Fund
	if c.opt.Region.FundIncludesAccount {
		fund += s.result.Account
	}
	return tableRow{setl: s.id, visit: s.visit.id, psn: s.visit.who.No, total: sign * s.result.Total, fund: sign * fund,
		account: sign * s.result.Account, refund: s.undoOf != nil}
}

// keyOf reads what 3201 and 3202 have in common. The flag comes in small or capital letters, in
// the node or beside the standard members of the outer message.
func keyOf(k *call, in object) (TotalsKey, error) {
	key := TotalsKey{Place: k.place.Code, Agency: text(in, "setl_optins"), ClrType: text(in, "clr_type"),
		From: text(in, "stmt_begndate"), To: text(in, "stmt_enddate")}
	if key.To < key.From {
		return key, refuse("结束日期早于开始日期")
	}
	refunds := ""
	for _, name := range [...]string{"refd_setl_flag", "REFD_SETL_FLAG"} {
		for _, v := range [...]string{text(in, name), k.req.Extra[name]} {
			if refunds == "" {
				refunds = v
			}
		}
	}
	switch refunds {
	case "", "1":
	case "0":
		key.NoRefunds = true
	default:
		return key, refuse("退费结算标志不在字典内")
	}
	return key, nil
}

// claimed reads the totals an institution sends; account names the member with the account.
func claimed(in object, account string) (Totals, error) {
	var t Totals
	var err error
	if t.Total, err = amount(in, "medfee_sumamt"); err != nil {
		return t, err
	}
	if t.Fund, err = amount(in, "fund_pay_sumamt"); err != nil {
		return t, err
	}
	if t.Account, err = amount(in, account); err != nil {
		return t, err
	}
	if t.Count, err = strconv.Atoi(text(in, "fixmedins_setl_cnt")); err != nil || t.Count < 0 {
		return t, refuse("fixmedins_setl_cnt 格式不正确")
	}
	return t, nil
}

// statement is 3201. infcode 0 only says that the comparison ran; stmt_rslt says what it found.
func (c *Centre) statement(k *call) (action, error) {
	in := node(k.in, "data")
	key, err := keyOf(k, in)
	if err != nil {
		return action{}, err
	}
	key.Insurance = text(in, "insutype")
	theirs, err := claimed(in, "acct_pay")
	if err != nil {
		return action{}, err
	}
	return action{run: func() (any, error) {
		ours := c.totals(key)
		rslt, why := balanced, "对账平"
		if ours != theirs {
			rslt = differs
			why = fmt.Sprintf("对账不平：笔数 中心%d 机构%d；总额 中心%s 机构%s；基金 中心%s 机构%s；账户 中心%s 机构%s",
				ours.Count, theirs.Count, ours.Total, theirs.Total, ours.Fund, theirs.Fund, ours.Account, theirs.Account)
		}
		code := c.opt.Region.Statement.code(rslt)
		if rslt != balanced && !c.opt.Region.Statement.Hubei {
			code = "1" // of totals only: balanced or not
		}
		return object{"stmtinfo": object{"setl_optins": key.Agency, "stmt_rslt": code, "stmt_rslt_dscr": why}}, nil
	}}, nil
}

// statementRows is 3202: it compares an uploaded detail file row by row and makes a result file.
func (c *Centre) statementRows(k *call) (action, error) {
	in := node(k.in, "data")
	key, err := keyOf(k, in)
	if err != nil {
		return action{}, err
	}
	theirs, err := claimed(in, "cash_payamt")
	if err != nil {
		return action{}, err
	}
	f, err := c.fileOf(k, text(in, "file_qury_no"))
	if err != nil {
		return action{}, err
	}
	list, err := readTable(f.body)
	if err != nil {
		return action{}, err
	}
	var sum Totals
	for _, r := range list {
		if sum.Total, err = money.Sum(sum.Total, r.total); err == nil {
			sum.Fund, err = money.Sum(sum.Fund, r.fund)
		}
		if err != nil {
			return action{}, refuse("明细文件合计超出范围")
		}
	}
	// cash_payamt is filled with the account by some and with the personal part by others: not compared.
	if len(list) != theirs.Count || sum.Total != theirs.Total || sum.Fund != theirs.Fund {
		return action{}, refuse("明细文件与上传的合计不一致")
	}
	return action{run: func() (any, error) {
		body, err := packText("result.txt", k.now, c.compare(key, list))
		if err != nil {
			return nil, err
		}
		out, err := c.keepFile(k, "result_"+key.From+"_"+key.ClrType+".zip", body)
		if err != nil {
			return nil, err
		}
		return object{"fileinfo": object{"file_qury_no": out.no, "filename": out.name, "dld_endtime": out.until.Format(time.DateTime)}}, nil
	}}, nil
}

// compare gives the lines of the result: the rows of the file in their order, then what only the
// centre has.
func (c *Centre) compare(key TotalsKey, list []tableRow) []string {
	ours := map[string]*settlement{}
	order := c.listed(key)
	for _, s := range order {
		ours[s.id] = s
	}
	lines := []string{}
	for _, r := range list {
		s := ours[r.setl]
		if s == nil || s.visit.id != r.visit {
			lines = c.line(lines, r, "", placeMore, "中心无此记录", "")
			continue
		}
		delete(ours, r.setl)
		mine := c.asRow(s)
		v, why := balanced, ""
		if s.undoneBy != nil { // what was undone is written either way
			mine.refund = r.refund
		}
		if mine != r {
			v, why = differs, fmt.Sprintf("机构总额%s 基金%s 账户%s", r.total, r.fund, r.account)
			if mine.psn != r.psn {
				why = "人员编号不一致"
			}
		}
		lines = c.line(lines, mine, s.msgid, v, why, s.visit.insutype)
	}
	for _, s := range order {
		if ours[s.id] != nil {
			r := c.asRow(s)
			if c.opt.Region.Statement.Bare {
				r.setl, r.visit = "", ""
			}
			lines = c.line(lines, r, s.msgid, centreMore, "机构无此记录", s.visit.insutype)
		}
	}
	return lines
}

// line adds a row of the result in the layout of the region.
func (c *Centre) line(lines []string, r tableRow, msgid string, v verdict, memo, insutype string) []string {
	f := c.opt.Region.Statement
	if f.Differing && v == balanced {
		return lines
	}
	if insutype != "" {
		memo += insutype
	}
	cols := []string{r.psn, r.visit, r.setl, msgid, f.code(v), flag(r.refund), memo}
	switch f.Columns {
	case 7:
	case 8:
		cols = append(cols, "")
	case 11:
		cols = append(cols, r.total.String(), r.fund.String(), r.account.String(), "")
	default:
		cols = append(cols, r.total.String(), r.fund.String(), r.account.String())
	}
	if f.Hubei {
		for i := range cols {
			if cols[i] == "" {
				cols[i] = "null"
			}
		}
	}
	return append(lines, strings.Join(cols, "\t"))
}
