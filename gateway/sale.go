package gateway

import (
	"context"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Dispensary is what a HIS adapter may ask about sales over a pharmacy's counter. The rules are those of
// Desk: what takes a RequestID is idempotent, errors are *Error. A trial books nothing, so a sale that is
// not confirmed needs no taking back.
type Dispensary interface {
	// OpenSale finds the person and makes the trial settlement (1101, 2101).
	OpenSale(ctx context.Context, c Caller, r OpenSale) (Sale, error)
	// ConfirmSale settles it (2102).
	ConfirmSale(ctx context.Context, c Caller, r ConfirmSale) (Sale, error)
	// RefundSale takes the settlement back whole (2103). There is no partial one: what is kept is sold anew.
	RefundSale(ctx context.Context, c Caller, r RefundSale) (Sale, error)
	// Sale tells where a sale stands.
	Sale(ctx context.Context, c Caller, id string) (Sale, error)
}

// SaleRow is one row of drugdetail. Quantity, Price and Amount are decimals as text.
type SaleRow struct {
	ID         string `json:"id"`         // feedetl_sn, unique in the sale
	Code       string `json:"code"`       // med_list_codg, national
	LocalCode  string `json:"local_code"` // medins_list_codg
	Quantity   string `json:"quantity"`
	Price      string `json:"price"`
	Amount     string `json:"amount"` // must be quantity x price, rounded half up
	Time       string `json:"time"`
	Doctor     Coded  `json:"doctor,omitzero"`        // who prescribed it
	Circulated string `json:"rx_circ_flag,omitempty"` // default "0"
	RxNo       string `json:"rxno,omitempty"`
	// Extra holds further members of the row by their own names.
	Extra map[string]any `json:"extra,omitempty"`
}

// OpenSale is a sale.
type OpenSale struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Credential  Credential        `json:"credential"`
	Insutype    string            `json:"insutype,omitempty"` // default: the person's only or first insured type
	MedType     string            `json:"med_type"`           // 41 over the counter, 14 with a chronic disease
	Begin       string            `json:"begin"`              // yyyy-MM-dd HH:mm:ss
	UseAccount  bool              `json:"use_account"`
	Disease     Coded             `json:"disease,omitzero"` // dise_codg for chronic disease
	Fees        []SaleRow         `json:"fees"`
	Total       string            `json:"total"` // must be the sum of the rows
}

// ConfirmSale settles a sale.
type ConfirmSale struct {
	RequestID  string      `json:"request_id"`
	ID         string      `json:"-"`
	Operator   Operator    `json:"operator"`
	Credential *Credential `json:"credential,omitempty"` // needed when the gateway no longer holds it
	Invoice    string      `json:"invono,omitempty"`
	ExpectCash string      `json:"expect_cash,omitempty"` // another figure than the trial's refuses before sending
}

// RefundSale takes a sale back.
type RefundSale struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
}

// SaleState is where a sale stands.
type SaleState string

const (
	SaleOpening    SaleState = "opening"    // on the way to the trial, or stopped there
	SalePresettled SaleState = "presettled" // amounts known, nothing booked
	SaleSettling   SaleState = "settling"   // 2102 under way or its outcome unknown
	SaleSettled    SaleState = "settled"
	SaleRefunding  SaleState = "refunding"
	SaleRefunded   SaleState = "refunded"
	SaleFailed     SaleState = "failed" // refused before anything was booked
)

// Sale is how a sale stands.
type Sale struct {
	ID           string           `json:"id"`
	RequestID    string           `json:"request_id,omitempty"` // that opened it
	State        SaleState        `json:"state"`
	Unknown      bool             `json:"outcome_unknown"`
	NeedsPerson  bool             `json:"needs_person,omitempty"`
	Message      string           `json:"message,omitempty"` // the centre's own words when refused
	Visit        ident.Visit      `json:"mdtrt_id,omitempty"`
	SettlementID ident.Settlement `json:"setl_id,omitempty"`
	MsgID        ident.MsgID      `json:"msgid,omitempty"` // of the settlement: medins_setl_id
	Insutype     string           `json:"insutype,omitempty"`
	Amounts      *Amounts         `json:"amounts,omitempty"`
	Funds        []FundPart       `json:"funds,omitempty"`
	SettledAt    string           `json:"settled_at,omitempty"`
	Refund       *Refund          `json:"refund,omitempty"`
	Steps        []Step           `json:"steps"`
	Warnings     []check.Finding  `json:"warnings,omitempty"`
}
