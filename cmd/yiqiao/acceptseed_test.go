package main

import (
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Two runs of the command with one seed give the same report but for the times (and the numbers made of them), which are taken out here; the keys and
// nonces of the simulated line come from the seed alone.
func TestAcceptSeedRepeats(t *testing.T) {
	times := regexp.MustCompile(`"took_ns": \d+|20\d\d-\d\d-\d\d([T ]\d\d:\d\d:\d\d[.\d]*)?(Z|[+-]\d\d:\d\d)?|\d{10,}`)
	one := func(seed string) string {
		code, text := acceptOut(t, "run", "--profile", "mpc", "--suite", "outpatient", "--seed", seed, "--json", "--out", filepath.Join(t.TempDir(), "r"))
		if code != exitOK {
			t.Fatalf("%d %.300s", code, text)
		}
		return times.ReplaceAllString(text, "T")
	}
	a, b := one("7"), one("7")
	if a != b {
		x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				t.Fatalf("line %d: %.400s\n%.400s", i, x[i], y[i])
			}
		}
	}
	if one("8") == a {
		t.Error("another seed, the same report")
	}
	var k [3][64]byte
	for i, seed := range []uint64{7, 7, 8} {
		if _, err := io.ReadFull(seeded(seed), k[i][:]); err != nil {
			t.Fatal(err)
		}
	}
	if k[0] != k[1] || k[0] == k[2] {
		t.Error("the randomness is not the seed's")
	}
}
