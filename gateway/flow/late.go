package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
)

// That a settlement was not there when its time was up proves much, and not everything: a message
// can be held up longer than anybody waits. So a bill that has such an attempt is asked about again
// before it is settled anew or given up, and before the centre's refusal to do so is believed.

// triedBy reports whether a request has made an attempt at a step of the first round.
func (s *stand) triedBy(base string, key gateway.RequestKey) bool {
	for _, rec := range s.steps {
		if rec.Request == key && baseOf(rec) == base && roundOf(rec) == 0 {
			return true
		}
	}
	return false
}

// settles reports whether a step books a settlement.
func settles(base string) bool { return base == stepSettle || base == stepStaySettle }

// vanished lists the settlements of the round that counts that were sent and are not there: proved absent, or taken
// back.
func (s *stand) vanished() []gateway.Record {
	var list []gateway.Record
	for _, rec := range s.steps {
		if settles(baseOf(rec)) && roundOf(rec) == s.round && (rec.State == gateway.StateAbsent || rec.State == gateway.StateReversed) {
			list = append(list, rec)
		}
	}
	return list
}

// findLate asks again for every settlement of the bill that was believed not to be there. errAgain:
// one is there, and the stand has been read anew. Without a usable answer nothing may be concluded.
func (d *Desk) findLate(ctx context.Context, c *climb) error {
	for _, rec := range c.stand.vanished() {
		found, err := d.lookAgain(ctx, c, rec)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if err := d.reload(ctx, c); err != nil {
			return err
		}
		return errAgain
	}
	return nil
}

// unlessFound lets a refusal by the centre stand only when no earlier settlement explains it.
func (d *Desk) unlessFound(ctx context.Context, c *climb, err error) error {
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.CodeCentreRefused {
		return err
	}
	if late := d.findLate(ctx, c); late != nil {
		return late
	}
	return err
}

// lookAgain asks once for a settlement that was believed not to be there. Where the region can not be
// asked, what was concluded stays.
func (d *Desk) lookAgain(ctx context.Context, c *climb, rec gateway.Record) (bool, error) {
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	if !ok {
		return false, nil
	}
	q := question{rec: rec, tx: tx, cat: d.opt.Catalog, input: read(rec.Input), now: d.opt.Clock.Now()}
	a, ok := q.ask(c.inst.Region)
	if !ok {
		return false, nil
	}
	ans, err := d.question(ctx, c.inst, rec, q, a)
	if err != nil {
		return false, err
	}
	switch {
	case ans.result == foundNone:
		return false, nil
	case ans.result != foundIt:
		return false, &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: c.op, Ref: c.bill.ID, Detail: "an earlier settlement can not be asked for"}
	case rec.State == gateway.StateReversed:
		return false, &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: c.op, Ref: c.bill.ID, Detail: "a settlement that was reversed is there"}
	}
	after, err := d.adopt(ctx, rec, a.Ask, ans, "found late")
	if err != nil {
		return false, storage(c.op, err)
	}
	d.log.Warn("found late", "infno", string(rec.Infno), "msgid", string(rec.ID))
	d.answerLate(ctx, after)
	return standingOf(after) == stands, nil
}
