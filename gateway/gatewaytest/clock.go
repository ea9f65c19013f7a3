// Package gatewaytest holds in-memory versions of the gateway's contracts, for tests of whoever
// uses them, and one conformance suite for each contract, for tests of whoever implements it.
package gatewaytest

import (
	"context"
	"sync"
	"time"
)

// Clock is a gateway.Clock that stands still until it is told to move. Safe for concurrent use.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	asleep  map[*sleeper]struct{}
	changed chan struct{} // closed and replaced whenever the number of sleepers changes
}

type sleeper struct {
	until time.Time
	wake  chan struct{}
}

// NewClock gives a clock that stands at t0.
func NewClock(t0 time.Time) *Clock {
	return &Clock{now: t0, asleep: map[*sleeper]struct{}{}, changed: make(chan struct{})}
}

// Now is the time the clock stands at.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep returns nil once Advance has moved the clock by d or more, or ctx.Err() when ctx ends
// first. A d that is not positive does not block.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil || d <= 0 {
		return err
	}
	c.mu.Lock()
	s := &sleeper{until: c.now.Add(d), wake: make(chan struct{})}
	c.asleep[s] = struct{}{}
	c.notify()
	c.mu.Unlock()

	select {
	case <-s.wake:
		return nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, still := c.asleep[s]; !still {
		return nil // woken at the same moment: the time did pass
	}
	delete(c.asleep, s)
	c.notify()
	return ctx.Err()
}

// Advance moves the clock by d and wakes everybody whose time has come. A negative d sets the
// clock back and wakes nobody.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for s := range c.asleep {
		if !s.until.After(c.now) {
			delete(c.asleep, s)
			close(s.wake)
		}
	}
	c.notify()
}

// Waiters is the number of calls that are blocked in Sleep.
func (c *Clock) Waiters() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.asleep)
}

// AwaitWaiters blocks until at least n calls are blocked in Sleep, or ctx ends. It is how a test
// knows that Advance will find whom it is meant for.
func (c *Clock) AwaitWaiters(ctx context.Context, n int) error {
	for {
		c.mu.Lock()
		enough, changed := len(c.asleep) >= n, c.changed
		c.mu.Unlock()
		if enough {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Clock) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}
