package invoice

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"yiqiao/schemas/money"
)

// mandatory members of every issue request.
var head = []string{"busNo", "busType", "payer", "busDateTime", "placeCode", "payee", "author", "cardType", "cardNo", "sex", "age", "isArrears", "payerType"}

var amounts = []string{"accountPay", "fundPay", "otherfundPay", "ownPay", "selfConceitedAmt", "selfPayAmt", "selfCashPay"}

// kinds says which method takes which busType.
var kinds = map[string][]string{
	"invoiceEBillOutpatient": {"02", "03", "04"},
	"invEBillHospitalized":   {"01"},
	"invEBillRegistration":   {"06"},
	"invEBillCheckUp":        {"05"},
	"invoicePayMentVoucher":  {"07", "08"},
}

func (p *Platform) issue(method string, in object) (any, error) {
	when, err := p.common(method, in, head)
	if err != nil {
		return nil, err
	}
	for _, name := range amounts {
		if _, err := amount(in, name, 2); err != nil {
			return nil, err
		}
	}
	total, err := amount(in, "totalAmt", 2)
	if err != nil {
		return nil, err
	}
	if total == 0 && p.opt.RefuseZero {
		return nil, refuse(errField, "不开具零金额票据")
	}
	if text(in, "isArrears") == "0" && text(in, "arrearsReason") == "" {
		return nil, refuse(errField, "arrearsReason 不能为空")
	}
	if err := p.generation(method, in); err != nil {
		return nil, err
	}
	if err := sums(in, total); err != nil {
		return nil, err
	}
	charges, err := p.details(in, total)
	if err != nil {
		return nil, err
	}
	b := p.newBill(in, when, total, false)
	b.Charges = charges
	if method == "invEBillHospitalized" {
		if err := p.useVouchers(in); err != nil {
			p.forget(b)
			return nil, err
		}
	}
	return p.issued(b), nil
}

// common checks what every issue request has, and that the business number is new.
func (p *Platform) common(method string, in object, names []string) (time.Time, error) {
	for _, name := range names {
		if text(in, name) == "" {
			return time.Time{}, refuse(errField, "%s 不能为空", name)
		}
	}
	if !slices.Contains(kinds[method], text(in, "busType")) {
		return time.Time{}, refuse(errField, "busType %s 与接口不符", text(in, "busType"))
	}
	if !slices.Contains(p.opt.Places, text(in, "placeCode")) {
		return time.Time{}, refuse(errField, "开票点 %s 不存在", text(in, "placeCode"))
	}
	if b := p.byBus[text(in, "busNo")]; b != nil {
		return time.Time{}, refuse(errBusNo, "业务流水号 %s 已开票", b.BusNo)
	}
	return stamp(text(in, "busDateTime"))
}

func stamp(s string) (time.Time, error) {
	if len(s) != 17 {
		return time.Time{}, refuse(errField, "时间 %q 应为 yyyyMMddHHmmssSSS", s)
	}
	t, err := time.ParseInLocation("20060102150405.000", s[:14]+"."+s[14:], china)
	if err != nil {
		return t, refuse(errField, "时间 %q 应为 yyyyMMddHHmmssSSS", s)
	}
	return t, nil
}

// amount reads a JSON number with at most so many decimals.
func amount(in object, name string, decimals int) (money.Fen, error) {
	n, isNumber := in[name].(json.Number)
	if !isNumber {
		return 0, refuse(errField, "%s 应为数值", name)
	}
	if _, frac, _ := strings.Cut(string(n), "."); len(frac) != decimals {
		return 0, refuse(errField, "%s 小数位数应为 %d", name, decimals)
	}
	f, err := money.ParseReply(string(n))
	if err != nil || f < 0 {
		return 0, refuse(errField, "%s 金额不正确", name)
	}
	return f, nil
}

// generation holds the members that differ against the one generation spoken here.
func (p *Platform) generation(method string, in object) error {
	dates := []string{"consultationDate"}
	need, never := []string{"patientCategory", "patientCategoryCode"}, []string{"category"}
	layout := "20060102"
	if p.opt.Generation == Gen310 {
		need, never, layout = []string{"category", "patientCategory"}, []string{"patientCategoryCode"}, "2006-01-02"
	}
	if method == "invEBillHospitalized" {
		dates = []string{"inHospitalDate", "outHospitalDate"}
		need, never = []string{"hospitalNo", "visitNo", "category", "categoryCode"}, nil
	}
	if method == "invEBillCheckUp" {
		need, dates = nil, nil
	}
	for _, name := range need {
		if text(in, name) == "" {
			return refuse(errField, "%s 不能为空 (接口版本 %s)", name, p.opt.Generation)
		}
	}
	for _, name := range never {
		if _, there := in[name]; there {
			return refuse(errField, "%s 不是本版本的字段 (接口版本 %s)", name, p.opt.Generation)
		}
	}
	for _, name := range dates {
		if _, err := time.Parse(layout, text(in, name)); err != nil {
			return refuse(errField, "%s 日期格式不正确 (接口版本 %s)", name, p.opt.Generation)
		}
	}
	return nil
}

func (p *Platform) decimals() (amt, number int) {
	if p.opt.Generation == Gen310 {
		return 6, 6
	}
	return 4, 2
}

// sums: account + fund + other + cash + discount = total = sum of the channels.
func sums(in object, total money.Fen) error {
	var parts money.Fen
	for _, name := range []string{"accountPay", "fundPay", "otherfundPay", "selfCashPay"} {
		f, err := amount(in, name, 2)
		if err != nil {
			return err
		}
		parts += f
	}
	for _, row := range rows(in, "otherInfo") {
		if text(row, "infoNo") == "YYFD" { // borne by the hospital
			f, err := money.Parse(text(row, "infoValue"))
			if err != nil {
				return refuse(errField, "otherInfo 金额不正确")
			}
			parts += f
		}
	}
	if parts != total {
		return refuse(errSum, "各项支付之和 %s 不等于总金额 %s", parts, total)
	}
	var channels money.Fen
	for _, row := range rows(in, "payChannelDetail") {
		f, err := amount(row, "payChannelValue", 2)
		if err != nil {
			return err
		}
		if text(row, "payChannelCode") == "" {
			return refuse(errField, "payChannelCode 不能为空")
		}
		channels += f
	}
	if channels != total {
		return refuse(errSum, "支付渠道之和 %s 不等于总金额 %s", channels, total)
	}
	return nil
}

// details: the categories add up, and every line is of one of them.
func (p *Platform) details(in object, total money.Fen) ([]Charge, error) {
	amtDecimals, numberDecimals := p.decimals()
	var sum money.Fen
	var out []Charge
	codes := map[string]bool{}
	for i, row := range rows(in, "chargeDetail") {
		if n, _ := row["sortNo"].(json.Number); string(n) != fmt.Sprint(i+1) {
			return nil, refuse(errField, "sortNo 应为 %d", i+1)
		}
		f, err := amount(row, "amt", amtDecimals)
		if err != nil {
			return nil, err
		}
		if text(row, "chargeCode") == "" || text(row, "chargeName") == "" || codes[text(row, "chargeCode")] {
			return nil, refuse(errField, "chargeCode 为空或重复")
		}
		codes[text(row, "chargeCode")] = true
		sum += f
		out = append(out, Charge{text(row, "chargeName"), f})
	}
	if sum != total {
		return nil, refuse(errSum, "收费项目之和 %s 不等于总金额 %s", sum, total)
	}
	for _, row := range rows(in, "listDetail") {
		if !codes[text(row, "chargeCode")] {
			return nil, refuse(errField, "明细 %s 的收费项目 %s 不存在", text(row, "listDetailNo"), text(row, "chargeCode"))
		}
		if text(row, "name") == "" {
			return nil, refuse(errField, "明细名称不能为空")
		}
		for name, d := range map[string]int{"std": amtDecimals, "number": numberDecimals, "amt": amtDecimals, "selfAmt": amtDecimals} {
			n, _ := row[name].(json.Number)
			if _, frac, _ := strings.Cut(string(n), "."); n == "" || len(frac) != d {
				return nil, refuse(errField, "明细 %s 小数位数应为 %d", name, d)
			}
		}
	}
	return out, nil
}

func rows(in object, name string) []object {
	list, _ := in[name].([]any)
	var out []object
	for _, v := range list {
		if o, isObject := v.(object); isObject {
			out = append(out, o)
		}
	}
	return out
}

func (p *Platform) voucher(in object) (any, error) {
	when, err := p.common("invoicePayMentVoucher", in, []string{"busNo", "busType", "payer", "busDateTime", "placeCode", "payee", "author"})
	if err != nil {
		return nil, err
	}
	total, err := amount(in, "amt", 2)
	if err != nil {
		return nil, err
	}
	b := p.newBill(in, when, total, true)
	return object{"voucherBatchCode": b.Batch, "voucherNo": b.No, "voucherRandom": b.Random, "createTime": mark(b.Created),
		"billQRCode": p.qrText(b), "pictureUrl": p.pageURL(b), "pictureNetUrl": p.pageURL(b)}, nil
}

// useVouchers checks that the vouchers a stay's bill uses up are there.
func (p *Platform) useVouchers(in object) error {
	for _, row := range rows(in, "payMentVoucher") {
		b := p.bills[text(row, "voucherBatchCode")+"/"+text(row, "voucherNo")]
		if b == nil || !b.Voucher || b.Red {
			return refuse(errNoBill, "预交金凭证 %s 不存在或已作废", text(row, "voucherNo"))
		}
		f, err := amount(row, "voucherAmt", 2)
		if err != nil {
			return err
		}
		if f > b.Total {
			return refuse(errSum, "预交金凭证 %s 余额不足", b.No)
		}
	}
	return nil
}

func (p *Platform) newBill(in object, when time.Time, total money.Fen, voucher bool) *Bill {
	p.serial++
	batch := "06010126"
	if voucher {
		batch = "06070126"
	}
	b := &Bill{BusNo: text(in, "busNo"), Place: text(in, "placeCode"), Kind: text(in, "busType"), Voucher: voucher,
		Batch: batch, No: fmt.Sprintf("%010d", p.serial), Random: check(p.serial, 7),
		Created: p.opt.Now().In(china), Business: when, Payer: text(in, "payer"), Total: total}
	p.bills[b.Batch+"/"+b.No] = b
	p.byBus[b.BusNo] = b
	p.order = append(p.order, b)
	return b
}

// forget takes back the newest bill.
func (p *Platform) forget(b *Bill) {
	delete(p.bills, b.Batch+"/"+b.No)
	delete(p.byBus, b.BusNo)
	p.order = p.order[:len(p.order)-1]
	p.serial--
}

// check is the check code of a serial: six characters.
func check(n, salt int) string {
	return fmt.Sprintf("%06x", uint32(n*2654435761+salt*40503)&0xffffff)
}

func mark(t time.Time) string {
	return strings.Replace(t.In(china).Format("20060102150405.000"), ".", "", 1)
}

func (p *Platform) issued(b *Bill) object {
	return object{"billBatchCode": b.Batch, "billNo": b.No, "random": b.Random, "createTime": mark(b.Created),
		"billQRCode": p.qrText(b), "pictureUrl": p.pageURL(b), "pictureNetUrl": p.pageURL(b)}
}

func (p *Platform) qrText(b *Bill) string {
	if p.opt.NoPictures {
		return ""
	}
	return base64.StdEncoding.EncodeToString(p.qr(b))
}

func (p *Platform) reverse(in object, voucher bool) (any, error) {
	batch, no := "billBatchCode", "billNo"
	if voucher {
		batch, no = "voucherBatchCode", "voucherNo"
	}
	for _, name := range []string{batch, no, "reason", "operator", "busDateTime", "placeCode"} {
		if text(in, name) == "" {
			return nil, refuse(errField, "%s 不能为空", name)
		}
	}
	if _, err := stamp(text(in, "busDateTime")); err != nil {
		return nil, err
	}
	b := p.bills[text(in, batch)+"/"+text(in, no)]
	switch {
	case b == nil || b.Voucher != voucher:
		return nil, refuse(errNoBill, "票据不存在")
	case b.Red:
		return nil, refuse(errReversed, "票据 %s 已冲红", b.No)
	case b.Posted:
		return nil, refuse(errPosted, "票据 %s 已入账报销, 不能冲红", b.No)
	case b.PaperNo != "":
		return nil, refuse(errHasPaper, "票据 %s 已换开纸质票据, 请先作废纸质票据", b.No)
	}
	p.reds++
	b.Red, b.RedBatch, b.RedNo, b.RedRandom, b.RedAt = true, "06019926", fmt.Sprintf("%010d", p.reds), check(p.reds, 11), p.opt.Now().In(china)
	return object{"eScarletBillBatchCode": b.RedBatch, "eScarletBillNo": b.RedNo, "eScarletRandom": b.RedRandom, "createTime": mark(b.RedAt),
		"billQRCode": p.qrText(b), "pictureUrl": p.pageURL(b), "pictureNetUrl": p.pageURL(b)}, nil
}
