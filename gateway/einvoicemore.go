package gateway

import (
	"context"

	"yiqiao/schemas/ident"
)

// InvoicePapers is what a desk that knows of electronic invoices may know of the papers they are
// exchanged for. All errors are *Error.
type InvoicePapers interface {
	// Papers tells the batches of an issuing point that can be used and the next free number. It asks
	// the platform and changes nothing.
	Papers(ctx context.Context, c Caller, q PapersAsked) (PaperStock, error)
	// VoidPapers voids unused papers, from the next one on. It is idempotent on (Caller.System,
	// RequestID): after CodeInvoiceUnknown the same request finds out and, where nothing happened, goes on.
	VoidPapers(ctx context.Context, c Caller, r VoidPapers) (PaperStock, error)
	// PaperPrint gives what is printed on the paper of a bill.
	PaperPrint(ctx context.Context, c Caller, id string) (PaperPrint, error)
}

// PapersAsked names an issuing point by the desk at it.
type PapersAsked struct {
	Institution ident.Institution
	Desk        string
	Batch       string // "": the platform chooses
}

// PaperStock is what is left of the papers of an issuing point.
type PaperStock struct {
	Place   string      `json:"place"`
	Batches []string    `json:"batches"`
	Next    PaperNumber `json:"next"`
}

// VoidPapers voids the papers From to To of a batch, both included. From must be the platform's next.
type VoidPapers struct {
	RequestID   string            `json:"request_id"`
	Institution ident.Institution `json:"institution,omitempty"`
	Operator    Operator          `json:"operator"`
	Desk        string            `json:"desk,omitempty"`
	Batch       string            `json:"batch"`
	From        string            `json:"from"`
	To          string            `json:"to"`
	Reason      string            `json:"reason"`
}

// PaperPrint is what is printed on a paper: the platform's own members.
type PaperPrint struct {
	ID    string      `json:"id"`
	Paper PaperNumber `json:"paper"`
	Data  any         `json:"data"`
}

// InvoiceUploads brings electronic invoices to the insurance as documents of their own. No field list of
// these transactions is evidenced: which members travel is said by a table of the operator's (an overlay of
// the catalogue), and without one the answer is CodeInfnoNotDescribed.
type InvoiceUploads interface {
	// InvoiceVoucher gives the data set of the electronic settlement voucher (医保电子结算凭证) of an
	// issued bill, or with red of its reversal, amounts below zero.
	InvoiceVoucher(ctx context.Context, c Caller, id string, red bool) (InvoiceVoucherSet, error)
	// SendVoucher queues it as 4901, or with Again as 4905, in the layout of the overlay.
	SendVoucher(ctx context.Context, c Caller, r SendVoucher) (Transaction, error)
	// SendInvoiceFile uploads the layout file of a bill (PDF or OFD) by 9101.
	SendInvoiceFile(ctx context.Context, c Caller, r SendInvoiceFile) (Transaction, error)
}

// InvoiceVoucherSet is the data set, by group; every member is a text, as the groups of
// docs/interface/einvoice.md name it, in small letters. What the gateway does not know is not there.
type InvoiceVoucherSet struct {
	Voucher   map[string]string   `json:"voucher"`
	Visit     map[string]string   `json:"visit"`
	Money     map[string]string   `json:"money"`
	Diagnoses []map[string]string `json:"diagnosis"`
	Fees      []map[string]string `json:"fee"`
}

// SendVoucher asks for the upload of a voucher.
type SendVoucher struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Red       bool     `json:"red,omitempty"`
	Again     bool     `json:"again,omitempty"`
	FileURL   string   `json:"file_url,omitempty"` // where the layout file can be fetched
}

// Formats of a layout file.
const (
	InvoicePDF = "pdf"
	InvoiceOFD = "ofd"
)

// SendInvoiceFile hands in a layout file.
type SendInvoiceFile struct {
	RequestID string   `json:"request_id"`
	ID        string   `json:"-"`
	Operator  Operator `json:"operator"`
	Format    string   `json:"format"`  // pdf, ofd
	Content   string   `json:"content"` // base64
}
