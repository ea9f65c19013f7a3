package world

import (
	"strings"
	"testing"
)

// Every planted fault is found, within 1,000 seeds, and on a seed that is clean without it. The
// seeds are tried in order until one finds it; that one is reported.
func TestMutationsAreCaught(t *testing.T) {
	k := kit(t)
	list := Mutations()
	if testing.Short() {
		list = []Mutation{AckBeforeDurable} // found at once; the race detector makes a world ten times slower
	}
	for _, m := range list {
		t.Run(string(m), func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(1000) {
				r, err := Run(k, Options{Seed: seed, Mutation: m})
				if err != nil {
					t.Fatal(err)
				}
				if len(r.Violations) == 0 {
					continue
				}
				clean, err := Run(k, Options{Seed: seed})
				if err != nil {
					t.Fatal(err)
				}
				if len(clean.Violations) == 0 {
					t.Logf("found by %d seeds: %v", seed+1, words(r.Violations))
					return
				}
			}
			t.Error("not found by 1,000 seeds")
		})
	}
}

// words counts what was violated.
func words(violations []string) map[string]int {
	m := map[string]int{}
	for _, v := range violations {
		word, _, _ := strings.Cut(v, ":")
		m[word]++
	}
	return m
}

func TestUnknownMutation(t *testing.T) {
	if _, err := Run(kit(t), Options{Mutation: "no such thing"}); err == nil {
		t.Error("a mutation that does not exist was taken")
	}
}
