package policy

import (
	"math/rand/v2"
	"testing"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

func dec(t testing.TB, s string) money.Decimal {
	t.Helper()
	d, err := money.ParseDecimal(s, 6)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return d
}

type line struct {
	code, cnt, price           string
	total, own, over, pre, scp money.Fen
}

// The bill of section 7 of docs/simulated-policy.md.
func standard() []line {
	return []line{
		{"009901000010000-990100001", "1", "10", 10_00, 0, 0, 0, 10_00},
		{"XZ99AAA001A001010100001", "3", "12.335", 37_01, 0, 0, 0, 37_01},
		{"XZ99AAA006A001010100001", "3", "45.678", 137_03, 0, 17_03, 12_00, 108_00},
		{"009906000010000-990100006", "1", "260", 260_00, 0, 20_00, 48_00, 192_00},
		{"XZ99AAA013A001010100001", "1", "35.5", 35_50, 35_50, 0, 0, 0},
	}
}

func TestStandardBillRows(t *testing.T) {
	c := NewCatalogue(Items())
	var rows []Split
	for _, l := range standard() {
		s, err := c.Split(l.code, dec(t, l.cnt), dec(t, l.price), "0")
		if err != nil {
			t.Fatal(err)
		}
		if s.Total != l.total || s.Own != l.own || s.Over != l.over || s.Pre != l.pre || s.Scope != l.scp {
			t.Errorf("%s: got %+v", l.code, s)
		}
		rows = append(rows, s)
	}
	b, err := Add(rows...)
	if err != nil || b != (Bill{479_54, 35_50, 37_03, 60_00, 347_01}) {
		t.Errorf("bill %+v, %v", b, err)
	}
}

func TestSpecialRows(t *testing.T) {
	c := NewCatalogue(Items())
	cases := []struct {
		name, code, cnt, price, approval string
		own, pre, scope                  money.Fen
		class                            string
	}{
		{"unknown code", "NO-SUCH", "2", "5", "0", 10_00, 0, 0, "03"},
		{"limited, not approved", "XZ99AAA010A001010100001", "1", "100", "0", 100_00, 0, 0, "03"},
		{"limited, approved", "XZ99AAA010A001010100001", "1", "100", "1", 0, 30_00, 70_00, "02"},
		{"approval denied", "XZ99AAA001A001010100001", "1", "10", "2", 10_00, 0, 0, "03"},
		{"no price limit", "XZ99AAA009A001010100001", "1", "99999", "0", 0, 19999_80, 79999_20, "02"},
		{"herb by the gram", "T990000002", "37.5", "0.1533", "0", 0, 0, 5_75, "01"},
		{"price at the limit", "XZ99AAA001A001010100001", "1", "12.500000", "0", 0, 0, 12_50, "01"},
	}
	for _, k := range cases {
		s, err := c.Split(k.code, dec(t, k.cnt), dec(t, k.price), k.approval)
		if err != nil || s.Own != k.own || s.Pre != k.pre || s.Scope != k.scope || s.Over != 0 || s.Class != k.class {
			t.Errorf("%s: %+v, %v", k.name, s, err)
		}
	}
	for _, bad := range []struct{ cnt, price string }{{"0", "1"}, {"-1", "1"}, {"1", "-1"}} {
		if _, err := c.Split("T990000001", dec(t, bad.cnt), dec(t, bad.price), "0"); err == nil {
			t.Errorf("quantity %s price %s accepted", bad.cnt, bad.price)
		}
	}
	huge := money.Decimal{Coef: 1 << 62}
	if _, err := c.Split("T990000001", huge, huge, "0"); err == nil {
		t.Error("an amount beyond the interface was accepted")
	}
}

func facts(p people.Person, level, area string) Facts {
	f := Facts{Insurance: p.Insurances[0].Type, PersonType: p.Insurances[0].PersonType, Level: level, MedType: "11",
		Away: p.Area != area, Large: p.Has("330"), Servant: p.Has("320"), Aided: p.Aided(), UseAccount: true, Balance: p.Balance}
	if len(p.Used) > 0 {
		f.Used = p.Used[0]
	}
	return f
}

// The table of section 7.
func TestWorkedBills(t *testing.T) {
	all := map[string]people.Person{}
	for _, p := range people.Fixed() {
		all[p.No] = p
	}
	bill := Bill{479_54, 35_50, 37_03, 60_00, 347_01}
	again := all[people.Active]
	again.Balance, again.Used = 644_17, []people.Used{{Type: "310", Deductible: 200_00, Pool: 88_21}}
	cases := []struct {
		name                                                          string
		p                                                             people.Person
		ratio                                                         int64
		dedc, pool, large, servant, fund, personal, account, cash, bl money.Fen
	}{
		{"甲", all[people.Active], 6000, 200_00, 88_21, 0, 0, 88_21, 391_33, 355_83, 35_50, 644_17},
		{"甲 again", again, 6000, 0, 208_21, 0, 0, 208_21, 271_33, 235_83, 35_50, 408_34},
		{"乙", all[people.Retired], 6500, 100_00, 160_56, 0, 0, 160_56, 318_98, 283_48, 35_50, 2216_52},
		{"丙", all[people.Resident], 4000, 100_00, 98_80, 0, 0, 98_80, 380_74, 0, 380_74, 0},
		{"丁", all[people.Servant], 6000, 200_00, 88_21, 0, 29_40, 117_61, 361_93, 326_43, 35_50, 473_57},
		{"戊", all[people.Heavy], 6000, 0, 50_00, 126_57, 0, 176_57, 302_97, 267_47, 35_50, 32_53},
		{"庚", all[people.Poor], 6000, 200_00, 88_21, 0, 0, 88_21, 391_33, 3_50, 387_83, 0},
		{"辛", all[people.Elsewhere], 5000, 200_00, 73_51, 0, 0, 73_51, 406_03, 370_53, 35_50, 229_47},
	}
	for _, k := range cases {
		r, err := Settle(bill, facts(k.p, "3", "440100"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Ratio != ratio(k.ratio) || r.Deductible != k.dedc || r.Pool != k.pool || r.Large != k.large || r.Servant != k.servant ||
			r.Fund != k.fund || r.Personal != k.personal || r.Account != k.account || r.Cash != k.cash || r.Balance != k.bl {
			t.Errorf("%s: %+v", k.name, r)
		}
	}
	r, err := Settle(Bill{Total: 47_01, Scope: 47_01}, facts(all[people.Aided], "1", "440100"))
	if err != nil || r.Pool != 28_21 || r.Aid != 13_16 || r.Hospital != 56 || r.Fund != 41_37 || r.Cash != 5_08 {
		t.Errorf("己: %+v, %v", r, err)
	}
}

func TestSettleKeepsTheSums(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	ps := append(people.Fixed(), people.Generate(11, 400)...)
	c := NewCatalogue(Items())
	items := Items()
	for n := range 4000 {
		p := ps[rnd.IntN(len(ps))]
		if len(p.Insurances) == 0 {
			continue
		}
		var rows []Split
		for range 1 + rnd.IntN(8) {
			price := money.Decimal{Coef: rnd.Int64N(900_000_000), Scale: 6}
			cnt := money.Decimal{Coef: 1 + rnd.Int64N(200_000), Scale: 4}
			s, err := c.Split(items[rnd.IntN(len(items))].Code, cnt, price, []string{"0", "1", "2"}[rnd.IntN(3)])
			if err != nil {
				t.Fatal(err)
			}
			if s.Total != s.Own+s.Over+s.Pre+s.Scope || s.Over < 0 || s.Pre < 0 || s.Scope < 0 || s.Own < 0 {
				t.Fatalf("round %d: row does not add up: %+v", n, s)
			}
			rows = append(rows, s)
		}
		b, err := Add(rows...)
		if err != nil {
			t.Fatal(err)
		}
		f := facts(p, []string{"1", "2", "3"}[rnd.IntN(3)], "440100")
		f.MedType = []string{"11", "12", "13", "14"}[rnd.IntN(4)]
		f.UseAccount = rnd.IntN(2) == 0
		r, err := Settle(b, f)
		if err != nil {
			t.Fatal(err)
		}
		if r.Total != r.Fund+r.Personal+r.Hospital || r.Personal != r.Account+r.Cash ||
			r.Fund != r.Pool+r.Large+r.Serious+r.Servant+r.Aid || r.Balance != f.Balance-r.Account {
			t.Fatalf("round %d: sums do not meet: %+v", n, r)
		}
		for _, part := range []money.Fen{r.Deductible, r.Pool, r.Large, r.Serious, r.Servant, r.Aid, r.Hospital, r.Account, r.Cash, r.Balance} {
			if part < 0 {
				t.Fatalf("round %d: a part below zero: %+v", n, r)
			}
		}
		if r.Fund+r.Hospital > r.Scope || r.Cash < r.Own {
			t.Fatalf("round %d: the fund paid outside its range: %+v", n, r)
		}
	}
}
