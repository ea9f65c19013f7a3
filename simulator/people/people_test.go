package people

import (
	"reflect"
	"strings"
	"testing"
)

func TestNobodyIsReal(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range append(Fixed(), Generate(7, 30_000)...) {
		if !strings.HasPrefix(p.Cert, "999999") || len(p.Cert) != 18 {
			t.Fatalf("%s: identity number %s could be somebody's", p.No, p.Cert)
		}
		if CheckDigit(p.Cert[:17]) != p.Cert[17:] {
			t.Errorf("%s: wrong check digit in %s", p.No, p.Cert)
		}
		if got := strings.ReplaceAll(p.Birth, "-", ""); got != p.Cert[6:14] {
			t.Errorf("%s: born %s but the identity number says %s", p.No, got, p.Cert[6:14])
		}
		if male := (p.Cert[16]-'0')%2 == 1; male != (p.Gender == "1") {
			t.Errorf("%s: gender %s against %s", p.No, p.Gender, p.Cert)
		}
		if !strings.HasPrefix(p.Name, "测试") {
			t.Errorf("%s: name %q does not say that it is a test", p.No, p.Name)
		}
		if len(p.No) > 30 || len(p.Card) > 50 || len(p.Token) > 50 || len(p.CardSN) > 32 {
			t.Errorf("%s: a number is longer than the table allows", p.No)
		}
		for _, key := range []string{p.No, p.Cert, p.Card, p.Token, p.CardSN} {
			if seen[key] {
				t.Errorf("%s: %s belongs to two persons", p.No, key)
			}
			seen[key] = true
		}
	}
}

func TestGenerateIsRepeatable(t *testing.T) {
	a, b := Generate(1, 300), Generate(1, 300)
	if !reflect.DeepEqual(a, b) {
		t.Fatal("one seed gave two lists")
	}
	if reflect.DeepEqual(a, Generate(2, 300)) {
		t.Fatal("two seeds gave one list")
	}
	if got := Generate(1, -5); len(got) != 0 {
		t.Fatalf("asked for -5 persons, got %d", len(got))
	}
	kinds := map[string]int{}
	for _, p := range a {
		for _, i := range p.Insurances {
			kinds[i.Type]++
		}
	}
	for _, k := range []string{"310", "320", "330", "390"} {
		if kinds[k] == 0 {
			t.Errorf("300 persons and none with insurance %s", k)
		}
	}
}

func TestCredentials(t *testing.T) {
	p := Fixed()[0]
	cases := []struct {
		kind, no, serial string
		want             bool
	}{
		{"01", p.Token, "", true},
		{"02", p.Cert, "", true},
		{"03", p.Card, p.CardSN, true},
		{"03", p.Card, "", true},
		{"03", p.Card, "wrong", false},
		{"02", p.Token, "", false},
		{"01", "", "", false},
		{"04", p.Cert, "", false},
		{"", p.Cert, "", false},
	}
	for _, c := range cases {
		if got := p.Credential(c.kind, c.no, c.serial); got != c.want {
			t.Errorf("credential %s %q: %v, want %v", c.kind, c.no, got, c.want)
		}
	}
	for _, c := range []string{"", "1234", "9999991985031200x", "99999919850312001X0"} {
		if CheckDigit(c) != "" {
			t.Errorf("check digit for %q", c)
		}
	}
}
