package money

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text string
		want Fen
		err  error
	}{
		{"0", 0, nil}, {"-0", 0, nil}, {"-0.00", 0, nil}, {"12", 1200, nil}, {"12.3", 1230, nil}, {"12.30", 1230, nil},
		{"-0.05", -5, nil}, {"007.10", 710, nil},
		{"99999999999999.99", MaxFen, nil}, {"-99999999999999.99", -MaxFen, nil},
		{"100000000000000", 0, ErrRange}, {"-100000000000000.00", 0, ErrRange}, {"99999999999999999999999", 0, ErrRange},
		{"92233720368547758.07", 0, ErrRange}, {"92233720368547758.08", 0, ErrRange},
		{"1.000", 0, ErrDecimals}, {"1.001", 0, ErrDecimals},
		{"", 0, ErrSyntax}, {"-", 0, ErrSyntax}, {"+1", 0, ErrSyntax}, {".5", 0, ErrSyntax}, {"1.", 0, ErrSyntax}, {"1..0", 0, ErrSyntax},
		{" 1", 0, ErrSyntax}, {"1 ", 0, ErrSyntax}, {"1,000", 0, ErrSyntax}, {"1e2", 0, ErrSyntax}, {"--1", 0, ErrSyntax}, {"1-", 0, ErrSyntax},
		{"NaN", 0, ErrSyntax}, {"Infinity", 0, ErrSyntax}, {"0x10", 0, ErrSyntax}, {"1_0", 0, ErrSyntax}, {"１２", 0, ErrSyntax}, {"1.2.3", 0, ErrSyntax},
	} {
		if got, err := Parse(c.text); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: got %d, %v; want %d, %v", c.text, got, err, c.want, c.err)
		}
	}
}

func TestParseReply(t *testing.T) {
	for _, c := range []struct {
		text string
		want Fen
		err  error
	}{
		{"12.30", 1230, nil}, {"12.3000", 1230, nil}, {"1.5E1", 1500, nil}, {"1.5e+1", 1500, nil}, {"150e-2", 150, nil}, {"0e99", 0, nil},
		{"-0.000E-7", 0, nil}, {"1e13", 10_000_000_000_000_00, nil}, {"9999999999999999E-2", MaxFen, nil}, {"0.001e1", 1, nil},
		{"-12.50", -1250, nil}, {"0.0000000000000000000000000001e27", 10, nil}, {"0e999999999999999999999", 0, nil},
		{"12.301", 0, ErrDecimals}, {"1e-3", 0, ErrDecimals}, {"1e-999999999999999999999", 0, ErrDecimals},
		{"1e14", 0, ErrRange}, {"1e999999999999999999999", 0, ErrRange}, {"999999999999999.99", 0, ErrRange},
		{"1e", 0, ErrSyntax}, {"1e+", 0, ErrSyntax}, {"e5", 0, ErrSyntax}, {"1e1.0", 0, ErrSyntax}, {"", 0, ErrSyntax}, {"+1", 0, ErrSyntax},
		{" 1", 0, ErrSyntax}, {"null", 0, ErrSyntax},
	} {
		if got, err := ParseReply(c.text); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: got %d, %v; want %d, %v", c.text, got, err, c.want, c.err)
		}
	}
}

func TestString(t *testing.T) {
	for f, want := range map[Fen]string{0: "0.00", 5: "0.05", -5: "-0.05", 1230: "12.30", -100: "-1.00", MaxFen: "99999999999999.99",
		math.MinInt64: "-92233720368547758.08"} {
		if f.String() != want || string(Number(f)) != want {
			t.Errorf("%d: got %s and %s, want %s", int64(f), f, Number(f), want)
		}
	}
	b, err := json.Marshal(map[string]any{"text": Fen(1230), "wire": Number(1230)})
	if err != nil || string(b) != `{"text":"12.30","wire":12.30}` {
		t.Errorf("json: %s, %v", b, err)
	}
	var back struct{ Text Fen }
	if err := json.Unmarshal([]byte(`{"text":"12.30"}`), &back); err != nil || back.Text != 1230 {
		t.Errorf("json back: %v, %v", back, err)
	}
	if err := json.Unmarshal([]byte(`{"text":"12.301"}`), &back); !errors.Is(err, ErrDecimals) || back.Text != 1230 {
		t.Errorf("json back: %v, %v", back, err)
	}
}

func TestParseDecimal(t *testing.T) {
	for _, c := range []struct {
		text  string
		scale uint8
		want  Decimal
		err   error
	}{
		{"1.50", 4, Decimal{150, 2}, nil}, {"-2.0000", 4, Decimal{-20000, 4}, nil}, {"3", 0, Decimal{3, 0}, nil},
		{"0.12345678", 8, Decimal{12345678, 8}, nil}, {"9223372036854775807", 0, Decimal{math.MaxInt64, 0}, nil},
		{"9223372036854775808", 0, Decimal{}, ErrRange}, {"1.0", 0, Decimal{}, ErrDecimals}, {"1.00000", 4, Decimal{}, ErrDecimals},
		{"0.123456789", 200, Decimal{}, ErrDecimals}, {"1e1", 4, Decimal{}, ErrSyntax},
	} {
		got, err := ParseDecimal(c.text, c.scale)
		if !errors.Is(err, c.err) || err == nil && (got != c.want || got.String() != c.text) {
			t.Errorf("%q: got %v %s, %v; want %v, %v", c.text, got, got, err, c.want, c.err)
		}
	}
	for text, want := range map[string]Decimal{"999999999.99900": {999999999999, 3}, "9.99E8": {999000000, 0}, "1.50": {15, 1}, "0.00": {}, "100": {100, 0}} {
		if got, err := ParseReplyDecimal(text, 6); err != nil || got != want {
			t.Errorf("reply %q: got %v, %v; want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]error{"0.0000001": ErrDecimals, "1e30": ErrRange, "x": ErrSyntax} {
		if _, err := ParseReplyDecimal(text, 6); !errors.Is(err, want) {
			t.Errorf("reply %q: got %v, want %v", text, err, want)
		}
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		quantity, price string
		want            Fen
	}{
		{"1", "0.005", 1}, {"-1", "0.005", -1}, {"1", "0.004999", 0}, {"-1", "0.004999", 0}, {"3", "0.015", 5},
		{"2.5000", "1.250000", 313}, {"0.3333", "3.000000", 100}, {"7", "12", 8400}, {"0", "-5.5", 0}, {"1.5", "2", 300}, {"-1.5", "0.5", -75},
	} {
		q, errQ := ParseDecimal(c.quantity, 4)
		p, errP := ParseDecimal(c.price, 6)
		got, err := Product(q, p)
		if errQ != nil || errP != nil || err != nil || got != c.want {
			t.Errorf("%s x %s: got %s, %v; want %s", c.quantity, c.price, got, err, c.want)
		}
	}
	if got, err := Share(1001, Decimal{5, 1}); got != 501 || err != nil {
		t.Errorf("half of 10.01 is %s, %v", got, err)
	}
	big := Decimal{Coef: math.MaxInt64}
	for name, err := range map[string]error{
		"product": second(Product(big, big)), "scaled product": second(Product(Decimal{math.MinInt64, 8}, Decimal{math.MinInt64, 8})),
		"share": second(Share(MaxFen, Decimal{101, 2})), "sum": second(Sum(MaxFen, 1)), "wide sum": second(Sum(math.MinInt64, math.MinInt64)),
		"fen": second(big.Fen()),
	} {
		if !errors.Is(err, ErrRange) {
			t.Errorf("%s: got %v, want ErrRange", name, err)
		}
	}
	for name, err := range map[string]error{
		"product": second(Product(Decimal{1, 9}, Decimal{1, 0})), "share": second(Share(1, Decimal{1, 255})),
		"fen": second(Decimal{125, 3}.Fen()), "wide fen": second(Decimal{1, 255}.Fen()),
	} {
		if !errors.Is(err, ErrDecimals) {
			t.Errorf("%s: got %v, want ErrDecimals", name, err)
		}
	}
	if got, err := (Decimal{1250, 3}).Fen(); got != 125 || err != nil {
		t.Errorf("1.250 is %s, %v", got, err)
	}
	if got, err := Sum(math.MaxInt64, 5, math.MinInt64, -3, MaxFen-2); got != MaxFen-1 || err != nil {
		t.Errorf("a sum whose way leads out of range: %s, %v", got, err)
	}
	if got, err := Sum(); got != 0 || err != nil {
		t.Errorf("sum of nothing: %s, %v", got, err)
	}
}

func second(_ Fen, err error) error { return err }

// rounded is the plain reading of "half up, away from zero" over big.Rat.
func rounded(r *big.Rat) *big.Int {
	x := new(big.Rat).Mul(r, big.NewRat(100, 1))
	sign := x.Sign()
	x.Abs(x).Add(x, big.NewRat(1, 2))
	q := new(big.Int).Quo(x.Num(), x.Denom())
	return q.Mul(q, big.NewInt(int64(sign)))
}

func rat(d Decimal) *big.Rat {
	den := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.Coef), den)
}

func TestProductAgainstBig(t *testing.T) {
	rng := rand.New(rand.NewPCG(2204, 1))
	any64 := func() int64 { return int64(rng.Uint64()) >> rng.IntN(64) }
	limit := big.NewInt(int64(MaxFen))
	inRange := 0
	for range 200_000 {
		q, p := Decimal{any64(), uint8(rng.IntN(9))}, Decimal{any64(), uint8(rng.IntN(9))}
		want := rounded(new(big.Rat).Mul(rat(q), rat(p)))
		got, err := Product(q, p)
		if want.CmpAbs(limit) > 0 {
			if !errors.Is(err, ErrRange) {
				t.Fatalf("%s x %s: got %s, %v; want ErrRange", q, p, got, err)
			}
			continue
		}
		inRange++
		if err != nil || int64(got) != want.Int64() {
			t.Fatalf("%s x %s: got %d, %v; want %s", q, p, got, err, want)
		}
		if back, err := ParseDecimal(q.String(), 8); q.Coef != math.MinInt64 && (err != nil || back != q) {
			t.Fatalf("%v came back as %v, %v", q, back, err)
		}
	}
	if inRange < 50_000 {
		t.Fatalf("only %d products in range: the test tests nothing", inRange)
	}
}

func TestSumProperties(t *testing.T) {
	rng := rand.New(rand.NewPCG(2207, 1))
	for range 2000 {
		fens := make([]Fen, rng.IntN(200))
		want := new(big.Int)
		for i := range fens {
			fens[i] = Fen(rng.Int64N(2*int64(MaxFen)+1)) - MaxFen
			if back, err := Parse(fens[i].String()); err != nil || back != fens[i] {
				t.Fatalf("%d came back as %d, %v", fens[i], back, err)
			}
			want.Add(want, big.NewInt(int64(fens[i])))
		}
		got, err := Sum(fens...)
		if fits := want.CmpAbs(big.NewInt(int64(MaxFen))) <= 0; fits != (err == nil) || fits && int64(got) != want.Int64() {
			t.Fatalf("got %d, %v; want %s", got, err, want)
		}
		rng.Shuffle(len(fens), func(i, j int) { fens[i], fens[j] = fens[j], fens[i] })
		if again, err2 := Sum(fens...); again != got || err2 != err {
			t.Fatal("the order of the amounts changes their sum")
		}
	}
}

func FuzzParse(f *testing.F) {
	strict := regexp.MustCompile(`^-?[0-9]+(\.[0-9]{1,2})?$`)
	loose := regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
	for _, s := range []string{"0", "-0.00", "12.30", "1e5", "1.", ".5", "99999999999999.99", "1.5E1", "0.000000001e9", "+1", " 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		if err == nil != (strict.MatchString(s) && !errors.Is(err, ErrRange)) {
			t.Fatalf("%q: %v", s, err)
		}
		reply, errReply := ParseReply(s)
		if errors.Is(errReply, ErrSyntax) == loose.MatchString(s) {
			t.Fatalf("%q as a reply: %v", s, errReply)
		}
		if err == nil {
			if reply != got || errReply != nil {
				t.Fatalf("%q is %s as a request, %s (%v) as a reply", s, got, reply, errReply)
			}
			if back, err := Parse(got.String()); back != got || err != nil {
				t.Fatalf("%q: %s came back as %s, %v", s, got, back, err)
			}
		}
		// math/big knows the value of every literal whose exponent it can afford.
		if _, exp, has := strings.Cut(strings.ToLower(s), "e"); !loose.MatchString(s) || len(s) > 400 || has && len(strings.TrimLeft(exp, "+-0")) > 3 {
			return
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q: math/big can not read it", s)
		}
		cents := new(big.Rat).Mul(r, big.NewRat(100, 1))
		switch fits := cents.IsInt() && cents.Num().CmpAbs(big.NewInt(int64(MaxFen))) <= 0; {
		case fits && (errReply != nil || cents.Num().Int64() != int64(reply)):
			t.Fatalf("%q: got %s, %v; want %s fen", s, reply, errReply, cents.Num())
		case !fits && errReply == nil:
			t.Fatalf("%q: got %s, want an error", s, reply)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("12345.67"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkString(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = Fen(1234567).String()
	}
}

func BenchmarkProduct(b *testing.B) {
	q, p := Decimal{25000, 4}, Decimal{1250000, 6}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Product(q, p); err != nil {
			b.Fatal(err)
		}
	}
}
