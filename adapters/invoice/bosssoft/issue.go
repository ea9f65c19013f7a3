package bosssoft

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/money"
)

// methods of issuing, by kind; emergencies and the special clinic are outpatient bills.
var methods = map[gateway.InvoiceKind]string{
	gateway.KindStay: "invEBillHospitalized", gateway.KindOutpatient: "invoiceEBillOutpatient", gateway.KindEmergency: "invoiceEBillOutpatient",
	gateway.KindSpecial: "invoiceEBillOutpatient", gateway.KindCheckUp: "invEBillCheckUp", gateway.KindRegistration: "invEBillRegistration",
	gateway.KindStayDeposit: "invoicePayMentVoucher", gateway.KindCheckUpDeposit: "invoicePayMentVoucher",
}

// HospitalShare names, among otherInfo, what the hospital bears.
const HospitalShare = "YYFD"

// Issue implements gateway.InvoicePlatform.
func (p *Platform) Issue(ctx context.Context, d gateway.InvoiceDraft) gateway.InvoiceAnswer[gateway.PlatformBill] {
	method, known := methods[d.Kind]
	if !known {
		return unsupported[gateway.PlatformBill]("kind " + string(d.Kind))
	}
	in := p.request(&d)
	a := p.call(ctx, method, in)
	a.Duplicate = a.says(p.o.Words.Duplicate)
	v := as[gateway.PlatformBill](a)
	if v.Outcome != gateway.OutcomeDone {
		return v
	}
	b := gateway.PlatformBill{Known: true, BusNo: d.BusNo, Kind: d.Kind, Total: d.Total, MadeAt: a.text("createTime"),
		URL: a.text("pictureUrl"), NetURL: a.text("pictureNetUrl")}
	if d.Kind.Voucher() {
		b.Number, b.Random = gateway.InvoiceNumber{Batch: a.text("voucherBatchCode"), No: a.text("voucherNo")}, a.text("voucherRandom")
	} else {
		b.Number, b.Random = gateway.InvoiceNumber{Batch: a.text("billBatchCode"), No: a.text("billNo")}, a.text("random")
	}
	if b.Number.Batch == "" || b.Number.No == "" {
		return mismatch[gateway.PlatformBill](a, "no bill number")
	}
	var err error
	if b.QR, err = picture(a.text("billQRCode")); err != nil {
		return mismatch[gateway.PlatformBill](a, "billQRCode")
	}
	v.Value = b
	return v
}

// picture is the QR code of a reply; "" is none.
func picture(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.TrimPrefix(s, "data:image/png;base64,"))
}

// request writes a draft as the business parameters of its method.
func (p *Platform) request(d *gateway.InvoiceDraft) obj {
	o := p.head(d)
	if d.Kind.Voucher() {
		o.put("amt", fen(d.Total, 2))
		o.set("hospitalNo", d.Visit.StayNo)
		o.set("categoryCode", d.Visit.Department.Code)
		o.set("category", d.Visit.Department.Name)
		p.channels(&o, d)
		return o
	}
	o.put("totalAmt", fen(d.Total, 2))
	p.visit(&o, d)
	p.money(&o, d)
	p.channels(&o, d)
	p.charges(&o, d)
	p.lines(&o, d)
	return o
}

func (p *Platform) head(d *gateway.InvoiceDraft) (o obj) {
	o.set("busNo", d.BusNo)
	o.set("busType", string(d.Kind))
	o.set("payer", d.Payer.Name)
	o.set("busDateTime", stamp(d.At))
	o.set("placeCode", d.Place)
	o.set("payee", d.Payee)
	o.set("author", d.Author)
	o.set("checker", d.Checker)
	o.set("remark", d.Remark)
	if len(d.Payer.Phone) == 11 && strings.Trim(d.Payer.Phone, "0123456789") == "" {
		o.set("tel", d.Payer.Phone)
	}
	o.set("email", d.Payer.Email)
	if d.Payer.Unit {
		o.set("payerType", "2")
	} else {
		o.set("payerType", "1")
	}
	o.set("idCardNo", d.Payer.IDCard)
	o.set("cardType", d.Payer.CardType)
	o.set("cardNo", d.Payer.CardNo)
	o.set("medCareInstitution", d.Visit.Agency)
	o.set("medCareTypeCode", d.Visit.Insurance.Code)
	o.set("medicalCareType", d.Visit.Insurance.Name)
	o.set("medicalInsuranceID", d.Visit.InsuredNo)
	o.set("patientId", d.Visit.PatientID)
	o.set("patientNo", d.Visit.Number)
	o.set("sex", d.Payer.Sex)
	o.set("age", d.Payer.Age)
	o.set("caseNumber", d.Visit.RecordNo)
	o.set("specialDiseasesName", d.Visit.Disease)
	o.set("bedNo", d.Visit.Bed)
	o.set("eBillRelateNo", d.Related)
	if d.Held == "" {
		o.set("isArrears", "1")
	} else {
		o.set("isArrears", "0")
		o.set("arrearsReason", d.Held)
	}
	return o
}

// visit writes what differs between outpatients and stays, and between the generations.
func (p *Platform) visit(o *obj, d *gateway.InvoiceDraft) {
	v := d.Visit
	switch {
	case d.Kind == gateway.KindStay:
		o.set("hospitalNo", v.StayNo)
		o.set("visitNo", v.Number)
		o.set("category", v.Department.Name)
		o.set("categoryCode", v.Department.Code)
		o.set("leaveCategory", v.LeftFrom.Name)
		o.set("leaveCategoryCode", v.LeftFrom.Code)
		o.set("inHospitalDate", p.date(v.From))
		o.set("outHospitalDate", p.date(v.To))
		o.put("hospitalDays", v.Days)
		var list []any
		for _, x := range d.Vouchers {
			list = append(list, obj{{"voucherBatchCode", x.Number.Batch}, {"voucherNo", x.Number.No}, {"voucherAmt", fen(x.Amount, 2)}})
		}
		if len(list) > 0 {
			o.put("payMentVoucher", list)
		}
	case p.o.Generation == Gen310:
		o.set("consultationDate", p.date(v.Date))
		o.set("category", v.Department.Name)
		o.set("patientCategory", v.Department.Code)
	default:
		o.set("consultationDate", p.date(v.Date))
		o.set("patientCategory", v.Department.Name)
		o.set("patientCategoryCode", v.Department.Code)
	}
}

// date is yyyy-MM-dd as the generation writes it.
func (p *Platform) date(s string) string {
	if p.o.Generation == Gen310 {
		return s
	}
	return strings.ReplaceAll(s, "-", "")
}

func (p *Platform) money(o *obj, d *gateway.InvoiceDraft) {
	m := d.Money
	for _, x := range []struct {
		name string
		f    money.Fen
	}{
		{"accountPay", m.Account}, {"fundPay", m.Fund}, {"otherfundPay", m.OtherFund}, {"ownPay", m.OwnPay},
		{"selfConceitedAmt", m.SelfShare}, {"selfPayAmt", m.SelfPay}, {"selfCashPay", m.Cash},
	} {
		o.put(x.name, fen(x.f, 2))
	}
	for _, x := range []struct {
		name string
		f    money.Fen
	}{{"cashPay", m.Deposit}, {"cashRecharge", m.TopUp}, {"cashRefund", m.PaidBack}, {"ownAcBalance", m.Balance}} {
		if x.f != 0 {
			o.put(x.name, fen(x.f, 2))
		}
	}
	o.put("reimbursementAmt", fen(m.Fund+m.OtherFund, 2))
	var others []any
	if m.Discount != 0 {
		others = append(others, obj{{"infoNo", HospitalShare}, {"infoName", "医院负担"}, {"infoValue", m.Discount.String()}})
	}
	for _, x := range d.Others {
		others = append(others, obj{{"infoNo", x.No}, {"infoName", x.Name}, {"infoValue", x.Value}})
	}
	if len(others) > 0 {
		o.put("otherInfo", others)
	}
}

func (p *Platform) channels(o *obj, d *gateway.InvoiceDraft) {
	list := []any{}
	for _, c := range d.Channels {
		list = append(list, obj{{"payChannelCode", c.Code}, {"payChannelValue", fen(c.Amount, 2)}})
	}
	o.put("payChannelDetail", list)
}

// decimals of amounts and quantities in lists.
func (p *Platform) decimals() (amount, quantity int) {
	if p.o.Generation == Gen310 {
		return 6, 6
	}
	return 4, 2
}

func (p *Platform) charges(o *obj, d *gateway.InvoiceDraft) {
	amount, quantity := p.decimals()
	list := []any{}
	for i, c := range d.Charges {
		list = append(list, obj{{"sortNo", i + 1}, {"chargeCode", c.Code}, {"chargeName", c.Name}, {"unit", "项"},
			{"std", fen(c.Amount, amount)}, {"number", one(quantity)}, {"amt", fen(c.Amount, amount)}, {"selfAmt", fen(c.Self, amount)}})
	}
	o.put("chargeDetail", list)
}

func one(decimals int) number { return number("1." + strings.Repeat("0", decimals)) }

// lines writes the items. A price or quantity with more decimals than the generation has room for is
// not rounded: the row then says one of the amount, and the remark says what it was.
func (p *Platform) lines(o *obj, d *gateway.InvoiceDraft) {
	if len(d.Lines) == 0 {
		return
	}
	amount, quantity := p.decimals()
	list := []any{}
	for i, l := range d.Lines {
		std, okStd := exact(l.Price, amount)
		cnt, okCnt := exact(l.Quantity, quantity)
		remark := ""
		if !okStd || !okCnt {
			std, cnt, remark = fen(l.Amount, amount), one(quantity), fmt.Sprintf("数量 %s 单价 %s", l.Quantity, l.Price)
		}
		row := obj{{"listDetailNo", l.ID}, {"chargeCode", l.Charge}, {"code", l.Code}, {"name", l.Name}}
		row.set("unit", l.Unit)
		row = append(row, obj{{"std", std}, {"number", cnt}, {"amt", fen(l.Amount, amount)}, {"selfAmt", fen(l.Self, amount)},
			{"receivableAmt", fen(l.Amount, amount)}}...)
		row.set("medicalCareType", strings.TrimPrefix(l.Class, "0"))
		row.set("remark", remark)
		row.put("sortNo", i+1)
		list = append(list, row)
	}
	o.put("listDetail", list)
}

// exact writes a decimal with exactly so many places; false when it has more.
func exact(s string, places int) (number, bool) {
	d, err := money.ParseDecimal(s, uint8(places))
	if err != nil {
		return "", false
	}
	whole, frac, _ := strings.Cut(d.String(), ".")
	return number(whole + "." + frac + strings.Repeat("0", places-len(frac))), true
}

// Reverse implements gateway.InvoicePlatform.
func (p *Platform) Reverse(ctx context.Context, r gateway.InvoiceReversal) gateway.InvoiceAnswer[gateway.PlatformBill] {
	method, batch, no := "writeOffEBill", "billBatchCode", "billNo"
	if r.Kind.Voucher() {
		method, batch, no = "writeOffPayMentVoucher", "voucherBatchCode", "voucherNo"
	}
	a := p.call(ctx, method, obj{{batch, r.Number.Batch}, {no, r.Number.No}, {"reason", r.Reason}, {"operator", r.Operator},
		{"busDateTime", stamp(r.At)}, {"placeCode", r.Place}})
	a.Duplicate = a.says(p.o.Words.Reversed)
	v := as[gateway.PlatformBill](a)
	if v.Outcome != gateway.OutcomeDone {
		return v
	}
	b := gateway.PlatformBill{Known: true, Kind: r.Kind, Number: r.Number, Reversed: true, MadeAt: a.text("createTime"),
		Red: gateway.InvoiceNumber{Batch: a.text("eScarletBillBatchCode"), No: a.text("eScarletBillNo")}, RedCode: a.text("eScarletRandom")}
	if b.Red.Batch == "" || b.Red.No == "" {
		return mismatch[gateway.PlatformBill](a, "no number of the red bill")
	}
	v.Value = b
	return v
}

// days is a China day as the interface asks for it.
func days(day time.Time) (from, to string) {
	d := day.In(gateway.China).Format("20060102")
	return d + "000000000", d + "235959999"
}
