package invoice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Cause is why the book and the platform, or the book and the settlements, differ; permanent words.
type Cause string

const (
	PlatformOnly Cause = "only-at-platform" // the platform has a bill the book does not know, or knows as never made
	HereOnly     Cause = "only-here"        // issued in the book, not at the platform
	OtherAmount  Cause = "amount"
	OtherState   Cause = "state"        // reversed on one side
	NotYet       Cause = "in-progress"  // being issued or reversed; it goes on by itself
	NeedsPerson  Cause = "needs-person" // refused or parked
	NoBill       Cause = "no-bill"      // a settlement in force wants a bill and has none
	Orphan       Cause = "no-settlement"
)

// CauseZH names a cause.
func CauseZH(c Cause) string {
	return map[Cause]string{PlatformOnly: "平台有, 网关无", HereOnly: "网关有, 平台无", OtherAmount: "金额不一致", OtherState: "冲红状态不一致",
		NotYet: "办理中", NeedsPerson: "需人工处理", NoBill: "结算有效但无票据", Orphan: "票据有效但结算已撤销"}[c]
}

// remedies propose what to do; nothing is done by itself.
var remedies = map[Cause]string{
	PlatformOnly: "核对后在平台冲红该票据; 若属本院业务则补记", HereOnly: "以业务流水号向平台核实; 确无此票时冲红本方并重新开具",
	OtherAmount: "冲红后按结算金额重新开具", OtherState: "以平台状态为准核对; 结算仍有效时重新开具, 已撤销时冲红",
	NotYet: "无需处理, 平台恢复后自动完成", NeedsPerson: "平台未受理的, 更正后重新申请开具; 需人工处理的, 查明后用 yiqiao einvoice decide 了结", NoBill: "重新申请开具", Orphan: "冲红该票据",
}

// Difference is one row in which two sides differ. Amounts are fen.
type Difference struct {
	Cause      Cause                 `json:"cause"`
	ID         string                `json:"id"` // business number
	Settlement string                `json:"settlement,omitempty"`
	Number     gateway.InvoiceNumber `json:"number,omitzero"`
	State      gateway.InvoiceState  `json:"state,omitempty"`
	Ours       string                `json:"ours,omitempty"`
	Theirs     string                `json:"theirs,omitempty"`
	Remedy     string                `json:"remedy"`
}

// Sums are what one side has of a day.
type Sums struct {
	Blue gateway.InvoiceTotals `json:"issued"`
	Red  gateway.InvoiceTotals `json:"reversed"` // of the bills of the day
}

// Report is what one run found. Persons do not appear in it.
type Report struct {
	Institution ident.Institution     `json:"institution"`
	Date        string                `json:"date"`
	Ours        Sums                  `json:"ours"`
	Theirs      Sums                  `json:"theirs"`
	Totals      gateway.InvoiceTotals `json:"platform_totals"`     // as the platform counts
	RedTotals   gateway.InvoiceTotals `json:"platform_red_totals"` // reversals made on the day
	Balanced    bool                  `json:"balanced"`
	Differences []Difference          `json:"differences"`
	Notes       []string              `json:"notes,omitempty"`
}

// listPage is how many bills are asked for at once.
const listPage = 200

// Reconcile holds a day against the platform, bill by bill, and against the settlements. It asks and
// changes nothing, and may be repeated. Deposit vouchers are on no list of the platform and are left out.
func (f *Office) Reconcile(ctx context.Context, inst ident.Institution, day time.Time) (Report, error) {
	day = day.In(gateway.China)
	from := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, gateway.China)
	rep := Report{Institution: inst, Date: from.Format(time.DateOnly), Differences: []Difference{}}
	ours := map[string]book.Bill{}
	t := f.o.Tables(inst).Filled()
	places := map[string]bool{t.Place: true}
	for _, p := range t.Places {
		places[p] = true
	}
	for after := int64(0); ; {
		list, next, err := f.o.Book.List(ctx, book.Query{Institution: inst, From: from, To: from.AddDate(0, 0, 1), After: after})
		if err != nil {
			return rep, failure("einvoice.reconcile", "", err)
		}
		for _, b := range list {
			if !b.Kind.Voucher() {
				ours[b.ID] = b
				places[b.Place] = true
			}
		}
		if after = next; len(list) < 1000 {
			break
		}
	}
	theirs := map[string]gateway.PlatformBill{}
	for place := range places {
		if err := f.theirs(ctx, inst, place, from, &rep, theirs); err != nil {
			return rep, err
		}
	}
	f.compare(&rep, ours, theirs)
	if err := f.againstSettlements(ctx, &rep, ours); err != nil {
		return rep, err
	}
	slices.SortFunc(rep.Differences, func(a, b Difference) int { return strings.Compare(a.ID+string(a.Cause), b.ID+string(b.Cause)) })
	rep.Balanced = !slices.ContainsFunc(rep.Differences, func(d Difference) bool { return d.Cause != NotYet }) && len(rep.Notes) == 0
	return rep, nil
}

func answered[T any](what string, a gateway.InvoiceAnswer[T]) error {
	if a.Outcome == gateway.OutcomeDone {
		return nil
	}
	code := gateway.CodeInvoiceDown
	if a.Cause == gateway.CauseBusiness {
		code = gateway.CodeInvoiceRefused
	}
	if a.Cause == gateway.CauseUnsupported {
		code = gateway.CodeInvoiceNotSet
	}
	return &gateway.Error{Code: code, Op: "einvoice.reconcile", Detail: what + ": " + string(a.Cause) + " " + a.Message}
}

// theirs reads what the platform has of a day.
func (f *Office) theirs(ctx context.Context, inst ident.Institution, place string, day time.Time, rep *Report, into map[string]gateway.PlatformBill) error {
	p := f.o.Platform(inst)
	totals, reds := p.Totals(ctx, place, day), p.RedTotals(ctx, place, day)
	if err := answered("totals", totals); err != nil {
		return err
	}
	if err := answered("red totals", reds); err != nil {
		return err
	}
	rep.Totals.Count += totals.Value.Count
	rep.Totals.Amount += totals.Value.Amount
	rep.RedTotals.Count += reds.Value.Count
	rep.RedTotals.Amount += reds.Value.Amount
	var listed gateway.InvoiceTotals
	for page := 1; ; page++ {
		a := p.Bills(ctx, place, day, page, listPage)
		if err := answered("list", a); err != nil {
			return err
		}
		for _, b := range a.Value {
			into[b.BusNo] = b
			listed.Count++
			listed.Amount += b.Total
		}
		if len(a.Value) < listPage {
			break
		}
	}
	if listed != totals.Value {
		rep.Notes = append(rep.Notes, fmt.Sprintf("平台总数 %d 笔 %s 与其清单 %d 笔 %s 不一致 (开票点 %s)", totals.Value.Count, totals.Value.Amount, listed.Count, listed.Amount, place))
	}
	return nil
}

// add counts a bill.
func (s *Sums) add(total money.Fen, red bool) {
	s.Blue.Count++
	s.Blue.Amount += total
	if red {
		s.Red.Count++
		s.Red.Amount += total
	}
}

func (f *Office) compare(rep *Report, ours map[string]book.Bill, theirs map[string]gateway.PlatformBill) {
	differ := func(c Cause, b book.Bill, p gateway.PlatformBill) {
		d := Difference{Cause: c, ID: b.ID, Settlement: b.Subject, Number: b.Platform.Number, State: b.State, Remedy: remedies[c]}
		if b.ID == "" {
			d.ID, d.Number = p.BusNo, p.Number
		} else {
			d.Ours = b.Total.String()
		}
		if p.Known {
			d.Theirs = p.Total.String()
		}
		rep.Differences = append(rep.Differences, d)
	}
	for id, b := range ours {
		p, there := theirs[id]
		made := b.Platform.Number.No != ""
		if made {
			rep.Ours.add(b.Total, b.State == gateway.InvoiceReversed)
		}
		switch {
		case b.State == gateway.InvoiceRefused || b.State == gateway.InvoiceParked:
			differ(NeedsPerson, b, p)
		case !b.State.Rests() || b.RedWanted && b.State.Live():
			differ(NotYet, b, p)
		case made && !there:
			differ(HereOnly, b, p)
		case !made && there:
			differ(PlatformOnly, b, p)
		case made && p.Total != b.Total:
			differ(OtherAmount, b, p)
		case made && p.Reversed != (b.State == gateway.InvoiceReversed):
			differ(OtherState, b, p)
		}
	}
	for id, p := range theirs {
		rep.Theirs.add(p.Total, p.Reversed)
		if _, here := ours[id]; !here {
			differ(PlatformOnly, book.Bill{}, p)
		}
	}
}

// againstSettlements asks of each live bill whether its settlement is in force.
func (f *Office) againstSettlements(ctx context.Context, rep *Report, ours map[string]book.Bill) error {
	seen := map[string]bool{}
	for _, b := range ours {
		if seen[b.Subject] || b.Subject[0] != 'B' && b.Subject[0] != 'S' {
			continue
		}
		seen[b.Subject] = true
		s, err := f.o.Book.Subject(ctx, b.Subject)
		if err != nil {
			return failure("einvoice.reconcile", b.Subject, err)
		}
		c, err := f.o.Source.Charged(ctx, b.Subject)
		if err != nil {
			return failure("einvoice.reconcile", b.Subject, err)
		}
		if c.Moving {
			continue
		}
		d := Difference{ID: b.ID, Settlement: b.Subject, Number: b.Platform.Number, State: b.State}
		switch now, err := f.live(ctx, b.Subject); {
		case err != nil:
			return err
		case now == nil && s.Wanted && c.Revision != "":
			d.Cause, d.Ours = NoBill, c.Total.String()
		case now != nil && now.State.Rests() && !now.RedWanted && (c.Revision == "" || now.Revision != c.Revision):
			d.Cause, d.Ours = Orphan, now.Total.String()
		}
		if d.Cause != "" {
			d.Remedy = remedies[d.Cause]
			rep.Differences = append(rep.Differences, d)
		}
	}
	return nil
}
