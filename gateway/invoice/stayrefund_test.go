package invoice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// ward is a stay with a settlement at its end and two in its middle, each with a bill, and one refund of all three.
type ward struct {
	*town
	undone   []string // by the refund, in order
	answered bool
	killAt   int // the process dies after so many were undone; 0: not
}

var ofStay = []string{"S1", "S1M3", "S1M2"} // the latest first

func newWard(t *testing.T, order string) *ward {
	w := &ward{town: newTown(t, order)}
	for i, id := range slices.Backward(ofStay) {
		w.settled(id, money.Fen(100*(i+1)), "p")
		if e, err := w.issue(id); err != nil || e.State != gateway.InvoiceIssued {
			t.Fatalf("%s: %+v %v", id, e, err)
		}
	}
	return w
}

// about is what the counter says the refund is about.
func (w *ward) about(context.Context) (next, all []string, err error) {
	for _, id := range ofStay {
		if w.charged.list[id].revision > 0 && !w.answered {
			next = append(next, id)
		}
	}
	return next, append(slices.Clone(next), w.undone...), nil
}

func (w *ward) back() error {
	_, err := refund(bg, w.office, his, 'S', "S1", "R", w.about, func(context.Context) (int, error) {
		w.charged.mu.Lock()
		defer w.charged.mu.Unlock()
		for _, id := range ofStay {
			if x := w.charged.list[id]; x.revision > 0 {
				x.revision = 0
				w.undone = append(w.undone, id)
				if w.killAt == len(w.undone) {
					w.killAt = 0
					panic(killed{})
				}
			}
		}
		w.answered = true
		return 0, nil
	})
	return err
}

// reds are the subjects whose bills were reversed, in the order of the reversals.
func (w *ward) reds(t *testing.T) string {
	t.Helper()
	type red struct {
		id string
		at int64
	}
	var list []red
	for _, id := range ofStay {
		events, err := w.book.Events(bg, id+"_1")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if e.Kind == "reversed" {
				list = append(list, red{id, e.At.UnixMilli()})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b red) int { return int(a.at - b.at) })
	var out []string
	for _, r := range list {
		out = append(out, r.id)
	}
	return strings.Join(out, " ")
}

// A refund of several settlements of a stay takes their bills along in the order in which they are undone.
func TestRefundOfSeveral(t *testing.T) {
	for _, order := range []string{RedFirst, InsuranceFirst} {
		w := newWard(t, order)
		w.platform.fault = func(call string) string {
			if call == "reverse" {
				w.clock.Advance(1e9) // they take time
				if gone := len(w.undone) > 0; gone != (order == InsuranceFirst) {
					t.Errorf("%s: a bill is reversed when %v are undone", order, w.undone)
				}
			}
			return ""
		}
		if err := w.back(); err != nil {
			t.Fatal(err)
		}
		if got := w.reds(t); got != strings.Join(ofStay, " ") {
			t.Errorf("%s: reversed in the order %s", order, got)
		}
		w.calm()
		w.check(map[string]bool{"S1": true, "S1M2": true, "S1M3": true})
	}
}

// The process dies at any call of the refund, and somebody repeats it or nobody does: each settlement that stands has
// its bill in the end, and what was undone has none.
func TestRefundOfSeveralKilled(t *testing.T) {
	for _, order := range []string{RedFirst, InsuranceFirst} {
		for _, how := range []string{"kill-before", "kill-after", "undone"} {
			for n := 1; ; n++ {
				died := false
				for _, repeated := range []bool{true, false} {
					w := newWard(t, order)
					calls := 0
					if how == "undone" {
						w.killAt = n
					} else {
						w.platform.fault = func(string) string {
							if calls++; calls == n {
								return how
							}
							return ""
						}
					}
					var err error
					alive := w.run(func() { err = w.back() })
					died = died || !alive
					if alive && err != nil {
						t.Fatal(err)
					}
					for i := 0; repeated && !w.answered; i++ {
						if err = w.back(); err != nil && i > 20 {
							t.Fatalf("%s, %s at %d: %v", order, how, n, err)
						}
						w.clock.Advance(30e9)
					}
					w.calm()
					w.check(map[string]bool{"S1": true, "S1M2": true, "S1M3": true})
					if t.Failed() {
						t.Fatalf("%s, %s at %d, repeated %v", order, how, n, repeated)
					}
				}
				if !died {
					if n < 3 {
						t.Fatalf("%s, %s: it never died", order, how)
					}
					break
				}
			}
		}
	}
}

// One bill that was handed in for reimbursement keeps all of them, with the bill first.
func TestRefundOfSeveralPosted(t *testing.T) {
	w := newWard(t, RedFirst)
	w.platform.bills["S1M2_1"].posted = true
	made := len(w.platform.bills)
	if err := w.back(); !is(err, gateway.CodeInvoicePosted) || len(w.undone) > 0 {
		t.Fatalf("%v, undone %v", err, w.undone)
	}
	w.calm()
	w.check(map[string]bool{"S1": true, "S1M2": true, "S1M3": true})
	if len(w.platform.bills) != made {
		t.Error("a bill was reversed and made anew")
	}
	// It is found out only on the way: what was reversed before gets a bill again.
	w.platform.fault = func(call string) string {
		if call == "reverse" {
			w.platform.bills["S1M2_1"].posted = true
		}
		return ""
	}
	w.platform.bills["S1M2_1"].posted = false
	if err := w.back(); !is(err, gateway.CodeInvoicePosted) || len(w.undone) > 0 {
		t.Fatalf("%v, undone %v", err, w.undone)
	}
	for _, id := range ofStay { // at once, not when the hold runs out
		if s, err := w.book.Subject(bg, id); err != nil || s.Hold != "" {
			t.Errorf("%+v %v", s, err)
		}
	}
	w.calm()
	w.check(map[string]bool{"S1": true, "S1M2": true, "S1M3": true})
	w.platform.bills["S1M2_1"].posted = false
	if err := w.back(); err != nil {
		t.Fatal(err)
	}
	w.calm()
	w.check(map[string]bool{"S1": true, "S1M2": true, "S1M3": true})
	if fmt.Sprint(w.undone) != fmt.Sprint(ofStay) {
		t.Errorf("%v", w.undone)
	}
}
