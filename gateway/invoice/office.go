// Package invoice issues electronic invoices and sees to it that each settlement in force has exactly
// one, whatever goes wrong between the gateway and the platform.
//
// A bill is written down with its business number before anything is sent. What to do next is a pure
// function of the bill and the time (decide); every step is an event of the book, written with the
// version it was decided on, so two processes never do the same step. An outcome nobody is sure of is
// ended by asking; the same business number may be sent again only then, and the platform makes one
// bill of it whatever happens.
//
// What a settlement should have is a rule of its own (settle): the settlement in force wants one live
// bill made for it; a bill made for a settlement that is no longer in force is reversed. Refunds,
// crashes between any two steps and outages all end by applying that rule again.
package invoice

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/bill"
	"yiqiao/gateway/invoice/book"
	"yiqiao/gateway/invoice/identity"
	"yiqiao/schemas/ident"
)

// Source tells what a settlement or stay of the gateway was charged, and which requests about it are over.
type Source interface {
	Charged(ctx context.Context, id string) (bill.Charged, error)
	// Past reports whether a request about id was accepted before and has nothing to do with the settlement in
	// force: it was answered, or that settlement was made since.
	Past(ctx context.Context, request gateway.RequestKey, id string) (bool, error)
}

// Book is what an Office asks of the book of bills. *book.Book is one.
type Book interface {
	Write(ctx context.Context, entries ...book.Entry) (existing *book.Request, err error)
	Request(ctx context.Context, system, id string) (book.Request, error)
	Subject(ctx context.Context, id string) (book.Subject, error)
	DueSubjects(ctx context.Context, now time.Time, limit int) ([]string, error)
	Bill(ctx context.Context, id string) (book.Bill, error)
	Bills(ctx context.Context, subject string) ([]book.Bill, error)
	Events(ctx context.Context, id string) ([]book.Event, error)
	List(ctx context.Context, q book.Query) (list []book.Bill, next int64, err error)
	Moving(ctx context.Context, after int64, limit int) ([]book.Brief, error)
	Marked(ctx context.Context, mark string) ([]book.Bill, error)
	Before(ctx context.Context, lane, id string) (bool, error)
}

// Orders of a refund.
const (
	RedFirst       = "red-first"       // the red bill, then the insurance
	InsuranceFirst = "insurance-first" // the insurance, then the red bill
)

// Options are the parts of an Office. Book, Platform, Source, Clock and Digest are required.
type Options struct {
	Book     Book
	Platform func(ident.Institution) gateway.InvoicePlatform
	Tables   func(ident.Institution) bill.Tables
	Source   Source
	Clock    gateway.Clock
	Digest   func(parts ...[]byte) [32]byte // keyed, the same for the life of the database
	// Overtaken lists the subjects at rest whose settlement something was done about after their bill was
	// made, in records made since. Run looks at them again. Optional: without it only what passes through
	// the desk, or is under way when a bill is asked for, is followed.
	Overtaken func(ctx context.Context, since time.Time) ([]string, error)
	Order     string         // of refunds; default RedFirst
	Identity  identity.Table // what Carry fills in; default identity.Default
	Log       *slog.Logger

	Limit   time.Duration // how long a call to the platform may take; default 30 s
	Grace   time.Duration // absence counts when asked so long after Limit; default 30 s
	Retry   time.Duration // first pause before something is tried or asked again; default 5 s
	Most    time.Duration // longest; default 15 s
	HoldFor time.Duration // how long a refund nobody goes on with keeps a settlement without its bill; default 30 min
	Poll    time.Duration // how often Run looks for work; default 1 s
	Workers int           // bills of different patients worked on at once; default 16
}

// Office implements gateway.Invoices. Safe for concurrent use.
type Office struct {
	o   Options
	log *slog.Logger

	mu    sync.Mutex
	locks map[string]*lock // of subjects
	down  map[string]pause // platforms that do not answer
}

type lock struct {
	turn chan struct{}
	n    int
}

type pause struct {
	until time.Time
	fails int
}

var _ gateway.Invoices = (*Office)(nil)

// New checks the options and starts nothing; Run does the work nobody waits for.
func New(o Options) (*Office, error) {
	if o.Book == nil || o.Platform == nil || o.Source == nil || o.Clock == nil || o.Digest == nil {
		return nil, errors.New("invoice: book, platform, source, clock and digest are required")
	}
	if o.Order == "" {
		o.Order = RedFirst
	}
	if o.Order != RedFirst && o.Order != InsuranceFirst {
		return nil, errors.New("invoice: order must be " + RedFirst + " or " + InsuranceFirst)
	}
	if o.Identity == nil {
		var err error
		if o.Identity, err = identity.Default(); err != nil {
			return nil, err
		}
	}
	if o.Tables == nil {
		o.Tables = func(ident.Institution) bill.Tables { return bill.Tables{} }
	}
	for _, x := range []struct {
		d *time.Duration
		v time.Duration
	}{{&o.Limit, 30 * time.Second}, {&o.Grace, 30 * time.Second}, {&o.Retry, 5 * time.Second}, {&o.Most, 15 * time.Second},
		{&o.HoldFor, 30 * time.Minute}, {&o.Poll, time.Second}} {
		if *x.d <= 0 {
			*x.d = x.v
		}
	}
	if o.Workers <= 0 {
		o.Workers = 16
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Office{o: o, log: o.Log, locks: map[string]*lock{}, down: map[string]pause{}}, nil
}

// take makes the caller the only one of this process that works on a subject.
func (f *Office) take(ctx context.Context, subject string) (release func(), err error) {
	f.mu.Lock()
	l := f.locks[subject]
	if l == nil {
		l = &lock{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		f.locks[subject] = l
	}
	l.n++
	f.mu.Unlock()
	leave := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if l.n--; l.n == 0 {
			delete(f.locks, subject)
		}
	}
	select {
	case <-l.turn:
		return func() { l.turn <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, &gateway.Error{Code: gateway.CodeRequestInProgress, Op: "einvoice", Ref: subject}
	}
}

// ask is what is kept of who asked for a bill; a later bill of the subject is made from it.
type ask struct {
	Issue gateway.IssueInvoice `json:"issue"`
	Key   [32]byte             `json:"key"`
}

// failure words an error of the book.
func failure(op, ref string, err error) error {
	var e *gateway.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	code := gateway.CodeInternal
	switch {
	case errors.Is(err, gateway.ErrStorage):
		code = gateway.CodeStorage
	case errors.Is(err, gateway.ErrNotFound):
		code = gateway.CodeNotFound
	case errors.Is(err, gateway.ErrConflict):
		code = gateway.CodeRequestIDReused
	case errors.Is(err, gateway.ErrStale), errors.Is(err, gateway.ErrExists):
		code = gateway.CodeRequestInProgress
	}
	return &gateway.Error{Code: code, Op: op, Ref: ref, Err: err}
}

// institution is the one the caller means, if it may.
func institution(c gateway.Caller, code ident.Institution) (ident.Institution, error) {
	if code == "" && len(c.Institutions) == 1 {
		code = c.Institutions[0]
	}
	for _, own := range c.Institutions {
		if own == code && code != "" && c.System != "" && c.System != gateway.OwnSystem {
			return code, nil
		}
	}
	return "", &gateway.Error{Code: gateway.CodeInstitution, Op: "einvoice", Path: "/institution"}
}

// usable reports whether a HIS may name a request so.
func usable(requestID string) bool { return requestID != "" && len(requestID) <= 64 }

func (f *Office) request(c gateway.Caller, id, op, ref string, body any) (book.Request, error) {
	if !usable(id) {
		return book.Request{}, &gateway.Error{Code: gateway.CodeRequestIDMissing, Op: op, Path: "/request_id"}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return book.Request{}, failure(op, ref, err)
	}
	return book.Request{System: c.System, ID: id, Digest: f.o.Digest([]byte(op), []byte(ref), text), Op: op, Ref: ref, At: f.o.Clock.Now()}, nil
}

// subjectOf names what a bill is asked for, and reads it where the request itself says all.
func (f *Office) subjectOf(c gateway.Caller, inst ident.Institution, r *gateway.IssueInvoice) (subject string, err error) {
	n := 0
	for _, x := range []struct {
		is bool
		id string
	}{{r.Settlement != "", r.Settlement}, {r.SelfPaid != nil, ""}, {r.Deposit != nil, ""}} {
		if x.is {
			n++
			subject = x.id
		}
	}
	letter, own := "", ""
	switch {
	case n != 1:
		return "", &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "einvoice.issue", Path: "/settlement", Rule: "settlement, self_paid 或 deposit 三者之一"}
	case r.SelfPaid != nil:
		letter, own = "X", r.SelfPaid.ID
	case r.Deposit != nil:
		letter, own = "D", r.Deposit.ID
	default:
		if subject[0] != 'B' && subject[0] != 'S' {
			return "", &gateway.Error{Code: gateway.CodeNotFound, Op: "einvoice.issue", Path: "/settlement"}
		}
		return subject, nil
	}
	if own == "" || len(own) > 64 {
		return "", &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "einvoice.issue", Path: "/self_paid/id", Rule: "1-64"}
	}
	sum := f.o.Digest([]byte(letter), []byte(c.System), []byte(inst), []byte(own))
	return letter + upperHex(sum[:12]), nil
}

func upperHex(b []byte) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, 2*len(b))
	for _, x := range b {
		out = append(out, hex[x>>4], hex[x&15])
	}
	return string(out)
}

// owned gives a subject of the caller; what belongs to another does not exist.
func (f *Office) owned(ctx context.Context, c gateway.Caller, id string) (book.Subject, error) {
	s, err := f.o.Book.Subject(ctx, id)
	if err != nil {
		return s, failure("einvoice", id, err)
	}
	if _, err := institution(c, s.Institution); err != nil || s.System != c.System {
		return s, &gateway.Error{Code: gateway.CodeNotFound, Op: "einvoice", Ref: id}
	}
	return s, nil
}

func (f *Office) ownedBill(ctx context.Context, c gateway.Caller, id string) (book.Bill, error) {
	b, err := f.o.Book.Bill(ctx, id)
	if err == nil {
		_, err = f.owned(ctx, c, b.Subject)
	}
	return b, failure("einvoice", id, err)
}

// IssueInvoice implements gateway.Invoices.
func (f *Office) IssueInvoice(ctx context.Context, c gateway.Caller, r gateway.IssueInvoice) (gateway.EInvoice, error) {
	const op = "einvoice.issue"
	inst, err := institution(c, r.Institution)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	r.Institution = inst
	subject, err := f.subjectOf(c, inst, &r)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	compared := r
	compared.Operator, compared.Desk = gateway.Operator{}, ""
	req, err := f.request(c, r.RequestID, op, subject, compared)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	release, err := f.take(ctx, subject)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	defer release()
	ctx = context.WithoutCancel(ctx)
	if e, known, err := f.asked(ctx, subject, req); known || err != nil {
		return e, err
	}
	content := f.content(r)
	charged, err := f.chargedFor(ctx, subject, inst, c.System, ask{Issue: r, Key: content})
	// What is another's is not there, whatever else is wrong with it.
	if other := charged.System != c.System || charged.Institution != inst; other && (err == nil || charged.System != "" || isNotFound(err)) {
		return gateway.EInvoice{}, &gateway.Error{Code: gateway.CodeNotFound, Op: op, Path: "/settlement"}
	}
	if err != nil {
		return gateway.EInvoice{}, err
	}
	if err := f.wantedBy(ctx, subject, &charged, r, req, content); err != nil {
		return gateway.EInvoice{}, err
	}
	if err := f.settle(ctx, subject); err != nil {
		f.log.Warn("einvoice", "subject", subject, "err", err)
	}
	return f.latest(ctx, subject)
}

// asked answers a request that was made before: how the newest bill stands by now, whatever became of
// the settlement meanwhile. known is false when there is no bill of it yet.
func (f *Office) asked(ctx context.Context, subject string, req book.Request) (e gateway.EInvoice, known bool, err error) {
	old, err := f.o.Book.Request(ctx, req.System, req.ID)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return e, false, nil
	case err != nil:
		return e, false, failure(req.Op, subject, err)
	case old.Digest != req.Digest:
		return e, false, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: req.Op, Path: "/request_id"}
	}
	list, err := f.o.Book.Bills(ctx, subject)
	if err != nil || len(list) == 0 {
		return e, false, failure(req.Op, subject, err)
	}
	if err := f.settle(ctx, subject); err != nil {
		f.log.Warn("einvoice", "subject", subject, "err", err)
	}
	e, err = f.latest(ctx, subject)
	return e, true, err
}

// content is what names a bill whose content the request itself gives.
func (f *Office) content(r gateway.IssueInvoice) [32]byte {
	b, _ := json.Marshal([]any{r.SelfPaid, r.Deposit}) // plain structs
	return f.o.Digest([]byte("einvoice.content"), b)
}

// chargedFor reads what is to be billed.
func (f *Office) chargedFor(ctx context.Context, subject string, inst ident.Institution, system string, a ask) (c bill.Charged, err error) {
	switch r := a.Issue; {
	case r.SelfPaid != nil:
		return bill.SelfPaid(subject, inst, system, a.Key, r.SelfPaid, r.Payer)
	case r.Deposit != nil:
		c, err = bill.Deposit(subject, inst, system, a.Key, r.Deposit)
	default:
		c, err = f.o.Source.Charged(ctx, subject)
		if err == nil && len(r.Vouchers) > 0 {
			c.Vouchers, err = f.vouchers(ctx, system, r.Vouchers)
			for _, v := range c.Vouchers {
				c.Money.Deposit += v.Amount
			}
			c.Money.PaidBack, c.Money.TopUp = max(c.Money.Deposit-c.Money.Cash, 0), max(c.Money.Cash-c.Money.Deposit, 0)
		}
	}
	if err == nil && a.Issue.Payer.PatientID != "" {
		c.Patient = a.Issue.Payer.PatientID
	}
	return c, failure("einvoice.charged", subject, err)
}

func isNotFound(err error) bool {
	var e *gateway.Error
	return errors.As(err, &e) && e.Code == gateway.CodeNotFound
}

// vouchers are deposits a stay's bill uses up.
func (f *Office) vouchers(ctx context.Context, system string, ids []string) (out []gateway.InvoiceVoucher, err error) {
	for _, id := range ids {
		b, err := f.o.Book.Bill(ctx, id)
		if err != nil || b.System != system || !b.Kind.Voucher() || b.State != gateway.InvoiceIssued {
			return nil, &gateway.Error{Code: gateway.CodeNotFound, Op: "einvoice.issue", Path: "/vouchers", Err: err}
		}
		out = append(out, gateway.InvoiceVoucher{Number: b.Platform.Number, Amount: b.Total})
	}
	return out, nil
}

// wantedBy writes down that somebody wants a bill, unless it can not be made. Whoever asks when there
// is one already is noted with it.
func (f *Office) wantedBy(ctx context.Context, subject string, c *bill.Charged, r gateway.IssueInvoice, req book.Request, content [32]byte) error {
	const op = "einvoice.issue"
	now := f.o.Clock.Now()
	who := book.Event{At: now, System: req.System, Desk: r.Desk, Operator: r.Operator.ID, Request: r.RequestID}
	s, err := f.o.Book.Subject(ctx, subject)
	if err != nil && !errors.Is(err, gateway.ErrNotFound) {
		return failure(op, subject, err)
	}
	live, err := f.live(ctx, subject)
	if err != nil {
		return err
	}
	switch {
	case live != nil && live.Revision == c.Revision && live.State != gateway.InvoiceRefused:
		who.Kind = book.Seen
		_, err = f.o.Book.Write(ctx, book.Entry{Request: &req, Append: &book.Append{ID: live.ID, Rev: live.Rev, Event: who, Due: live.Due}})
		if errors.Is(err, gateway.ErrStale) { // it moves; who looked at it matters less
			_, err = f.o.Book.Write(ctx, book.Entry{Request: &req})
		}
		return failure(op, subject, err)
	case live != nil && r.Settlement == "" && live.Revision != c.Revision:
		return &gateway.Error{Code: gateway.CodeState, Op: op, Ref: live.ID, Detail: "a live bill of other content"}
	case c.Revision == "" && !c.Moving:
		return &gateway.Error{Code: gateway.CodeState, Op: op, Ref: subject, Detail: "no settlement in force"}
	case c.Moving:
		return &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: op, Ref: subject}
	}
	t := f.o.Tables(c.Institution)
	if c.Total == 0 && !t.Zero {
		return &gateway.Error{Code: gateway.CodeState, Op: op, Ref: subject, Detail: "zero amount: bills of 0.00 are not issued here"}
	}
	if f.o.Platform(c.Institution).Name() == "unconnected" {
		return &gateway.Error{Code: gateway.CodeInvoiceNotSet, Op: op, Ref: subject}
	}
	draft, err := bill.Build(t, "-", *c, r, now)
	if err != nil {
		return err
	}
	asked, err := json.Marshal(ask{Issue: r, Key: content})
	if err != nil {
		return failure(op, subject, err)
	}
	s.ID, s.Institution, s.System, s.Wanted, s.Asked, s.Due = subject, c.Institution, req.System, true, asked, now
	list := []book.Entry{{Request: &req, Subject: &s}}
	if live != nil && live.State == gateway.InvoiceRefused && live.Revision == c.Revision {
		draft.BusNo = live.ID
		who.Kind, who.Draft = book.Redrafted, &draft
		list = append(list, book.Entry{Append: &book.Append{ID: live.ID, Rev: live.Rev, Event: who, Due: now}})
	}
	_, err = f.o.Book.Write(ctx, list...)
	return failure(op, subject, err)
}

// live is the one live bill of a subject, or nil.
func (f *Office) live(ctx context.Context, subject string) (*book.Bill, error) {
	list, err := f.o.Book.Bills(ctx, subject)
	if err != nil {
		return nil, failure("einvoice", subject, err)
	}
	for i := range list {
		if list[i].State.Live() {
			return &list[i], nil
		}
	}
	return nil, nil
}

// latest is how the newest bill of a subject stands.
func (f *Office) latest(ctx context.Context, subject string) (gateway.EInvoice, error) {
	list, err := f.o.Book.Bills(ctx, subject)
	if err != nil || len(list) == 0 {
		if err == nil {
			err = &gateway.Error{Code: gateway.CodeInvoiceDown, Op: "einvoice", Ref: subject}
		}
		return gateway.EInvoice{}, failure("einvoice", subject, err)
	}
	return f.view(ctx, &list[len(list)-1])
}

// Invoice implements gateway.Invoices.
func (f *Office) Invoice(ctx context.Context, c gateway.Caller, id string) (gateway.EInvoice, error) {
	b, err := f.ownedBill(ctx, c, id)
	if err != nil {
		return gateway.EInvoice{}, err
	}
	return f.view(ctx, &b)
}

// SettlementInvoices implements gateway.Invoices.
func (f *Office) SettlementInvoices(ctx context.Context, c gateway.Caller, settlement string) ([]gateway.EInvoice, error) {
	if _, err := f.owned(ctx, c, settlement); err != nil {
		return nil, err
	}
	list, err := f.o.Book.Bills(ctx, settlement)
	if err != nil {
		return nil, failure("einvoice", settlement, err)
	}
	out := []gateway.EInvoice{}
	for i := range list {
		v, err := f.view(ctx, &list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// forPatient is what a patient may be told.
var forPatient = map[gateway.InvoiceState]string{
	gateway.InvoiceDrafted: "电子票据开具中, 稍后可查", gateway.InvoiceIssuing: "电子票据开具中, 稍后可查", gateway.InvoiceIssueOpen: "电子票据开具中, 稍后可查",
	gateway.InvoiceRefused: "电子票据开具遇到问题, 请到收费窗口", gateway.InvoiceIssued: "电子票据已开具", gateway.InvoiceTurning: "正在换开纸质票据",
	gateway.InvoicePaper: "已换开纸质票据", gateway.InvoiceVoiding: "正在作废纸质票据", gateway.InvoiceReversing: "电子票据冲红中",
	gateway.InvoiceRedOpen: "电子票据冲红中", gateway.InvoiceReversed: "电子票据已冲红", gateway.InvoiceDropped: "未开具电子票据", gateway.InvoiceParked: "请到收费窗口查询电子票据",
}

// view is how a bill stands, for the HIS.
func (f *Office) view(ctx context.Context, b *book.Bill) (gateway.EInvoice, error) {
	events, err := f.o.Book.Events(ctx, b.ID)
	if err != nil {
		return gateway.EInvoice{}, failure("einvoice", b.ID, err)
	}
	p := b.Platform
	v := gateway.EInvoice{ID: b.ID, RequestID: b.Request, Settlement: b.Subject, Kind: b.Kind, State: b.State, Total: b.Total.String(),
		Number: p.Number, Random: p.Random, MadeAt: readable(p.MadeAt), URL: p.URL, NetURL: p.NetURL, Red: p.Red, Paper: p.Paper, History: []gateway.InvoiceStep{}}
	if b.RedWanted && (b.State == gateway.InvoiceIssued || b.State == gateway.InvoicePaper) {
		v.State = gateway.InvoiceReversing
	}
	v.ForPatient = forPatient[v.State]
	if len(p.QR) > 0 {
		v.QR = base64.StdEncoding.EncodeToString(p.QR)
	}
	for _, e := range events {
		v.History = append(v.History, gateway.InvoiceStep{At: e.At, Event: string(e.Kind), State: e.State, System: e.System, Desk: e.Desk,
			Operator: e.Operator, Cause: e.Cause, Note: e.Note})
		if e.Kind == book.Refused || e.Kind == book.RedRefused {
			v.Message = e.Note
		} else if e.Kind == book.Issued || e.Kind == book.Reversed {
			v.Message = ""
		}
	}
	return v, nil
}

// readable is yyyyMMddHHmmssSSS for people.
func readable(s string) string {
	if len(s) < 14 {
		return s
	}
	t, err := time.Parse("20060102150405", s[:14])
	if err != nil {
		return s
	}
	return t.Format(time.DateTime)
}
