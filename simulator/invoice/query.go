package invoice

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"yiqiao/schemas/money"
)

func (p *Platform) about(b *Bill) object {
	o := object{"busNo": b.BusNo, "billBatchCode": b.Batch, "billNo": b.No, "random": b.Random, "createTime": mark(b.Created),
		"state": "1", "isScarlet": flag(b.Red), "isPrtPaper": flag(b.PaperNo != ""), "totalAmt": json.Number(b.Total.String()),
		"pictureUrl": p.pageURL(b), "pictureNetUrl": p.pageURL(b)}
	if b.PaperNo != "" {
		o["pBillBatchCode"], o["pBillNo"] = b.PaperBatch, b.PaperNo
	}
	if b.Red {
		o["eScarletBillBatchCode"], o["eScarletBillNo"], o["eScarletRandom"] = b.RedBatch, b.RedNo, b.RedRandom
	}
	return o
}

func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func (p *Platform) state(in object) (any, error) {
	b := p.bills[text(in, "billBatchCode")+"/"+text(in, "billNo")]
	if b == nil {
		return nil, refuse(errNoBill, "票据不存在")
	}
	return p.picturing(b), nil
}

func (p *Platform) byBusNo(in object) (any, error) {
	b := p.byBus[text(in, "busNo")]
	if b == nil {
		return nil, refuse(errNoBill, "业务流水号 %s 未开票", text(in, "busNo"))
	}
	return p.picturing(b), nil
}

// picturing is about with the QR code, which takes a while to draw.
func (p *Platform) picturing(b *Bill) object {
	o := p.about(b)
	o["billQRCode"] = p.qrText(b)
	return o
}

func (p *Platform) posted(in object) (any, error) {
	b := p.bills[text(in, "billBatchCode")+"/"+text(in, "billNo")]
	if b == nil || b.Random != text(in, "random") {
		return nil, refuse(errNoBill, "票据不存在")
	}
	return object{"accountStatus": flag(b.Posted)}, nil
}

// between reads the days of a question.
func between(in object) (from, to time.Time, err error) {
	from, err = stamp(text(in, "busBgnDate"))
	if err == nil {
		to, err = stamp(text(in, "busEndDate"))
	}
	return from, to, err
}

func (p *Platform) list(in object) (any, error) {
	from, to, err := between(in)
	if err != nil {
		return nil, err
	}
	page, err1 := strconv.Atoi(text(in, "pageNo"))
	size, err2 := strconv.Atoi(text(in, "pageSize"))
	if err1 != nil || err2 != nil || page < 1 || size < 1 || size > 500 {
		return nil, refuse(errField, "pageNo 或 pageSize 不正确")
	}
	rows := []object{}
	seen := 0
	for _, b := range p.order {
		if b.Voucher || b.Place != text(in, "placeCode") || b.Business.Before(from) || b.Business.After(to) {
			continue
		}
		if seen++; seen > (page-1)*size && seen <= page*size {
			o := p.about(b)
			o["busDateTime"], o["placeCode"], o["billName"] = mark(b.Business), b.Place, "医疗收费电子票据"
			rows = append(rows, o)
		}
	}
	return object{"total": strconv.Itoa(seen), "pageNo": strconv.Itoa(page), "billList": rows}, nil
}

// totals counts the bills of a business day, or the reversals made on that day.
func (p *Platform) totals(in object, reds bool) (any, error) {
	from, to, err := between(in)
	if err != nil {
		return nil, err
	}
	n, sum := 0, money.Fen(0)
	for _, b := range p.order {
		at := b.Business
		if reds {
			at = b.RedAt
		}
		if b.Voucher || b.Place != text(in, "placeCode") || reds && !b.Red || at.Before(from) || at.After(to) {
			continue
		}
		n++
		sum += b.Total
	}
	return object{"copyNum": strconv.Itoa(n), "allTotalAmt": json.Number(sum.String())}, nil
}

func (p *Platform) notify(in object) (any, error) {
	b := p.bills[text(in, "billBatchCode")+"/"+text(in, "billNo")]
	if b == nil {
		return nil, refuse(errNoBill, "票据不存在")
	}
	list := rows(in, "noticeList")
	for _, row := range list {
		kind, value := text(row, "noticeType"), text(row, "noticeValue")
		if kind != "1201" && kind != "1202" || value == "" || kind == "1202" && !strings.Contains(value, "@") {
			return nil, refuse(errField, "推送方式不正确")
		}
	}
	if len(list) == 0 {
		return nil, refuse(errField, "noticeList 不能为空")
	}
	for _, row := range list {
		p.notices = append(p.notices, Notice{b.Batch, b.No, text(row, "noticeType"), text(row, "noticeValue")})
	}
	return "推送成功", nil
}
