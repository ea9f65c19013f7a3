package flow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// part refunds rows of a bill of that name, by their numbers, with the card at hand.
func (b *bench) part(id string, s gateway.Settlement, name string, rows ...int) (gateway.Settlement, error) {
	return b.desk.RefundSettlement(bg, his, partOf(id, s, name, rows...))
}

func partOf(id string, s gateway.Settlement, name string, rows ...int) gateway.RefundSettlement {
	cred := bill(name, 1).Credential
	r := gateway.RefundSettlement{RequestID: id, ID: s.ID, Operator: clerk, Credential: &cred}
	for _, n := range rows {
		r.Rows = append(r.Rows, fmt.Sprintf("%s-%d", name, n))
	}
	return r
}

// settled is a bill of so many rows, settled.
func (b *bench) settled(name string, fees int) gateway.Settlement {
	b.t.Helper()
	s, err := b.confirm(name+"c", b.open(name, fees))
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// wantStanding holds the centre to one settlement of that total, or to none.
func (b *bench) wantStanding(s gateway.Settlement, total string) {
	b.t.Helper()
	stand := b.town.standing(string(s.Visit))
	switch {
	case total == "" && len(stand) == 0:
	case len(stand) == 1 && stand[0].total.String() == total && stand[0].id == string(s.SettlementID) && s.Amounts.Total == total:
	default:
		b.t.Errorf("told %s %s %+v, the centre has %d settlements, want total %q", s.State, s.SettlementID, s.Amounts, len(stand), total)
	}
}

func TestPartialRefund(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.settled("r1", 3)
	got, err := b.part("x1", s, "r1", 1)
	if err != nil || got.State != gateway.BillSettled || !slices.Equal(got.RefundedRows, []string{"r1-1"}) {
		t.Fatalf("%+v %v", got, err)
	}
	wantNumbers(t, b.numbers()[6:], "2208", "2205", "2204", "2206", "2207")
	b.wantStanding(got, "4.02")
	first, second := row(b.centre.Sent("2204")[0].Input, "feedetail"), row(b.centre.Sent("2204")[1].Input, "feedetail")
	if text(first["chrg_bchno"]) == text(second["chrg_bchno"]) {
		t.Error("what is left went under the old batch number")
	}
	if b.restart(); len(b.numbers()) != 11 {
		t.Fatal("a restart sent something")
	}
	if again, err := b.part("x1", s, "r1", 1); err != nil || again.SettlementID != got.SettlementID {
		t.Errorf("again: %+v %v", again, err)
	}
	if _, err := b.part("x1", s, "r1", 2); codeOf(err) != gateway.CodeRequestIDReused {
		t.Errorf("other rows under the same id: %v", err)
	}
	if _, err := b.part("x2", s, "r1", 1); codeOf(err) != gateway.CodeRequestInvalid {
		t.Errorf("a row twice: %v", err)
	}
	if _, err := b.part("x3", s, "r1", 7); codeOf(err) != gateway.CodeRequestInvalid {
		t.Errorf("a row that is not there: %v", err)
	}
	if got, err = b.part("x4", s, "r1", 0); err != nil || len(got.RefundedRows) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	b.wantStanding(got, "2.01")
	if live, err := b.desk.Settlement(bg, his, s.ID); err != nil || live.SettlementID != got.SettlementID || live.State != gateway.BillSettled {
		t.Errorf("live view: %+v %v", live, err)
	}
	got, err = b.part("x5", s, "r1", 2) // nothing is left
	if err != nil || got.State != gateway.BillRefunded {
		t.Fatalf("%+v %v", got, err)
	}
	b.wantStanding(got, "")
	for _, v := range b.town.visits {
		if !v.cancelled || len(v.rows) != 0 {
			t.Errorf("left at the centre: %+v", v)
		}
	}
	if _, err := b.part("x6", s, "r1", 2); codeOf(err) != gateway.CodeState {
		t.Errorf("after everything: %v", err)
	}
	for _, m := range b.centre.Misuse() {
		t.Error(m)
	}
}

func TestPartialRefundBeforeSettling(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 2)
	if _, err := b.part("x1", s, "r1", 0); codeOf(err) != gateway.CodeState {
		t.Error(err)
	}
}

// Without the card nothing is undone.
func TestPartialRefundAsksForTheCardFirst(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.settled("r1", 2)
	r := partOf("x1", s, "r1", 0)
	r.Credential = nil
	if _, err := b.desk.RefundSettlement(bg, his, r); codeOf(err) != gateway.CodeCredentialNeeded || len(b.centre.Sent("2208")) != 0 {
		t.Fatal(err)
	}
	got, err := b.part("x1", s, "r1", 0)
	if err != nil {
		t.Fatal(err)
	}
	b.wantStanding(got, "2.01")
}

// What is left is refused: the money is back, that is said, and the same request goes on.
func TestRestIsRefused(t *testing.T) {
	for _, n := range []ident.Infno{"2205", "2204", "2206", "2207"} {
		b := newBench(t, askingRegion())
		s := b.settled("r1", 3)
		call := b.town.calls[n] + 1
		b.town.fault = on(n, call, refusing)
		got, err := b.part("x1", s, "r1", 1)
		if codeOf(err) != gateway.CodeRestUnsettled || got.State != gateway.BillResettling || got.SettlementID != "" || err.(*gateway.Error).Detail == "" {
			t.Fatalf("%s: %+v %v", n, got, err)
		}
		b.wantStanding(got, "")
		b.restart()
		if live, err := b.desk.Settlement(bg, his, s.ID); err != nil || live.State != gateway.BillResettling || live.Message == "" {
			t.Errorf("%s: live %+v %v", n, live, err)
		}
		if _, err := b.confirm("c9", s); codeOf(err) != gateway.CodeState {
			t.Errorf("%s: confirm: %v", n, err)
		}
		if got, err = b.part("x1", s, "r1", 1); err != nil || got.State != gateway.BillSettled {
			t.Fatalf("%s: the same request: %+v %v", n, got, err)
		}
		b.wantStanding(got, "4.02")
	}
}

// The rest can not be settled: the bill is refunded whole, or more rows are taken out.
func TestRestIsGivenUp(t *testing.T) {
	for _, n := range []ident.Infno{"2204", "2206", "2207"} {
		for _, whole := range []bool{true, false} {
			b := newBench(t, askingRegion())
			s := b.settled("r1", 3)
			b.town.fault = on(n, b.town.calls[n]+1, refusing)
			if _, err := b.part("x1", s, "r1", 1); codeOf(err) != gateway.CodeRestUnsettled {
				t.Fatalf("%s: %v", n, err)
			}
			var got gateway.Settlement
			var err error
			if whole {
				if got, err = b.refund("x2", s); err != nil || got.State != gateway.BillRefunded {
					t.Fatalf("%s: %+v %v", n, got, err)
				}
				b.wantStanding(got, "")
			} else {
				if got, err = b.part("x2", s, "r1", 0); err != nil || len(got.RefundedRows) != 2 {
					t.Fatalf("%s: %+v %v", n, got, err)
				}
				b.wantStanding(got, "2.01")
			}
			if _, err := b.part("x1", s, "r1", 1); codeOf(err) != gateway.CodeState {
				t.Errorf("%s: the overtaken request: %v", n, err)
			}
		}
	}
}

// A refused 2208 leaves the settlement, and the plan that failed has no say any more.
func TestPartialRefundIsRefused(t *testing.T) {
	for _, whole := range []bool{true, false} {
		b := newBench(t, askingRegion())
		s := b.settled("r1", 3)
		b.town.fault = on("2208", 1, refusing)
		got, err := b.part("x1", s, "r1", 1)
		if codeOf(err) != gateway.CodeCentreRefused || got.State != gateway.BillSettled {
			t.Fatalf("%+v %v", got, err)
		}
		b.wantStanding(got, "6.03")
		if whole {
			if got, err = b.refund("x2", s); err != nil || got.State != gateway.BillRefunded {
				t.Fatalf("%+v %v", got, err)
			}
			b.wantStanding(got, "")
		} else {
			if got, err = b.part("x2", s, "r1", 0); err != nil || !slices.Equal(got.RefundedRows, []string{"r1-0"}) {
				t.Fatalf("%+v %v", got, err)
			}
			b.wantStanding(got, "4.02")
		}
		if _, err := b.part("x1", s, "r1", 1); codeOf(err) != gateway.CodeCentreRefused {
			t.Errorf("the first request keeps its answer: %v", err)
		}
	}
}

func TestPartialRefundWithLostAnswers(t *testing.T) {
	for _, region := range []func() *gateway.Region{askingRegion, strictRegion} {
		for _, n := range []ident.Infno{"2208", "2205", "2204", "2206", "2207"} {
			for _, m := range []mode{lostOut, lostBack, notSent, delayed, wrongMsgID, wrongTotal} {
				b := newBench(t, region())
				s := b.settled("r1", 2)
				b.town.fault = on(n, b.town.calls[n]+1, m)
				got, err := (&patient{b: b}).insist(func() (gateway.Settlement, error) { return b.part("x1", s, "r1", 0) })
				if codeOf(err) == gateway.CodeRestUnsettled && m == wrongTotal {
					b.wantStanding(got, "") // a trial that does not add up is not gone on with
					continue
				}
				if err != nil {
					t.Errorf("%s mode %d: %+v %v", n, m, got, err)
					continue
				}
				b.wantStanding(got, "2.01")
			}
		}
	}
}

// Two programs are asked for two refunds of one bill: the one whose plan stands later rules.
func TestTwoProcessesRefundABill(t *testing.T) {
	for _, rival := range []string{"whole", "part"} {
		b := newBench(t, askingRegion())
		s := b.settled("r1", 3)
		two := b.newDesk()
		b.town.fault = on("2208", 1, notSent) // the first one's plan stands, and it has undone nothing yet
		if _, err := b.part("x1", s, "r1", 1); codeOf(err) != gateway.CodeCentreUnreachable {
			t.Fatal(err)
		}
		r := partOf("x2", s, "r1", 0)
		want := "4.02"
		if rival == "whole" {
			r.Rows, want = nil, ""
		}
		got, err := two.RefundSettlement(bg, his, r)
		if err != nil {
			t.Fatal(err)
		}
		b.wantStanding(got, want)
		if _, err := b.part("x1", s, "r1", 1); codeOf(err) != gateway.CodeState {
			t.Errorf("%s: the overtaken one: %v", rival, err)
		}
		b.wantStanding(got, want)
	}
}

// partLife is a settled bill, a row taken out of it, another one, and perhaps the rest.
func (p *patient) partLife(name string, whole bool) {
	t := p.b.t
	t.Helper()
	r := bill(name, 3)
	s, err := p.insist(func() (gateway.Settlement, error) { return p.b.desk.OpenSettlement(bg, his, r) })
	if err != nil {
		return
	}
	c := gateway.ConfirmSettlement{RequestID: name + "c", ID: s.ID, Operator: clerk, Credential: &r.Credential}
	if _, err := p.insist(func() (gateway.Settlement, error) { return p.b.desk.ConfirmSettlement(bg, his, c) }); err != nil {
		return
	}
	left := money.Fen(603)
	for i, id := range []string{"xa", "xb"} {
		x := partOf(name+id, s, name, i)
		call := func() (gateway.Settlement, error) { return p.b.desk.RefundSettlement(bg, his, x) }
		got, err := p.insist(call)
		for n := 0; n < 6 && codeOf(err) == gateway.CodeRestUnsettled; n++ {
			got, err = p.insist(call)
		}
		p.holds(got, err)
		if err != nil {
			break
		}
		if left -= 201; got.Amounts.Total != left.String() {
			t.Fatalf("told %s after %d rows", got.Amounts.Total, i+1)
		}
	}
	if !whole {
		return
	}
	x := gateway.RefundSettlement{RequestID: name + "x", ID: s.ID, Operator: clerk}
	p.holds(p.insist(func() (gateway.Settlement, error) { return p.b.desk.RefundSettlement(bg, his, x) }))
}

// holds: what was told is what the centre has, to the fen.
func (p *patient) holds(s gateway.Settlement, err error) {
	t := p.b.t
	t.Helper()
	if s.Unknown || s.ID == "" {
		return // being found out, or a person decides; once() has held
	}
	stand := p.b.town.standing(string(s.Visit))
	switch {
	case s.State == gateway.BillSettled && len(stand) == 1 && stand[0].id == string(s.SettlementID) && stand[0].total.String() == s.Amounts.Total:
	case s.State == gateway.BillRefunded && len(stand) == 0, s.State == gateway.BillResettling && len(stand) == 0:
	case s.State == gateway.BillRefunding && len(stand) == 0 && err != nil:
	default:
		t.Fatalf("told %s %s %+v %v, the centre has %d", s.State, s.SettlementID, s.Amounts, err, len(stand))
	}
	sum := money.Fen(0)
	for _, x := range stand {
		sum += x.total
	}
	if s.State == gateway.BillSettled && sum.String() != s.Amounts.Total {
		t.Fatalf("the centre's books say %s, told %s", sum, s.Amounts.Total)
	}
}

func TestPartialRefundKilledAtEveryWrite(t *testing.T) {
	for _, region := range []func() *gateway.Region{askingRegion, strictRegion} {
		for n := 10; n < 90; n++ {
			reached := false
			for variant := 0; variant < 4; variant++ {
				b := newBench(t, region())
				d := &death{at: n, stored: variant&1 != 0}
				if variant&2 != 0 {
					b.town.fault = func(ident.Infno, int) mode {
						if !d.dead && d.writes == n-1 {
							return lostOut
						}
						return fine
					}
				}
				p := &patient{b: b, deaths: []*death{d}}
				p.arm()
				p.partLife("r1", true)
				if t.Failed() {
					t.Fatalf("death at %d, variant %d", n, variant)
				}
				stand := b.town.standing("")
				recs, err := b.journal.List(bg, gateway.Query{States: []gateway.State{gateway.StateParked}})
				if err != nil || len(stand) != 0 && len(recs) == 0 {
					t.Fatalf("death at %d, variant %d: everything was refunded, the centre has %d, %v", n, variant, len(stand), err)
				}
				for _, m := range b.centre.Misuse() {
					t.Error(m)
				}
				reached = reached || d.dead
			}
			if !reached {
				break
			}
		}
	}
}

func TestPartialRefundsBySeed(t *testing.T) {
	seeds := 400
	if testing.Short() {
		seeds = 80
	}
	for seed := 0; seed < seeds; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 11))
			region := askingRegion()
			if rng.IntN(3) == 0 {
				region = strictRegion()
			}
			b := newBench(t, region)
			share := rng.IntN(5)
			modes := []mode{lostOut, lostBack, notSent, delayed, refusing, wrongTotal, wrongMsgID}
			b.town.fault = func(n ident.Infno, _ int) mode {
				if n > "2201" && n < "5000" && rng.IntN(12) < share {
					return modes[rng.IntN(len(modes))]
				}
				return fine
			}
			p := &patient{b: b}
			for n := rng.IntN(4); n > 0; n-- {
				p.deaths = append(p.deaths, &death{at: 1 + rng.IntN(30), stored: rng.IntN(2) == 0})
			}
			p.arm()
			p.partLife("r1", rng.IntN(2) == 0)
			b.clock.Advance(time.Hour)
		})
		if !ok {
			break
		}
	}
}

func lessOf(id string, s gateway.Settlement, name string, rows []int, parts ...gateway.RowPart) gateway.RefundSettlement {
	r := partOf(id, s, name, rows...)
	r.Parts = parts
	return r
}

func TestARefundOfPartOfARow(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.settled("r1", 3) // rows of 2 at 1.005
	r := lessOf("x1", s, "r1", []int{0}, gateway.RowPart{ID: "r1-1", Quantity: "0.5"})
	got, err := b.desk.RefundSettlement(bg, his, r)
	if err != nil || got.State != gateway.BillSettled || !slices.Equal(got.RefundedRows, []string{"r1-0"}) ||
		!slices.Equal(got.ReducedRows, []gateway.RowPart{{ID: "r1-1", Quantity: "1.5"}}) {
		t.Fatalf("%+v %v", got, err)
	}
	b.wantStanding(got, "3.52") // 1.5 x 1.005 = 1.51 and 2.01
	sent := rows(b.centre.Sent("2204")[1].Input, "feedetail")
	if len(sent) != 2 || text(sent[0]["cnt"]) != "1.5" || text(sent[0]["det_item_fee_sumamt"]) != "1.51" || text(sent[1]["cnt"]) != "2" {
		t.Errorf("%v", sent)
	}
	if again, err := b.desk.RefundSettlement(bg, his, r); err != nil || again.SettlementID != got.SettlementID {
		t.Errorf("repeated: %+v %v", again, err)
	}
	r.Parts[0].Quantity = "1"
	if _, err := b.desk.RefundSettlement(bg, his, r); codeOf(err) != gateway.CodeRequestIDReused {
		t.Errorf("another quantity: %v", err)
	}
	for name, bad := range map[string]gateway.RowPart{
		"/parts/0/quantity": {ID: "r1-1", Quantity: "1.5001"}, "/parts/0/id": {ID: "r1-0", Quantity: "1"},
	} {
		_, err := b.desk.RefundSettlement(bg, his, lessOf("x2", s, "r1", nil, bad))
		if e, ok := err.(*gateway.Error); !ok || e.Code != gateway.CodeRequestInvalid || e.Path != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, q := range []string{"", "0", "-1", "1e0", "x", "9223372036854775807", "0.00001"} {
		if _, err := b.desk.RefundSettlement(bg, his, lessOf("x3", s, "r1", nil, gateway.RowPart{ID: "r1-1", Quantity: q})); codeOf(err) != gateway.CodeRequestInvalid {
			t.Errorf("%q: %v", q, err)
		}
	}
	// More of it, to the end: the row is gone; the last of the last row is the whole bill.
	got, err = b.desk.RefundSettlement(bg, his, lessOf("x4", s, "r1", nil, gateway.RowPart{ID: "r1-1", Quantity: "1.50"}))
	if err != nil || len(got.ReducedRows) != 0 || !slices.Equal(got.RefundedRows, []string{"r1-0", "r1-1"}) {
		t.Fatalf("%+v %v", got, err)
	}
	b.wantStanding(got, "2.01")
	got, err = b.desk.RefundSettlement(bg, his, lessOf("x5", s, "r1", nil, gateway.RowPart{ID: "r1-2", Quantity: "2"}))
	if err != nil || got.State != gateway.BillRefunded || len(b.town.standing("")) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}
