package recon

import (
	"cmp"
	"slices"

	"yiqiao/schemas/money"
)

// Shift is what one cashier did on a day, for closing the drawer: cash is what must be in it.
type Shift struct {
	Operator string    `json:"operator"`
	Name     string    `json:"name,omitempty"`
	Settled  Amounts   `json:"settled"`
	Undone   Amounts   `json:"undone"` // negative
	Net      Amounts   `json:"net"`    // count: settled and undone rows together
	CashIn   money.Fen `json:"cash_in"`
	CashOut  money.Fen `json:"cash_out"` // negative
	Cash     money.Fen `json:"cash"`
	Open     int       `json:"open"` // outcome not known: neither settled nor not
	First    string    `json:"first,omitempty"`
	Last     string    `json:"last,omitempty"`
}

// shifts sums a day up by cashier, in the order of their numbers. What was reversed does not count.
func shifts(b *book, day string) []Shift {
	by := map[string]*Shift{}
	of := func(id, name string) *Shift {
		if by[id] == nil {
			by[id] = &Shift{Operator: id}
		}
		by[id].Name = orElse(by[id].Name, name)
		return by[id]
	}
	for _, r := range b.rows {
		if r.day != day {
			continue
		}
		s := of(r.rec.Operator.ID, r.rec.FullOperator().Name)
		if r.kind == undoes {
			s.Undone, s.CashOut = s.Undone.plus(r.amounts), s.CashOut+r.cash
		} else {
			s.Settled, s.CashIn = s.Settled.plus(r.amounts), s.CashIn+r.cash
		}
		at := clockOf(r.rec.CreatedAt)
		if s.First == "" || at < s.First {
			s.First = at
		}
		s.Last = max(s.Last, at)
	}
	for _, rec := range b.waiting {
		if dayOf(rec.CreatedAt) == day {
			of(rec.Operator.ID, rec.FullOperator().Name).Open++
		}
	}
	list := make([]Shift, 0, len(by))
	for _, s := range by {
		s.Net, s.Cash = s.Settled.plus(s.Undone), s.CashIn+s.CashOut
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Shift) int { return cmp.Compare(a.Operator, b.Operator) })
	return list
}
