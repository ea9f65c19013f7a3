package flow

import (
	"context"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// drainWindow is the time over which the speed of sending is measured.
const drainWindow = 10 * time.Minute

// UploadsStatus is how the upload class stands.
type UploadsStatus struct {
	At     time.Time           `json:"at"`
	Routes []UploadRoute       `json:"routes"`
	Queue  *gateway.QueueState `json:"queue,omitempty"` // of this process
	Paused []UploadOrder       `json:"paused"`
}

// UploadRoute is how one transaction number stands.
type UploadRoute struct {
	Infno    ident.Infno  `json:"infno"`
	Name     string       `json:"name"`
	Waiting  int          `json:"waiting"` // not finished and not parked
	Failing  int          `json:"failing"` // of these, tried without a usable answer
	Parked   int          `json:"parked"`  // wait for a person, and their visits with them
	Refused  int          `json:"refused"` // refused by the centre in the last 24 hours
	Paused   bool         `json:"paused"`
	Oldest   time.Time    `json:"oldest,omitzero"`    // when the oldest that waits was accepted
	Drained  int          `json:"drained_in_10_min"`  // finished in the last ten minutes
	Done     time.Time    `json:"done_by,omitzero"`   // when the last that waits now will be sent, at that speed
	Deadline catalog.Span `json:"deadline,omitempty"` // from accepting to sent; 0: none known
	Late     int          `json:"late"`               // past their deadline
	WillBe   int          `json:"will_be_late"`       // not yet, but at this speed they will be
}

// Uploads tells how the upload class stands. It reads the journal: what another process does is
// seen as well.
func (d *Desk) Uploads(ctx context.Context) (UploadsStatus, error) {
	const op = "flow.uploads"
	if err := d.heed(ctx); err != nil {
		return UploadsStatus{}, storage(op, err)
	}
	now := d.opt.Clock.Now()
	routes := map[ident.Infno]*tally{}
	of := func(n ident.Infno) *tally {
		if routes[n] == nil {
			routes[n] = &tally{route: UploadRoute{Infno: n, Paused: d.paused(n)}}
			if tx, ok := d.opt.Catalog.Lookup(n); ok {
				routes[n].route.Name, routes[n].route.Deadline = tx.Name, tx.Deadline
			}
		}
		return routes[n]
	}
	// Speed first: what will be late depends on it.
	ended := gateway.Query{States: []gateway.State{gateway.StateDone, gateway.StateRefused}, Since: now.Add(-24 * time.Hour)}
	err := d.eachUpload(ctx, ended, func(rec gateway.Record) error {
		t := of(rec.Infno)
		if !rec.UpdatedAt.Before(now.Add(-drainWindow)) {
			t.route.Drained++
		}
		if rec.State == gateway.StateRefused {
			t.route.Refused++
		}
		return nil
	})
	if err == nil {
		err = d.eachUpload(ctx, gateway.Query{States: unfinished()}, func(rec gateway.Record) error {
			of(rec.Infno).wait(rec, now)
			return nil
		})
	}
	if err != nil {
		return UploadsStatus{}, storage(op, err)
	}
	s := UploadsStatus{At: now, Routes: []UploadRoute{}, Paused: []UploadOrder{}}
	for _, t := range routes {
		s.Routes = append(s.Routes, t.end(now))
	}
	slices.SortFunc(s.Routes, func(a, b UploadRoute) int { return strings.Compare(string(a.Infno), string(b.Infno)) })
	d.orders.mu.Lock()
	for _, o := range d.orders.paused {
		s.Paused = append(s.Paused, o)
	}
	d.orders.mu.Unlock()
	slices.SortFunc(s.Paused, func(a, b UploadOrder) int { return strings.Compare(string(a.Infno), string(b.Infno)) })
	if d.opt.Queue != nil {
		q := d.opt.Queue.State()
		s.Queue = &q
	}
	return s, nil
}

// Degraded implements gateway.Degraded.
func (d *Desk) Degraded() string {
	if d.opt.Queue == nil {
		return ""
	}
	if s := d.opt.Queue.State(); s.Trouble != "" {
		return "queue: " + s.Trouble
	}
	return ""
}

// tally counts one route. Records that wait come in the order they were accepted.
type tally struct {
	route UploadRoute
}

// wait counts one record that is not finished. The i-th of those that wait is sent after i times
// what one takes at the present speed; its age by then is what its deadline is held against.
func (t *tally) wait(rec gateway.Record, now time.Time) {
	r := &t.route
	if rec.State == gateway.StateParked {
		r.Parked++
	} else {
		r.Waiting++
		if rec.State == gateway.StateUnknown {
			r.Failing++
		}
		if r.Oldest.IsZero() || rec.CreatedAt.Before(r.Oldest) {
			r.Oldest = rec.CreatedAt
		}
	}
	age := now.Sub(rec.CreatedAt)
	if r.Deadline == 0 {
		return
	}
	switch at, known := t.sentAt(r.Waiting); {
	case age > time.Duration(r.Deadline):
		r.Late++
	case rec.State == gateway.StateParked, r.Paused, known && age+at > time.Duration(r.Deadline), !known && age > drainWindow:
		r.WillBe++
	}
}

// sentAt is how long it takes to send n, false when nothing was sent lately.
func (t *tally) sentAt(n int) (time.Duration, bool) {
	if t.route.Drained == 0 {
		return 0, false
	}
	return time.Duration(n) * drainWindow / time.Duration(t.route.Drained), true
}

func (t *tally) end(now time.Time) UploadRoute {
	if at, known := t.sentAt(t.route.Waiting); known && t.route.Waiting > 0 && !t.route.Paused {
		t.route.Done = now.Add(at)
	}
	return t.route
}
