package flow

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// holding is the journal as a process with a name sees it: everything it writes says who wrote it,
// so that what it sends is known to be its own, and what another has taken over is not overwritten.
type holding struct {
	gateway.Journal
	name string

	mu   sync.Mutex
	life gateway.Holder // "" before Recover
	over bool           // the name was joined again: nothing new is begun
}

func (h *holding) present() gateway.Holder {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.life
}

func (h *holding) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.over = true
}

// Write see gateway.Journal.
func (h *holding) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	h.mu.Lock()
	life, over := h.life, h.over
	h.mu.Unlock()
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		if over && (e.Record != nil || e.Append != nil && e.Append.Event.Kind == gateway.EventSent) {
			return nil, fmt.Errorf("%w: another process took the name %s", gateway.ErrStorage, h.name)
		}
		if e.Record != nil || e.Append != nil {
			e.Holder = life
		}
	}
	return h.Journal.Write(ctx, entries...)
}

// claimFor is how long a record is taken for, at most: far longer than any step takes. A process
// that dies is found out by its lease, not by this.
const claimFor = 30 * time.Minute

// join begins this process's life. Without a name there is none.
func (d *Desk) join(ctx context.Context) error {
	if d.held == nil {
		return nil
	}
	life, err := d.opt.Journal.Join(ctx, d.held.name, d.opt.Clock.Now().Add(d.timing.Lease))
	if err != nil {
		return err
	}
	d.held.mu.Lock()
	d.held.life, d.held.over = life, false
	d.held.mu.Unlock()
	return nil
}

// life is who this process is on the journal, "" when nobody.
func (d *Desk) life() gateway.Holder {
	if d.held == nil {
		return ""
	}
	return d.held.present()
}

// KeepAlive prolongs this process's lease until ctx ends. Run calls it beside its rounds, except
// with one worker: then whoever wants others to wait for this process calls it. The error means that
// another process goes by the same name now, and that this one must end; it begins nothing new.
func (d *Desk) KeepAlive(ctx context.Context) error {
	life := d.life()
	if life == "" {
		return nil
	}
	wait := d.timing.Lease / 3
	for d.opt.Clock.Sleep(ctx, wait) == nil {
		wait = d.timing.Lease / 3
		err := d.opt.Journal.Hold(ctx, life, d.opt.Clock.Now().Add(d.timing.Lease))
		switch {
		case errors.Is(err, gateway.ErrStale):
			d.held.end()
			return fmt.Errorf("flow: another gateway has started under the name %s: %w", d.held.name, err)
		case err != nil && ctx.Err() == nil:
			d.log.Warn("lease not prolonged", "err", err.Error())
			wait = d.timing.Lease / 10
		}
	}
	return nil
}

// leave ends the lease, so that nobody waits for it to run out.
func (d *Desk) leave() {
	life := d.life()
	if life == "" {
		return
	}
	if err := d.opt.Journal.Hold(context.Background(), life, time.Time{}); err != nil {
		d.log.Warn("lease not ended", "err", err.Error())
	}
}

// claim takes records for this process and gives those it may work on. A process without a name
// takes them all: nobody else works on its journal.
func (d *Desk) claim(ctx context.Context, ids []ident.MsgID) ([]ident.MsgID, error) {
	life := d.life()
	if life == "" || len(ids) == 0 {
		return ids, nil
	}
	now := d.opt.Clock.Now()
	return d.opt.Journal.Claim(ctx, life, ids, now, now.Add(claimFor))
}

// claimOne is claim for one record.
func (d *Desk) claimOne(ctx context.Context, id ident.MsgID) (bool, error) {
	taken, err := d.claim(ctx, []ident.MsgID{id})
	return len(taken) == 1, err
}

// release gives back records that are not at an end. Where that fails the claim runs out by itself.
func (d *Desk) release(ctx context.Context, ids ...ident.MsgID) {
	life := d.life()
	if life == "" || len(ids) == 0 {
		return
	}
	if err := d.opt.Journal.Release(ctx, life, ids); err != nil {
		d.log.Warn("claims not given back", "count", len(ids), "err", err.Error())
	}
}

// orphans turns what was sent by processes that are gone into unknown, and takes what this one has
// lost sight of with it. What a living process waits for is left alone.
func (d *Desk) orphans(ctx context.Context) error {
	for {
		recs, err := d.opt.Journal.Orphans(ctx, d.opt.Clock.Now())
		if err != nil {
			return err
		}
		var ids []ident.MsgID
		now := d.opt.Clock.Now()
		byID := make(map[ident.MsgID]gateway.Record, len(recs))
		for _, rec := range recs {
			// A command that sends without a name may still be at work.
			if d.busy.has(rec.ID) || rec.Holder == "" && now.Before(d.settledAt(rec)) {
				continue
			}
			ids, byID[rec.ID] = append(ids, rec.ID), rec
		}
		taken, err := d.claim(ctx, ids)
		if err != nil || len(taken) == 0 {
			return err
		}
		for some := range slices.Chunk(taken, crashedBatch) {
			list := make([]gateway.Record, len(some))
			for i, id := range some {
				list[i] = byID[id]
			}
			if err := d.crashedAll(ctx, list); err != nil {
				return err
			}
		}
		d.log.Info("taken over from a process that is gone", "count", len(taken))
		if len(recs) < orphanPage {
			return nil
		}
	}
}

const (
	orphanPage   = 1000 // what Orphans gives at most
	crashedBatch = 100
)

// crashedAll is crashed for many records in one write. When one of them has moved on meanwhile they
// are taken one by one.
func (d *Desk) crashedAll(ctx context.Context, recs []gateway.Record) error {
	entries := make([]gateway.Entry, len(recs))
	for i, rec := range recs {
		e := gateway.Event{Kind: gateway.EventUnknown, At: d.opt.Clock.Now(), Cause: gateway.CauseCrash}
		entries[i] = gateway.Entry{Append: &gateway.Append{ID: rec.ID, Version: rec.Version, Event: e}, Class: d.class(rec)}
	}
	_, err := d.opt.Journal.Write(ctx, entries...)
	if err == nil || errors.Is(err, gateway.ErrStorage) {
		return err
	}
	for _, rec := range recs {
		if err := d.crashed(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

// settledAt is when the centre can no longer be working on a record.
func (d *Desk) settledAt(rec gateway.Record) time.Time {
	tx, ok := d.opt.Catalog.Lookup(rec.Infno)
	if !ok {
		return rec.UpdatedAt.Add(claimFor)
	}
	return d.timing.settled(tx.Limit, rec.UpdatedAt)
}
