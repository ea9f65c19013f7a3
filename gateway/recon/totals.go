package recon

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

const (
	infnoTotals   = "3201"
	infnoDetails  = "3202"
	infnoUpload   = "9101"
	infnoDownload = "9102"
	infnoAsk      = "5203"
)

// groups adds the day's rows up. Groups of the area are there also when nothing is in them. A row
// of which it is not known where it belongs is unexplained.
func (w *work) groups() []Group {
	found := map[string]*Group{}
	add := func(g Group) *Group {
		key := g.key()
		for _, name := range w.further() {
			key += "/" + g.More[name]
		}
		if found[key] == nil {
			found[key] = &g
		}
		return found[key]
	}
	split := slices.Contains(w.form.Dimensions, "insutype")
	if len(w.further()) == 0 {
		for _, clr := range w.form.ClrTypes {
			if !split {
				add(Group{Agency: w.inst.Area, ClrType: clr})
				continue
			}
			for _, ins := range w.form.Insutypes {
				add(Group{Agency: w.inst.Area, Insutype: ins, ClrType: clr})
			}
		}
	}
	for _, r := range w.book.counted(w.day, w.form.NoRefunds) {
		g := Group{Agency: w.agency(r), ClrType: r.dim("clr_type")}
		if split {
			g.Insutype = r.dim("insutype")
		}
		for _, name := range w.further() {
			if g.More == nil {
				g.More = map[string]string{}
			}
			g.More[name] = r.dim(name)
		}
		if g.ClrType == "" || split && g.Insutype == "" {
			by := r.amounts.negated()
			w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "不知险种或清算类别, 未纳入对账", By: &by, MsgID: r.rec.ID})
			continue
		}
		one := add(g)
		one.Ours = one.Ours.plus(w.fixed(r.amounts))
	}
	list := make([]Group, 0, len(found))
	for _, g := range found {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b Group) int { return cmp.Compare(a.key()+w.more(a), b.key()+w.more(b)) })
	return list
}

// further lists the dimensions 3201 has no member for.
func (w *work) further() []string {
	var list []string
	for _, name := range w.form.Dimensions {
		if name != "clr_optins" && name != "insutype" && name != "clr_type" {
			list = append(list, name)
		}
	}
	return list
}

func (w *work) more(g Group) string {
	s := ""
	for _, name := range w.further() {
		s += "/" + g.More[name]
	}
	return s
}

func (w *work) agency(r *row) string { return orElse(r.dim("clr_optins"), w.inst.Area) }

// fixed puts the columns an area always writes the same into the amounts: what is written is what
// is compared.
func (w *work) fixed(a Amounts) Amounts {
	set := func(to *money.Fen, name string) {
		if v, ok := w.form.Detail.Fixed[name]; ok {
			if f, err := money.Parse(v); err == nil {
				*to = f
			}
		}
	}
	set(&a.Total, "medfee_sumamt")
	set(&a.Fund, "fund_pay_sumamt")
	set(&a.Account, "acct_pay")
	return a
}

// askTotals sends one 3201 and reads the result.
func (w *work) askTotals(ctx context.Context, g *Group) error {
	t, err := w.send(ctx, infnoTotals, w.totalsInput(*g, g.Ours))
	if words, refused := refusalOf(err); refused {
		g.Result, g.Said, g.MsgID = GroupRefused, words, t.ID
		if g.Ours.zero() {
			// Nothing to compare: some centres refuse what they have no rows for.
			g.Result = GroupBalanced
			w.report.Notes = append(w.report.Notes, g.key()+": 本方无数据, 中心未受理对账: "+words)
			return nil
		}
		w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "中心拒绝总额对账: " + words, Agency: g.Agency, Insutype: g.Insutype, ClrType: g.ClrType})
		return nil
	}
	if err != nil {
		return err
	}
	info := findRow(t.Output, "stmt_rslt")
	g.MsgID, g.Code, g.Said = t.ID, text(info["stmt_rslt"]), clip(text(info["stmt_rslt_dscr"]), 300)
	switch meaning := w.meaning(g.Code); {
	case g.Code == "":
		return errors.New("应答中没有 stmt_rslt")
	case meaning == gateway.StatementBalanced:
		g.Result = GroupBalanced
	default:
		g.Result = GroupUnbalanced
	}
	return nil
}

// meaning of a stmt_rslt; "" for one no table knows.
func (w *work) meaning(code string) string {
	if m, ok := w.form.Result.Codes[code]; ok {
		return m
	}
	return w.form.Result.Codes["*"]
}

func (w *work) totalsInput(g Group, a Amounts) any {
	in := w.common(g.Agency, g.ClrType, a)
	in["acct_pay"] = money.Number(a.Account)
	if g.Insutype != "" {
		in["insutype"] = g.Insutype
	}
	return object{"data": w.renamed(in)}
}

// common is what 3201 and 3202 share.
func (w *work) common(agency, clrType string, a Amounts) object {
	from, to, flag := w.day, w.day, "1"
	if w.form.DayTimes {
		from, to = from+" 00:00:00", to+" 23:59:59"
	}
	if w.form.NoRefunds {
		flag = "0"
	}
	return object{
		"setl_optins": agency, "clr_type": clrType, "stmt_begndate": from, "stmt_enddate": to,
		"medfee_sumamt": money.Number(a.Total), "fund_pay_sumamt": money.Number(a.Fund),
		"fixmedins_setl_cnt": json.Number(strconv.Itoa(a.Count)), "refd_setl_flag": flag,
	}
}

// renamed gives members the area's names.
func (w *work) renamed(in object) object {
	out := object{}
	for name, v := range in {
		switch to, ok := w.form.Rename[name]; {
		case !ok:
			out[name] = v
		case to != "-":
			out[to] = v
		}
	}
	return out
}

// unbalancedSets lists what has to be compared by rows: 3202 goes by agency and clearing type.
func (w *work) unbalancedSets() []*Set {
	var list []*Set
	seen := map[string]bool{}
	for _, g := range w.report.Groups {
		key := g.Agency + "/" + g.ClrType
		if g.Result == GroupUnbalanced && !seen[key] {
			seen[key] = true
			list = append(list, &Set{Agency: g.Agency, ClrType: g.ClrType})
		}
	}
	return list
}

// confirm proves the explanation of each group that is not balanced: with what it leads to the
// centre must agree. Then the honest totals are sent again.
func (w *work) confirm(ctx context.Context) error {
	for i := range w.report.Groups {
		g := &w.report.Groups[i]
		if g.Result != GroupUnbalanced {
			continue
		}
		by, sure := w.explainedOf(*g)
		claim := *g
		if sure && !by.zero() {
			if err := w.askTotals2(ctx, &claim, g.Ours.plus(by)); err != nil {
				return err
			}
			g.Proved = claim.Result == GroupBalanced
			if err := w.askTotals2(ctx, &claim, g.Ours); err != nil {
				return err
			}
		}
		if !g.Proved {
			w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "差异说明未得到中心总额对账的证实",
				Agency: g.Agency, Insutype: g.Insutype, ClrType: g.ClrType})
		}
	}
	return nil
}

func (w *work) askTotals2(ctx context.Context, g *Group, a Amounts) error {
	t, err := w.send(ctx, infnoTotals, w.totalsInput(*g, a))
	if _, refused := refusalOf(err); err != nil && !refused {
		return err
	}
	g.Result = GroupUnbalanced
	if w.meaning(text(findRow(t.Output, "stmt_rslt")["stmt_rslt"])) == gateway.StatementBalanced {
		g.Result = GroupBalanced
	}
	return nil
}

// explainedOf adds the differences of a group; not sure when one can not be told to belong to it.
func (w *work) explainedOf(g Group) (Amounts, bool) {
	var sum Amounts
	sure := true
	alone := 0
	for _, other := range w.report.Groups {
		if other.Agency == g.Agency && other.ClrType == g.ClrType && other.Result == GroupUnbalanced {
			alone++
		}
	}
	for _, d := range w.report.Differences {
		switch {
		case d.Leg != LegCentre || d.Agency != g.Agency || d.ClrType != g.ClrType:
		case d.Insutype == g.Insutype || alone == 1 && d.Insutype == "":
			sum = sum.plus(d.By)
		case d.Insutype == "":
			sure = false
		}
	}
	return sum, sure && len(w.further()) == 0
}

// clip keeps a foreign text short and on one line.
func clip(s string, most int) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
