package world

import (
	"context"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
)

// Mutations of what several gateways owe each other, and of the queue.

// standingClock does not notice that its machine stood still.
type standingClock struct{ p *process }

func (c standingClock) Now() time.Time { return c.p.Now().Add(-c.p.stood) }

func (c standingClock) Sleep(ctx context.Context, d time.Duration) error { return c.p.Sleep(ctx, d) }

// hastyClock is minutes ahead of the others'.
type hastyClock struct{ p *process }

func (c hastyClock) Now() time.Time { return c.p.Now().Add(6 * time.Minute) }

func (c hastyClock) Sleep(ctx context.Context, d time.Duration) error { return c.p.Sleep(ctx, d) }

func clocksMinutesApart(p *process, o *flow.Options) {
	if p.name != p.w.procs[0].name {
		o.Clock = hastyClock{p}
	}
}

// trusting believes that the broker loses nothing and does not look through the journal.
type trusting struct{ gateway.Journal }

func trust(p *process, j gateway.Journal) gateway.Journal {
	if p.w.broker == nil {
		return j
	}
	return trusting{j}
}

func (j trusting) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	if q.Queued && q.Visit == "" {
		return nil, nil
	}
	return j.Journal.List(ctx, q)
}
