package check

import "testing"

func TestPlainNumber(t *testing.T) {
	for s, want := range map[string][2]bool{ // without and with exponents allowed
		"0": {true, true}, "-0": {true, true}, "10.50": {true, true}, "-1.5": {true, true},
		"1e3": {false, true}, "1E-05": {false, true}, "1.5e+10": {false, true},
		"1e100": {}, "1e": {}, "1e+": {}, "01": {}, "-": {}, "": {}, "+1": {}, ".5": {}, "1.": {}, "1.e1": {}, "1x": {}, "NaN": {},
		"1234567890123456789012345678901234567890123456789": {},
	} {
		if got := [2]bool{plainNumber(s, false), plainNumber(s, true)}; got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestTimely(t *testing.T) {
	for s, want := range map[string]dateForm{
		"2024-02-29": real, "2000-02-29": real, "1900-02-29": unreal, "2026-02-29": unreal, "2026-04-31": unreal,
		"2026-12-31": real, "2026-13-01": unreal, "2026-00-01": unreal, "2026-01-00": unreal, "0000-01-01": unreal,
		"2026-1-01": malformed, "2026/01/01": malformed, "": malformed, "2026-01-0x": malformed, "２026-01": malformed,
	} {
		if got := timely(s, "date"); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
	for s, want := range map[string]dateForm{
		"2024-02-29 23:59:59": real, "2024-02-29 24:00:00": unreal, "2024-02-29 00:60:00": unreal, "2024-02-29 00:00:60": unreal,
		"2024-02-29T00:00:00": malformed, "2024-02-29": malformed, "2024-02-30 00:00:00": unreal,
	} {
		if got := timely(s, "datetime"); got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

// A piece ends when enough rows are in it, those inside other rows counted.
func TestPiecesAreWeighed(t *testing.T) {
	c, cat := newChecker(t, Options{})
	in := input(t, cat, "3467")
	c.Request("3467", in)
	r := run{root: "/input", side: c.requests["3467"], strict: true}
	_, mem := r.side.form.find("doctorinfo")
	rows := func(n int) []any { return make([]any, n) }
	inner := func(n int) any { return map[string]any{"mgtinfo": rows(n)} }
	for _, k := range []struct {
		list []any
		from int
		want int
	}{
		{rows(10), 0, 10}, {rows(500), 0, rowsAtOnce}, {rows(500), rowsAtOnce, 2 * rowsAtOnce}, {rows(500), 450, 500},
		{[]any{inner(150), inner(150), inner(1)}, 0, 2},
		{[]any{inner(rowsInRecord), inner(1)}, 0, 1},
		{[]any{inner(1), inner(rowsInRecord + 1), inner(1)}, 0, 1},
		{[]any{inner(1), inner(rowsInRecord + 1), inner(1)}, 1, 1}, // left out
	} {
		if got := r.piece(k.list, k.from, mem); got != k.want {
			t.Errorf("%d rows from %d: piece ends at %d, want %d", len(k.list), k.from, got, k.want)
		}
	}
	if got := short(r.out.findings(r.root)); got != "E node-too-long /input/doctorinfo/1" {
		t.Errorf("told: %s", got)
	}
}
