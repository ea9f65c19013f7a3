package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

const reviews = "/api/v1/reviews/"

// SessionHeader carries the token of a person's session, PersonHeader the name of who only looks.
const (
	SessionHeader = "X-Person-Session"
	PersonHeader  = "X-Person"
)

// reviewBinders read the bodies of calls about reviews.
type reviewBinders struct {
	propose *bind.Binder[gateway.ProposeReview]
	decide  *bind.Binder[gateway.DecideReview]
}

func newReviewBinders() (b reviewBinders, err error) {
	if b.propose, err = bind.New[gateway.ProposeReview](bind.Rules{Optional: []string{"ProposeReview.request_id", "ProposeReview.decision", "HandDecision.do"}, MaxText: map[string]int{"ClaimedBy.id": 64, "ClaimedBy.name": 50}}); err != nil {
		return b, err
	}
	b.decide, err = bind.New[gateway.DecideReview](bind.Rules{Optional: []string{"DecideReview.request_id"}, MaxText: map[string]int{"ClaimedBy.id": 64, "ClaimedBy.name": 50}})
	return b, err
}

// book is the book of proposals with whoever makes the call; by is nil for who only looks.
func (k *call) book(by *gateway.ClaimedBy) (gateway.Reviews, gateway.Person, error) {
	if k.h.o.Reviews == nil || k.h.o.People == nil {
		return nil, gateway.Person{}, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
	}
	claim := gateway.PersonClaim{ID: k.c.GetHeader(PersonHeader), Session: k.c.GetHeader(SessionHeader), From: k.c.ClientIP()}
	if by != nil {
		claim.ID, claim.Name, claim.Password = by.ID, by.Name, by.Password
	}
	p, err := k.h.o.People.Who(k.ctx(), claim)
	return k.h.o.Reviews, p, err
}

func (h *Handler) getReviews(k *call) (answer, error) {
	b, who, err := k.book(nil)
	if err != nil {
		return answer{}, err
	}
	list, err := b.ReviewList(k.ctx(), k.caller, who, k.c.Query("all") == "true")
	if err != nil {
		return answer{}, err
	}
	for i := range list.Proposals {
		list.Proposals[i] = reviewInChina(list.Proposals[i])
	}
	return asJSON(http.StatusOK, list)
}

func (h *Handler) getReview(k *call) (answer, error) {
	k.where = reviews
	no, err := k.reviewNo()
	if err != nil {
		return answer{}, err
	}
	b, who, err := k.book(nil)
	if err != nil {
		return answer{}, err
	}
	p, err := b.Review(k.ctx(), k.caller, who, no)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, reviewInChina(p))
}

func (h *Handler) postReview(k *call) (answer, error) {
	k.where = reviews
	r, err := readAs(k, h.review.propose)
	if err != nil {
		return answer{}, err
	}
	b, who, err := k.book(&r.By)
	if err != nil {
		return answer{}, err
	}
	p, err := b.ProposeReview(k.ctx(), k.caller, who, r)
	if err != nil {
		return answer{}, err
	}
	a, err := asJSON(http.StatusCreated, reviewInChina(p))
	a.location = reviews + strconv.Itoa(p.No)
	return a, err
}

func (h *Handler) postReviewApprove(k *call) (answer, error) {
	return k.decide(gateway.Reviews.ApproveReview)
}

func (h *Handler) postReviewReject(k *call) (answer, error) {
	return k.decide(gateway.Reviews.RejectReview)
}

// decide answers a yes or a no.
func (k *call) decide(do func(gateway.Reviews, context.Context, gateway.Caller, gateway.Person, int, string) (gateway.Review, error)) (answer, error) {
	k.where = reviews
	no, err := k.reviewNo()
	if err != nil {
		return answer{}, err
	}
	r, err := readAs(k, k.h.review.decide)
	if err != nil {
		return answer{}, err
	}
	b, who, err := k.book(&r.By)
	if err != nil {
		return answer{}, err
	}
	p, err := do(b, k.ctx(), k.caller, who, no, r.Why)
	if err != nil {
		return answer{}, err
	}
	return asJSON(http.StatusOK, reviewInChina(p))
}

// reviewNo is the number in the path; what is none is not there.
func (k *call) reviewNo() (int, error) {
	no, err := strconv.Atoi(k.c.Param("id"))
	if err != nil || no < 1 {
		return 0, &gateway.Error{Code: gateway.CodeNotFound, Op: "rest"}
	}
	return no, nil
}

func reviewInChina(p gateway.Review) gateway.Review {
	for _, at := range []*time.Time{&p.Proposed.At, &p.Expires, &p.Ended} {
		if !at.IsZero() {
			*at = inChina(*at)
		}
	}
	if p.Decided != nil {
		d := *p.Decided
		d.At = inChina(d.At)
		p.Decided = &d
	}
	p.History = append([]gateway.ReviewStep{}, p.History...)
	for i := range p.History {
		p.History[i].At = inChina(p.History[i].At)
	}
	return p
}
