package recon

import (
	"context"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// matched is one row of ours with what the centre has for it.
type matched struct {
	ours   *row
	theirs *resultRow
	echoed bool // listed as being only ours
}

// compare finds what differs in a set. What the centre has in total is found from the file alone,
// what the differences explain from the matching; finish holds one against the other.
func (w *work) compare(ctx context.Context, set *Set, ours []*row, theirs []resultRow) error {
	set.ListsAll = w.form.Result.All
	for i := range theirs {
		set.ListsAll = set.ListsAll || theirs[i].meaning == gateway.StatementBalanced
	}
	pairs, alone, lost := match(ours, theirs)
	for _, c := range lost {
		w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "中心称本方有而本方没有的行: " + line2(c.line),
			Agency: set.Agency, ClrType: set.ClrType, MsgID: ident.MsgID(c.msgid)})
	}
	w.fill(ctx, set, pairs, alone)

	leg := &set.Leg
	for _, p := range pairs {
		leg.Ours = leg.Ours.plus(w.fixed(p.ours.amounts))
		switch {
		case p.theirs == nil && !p.echoed && !set.ListsAll: // not mentioned where only differences are
			leg.Theirs = leg.Theirs.plus(w.fixed(p.ours.amounts))
		case p.theirs != nil && !p.theirs.known: // nobody knows; told as such by doubts
			leg.Theirs = leg.Theirs.plus(w.fixed(p.ours.amounts))
		}
	}
	for _, c := range alone {
		if !c.known {
			leg.Theirs.Count++
		}
	}
	for i := range theirs {
		if c := &theirs[i]; c.meaning != gateway.StatementHereMore && c.known {
			leg.Theirs = leg.Theirs.plus(c.amounts)
		}
	}
	leg.Difference = leg.Theirs.minus(leg.Ours)

	before := len(w.report.Differences)
	for _, p := range pairs {
		w.pairDifference(set, p)
	}
	for _, c := range alone {
		w.strange(set, c)
	}
	for _, d := range w.report.Differences[before:] {
		leg.Explained = leg.Explained.plus(d.By)
	}
	leg.Unexplained = leg.Difference.minus(leg.Explained)
	w.report.Sets = append(w.report.Sets, *set)
	w.doubts(set, before)
	return nil
}

// match joins rows on setl_id and mdtrt_id, then on person and message id where one side has no
// setl_id. Each row is used once. What the centre lists as only ours is no row of the centre; lost
// are such rows that are not ours.
func match(ours []*row, theirs []resultRow) (pairs []matched, alone, lost []*resultRow) {
	type id struct{ a, b string }
	pairs = make([]matched, len(ours))
	byID, byMsg := map[id][]int{}, map[id][]int{}
	for i, r := range ours {
		pairs[i].ours = r
		if r.setl != "" {
			k := id{r.setl, r.visit}
			byID[k] = append(byID[k], i)
		}
		k := id{r.person, string(r.rec.ID)}
		byMsg[k] = append(byMsg[k], i)
	}
	take := func(m map[id][]int, k id, free func(matched) bool) int {
		for _, i := range m[k] {
			if free(pairs[i]) {
				return i
			}
		}
		return -1
	}
	unpaired := func(p matched) bool { return p.theirs == nil }
	var later []*resultRow
	for i := range theirs {
		c := &theirs[i]
		if c.meaning == gateway.StatementHereMore {
			continue
		}
		if n := take(byID, id{c.setl, c.visit}, unpaired); c.setl != "" && n >= 0 {
			pairs[n].theirs = c
			continue
		}
		later = append(later, c)
	}
	for _, c := range later {
		n := -1
		if c.msgid != "" {
			n = take(byMsg, id{c.person, c.msgid}, func(p matched) bool { return p.theirs == nil && (p.ours.setl == "" || c.setl == "") })
		}
		if n < 0 {
			alone = append(alone, c)
			continue
		}
		pairs[n].theirs = c
	}
	for i := range theirs {
		c := &theirs[i]
		if c.meaning != gateway.StatementHereMore {
			continue
		}
		n := -1
		if c.setl != "" {
			n = take(byID, id{c.setl, c.visit}, func(p matched) bool { return !p.echoed && p.theirs == nil })
		} else { // a row of which we did not know the number came back without it
			for j, p := range pairs {
				if !p.echoed && p.ours.setl == "" && p.ours.visit == c.visit && p.ours.person == c.person {
					n = j
					break
				}
			}
		}
		if n < 0 {
			lost = append(lost, c)
			continue
		}
		pairs[n].echoed = true
	}
	return pairs, alone, lost
}

// fill completes rows of the centre: where the file has no amounts, those of a balanced row are
// ours, others are asked for one by one.
func (w *work) fill(ctx context.Context, set *Set, pairs []matched, alone []*resultRow) {
	for _, p := range pairs {
		if p.theirs == nil {
			continue
		}
		p.theirs.insutype = orElse(p.ours.dim("insutype"), p.theirs.insutype)
		if !p.theirs.known && p.theirs.meaning == gateway.StatementBalanced {
			p.theirs.amounts, p.theirs.known = w.fixed(p.ours.amounts), true
		}
		if !p.theirs.known {
			w.fillAsked(ctx, p.theirs, p.ours)
		}
	}
	for _, c := range alone {
		if !c.known || c.insutype == "" && w.form.Confirm {
			w.fillAsked(ctx, c, w.elsewhere(c))
		}
	}
}

func (w *work) fillAsked(ctx context.Context, c *resultRow, of *row) {
	amounts, insutype, ok := w.ask(ctx, c, of)
	if !ok {
		return
	}
	if !c.known {
		c.amounts, c.known = w.fixed(amounts), true
	}
	c.insutype = orElse(c.insutype, insutype)
}

// doubts notes what in a set can not be true together, and what is not known.
func (w *work) doubts(set *Set, before int) {
	add := func(u Unexplained) { w.report.Unexplained = append(w.report.Unexplained, u) }
	found := w.report.Differences[before:]
	homeless := false
	by := map[string]bool{}
	for _, d := range found {
		homeless = homeless || d.Insutype == ""
		by[d.Insutype] = true
		if d.Unknown {
			add(Unexplained{Why: "中心一侧的金额不可得", Agency: set.Agency, ClrType: set.ClrType, Insutype: d.Insutype, MsgID: d.MsgID})
		}
	}
	for _, g := range w.report.Groups {
		if g.Agency != set.Agency || g.ClrType != set.ClrType {
			continue
		}
		some := homeless || by[g.Insutype] || g.Insutype == "" && len(found) > 0
		switch {
		case g.Result == GroupUnbalanced && !some:
			add(Unexplained{Why: "总额不平, 但明细中没有差异", Agency: g.Agency, Insutype: g.Insutype, ClrType: g.ClrType})
		case g.Result == GroupBalanced && by[g.Insutype] && g.Insutype != "":
			w.report.Notes = append(w.report.Notes, g.key()+": 总额对平, 但明细列出了差异")
		}
	}
}

// pairDifference tells how a row of ours differs, if it does.
func (w *work) pairDifference(set *Set, p matched) {
	d := w.difference(set, p.ours)
	mine := w.fixed(p.ours.amounts)
	d.Ours = &mine
	switch c := p.theirs; {
	case c == nil && !p.echoed && !set.ListsAll:
		return
	case c == nil:
		d.By = mine.negated()
		d.Cause, d.Remedies = OnlyHere, w.onlyHere(p.ours)
		if p.ours.kind == undoes {
			d.Cause = UndoneOnce
		}
		if !p.echoed {
			d.Note = "结果文件未列出此行"
		}
	default:
		if c.known {
			theirs := c.amounts
			d.Theirs, d.By = &theirs, theirs.minus(mine)
		}
		d.Memo = c.memo
		switch {
		case !c.known:
			d.Unknown = true
			d.Cause, d.Remedies = OtherAmount, []Remedy{askRemedy("中心金额未知: 以 5203 查询后处理")}
		case !d.By.zero():
			d.Cause, d.Remedies = OtherAmount, []Remedy{askRemedy("以 5203 取中心结算信息, 逐项核对基金分项"), {Action: ActUndo, ZH: "确认有误后撤销并重新结算"}}
		case p.ours.setl == "" && c.setl != "":
			d.Cause, d.Setl = Unlinked, ident.Settlement(c.setl)
			d.Remedies = []Remedy{{Action: ActLink, ZH: "登记中心的结算编号 " + c.setl}}
		case c.meaning == gateway.StatementDiffers && c.refund != (p.ours.kind == undoes):
			d.Cause, d.Remedies = UndoneOnce, []Remedy{askRemedy("退费标志不一致: 以 5203 核对是否已撤销")}
		case c.meaning == gateway.StatementDiffers || c.meaning == gateway.StatementCentreMore:
			d.Cause, d.Remedies = OtherAmount, []Remedy{askRemedy("金额相同但中心判为不一致: 以 5203 核对人员和标志")}
		default:
			return
		}
	}
	w.report.Differences = append(w.report.Differences, d)
}

// strange tells what a row is that only the centre has.
func (w *work) strange(set *Set, c *resultRow) {
	d := Difference{Leg: LegCentre, Agency: set.Agency, ClrType: set.ClrType, Insutype: c.insutype, Setl: ident.Settlement(c.setl),
		Visit: ident.Visit(c.visit), Person: ident.MaskPerson(c.person), MsgID: ident.MsgID(c.msgid), Memo: c.memo}
	if c.known {
		theirs := c.amounts
		d.Theirs, d.By = &theirs, theirs
	} else {
		d.Unknown, d.By.Count = true, 1
	}
	w.explain(&d, c)
	w.report.Differences = append(w.report.Differences, d)
}

func (w *work) difference(set *Set, r *row) Difference {
	return Difference{
		Leg: LegCentre, Agency: set.Agency, ClrType: set.ClrType, Insutype: r.dim("insutype"), Setl: ident.Settlement(r.setl),
		Visit: ident.Visit(r.visit), Person: ident.MaskPerson(r.person), MsgID: r.rec.ID, Infno: r.rec.Infno, State: r.rec.State,
		Bill: r.rec.Bill, Operator: r.rec.Operator.ID,
	}
}

func line2(n int) string { return "结果文件第 " + strconv.Itoa(n) + " 行" }
