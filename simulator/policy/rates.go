package policy

import (
	"strings"

	"yiqiao/schemas/money"
)

// Class is the kind of care the policy treats alike.
type Class uint8

const (
	NotCovered Class = iota // the policy pays nothing and a centre refuses it
	Outpatient              // 11, 12, 13
	Chronic                 // 14, outpatient and pharmacy
	Inpatient               // 21, 22, 23, 24
	Pharmacy                // 41
)

// ClassOf gives the kind of care of a med_type.
func ClassOf(medType string) Class {
	switch medType {
	case "11", "12", "13":
		return Outpatient
	case "14":
		return Chronic
	case "21", "22", "23", "24":
		return Inpatient
	case "41":
		return Pharmacy
	}
	return NotCovered
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

// group tells which line of the tables a person reads.
func group(f Facts) int {
	switch {
	case f.Insurance == "390":
		return 2
	case strings.HasPrefix(f.PersonType, "12"):
		return 1
	}
	return 0
}

func outpatientRates(f Facts) rates {
	return [3]rates{
		{
			deductible: [4]money.Fen{1: 50_00, 2: 100_00, 3: 200_00},
			ratio:      [4]int64{1: 7500, 2: 6500, 3: 6000}, chronic: 8500, limit: 6000_00,
		},
		{
			deductible: [4]money.Fen{1: 0, 2: 50_00, 3: 100_00},
			ratio:      [4]int64{1: 8000, 2: 7000, 3: 6500}, chronic: 9000, limit: 8000_00,
		},
		{
			deductible: [4]money.Fen{1: 0, 2: 50_00, 3: 100_00},
			ratio:      [4]int64{1: 6000, 2: 5000, 3: 4000}, chronic: 7000, limit: 3000_00,
		},
	}[group(f)]
}

func inpatientRates(f Facts) rates {
	return [3]rates{
		{
			deductible: [4]money.Fen{1: 300_00, 2: 500_00, 3: 800_00},
			ratio:      [4]int64{1: 9200, 2: 8800, 3: 8500}, limit: 300_000_00,
		},
		{
			deductible: [4]money.Fen{1: 200_00, 2: 400_00, 3: 600_00},
			ratio:      [4]int64{1: 9500, 2: 9200, 3: 8900}, limit: 300_000_00,
		},
		{
			deductible: [4]money.Fen{1: 300_00, 2: 600_00, 3: 1000_00},
			ratio:      [4]int64{1: 8500, 2: 7500, 3: 6500}, limit: 150_000_00,
		},
	}[group(f)]
}

// terms is what applies to one bill.
type terms struct {
	level    int
	standard money.Fen // deductible of the year, or of the stay
	charged  money.Fen // of it already charged
	ratio    int64
	limit    money.Fen // of the pooled fund in the year
	used     money.Fen
	funds    bool // any fund pays at all
}

func termsOf(f Facts) terms {
	t := terms{level: 3, funds: true, used: f.Used.Pool, charged: f.Used.Deductible}
	switch f.Level {
	case "1":
		t.level = 1
	case "2":
		t.level = 2
	}
	switch ClassOf(f.MedType) {
	case Pharmacy, NotCovered:
		return terms{level: t.level}
	case Inpatient:
		r := inpatientRates(f)
		t.ratio, t.standard, t.limit = r.ratio[t.level], r.deductible[t.level], r.limit
		if f.Again {
			t.standard /= 2
		}
		t.used, t.charged = f.Used.StayPool, f.Charged
	case Chronic:
		r := outpatientRates(f)
		t.ratio, t.limit = r.chronic, r.limit
	default:
		r := outpatientRates(f)
		t.ratio, t.standard, t.limit = r.ratio[t.level], r.deductible[t.level], r.limit
	}
	if f.Away {
		t.ratio -= 1000
	}
	return t
}
