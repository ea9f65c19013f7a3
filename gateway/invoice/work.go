package invoice

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/bill"
	"yiqiao/gateway/invoice/book"
)

// action is what is to be done about a bill.
type action string

const (
	rest      action = ""           // nothing, or not yet
	issue     action = "issue"      // send it
	lost      action = "lost"       // whoever sent it is gone: the outcome is not known
	askIssue  action = "ask-issue"  // was it made?
	drop      action = "drop"       // never made and no longer wanted
	doubt     action = "doubt"      // refused and no longer wanted: make sure
	voidPaper action = "void-paper" // before it can be reversed
	askPaper  action = "ask-paper"  // is there a paper?
	reverse   action = "reverse"    //
	askRed    action = "ask-red"    // was it reversed?
)

// decide says what to do about a bill. Pure.
func decide(b *book.Bill, now time.Time) action {
	if !b.Due.IsZero() && b.Due.After(now) && !(b.RedWanted && b.State == gateway.InvoiceDrafted) {
		return rest
	}
	switch b.State {
	case gateway.InvoiceDrafted:
		if b.RedWanted {
			return drop
		}
		return issue
	case gateway.InvoiceIssuing, gateway.InvoiceReversing:
		return lost
	case gateway.InvoiceIssueOpen:
		return askIssue
	case gateway.InvoiceRefused:
		if b.RedWanted {
			return doubt
		}
	case gateway.InvoiceIssued:
		if b.RedWanted {
			return reverse
		}
	case gateway.InvoicePaper:
		if b.RedWanted {
			return voidPaper
		}
	case gateway.InvoiceTurning, gateway.InvoiceVoiding:
		return askPaper
	case gateway.InvoiceRedOpen:
		return askRed
	}
	return rest
}

// pauseOf is how long to wait before the next try.
func (f *Office) pauseOf(tries int) time.Duration {
	d := f.o.Retry
	for range min(tries, 12) {
		if d *= 2; d >= f.o.Most {
			return f.o.Most
		}
	}
	return d
}

// inFlight is when a call that was just sent must have ended.
func (f *Office) inFlight(now time.Time) time.Time { return now.Add(f.o.Limit + f.o.Grace) }

// note appends an event to b, in the book and here.
func (f *Office) note(ctx context.Context, b *book.Bill, e book.Event, due time.Time) error {
	if e.At.IsZero() {
		e.At = f.o.Clock.Now()
	}
	next := *b
	if err := next.Apply(e); err != nil {
		return failure("einvoice", b.ID, err)
	}
	if due.IsZero() && (!next.State.Rests() || next.RedWanted && next.State.Live()) {
		due = e.At // something is left to do
	}
	if _, err := f.o.Book.Write(ctx, book.Entry{Append: &book.Append{ID: b.ID, Rev: b.Rev, Event: e, Due: due}}); err != nil {
		return failure("einvoice", b.ID, err)
	}
	next.Due = due
	*b = next
	return nil
}

// work takes a bill as far as it goes now. It ends at rest, or waits with a time to go on.
func (f *Office) work(ctx context.Context, b *book.Bill) error {
	for range 16 {
		now := f.o.Clock.Now()
		a := decide(b, now)
		if a == rest {
			return nil
		}
		p := f.o.Platform(b.Institution)
		if a != drop && a != lost && a != doubt && f.paused(p.Name(), now) {
			return nil
		}
		var err error
		switch a {
		case issue:
			err = f.issueOnce(ctx, p, b)
		case lost:
			err = f.note(ctx, b, book.Event{Kind: book.Unknown, Cause: gateway.CauseCrash}, time.Time{})
		case drop:
			err = f.note(ctx, b, book.Event{Kind: book.Dropped}, time.Time{})
		case doubt:
			err = f.note(ctx, b, book.Event{Kind: book.Doubted}, time.Time{})
		case askIssue:
			err = f.askIssue(ctx, p, b)
		case reverse:
			err = f.reverseOnce(ctx, p, b)
		case askRed:
			err = f.askRed(ctx, p, b)
		case voidPaper:
			err = f.voidOnce(ctx, p, b, "冲红")
		case askPaper:
			err = f.askPaper(ctx, p, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// heard keeps count of a platform that does not answer: it gets a pause that grows.
func (f *Office) heard(name string, c gateway.Cause, o gateway.Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.down[name]
	if o == gateway.OutcomeDone || c == gateway.CauseBusiness || c == gateway.CauseUnsupported {
		delete(f.down, name)
		return
	}
	p.fails++
	if p.fails >= 3 {
		p.until = f.o.Clock.Now().Add(min(f.pauseOf(p.fails-3), f.o.Most))
	}
	f.down[name] = p
}

func (f *Office) paused(name string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down[name].until.After(now)
}

// from makes the event of an answer.
func from[T any](k book.Kind, a gateway.InvoiceAnswer[T]) book.Event {
	return book.Event{Kind: k, Cause: a.Cause, Code: a.Code, Note: a.Message}
}

func (f *Office) issueOnce(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) error {
	now := f.o.Clock.Now()
	if err := f.note(ctx, b, book.Event{Kind: book.Sent}, f.inFlight(now)); err != nil {
		return err
	}
	a := p.Issue(ctx, b.Draft)
	f.heard(p.Name(), a.Cause, a.Outcome)
	now = f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone:
		e := from(book.Issued, a)
		e.Bill = &a.Value
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeRefused && a.Duplicate: // an earlier message arrived after all
		return f.note(ctx, b, from(book.Unknown, a), now)
	case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseNotSent:
		return f.note(ctx, b, from(book.NotSent, a), now.Add(f.pauseOf(b.Tries)))
	case a.Outcome == gateway.OutcomeRefused:
		return f.note(ctx, b, from(book.Refused, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Unknown, a), now.Add(f.o.Retry))
}

func (f *Office) find(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) gateway.InvoiceAnswer[gateway.PlatformBill] {
	a := p.Find(ctx, gateway.InvoiceQuery{BusNo: b.ID, Kind: b.Kind, Place: b.Place, Number: b.Platform.Number, At: b.Business})
	f.heard(p.Name(), a.Cause, a.Outcome)
	return a
}

// late reports whether what was sent can no longer be under way.
func (f *Office) late(b *book.Bill, now time.Time) bool { return !now.Before(f.inFlight(b.SentAt)) }

// again asks later: at once when the last message can no longer be under way.
func (f *Office) again(b *book.Bill, now time.Time) time.Time {
	next := now.Add(f.pauseOf(b.Tries))
	if sure := f.inFlight(b.SentAt); next.Before(sure) {
		return sure
	}
	return next
}

func (f *Office) askIssue(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) error {
	a := f.find(ctx, p, b)
	now := f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone && a.Value.Known && a.Value.Total != 0 && a.Value.Total != b.Total:
		e := from(book.Parked, a)
		e.Cause, e.Bill = gateway.CauseMismatch, &a.Value
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeDone && a.Value.Known:
		e := from(book.Issued, a)
		e.Bill = &a.Value
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeDone && f.late(b, now):
		return f.note(ctx, b, from(book.Absent, a), now)
	case a.Cause == gateway.CauseUnsupported:
		return f.note(ctx, b, from(book.Parked, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Asked, a), f.again(b, now))
}

func (f *Office) reverseOnce(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) error {
	now := f.o.Clock.Now()
	if !b.Kind.Voucher() {
		posted := p.Posted(ctx, b.Platform)
		f.heard(p.Name(), posted.Cause, posted.Outcome)
		switch {
		case posted.Outcome == gateway.OutcomeDone && posted.Value:
			return f.note(ctx, b, book.Event{Kind: book.RedRefused, Cause: gateway.CauseBusiness, Code: string(gateway.CodeInvoicePosted), Note: "票据已入账报销"}, time.Time{})
		case posted.Outcome == gateway.OutcomeUnknown, posted.Cause == gateway.CauseNotSent:
			return f.note(ctx, b, from(book.Asked, posted), now.Add(f.pauseOf(b.Tries)))
		}
	}
	if err := f.note(ctx, b, book.Event{Kind: book.RedSent}, f.inFlight(now)); err != nil {
		return err
	}
	a := p.Reverse(ctx, gateway.InvoiceReversal{Kind: b.Kind, Number: b.Platform.Number, Reason: "退费", Operator: b.Draft.Payee, Place: b.Place, At: now})
	f.heard(p.Name(), a.Cause, a.Outcome)
	now = f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone:
		told := b.Platform
		told.Reversed, told.Red, told.RedCode = true, a.Value.Red, a.Value.RedCode
		e := from(book.Reversed, a)
		e.Bill = &told
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeRefused && a.Duplicate:
		return f.note(ctx, b, from(book.Unknown, a), now)
	case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseNotSent:
		return f.note(ctx, b, from(book.NotSent, a), now.Add(f.pauseOf(b.Tries)))
	case a.Outcome == gateway.OutcomeRefused:
		return f.note(ctx, b, from(book.RedRefused, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Unknown, a), now.Add(f.o.Retry))
}

func (f *Office) askRed(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) error {
	a := f.find(ctx, p, b)
	now := f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone && a.Value.Known && a.Value.Reversed:
		told := b.Platform
		told.Reversed, told.Red, told.RedCode = true, a.Value.Red, a.Value.RedCode
		e := from(book.Reversed, a)
		e.Bill = &told
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeDone && a.Value.Known && f.late(b, now):
		return f.note(ctx, b, from(book.Absent, a), now)
	case a.Cause == gateway.CauseUnsupported:
		return f.note(ctx, b, from(book.Parked, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Asked, a), f.again(b, now))
}

func (f *Office) paperOrder(b *book.Bill, reason string) gateway.PaperOrder {
	return gateway.PaperOrder{Bill: b.Platform.Number, Paper: b.Platform.Paper, Reason: reason, Operator: b.Draft.Payee, Place: b.Place, At: f.o.Clock.Now()}
}

func (f *Office) voidOnce(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill, reason string) error {
	now := f.o.Clock.Now()
	if err := f.note(ctx, b, book.Event{Kind: book.VoidSent}, f.inFlight(now)); err != nil {
		return err
	}
	a := p.VoidPaper(ctx, f.paperOrder(b, reason))
	f.heard(p.Name(), a.Cause, a.Outcome)
	now = f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone:
		told := b.Platform
		told.Paper = gateway.PaperNumber{}
		e := from(book.Voided, a)
		e.Bill = &told
		return f.note(ctx, b, e, time.Time{})
	case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseNotSent:
		return f.note(ctx, b, from(book.NotSent, a), now.Add(f.pauseOf(b.Tries)))
	case a.Outcome == gateway.OutcomeRefused:
		return f.note(ctx, b, from(book.RedRefused, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Asked, a), now.Add(f.o.Retry))
}

// askPaper finds out whether an exchange, or the voiding of one, took place.
func (f *Office) askPaper(ctx context.Context, p gateway.InvoicePlatform, b *book.Bill) error {
	a := f.find(ctx, p, b)
	now := f.o.Clock.Now()
	known := a.Outcome == gateway.OutcomeDone && a.Value.Known
	turning := b.State == gateway.InvoiceTurning
	told := b.Platform
	told.Paper = a.Value.Paper
	switch {
	case known && (told.Paper.No != "") == turning: // it did
		e := from(book.Papered, a)
		if !turning {
			e.Kind = book.Voided
		}
		e.Bill = &told
		return f.note(ctx, b, e, time.Time{})
	case known && f.late(b, now):
		return f.note(ctx, b, from(book.Absent, a), time.Time{})
	}
	return f.note(ctx, b, from(book.Asked, a), f.again(b, now))
}

// settle applies the rule: what a subject should have, and what it has. The caller has taken it.
func (f *Office) settle(ctx context.Context, subject string) error {
	s, err := f.o.Book.Subject(ctx, subject)
	if err != nil {
		return failure("einvoice", subject, err)
	}
	now := f.o.Clock.Now()
	var a ask
	if err := json.Unmarshal(s.Asked, &a); err != nil && len(s.Asked) > 0 {
		return failure("einvoice", subject, err)
	}
	var c bill.Charged
	if s.Wanted && s.Hold == "" {
		if c, err = f.chargedFor(ctx, subject, s.Institution, s.System, a); err != nil {
			return f.later(ctx, s, err)
		}
		if c.Moving && !c.Gone {
			return f.laterIn(ctx, s, f.patience(c.Since, now), nil)
		}
		if c.Moving { // nobody may ever go on with the rest: the bill of what is undone does not wait for it
			c.Revision = ""
		}
	}
	live, err := f.live(ctx, subject)
	if err != nil {
		return err
	}
	if live != nil {
		if live.Revision != c.Revision && !live.RedWanted && live.Cause == gateway.CauseBusiness && live.State.Rests() &&
			live.State != gateway.InvoiceRefused && live.UpdatedAt.After(s.HeldAt) && now.Before(live.UpdatedAt.Add(30*f.o.Most)) {
			return f.later(ctx, s, nil) // its reversal was refused: not every few seconds again
		}
		if live.Revision != c.Revision && !live.RedWanted {
			if err := f.note(ctx, live, book.Event{Kind: book.RedWanted, Request: s.Hold}, now); err != nil {
				return err
			}
		}
		if err := f.turn(ctx, live); err != nil {
			return f.later(ctx, s, err)
		}
		if live.State.Live() {
			if live.State.Rests() && !live.RedWanted && live.Revision == c.Revision && !c.Moving {
				return f.atRest(ctx, s)
			}
			return f.laterIn(ctx, s, f.patience(live.UpdatedAt, now), nil) // the bill itself is worked on in its lane
		}
	}
	if c.Moving {
		return f.laterIn(ctx, s, f.patience(c.Since, now), nil)
	}
	if c.Revision == "" {
		return f.atRest(ctx, s)
	}
	b, err := f.draft(ctx, s, c, a)
	if err != nil {
		return f.later(ctx, s, err)
	}
	if b == nil {
		return f.atRest(ctx, s)
	}
	if err := f.turn(ctx, b); err != nil {
		return f.later(ctx, s, err)
	}
	if b.State.Rests() {
		return f.atRest(ctx, s)
	}
	return f.later(ctx, s, nil)
}

// turn works on a bill unless an earlier one of the same patient is still to be made.
func (f *Office) turn(ctx context.Context, b *book.Bill) error {
	if b.State == gateway.InvoiceDrafted && !b.RedWanted {
		if first, err := f.o.Book.Before(ctx, b.Lane, b.ID); err != nil || first {
			return failure("einvoice", b.ID, err)
		}
	}
	return f.work(ctx, b)
}

// draft makes the next bill of a subject, business number and content, durable; nil when none is
// to be made.
func (f *Office) draft(ctx context.Context, s book.Subject, c bill.Charged, a ask) (*book.Bill, error) {
	list, err := f.o.Book.Bills(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	t := f.o.Tables(s.Institution)
	if c.Total == 0 && !t.Zero {
		return nil, nil
	}
	now := f.o.Clock.Now()
	n := len(list) + 1
	busNo := t.Prefix + s.ID + "_" + strconv.Itoa(n)
	asked := a.Issue
	if n > 1 && asked.SelfPaid == nil && asked.Deposit == nil {
		asked.Payments = nil // they were of what stood before
	}
	d, err := bill.Build(t, busNo, c, asked, now)
	if err != nil {
		return nil, err
	}
	lane := f.o.Digest([]byte("einvoice.lane"), []byte(s.Institution), []byte(c.Patient))
	b := &book.Bill{ID: busNo, Subject: s.ID, N: n, Revision: c.Revision, Kind: d.Kind, Institution: s.Institution, System: s.System, Request: asked.RequestID,
		Lane: upperHex(lane[:12]), Total: d.Total, Place: d.Place, Business: now, CreatedAt: now, Draft: d}
	e := book.Event{Kind: book.Drafted, At: now, System: s.System, Desk: asked.Desk, Operator: asked.Operator.ID, Request: asked.RequestID}
	if _, err := f.o.Book.Write(ctx, book.Entry{Bill: b, Marks: f.marks(c), Append: &book.Append{ID: b.ID, Event: e, Due: now}}); err != nil {
		return nil, err
	}
	if err := b.Apply(e); err != nil {
		return nil, err
	}
	b.Due = now
	return b, nil
}

// later has the subject looked at again. It hands err on.
func (f *Office) later(ctx context.Context, s book.Subject, err error) error {
	pause := f.o.Retry
	if err != nil {
		pause = f.o.Most // a draft that can not be made: a person has to correct something
	}
	return f.laterIn(ctx, s, pause, err)
}

// longestPatience bounds patience.
const longestPatience = 5 * time.Minute

// patience is how long to wait for something that moves: a quarter of the time in which nothing happened to
// it. What waits for a person may wait for days, all bills of a platform that is away wait together, and every
// look is a write; what goes through the desk is looked at by the desk.
func (f *Office) patience(since, now time.Time) time.Duration {
	if since.IsZero() {
		return f.o.Retry
	}
	return min(max(now.Sub(since)/4, f.o.Retry), max(longestPatience, f.o.Retry))
}

func (f *Office) laterIn(ctx context.Context, s book.Subject, pause time.Duration, err error) error {
	s.Due = f.o.Clock.Now().Add(pause)
	if _, werr := f.o.Book.Write(ctx, book.Entry{Subject: &s}); werr != nil && !errors.Is(werr, gateway.ErrStale) {
		return failure("einvoice", s.ID, errors.Join(err, werr))
	}
	return failure("einvoice", s.ID, err)
}

func (f *Office) atRest(ctx context.Context, s book.Subject) error {
	if s.Due.IsZero() {
		return nil
	}
	s.Due = time.Time{}
	if s.Hold != "" {
		s.Due = s.HeldAt.Add(f.o.HoldFor)
	}
	_, err := f.o.Book.Write(ctx, book.Entry{Subject: &s})
	if errors.Is(err, gateway.ErrStale) {
		return nil
	}
	return failure("einvoice", s.ID, err)
}

// Run does the work nobody waits for until ctx ends: bills that wait for the platform, outcomes to be
// asked for, settlements to be looked at.
func (f *Office) Run(ctx context.Context) error {
	since, next := f.o.Clock.Now().Add(-overtakenFirst), time.Time{}
	for {
		if now := f.o.Clock.Now(); !now.Before(next) {
			if err := f.overtaken(ctx, since); err == nil {
				since = now.Add(-overtakenAgain)
			} else if ctx.Err() == nil {
				f.log.Warn("einvoice", "err", err)
			}
			next = now.Add(f.o.Retry)
		}
		if _, err := f.Round(ctx); err != nil && ctx.Err() == nil {
			f.log.Warn("einvoice", "err", err)
		}
		if f.o.Clock.Sleep(ctx, f.o.Poll) != nil {
			return nil
		}
	}
}

// How far back Overtaken is asked: the first time, and then, since what is still under way is written again
// when it ends, and clocks of several gateways differ.
const (
	overtakenFirst = 48 * time.Hour
	overtakenAgain = 10 * time.Minute
)

// overtaken applies the rule to settlements that were changed without the office being told: undone by a
// decision of people, or while their bill was being asked for.
func (f *Office) overtaken(ctx context.Context, since time.Time) error {
	if f.o.Overtaken == nil {
		return nil
	}
	ids, err := f.o.Overtaken(ctx, since)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if err := f.look(ctx, id); err != nil && len(errs) < 8 {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Round goes once through everything that is due and tells how many bills came to rest. Bills of one
// patient are worked on in the order they were made, and one that waits holds up those behind it;
// different patients do not wait for each other.
func (f *Office) Round(ctx context.Context) (done int, err error) {
	lanes, err := f.lanes(ctx)
	if err != nil {
		return 0, err
	}
	var mu sync.Mutex
	var errs []error
	each(f.o.Workers, lanes, func(lane []book.Brief) {
		n, err := f.lane(ctx, lane)
		mu.Lock()
		defer mu.Unlock()
		done += n
		if err != nil && len(errs) < 8 {
			errs = append(errs, err)
		}
	})
	ids, err := f.o.Book.DueSubjects(ctx, f.o.Clock.Now(), 10_000)
	if err != nil {
		return done, errors.Join(append(errs, err)...)
	}
	each(f.o.Workers, ids, func(id string) {
		if err := f.look(ctx, id); err != nil {
			mu.Lock()
			defer mu.Unlock()
			if len(errs) < 8 {
				errs = append(errs, err)
			}
		}
	})
	return done, errors.Join(errs...)
}

// each runs do over a list with so many at once, and returns when all are through. One works in turn,
// on the caller's goroutine.
func each[T any](workers int, list []T, do func(T)) {
	if workers == 1 {
		for _, x := range list {
			do(x)
		}
		return
	}
	next := make(chan T)
	var wg sync.WaitGroup
	for range min(workers, len(list)) {
		wg.Go(func() {
			for x := range next {
				do(x)
			}
		})
	}
	for _, x := range list {
		next <- x
	}
	close(next)
	wg.Wait()
}

// lanes groups what is not at rest by patient, oldest first.
func (f *Office) lanes(ctx context.Context) (out [][]book.Brief, err error) {
	at := map[string]int{}
	for after := int64(0); ; {
		page, err := f.o.Book.Moving(ctx, after, 2000)
		if err != nil {
			return nil, err
		}
		for _, x := range page {
			i, ok := at[x.Lane]
			if !ok {
				i = len(out)
				at[x.Lane] = i
				out = append(out, nil)
			}
			out[i] = append(out[i], x)
			after = x.Seq
		}
		if len(page) < 2000 {
			return out, nil
		}
	}
}

// lane works on the bills of one patient until one has to wait.
func (f *Office) lane(ctx context.Context, lane []book.Brief) (done int, err error) {
	for _, x := range lane {
		now := f.o.Clock.Now()
		if ctx.Err() != nil || x.Due.After(now) {
			return done, nil
		}
		b, err := f.o.Book.Bill(ctx, x.ID)
		if err != nil {
			return done, err
		}
		release, err := f.take(ctx, b.Subject)
		if err != nil {
			return done, nil
		}
		if b, err = f.o.Book.Bill(ctx, x.ID); err == nil { // as it is now that nobody else works on it
			err = f.work(ctx, &b)
		}
		if err == nil && b.Due.IsZero() && !b.State.Live() {
			err = f.settle(ctx, b.Subject) // what stands in its place is not kept waiting
		}
		release()
		if err != nil {
			return done, err
		}
		if !b.Due.IsZero() {
			return done, nil
		}
		done++
	}
	return done, nil
}

// look applies the rule to a subject that is due, and ends a hold nobody goes on with.
func (f *Office) look(ctx context.Context, id string) error {
	release, err := f.take(ctx, id)
	if err != nil {
		return nil
	}
	defer release()
	s, err := f.o.Book.Subject(ctx, id)
	if err != nil {
		return err
	}
	now := f.o.Clock.Now()
	if s.Hold != "" && !now.Before(s.HeldAt.Add(f.o.HoldFor)) {
		c, err := f.o.Source.Charged(ctx, id)
		if err != nil {
			return f.later(ctx, s, err)
		}
		if c.Moving {
			return f.laterIn(ctx, s, f.patience(c.Since, now), nil)
		}
		s.Hold, s.HeldAt, s.Due = "", time.Time{}, now
		if _, err := f.o.Book.Write(ctx, book.Entry{Subject: &s}); err != nil {
			return failure("einvoice", id, err)
		}
	}
	return f.settle(ctx, id)
}
