package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// stored is the final answer of a request as the journal keeps it: a settlement, a stay, a case, an error, or for
// low-level requests the record that is the answer.
type stored struct {
	Record     ident.MsgID         `json:"record,omitempty"`
	Settlement *gateway.Settlement `json:"settlement,omitempty"`
	Stay       *gateway.Stay       `json:"stay,omitempty"`
	Sale       *gateway.Sale       `json:"sale,omitempty"`
	Filing     *gateway.Filing     `json:"filing,omitempty"`
	Outcome    gateway.State       `json:"outcome,omitempty"` // of Record, when the answer is news of it; see news
	Error      *storedError        `json:"error,omitempty"`
}

type storedError struct {
	Code     gateway.Code    `json:"code"`
	Op       string          `json:"op"`
	Path     string          `json:"path,omitempty"`
	Rule     string          `json:"rule,omitempty"`
	Detail   string          `json:"detail,omitempty"`
	Ref      string          `json:"ref,omitempty"`
	Findings []check.Finding `json:"findings,omitempty"`
}

// storedAnswer reads a settlement's answer back. What can not be read is an error of ours.
func storedAnswer(b []byte) (gateway.Settlement, error) {
	a, err := readStored(b)
	if a.Settlement != nil {
		return *a.Settlement, err
	}
	return gateway.Settlement{}, err
}

// storedStay reads a stay's answer back.
func storedStay(b []byte) (gateway.Stay, error) {
	a, err := readStored(b)
	if a.Stay != nil {
		return *a.Stay, err
	}
	return gateway.Stay{}, err
}

func readStored(b []byte) (stored, error) {
	var a stored
	if err := json.Unmarshal(b, &a); err != nil {
		return a, internalError("flow.answer", err)
	}
	if e := a.Error; e != nil {
		return a, &gateway.Error{Code: e.Code, Op: e.Op, Path: e.Path, Rule: e.Rule, Detail: e.Detail, Ref: e.Ref, Findings: e.Findings}
	}
	return a, nil
}

// store makes the final answer of a request durable. That it could not be stored does not change
// it: the same request finds the same records again.
func (d *Desk) store(ctx context.Context, key gateway.RequestKey, s gateway.Settlement, fail error) {
	_ = d.keep(ctx, key, s.ID, stored{Settlement: &s}, fail) // it has been logged
}

func (d *Desk) keep(ctx context.Context, key gateway.RequestKey, bill string, a stored, fail error) error {
	var e *gateway.Error
	if errors.As(fail, &e) {
		a.Error = &storedError{Code: e.Code, Op: e.Op, Path: e.Path, Rule: e.Rule, Detail: e.Detail, Ref: e.Ref, Findings: e.Findings}
	}
	body, err := json.Marshal(a)
	if err == nil {
		_, err = d.opt.Journal.Write(ctx, gateway.Entry{Answer: &gateway.Answer{Key: key, Body: body, At: d.opt.Clock.Now(), Institution: ofBill(bill)}})
	}
	if err != nil {
		d.log.Error("answer not stored", "bill", bill, "err", err.Error())
	}
	return err
}

// ofBill is whose a bill is, which its id tells.
func ofBill(id string) ident.Institution {
	if id == "" {
		return ""
	}
	return ident.MsgID(id[1:]).Institution()
}

// keptBill is a bill as the journal keeps it: of the credential only its type.
func keptBill(r gateway.OpenSettlement) ([]byte, error) {
	r.Credential = gateway.Credential{Type: r.Credential.Type}
	return json.Marshal(r)
}

// billBody reads a kept bill.
func billBody(b gateway.Bill) (*gateway.OpenSettlement, error) {
	var r gateway.OpenSettlement
	dec := json.NewDecoder(bytes.NewReader(b.Body))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil {
		return nil, internalError("flow.bill", err)
	}
	return &r, nil
}
