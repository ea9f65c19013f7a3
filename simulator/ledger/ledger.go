// Package ledger is the simulated centre's double-entry book. Every movement of money is a posting
// whose lines add up to zero; balances follow from postings and from nothing else, and Check
// proves it.
package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"yiqiao/schemas/money"
)

// Kind of account.
type Kind string

const (
	Person    Kind = "person"   // personal account of an insured person; what it holds
	Fund      Kind = "fund"     // pool by fund_pay_type; minus what it paid
	Hospital  Kind = "hospital" // what an institution has earned
	Cash      Kind = "cash"     // minus what the person paid at the desk, by institution
	Waived    Kind = "waived"   // minus what the institution bears itself
	Outside   Kind = "outside"  // where opening balances come from
	openingID      = "opening"
)

// Account names one account.
type Account struct {
	Kind Kind
	ID   string
}

// Line moves Amount (fen, either sign) onto an account.
type Line struct {
	Account Account
	Amount  money.Fen
}

// Posting is a set of lines that add up to zero.
type Posting struct {
	Ref   string // what it belongs to, e.g. a setl_id
	Why   string
	Lines []Line
}

var (
	ErrUnbalanced = errors.New("ledger: posting does not add up to zero")
	ErrOverdrawn  = errors.New("ledger: a personal account would fall below zero")
	ErrRange      = errors.New("ledger: amount out of range")
	ErrBroken     = errors.New("ledger: balances do not follow from the postings")
)

// Ledger holds accounts and postings. It is not safe for concurrent use; its owner locks.
type Ledger struct {
	balance  map[Account]money.Fen
	postings []Posting
}

// New gives an empty ledger.
func New() *Ledger { return &Ledger{balance: map[Account]money.Fen{}} }

// Open gives a personal account its first balance (fen, not below zero).
func (l *Ledger) Open(person string, amount money.Fen) error {
	return l.Post(Posting{Ref: person, Why: "opening", Lines: []Line{
		{Account{Person, person}, amount}, {Account{Outside, openingID}, -amount},
	}})
}

// Post books p whole or not at all. Lines of zero are left out.
func (l *Ledger) Post(p Posting) error {
	kept := make([]Line, 0, len(p.Lines))
	var sum money.Fen
	for _, line := range p.Lines {
		if line.Amount == 0 {
			continue
		}
		if line.Amount > money.MaxFen || line.Amount < -money.MaxFen {
			return ErrRange
		}
		sum += line.Amount
		kept = append(kept, line)
	}
	if sum != 0 {
		return ErrUnbalanced
	}
	for i, line := range kept {
		after := l.balance[line.Account]
		for _, same := range kept[:i+1] {
			if same.Account == line.Account {
				after += same.Amount
			}
		}
		if after > money.MaxFen || after < -money.MaxFen {
			return ErrRange
		}
		if line.Account.Kind == Person && after < 0 {
			return ErrOverdrawn
		}
	}
	for _, line := range kept {
		l.balance[line.Account] += line.Amount
	}
	p.Lines = kept
	l.postings = append(l.postings, p)
	return nil
}

// Negated gives the posting that takes p back.
func (p Posting) Negated(ref, why string) Posting {
	n := Posting{Ref: ref, Why: why, Lines: make([]Line, len(p.Lines))}
	for i, line := range p.Lines {
		n.Lines[i] = Line{line.Account, -line.Amount}
	}
	return n
}

// Balance of one account; an account never posted to has zero.
func (l *Ledger) Balance(a Account) money.Fen { return l.balance[a] }

// Totals sums the balances by kind.
func (l *Ledger) Totals() map[Kind]money.Fen {
	out := map[Kind]money.Fen{}
	for a, amount := range l.balance {
		out[a.Kind] += amount
	}
	return out
}

// Accounts lists the accounts with a balance other than zero, sorted.
func (l *Ledger) Accounts() []Line {
	out := make([]Line, 0, len(l.balance))
	for a, amount := range l.balance {
		if amount != 0 {
			out = append(out, Line{a, amount})
		}
	}
	slices.SortFunc(out, func(a, b Line) int {
		if a.Account.Kind != b.Account.Kind {
			return cmp.Compare(a.Account.Kind, b.Account.Kind)
		}
		return cmp.Compare(a.Account.ID, b.Account.ID)
	})
	return out
}

// Postings counts what was booked.
func (l *Ledger) Postings() int { return len(l.postings) }

// Check recomputes every balance from the postings and proves that each posting adds up to zero,
// that nobody's personal account is below zero and that nothing else moved.
func (l *Ledger) Check() error {
	again := map[Account]money.Fen{}
	for _, p := range l.postings {
		var sum money.Fen
		for _, line := range p.Lines {
			sum += line.Amount
			again[line.Account] += line.Amount
		}
		if sum != 0 {
			return fmt.Errorf("%w: %s", ErrUnbalanced, p.Ref)
		}
	}
	var total money.Fen
	for a, amount := range l.balance {
		total += amount
		if a.Kind == Person && amount < 0 {
			return fmt.Errorf("%w: %s", ErrOverdrawn, a.ID)
		}
	}
	if total != 0 || !maps.Equal(again, l.balance) {
		return ErrBroken
	}
	return nil
}
