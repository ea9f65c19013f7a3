package flow

import (
	"context"
	"errors"
	"sync"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// lateEvent is an event that could not be written when it happened.
type lateEvent struct {
	id     ident.MsgID
	event  gateway.Event
	answer func(gateway.Record) *gateway.Answer
}

// Recover notes at start-up that a process ended between sending and the answer: what was sent and
// nobody waits for any more becomes unknown, never failed. Call it before the first request. It may
// be repeated. A process with a name begins its life here, ends the former life of that name and
// leaves alone what other living processes wait for. One without a name takes everything found as
// sent; that harms nothing when another still waits for an answer: that answer ends the record all
// the same, and nothing is concluded from silence before the centre's time is up.
func (d *Desk) Recover(ctx context.Context) error {
	if d.held != nil {
		if err := d.join(ctx); err != nil {
			return storage("flow.recover", err)
		}
		if err := d.orphans(ctx); err != nil {
			return storage("flow.recover", err)
		}
		return nil
	}
	recs, err := d.listAll(ctx, gateway.Query{States: []gateway.State{gateway.StateSent}})
	if err != nil {
		return storage("flow.recover", err)
	}
	for _, rec := range recs {
		if d.busy.has(rec.ID) {
			continue
		}
		if err := d.crashed(ctx, rec); err != nil {
			return storage("flow.recover", err)
		}
	}
	return nil
}

// crashed marks a record nobody waits for any more.
func (d *Desk) crashed(ctx context.Context, rec gateway.Record) error {
	e := gateway.Event{Kind: gateway.EventUnknown, At: d.opt.Clock.Now(), Cause: gateway.CauseCrash}
	_, err := d.add(ctx, rec, e, nil)
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}

// Run resolves unknown outcomes and sends queued uploads until ctx ends, then waits for everything
// the Desk has started, which takes at most the longest time limit. It returns nil then. Its other
// error is that of KeepAlive. With one worker it does everything itself, one thing after the other:
// then its rounds supply the queue, and whoever owns that calls Handle.
func (d *Desk) Run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var beside sync.WaitGroup
	if d.opt.Queue != nil && d.opt.Workers > 1 {
		beside.Go(func() { d.uploads(ctx) })
	}
	lost := make(chan error, 1)
	turn := d.tick
	if d.opt.Workers > 1 {
		turn = d.round
		beside.Go(func() { d.every(ctx, d.resolve) })
		if d.life() != "" {
			beside.Go(func() {
				if err := d.KeepAlive(ctx); err != nil {
					lost <- err
					stop(err)
				}
			})
		}
	}
	d.every(ctx, turn)
	beside.Wait()
	d.work.Wait()
	d.creds.clear()
	select {
	case err := <-lost:
		return err
	default:
		d.leave()
		return nil
	}
}

// every does something in every poll until ctx ends.
func (d *Desk) every(ctx context.Context, do func(context.Context) error) {
	for ctx.Err() == nil {
		if err := do(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("round failed", "err", err.Error())
		}
		if d.opt.Clock.Sleep(ctx, d.timing.Poll) != nil {
			return
		}
	}
}

// tick is one round of Run and one of the resolver.
func (d *Desk) tick(ctx context.Context) error {
	return errors.Join(d.round(ctx), d.resolve(ctx))
}

// round starts what is due and does not wait for it.
func (d *Desk) round(ctx context.Context) error {
	d.creds.sweep(d.opt.Clock.Now())
	d.catchUp(ctx)
	return errors.Join(d.heed(ctx), d.sweep(ctx), d.dispatch(ctx))
}

// sweep finds records another process left as sent, or that this one could not note the end of.
func (d *Desk) sweep(ctx context.Context) error {
	life := d.life()
	if life != "" {
		if err := d.orphans(ctx); err != nil {
			return err
		}
	}
	recs, err := d.listAll(ctx, gateway.Query{States: []gateway.State{gateway.StateSent}, Brief: true})
	if err != nil {
		return err
	}
	now := d.opt.Clock.Now()
	for _, rec := range recs {
		if life != "" && rec.Holder != life || d.busy.has(rec.ID) || now.Before(d.settledAt(rec)) {
			continue
		}
		whole, err := d.opt.Journal.Record(ctx, rec.ID)
		if err != nil {
			return err
		}
		if err := d.crashed(ctx, whole); err != nil {
			return err
		}
	}
	return nil
}

// listAll reads every page of a list.
func (d *Desk) listAll(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	const page = 1000
	q.Limit = page
	var all []gateway.Record
	for {
		recs, err := d.opt.Journal.List(ctx, q)
		if err != nil {
			return all, err
		}
		all = append(all, recs...)
		if len(recs) < page {
			return all, nil
		}
		q.After = recs[page-1].ID
	}
}

// later keeps an event until the journal takes it.
func (d *Desk) later(id ident.MsgID, e gateway.Event, answer func(gateway.Record) *gateway.Answer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.late = append(d.late, lateEvent{id, e, answer})
}

// catchUp writes what could not be written before.
func (d *Desk) catchUp(ctx context.Context) {
	d.mu.Lock()
	late := d.late
	d.late = nil
	d.mu.Unlock()
	for _, l := range late {
		if !d.busy.claim(l.id) {
			d.later(l.id, l.event, l.answer)
			continue
		}
		_, err := d.endLate(ctx, l.id, l.event, l.answer)
		d.busy.free(l.id)
		if err != nil && !errors.Is(err, errMoved) && !errors.Is(err, gateway.ErrNotFound) { // not found: the write that failed really stored nothing
			d.later(l.id, l.event, l.answer)
		}
	}
}

// errResolving: somebody else is finding out what became of the record.
var errResolving = errors.New("flow: record is being resolved")

// endLate notes an end that comes when the record may have been taken for lost already. errResolving while
// somebody else works on it, or while it is being taken back: what becomes of that decides. errMoved
// when it has gone on to where the event can not follow. The caller has claimed the record among its
// own work.
func (d *Desk) endLate(ctx context.Context, id ident.MsgID, e gateway.Event, answer func(gateway.Record) *gateway.Answer) (gateway.Record, error) {
	rec, err := d.opt.Journal.Record(ctx, id)
	if err != nil {
		return rec, err
	}
	if next := rec; next.Apply(e) != nil {
		return rec, errMoved
	}
	if !rec.State.Final() {
		switch ok, err := d.claimOne(ctx, id); {
		case errors.Is(err, gateway.ErrStale) && rec.Holder == "": // this life is over; what it learnt is still true
		case err != nil, !ok:
			return rec, errors.Join(err, errResolving)
		default:
			defer d.release(ctx, id)
		}
	}
	if rec.State == gateway.StateUnknown || rec.State == gateway.StateParked {
		under, err := d.takingBack(ctx, id)
		switch {
		case err != nil:
			return rec, err
		case under && rec.State == gateway.StateParked:
			if rec, err = d.note(ctx, rec, "", foundUnclear, "an answer came late: "+string(e.Kind)); err == nil {
				err = errMoved
			}
			return rec, err
		case under:
			return rec, errResolving
		}
	}
	return d.add(ctx, rec, e, answer)
}

// takingBack reports whether an attempt to take a record back has left.
func (d *Desk) takingBack(ctx context.Context, id ident.MsgID) (bool, error) {
	for _, step := range []string{stepReverse, stepUndo} {
		last, n, err := d.lastTry(ctx, id, step)
		if err != nil {
			return false, err
		}
		if n > 0 && standingOf(last) != free {
			return true, nil
		}
	}
	return false, nil
}

// start runs fn for a record when nobody works on it and there is a place; otherwise a later round
// will. With one worker it is done before start returns.
func (d *Desk) start(ctx context.Context, id ident.MsgID, fn func(context.Context, ident.MsgID)) {
	if !d.busy.claim(id) {
		return
	}
	select {
	case d.slot <- struct{}{}:
		d.occupy(ctx, id, fn)
	default:
		d.busy.free(id)
	}
}

// startWhenFree is start for who can wait for a place. false: ctx has ended.
func (d *Desk) startWhenFree(ctx context.Context, id ident.MsgID, fn func(context.Context, ident.MsgID)) bool {
	select {
	case d.slot <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	if !d.busy.claim(id) {
		<-d.slot
		return true
	}
	d.occupy(ctx, id, fn)
	return true
}

// occupy runs fn in a place that has been taken, for a record that has been claimed.
func (d *Desk) occupy(ctx context.Context, id ident.MsgID, fn func(context.Context, ident.MsgID)) {
	ctx = context.WithoutCancel(ctx)
	run := func() {
		defer func() {
			<-d.slot
			d.busy.free(id)
			if p := recover(); p != nil {
				d.log.Error("fault", "msgid", string(id))
			}
		}()
		fn(ctx, id)
	}
	if d.opt.Workers == 1 {
		run()
		return
	}
	d.work.Go(run)
}
