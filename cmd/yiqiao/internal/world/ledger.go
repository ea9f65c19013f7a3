package world

import (
	"maps"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
	simcentre "yiqiao/simulator/centre"
)

// amounts are what three ledgers have of one settlement, to the fen.
type amounts struct{ total, fund, account, cash money.Fen }

func (a amounts) String() string {
	return "total " + a.total.String() + " fund " + a.fund.String() + " account " + a.account.String() + " cash " + a.cash.String()
}

func (a amounts) plus(b amounts) amounts {
	return amounts{a.total + b.total, a.fund + b.fund, a.account + b.account, a.cash + b.cash}
}

func atCentre(s *simcentre.Settlement) amounts {
	return amounts{s.Total, s.Fund, s.Account, s.Cash}
}

// fen reads an amount of an answer; what is none is an impossible amount, so that it is noticed.
func fen(text string) money.Fen {
	f, err := money.ParseReply(text)
	if err != nil {
		return -1
	}
	return f
}

func amountsOf(a *gateway.Amounts) amounts {
	return amounts{fen(a.Total), fen(a.Fund), fen(a.Account), fen(a.Cash)}
}

func amountsText(a *gateway.Amounts) string {
	if a == nil {
		return "none"
	}
	return amountsOf(a).String()
}

func amountsIn(info any) amounts {
	at := func(name string) money.Fen { return fen(strictjson.Text(strictjson.Get(info, name))) }
	return amounts{at("medfee_sumamt"), at("fund_pay_sumamt"), at("acct_pay"), at("psn_cash_pay")}
}

// ledger is one party's book: setl_id -> what was settled, undone ones left out.
type ledger map[string]amounts

// ledgers compares what the HIS, the journal and the centre have booked, one by one and in sum.
// What a person must look at is in none of them.
func (w *World) ledgers(b *books) {
	centre := ledger{}
	for id, s := range b.inForce {
		centre[id] = atCentre(s)
	}
	w.compare(b, "his", w.ledgerOfHIS(), centre)
	w.compare(b, "journal", ledgerOfJournal(b), centre)
}

func (w *World) compare(b *books, name string, book, centre ledger) {
	var left, right amounts
	all := maps.Clone(book)
	maps.Copy(all, centre)
	for _, id := range sorted(all) {
		if b.forPerson(id) {
			continue
		}
		x, here := book[id]
		y, there := centre[id]
		left, right = left.plus(x), right.plus(y)
		if here != there || x != y {
			w.violate("ledger-"+name, "%s: %s booked %s (%t), centre %s (%t)", id, name, x, here, y, there)
		}
	}
	if left != right {
		w.violate("ledger-"+name, "in sum %s, at the centre %s", left, right)
	}
}

// forPerson reports whether a settlement belongs to something that is parked.
func (b *books) forPerson(setl string) bool {
	s := b.bySettle[setl]
	if s == nil {
		return false
	}
	r := b.byID[ident.MsgID(s.MsgID)]
	return b.parked[s.Visit] || r != nil && (r.Bill != "" && b.parked[r.Bill] || b.parked[r.Request.ID])
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// undoneWords mean that a refund had nothing left to undo, which is as good.
const undoneWords = "该笔结算已撤销"

// ledgerOfHIS is what the cashiers were told.
func (w *World) ledgerOfHIS() ledger {
	l := ledger{}
	for _, c := range w.cashiers {
		for _, b := range c.bills {
			for setl, a := range b.booked() {
				if _, twice := l[setl]; twice {
					w.violate("ledger-his", "two bills are settled by %s", setl)
				}
				l[setl] = a
			}
		}
	}
	return l
}

// booked are the settlements a HIS believes to be in force for a bill.
func (b *bill) booked() ledger {
	if b.stay != nil {
		return b.stay.booked
	}
	if setl, a := b.settledBy(); setl != "" {
		return ledger{setl: a}
	}
	return nil
}

// settledBy is the one a HIS believes to be in force for what is no stay.
func (b *bill) settledBy() (setl string, a amounts) {
	if b.sale != nil {
		return b.soldBy()
	}
	for _, r := range b.requests {
		switch {
		case r.op == opConfirm && r.told != nil && r.told.bill.Amounts != nil:
			setl, a = string(r.told.bill.SettlementID), amountsOf(r.told.bill.Amounts)
		case r.op == opTransact && r.told != nil && r.told.tx.Infno == "2207":
			info := strictjson.Get(r.told.tx.Output, "setlinfo")
			setl, a = strictjson.Text(strictjson.Get(info, "setl_id")), amountsIn(info)
		}
	}
	for _, r := range b.requests {
		switch {
		case r.op == opRefund && r.told != nil && r.told.bill.State == gateway.BillSettled && r.told.bill.Amounts != nil:
			setl, a = string(r.told.bill.SettlementID), amountsOf(r.told.bill.Amounts) // in part: the rest was settled anew
		case r.op == opRefund && r.told != nil,
			setl != "" && r.undoes == setl && (r.told != nil || r.err != nil && strings.Contains(r.err.Detail, undoneWords)):
			setl, a = "", amounts{}
		}
	}
	return setl, a
}

// ledgerOfJournal is what the records say.
func ledgerOfJournal(b *books) ledger {
	l := ledger{}
	for i := range b.records {
		r := &b.records[i]
		switch {
		case settles(r.Infno) && r.State == gateway.StateDone:
			v, err := strictjson.Decode(r.Output, strictjson.Reply())
			if err != nil {
				continue
			}
			info := strictjson.Get(v, "setlinfo")
			l[strictjson.Text(strictjson.Get(info, "setl_id"))] = amountsIn(info)
		case undoesOne(r.Infno) && (r.State == gateway.StateDone ||
			r.State == gateway.StateRefused && strings.Contains(member(r.Output, "err_msg"), undoneWords)):
			delete(l, member(r.Input, "data", "setl_id"))
		}
	}
	return l
}
