package flow

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// A stay is settled at its end as 2304#1. What is settled in the middle of it (mid_setl_flag 1) is 2304#2 and up,
// each with a trial and an undo of its number. It takes all rows that are at the centre and not settled yet;
// the end takes those that came since. No row can come while a settlement is open, so the order of the records
// says which rows are whose.

const firstMid = 2

func midStep(base string, n int) string { return base + "#" + strconv.Itoa(n) }

// mids are the numbers of the settlements in the middle that stand, in order.
func (s *stand) mids() []int {
	var list []int
	for step, rec := range s.last {
		if base, n, _ := splitStep(step); base == stepStaySettle && n >= firstMid && standingOf(rec) == stands {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

// midOf is the number a request's settlement in the middle has, or the next one.
func (w *stay) midOf() int {
	next := firstMid
	for _, rec := range w.stand.steps {
		base, n, _ := splitStep(rec.Step)
		if base != stepStaySettle && base != stepStayTrial || n < firstMid {
			continue
		}
		if rec.Request == w.key {
			return n
		}
		next = max(next, n+1)
	}
	return next
}

// settledRows tells which of the steps that uploaded rows are settled.
func (s *stand) settledRows() map[ident.MsgID]bool {
	out := map[ident.MsgID]bool{}
	last := -1
	for i, rec := range s.steps {
		base, n, _ := splitStep(rec.Step)
		if base != stepStaySettle || n < firstMid {
			continue
		}
		if now, ok := s.last[rec.Step]; ok && now.ID == rec.ID && standingOf(rec) == stands {
			last = i
		}
	}
	for i, rec := range s.steps {
		if i < last && baseOf(rec) == stepCharge {
			out[rec.ID] = true
		}
	}
	return out
}

// midView is what was settled in the middle, for the HIS.
func (c *climb) midView() []gateway.StaySettlement {
	var list []gateway.StaySettlement
	for _, n := range c.stand.mids() {
		rec, _ := c.stand.get(midStep(stepStaySettle, n))
		out := c.settledOutput(rec)
		info := row(out, "setlinfo")
		list = append(list, gateway.StaySettlement{ID: gateway.MidID(c.bill.ID, n), MsgID: rec.ID, RequestID: rec.Request.ID,
			SettlementID: ident.Settlement(text(info["setl_id"])), SettledAt: text(info["setl_time"]), Amounts: amountsOf(info), Funds: fundsOf(out)})
	}
	return list
}

// Undoes tells which settlements of a stay a refund has still to undo, the latest first, and which it may have
// been about: what stands, and what it undid. The end has the id of the stay, the others gateway.MidID. A request
// that was answered undoes nothing, nor does one that can only wait for the outcome of a settlement.
func (d *Desk) Undoes(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (next, about []string, err error) {
	const op = "flow.undoes"
	if _, err := d.owned(ctx, op, c, r.ID, stayLetter); err != nil {
		return nil, nil, err
	}
	key := gateway.RequestKey{System: c.System, ID: r.RequestID}
	req, err := d.opt.Journal.Request(ctx, key)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return nil, nil, storage(op, err)
	}
	over := err == nil && (len(req.Answer) > 0 || req.Ref != r.ID || req.Op != opStayBack)
	w, err := d.stayOf(ctx, task{op: opStayBack, key: key}, r.ID)
	if err != nil {
		return nil, nil, err
	}
	name := func(n int) string {
		if n < firstMid {
			return r.ID
		}
		return gateway.MidID(r.ID, n)
	}
	if depth := stayDepth(orElse(r.To, toSettlement)); depth > 0 && !over && !w.stand.any(stepStaySettle, pending) {
		for _, n := range w.settlementsDown(depth) {
			next = append(next, name(n))
		}
	}
	if w.stand.is(stepStaySettle, stands) {
		about = append(about, r.ID)
	}
	for _, n := range slices.Backward(w.stand.mids()) {
		about = append(about, name(n))
	}
	for _, rec := range w.stand.steps {
		if base, n, _ := splitStep(rec.Step); base == stepStayRefund && rec.Request == w.key && standingOf(rec) == stands && !slices.Contains(about, name(n)) {
			about = append(about, name(n))
		}
	}
	return next, about, nil
}

// fundsOf are the parts the funds paid.
func fundsOf(out any) (list []gateway.FundPart) {
	for _, f := range rows(out, "setldetail") {
		list = append(list, gateway.FundPart{Type: text(f["fund_pay_type"]), Name: text(f["fund_pay_type_name"]), Amount: fenText(f["fund_payamt"])})
	}
	return list
}

// midTrial is the trial of a settlement in the middle that was not followed by it, the latest.
func (c *climb) midTrial() (gateway.Record, bool) {
	for _, rec := range slices.Backward(c.stand.steps) {
		base, n, _ := splitStep(rec.Step)
		now, ok := c.stand.get(rec.Step)
		if base != stepStayTrial || n < firstMid || !ok || now.ID != rec.ID || standingOf(rec) != stands {
			continue
		}
		if end, ok := c.stand.get(midStep(stepStaySettle, n)); !ok || standingOf(end) != stands {
			return rec, true
		}
	}
	return gateway.Record{}, false
}

const opChange = "stay.change"

// ChangeStay implements gateway.Ward.
func (d *Desk) ChangeStay(ctx context.Context, c gateway.Caller, r gateway.ChangeStay) (gateway.Stay, error) {
	same := r
	same.Operator = gateway.Operator{}
	return d.stayCall(ctx, c, opChange, r.RequestID, r.ID, r.Operator, same, checkChange(&r), nil, func(ctx context.Context, w *stay) error {
		return d.changeOnce(ctx, w, r)
	})
}

// changeOnce is 2403. It replaces what was registered, so a later change is a step of its own.
func (d *Desk) changeOnce(ctx context.Context, w *stay, r gateway.ChangeStay) error {
	w.recallStay()
	if w.carriedOut(stepChange) {
		return nil
	}
	if state := stayState(w.stand, w.marks); state != gateway.StayIn {
		return w.conflict()
	}
	if err := d.acceptOn(ctx, w, w.taskOf(opChange)); err != nil {
		return err
	}
	_, err := d.step(ctx, w.climb, rung{step: d.chargeStep(stepChange, w.key, 1),
		input: func(c *climb) any { return changeInput(r, w.admitted.Credential.Type, c.facts) }}, true)
	return err
}

// aim is what a request about a stay is to come to, kept with it so that its answer can be made when its last
// step is found out and nobody repeats it.
type aim struct {
	Calls int    `json:"calls,omitempty"` // of the rows of a request
	To    string `json:"to,omitempty"`    // of a refund
}

func (d *Desk) aimKey(key gateway.RequestKey) gateway.RequestKey {
	return guard("aim", d.chargeStep("", key, 0))
}

// aimEntry keeps the aim of a request.
func (d *Desk) aimEntry(w *stay, a aim) (gateway.Entry, error) {
	body, err := json.Marshal(a)
	if err != nil {
		return gateway.Entry{}, internalError(w.op, err)
	}
	now := d.opt.Clock.Now()
	key := d.aimKey(w.key)
	return gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: d.opt.Digest([]byte("aim"), body), Op: "aim", Institution: w.inst.Code, Ref: w.bill.ID, CreatedAt: now},
		Answer:  &gateway.Answer{Key: key, Body: body, At: now},
	}, nil
}

// aimed reports whether a request has come to what it was to come to.
func (d *Desk) aimed(ctx context.Context, w *stay) bool {
	req, err := d.opt.Journal.Request(ctx, d.aimKey(w.key))
	if err != nil {
		return false // of an older program, or another kind of request
	}
	var a aim
	if json.Unmarshal(req.Answer, &a) != nil || len(w.stand.pending()) > 0 {
		return false
	}
	for n := 1; n <= a.Calls; n++ {
		if rec, ok := w.stand.get(d.chargeStep(stepCharge, w.key, n)); !ok || standingOf(rec) != stands {
			return false
		}
	}
	return a.To == "" || len(w.waysDown(stayDepth(a.To))) == 0
}

// sumRows adds up the rows of a reply.
func (c *charges) sumRows(out any) {
	for _, r := range rows(out, "result") {
		c.rows++
		c.total += fenIn(r, "det_item_fee_sumamt")
		for i, name := range rowMembers {
			c.split[i] += fenIn(r, name)
		}
	}
}

// due is what was charged and is not settled yet.
func (s *stand) due() charges {
	var c charges
	settled := s.settledRows()
	for _, rec := range s.last {
		if baseOf(rec) == stepCharge && standingOf(rec) == stands && !settled[rec.ID] {
			c.sumRows(read(rec.Output))
		}
	}
	return c
}

// fenIn is an amount of a reply, 0 when there is none.
func fenIn(o object, name string) money.Fen {
	f, err := money.ParseReply(text(o[name]))
	if err != nil {
		return 0
	}
	return f
}
