package centre

import (
	"maps"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/ledger"
)

// Outcomes of a call, as the log tells them.
const (
	Done    = "done"    // the business was done and infcode was 0
	Refused = "refused" // infcode was not 0
	Skipped = "skipped" // a fault kept the business from being done
)

// Call is one request that could be read.
type Call struct {
	At      time.Time  `json:"at"`
	Infno   string     `json:"infno"`
	MsgID   string     `json:"msgid"`
	Place   string     `json:"fixmedins_code"`
	Outcome string     `json:"outcome"`
	Message string     `json:"err_msg,omitempty"`
	Fault   fault.Kind `json:"fault,omitempty"`
}

// Count is how the calls of one transaction ended.
type Count struct {
	Done    int `json:"done"`
	Refused int `json:"refused"`
	Skipped int `json:"skipped"`
}

// callLog keeps the last calls and counts all of them.
type callLog struct {
	keep   int
	ring   []Call
	next   int
	counts map[string]Count
}

func newCallLog(keep int) callLog { return callLog{keep: max(keep, 1), counts: map[string]Count{}} }

func (l *callLog) add(c Call) {
	if len(l.ring) < l.keep {
		l.ring = append(l.ring, c)
	} else {
		l.ring[l.next] = c
		l.next = (l.next + 1) % l.keep
	}
	if len(l.counts) > 10_000 && l.counts[c.Infno] == (Count{}) {
		return
	}
	n := l.counts[c.Infno]
	switch c.Outcome {
	case Done:
		n.Done++
	case Refused:
		n.Refused++
	default:
		n.Skipped++
	}
	l.counts[c.Infno] = n
}

// Calls lists the calls, oldest first; only the last Options.KeepCalls are kept.
func (c *Centre) Calls() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.calls
	return append(append(make([]Call, 0, len(l.ring)), l.ring[l.next:]...), l.ring[:l.next]...)
}

// Counts tells by transaction number how all calls ended.
func (c *Centre) Counts() map[string]Count {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.calls.counts)
}

// CallsOf lists the kept calls with a message id, oldest first.
func (c *Centre) CallsOf(msgid string) []Call {
	var out []Call
	for _, call := range c.Calls() {
		if call.MsgID == msgid {
			out = append(out, call)
		}
	}
	return out
}

// Settlement is a settlement or the undo of one, as the centre keeps it. Amounts are in fen, those
// of an undo negative; a settlement that 2601 took back is listed with Reversed set.
type Settlement struct {
	ID       string    `json:"setl_id"`
	Visit    string    `json:"mdtrt_id"`
	Person   string    `json:"psn_no"`
	Place    string    `json:"fixmedins_code"`
	Batch    string    `json:"chrg_bchno"`
	MsgID    string    `json:"medins_setl_id"`
	Infno    string    `json:"infno"`
	Insured  string    `json:"insutype"`
	ClrType  string    `json:"clr_type"`
	ClrPlace string    `json:"clr_optins"`
	MedType  string    `json:"med_type"`
	Mid      bool      `json:"mid_stay,omitempty"` // settled in the middle of a stay
	Outside  bool      `json:"outside,omitempty"`  // invented by Outside
	At       time.Time `json:"setl_time"`
	Total    money.Fen `json:"medfee_sumamt"`
	Fund     money.Fen `json:"fund_pay_sumamt"` // without the personal account
	Account  money.Fen `json:"acct_pay"`
	Cash     money.Fen `json:"psn_cash_pay"`
	Hospital money.Fen `json:"hosp_part_amt"`
	UndoOf   string    `json:"undo_of,omitempty"`   // setl_id this one undoes
	UndoneBy string    `json:"undone_by,omitempty"` // setl_id of the undo in force
	Reversed bool      `json:"reversed"`
}

// InForce reports whether the settlement stands: neither an undo, nor undone, nor reversed.
func (s Settlement) InForce() bool { return s.UndoOf == "" && s.UndoneBy == "" && !s.Reversed }

func (s *settlement) public() Settlement {
	sign := money.Fen(1)
	out := Settlement{ID: s.id, Visit: s.visit.id, Person: s.visit.who.No, Place: s.visit.place.Code, Batch: s.batch,
		MsgID: s.msgid, Infno: s.infno, At: s.at, Reversed: s.reversed, Insured: s.visit.insutype, ClrType: string(s.visit.kind),
		ClrPlace: s.visit.place.Area, MedType: s.medType, Mid: s.mid, Outside: s.visit.outside}
	if s.undoOf != nil {
		sign, out.UndoOf = -1, s.undoOf.id
	}
	if s.undoneBy != nil {
		out.UndoneBy = s.undoneBy.id
	}
	r := s.result
	out.Total, out.Fund, out.Account, out.Cash, out.Hospital = sign*r.Total, sign*r.Fund, sign*r.Account, sign*r.Cash, sign*r.Hospital
	return out
}

// Settlements lists all settlements and undos in the order they were made.
func (c *Centre) Settlements() []Settlement {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]Settlement, len(c.state.setlOrder))
	for i, s := range c.state.setlOrder {
		out[i] = s.public()
	}
	return out
}

// Balance is what a person's account holds, in fen; false for a person the centre does not know.
func (c *Centre) Balance(psn string) (money.Fen, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.byNo[psn] == nil {
		return 0, false
	}
	return c.state.balance(psn), true
}

// Ledger lists the accounts with a balance, sorted.
func (c *Centre) Ledger() []ledger.Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.book.Accounts()
}

// Check proves the ledger, and that it agrees with the settlements in force.
func (c *Centre) Check() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.state.book.Check(); err != nil {
		return err
	}
	var earned money.Fen
	for _, s := range c.state.setlOrder {
		if s.inForce() {
			earned += s.result.Total
		}
	}
	if c.state.book.Totals()[ledger.Hospital] != earned {
		return ledger.ErrBroken
	}
	return nil
}

// Faults is the script in use.
func (c *Centre) Faults() *fault.Script { return c.opt.Faults }
