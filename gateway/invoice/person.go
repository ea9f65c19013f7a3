package invoice

import (
	"context"
	"errors"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
)

// Finding is what a person found out about a parked bill by looking at the platform.
type Finding string

const (
	FoundMade     Finding = "made"     // it is there, as it was asked for, and stands
	FoundWrong    Finding = "wrong"    // it is there with other content, and stands: it is reversed, and made anew under another number
	FoundAbsent   Finding = "absent"   // there is none: it is sent again, under the same number
	FoundReversed Finding = "reversed" // it was there and is reversed
)

// Decision ends what the gateway could not find out about a bill.
type Decision struct {
	ID       string
	Finding  Finding
	Number   gateway.InvoiceNumber // of the bill, unless it is known
	Random   string
	Red      gateway.InvoiceNumber // of FoundReversed, where it is known
	Operator string
	Note     string // where it was seen; no personal data
}

// Decide takes a person's finding about a parked bill and goes on from there. A bill that is not parked, or not any
// more, is refused with CodeState. The error is a *gateway.Error.
func (f *Office) Decide(ctx context.Context, c gateway.Caller, d Decision) (gateway.EInvoice, error) {
	const op = "einvoice.decide"
	if d.Operator == "" {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/operator", Rule: "必填", Ref: d.ID}
	}
	b, err := f.ownedBill(ctx, c, d.ID)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	release, err := f.take(ctx, b.Subject)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	if b, err = f.o.Book.Bill(ctx, d.ID); err != nil {
		return gateway.EInvoice{}, failure(op, d.ID, err)
	}
	events, err := judged(&b, d)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	now := f.o.Clock.Now()
	s, err := f.o.Book.Subject(ctx, b.Subject)
	if err != nil {
		return gateway.EInvoice{}, failure(op, d.ID, err)
	}
	s.Due = now
	entries := []book.Entry{{Subject: &s}}
	for _, e := range events {
		e.At, e.Desk, e.Operator, e.Note = now, "yiqiao", d.Operator, d.Note
		a := book.Append{ID: b.ID, Rev: b.Rev, Event: e}
		if err := b.Apply(e); err != nil {
			return gateway.EInvoice{}, failure(op, b.ID, err)
		}
		if !b.State.Rests() || b.RedWanted && b.State.Live() {
			a.Due = now
		}
		entries = append(entries, book.Entry{Append: &a})
	}
	_, err = f.o.Book.Write(ctx, entries...)
	if errors.Is(err, gateway.ErrExists) {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeState, Op: op, Path: "/number", Ref: b.ID, Detail: "another bill has this number"}
	}
	if err != nil {
		return gateway.EInvoice{}, failure(op, b.ID, err)
	}
	if err := f.settle(ctx, b.Subject); err != nil {
		f.log.Warn("einvoice", "subject", b.Subject, "err", err)
	}
	return f.Invoice(ctx, c, d.ID)
}

// judged are the events a finding makes, or why it can not be so. Pure.
func judged(b *book.Bill, d Decision) ([]book.Event, error) {
	wrong := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "einvoice.decide", Path: path, Rule: rule, Ref: b.ID}
	}
	if b.State != gateway.InvoiceParked {
		return nil, &gateway.Error{Code: gateway.CodeState, Op: "einvoice.decide", Ref: b.ID, Detail: string(b.State)}
	}
	known := b.Platform.Number.No != ""
	differs := known && b.Platform.Total != 0 && b.Platform.Total != b.Total
	told := b.Platform
	if !known {
		told.Known, told.BusNo, told.Kind, told.Number, told.Random = true, b.ID, b.Kind, d.Number, d.Random
	}
	switch {
	case d.Finding == FoundAbsent && known:
		return nil, wrong("/finding", "平台已告知票据号码 "+b.Platform.Number.No+": made, wrong 或 reversed")
	case d.Finding == FoundAbsent:
		return []book.Event{{Kind: book.PersonAbsent}}, nil
	case told.Number.Batch == "" || told.Number.No == "":
		return nil, wrong("/number", "票据代码和号码必填")
	case known && d.Number != (gateway.InvoiceNumber{}) && d.Number != b.Platform.Number:
		return nil, wrong("/number", b.Platform.Number.Batch+" "+b.Platform.Number.No)
	}
	switch d.Finding {
	case FoundMade:
		if differs {
			return nil, wrong("/finding", "平台金额 "+b.Platform.Total.String()+" 与 "+b.Total.String()+" 不同: wrong 或 reversed")
		}
		return []book.Event{{Kind: book.PersonMade, Bill: &told}}, nil
	case FoundWrong:
		return []book.Event{{Kind: book.PersonMade, Bill: &told}, {Kind: book.RedWanted}}, nil
	case FoundReversed:
		told.Reversed = true
		if d.Red.No != "" {
			told.Red = d.Red
		}
		return []book.Event{{Kind: book.PersonReversed, Bill: &told}}, nil
	}
	return nil, wrong("/finding", "made, wrong, absent, reversed")
}
