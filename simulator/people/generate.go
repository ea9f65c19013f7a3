package people

import (
	"fmt"
	"math/rand/v2"
	"time"

	"yiqiao/schemas/money"
)

// Generate makes n synthetic persons; the same seed gives the same persons. Their numbers never
// meet those of the fixed ones. n is bounded to a million.
func Generate(seed uint64, n int) []Person {
	n = min(max(n, 0), 1_000_000)
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	first := r.Perm(days)[:1000] // birth day of the first person of each serial
	out := make([]Person, n)
	for i := range out {
		out[i] = one(r, i+1, first)
	}
	return out
}

// days is how many birth days there are, step how far apart those of one serial are. They have no
// common divisor, so persons that share the three-digit serial never share the birth day.
const (
	days = 29_200
	step = 29
)

func one(r *rand.Rand, k int, first []int) Person {
	gender := "1"
	if k%2 == 0 {
		gender = "2"
	}
	day := (first[k%1000] + k/1000*step) % days
	birth := time.Date(1940, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, day)
	year := birth.Year()
	body := "999999" + birth.Format("20060102") + fmt.Sprintf("%03d", k%1000)
	p := Person{
		No:     fmt.Sprintf("44019%015d", k),
		Cert:   body + CheckDigit(body),
		Name:   fmt.Sprintf("测试%06d", k),
		Gender: gender,
		Birth:  birth.Format("2006-01-02"),
		Ethnic: "01",
		Card:   fmt.Sprintf("T1%07d", k),
		CardSN: fmt.Sprintf("%032X", 0xB0000000+k),
		Token:  fmt.Sprintf("TESTTOKEN1%019d", k),
		Area:   "440100",
	}
	balance := money.Fen(r.IntN(5_000_00))
	pick := r.IntN(100)
	switch {
	case pick < 10 && year < 1966, year < 1960:
		p.Insurances = []Insurance{{Type: "310", PersonType: "1201", State: "1", Since: "2001-01-01"}}
		p.Balance = balance
	case pick < 45:
		p.Insurances = []Insurance{{Type: "310", PersonType: "1101", State: "1", Since: "2012-01-01"}}
		p.Balance = balance
	case pick < 55:
		p.Insurances = []Insurance{
			{Type: "310", PersonType: "1102", State: "1", Since: "2012-01-01"},
			{Type: "320", PersonType: "1102", State: "1", Since: "2012-01-01"},
		}
		p.Balance = balance
	case pick < 65:
		p.Insurances = []Insurance{
			{Type: "310", PersonType: "1101", State: "1", Since: "2012-01-01"},
			{Type: "330", PersonType: "1101", State: "1", Since: "2012-01-01"},
		}
		p.Balance = balance
	default:
		p.Insurances = []Insurance{{Type: "390", PersonType: "1501", State: "1", Since: "2018-01-01"}}
		if r.IntN(4) == 0 {
			p.Identities = []Identity{{Type: MedicalAid, Since: "2020-01-01 00:00:00", Memo: "医疗救助对象"}}
		}
	}
	if r.IntN(5) == 0 {
		p.Area = "440300"
	}
	if len(p.Insurances) > 0 && r.IntN(3) == 0 {
		p.Used = []Used{{
			Type:       p.Insurances[0].Type,
			Deductible: money.Fen(r.IntN(200_00)),
			Pool:       money.Fen(r.IntN(8_000_00)),
		}}
	}
	return p
}

// CheckDigit gives the last character of an 18-character identity number from its first 17
// digits (ISO 7064 MOD 11-2), or "" when body is not 17 digits.
func CheckDigit(body string) string {
	if len(body) != 17 {
		return ""
	}
	weight := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weight {
		d := int(body[i]) - '0'
		if d < 0 || d > 9 {
			return ""
		}
		sum += d * w
	}
	return string("10X98765432"[sum%11])
}
