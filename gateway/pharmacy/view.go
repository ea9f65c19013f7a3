package pharmacy

import (
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// stateOf is where a sale stands; a pure function of its attempts.
func stateOf(v gateway.CaseView) gateway.SaleState {
	undo, undone := v.Last(stepUndo)
	settle, tried := v.Last(stepSettle)
	switch {
	case tried && settle.End == gateway.CaseDone && undone && undo.Done:
		return gateway.SaleRefunded
	case tried && settle.End == gateway.CaseDone && undone && undo.End == gateway.CaseOpen:
		return gateway.SaleRefunding
	case tried && settle.End == gateway.CaseDone:
		return gateway.SaleSettled
	case tried && settle.End == gateway.CaseOpen:
		return gateway.SaleSettling
	case v.Dead || refused(v, gateway.CasePerson) || refused(v, stepTrial):
		return gateway.SaleFailed
	case v.Stands(stepTrial):
		return gateway.SalePresettled
	}
	return gateway.SaleOpening
}

func refused(v gateway.CaseView, step string) bool {
	a, ok := v.Last(step)
	return ok && a.End == gateway.CaseRefused
}

// Answer implements gateway.CaseKind.
func (k Kind) Answer(v gateway.CaseView) gateway.CaseAnswer {
	s := gateway.Sale{ID: v.Bill.ID, RequestID: v.Request, State: stateOf(v), Unknown: v.Unknown, NeedsPerson: v.NeedsPerson,
		Insutype: v.Person.Insutype, Steps: []gateway.Step{}, Warnings: v.Warnings}
	for _, a := range v.Attempts {
		s.Steps = append(s.Steps, gateway.Step{Infno: a.Infno, Name: k.StepName(a.Infno), MsgID: a.ID, State: a.State, Cause: a.Cause, At: a.At})
	}
	if last := len(v.Attempts) - 1; last >= 0 && v.Attempts[last].End == gateway.CaseRefused && !v.Attempts[last].Done {
		s.Message = v.Attempts[last].Words
	}
	var figures any
	if a, ok := v.Last(stepTrial); ok && a.End == gateway.CaseDone {
		figures = a.Output
	}
	if a, ok := v.Last(stepSettle); ok && (a.End == gateway.CaseDone || a.End == gateway.CaseOpen) {
		s.MsgID = a.ID
		if info := row(a.Output); info != nil {
			figures = a.Output
			s.SettlementID, s.SettledAt = ident.Settlement(text(info, "setl_id")), text(info, "setl_time")
			s.Visit = ident.Visit(text(info, "mdtrt_id"))
		}
	}
	if info := row(figures); info != nil {
		s.Amounts = amounts(info)
		for _, f := range strictjson.Rows(figures, "setldetail") {
			s.Funds = append(s.Funds, gateway.FundPart{Type: text(f, "fund_pay_type"), Name: text(f, "fund_pay_type_name"), Amount: fen(f, "fund_payamt")})
		}
	}
	s.Refund = refundOf(v)
	return gateway.CaseAnswer{Sale: &s}
}

// refundOf is what the centre gave for the undo, nil when there was none. Of one that was learnt by asking, or
// that the centre said was done already, only what it undid is known.
func refundOf(v gateway.CaseView) *gateway.Refund {
	for _, a := range slices.Backward(v.Attempts) {
		if a.Step != stepUndo || !a.Done {
			continue
		}
		in := strictjson.Rows(a.Input, "data")
		if len(in) == 0 {
			return nil
		}
		r := &gateway.Refund{MsgID: a.ID, Of: ident.Settlement(text(in[0], "setl_id")), Visit: ident.Visit(text(in[0], "mdtrt_id")), At: a.Ended}
		if info := row(a.Output); info != nil && text(info, "setl_id") != string(r.Of) {
			r.SettlementID, r.SettledAt, r.Amounts = ident.Settlement(text(info, "setl_id")), text(info, "setl_time"), amounts(info)
		}
		return r
	}
	return nil
}

// Again implements gateway.CaseKind: the figures that were told, with where the sale stands by now.
func (Kind) Again(kept, now gateway.CaseAnswer) gateway.CaseAnswer {
	if kept.Sale == nil || now.Sale == nil {
		return now
	}
	s := *kept.Sale
	if s.State != gateway.SaleFailed {
		s.State, s.Unknown, s.NeedsPerson, s.Refund = now.Sale.State, now.Sale.Unknown, now.Sale.NeedsPerson, now.Sale.Refund
	}
	return gateway.CaseAnswer{Sale: &s}
}

func text(o object, name string) string { return strictjson.Text(o[name]) }

// fen is an amount with two decimals, "" when there is none.
func fen(o object, names ...string) string {
	for _, name := range names {
		if f, err := money.ParseReply(text(o, name)); err == nil {
			return f.String()
		}
	}
	return ""
}

// amounts reads a setlinfo. 2103 has names of its own for the person's part (docs/interface/invariants.md, "Nulls
// and types in real replies").
func amounts(o object) *gateway.Amounts {
	return &gateway.Amounts{
		Total: fen(o, "medfee_sumamt"), OwnPay: fen(o, "fulamt_ownpay_amt"), OverLmt: fen(o, "overlmt_selfpay"),
		PreSelf: fen(o, "preselfpay_amt"), InScope: fen(o, "inscp_scp_amt"), Deduct: fen(o, "act_pay_dedc"),
		Fund: fen(o, "fund_pay_sumamt"), Person: fen(o, "psn_part_amt", "psn_pay"), Account: fen(o, "acct_pay"),
		Cash: fen(o, "psn_cash_pay", "cash_payamt"), Hospital: fen(o, "hosp_part_amt"), Balance: fen(o, "balc"),
	}
}
