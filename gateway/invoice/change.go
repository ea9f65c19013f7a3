package invoice

import (
	"context"
	"encoding/json"
	"errors"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
)

// begin notes a request about a bill; known says that it was made before.
func (f *Office) begin(ctx context.Context, c gateway.Caller, id, requestID, op string, body any) (b book.Bill, req book.Request, known bool, err error) {
	if b, err = f.ownedBill(ctx, c, id); err != nil {
		return b, req, false, err
	}
	if req, err = f.request(c, requestID, op, id, body); err != nil {
		return b, req, false, err
	}
	return b, req, false, nil
}

// write makes entries durable after the request; known: the request was there already.
func (f *Office) write(ctx context.Context, req book.Request, entries ...book.Entry) (known bool, err error) {
	old, err := f.o.Book.Write(ctx, append([]book.Entry{{Request: &req}}, entries...)...)
	return old != nil, failure(req.Op, req.Ref, err)
}

// ReverseInvoice implements gateway.Invoices.
func (f *Office) ReverseInvoice(ctx context.Context, c gateway.Caller, r gateway.ReverseInvoice) (gateway.EInvoice, error) {
	const op = "einvoice.reverse"
	body := r
	body.Operator, body.Desk = gateway.Operator{}, ""
	b, req, _, err := f.begin(ctx, c, r.ID, r.RequestID, op, body)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	if r.Reason == "" {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/reason", Rule: "必填", Ref: r.ID}
	}
	release, err := f.take(ctx, b.Subject)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	if b, err = f.o.Book.Bill(ctx, r.ID); err != nil {
		return gateway.EInvoice{}, failure(op, r.ID, err)
	}
	s, err := f.o.Book.Subject(ctx, b.Subject)
	if err != nil {
		return gateway.EInvoice{}, failure(op, r.ID, err)
	}
	if b.State == gateway.InvoiceParked {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: "parked: yiqiao einvoice decide"}
	}
	if known, err := f.o.Book.Write(ctx, book.Entry{Request: &req}); err != nil {
		return gateway.EInvoice{}, failure(op, r.ID, err)
	} else if known == nil && !b.State.Live() {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: string(b.State)}
	}
	if b.State.Live() && !b.RedWanted {
		now := f.o.Clock.Now()
		s.Wanted, s.Due = r.Reissue, now
		if r.Reissue && r.Payer != nil {
			var a ask
			if err := json.Unmarshal(s.Asked, &a); err != nil {
				return gateway.EInvoice{}, failure(op, r.ID, err)
			}
			a.Issue.Payer = *r.Payer
			if s.Asked, err = json.Marshal(a); err != nil {
				return gateway.EInvoice{}, failure(op, r.ID, err)
			}
		}
		e := book.Event{Kind: book.RedWanted, At: now, System: c.System, Desk: r.Desk, Operator: r.Operator.ID, Request: r.RequestID}
		if _, err := f.o.Book.Write(ctx, book.Entry{Subject: &s, Append: &book.Append{ID: b.ID, Rev: b.Rev, Event: e, Due: now}}); err != nil {
			return gateway.EInvoice{}, failure(op, r.ID, err)
		}
	}
	if err := f.settle(ctx, b.Subject); err != nil {
		f.log.Warn("einvoice", "subject", b.Subject, "err", err)
	}
	if b, err = f.o.Book.Bill(ctx, r.ID); err != nil {
		return gateway.EInvoice{}, failure(op, r.ID, err)
	}
	if err := f.standing(ctx, op, &b); err != nil {
		return gateway.EInvoice{}, err
	}
	return f.view(ctx, &b)
}

// standing is the error of a reversal that was refused: the bill stands. It is not wanted to go any more.
func (f *Office) standing(ctx context.Context, op string, b *book.Bill) error {
	if !b.State.Live() || b.RedWanted {
		return nil
	}
	events, err := f.o.Book.Events(ctx, b.ID)
	if err != nil {
		return failure(op, b.ID, err)
	}
	for i := len(events) - 1; i >= 0; i-- {
		switch e := events[i]; e.Kind {
		case book.RedRefused:
			code := gateway.CodeInvoiceRefused
			if e.Code == string(gateway.CodeInvoicePosted) {
				code = gateway.CodeInvoicePosted
			}
			return &gateway.Error{Code: code, Op: op, Ref: b.ID, Detail: e.Note}
		case book.RedWanted:
			return nil
		}
	}
	return nil
}

// PaperInvoice implements gateway.Invoices.
func (f *Office) PaperInvoice(ctx context.Context, c gateway.Caller, r gateway.PaperInvoice) (gateway.EInvoice, error) {
	const op = "einvoice.paper"
	body := r
	body.Operator, body.Desk = gateway.Operator{}, ""
	b, req, _, err := f.begin(ctx, c, r.ID, r.RequestID, op, body)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	release, err := f.take(ctx, b.Subject)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	if b, err = f.o.Book.Bill(ctx, r.ID); err != nil {
		return gateway.EInvoice{}, failure(op, r.ID, err)
	}
	known, err := f.write(ctx, req)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	if !known {
		if err := f.paperOnce(ctx, op, c, &b, r); err != nil {
			return gateway.EInvoice{}, err
		}
	} else if err := f.work(ctx, &b); err != nil {
		return gateway.EInvoice{}, err
	}
	return f.view(ctx, &b)
}

func (f *Office) paperOnce(ctx context.Context, op string, c gateway.Caller, b *book.Bill, r gateway.PaperInvoice) error {
	p := f.o.Platform(b.Institution)
	now := f.o.Clock.Now()
	who := book.Event{At: now, System: c.System, Desk: r.Desk, Operator: r.Operator.ID, Request: r.RequestID}
	order := gateway.PaperOrder{Bill: b.Platform.Number, Paper: b.Platform.Paper, Reason: r.Reason, Operator: r.Operator.Name, Place: b.Place, At: now}
	want := gateway.InvoiceIssued
	if r.Void {
		want = gateway.InvoicePaper
	}
	if b.State != want || b.RedWanted || b.Kind.Voucher() {
		return &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: string(b.State)}
	}
	var a gateway.InvoiceAnswer[struct{}]
	done := from(book.Papered, a)
	told := b.Platform
	if r.Void {
		who.Kind, done.Kind, told.Paper = book.VoidSent, book.Voided, gateway.PaperNumber{}
		if err := f.note(ctx, b, who, f.inFlight(now)); err != nil {
			return err
		}
		a = p.VoidPaper(ctx, order)
	} else {
		next := p.NextPaper(ctx, b.Place, r.Batch)
		switch {
		case next.Outcome == gateway.OutcomeRefused && next.Cause == gateway.CauseBusiness:
			return &gateway.Error{Code: gateway.CodeInvoiceRefused, Op: op, Ref: b.ID, Detail: next.Message}
		case next.Outcome != gateway.OutcomeDone:
			return &gateway.Error{Code: gateway.CodeInvoiceDown, Op: op, Ref: b.ID, Detail: string(next.Cause)}
		case r.No != "" && next.Value.No != r.No:
			return &gateway.Error{Code: gateway.CodeInvoicePaper, Op: op, Path: "/no", Ref: b.ID, Detail: next.Value.No}
		}
		order.Paper, told.Paper = next.Value, next.Value
		who.Kind = book.PaperSent
		if err := f.note(ctx, b, who, f.inFlight(now)); err != nil {
			return err
		}
		a = p.TurnPaper(ctx, order)
	}
	now = f.o.Clock.Now()
	switch {
	case a.Outcome == gateway.OutcomeDone:
		done.Bill = &told
		return f.note(ctx, b, done, now)
	case a.Outcome == gateway.OutcomeRefused:
		kind := book.Refused
		if a.Cause == gateway.CauseNotSent {
			kind = book.NotSent
		}
		if err := f.note(ctx, b, from(kind, a), now); err != nil {
			return err
		}
		if kind == book.NotSent {
			return &gateway.Error{Code: gateway.CodeInvoiceDown, Op: op, Ref: b.ID}
		}
		return &gateway.Error{Code: gateway.CodeInvoiceRefused, Op: op, Ref: b.ID, Detail: a.Message}
	}
	return f.note(ctx, b, from(book.Asked, a), now.Add(f.o.Retry))
}

// DeliverInvoice implements gateway.Invoices.
func (f *Office) DeliverInvoice(ctx context.Context, c gateway.Caller, r gateway.DeliverInvoice) (gateway.EInvoice, error) {
	const op = "einvoice.deliver"
	body := r
	body.Operator, body.Desk = gateway.Operator{}, ""
	b, req, _, err := f.begin(ctx, c, r.ID, r.RequestID, op, body)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	if r.Phone == "" && r.Email == "" {
		r.Phone, r.Email = b.Draft.Payer.Phone, b.Draft.Payer.Email
	}
	switch {
	case r.Phone == "" && r.Email == "":
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/phone", Rule: "phone 或 email", Ref: b.ID}
	case b.State != gateway.InvoiceIssued && b.State != gateway.InvoicePaper:
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: string(b.State)}
	}
	ctx = context.WithoutCancel(ctx)
	known, err := f.write(ctx, req)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	if !known {
		a := f.o.Platform(b.Institution).Notify(ctx, b.Platform, r.Phone, r.Email)
		switch {
		case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseUnsupported:
			return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeNotSupported, Op: op, Ref: b.ID}
		case a.Outcome == gateway.OutcomeRefused && a.Cause == gateway.CauseBusiness:
			return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeInvoiceRefused, Op: op, Ref: b.ID, Detail: a.Message}
		case a.Outcome != gateway.OutcomeDone:
			return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeInvoiceDown, Op: op, Ref: b.ID}
		}
		e := book.Event{Kind: book.Delivered, At: f.o.Clock.Now(), System: c.System, Desk: r.Desk, Operator: r.Operator.ID, Request: r.RequestID}
		_, err := f.o.Book.Write(ctx, book.Entry{Append: &book.Append{ID: b.ID, Rev: b.Rev, Event: e, Due: b.Due}})
		if err != nil && !errors.Is(err, gateway.ErrStale) {
			return gateway.EInvoice{}, failure(op, b.ID, err)
		}
	}
	return f.Invoice(ctx, c, r.ID)
}
