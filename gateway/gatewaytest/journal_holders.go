package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// memHolder is the present life of a name.
type memHolder struct {
	life  int
	until time.Time
}

// farAway is when the claim on a sent record ends by itself.
var farAway = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Join see gateway.Holders.
func (j *MemJournal) Join(ctx context.Context, name string, until time.Time) (gateway.Holder, error) {
	if name == "" {
		return "", errors.New("gatewaytest: a holder needs a name")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "hold"); err != nil {
		return "", err
	}
	h := memHolder{j.holders[name].life + 1, millis(until)}
	j.holders[name] = h
	return gateway.Holder(name + "#" + strconv.Itoa(h.life)), nil
}

// present gives the name of a holder whose life is the present one. The lock is held.
func (j *MemJournal) present(h gateway.Holder) (string, error) {
	at := strings.LastIndexByte(string(h), '#')
	if at < 0 {
		return "", fmt.Errorf("gatewaytest: %q is no holder", h)
	}
	name := string(h[:at])
	if strconv.Itoa(j.holders[name].life) != string(h[at+1:]) {
		return "", fmt.Errorf("%w: %s was joined again", gateway.ErrStale, name)
	}
	return name, nil
}

// lives reports whether a holder's lease runs at now. The lock is held.
func (j *MemJournal) lives(h gateway.Holder, now time.Time) bool {
	name, err := j.present(h)
	return err == nil && j.holders[name].until.After(now)
}

// Hold see gateway.Holders.
func (j *MemJournal) Hold(ctx context.Context, h gateway.Holder, until time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "hold"); err != nil {
		return err
	}
	name, err := j.present(h)
	if err != nil {
		return err
	}
	j.holders[name] = memHolder{j.holders[name].life, millis(until)}
	return nil
}

// Claim see gateway.Holders.
func (j *MemJournal) Claim(ctx context.Context, h gateway.Holder, ids []ident.MsgID, now, until time.Time) ([]ident.MsgID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "claim"); err != nil {
		return nil, err
	}
	if _, err := j.present(h); err != nil {
		return nil, err
	}
	now, until = millis(now), millis(until)
	var taken []ident.MsgID
	for _, id := range ids {
		m := j.records[id]
		if m == nil || m.record.State.Final() {
			continue
		}
		if r := &m.record; r.Holder == "" || r.Holder == h || !m.held.After(now) || !j.lives(r.Holder, now) {
			r.Holder, m.held = h, until
			taken = append(taken, id)
		}
	}
	return taken, nil
}

// Release see gateway.Holders.
func (j *MemJournal) Release(ctx context.Context, h gateway.Holder, ids []ident.MsgID) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, "claim"); err != nil {
		return err
	}
	for _, id := range ids {
		if m := j.records[id]; m != nil && m.record.Holder == h {
			m.record.Holder, m.held = "", time.Time{}
		}
	}
	return nil
}

// Orphans see gateway.Holders.
func (j *MemJournal) Orphans(ctx context.Context, now time.Time) ([]gateway.Record, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.enter(ctx, ""); err != nil {
		return nil, err
	}
	now = millis(now)
	var out []gateway.Record
	for _, m := range j.order {
		if m.record.State == gateway.StateSent && len(out) < 1000 && (!m.held.After(now) || !j.lives(m.record.Holder, now)) {
			out = append(out, copyRecord(m.record))
		}
	}
	return out, nil
}
