package world

import (
	"bytes"
	"slices"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	simcentre "yiqiao/simulator/centre"
)

// What is held when all is over.

// books is everything that is compared at the end.
type books struct {
	records  []gateway.Record
	byID     map[ident.MsgID]*gateway.Record
	centre   []simcentre.Settlement
	parked   map[string]bool // bills, requests and visits a person must look at
	inForce  map[string]*simcentre.Settlement
	bySettle map[string]*simcentre.Settlement // by setl_id
}

// verify compares the books of everybody.
func (w *World) verify() {
	b, ok := w.collect()
	if !ok {
		return
	}
	if err := w.sim.Check(); err != nil {
		w.violate("centre-ledger", "%v", err)
	}
	for i := range b.records {
		w.record(&b.records[i])
	}
	for _, r := range unfinished(b.records) {
		w.violate("never-ended", "%s %s is %s in the end", r.Infno, r.ID, r.State)
	}
	w.settlements(b)
	for _, c := range w.cashiers {
		for _, x := range c.bills {
			if x.paper == nil {
				w.tally.Bills++
			}
			w.requests(b, x)
			w.view(b, x)
		}
	}
	w.filings(b)
	w.ledgers(b)
	w.uploaded(b)
	w.invoiced(b)
}

// collect reads the journal and the centre.
func (w *World) collect() (*books, bool) {
	b := &books{byID: map[ident.MsgID]*gateway.Record{}, parked: map[string]bool{},
		inForce: map[string]*simcentre.Settlement{}, bySettle: map[string]*simcentre.Settlement{}, centre: w.sim.Settlements()}
	q := gateway.Query{Limit: 10_000}
	for {
		list, err := w.mem.List(bg(), q)
		if err != nil {
			w.broken("the journal can not be read: " + err.Error())
			return nil, false
		}
		b.records = append(b.records, list...)
		if len(list) < q.Limit {
			break
		}
		q.After = list[len(list)-1].ID
	}
	for i := range b.records {
		r := &b.records[i]
		b.byID[r.ID] = r
		if r.State == gateway.StateParked && len(r.Wire) == 0 {
			b.parked[r.Bill], b.parked[r.Request.ID], b.parked[member(r.Input, "data", "mdtrt_id")] = true, true, true
		}
	}
	delete(b.parked, "")
	for i := range b.centre {
		s := &b.centre[i]
		b.bySettle[s.ID] = s
		if s.InForce() {
			b.inForce[s.ID] = s
		}
	}
	return b, true
}

// byMsgID is the record of a message, nil when there is none.
func (b *books) byMsgID(id string) *gateway.Record { return b.byID[ident.MsgID(id)] }

// member is a text in a kept body.
func member(body []byte, path ...string) string {
	v, err := strictjson.Decode(body, strictjson.Reply())
	if err != nil {
		return ""
	}
	return strictjson.Text(strictjson.Get(v, path...))
}

// record holds one record against its history and against what the centre did.
func (w *World) record(r *gateway.Record) {
	events, err := w.mem.Events(bg(), r.ID)
	if err != nil {
		w.violate("journal", "%s: %v", r.ID, err)
		return
	}
	folded := *r
	folded.State, folded.Version, folded.Cause, folded.Output = gateway.StatePrepared, 0, gateway.CauseNone, nil
	for i, e := range events {
		if e.Seq != i+1 || folded.Apply(e) != nil {
			w.violate("journal-fold", "%s: event %d (%s) can not follow", r.ID, e.Seq, e.Kind)
			return
		}
	}
	if folded.State != r.State || folded.Version != r.Version || folded.Cause != r.Cause || !bytes.Equal(folded.Output, r.Output) {
		w.violate("journal-fold", "%s is %s, its events say %s", r.ID, r.State, folded.State)
	}
	did := w.seen[r.ID] != nil && w.seen[r.ID].done > 0
	switch {
	case r.State == gateway.StateRefused && did:
		w.violate("refused-though-done", "%s %s: the journal says refused (%s), the centre did it", r.Infno, r.ID, r.Cause)
	case r.State == gateway.StateDone && !did && !undoesOne(r.Infno): // whoever undid it, it is undone
		w.violate("done-though-not", "%s %s: the journal says done, the centre did not do it", r.Infno, r.ID)
	case r.State == gateway.StateParked && !evidence(events):
		w.violate("parked-bare", "%s %s is parked and nothing says why", r.Infno, r.ID)
	}
}

// evidence: a person who finds a parked record can read what was unknown and why nothing helped.
func evidence(events []gateway.Event) bool {
	unknown := slices.ContainsFunc(events, func(e gateway.Event) bool { return e.Kind == gateway.EventUnknown && e.Cause != "" })
	reason := slices.ContainsFunc(events, func(e gateway.Event) bool { return e.Kind == gateway.EventParked && e.Note != "" })
	return unknown && reason
}

// settlements holds every settlement of the centre against the journal.
func (w *World) settlements(b *books) {
	standing := map[string]ident.MsgID{}
	for i := range b.centre {
		s := &b.centre[i]
		r := b.byID[ident.MsgID(s.MsgID)]
		if r == nil {
			w.violate("unknown-to-journal", "the centre has %s, the journal no record of it", s.MsgID)
			continue
		}
		if s.UndoOf != "" || r.State == gateway.StateParked {
			continue
		}
		switch {
		case s.Reversed && r.State != gateway.StateReversed && r.State != gateway.StateAbsent:
			w.violate("reversed-unknown", "%s is reversed at the centre and %s here", s.MsgID, r.State)
		case s.InForce() && r.State != gateway.StateDone:
			w.violate("one-sided", "%s is in force at the centre and %s here", s.MsgID, r.State)
		}
		if !s.InForce() {
			continue
		}
		w.tally.Settled++
		key := r.Bill
		if key == "" {
			key = s.Visit
		}
		if s.Mid {
			key += " " + r.Step
		}
		if other, twice := standing[key]; twice {
			w.violate("two-in-force", "%s: %s and %s", key, other, r.ID)
		}
		standing[key] = r.ID
	}
}

// requests: whatever was answered stands in the journal, and everything was answered in the end.
func (w *World) requests(b *books, x *bill) {
	for _, r := range x.requests {
		parked := b.parked[x.id] || b.parked[r.id] || x.ladder != nil && b.parked[x.ladder.visit]
		if !r.ended() {
			if !parked && r.sent > 0 {
				w.violate("never-answered", "%s %s was never answered for good", r.op, r.id)
			}
			continue
		}
		if r.told == nil {
			w.refusal(b, r)
			continue
		}
		if r.op == opInvoice {
			continue // not in the journal but in the book of bills
		}
		kept, err := w.mem.Request(bg(), gateway.RequestKey{System: x.c.caller.System, ID: r.id})
		switch {
		case err != nil:
			w.violate("accepted-lost", "%s %s was answered and the journal has nothing of it", r.op, r.id)
		case len(kept.Answer) == 0 && r.op != opOpen && r.op != opUpload && !(opens(r.op) && parked):
			w.violate("answer-not-kept", "%s %s was answered and the answer is not kept", r.op, r.id)
		}
	}
}

// refusal: who was told "refused" may rely on it that nothing stands.
func (w *World) refusal(b *books, r *request) {
	if r.err.Code != gateway.CodeCentreRefused || r.op == opRefund || r.op == opStayBack {
		return
	}
	for i := range b.centre {
		s := &b.centre[i]
		if rec := b.byID[ident.MsgID(s.MsgID)]; s.InForce() && rec != nil && rec.Request.ID == r.id {
			w.violate("told-refused", "%s %s was told refused, %s is in force", r.op, r.id, s.MsgID)
		}
	}
}

// view holds what the gateway says of a bill against the centre.
func (w *World) view(b *books, x *bill) {
	p := w.procs[0]
	if x.id == "" || x.byHand || b.parked[x.id] || p.desk == nil {
		return
	}
	switch {
	case x.stay != nil:
		w.viewStay(b, x, p.desk)
		return
	case x.sale != nil:
		w.viewSale(b, x, p.desk)
		return
	case x.paper != nil: // see filings
		return
	}
	s, err := p.desk.Settlement(bg(), x.c.caller, x.id)
	if err != nil {
		w.violate("no-view", "%s: %v", x.id, err)
		return
	}
	var stands *simcentre.Settlement
	for i := range b.centre {
		y := &b.centre[i]
		if r := b.byID[ident.MsgID(y.MsgID)]; y.InForce() && r != nil && r.Bill == x.id {
			stands = y
		}
	}
	switch {
	case stands == nil && s.State == gateway.BillSettled:
		w.violate("told-settled", "%s is settled here and not at the centre", x.id)
	case stands != nil && s.State != gateway.BillSettled:
		w.violate("told-not-settled", "%s is %s here and in force at the centre", x.id, s.State)
	case stands != nil && (s.SettlementID != ident.Settlement(stands.ID) || s.Amounts == nil || amountsOf(s.Amounts) != atCentre(stands)):
		w.violate("amounts", "%s: %s here, %s at the centre", x.id, amountsText(s.Amounts), atCentre(stands))
	case s.Unknown:
		w.violate("still-unknown", "%s says its outcome is unknown", x.id)
	}
}

// uploaded: every accepted upload took effect, in the order of its visit.
func (w *World) uploaded(b *books) {
	place := map[ident.MsgID]int{}
	for i := range b.records {
		r := &b.records[i]
		place[r.ID] = i
		if len(r.Wire) == 0 {
			continue
		}
		w.tally.Uploads++
		if r.State == gateway.StateRefused {
			w.tally.UploadsRefused[string(r.Cause)]++
		}
		if x := w.seen[r.ID]; r.State == gateway.StateDone && (x == nil || x.done == 0) {
			w.violate("upload-lost", "%s %s", r.Infno, r.ID)
		}
	}
	for _, visit := range sorted(w.uploads) {
		list := w.uploads[visit]
		if visit != "" && !slices.IsSortedFunc(list, func(a, b ident.MsgID) int { return place[a] - place[b] }) {
			w.violate("upload-order", "visit %s: %s", visit, strings.Join(texts(list), " "))
		}
	}
}

func texts(list []ident.MsgID) []string {
	out := make([]string, len(list))
	for i, id := range list {
		out[i] = string(id)
	}
	return out
}
