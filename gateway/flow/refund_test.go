package flow

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func TestRefundOfSettled(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	if _, err := b.confirm("c1", s); err != nil {
		t.Fatal(err)
	}
	got, err := b.refund("x1", s)
	if err != nil || got.State != gateway.BillRefunded {
		t.Fatalf("%+v %v", got, err)
	}
	wantNumbers(t, b.numbers()[6:], "2208", "2205", "2202")
	if again, err := b.refund("x1", s); err != nil || again.State != gateway.BillRefunded {
		t.Errorf("again: %+v %v", again, err)
	}
	if _, err := b.refund("x2", s); codeOf(err) != gateway.CodeState {
		t.Errorf("another refund: %v", err)
	}
	if _, err := b.confirm("c2", s); codeOf(err) != gateway.CodeState {
		t.Errorf("confirm after refund: %v", err)
	}
	if n := len(b.town.standing("")); n != 0 {
		t.Errorf("%d settlements stand", n)
	}
}

func TestRefundWithLostAnswers(t *testing.T) {
	for _, n := range []ident.Infno{"2208", "2205", "2202"} {
		for _, m := range []mode{lostOut, lostBack, notSent, delayed} {
			b := newBench(t, askingRegion())
			s := b.open("r1", 1)
			if _, err := b.confirm("c1", s); err != nil {
				t.Fatal(err)
			}
			b.town.fault = on(n, 1, m)
			for i := 0; i < 6; i++ {
				got, err := b.refund("x1", s)
				if err == nil {
					if got.State != gateway.BillRefunded {
						t.Errorf("%s mode %d: %+v", n, m, got)
					}
					break
				}
				if i == 5 {
					t.Errorf("%s mode %d: never refunded: %v", n, m, err)
				}
				b.rest()
			}
			if len(b.town.standing("")) != 0 {
				t.Errorf("%s mode %d: settlement stands", n, m)
			}
		}
	}
}

func TestCancelBeforeSettling(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	got, err := b.refund("x1", s)
	if err != nil || got.State != gateway.BillCancelled {
		t.Fatalf("%+v %v", got, err)
	}
	wantNumbers(t, b.numbers()[5:], "2205", "2202")
	if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeState {
		t.Errorf("confirm after cancelling: %v", err)
	}
}

// The money is back once 2208 is done; that the rest would not go is told and is not the end.
func TestRefundWhoseRestIsRefused(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	if _, err := b.confirm("c1", s); err != nil {
		t.Fatal(err)
	}
	b.town.fault = on("2205", 1, refusing)
	got, err := b.refund("x1", s)
	if err != nil || got.State != gateway.BillRefunded || got.Message == "" {
		t.Errorf("%+v %v", got, err)
	}
	wantNumbers(t, b.numbers()[6:], "2208", "2205", "2202")
}

func TestRefusedRefundLeavesTheSettlement(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	if _, err := b.confirm("c1", s); err != nil {
		t.Fatal(err)
	}
	b.town.fault = on("2208", 1, refusing)
	if got, err := b.refund("x1", s); codeOf(err) != gateway.CodeCentreRefused || got.State != gateway.BillSettled {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := b.refund("x1", s); codeOf(err) != gateway.CodeCentreRefused {
		t.Errorf("the same request keeps its answer: %v", err)
	}
	if got, err := b.refund("x2", s); err != nil || got.State != gateway.BillRefunded {
		t.Errorf("a new one may try again: %+v %v", got, err)
	}
}
