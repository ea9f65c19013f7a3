// Package gateway holds the nouns and contracts of Yiqiao; it does no IO and starts nothing.
//
// A HIS hands in a Request through a Desk. What it leads to at the insurance centre is a Record in
// the Journal: made durable before a byte leaves, and afterwards in exactly one State, which is the
// fold of its append-only Events. A Centre sends one message once and classifies what came back
// with an Outcome of three values. Packages below this one implement the contracts; only cmd puts
// them together.
package gateway

import (
	"context"
	"time"
)

// China is the time zone of every text time on the interface.
var China = time.FixedZone("CST", 8*3600)

// Clock is where time comes from. Nothing in the gateway asks the machine directly.
type Clock interface {
	Now() time.Time
	// Sleep returns early with ctx.Err() when ctx ends.
	Sleep(ctx context.Context, d time.Duration) error
}

// Stopwatch is what a Clock offers whose readings do not tell by themselves how much time has passed
// between them: since a reading of it, however it was set meanwhile.
type Stopwatch interface {
	Since(reading time.Time) time.Duration
}

// Elapsed is how much time has passed since a reading of a clock. A clock that was set back does not
// shorten it, nor does a machine that was suspended, whose monotonic clock stands still: of the two
// the longer one counts.
func Elapsed(c Clock, since time.Time) time.Duration {
	if s, ok := c.(Stopwatch); ok {
		return s.Since(since)
	}
	now := c.Now()
	return max(now.Sub(since), now.Round(0).Sub(since.Round(0)))
}

// Operator is the person or terminal a transaction is made for.
type Operator struct {
	ID   string `json:"id"`   // opter, at most 30 characters
	Name string `json:"name"` // opter_name, at most 50
	Type string `json:"type"` // opter_type: 1 clerk, 2 self-service terminal, 3 mobile; default 1
}
