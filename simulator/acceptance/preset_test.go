package acceptance

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"yiqiao/simulator/acceptance/accepttest"
)

// A centre as each preset describes it passes, and a centre that adds its figures up the other way does not.
func TestPresets(t *testing.T) {
	list, err := Presets()
	if err != nil || len(list) < 5 {
		t.Fatalf("%d presets, %v", len(list), err)
	}
	try := func(of, judged Preset) *Result {
		site, err := SimulatorSite()
		if err != nil {
			t.Fatal(err)
		}
		judged.Apply(&site)
		sim, err := Simulate(SimulationOptions{Catalog: accepttest.Tables(), Preset: &of, Rand: rand.NewChaCha8([32]byte{4}), Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		defer sim.Centre.Close()
		r, err := New(accepttest.Tables(), Options{Target: sim.Target, Site: site, Only: []string{"OP-01", "IN-01", "IN-03"}, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		return r.Run(context.Background())
	}
	list = append(list, Preset{Code: "settle-first", Envelope: "none", Transport: "plain", URLStyle: "single", Order: "settle-first"})
	for _, p := range list {
		if res := try(p, p); !res.Passed() || !res.Reached {
			t.Errorf("%s: %v %+v", p.Code, res.Counts(), res.Cases)
		}
		other := p
		other.FundIncludesAccount = !p.FundIncludesAccount
		if res := try(other, p); res.Passed() {
			t.Errorf("%s: the other way of adding up passed", p.Code)
		}
	}
}

func TestPresetsAreReadStrictly(t *testing.T) {
	good := "name: {zh: 甲, en: a}\nenvelope: none\ntransport: plain\nurl_style: single\norder: settle-first\nconfidence: low\nsource: x\n"
	if _, err := ReadPreset(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", good + "unknown: 1\n", strings.Replace(good, "single", "many", 1), strings.Replace(good, "plain", "pigeon", 1),
		strings.Replace(good, "settle-first", "", 1), strings.Replace(good, "source: x", "", 1)} {
		if _, err := ReadPreset(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
