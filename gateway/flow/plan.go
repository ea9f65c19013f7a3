package flow

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// plan is what one refund of a settled bill is to do. It is written down, with the request, before
// anything is undone; plans of a bill are numbered by the journal, and the latest rules. Plan n, unless it
// takes back everything, begins round n: the rows it leaves, under a batch number of their own. A
// step of round n is named with it ("2207#1.1").
type plan struct {
	System  string            `json:"system"` // the HIS request
	Request string            `json:"request"`
	Whole   bool              `json:"whole,omitempty"`  // nothing is left
	From    int               `json:"from,omitempty"`   // the round it changes; of several plans the last one counts
	Closes  bool              `json:"closes,omitempty"` // that round was not settled when this was written, and never will be
	Bars    bool              `json:"bars,omitempty"`   // an earlier plan for that round may undo nothing any more
	Batch   string            `json:"batch,omitempty"`  // chrg_bchno of what is left
	Gone    []string          `json:"gone,omitempty"`   // all rows taken out so far
	Left    map[string]string `json:"left,omitempty"`   // quantity left of rows taken out in part so far
	Invoice string            `json:"invono,omitempty"`
}

const stepPlan = "plan"

func planKey(bill string, n int) gateway.RequestKey { return guard(bill, stepPlan, strconv.Itoa(n)) }

// plansOf reads the plans of a bill. Only a bill that was settled has any.
func (d *Desk) plansOf(ctx context.Context, bill string, recs []gateway.Record) ([]plan, error) {
	if !slices.ContainsFunc(recs, func(r gateway.Record) bool {
		return baseOf(r) == stepSettle && standingOf(r) == stands
	}) {
		return nil, nil
	}
	var list []plan
	for n := 1; ; n++ {
		req, err := d.opt.Journal.Request(ctx, planKey(bill, n))
		if errors.Is(err, gateway.ErrNotFound) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var p plan
		if err := json.Unmarshal(req.Answer, &p); err != nil {
			return nil, internalError("flow.plan", err)
		}
		list = append(list, p)
	}
}

// planEntries writes a plan as the next one of the bill. It takes the key that another process would
// need to settle the round, where it is not settled, or to undo it for a plan this one replaces:
// whoever was faster rules.
func (d *Desk) planEntries(c *climb, p plan) ([]gateway.Entry, error) {
	body, err := json.Marshal(p)
	if err != nil {
		return nil, internalError(c.op, err)
	}
	var list []gateway.Entry
	if p.Closes || p.Bars {
		step := c.stand.name(stepSettle)
		if p.Bars {
			step = c.stand.name(stepRefund)
		}
		req := d.guardRequest(c.inst.Code, stepKey(c.bill.ID, step, c.stand.attempts[step]+1), opCancel, "")
		req.Ref = c.bill.ID
		list = append(list, gateway.Entry{Request: req})
	}
	if p.Batch != "" {
		req := d.guardRequest(c.inst.Code, batchKey(p.Batch), "batch", "")
		req.Ref = c.bill.ID
		list = append(list, gateway.Entry{Request: req})
	}
	now := d.opt.Clock.Now()
	key := planKey(c.bill.ID, len(c.stand.plans)+1)
	return append(list, gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: d.opt.Digest([]byte(stepPlan), body), Op: stepPlan,
			Institution: c.inst.Code, Ref: c.bill.ID, CreatedAt: now},
		Answer: &gateway.Answer{Key: key, Body: body, At: now},
	}), nil
}

// batch is the chrg_bchno of a round.
func (c *climb) batch(round int) string {
	if round > 0 {
		return c.stand.plans[round-1].Batch
	}
	return c.bill.ID[1:]
}

// take takes a bill as handed in, and of it what the round that counts settles.
func (c *climb) take(asked *gateway.OpenSettlement) {
	c.asked, c.body = asked, asked
	if c.stand.round == 0 {
		return
	}
	rest := *asked
	rest.Fees = c.stand.plans[c.stand.round-1].rest(asked.Fees)
	var sum money.Fen
	for _, f := range rest.Fees {
		amount, _ := money.Parse(f.Amount) // it was read when the bill was handed in
		sum += amount
	}
	rest.Total = sum.String()
	c.body = &rest
}

// leftOf lists the rows that are not gone.
func leftOf(fees []gateway.Fee, gone []string) []gateway.Fee {
	out := make(map[string]bool, len(gone))
	for _, id := range gone {
		out[id] = true
	}
	var left []gateway.Fee
	for _, f := range fees {
		if !out[f.ID] {
			left = append(left, f)
		}
	}
	return left
}

// planFor says what a refund of these rows comes to, as the bill stands.
func (d *Desk) planFor(ctx context.Context, c *climb, t task, r gateway.RefundSettlement) (plan, error) {
	p := plan{System: t.key.System, Request: t.key.ID, Whole: !partial(r), From: c.stand.round, Closes: !c.stand.settledNow()}
	p.Bars = !p.Closes && slices.ContainsFunc(c.stand.plans, func(q plan) bool { return q.From == p.From })
	if p.Whole {
		return p, nil
	}
	if c.stand.round > 0 {
		p.Gone = slices.Clone(c.stand.plans[c.stand.round-1].Gone)
		p.Left = maps.Clone(c.stand.plans[c.stand.round-1].Left)
	}
	b := &billCheck{}
	fees := make(map[string]bool, len(c.asked.Fees))
	for _, f := range c.asked.Fees {
		fees[f.ID] = true
	}
	for i, id := range r.Rows {
		at := "/rows/" + strconv.Itoa(i)
		switch {
		case !fees[id]:
			b.Add(CodeRowUnknown, at, "")
		case slices.Contains(r.Rows[:i], id):
			b.Add(CodeFeeDuplicate, at, "")
		case slices.Contains(p.Gone, id):
			b.Add(CodeRowGone, at, "")
		}
	}
	p.Gone = append(p.Gone, r.Rows...)
	p.lessen(b, c.asked.Fees, r.Parts)
	if len(b.Found) > 0 {
		return p, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: t.name(), Path: b.Found[0].Path, Ref: t.bill, Findings: b.Found}
	}
	if len(leftOf(c.asked.Fees, p.Gone)) == 0 {
		p.Whole, p.Gone, p.Left = true, nil, nil
		return p, nil
	}
	if c.cred == nil {
		return p, &gateway.Error{Code: gateway.CodeCredentialNeeded, Op: t.name(), Ref: t.bill}
	}
	p.Invoice = r.Invoice
	id, err := d.opt.Journal.NextMsgID(ctx, c.inst.Code, d.opt.Clock.Now())
	if err != nil {
		return p, storage(t.name(), err)
	}
	p.Batch = string(id)
	return p, nil
}
