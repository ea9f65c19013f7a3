package main

import (
	"context"
	"errors"
	"slices"

	"yiqiao/gateway"
	"yiqiao/gateway/people"
	"yiqiao/schemas/ident"
)

// operations is what people who are signed in may look at.
type operations struct {
	journal      gateway.Journal
	people       *people.Register
	clock        gateway.Clock
	institutions []ident.Institution
}

var _ gateway.Operations = operations{}

// JournalLines implements gateway.Operations.
func (o operations) JournalLines(ctx context.Context, v gateway.Visitor, q gateway.LinesAsked) ([]gateway.JournalLine, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	where := o.institutions
	if q.Institution != "" {
		where = []ident.Institution{q.Institution}
	}
	var list []gateway.JournalLine
	for _, in := range where {
		if !v.Sees(in) || !slices.Contains(o.institutions, in) {
			if q.Institution != "" {
				return nil, &gateway.Error{Code: gateway.CodeInstitution, Op: "operations", Path: "/institution"}
			}
			continue
		}
		ask := gateway.Query{Institution: in, Infno: q.Infno, Queued: q.Uploads, Brief: true, Newest: true, Limit: min(limit, 1000)}
		if q.State != "" {
			ask.States = []gateway.State{q.State}
		}
		recs, err := o.journal.List(ctx, ask)
		if err != nil && !errors.Is(err, gateway.ErrExpired) { // bodies are not shown anyway
			return nil, &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
		}
		for _, r := range recs {
			list = append(list, gateway.JournalLine{ID: r.ID, Institution: r.Institution, Infno: r.Infno, State: r.State, Cause: r.Cause, System: r.Request.System,
				RequestID: r.Request.ID, Bill: r.Bill, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt})
		}
	}
	slices.SortStableFunc(list, func(a, b gateway.JournalLine) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list[:min(len(list), limit)], nil
}

// Accounts implements gateway.Operations.
func (o operations) Accounts(ctx context.Context, v gateway.Visitor) ([]gateway.AccountLine, error) {
	all, err := o.people.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []gateway.AccountLine
	for _, a := range all {
		unseen := slices.ContainsFunc(a.Institutions, func(i ident.Institution) bool { return !v.Sees(i) })
		if a.Everywhere && !v.Everywhere || unseen {
			continue
		}
		list = append(list, gateway.AccountLine{Person: gateway.Person{ID: a.ID, Name: a.Name, Roles: a.Roles}, Institutions: append([]ident.Institution{}, a.Institutions...),
			Everywhere: a.Everywhere, Disabled: a.Disabled, Locked: a.LockedUntil.After(o.clock.Now()), MustChange: a.MustChange})
	}
	return list, nil
}
