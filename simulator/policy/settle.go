package policy

import (
	"errors"

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
	Again      bool        // inpatients: another stay was settled this year
	Charged    money.Fen   // inpatients: deductible already charged in this stay
}

// Result is a bill shared out, in fen.
// Total = Fund + Personal + Hospital; Personal = Account + Cash;
// Fund = Pool + Large + Serious + Servant + Aid.
type Result struct {
	Bill
	Inpatient  bool          // shared out by the rules for inpatients
	Deductible money.Fen     // act_pay_dedc
	Standard   money.Fen     // the deductible that applied: of the year, or of the stay
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
	u := people.Used{Type: insutype, Large: r.Large + r.Serious, Servant: r.Servant, Aid: r.Aid}
	if r.Inpatient { // the deductible of a stay counts for the stay alone
		u.StayPool = r.Pool
	} else {
		u.Deductible, u.Pool = r.Deductible, r.Pool
	}
	return u
}

// ErrNegative refuses a bill of which a part is below zero: more was refunded than charged.
var ErrNegative = errors.New("policy: a part of the bill is below zero")

// Settle shares a bill out. The errors are money.ErrRange and ErrNegative.
func Settle(b Bill, f Facts) (Result, error) {
	if min(b.Total, b.Own, b.Over, b.Pre, b.Scope) < 0 {
		return Result{}, ErrNegative
	}
	t := termsOf(f)
	r := Result{Bill: b, Inpatient: ClassOf(f.MedType) == Inpatient, Standard: t.standard, Ratio: ratio(t.ratio)}
	if t.funds {
		r.Deductible = min(b.Scope, max(0, t.standard-t.charged))
		r.PoolLimit = max(0, t.limit-t.used)
	}

	var err error
	part := func(amount money.Fen, tenThousandths int64) money.Fen {
		if err != nil {
			return 0
		}
		var share money.Fen
		share, err = money.Share(amount, ratio(tenThousandths))
		return share
	}
	due := part(b.Scope-r.Deductible, t.ratio)
	r.Pool = min(due, r.PoolLimit)
	beyond := due - r.Pool
	switch {
	case f.Insurance == "390":
		r.Serious = min(part(beyond, 6000), max(0, limitSerious-f.Used.Large))
	case f.Large:
		r.Large = min(part(beyond, 8000), max(0, limitLarge-f.Used.Large))
	}
	left := b.Scope - r.Pool - r.Large - r.Serious
	if f.Servant && t.funds {
		r.Servant = min(part(left-r.Deductible, 5000), max(0, limitServant-f.Used.Servant))
		left -= r.Servant
	}
	if f.Aided && t.funds {
		r.Aid = min(part(left, 7000), max(0, limitAid-f.Used.Aid))
		left -= r.Aid
		if t.level == 1 {
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
