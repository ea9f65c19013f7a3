package flow

import (
	"context"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// relay is what the Desk knows of bringing uploads to the queue. It may forget anything: what is
// unfinished stands in the journal, and a sweep finds it.
type relay struct {
	fresh  chan gateway.Ref // accepted just now
	behind atomic.Bool      // something was not announced: look through the journal
	swept  time.Time        // when that was done last; of the one goroutine that does it
}

const (
	relayRoom  = 8192 // references that may wait for the queue; more are found by a sweep
	relayBatch = 500
)

// announceSoon hands a reference to the relay without waiting for anything.
func (d *Desk) announceSoon(r gateway.Ref) {
	if d.opt.Queue == nil {
		return
	}
	select {
	case d.relay.fresh <- r:
	default:
		d.relay.behind.Store(true)
	}
}

// uploads lets the queue deliver, and keeps it supplied, until ctx ends.
func (d *Desk) uploads(ctx context.Context) {
	for d.heed(ctx) != nil { // what is paused must be known before anything is sent
		if d.opt.Clock.Sleep(ctx, d.timing.Poll) != nil {
			return
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := d.opt.Queue.Deliver(ctx, d.Handle); err != nil && ctx.Err() == nil {
				d.log.Error("queue does not deliver", "err", err.Error())
				_ = d.opt.Clock.Sleep(ctx, d.timing.UploadRetry) // ends early with ctx, which the loop sees
			}
		}
	})
	wg.Go(func() { d.announce(ctx) })
	wg.Go(func() { d.sweepUploads(ctx) })
	wg.Wait()
}

// announce brings what was accepted to the queue, many at a time.
func (d *Desk) announce(ctx context.Context) {
	batch := make([]gateway.Ref, 0, relayBatch)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return
		case r := <-d.relay.fresh:
			batch = append(batch, r)
		}
		batch = d.freshest(batch)
		if err := d.opt.Queue.Announce(ctx, batch...); err != nil {
			d.relay.behind.Store(true)
			_ = d.opt.Clock.Sleep(ctx, d.timing.Poll) // ends early with ctx, which the select sees
		}
	}
}

// freshest adds what was accepted just now to a batch, as far as there is room.
func (d *Desk) freshest(batch []gateway.Ref) []gateway.Ref {
	for len(batch) < relayBatch {
		select {
		case r := <-d.relay.fresh:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// supply is what announce and sweepUploads do, in one round of a Desk with one worker.
func (d *Desk) supply(ctx context.Context) {
	for batch := d.freshest(nil); len(batch) > 0; batch = d.freshest(batch[:0]) {
		if d.opt.Queue.Announce(ctx, batch...) != nil {
			d.relay.behind.Store(true)
			return // the next round will
		}
	}
	d.sweepOnce(ctx)
}

// sweepUploads looks through the journal for what the queue does not know of: at start, after
// something could not be announced, when the queue is idle, and from time to time in any case.
func (d *Desk) sweepUploads(ctx context.Context) {
	for ctx.Err() == nil {
		d.sweepOnce(ctx)
		if d.opt.Clock.Sleep(ctx, d.timing.UploadRetry) != nil {
			return
		}
	}
}

func (d *Desk) sweepOnce(ctx context.Context) {
	now := d.opt.Clock.Now()
	all := d.relay.behind.Swap(false) || d.relay.swept.IsZero()
	s := d.opt.Queue.State()
	if !all && (s.Trouble != "" || (s.Waiting < 0 || s.Waiting > s.Held) && now.Sub(d.relay.swept) < d.timing.UploadSweep) {
		return
	}
	late := now
	if !all {
		late = now.Add(-d.timing.UploadRetry) // what came just now is on its way
	}
	d.relay.swept = now
	if err := d.announceDue(ctx, late); err != nil {
		d.relay.behind.Store(true)
		if ctx.Err() == nil {
			d.log.Warn("waiting uploads not announced", "err", err.Error())
		}
	}
}

// announceDue announces the head of every lane that was due at a time.
func (d *Desk) announceDue(ctx context.Context, at time.Time) error {
	batch := make([]gateway.Ref, 0, relayBatch)
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := d.opt.Queue.Announce(ctx, batch...)
		batch = batch[:0]
		return err
	}
	err := d.eachHead(ctx, func(rec gateway.Record) error {
		if d.uploadDue(rec).After(at) {
			return nil
		}
		if batch = append(batch, refOfUpload(rec)); len(batch) < relayBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// eachHead gives the oldest unfinished record of every lane that could be sent: not those whose
// head is parked, on its way or of a paused route. It reads page by page and keeps only a number
// for each lane.
func (d *Desk) eachHead(ctx context.Context, see func(gateway.Record) error) error {
	seed := maphash.MakeSeed()
	seen := map[uint64]struct{}{}
	return d.eachUpload(ctx, gateway.Query{States: unfinished()}, func(rec gateway.Record) error {
		if ref := refOfUpload(rec); ref.Lane != "" {
			lane := maphash.String(seed, ref.Lane)
			if _, behind := seen[lane]; behind {
				return nil
			}
			seen[lane] = struct{}{}
		}
		if rec.State == gateway.StateSent || rec.State == gateway.StateParked || d.paused(rec.Infno) {
			return nil
		}
		return see(rec)
	})
}

// eachUpload gives every queued record a query selects, without its bodies, in order.
func (d *Desk) eachUpload(ctx context.Context, q gateway.Query, see func(gateway.Record) error) error {
	const page = 1000
	q.Queued, q.Brief, q.Limit = true, true, page
	for {
		recs, err := d.opt.Journal.List(ctx, q)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := see(rec); err != nil {
				return err
			}
		}
		if len(recs) < page {
			return nil
		}
		q.After = recs[page-1].ID
	}
}

// deliverOne reads a record and delivers it.
func (d *Desk) deliverOne(ctx context.Context, id ident.MsgID) {
	if rec, err := d.opt.Journal.Record(ctx, id); err == nil { // otherwise a later round will
		d.deliver(ctx, rec)
	}
}

// dispatch is what happens without a queue: in each round of Run, what is due among the queued
// uploads is sent, of each visit only the oldest, of different visits as many at once as there are
// places.
func (d *Desk) dispatch(ctx context.Context) error {
	if d.opt.Queue != nil {
		if d.opt.Workers == 1 {
			d.supply(ctx)
		}
		return nil
	}
	now := d.opt.Clock.Now()
	return d.eachHead(ctx, func(rec gateway.Record) error {
		if !now.Before(d.uploadDue(rec)) {
			d.start(ctx, rec.ID, d.deliverOne)
		}
		return nil
	})
}
