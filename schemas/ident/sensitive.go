package ident

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"unique"
)

// Sensitive identities: they name a person. Two of a type are equal (==) when their texts are; the
// zero value is the empty text. Only Reveal gives the text: every other way out, among them every
// verb of fmt, encoding/json and log/slog, gives the masked form. Printing a struct that holds one
// in an unexported field, where fmt can not ask for the masked form, shows an address.
type (
	Person struct{ v text } // psn_no
	Cert   struct{ v text } // certno, mdtrt_cert_no: identity or card number, credential token
	Name   struct{ v text } // psn_name
	Phone  struct{ v text }
)

// text keeps a string behind a pointer, out of reach of printing by reflection, and yet comparable.
type text struct{ h unique.Handle[string] }

func hide(s string) text {
	if s == "" {
		return text{}
	}
	return text{unique.Make(s)}
}

func (t text) show() string {
	if t == (text{}) {
		return ""
	}
	return t.h.Value()
}

// NewPerson takes a person's number as it is; any text will do. So do the other constructors.
func NewPerson(s string) Person { return Person{hide(s)} }

// NewCert takes an identity or card number or a credential token.
func NewCert(s string) Cert { return Cert{hide(s)} }

// NewName takes a person's name.
func NewName(s string) Name { return Name{hide(s)} }

// NewPhone takes a telephone number.
func NewPhone(s string) Phone { return Phone{hide(s)} }

// Reveal gives the text, for the wire and for sealing only.
func (p Person) Reveal() string { return p.v.show() }

// IsZero reports whether there is none; encoding/json's omitzero asks for it.
func (p Person) IsZero() bool { return p == Person{} }

// String is the masked form, as are all of the following.
func (p Person) String() string               { return MaskPerson(p.v.show()) }
func (p Person) GoString() string             { return quoted("ident.Person", p.String()) }
func (p Person) Format(f fmt.State, c rune)   { format(f, c, p.String(), p.GoString()) }
func (p Person) LogValue() slog.Value         { return slog.StringValue(p.String()) }
func (p Person) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }
func (p Person) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Reveal gives the text, for the wire and for sealing only.
func (c Cert) Reveal() string { return c.v.show() }

// IsZero reports whether there is none.
func (c Cert) IsZero() bool { return c == Cert{} }

// String is the masked form, as are all of the following.
func (c Cert) String() string               { return MaskCert(c.v.show()) }
func (c Cert) GoString() string             { return quoted("ident.Cert", c.String()) }
func (c Cert) Format(f fmt.State, r rune)   { format(f, r, c.String(), c.GoString()) }
func (c Cert) LogValue() slog.Value         { return slog.StringValue(c.String()) }
func (c Cert) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }
func (c Cert) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Reveal gives the text, for the wire and for sealing only.
func (n Name) Reveal() string { return n.v.show() }

// IsZero reports whether there is none.
func (n Name) IsZero() bool { return n == Name{} }

// String is the masked form, as are all of the following.
func (n Name) String() string               { return MaskName(n.v.show()) }
func (n Name) GoString() string             { return quoted("ident.Name", n.String()) }
func (n Name) Format(f fmt.State, c rune)   { format(f, c, n.String(), n.GoString()) }
func (n Name) LogValue() slog.Value         { return slog.StringValue(n.String()) }
func (n Name) MarshalJSON() ([]byte, error) { return json.Marshal(n.String()) }
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// Reveal gives the text, for the wire and for sealing only.
func (p Phone) Reveal() string { return p.v.show() }

// IsZero reports whether there is none.
func (p Phone) IsZero() bool { return p == Phone{} }

// String is the masked form, as are all of the following.
func (p Phone) String() string               { return MaskPhone(p.v.show()) }
func (p Phone) GoString() string             { return quoted("ident.Phone", p.String()) }
func (p Phone) Format(f fmt.State, c rune)   { format(f, c, p.String(), p.GoString()) }
func (p Phone) LogValue() slog.Value         { return slog.StringValue(p.String()) }
func (p Phone) MarshalJSON() ([]byte, error) { return json.Marshal(p.String()) }
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

func quoted(kind, masked string) string { return fmt.Sprintf("%s(%q)", kind, masked) }

// format writes the masked form whatever the verb; width and flags but # are ignored.
func format(f fmt.State, verb rune, masked, goString string) {
	switch {
	case verb == 'v' && f.Flag('#'):
		masked = goString
	case verb == 'q':
		masked = fmt.Sprintf("%q", masked)
	}
	_, _ = io.WriteString(f, masked)
}
