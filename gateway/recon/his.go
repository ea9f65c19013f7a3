package recon

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// toldGrace is how long an answer may take to be noted as told.
const toldGrace = 5 * time.Minute

// hisLeg compares the journal with what the HIS handed in and was told. Theirs is what the HIS can
// know: its own total of a bill, and only once it was told.
func (w *work) hisLeg(ctx context.Context) error {
	leg := &w.report.HIS
	for _, r := range w.book.counted(w.day, false) {
		mine := Amounts{Total: r.amounts.Total, Count: 1}
		leg.Ours = leg.Ours.plus(mine)
		total, told, err := w.hisKnows(ctx, r)
		if err != nil {
			return err
		}
		theirs := Amounts{Total: mine.Total, Count: 1}
		if total != nil {
			theirs.Total = *total
		}
		d := Difference{Leg: LegHIS, Ours: &mine, Agency: w.agency(r), Insutype: r.dim("insutype"), ClrType: r.dim("clr_type"),
			Setl: ident.Settlement(r.setl), Visit: ident.Visit(r.visit), Person: ident.MaskPerson(r.person), MsgID: r.rec.ID, Infno: r.rec.Infno,
			State: r.rec.State, Bill: r.rec.Bill, Operator: r.rec.Operator.ID}
		switch {
		case !told:
			d.Cause, d.By = NotTold, mine.negated()
			d.Remedies = []Remedy{{Action: ActTell, ZH: "由 HIS 以同一请求号重发或查询, 取回结果"}}
		case theirs != mine:
			leg.Theirs = leg.Theirs.plus(theirs)
			d.Cause, d.Theirs, d.By = OtherAmount, &theirs, theirs.minus(mine)
			d.Remedies = []Remedy{{Action: ActAsk, ZH: "核对 HIS 账单与结算总额"}}
		default:
			leg.Theirs = leg.Theirs.plus(theirs)
			continue
		}
		leg.Explained = leg.Explained.plus(d.By)
		w.report.Differences = append(w.report.Differences, d)
	}
	leg.Difference = leg.Theirs.minus(leg.Ours)
	leg.Unexplained = leg.Difference.minus(leg.Explained)
	return nil
}

// hisKnows gives the HIS's own total, when it handed in a bill, and whether it was told.
func (w *work) hisKnows(ctx context.Context, r *row) (total *money.Fen, told bool, err error) {
	if r.rec.Bill != "" {
		b, err := w.r.opt.Journal.Bill(ctx, r.rec.Bill)
		if err != nil && !errors.Is(err, gateway.ErrNotFound) {
			return nil, false, err
		}
		var bill gateway.OpenSettlement
		if err == nil && json.Unmarshal(b.Body, &bill) == nil {
			if f, err := money.Parse(bill.Total); err == nil {
				if r.kind == undoes {
					f = -f
				}
				total = &f
			}
		}
	}
	key := r.rec.Request
	if key.ID == "" || key.System == gateway.OwnSystem {
		return total, true, nil // nobody waits for it
	}
	req, err := w.r.opt.Journal.Request(ctx, key)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return total, true, nil
	case err != nil:
		return nil, false, err
	}
	return total, req.Told || w.r.opt.Clock.Now().Sub(r.rec.UpdatedAt) < toldGrace, nil
}

// open lists what of the day is not known to have ended.
func (w *work) open() []Open {
	var list []Open
	for _, rec := range w.book.waiting {
		if dayOf(rec.CreatedAt) != w.day {
			continue
		}
		o := Open{MsgID: rec.ID, Infno: rec.Infno, State: rec.State, Cause: rec.Cause, Bill: rec.Bill, Operator: rec.Operator.ID, At: rec.CreatedAt.In(gateway.China)}
		if f, err := money.ParseReply(text(w.book.inputs[rec.ID]["medfee_sumamt"])); err == nil {
			o.Total = &f
		}
		list = append(list, o)
	}
	return list
}
