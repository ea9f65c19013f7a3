package recon

import (
	"context"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

type object = map[string]any

// memberArea stands beside the nodes of an input as the journal keeps it.
const memberArea = "insuplc_admdvs"

// numbers are the transactions that move money, as the catalogue has them.
type numbers struct {
	settle, undo, reverse []ident.Infno
	kind                  map[ident.Infno]kind
	reversible            map[ident.Infno]bool
}

type kind uint8

const (
	settles kind = iota + 1
	undoes
	reverses
)

// numbersOf: a settlement commits and has an undo that takes a setl_id; an undo is named by a
// settlement, or undone itself by the reversal; the reversal names an original message.
func numbersOf(c *catalog.Catalog) numbers {
	n := numbers{kind: map[ident.Infno]kind{}, reversible: map[ident.Infno]bool{}}
	for _, t := range c.All() {
		n.reversible[t.Infno] = t.Reversible
		if undo, ok := c.Lookup(t.Undo); ok && t.Kind == catalog.Settle && t.Commits && takes(undo, "setl_id") {
			n.kind[t.Infno], n.kind[t.Undo] = settles, undoes
		}
		if t.Kind == catalog.Reverse && takes(t, "omsgid") {
			n.kind[t.Infno] = reverses
		}
	}
	for _, t := range c.All() {
		if t.Kind == catalog.Reverse && n.kind[t.Infno] == 0 && t.Undo != "" && n.kind[t.Undo] == reverses {
			n.kind[t.Infno] = undoes
		}
	}
	for _, t := range c.All() {
		switch n.kind[t.Infno] {
		case settles:
			n.settle = append(n.settle, t.Infno)
		case undoes:
			n.undo = append(n.undo, t.Infno)
		case reverses:
			n.reverse = append(n.reverse, t.Infno)
		}
	}
	return n
}

func takes(t *catalog.Transaction, member string) bool {
	return slices.ContainsFunc(t.Input, func(n catalog.Node) bool { _, ok := n.Field(member); return ok })
}

// row is a settlement or an undo that stands in the journal.
type row struct {
	kind     kind
	rec      gateway.Record // without bodies
	setl     string         // "" when it was never learnt
	visit    string
	person   string
	area     string // of the person's insurance: who asks about the row must name it
	day      string
	amounts  Amounts // negative for an undo
	cash     money.Fen
	personal money.Fen
	dims     map[string]string
	of       string // setl_id an undo undoes
	undone   bool   // a settlement with an undo that stands
}

func (r *row) dim(name string) string { return r.dims[name] }

// book is what the journal says.
type book struct {
	rows     []*row
	all      map[ident.MsgID]gateway.Record // every settlement and undo, whatever became of it
	reversed map[ident.MsgID]ident.MsgID    // message -> the 2601 that reversed it
	waiting  []gateway.Record               // outcome not known
	unread   []gateway.Record               // done, but without amounts
	inputs   map[ident.MsgID]object         // of those whose outcome is not known
	areas    map[ident.MsgID]string         // and the areas of their persons
	notes    []string
}

// load reads everything from a time on. Undos and reversals of a day may come on any later one.
func (r *Reconciler) load(ctx context.Context, inst ident.Institution, from time.Time) (*book, error) {
	b := &book{all: map[ident.MsgID]gateway.Record{}, reversed: map[ident.MsgID]ident.MsgID{}, inputs: map[ident.MsgID]object{}, areas: map[ident.MsgID]string{}}
	bySetl := map[string]*row{}
	for _, n := range r.numbers.reverse {
		err := r.each(ctx, inst, n, from, func(rec gateway.Record) {
			if rec.State == gateway.StateDone {
				if o := text(findRow(decode(rec.Input), "omsgid")["omsgid"]); o != "" {
					b.reversed[ident.MsgID(o)] = rec.ID
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	better, err := r.askedAgain(ctx, inst, from)
	if err != nil {
		return nil, err
	}
	for _, n := range r.numbers.settle {
		if err := r.each(ctx, inst, n, from, func(rec gateway.Record) { b.take(better(rec), settles, bySetl) }); err != nil {
			return nil, err
		}
	}
	for _, n := range r.numbers.undo {
		if err := r.each(ctx, inst, n, from, func(rec gateway.Record) { b.take(rec, undoes, bySetl) }); err != nil {
			return nil, err
		}
	}
	if err := r.older(ctx, inst, from, b, bySetl); err != nil {
		return nil, err
	}
	for _, one := range b.rows {
		if one.kind == undoes {
			b.settleUndo(one, bySetl[one.of])
		}
	}
	slices.SortStableFunc(b.rows, func(x, y *row) int { return strings.Compare(string(x.rec.ID), string(y.rec.ID)) })
	return b, nil
}

// page is how many records are read at a time.
const page = 2000

func (r *Reconciler) each(ctx context.Context, inst ident.Institution, n ident.Infno, from time.Time, fn func(gateway.Record)) error {
	q := gateway.Query{Institution: inst, Infno: n, From: from, Limit: page}
	for {
		list, err := r.opt.Journal.List(ctx, q)
		if err != nil {
			return err
		}
		for _, rec := range list {
			fn(rec)
		}
		if len(list) < page {
			return nil
		}
		q.After = list[len(list)-1].ID
	}
}

// figuresStep is the step of a bill that asks for figures which did not add up.
const figuresStep = "figures"

// askedAgain gives a settlement as it counts: with the figures the centre gave when it was asked for them again.
// Only bills with such a question are looked at.
func (r *Reconciler) askedAgain(ctx context.Context, inst ident.Institution, from time.Time) (func(gateway.Record) gateway.Record, error) {
	same := func(rec gateway.Record) gateway.Record { return rec }
	figures, ok := r.opt.Office.(gateway.Figures)
	if !ok {
		return same, nil
	}
	bills := map[string]bool{}
	q := gateway.Query{Institution: inst, Infno: "5203", From: from, States: []gateway.State{gateway.StateDone}, Brief: true, Limit: page}
	for {
		list, err := r.opt.Journal.List(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, rec := range list {
			if rec.Step == figuresStep && rec.Bill != "" {
				bills[rec.Bill] = true
			}
		}
		if len(list) < page {
			break
		}
		q.After = list[len(list)-1].ID
	}
	if len(bills) == 0 {
		return same, nil
	}
	return func(rec gateway.Record) gateway.Record {
		if rec.State != gateway.StateDone || !bills[rec.Bill] {
			return rec
		}
		if out, err := figures.SettledOutput(ctx, rec.ID); err == nil && strictjson.Writable(out) { // else the reply counts, as ever
			rec.Output = strictjson.Encode(out)
		}
		return rec
	}, nil
}

// older finds the settlements of earlier days that the undos in the book need: their amounts and
// groups are often only there.
func (r *Reconciler) older(ctx context.Context, inst ident.Institution, from time.Time, b *book, bySetl map[string]*row) error {
	missing := map[string]bool{}
	for _, one := range b.rows {
		if one.kind == undoes && bySetl[one.of] == nil {
			missing[one.of] = true
		}
	}
	const most, step = 400, 20 // days back, days at a time
	for back := 0; len(missing) > 0 && back < most; back += step {
		to := from.AddDate(0, 0, -back)
		past := &book{all: map[ident.MsgID]gateway.Record{}, reversed: b.reversed, inputs: map[ident.MsgID]object{}, areas: map[ident.MsgID]string{}}
		for _, n := range r.numbers.settle {
			q := gateway.Query{Institution: inst, Infno: n, From: to.AddDate(0, 0, -step), To: to, Limit: page}
			for {
				list, err := r.opt.Journal.List(ctx, q)
				if err != nil {
					return err
				}
				for _, rec := range list {
					past.take(rec, settles, bySetl)
				}
				if len(list) < page {
					break
				}
				q.After = list[len(list)-1].ID
			}
		}
		for _, one := range past.rows {
			delete(missing, one.setl)
		}
	}
	for setl := range missing {
		b.notes = append(b.notes, "撤销所对应的结算不在网关日志中: setl_id "+setl)
	}
	slices.Sort(b.notes)
	return nil
}

// take adds a record to the book.
func (b *book) take(rec gateway.Record, k kind, bySetl map[string]*row) {
	input, output := rec.Input, rec.Output
	rec.Input, rec.Output, rec.Wire = nil, nil, nil
	b.all[rec.ID] = rec
	switch rec.State {
	case gateway.StateDone:
	case gateway.StateSent, gateway.StateUnknown, gateway.StateParked, gateway.StatePrepared:
		b.waiting = append(b.waiting, rec)
		in := decode(input)
		b.inputs[rec.ID] = findRow(in, "psn_no")
		if top, ok := in.(object); ok {
			b.areas[rec.ID] = text(top[memberArea])
		}
		return
	default:
		return
	}
	if b.reversed[rec.ID] != "" {
		return
	}
	one := &row{kind: k, rec: rec}
	if !one.read(decode(input), decode(output)) {
		b.unread = append(b.unread, rec)
		return
	}
	b.rows = append(b.rows, one)
	if k == settles && one.setl != "" {
		bySetl[one.setl] = one
	}
}

// read takes a row out of what was sent and answered; false when there are no amounts.
func (r *row) read(in, out any) bool {
	sent, info := findRow(in, "psn_no"), findRow(out, "setl_id")
	if info == nil {
		return false
	}
	var err error
	amount := func(names ...string) money.Fen {
		for _, name := range names {
			if v := text(info[name]); v != "" {
				f, bad := money.ParseReply(v)
				if bad != nil {
					err = bad
				}
				return f
			}
		}
		return 0
	}
	r.amounts = Amounts{amount("medfee_sumamt"), amount("fund_pay_sumamt"), amount("acct_pay"), 1}
	r.cash = amount("psn_cash_pay", "pdn_cash_pay", "cash_payamt")
	r.personal = amount("psn_part_amt", "psn_pay")
	if err != nil || text(info["medfee_sumamt"]) == "" {
		return false
	}
	r.setl, r.visit, r.person = text(info["setl_id"]), orElse(text(info["mdtrt_id"]), text(sent["mdtrt_id"])), orElse(text(info["psn_no"]), text(sent["psn_no"]))
	r.dims = map[string]string{}
	for name, v := range info {
		if s := text(v); s != "" && len(s) <= 64 {
			r.dims[name] = s
		}
	}
	if top, ok := in.(object); ok {
		r.area = text(top[memberArea])
	}
	if r.dims["insutype"] == "" {
		r.dims["insutype"] = text(sent["insutype"])
	}
	r.day = dayOf(r.rec.CreatedAt)
	if at, err := time.ParseInLocation(time.DateTime, text(info["setl_time"]), gateway.China); err == nil {
		r.day = at.Format(time.DateOnly)
	}
	if r.kind == undoes {
		r.of = text(sent["setl_id"])
		if r.rec.Cause == "adopted" { // what was found by asking is the row that was undone
			r.setl, r.day = "", dayOf(r.rec.CreatedAt)
		}
	}
	return true
}

// settleUndo makes an undo out of what is known of it and of what it undoes.
func (b *book) settleUndo(u, of *row) {
	if of != nil {
		of.undone = true
		if u.amounts.Total == 0 || u.rec.Cause == "adopted" {
			u.amounts, u.cash, u.personal = of.amounts, of.cash, of.personal
		}
		for name, v := range of.dims {
			if u.dims[name] == "" {
				u.dims[name] = v
			}
		}
		u.area = orElse(u.area, of.area)
		u.visit, u.person = orElse(u.visit, of.visit), orElse(u.person, of.person)
	}
	if u.amounts.Total > 0 {
		u.amounts, u.cash, u.personal = u.amounts.negated(), -u.cash, -u.personal
	}
	u.amounts.Count = 1
}

// counted lists the rows of a day that are compared.
func (b *book) counted(day string, noRefunds bool) []*row {
	var list []*row
	for _, r := range b.rows {
		if r.day == day && !(noRefunds && (r.kind == undoes || r.undone)) {
			list = append(list, r)
		}
	}
	return list
}

// decode reads what the journal keeps.
func decode(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	v, err := strictjson.Decode(b, strictjson.Reply())
	if err != nil {
		return nil
	}
	return v
}

// findRow is the object with a member: the value itself, or the first one in one of its nodes.
func findRow(v any, member string) object {
	top, ok := v.(object)
	if !ok {
		return nil
	}
	if _, ok := top[member]; ok {
		return top
	}
	names := make([]string, 0, len(top))
	for name := range top {
		names = append(names, name)
	}
	slices.Sort(names)
	// A settlement's own node comes before lists of its parts.
	slices.SortStableFunc(names, func(a, b string) int { return strings.Compare(nodeRank(a), nodeRank(b)) })
	for _, name := range names {
		node := top[name]
		if list, ok := node.([]any); ok && len(list) > 0 {
			node = list[0]
		}
		if o, ok := node.(object); ok {
			if _, ok := o[member]; ok {
				return o
			}
		}
	}
	return nil
}

func nodeRank(name string) string {
	if name == "setlinfo" || name == "data" {
		return "0"
	}
	return "1"
}

func text(v any) string { return strings.TrimSpace(strictjson.Text(v)) }

func orElse(v, other string) string {
	if v == "" {
		return other
	}
	return v
}
