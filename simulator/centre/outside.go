package centre

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
)

// Errors of what the control port does behind the interface's back.
var (
	ErrNoPlace      = errors.New("simulated centre: no such institution")
	ErrNoPerson     = errors.New("simulated centre: no such person, or not insured")
	ErrNoSettlement = errors.New("simulated centre: no such settlement")
	ErrNotInForce   = errors.New("simulated centre: the settlement does not stand, or can not come back")
	ErrAmount       = errors.New("simulated centre: the amount is out of range")
	ErrClrType      = errors.New("simulated centre: clr_type is none of 11, 21, 41")
)

// OutsideTrade is a settlement made outside the gateway: at another window, by a library of the
// province, on a phone. Its whole amount is in the range of the policy.
type OutsideTrade struct {
	Place      string    `json:"fixmedins_code"`
	Person     string    `json:"psn_no"`
	ClrType    string    `json:"clr_type"` // 11, 21 or 41; "" is 11
	Total      money.Fen `json:"medfee_sumamt"`
	UseAccount bool      `json:"acct_used"`
	At         time.Time `json:"setl_time"` // zero: now
}

// Outside makes a settlement nobody asked for through the handler. It is computed, booked, answered
// by 5203 and counted by 3201 like any other.
func (c *Centre) Outside(o OutsideTrade) (Settlement, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place, ok := c.places[o.Place]
	if !ok {
		return Settlement{}, ErrNoPlace
	}
	p := c.state.byNo[o.Person]
	if p == nil || len(p.Insurances) == 0 || covered(p, p.Insurances[0].Type) != nil {
		return Settlement{}, ErrNoPerson
	}
	v := &visit{kind: kind(o.ClrType), insutype: p.Insurances[0].Type, who: p, place: place, outside: true}
	infno, medType := ident.Infno("2207"), "11"
	switch v.kind {
	case "":
		v.kind = outpatient
	case outpatient:
	case inpatient:
		infno, medType = "2304", "21"
	case pharmacy:
		infno, medType = "2102", "41"
	default:
		return Settlement{}, ErrClrType
	}
	if o.Total <= 0 || o.Total > money.MaxFen/1000 {
		return Settlement{}, ErrAmount
	}
	at := o.At
	if at.IsZero() {
		at = c.opt.Now()
	}
	at = at.In(china())
	v.in = object{"begntime": at.Format(time.DateTime), "ipt_otp_no": "OUTSIDE", "ipt_no": "OUTSIDE", "mdtrt_cert_type": "02",
		"endtime": at.Format(time.DateTime)}
	v.info = object{"med_type": medType, "begntime": v.in["begntime"], "ipt_no": "OUTSIDE"}
	if v.kind == inpatient {
		v.discharge = v.in
	}
	f := c.facts(v, at.Year())
	f.UseAccount = o.UseAccount
	if v.kind == inpatient {
		f.Again, f.Charged = v.deductibleSoFar(at.Year())
	}
	result, err := policy.Settle(policy.Bill{Total: o.Total, Scope: o.Total}, f)
	if err != nil {
		return Settlement{}, ErrAmount
	}
	msgid, ok := c.state.freeMessage(place.Code, at)
	if !ok {
		return Settlement{}, ErrAmount
	}
	s := &settlement{visit: v, batch: "OUTSIDE", msgid: msgid, infno: string(infno), at: at, certType: "02", medType: medType,
		operator: "OUTSIDE", exit: v.kind == inpatient, again: f.Again, result: result, uses: result.Uses(v.insutype), after: result.Balance}
	if err := c.stand(s, at); err != nil {
		return Settlement{}, ErrAmount
	}
	c.admit(&call{who: p, place: place, now: at}, v)
	c.state.byMsg[msgid] = &entry{infno: infno, place: place.Code, psn: p.No, setl: s}
	return s.public(), nil
}

// freeMessage finds a message id of a second that nobody used, from its end.
func (s *state) freeMessage(place string, at time.Time) (string, bool) {
	for n := 9999; n >= 0; n-- {
		id := place + at.Format("20060102150405") + fmt.Sprintf("%04d", n)
		if s.byMsg[id] == nil {
			return id, true
		}
	}
	return "", false
}

// Drop makes the centre forget a settlement or an undo: it is nowhere to be found, its message id
// included, and its posting is taken back.
func (c *Centre) Drop(setlID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state.settlements[setlID]
	if s == nil || s.reversed {
		return ErrNoSettlement
	}
	var err error
	switch {
	case s.undoOf != nil:
		if err = canReturn(s); err == nil {
			err = c.bringBack(s, setlID, "drop")
		}
	case s.undoneBy != nil:
		err = ErrNotInForce
	default:
		err = c.takeBack(s, setlID, "drop")
	}
	if err != nil {
		return ErrNotInForce
	}
	delete(c.state.byMsg, s.msgid)
	return nil
}

// Alter changes the amount of a settlement in force: by fen more (or less) of the bill, all of it
// borne by the pooled fund. Its rows stay as they were.
func (c *Centre) Alter(setlID string, by money.Fen) (Settlement, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.state.settlements[setlID]
	if s == nil || s.reversed {
		return Settlement{}, ErrNoSettlement
	}
	if !s.inForce() {
		return Settlement{}, ErrNotInForce
	}
	old, r := *s, s.result
	if by > money.MaxFen/1000 || by < -money.MaxFen/1000 || r.Pool+by < 0 || r.Scope+by < 0 || r.Total+by > money.MaxFen/10 {
		return Settlement{}, ErrAmount
	}
	r.Total, r.Scope, r.Pool, r.Fund = r.Total+by, r.Scope+by, r.Pool+by, r.Fund+by
	s.result = r
	s.uses = r.Uses(s.visit.insutype)
	posting := s.book()
	if c.state.book.Post(old.posting.Negated(setlID, "alter")) != nil {
		*s = old
		return Settlement{}, ErrAmount
	}
	if err := c.state.book.Post(posting); err != nil {
		*s = old
		return Settlement{}, errors.Join(ErrAmount, c.state.book.Post(old.posting))
	}
	s.posting = posting
	diff := people.Used{Type: s.uses.Type, Pool: s.uses.Pool - old.uses.Pool, StayPool: s.uses.StayPool - old.uses.StayPool}
	s.visit.who.use(diff, s.at.Year(), 1)
	return s.public(), nil
}

// tamper serves POST /control/outside, /control/drop and /control/alter.
func (c *Centre) tamper(w http.ResponseWriter, r *http.Request) {
	var in struct {
		OutsideTrade
		ID string    `json:"setl_id"`
		By money.Fen `json:"by"`
	}
	d := json.NewDecoder(io.LimitReader(r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		give(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	var s Settlement
	var err error
	switch r.URL.Path {
	case "/control/outside":
		s, err = c.Outside(in.OutsideTrade)
	case "/control/drop":
		err = c.Drop(in.ID)
	default:
		s, err = c.Alter(in.ID, in.By)
	}
	if err != nil {
		give(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	if s.ID == "" {
		give(w, http.StatusOK, map[string]string{"dropped": in.ID})
		return
	}
	give(w, http.StatusOK, s)
}
