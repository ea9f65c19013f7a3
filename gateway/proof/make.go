package proof

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// Making says what a pack is made from. All but Full are required.
type Making struct {
	Journal *journal.Journal
	DB      *store.DB
	Audit   *audit.Log // as the journal's own; see audit.Reader
	SM3     func(...[]byte) [32]byte
	Signer  keys.Private // the key of the audit record
	Rand    io.Reader
	Now     time.Time
	By      string // who asks for it
	Program string
	Full    bool // with bodies; otherwise masked
}

// Make makes the pack of a bill or stay, or of a single transaction by its message id; the id of a transaction
// of a bill gives that bill. Errors: gateway.ErrNotFound; gateway.ErrExpired when a body was destroyed in
// its time; audit.ErrNotNoted for what is older than the record or was changed since; audit.ErrNotSigned for
// what no head reaches yet: repeat it in a minute.
func Make(ctx context.Context, subject string, o Making) (*Pack, error) {
	g := &gathering{ctx: ctx, o: o, have: map[string]bool{}, body: o.Full}
	bill := subject
	if rec, err := o.Journal.Record(ctx, ident.MsgID(subject)); err == nil {
		if bill = rec.Bill; bill == "" {
			err = g.record(rec)
		} else {
			subject = bill
		}
		if err != nil {
			return nil, err
		}
	} else if !errors.Is(err, gateway.ErrNotFound) {
		return nil, err
	}
	if bill != "" {
		if err := g.bill(bill); err != nil {
			return nil, err
		}
	}
	p := &Pack{Format: format, Form: Masked, Subject: subject, MadeAt: o.Now.In(gateway.China).Truncate(time.Millisecond), MadeBy: o.By, Program: o.Program, Items: []Item{}}
	if o.Full {
		p.Form = Full
	} else {
		p.Amounts = g.amounts
	}
	if len(g.shown) == 0 {
		return nil, fmt.Errorf("%w: %s", gateway.ErrNotFound, subject)
	}
	lines := make([]string, 0, len(g.shown))
	for _, s := range g.shown {
		lines = append(lines, s.Line)
	}
	places, err := audit.Prove(ctx, o.DB, o.SM3, lines, g.near)
	if err != nil {
		return nil, err
	}
	p.Entries, p.Heads = places.Places, places.Heads
	for i, s := range g.shown {
		p.Items = append(p.Items, Item{Shown: s, Entry: places.At[i]})
	}
	if p.Summary, err = summarise(p.Items); err != nil {
		return nil, err
	}
	return p, p.sign(o.Signer, o.Rand)
}

// gathering collects what belongs to a subject, in the order it is told.
type gathering struct {
	ctx     context.Context
	o       Making
	body    bool
	have    map[string]bool
	shown   []audit.Shown
	near    []time.Time
	amounts []Amounts
}

func (g *gathering) add(at time.Time, e gateway.Entry) {
	for _, s := range g.o.Audit.Show(&e, g.body) {
		g.shown, g.near = append(g.shown, s), append(g.near, at)
	}
}

func (g *gathering) bill(id string) error {
	b, err := g.o.Journal.Bill(g.ctx, id)
	if err != nil {
		return err
	}
	g.add(b.CreatedAt, gateway.Entry{Bill: &b})
	recs, err := g.o.Journal.BillRecords(g.ctx, id)
	if err != nil {
		return err
	}
	for _, rec := range recs {
		if err := g.record(rec); err != nil {
			return err
		}
	}
	return nil
}

// record takes a transaction, the request it was made for, and those it was resolved by.
func (g *gathering) record(rec gateway.Record) error {
	if g.have[string(rec.ID)] {
		return nil
	}
	g.have[string(rec.ID)] = true
	if err := g.request(rec.Request); err != nil {
		return err
	}
	events, err := g.o.Journal.Events(g.ctx, rec.ID)
	if err != nil {
		return err
	}
	// As it was written: queued ones wait, the others were sent in the same breath.
	first := rec
	first.State = gateway.StateSent
	if len(rec.Wire) > 0 {
		first.State = gateway.StatePrepared
	}
	g.add(rec.CreatedAt, gateway.Entry{Record: &first})
	var others []ident.MsgID
	for i, e := range events {
		if i == 0 && first.State == gateway.StateSent {
			continue // told with the record
		}
		g.add(e.At, gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: e.Seq - 1, Event: e}})
		if top, ok := read(e.Data).(map[string]any); ok && e.Kind == gateway.EventDone {
			if info := settlement(top); info != nil {
				text := func(name string) string { return strictjson.Text(info[name]) }
				g.amounts = append(g.amounts, Amounts{string(rec.ID), text("medfee_sumamt"), text("fund_pay_sumamt"), text("acct_pay"), text("psn_cash_pay")})
			}
		}
		if e.Ref != "" && e.Ref != rec.ID {
			others = append(others, e.Ref)
		}
	}
	for _, id := range others {
		other, err := g.o.Journal.Record(g.ctx, id)
		if errors.Is(err, gateway.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := g.record(other); err != nil {
			return err
		}
	}
	return nil
}

func (g *gathering) request(k gateway.RequestKey) error {
	name := k.System + "\x00" + k.ID
	if k.ID == "" || g.have[name] {
		return nil
	}
	g.have[name] = true
	r, err := g.o.Journal.Request(g.ctx, k)
	if err != nil {
		return err
	}
	answer, at := r.Answer, r.AnsweredAt
	r.Answer = nil
	g.add(r.CreatedAt, gateway.Entry{Request: &r})
	if len(answer) > 0 {
		g.add(at, gateway.Entry{Answer: &gateway.Answer{Key: k, Body: answer, At: at}})
	}
	return nil
}
