package main

import (
	"context"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/people"
	"yiqiao/schemas/check"
)

// prover finds out who a person behind a call is, as the command line does: where there are accounts by a session
// or a password, else by the name that is given.
type prover struct {
	g *gatewaySettings
	r *people.Register
}

var _ gateway.Prover = prover{}

// Who implements gateway.Prover.
func (p prover) Who(ctx context.Context, c gateway.PersonClaim) (gateway.Person, error) {
	matter, err := p.g.namesMatter(ctx, p.r)
	if err != nil {
		return gateway.Person{}, err
	}
	switch {
	case c.Session != "": // also where a name would do: who is signed in has one name
		v, err := p.r.WhoIs(ctx, c.Session)
		if err == nil && c.ID != "" && !strings.EqualFold(c.ID, v.ID) {
			err = &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "people", Path: "/by/id", Rule: "会话属于另一人 / the session is another person's",
				Findings: []check.Finding{{Code: "field-conflict", Path: "/by/id", Severity: check.Error, ZH: "会话属于另一人", EN: "The session is another person's."}}}
		}
		return v.Person, err
	case !matter:
		return gateway.Person{ID: c.ID, Name: c.Name}, nil
	case c.Password == "" || c.ID == "":
		return gateway.Person{}, &gateway.Error{Code: gateway.CodeSessionNeeded, Op: "people"}
	}
	v, err := p.r.Prove(ctx, gateway.SignIn{ID: c.ID, Password: c.Password, From: c.From}, "review")
	return v.Person, err
}
