package invoice

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/bill"
	"yiqiao/gateway/invoice/book"
	"yiqiao/gateway/invoice/identity"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// Upload implements gateway.Desk; see Carry.
func (d Desk) Upload(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	r, err := d.Office.Carry(ctx, c, r)
	if err != nil {
		return gateway.Transaction{}, err
	}
	return d.Counter.Upload(ctx, c, r)
}

// Transact implements gateway.Desk; see Carry.
func (d Desk) Transact(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	r, err := d.Office.Carry(ctx, c, r)
	if err != nil {
		return gateway.Transaction{}, err
	}
	return d.Counter.Transact(ctx, c, r)
}

// Carry fills the electronic invoice of a visit into a message that names one and left it empty
// (identity.Table), and refuses one that names another (CodeInvoiceIdentity). A bill that is still being
// issued has the message come again later (CodeInvoiceUnknown). Where the book knows no bill of the visit
// the message goes as it is: it may have been issued elsewhere.
//
// What was filled in is written down with the request, so the same request again is the same message,
// whatever became of the bill meanwhile.
func (f *Office) Carry(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transact, error) {
	const op = "einvoice.identity"
	claims := f.o.Identity.Claims(r.Infno, r.Input)
	inst, err := institution(c, r.Institution)
	if len(claims) == 0 || !usable(r.RequestID) || err != nil || !strictjson.Writable(r.Input) {
		return r, nil // nothing to fill, or the desk says what is wrong
	}
	req := book.Request{System: c.System, ID: "message/" + r.RequestID, Op: op, At: f.o.Clock.Now(),
		Digest: f.o.Digest([]byte(op), []byte(r.Infno), []byte(inst), strictjson.Encode(r.Input))}
	bills, err := f.fillings(ctx, c, inst, req, claims)
	if err != nil {
		return r, err
	}
	r.Input = f.o.Identity.Put(r.Infno, r.Input, bills)
	return r, nil
}

// fillings are the bills of a message's rows: those of the first time, or those of now, written down.
func (f *Office) fillings(ctx context.Context, c gateway.Caller, inst ident.Institution, req book.Request, claims []identity.Claim) ([]*gateway.PlatformBill, error) {
	old, err := f.o.Book.Request(ctx, req.System, req.ID)
	switch {
	case err == nil && old.Digest != req.Digest:
		return nil, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: req.Op, Path: "/request_id"}
	case err == nil:
		return f.filledBefore(ctx, old.Ref)
	case !errors.Is(err, gateway.ErrNotFound):
		return nil, failure(req.Op, "", err)
	}
	bills, ids := make([]*gateway.PlatformBill, len(claims)), make([]string, len(claims))
	for i, claim := range claims {
		b, err := f.named(ctx, c, inst, claim)
		if err != nil {
			return nil, err
		}
		if b != nil {
			bills[i], ids[i] = &b.Platform, b.ID
		}
	}
	ref, err := json.Marshal(ids)
	if err != nil {
		return nil, failure(req.Op, "", err)
	}
	req.Ref = string(ref)
	first, err := f.o.Book.Write(ctx, book.Entry{Request: &req})
	if err != nil || first == nil {
		return bills, failure(req.Op, "", err)
	}
	return f.filledBefore(ctx, first.Ref) // the same request came twice at once
}

// filledBefore are the bills a request was filled with the first time.
func (f *Office) filledBefore(ctx context.Context, ref string) (out []*gateway.PlatformBill, err error) {
	var ids []string
	if err := json.Unmarshal([]byte(ref), &ids); err != nil {
		return nil, failure("einvoice.identity", "", err)
	}
	for _, id := range ids {
		if id == "" {
			out = append(out, nil)
			continue
		}
		b, err := f.o.Book.Bill(ctx, id)
		if err != nil {
			return nil, failure("einvoice.identity", id, err)
		}
		out = append(out, &b.Platform)
	}
	return out, nil
}

// named is the bill a row of a message is to name; nil when the book knows none, or the HIS named it whole.
func (f *Office) named(ctx context.Context, c gateway.Caller, inst ident.Institution, claim identity.Claim) (*book.Bill, error) {
	const op = "einvoice.identity"
	var known []book.Bill
	for _, m := range claim.Marks {
		list, err := f.o.Book.Marked(ctx, f.mark(inst, m))
		if err != nil {
			return nil, failure(op, "", err)
		}
		known = slices.DeleteFunc(list, func(b book.Bill) bool { return b.System != c.System || b.Institution != inst || b.Kind.Voucher() })
		if len(known) > 0 {
			break
		}
	}
	says := func(b book.Bill) identity.Bill {
		return identity.Bill{Batch: b.Platform.Number.Batch, No: b.Platform.Number.No, Check: b.Platform.Random, Total: &b.Total}
	}
	refuse := func(b book.Bill, why string) error {
		return &gateway.Error{Code: gateway.CodeInvoiceIdentity, Op: op, Path: claim.At(says(b)), Ref: b.ID,
			Detail: strings.TrimSpace(b.Platform.Number.Batch + " " + b.Platform.Number.No + " " + why)}
	}
	var live []book.Bill
	for _, b := range known {
		switch standing := b.State == gateway.InvoiceIssued || b.State == gateway.InvoicePaper || b.State == gateway.InvoiceTurning || b.State == gateway.InvoiceVoiding; {
		case standing && !b.RedWanted:
			live = append(live, b)
		case claim.Empty() && b.State.Live() && !b.State.Rests():
			return nil, &gateway.Error{Code: gateway.CodeInvoiceUnknown, Op: op, Path: claim.At(says(b)), Ref: b.ID, Detail: string(b.State), RetryAfter: f.o.Retry}
		}
	}
	if want := claim.Given.Total; want != nil && len(live) > 1 {
		live = slices.DeleteFunc(live, func(b book.Bill) bool { return b.Total != *want })
	}
	if claim.Empty() {
		switch len(live) {
		case 0:
			return nil, nil
		case 1:
			if !claim.Agrees(says(live[0])) { // a check code alone, of another bill
				return nil, refuse(live[0], "")
			}
			return &live[0], nil
		}
		return nil, refuse(live[0], "同一就诊有多张有效票据, 请写明是哪一张")
	}
	for i := range live {
		if claim.Agrees(says(live[i])) {
			return &live[i], nil
		}
	}
	for _, b := range known {
		if b.Platform.Number.No != "" && claim.Agrees(says(b)) {
			return nil, refuse(b, "已冲红")
		}
	}
	if len(live) > 0 {
		return nil, refuse(live[0], "")
	}
	return nil, nil
}

// mark is what a number is kept as.
func (f *Office) mark(inst ident.Institution, m identity.Mark) string {
	sum := f.o.Digest([]byte("einvoice.mark"), []byte(inst), []byte(m.Kind), []byte(m.Value))
	return hex.EncodeToString(sum[:16])
}

func (f *Office) marks(c bill.Charged) (out []string) {
	for _, m := range c.Marks {
		out = append(out, f.mark(c.Institution, m))
	}
	return out
}
