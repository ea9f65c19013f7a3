package centre

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

// ward plays hospitals and pharmacies with a book of their own, kept from the answers alone.
type ward struct {
	*desk
	r      *rand.Rand
	region Region
	book   map[[4]string]Totals // place, insutype, clr_type, refunds counted or not
	bills  []bill
	seed   uint64
}

// bill is a settlement the ward knows of.
type bill struct {
	p                  people.Person
	place, visit, setl string
	msgid, infno       string
	clr                string
	t                  Totals
}

var undoNumber = map[string]string{"11": "2208", "21": "2305", "41": "2103"}

// note adds a bill to the book, or takes it out.
func (w *ward) note(b bill, sign int) {
	for _, refunds := range []string{"0", "1"} {
		key := [4]string{b.place, base(b.p), b.clr, refunds}
		t := w.book[key]
		s := money.Fen(sign)
		t.Total, t.Fund, t.Account = t.Total+s*b.t.Total, t.Fund+s*b.t.Fund, t.Account+s*b.t.Account
		t.Count += sign
		w.book[key] = t
	}
}

func (w *ward) settle(p people.Person, infno, clr string, in object) bill {
	w.t.Helper()
	id := w.msgid()
	a := w.sendAs(infno, id, p.Area, in)
	if !a.OK() {
		w.t.Fatalf("seed %d: %s: %s", w.seed, infno, a.ErrMsg)
	}
	out, _ := a.Output.(object)
	identities(w.t, out, w.region.FundIncludesAccount, false)
	s := node(out, "setlinfo")
	if b, _ := w.c.Balance(p.No); b != fen(w.t, s, "balc") {
		w.t.Fatalf("seed %d: balc %s, account %s", w.seed, fen(w.t, s, "balc"), b)
	}
	b := bill{p: p, place: w.place, visit: text(s, "mdtrt_id"), setl: text(s, "setl_id"), msgid: id, infno: infno, clr: clr,
		t: Totals{fen(w.t, s, "medfee_sumamt"), fen(w.t, s, "fund_pay_sumamt"), fen(w.t, s, "acct_pay"), 1}}
	w.note(b, 1)
	return b
}

// regret takes a settlement back at once, by undo or reversal, or by an undo that is reversed.
func (w *ward) regret(b bill, before string) {
	w.t.Helper()
	undo := func() string {
		id := w.msgid()
		a := w.sendAs(undoNumber[b.clr], id, b.p.Area, undoInput(b.p, b.visit, b.setl))
		if !a.OK() {
			w.t.Fatalf("seed %d: %s: %s", w.seed, undoNumber[b.clr], a.ErrMsg)
		}
		out, _ := a.Output.(object)
		if b.clr != "41" {
			identities(w.t, out, w.region.FundIncludesAccount, true)
		}
		return id
	}
	after := w.c.MoneyDigest()
	switch w.r.IntN(4) {
	case 0: // stands
		w.bills = append(w.bills, b)
		return
	case 1:
		undo()
		w.note(b, -1)
		key := [4]string{b.place, base(b.p), b.clr, "1"} // where refunds count, both rows stay
		t := w.book[key]
		t.Count += 2
		w.book[key] = t
	case 2:
		w.must(b.p, "2601", reverseInput(b.p, b.msgid, b.infno))
		w.note(b, -1)
	default:
		w.must(b.p, "2601", reverseInput(b.p, undo(), undoNumber[b.clr]))
		if w.c.MoneyDigest() != after {
			w.t.Fatalf("seed %d: %s did not come back exactly", w.seed, b.infno)
		}
		w.bills = append(w.bills, b)
		return
	}
	if w.c.MoneyDigest() != before {
		w.t.Fatalf("seed %d: taking %s back left a trace", w.seed, b.infno)
	}
}

func (w *ward) outpatient(p people.Person) {
	visit := w.open(p)
	before := w.c.MoneyDigest()
	trial := w.ladder(p, visit, "B", randomBill(w.r, "f"))
	identities(w.t, trial, w.region.FundIncludesAccount, false)
	w.regret(w.settle(p, "2207", "11", settleInput(p, visit, "B", trial)), before)
}

func (w *ward) sale(p people.Person) {
	before := w.c.MoneyDigest()
	in := saleInput(w.t, p, []string{"41", "14"}[w.r.IntN(2)], randomBill(w.r, "f")...)
	identities(w.t, w.must(p, "2101", in), w.region.FundIncludesAccount, false)
	w.regret(w.settle(p, []string{"2102", "2102A"}[w.r.IntN(2)], "41", in), before)
}

func (w *ward) stay(p people.Person, n int) {
	visit := w.admit(p, fmt.Sprintf("ZY%d", n))
	for part := range 1 + w.r.IntN(3) {
		list := randomBill(w.r, fmt.Sprintf("p%d-", part))
		w.must(p, "2301", stayFees(w.t, p, visit, list...))
		if f := list[w.r.IntN(len(list))]; w.r.IntN(2) == 0 { // all of one row back: never below zero
			w.must(p, "2301", object{"feedetail": []any{f.refund(w.t, p, visit, fmt.Sprintf("r%d", part), f.cnt)}})
		}
		if w.r.IntN(3) == 0 {
			before := w.c.MoneyDigest()
			in := with(w.stayDue(p, visit), "data", "mid_setl_flag", "1")
			w.regret(w.settle(p, "2304", "21", in), before)
		}
	}
	w.must(p, "2402", dischargeInput(p, visit))
	in := w.stayDue(p, visit)
	if total := fen(w.t, node(in, "data"), "medfee_sumamt"); total == 0 {
		return
	}
	before := w.c.MoneyDigest()
	identities(w.t, w.must(p, "2303", in), w.region.FundIncludesAccount, false)
	w.regret(w.settle(p, []string{"2304", "2304A"}[w.r.IntN(2)], "21", in), before)
}

// balance runs 3201 for everything in the book, as it is and one fen off.
func (w *ward) balance() {
	w.t.Helper()
	for key, t := range w.book {
		w.place = key[0]
		in := with(totalsInput(key[2], key[1], t), "data", "refd_setl_flag", key[3])
		if got := w.rslt(in); got != "0" {
			w.t.Fatalf("seed %d: %v: the book says %+v, the centre %+v", w.seed, key, t, w.c.Totals(TotalsKey{Place: key[0], Agency: "440100",
				Insurance: key[1], ClrType: key[2], From: today, To: today, NoRefunds: key[3] == "0"}))
		}
		member := []string{"medfee_sumamt", "fund_pay_sumamt", "acct_pay"}[w.r.IntN(3)]
		off := fen(w.t, node(in, "data"), member) + 1 - 2*money.Fen(w.r.IntN(2))
		if got := w.rslt(with(in, "data", member, money.Number(off))); got == "0" {
			w.t.Fatalf("seed %d: %v balances one fen off in %s", w.seed, key, member)
		}
		if got := w.rslt(with(in, "data", "fixmedins_setl_cnt", json.Number(fmt.Sprint(t.Count+1)))); got == "0" {
			w.t.Fatalf("seed %d: %v balances one settlement off", w.seed, key)
		}
	}
	if err := w.c.Check(); err != nil {
		w.t.Fatal(err)
	}
}

// Random mixes of visits, stays and sales: every answer adds up, taking back leaves no trace, and
// the hospitals' own books, kept from the answers, balance with the centre.
func TestRandomMixes(t *testing.T) {
	rounds, seeds := 60, uint64(8)
	if testing.Short() {
		rounds, seeds = 25, 3
	}
	for seed := range seeds {
		region := Region{FundIncludesAccount: seed%2 == 1, AskByVisit: true}
		crowd := append(people.Fixed(), people.Generate(seed, 25)...)
		w := &ward{desk: newDesk(t, Options{Seed: seed, People: crowd, Region: region}), r: rand.New(rand.NewPCG(seed, 7)), region: region,
			book: map[[4]string]Totals{}, seed: seed}
		for n := range rounds {
			p := crowd[w.r.IntN(len(crowd))]
			if !p.Has(base(p)) {
				continue
			}
			w.place = []string{big, small, "H44010000003"}[w.r.IntN(3)]
			switch w.r.IntN(4) {
			case 0:
				w.outpatient(p)
			case 1:
				w.place = []string{big, shop}[w.r.IntN(2)]
				w.sale(p)
			default:
				w.stay(p, n)
			}
			if t.Failed() {
				t.Fatalf("seed %d round %d", seed, n)
			}
			if n%20 == 19 {
				w.balance()
			}
		}
		w.balance()
		for _, infno := range []string{"2207", "2304", "2304A", "2102", "2102A", "2208", "2305", "2103", "2601"} {
			if seed == 0 && w.c.Counts()[infno].Done == 0 {
				t.Errorf("no %s was done", infno)
			}
		}
		// What stands is undone in any order; the end is where it began, but for the count of rows.
		w.r.Shuffle(len(w.bills), func(i, j int) { w.bills[i], w.bills[j] = w.bills[j], w.bills[i] })
		for _, b := range w.bills {
			w.place = b.place
			w.must(b.p, undoNumber[b.clr], undoInput(b.p, b.visit, b.setl))
		}
		fresh := newDesk(t, Options{Seed: seed, People: crowd})
		if w.c.MoneyDigest() != fresh.c.MoneyDigest() {
			t.Errorf("seed %d: something is left when all is undone", seed)
		}
		if err := w.c.Check(); err != nil {
			t.Error(err)
		}
	}
}
