package gateway

import (
	"context"
	"time"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Caller is an authenticated HIS system.
type Caller struct {
	System       string // name from the configuration
	Institutions []ident.Institution
}

// Desk is what a HIS adapter may ask of the gateway. Every method that takes a RequestID is
// idempotent on (Caller.System, RequestID): the same body again gives the stored answer, also
// after a restart; another body is CodeRequestIDReused. All errors are *Error. Cancelling ctx ends
// the waiting, not the work: what was accepted goes on.
type Desk interface {
	// Transact sends one real-time transaction (low level).
	Transact(ctx context.Context, c Caller, r Transact) (Transaction, error)
	// Upload queues one transaction of the upload class and returns as soon as it is durable.
	Upload(ctx context.Context, c Caller, r Transact) (Transaction, error)
	// Transaction tells where a transaction stands.
	Transaction(ctx context.Context, c Caller, id ident.MsgID) (Transaction, error)

	// OpenSettlement takes a bill up to and including the trial settlement.
	OpenSettlement(ctx context.Context, c Caller, r OpenSettlement) (Settlement, error)
	// ConfirmSettlement settles it. Repeated after a refund it gives the settlement it made, with the state of
	// the bill by then and, in Refund, what undid it.
	ConfirmSettlement(ctx context.Context, c Caller, r ConfirmSettlement) (Settlement, error)
	// RefundSettlement undoes it: after settling the whole settlement, before it what was uploaded.
	// With Rows the whole settlement is undone and the rows that are left are settled again.
	RefundSettlement(ctx context.Context, c Caller, r RefundSettlement) (Settlement, error)
	// Settlement tells where a settlement stands.
	Settlement(ctx context.Context, c Caller, id string) (Settlement, error)

	// Told notes that the answer of a request has reached the HIS.
	Told(c Caller, requestID string)
	// Health is nil when new work would be accepted.
	Health(ctx context.Context) error
}

// Transact is one low-level transaction.
type Transact struct {
	RequestID   string            `json:"request_id"`
	Infno       ident.Infno       `json:"-"`
	Institution ident.Institution `json:"institution,omitempty"` // default: the caller's only one
	Operator    Operator          `json:"operator"`
	InsuplcArea string            `json:"insuplc_admdvs,omitempty"` // from 1101; needed once a person is named
	Input       any               `json:"input"`                    // decoded by strictjson
}

// Transaction is how a low-level transaction stands.
type Transaction struct {
	ID        ident.MsgID     `json:"id"` // the msgid
	RequestID string          `json:"request_id"`
	Infno     ident.Infno     `json:"infno"`
	State     State           `json:"state"`
	Outcome   string          `json:"outcome"` // done, refused, unknown; queued for waiting uploads
	Cause     Cause           `json:"cause,omitempty"`
	Message   string          `json:"message,omitempty"` // the centre's own words when refused
	Output    any             `json:"output,omitempty"`  // the centre's output, as received
	Warnings  []check.Finding `json:"warnings,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
}

// Credential is how the patient proves who he is. Number, CardSN and Token are never stored.
type Credential struct {
	Type     string `json:"type"`   // mdtrt_cert_type: 01 e-credential, 02 identity card, 03 social card
	Number   string `json:"number"` // token, identity number or card number, by type
	CardSN   string `json:"card_sn,omitempty"`
	CertType string `json:"psn_cert_type,omitempty"`
	CertNo   string `json:"certno,omitempty"`
	Name     string `json:"name,omitempty"`
}

// Coded is a code with its name.
type Coded struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// VisitInfo is what 2201 and 2203 need to know of a visit.
type VisitInfo struct {
	Number     string `json:"number"` // ipt_otp_no, the hospital's own number
	MedType    string `json:"med_type"`
	Begin      string `json:"begin"` // yyyy-MM-dd HH:mm:ss
	Doctor     Coded  `json:"doctor"`
	Department Coded  `json:"department"`
	Caty       string `json:"caty"`
	Complaint  string `json:"complaint,omitempty"`
	Disease    Coded  `json:"disease,omitzero"` // dise_codg for chronic disease
}

// Diagnosis is one row of diseinfo.
type Diagnosis struct {
	Type       string `json:"type"` // diag_type
	Code       string `json:"code"`
	Name       string `json:"name"`
	Department string `json:"department"`
	Doctor     Coded  `json:"doctor"`
	Time       string `json:"time"`
}

// Fee is one row of the bill. Quantity, Price and Amount are decimals as text.
type Fee struct {
	ID         string `json:"id"`         // feedetl_sn, unique in the visit
	Code       string `json:"code"`       // med_list_codg, national
	LocalCode  string `json:"local_code"` // medins_list_codg
	Name       string `json:"name,omitempty"`
	Quantity   string `json:"quantity"`
	Price      string `json:"price"`
	Amount     string `json:"amount"` // must be quantity x price, rounded half up
	Time       string `json:"time"`
	Department Coded  `json:"department"`
	Doctor     Coded  `json:"doctor"`
	Approved   string `json:"hosp_appr_flag,omitempty"` // default "1"
	Circulated string `json:"rx_circ_flag,omitempty"`   // default "0"
	RxNo       string `json:"rxno,omitempty"`
	RefundOf   string `json:"refund_of,omitempty"` // of a stay: the id of the row this one takes back (init_feedetl_sn)
	// Extra holds further members of the 2204 row by their own names.
	Extra map[string]any `json:"extra,omitempty"`
}

// OpenSettlement is a bill.
type OpenSettlement struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Credential  Credential        `json:"credential"`
	Insutype    string            `json:"insutype,omitempty"`    // default: the person's only or first insured type
	SettleWay   string            `json:"psn_setlway,omitempty"` // default "01"
	UseAccount  bool              `json:"use_account"`
	Visit       VisitInfo         `json:"visit"`
	Diagnoses   []Diagnosis       `json:"diagnoses"`
	Fees        []Fee             `json:"fees"`
	Total       string            `json:"total"` // must be the sum of the rows
}

// ConfirmSettlement settles an opened bill.
type ConfirmSettlement struct {
	RequestID  string      `json:"request_id"`
	ID         string      `json:"-"`
	Operator   Operator    `json:"operator"`
	Credential *Credential `json:"credential,omitempty"` // needed when the gateway no longer holds it
	Invoice    string      `json:"invono,omitempty"`
	// Expect, when given, is the cash the patient was told; another figure refuses before sending.
	ExpectCash string `json:"expect_cash,omitempty"`
}

// RefundSettlement undoes a bill, or takes some of its rows out of it. No centre undoes a part: the
// settlement is undone whole and what is left is settled again under a new batch, which needs the
// patient's credential. When the centre refuses what is left, the money is back and the same
// request may be sent again (CodeRestUnsettled).
type RefundSettlement struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Rows      []string `json:"rows,omitempty"` // ids of the fees to take out, whole rows; with no Parts either: the whole bill
	// Parts are rows of which a quantity is taken out; what is left is settled as quantity times price. Members of
	// Extra stay as they were.
	Parts      []RowPart   `json:"parts,omitempty"`
	Credential *Credential `json:"credential,omitempty"` // with Rows or Parts, when the gateway does not hold it
	Invoice    string      `json:"invono,omitempty"`     // of what is left
}

// RowPart is a quantity of a row, a decimal as text.
type RowPart struct {
	ID       string `json:"id"` // feedetl_sn
	Quantity string `json:"quantity"`
}

// BillState is where a settlement stands.
type BillState string

const (
	BillOpening    BillState = "opening"    // the ladder is being climbed, or stopped on the way
	BillPresettled BillState = "presettled" // trial settlement done: amounts known, nothing booked
	BillSettling   BillState = "settling"   // 2207 under way or its outcome unknown
	BillSettled    BillState = "settled"
	BillRefunding  BillState = "refunding"
	BillResettling BillState = "resettling" // undone for a partial refund, the rest is not settled yet: the money is back
	BillRefunded   BillState = "refunded"   // the settlement was undone at the centre
	BillCancelled  BillState = "cancelled"  // uploads and registration undone before settling
	BillFailed     BillState = "failed"     // a step was refused; what came before it was undone or can be refunded
)

// Amounts of a settlement, text with two decimals.
type Amounts struct {
	Total    string `json:"total"`         // medfee_sumamt
	OwnPay   string `json:"fully_own"`     // fulamt_ownpay_amt
	OverLmt  string `json:"over_limit"`    // overlmt_selfpay
	PreSelf  string `json:"pre_self"`      // preselfpay_amt
	InScope  string `json:"in_scope"`      // inscp_scp_amt
	Deduct   string `json:"deductible"`    // act_pay_dedc
	Fund     string `json:"fund"`          // fund_pay_sumamt
	Person   string `json:"person"`        // psn_part_amt
	Account  string `json:"account"`       // acct_pay
	Cash     string `json:"cash"`          // psn_cash_pay
	Hospital string `json:"hospital"`      // hosp_part_amt
	Balance  string `json:"balance_after"` // balc
}

// FundPart is one row of setldetail.
type FundPart struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Amount string `json:"amount"`
}

// Step is one transaction of a settlement's ladder.
type Step struct {
	Infno ident.Infno `json:"infno"`
	Name  string      `json:"name"`
	MsgID ident.MsgID `json:"msgid"`
	State State       `json:"state"`
	Cause Cause       `json:"cause,omitempty"`
	At    time.Time   `json:"at"`
}

// Refund is what the centre gave for the undo of a settlement (2208, 2305): a settlement of its own with
// amounts below zero. SettlementID, SettledAt and Amounts are not there when its answer was lost and the
// undo was found by asking, or the centre gives none.
type Refund struct {
	MsgID        ident.MsgID      `json:"msgid"`
	Of           ident.Settlement `json:"of"` // setl_id of what was undone
	Visit        ident.Visit      `json:"mdtrt_id"`
	SettlementID ident.Settlement `json:"setl_id,omitempty"` // its own
	SettledAt    string           `json:"settled_at,omitempty"`
	Amounts      *Amounts         `json:"amounts,omitempty"`
	At           time.Time        `json:"at"` // when the gateway knew of it
}

// Settlement is how a bill stands. Ids and amounts are those of the settlement that counts now: after
// a partial refund of what was settled again. What was before is in Steps.
type Settlement struct {
	ID           string           `json:"id"`
	RequestID    string           `json:"request_id,omitempty"`
	State        BillState        `json:"state"`
	Unknown      bool             `json:"outcome_unknown"`        // a step's outcome is not known
	NeedsPerson  bool             `json:"needs_person,omitempty"` // and the gateway can not find it out: a person has to
	Message      string           `json:"message,omitempty"`
	Visit        ident.Visit      `json:"mdtrt_id,omitempty"`
	SettlementID ident.Settlement `json:"setl_id,omitempty"`
	MsgID        ident.MsgID      `json:"msgid,omitempty"` // of the settlement: medins_setl_id
	Insutype     string           `json:"insutype,omitempty"`
	Amounts      *Amounts         `json:"amounts,omitempty"`
	Funds        []FundPart       `json:"funds,omitempty"`
	SettledAt    string           `json:"settled_at,omitempty"`
	Refund       *Refund          `json:"refund,omitempty"`        // the latest undo of a settlement of this bill
	RefundedRows []string         `json:"refunded_rows,omitempty"` // fees taken out by partial refunds
	ReducedRows  []RowPart        `json:"reduced_rows,omitempty"`  // fees taken out in part, with the quantity that is left
	Steps        []Step           `json:"steps"`
	Warnings     []check.Finding  `json:"warnings,omitempty"`
}
