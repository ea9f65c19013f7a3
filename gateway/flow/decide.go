package flow

import (
	"encoding/json"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// Doing is what to do next about a record whose outcome is unknown.
type Doing string

const (
	DoNothing  Doing = ""         // it is final, parked, or not the resolver's
	DoAsk      Doing = "ask"      // send Infno with Input and look for the record in the reply
	DoReverse  Doing = "reverse"  // send 2601 with Input
	DoUndo     Doing = "undo"     // send Infno with Input
	DoAbsent   Doing = "absent"   // it is proved, or harmless, that it did not happen
	DoPark     Doing = "park"     // a person decides
	DoReversed Doing = "reversed" // the reversal Ref took effect: it is proved
)

// Action is one step of resolving. Nothing is to be done before At.
type Action struct {
	Do    Doing
	At    time.Time
	Infno ident.Infno
	Input any
	Ask   *catalog.Ask
	Ref   ident.MsgID
	Note  string // for people, kept with the event
}

// finding is the Data of an EventAsked: what a question, or an attempt to reverse, brought.
type finding struct {
	Result string `json:"result"`
}

const (
	foundNone    = "none"    // asked after the centre's time was up, and it is not there
	foundEarly   = "early"   // not there, but the centre may still be working on it
	foundUnclear = "unclear" // the centre answered the question, and it says neither
	foundUntold  = "untold"  // a reversal was sent, and nobody knows what became of it
	foundFailed  = "failed"  // the question was not answered at all
	foundIt      = "found"   // there; never kept, the record is done then
)

const (
	infnoReverse ident.Infno = "2601"

	noteHarmless = "changes nothing at the centre"
	noteAbsent   = "asked after the time limit and the grace: not there"
	noteResend   = "the same again is harmless"
	notePark     = "no remedy of the table can be used: a person decides"
)

// Decide tells the next step for a record from its history, the catalogue and the region. It is
// pure: what it says depends on its arguments alone, so it can be asked again after a crash.
//
// A settlement that can be asked for is never reversed before the centre has said that it is not
// there: a question that is not answered is asked again, less and less often, for as long as it takes.
//
// Three rules keep it honest. Silence proves nothing before the time limit and the grace have
// passed since the message was sent. A verified reply that contradicted what we sent (mismatch)
// proves that the centre did something, so "not there" does not count as absent then. An undo by
// its own transaction is only ours to make when the gateway owns the order of calls (a bill):
// a HIS that drives its own ladder may have gone on by then.
func Decide(rec gateway.Record, events []gateway.Event, cat *catalog.Catalog, region *gateway.Region, now time.Time, t Timing) Action {
	t = t.filled()
	if rec.State == gateway.StateParked && len(rec.Wire) == 0 {
		return decideParked(rec, events, cat, region, now, t)
	}
	if rec.State != gateway.StateUnknown || len(rec.Wire) > 0 {
		return Action{}
	}
	tx, ok := cat.Lookup(rec.Infno)
	if !ok {
		return Action{Do: DoPark, Note: "transaction is no longer in the tables"}
	}
	if !tx.Commits {
		return Action{Do: DoAbsent, Note: noteHarmless}
	}
	h := readHistory(rec, events)
	q := question{rec: rec, tx: tx, cat: cat, input: read(rec.Input), now: now}
	settled := t.settled(tx.Limit, h.sent)
	unheard := false // it can be asked for, and the centre's answers say nothing
	for _, remedy := range tx.Remedies {
		switch remedy {
		case catalog.RemedyAsk:
			if h.none && !h.mismatch {
				return Action{Do: DoAbsent, Note: noteAbsent}
			}
			a, can := q.ask(region)
			if h.none || !can {
				continue
			}
			if h.unclear < t.AskTries {
				a.At = h.next(t, rec.ID)
				return a
			}
			unheard = true
		case catalog.RemedyReverse:
			if unheard {
				continue
			}
			if a, ok := q.reverse(); ok {
				a.At = later(settled, h.next(t, rec.ID))
				return a
			}
		case catalog.RemedyUndo:
			if rec.Bill == "" {
				continue
			}
			if a, ok := q.undo(); ok {
				a.At = later(settled, h.next(t, rec.ID))
				return a
			}
		case catalog.RemedyResend:
			if !h.mismatch {
				return Action{Do: DoAbsent, At: settled, Note: noteResend}
			}
		case catalog.RemedyPark:
			return Action{Do: DoPark, Note: notePark}
		}
	}
	return Action{Do: DoPark, Note: notePark}
}

// parkedPace is how much slower than a record that is being found out a parked one is asked for.
const parkedPace = 12

// decideParked goes on asking for what a person is to decide: that harms nothing, and may save the
// person the work. What is found ends it. What is not there ends it too, when its time is up since
// it was parked and nothing says that the centre did something.
func decideParked(rec gateway.Record, events []gateway.Event, cat *catalog.Catalog, region *gateway.Region, now time.Time, t Timing) Action {
	tx, ok := cat.Lookup(rec.Infno)
	if !ok {
		return Action{}
	}
	h := readHistory(rec, events)
	switch {
	case h.none && h.untold != "":
		return Action{Do: DoReversed, Ref: h.untold, Note: noteAbsent}
	case h.none && !h.mismatch:
		return Action{Do: DoAbsent, Note: noteAbsent}
	}
	q := question{rec: rec, tx: tx, cat: cat, input: read(rec.Input), now: now}
	a, ok := q.ask(region)
	if !ok {
		return Action{}
	}
	a.At = later(h.parked, h.lastAsk).Add(pause(t.AskMost, parkedPace*t.AskMost, h.asksParked, rec.ID))
	return a
}

// history is what the events of a record say that matters here.
type history struct {
	sent     time.Time
	asks     int
	lastAsk  time.Time
	unclear  int // answers that said neither
	none     bool
	mismatch bool

	parked     time.Time
	asksParked int
	untold     ident.MsgID // the reversal whose own outcome is not known
}

func resultOf(e gateway.Event) string {
	var f finding
	if json.Unmarshal(e.Data, &f) != nil {
		return ""
	}
	return f.Result
}

func readHistory(rec gateway.Record, events []gateway.Event) history {
	h := history{sent: rec.CreatedAt}
	for _, e := range events {
		switch e.Kind {
		case gateway.EventSent:
			h.sent = e.At
		case gateway.EventUnknown:
			h.mismatch = h.mismatch || e.Cause == gateway.CauseMismatch
		case gateway.EventAsked:
			h.asks++
			h.lastAsk = e.At
			if !h.parked.IsZero() {
				h.asksParked++
			}
			switch resultOf(e) {
			case foundNone:
				h.none = true
			case foundUnclear:
				h.unclear++
			}
		case gateway.EventParked:
			h.parked, h.none = e.At, false
			if resultOf(e) == foundUntold {
				h.untold = e.Ref
			}
		}
	}
	return h
}

// since is when the last message left that can change what a question finds.
func (h history) since() time.Time { return later(h.sent, h.parked) }

// next is when another question may be asked.
func (h history) next(t Timing, id ident.MsgID) time.Time {
	if h.asks == 0 {
		return time.Time{}
	}
	return h.lastAsk.Add(pause(t.AskEvery, t.AskMost, h.asks-1, id))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// question builds messages about a record from what is kept of it.
type question struct {
	rec   gateway.Record
	tx    *catalog.Transaction
	cat   *catalog.Catalog
	input any
	now   time.Time
}

// ask gives the first question the region answers and whose members we have.
func (q question) ask(region *gateway.Region) (Action, bool) {
	for i := range q.tx.Asks {
		a := &q.tx.Asks[i]
		if a.Needs != "" && !region.Can(a.Needs) {
			continue
		}
		asked, ok := q.cat.Lookup(a.Infno)
		if !ok {
			continue
		}
		body, ok := q.body(a, asked)
		if !ok {
			continue
		}
		var input any = body
		if a.Send != "" {
			input = object{a.Send: body}
		}
		return Action{Do: DoAsk, Infno: a.Infno, Input: input, Ask: a}, true
	}
	return Action{}, false
}

func (q question) body(a *catalog.Ask, asked *catalog.Transaction) (object, bool) {
	body := object{}
	for name, source := range a.By {
		v, ok := q.value(source, typeOf(asked, a.Send, name))
		if !ok {
			return nil, false
		}
		body[name] = v
	}
	return body, true
}

// typeOf is the type of a member of an input node, "" when the table does not say.
func typeOf(tx *catalog.Transaction, node, code string) string {
	for _, n := range tx.Input {
		if n.Name != node {
			continue
		}
		for _, f := range n.Fields {
			if f.Code == code {
				return f.Type
			}
		}
	}
	return ""
}

// value is what a source of Ask.By or Ask.Match stands for; false when we do not have it.
func (q question) value(source, kind string) (string, bool) {
	switch {
	case source == catalog.SourceMsgID:
		return string(q.rec.ID), true
	case source == catalog.SourceDay:
		return dayOf(q.rec.CreatedAt.Add(-clocksApart), kind, " 00:00:00"), true
	case source == catalog.SourceUntil:
		return dayOf(q.now.Add(clocksApart), kind, " 23:59:59"), true
	case len(source) > 0 && source[:1] == catalog.LiteralStart:
		return source[1:], true
	}
	v := text(member(q.input, q.tx.Input, source))
	return v, v != "" && v != catalog.Redacted
}

// clocksApart is how wrong our clock may be for what a period is asked about to lie in it, at midnight too.
const clocksApart = time.Hour

func dayOf(t time.Time, kind, second string) string {
	day := t.In(gateway.China).Format(time.DateOnly)
	if kind == "datetime" {
		day += second
	}
	return day
}

// reverse gives the 2601 for the record.
func (q question) reverse() (Action, bool) {
	person := text(member(q.input, q.tx.Input, "psn_no"))
	if !q.tx.Reversible || person == "" || person == catalog.Redacted {
		return Action{}, false
	}
	return Action{Do: DoReverse, Infno: infnoReverse, Input: object{"data": object{
		"psn_no": person, "omsgid": string(q.rec.ID), "oinfno": string(q.rec.Infno),
	}}}, true
}

// undo gives the record's own undo when every required member of it is in the original input.
func (q question) undo() (Action, bool) {
	undo, ok := q.cat.Lookup(q.tx.Undo)
	if !ok || len(undo.Input) == 0 {
		return Action{}, false
	}
	input := object{}
	for _, n := range undo.Input {
		if n.Name == "" || n.Parent != "" {
			return Action{}, false
		}
		if !n.Repeat {
			body, ok := undoBody(n, func(code string) any { return member(q.input, q.tx.Input, code) })
			if !ok {
				return Action{}, false
			}
			input[n.Name] = body
			continue
		}
		list, ok := q.undoRows(n)
		if !ok {
			return Action{}, false
		}
		input[n.Name] = list
	}
	return Action{Do: DoUndo, Infno: undo.Infno, Input: input}, true
}

// undoRows is a list of an undo: one row for each row of the list that was sent.
func (q question) undoRows(n catalog.Node) ([]any, bool) {
	var list []any
	for _, sent := range q.tx.Input {
		if !sent.Repeat {
			continue
		}
		for _, r := range rows(q.input, sent.Name) {
			body, ok := undoBody(n, func(code string) any { return r[code] })
			if !ok {
				return nil, false
			}
			list = append(list, body)
		}
	}
	return list, len(list) > 0
}

// undoBody takes the members of an undo's node; false when a required one is not there.
func undoBody(n catalog.Node, value func(code string) any) (object, bool) {
	body := object{}
	for _, f := range n.Fields {
		v := text(value(f.Code))
		switch {
		case v != "" && v != catalog.Redacted:
			body[f.Code] = v
		case f.Required == catalog.Always:
			return nil, false
		}
	}
	return body, true
}

// found lists the rows of the reply to a question in which every member of Match has the value it
// should.
func (q question) found(a *catalog.Ask, output any) []object {
	if len(a.Match) == 0 {
		return nil
	}
	var list []object
	for _, r := range rows(output, a.Node) {
		if q.matches(a, r) {
			list = append(list, r)
		}
	}
	return list
}

func (q question) matches(a *catalog.Ask, r object) bool {
	for name, source := range a.Match {
		want, ok := q.value(source, "")
		if !ok || !same(want, text(r[name])) {
			return false
		}
	}
	return true
}
