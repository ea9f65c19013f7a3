package world

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
)

// ledgerOfBills is the book of electronic invoices, kept in memory under the rules of the real one: one
// live bill of a subject, versions, requests. All gateways of a town share it.
type ledgerOfBills struct {
	requests map[[2]string]book.Request
	subjects map[string]book.Subject
	bills    map[string]entryOfBill
	marks    map[string][]string
	noLive   bool // the planted fault: nothing holds that there is one live bill, and a screen sees its own alone
}

type entryOfBill struct {
	seq    int64
	by     int // the task that made it
	bill   book.Bill
	events []book.Event
}

func newLedgerOfBills() *ledgerOfBills {
	return &ledgerOfBills{requests: map[[2]string]book.Request{}, subjects: map[string]book.Subject{}, bills: map[string]entryOfBill{}, marks: map[string][]string{}}
}

func (l *ledgerOfBills) write(by int, entries []book.Entry) (existing *book.Request, err error) {
	requests, subjects, bills := maps.Clone(l.requests), maps.Clone(l.subjects), maps.Clone(l.bills)
	defer func() {
		if err != nil || existing != nil {
			l.requests, l.subjects, l.bills = requests, subjects, bills
		}
	}()
	for _, e := range entries {
		if r := e.Request; r != nil {
			key := [2]string{r.System, r.ID}
			if old, there := l.requests[key]; there {
				if old.Digest != r.Digest {
					return nil, gateway.ErrConflict
				}
				return &old, nil
			}
			l.requests[key] = *r
		}
		if s := e.Subject; s != nil {
			if old, there := l.subjects[s.ID]; there != (s.Rev > 0) {
				return nil, gateway.ErrExists
			} else if old.Rev != s.Rev {
				return nil, gateway.ErrStale
			}
			next := *s
			next.Rev++
			l.subjects[s.ID] = next
		}
		if e.Bill != nil {
			if _, there := l.bills[e.Bill.ID]; there || !l.noLive && l.liveOf(e.Bill.Subject) {
				return nil, gateway.ErrExists
			}
			b := *e.Bill
			b.State, b.Rev = "", 0
			l.bills[b.ID] = entryOfBill{seq: int64(len(l.bills) + 1), by: by, bill: b}
			for _, m := range e.Marks {
				l.marks[m] = append(l.marks[m], b.ID)
			}
		}
		if a := e.Append; a != nil {
			x, there := l.bills[a.ID]
			switch {
			case !there:
				return nil, gateway.ErrNotFound
			case x.bill.Rev != a.Rev:
				return nil, gateway.ErrStale
			}
			if err := x.bill.Apply(a.Event); err != nil {
				return nil, err
			}
			x.bill.Due = a.Due
			v := a.Event
			v.Seq, v.State = x.bill.Rev, x.bill.State
			x.events = append(slices.Clone(x.events), v)
			l.bills[a.ID] = x
		}
	}
	return nil, nil
}

func (l *ledgerOfBills) liveOf(subject string) bool {
	for _, x := range l.bills {
		if x.bill.Subject == subject && x.bill.State.Live() {
			return true
		}
	}
	return false
}

// list gives the bills that are meant, in the order they were made.
func (l *ledgerOfBills) list(is func(*book.Bill) bool) (out []entryOfBill) {
	for _, x := range l.bills {
		if is(&x.bill) {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b entryOfBill) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// bookOf is the book as one life of one process sees it: it takes time, it fails, and the process may
// die before or after anything has become durable.
type bookOf struct {
	c *clerk
	l *ledgerOfBills
}

// Write see invoice.Book.
func (b bookOf) Write(ctx context.Context, entries ...book.Entry) (*book.Request, error) {
	w, p := b.c.w, b.c.p
	if b.c.gone() {
		return nil, gateway.ErrStorage
	}
	w.s.park(taskOf(ctx), time.Millisecond, 20*time.Millisecond)
	if b.c.gone() || w.diskDown {
		return nil, gateway.ErrStorage
	}
	if w.storm && w.s.chance(w.rates.crash) {
		w.count("crash-before-write")
		p.kill()
		return nil, gateway.ErrStorage
	}
	existing, err := b.l.write(taskOf(ctx).id, entries)
	if w.storm && w.s.chance(w.rates.crash) {
		w.count("crash-after-write")
		p.kill()
		return nil, gateway.ErrStorage
	}
	if w.storm && err == nil && w.s.chance(w.rates.disk) {
		w.count("disk-error-after")
		return nil, gateway.ErrStorage
	}
	return existing, err
}

func (b bookOf) fit() error {
	if b.c.gone() || b.c.w.diskDown {
		return gateway.ErrStorage
	}
	return nil
}

// Request see invoice.Book.
func (b bookOf) Request(_ context.Context, system, id string) (book.Request, error) {
	r, there := b.l.requests[[2]string{system, id}]
	if err := b.fit(); err != nil || there {
		return r, err
	}
	return r, gateway.ErrNotFound
}

// Subject see invoice.Book.
func (b bookOf) Subject(_ context.Context, id string) (book.Subject, error) {
	s, there := b.l.subjects[id]
	if err := b.fit(); err != nil || there {
		return s, err
	}
	return s, gateway.ErrNotFound
}

// DueSubjects see invoice.Book.
func (b bookOf) DueSubjects(_ context.Context, now time.Time, limit int) (ids []string, err error) {
	for _, id := range sorted(b.l.subjects) {
		if s := b.l.subjects[id]; !s.Due.IsZero() && !s.Due.After(now) && len(ids) < limit {
			ids = append(ids, id)
		}
	}
	return ids, b.fit()
}

// Bill see invoice.Book.
func (b bookOf) Bill(_ context.Context, id string) (book.Bill, error) {
	x, there := b.l.bills[id]
	if err := b.fit(); err != nil || there {
		return x.bill, err
	}
	return x.bill, gateway.ErrNotFound
}

// Bills see invoice.Book.
func (b bookOf) Bills(ctx context.Context, subject string) (out []book.Bill, err error) {
	for _, x := range b.l.list(func(x *book.Bill) bool { return x.Subject == subject }) {
		if !b.l.noLive || !x.bill.State.Live() || x.by == taskOf(ctx).id {
			out = append(out, x.bill)
		}
	}
	return out, b.fit()
}

// Marked see invoice.Book.
func (b bookOf) Marked(_ context.Context, mark string) (out []book.Bill, err error) {
	for _, id := range b.l.marks[mark] {
		out = append(out, b.l.bills[id].bill)
	}
	return out, b.fit()
}

// Events see invoice.Book.
func (b bookOf) Events(_ context.Context, id string) ([]book.Event, error) {
	return b.l.bills[id].events, b.fit()
}

// List see invoice.Book.
func (b bookOf) List(_ context.Context, q book.Query) (out []book.Bill, next int64, err error) {
	for _, x := range b.l.list(func(x *book.Bill) bool {
		return x.Institution == q.Institution && !x.Business.Before(q.From) && x.Business.Before(q.To)
	}) {
		if x.seq > q.After {
			out, next = append(out, x.bill), x.seq
		}
	}
	return out, next, b.fit()
}

// Moving see invoice.Book.
func (b bookOf) Moving(_ context.Context, after int64, limit int) (out []book.Brief, err error) {
	for _, x := range b.l.list(func(x *book.Bill) bool { return !x.Due.IsZero() }) {
		if x.seq > after && len(out) < limit {
			out = append(out, book.Brief{Seq: x.seq, ID: x.bill.ID, Lane: x.bill.Lane, Due: x.bill.Due})
		}
	}
	return out, b.fit()
}

// Before see invoice.Book.
func (b bookOf) Before(_ context.Context, lane, id string) (bool, error) {
	me := b.l.bills[id].seq
	return len(b.l.list(func(x *book.Bill) bool { return !x.Due.IsZero() && x.Lane == lane && b.l.bills[x.ID].seq < me })) > 0, b.fit()
}
