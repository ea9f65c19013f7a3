package invoice

import (
	"fmt"
	"strconv"
	"strings"
)

func (p *Platform) batch(in object) (*paperBatch, error) {
	code := text(in, "pBillBatchCode")
	if code == "" {
		code = "0601"
	}
	b := p.paper[text(in, "placeCode")+"/"+code]
	if b == nil {
		return nil, refuse(errPaper, "纸质票据代码 %s 不可用", code)
	}
	return b, nil
}

func paperNo(n int) string { return fmt.Sprintf("%08d", n) }

func (p *Platform) nextPaper(in object) (any, error) {
	b, err := p.batch(in)
	if err != nil {
		return nil, err
	}
	if b.next > b.last {
		return nil, refuse(errPaper, "纸质票据已用完")
	}
	return object{"pBillBatchCode": b.code, "pBillNo": paperNo(b.next)}, nil
}

func (p *Platform) batches(in object) (any, error) {
	var list []object
	for _, b := range p.paper {
		if b.place == text(in, "placeCode") && b.next <= b.last {
			list = append(list, object{"pBillBatchCode": b.code, "pBillBatchName": "医疗门诊收费票据"})
		}
	}
	return object{"billBatchList": list}, nil
}

func (p *Platform) turnPaper(in object, again bool) (any, error) {
	for _, name := range []string{"billBatchCode", "billNo", "pBillBatchCode", "pBillNo", "busDateTime", "placeCode", "operator"} {
		if text(in, name) == "" {
			return nil, refuse(errField, "%s 不能为空", name)
		}
	}
	b, err := p.batch(in)
	if err != nil {
		return nil, err
	}
	bill := p.bills[text(in, "billBatchCode")+"/"+text(in, "billNo")]
	n, err := strconv.Atoi(text(in, "pBillNo"))
	switch {
	case bill == nil || bill.Red:
		return nil, refuse(errNoBill, "票据不存在或已冲红")
	case bill.PaperNo != "" && !again:
		return nil, refuse(errHasPaper, "票据已换开纸质票据 %s", bill.PaperNo)
	case err != nil || n != b.next || b.next > b.last:
		return nil, refuse(errPaper, "纸质票号应为 %s", paperNo(b.next))
	}
	if again && bill.PaperNo != "" {
		old, _ := strconv.Atoi(bill.PaperNo) // it was made by paperNo
		b.used[old] = "void"
	}
	b.used[n] = bill.No
	b.next++
	bill.PaperBatch, bill.PaperNo = b.code, paperNo(n)
	return "换开成功", nil
}

func (p *Platform) voidPaper(in object) (any, error) {
	for _, name := range []string{"pBillBatchCode", "pBillNo", "placeCode", "author", "reason", "busDateTime"} {
		if text(in, name) == "" {
			return nil, refuse(errField, "%s 不能为空", name)
		}
	}
	b, err := p.batch(in)
	if err != nil {
		return nil, err
	}
	for _, bill := range p.order {
		if bill.PaperBatch == text(in, "pBillBatchCode") && bill.PaperNo == text(in, "pBillNo") && bill.Place == text(in, "placeCode") {
			n, _ := strconv.Atoi(bill.PaperNo) // it was made by paperNo
			b.used[n] = "void"
			bill.PaperBatch, bill.PaperNo = "", ""
			return "作废成功", nil
		}
	}
	return nil, refuse(errPaper, "纸质票据 %s 未换开或已作废", text(in, "pBillNo"))
}

func (p *Platform) voidBlank(in object) (any, error) {
	b, err := p.batch(in)
	if err != nil {
		return nil, err
	}
	from, err1 := strconv.Atoi(text(in, "pBillNoStart"))
	to, err2 := strconv.Atoi(text(in, "pBillNoEnd"))
	switch {
	case err1 != nil || err2 != nil || from > to || to > b.last:
		return nil, refuse(errPaper, "空白票号范围不正确")
	case from != b.next:
		return nil, refuse(errPaper, "空白票号应从 %s 开始", paperNo(b.next))
	}
	for n := from; n <= to; n++ {
		b.used[n] = "void"
	}
	b.next = to + 1
	return "作废成功", nil
}

func (p *Platform) printPaper(in object) (any, error) {
	for _, bill := range p.order {
		if bill.PaperNo != "" && bill.PaperBatch == text(in, "pBillBatchCode") && bill.PaperNo == text(in, "pBillNo") {
			var lines []string
			for _, c := range bill.Charges {
				lines = append(lines, c.Name+" "+c.Amount.String())
			}
			return object{"pBillBatchCode": bill.PaperBatch, "pBillNo": bill.PaperNo, "payer": bill.Payer,
				"totalAmt": bill.Total.String(), "detail": strings.Join(lines, "; ")}, nil
		}
	}
	return nil, refuse(errPaper, "纸质票据未换开")
}
