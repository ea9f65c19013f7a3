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

// Recover notes at start-up that a process ended between sending and the answer: every record
// found as sent becomes unknown, never failed. Call it before the first request. It may be
// repeated, and it harms nothing when another process on the same journal is still waiting for an
// answer: that answer ends the record all the same, and nothing is concluded from silence before
// the centre's time is up.
func (d *Desk) Recover(ctx context.Context) error {
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
// the Desk has started, which takes at most the longest time limit. It returns nil then.
func (d *Desk) Run(ctx context.Context) error {
	var queue sync.WaitGroup
	if d.opt.Queue != nil {
		queue.Go(func() { d.uploads(ctx) })
	}
	for ctx.Err() == nil {
		if err := d.tick(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("round failed", "err", err.Error())
		}
		if d.opt.Clock.Sleep(ctx, d.timing.Poll) != nil {
			break
		}
	}
	queue.Wait()
	d.work.Wait()
	d.creds.clear()
	return nil
}

// tick is one round of Run: it starts what is due and does not wait for it.
func (d *Desk) tick(ctx context.Context) error {
	d.creds.sweep(d.opt.Clock.Now())
	d.catchUp(ctx)
	return errors.Join(d.heed(ctx), d.sweep(ctx), d.resolve(ctx), d.dispatch(ctx))
}

// sweep finds records another process left as sent, or that this one could not note the end of.
func (d *Desk) sweep(ctx context.Context) error {
	recs, err := d.listAll(ctx, gateway.Query{States: []gateway.State{gateway.StateSent}})
	if err != nil {
		return err
	}
	now := d.opt.Clock.Now()
	for _, rec := range recs {
		tx, ok := d.opt.Catalog.Lookup(rec.Infno)
		if !ok || d.busy.has(rec.ID) || now.Before(d.timing.settled(tx.Limit, rec.UpdatedAt)) {
			continue
		}
		if err := d.crashed(ctx, rec); err != nil {
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
		rec, err := d.opt.Journal.Record(ctx, l.id)
		if errors.Is(err, gateway.ErrNotFound) {
			continue // the write that failed really stored nothing
		}
		if err == nil {
			_, err = d.add(ctx, rec, l.event, l.answer)
		}
		if err != nil && !errors.Is(err, errMoved) {
			d.later(l.id, l.event, l.answer)
		}
	}
}

// start runs fn for a record when nobody works on it and there is a place; otherwise a later round
// will. With one worker it is done before start returns.
func (d *Desk) start(ctx context.Context, id ident.MsgID, fn func(context.Context)) {
	if !d.busy.claim(id) {
		return
	}
	select {
	case d.slot <- struct{}{}:
	default:
		d.busy.free(id)
		return
	}
	ctx = context.WithoutCancel(ctx)
	run := func() {
		defer func() {
			<-d.slot
			d.busy.free(id)
			if p := recover(); p != nil {
				d.log.Error("fault", "msgid", string(id))
			}
		}()
		fn(ctx)
	}
	if d.opt.Workers == 1 {
		run()
		return
	}
	d.work.Add(1)
	go func() {
		defer d.work.Done()
		run()
	}()
}
