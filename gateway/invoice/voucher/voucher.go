// Package voucher brings electronic invoices to the insurance as documents of their own: the electronic
// settlement voucher (医保电子结算凭证), and the layout file of a bill.
//
// What is known of the voucher is its data set; how 4901 and 4905 carry it is evidenced nowhere. So the two
// are kept apart: Of makes the data set of a bill, Shape lays it out as the operator's own table of the
// transaction says (an overlay of the catalogue), by the names of members alone. Nothing here knows a
// message. A transaction without a table is refused as not described.
package voucher

import (
	"context"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Numbers of the transactions.
const (
	send  = "4901"
	again = "4905"
	file  = "9101"
)

// Books gives a bill of the caller; *invoice.Office is one.
type Books interface {
	OwnedBill(ctx context.Context, c gateway.Caller, id string) (book.Bill, error)
}

// Sender implements gateway.InvoiceUploads on a desk. It holds no state of its own: what is queued or sent
// is a transaction of the desk, with its request id.
type Sender struct {
	Books        Books
	Desk         gateway.Desk
	Catalog      *catalog.Catalog
	Institutions map[ident.Institution]*gateway.Institution
}

var _ gateway.InvoiceUploads = Sender{}

// InvoiceVoucher implements gateway.InvoiceUploads.
func (s Sender) InvoiceVoucher(ctx context.Context, c gateway.Caller, id string, red bool) (gateway.InvoiceVoucherSet, error) {
	b, err := s.Books.OwnedBill(ctx, c, id)
	if err != nil {
		return gateway.InvoiceVoucherSet{}, err
	}
	return s.of(&b, red)
}

func (s Sender) of(b *book.Bill, red bool) (gateway.InvoiceVoucherSet, error) {
	const op = "einvoice.voucher"
	made := b.Platform.Number.No != ""
	if b.Kind.Voucher() || !made || red && (b.State != gateway.InvoiceReversed || b.Platform.Red.No == "") || !red && b.State == gateway.InvoiceReversed {
		return gateway.InvoiceVoucherSet{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: string(b.State)}
	}
	inst := s.Institutions[b.Institution]
	if inst == nil {
		return gateway.InvoiceVoucherSet{}, &gateway.Error{Code: gateway.CodeInstitution, Op: op, Ref: b.ID}
	}
	return Of(b, inst, red), nil
}

// SendVoucher implements gateway.InvoiceUploads.
func (s Sender) SendVoucher(ctx context.Context, c gateway.Caller, r gateway.SendVoucher) (gateway.Transaction, error) {
	const op = "einvoice.voucher"
	b, err := s.Books.OwnedBill(ctx, c, r.ID)
	if err != nil {
		return gateway.Transaction{}, err
	}
	set, err := s.of(&b, r.Red)
	if err != nil {
		return gateway.Transaction{}, err
	}
	if len(r.FileURL) > 1000 {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/file_url", Rule: "<=1000"}
	}
	if r.FileURL != "" {
		set.Voucher["file_url"] = r.FileURL
	}
	number := ident.Infno(send)
	if r.Again {
		number = again
	}
	tx, ok := s.Catalog.Lookup(number)
	if !ok || len(tx.Input) == 0 {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInfnoNotDescribed, Op: op, Detail: string(number), Ref: b.ID}
	}
	return s.Desk.Upload(ctx, c, gateway.Transact{RequestID: r.RequestID, Infno: number, Institution: b.Institution, Operator: r.Operator, Input: Shape(tx, set)})
}

// Of is the data set of a bill, or with red of its reversal: amounts below zero, and the blue one named.
func Of(b *book.Bill, inst *gateway.Institution, red bool) gateway.InvoiceVoucherSet {
	d, f, m := &b.Draft, b.Draft.Facts, b.Draft.Money
	amount := func(x money.Fen) string {
		if red {
			x = -x
		}
		return x.String()
	}
	flag := func(on bool, yes, no string) string {
		if on {
			return yes
		}
		return no
	}
	insured := f.Settlement != "" || b.Subject[0] == 'B' || b.Subject[0] == 'S' // older bills do not know it
	v := group{"bill_code": b.Platform.Number.Batch, "bill_no": b.Platform.Number.No, "bill_chkcode": b.Platform.Random, "bill_type": string(b.Kind),
		"setl_type": flag(insured, "1", "2"), "mdtrt_type": flag(b.Kind == gateway.KindStay, "2", "1"), "elec_setl_cert_flag": flag(red, "1", "0"),
		"biller": d.Author, "rechker": d.Checker, "bill_amt": amount(b.Total), "file_url": b.Platform.NetURL}
	if red {
		v["rel_elec_setl_cert_code"], v["rel_elec_setl_cert_no"] = b.Platform.Number.Batch, b.Platform.Number.No
		v["bill_code"], v["bill_no"], v["bill_chkcode"] = b.Platform.Red.Batch, b.Platform.Red.No, b.Platform.RedCode
	}
	made := b.Business
	if red {
		made = b.UpdatedAt
	} else if t, err := time.ParseInLocation("20060102150405", b.Platform.MadeAt[:min(14, len(b.Platform.MadeAt))], gateway.China); err == nil {
		made = t
	}
	made = made.In(gateway.China)
	v["bill_date"], v["bill_time"] = made.Format("20060102"), made.Format(time.TimeOnly)
	visit := group{"cert_no": d.Payer.IDCard, "psn_name": d.Payer.Name, "insutype": d.Visit.Insurance.Code, "hi_no": d.Visit.InsuredNo, "admdvs": inst.Area,
		"begntime": f.Begin, "endtime": f.End, "med_type": f.MedType, "ipt_otp_no": d.Visit.Number, "medrcdno": d.Visit.RecordNo,
		"chfpdr_code": f.Doctor.Code, "chfpdr_name": f.Doctor.Name, "adm_caty": d.Visit.Department.Code, "dscg_caty": d.Visit.LeftFrom.Code,
		"fixmedins_code": string(inst.Code), "fixmedins_name": inst.Name, "fix_blng_admdvs": inst.Area, "gend": gend(d.Payer.Sex)}
	if !insured {
		visit["insutype"] = ""
	}
	sums := group{"medfee_amt": amount(b.Total), "psn_ownpay": amount(m.OwnPay), "hifp_pay_amt": amount(m.Fund), "oth_pay": amount(m.OtherFund + m.Discount),
		"psn_acct_pay": amount(m.Account), "psn_cash_pay": amount(m.Cash), "psn_selfpay": amount(m.SelfPay), "inscp_amt": amount(f.InScope), "setl_id": f.Settlement}
	out := gateway.InvoiceVoucherSet{Voucher: v.said(), Visit: visit.said(), Money: sums.said(), Diagnoses: []map[string]string{}, Fees: []map[string]string{}}
	for i, x := range f.Diagnoses {
		out.Diagnoses = append(out.Diagnoses, group{"diag_type": x.Type, "maindiag_flag": flag(i == 0, "1", "0"), "diag_code": x.Code, "diag_name": x.Name,
			"diag_time": x.Time, "diag_dr_code": x.Doctor.Code, "diag_dr_name": x.Doctor.Name}.said())
	}
	for _, l := range d.Lines {
		out.Fees = append(out.Fees, group{"fee_ocur_time": l.Time, "cnt": l.Quantity, "pric": l.Price, "detitem_fee_sumamt": amount(l.Amount),
			"med_chrgitm_type": l.Category, "medlist_codg": l.Code, "medlist_name": l.Name, "chrgitm_lv": l.Class}.said())
	}
	out.Voucher["diag_info_count"], out.Voucher["fee_detl_count"] = strconv.Itoa(len(out.Diagnoses)), strconv.Itoa(len(out.Fees))
	return out
}

// gend is the code of a platform's word.
func gend(word string) string {
	return map[string]string{"男": "1", "女": "2", "1": "1", "2": "2"}[word]
}

type group map[string]string

// said leaves out what is not known.
func (g group) said() map[string]string {
	out := map[string]string{}
	for k, v := range g {
		if v != "" {
			out[k] = v
		}
	}
	return out
}

// Shape lays a data set out as a table of the transaction says. A member gets the value of the same name,
// small or capital letters, or of one of its aliases; a node that repeats the rows whose members it has most of.
// What has no value is left out, and the check of the message says when it was needed.
func Shape(tx *catalog.Transaction, set gateway.InvoiceVoucherSet) map[string]any {
	single := map[string]string{}
	for _, g := range []map[string]string{set.Money, set.Visit, set.Voucher} {
		for k, v := range g {
			single[k] = v
		}
	}
	out := map[string]any{}
	for _, n := range tx.Input {
		if n.Repeat {
			best, most := []map[string]string(nil), 0
			for _, rows := range [][]map[string]string{set.Diagnoses, set.Fees} {
				if len(rows) > 0 {
					if hits := len(pick(n, rows[0])); hits > most {
						best, most = rows, hits
					}
				}
			}
			list := []any{}
			for _, row := range best {
				list = append(list, pick(n, row))
			}
			out[n.Name] = list
			continue
		}
		row := pick(n, single)
		if n.Name != "" {
			out[n.Name] = row
			continue
		}
		for k, v := range row {
			out[k] = v
		}
	}
	return out
}

// pick gives the members of a node that have a value, numbers as numbers.
func pick(n catalog.Node, from map[string]string) map[string]any {
	row := map[string]any{}
	for _, f := range n.Fields {
		for _, name := range append([]string{f.Code}, f.Aliases...) {
			v, ok := from[strings.ToLower(name)]
			if !ok {
				continue
			}
			if row[f.Code] = any(v); f.Type == "number" {
				row[f.Code] = number(v)
			}
			break
		}
	}
	return row
}
