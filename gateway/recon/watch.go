package recon

import (
	"context"
	"slices"
	"strconv"
	"time"

	"yiqiao/schemas/ident"
)

// mostGroups bounds how many 3201 one glance makes.
const mostGroups = 40

// Glance compares a day that may still be going on: HIS against journal as Look does and, with ask,
// the totals of every group against the centre (3201, no files). A group that does not balance is
// added up and asked about once more, because settlements go on meanwhile. It is not kept.
func (r *Reconciler) Glance(ctx context.Context, inst ident.Institution, day time.Time, ask bool) (Report, error) {
	if !ask {
		return r.Look(ctx, inst, day)
	}
	var rep Report
	for range 2 {
		w, err := r.begin(ctx, inst, day)
		if err != nil {
			return Report{}, err
		}
		for i := range w.report.Groups {
			if i == mostGroups {
				w.report.Notes = append(w.report.Notes, "分组过多, 只核对了一部分")
				break
			}
			if err := w.askTotals(ctx, &w.report.Groups[i]); err != nil {
				w.report.Failed = err.Error()
				w.finish()
				return w.report, err
			}
		}
		w.finish()
		if rep = w.report; !slices.ContainsFunc(rep.Groups, func(g Group) bool { return g.Result == GroupUnbalanced }) {
			break
		}
	}
	return rep, nil
}

// Watch glances at the present day of every institution, again and again with that pause, until ctx
// ends; see is told of each. One round at a time, and the pause begins when it is over. It starts
// nothing and returns nil.
func (r *Reconciler) Watch(ctx context.Context, every time.Duration, ask bool, see func(Report, error)) error {
	codes := make([]ident.Institution, 0, len(r.opt.Institutions))
	for code := range r.opt.Institutions {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for ctx.Err() == nil {
		for _, code := range codes {
			if ctx.Err() != nil {
				return nil
			}
			rep, err := r.Glance(ctx, code, r.opt.Clock.Now(), ask)
			if rep.Institution == "" {
				rep.Institution = code
			}
			if ctx.Err() == nil {
				see(rep, err)
			}
		}
		if r.opt.Clock.Sleep(ctx, every) != nil {
			break
		}
	}
	return nil
}

// Amiss says in a few words what a report has against the books, "" when nothing.
func (r *Report) Amiss() string {
	n := map[Cause]int{}
	var order []Cause
	for _, d := range r.Differences {
		if n[d.Cause]++; n[d.Cause] == 1 {
			order = append(order, d.Cause)
		}
	}
	words := ""
	add := func(s string) {
		if words != "" {
			words += ", "
		}
		words += s
	}
	for _, c := range order {
		add(CauseZH(c) + " " + strconv.Itoa(n[c]))
	}
	if len(r.Unexplained) > 0 {
		add("未能解释 " + strconv.Itoa(len(r.Unexplained)))
	}
	unbalanced := 0
	for _, g := range r.Groups {
		if g.Result == GroupUnbalanced {
			unbalanced++
		}
	}
	if unbalanced > 0 {
		add("总额不平 " + strconv.Itoa(unbalanced) + " 组")
	}
	if words == "" {
		return ""
	}
	return string(r.Institution) + " " + r.Date + ": " + words
}
