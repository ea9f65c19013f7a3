package recon

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Bounds of a file we send: the message it travels in is bounded too.
const (
	mostBase64 = 5 << 20
	mostArray  = 900_000
)

// details compares one set by rows.
func (w *work) details(ctx context.Context, set *Set) error {
	var ours []*row
	sum := Amounts{}
	cash := money.Fen(0)
	for _, r := range w.book.counted(w.day, w.form.NoRefunds) {
		if w.agency(r) == set.Agency && r.dim("clr_type") == set.ClrType {
			ours = append(ours, r)
			sum = sum.plus(w.fixed(r.amounts))
			cash += w.cashOf(r)
		}
	}
	theirs, err := w.exchange(ctx, set, ours, sum, cash)
	if words, refused := refusalOf(err); refused || errors.Is(err, errFile) {
		if !refused {
			words = err.Error()
		}
		set.Leg.Ours = sum
		w.report.Sets = append(w.report.Sets, *set)
		w.report.Unexplained = append(w.report.Unexplained, Unexplained{Why: "明细对账未能完成: " + words, Agency: set.Agency, ClrType: set.ClrType})
		return nil
	}
	if err != nil {
		return err
	}
	return w.compare(ctx, set, ours, theirs)
}

// cashOf is what cash_payamt of 3202 adds up.
func (w *work) cashOf(r *row) money.Fen {
	switch w.form.CashFrom {
	case "psn_cash_pay":
		return r.cash
	case "psn_part_amt":
		return r.personal
	}
	return w.fixed(r.amounts).Account
}

// errFile: a file could not be made, sent or read. What became of the comparison is not known.
var errFile = errors.New("文件")

// exchange sends the rows and fetches what the centre makes of them.
func (w *work) exchange(ctx context.Context, set *Set, ours []*row, sum Amounts, cash money.Fen) ([]resultRow, error) {
	name := fmt.Sprintf("stmt_%s_%s_%s", strings.ReplaceAll(w.day, "-", ""), set.Agency, set.ClrType)
	packed, err := pack(name+".txt", w.r.opt.Clock.Now(), w.detailText(ours))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	bytes, err := fileValue(packed, w.form.Detail.Bytes)
	if err != nil {
		return nil, err
	}
	up, err := w.send(ctx, infnoUpload, object{"fsUploadIn": object{"in": bytes, "filename": name + ".zip", "fixmedins_code": string(w.inst.Code)}})
	if err != nil {
		return nil, err
	}
	if set.Sent = text(findRow(up.Output, "file_qury_no")["file_qury_no"]); set.Sent == "" {
		return nil, fmt.Errorf("%w: 9101 应答中没有 file_qury_no", errFile)
	}
	in := w.common(set.Agency, set.ClrType, sum)
	in["file_qury_no"], in["cash_payamt"] = set.Sent, money.Number(cash)
	t, err := w.send(ctx, infnoDetails, object{"data": w.renamed(in)})
	if err != nil {
		return nil, err
	}
	info := findRow(t.Output, "file_qury_no")
	set.Got = text(info["file_qury_no"])
	if set.Got == "" {
		return nil, fmt.Errorf("%w: 3202 应答中没有 file_qury_no", errFile)
	}
	down, err := w.send(ctx, infnoDownload, object{"fsDownloadIn": object{"file_qury_no": set.Got, "filename": text(info["filename"]), "fixmedins_code": string(w.inst.Code)}})
	if err != nil {
		return nil, err
	}
	body, err := base64.StdEncoding.DecodeString(text(findRow(down.Output, gateway.FileBody)[gateway.FileBody]))
	if err != nil || len(body) == 0 {
		return nil, fmt.Errorf("%w: 9102 没有给出文件", errFile)
	}
	plain, err := unpack(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	rows, columns, err := readResult(plain, w.form.Result, w.meaning)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFile, err)
	}
	set.Columns, set.Rows = columns, len(rows)
	return rows, nil
}

// detailText writes our rows in the layout of the area.
func (w *work) detailText(ours []*row) string {
	form := w.form.Detail
	end := "\n"
	if form.CRLF {
		end = "\r\n"
	}
	var b strings.Builder
	for i, r := range ours {
		if i > 0 {
			b.WriteString(end)
		}
		for c, name := range form.Columns {
			if c > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(orElse(w.cell(r, name), form.Null))
		}
		if form.Trailing {
			b.WriteByte('\t')
		}
	}
	return b.String()
}

func (w *work) cell(r *row, name string) string {
	if v, ok := w.form.Detail.Fixed[name]; ok {
		return v
	}
	switch name {
	case "setl_id":
		return plainCell(r.setl)
	case "mdtrt_id":
		return plainCell(r.visit)
	case "psn_no":
		return plainCell(r.person)
	case "medfee_sumamt":
		return r.amounts.Total.String()
	case "fund_pay_sumamt":
		return r.amounts.Fund.String()
	case "acct_pay":
		return r.amounts.Account.String()
	case "refd_setl_flag":
		if r.kind == undoes {
			return "1"
		}
		return "0"
	}
	return ""
}

// plainCell keeps separators out of a cell.
func plainCell(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '\t' || c == '\n' || c == '\r' {
			return -1
		}
		return c
	}, s)
}

// pack makes a zip of one text file.
func pack(name string, now time.Time, plain string) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: now.In(gateway.China)})
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(f, plain); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// fileValue is a file as the member in of 9101.
func fileValue(b []byte, form string) (any, error) {
	if form == gateway.BytesBase64 {
		if len(b) > mostBase64 {
			return nil, fmt.Errorf("%w: 明细文件 %d 字节, 超过上限 %d", errFile, len(b), mostBase64)
		}
		return base64.StdEncoding.EncodeToString(b), nil
	}
	if len(b) > mostArray {
		return nil, fmt.Errorf("%w: 明细文件 %d 字节, 超过上限 %d", errFile, len(b), mostArray)
	}
	list := make([]any, len(b))
	for i, c := range b {
		n := int(c)
		if form == gateway.BytesInt8 {
			n = int(int8(c))
		}
		list[i] = json.Number(strconv.Itoa(n))
	}
	return list, nil
}

// ask fetches the centre's own view of one settlement (5203): amounts and insurance. It is only
// asked where the result file has no amounts, or to tell the insurance. of is our row, when there is
// one; of a person we know nothing of we assume that he is insured here.
func (w *work) ask(ctx context.Context, c *resultRow, of *row) (Amounts, string, bool) {
	if c.setl == "" || c.visit == "" || c.person == "" || w.calls >= mostCalls {
		return Amounts{}, "", false
	}
	area := orElse(w.book.areas[ident.MsgID(c.msgid)], w.inst.Area)
	if of != nil {
		area = orElse(of.area, area)
	}
	t, err := w.sendFor(ctx, infnoAsk, area, object{"data": object{"psn_no": c.person, "setl_id": c.setl, "mdtrt_id": c.visit}})
	if err != nil {
		return Amounts{}, "", false
	}
	got := row{kind: settles, rec: gateway.Record{ID: ident.MsgID(c.msgid)}}
	if !got.read(nil, t.Output) || got.setl != c.setl {
		return Amounts{}, "", false
	}
	return got.amounts, got.dim("insutype"), true
}

// mostCalls bounds the questions of one run.
const mostCalls = 500
