package bill

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
)

// Ways of paying that settlements know; further ones are named by the HIS.
const (
	WayAccount = "account" // personal account
	WayFund    = "fund"    // pooled funds
	WayOther   = "other-fund"
	WayCash    = "cash"
	WayBalance = "balance" // the row that makes the channels add up: what the hospital bears, rounding
)

// Tables are what the platform calls things, for one institution.
type Tables struct {
	Place    string                   `yaml:"place"`    // issuing point; default 001
	Places   map[string]string        `yaml:"places"`   // desk -> issuing point
	Charges  map[string]gateway.Coded `yaml:"charges"`  // med_chrgitm_type -> category; default: the national codes and names
	Channels map[string]string        `yaml:"channels"` // way of paying -> code
	Sex      map[string]string        `yaml:"sex"`      // gend -> word; default 男 女 未知
	CardType string                   `yaml:"card_type"`
	CardNo   string                   `yaml:"card_no"` // placeholder where there is no card
	Checker  string                   `yaml:"checker"`
	Prefix   string                   `yaml:"prefix"` // of business numbers
	Zero     bool                     `yaml:"zero"`   // bills of 0.00 are issued
	NoLines  bool                     `yaml:"no_lines"`
}

// Filled is t with its defaults.
func (t Tables) Filled() Tables {
	def := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	def(&t.Place, "001")
	def(&t.CardType, "9999")
	def(&t.CardNo, "-")
	if len(t.Charges) == 0 {
		t.Charges = map[string]gateway.Coded{}
		if c, err := national(); err == nil {
			for n := 1; n <= 14; n++ {
				code := fmt.Sprintf("%02d", n)
				if label, ok := c.Label("med_chrgitm_type", code); ok {
					t.Charges[code] = gateway.Coded{Code: code, Name: label}
				}
			}
		}
	}
	if len(t.Channels) == 0 {
		t.Channels = map[string]string{WayAccount: "YBK", WayFund: "YBTCJJ", WayOther: "YBTCJJ", WayCash: "02", WayBalance: "99", "pos": "01", "wechat": "99", "alipay": "99"}
	}
	if len(t.Sex) == 0 {
		t.Sex = map[string]string{"1": "男", "2": "女", "男": "男", "女": "女", "": "未知"}
	}
	return t
}

// Check tells what is wrong with tables. Pure.
func (t Tables) Check() error {
	t = t.Filled()
	for _, way := range []string{WayAccount, WayFund, WayOther, WayCash, WayBalance} {
		if t.Channels[way] == "" {
			return fmt.Errorf("channels: %s has no code", way)
		}
	}
	for category, c := range t.Charges {
		if c.Code == "" || c.Name == "" {
			return fmt.Errorf("charges: %s needs code and name", category)
		}
	}
	return nil
}

// PlaceOf is the issuing point of a desk.
func (t Tables) PlaceOf(desk string) string {
	if p, ok := t.Places[desk]; ok {
		return p
	}
	return t.Place
}

// Build makes the draft of what was charged. The error is a *gateway.Error and names what is missing.
func Build(t Tables, busNo string, c Charged, asked gateway.IssueInvoice, now time.Time) (gateway.InvoiceDraft, error) {
	t = t.Filled()
	d := gateway.InvoiceDraft{
		BusNo: busNo, Kind: c.Kind, Institution: c.Institution, At: now, Place: t.PlaceOf(asked.Desk), Payee: asked.Operator.Name, Author: asked.Operator.Name,
		Checker: t.Checker, Remark: asked.Remark, Payer: payer(t, c.Payer, asked.Payer), Visit: c.Visit, Total: c.Total, Money: c.Money,
		Related: c.Subject, Held: asked.Held, Others: c.Others, Vouchers: c.Vouchers, Facts: c.Facts,
	}
	if asked.Kind != "" {
		d.Kind = asked.Kind
	}
	if asked.Payer.PatientID != "" {
		d.Visit.PatientID = asked.Payer.PatientID
	}
	var err error
	if d.Channels, err = channels(t, &d, asked.Payments); err != nil {
		return d, err
	}
	if !d.Kind.Voucher() {
		if d.Charges, d.Lines, err = charges(t, c.Rows); err != nil {
			return d, err
		}
		if t.NoLines {
			d.Lines = nil
		}
	}
	if found := d.Check(); len(found) > 0 {
		code := gateway.CodeRequestInvalid
		if slices.ContainsFunc(found, func(f check.Finding) bool {
			return f.Code == gateway.FindInvoiceCharges || f.Code == gateway.FindInvoiceChannels || f.Code == gateway.FindInvoiceParts || f.Code == gateway.FindInvoiceTotal
		}) {
			code = gateway.CodeAmounts
		}
		return d, &gateway.Error{Code: code, Op: "einvoice.build", Path: found[0].Path, Ref: c.Subject, Findings: found}
	}
	return d, nil
}

// payer puts what is known and what was said together; what was said counts.
func payer(t Tables, known gateway.InvoicePayer, said gateway.PayerAsked) gateway.InvoicePayer {
	p := known
	for _, x := range []struct {
		into *string
		say  string
	}{{&p.Name, said.Name}, {&p.IDCard, said.IDCard}, {&p.CardType, said.CardType}, {&p.CardNo, said.CardNo}, {&p.Phone, said.Phone},
		{&p.Email, said.Email}, {&p.Sex, said.Sex}, {&p.Age, said.Age}} {
		if x.say != "" {
			*x.into = x.say
		}
	}
	p.Unit = p.Unit || said.Unit
	if p.CardNo == "" {
		p.CardType, p.CardNo = t.CardType, t.CardNo
	}
	if p.CardType == "" {
		p.CardType = t.CardType
	}
	if word, ok := t.Sex[p.Sex]; ok {
		p.Sex = word
	} else {
		p.Sex = "未知"
	}
	return p
}

// channels are the ways the total was paid in, and the row that makes them add up.
func channels(t Tables, d *gateway.InvoiceDraft, payments []gateway.Payment) (out []gateway.InvoiceChannel, err error) {
	left := d.Total
	add := func(way string, f money.Fen, path string) error {
		if f == 0 {
			return nil
		}
		code := t.Channels[way]
		if code == "" {
			return &gateway.Error{Code: gateway.CodeInvoiceUnmapped, Op: "einvoice.build", Path: path, Detail: "payment " + way, Ref: d.Related}
		}
		left -= f
		if i := slices.IndexFunc(out, func(c gateway.InvoiceChannel) bool { return c.Code == code }); i >= 0 {
			out[i].Amount += f
			return nil
		}
		out = append(out, gateway.InvoiceChannel{Code: code, Amount: f})
		return nil
	}
	m := d.Money
	if d.Kind.Voucher() {
		m = gateway.InvoiceMoney{Cash: d.Total}
	}
	for _, x := range []struct {
		way string
		f   money.Fen
	}{{WayAccount, m.Account}, {WayFund, m.Fund}, {WayOther, m.OtherFund}} {
		if err := add(x.way, x.f, ""); err != nil {
			return nil, err
		}
	}
	cash := m.Cash
	for i, p := range payments {
		path := "/payments/" + strconv.Itoa(i)
		f, err := money.Parse(p.Amount)
		if err != nil || f < 0 || f > cash {
			return nil, &gateway.Error{Code: gateway.CodeAmounts, Op: "einvoice.build", Path: path + "/amount", Ref: d.Related}
		}
		cash -= f
		if err := add(p.Way, f, path+"/way"); err != nil {
			return nil, err
		}
	}
	if len(payments) > 0 && cash != 0 {
		return nil, &gateway.Error{Code: gateway.CodeAmounts, Op: "einvoice.build", Path: "/payments", Rule: "Σ = " + m.Cash.String(), Ref: d.Related}
	}
	if err := add(WayCash, cash, ""); err != nil {
		return nil, err
	}
	if left < 0 {
		return nil, &gateway.Error{Code: gateway.CodeAmounts, Op: "einvoice.build", Path: "/payments", Ref: d.Related}
	}
	return out, add(WayBalance, left, "")
}

// charges are the rows by category, in the order of the categories.
func charges(t Tables, rows []Row) (out []gateway.InvoiceCharge, lines []gateway.InvoiceLine, err error) {
	for i, r := range rows {
		c, ok := t.Charges[r.Category]
		if !ok {
			return nil, nil, &gateway.Error{Code: gateway.CodeInvoiceUnmapped, Op: "einvoice.build", Path: "/rows/" + strconv.Itoa(i) + "/category",
				Detail: "med_chrgitm_type " + strconv.Quote(r.Category)}
		}
		at := slices.IndexFunc(out, func(x gateway.InvoiceCharge) bool { return x.Code == c.Code })
		if at < 0 {
			at = len(out)
			out = append(out, gateway.InvoiceCharge{Code: c.Code, Name: c.Name})
		}
		out[at].Amount += r.Amount
		out[at].Self += r.Self
		lines = append(lines, gateway.InvoiceLine{ID: strconv.Itoa(i + 1), Charge: c.Code, Code: r.Code, Name: r.Name, Unit: r.Unit,
			Quantity: r.Quantity, Price: r.Price, Amount: r.Amount, Self: r.Self, Class: r.Class, Category: r.Category, Time: r.Time})
	}
	slices.SortStableFunc(out, func(a, b gateway.InvoiceCharge) int {
		switch {
		case a.Code < b.Code:
			return -1
		case a.Code > b.Code:
			return 1
		}
		return 0
	})
	return out, lines, nil
}

// SelfPaid is what was charged on a bill insurance has no part in. revision names its content.
func SelfPaid(subject string, inst ident.Institution, system string, revision [32]byte, r *gateway.SelfPaid, p gateway.PayerAsked) (Charged, error) {
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeAmounts, Op: "einvoice.selfpaid", Path: path, Rule: rule}
	}
	c := Charged{Subject: subject, Institution: inst, System: system, Revision: hex.EncodeToString(revision[:8]), Kind: gateway.KindOutpatient, Patient: subject}
	if p.PatientID != "" {
		c.Patient = p.PatientID
	}
	c.mark(r.Visit, "")
	c.Facts.Begin = r.Date
	c.Visit = gateway.InvoiceVisit{Number: r.Visit, Date: r.Date, Department: r.Department, Insurance: gateway.Coded{Code: "99", Name: "自费"}}
	var err error
	if c.Total, err = money.Parse(r.Total); err != nil || c.Total < 0 {
		return c, bad("/self_paid/total", ">=0")
	}
	var sum money.Fen
	for i, x := range r.Rows {
		path := "/self_paid/rows/" + strconv.Itoa(i)
		row := Row{ID: x.ID, Code: x.Code, Name: x.Name, Category: x.Category, Unit: x.Unit, Quantity: x.Quantity, Price: x.Price, Class: "03"}
		if row.Amount, err = money.Parse(x.Amount); err != nil {
			return c, bad(path+"/amount", "16,2")
		}
		quantity, errQ := money.ParseDecimal(x.Quantity, 4)
		price, errP := money.ParseDecimal(x.Price, 6)
		if errQ != nil || errP != nil {
			return c, bad(path+"/quantity", "16,4 × 16,6")
		}
		if product, err := money.Product(quantity, price); err != nil || product != row.Amount {
			return c, bad(path+"/amount", "= quantity × price")
		}
		row.Self = row.Amount
		if sum, err = money.Sum(sum, row.Amount); err != nil {
			return c, bad(path+"/amount", "16,2")
		}
		c.Rows = append(c.Rows, row)
	}
	if sum != c.Total {
		return c, bad("/self_paid/total", "= Σ rows")
	}
	c.Money = gateway.InvoiceMoney{Cash: c.Total, OwnPay: c.Total}
	return c, nil
}

// Deposit is money paid before a stay.
func Deposit(subject string, inst ident.Institution, system string, revision [32]byte, r *gateway.Deposit) (Charged, error) {
	f, err := money.Parse(r.Amount)
	if err != nil || f <= 0 {
		return Charged{}, &gateway.Error{Code: gateway.CodeAmounts, Op: "einvoice.deposit", Path: "/deposit/amount", Rule: ">0"}
	}
	return Charged{Subject: subject, Institution: inst, System: system, Revision: hex.EncodeToString(revision[:8]), Kind: gateway.KindStayDeposit, Patient: subject,
		Visit: gateway.InvoiceVisit{StayNo: r.StayNo, Number: r.StayNo, Department: r.Department}, Total: f}, nil
}

// days counts the days from one date to another; 0 when they can not be read.
func days(from, to string) int {
	a, err1 := time.Parse(time.DateOnly, from)
	b, err2 := time.Parse(time.DateOnly, to)
	if err1 != nil || err2 != nil || b.Before(a) {
		return 0
	}
	return max(int(b.Sub(a).Hours()/24), 1)
}
