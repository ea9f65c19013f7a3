package invoice

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/book"
)

// What a person found out about a parked bill, while its settlement stands and after it was refunded: in the end what
// is in force has one bill, what is not has none.
func TestDecide(t *testing.T) {
	at := gateway.InvoiceNumber{Batch: "0601", No: "00000001"}
	for _, refunded := range []bool{false, true} {
		for _, c := range []struct {
			there    bool // at the platform
			finding  Finding
			standing gateway.InvoiceState // of the bill in the end, while its settlement stands
			gone     gateway.InvoiceState // after a refund
			code     gateway.Code
		}{
			{true, FoundMade, gateway.InvoiceIssued, gateway.InvoiceReversed, ""},
			{true, FoundWrong, gateway.InvoiceReversed, gateway.InvoiceReversed, ""},
			{false, FoundAbsent, gateway.InvoiceIssued, gateway.InvoiceDropped, ""},
			{true, FoundReversed, gateway.InvoiceReversed, gateway.InvoiceReversed, ""},
			{true, "", gateway.InvoiceParked, gateway.InvoiceParked, gateway.CodeRequestInvalid},
		} {
			w := newTown(t, InsuranceFirst)
			w.settled("B1", 1000, "p")
			w.platform.fault = func(call string) string {
				switch {
				case call == "issue" && c.there:
					return "lose"
				case call == "issue":
					return "lost"
				}
				return ""
			}
			e, err := w.issue("B1")
			if err != nil || e.State != gateway.InvoiceIssueOpen {
				t.Fatalf("%+v %v", e, err)
			}
			w.platform.fault = func(string) string { return "" }
			b, err := w.book.Bill(bg, e.ID)
			if err == nil {
				err = w.office.note(bg, &b, book.Event{Kind: book.Parked, Cause: gateway.CauseUnsupported}, b.Due)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.book.Write(bg, book.Entry{Append: &book.Append{ID: b.ID, Rev: b.Rev, Event: book.Event{Kind: book.Seen, At: w.clock.Now()}}}); err != nil {
				t.Fatal(err) // at rest
			}
			if refunded {
				if err := w.refund("B1", 0, ""); err != nil {
					t.Fatal(err)
				}
			}
			if c.finding == FoundReversed {
				w.platform.bills[e.ID].Reversed = true
			}
			d := Decision{ID: e.ID, Finding: c.finding, Number: at, Operator: "0101"}
			if _, err := w.office.Decide(bg, gateway.Caller{System: "another", Institutions: his.Institutions}, d); !is(err, gateway.CodeNotFound) {
				t.Errorf("another's: %v", err)
			}
			if _, err := w.office.ReverseInvoice(bg, his, gateway.ReverseInvoice{RequestID: "V", ID: e.ID, Reason: "x"}); !is(err, gateway.CodeState) {
				t.Errorf("a parked bill is reversed: %v", err)
			}
			_, err = w.office.Decide(bg, his, d)
			if c.code != "" && !is(err, c.code) || c.code == "" && err != nil {
				t.Fatalf("%q: %v", c.finding, err)
			}
			if c.code != "" {
				continue
			}
			w.calm()
			want := c.standing
			if refunded {
				want = c.gone
			}
			if b, err = w.book.Bill(bg, e.ID); err != nil || b.State != want {
				t.Errorf("%q, refunded %v: %s %v, want %s", c.finding, refunded, b.State, err, want)
			}
			w.check(map[string]bool{"B1": true})
			if _, err = w.office.Decide(bg, his, d); !is(err, gateway.CodeState) {
				t.Errorf("once more: %v", err)
			}
		}
	}
}
