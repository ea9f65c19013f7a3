package world

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
)

const (
	opOpen     = "open"
	opConfirm  = "confirm"
	opRefund   = "refund"
	opTransact = "transact"
	opUpload   = "upload"
)

// bill is one bill of a HIS and all the HIS asked for on its account.
type bill struct {
	name     string
	c        *cashier
	person   people.Person
	open     gateway.OpenSettlement
	id       string // the gateway's id, once it is known
	byHand   bool   // the HIS drives the ladder itself, transaction by transaction
	requests []*request
	ladder   *ladder
	stay     *inpatient // nil: not in hospital
	sale     *gateway.OpenSale
	paper    *paper // it is no bill but a filing
}

func (w *World) newBill(n int, c *cashier) *bill {
	b := &bill{c: c, name: fmt.Sprintf("%d-%d", w.opt.Seed, n), person: w.people[w.rng.IntN(len(w.people))]}
	b.byHand = w.rng.IntN(8) == 0
	rows := 1 + w.rng.IntN(3)
	if w.rng.IntN(100) == 0 && !b.byHand {
		rows = 101
	}
	doctor, dept := gateway.Coded{Code: "D440100000001", Name: "李医生"}, gateway.Coded{Code: "A03.01", Name: "呼吸内科门诊"}
	when := dawn().Add(-time.Duration(w.rng.IntN(3000)) * time.Second).Format(time.DateTime)
	b.open = gateway.OpenSettlement{
		RequestID: "o" + b.name, Institution: ident.Institution(c.place.Code), Operator: c.oper, Credential: credential(w.rng, b.person),
		UseAccount: w.rng.IntN(2) == 0,
		Visit: gateway.VisitInfo{Number: "MZ" + b.name, MedType: "11", Begin: when, Doctor: doctor, Department: dept,
			Caty: "A03"},
		Diagnoses: []gateway.Diagnosis{{Type: "1", Code: "J06.900", Name: "急性上呼吸道感染", Department: dept.Name, Doctor: doctor, Time: when}},
	}
	var total money.Fen
	for i := range rows {
		item := w.kit.items[w.rng.IntN(len(w.kit.items))]
		q, p := money.Decimal{Coef: int64(1 + w.rng.IntN(4))}, money.Decimal{Coef: int64(1 + w.rng.IntN(2_000_000)), Scale: 4}
		amount, err := money.Product(q, p)
		if err != nil {
			w.broken("a price can not be multiplied: " + err.Error())
			return b
		}
		total += amount
		b.open.Fees = append(b.open.Fees, gateway.Fee{
			ID: fmt.Sprintf("%s-%d", b.name, i), Code: item.Code, LocalCode: "L" + item.Code, Quantity: q.String(), Price: p.String(),
			Amount: amount.String(), Time: when, Department: dept, Doctor: doctor,
		})
	}
	b.open.Total = total.String()
	if w.more != nil && w.more.IntN(8) == 0 && w.stays < len(w.inpatients) {
		w.admits(b)
	}
	return b
}

func credential(rng *rand.Rand, p people.Person) gateway.Credential {
	switch rng.IntN(3) {
	case 0:
		return gateway.Credential{Type: "01", Number: p.Token}
	case 1:
		return gateway.Credential{Type: "02", Number: p.Cert, CertType: "01", CertNo: p.Cert, Name: p.Name}
	}
	return gateway.Credential{Type: "03", Number: p.Card, CardSN: p.CardSN}
}

func (b *bill) add(r *request) *request {
	r.of = b
	b.requests = append(b.requests, r)
	return r
}

func (b *bill) opening() *request {
	return b.add(&request{op: opOpen, id: b.open.RequestID, key: b.name, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := d.OpenSettlement(ctx, b.c.caller, b.open)
		return answer{bill: s}, err
	}})
}

func (b *bill) confirming(tag string, expect string) *request {
	in := gateway.ConfirmSettlement{RequestID: "c" + tag + b.name, ID: b.id, Operator: b.c.oper, ExpectCash: expect}
	r := &request{op: opConfirm, id: in.RequestID, key: b.name}
	r.again = func() { in.Credential = &b.open.Credential }
	r.do = func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := d.ConfirmSettlement(ctx, b.c.caller, in)
		return answer{bill: s}, err
	}
	return b.add(r)
}

func (b *bill) refunding(tag string, rows ...string) *request {
	in := gateway.RefundSettlement{RequestID: "r" + tag + b.name, ID: b.id, Operator: b.c.oper, Rows: rows}
	r := &request{op: opRefund, id: in.RequestID, key: b.name}
	r.again = func() { in.Credential = &b.open.Credential }
	r.do = func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := b.c.w.refund(ctx, d, b.c.caller, in)
		return answer{bill: s}, err
	}
	return b.add(r)
}

// uploading is a record of the upload class about a visit.
func (b *bill) uploading(n int, visit string) *request {
	row := object{"mdtrt_sn": fmt.Sprintf("S%s-%d", b.name, n), "mdtrt_id": visit, "psn_no": b.person.No, "vali_flag": "1"}
	infno := ident.Infno("4601")
	if n%2 == 0 {
		infno = "4402"
		row["medcas_drord_detl_id"] = fmt.Sprintf("D%s-%d", b.name, n)
	}
	in := gateway.Transact{RequestID: fmt.Sprintf("u%s-%d", b.name, n), Infno: infno, Institution: b.open.Institution, Operator: b.c.oper,
		InsuplcArea: b.person.Area, Input: object{"data": []any{row}}}
	return b.add(&request{op: opUpload, id: in.RequestID, key: in.RequestID, do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		t, err := d.Upload(ctx, b.c.caller, in)
		return answer{tx: t}, err
	}})
}

// other is the request id of the opening with another body.
func (b *bill) other() *request {
	body := b.open
	body.Visit.Number += "X"
	return &request{of: b, op: "other-body", id: b.open.RequestID, key: b.name + "-other", do: func(ctx context.Context, d *flow.Desk) (answer, error) {
		s, err := d.OpenSettlement(ctx, b.c.caller, body)
		return answer{bill: s}, err
	}}
}
