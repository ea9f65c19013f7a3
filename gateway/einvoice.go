package gateway

import (
	"context"
	"fmt"
	"time"

	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// InvoicePlatform is the way to a platform of fiscal medical e-invoices. Every call sends at most one
// message and never retries; what came back is judged with the three values of Outcome. A platform
// that can not do something answers Refused with CauseUnsupported and has sent nothing. Amounts are
// fen. Safe for concurrent use; cancelling ctx does not turn a sent message into a refused one.
//
// The contract knows nothing of a transport: the tax digital invoice (数电票) of private institutions
// is another implementation, without paper and vouchers.
type InvoicePlatform interface {
	// Name of the platform as it is configured: "bosssoft", "unconnected".
	Name() string

	// Issue makes a blue bill, or for KindStayDeposit and KindCheckUpDeposit a deposit voucher. The
	// business number is the idempotency key: of one number the platform makes one bill. Refused
	// with Duplicate: there is one already, ask with Find.
	Issue(ctx context.Context, d InvoiceDraft) InvoiceAnswer[PlatformBill]
	// Find asks what became of a business number, or of a bill. Done with Known false: the platform
	// says there is none. It changes nothing and may be repeated.
	Find(ctx context.Context, q InvoiceQuery) InvoiceAnswer[PlatformBill]
	// Posted asks whether a bill was handed in for reimbursement; then it must not be reversed.
	Posted(ctx context.Context, b PlatformBill) InvoiceAnswer[bool]
	// Reverse makes the red bill of a blue one (or cancels a voucher). Refused with Duplicate: it was
	// reversed before, ask with Find.
	Reverse(ctx context.Context, r InvoiceReversal) InvoiceAnswer[PlatformBill]

	// NextPaper tells the next free number of a batch; batch "" lets the platform choose.
	NextPaper(ctx context.Context, place, batch string) InvoiceAnswer[PaperNumber]
	// TurnPaper exchanges a bill for the paper of that number, or with Again for another paper.
	TurnPaper(ctx context.Context, p PaperOrder) InvoiceAnswer[struct{}]
	// VoidPaper voids an exchanged paper: the bill is electronic alone again.
	VoidPaper(ctx context.Context, p PaperOrder) InvoiceAnswer[struct{}]
	// VoidBlank voids unused papers from p.Paper.No to p.LastNo.
	VoidBlank(ctx context.Context, p PaperOrder) InvoiceAnswer[struct{}]
	// PaperBatches lists the batches that can be used; PaperData gives what is printed on a paper.
	PaperBatches(ctx context.Context, place string) InvoiceAnswer[[]string]
	PaperData(ctx context.Context, p PaperOrder) InvoiceAnswer[[]byte]

	// Notify sends the patient the link again, to the phone and mail address given.
	Notify(ctx context.Context, b PlatformBill, phone, email string) InvoiceAnswer[struct{}]

	// Totals are the sums of a day's blue bills, RedTotals of its reversals, Bills one page of its
	// list, from page 1 on; a page that is shorter than size is the last.
	Totals(ctx context.Context, place string, day time.Time) InvoiceAnswer[InvoiceTotals]
	RedTotals(ctx context.Context, place string, day time.Time) InvoiceAnswer[InvoiceTotals]
	Bills(ctx context.Context, place string, day time.Time, page, size int) InvoiceAnswer[[]PlatformBill]
}

// CauseUnsupported: the platform does not know such a call; nothing was sent.
const CauseUnsupported Cause = "unsupported"

// InvoiceAnswer is what is known of one call to a platform.
type InvoiceAnswer[T any] struct {
	Outcome   Outcome
	Cause     Cause
	Duplicate bool   // Refused because it was done before
	Code      string // the platform's result code, as received
	Message   string // the platform's own words when it refused
	Detail    string // for the operator's log; no body
	Raw       []byte // the decoded business reply of Issue and Reverse, to be kept sealed
	Value     T      // when Done
}

// InvoiceKind is what a bill is for; the values are those of busType.
type InvoiceKind string

const (
	KindStay           InvoiceKind = "01"
	KindOutpatient     InvoiceKind = "02"
	KindEmergency      InvoiceKind = "03"
	KindSpecial        InvoiceKind = "04" // special disease clinic
	KindCheckUp        InvoiceKind = "05"
	KindRegistration   InvoiceKind = "06"
	KindStayDeposit    InvoiceKind = "07" // a voucher, no bill
	KindCheckUpDeposit InvoiceKind = "08" // a voucher, no bill
)

// Voucher reports whether a kind is a deposit voucher instead of a bill.
func (k InvoiceKind) Voucher() bool { return k == KindStayDeposit || k == KindCheckUpDeposit }

// Known reports whether k is one of the kinds above.
func (k InvoiceKind) Known() bool { return k >= KindStay && k <= KindCheckUpDeposit && len(k) == 2 }

// InvoiceNumber names a bill: 票据代码 and 票据号码.
type InvoiceNumber struct {
	Batch string `json:"batch"`
	No    string `json:"no"`
}

// PaperNumber names a paper bill.
type PaperNumber struct {
	Batch string `json:"batch"`
	No    string `json:"no"`
}

// PlatformBill is a bill as its platform has it.
type PlatformBill struct {
	Known    bool          `json:"-"`
	BusNo    string        `json:"bus_no,omitempty"`
	Kind     InvoiceKind   `json:"kind,omitempty"`
	Number   InvoiceNumber `json:"number"`
	Random   string        `json:"random,omitempty"`     // check code
	MadeAt   string        `json:"made_at,omitempty"`    // createTime, yyyyMMddHHmmssSSS
	QR       []byte        `json:"qr,omitempty"`         // PNG
	URL      string        `json:"url,omitempty"`        // page inside the hospital's network
	NetURL   string        `json:"net_url,omitempty"`    // page anybody can open
	Reversed bool          `json:"reversed,omitempty"`   // there is a red bill
	Void     bool          `json:"void,omitempty"`       // the bill is not in force
	Red      InvoiceNumber `json:"red,omitzero"`         // of a reversed bill, when the platform tells
	RedCode  string        `json:"red_random,omitempty"` // its check code
	Paper    PaperNumber   `json:"paper,omitzero"`       // when exchanged and not voided
	Total    money.Fen     `json:"total,omitempty"`      // when the platform tells
}

// InvoiceQuery asks by business number, or by the number of the bill where that is known. At is when
// it was sent: some platforms only list by day.
type InvoiceQuery struct {
	BusNo  string
	Kind   InvoiceKind
	Place  string
	Number InvoiceNumber
	At     time.Time
}

// InvoiceReversal asks for a red bill.
type InvoiceReversal struct {
	Kind     InvoiceKind
	Number   InvoiceNumber
	Reason   string
	Operator string // name
	Place    string
	At       time.Time
}

// PaperOrder is a call about paper.
type PaperOrder struct {
	Bill     InvoiceNumber
	Paper    PaperNumber
	LastNo   string // VoidBlank: the last number
	Again    bool   // TurnPaper: the bill had a paper before
	Reason   string // VoidPaper, VoidBlank
	Operator string
	Place    string
	At       time.Time
}

// InvoiceTotals are the sums of a day.
type InvoiceTotals struct {
	Count  int       `json:"count"`
	Amount money.Fen `json:"amount"`
}

// InvoiceDraft is a bill as it is to be issued, in words no platform owns. It is fixed before the
// first message and never changed: the same business number always means the same content.
type InvoiceDraft struct {
	BusNo       string            `json:"bus_no"`
	Kind        InvoiceKind       `json:"kind"`
	Institution ident.Institution `json:"institution"`
	At          time.Time         `json:"at"` // business time
	Place       string            `json:"place"`
	Payee       string            `json:"payee"`  // cashier
	Author      string            `json:"author"` // who wrote the bill
	Checker     string            `json:"checker,omitempty"`
	Remark      string            `json:"remark,omitempty"`
	Payer       InvoicePayer      `json:"payer"`
	Visit       InvoiceVisit      `json:"visit"`
	Total       money.Fen         `json:"total"`
	Money       InvoiceMoney      `json:"money"`
	Channels    []InvoiceChannel  `json:"channels,omitempty"`
	Charges     []InvoiceCharge   `json:"charges,omitempty"` // by receipt category
	Lines       []InvoiceLine     `json:"lines,omitempty"`   // by item
	Vouchers    []InvoiceVoucher  `json:"vouchers,omitempty"`
	Related     string            `json:"related,omitempty"` // the same on all bills of one settlement
	Held        string            `json:"held,omitempty"`    // why the bill may not circulate; "" when it may
	Others      []InvoiceOther    `json:"others,omitempty"`
	Facts       InvoiceFacts      `json:"facts,omitzero"`
}

// InvoiceFacts are what the insurance wants to know with a bill (the electronic settlement voucher) and
// the platform of bills does not. Times are yyyy-MM-dd HH:mm:ss.
type InvoiceFacts struct {
	Settlement string      `json:"setl_id,omitempty"` // "" for what insurance has no part in
	SettledAt  string      `json:"settled_at,omitempty"`
	MedType    string      `json:"med_type,omitempty"`
	Begin      string      `json:"begin,omitempty"`
	End        string      `json:"end,omitempty"`
	Doctor     Coded       `json:"doctor,omitzero"`
	Diagnoses  []Diagnosis `json:"diagnoses,omitempty"`
	InScope    money.Fen   `json:"in_scope,omitempty"`
}

// InvoicePayer is who pays. Name, Sex, Age, CardType and CardNo are needed.
type InvoicePayer struct {
	Name     string `json:"name"`
	Unit     bool   `json:"unit,omitempty"` // a unit, not a person
	IDCard   string `json:"id_card,omitempty"`
	CardType string `json:"card_type"`
	CardNo   string `json:"card_no"`
	Phone    string `json:"phone,omitempty"` // left out unless it has 11 digits
	Email    string `json:"email,omitempty"`
	Sex      string `json:"sex"`
	Age      string `json:"age"`
}

// InvoiceVisit is what a bill tells of the visit. Times are yyyy-MM-dd.
type InvoiceVisit struct {
	PatientID  string `json:"patient_id,omitempty"`
	Number     string `json:"number,omitempty"`    // visit number
	StayNo     string `json:"stay_no,omitempty"`   // inpatient number
	RecordNo   string `json:"record_no,omitempty"` // medical record
	Department Coded  `json:"department,omitzero"`
	LeftFrom   Coded  `json:"left_from,omitzero"` // department of discharge
	Bed        string `json:"bed,omitempty"`
	Date       string `json:"date,omitempty"` // consultation
	From       string `json:"from,omitempty"` // of a stay
	To         string `json:"to,omitempty"`
	Days       int    `json:"days,omitempty"`
	Disease    string `json:"disease,omitempty"`
	Insurance  Coded  `json:"insurance,omitzero"` // insurance type
	Agency     string `json:"agency,omitempty"`
	InsuredNo  string `json:"insured_no,omitempty"`
}

// InvoiceMoney says who pays what. Account + Fund + OtherFund + Cash + what Others name = Total.
type InvoiceMoney struct {
	Account   money.Fen `json:"account"`
	Fund      money.Fen `json:"fund"`
	OtherFund money.Fen `json:"other_fund"`
	Cash      money.Fen `json:"cash"`
	OwnPay    money.Fen `json:"own_pay"`      // outside the scope (个人自费)
	SelfPay   money.Fen `json:"self_pay"`     // 个人自付
	SelfShare money.Fen `json:"self_share"`   // 个人自负
	Discount  money.Fen `json:"discount"`     // borne by the hospital; told in Others
	Deposit   money.Fen `json:"deposit"`      // paid before, of Cash
	TopUp     money.Fen `json:"top_up"`       // paid now, beyond the deposit
	PaidBack  money.Fen `json:"paid_back"`    // of the deposit
	Balance   money.Fen `json:"acct_balance"` // of the personal account
}

// InvoiceChannel is one way of paying; the sum of all is the total.
type InvoiceChannel struct {
	Code   string    `json:"code"`
	Amount money.Fen `json:"amount"`
}

// InvoiceCharge is one receipt category; the sum of all is the total.
type InvoiceCharge struct {
	Code   string    `json:"code"`
	Name   string    `json:"name"`
	Amount money.Fen `json:"amount"`
	Self   money.Fen `json:"self"` // not paid by insurance
}

// InvoiceLine is one item. Quantity and Price are decimals as text.
type InvoiceLine struct {
	ID       string    `json:"id"`
	Charge   string    `json:"charge"` // code of its InvoiceCharge
	Code     string    `json:"code"`
	Name     string    `json:"name"`
	Unit     string    `json:"unit,omitempty"`
	Quantity string    `json:"quantity"`
	Price    string    `json:"price"`
	Amount   money.Fen `json:"amount"`
	Self     money.Fen `json:"self"`
	Class    string    `json:"class,omitempty"`    // chrgitm_lv
	Category string    `json:"category,omitempty"` // med_chrgitm_type, as the centre names it
	Time     string    `json:"time,omitempty"`     // yyyy-MM-dd HH:mm:ss
}

// InvoiceVoucher is a deposit voucher a stay's bill uses up.
type InvoiceVoucher struct {
	Number InvoiceNumber `json:"number"`
	Amount money.Fen     `json:"amount"`
}

// InvoiceOther is a further fact on a bill.
type InvoiceOther struct {
	No    string `json:"no"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Codes of findings about a bill to be issued. Each is permanent.
const (
	FindInvoiceCharges  = "invoice-charges-sum"
	FindInvoiceChannels = "invoice-channels-sum"
	FindInvoiceParts    = "invoice-parts-sum"
	FindInvoiceLine     = "invoice-line-charge"
	FindInvoicePayer    = "invoice-payer"
	FindInvoiceTotal    = "invoice-total"
	FindInvoiceKind     = "invoice-kind"
)

// InvoiceFindings lists them for docs/errors.md.
func InvoiceFindings() []check.Meaning {
	return []check.Meaning{
		{Code: FindInvoiceCharges, ZH: "收费项目之和不等于票据总额", EN: "the charge categories do not add up to the total"},
		{Code: FindInvoiceChannels, ZH: "支付渠道之和不等于票据总额", EN: "the payment channels do not add up to the total"},
		{Code: FindInvoiceParts, ZH: "个人账户 + 统筹基金 + 其他基金 + 现金 + 优惠 不等于票据总额", EN: "account, fund, other funds, cash and discount do not add up to the total"},
		{Code: FindInvoiceLine, ZH: "明细的收费项目不在收费项目清单中", EN: "a line refers to a charge category that is not on the bill"},
		{Code: FindInvoicePayer, ZH: "缺少交款人信息", EN: "mandatory payer data is missing"},
		{Code: FindInvoiceTotal, ZH: "票据总额或明细金额不能为负", EN: "an amount of the bill is negative"},
		{Code: FindInvoiceKind, ZH: "票据业务类型不正确", EN: "no such kind of bill"},
	}
}

// Check tells everything that is wrong with a draft before it is written down. Pure.
func (d *InvoiceDraft) Check() []check.Finding {
	var found []check.Finding
	add := func(code, path, rule string) {
		f := check.Finding{Code: code, Path: path, Severity: check.Error, Rule: rule}
		for _, m := range InvoiceFindings() {
			if m.Code == code {
				f.ZH, f.EN = m.ZH, m.EN
			}
		}
		found = append(found, f)
	}
	if !d.Kind.Known() {
		add(FindInvoiceKind, "/kind", "01-08")
	}
	for _, n := range []struct{ path, v string }{
		{"/payer/name", d.Payer.Name}, {"/payer/card_type", d.Payer.CardType}, {"/payer/card_no", d.Payer.CardNo},
		{"/payer/sex", d.Payer.Sex}, {"/payer/age", d.Payer.Age}, {"/payee", d.Payee}, {"/author", d.Author},
		{"/place", d.Place}, {"/bus_no", d.BusNo},
	} {
		if n.v == "" {
			add(FindInvoicePayer, n.path, "必填")
		}
	}
	if d.Total < 0 {
		add(FindInvoiceTotal, "/total", ">=0")
	}
	sum := func(code, path string, n int, amount func(int) money.Fen) {
		var s money.Fen
		for i := range n {
			var err error
			if amount(i) < 0 {
				add(FindInvoiceTotal, fmt.Sprintf("%s/%d/amount", path, i), ">=0")
			}
			if s, err = money.Sum(s, amount(i)); err != nil {
				add(code, path, err.Error())
				return
			}
		}
		if s != d.Total {
			add(code, path, s.String()+" != "+d.Total.String())
		}
	}
	sum(FindInvoiceChannels, "/channels", len(d.Channels), func(i int) money.Fen { return d.Channels[i].Amount })
	if d.Kind.Voucher() {
		return found
	}
	sum(FindInvoiceCharges, "/charges", len(d.Charges), func(i int) money.Fen { return d.Charges[i].Amount })
	m := d.Money
	if s, err := money.Sum(m.Account, m.Fund, m.OtherFund, m.Cash, m.Discount); err != nil || s != d.Total {
		add(FindInvoiceParts, "/money", s.String()+" != "+d.Total.String())
	}
	charges := make(map[string]bool, len(d.Charges))
	for _, c := range d.Charges {
		charges[c.Code] = true
	}
	for i, l := range d.Lines {
		if !charges[l.Charge] {
			add(FindInvoiceLine, fmt.Sprintf("/lines/%d/charge", i), "")
		}
	}
	return found
}
