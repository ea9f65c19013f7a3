package invoice

import (
	"context"
	"errors"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
)

// Counter is the desk the invoices stand beside.
type Counter interface {
	gateway.Desk
	gateway.Ward
	gateway.Degraded
	gateway.Watched
	gateway.Finder
	// Undoes tells which settlements of a stay a refund has still to undo, the latest first, and which it may have
	// been about; see flow.Desk.
	Undoes(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (next, about []string, err error)
}

// Desk is a counter whose refunds take the electronic invoice along, in the order that is
// configured. Everything else goes to the counter it was made from.
//
// That a refund has begun is written down before anything is undone. Red first: as long as it is held
// the settlement is to have no bill, and the insurance is asked only when there is none. Insurance
// first: the bill follows what the settlement has become. After a crash, or when a step's outcome is
// not known, the rule of the Office goes on from what is there; the refund itself is repeated by the
// HIS under its own id. A refund nobody goes on with lets go after Options.HoldFor, and a settlement
// that still stands gets a bill again.
//
// A refund belongs to the settlement it was asked for: repeated when that is over (Source.Past, Counter.Undoes), it
// takes no bill along, whatever was settled since. Of a stay it may undo several settlements, each with a bill of
// its own: their bills go in the order in which they are undone, the latest first.
type Desk struct {
	Counter
	*Office
}

var (
	_ gateway.Desk     = Desk{}
	_ gateway.Ward     = Desk{}
	_ gateway.Invoices = Desk{}
)

// RefundSettlement implements gateway.Desk.
func (d Desk) RefundSettlement(ctx context.Context, c gateway.Caller, r gateway.RefundSettlement) (gateway.Settlement, error) {
	insurance := func(ctx context.Context) (gateway.Settlement, error) { return d.Counter.RefundSettlement(ctx, c, r) }
	if _, err := d.owned(ctx, c, r.ID); isNotFound(err) { // without a bill, as many are, nothing else is to be looked at
		return insurance(ctx)
	}
	return refund(ctx, d.Office, c, 'B', r.ID, r.RequestID, d.pastOrNot(c, r.ID, r.RequestID), insurance)
}

// pastOrNot is what a refund of a settlement has still to undo: it, unless that is over.
func (f *Office) pastOrNot(c gateway.Caller, id, requestID string) func(context.Context) (next, about []string, err error) {
	return func(ctx context.Context) (next, about []string, err error) {
		past, err := f.o.Source.Past(ctx, gateway.RequestKey{System: c.System, ID: requestID}, id)
		if past || err != nil {
			return nil, []string{id}, err
		}
		return []string{id}, []string{id}, nil
	}
}

// RefundStay implements gateway.Ward.
func (d Desk) RefundStay(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (gateway.Stay, error) {
	about := func(ctx context.Context) (next, about []string, err error) { return d.Undoes(ctx, c, r) }
	return refund(ctx, d.Office, c, 'S', r.ID, r.RequestID, about, func(ctx context.Context) (gateway.Stay, error) {
		return d.Counter.RefundStay(ctx, c, r)
	})
}

// refund wraps a refund of the insurance. The ids of what can be refunded so begin with letter; about tells which
// settlements it has still to undo, and which it may have been about.
func refund[T any](ctx context.Context, f *Office, c gateway.Caller, letter byte, id, requestID string,
	about func(context.Context) (next, all []string, err error), insurance func(context.Context) (T, error)) (T, error) {
	const op = "einvoice.refund"
	var none T
	if id == "" || id[0] != letter || !usable(requestID) {
		return insurance(ctx) // the counter says what is wrong
	}
	release, err := f.take(ctx, id)
	if err != nil {
		return none, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	next, all, err := about(ctx)
	if isNotFound(err) { // no bill was ever asked for, or not the caller's: the counter says which
		return insurance(ctx)
	}
	if err != nil {
		return none, failure(op, id, err)
	}
	if next, err = f.billed(ctx, c, next); err != nil {
		return none, err
	}
	if all, err = f.billed(ctx, c, all); err != nil {
		return none, err
	}
	for _, s := range all {
		if s == id {
			continue
		}
		release, err := f.take(ctx, s)
		if err != nil {
			return none, err
		}
		defer release()
	}
	if err := f.before(ctx, next, requestID); err != nil {
		return none, err
	}
	out, err := insurance(ctx)
	for _, s := range all {
		if rerr := f.release(ctx, s, requestID, err); rerr != nil {
			f.log.Warn("einvoice", "subject", s, "err", rerr)
		}
	}
	return out, err
}

// billed are those of the caller's settlements that a bill was ever asked for.
func (f *Office) billed(ctx context.Context, c gateway.Caller, ids []string) (out []string, err error) {
	for _, id := range ids {
		switch _, err := f.owned(ctx, c, id); {
		case err == nil:
			out = append(out, id)
		case !isNotFound(err):
			return nil, err
		}
	}
	return out, nil
}

// before is what comes before the insurance: a refund of these settlements is written down, and with the bill
// first they have none any more. When one of the bills has to stay, all do.
func (f *Office) before(ctx context.Context, ids []string, requestID string) error {
	if len(ids) > 1 && f.o.Order == RedFirst {
		if err := f.anyPosted(ctx, ids); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := f.hold(ctx, id, requestID); err != nil {
			return err
		}
	}
	if f.o.Order != RedFirst {
		return nil
	}
	for _, id := range ids {
		err := f.redFirst(ctx, id)
		var e *gateway.Error
		if errors.As(err, &e) && (e.Code == gateway.CodeInvoiceRefused || e.Code == gateway.CodeInvoicePosted) {
			for _, held := range ids {
				if lerr := f.letGo(ctx, held, requestID); lerr != nil {
					return lerr
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// anyPosted refuses when one of several bills was handed in for reimbursement, before any of them is reversed. What
// can not be found out now is asked again when its turn comes.
func (f *Office) anyPosted(ctx context.Context, ids []string) error {
	for _, id := range ids {
		b, err := f.live(ctx, id)
		if err != nil {
			return err
		}
		if b == nil || b.State != gateway.InvoiceIssued && b.State != gateway.InvoicePaper {
			continue
		}
		p := f.o.Platform(b.Institution)
		if f.paused(p.Name(), f.o.Clock.Now()) {
			continue
		}
		if a := p.Posted(ctx, b.Platform); a.Outcome == gateway.OutcomeDone && a.Value {
			return &gateway.Error{Code: gateway.CodeInvoicePosted, Op: "einvoice.refund", Ref: b.ID}
		}
	}
	return nil
}

// hold writes down that a refund has begun. With the insurance first it only has the subject looked
// at: the bill follows.
func (f *Office) hold(ctx context.Context, id, requestID string) error {
	s, err := f.o.Book.Subject(ctx, id)
	if err != nil {
		return failure("einvoice.refund", id, err)
	}
	now := f.o.Clock.Now()
	if f.o.Order == RedFirst {
		s.Hold, s.HeldAt = requestID, now // of two refunds the counter says which is one too many
	}
	s.Due = now.Add(f.o.Limit)
	_, err = f.o.Book.Write(ctx, book.Entry{Subject: &s})
	return failure("einvoice.refund", id, err)
}

// redFirst sees to it that there is no live bill. Otherwise the refund does not go on: refused, the bill stays;
// unknown, it may be repeated.
func (f *Office) redFirst(ctx context.Context, id string) error {
	const op = "einvoice.refund"
	if err := f.settle(ctx, id); err != nil {
		return err
	}
	live, err := f.live(ctx, id)
	if err != nil || live == nil {
		return err
	}
	if err := f.standing(ctx, op, live); err != nil {
		return err
	}
	code := gateway.CodeInvoiceUnknown
	if live.Cause == gateway.CauseNotSent || f.paused(f.o.Platform(live.Institution).Name(), f.o.Clock.Now()) {
		code = gateway.CodeInvoiceDown
	}
	return &gateway.Error{Code: code, Op: op, Ref: live.ID, Detail: string(live.State), RetryAfter: f.o.Retry}
}

// letGo ends the hold of a request. That of another refund stays.
func (f *Office) letGo(ctx context.Context, id, requestID string) error {
	s, err := f.o.Book.Subject(ctx, id)
	if err != nil {
		return failure("einvoice.refund", id, err)
	}
	if s.Hold != requestID {
		return nil
	}
	s.Hold, s.HeldAt, s.Due = "", time.Time{}, f.o.Clock.Now()
	_, err = f.o.Book.Write(ctx, book.Entry{Subject: &s})
	return failure("einvoice.refund", id, err)
}

// undecided reports whether a refund that ended so may still be repeated and go through.
func undecided(err error) bool {
	var e *gateway.Error
	if !errors.As(err, &e) {
		return err != nil
	}
	switch e.Code {
	case gateway.CodeOutcomeUnknown, gateway.CodeRequestInProgress, gateway.CodeCredentialNeeded, gateway.CodeRestUnsettled, gateway.CodeCentreBusy,
		gateway.CodeCentreDown, gateway.CodeCentreUnreachable, gateway.CodeSignIn, gateway.CodeStorage, gateway.CodeRateLimited, gateway.CodeInternal:
		return true
	}
	return false
}

// release ends the hold of a refund that has come to an end, and lets the rule do the rest, also where it was thought
// to be over: clocks that differ may have said so.
func (f *Office) release(ctx context.Context, id, requestID string, ended error) error {
	c, err := f.o.Source.Charged(ctx, id)
	if err != nil {
		return err // the hold runs out by itself
	}
	if !c.Moving && !undecided(ended) {
		if err := f.letGo(ctx, id, requestID); err != nil {
			return err
		}
	}
	return f.settle(ctx, id)
}
