package bosssoft

import (
	"context"
	"strconv"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// pageSize of the day's list when it is searched for a business number.
const pageSize = 200

// Find implements gateway.InvoicePlatform: by number where there is one, else by business number, or
// where the platform has no such method in the list of the day it was sent.
func (p *Platform) Find(ctx context.Context, q gateway.InvoiceQuery) gateway.InvoiceAnswer[gateway.PlatformBill] {
	switch {
	case q.Number.No != "" && !q.Kind.Voucher():
		return p.found(p.call(ctx, "getEBillStatesByBillInfo", obj{{"billBatchCode", q.Number.Batch}, {"billNo", q.Number.No}}), q)
	case p.o.ByBusNo == "-":
		return p.search(ctx, q)
	}
	a := p.call(ctx, p.o.ByBusNo, obj{{"busNo", q.BusNo}, {"busType", string(q.Kind)}, {"placeCode", q.Place}})
	if a.says(p.o.Words.NoMethod) {
		return p.search(ctx, q)
	}
	return p.found(a, q)
}

// found reads the state of a bill. "There is none" is an answer, not a refusal.
func (p *Platform) found(a answer, q gateway.InvoiceQuery) gateway.InvoiceAnswer[gateway.PlatformBill] {
	v := as[gateway.PlatformBill](a)
	if a.says(p.o.Words.NotFound) {
		v.Outcome, v.Cause, v.Message = gateway.OutcomeDone, gateway.CauseNone, ""
		return v
	}
	if v.Outcome != gateway.OutcomeDone {
		return v
	}
	b, err := bill(a.fields)
	switch {
	case err != "":
		return mismatch[gateway.PlatformBill](a, err)
	case b.BusNo != "" && q.BusNo != "" && b.BusNo != q.BusNo, q.Number.No != "" && b.Number != q.Number:
		return mismatch[gateway.PlatformBill](a, "another bill")
	}
	if b.BusNo == "" {
		b.BusNo = q.BusNo
	}
	b.Kind = q.Kind
	v.Value = b
	return v
}

// bill reads one bill; the text says what can not be.
func bill(o map[string]any) (b gateway.PlatformBill, wrong string) {
	t := func(name string) string { return textOf(o[name]) }
	b = gateway.PlatformBill{Known: true, BusNo: t("busNo"), Number: gateway.InvoiceNumber{Batch: t("billBatchCode"), No: t("billNo")},
		Random: t("random"), MadeAt: t("createTime"), URL: t("pictureUrl"), NetURL: t("pictureNetUrl"),
		Red: gateway.InvoiceNumber{Batch: t("eScarletBillBatchCode"), No: t("eScarletBillNo")}, RedCode: t("eScarletRandom")}
	if b.Number.Batch == "" || b.Number.No == "" {
		return b, "no bill number"
	}
	switch t("state") {
	case "1":
	case "2":
		b.Void = true
	default:
		return b, "state"
	}
	switch t("isScarlet") {
	case "0":
	case "1":
		b.Reversed = true
	default:
		return b, "isScarlet"
	}
	if t("isPrtPaper") == "1" || t("pBillNo") != "" {
		b.Paper = gateway.PaperNumber{Batch: t("pBillBatchCode"), No: t("pBillNo")}
	}
	if total := t("totalAmt"); total != "" {
		f, err := money.ParseReply(total)
		if err != nil {
			return b, "totalAmt"
		}
		b.Total = f
	}
	var err error
	if b.QR, err = picture(t("billQRCode")); err != nil {
		return b, "billQRCode"
	}
	return b, ""
}

// search looks for a business number in the list of a day. Vouchers are on no list.
func (p *Platform) search(ctx context.Context, q gateway.InvoiceQuery) gateway.InvoiceAnswer[gateway.PlatformBill] {
	if q.Kind.Voucher() {
		return unsupported[gateway.PlatformBill]("no query of vouchers")
	}
	for page := 1; ; page++ {
		a := p.Bills(ctx, q.Place, q.At, page, pageSize)
		v := gateway.InvoiceAnswer[gateway.PlatformBill]{Outcome: a.Outcome, Cause: a.Cause, Code: a.Code, Message: a.Message, Detail: a.Detail}
		if a.Outcome != gateway.OutcomeDone {
			return v
		}
		for _, b := range a.Value {
			if b.BusNo == q.BusNo {
				b.Kind = q.Kind
				v.Value = b
				return v
			}
		}
		if len(a.Value) < pageSize {
			return v
		}
	}
}

// Bills implements gateway.InvoicePlatform.
func (p *Platform) Bills(ctx context.Context, place string, day time.Time, page, size int) gateway.InvoiceAnswer[[]gateway.PlatformBill] {
	from, to := days(day)
	a := p.call(ctx, "getBillByBusDate", obj{{"busBgnDate", from}, {"busEndDate", to}, {"placeCode", place},
		{"pageNo", strconv.Itoa(page)}, {"pageSize", strconv.Itoa(size)}})
	v := as[[]gateway.PlatformBill](a)
	v.Raw = nil
	if v.Outcome != gateway.OutcomeDone {
		return v
	}
	list, isList := a.fields["billList"].([]any)
	if !isList {
		return mismatch[[]gateway.PlatformBill](a, "billList")
	}
	for _, x := range list {
		o, _ := x.(map[string]any)
		b, wrong := bill(o)
		if wrong != "" || b.BusNo == "" {
			return mismatch[[]gateway.PlatformBill](a, "billList "+wrong)
		}
		v.Value = append(v.Value, b)
	}
	return v
}

// Totals implements gateway.InvoicePlatform.
func (p *Platform) Totals(ctx context.Context, place string, day time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	return p.totals(ctx, "checkTotalData", place, day)
}

// RedTotals implements gateway.InvoicePlatform.
func (p *Platform) RedTotals(ctx context.Context, place string, day time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	return p.totals(ctx, "checkWriteOffData", place, day)
}

func (p *Platform) totals(ctx context.Context, method, place string, day time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	from, to := days(day)
	a := p.call(ctx, method, obj{{"busBgnDate", from}, {"busEndDate", to}, {"placeCode", place}})
	v := as[gateway.InvoiceTotals](a)
	v.Raw = nil
	if v.Outcome != gateway.OutcomeDone {
		return v
	}
	n, err1 := strconv.Atoi(a.text("copyNum"))
	sum, err2 := money.ParseReply(a.text("allTotalAmt"))
	if err1 != nil || err2 != nil || n < 0 {
		return mismatch[gateway.InvoiceTotals](a, "copyNum, allTotalAmt")
	}
	v.Value = gateway.InvoiceTotals{Count: n, Amount: sum}
	return v
}

// NextPaper implements gateway.InvoicePlatform.
func (p *Platform) NextPaper(ctx context.Context, place, batch string) gateway.InvoiceAnswer[gateway.PaperNumber] {
	a := p.call(ctx, "getPaperBillNo", obj{{"placeCode", place}, {"pBillBatchCode", batch}})
	v := as[gateway.PaperNumber](a)
	if v.Outcome == gateway.OutcomeDone {
		v.Value = gateway.PaperNumber{Batch: a.text("pBillBatchCode"), No: a.text("pBillNo")}
		if v.Value.No == "" || v.Value.Batch == "" {
			return mismatch[gateway.PaperNumber](a, "pBillNo")
		}
	}
	return v
}

// TurnPaper implements gateway.InvoicePlatform.
func (p *Platform) TurnPaper(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	method := "turnPaper"
	if o.Again {
		method = "reTurnPaper"
	}
	return as[struct{}](p.call(ctx, method, obj{{"billBatchCode", o.Bill.Batch}, {"billNo", o.Bill.No}, {"pBillBatchCode", o.Paper.Batch},
		{"pBillNo", o.Paper.No}, {"busDateTime", stamp(o.At)}, {"placeCode", o.Place}, {"operator", o.Operator}}))
}

// VoidPaper implements gateway.InvoicePlatform.
func (p *Platform) VoidPaper(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return as[struct{}](p.call(ctx, "invalidPaper", obj{{"pBillBatchCode", o.Paper.Batch}, {"pBillNo", o.Paper.No}, {"placeCode", o.Place},
		{"author", o.Operator}, {"reason", o.Reason}, {"busDateTime", stamp(o.At)}}))
}

// VoidBlank implements gateway.InvoicePlatform.
func (p *Platform) VoidBlank(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return as[struct{}](p.call(ctx, "invalidBlankBillNo", obj{{"pBillBatchCode", o.Paper.Batch}, {"pBillNoStart", o.Paper.No},
		{"pBillNoEnd", o.LastNo}, {"placeCode", o.Place}, {"author", o.Operator}, {"reason", o.Reason}, {"busDateTime", stamp(o.At)}}))
}

// PaperBatches implements gateway.InvoicePlatform.
func (p *Platform) PaperBatches(ctx context.Context, place string) gateway.InvoiceAnswer[[]string] {
	a := p.call(ctx, "getValidBillBatchCode", obj{{"placeCode", place}})
	v := as[[]string](a)
	if v.Outcome == gateway.OutcomeDone {
		list, _ := a.fields["billBatchList"].([]any)
		for _, x := range list {
			o, _ := x.(map[string]any)
			if code := textOf(o["pBillBatchCode"]); code != "" {
				v.Value = append(v.Value, code)
			}
		}
	}
	return v
}

// PaperData implements gateway.InvoicePlatform.
func (p *Platform) PaperData(ctx context.Context, o gateway.PaperOrder) gateway.InvoiceAnswer[[]byte] {
	a := p.call(ctx, "printPaperBill", obj{{"pBillBatchCode", o.Paper.Batch}, {"pBillNo", o.Paper.No}, {"placeCode", o.Place}})
	v := as[[]byte](a)
	if v.Outcome == gateway.OutcomeDone {
		v.Value = a.message
	}
	return v
}
