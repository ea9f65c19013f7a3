package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/ident"
)

// Invoices is what a HIS adapter may ask about electronic invoices. What takes a RequestID is
// idempotent on (Caller.System, RequestID). All errors are *Error. An answer whose State is not at
// rest (InvoiceState.Rests) is "being worked on": nothing is lost, and asking tells how it ended.
type Invoices interface {
	// IssueInvoice asks for the bill of a settlement, of a bill insurance has no part in, or of a
	// deposit. There is one live bill for each settlement: who asks second gets the first one's.
	IssueInvoice(ctx context.Context, c Caller, r IssueInvoice) (EInvoice, error)
	// ReverseInvoice makes the red bill. A paper is voided first.
	ReverseInvoice(ctx context.Context, c Caller, r ReverseInvoice) (EInvoice, error)
	// PaperInvoice exchanges a bill for paper, or with Void takes the exchange back.
	PaperInvoice(ctx context.Context, c Caller, r PaperInvoice) (EInvoice, error)
	// DeliverInvoice sends the patient the link again. It changes nothing about the bill.
	DeliverInvoice(ctx context.Context, c Caller, r DeliverInvoice) (EInvoice, error)
	// Invoice tells how a bill stands, by its id (the business number).
	Invoice(ctx context.Context, c Caller, id string) (EInvoice, error)
	// SettlementInvoices lists the bills ever made for a settlement, oldest first.
	SettlementInvoices(ctx context.Context, c Caller, settlement string) ([]EInvoice, error)
}

// IssueInvoice asks for a bill. Exactly one of Settlement, SelfPaid and Deposit is set.
type IssueInvoice struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Desk        string            `json:"desk,omitempty"`           // window or screen that asks
	Kind        InvoiceKind       `json:"kind,omitempty"`           // default: 01 for a stay, 07 for a deposit, else 02
	Settlement  string            `json:"settlement,omitempty"`     // id of a settlement or a stay
	SelfPaid    *SelfPaid         `json:"self_paid,omitempty"`      // insurance has no part in it
	Deposit     *Deposit          `json:"deposit,omitempty"`        // money paid before a stay
	Payer       PayerAsked        `json:"payer,omitzero"`           // what the gateway does not know, or knows otherwise
	Payments    []Payment         `json:"payments,omitempty"`       // how the cash part was paid; default: cash
	Vouchers    []string          `json:"vouchers,omitempty"`       // of a stay: ids of deposits it uses up
	Held        string            `json:"not_circulable,omitempty"` // why the bill may not circulate
	Remark      string            `json:"remark,omitempty"`
}

// PayerAsked is who pays, as the HIS knows him. Where a settlement tells the same, what stands here
// is taken.
type PayerAsked struct {
	Name      string `json:"name,omitempty"`
	Unit      bool   `json:"unit,omitempty"`
	IDCard    string `json:"id_card,omitempty"`
	CardType  string `json:"card_type,omitempty"`
	CardNo    string `json:"card_no,omitempty"`
	Phone     string `json:"phone,omitempty"`
	Email     string `json:"email,omitempty"`
	Sex       string `json:"sex,omitempty"`
	Age       string `json:"age,omitempty"`
	PatientID string `json:"patient_id,omitempty"` // bills of one patient are made in the order they were asked for
}

// Payment is one way in which the cash part was paid.
type Payment struct {
	Way    string `json:"way"` // a name of the configured table: cash, pos, wechat, alipay ...
	Amount string `json:"amount"`
}

// SelfPaid is a bill insurance has no part in. ID is the HIS's own number of it, unique in the
// system: it takes the place of a settlement.
type SelfPaid struct {
	ID         string        `json:"id"`
	Visit      string        `json:"visit"` // visit number
	Date       string        `json:"date"`  // yyyy-MM-dd
	Department Coded         `json:"department"`
	Rows       []SelfPaidRow `json:"rows"`
	Total      string        `json:"total"`
}

// SelfPaidRow is one row. Category is a national med_chrgitm_type.
type SelfPaidRow struct {
	ID       string `json:"id"`
	Code     string `json:"code"`
	Name     string `json:"name"`
	Category string `json:"category"`
	Unit     string `json:"unit,omitempty"`
	Quantity string `json:"quantity"`
	Price    string `json:"price"`
	Amount   string `json:"amount"`
}

// Deposit is money paid before or during a stay. ID is the HIS's number of the payment.
type Deposit struct {
	ID         string `json:"id"`
	StayNo     string `json:"stay_no"`
	Department Coded  `json:"department"`
	Amount     string `json:"amount"`
}

// ReverseInvoice asks for the red bill of a bill whose settlement stands: it was wrong. Bills of
// settlements that are refunded are reversed by the refund. With Reissue a new bill follows.
type ReverseInvoice struct {
	RequestID string      `json:"request_id"`
	ID        string      `json:"-"`
	Operator  Operator    `json:"operator"`
	Desk      string      `json:"desk,omitempty"`
	Reason    string      `json:"reason"`
	Reissue   bool        `json:"reissue,omitempty"`
	Payer     *PayerAsked `json:"payer,omitempty"` // with Reissue: what is to be put right
}

// PaperInvoice exchanges a bill for paper. Batch and No are those the printer holds; they must be the
// platform's next.
type PaperInvoice struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Desk      string   `json:"desk,omitempty"`
	Batch     string   `json:"batch,omitempty"`
	No        string   `json:"no,omitempty"`
	Void      bool     `json:"void,omitempty"`
	Reason    string   `json:"reason,omitempty"` // with Void
}

// DeliverInvoice sends the link again.
type DeliverInvoice struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Desk      string   `json:"desk,omitempty"`
	Phone     string   `json:"phone,omitempty"`
	Email     string   `json:"email,omitempty"`
}

// InvoiceState is where a bill stands.
type InvoiceState string

const (
	InvoiceDrafted   InvoiceState = "draft"            // durable, its number made; not sent yet
	InvoiceIssuing   InvoiceState = "issuing"          // sent, or about to be
	InvoiceIssueOpen InvoiceState = "issue-unknown"    // nobody knows yet whether it was made: being asked
	InvoiceRefused   InvoiceState = "refused"          // the platform would not make it; a person corrects and asks again
	InvoiceIssued    InvoiceState = "issued"           //
	InvoiceTurning   InvoiceState = "paper-issuing"    // the exchange was sent, or its outcome is being asked
	InvoicePaper     InvoiceState = "paper"            // exchanged for paper
	InvoiceVoiding   InvoiceState = "paper-voiding"    // voiding the paper was sent, or is being asked
	InvoiceReversing InvoiceState = "reversing"        // the reversal was decided, sent, or about to be
	InvoiceRedOpen   InvoiceState = "reversal-unknown" // nobody knows yet whether it was reversed: being asked
	InvoiceReversed  InvoiceState = "reversed"         // the red bill is there
	InvoiceDropped   InvoiceState = "cancelled"        // never made, and no longer wanted
	InvoiceParked    InvoiceState = "parked"           // needs a person
)

// Rests reports whether nothing moves by itself.
func (s InvoiceState) Rests() bool {
	switch s {
	case InvoiceRefused, InvoiceIssued, InvoicePaper, InvoiceReversed, InvoiceDropped, InvoiceParked:
		return true
	}
	return false
}

// Live reports whether a bill in this state is, or may be, in force at the platform or on its way.
func (s InvoiceState) Live() bool { return s != InvoiceReversed && s != InvoiceDropped }

// EInvoice is how a bill stands.
type EInvoice struct {
	ID         string        `json:"id"` // the business number
	RequestID  string        `json:"request_id,omitempty"`
	Settlement string        `json:"settlement,omitempty"`
	Kind       InvoiceKind   `json:"kind"`
	State      InvoiceState  `json:"state"`
	ForPatient string        `json:"for_patient"` // what the patient may be told, Chinese
	Message    string        `json:"message,omitempty"`
	Total      string        `json:"total"`
	Number     InvoiceNumber `json:"number,omitzero"`
	Random     string        `json:"random,omitempty"`
	MadeAt     string        `json:"made_at,omitempty"` // yyyy-MM-dd HH:mm:ss
	URL        string        `json:"url,omitempty"`
	NetURL     string        `json:"net_url,omitempty"`
	QR         string        `json:"qr_png,omitempty"` // base64
	Red        InvoiceNumber `json:"red,omitzero"`
	Paper      PaperNumber   `json:"paper,omitzero"`
	History    []InvoiceStep `json:"history"`
}

// InvoiceStep is one entry of a bill's history.
type InvoiceStep struct {
	At       time.Time    `json:"at"`
	Event    string       `json:"event"`
	State    InvoiceState `json:"state"` // after it
	System   string       `json:"system,omitempty"`
	Desk     string       `json:"desk,omitempty"`
	Operator string       `json:"operator,omitempty"`
	Cause    Cause        `json:"cause,omitempty"`
	Note     string       `json:"note,omitempty"`
}
