package acceptance

import "encoding/json"

// Unjudged gives every requirement its place in a report before anything was tried, by id.
func Unjudged(list []Requirement) map[string]*RequirementResult {
	out := make(map[string]*RequirementResult, len(list))
	for _, q := range list {
		s := NotRun
		if q.Why != "" {
			s = NotTestable
		}
		out[q.ID] = &RequirementResult{Requirement: q, Status: s, Reason: q.Why}
	}
	return out
}

// Settle gives a requirement that got no verdict the status and the reason that are so: own says that the side that was
// tried has to meet it, tried that a case for it exists, whether or not it ran.
func (q *RequirementResult) Settle(own, tried bool) {
	switch {
	case q.Status != NotRun:
	case !own:
		q.Status, q.Reason = OtherSide, "由另一方满足: yiqiao accept run --target "+q.Actor+" / another side's to meet"
	case !tried:
		q.Status, q.Reason = NoCase, "没有用例试它 / no case tries it"
	default:
		q.Reason = "本次没有试到: 用例未选中、不适用, 或在此之前停下 / not come to in this run: its cases were not chosen, do not apply or stopped before"
	}
}

// Tried lists the requirements of a centre that some cases try, by id: those a case names, and what is judged on every reply.
func Tried(cases []Case) map[string]bool {
	out := map[string]bool{}
	add := func(ids ...string) {
		for _, id := range ids {
			out[id] = true
		}
	}
	add(everyReply...)
	for _, c := range cases {
		add(c.Verifies...)
		for _, s := range c.Steps {
			add(s.Verifies...)
			add(fieldsID(s.Send))
			add(amountsOf(s.Send)...)
		}
	}
	return out
}

// Counts sums requirement results up by status; every status is there.
func (r *Result) Counts() map[Status]int {
	out := map[Status]int{}
	for _, s := range Statuses() {
		out[s] = 0
	}
	for _, q := range r.Requirements {
		out[q.Status]++
	}
	return out
}

// Testable counts the requirements that are the tried side's and not declared not testable, and those of them with a verdict.
// What no case tries is testable.
func (r *Result) Testable() (judged, all int) {
	n := r.Counts()
	judged = n[Pass] + n[Fail]
	return judged, judged + n[NotRun] + n[NoCase]
}

// MarshalJSON adds the counts.
func (r Result) MarshalJSON() ([]byte, error) {
	type plain Result
	return json.Marshal(struct {
		plain
		Counts map[Status]int `json:"counts"`
	}{plain(r), r.Counts()})
}
