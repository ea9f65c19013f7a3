package flow

import (
	"context"
	"errors"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

var _ gateway.ByHand = (*Desk)(nil)

// causeByHand: people decided, with the proof that is kept beside their decision.
const causeByHand gateway.Cause = "by-hand"

const opByHand = "flow.byhand"

// hand is a record people decide about, with what belongs to it.
type hand struct {
	rec  gateway.Record
	tx   *catalog.Transaction
	inst *gateway.Institution
}

func (d *Desk) handOf(ctx context.Context, id ident.MsgID) (hand, error) {
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return hand{}, storage(opByHand, err)
	}
	h := hand{rec: rec, inst: d.opt.Institutions[rec.Institution]}
	if h.inst == nil {
		return h, &gateway.Error{Code: gateway.CodeInstitution, Op: opByHand, Ref: refOf(id)}
	}
	var ok bool
	if h.tx, ok = d.opt.Catalog.Lookup(rec.Infno); !ok {
		return h, &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: opByHand, Ref: refOf(id), Detail: string(rec.Infno)}
	}
	return h, nil
}

// takeBack gives the message that would take the record back.
func (h hand) takeBack(d *Desk, do gateway.HandAction) (Action, bool) {
	if len(h.rec.Wire) > 0 {
		return Action{}, false
	}
	q := question{rec: h.rec, tx: h.tx, cat: d.opt.Catalog, input: read(h.rec.Input), now: d.opt.Clock.Now()}
	if do == gateway.HandReverse {
		return q.reverse()
	}
	return q.undo()
}

func (h hand) choices(d *Desk) []gateway.HandChoice {
	list := []gateway.HandChoice{}
	if h.rec.State != gateway.StateParked {
		return list
	}
	for _, b := range h.tx.ByHand {
		c := gateway.HandChoice{Do: gateway.HandAction(b.Do), Proof: b.Proof, Shows: b.Shows}
		if c.Do == gateway.HandReverse || c.Do == gateway.HandUndo {
			a, ok := h.takeBack(d, c.Do)
			if !ok {
				continue
			}
			c.Sends = a.Infno
		}
		list = append(list, c)
	}
	return list
}

// HandChoices implements gateway.ByHand.
func (d *Desk) HandChoices(ctx context.Context, id ident.MsgID) (gateway.Record, []gateway.HandChoice, error) {
	h, err := d.handOf(ctx, id)
	if err != nil {
		return h.rec, nil, err
	}
	return h.rec, h.choices(d), nil
}

// HandCheck implements gateway.ByHand.
func (d *Desk) HandCheck(ctx context.Context, id ident.MsgID, want gateway.HandDecision) error {
	h, err := d.handOf(ctx, id)
	if err != nil {
		return err
	}
	_, err = d.handEvent(ctx, h, want)
	return err
}

// handEvent is the event a decision comes to; its Kind is "" when the record is to be taken back.
func (d *Desk) handEvent(ctx context.Context, h hand, want gateway.HandDecision) (gateway.Event, error) {
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: opByHand, Ref: refOf(h.rec.ID), Path: path, Rule: rule}
	}
	e := gateway.Event{At: d.opt.Clock.Now(), Cause: causeByHand, Note: want.Note}
	if h.rec.State != gateway.StateParked {
		return e, &gateway.Error{Code: gateway.CodeState, Op: opByHand, Ref: refOf(h.rec.ID), Detail: "not parked: " + string(h.rec.State)}
	}
	list := h.choices(d)
	i := slices.IndexFunc(list, func(c gateway.HandChoice) bool { return c.Do == want.Do })
	if i < 0 {
		return e, bad("/do", "this record can not be ended that way")
	}
	c := list[i]
	if len(c.Proof) > 0 && !slices.Contains(c.Proof, want.Proof) {
		return e, bad("/proof", "one of "+joined(c.Proof))
	}
	if len(c.Proof) > 0 && want.Source == "" {
		return e, bad("/source", "where the proof can be looked up again")
	}
	switch want.Do {
	case gateway.HandAbsent:
		e.Kind = gateway.EventAbsent
		return e, d.notTakenBack(ctx, h, want.Do)
	case gateway.HandAdopt:
		e.Kind = gateway.EventDone
		output := handOutput(h.tx, want.Shown)
		if !strictjson.Writable(output) {
			return e, bad("/shown", "JSON")
		}
		if err := d.handShown(h, c.Shows, output); err != nil {
			return e, err
		}
		e.Data, _ = d.kept(output)
		return e, d.notTakenBack(ctx, h, want.Do)
	}
	return e, nil
}

func joined(list []string) string {
	s := ""
	for i, x := range list {
		if i > 0 {
			s += ", "
		}
		s += x
	}
	return s
}

// handOutput is the answer a HIS would have had: what is shown whole, or put into the first node.
func handOutput(tx *catalog.Transaction, shown object) any {
	if shown == nil {
		shown = object{}
	}
	if len(tx.Output) == 0 || tx.Output[0].Name == "" {
		return shown
	}
	for _, n := range tx.Output {
		if _, whole := shown[n.Name]; whole && n.Name != "" {
			return shown
		}
	}
	if n := tx.Output[0]; n.Repeat {
		return object{n.Name: []any{shown}}
	}
	return object{tx.Output[0].Name: shown}
}

// handShown holds what the centre shows against what was sent: it must be this transaction's.
func (d *Desk) handShown(h hand, shows []string, output any) error {
	bad := func(path, rule string) error {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: opByHand, Ref: refOf(h.rec.ID), Path: path, Rule: rule}
	}
	var first object
	if len(h.tx.Output) > 0 {
		first = row(output, h.tx.Output[0].Name)
	}
	for _, name := range shows {
		if text(first[name]) == "" {
			return bad("/shown/"+name, "required")
		}
	}
	input := read(h.rec.Input)
	for _, name := range [...]string{"psn_no", "mdtrt_id"} {
		sent, got := text(member(input, h.tx.Input, name)), text(first[name])
		if sent != "" && sent != catalog.Redacted && got != "" && !same(sent, got) {
			return bad("/shown/"+name, "is another's: not what was sent")
		}
	}
	if len(shows) == 0 {
		return nil
	}
	j := job{op: opByHand, inst: h.inst, tx: h.tx, input: input}
	if doubt := d.doubt(j, h.rec.ID, wire.Reply{InfCode: "0", Output: output}); doubt != "" {
		return bad("/shown", doubt)
	}
	return nil
}

// notTakenBack makes sure that nothing which took the record back, or may have, stands against a
// decision that it was done, or that it never was.
func (d *Desk) notTakenBack(ctx context.Context, h hand, do gateway.HandAction) error {
	if do == gateway.HandAbsent {
		return nil
	}
	for _, step := range [...]string{stepReverse, stepUndo} {
		try, n, err := d.lastTry(ctx, h.rec.ID, step)
		if err != nil {
			return storage(opByHand, err)
		}
		if n == 0 {
			continue
		}
		switch standingOf(try) {
		case stands, pending:
			return &gateway.Error{Code: gateway.CodeState, Op: opByHand, Ref: refOf(h.rec.ID),
				Detail: "it was taken back, or may have been: " + string(try.ID) + " is " + string(try.State)}
		}
	}
	return nil
}

// HandEnd implements gateway.ByHand.
func (d *Desk) HandEnd(ctx context.Context, id ident.MsgID, want gateway.HandDecision, with ...gateway.Entry) (gateway.Record, error) {
	if want.Do != gateway.HandAdopt && want.Do != gateway.HandAbsent {
		return gateway.Record{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Op: opByHand, Path: "/do", Rule: "adopt, absent"}
	}
	for range 8 {
		h, err := d.handOf(ctx, id)
		if err != nil {
			return h.rec, err
		}
		e, err := d.handEvent(ctx, h, want)
		if err != nil {
			return h.rec, err
		}
		next := h.rec
		if next.Apply(e) != nil {
			return h.rec, &gateway.Error{Code: gateway.CodeState, Op: opByHand, Ref: refOf(id), Detail: string(h.rec.State)}
		}
		entry := gateway.Entry{Append: &gateway.Append{ID: id, Version: h.rec.Version, Event: e}, Class: d.class(h.rec)}
		if next.Bill == "" {
			entry.Answer = pointer(next.Request, next)
		}
		list := append(slices.Clone(with), entry)
		if news := d.news(next, e); news != nil {
			list = append(list, *news)
		}
		existing, err := d.opt.Journal.Write(ctx, list...)
		switch {
		case existing != nil:
			return h.rec, gateway.ErrConflict
		case errors.Is(err, gateway.ErrStale):
			continue
		case errors.Is(err, gateway.ErrConflict):
			return h.rec, err
		case err != nil:
			return h.rec, storage(opByHand, err)
		}
		d.log.Warn("ended by hand", "infno", string(next.Infno), "msgid", string(id), "state", string(next.State))
		d.answerLate(ctx, next)
		if len(next.Wire) > 0 {
			d.relay.behind.Store(true) // what was behind it in its visit may go on
		}
		return next, nil
	}
	return gateway.Record{}, inProgress(opByHand, refOf(id))
}

// HandTakeBack implements gateway.ByHand.
func (d *Desk) HandTakeBack(ctx context.Context, id ident.MsgID, want gateway.HandDecision, since time.Time) (gateway.HandProgress, error) {
	if !d.busy.claim(id) {
		return gateway.HandProgress{}, nil // the resolver is asking just now
	}
	defer d.busy.free(id)
	h, err := d.handOf(ctx, id)
	if err != nil {
		return gateway.HandProgress{}, err
	}
	p := gateway.HandProgress{Record: h.rec}
	switch h.rec.State {
	case gateway.StateReversed, gateway.StateAbsent:
		p.Done = true
		return p, nil
	case gateway.StateParked:
	default:
		p.Failed = "the record is " + string(h.rec.State) + " by now"
		return p, nil
	}
	a, ok := h.takeBack(d, want.Do)
	if !ok {
		p.Failed = "the message can not be made from what was kept"
		return p, nil
	}
	step := stepReverse
	if want.Do == gateway.HandUndo {
		step = stepUndo
	}
	last, attempt, err := d.lastTry(ctx, id, step)
	if err != nil {
		return p, storage(opByHand, err)
	}
	old := last.CreatedAt.Before(since)
	if attempt == 0 || standingOf(last) == free || standingOf(last) == denied && old {
		if last, err = d.sendBack(ctx, h.inst, h.rec, a, step, attempt+1); err != nil && last.ID == "" {
			return p, handSend(err)
		}
	}
	return d.handConclude(ctx, h, p, last, want.Note)
}

// handSend: what was not sent is sent another time.
func handSend(err error) error {
	var e *gateway.Error
	if errors.Is(err, errTaken) || errors.As(err, &e) && e.Code != gateway.CodeStorage {
		return nil
	}
	return storage(opByHand, err)
}

// handConclude draws the conclusion from an attempt to take a record back.
func (d *Desk) handConclude(ctx context.Context, h hand, p gateway.HandProgress, try gateway.Record, note string) (gateway.HandProgress, error) {
	p.Try = try.ID
	e := gateway.Event{Kind: gateway.EventReversed, Cause: causeByHand, Ref: try.ID, Note: note}
	switch standingOf(try) {
	case stands:
	case denied:
		msg := refused(try).ErrMsg
		nothing := contains(msg, h.inst.Region.NotFound) || contains(msg, h.inst.Region.NothingToUndo[try.Infno])
		if !nothing || h.rec.Cause == gateway.CauseMismatch {
			p.Failed = msg
			return p, nil
		}
		e.Kind = gateway.EventAbsent
	case free:
		return p, nil
	default:
		if try.State == gateway.StateParked {
			p.Failed = "what takes it back has itself no known outcome: " + string(try.ID)
		}
		return p, nil
	}
	after, err := d.end(ctx, h.rec, e)
	if err != nil {
		return p, storage(opByHand, err)
	}
	p.Record = after
	p.Done = after.State == gateway.StateReversed || after.State == gateway.StateAbsent
	if !p.Done {
		p.Failed = "the record is " + string(after.State) + " by now"
	}
	d.answerLate(ctx, after)
	return p, nil
}
