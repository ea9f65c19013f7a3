package flow

import (
	"context"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// A settlement whose reply names our message and the right total is done, whatever its other figures
// say. When they do not add up they are asked for again by the setl_id the reply gave; the answer is a
// record of the bill, and where it adds up its figures are the bill's.

// stepFigures is such a question. It is no step of the ladder.
const stepFigures = "figures"

// mostFigureAsks bounds how often they are asked for a bill that is asked about again and again.
const mostFigureAsks = 5

const infnoSettled ident.Infno = "5203"

var figuresAsk = &catalog.Ask{Infno: infnoSettled, Node: "setlinfo"}

// faults are the identities the output of a settlement breaks, nothing below an error.
func (c *climb) faults(n ident.Infno, output any) []check.Finding {
	if c.check == nil {
		return nil
	}
	return slices.DeleteFunc(c.check.Amounts(n, output), func(f check.Finding) bool { return f.Severity != check.Error })
}

// settledOutput is what is known of a settlement that is done: its reply, or what the centre said when
// it was asked for its figures again.
func (c *climb) settledOutput(rec gateway.Record) any {
	out := read(rec.Output)
	if len(c.faults(rec.Infno, out)) == 0 {
		return out
	}
	for _, fig := range slices.Backward(c.stand.figures) {
		if better := c.corrected(rec, out, fig); better != nil {
			return better
		}
	}
	return out
}

// corrected is the output made of an answer about the figures, nil when that is of another settlement, of
// one that was undone, or adds up no better.
func (c *climb) corrected(rec gateway.Record, out any, fig gateway.Record) any {
	tx := c.table(rec.Infno)
	if tx == nil {
		return nil
	}
	info, reply := row(out, "setlinfo"), read(fig.Output)
	for _, r := range rows(reply, figuresAsk.Node) {
		if text(r["setl_id"]) != text(info["setl_id"]) || !same(text(r["medfee_sumamt"]), text(info["medfee_sumamt"])) ||
			text(r["refd_setl_flag"]) == "1" {
			continue
		}
		if id := text(r["medins_setl_id"]); id != "" && id != string(rec.ID) {
			continue
		}
		if better := adopted(tx, figuresAsk, r, reply); len(c.faults(rec.Infno, better)) == 0 {
			return better
		}
	}
	return nil
}

func (c *climb) table(n ident.Infno) *catalog.Transaction {
	tx, ok := c.catalog.Lookup(n)
	if !ok {
		return nil
	}
	return tx
}

// askFigures asks once for the figures of the settlement that stands when they do not add up. Whatever comes of
// it, the settlement is done: without a usable answer the findings stay with the bill.
func (d *Desk) askFigures(ctx context.Context, c *climb, step string) {
	rec, ok := c.stand.get(c.stand.name(step))
	if !ok || standingOf(rec) != stands || c.stand.asked >= mostFigureAsks || len(c.faults(rec.Infno, c.settledOutput(rec))) == 0 {
		return
	}
	tx := c.table(infnoSettled)
	setl := text(row(read(rec.Output), "setlinfo")["setl_id"])
	if tx == nil || setl == "" {
		return
	}
	fig, _, err := d.send(ctx, job{
		op: "flow.figures", inst: c.inst, tx: tx, operator: c.operator, area: areaOf(rec), bill: c.bill.ID, step: stepFigures, attempt: 1, own: true,
		input: object{"data": object{"psn_no": c.facts.person, "setl_id": setl, "mdtrt_id": c.facts.visit}},
	})
	c.stand.asked++
	if err != nil || standingOf(fig) != stands {
		d.log.Warn("figures not asked", "msgid", string(rec.ID))
		return
	}
	c.stand.figures = append(c.stand.figures, fig)
}

// refundInfo is what the centre gave for the undo of a settlement; nil when none took effect. Of an undo
// that was learnt by asking only the settlement that was undone is known.
func (c *climb) refundInfo(base string) *gateway.Refund {
	for _, rec := range slices.Backward(c.stand.steps) {
		if baseOf(rec) != base || standingOf(rec) != stands {
			continue
		}
		in := row(read(rec.Input), "data")
		r := &gateway.Refund{MsgID: rec.ID, Of: ident.Settlement(text(in["setl_id"])), Visit: ident.Visit(text(in["mdtrt_id"])), At: rec.UpdatedAt}
		info := row(read(rec.Output), "setlinfo")
		if info != nil && rec.Cause != causeAdopted && text(info["setl_id"]) != string(r.Of) {
			r.SettlementID, r.SettledAt, r.Amounts = ident.Settlement(text(info["setl_id"])), text(info["setl_time"]), amountsOf(info)
		}
		return r
	}
	return nil
}

var _ gateway.Figures = (*Desk)(nil)

// SettledOutput implements gateway.Figures.
func (d *Desk) SettledOutput(ctx context.Context, id ident.MsgID) (any, error) {
	const op = "flow.figures"
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return nil, storage(op, err)
	}
	if rec.Bill == "" {
		return read(rec.Output), nil
	}
	c, err := d.climbOf(ctx, task{op: op}, rec.Bill)
	if err != nil {
		return nil, err
	}
	return c.settledOutput(rec), nil
}
