package policy

import (
	"errors"
	"math/rand/v2"
	"testing"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

// The stay of section 8 of docs/simulated-policy.md.
func stayBill() Bill { return Bill{4246_11, 299_97, 108_14, 219_00, 3619_00} }

func TestWorkedStays(t *testing.T) {
	all := map[string]people.Person{}
	for _, p := range people.Fixed() {
		all[p.No] = p
	}
	cases := []struct {
		name                                                         string
		p                                                            people.Person
		level                                                        string
		again                                                        bool
		charged, used                                                money.Fen
		ratio                                                        int64
		dedc, pool, large, servant, aid, fund, account, cash, balanc money.Fen
	}{
		{"甲", all[people.Active], "3", false, 0, 0, 8500, 800_00, 2396_15, 0, 0, 0, 2396_15, 1000_00, 849_96, 0},
		{"甲 second stay", all[people.Active], "3", true, 0, 0, 8500, 400_00, 2736_15, 0, 0, 0, 2736_15, 1000_00, 509_96, 0},
		{"甲 mid-stay before", all[people.Active], "3", false, 700_00, 0, 8500, 100_00, 2991_15, 0, 0, 0, 2991_15, 954_99, 299_97, 45_01},
		{"甲 second hospital", all[people.Active], "2", false, 0, 0, 8800, 500_00, 2744_72, 0, 0, 0, 2744_72, 1000_00, 501_39, 0},
		{"甲 first level", all[people.Active], "1", false, 0, 0, 9200, 300_00, 3053_48, 0, 0, 0, 3053_48, 892_66, 299_97, 107_34},
		{"乙", all[people.Retired], "3", false, 0, 0, 8900, 600_00, 2686_91, 0, 0, 0, 2686_91, 1259_23, 299_97, 1240_77},
		{"丙", all[people.Resident], "3", false, 0, 0, 6500, 1000_00, 1702_35, 0, 0, 0, 1702_35, 0, 2543_76, 0},
		{"丁", all[people.Servant], "3", false, 0, 0, 8500, 800_00, 2396_15, 0, 211_43, 0, 2607_58, 800_00, 838_53, 0},
		{"戊", all[people.Heavy], "3", false, 0, 0, 8500, 800_00, 2396_15, 0, 0, 0, 2396_15, 300_00, 1549_96, 0},
		{"戊 at the limit", all[people.Heavy], "3", false, 0, 299_000_00, 8500, 800_00, 1000_00, 1116_92, 0, 0, 2116_92, 300_00, 1829_19, 0},
		{"己", all[people.Aided], "3", false, 0, 0, 6500, 1000_00, 1702_35, 0, 0, 1341_66, 3044_01, 0, 1202_10, 0},
		{"辛", all[people.Elsewhere], "3", false, 0, 0, 7500, 800_00, 2114_25, 0, 0, 0, 2114_25, 600_00, 1531_86, 0},
	}
	for _, k := range cases {
		f := facts(k.p, k.level, "440100")
		f.MedType, f.Again, f.Charged, f.Used.StayPool = "21", k.again, k.charged, k.used
		r, err := Settle(stayBill(), f)
		if err != nil {
			t.Fatal(err)
		}
		if r.Ratio != ratio(k.ratio) || r.Deductible != k.dedc || r.Pool != k.pool || r.Large != k.large || r.Servant != k.servant ||
			r.Aid != k.aid || r.Fund != k.fund || r.Account != k.account || r.Cash != k.cash || r.Balance != k.balanc {
			t.Errorf("%s: %+v", k.name, r)
		}
		if u := r.Uses("310"); u.Deductible != 0 || u.Pool != 0 || u.StayPool != k.pool {
			t.Errorf("%s: uses %+v", k.name, u)
		}
	}
}

// The sale of section 9.
func TestWorkedSales(t *testing.T) {
	all := map[string]people.Person{}
	for _, p := range people.Fixed() {
		all[p.No] = p
	}
	bill := Bill{209_54, 35_50, 17_03, 12_00, 145_01}
	for _, k := range []struct {
		psn, medType              string
		ratio                     int64
		fund, account, cash, bala money.Fen
	}{
		{people.Active, "41", 0, 0, 174_04, 35_50, 825_96},
		{people.Aided, "41", 0, 0, 0, 209_54, 0},
		{people.Elsewhere, "41", 0, 0, 174_04, 35_50, 425_96},
		{people.Active, "14", 8500, 123_26, 50_78, 35_50, 949_22},
	} {
		f := facts(all[k.psn], "", "440100")
		f.MedType = k.medType
		r, err := Settle(bill, f)
		if err != nil || r.Fund != k.fund || r.Account != k.account || r.Cash != k.cash || r.Balance != k.bala || r.Ratio != ratio(k.ratio) || r.Deductible != 0 {
			t.Errorf("%s %s: %+v %v", k.psn, k.medType, r, err)
		}
	}
}

func TestNegativeBillIsRefused(t *testing.T) {
	for _, b := range []Bill{{Total: -1, Scope: -1}, {Total: 1, Own: 2, Scope: -1}, {Total: 0, Own: 1, Pre: -1}} {
		if _, err := Settle(b, Facts{Insurance: "310", MedType: "21"}); !errors.Is(err, ErrNegative) {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

func TestInpatientSumsMeet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 8))
	ps := append(people.Fixed(), people.Generate(5, 300)...)
	for n := range 5000 {
		p := ps[rnd.IntN(len(ps))]
		if len(p.Insurances) == 0 {
			continue
		}
		b := Bill{Own: money.Fen(rnd.Int64N(1_000_00)), Over: money.Fen(rnd.Int64N(500_00)), Pre: money.Fen(rnd.Int64N(900_00)), Scope: money.Fen(rnd.Int64N(600_000_00))}
		b.Total = b.Own + b.Over + b.Pre + b.Scope
		f := facts(p, []string{"1", "2", "3", ""}[rnd.IntN(4)], "440100")
		f.MedType = []string{"21", "22", "23", "24", "41", "14"}[rnd.IntN(6)]
		f.Again, f.UseAccount = rnd.IntN(2) == 0, rnd.IntN(2) == 0
		f.Charged, f.Used.StayPool = money.Fen(rnd.Int64N(2_000_00)), money.Fen(rnd.Int64N(400_000_00))
		r, err := Settle(b, f)
		if err != nil {
			t.Fatal(err)
		}
		if r.Total != r.Fund+r.Personal+r.Hospital || r.Personal != r.Account+r.Cash || r.Fund != r.Pool+r.Large+r.Serious+r.Servant+r.Aid ||
			r.Balance != f.Balance-r.Account || r.Fund+r.Hospital > r.Scope || r.Cash < r.Own {
			t.Fatalf("round %d: %+v", n, r)
		}
		if min(r.Deductible, r.Pool, r.Large, r.Serious, r.Servant, r.Aid, r.Hospital, r.Account, r.Cash, r.Balance) < 0 {
			t.Fatalf("round %d: a part below zero: %+v", n, r)
		}
		if f.MedType == "41" && r.Fund+r.Hospital != 0 {
			t.Fatalf("round %d: a fund paid for a sale: %+v", n, r)
		}
	}
}
