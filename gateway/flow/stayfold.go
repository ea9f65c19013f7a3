package flow

import (
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// foldStay takes a step of a stay that took effect. Rows or a discharge that came after a trial make
// it worthless. A step of the rows of one request is named after it ("2301#1:3f…"); 2302 of the same
// name takes back what it uploaded, 2302#1 everything.
func (s *stand) foldStay(base string, rec gateway.Record) {
	if standingOf(rec) != stands && !isUndoOfStay(base) {
		return
	}
	switch base {
	case stepCharge, stepLeave:
		s.void(anyRound, stepStayTrial)
	case stepStaySettle:
		s.void(anyRound, stepStayTrial)
	case stepUndoCharge:
		s.void(anyRound, stepStayTrial)
		switch {
		case strings.HasPrefix(rec.Step, stepUndo): // of a record that is reversed by it
		case strings.Contains(rec.Step, ":"):
			delete(s.last, stepCharge+strings.TrimPrefix(rec.Step, stepUndoCharge))
		default:
			s.void(anyRound, stepCharge)
		}
	case stepUndoLeave:
		s.void(anyRound, stepLeave, stepStayTrial)
	case stepStayRefund:
		_, n, _ := splitStep(rec.Step)
		n = max(n, 1) // of a record that is taken back by hand
		s.void(anyRound, stepStayTrial)
		delete(s.last, midStep(stepStaySettle, n))
	case stepUndoAdmit:
		s.void(anyRound, stepAdmit)
		s.undone = true
	}
}

func isUndoOfStay(base string) bool {
	switch base {
	case stepUndoCharge, stepUndoLeave, stepStayRefund, stepUndoAdmit:
		return true
	}
	return false
}

// stayState is the state of a stay; a pure function of its records and marks.
func stayState(s stand, m marks) gateway.StayState {
	switch {
	case s.undone:
		return gateway.StayCancelled
	case s.any(stepStayRefund, pending), s.is(stepUndoLeave, pending), s.is(stepUndoAdmit, pending), s.is(stepUndoCharge, pending):
		return gateway.StayRefunding
	case s.is(stepStaySettle, stands):
		return gateway.StaySettled
	case s.any(stepStaySettle, pending):
		return gateway.StaySettling
	case s.is(stepLeave, stands):
		return gateway.StayDischarged
	case s.is(stepAdmit, stands):
		return gateway.StayIn
	case m.dead, s.any(stepPerson, denied), s.any(stepTreat, denied), s.any(stepAdmit, denied):
		return gateway.StayFailed
	}
	return gateway.StayAdmitting
}

// charges is what the centre holds of a stay: the sum of the rows and how it split them, in the
// order of splitMembers.
type charges struct {
	rows  int
	total money.Fen
	split [4]money.Fen
}

// rowMembers are the split of one row, in the order of splitMembers.
var rowMembers = [4]string{"fulamt_ownpay_amt", "overlmt_amt", "preselfpay_amt", "inscp_scp_amt"}

// charged is all of it; see due.
func (s *stand) charged() charges {
	var c charges
	for _, rec := range s.last {
		if baseOf(rec) != stepCharge || standingOf(rec) != stands {
			continue
		}
		c.sumRows(read(rec.Output))
	}
	return c
}

// stayView is how a stay stands, for the HIS.
func (c *climb) stayView() gateway.Stay {
	sum := c.stand.charged()
	s := gateway.Stay{
		ID: c.bill.ID, RequestID: c.asked.RequestID, State: stayState(c.stand, c.marks), Unknown: len(c.stand.pending()) > 0, NeedsPerson: c.stand.parked(),
		Visit: ident.Visit(c.facts.visit), Insutype: c.facts.insutype, Charged: sum.total.String(), Rows: sum.rows,
		Steps: []gateway.Step{}, Refund: c.refundInfo(stepStayRefund), Mid: c.midView(),
	}
	for _, rec := range c.stand.steps {
		s.Steps = append(s.Steps, gateway.Step{
			Infno: rec.Infno, Name: stepNames[baseOf(rec)], MsgID: rec.ID, State: rec.State, Cause: rec.Cause, At: rec.CreatedAt,
		})
	}
	if s.State == gateway.StayFailed {
		if rec, ok := c.stand.lastDenied(false); ok {
			s.Message = refused(rec).ErrMsg
		}
	}
	var wrong []check.Finding
	for _, base := range []string{stepStaySettle, stepStayTrial} {
		rec, ok := c.stand.get(c.stand.name(base))
		if !ok || standingOf(rec) == free || standingOf(rec) == denied {
			continue
		}
		if base == stepStaySettle {
			s.MsgID = rec.ID
		}
		if standingOf(rec) != stands {
			continue
		}
		out := read(rec.Output)
		if base == stepStaySettle {
			out = c.settledOutput(rec)
		}
		wrong = c.check.Amounts(rec.Infno, out)
		info := row(out, "setlinfo")
		s.Amounts, s.SettlementID, s.SettledAt = amountsOf(info), ident.Settlement(text(info["setl_id"])), text(info["setl_time"])
		s.Funds = fundsOf(out)
		break
	}
	if rec, ok := c.midTrial(); ok && s.Amounts == nil {
		s.Amounts = amountsOf(row(read(rec.Output), "setlinfo"))
	}
	s.Warnings = c.warned(wrong)
	return s
}
