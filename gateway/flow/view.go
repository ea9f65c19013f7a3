package flow

import (
	"context"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Settlement implements gateway.Desk: the live view, made from the records.
func (d *Desk) Settlement(ctx context.Context, c gateway.Caller, id string) (gateway.Settlement, error) {
	_, err := d.owned(ctx, "flow.settlement", c, id, billLetter)
	if err != nil {
		return gateway.Settlement{}, err
	}
	w, err := d.climbOf(ctx, task{op: opOpen}, id)
	if err != nil {
		return gateway.Settlement{}, err
	}
	return w.view(), nil
}

// view is how a bill stands, for the HIS.
func (c *climb) view() gateway.Settlement {
	return c.viewWith(c.stand.name(stepTrial), c.stand.name(stepSettle))
}

// viewWith is view with the figures of the trial and the settlement of these names.
func (c *climb) viewWith(trial, settle string) gateway.Settlement {
	s := gateway.Settlement{
		ID: c.bill.ID, RequestID: c.key.ID, State: billState(c.stand, c.marks), Unknown: len(c.stand.pending()) > 0, NeedsPerson: c.stand.parked(),
		Visit: ident.Visit(c.facts.visit), Insutype: c.facts.insutype, Steps: []gateway.Step{},
	}
	for _, rec := range c.stand.steps {
		now := rec
		if last, ok := c.stand.last[rec.Step]; ok && last.ID == rec.ID {
			now = last
		}
		base := baseOf(now)
		s.Steps = append(s.Steps, gateway.Step{
			Infno: now.Infno, Name: stepNames[base], MsgID: now.ID, State: now.State, Cause: now.Cause, At: now.CreatedAt,
		})
	}
	if rec, ok := c.stand.lastDenied(false); ok && s.State != gateway.BillSettled && s.State != gateway.BillPresettled {
		s.Message = refused(rec).ErrMsg
	}
	if c.stand.round > 0 {
		p := &c.stand.plans[c.stand.round-1]
		s.RefundedRows, s.ReducedRows = p.Gone, p.reduced()
	}
	info, funds := c.facts.trial, rows(nil, "")
	var wrong []check.Finding
	if rec, ok := c.stand.get(trial); ok && standingOf(rec) == stands {
		out := read(rec.Output)
		funds, wrong = rows(out, "setldetail"), c.check.Amounts(rec.Infno, out)
	}
	if rec, ok := c.stand.get(settle); ok && standingOf(rec) != free && standingOf(rec) != denied {
		s.MsgID = rec.ID
		if standingOf(rec) == stands {
			out := c.settledOutput(rec)
			wrong = c.check.Amounts(rec.Infno, out)
			info, funds = row(out, "setlinfo"), rows(out, "setldetail")
			s.SettlementID, s.SettledAt = ident.Settlement(text(info["setl_id"])), text(info["setl_time"])
		}
	}
	s.Warnings = c.warned(wrong)
	s.Refund = c.refundInfo(stepRefund)
	if s.Visit == "" {
		s.Visit = c.lastVisit()
	}
	if info != nil {
		s.Amounts = amountsOf(info)
		for _, f := range funds {
			s.Funds = append(s.Funds, gateway.FundPart{
				Type: text(f["fund_pay_type"]), Name: text(f["fund_pay_type_name"]), Amount: fenText(f["fund_payamt"]),
			})
		}
	}
	return s
}

// warned puts what is wrong with the figures before the other findings.
func (c *climb) warned(wrong []check.Finding) []check.Finding {
	list := append(slices.Clone(wrong), c.warnings...)
	return list[:min(len(list), mostWarnings)]
}

// lastVisit is the visit a bill had, also when its registration was taken back.
func (c *climb) lastVisit() ident.Visit {
	for _, rec := range slices.Backward(c.stand.steps) {
		if baseOf(rec) == stepRegister && standingOf(rec) == stands {
			return ident.Visit(text(row(read(rec.Output), "data")["mdtrt_id"]))
		}
	}
	return ""
}

// fenText is an amount of a reply with two decimals, "" when there is none.
func fenText(v any) string {
	f, err := money.ParseReply(text(v))
	if err != nil {
		return ""
	}
	return f.String()
}

func amountsOf(o object) *gateway.Amounts {
	a := func(name string) string { return fenText(o[name]) }
	return &gateway.Amounts{
		Total: a("medfee_sumamt"), OwnPay: a("fulamt_ownpay_amt"), OverLmt: a("overlmt_selfpay"),
		PreSelf: a("preselfpay_amt"), InScope: a("inscp_scp_amt"), Deduct: a("act_pay_dedc"),
		Fund: a("fund_pay_sumamt"), Person: a("psn_part_amt"), Account: a("acct_pay"), Cash: a("psn_cash_pay"),
		Hospital: a("hosp_part_amt"), Balance: a("balc"),
	}
}
