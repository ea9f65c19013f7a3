package flow

import (
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Steps of a ladder are named by the national number, whatever variant a region sends.
const (
	stepPerson   = "1101"
	stepTreat    = "2001"
	stepRegister = "2201"
	stepVisit    = "2203"
	stepFees     = "2204"
	stepTrial    = "2206"
	stepSettle   = "2207"
	stepRefund   = "2208"
	stepUndoFees = "2205"
	stepUndoReg  = "2202"
)

// stepNames are for people.
var stepNames = map[string]string{
	stepPerson: "人员信息获取", stepTreat: "待遇检查", stepRegister: "门诊挂号", stepVisit: "就诊信息上传",
	stepFees: "费用明细上传", stepTrial: "预结算", stepSettle: "结算", stepRefund: "结算撤销",
	stepUndoFees: "费用明细撤销", stepUndoReg: "挂号撤销", stepReverse: "冲正",
}

// baseOf is the step's kind: "2204" of "2204#2". An undo by the resolver counts as the undo it is.
func baseOf(rec gateway.Record) string {
	base, _, _ := strings.Cut(rec.Step, "#")
	if base == stepUndo {
		return string(rec.Infno)
	}
	return base
}

// marks is what is known of a bill beside its records.
type marks struct {
	closed bool // a cancellation has begun: nothing will be settled any more
	dead   bool // opening it ended with a final refusal
}

// stand is where a bill stands: the fold of its records.
type stand struct {
	region   *gateway.Region
	last     map[string]gateway.Record // step -> its latest attempt that still counts
	attempts map[string]int            // step -> attempts ever made
	steps    []gateway.Record          // every attempt ever made, oldest first
	refunded bool                      // the settlement was undone
	undone   bool                      // the registration was undone
}

// fold reads the records of a bill, oldest first.
func fold(recs []gateway.Record, region *gateway.Region) stand {
	s := stand{region: region, last: map[string]gateway.Record{}, attempts: map[string]int{}}
	for _, rec := range recs {
		base := baseOf(rec)
		s.steps = append(s.steps, rec)
		if base == stepReverse {
			continue
		}
		s.last[rec.Step] = rec
		s.attempts[rec.Step]++
		if !s.undoneBy(rec) {
			continue
		}
		switch base {
		case stepUndoFees:
			s.void(stepFees, stepTrial)
		case stepUndoReg:
			s.void(stepRegister, stepVisit, stepFees, stepTrial)
			s.undone = true
		case stepRefund:
			s.refunded = true
		}
	}
	return s
}

// pending gives the steps that were sent and are not known to have ended, and still count.
func (s *stand) pending() []gateway.Record {
	var list []gateway.Record
	for _, rec := range s.steps {
		if s.last[rec.Step].ID == rec.ID && standingOf(rec) == pending {
			list = append(list, rec)
		}
	}
	return list
}

// lastDenied is the latest step that was refused for a business reason, among those of the way up
// or among all.
func (s *stand) lastDenied(wayUp bool) (gateway.Record, bool) {
	for i := len(s.steps) - 1; i >= 0; i-- {
		rec := s.steps[i]
		if standingOf(rec) != denied || s.undoneBy(rec) {
			continue
		}
		base := baseOf(rec)
		if !wayUp || base != stepUndoFees && base != stepUndoReg && base != stepRefund {
			return rec, true
		}
	}
	return gateway.Record{}, false
}

// void forgets the steps of some kinds: the centre no longer has them.
func (s *stand) void(bases ...string) {
	for step, rec := range s.last {
		for _, b := range bases {
			if baseOf(rec) == b {
				delete(s.last, step)
			}
		}
	}
}

// undoneBy reports whether an undo took effect, or had nothing to do, which is as good.
func (s *stand) undoneBy(rec gateway.Record) bool {
	switch standingOf(rec) {
	case stands:
		return true
	case denied:
		return contains(refused(rec).ErrMsg, s.region.NothingToUndo[rec.Infno]) ||
			contains(refused(rec).ErrMsg, s.region.NothingToUndo[ident.Infno(baseOf(rec))])
	}
	return false
}

func (s *stand) get(step string) (gateway.Record, bool) {
	rec, ok := s.last[step]
	return rec, ok
}

// is reports how the step of a kind stands that there is only one of.
func (s *stand) is(base string, w standing) bool {
	rec, ok := s.last[base+"#1"]
	return ok && standingOf(rec) == w
}

// settledNow reports whether a settlement stands at the centre.
func (s *stand) settledNow() bool { return s.is(stepSettle, stands) && !s.refunded }

// any reports whether a step of that kind counts and stands so.
func (s *stand) any(base string, w ...standing) bool {
	for _, rec := range s.last {
		if baseOf(rec) != base {
			continue
		}
		for _, x := range w {
			if standingOf(rec) == x {
				return true
			}
		}
	}
	return false
}

// tried reports whether an undo has come to an end, well or not.
func (s *stand) tried(base string) bool { return s.is(base, stands) || s.is(base, denied) }

// retry reports whether an undo that was refused to an earlier request is to be tried for this one.
func (s *stand) retry(step string, c *climb) bool {
	rec, ok := s.get(step)
	return ok && standingOf(rec) == denied && !s.undoneBy(rec) && rec.Request != c.key
}

// billState is the state of a bill; a pure function of its records and marks.
func billState(s stand, m marks) gateway.BillState {
	switch {
	case s.settledNow():
		if s.is(stepRefund, pending) {
			return gateway.BillRefunding
		}
		return gateway.BillSettled
	case s.refunded:
		if s.tried(stepUndoFees) && s.tried(stepUndoReg) {
			return gateway.BillRefunded
		}
		return gateway.BillRefunding
	case s.is(stepSettle, pending):
		return gateway.BillSettling
	case s.undone && m.closed:
		return gateway.BillCancelled
	case s.undone:
		return gateway.BillFailed
	case m.closed:
		if s.any(stepRegister, stands, pending) {
			return gateway.BillRefunding
		}
		return gateway.BillCancelled
	case m.dead || s.refusedOnTheWay():
		return gateway.BillFailed
	case s.is(stepTrial, stands):
		return gateway.BillPresettled
	}
	return gateway.BillOpening
}

// refusedOnTheWay reports whether a step up to the trial was refused for good.
func (s *stand) refusedOnTheWay() bool {
	for _, base := range []string{stepPerson, stepTreat, stepRegister, stepVisit, stepFees, stepTrial} {
		if s.any(base, denied) {
			return true
		}
	}
	return false
}
