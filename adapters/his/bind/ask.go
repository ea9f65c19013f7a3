package bind

import (
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// What every adapter asks before the desk is asked. op names the adapter in errors.

// Refused is request-invalid, with the first finding's place as its own.
func Refused(op string, f ...check.Finding) error {
	for i := range f {
		f[i].Severity = check.Error
	}
	return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: f[0].Path, Rule: f[0].Rule, Findings: f}
}

// MayActFor refuses an institution that is not the caller's; none given is for the desk to judge.
func MayActFor(op string, who gateway.Caller, i ident.Institution) error {
	if i == "" || slices.Contains(who.Institutions, i) {
		return nil
	}
	return &gateway.Error{Code: gateway.CodeInstitution, Op: op, Path: "/institution"}
}

// IsRequestID reports whether s has the form of a request id, which is also that of our own ids.
func IsRequestID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// IsInfno reports whether s has the form of a transaction number; the desk knows which exist.
func IsInfno(s string) bool {
	if rest, ok := strings.CutPrefix(s, "D"); ok { // of the prescription centre
		return len(rest) == 3 && strings.Trim(rest, "0123456789") == ""
	}
	digits := strings.TrimRight(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	if len(digits) < 4 || len(digits) > 5 || len(s)-len(digits) > 1 {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}
