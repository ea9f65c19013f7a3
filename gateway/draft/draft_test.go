package draft_test

import (
	"errors"
	"slices"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/draft"
	"yiqiao/schemas/check"
	"yiqiao/schemas/money"
)

func TestRows(t *testing.T) {
	for _, k := range []struct {
		q, p, a string
		back    bool
		want    []string
	}{
		{"3", "12.335", "37.01", false, nil},
		{"-3", "12.335", "-37.01", true, nil},
		{"3", "12.335", "37.00", false, []string{draft.FeeAmount}},
		{"-3", "12.335", "-37.01", false, []string{check.CodeAmountRange}},
		{"0", "1", "0", false, []string{check.CodeAmountRange}},
		{"", "x", "1.001", false, []string{check.CodeFieldMissing, check.CodeAmountSyntax, check.CodeAmountDecimals}},
		{"1", "-1", "-1", false, []string{check.CodeAmountNegative}},
	} {
		s := &draft.Sheet{}
		sum, ok := s.Row("/fees/0", k.q, k.p, k.a, k.back)
		var got []string
		for _, f := range s.Found {
			got = append(got, f.Code)
			if f.ZH == "" || f.EN == "" {
				t.Errorf("%s has no words", f.Code)
			}
		}
		if !slices.Equal(got, k.want) {
			t.Errorf("%+v: %v", k, got)
		}
		if want, err := money.Parse(k.a); ok && (err != nil || sum != want) {
			t.Errorf("%+v: counted %s", k, sum)
		}
	}
}

func TestRefusal(t *testing.T) {
	if err := draft.Refusal("x", "", nil); err != nil {
		t.Errorf("%v", err)
	}
	s := &draft.Sheet{}
	s.Total("/total", "1.00", 200, true)
	var e *gateway.Error
	if err := draft.Refusal("x", "B1", s.Found); !errors.As(err, &e) || e.Code != gateway.CodeAmounts || e.Ref != "B1" {
		t.Errorf("%v", err)
	}
	for range 2 * draft.Most {
		s.When("/begin", "2026-02-30 08:00:00")
	}
	if err := draft.Refusal("x", "", s.Found); !errors.As(err, &e) || e.Code != gateway.CodeRequestInvalid || len(e.Findings) != draft.Most {
		t.Errorf("%v", err)
	}
}
