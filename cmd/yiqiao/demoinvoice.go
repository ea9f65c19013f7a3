package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"io"
	"net/http"
	"strings"

	"yiqiao/gateway"
)

// einvoice issues the bill of a settlement, as a cashier's screen does, and shows it.
func (st *stage) einvoice(ctx context.Context, tag, settlement string) (gateway.EInvoice, error) {
	var e gateway.EInvoice
	body := gateway.IssueInvoice{RequestID: "DEMO-EINV-" + tag, Settlement: settlement, Desk: "1号窗",
		Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}, Payer: gateway.PayerAsked{Phone: "13900000000"}}
	if err := st.post(ctx, "/api/v1/einvoices", body, &e); err != nil {
		return e, err
	}
	fmt.Fprintf(st.out, "\n  POST /api/v1/einvoices              → %s (%s)\n", e.ID, e.State)
	printInvoice(st.out, e)
	return e, nil
}

// invoice asks how a bill stands.
func (st *stage) invoice(ctx context.Context, id string) (e gateway.EInvoice, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+st.gw.addr()+"/api/v1/einvoices/"+id, nil)
	if err != nil {
		return e, err
	}
	req.Header.Set("Authorization", "Bearer "+st.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return e, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return e, fmt.Errorf("GET einvoice: HTTP %d", resp.StatusCode)
	}
	return e, json.NewDecoder(resp.Body).Decode(&e)
}

// pageShows opens the patient's page and reports whether a word stands on it.
func pageShows(ctx context.Context, url, word string) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode == http.StatusOK && bytes.Contains(b, []byte(word)), err
}

// printInvoice shows a bill: state, number, link.
func printInvoice(w io.Writer, e gateway.EInvoice) {
	fmt.Fprintf(w, "    %s  票据代码 %s  票据号码 %s  校验码 %s  金额 %s\n", invoiceZH(e.State), e.Number.Batch, e.Number.No, e.Random, e.Total)
	if e.Red.No != "" {
		fmt.Fprintf(w, "    红字票据代码 %s  红字票据号码 %s\n", e.Red.Batch, e.Red.No)
	}
	if e.NetURL != "" {
		fmt.Fprintf(w, "    查看  %s\n", e.NetURL)
	}
	if e.Message != "" {
		fmt.Fprintf(w, "    平台提示  %s\n", e.Message)
	}
}

// printQR draws the QR code of a bill, two rows of it in one line.
func printQR(w io.Writer, e gateway.EInvoice) error {
	raw, err := base64.StdEncoding.DecodeString(e.QR)
	if err != nil {
		return err
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("二维码 / QR code: %w", err)
	}
	for _, line := range qrLines(img) {
		fmt.Fprintf(w, "    %s\n", line)
	}
	return nil
}

// qrLines finds the modules of a QR code in its picture: the first dark run along the upper edge of
// the code is the finder pattern, which is seven modules wide.
func qrLines(img image.Image) []string {
	b := img.Bounds()
	dark := func(x, y int) bool {
		if !(image.Point{X: x, Y: y}).In(b) {
			return false
		}
		r, _, _, _ := img.At(x, y).RGBA()
		return r < 0x8000
	}
	left, top := -1, -1
	for y := b.Min.Y; y < b.Max.Y && top < 0; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			if dark(x, y) {
				left, top = x, y
				break
			}
		}
	}
	if top < 0 {
		return nil
	}
	run := 0
	for dark(left+run, top) {
		run++
	}
	size := max(run/7, 1)
	n := 0
	for x := left; x < b.Max.X; x++ {
		if dark(x, top) {
			n = (x - left + size) / size
		}
	}
	at := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < n && y < n && dark(left+x*size+size/2, top+y*size+size/2)
	}
	var out []string
	for y := -1; y <= n; y += 2 { // light on dark, as terminals are, with a quiet edge
		var s strings.Builder
		for x := -1; x <= n; x++ {
			switch upper, lower := at(x, y), at(x, y+1); {
			case upper && lower:
				s.WriteByte(' ')
			case upper:
				s.WriteRune('▄')
			case lower:
				s.WriteRune('▀')
			default:
				s.WriteRune('█')
			}
		}
		out = append(out, s.String())
	}
	return out
}

// invoiceZH names a state.
func invoiceZH(s gateway.InvoiceState) string {
	words := map[gateway.InvoiceState]string{
		gateway.InvoiceDrafted: "待开具", gateway.InvoiceIssuing: "开具中", gateway.InvoiceIssueOpen: "开具结果待核实", gateway.InvoiceRefused: "平台未受理",
		gateway.InvoiceIssued: "已开具", gateway.InvoiceTurning: "换开中", gateway.InvoicePaper: "已换开纸质", gateway.InvoiceVoiding: "纸质作废中",
		gateway.InvoiceReversing: "冲红中", gateway.InvoiceRedOpen: "冲红结果待核实", gateway.InvoiceReversed: "已冲红", gateway.InvoiceDropped: "未开具已取消",
		gateway.InvoiceParked: "需人工处理",
	}
	if w, ok := words[s]; ok {
		return w
	}
	return string(s)
}
