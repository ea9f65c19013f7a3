package recon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"yiqiao/gateway"
)

// At is a time of day in China, from ParseAt.
type At struct{ hour, minute int }

// ParseAt reads HH:mm.
func ParseAt(s string) (At, error) {
	t, err := time.Parse("15:04", s)
	if err != nil {
		return At{}, fmt.Errorf("recon: time of day %q is not HH:mm", s)
	}
	return At{t.Hour(), t.Minute()}, nil
}

// due is the day that should have been reconciled by now, and when the next one is.
func (a At) due(now time.Time) (day, next time.Time) {
	now = now.In(gateway.China)
	next = time.Date(now.Year(), now.Month(), now.Day(), a.hour, a.minute, 0, 0, gateway.China)
	if !now.Before(next) {
		next = next.AddDate(0, 0, 1)
	}
	return next.AddDate(0, 0, -2), next
}

const (
	nap   = 5 * time.Minute  // a clock that is set forward is noticed after this long
	again = 20 * time.Minute // after a run that could not be finished
)

// Daily reconciles, at the same time each day, the day before for every institution, until ctx ends.
// After a start it catches up on the last day that was due; a run that could not be finished is
// tried again. done, when not nil, is called after every run. It starts nothing and returns nil
// when ctx has ended.
func (r *Reconciler) Daily(ctx context.Context, at At, done func(Report, error)) error {
	var retry time.Time
	for ctx.Err() == nil {
		now := r.opt.Clock.Now()
		day, next := at.due(now)
		if !now.Before(retry) {
			retry = time.Time{}
			if !r.catchUp(ctx, day, done) {
				retry = now.Add(again)
			}
		}
		wait := min(next.Sub(now), nap)
		if err := r.opt.Clock.Sleep(ctx, wait); err != nil {
			break
		}
	}
	return nil
}

// catchUp runs what is missing of a day; false when something could not be finished.
func (r *Reconciler) catchUp(ctx context.Context, day time.Time, done func(Report, error)) bool {
	all := true
	for code := range r.opt.Institutions {
		if ctx.Err() != nil {
			return false
		}
		finished, err := r.opt.Archive.Finished(dayOf(day), code)
		if err == nil && finished {
			continue
		}
		rep, err := r.Run(ctx, code, day)
		if err != nil {
			all = false
			r.opt.Log.Error("reconciliation not finished", "institution", string(code), "date", dayOf(day), "err", errText(err))
		} else {
			r.opt.Log.Info("reconciliation", "institution", string(code), "date", dayOf(day), "balanced", rep.Balanced,
				"differences", len(rep.Differences), "unexplained", len(rep.Unexplained))
		}
		if done != nil {
			done(rep, err)
		}
	}
	return all
}

// errText words an error for the log.
func errText(err error) string {
	var e *gateway.Error
	if errors.As(err, &e) {
		return string(e.Code) + " " + e.Detail
	}
	return err.Error()
}

func clockOf(t time.Time) string { return t.In(gateway.China).Format("15:04:05") }
