package store

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"yiqiao/gateway"
)

// probeSize is how much Health writes: more than any one settlement needs.
const probeSize = 64 << 10

// healthState is what the last writes have shown.
type healthState struct {
	mu    sync.Mutex
	last  error // storage failure since the last write that was made durable
	fresh bool  // something was made durable since Health last looked
}

func (h *healthState) note(err error) {
	if !isStorage(err) {
		return
	}
	h.mu.Lock()
	h.last, h.fresh = err, false
	h.mu.Unlock()
}

func (h *healthState) written() {
	h.mu.Lock()
	h.last, h.fresh = nil, true
	h.mu.Unlock()
}

// proved reports whether real work has been made durable since it was last asked.
func (h *healthState) proved() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ok := h.fresh && h.last == nil
	h.fresh = false
	return ok
}

// Health is nil when a write would be accepted now, gateway.ErrStorage when not, ctx.Err() when it
// could not be found out in time. When nothing was written since the last call, or a write failed,
// it makes one itself, of 64 KiB; so a database that has recovered is found healthy without a
// restart. It also looks at the free space of the volume.
func (d *DB) Health(ctx context.Context) error {
	if d.closed.Load() {
		return errClosed()
	}
	if d.o.MinFree > 0 {
		free, err := d.o.FreeSpace(filepath.Dir(d.o.Path))
		if err != nil {
			return fmt.Errorf("%w: free space: %w", gateway.ErrStorage, err)
		}
		if free < uint64(d.o.MinFree) {
			return fmt.Errorf("%w: %d bytes free, want %d", gateway.ErrStorage, free, d.o.MinFree)
		}
	}
	if d.health.proved() {
		return nil
	}
	err := d.Do(ctx, probe)
	d.health.proved() // the probe itself proves nothing to the next call
	return err
}

// probe writes the new filler before it removes the old one, so that as much again stays free for
// real work when the database can not grow.
func probe(tx *Tx) error {
	var last int64
	if _, err := tx.Get("SELECT COALESCE(MAX(id), 0) FROM probe", nil, &last); err != nil {
		return err
	}
	if _, err := tx.Exec("INSERT INTO probe (id, filler) VALUES ($1, $2)", last+1, make([]byte, probeSize)); err != nil {
		return err
	}
	_, err := tx.Exec("DELETE FROM probe WHERE id <= $1", last)
	return err
}
