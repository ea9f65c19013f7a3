// Package ident names the identities of the interface by type, so that a visit can not be passed
// where a settlement is wanted, and so that what identifies a person prints masked.
//
// The sensitive types print masked through fmt, slog and encoding/json; Reveal gives the text for
// the wire. The zero value of each is "no such identity".
package ident

// Plain identities: they name a business object, not a person.
type (
	Institution string // fixmedins_code, 12 characters
	MsgID       string // institution(12) + yyyyMMddHHmmss(14) + sequence(4)
	Visit       string // mdtrt_id
	Settlement  string // setl_id
	Batch       string // chrg_bchno
	Infno       string // transaction number, 4 or 5 characters
)

// Sensitive identities: they name a person.
type (
	Person struct{ v string } // psn_no
	Cert   struct{ v string } // certno, mdtrt_cert_no: identity or card number, credential token
	Name   struct{ v string } // psn_name
	Phone  struct{ v string }
)
