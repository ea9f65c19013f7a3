package invoice

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
	"yiqiao/schemas/ident"
)

var _ gateway.InvoicePapers = (*Office)(nil)

// refusal words an answer of the platform that is not done, of a call that changes nothing.
func refusal[T any](op, ref string, a gateway.InvoiceAnswer[T]) error {
	switch {
	case a.Outcome == gateway.OutcomeDone:
		return nil
	case a.Cause == gateway.CauseUnsupported:
		return &gateway.Error{Code: gateway.CodeNotSupported, Op: op, Ref: ref, Detail: a.Message}
	case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseBusiness:
		return &gateway.Error{Code: gateway.CodeInvoiceRefused, Op: op, Ref: ref, Detail: a.Message}
	}
	return &gateway.Error{Code: gateway.CodeInvoiceDown, Op: op, Ref: ref, Detail: string(a.Cause)}
}

// Papers implements gateway.InvoicePapers.
func (f *Office) Papers(ctx context.Context, c gateway.Caller, q gateway.PapersAsked) (gateway.PaperStock, error) {
	inst, err := institution(c, q.Institution)
	if err != nil {
		return gateway.PaperStock{}, err
	}
	return f.stock(ctx, inst, f.o.Tables(inst).Filled().PlaceOf(q.Desk), q.Batch)
}

func (f *Office) stock(ctx context.Context, inst ident.Institution, place, batch string) (gateway.PaperStock, error) {
	const op = "einvoice.papers"
	p := f.o.Platform(inst)
	out := gateway.PaperStock{Place: place, Batches: []string{}}
	list := p.PaperBatches(ctx, place)
	if err := refusal(op, place, list); err != nil {
		return out, err
	}
	out.Batches = append(out.Batches, list.Value...)
	if len(out.Batches) == 0 {
		return out, nil
	}
	next := p.NextPaper(ctx, place, batch)
	out.Next = next.Value
	return out, refusal(op, place, next)
}

// VoidPapers implements gateway.InvoicePapers.
func (f *Office) VoidPapers(ctx context.Context, c gateway.Caller, r gateway.VoidPapers) (gateway.PaperStock, error) {
	const op = "einvoice.papers.void"
	inst, err := institution(c, r.Institution)
	if err != nil {
		return gateway.PaperStock{}, err
	}
	place := f.o.Tables(inst).Filled().PlaceOf(r.Desk)
	for _, x := range []struct{ path, v string }{{"/batch", r.Batch}, {"/from", r.From}, {"/to", r.To}, {"/reason", r.Reason}} {
		if x.v == "" {
			return gateway.PaperStock{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: x.path, Rule: "必填"}
		}
	}
	if !number(r.From) || !number(r.To) || before(r.To, r.From) {
		return gateway.PaperStock{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/to", Rule: "from <= to, 位数相同的数字"}
	}
	body := r
	body.Operator, body.Institution = gateway.Operator{}, inst
	req, err := f.request(c, r.RequestID, op, place+" "+r.Batch+" "+r.From+"-"+r.To+" "+r.Operator.ID, body)
	if err != nil {
		return gateway.PaperStock{}, err
	}
	release, err := f.take(ctx, "paper "+place+" "+r.Batch)
	if err != nil {
		return gateway.PaperStock{}, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	old, err := f.o.Book.Request(ctx, req.System, req.ID)
	known := err == nil
	switch {
	case known && (old.Digest != req.Digest || old.Op != op):
		return gateway.PaperStock{}, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: op, Path: "/request_id"}
	case err != nil && !errors.Is(err, gateway.ErrNotFound):
		return gateway.PaperStock{}, failure(op, "", err)
	}
	next := f.o.Platform(inst).NextPaper(ctx, place, r.Batch)
	if known && next.Outcome == gateway.OutcomeRefused && next.Cause == gateway.CauseBusiness { // it was the last of the batch
		return f.stock(ctx, inst, place, "")
	}
	if err := refusal(op, place, next); err != nil {
		return gateway.PaperStock{}, err
	}
	switch {
	case known && before(r.To, next.Value.No): // it was done
		return f.stock(ctx, inst, place, r.Batch)
	case next.Value.No != r.From:
		return gateway.PaperStock{}, &gateway.Error{Code: gateway.CodeInvoicePaper, Op: op, Path: "/from", Detail: next.Value.No}
	}
	if _, err := f.o.Book.Write(ctx, book.Entry{Request: &req}); err != nil {
		return gateway.PaperStock{}, failure(op, "", err)
	}
	f.log.Info("einvoice papers voided", "place", place, "batch", r.Batch, "from", r.From, "to", r.To, "desk", r.Desk, "operator", r.Operator.ID)
	a := f.o.Platform(inst).VoidBlank(ctx, gateway.PaperOrder{Paper: gateway.PaperNumber{Batch: r.Batch, No: r.From}, LastNo: r.To, Reason: r.Reason,
		Operator: r.Operator.Name, Place: place, At: f.o.Clock.Now()})
	if a.Outcome != gateway.OutcomeDone && a.Outcome != gateway.OutcomeRefused {
		return gateway.PaperStock{}, &gateway.Error{Code: gateway.CodeInvoiceUnknown, Op: op, Detail: string(a.Cause), RetryAfter: f.o.Retry}
	}
	if err := refusal(op, place, a); err != nil {
		return gateway.PaperStock{}, err
	}
	out, err := f.stock(ctx, inst, place, "")
	if err != nil { // it is done; what is left can be asked for
		return gateway.PaperStock{Place: place, Batches: []string{}}, nil
	}
	return out, nil
}

// number reports whether a text is a paper number.
func number(s string) bool { return s != "" && len(s) <= 20 && strings.Trim(s, "0123456789") == "" }

// before compares paper numbers.
func before(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return len(a) < len(b) || len(a) == len(b) && a < b
}

// PaperPrint implements gateway.InvoicePapers.
func (f *Office) PaperPrint(ctx context.Context, c gateway.Caller, id string) (gateway.PaperPrint, error) {
	const op = "einvoice.print"
	b, err := f.ownedBill(ctx, c, id)
	if err != nil {
		return gateway.PaperPrint{}, err
	}
	if b.State != gateway.InvoicePaper {
		return gateway.PaperPrint{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: id, Detail: string(b.State)}
	}
	a := f.o.Platform(b.Institution).PaperData(ctx, f.paperOrder(&b, ""))
	if err := refusal(op, id, a); err != nil {
		return gateway.PaperPrint{}, err
	}
	out := gateway.PaperPrint{ID: id, Paper: b.Platform.Paper}
	if json.Unmarshal(a.Value, &out.Data) != nil {
		out.Data = string(a.Value)
	}
	return out, nil
}

// OwnedBill gives a bill of the caller with its draft and what the platform told; what belongs to another
// does not exist.
func (f *Office) OwnedBill(ctx context.Context, c gateway.Caller, id string) (book.Bill, error) {
	return f.ownedBill(ctx, c, id)
}
