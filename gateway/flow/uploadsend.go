package flow

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/wire"
)

// causeTakenUp: a person put a parked upload back into the queue.
const causeTakenUp gateway.Cause = "taken-up"

// unfinished are the states in which an upload keeps the rest of its visit waiting.
func unfinished() []gateway.State {
	return []gateway.State{gateway.StatePrepared, gateway.StateSent, gateway.StateUnknown, gateway.StateParked}
}

// refOfUpload names a queued record. Those of one visit of one institution are in one lane.
func refOfUpload(rec gateway.Record) gateway.Ref {
	r := gateway.Ref{ID: rec.ID}
	if rec.Visit != "" {
		r.Lane = string(rec.Institution) + "/" + rec.Visit
	}
	return r
}

// laneTurn is how many records of one visit are sent before other visits get their turn.
const laneTurn = 16

// Handle is the gateway.Handler of the upload class: it sends what is due of the lane a reference
// belongs to, oldest first. Which record that is the journal says, not the queue: references may
// come twice, late or in any order. The oldest record of a lane has a reference that comes back
// until it is finished; the references of those behind it are let go meanwhile. Run gives it to the
// queue, except with one worker: see there.
func (d *Desk) Handle(ctx context.Context, ref gateway.Ref) gateway.Verdict {
	var v gateway.Verdict
	seen := false // how the record of ref itself stands is known
	for range laneTurn {
		head, ok, err := d.headOf(ctx, ref)
		if err != nil {
			return d.again(ref, d.timing.UploadRetry)
		}
		if !seen {
			if v.Dead, err = d.deadReason(ctx, ref, head); err != nil {
				return d.again(ref, d.timing.UploadRetry)
			}
			seen = true
		}
		if !ok || head.State == gateway.StateParked || d.paused(head.Infno) {
			return v // what is parked or paused is announced when it goes on
		}
		due := d.uploadDue(head)
		if head.State == gateway.StateSent {
			due = d.opt.Clock.Now().Add(d.timing.UploadRetry) // somebody waits for the answer, or a sweep will find it
		}
		if d.opt.Clock.Now().Before(due) {
			if head.ID == ref.ID {
				v.Again = due
			}
			return v
		}
		if !d.busy.claim(head.ID) {
			return d.again(ref, d.timing.UploadRetry)
		}
		after, next := d.deliver(ctx, head)
		d.busy.free(head.ID)
		if after.ID == ref.ID {
			v.Dead = dead(after)
		}
		if !next.IsZero() {
			v.Again, v.Next = next, refOfUpload(head)
			return v
		}
	}
	v.Again, v.Next = d.opt.Clock.Now(), ref
	return v
}

func (d *Desk) again(ref gateway.Ref, wait time.Duration) gateway.Verdict {
	return gateway.Verdict{Again: d.opt.Clock.Now().Add(wait), Next: ref}
}

// deadReason says why the record of a reference will not be sent any more by itself, "" when that is
// not so. head is the one its lane begins with.
func (d *Desk) deadReason(ctx context.Context, ref gateway.Ref, head gateway.Record) (string, error) {
	if head.ID == ref.ID {
		return dead(head), nil
	}
	own, err := d.opt.Journal.Record(ctx, ref.ID)
	if errors.Is(err, gateway.ErrNotFound) {
		d.log.Error("reference to no record", "msgid", string(ref.ID))
		return "no such record in the journal", nil
	}
	return dead(own), err
}

func dead(rec gateway.Record) string {
	switch rec.State {
	case gateway.StateRefused:
		return "refused: " + string(rec.Cause)
	case gateway.StateParked:
		return "parked: " + string(rec.Cause)
	}
	return ""
}

// headOf is the oldest unfinished record of a reference's lane, whole: its own record when it has none.
func (d *Desk) headOf(ctx context.Context, ref gateway.Ref) (gateway.Record, bool, error) {
	inst, visit, ok := strings.Cut(ref.Lane, "/")
	if !ok {
		rec, err := d.opt.Journal.Record(ctx, ref.ID)
		if errors.Is(err, gateway.ErrNotFound) {
			return gateway.Record{}, false, nil
		}
		return rec, err == nil && !rec.State.Final(), err
	}
	list, err := d.opt.Journal.List(ctx, gateway.Query{
		Institution: ident.Institution(inst), Visit: visit, Queued: true, States: unfinished(), Limit: 1,
	})
	if err != nil || len(list) == 0 {
		return gateway.Record{}, false, err
	}
	return list[0], true, nil
}

// uploadDue is when a queued record may be sent; a function of the record alone.
func (d *Desk) uploadDue(rec gateway.Record) time.Time {
	switch {
	case rec.State == gateway.StatePrepared:
		return rec.CreatedAt
	case rec.Cause == causeTakenUp:
		return rec.UpdatedAt
	}
	return rec.UpdatedAt.Add(pause(d.timing.UploadRetry, d.timing.UploadMost, rec.Version/2-1, rec.ID))
}

// pause doubles with every try and is spread by the record's id, up to a fifth.
func pause(first, most time.Duration, tries int, id ident.MsgID) time.Duration {
	p := first
	for i := 0; i < tries && p < most; i++ {
		p *= 2
	}
	p = min(p, most)
	h := fnv.New32a()
	h.Write([]byte(id))
	h.Write([]byte{byte(tries)})
	return p + p/5*time.Duration(h.Sum32()%1000)/1000
}

// deliver sends a queued record once. It returns the record as it stands then and, when it is not
// finished, the time to look at it again; a zero time means that nothing of it is left to do, or
// that the journal has to be asked anew. The caller has claimed the record, and read it whole before
// or after that: one that has moved on since is left alone, for its version says so when it is written to.
func (d *Desk) deliver(ctx context.Context, whole gateway.Record) (rec gateway.Record, again time.Time) {
	rec = whole
	id := rec.ID
	wait := func(p time.Duration) (gateway.Record, time.Time) { return rec, d.opt.Clock.Now().Add(p) }
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("fault", "msgid", string(id), "err", fmt.Sprint(p))
			rec, again = d.faulty(ctx, id)
		}
	}()
	if rec.State != gateway.StatePrepared && rec.State != gateway.StateUnknown {
		return rec, time.Time{}
	}
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	inst := d.opt.Institutions[rec.Institution]
	if !ok || inst == nil {
		return wait(d.timing.UploadMost) // no longer configured: it stays visible in the queue
	}
	j := job{op: "flow.upload", inst: inst, tx: tx, operator: signer(inst, rec), request: rec.Request,
		answer: func(r gateway.Record) *gateway.Answer { return pointer(r.Request, r) }}
	body, signNo, err := d.signed(ctx, j, rec)
	if err != nil {
		d.log.Warn("upload waits for a sign-in", "msgid", string(rec.ID), "err", err.Error())
		return wait(max(retryAfter(err), d.timing.UploadRetry))
	}
	permit, err := d.opt.Centre(rec.Institution).Admit(ctx, rec.Infno)
	if err != nil {
		return wait(max(retryAfter(err), d.timing.Poll))
	}
	defer permit.Release()
	sealed, err := permit.Seal(gateway.Message{
		Infno: rec.Infno, Institution: rec.Institution, MsgID: rec.ID, Body: body, Limit: tx.Limit,
	})
	if err != nil {
		d.log.Error("upload not sealed", "msgid", string(rec.ID), "err", err.Error())
		return d.park(ctx, rec, "could not be sealed")
	}
	e := gateway.Event{Kind: gateway.EventSent, At: d.opt.Clock.Now(), Note: "sm3 " + hex.EncodeToString(sealed.Digest[:])}
	_, err = d.opt.Journal.Write(ctx, gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: rec.Version, Event: e}, Class: d.class(rec)})
	switch {
	case errors.Is(err, gateway.ErrStale):
		return rec, time.Time{} // somebody else sends it: the journal says who is next
	case err != nil:
		return wait(d.timing.UploadRetry)
	}
	if rec.Apply(e) != nil {
		return wait(d.timing.UploadRetry)
	}
	reply := gateway.Reply{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent, Detail: "too late to send"}
	if d.inTime(e.At) {
		reply = permit.Send(ctx, sealed)
	}
	end := d.judge(j, rec, reply)
	if end.Kind == gateway.EventRefused && (end.Cause == gateway.CauseNotSent || end.Cause == gateway.CauseSignIn) {
		if end.Cause == gateway.CauseSignIn {
			d.forgetSign(j, signNo)
		}
		end.Kind, end.Data = gateway.EventUnknown, nil // stays in the queue
	}
	d.log.Info("upload", "infno", string(rec.Infno), "msgid", string(rec.ID), "event", string(end.Kind), "cause", string(end.Cause))
	return d.delivered(ctx, j, rec, end)
}

// signer is the operator of an upload, with the name a sign-in needs.
func signer(inst *gateway.Institution, rec gateway.Record) gateway.Operator {
	o := rec.Operator
	if o.Name == "" && inst.Region.SignIn {
		if sent, _, err := wire.DecodeRequest(rec.Wire); err == nil {
			o.Name = sent.OperatorName
		}
	}
	return o
}

// delivered writes down what became of a sending, and parks a record that has had its tries.
func (d *Desk) delivered(ctx context.Context, j job, rec gateway.Record, end gateway.Event) (gateway.Record, time.Time) {
	refusals := 0
	if end.Kind == gateway.EventRefused {
		if refusals = d.doubted(ctx, rec); refusals > 0 {
			end.Kind, end.Data, end.Note = gateway.EventUnknown, nil, noteDoubt
		}
	}
	after, err := d.conclude(ctx, j, rec, end)
	if err != nil {
		d.log.Error("upload outcome not written", "msgid", string(rec.ID), "err", err.Error())
		return rec, d.opt.Clock.Now().Add(d.timing.UploadRetry)
	}
	rec = after
	if rec.State != gateway.StateUnknown {
		return rec, time.Time{}
	}
	if refusals >= doubtTries {
		return d.park(ctx, rec, noteDoubt)
	}
	if d.spent(ctx, rec) {
		return d.park(ctx, rec, fmt.Sprintf("no usable answer to %d tries", d.timing.UploadTries))
	}
	return rec, d.uploadDue(rec)
}

// A refusal says that nothing was done by the sending it answers. Where an earlier one got no answer
// the centre may have the record all the same, and refuse only because it is busy or has seen it: the
// record goes again, and a person looks at it when it is refused each time.
const (
	doubtTries = 5
	noteDoubt  = "refused when sent again; the centre may have it from before"
)

// doubted counts the refusals of a record that may have been done by an earlier sending, this one
// included; 0 means that there is no such doubt.
func (d *Desk) doubted(ctx context.Context, rec gateway.Record) int {
	events, err := d.opt.Journal.Events(ctx, rec.ID)
	if err != nil {
		return 1 // not known: it is asked again
	}
	doubt, refusals := false, 1
	for _, e := range events {
		switch {
		case e.Cause == causeTakenUp:
			refusals = 1
		case e.Kind != gateway.EventUnknown || e.Cause == gateway.CauseNotSent || e.Cause == gateway.CauseSignIn:
		case e.Cause == gateway.CauseBusiness:
			refusals++
		default:
			doubt = true
		}
	}
	if !doubt {
		return 0
	}
	return refusals
}

// signed is the core message as it leaves now: where the region wants a sign-in, with the number of
// the one that is valid. It was not known when the upload was accepted and may be another at each
// try; nothing else of the message ever changes.
func (d *Desk) signed(ctx context.Context, j job, rec gateway.Record) (body []byte, no string, err error) {
	no, err = d.signNo(ctx, j)
	if err != nil || no == "" {
		return rec.Wire, "", err
	}
	req, _, err := wire.DecodeRequest(rec.Wire)
	if err != nil {
		return nil, "", internalError(j.op, err)
	}
	req.SignNo = no
	body, err = wire.EncodeRequest(req)
	return body, no, err
}

func retryAfter(err error) time.Duration {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.RetryAfter
	}
	return 0
}

// spent reports whether a record has used up its tries. A try that did not leave the machine does
// not count: a line that is down for a weekend parks nothing.
func (d *Desk) spent(ctx context.Context, rec gateway.Record) bool {
	if rec.Version/2 < d.timing.UploadTries {
		return false
	}
	events, err := d.opt.Journal.Events(ctx, rec.ID)
	if err != nil {
		return false
	}
	tries := 0
	for _, e := range events {
		switch {
		case e.Cause == causeTakenUp:
			tries = 0
		case e.Kind == gateway.EventUnknown && e.Cause != gateway.CauseNotSent:
			tries++
		}
	}
	return tries >= d.timing.UploadTries
}

// park sets a record aside for a person; the rest of its visit waits.
func (d *Desk) park(ctx context.Context, rec gateway.Record, why string) (gateway.Record, time.Time) {
	after, err := d.add(ctx, rec, gateway.Event{Kind: gateway.EventParked, At: d.opt.Clock.Now(), Cause: rec.Cause, Note: why}, nil)
	if err != nil && !errors.Is(err, errMoved) {
		return rec, d.opt.Clock.Now().Add(d.timing.UploadRetry)
	}
	d.log.Warn("upload parked, its visit waits", "infno", string(rec.Infno), "msgid", string(rec.ID), "why", why)
	return after, time.Time{}
}

// faulty deals with a record the program itself stumbled over: what was not sent is parked, what
// may have been sent goes through its tries.
func (d *Desk) faulty(ctx context.Context, id ident.MsgID) (gateway.Record, time.Time) {
	later := d.opt.Clock.Now().Add(d.timing.UploadRetry)
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return rec, later
	}
	switch rec.State {
	case gateway.StatePrepared, gateway.StateUnknown:
		return d.park(ctx, rec, "the gateway failed over it: see its log")
	case gateway.StateSent:
		if d.crashed(ctx, rec) != nil {
			return rec, later
		}
		return rec, later
	}
	return rec, time.Time{}
}
