package acceptance

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"yiqiao/simulator/acceptance/accepttest"
)

// The same seed at the same time gives the same report to the byte, message ids and other long numbers included; another seed
// gives other numbers. What times do to a report the command's own test tells.
func TestTheSameSeedGivesTheSameBytes(t *testing.T) {
	report := func(profile string, seed uint64) map[string][]byte {
		s, err := Simulate(SimulationOptions{Catalog: accepttest.Tables(), Profile: profile, Rand: rand.NewChaCha8([32]byte{byte(seed)}), Now: accepttest.At0})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Centre.Close)
		dir := t.TempDir()
		var wire []byte
		res := run(t, s, Options{Seed: seed, Originals: func(o Original) {
			for _, w := range o.Wire {
				wire = append(append(wire, w.Request...), w.Reply...)
			}
		}})
		if err := WriteReport(dir, res, nil, nil, nil); err != nil {
			t.Fatal(err)
		}
		out := map[string][]byte{"wire": wire}
		for _, name := range []string{FileJSON, FileJUnit, FileHTML} {
			if out[name], err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		return out
	}
	for _, profile := range []string{"none", "mpc"} {
		a, b, other := report(profile, 7), report(profile, 7), report(profile, 8)
		for name := range a {
			if i := differ(a[name], b[name]); i >= 0 {
				t.Errorf("%s: %s differs at %d: %.200q, %.200q", profile, name, i, a[name][i:], b[name][i:])
			}
			if name != FileJUnit && bytes.Equal(a[name], other[name]) {
				t.Errorf("%s: %s is the same with another seed", profile, name)
			}
		}
	}
}

// differ is where two texts part; -1 when they do not.
func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
