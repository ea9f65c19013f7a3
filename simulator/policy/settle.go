package policy

import (
	"strings"

	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

// Bill is the sum of the rows of a batch, in fen: Total = Own + Over + Pre + Scope.
type Bill struct {
	Total, Own, Over, Pre, Scope money.Fen
}

// Add sums rows; the only error is money.ErrRange.
func Add(rows ...Split) (Bill, error) {
	var b Bill
	for _, r := range rows {
		for _, pair := range [...]struct {
			to *money.Fen
			by money.Fen
		}{{&b.Total, r.Total}, {&b.Own, r.Own}, {&b.Over, r.Over}, {&b.Pre, r.Pre}, {&b.Scope, r.Scope}} {
			sum, err := money.Sum(*pair.to, pair.by)
			if err != nil {
				return Bill{}, err
			}
			*pair.to = sum
		}
	}
	return b, nil
}

// Facts is what the policy looks at beside the bill.
type Facts struct {
	Insurance  string // insutype of the visit: 310 or 390
	PersonType string // psn_type
	Level      string // hospital level: 3, 2, 1
	MedType    string // med_type
	Away       bool   // insured elsewhere
	Large      bool   // has insurance 330
	Servant    bool   // has insurance 320
	Aided      bool   // gets medical aid
	UseAccount bool   // acct_used_flag 1
	Balance    money.Fen
	Used       people.Used // so far this year
}

// Result is a bill shared out, in fen.
// Total = Fund + Personal + Hospital; Personal = Account + Cash;
// Fund = Pool + Large + Serious + Servant + Aid.
type Result struct {
	Bill
	Deductible money.Fen     // act_pay_dedc
	Standard   money.Fen     // the annual deductible that applied
	Ratio      money.Decimal // pool_prop_selfpay, four decimals
	Pool       money.Fen     // hifp_pay
	PoolLimit  money.Fen     // what the pooled fund could still pay before this bill
	Large      money.Fen     // hifob_pay
	Serious    money.Fen     // hifmi_pay
	Servant    money.Fen     // cvlserv_pay
	Aid        money.Fen     // maf_pay
	Hospital   money.Fen     // hosp_part_amt
	Fund       money.Fen     // sum of the funds, without the account
	Personal   money.Fen     // psn_part_amt
	Account    money.Fen     // acct_pay
	Cash       money.Fen     // psn_cash_pay
	Balance    money.Fen     // account after this bill
}

// Uses gives what a settlement adds to the accumulators of the year.
func (r Result) Uses(insutype string) people.Used {
	return people.Used{Type: insutype, Deductible: r.Deductible, Pool: r.Pool,
		Large: r.Large + r.Serious, Servant: r.Servant, Aid: r.Aid}
}

// Annual limits that do not depend on the person.
const (
	limitLarge   money.Fen = 100_000_00
	limitSerious money.Fen = 50_000_00
	limitServant money.Fen = 5_000_00
	limitAid     money.Fen = 10_000_00
)

// rates is one line of the tables of docs/simulated-policy.md; ratios in ten-thousandths, by
// hospital level 1, 2, 3.
type rates struct {
	deductible [4]money.Fen
	ratio      [4]int64
	chronic    int64
	limit      money.Fen
}

func ratesFor(f Facts) rates {
	switch {
	case f.Insurance == "390":
		return rates{
			deductible: [4]money.Fen{1: 0, 2: 50_00, 3: 100_00},
			ratio:      [4]int64{1: 6000, 2: 5000, 3: 4000}, chronic: 7000, limit: 3000_00,
		}
	case strings.HasPrefix(f.PersonType, "12"):
		return rates{
			deductible: [4]money.Fen{1: 0, 2: 50_00, 3: 100_00},
			ratio:      [4]int64{1: 8000, 2: 7000, 3: 6500}, chronic: 9000, limit: 8000_00,
		}
	}
	return rates{
		deductible: [4]money.Fen{1: 50_00, 2: 100_00, 3: 200_00},
		ratio:      [4]int64{1: 7500, 2: 6500, 3: 6000}, chronic: 8500, limit: 6000_00,
	}
}

// MedTypes reports whether the policy covers a medical category.
func MedTypes(code string) bool {
	return code == "11" || code == "12" || code == "13" || code == "14"
}

// Settle shares a bill out. The only error is money.ErrRange.
func Settle(b Bill, f Facts) (Result, error) {
	r := Result{Bill: b}
	t := ratesFor(f)
	level := 3
	switch f.Level {
	case "1":
		level = 1
	case "2":
		level = 2
	}
	prop := t.ratio[level]
	if f.MedType == "14" {
		prop = t.chronic
	} else {
		r.Standard = t.deductible[level]
	}
	if f.Away {
		prop -= 1000
	}
	r.Ratio = ratio(prop)
	r.Deductible = min(b.Scope, max(0, r.Standard-f.Used.Deductible))
	r.PoolLimit = max(0, t.limit-f.Used.Pool)

	var err error
	part := func(amount money.Fen, tenThousandths int64) money.Fen {
		if err != nil {
			return 0
		}
		var share money.Fen
		share, err = money.Share(amount, ratio(tenThousandths))
		return share
	}
	due := part(b.Scope-r.Deductible, prop)
	r.Pool = min(due, r.PoolLimit)
	beyond := due - r.Pool
	switch {
	case f.Insurance == "390":
		r.Serious = min(part(beyond, 6000), max(0, limitSerious-f.Used.Large))
	case f.Large:
		r.Large = min(part(beyond, 8000), max(0, limitLarge-f.Used.Large))
	}
	left := b.Scope - r.Pool - r.Large - r.Serious
	if f.Servant {
		r.Servant = min(part(left-r.Deductible, 5000), max(0, limitServant-f.Used.Servant))
		left -= r.Servant
	}
	if f.Aided {
		r.Aid = min(part(left, 7000), max(0, limitAid-f.Used.Aid))
		left -= r.Aid
		if level == 1 {
			r.Hospital = part(left, 1000)
		}
	}
	if err != nil {
		return Result{}, err
	}
	r.Fund = r.Pool + r.Large + r.Serious + r.Servant + r.Aid
	r.Personal = b.Total - r.Fund - r.Hospital
	if f.UseAccount && f.Insurance == "310" {
		r.Account = max(0, min(f.Balance, r.Personal-b.Own))
	}
	r.Cash = r.Personal - r.Account
	r.Balance = f.Balance - r.Account
	return r, nil
}
