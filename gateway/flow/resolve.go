package flow

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

const (
	stepAsk     = "ask"
	stepReverse = "reverse"
	stepUndo    = "undo"
)

// areaOf is the area of insurance a record was sent with; see keptInput.
func areaOf(rec gateway.Record) string {
	top, _ := read(rec.Input).(object)
	return text(top[areaMember])
}

// resolve takes the next step for every unknown record whose time has come, as many at once as there
// are workers. It returns when the last has been started.
func (d *Desk) resolve(ctx context.Context) error {
	d.giveBack(ctx)
	recs, err := d.listAll(ctx, gateway.Query{States: []gateway.State{gateway.StateUnknown, gateway.StateParked}, Direct: true, Brief: true})
	if err != nil {
		return err
	}
	aside, err := d.listAll(ctx, gateway.Query{States: []gateway.State{gateway.StateParked}, Queued: true, Brief: true})
	if err != nil {
		return err
	}
	now := d.opt.Clock.Now()
	d.forgetLooks(recs)
	d.count(recs, aside)
	var due []ident.MsgID
	for _, rec := range recs {
		if !now.Before(d.lookAt(rec.ID)) && !d.busy.has(rec.ID) {
			due = append(due, rec.ID)
		}
	}
	for some := range slices.Chunk(due, 4*d.opt.Workers) {
		taken, err := d.claim(ctx, some)
		if err != nil {
			return err
		}
		for i, id := range taken {
			if !d.startWhenFree(ctx, id, d.resolveOne) {
				d.release(context.WithoutCancel(ctx), taken[i:]...)
				return nil // ctx has ended
			}
		}
		d.giveBack(ctx)
	}
	return nil
}

// count keeps how many there are: all real-time ones that are unknown or parked, and the uploads that
// are parked. Other uploads will be sent again, or are on their way.
func (d *Desk) count(recs, aside []gateway.Record) {
	var n gateway.OpenCount
	n.Uploads = len(aside)
	for _, rec := range recs {
		if rec.State == gateway.StateParked {
			n.Parked++
		} else {
			n.Unknown++
		}
	}
	for _, rec := range slices.Concat(recs, aside) {
		if n.Oldest.IsZero() || rec.CreatedAt.Before(n.Oldest) {
			n.Oldest = rec.CreatedAt
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.still = n
}

var _ gateway.Watched = (*Desk)(nil)

// Open implements gateway.Watched.
func (d *Desk) Open() gateway.OpenCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.still
}

// resolveOne takes the next steps for one record that was claimed.
func (d *Desk) resolveOne(ctx context.Context, id ident.MsgID) {
	var after gateway.Record
	ctx, end := d.span(ctx, gateway.Span{Name: "resolve", MsgID: id})
	defer func() { end(string(after.State)) }()
	defer func() {
		if !after.State.Final() {
			d.mu.Lock()
			d.back = append(d.back, id)
			d.mu.Unlock()
		}
	}()
	d.alone.claim(id)
	defer d.alone.free(id)
	rec, err := d.opt.Journal.Record(ctx, id)
	if err == nil {
		after, err = d.pursue(ctx, rec, false)
	}
	switch {
	case err != nil:
		d.log.Error("resolving stopped", "msgid", string(id), "err", err.Error())
	case after.State != rec.State:
		d.answerLate(ctx, after)
		d.log.Info("resolved", "infno", string(rec.Infno), "msgid", string(rec.ID), "state", string(after.State))
	}
}

// giveBack gives back the claims on what was worked on and is not at an end, many in one write.
func (d *Desk) giveBack(ctx context.Context) {
	d.mu.Lock()
	back := d.back
	d.back = nil
	d.mu.Unlock()
	var free, kept []ident.MsgID
	for _, id := range back {
		if d.busy.claim(id) {
			free = append(free, id)
		} else {
			kept = append(kept, id) // worked on just now
		}
	}
	d.release(ctx, free...)
	for _, id := range free {
		d.busy.free(id)
	}
	d.mu.Lock()
	d.back = append(d.back, kept...)
	d.mu.Unlock()
}

func (d *Desk) lookAt(id ident.MsgID) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.looks[id]
}

func (d *Desk) look(id ident.MsgID, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks[id] = at
}

// forgetLooks drops what is no longer unknown.
func (d *Desk) forgetLooks(unknown []gateway.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.looks) <= len(unknown) {
		return
	}
	keep := make(map[ident.MsgID]time.Time, len(unknown))
	for _, rec := range unknown {
		if at, ok := d.looks[rec.ID]; ok {
			keep[rec.ID] = at
		}
	}
	d.looks = keep
}

// attend looks after a pending record while a caller waits: at most one question is asked, and only
// when the last one is some time ago. A record that another process is sending is in progress, and
// one that another is resolving stays as it is.
func (d *Desk) attend(ctx context.Context, rec gateway.Record, eager bool) (gateway.Record, error) {
	if !d.busy.claim(rec.ID) {
		return rec, nil
	}
	defer d.busy.free(rec.ID)
	rec, err := d.opt.Journal.Record(ctx, rec.ID)
	if err != nil {
		return rec, storage("flow.attend", err)
	}
	if life := d.life(); rec.State == gateway.StateSent && (life == "" || rec.Holder == life || rec.Holder == "") &&
		d.opt.Clock.Now().Before(d.settledAt(rec)) {
		return rec, inProgress("flow.attend", refOf(rec.ID))
	}
	if !rec.State.Final() {
		switch ok, err := d.claimOne(ctx, rec.ID); {
		case err != nil:
			return rec, storage("flow.attend", err)
		case !ok && rec.State == gateway.StateSent:
			return rec, inProgress("flow.attend", refOf(rec.ID))
		case !ok:
			return rec, nil
		}
		defer d.release(ctx, rec.ID)
	}
	if rec.State == gateway.StateSent {
		if err := d.crashed(ctx, rec); err != nil {
			return rec, storage("flow.attend", err)
		}
		if rec, err = d.opt.Journal.Record(ctx, rec.ID); err != nil {
			return rec, storage("flow.attend", err)
		}
	}
	after, err := d.pursue(ctx, rec, eager)
	if err != nil {
		// What is known stays known; the resolver tries again.
		d.log.Error("resolving stopped", "msgid", string(rec.ID), "err", err.Error())
		return rec, nil
	}
	return after, nil
}

// pursue takes the steps Decide names until one has to wait. The caller has claimed the record.
func (d *Desk) pursue(ctx context.Context, rec gateway.Record, eager bool) (gateway.Record, error) {
	for n := 0; n < 6 && (rec.State == gateway.StateUnknown || rec.State == gateway.StateParked); n++ {
		inst := d.opt.Institutions[rec.Institution]
		if inst == nil {
			return rec, nil
		}
		events, err := d.opt.Journal.Events(ctx, rec.ID)
		if err != nil {
			return rec, err
		}
		now := d.opt.Clock.Now()
		a := Decide(rec, events, d.opt.Catalog, inst.Region, now, d.timing)
		if a.Do == DoNothing {
			d.look(rec.ID, now.Add(time.Hour))
			return rec, nil
		}
		if a.At.After(now) {
			h := readHistory(rec, events)
			least := d.timing.AskEvery
			if rec.State == gateway.StateParked {
				least *= parkedPace
			}
			if !eager || a.Do != DoAsk || now.Before(h.lastAsk.Add(least)) {
				d.look(rec.ID, a.At)
				return rec, nil
			}
		}
		if a.Do == DoAsk {
			eager = false
		}
		if rec, err = d.act(ctx, inst, rec, events, a); err != nil {
			return rec, err
		}
	}
	return rec, nil
}

func (d *Desk) act(ctx context.Context, inst *gateway.Institution, rec gateway.Record, events []gateway.Event, a Action) (gateway.Record, error) {
	switch a.Do {
	case DoAsk:
		return d.ask(ctx, inst, rec, events, a)
	case DoReverse, DoUndo:
		return d.takeBack(ctx, inst, rec, a)
	case DoAbsent:
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventAbsent, Cause: rec.Cause, Note: a.Note})
	case DoReversed:
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventReversed, Cause: rec.Cause, Ref: a.Ref, Note: a.Note})
	case DoPark:
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventParked, Cause: rec.Cause, Note: a.Note})
	}
	return rec, nil
}

// end appends an event of the resolver; a record that moved on meanwhile is given as it is.
func (d *Desk) end(ctx context.Context, rec gateway.Record, e gateway.Event) (gateway.Record, error) {
	e.At = d.opt.Clock.Now()
	after, err := d.add(ctx, rec, e, func(r gateway.Record) *gateway.Answer {
		if r.Bill != "" {
			return nil // the answer of a bill is made from all its records
		}
		return pointer(r.Request, r)
	})
	if errors.Is(err, errMoved) {
		return after, nil
	}
	return after, err
}

// note appends what a question brought.
func (d *Desk) note(ctx context.Context, rec gateway.Record, ref ident.MsgID, result, words string) (gateway.Record, error) {
	data, err := json.Marshal(finding{Result: result})
	if err != nil {
		return rec, err
	}
	return d.end(ctx, rec, gateway.Event{Kind: gateway.EventAsked, Ref: ref, Data: data, Note: words})
}

// answer is what a question brought.
type answer struct {
	result string      // foundIt, foundNone, foundUnclear, foundFailed
	by     ident.MsgID // the question, when it was sent
	row    object      // with foundIt
	output any
	words  string
}

// question sends one question about a record. The error is the journal's.
func (d *Desk) question(ctx context.Context, inst *gateway.Institution, rec gateway.Record, q question, a Action) (answer, error) {
	asked, ok := d.opt.Catalog.Lookup(a.Infno)
	if !ok {
		return answer{result: foundUnclear, words: "not in the tables"}, nil
	}
	reply, _, err := d.send(ctx, job{
		op: "flow.ask", inst: inst, tx: asked, operator: rec.FullOperator(), area: areaOf(rec),
		input: a.Input, step: stepAsk, attempt: 1, own: true,
	})
	if err != nil && reply.ID == "" {
		if e := (*gateway.Error)(nil); errors.As(err, &e) && e.Code == gateway.CodeStorage {
			return answer{}, err
		}
		return answer{result: foundFailed, words: "not asked"}, nil
	}
	switch standingOf(reply) {
	case stands:
		ans := answer{by: reply.ID, output: read(reply.Output)}
		ans.row, ans.result, err = d.ownRow(ctx, q, a.Ask, ans.output)
		return ans, err
	case denied:
		if contains(refused(reply).ErrMsg, inst.Region.NotFound) {
			return answer{result: foundNone, by: reply.ID}, nil
		}
		return answer{result: foundUnclear, by: reply.ID}, nil
	}
	return answer{result: foundFailed, by: reply.ID}, nil
}

// ask sends one question and draws the conclusion.
func (d *Desk) ask(ctx context.Context, inst *gateway.Institution, rec gateway.Record, events []gateway.Event, a Action) (gateway.Record, error) {
	tx, known := d.opt.Catalog.Lookup(rec.Infno)
	if !known {
		return d.note(ctx, rec, "", foundUnclear, "not in the tables")
	}
	began := d.opt.Clock.Now()
	q := question{rec: rec, tx: tx, cat: d.opt.Catalog, input: read(rec.Input), now: began}
	ans, err := d.question(ctx, inst, rec, q, a)
	if err != nil {
		return rec, err
	}
	if ans.result == foundIt {
		after, err := d.adopt(ctx, rec, a.Ask, ans, "found by asking")
		if !errors.Is(err, errHeld) {
			return after, err
		}
		ans.result = foundEarly // another transaction was faster with that row: look again
	}
	if ans.result == foundNone && began.Before(d.timing.settled(tx.Limit, readHistory(rec, events).since())) {
		ans.result = foundEarly
	}
	return d.note(ctx, rec, ans.by, ans.result, ans.words)
}

// takeBack reverses or undoes a record, or draws the conclusion from an attempt made before. The
// attempt is a record of its own with a key of its own, so that no process makes it twice.
func (d *Desk) takeBack(ctx context.Context, inst *gateway.Institution, rec gateway.Record, a Action) (gateway.Record, error) {
	tx, ok := d.opt.Catalog.Lookup(a.Infno)
	if !ok {
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventParked, Cause: rec.Cause, Note: notePark})
	}
	step := stepReverse
	if a.Do == DoUndo {
		step = stepUndo
	}
	last, attempt, err := d.lastTry(ctx, rec.ID, step)
	if err != nil {
		return rec, err
	}
	if attempt == 0 || standingOf(last) == free {
		last, err = d.sendBack(ctx, inst, rec, a, step, attempt+1)
		if errors.Is(err, errTaken) {
			return rec, nil
		}
		if err != nil && last.ID == "" {
			if e := (*gateway.Error)(nil); errors.As(err, &e) && e.Code == gateway.CodeStorage {
				return rec, err
			}
			return d.note(ctx, rec, "", foundFailed, step+" not sent")
		}
	}
	return d.tookBack(ctx, inst, rec, last, tx)
}

// sendBack makes one attempt to reverse or undo a record.
func (d *Desk) sendBack(ctx context.Context, inst *gateway.Institution, rec gateway.Record, a Action, step string, attempt int) (gateway.Record, error) {
	tx, ok := d.opt.Catalog.Lookup(a.Infno)
	if !ok {
		return gateway.Record{}, &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: "flow." + step, Detail: string(a.Infno)}
	}
	name := step
	if a.Do == DoUndo {
		name = inRound(step, roundOf(rec))
	}
	last, _, err := d.send(ctx, job{
		op: "flow." + step, inst: inst, tx: tx, operator: rec.FullOperator(), area: areaOf(rec), input: a.Input,
		bill: rec.Bill, step: name, attempt: attempt, own: true,
		guard: func(n int, id ident.MsgID) *gateway.Request {
			return d.guardRequest(inst.Code, tryKey(rec.ID, step, n), step, id)
		},
	})
	return last, err
}

// tookBack draws the conclusion from an attempt to reverse or undo.
func (d *Desk) tookBack(ctx context.Context, inst *gateway.Institution, rec, try gateway.Record, tx *catalog.Transaction) (gateway.Record, error) {
	switch standingOf(try) {
	case stands:
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventReversed, Cause: rec.Cause, Ref: try.ID})
	case denied:
		msg := refused(try).ErrMsg
		nothing := contains(msg, inst.Region.NotFound) || contains(msg, inst.Region.NothingToUndo[tx.Infno])
		if nothing && rec.Cause != gateway.CauseMismatch {
			return d.end(ctx, rec, gateway.Event{Kind: gateway.EventAbsent, Cause: rec.Cause, Ref: try.ID, Note: "nothing there to take back"})
		}
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventParked, Cause: rec.Cause, Ref: try.ID, Note: "taking back was refused"})
	case free:
		return d.note(ctx, rec, try.ID, foundFailed, "not sent")
	}
	if try.State == gateway.StateParked {
		untold, err := json.Marshal(finding{Result: foundUntold})
		if err != nil {
			return rec, err
		}
		return d.end(ctx, rec, gateway.Event{Kind: gateway.EventParked, Cause: rec.Cause, Ref: try.ID, Data: untold, Note: "taking back has itself no known outcome"})
	}
	return d.note(ctx, rec, try.ID, foundFailed, "under way")
}

// lastTry finds the latest attempt to take a record back; attempt 0 means there is none.
func (d *Desk) lastTry(ctx context.Context, id ident.MsgID, step string) (gateway.Record, int, error) {
	var last gateway.Record
	for n := 1; ; n++ {
		req, err := d.opt.Journal.Request(ctx, tryKey(id, step, n))
		if errors.Is(err, gateway.ErrNotFound) {
			return last, n - 1, nil
		}
		if err != nil {
			return last, 0, err
		}
		if last, err = d.opt.Journal.Record(ctx, ident.MsgID(req.Ref)); err != nil {
			return last, 0, err
		}
	}
}

func tryKey(id ident.MsgID, step string, n int) gateway.RequestKey {
	return guard(string(id), step, attemptText(n))
}

// guardRequest is the entry that makes one thing happen once.
func (d *Desk) guardRequest(inst ident.Institution, key gateway.RequestKey, what string, id ident.MsgID) *gateway.Request {
	return &gateway.Request{
		Key: key, Digest: d.opt.Digest([]byte("guard"), []byte(what)), Op: what, Institution: inst,
		Ref: refOf(id), CreatedAt: d.opt.Clock.Now(),
	}
}
