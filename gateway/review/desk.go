package review

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Desk is the book as HIS systems ask for it: each sees what belongs to its institutions.
type Desk struct{ Book *Book }

var _ gateway.Reviews = Desk{}

// scoped reports whether a caller acts for an institution. What belongs to none, a difference of several say,
// is the command line's.
func scoped(c gateway.Caller, i ident.Institution) bool {
	return i != "" && slices.Contains(c.Institutions, i)
}

// ReviewList implements gateway.Reviews.
func (d Desk) ReviewList(ctx context.Context, c gateway.Caller, by gateway.Person, all bool) (gateway.ReviewList, error) {
	out := gateway.ReviewList{Waiting: []gateway.ReviewWaiting{}, Proposals: []gateway.Review{}}
	shown := map[ident.Institution]bool{}
	for _, i := range c.Institutions {
		if shown[i] || !scoped(c, i) {
			continue
		}
		if err := d.Book.sees(ctx, by, i); isCode(err, gateway.CodeNotFound) {
			continue
		} else if err != nil {
			return out, err
		}
		shown[i] = true
		waiting, err := d.Book.Waiting(ctx, i)
		if err != nil {
			return out, err
		}
		for _, w := range waiting {
			r := w.Record
			out.Waiting = append(out.Waiting, gateway.ReviewWaiting{ID: r.ID, At: r.CreatedAt.In(gateway.China), Institution: r.Institution, Infno: r.Infno,
				Cause: r.Cause, System: r.Request.System, RequestID: r.Request.ID, Bill: r.Bill, Choices: append([]gateway.HandChoice{}, w.Choices...), Open: w.Open})
		}
	}
	slices.SortStableFunc(out.Waiting, func(a, b gateway.ReviewWaiting) int { return a.At.Compare(b.At) })
	var states []State
	if !all {
		states = []State{Suggested, Proposed, Approved, Expired}
	}
	list, err := d.Book.List(ctx, states...)
	if err != nil {
		return out, err
	}
	for _, p := range list {
		if shown[p.Subject.Institution] {
			out.Proposals = append(out.Proposals, p)
		}
	}
	return out, nil
}

// Review implements gateway.Reviews.
func (d Desk) Review(ctx context.Context, c gateway.Caller, by gateway.Person, no int) (gateway.Review, error) {
	p, err := d.Book.Show(ctx, no)
	if err != nil {
		return gateway.Review{}, err
	}
	if !scoped(c, p.Subject.Institution) {
		return gateway.Review{}, notThere(no)
	}
	if err := d.Book.sees(ctx, by, p.Subject.Institution); isCode(err, gateway.CodeNotFound) {
		return gateway.Review{}, notThere(no)
	} else if err != nil {
		return gateway.Review{}, err
	}
	return p, nil
}

// ProposeReview implements gateway.Reviews.
func (d Desk) ProposeReview(ctx context.Context, c gateway.Caller, by gateway.Person, r gateway.ProposeReview) (gateway.Review, error) {
	none := gateway.Review{}
	if r.From > 0 {
		p, err := d.Review(ctx, c, by, r.From)
		if err != nil {
			return none, err
		}
		if r.Record == "" && p.Subject.Kind == KindRecord {
			r.Record = ident.MsgID(p.Subject.ID)
		}
	} else {
		rec, err := d.Book.o.Journal.Record(ctx, r.Record)
		switch {
		case err != nil && !errors.Is(err, gateway.ErrNotFound) && !errors.Is(err, gateway.ErrExpired):
			return none, &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
		case !scoped(c, rec.Institution): // or not there
			return none, &gateway.Error{Code: gateway.CodeNotFound, Op: op, Path: "/record"}
		}
	}
	p, err := d.Book.Propose(ctx, by, Draft{Record: r.Record, From: r.From, Decision: r.Decision, Why: r.Why})
	if isCode(err, gateway.CodeReviewTaken) {
		if own, ok := d.again(ctx, by, r); ok {
			return own, nil
		}
	}
	return p, err
}

// again finds the proposal that a person is making a second time: its answer was lost, say.
func (d Desk) again(ctx context.Context, by gateway.Person, r gateway.ProposeReview) (gateway.Review, bool) {
	list, err := d.Book.List(ctx, Proposed)
	if err != nil {
		return gateway.Review{}, false
	}
	for _, p := range list {
		if same(p.Proposed.By, by) && p.Proposed.Why == r.Why && p.From == r.From && (r.Record == "" || p.Subject.ID == string(r.Record)) &&
			(r.From > 0 || reflect.DeepEqual(p.Decision, r.Decision)) {
			return p, true
		}
	}
	return gateway.Review{}, false
}

// ApproveReview implements gateway.Reviews.
func (d Desk) ApproveReview(ctx context.Context, c gateway.Caller, by gateway.Person, no int, why string) (gateway.Review, error) {
	if _, err := d.Review(ctx, c, by, no); err != nil {
		return gateway.Review{}, err
	}
	return d.Book.Approve(ctx, by, no, why)
}

// RejectReview implements gateway.Reviews.
func (d Desk) RejectReview(ctx context.Context, c gateway.Caller, by gateway.Person, no int, why string) (gateway.Review, error) {
	if _, err := d.Review(ctx, c, by, no); err != nil {
		return gateway.Review{}, err
	}
	return d.Book.Reject(ctx, by, no, why)
}
