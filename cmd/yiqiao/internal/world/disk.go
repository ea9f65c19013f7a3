package world

import (
	"context"
	"reflect"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// disk is the journal as one process sees it: it takes time, it fails, and the process may die
// before or after anything has become durable.
type disk struct {
	p *process
}

var _ gateway.Journal = (*disk)(nil)

// fit tells whether the journal can be used at all now.
func (d *disk) fit() error {
	if d.p.dead || d.p.w.diskDown || d.p.noJournal {
		return gateway.ErrStorage
	}
	return nil
}

// NextMsgID see gateway.Journal.
func (d *disk) NextMsgID(ctx context.Context, inst ident.Institution, now time.Time) (ident.MsgID, error) {
	if err := d.fit(); err != nil {
		return "", err
	}
	w := d.p.w
	id, err := w.mem.NextMsgID(ctx, inst, now)
	if err == nil {
		w.given(id)
	}
	return id, err
}

// Write see gateway.Journal.
func (d *disk) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	p, w := d.p, d.p.w
	if d.p.dead {
		return nil, gateway.ErrStorage
	}
	t := taskOf(ctx)
	lo, hi := time.Millisecond, 20*time.Millisecond
	if w.storm && w.writes%97 == 96 {
		lo, hi = 5*time.Second, 50*time.Second
		w.count("disk-slow")
	}
	w.writes++
	w.s.park(t, lo, hi)
	p.hold(t)
	if err := d.fit(); err != nil {
		return nil, err
	}
	if w.storm && w.s.chance(w.rates.crash) {
		w.count("crash-before-write")
		p.kill()
		return nil, gateway.ErrStorage
	}
	if w.storm && w.s.chance(w.rates.disk) {
		w.count("disk-error-before")
		return nil, gateway.ErrStorage
	}
	existing, err := w.mem.Write(ctx, entries...)
	if err == nil && existing == nil {
		w.wrote(p, entries)
	}
	for _, x := range p.told {
		w.mem.Told(x.key, x.at)
	}
	p.told = nil
	if w.storm && w.s.chance(w.rates.crash) {
		w.count("crash-after-write")
		p.kill()
		return nil, gateway.ErrStorage
	}
	if w.storm && err == nil && w.s.chance(w.rates.frozen) {
		w.count("frozen-after-write")
		p.freeze(w.s.between(20*time.Second, 12*time.Minute))
		w.s.park(t, 0, time.Millisecond)
		p.hold(t)
	}
	if w.storm && err == nil && w.s.chance(w.rates.disk) {
		w.count("disk-error-after")
		return nil, gateway.ErrStorage
	}
	return existing, err
}

// Told see gateway.Journal. It is on the disk with the next write; a process that dies before has
// forgotten it.
func (d *disk) Told(key gateway.RequestKey, at time.Time) {
	if !d.p.dead {
		d.p.told = append(d.p.told, told{key, at})
	}
}

// Record see gateway.Journal.
func (d *disk) Record(ctx context.Context, id ident.MsgID) (gateway.Record, error) {
	if err := d.fit(); err != nil {
		return gateway.Record{}, err
	}
	return d.p.w.mem.Record(ctx, id)
}

// Events see gateway.Journal.
func (d *disk) Events(ctx context.Context, id ident.MsgID) ([]gateway.Event, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	return d.p.w.mem.Events(ctx, id)
}

// Request see gateway.Journal.
func (d *disk) Request(ctx context.Context, key gateway.RequestKey) (gateway.Request, error) {
	if err := d.fit(); err != nil {
		return gateway.Request{}, err
	}
	return d.p.w.mem.Request(ctx, key)
}

// Bill see gateway.Journal. A call that comes from the office of invoices was not held on its way from there: here
// it is, before it can wait for another's sign-in where nobody sees it.
func (d *disk) Bill(ctx context.Context, id string) (gateway.Bill, error) {
	if t := taskOf(ctx); t != nil && t.proc == d.p {
		d.p.hold(t)
	}
	if err := d.fit(); err != nil {
		return gateway.Bill{}, err
	}
	return d.p.w.mem.Bill(ctx, id)
}

// BillRecords see gateway.Journal.
func (d *disk) BillRecords(ctx context.Context, bill string) ([]gateway.Record, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	return d.p.w.mem.BillRecords(ctx, bill)
}

// RequestRecords see gateway.Journal.
func (d *disk) RequestRecords(ctx context.Context, key gateway.RequestKey) ([]gateway.Record, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	return d.p.w.mem.RequestRecords(ctx, key)
}

// List see gateway.Journal. What is not at an end is found without walking over everything, since
// every gateway looks for it every few seconds.
func (d *disk) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	w := d.p.w
	for _, s := range q.States {
		if s.Final() {
			return w.mem.List(ctx, q)
		}
	}
	if len(q.States) == 0 || !reflect.DeepEqual(q, gateway.Query{States: q.States, Queued: q.Queued, Direct: q.Direct, Brief: q.Brief, Limit: q.Limit}) {
		return w.mem.List(ctx, q)
	}
	return w.listOpen(ctx, q)
}

// Join see gateway.Holders.
func (d *disk) Join(ctx context.Context, name string, until time.Time) (gateway.Holder, error) {
	if err := d.fit(); err != nil {
		return "", err
	}
	return d.p.w.mem.Join(ctx, name, until)
}

// Hold see gateway.Holders.
func (d *disk) Hold(ctx context.Context, h gateway.Holder, until time.Time) error {
	if err := d.fit(); err != nil {
		return err
	}
	return d.p.w.mem.Hold(ctx, h, until)
}

// Claim see gateway.Holders.
func (d *disk) Claim(ctx context.Context, h gateway.Holder, ids []ident.MsgID, now, until time.Time) ([]ident.MsgID, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	return d.p.w.mem.Claim(ctx, h, ids, now, until)
}

// Release see gateway.Holders.
func (d *disk) Release(ctx context.Context, h gateway.Holder, ids []ident.MsgID) error {
	if err := d.fit(); err != nil {
		return err
	}
	return d.p.w.mem.Release(ctx, h, ids)
}

// Orphans see gateway.Holders.
func (d *disk) Orphans(ctx context.Context, now time.Time) ([]gateway.Record, error) {
	if err := d.fit(); err != nil {
		return nil, err
	}
	return d.p.w.mem.Orphans(ctx, now)
}

// Health see gateway.Journal.
func (d *disk) Health(context.Context) error { return d.fit() }

// Close see gateway.Journal.
func (d *disk) Close() error { return nil }

// listOpen gives the records of a state that is no end, oldest first.
func (w *World) listOpen(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	var list []gateway.Record
	keep := w.open[:0]
	for _, id := range w.open {
		r, err := w.mem.Record(ctx, id)
		if err != nil {
			return nil, err
		}
		if r.State.Final() {
			continue
		}
		keep = append(keep, id)
		if q.Queued && len(r.Wire) == 0 || q.Direct && len(r.Wire) > 0 {
			continue
		}
		for _, s := range q.States {
			if s == r.State {
				list = append(list, r)
				break
			}
		}
	}
	w.open = keep
	return list, nil
}
