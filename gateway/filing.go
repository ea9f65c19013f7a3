package gateway

import (
	"context"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
)

// Registry is what a HIS adapter may ask about filings at the centre: referrals, chronic diseases, fixed
// institutions, accidents. The rules are those of Desk: what takes a RequestID is idempotent, errors are *Error.
type Registry interface {
	// OpenFiling finds the person and files (1101, then 2501, 2503, 2505 or 2507).
	OpenFiling(ctx context.Context, c Caller, r OpenFiling) (Filing, error)
	// WithdrawFiling takes it back (2502, 2504, 2506, 2508).
	WithdrawFiling(ctx context.Context, c Caller, r WithdrawFiling) (Filing, error)
	// Filing tells where a filing stands.
	Filing(ctx context.Context, c Caller, id string) (Filing, error)
}

// OpenFiling is a filing.
type OpenFiling struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Credential  Credential        `json:"credential"`
	Insutype    string            `json:"insutype,omitempty"` // default: the person's only or first insured type
	Kind        FilingKind        `json:"kind"`
	// Details are the members of the transaction's node by their own names, without those the gateway fills:
	// psn_no, insutype, insu_optins.
	Details map[string]any `json:"details"`
}

// FilingKind is what is filed.
type FilingKind string

const (
	FilingReferral FilingKind = "referral" // 2501, taken back by 2502
	FilingChronic  FilingKind = "chronic"  // 2503, 2504
	FilingFixed    FilingKind = "fixed"    // 2505, 2506
	FilingAccident FilingKind = "accident" // 2507, 2508
)

// WithdrawFiling takes a filing back.
type WithdrawFiling struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Memo      string   `json:"memo"` // why; no personal data
	// Number is trt_dcla_detl_sn. It is needed only when the gateway does not know it: the answer was lost and the
	// filing was found by asking, which does not tell the number. Where it is known, another one is refused.
	Number string `json:"number,omitempty"`
}

// FilingState is where a filing stands.
type FilingState string

const (
	FilingOpening     FilingState = "opening" // under way, stopped on the way, or its outcome unknown
	FilingFiled       FilingState = "filed"
	FilingWithdrawing FilingState = "withdrawing"
	FilingWithdrawn   FilingState = "withdrawn"
	FilingFailed      FilingState = "failed" // it was refused
)

// Filing is how a filing stands.
type Filing struct {
	ID          string          `json:"id"`
	RequestID   string          `json:"request_id,omitempty"` // that opened it
	Kind        FilingKind      `json:"kind"`
	State       FilingState     `json:"state"`
	Unknown     bool            `json:"outcome_unknown"`
	NeedsPerson bool            `json:"needs_person,omitempty"`
	Message     string          `json:"message,omitempty"` // the centre's own words when refused
	Number      string          `json:"number,omitempty"`  // trt_dcla_detl_sn; see WithdrawFiling
	MsgID       ident.MsgID     `json:"msgid,omitempty"`   // of the filing
	Insutype    string          `json:"insutype,omitempty"`
	Steps       []Step          `json:"steps"`
	Warnings    []check.Finding `json:"warnings,omitempty"`
}
