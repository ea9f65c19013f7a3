package world

import "testing"

// BenchmarkSeeds is what a town of 50 bills costs, on one core.
func BenchmarkSeeds(b *testing.B) {
	k, err := NewKit()
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if _, err := Run(k, Options{Seed: uint64(i)}); err != nil {
			b.Fatal(err)
		}
	}
}
