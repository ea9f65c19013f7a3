package gateway_test

import (
	"context"
	"testing"
	"time"

	"yiqiao/gateway"
)

type wall struct{ now time.Time }

func (w wall) Now() time.Time                           { return w.now }
func (wall) Sleep(context.Context, time.Duration) error { return nil }

type watched struct {
	wall
	passed time.Duration
}

func (w watched) Since(time.Time) time.Duration { return w.passed }

// What may still leave is decided by the time that has passed, not by what a clock was set to.
func TestElapsed(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, gateway.China)
	if d := gateway.Elapsed(wall{at.Add(time.Minute)}, at); d != time.Minute {
		t.Errorf("%s by the readings", d)
	}
	if d := gateway.Elapsed(watched{wall{at.Add(-time.Hour)}, time.Minute}, at); d != time.Minute {
		t.Errorf("%s of a clock that was set back", d)
	}
	// A machine that was suspended: its monotonic clock stood still, its wall clock is minutes ahead.
	began := time.Now()
	if d := gateway.Elapsed(wall{began.Round(0).Add(5 * time.Minute)}, began); d < 5*time.Minute {
		t.Errorf("%s of a machine that was suspended", d)
	}
}
