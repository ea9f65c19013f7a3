package review

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// tries is how often a call begins anew because somebody else wrote an entry in between.
const tries = 50

func key(n int) gateway.RequestKey {
	return gateway.RequestKey{System: gateway.OwnSystem, ID: fmt.Sprintf("review:entry:%09d", n)}
}

// refresh reads the entries written since the last time; mu is held.
func (b *Book) refresh(ctx context.Context) error {
	for {
		req, err := b.o.Journal.Request(ctx, key(b.read+1))
		if errors.Is(err, gateway.ErrNotFound) {
			return nil
		}
		if errors.Is(err, gateway.ErrExpired) { // its time to be kept is over
			b.read++
			continue
		}
		if err != nil {
			return &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
		}
		b.read++
		var e event
		dec := json.NewDecoder(bytes.NewReader(req.Answer))
		dec.UseNumber()
		if err := dec.Decode(&e); err != nil {
			b.o.Log.Error("entry of the book not readable", "number", b.read)
			continue
		}
		b.fold(b.read, e)
	}
}

// entry is what makes an event the n-th of the book.
func (b *Book) entry(n int, e event) (gateway.Entry, error) {
	var err error
	if e.Nonce, err = b.nonce(); err != nil {
		return gateway.Entry{}, &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	body, err := json.Marshal(e)
	if err != nil {
		return gateway.Entry{}, &gateway.Error{Code: gateway.CodeInternal, Op: op, Err: err}
	}
	r := &gateway.Request{Key: key(n), Digest: b.o.Digest([]byte("review"), body), Op: "review." + e.Do, CreatedAt: e.At,
		Answer: body, AnsweredAt: e.At, Told: true}
	if e.Subject != nil {
		r.Institution = e.Subject.Institution
	}
	return gateway.Entry{Request: r}, nil
}

// write makes an event the n-th; gateway.ErrConflict when there is one already.
func (b *Book) write(ctx context.Context, n int, e event) error {
	entry, err := b.entry(n, e)
	if err != nil {
		return err
	}
	existing, err := b.o.Journal.Write(ctx, entry)
	switch {
	case existing != nil, errors.Is(err, gateway.ErrConflict):
		return gateway.ErrConflict
	case err != nil:
		return &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
	}
	return nil
}

// put writes the event that build makes as the next one and gives the proposal it is about. build
// is called with mu held and the book as new as can be, again when somebody else was faster. An
// event without Do writes nothing.
func (b *Book) put(ctx context.Context, build func(n int) (event, error)) (Proposal, error) {
	for range tries {
		b.mu.Lock()
		if err := b.refresh(ctx); err != nil {
			b.mu.Unlock()
			return Proposal{}, err
		}
		n := b.read + 1
		e, err := build(n)
		b.mu.Unlock()
		if err != nil {
			return Proposal{}, err
		}
		if e.Do != "" {
			if err := b.write(ctx, n, e); errors.Is(err, gateway.ErrConflict) {
				continue
			} else if err != nil {
				return Proposal{}, err
			}
		}
		return b.Show(ctx, e.No)
	}
	return Proposal{}, busy()
}

// Show gives one proposal as it stands now.
func (b *Book) Show(ctx context.Context, no int) (Proposal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(ctx); err != nil {
		return Proposal{}, err
	}
	p := b.items[no]
	if p == nil {
		return Proposal{}, notThere(no)
	}
	return asAt(p, b.o.Clock.Now()), nil
}

// List gives the proposals in the given states, all without any, in the order they were made.
func (b *Book) List(ctx context.Context, states ...State) ([]Proposal, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.refresh(ctx); err != nil {
		return nil, err
	}
	now := b.o.Clock.Now()
	list := []Proposal{}
	for _, p := range b.items {
		if c := asAt(p, now); len(states) == 0 || slices.Contains(states, c.State) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(x, y Proposal) int { return x.No - y.No })
	return list, nil
}

// Waiting is a parked record, and what may be decided about it.
type Waiting struct {
	Record  gateway.Record       `json:"-"`
	Choices []gateway.HandChoice `json:"choices"`
	Open    int                  `json:"open,omitempty"` // the proposal that is under way about it
}

// mostWaiting bounds what Waiting lists.
const mostWaiting = 1000

// Waiting lists the parked records of an institution, of all for "", oldest first, without their bodies.
func (b *Book) Waiting(ctx context.Context, of ident.Institution) ([]Waiting, error) {
	recs, err := b.o.Journal.List(ctx, gateway.Query{Institution: of, States: []gateway.State{gateway.StateParked}, Brief: true, Limit: mostWaiting})
	if err != nil {
		return nil, &gateway.Error{Code: gateway.CodeStorage, Op: op, Err: err}
	}
	if _, err := b.List(ctx, Proposed); err != nil {
		return nil, err
	}
	now := b.o.Clock.Now()
	list := []Waiting{}
	for _, rec := range recs {
		_, choices, err := b.o.Hand.HandChoices(ctx, rec.ID)
		if err != nil && !isCode(err, gateway.CodeInstitution) && !isCode(err, gateway.CodeInfnoUnknown) {
			return list, err
		}
		w := Waiting{Record: rec, Choices: choices}
		b.mu.Lock()
		if p := b.items[b.open[subjectKey(Subject{Kind: KindRecord, ID: string(rec.ID)})]]; p != nil && !expired(p, now) {
			w.Open = p.No
		}
		b.mu.Unlock()
		list = append(list, w)
	}
	return list, nil
}

// Suggestion is what a program proposes. It never counts as a person's proposal.
type Suggestion struct {
	Subject  Subject
	Decision gateway.HandDecision
	Why      string
}

// Suggest enters suggestions, except those about which there is one already, or about which people
// have proposed or decided the same before. It tells how many were new.
func (b *Book) Suggest(ctx context.Context, by gateway.Person, list []Suggestion) (int, error) {
	fresh := 0
	for _, s := range list {
		wrote := false
		_, err := b.put(ctx, func(n int) (event, error) {
			if wrote = !b.said(s); !wrote {
				return event{No: b.of(s)}, nil
			}
			return event{Do: doSuggest, No: n, At: b.o.Clock.Now(), By: by, Subject: &s.Subject, Decision: &s.Decision, Why: s.Why}, nil
		})
		if err != nil {
			return fresh, err
		}
		if wrote {
			fresh++
		}
	}
	return fresh, nil
}

func (b *Book) said(s Suggestion) bool { return b.of(s) != 0 }

// of is the proposal or suggestion that makes a suggestion needless, or 0; mu is held.
func (b *Book) of(s Suggestion) int {
	for no, p := range b.items {
		if subjectKey(p.Subject) == subjectKey(s.Subject) && (p.State == Suggested || p.State == Taken || p.Decision.Do == s.Decision.Do) {
			return no
		}
	}
	return 0
}

// Work carries out what was approved, as far as that goes now. It may be called by several processes.
func (b *Book) Work(ctx context.Context) error {
	list, err := b.List(ctx, Approved)
	if err != nil {
		return err
	}
	var all error
	for _, p := range list {
		d := p.Decision
		d.Note = fmt.Sprintf("review %d", p.No)
		g, err := b.o.Hand.HandTakeBack(ctx, ident.MsgID(p.Subject.ID), d, p.Decided.At)
		switch {
		case err != nil:
			all = errors.Join(all, err)
		case g.Done:
			_, err = b.put(ctx, func(int) (event, error) {
				return b.ending(p.No, event{Do: doApply, No: p.No, At: b.o.Clock.Now(), By: program, Outcome: string(g.Record.State), Try: g.Try})
			})
			all = errors.Join(all, err)
		case g.Failed != "":
			_, err = b.fail(ctx, p.No, program, g.Failed, g.Try)
			all = errors.Join(all, err)
		}
	}
	return all
}

// program is who carries out.
var program = gateway.Person{ID: gateway.OwnSystem, Name: "医桥"}

// ending is e unless the proposal has ended meanwhile; mu is held.
func (b *Book) ending(no int, e event) (event, error) {
	if p := b.items[no]; p == nil || p.State != Approved && !(e.Do == doFail && p.State == Proposed) {
		return event{No: no}, nil
	}
	return e, nil
}

func (b *Book) fail(ctx context.Context, no int, by gateway.Person, why string, try ident.MsgID) (Proposal, error) {
	return b.put(ctx, func(int) (event, error) {
		return b.ending(no, event{Do: doFail, No: no, At: b.o.Clock.Now(), By: by, Outcome: why, Try: try})
	})
}

// Run carries out what is approved until ctx ends. It starts nothing and returns nil.
func (b *Book) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := b.Work(ctx); err != nil && ctx.Err() == nil {
			b.o.Log.Error("remedies not carried out", "err", err.Error())
		}
		if b.o.Clock.Sleep(ctx, b.o.Every) != nil {
			break
		}
	}
	return nil
}
