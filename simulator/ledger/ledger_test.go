package ledger

import (
	"errors"
	"math/rand/v2"
	"testing"

	"yiqiao/schemas/money"
)

func TestPostRefuses(t *testing.T) {
	a, fund := Account{Person, "a"}, Account{Fund, "310100"}
	l := New()
	if err := l.Open("a", 100); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		lines []Line
		want  error
	}{
		{"unbalanced", []Line{{a, 1}}, ErrUnbalanced},
		{"overdrawn", []Line{{a, -101}, {fund, 101}}, ErrOverdrawn},
		{"overdrawn in two lines", []Line{{a, -60}, {a, -60}, {fund, 120}}, ErrOverdrawn},
		{"too large", []Line{{a, money.MaxFen + 1}, {fund, -money.MaxFen - 1}}, ErrRange},
		{"too large together", []Line{{a, money.MaxFen}, {fund, -money.MaxFen}}, ErrRange},
	}
	for _, c := range cases {
		if err := l.Post(Posting{Lines: c.lines}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if l.Balance(a) != 100 || l.Balance(fund) != 0 || l.Postings() != 1 {
			t.Fatalf("%s: a refused posting moved money", c.name)
		}
	}
	if err := l.Open("b", -1); !errors.Is(err, ErrOverdrawn) {
		t.Errorf("negative opening: %v", err)
	}
}

func TestCheckFindsTampering(t *testing.T) {
	l := New()
	if err := l.Open("a", 100); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	l.balance[Account{Person, "a"}]++
	if err := l.Check(); !errors.Is(err, ErrBroken) {
		t.Errorf("one fen too much went unnoticed: %v", err)
	}
	l.balance[Account{Outside, openingID}]--
	if err := l.Check(); !errors.Is(err, ErrBroken) {
		t.Errorf("two balances changed in step went unnoticed: %v", err)
	}
}

func TestNegatedRestores(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := New()
	for _, id := range []string{"a", "b", "c"} {
		if err := l.Open(id, 10_000); err != nil {
			t.Fatal(err)
		}
	}
	for range 500 {
		before := l.Accounts()
		x, y := money.Fen(r.IntN(100)), money.Fen(r.IntN(1000))
		p := Posting{Ref: "s", Lines: []Line{
			{Account{Person, []string{"a", "b", "c"}[r.IntN(3)]}, -x}, {Account{Fund, "310100"}, -y}, {Account{Hospital, "h"}, x + y},
		}}
		if err := l.Post(p); err != nil {
			t.Fatal(err)
		}
		if err := l.Post(p.Negated("u", "undo")); err != nil {
			t.Fatal(err)
		}
		after := l.Accounts()
		if len(before) != len(after) {
			t.Fatal("an account stayed behind")
		}
		for i := range before {
			if before[i] != after[i] {
				t.Fatalf("%v became %v", before[i], after[i])
			}
		}
	}
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	if sum := l.Totals(); sum[Person] != 30_000 || sum[Outside] != -30_000 {
		t.Errorf("totals %v", sum)
	}
}
