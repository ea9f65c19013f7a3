package gateway

import (
	"context"
	"strconv"
	"strings"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Ward is what a HIS adapter may ask about patients in hospital. The rules are those of Desk: what
// takes a RequestID is idempotent, errors are *Error.
type Ward interface {
	// AdmitStay finds the person and registers the admission (1101, 2401).
	AdmitStay(ctx context.Context, c Caller, r AdmitStay) (Stay, error)
	// ChargeStay uploads fee rows (2301, at most 100 a call): all of them, or none when one is refused.
	ChargeStay(ctx context.Context, c Caller, r ChargeStay) (Stay, error)
	// ChangeStay replaces what the admission registered (2403), as long as the patient is in hospital.
	ChangeStay(ctx context.Context, c Caller, r ChangeStay) (Stay, error)
	// DischargeStay registers the discharge (2402).
	DischargeStay(ctx context.Context, c Caller, r DischargeStay) (Stay, error)
	// SettleStay makes the trial settlement and, unless only that is wanted, settles (2303, 2304): the end, or
	// with MidStay what was charged so far and is not settled, as often as wanted before the discharge.
	SettleStay(ctx context.Context, c Caller, r SettleStay) (Stay, error)
	// RefundStay takes back, as far as To says (2305, 2405, 2302, 2404).
	RefundStay(ctx context.Context, c Caller, r RefundStay) (Stay, error)
	// Stay tells where a stay stands.
	Stay(ctx context.Context, c Caller, id string) (Stay, error)
}

// StayInfo is what 2401 needs to know.
type StayInfo struct {
	Number     string `json:"number"` // ipt_no, the hospital's own number
	RecordNo   string `json:"medrcdno,omitempty"`
	MedType    string `json:"med_type"`
	Begin      string `json:"begin"` // yyyy-MM-dd HH:mm:ss
	Doctor     Coded  `json:"doctor"`
	Department Coded  `json:"department"`
	Bed        string `json:"bed"`
	Complaint  string `json:"complaint,omitempty"`
	Disease    Coded  `json:"disease,omitzero"`
	Operation  Coded  `json:"operation,omitzero"` // oprn_oprt_code
}

// AdmitStay is an admission. The first diagnosis is the main one.
type AdmitStay struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Credential  Credential        `json:"credential"`
	Insutype    string            `json:"insutype,omitempty"`
	Visit       StayInfo          `json:"visit"`
	Diagnoses   []Diagnosis       `json:"diagnoses"`
}

// ChargeStay hands in fee rows. A row with RefundOf takes back an earlier row of that id: its
// quantity and amount are negative.
type ChargeStay struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Fees      []Fee    `json:"fees"`
}

// ChangeStay is what 2403 needs to know: all of it, not only what is new. The first diagnosis is the main one.
type ChangeStay struct {
	RequestID string      `json:"request_id"`
	ID        string      `json:"-"`
	Operator  Operator    `json:"operator"`
	Visit     StayInfo    `json:"visit"`
	Contact   string      `json:"coner_name,omitempty"`
	Phone     string      `json:"tel,omitempty"`
	Diagnoses []Diagnosis `json:"diagnoses"`
}

// DischargeStay is what 2402 needs to know.
type DischargeStay struct {
	RequestID  string      `json:"request_id"`
	ID         string      `json:"-"`
	Operator   Operator    `json:"operator"`
	End        string      `json:"end"` // yyyy-MM-dd HH:mm:ss
	Department Coded       `json:"department"`
	Bed        string      `json:"bed,omitempty"`
	Way        string      `json:"dscg_way"`
	Disease    Coded       `json:"disease,omitzero"`
	Operation  Coded       `json:"operation,omitzero"`
	Diagnoses  []Diagnosis `json:"diagnoses"`
}

// SettleStay settles all rows of a stay.
type SettleStay struct {
	RequestID  string      `json:"request_id"`
	ID         string      `json:"-"`
	Operator   Operator    `json:"operator"`
	Credential *Credential `json:"credential,omitempty"` // needed when the gateway no longer holds it
	SettleWay  string      `json:"psn_setlway,omitempty"`
	UseAccount bool        `json:"use_account"`
	Invoice    string      `json:"invono,omitempty"`
	TrialOnly  bool        `json:"trial_only"` // stop after 2303: amounts, nothing booked
	ExpectCash string      `json:"expect_cash,omitempty"`
	MidStay    bool        `json:"mid_stay,omitempty"` // in the middle of the stay (mid_setl_flag 1)
}

// RefundStay takes back what stands, down to and including To: of settlements the last one, from fees down all.
type RefundStay struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	To        string   `json:"to,omitempty"` // settlement (default), discharge, fees, admission
}

// StayState is where a stay stands.
type StayState string

const (
	StayAdmitting  StayState = "admitting" // on the way, or stopped there
	StayIn         StayState = "in-hospital"
	StayDischarged StayState = "discharged"
	StaySettling   StayState = "settling" // 2304 under way or its outcome unknown
	StaySettled    StayState = "settled"
	StayRefunding  StayState = "refunding"
	StayCancelled  StayState = "cancelled" // the admission was taken back
	StayFailed     StayState = "failed"    // the admission was refused
)

// Stay is how a stay stands.
type Stay struct {
	ID           string           `json:"id"`
	RequestID    string           `json:"request_id,omitempty"` // of the admission
	State        StayState        `json:"state"`
	Unknown      bool             `json:"outcome_unknown"`
	NeedsPerson  bool             `json:"needs_person,omitempty"`
	Message      string           `json:"message,omitempty"`
	Visit        ident.Visit      `json:"mdtrt_id,omitempty"`
	SettlementID ident.Settlement `json:"setl_id,omitempty"`
	MsgID        ident.MsgID      `json:"msgid,omitempty"` // of the settlement: medins_setl_id
	Insutype     string           `json:"insutype,omitempty"`
	Charged      string           `json:"charged"` // sum of the rows at the centre
	Rows         int              `json:"rows"`
	Amounts      *Amounts         `json:"amounts,omitempty"`
	Funds        []FundPart       `json:"funds,omitempty"`
	SettledAt    string           `json:"settled_at,omitempty"`
	Refund       *Refund          `json:"refund,omitempty"` // the latest 2305
	Mid          []StaySettlement `json:"mid_settlements,omitempty"`
	Steps        []Step           `json:"steps"`
	Warnings     []check.Finding  `json:"warnings,omitempty"`
}

// StaySettlement is a settlement in the middle of a stay that stands. The members of Stay are those of the end.
type StaySettlement struct {
	ID           string           `json:"id,omitempty"` // see MidID
	MsgID        ident.MsgID      `json:"msgid"`
	RequestID    string           `json:"request_id,omitempty"`
	SettlementID ident.Settlement `json:"setl_id,omitempty"`
	SettledAt    string           `json:"settled_at,omitempty"`
	Amounts      *Amounts         `json:"amounts,omitempty"`
	Funds        []FundPart       `json:"funds,omitempty"`
}

// MidID names the n-th settlement of a stay, one in its middle, as something a bill may be asked for. No later
// settlement has the same name.
func MidID(stay string, n int) string { return stay + "M" + strconv.Itoa(n) }

// MidOf takes the name of a settlement in the middle of a stay apart; ok is false when it is none.
func MidOf(id string) (stay string, n int, ok bool) {
	at := strings.LastIndexByte(id, 'M')
	if at < 2 || id[0] != 'S' || len(id)-at > 7 { // the id of a stay ends with more digits
		return "", 0, false
	}
	n, err := strconv.Atoi(id[at+1:])
	if err != nil || n < 1 || MidID(id[:at], n) != id {
		return "", 0, false
	}
	return id[:at], n, true
}
