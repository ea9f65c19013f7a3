package bind

import (
	"strings"
	"testing"
)

func TestForms(t *testing.T) {
	for s, want := range map[string]bool{
		"2207": true, "2206A": true, "13001": true, "D001": true, "": false, "220": false, "220700": false, "2207AB": false, "D01": false, "D0011": false,
		"D00A": false, "A2207": false, "22 7": false, "２２０７": false, "2207a": false,
	} {
		if IsInfno(s) != want {
			t.Errorf("number %q", s)
		}
	}
	for s, want := range map[string]bool{
		"R-1_.:": true, "": false, "a b": false, "号": false, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "a/b": false, "a\n": false,
	} {
		if IsRequestID(s) != want {
			t.Errorf("request id %q", s)
		}
	}
}
