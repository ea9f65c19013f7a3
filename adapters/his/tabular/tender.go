package tabular

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"yiqiao/gateway"
)

// Tender has a source looked at again and again, with pauses that grow while it can not be worked on, and knows what
// keeps it from being so. Everything but Trouble is for one goroutine.
type Tender struct {
	Kind   string // of the source, for Trouble: files
	What   string // for the log: folder
	System string
	Log    *slog.Logger
	Clock  gateway.Clock
	Every  time.Duration     // between two looks
	Most   time.Duration     // longest pause, when it is longer than Every
	Short  func(error) error // the error without what must not be told: names, rows

	mu      sync.Mutex
	trouble string
}

// Trouble says what keeps the source from being worked on, "" when nothing does. Safe for concurrent use.
func (t *Tender) Trouble() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.trouble
}

// Say takes note of how a look ended. What has not changed is not logged again.
func (t *Tender) Say(err error) {
	text := ""
	if err != nil {
		text = t.Kind + " " + t.System + ": " + t.Short(err).Error()
	}
	t.mu.Lock()
	changed := t.trouble != text
	t.trouble = text
	t.mu.Unlock()
	switch {
	case changed && err != nil:
		t.Log.Error("a "+t.What+" can not be worked on", "system", t.System, "err", t.Short(err).Error())
	case changed:
		t.Log.Info("the "+t.What+" is worked on again", "system", t.System)
	}
}

// Run looks until ctx ends.
func (t *Tender) Run(ctx context.Context, look func(context.Context) error) error {
	wait := t.Every
	for {
		err := look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if t.Say(err); err == nil {
			wait = t.Every
		} else {
			wait = min(2*wait, max(t.Every, t.Most))
		}
		if err := t.Clock.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}
