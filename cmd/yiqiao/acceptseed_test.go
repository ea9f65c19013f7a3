package main

import (
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Two runs of the command with one seed give the same report but for the times, those within long numbers included, which are taken out here: the rest of
// a message id or of a number of the centre is the same. The keys and nonces of the simulated line come from the seed alone.
func TestAcceptSeedRepeats(t *testing.T) {
	day := time.Now().In(time.FixedZone("CST", 8*3600))
	// in a msgid, a serial number, a row number; with the clock standing nothing has to be taken out (package acceptance)
	stamps := fmt.Sprintf(`(20\d\d)?(%s|%s)\d{6}`, day.Format("0102"), day.Add(time.Minute).Format("0102"))
	times := regexp.MustCompile(`"took_ns": \d+|20\d\d-\d\d-\d\d([T ]\d\d:\d\d:\d\d[.\d]*)?(Z|[+-]\d\d:\d\d)?|` + stamps)
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
