// Package review is where two people end what the gateway can not end by itself: one proposes a
// remedy with its evidence, a different one approves or rejects it, and only then is it carried out.
//
// The book is a list of entries in the journal, each under the next number, so it is as durable as
// the journal, sealed like it, moved with it, only grows, and works the same over every store. Two
// people who decide about the same thing write the same number: one of them has it, the other reads
// what it says and is told. Where a remedy is one event of a record (adopt, absent) the approval and
// the event are one write; a remedy that needs a message to the centre (reverse, undo) is carried
// out by whoever runs Run, and its end is an entry of its own.
//
// Who a person is, and that it is really that person, is the caller's business (Options.May is the
// place for roles). Here a person is a name that is not the other's name.
package review

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// What a person may be asked to be allowed; see Options.May.
const (
	MayPropose = gateway.ActReviewPropose
	MayDecide  = gateway.ActReviewDecide // approve or reject
)

// Options of a Book. Journal, Hand, Clock and Digest are required.
type Options struct {
	Journal gateway.Journal
	Hand    gateway.ByHand
	Clock   gateway.Clock
	Digest  func(parts ...[]byte) [32]byte
	// Life is how long a proposal waits for the second person. Default 24 h.
	Life time.Duration
	// Every is how often Run looks. Default 5 s.
	Every time.Duration
	// May refuses a person what it may not do; nil: everybody may everything. Its error is given to
	// the caller as it is. That two different people are needed holds in any case.
	May func(ctx context.Context, p gateway.Person, what gateway.Act) error
	// Sees tells whether a person works for an institution; what belongs to another is CodeNotFound.
	// nil: everybody works for all. Like May it is called with the book held: it must not call it.
	Sees func(ctx context.Context, p gateway.Person, i ident.Institution) (bool, error)
	Rand io.Reader // tells entries with the same content apart. Default: crypto/rand
	Log  *slog.Logger
}

// Book is the list of proposals. Safe for concurrent use; several, in several processes, may share
// one journal. Errors are *gateway.Error: CodeReviewTaken when somebody else was faster or decided
// already, CodeSecondPerson when it needs another person, CodeNotFound, CodeRequestInvalid,
// CodeState, CodeStorage; after CodeStorage it may have been written: repeat the call.
type Book struct {
	o Options

	mu    sync.Mutex
	read  int
	items map[int]*Proposal
	open  map[string]int // subject -> the proposal that is proposed or approved
}

// New checks the options. It reads nothing yet and starts nothing.
func New(o Options) (*Book, error) {
	if o.Journal == nil || o.Hand == nil || o.Clock == nil || o.Digest == nil {
		return nil, errors.New("review: journal, hand, clock and digest are required")
	}
	if o.Life <= 0 {
		o.Life = 24 * time.Hour
	}
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	if o.May == nil {
		o.May = func(context.Context, gateway.Person, gateway.Act) error { return nil }
	}
	if o.Sees == nil {
		o.Sees = func(context.Context, gateway.Person, ident.Institution) (bool, error) { return true, nil }
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Book{o: o, items: map[int]*Proposal{}, open: map[string]int{}}, nil
}

const op = "review"

// Draft is what somebody proposes: about a record, or, with From, what a suggestion says.
type Draft struct {
	Record   ident.MsgID          `json:"record,omitempty"`
	From     int                  `json:"from,omitempty"` // number of a suggestion
	Decision gateway.HandDecision `json:"decision"`       // members that are missing are taken from the suggestion
	Why      string               `json:"why"`            // for the second person to read
}

// Propose enters a proposal. It is refused when it could not be carried out now (evidence missing,
// record not parked), and with CodeReviewTaken when there is an open one about the same thing.
func (b *Book) Propose(ctx context.Context, by gateway.Person, d Draft) (Proposal, error) {
	if err := b.may(ctx, by, MayPropose); err != nil {
		return Proposal{}, err
	}
	if err := words(d); err != nil {
		return Proposal{}, err
	}
	return b.put(ctx, func(n int) (event, error) {
		s, dec, err := b.subject(d)
		if err != nil {
			return event{}, err
		}
		if p := b.items[b.open[subjectKey(s)]]; p != nil && !expired(p, b.o.Clock.Now()) {
			return event{}, taken(p)
		}
		e := event{Do: doPropose, No: n, At: b.o.Clock.Now(), By: by, Subject: &s, Decision: &dec, Why: d.Why, From: d.From}
		e.Expires = e.At.Add(b.o.Life)
		return e, b.checkRecord(ctx, by, e.Subject, dec)
	})
}

// subject is what a draft is about; mu is held.
func (b *Book) subject(d Draft) (Subject, gateway.HandDecision, error) {
	if d.From == 0 {
		return Subject{Kind: KindRecord, ID: string(d.Record)}, d.Decision, nil
	}
	s := b.items[d.From]
	switch {
	case s == nil:
		return Subject{}, d.Decision, &gateway.Error{Code: gateway.CodeNotFound, Op: op, Path: "/from"}
	case s.State == Taken:
		if to := b.items[s.To]; !over(to, b.o.Clock.Now()) {
			return Subject{}, d.Decision, taken(to)
		}
	case s.State != Suggested:
		return Subject{}, d.Decision, &gateway.Error{Code: gateway.CodeState, Op: op, Path: "/from", Detail: "not a suggestion: " + string(s.State)}
	}
	return s.Subject, merged(s.Decision, d.Decision), nil
}

// merged is a decision with what is missing taken from a suggestion.
func merged(s, d gateway.HandDecision) gateway.HandDecision {
	if d.Do == "" {
		d.Do = s.Do
	}
	if d.Do != s.Do {
		return d
	}
	if d.Proof == "" {
		d.Proof = s.Proof
	}
	if d.Source == "" {
		d.Source = s.Source
	}
	shown := map[string]any{}
	for _, m := range []map[string]any{s.Shown, d.Shown} {
		for k, v := range m {
			shown[k] = v
		}
	}
	if len(shown) > 0 {
		d.Shown = shown
	}
	return d
}

// checkRecord fills in what is known of a subject and refuses what could not be carried out.
func (b *Book) checkRecord(ctx context.Context, by gateway.Person, s *Subject, d gateway.HandDecision) error {
	if s.Kind != KindRecord {
		if err := b.sees(ctx, by, s.Institution); err != nil {
			return err
		}
		if d.Do == "" || strings.TrimSpace(d.Source) == "" {
			return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/decision/source", Rule: "what was done and where it can be looked up"}
		}
		return nil
	}
	rec, _, err := b.o.Hand.HandChoices(ctx, ident.MsgID(s.ID))
	if err != nil {
		return err
	}
	s.Institution, s.Infno, s.Bill = rec.Institution, rec.Infno, rec.Bill
	if err := b.sees(ctx, by, s.Institution); err != nil {
		return err
	}
	return b.o.Hand.HandCheck(ctx, ident.MsgID(s.ID), d)
}

// Approve is the second person's yes. What is one event of a record is done when it returns; what
// needs a message to the centre is carried out by Run. The same person's second yes gives what
// became of the first. When the record has moved on meanwhile the proposal fails, with CodeState.
func (b *Book) Approve(ctx context.Context, by gateway.Person, no int, why string) (Proposal, error) {
	if err := b.may(ctx, by, MayDecide); err != nil {
		return Proposal{}, err
	}
	for range tries {
		p, n, err := b.undecided(ctx, by, no)
		if err != nil || p.Decided != nil {
			return p, err
		}
		if same(p.Proposed.By, by) {
			return p, &gateway.Error{Code: gateway.CodeSecondPerson, Op: op, Ref: ref(&p)}
		}
		e := event{Do: doApprove, No: no, At: b.o.Clock.Now(), By: by, Why: why}
		err = b.carryOut(ctx, p, e, n)
		switch {
		case errors.Is(err, gateway.ErrConflict):
			continue
		case isCode(err, gateway.CodeState):
			now, failed := b.fail(ctx, no, by, "the record has moved on", "")
			switch {
			case failed != nil:
				return p, failed
			case now.State != Failed: // it was another approval that moved it
				return now, taken(&now)
			}
			return now, err
		case err != nil:
			return p, err
		}
		return b.Show(ctx, no)
	}
	return Proposal{}, busy()
}

// carryOut writes an approval together with what it leads to, as far as that is one write.
func (b *Book) carryOut(ctx context.Context, p Proposal, e event, n int) error {
	d := p.Decision
	d.Note = strings.TrimSpace(fmt.Sprintf("review %d %s", p.No, d.Note))
	id := ident.MsgID(p.Subject.ID)
	switch {
	case p.Subject.Kind != KindRecord:
		e.Ended, e.Outcome = true, "noted"
	case d.Do == gateway.HandAdopt || d.Do == gateway.HandAbsent:
		e.Ended, e.Outcome = true, string(d.Do)
		entry, err := b.entry(n, e)
		if err != nil {
			return err
		}
		_, err = b.o.Hand.HandEnd(ctx, id, d, entry)
		return err
	default:
		if err := b.o.Hand.HandCheck(ctx, id, d); err != nil {
			return err
		}
	}
	return b.write(ctx, n, e)
}

// Reject is the no of whoever may decide, or of the person who proposed: that one takes back its own, which
// needs no more than to be allowed to propose. why must be given.
func (b *Book) Reject(ctx context.Context, by gateway.Person, no int, why string) (Proposal, error) {
	what := MayDecide
	if p, err := b.Show(ctx, no); err == nil && p.State != Suggested && same(p.Proposed.By, by) {
		what = MayPropose
	} else if err != nil && !isCode(err, gateway.CodeNotFound) {
		return Proposal{}, err
	}
	if err := b.may(ctx, by, what); err != nil {
		return Proposal{}, err
	}
	if strings.TrimSpace(why) == "" {
		return Proposal{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/why", Rule: "why"}
	}
	for range tries {
		p, n, err := b.undecided(ctx, by, no)
		if err != nil || p.Decided != nil {
			return p, err
		}
		err = b.write(ctx, n, event{Do: doReject, No: no, At: b.o.Clock.Now(), By: by, Why: why})
		if errors.Is(err, gateway.ErrConflict) {
			continue
		}
		if err != nil {
			return p, err
		}
		return b.Show(ctx, no)
	}
	return Proposal{}, busy()
}

// undecided gives a proposal that waits for its second person, and the number of the next entry. A
// proposal that by itself has decided about comes with Decided set and no error.
func (b *Book) undecided(ctx context.Context, by gateway.Person, no int) (Proposal, int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(ctx); err != nil {
		return Proposal{}, 0, err
	}
	p := b.items[no]
	if p == nil {
		return Proposal{}, 0, notThere(no)
	}
	if err := b.sees(ctx, by, p.Subject.Institution); isCode(err, gateway.CodeNotFound) {
		return Proposal{}, 0, notThere(no)
	} else if err != nil {
		return Proposal{}, 0, err
	}
	now := b.o.Clock.Now()
	c := asAt(p, now)
	switch {
	case c.State == Suggested:
		return c, 0, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: ref(&c), Detail: "a suggestion is proposed by a person first"}
	case c.State == Expired:
		return c, 0, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: ref(&c), Detail: "expired; propose it anew"}
	case p.Decided != nil && same(p.Decided.By, by):
		return c, 0, nil
	case c.State != Proposed:
		return c, 0, taken(p)
	}
	return c, b.read + 1, nil
}

// taken tells the second of two what the first has done.
func taken(p *Proposal) error {
	m := p.Proposed
	if p.Decided != nil {
		m = *p.Decided
	}
	name := m.By.Name
	if name == "" {
		name = m.By.ID
	}
	return &gateway.Error{Code: gateway.CodeReviewTaken, Op: op, Ref: ref(p),
		Detail: fmt.Sprintf("%d: %s, %s, %s", p.No, p.State, name, m.At.In(gateway.China).Format(time.DateTime))}
}

func busy() error { return &gateway.Error{Code: gateway.CodeRequestInProgress, Op: op} }

func isCode(err error, c gateway.Code) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == c
}

func (b *Book) may(ctx context.Context, p gateway.Person, what gateway.Act) error {
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: path, Rule: rule}
	}
	if n := len([]rune(p.ID)); n < 1 || n > 64 || strings.IndexFunc(p.ID, strange) >= 0 {
		return bad("/by/id", "1-64: A-Z a-z 0-9 . _ - @ 汉字")
	}
	if len([]rune(p.Name)) > 50 || strings.IndexFunc(p.Name, unicode.IsControl) >= 0 {
		return bad("/by/name", "长度<=50")
	}
	return b.o.May(ctx, p, what)
}

// notThere is the one answer about a proposal that is not there and one that is another's.
func notThere(no int) error {
	return &gateway.Error{Code: gateway.CodeNotFound, Op: op, Detail: fmt.Sprint(no)}
}

// sees is CodeNotFound for a person that does not work for an institution.
func (b *Book) sees(ctx context.Context, p gateway.Person, i ident.Institution) error {
	ok, err := b.o.Sees(ctx, p, i)
	if err == nil && !ok {
		err = &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	}
	return err
}

// strange letters would let one person have two names that look the same.
func strange(r rune) bool {
	ascii := r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-@", r))
	return !ascii && !unicode.Is(unicode.Han, r)
}

// same reports whether two persons are one; large and small letters are the same.
func same(a, b gateway.Person) bool { return strings.EqualFold(a.ID, b.ID) }

// most characters of what people write.
const mostWords = 500

func words(d Draft) error {
	bad := func(path string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: path, Rule: fmt.Sprintf("1-%d", mostWords)}
	}
	if n := len([]rune(strings.TrimSpace(d.Why))); n == 0 || n > mostWords {
		return bad("/why")
	}
	if len([]rune(d.Decision.Source)) > mostWords {
		return bad("/decision/source")
	}
	if d.Decision.Note != "" {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/decision/note", Rule: "why"}
	}
	return nil
}

func (b *Book) nonce() (string, error) {
	var n [8]byte
	_, err := io.ReadFull(b.o.Rand, n[:])
	return hex.EncodeToString(n[:]), err
}
