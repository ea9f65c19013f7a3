package flow

import (
	"context"
	"strconv"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// alike are two bills of one visit: number and begin are the same.
func alike() (one, two gateway.OpenSettlement) {
	one, two = bill("r1", 1), bill("r2", 1)
	two.Visit = one.Visit
	return one, two
}

// separate holds that two bills are served by two visits.
func (b *bench) separate(one, two gateway.OpenSettlement) {
	b.t.Helper()
	x, err := b.desk.OpenSettlement(bg, his, one)
	if err != nil {
		b.t.Fatal(err)
	}
	y, err := b.desk.OpenSettlement(bg, his, two)
	if err != nil {
		b.t.Fatal(err)
	}
	if x.Visit == "" || y.Visit == "" || x.Visit == y.Visit {
		b.t.Errorf("visits %q and %q", x.Visit, y.Visit)
	}
}

func TestAVisitIsNotAdoptedFromAnotherBill(t *testing.T) {
	for _, fate := range []struct{ first, second mode }{{lostOut, fine}, {lostOut, lostBack}, {lostBack, lostOut}, {lostBack, lostBack}} {
		b := newBench(t, askingRegion())
		one, two := alike()
		b.town.fault = func(n ident.Infno, call int) mode {
			switch {
			case n == "2201" && call == 1:
				return fate.first
			case n == "2201" && call == 2:
				return fate.second
			case n == "5201" && call <= 2:
				return lostOut
			}
			return fine
		}
		_, _ = b.desk.OpenSettlement(bg, his, one)
		_, _ = b.desk.OpenSettlement(bg, his, two)
		b.rest()
		b.separate(one, two)
	}
}

// A row may be that of a registration whose own answer is still under way.
func TestAVisitIsNotAdoptedFromAnAnswerUnderWay(t *testing.T) {
	b := newBench(t, askingRegion())
	one, two := alike()
	b.town.fault = on("2201", 1, lostOut)
	_, _ = b.desk.OpenSettlement(bg, his, one)
	b.clock.Advance(10 * time.Minute)
	other := b.newDesk()
	nested := false
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		a := b.town.script(n, id, input)
		if n == "2201" && !nested {
			nested = true
			if err := other.tick(bg); err != nil {
				t.Error(err)
			}
			other.work.Wait()
		}
		return a
	})
	_, _ = b.desk.OpenSettlement(bg, his, two)
	if !nested {
		t.Fatal("nobody asked")
	}
	b.rest()
	b.separate(one, two)
}

// A question that was on its way when another process had the record proved absent and tried again
// sees what the new attempt made. That is not the first attempt's.
func TestALateQuestionRaisesNoAttemptFromAbsence(t *testing.T) {
	b := newBench(t, askingRegion())
	one, _ := alike()
	b.town.fault = on("2201", 1, lostOut)
	_, _ = b.desk.OpenSettlement(bg, his, one)
	b.clock.Advance(10 * time.Minute)
	other := b.newDesk()
	nested := false
	b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		if n == "5201" && !nested {
			nested = true
			if err := other.tick(bg); err != nil {
				t.Error(err)
			}
			if _, err := other.OpenSettlement(bg, his, one); err != nil {
				t.Error(err)
			}
		}
		return b.town.script(n, id, input)
	})
	if err := b.desk.tick(bg); err != nil || !nested {
		t.Fatal(nested, err)
	}
	b.rest()
	recs, err := b.journal.List(bg, gateway.Query{Infno: "2201"})
	if err != nil || len(recs) != 2 || recs[0].State != gateway.StateAbsent || recs[1].State != gateway.StateDone {
		t.Fatalf("%+v %v", recs, err)
	}
}

// counting counts the records that lists and looks bring.
type counting struct {
	gateway.Journal
	n int
}

func (c *counting) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	recs, err := c.Journal.List(ctx, q)
	c.n += len(recs)
	return recs, err
}

// A question about one person's registration looks at that person's, however many others there are.
func TestRivalsAreThePersonsOwn(t *testing.T) {
	b := newBench(t, askingRegion())
	for i := range 300 {
		id, err := b.journal.NextMsgID(bg, hospital, b.clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		rec := gateway.Record{ID: id, Institution: hospital, Infno: "2201", Step: "2201", Attempt: 1, State: gateway.StateSent, CreatedAt: b.clock.Now(),
			Input: []byte(`{"data":{"psn_no":"P9"}}`), Marks: []gateway.Mark{{Kind: gateway.MarkPerson, Number: "P" + strconv.Itoa(i+100)}}}
		if _, err := b.journal.Write(bg, gateway.Entry{Record: &rec}); err != nil {
			t.Fatal(err)
		}
	}
	b.town.fault = on("2201", 1, lostBack)
	c := &counting{Journal: b.desk.opt.Journal}
	b.desk.opt.Journal = c
	s, err := b.desk.OpenSettlement(bg, his, bill("r1", 1))
	if err != nil || s.Visit == "" {
		t.Fatalf("%+v %v", s, err)
	}
	if c.n > 20 {
		t.Errorf("%d records were read for one question", c.n)
	}
}
