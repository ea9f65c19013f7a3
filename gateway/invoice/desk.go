package invoice

import (
	"context"
	"errors"
	"strings"
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
// A refund belongs to the settlement it was asked for: repeated when that is over (Source.Past), it takes no
// bill along, whatever was settled since.
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
	return refund(ctx, d.Office, c, "B", r.ID, r.RequestID, func(ctx context.Context) (gateway.Settlement, error) {
		return d.Counter.RefundSettlement(ctx, c, r)
	})
}

// RefundStay implements gateway.Ward.
func (d Desk) RefundStay(ctx context.Context, c gateway.Caller, r gateway.RefundStay) (gateway.Stay, error) {
	return refund(ctx, d.Office, c, "S", r.ID, r.RequestID, func(ctx context.Context) (gateway.Stay, error) {
		return d.Counter.RefundStay(ctx, c, r)
	})
}

// refund wraps a refund of the insurance. The ids of what can be refunded so begin with letter.
func refund[T any](ctx context.Context, f *Office, c gateway.Caller, letter, id, requestID string, insurance func(context.Context) (T, error)) (T, error) {
	var none T
	if !strings.HasPrefix(id, letter) || !usable(requestID) {
		return insurance(ctx) // the counter says what is wrong
	}
	_, err := f.owned(ctx, c, id)
	var e *gateway.Error
	if errors.As(err, &e) && e.Code == gateway.CodeNotFound { // no bill was ever asked for, or not the caller's: the counter says which
		return insurance(ctx)
	}
	if err != nil {
		return none, err
	}
	release, err := f.take(ctx, id)
	if err != nil {
		return none, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	past, err := f.o.Source.Past(ctx, gateway.RequestKey{System: c.System, ID: requestID}, id)
	if err != nil {
		return none, failure("einvoice.refund", id, err)
	}
	if !past {
		if err := f.hold(ctx, id, requestID); err != nil {
			return none, err
		}
		if f.o.Order == RedFirst {
			if err := f.redFirst(ctx, id, requestID); err != nil {
				return none, err
			}
		}
	}
	out, err := insurance(ctx)
	if rerr := f.release(ctx, id, requestID, err); rerr != nil {
		f.log.Warn("einvoice", "subject", id, "err", rerr)
	}
	return out, err
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

// redFirst sees to it that there is no live bill. Otherwise the refund does not go on: refused, it lets
// go; unknown, it may be repeated.
func (f *Office) redFirst(ctx context.Context, id, requestID string) error {
	const op = "einvoice.refund"
	if err := f.settle(ctx, id); err != nil {
		return err
	}
	live, err := f.live(ctx, id)
	if err != nil || live == nil {
		return err
	}
	if err := f.standing(ctx, op, live); err != nil {
		if lerr := f.letGo(ctx, id, requestID); lerr != nil {
			return lerr
		}
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

// release ends the hold of a refund that has come to an end, and lets the rule do the rest.
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
