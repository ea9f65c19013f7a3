package voucher

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strconv"

	"yiqiao/gateway"
)

// number is a text as a JSON number where it is one.
func number(s string) any {
	if s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s)) {
		return json.Number(s)
	}
	return s
}

// mostFile bounds a layout file; mostArray one that travels as a list of numbers, which is four times as long.
const (
	mostFile  = 8 << 20
	mostArray = 1 << 20
)

// SendInvoiceFile implements gateway.InvoiceUploads. What a centre makes of a layout file in 9101 is not
// evidenced; it goes as it is, not packed, in the form the area's statement files have.
func (s Sender) SendInvoiceFile(ctx context.Context, c gateway.Caller, r gateway.SendInvoiceFile) (gateway.Transaction, error) {
	const op = "einvoice.file"
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: path, Rule: rule, Ref: r.ID}
	}
	b, err := s.Books.OwnedBill(ctx, c, r.ID)
	if err != nil {
		return gateway.Transaction{}, err
	}
	if b.Platform.Number.No == "" || b.Kind.Voucher() {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeState, Op: op, Ref: b.ID, Detail: string(b.State)}
	}
	content, err := base64.StdEncoding.DecodeString(r.Content)
	switch {
	case r.Format != gateway.InvoicePDF && r.Format != gateway.InvoiceOFD:
		return gateway.Transaction{}, bad("/format", "pdf, ofd")
	case err != nil || len(content) == 0:
		return gateway.Transaction{}, bad("/content", "base64")
	case len(content) > mostFile:
		return gateway.Transaction{}, bad("/content", "<= 8 MB")
	case r.Format == gateway.InvoicePDF && !isPDF(content):
		return gateway.Transaction{}, bad("/content", "不是完整的 PDF 文件")
	case r.Format == gateway.InvoiceOFD && !isOFD(content):
		return gateway.Transaction{}, bad("/content", "不是完整的 OFD 文件")
	}
	inst := s.Institutions[b.Institution]
	if inst == nil || inst.Region == nil {
		return gateway.Transaction{}, &gateway.Error{Code: gateway.CodeInstitution, Op: op, Ref: b.ID}
	}
	in, ok := asMember(content, inst.Region.Statement.Detail.Bytes)
	if !ok {
		return gateway.Transaction{}, bad("/content", "<= 1 MB")
	}
	name := b.Platform.Number.Batch + "_" + b.Platform.Number.No + "." + r.Format
	return s.Desk.Transact(ctx, c, gateway.Transact{RequestID: r.RequestID, Infno: file, Institution: b.Institution, Operator: r.Operator,
		Input: map[string]any{"fsUploadIn": map[string]any{"in": in, "filename": name, "fixmedins_code": string(b.Institution)}}})
}

// isPDF reports whether a file begins and ends as a PDF does.
func isPDF(b []byte) bool {
	return bytes.HasPrefix(b, []byte("%PDF-")) && bytes.Contains(b[max(0, len(b)-1024):], []byte("%%EOF"))
}

// isOFD reports whether a file is an archive with the root document of an OFD.
func isOFD(b []byte) bool {
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return false
	}
	for _, f := range z.File {
		if f.Name == "OFD.xml" || f.Name == "/OFD.xml" {
			return true
		}
	}
	return false
}

// asMember writes a file as the area wants it inside 9101.
func asMember(b []byte, form string) (any, bool) {
	if form == "" || form == gateway.BytesBase64 {
		return base64.StdEncoding.EncodeToString(b), true
	}
	if len(b) > mostArray {
		return nil, false
	}
	list := make([]any, len(b))
	for i, c := range b {
		n := int(c)
		if form == gateway.BytesInt8 {
			n = int(int8(c))
		}
		list[i] = json.Number(strconv.Itoa(n))
	}
	return list, true
}
