// Package ident names the identities of the interface by type, so that a visit can not be passed
// where a settlement is wanted, and so that what identifies a person prints masked.
//
// The sensitive types print masked through fmt, slog and encoding/json; Reveal gives the text for
// the wire. The zero value of each is "no such identity".
package ident

import (
	"errors"
	"fmt"
	"time"
)

// Plain identities: they name a business object, not a person.
type (
	Institution string // fixmedins_code, 12 characters
	MsgID       string // institution(12) + yyyyMMddHHmmss(14) + sequence(4)
	Visit       string // mdtrt_id
	Settlement  string // setl_id
	Batch       string // chrg_bchno
	Infno       string // transaction number, 4 or 5 characters
)

// The errors of this package; none carries the refused text.
var (
	ErrInstitution = errors.New("ident: an institution code is 12 characters of A-Z and 0-9")
	ErrMsgID       = errors.New("ident: a message id is institution(12), yyyyMMddHHmmss and 4 digits")
	ErrInfno       = errors.New("ident: a transaction number is 4 to 6 characters of A-Z and 0-9 with a digit among them")
)

const (
	institutionLen = 12
	timeLen        = 14
	timeLayout     = "20060102150405"
	msgIDLen       = institutionLen + timeLen + 4
)

// ParseInstitution checks the form of an institution code: 12 characters of A-Z and 0-9.
func ParseInstitution(s string) (Institution, error) {
	if len(s) != institutionLen || !upperAlnum(s) {
		return "", ErrInstitution
	}
	return Institution(s), nil
}

// ParseInfno checks the form of a transaction number: 2207, 2203A, 13203, D001.
func ParseInfno(s string) (Infno, error) {
	if len(s) < 4 || len(s) > 6 || !upperAlnum(s) {
		return "", ErrInfno
	}
	for i := range len(s) {
		if s[i] <= '9' {
			return Infno(s), nil
		}
	}
	return "", ErrInfno
}

// ParseMsgID checks the form of a message id: 30 characters, the 13th to the 26th a time that
// exists.
func ParseMsgID(s string) (MsgID, error) {
	if len(s) != msgIDLen || !upperAlnum(s[:institutionLen]) || !digits(s[institutionLen:]) {
		return "", ErrMsgID
	}
	if _, err := time.Parse(timeLayout, s[institutionLen:institutionLen+timeLen]); err != nil {
		return "", ErrMsgID
	}
	return MsgID(s), nil
}

// NewMsgID makes a message id of an institution, a time already in China's zone and a sequence
// number of 0 to 9999. Whoever calls it owns the counter: the same arguments give the same id.
func NewMsgID(inst Institution, at time.Time, seq int) (MsgID, error) {
	if _, err := ParseInstitution(string(inst)); err != nil {
		return "", err
	}
	if y := at.Year(); y < 0 || y > 9999 || seq < 0 || seq > 9999 {
		return "", ErrMsgID
	}
	return MsgID(fmt.Sprintf("%s%s%04d", inst, at.Format(timeLayout), seq)), nil
}

// Institution is the sender's code in a message id; "" when the id has not the form of one.
func (m MsgID) Institution() Institution {
	if _, err := ParseMsgID(string(m)); err != nil {
		return ""
	}
	return Institution(m[:institutionLen])
}

// Time is the time in a message id, which is written without a zone, read in loc (nil is UTC); the
// zero time when the id has not the form of one.
func (m MsgID) Time(loc *time.Location) time.Time {
	if _, err := ParseMsgID(string(m)); err != nil {
		return time.Time{}
	}
	if loc == nil {
		loc = time.UTC
	}
	at, err := time.ParseInLocation(timeLayout, string(m[institutionLen:institutionLen+timeLen]), loc)
	if err != nil {
		return time.Time{}
	}
	return at
}

// Seq is the sequence number in a message id; -1 when the id has not the form of one.
func (m MsgID) Seq() int {
	if _, err := ParseMsgID(string(m)); err != nil {
		return -1
	}
	n := 0
	for _, c := range []byte(m[institutionLen+timeLen:]) {
		n = n*10 + int(c-'0')
	}
	return n
}

func upperAlnum(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
