package world

import (
	"bytes"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// What is held at every moment, not only when all is over.

// given holds a new message id against the last one: unique, and never before an earlier one.
func (w *World) given(id ident.MsgID) {
	inst := id.Institution()
	if id <= w.lastGiven[inst] {
		w.violate("msgid-order", "%s was given after %s", id, w.lastGiven[inst])
	}
	w.lastGiven[inst] = id
}

// wrote notes what has become durable.
func (w *World) wrote(p *process, entries []gateway.Entry) {
	for _, e := range entries {
		if r := e.Record; r != nil {
			w.open = append(w.open, r.ID)
			w.tally.Transactions++
			w.trace("record", string(r.ID))
		}
		a := e.Append
		if a == nil {
			continue
		}
		w.trace(string(a.Event.Kind), string(a.ID)+p.name)
		switch a.Event.Kind {
		case gateway.EventUnknown:
			w.tally.Unknowns++
		case gateway.EventReversed, gateway.EventAbsent, gateway.EventParked:
			w.tally.Resolutions[string(a.Event.Kind)]++
		case gateway.EventDone:
			if a.Event.Cause != gateway.CauseNone {
				w.tally.Resolutions[string(a.Event.Cause)]++
			}
		}
	}
}

// leaves holds a message that leaves a gateway against the journal.
func (w *World) leaves(p *process, s gateway.Sealed) {
	id := s.Message.MsgID
	w.trace("send", string(id)+p.name)
	x := w.seen[id]
	if x == nil {
		x = &traffic{}
		w.seen[id] = x
	}
	x.left++
	rec, err := w.mem.Record(bg(), id)
	switch {
	case err != nil:
		w.violate("sent-before-durable", "%s %s leaves and is not in the journal", s.Message.Infno, id)
		return
	case w.more != nil && rec.Cause == gateway.CauseCrash && (rec.State == gateway.StateUnknown || rec.State == gateway.StateParked):
		// Taken over while its gateway stood still after the write. It may still leave: who took it over
		// concludes nothing before the time of a message that left late is up as well. Parked is no
		// conclusion: what comes late is noted for the person.
		w.count("sent-after-takeover")
	case w.more != nil && rec.Cause == gateway.CauseCrash && rec.State == gateway.StateAbsent && w.question(rec.Infno):
		// The same, with something that changes nothing: who takes that over need not wait for it.
		w.count("sent-after-takeover")
	case w.more != nil && len(rec.Wire) > 0 && rec.State != gateway.StatePrepared && w.takenOver(id):
		// The same, with an upload: who took it over has sent it again by now, and it may be done. The same bytes a
		// second time are harmless.
		w.count("sent-after-takeover")
	case rec.State != gateway.StateSent:
		w.violate("sent-unmarked", "%s %s leaves while the journal says %s", s.Message.Infno, id, rec.State)
	case len(rec.Wire) == 0 && rec.WireDigest != s.Digest, !bytes.Contains(s.Bytes, []byte(id)):
		w.violate("other-bytes", "%s %s leaves with other bytes than the journal has", s.Message.Infno, id)
	}
	if len(rec.Wire) == 0 && x.left > 1 {
		w.violate("sent-twice", "%s %s leaves a second time", s.Message.Infno, id)
	}
	if !settles(rec.Infno) || rec.Bill == "" {
		return
	}
	for _, before := range w.settles[rec.Bill] {
		r, err := w.mem.Record(bg(), before)
		beside := rec.Infno == "2304" && r.Step != rec.Step // one in the middle of a stay, another at its end
		if err != nil || !r.State.Final() || r.State == gateway.StateDone && !beside && w.inForce(before) {
			w.violate("settled-twice", "bill %s: %s leaves while %s is %s", rec.Bill, id, before, r.State)
		}
	}
	w.settles[rec.Bill] = append(w.settles[rec.Bill], id)
}

// takenOver reports whether another gateway has taken a record over.
func (w *World) takenOver(id ident.MsgID) bool {
	events, err := w.mem.Events(bg(), id)
	return err == nil && slices.ContainsFunc(events, func(e gateway.Event) bool {
		return e.Kind == gateway.EventUnknown && e.Cause == gateway.CauseCrash
	})
}

// question reports whether a transaction changes nothing at the centre.
func (w *World) question(n ident.Infno) bool {
	tx, ok := w.kit.catalog.Lookup(n)
	return ok && !tx.Commits
}

// inForce reports whether a settlement stands at the centre.
func (w *World) inForce(id ident.MsgID) bool {
	for _, s := range w.sim.Settlements() {
		if s.MsgID == string(id) && s.InForce() {
			return true
		}
	}
	return false
}

// arrives counts what reaches the centre.
func (w *World) arrives(s gateway.Sealed) {
	w.tally.Messages++
	w.trace("arrive", string(s.Message.MsgID))
	if x := w.seen[s.Message.MsgID]; x != nil {
		x.arrived++
	}
}

// did notes what took effect at the centre.
func (w *World) did(s gateway.Sealed) {
	x := w.seen[s.Message.MsgID]
	if x == nil {
		return
	}
	x.done++
	if x.done > 1 || s.Message.Infno[0] != '4' {
		return
	}
	if rec, err := w.mem.Record(bg(), s.Message.MsgID); err == nil {
		w.uploads[rec.Visit] = append(w.uploads[rec.Visit], rec.ID)
	}
}

// same holds the answer to a repeated request against the first one.
func (w *World) same(r *request, first, again answer) {
	a, b := first.bill, again.bill
	cash := func(s gateway.Settlement) string {
		if s.Amounts == nil {
			return ""
		}
		return s.Amounts.Cash + " " + s.Amounts.Fund + " " + s.Amounts.Account
	}
	switch {
	case first.sale.ID+first.filing.ID+again.sale.ID+again.filing.ID != "":
		w.sameCase(r, first, again)
	case a.ID != b.ID, r.op == opConfirm && (a.SettlementID != b.SettlementID || cash(a) != cash(b)):
		w.violate("answer-changed", "%s %s: was told %s %s, now %s %s", r.op, r.id, a.SettlementID, cash(a), b.SettlementID, cash(b))
	case first.stay.ID != again.stay.ID, r.op == opStayEnd && first.stay.SettlementID != again.stay.SettlementID:
		w.violate("answer-changed", "%s %s: was told %s %s, now %s %s", r.op, r.id, first.stay.ID, first.stay.SettlementID,
			again.stay.ID, again.stay.SettlementID)
	case first.tx.ID != again.tx.ID && w.more != nil && w.question(first.tx.Infno):
		// Asked by one gateway, taken over and asked again by another; the first was answered all the same.
		w.count("asked-twice")
	case first.tx.ID != again.tx.ID:
		w.violate("answer-changed", "%s %s: was told of %s, now of %s", r.op, r.id, first.tx.ID, again.tx.ID)
	}
}
