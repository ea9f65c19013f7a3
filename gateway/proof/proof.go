// Package proof makes and checks proof packs: what became of one settlement, in a form a third party can
// verify without the gateway, its database or its keys.
//
// # What is in a pack
//
// Items are lines of the audit record with what they stand for (audit.Shown): the requests of the HIS,
// the bill, every transaction with its exact digest, its operator and its events, the centre's answers
// with the centre's own signatures, and the answers to the HIS. Entries say where those lines stand in
// the chains, and Heads are the signed statements that bind them. Summary is made of the items alone
// and says the same to a reader. The whole is signed with the key of the audit record.
//
// # What Check proves, with public keys only
//
//   - that nothing was changed since the pack was made (its signature),
//   - that every item was in the gateway's record when the head over it was signed, in that order: the
//     gateway can not have made it later, as far as somebody keeps copies of heads (Checking.Outside),
//   - that the centre signed the answer that is shown. In the envelopes mpc and epc this needs the
//     application's secret, which is signed with the answer; without it such a signature proves nothing,
//     and Check says so.
//
// A pack does not prove that it is complete: what happened later, and what was left out at its end, can not be
// seen. Nor does it prove that a time is right to the second, or what a HIS meant.
//
// # Forms
//
// The full form holds the bodies: names, numbers, amounts. The masked form holds none of them: their
// digests stand in their place, and the amounts it states are vouched for by the pack's signature only.
package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/audit"
)

// The forms of a pack.
const (
	Full   = "full"
	Masked = "masked"
)

const format = 1

// maxPack bounds what is read, bytes.
const maxPack = 64 << 20

// Pack is a proof pack. Its one exact text is what Encode gives.
type Pack struct {
	Format  int                `json:"yiqiao_proof"`
	Form    string             `json:"form"`
	Subject string             `json:"subject"` // what was asked for: a message id, or a bill or stay
	MadeAt  time.Time          `json:"made_at"`
	MadeBy  string             `json:"made_by"`
	Program string             `json:"program"`
	Summary Summary            `json:"summary"`
	Amounts []Amounts          `json:"amounts,omitempty"` // masked form only; see Amounts
	Items   []Item             `json:"items"`
	Entries []audit.Place      `json:"entries"`
	Heads   []audit.SignedHead `json:"heads"`
	Key     string             `json:"key"`       // fingerprint of the key that signed; for finding it
	Sign    []byte             `json:"signature"` // SM2 over the text with this member empty
}

// Item is one line, what it stands for, and the entry it stands in.
type Item struct {
	audit.Shown
	Entry int `json:"entry"`
}

// Amounts of a settlement or undo as the gateway states them, where the answer itself is not shown.
type Amounts struct {
	MsgID string `json:"msgid"`
	Total string `json:"total"`
	Fund  string `json:"fund"`
	Acct  string `json:"account"`
	Cash  string `json:"cash"`
}

// Encode is the text of a pack.
func (p *Pack) Encode() ([]byte, error) {
	b, err := json.MarshalIndent(p, "", " ")
	return append(b, '\n'), err
}

// unsigned is what the signature is over.
func (p *Pack) unsigned() ([]byte, error) {
	q := *p
	q.Sign = nil
	b, err := q.Encode()
	return append([]byte("yiqiao-proof-1\n"), b...), err
}

// sign signs the pack.
func (p *Pack) sign(key keys.Private, rand io.Reader) error {
	p.Key = key.Public().Fingerprint()
	text, err := p.unsigned()
	if err != nil {
		return err
	}
	sig, err := key.Sign(rand, []byte(sm.DefaultUID), text)
	p.Sign = sig[:]
	return err
}

// ErrForm: not a proof pack in its exact form.
var ErrForm = errors.New("proof: not a proof pack")

// Decode reads a pack, as JSON or as the page that Page makes, in its exact form only: what would be written
// differently was changed.
func Decode(b []byte) (*Pack, error) {
	if len(b) > maxPack {
		return nil, fmt.Errorf("%w: too long", ErrForm)
	}
	text, page := b, false
	if i := bytes.Index(b, []byte(packBegin)); i >= 0 && bytes.HasPrefix(b, []byte("<!DOCTYPE html>")) {
		end := bytes.LastIndex(b, []byte(packEnd))
		if end < i {
			return nil, ErrForm
		}
		text, page = b[i+len(packBegin):end], true
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	p := &Pack{}
	if err := dec.Decode(p); err != nil {
		return nil, ErrForm
	}
	if p.Format != format || p.Form != Full && p.Form != Masked {
		return nil, fmt.Errorf("%w of a known form", ErrForm)
	}
	again, err := p.Encode()
	if err == nil && page {
		again, err = p.Page()
	}
	if err != nil || !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w in its exact form: it was changed", ErrForm)
	}
	return p, nil
}
