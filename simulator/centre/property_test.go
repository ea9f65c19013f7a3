package centre

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
)

func randomBill(r *rand.Rand, mark string) []fee {
	items := policy.Items()
	out := make([]fee, 1+r.IntN(6))
	for i := range out {
		code := items[r.IntN(len(items))].Code
		if r.IntN(12) == 0 {
			code = "UNKNOWN-1"
		}
		cnt := money.Decimal{Coef: 1 + r.Int64N(99_999), Scale: 4}
		if r.IntN(2) == 0 {
			cnt = money.Decimal{Coef: 1 + r.Int64N(9)}
		}
		price := money.Decimal{Coef: r.Int64N(600_000_000), Scale: 6}
		if r.IntN(2) == 0 {
			price = money.Decimal{Coef: r.Int64N(60_000), Scale: 2}
		}
		out[i] = fee{mark + strconv.Itoa(i), code, cnt.String(), price.String()}
	}
	return out
}

// Random bills of random persons: the sums of every answer meet, the ledger always proves, an undo
// or a reversal restores every account and accumulator, a refused call changes nothing.
func TestRandomBills(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 99))
		crowd := append(people.Fixed(), people.Generate(seed, 60)...)
		region := Region{FundIncludesAccount: seed%2 == 1, AskByVisit: true}
		d := newDesk(t, Options{Seed: seed, People: crowd, Region: region})
		for n := range rounds {
			p := crowd[r.IntN(len(crowd))]
			if !p.Has(base(p)) {
				continue
			}
			d.place = []string{big, small, "H44010000003"}[r.IntN(3)]
			visit := d.open(p)
			before := d.c.MoneyDigest()
			trial := d.ladder(p, visit, "B", randomBill(r, "f"))
			identities(t, trial, region.FundIncludesAccount, false)
			in := settleInput(p, visit, "B", trial)
			if r.IntN(4) == 0 {
				node(in, "data")["acct_used_flag"] = "0"
			}
			if r.IntN(25) == 0 {
				state := d.c.Digest()
				spoilt := with(in, "data", "medfee_sumamt", money.Number(money.Fen(r.Int64N(1_000_000))))
				if a := d.send(p, "2207", spoilt); a.OK() || d.c.Digest() != state {
					t.Fatalf("seed %d round %d: a wrong total was taken or left a trace", seed, n)
				}
			}
			msgid := d.msgid()
			a := d.sendAs("2207", msgid, p.Area, in)
			if !a.OK() {
				t.Fatalf("seed %d round %d: %s", seed, n, a.ErrMsg)
			}
			out, _ := a.Output.(object)
			identities(t, out, region.FundIncludesAccount, false)
			info := node(out, "setlinfo")
			if b, _ := d.c.Balance(p.No); b != fen(t, info, "balc") || b < 0 {
				t.Fatalf("seed %d round %d: balc %s, account %s", seed, n, fen(t, info, "balc"), b)
			}
			switch r.IntN(3) {
			case 0:
				undo := d.must(p, "2208", undoInput(p, visit, text(info, "setl_id")))
				identities(t, undo, region.FundIncludesAccount, true)
			case 1:
				d.must(p, "2601", reverseInput(p, msgid, "2207"))
			default:
				continue
			}
			if d.c.MoneyDigest() != before {
				t.Fatalf("seed %d round %d: taking it back left a trace", seed, n)
			}
			if t.Failed() {
				t.Fatalf("seed %d round %d", seed, n)
			}
		}
		if err := d.c.Check(); err != nil {
			t.Fatal(err)
		}
	}
}

// Many desks at once: every batch is settled once and the books prove.
func TestConcurrentDesks(t *testing.T) {
	crowd := people.Fixed()[:7]
	d := newDesk(t, Options{})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 5))
			for n := range 25 {
				p := crowd[r.IntN(len(crowd))]
				out := d.send(p, "2201", registration(p, fmt.Sprintf("G%d-%d", g, n)))
				o, _ := out.Output.(object)
				visit := text(node(o, "data"), "mdtrt_id")
				d.send(p, "2203", visitInput(p, visit, "11"))
				d.send(p, "2204", feeInput(t, p, visit, "B", standardBill()...))
				trial := d.send(p, "2206", trialInput(p, visit, "B", 479_54))
				o, _ = trial.Output.(object)
				in := settleInput(p, visit, "B", o)
				if a := d.send(p, "2207", in); !a.OK() {
					t.Errorf("desk %d: %s", g, a.ErrMsg)
				}
				if a := d.send(p, "2207", in); a.OK() {
					t.Errorf("desk %d: one batch settled twice", g)
				}
			}
		})
	}
	wg.Wait()
	if err := d.c.Check(); err != nil {
		t.Error(err)
	}
	if n := d.c.Counts()["2207"]; n.Done != 200 || n.Refused != 200 {
		t.Errorf("%+v", n)
	}
	if n := len(d.c.Calls()); n != 8*25*6 {
		t.Errorf("%d calls logged", n)
	}
}
