package deliver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/schemas/ident"
)

// attempt is what is kept of tries in vain.
type attempt struct {
	tries        int
	tried, again time.Time
	why, skipped string
}

// hold takes or prolongs the lease on a system. paused: a person has stopped deliveries to it.
func (p *post) hold(ctx context.Context) (ok, paused bool, err error) {
	c, system, now := p.c, p.r.System, p.c.o.Clock.Now()
	until := now.Add(lease + p.r.Timeout)
	n := int64(1)
	if now.After(p.held.Add(-until.Sub(now)/2)) || p.held.After(until) {
		p.held = time.Time{}
		if n, err = c.take(ctx, system, now, until); err == nil && n > 0 {
			p.held = until
		}
	}
	if err != nil || n == 0 {
		return false, false, err
	}
	var why string
	_, err = c.o.DB.Get(ctx, `SELECT paused FROM receiver WHERE system = $1`, []any{system}, &why)
	return err == nil, why != "", err
}

func (c *Courier) take(ctx context.Context, system string, now, until time.Time) (n int64, err error) {
	err = c.o.DB.DoLast(ctx, "receiver:"+system, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`INSERT INTO receiver (system, holder, until, delivered, at, paused) VALUES ($1, $2, $3, 0, 0, '')
			ON CONFLICT (system) DO UPDATE SET holder = $2, until = $3 WHERE receiver.holder = $2 OR receiver.until < $4`,
			system, c.o.Holder, until.UnixMilli(), now.UnixMilli())
		return err
	})
	return n, err
}

func (c *Courier) free(ctx context.Context, system string) error {
	return c.o.DB.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE receiver SET until = 0 WHERE system = $1 AND holder = $2`, system, c.o.Holder)
		return err
	})
}

// count notes deliveries; the commit takes the marks of what was told along.
func (c *Courier) count(ctx context.Context, system string, n int) error {
	at := c.o.Clock.Now().UnixMilli()
	return c.o.DB.DoLast(ctx, "receiver:"+system, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE receiver SET delivered = delivered + $1, at = $2 WHERE system = $3`, int64(n), at, system)
		return err
	})
}

func (c *Courier) failed(ctx context.Context, key gateway.RequestKey, a attempt) error {
	return c.o.DB.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO delivery (system, id, tries, tried, again, why, skipped) VALUES ($1, $2, $3, $4, $5, $6, '')
			ON CONFLICT (system, id) DO UPDATE SET tries = $3, tried = $4, again = $5, why = $6`,
			key.System, key.ID, int64(a.tries), a.tried.UnixMilli(), a.again.UnixMilli(), a.why)
		return err
	})
}

func (c *Courier) forget(ctx context.Context, key gateway.RequestKey) error {
	return c.o.DB.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM delivery WHERE system = $1 AND id = $2 AND skipped = ''`, key.System, key.ID)
		return err
	})
}

func (c *Courier) tries(ctx context.Context, system string) (map[string]attempt, error) {
	return attempts(ctx, c.o.DB, system)
}

func attempts(ctx context.Context, db *store.DB, system string) (map[string]attempt, error) {
	rows, err := db.Query(ctx, `SELECT id, tries, tried, again, why, skipped FROM delivery WHERE system = $1`, system)
	if err != nil {
		return nil, err
	}
	m := map[string]attempt{}
	for rows.Next() && err == nil {
		var id string
		var a attempt
		var tried, again int64
		if err = rows.Scan(&id, &a.tries, &tried, &again, &a.why, &a.skipped); err == nil {
			a.tried, a.again = millis(tried), millis(again)
			m[id] = a
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, db.Failed(err)
	}
	return m, nil
}

func millis(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n).In(gateway.China)
}

// Waiting is one answer that has not come over.
type Waiting struct {
	System      string            `json:"system"`
	Institution ident.Institution `json:"institution,omitempty"`
	RequestID   string            `json:"request_id"`
	Op          string            `json:"op"`
	Ref         string            `json:"ref"`
	AnsweredAt  time.Time         `json:"answered_at"`
	Tries       int               `json:"tries"`
	Tried       time.Time         `json:"tried,omitzero"`
	Again       time.Time         `json:"again,omitzero"`
	Why         string            `json:"why,omitempty"`
}

// State is how deliveries to one system stand.
type State struct {
	System    string    `json:"system"`
	Delivered int64     `json:"delivered"` // in all
	Last      time.Time `json:"last,omitzero"`
	Paused    string    `json:"paused,omitempty"` // by whom and why
	Waiting   []Waiting `json:"waiting"`          // oldest first, at most as many as were asked for
	More      bool      `json:"more,omitempty"`   // there are more
}

// Desk is the operator's side. It works beside a gateway that delivers or without one.
type Desk struct {
	Journal Journal
	DB      *store.DB
	Clock   gateway.Clock
}

// State tells how deliveries to a system stand.
func (d Desk) State(ctx context.Context, system string, limit int) (State, error) {
	return d.StateFor(ctx, system, limit, func(ident.Institution) bool { return true })
}

// statePage is how many are read at once, statePages how often at most: behind them is More.
const statePage, statePages = 1000, 100

// StateFor is State with what waits for the institutions that are seen only; the figures are those of the system.
func (d Desk) StateFor(ctx context.Context, system string, limit int, sees func(ident.Institution) bool) (State, error) {
	s := State{System: system, Waiting: []Waiting{}}
	var at int64
	if _, err := d.DB.Get(ctx, `SELECT delivered, at, paused FROM receiver WHERE system = $1`, []any{system}, &s.Delivered, &at, &s.Paused); err != nil {
		return s, err
	}
	s.Last = millis(at)
	tried, err := attempts(ctx, d.DB, system)
	if err != nil {
		return s, err
	}
	before, after := d.Clock.Now().Add(time.Hour), gateway.RequestKey{}
	for range statePages {
		list, err := d.Journal.Untold(ctx, system, before, after, statePage)
		if err != nil {
			return s, err
		}
		for _, r := range list {
			a := tried[r.Key.ID]
			if r.Told || a.skipped != "" || !sees(r.Institution) {
				continue
			}
			if len(s.Waiting) == limit {
				s.More = true
				return s, nil
			}
			s.Waiting = append(s.Waiting, Waiting{System: system, Institution: r.Institution, RequestID: r.Key.ID, Op: r.Op, Ref: r.Ref,
				AnsweredAt: r.AnsweredAt.In(gateway.China), Tries: a.tries, Tried: a.tried, Again: a.again, Why: a.why})
		}
		if len(list) < statePage {
			return s, nil
		}
		after = list[len(list)-1].Key
	}
	s.More = true
	return s, nil
}

// Retry lets what failed be tried at once: one request, or all of a system with id "".
func (d Desk) Retry(ctx context.Context, system, id string) (n int, err error) {
	err = d.DB.Do(ctx, func(tx *store.Tx) error {
		m, err := tx.Exec(`UPDATE delivery SET again = 0 WHERE system = $1 AND (id = $2 OR $2 = '') AND skipped = ''`, system, id)
		n = int(m)
		return err
	})
	return n, err
}

// Skip gives up one answer for good: whoever says so has told the HIS in another way. It stays in
// the journal; the row with who and why is kept.
func (d Desk) Skip(ctx context.Context, system, id, by, why string) error {
	if by == "" || why == "" {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: "deliver.skip", Path: "/why", Rule: "who and why"}
	}
	st, err := d.State(ctx, system, 100_000)
	if err != nil {
		return err
	}
	for _, w := range st.Waiting {
		if w.RequestID != id {
			continue
		}
		now := d.Clock.Now()
		d.Journal.Told(gateway.RequestKey{System: system, ID: id}, now)
		return d.DB.Do(ctx, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO delivery (system, id, tries, tried, again, why, skipped) VALUES ($1, $2, 0, $3, 0, '', $4)
				ON CONFLICT (system, id) DO UPDATE SET tried = $3, skipped = $4`,
				system, id, now.UnixMilli(), fmt.Sprintf("%s: %s", by, why))
			return err
		})
	}
	return &gateway.Error{Code: gateway.CodeNotFound, Op: "deliver.skip"}
}

// Pause stops deliveries to a system, or with by "" lets them go on.
func (d Desk) Pause(ctx context.Context, system, by, why string) error {
	text := ""
	if by != "" {
		text = by + ": " + why
	}
	return d.DB.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO receiver (system, holder, until, delivered, at, paused) VALUES ($1, '', 0, 0, 0, $2)
			ON CONFLICT (system) DO UPDATE SET paused = $2`, system, text)
		return err
	})
}
