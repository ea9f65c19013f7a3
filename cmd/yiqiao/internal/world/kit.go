package world

import (
	"context"

	"yiqiao/adapters/region"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
)

// Kit is what all worlds share: the tables, and the schemas made of them. It is not changed by a
// world and safe for concurrent use.
type Kit struct {
	catalog   *catalog.Catalog
	regions   map[bool]*gateway.Region // by strict
	checkers  map[bool]*check.Checker
	items     []policy.Item
	hospitals []people.Institution
	pharmacy  people.Institution
}

// NewKit reads the tables.
func NewKit() (*Kit, error) {
	cat, err := catalog.Default()
	if err != nil {
		return nil, err
	}
	k := &Kit{catalog: cat, regions: map[bool]*gateway.Region{}, checkers: map[bool]*check.Checker{}, items: policy.Items()}
	for strict, name := range map[bool]string{false: "national", true: "national-strict"} {
		r, err := region.Load(name)
		if err != nil {
			return nil, err
		}
		k.regions[strict] = r
		if k.checkers[strict], err = check.New(cat, check.Options{Relax: r.Relax, Codes: r.Codes}); err != nil {
			return nil, err
		}
	}
	for _, p := range people.Institutions() {
		if p.Pharmacy() {
			k.pharmacy = p
		} else {
			k.hospitals = append(k.hospitals, p)
		}
	}
	return k, nil
}

// region gives a world its own copy of a region.
func (k *Kit) region(strict, signIn bool) *gateway.Region {
	r := *k.regions[strict]
	r.SignIn = signIn
	return &r
}

func bg() context.Context { return context.Background() }
