// Package examples holds messages a reader can send and the demo does send.
package examples

import _ "embed"

// OutpatientBill is the body of POST /api/v1/settlements for the standard bill of
// docs/simulated-policy.md, section 7.
//
//go:embed outpatient-bill.json
var OutpatientBill []byte

// PharmacySale is the body of POST /api/v1/pharmacy-sales for a sale of two drugs.
//
//go:embed pharmacy-sale.json
var PharmacySale []byte

// Filing is the body of POST /api/v1/filings for a chronic disease.
//
//go:embed filing.json
var Filing []byte
