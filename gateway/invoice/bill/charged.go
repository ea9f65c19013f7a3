// Package bill turns what a patient was charged into an e-invoice: who it is for, what it is made of
// and who paid. Which category and which way of paying has which code at the platform is a table of
// the configuration; nothing here knows a platform. Sums are computed in fen and a draft that does
// not add up is never given.
package bill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/invoice/identity"
	"yiqiao/schemas/codes"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

// Charged is what a patient was charged, as it stands now.
type Charged struct {
	Subject     string
	Institution ident.Institution
	System      string    // the HIS system it belongs to
	Revision    string    // names the settlement in force; "" when none is
	Moving      bool      // something is under way: nothing can be said yet
	Since       time.Time // when anything of it happened last; zero when that is not known
	Gone        bool      // Moving, and sure: what stood before is undone, whatever comes of the rest
	Kind        gateway.InvoiceKind
	Total       money.Fen
	Money       gateway.InvoiceMoney
	Rows        []Row
	Payer       gateway.InvoicePayer
	Visit       gateway.InvoiceVisit
	Patient     string // what orders the patient's bills
	Marks       []identity.Mark
	Facts       gateway.InvoiceFacts
	Others      []gateway.InvoiceOther
	Vouchers    []gateway.InvoiceVoucher
}

// Row is one charged item. Category is med_chrgitm_type.
type Row struct {
	ID, Code, Name, Category, Unit, Quantity, Price, Class, Time string
	Amount, Self                                                 money.Fen
}

// Settlements reads settlements out of the gateway's own journal.
type Settlements struct {
	Desk    gateway.Desk
	Ward    gateway.Ward // nil: no stays
	Journal gateway.Journal
}

// national are the published dictionaries: read once, for reading them costs more than making a bill.
var national = sync.OnceValues(codes.Default)

type object = map[string]any

// caller is the system a settlement belongs to.
func caller(b gateway.Bill) gateway.Caller {
	return gateway.Caller{System: b.System, Institutions: []ident.Institution{b.Institution}}
}

// Charged tells what a settlement, the end of a stay or a settlement in its middle (gateway.MidID) was charged. The
// error is a *gateway.Error.
func (s Settlements) Charged(ctx context.Context, id string) (Charged, error) {
	of := id
	stay, number, mid := gateway.MidOf(id)
	if mid {
		of = stay
	}
	b, err := s.Journal.Bill(ctx, of)
	if err != nil {
		code := gateway.CodeStorage
		if errors.Is(err, gateway.ErrNotFound) {
			code = gateway.CodeNotFound
		}
		return Charged{}, &gateway.Error{Code: code, Op: "einvoice.charged", Ref: id, Err: err}
	}
	recs, err := s.Journal.BillRecords(ctx, of)
	if err != nil {
		return Charged{}, &gateway.Error{Code: gateway.CodeStorage, Op: "einvoice.charged", Ref: id, Err: err}
	}
	c := Charged{Subject: id, Institution: b.Institution, System: b.System, Kind: gateway.KindOutpatient, Patient: of}
	c.person(recs)
	for _, r := range recs {
		if r.UpdatedAt.After(c.Since) {
			c.Since = r.UpdatedAt
		}
	}
	switch {
	case mid:
		return c, s.mid(ctx, &c, b, recs, number)
	case strings.HasPrefix(id, "S"):
		return c, s.stay(ctx, &c, b, recs)
	}
	return c, s.outpatient(ctx, &c, b, recs)
}

// Past reports whether a request was accepted before and has nothing to do with what is in force of id: it was
// answered, which the desk gives again, it was about something else or no refund, which the desk refuses, or the
// settlement in force was made since. A request the journal does not know, as most are, costs one look into it.
// The error is a *gateway.Error.
func (s Settlements) Past(ctx context.Context, request gateway.RequestKey, id string) (bool, error) {
	req, err := s.Journal.Request(ctx, request)
	switch {
	case errors.Is(err, gateway.ErrNotFound):
		return false, nil
	case err != nil:
		return false, &gateway.Error{Code: gateway.CodeStorage, Op: "einvoice.past", Ref: id, Err: err}
	case len(req.Answer) > 0, req.Ref != id, !strings.HasSuffix(req.Op, ".refund"):
		return true, nil
	}
	c, err := s.Charged(ctx, id)
	if err != nil || c.Revision == "" {
		return false, err
	}
	rec, err := s.Journal.Record(ctx, ident.MsgID(c.Revision))
	if err != nil {
		return false, &gateway.Error{Code: gateway.CodeStorage, Op: "einvoice.past", Ref: id, Err: err}
	}
	return rec.CreatedAt.After(req.CreatedAt), nil
}

func (s Settlements) outpatient(ctx context.Context, c *Charged, b gateway.Bill, recs []gateway.Record) error {
	now, err := s.Desk.Settlement(ctx, caller(b), b.ID)
	if err != nil {
		return err
	}
	switch now.State {
	case gateway.BillSettled:
		c.Revision = string(now.MsgID)
	case gateway.BillSettling, gateway.BillRefunding, gateway.BillResettling:
		c.Moving = true
	}
	if now.Unknown {
		c.Moving = true
	}
	c.Gone = c.Moving && undone(now.Refund, now.SettlementID)
	if c.Revision == "" || c.Moving {
		return nil
	}
	var asked gateway.OpenSettlement
	if err := json.Unmarshal(b.Body, &asked); err != nil || now.Amounts == nil {
		return internal(b.ID, err)
	}
	c.mark(asked.Visit.Number, now.SettlementID)
	c.Visit.Number, c.Visit.Department = asked.Visit.Number, asked.Visit.Department
	c.Visit.Date, _, _ = strings.Cut(asked.Visit.Begin, " ")
	if len(asked.Diagnoses) > 0 {
		c.Visit.Disease = asked.Diagnoses[0].Name
	}
	c.Facts = gateway.InvoiceFacts{Settlement: string(now.SettlementID), SettledAt: now.SettledAt, MedType: asked.Visit.MedType, Begin: asked.Visit.Begin,
		End: now.SettledAt, Doctor: asked.Visit.Doctor, Diagnoses: asked.Diagnoses}
	gone := map[string]bool{}
	for _, id := range now.RefundedRows {
		gone[id] = true
	}
	left := map[string]string{}
	for _, p := range now.ReducedRows {
		left[p.ID] = p.Quantity
	}
	judged := judgements(recs, "2204")
	for _, f := range asked.Fees {
		if gone[f.ID] {
			continue
		}
		if q, ok := left[f.ID]; ok { // what is left of it was settled as quantity times price
			if f, err = reduced(f, q); err != nil {
				return internal(b.ID, err)
			}
		}
		r := Row{ID: f.ID, Code: f.Code, Name: f.Name, Quantity: f.Quantity, Price: f.Price, Time: f.Time}
		if r.Amount, err = money.Parse(f.Amount); err != nil {
			return internal(b.ID, err)
		}
		c.Rows = append(c.Rows, judged.on(r))
	}
	return c.amounts(b.ID, now.Amounts, now.Insutype, now.Funds)
}

// reduced is a fee of which only a quantity is left.
func reduced(f gateway.Fee, quantity string) (gateway.Fee, error) {
	q, err1 := money.ParseDecimal(quantity, 4)
	price, err2 := money.ParseDecimal(f.Price, 6)
	if err := errors.Join(err1, err2); err != nil {
		return f, err
	}
	amount, err := money.Product(q, price)
	f.Quantity, f.Amount = quantity, amount.String()
	return f, err
}

// mark says by what the bill is found when something else is sent about the visit.
func (c *Charged) mark(visit string, settlement ident.Settlement) {
	for _, m := range []identity.Mark{{Kind: identity.Visit, Value: visit}, {Kind: identity.Settlement, Value: string(settlement)}} {
		if m.Value != "" {
			c.Marks = append(c.Marks, m)
		}
	}
}

// undone reports whether the settlement that counts was undone at the centre.
func undone(r *gateway.Refund, now ident.Settlement) bool {
	return r != nil && (now == "" || r.Of == now)
}

func (s Settlements) stay(ctx context.Context, c *Charged, b gateway.Bill, recs []gateway.Record) error {
	c.Kind = gateway.KindStay
	if s.Ward == nil {
		return &gateway.Error{Code: gateway.CodeNotSupported, Op: "einvoice.charged", Ref: b.ID}
	}
	now, err := s.Ward.Stay(ctx, caller(b), b.ID)
	if err != nil {
		return err
	}
	switch now.State {
	case gateway.StaySettled:
		c.Revision = string(now.MsgID)
	case gateway.StaySettling, gateway.StayRefunding:
		c.Moving = true
	}
	// A stay may be discharged after it was settled: then its settlement stands as well.
	if now.SettlementID != "" && now.MsgID != "" && !c.Moving {
		c.Revision = string(now.MsgID)
	}
	if now.Unknown {
		c.Moving = true
	}
	c.Gone = c.Moving && undone(now.Refund, now.SettlementID)
	if c.Revision == "" || c.Moving {
		return nil
	}
	end := gateway.StaySettlement{MsgID: now.MsgID, SettlementID: now.SettlementID, SettledAt: now.SettledAt, Amounts: now.Amounts, Funds: now.Funds}
	if err := c.admitted(b, end); err != nil {
		return err
	}
	v := &c.Visit
	for _, rec := range recs {
		if base(rec) != "2402" || rec.State != gateway.StateDone {
			continue
		}
		info := first(read(rec.Input), "dscginfo")
		v.To, _, _ = strings.Cut(text(info["endtime"]), " ")
		v.LeftFrom = gateway.Coded{Code: text(info["dscg_dept_codg"]), Name: text(info["dscg_dept_name"])}
	}
	return c.stayed(recs, now, end)
}

// mid is a settlement in the middle of a stay. One that was undone is never in force again.
func (s Settlements) mid(ctx context.Context, c *Charged, b gateway.Bill, recs []gateway.Record, number int) error {
	c.Kind = gateway.KindStay
	if s.Ward == nil {
		return &gateway.Error{Code: gateway.CodeNotSupported, Op: "einvoice.charged", Ref: c.Subject}
	}
	known, back := false, false
	for _, rec := range recs {
		known = known || rec.Step == "2304#"+strconv.Itoa(number)
		back = back || rec.Step == "2305#"+strconv.Itoa(number) && rec.State == gateway.StateDone
	}
	if !known {
		return &gateway.Error{Code: gateway.CodeNotFound, Op: "einvoice.charged", Ref: c.Subject}
	}
	now, err := s.Ward.Stay(ctx, caller(b), b.ID)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(now.Mid, func(m gateway.StaySettlement) bool { return m.ID == c.Subject })
	c.Moving = now.State == gateway.StayRefunding || at < 0 && now.Unknown
	c.Gone = c.Moving && at < 0 && back
	if at < 0 {
		return nil
	}
	m := now.Mid[at]
	c.Revision = string(m.MsgID)
	if c.Moving {
		return nil
	}
	if err := c.admitted(b, m); err != nil {
		return err
	}
	return c.stayed(recs, now, m)
}

// admitted takes what the admission says of a stay, and when it was settled.
func (c *Charged) admitted(b gateway.Bill, m gateway.StaySettlement) error {
	var asked gateway.AdmitStay
	if err := json.Unmarshal(b.Body, &asked); err != nil || m.Amounts == nil {
		return internal(c.Subject, err)
	}
	c.mark(asked.Visit.Number, m.SettlementID)
	v := &c.Visit
	v.Number, v.StayNo, v.RecordNo, v.Department, v.Bed = asked.Visit.Number, asked.Visit.Number, asked.Visit.RecordNo, asked.Visit.Department, asked.Visit.Bed
	v.LeftFrom = v.Department
	v.From, _, _ = strings.Cut(asked.Visit.Begin, " ")
	v.To, _, _ = strings.Cut(m.SettledAt, " ")
	if len(asked.Diagnoses) > 0 {
		v.Disease = asked.Diagnoses[0].Name
	}
	c.Facts = gateway.InvoiceFacts{Settlement: string(m.SettlementID), SettledAt: m.SettledAt, MedType: asked.Visit.MedType, Begin: asked.Visit.Begin,
		Doctor: asked.Visit.Doctor, Diagnoses: asked.Diagnoses}
	return nil
}

// stayed fills in the rows and amounts of one settlement of a stay.
func (c *Charged) stayed(recs []gateway.Record, now gateway.Stay, m gateway.StaySettlement) (err error) {
	c.Facts.End = c.Visit.To
	c.Visit.Days = days(c.Visit.From, c.Visit.To)
	if c.Rows, err = stayRows(recs, now.Mid, m.MsgID); err != nil {
		return internal(c.Subject, err)
	}
	return c.amounts(c.Subject, m.Amounts, now.Insutype, m.Funds)
}

// stayRows are the rows of one settlement of a stay: what was uploaded before it, not taken back, and not settled
// by an earlier one that stands. A settlement takes all rows before it. Rows that take back others are set off
// against them by category.
func stayRows(recs []gateway.Record, mid []gateway.StaySettlement, of ident.MsgID) ([]Row, error) {
	judged := judgements(recs, "2301")
	gone := map[string]bool{}
	var out []Row
	for _, rec := range recs {
		if rec.State != gateway.StateDone {
			continue
		}
		if rec.ID == of {
			break
		}
		if slices.ContainsFunc(mid, func(m gateway.StaySettlement) bool { return m.MsgID == rec.ID }) {
			out = nil
		}
		switch base(rec) {
		case "2302":
			for _, r := range strictjson.Rows(read(rec.Input), "data") {
				gone[text(r["feedetl_sn"])] = true
			}
		case "2301":
			in := read(rec.Input)
			node := "feedetail"
			for _, r := range strictjson.Rows(in, node) {
				id := text(r["feedetl_sn"])
				amount, err := money.ParseReply(text(r["det_item_fee_sumamt"]))
				if err != nil {
					return nil, err
				}
				delete(gone, id) // handed in again after it was taken back
				out = append(out, judged.on(Row{ID: id, Code: text(r["med_list_codg"]), Name: text(r["medins_list_name"]),
					Quantity: text(r["cnt"]), Price: text(r["pric"]), Amount: amount, Time: text(r["fee_ocur_time"])}))
			}
		}
	}
	left := out[:0]
	for _, r := range out {
		if !gone[r.ID] && !gone["0000"] {
			left = append(left, r)
		}
	}
	return left, nil
}

// judgement is what the centre said of a row.
type judgement struct {
	category, class string
	self            money.Fen
}

type judged map[string]judgement

// judgements reads the replies to uploads of rows; a later one counts.
func judgements(recs []gateway.Record, upload string) judged {
	out := judged{}
	for _, rec := range recs {
		if base(rec) != upload || rec.State != gateway.StateDone {
			continue
		}
		reply := read(rec.Output)
		rows := strictjson.Rows(reply, "result")
		if len(rows) == 0 {
			rows = strictjson.Rows(reply, "")
		}
		for _, r := range rows {
			j := judgement{category: text(r["med_chrgitm_type"]), class: text(r["chrgitm_lv"])}
			for _, name := range []string{"fulamt_ownpay_amt", "overlmt_amt", "preselfpay_amt"} {
				if f, err := money.ParseReply(text(r[name])); err == nil {
					j.self += f
				}
			}
			out[text(r["feedetl_sn"])] = j
		}
	}
	return out
}

func (j judged) on(r Row) Row {
	said := j[r.ID]
	r.Category, r.Class, r.Self = said.category, said.class, said.self
	if r.Name == "" {
		r.Name = r.Code
	}
	return r
}

// person takes who the patient is from the reply that named him.
func (c *Charged) person(recs []gateway.Record) {
	for _, rec := range recs {
		if base(rec) != "1101" || rec.State != gateway.StateDone {
			continue
		}
		info := first(read(rec.Output), "baseinfo")
		c.Payer.Name, c.Payer.IDCard, c.Payer.Age = text(info["psn_name"]), text(info["certno"]), age(text(info["age"]))
		c.Payer.Sex = text(info["gend"])
		c.Visit.InsuredNo = text(info["psn_no"])
		if p := text(info["psn_no"]); p != "" {
			c.Patient, c.Visit.PatientID = p, p
		}
	}
}

// age is a number of years without decimals.
func age(s string) string {
	whole, _, _ := strings.Cut(s, ".")
	return whole
}

// amounts says who pays what.
func (c *Charged) amounts(id string, a *gateway.Amounts, insutype string, funds []gateway.FundPart) error {
	var total, fund, account, cash, hospital, own, over, person, deduct, balance, scope money.Fen
	for _, x := range []struct {
		into *money.Fen
		text string
	}{{&total, a.Total}, {&fund, a.Fund}, {&account, a.Account}, {&cash, a.Cash}, {&hospital, a.Hospital}, {&own, a.OwnPay},
		{&scope, a.InScope}, {&over, a.OverLmt}, {&person, a.Person}, {&deduct, a.Deduct}, {&balance, a.Balance}} {
		if x.text == "" {
			continue
		}
		f, err := money.Parse(x.text)
		if err != nil {
			return internal(id, err)
		}
		*x.into = f
	}
	if total == fund+cash+hospital && account > 0 { // the region counts the account among the funds
		fund -= account
	}
	c.Total = total
	c.Facts.InScope = scope
	c.Money = gateway.InvoiceMoney{Account: account, Fund: fund, Cash: cash, Discount: hospital, OwnPay: own + over,
		SelfShare: deduct, SelfPay: max(person-own-over, 0), Balance: balance}
	c.Visit.Insurance = gateway.Coded{Code: insutype, Name: insutype}
	if t, err := national(); err == nil {
		if label, ok := t.Label("insutype", insutype); ok {
			c.Visit.Insurance.Name = label
		}
	}
	for _, f := range funds {
		c.Others = append(c.Others, gateway.InvoiceOther{No: f.Type, Name: f.Name, Value: f.Amount})
	}
	return nil
}

func internal(id string, err error) error {
	if err == nil {
		err = errors.New("a settled bill without amounts")
	}
	return &gateway.Error{Code: gateway.CodeInternal, Op: "einvoice.charged", Ref: id, Err: fmt.Errorf("charged: %w", err)}
}

// base is a step's kind: "2204" of "2204#1.2".
func base(rec gateway.Record) string {
	s, _, _ := strings.Cut(rec.Step, "#")
	s, _, _ = strings.Cut(s, ".")
	s, _, _ = strings.Cut(s, ":")
	return s
}

func read(b []byte) any {
	v, err := strictjson.Decode(b, strictjson.Reply())
	if err != nil {
		return nil
	}
	return v
}

func text(v any) string { return strings.TrimSpace(strictjson.Text(v)) }

func first(v any, node string) object {
	if l := strictjson.Rows(v, node); len(l) > 0 {
		return l[0]
	}
	return nil
}
