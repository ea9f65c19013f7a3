package store

import (
	"context"
	"sync"
)

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
// it makes one itself; so a database that has recovered is found healthy without a restart. Of a
// SQLite file's volume it looks at the free space too.
func (d *DB) Health(ctx context.Context) error {
	if d.closed.Load() {
		return errClosed()
	}
	if err := d.engine.ready(); err != nil {
		return err
	}
	if d.health.proved() {
		return nil
	}
	err := d.Do(ctx, d.engine.probe)
	d.health.proved() // the probe itself proves nothing to the next call
	return err
}
