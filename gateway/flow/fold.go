package flow

import (
	"slices"
	"strconv"
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

	stepAdmit      = "2401"
	stepCharge     = "2301"
	stepChange     = "2403"
	stepLeave      = "2402"
	stepStayTrial  = "2303"
	stepStaySettle = "2304"
	stepStayRefund = "2305"
	stepUndoLeave  = "2405"
	stepUndoCharge = "2302"
	stepUndoAdmit  = "2404"
)

// stepNames are for people.
var stepNames = map[string]string{
	stepPerson: "人员信息获取", stepTreat: "待遇检查", stepRegister: "门诊挂号", stepVisit: "就诊信息上传",
	stepFees: "费用明细上传", stepTrial: "预结算", stepSettle: "结算", stepRefund: "结算撤销",
	stepUndoFees: "费用明细撤销", stepUndoReg: "挂号撤销", stepReverse: "冲正",
	stepAdmit: "入院办理", stepCharge: "住院费用上传", stepChange: "住院信息变更", stepLeave: "出院办理", stepStayTrial: "住院预结算",
	stepStaySettle: "住院结算", stepStayRefund: "住院结算撤销", stepUndoLeave: "出院撤销",
	stepUndoCharge: "住院费用撤销", stepUndoAdmit: "入院撤销",
}

// stepName names a step: its kind, its number among its kind and its round, where that is not 0.
func stepName(base string, n, round int) string {
	return inRound(base+"#"+strconv.Itoa(n), round)
}

// inRound is a step's name in a round; see plan.
func inRound(step string, round int) string {
	if round == 0 {
		return step
	}
	return step + "." + strconv.Itoa(round)
}

// splitStep takes a step's name apart. What is no number reads as 0.
func splitStep(step string) (base string, n, round int) {
	step, r, _ := strings.Cut(step, ".")
	round, _ = strconv.Atoi(r)
	base, number, _ := strings.Cut(step, "#")
	n, _ = strconv.Atoi(number)
	return base, n, round
}

// baseOf is the step's kind: "2204" of "2204#2". An undo by the resolver counts as the undo it is.
func baseOf(rec gateway.Record) string {
	base, _, _ := splitStep(rec.Step)
	if base == stepUndo {
		return string(rec.Infno)
	}
	return base
}

func roundOf(rec gateway.Record) int {
	_, _, round := splitStep(rec.Step)
	return round
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
	plans    []plan                    // what refunds of the settled bill were to do, in order
	figures  []gateway.Record          // answers about figures that did not add up
	asked    int                       // questions about figures ever sent
	round    int                       // the round that counts: 0, or the plan whose rest it is
	refunded bool                      // the settlement of the round was undone
	givenUp  bool                      // the round was never settled and never will be
	undone   bool                      // the registration was undone
}

// fold reads the records of a bill, oldest first, and the plans of its refunds in order.
func fold(recs []gateway.Record, region *gateway.Region, plans ...plan) stand {
	s := stand{region: region, last: map[string]gateway.Record{}, attempts: map[string]int{}, plans: plans}
	refunded := map[int]bool{}
	for _, rec := range recs {
		base := baseOf(rec)
		if base == stepFigures {
			s.asked++
			if standingOf(rec) == stands {
				s.figures = append(s.figures, rec)
			}
			continue
		}
		s.steps = append(s.steps, rec)
		if base == stepReverse {
			continue
		}
		s.attempts[rec.Step]++
		if earlier, ok := s.last[rec.Step]; ok && settles(base) && standingOf(earlier) == stands && standingOf(rec) != stands {
			continue // an earlier attempt was found after all: the settlement is that one
		}
		s.last[rec.Step] = rec
		if !s.undoneBy(rec) {
			continue
		}
		switch base {
		case stepUndoFees:
			s.void(roundOf(rec), stepFees, stepTrial)
		case stepUndoReg:
			s.void(anyRound, stepRegister, stepVisit, stepFees, stepTrial)
			s.undone = true
		case stepRefund:
			refunded[roundOf(rec)] = true
			s.forgetDenied(roundOf(rec), stepUndoFees, stepUndoReg)
		default:
			s.foldStay(base, rec)
		}
	}
	s.follow(refunded)
	return s
}

// follow finds the round that counts. A plan takes effect when what it changes no longer stands:
// when the settlement was undone, or there was none and the plan saw to it that there will be none.
func (s *stand) follow(refunded map[int]bool) {
	for i, p := range s.plans {
		if p.Bars {
			s.attempts[stepName(stepRefund, 1, p.From)]++ // its key is taken
		}
		replaced := slices.ContainsFunc(s.plans[i+1:], func(q plan) bool { return q.From == p.From })
		switch {
		case replaced, !refunded[s.round] && !p.Closes:
		case !p.Whole:
			s.round = i + 1
		case p.Closes:
			s.givenUp = true
		}
	}
	s.refunded = refunded[s.round]
}

// planOf finds the plan of a request; latest says that none came after it.
func (s *stand) planOf(key gateway.RequestKey) (p plan, n int, latest bool) {
	for i := range s.plans {
		if s.plans[i].System == key.System && s.plans[i].Request == key.ID {
			p, n = s.plans[i], i+1
		}
	}
	return p, n, n == len(s.plans)
}

// over reports whether the money is back for good.
func (s *stand) over() bool { return s.refunded || s.givenUp }

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

// parked reports whether one of them waits for a person.
func (s *stand) parked() bool {
	return slices.ContainsFunc(s.pending(), func(rec gateway.Record) bool { return rec.State == gateway.StateParked })
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

const anyRound = -1

// void forgets the steps of some kinds and of a round: the centre no longer has them.
func (s *stand) void(round int, bases ...string) {
	for step, rec := range s.last {
		for _, b := range bases {
			if baseOf(rec) == b && (round == anyRound || roundOf(rec) == round) {
				delete(s.last, step)
			}
		}
	}
}

// forgetDenied forgets the refusals of some undos: they were given while a settlement stood.
func (s *stand) forgetDenied(round int, bases ...string) {
	for step, rec := range s.last {
		for _, b := range bases {
			if baseOf(rec) == b && roundOf(rec) == round && standingOf(rec) == denied {
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

// name is the step of a kind that there is only one of in a round. Who the patient is and where he
// is registered is found out once, in round 0.
func (s *stand) name(base string) string {
	switch base {
	case stepPerson, stepTreat, stepRegister, stepVisit:
		return stepName(base, 1, 0)
	}
	return stepName(base, 1, s.round)
}

// is reports how the step of a kind stands that there is only one of, in the round that counts.
func (s *stand) is(base string, w standing) bool {
	rec, ok := s.last[s.name(base)]
	return ok && standingOf(rec) == w
}

// settledNow reports whether a settlement stands at the centre.
func (s *stand) settledNow() bool { return s.is(stepSettle, stands) && !s.refunded }

// any reports whether a step of that kind counts and stands so, in the round that counts.
func (s *stand) any(base string, w ...standing) bool {
	_, _, round := splitStep(s.name(base))
	return s.anyIn(round, base, w...)
}

func (s *stand) anyIn(round int, base string, w ...standing) bool {
	for _, rec := range s.last {
		if baseOf(rec) != base || roundOf(rec) != round {
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
func (s *stand) tried(base string) bool { return s.ended(s.name(base)) }

func (s *stand) ended(step string) bool {
	rec, ok := s.last[step]
	return ok && (standingOf(rec) == stands || standingOf(rec) == denied)
}

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
	case s.over():
		if s.tried(stepUndoFees) && s.tried(stepUndoReg) {
			return gateway.BillRefunded
		}
		return gateway.BillRefunding
	case s.round > 0:
		return gateway.BillResettling
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
