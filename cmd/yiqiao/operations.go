package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/deliver"
	"yiqiao/gateway/people"
	"yiqiao/schemas/ident"
)

// operations is what people who are signed in may look at and look after.
type operations struct {
	journal      opened
	people       *people.Register
	clock        gateway.Clock
	institutions []ident.Institution
	brought      map[string][]ident.Institution // HIS systems that are brought their results, and whose
	provider     sm.Provider
	auditKeys    []*sm.PublicKey // that sign heads; none: heads are not looked at
}

// operations are those of a gateway.
func (srv *server) operations(g *gatewaySettings, r *people.Register, clock gateway.Clock, all []ident.Institution) (gateway.Operations, error) {
	o := operations{journal: srv.journal, people: r, clock: clock, institutions: all, brought: g.brought(), provider: srv.parts.provider}
	if g.Audit.Key.Set() {
		k, err := g.auditKey()
		if err != nil {
			return nil, fmt.Errorf("audit.key: %w", err)
		}
		o.auditKeys = append(o.auditKeys, k.Public())
	}
	return o, nil
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

func (o operations) desk() deliver.Desk {
	return deliver.Desk{Journal: o.journal, DB: o.journal.db, Clock: o.clock}
}

// seen tells whether a visitor sees some and whether it sees all institutions of a system.
func (o operations) seen(v gateway.Visitor, system string) (some, all bool) {
	list := o.brought[system]
	all = len(list) > 0
	for _, in := range list {
		some, all = some || v.Sees(in), all && v.Sees(in)
	}
	return some, all
}

// Deliveries implements gateway.Operations.
func (o operations) Deliveries(ctx context.Context, v gateway.Visitor, limit int) ([]gateway.DeliveryState, error) {
	if limit <= 0 {
		limit = 100
	}
	list := []gateway.DeliveryState{}
	for _, system := range slices.Sorted(maps.Keys(o.brought)) {
		some, all := o.seen(v, system)
		if !some {
			continue
		}
		st, err := o.desk().StateFor(ctx, system, limit, v.Sees)
		if err != nil {
			return nil, &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
		}
		d := gateway.DeliveryState{System: system, Whole: all, Paused: st.Paused != "", Waiting: []gateway.DeliveryLine{}, More: st.More}
		if all {
			d.PausedWhy, d.Delivered, d.Last = st.Paused, int(st.Delivered), st.Last
		}
		for _, w := range st.Waiting {
			d.Waiting = append(d.Waiting, gateway.DeliveryLine{Institution: w.Institution, Delivery: w.RequestID, Op: w.Op, Ref: w.Ref, AnsweredAt: w.AnsweredAt,
				Tries: w.Tries, Tried: w.Tried, Again: w.Again, Why: w.Why})
		}
		list = append(list, d)
	}
	return list, nil
}

// Deliver implements gateway.Operations.
func (o operations) Deliver(ctx context.Context, v gateway.Visitor, d gateway.DeliveryOrder) (int, error) {
	if err := o.mayOrder(ctx, v, d); err != nil {
		return 0, err
	}
	if err := o.journal.audit.Note(ctx, audit.Act{Who: "person:" + v.ID, What: "deliveries." + d.Do, Ref: plainRef(d.System)}); err != nil {
		return 0, &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
	}
	n, err := 1, error(nil)
	switch d.Do {
	case gateway.DeliveryRetry:
		n, err = o.desk().Retry(ctx, d.System, d.Delivery)
	case gateway.DeliverySkip:
		err = o.desk().Skip(ctx, d.System, d.Delivery, v.ID, d.Why)
	case gateway.DeliveryPause:
		err = o.desk().Pause(ctx, d.System, v.ID, d.Why)
	case gateway.DeliveryResume:
		err = o.desk().Pause(ctx, d.System, "", "")
	default:
		err = &gateway.Error{Code: gateway.CodeNotSupported, Op: "operations"}
	}
	var known *gateway.Error
	if err != nil && !errors.As(err, &known) {
		err = &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
	}
	return n, err
}

// mayOrder refuses an order about what the visitor does not see, or not wholly.
func (o operations) mayOrder(ctx context.Context, v gateway.Visitor, d gateway.DeliveryOrder) error {
	notThere := &gateway.Error{Code: gateway.CodeNotFound, Op: "operations"}
	some, all := o.seen(v, d.System)
	if !some {
		return notThere
	}
	if d.Delivery != "" {
		r, err := o.journal.Request(ctx, gateway.RequestKey{System: d.System, ID: d.Delivery})
		switch {
		case errors.Is(err, gateway.ErrExpired):
		case errors.Is(err, gateway.ErrNotFound):
			return notThere
		case err != nil:
			return &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
		}
		if !v.Sees(r.Institution) {
			return notThere
		}
	}
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "operations", Path: path, Rule: rule}
	}
	one := d.Do == gateway.DeliverySkip || d.Do == gateway.DeliveryRetry
	switch {
	case d.Do == gateway.DeliverySkip && d.Delivery == "":
		return bad("/delivery", "1-64")
	case !one && d.Delivery != "":
		return bad("/delivery", "a whole system is paused and resumed")
	case (d.Do == gateway.DeliverySkip || d.Do == gateway.DeliveryPause) && strings.TrimSpace(d.Why) == "":
		return bad("/why", "why")
	case d.Delivery == "" && !all:
		return &gateway.Error{Code: gateway.CodeNotPermitted, Op: "operations", Rule: "institutions"}
	}
	return nil
}

// AuditState implements gateway.Operations.
func (o operations) AuditState(ctx context.Context, v gateway.Visitor, limit int) (gateway.AuditState, error) {
	if limit <= 0 {
		limit = 100
	}
	r, err := audit.Last(ctx, o.journal.db, o.provider, o.auditKeys, limit)
	if err != nil {
		return gateway.AuditState{}, &gateway.Error{Code: gateway.CodeStorage, Op: "operations", Err: err}
	}
	out := gateway.AuditState{Sound: r.Sound(), Checked: r.Entries, Heads: r.Heads, Chains: []gateway.AuditLink{}, Lines: []gateway.AuditLine{}}
	for _, c := range r.Chains {
		if v.Everywhere {
			out.Chains = append(out.Chains, gateway.AuditLink{Chain: c.Chain, Entries: int(c.Entries), Last: c.Last, At: c.To, SignedTo: int(c.SignedTo), Found: c.Found})
		}
	}
	for _, l := range r.Lines {
		if len(out.Lines) == limit {
			break
		}
		if !v.Everywhere && !v.Sees(institutionOf(l.Ref)) {
			continue
		}
		text, words := strings.CutPrefix(l.Seal, "t:")
		if !words {
			text = "" // a commitment says nothing to people
		}
		out.Lines = append(out.Lines, gateway.AuditLine{Kind: l.Kind, At: l.At, Who: l.Who, What: l.What, Ref: l.Ref, Text: text})
	}
	return out, nil
}

// institutionOf is the institution an id of ours begins with: a message's, or, behind one letter, a bill's, a
// stay's or a case's; "" for what is no such id.
func institutionOf(ref string) ident.Institution {
	const code, id = 12, 30           // letters and digits of an institution, and of a message id
	ref, _, _ = strings.Cut(ref, "#") // an event's number
	ref, _, _ = strings.Cut(ref, "_") // an electronic invoice's
	if len(ref) == id+1 && strings.ContainsRune("BSDFE", rune(ref[0])) {
		ref = ref[1:]
	}
	if len(ref) != id {
		return ""
	}
	return ident.Institution(ref[:code])
}
