// Package check tells whether an input or output says what the catalogue says it should.
//
// JSON Schemas (draft-07) are generated from the catalogue into schema/ and checked in; they are
// validated with gojsonschema, compiled on first use and shared. Requests are read strictly,
// replies loosely (null, undeclared fields and numbers as text are normal there). Amount
// identities A to K of docs/interface/invariants.md are in Amounts.
package check

import (
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// Severity of a finding: an Error refuses a request, a Warning travels with it.
type Severity string

const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Finding is one thing wrong with a message. It never carries the offending value.
type Finding struct {
	Code     string   `json:"code"` // permanent, listed in docs/errors.md
	Path     string   `json:"path"` // JSON Pointer, from the message's root: /input/data/psn_no
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"` // what the table says, e.g. "长度<=30", "16,2"
	ZH       string   `json:"zh"`
	EN       string   `json:"en"`
}

// Options are the facts that differ by region.
type Options struct {
	// Relax lists fields that are not required there: infno -> "data.setl_id".
	Relax map[ident.Infno][]string
	// Codes lists further dictionary values that are accepted: dictionary -> codes.
	Codes map[string][]string
	// FundIncludesAccount: fund_pay_sumamt already contains acct_pay (identity E).
	FundIncludesAccount bool
}

// Checker is immutable after New and safe for concurrent use.
type Checker struct{}

// New prepares a checker; schemas are compiled when first needed.
func New(c *catalog.Catalog, o Options) (*Checker, error) { return nil, nil }

// Request checks a decoded input object against the table of infno. A transaction that is unknown
// or not described gives exactly one finding (infno-unknown, infno-not-described).
func (c *Checker) Request(n ident.Infno, input any) []Finding { return nil }

// Reply checks a decoded output object loosely, with amounts (see Amounts) included.
func (c *Checker) Reply(n ident.Infno, output any) []Finding { return nil }

// Amounts checks the identities of invariants.md on every setlinfo of an output: A, B, C or E, D,
// J for a settlement, K (all amounts negative) for an undo, and per row of a fee result.
func (c *Checker) Amounts(n ident.Infno, output any) []Finding { return nil }
