package sample

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
	"yiqiao/schemas/codes"
)

// Samples of every described transaction are valid by the tables, and broken ones are found to be broken.
func TestSamples(t *testing.T) {
	cat, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	dicts, err := codes.Default()
	if err != nil {
		t.Fatal(err)
	}
	checker, err := check.New(cat, check.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := New(cat, dicts, time.Date(2026, 6, 18, 4, 0, 0, 0, time.UTC))
	made, broken := 0, map[Kind]int{}
	for _, tx := range cat.All() {
		for seed := range uint64(3) {
			in, err := m.Valid(tx, seed)
			if errors.Is(err, ErrNone) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			made++
			for _, f := range checker.Request(tx.Infno, in) {
				if f.Severity == check.Error {
					t.Errorf("%s seed %d: %s %s %s", tx.Infno, seed, f.Path, f.Code, f.Rule)
				}
			}
			if again, _ := m.Valid(tx, seed); !reflect.DeepEqual(in, again) {
				t.Errorf("%s: not the same again", tx.Infno)
			}
		}
		for _, kind := range Kinds() {
			in, path, err := m.Broken(tx, 1, kind)
			if errors.Is(err, ErrNone) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			broken[kind]++
			if len(checker.Request(tx.Infno, in)) == 0 {
				t.Errorf("%s %s at %s is not found", tx.Infno, kind, path)
			}
		}
	}
	if made < 300 {
		t.Errorf("only %d samples", made)
	}
	for _, kind := range Kinds() {
		if broken[kind] < 30 {
			t.Errorf("%s: only %d tables can be broken that way", kind, broken[kind])
		}
	}
	t.Logf("%d valid, broken %v", made, broken)
	if _, _, err := m.Broken(cat.All()[0], 1, "nonsense"); err == nil {
		t.Error("nonsense is a kind")
	}
}
