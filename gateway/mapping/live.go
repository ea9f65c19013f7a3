package mapping

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
)

// Live is a definition that can be replaced while messages come in: each message is mapped whole by
// one version. It implements gateway.Mapper.
type Live struct {
	load  func() (*Definition, error)
	stamp func() string
	now   atomic.Pointer[Definition]
}

var _ gateway.Mapper = (*Live)(nil)

// NewLive loads for the first time. stamp changes when what load reads has changed: sizes and times
// of files, say.
func NewLive(load func() (*Definition, error), stamp func() string) (*Live, error) {
	if load == nil || stamp == nil {
		return nil, errors.New("mapping: load and stamp are required")
	}
	l := &Live{load: load, stamp: stamp}
	d, err := load()
	if err != nil {
		return nil, err
	}
	l.now.Store(d)
	return l, nil
}

// Current is the definition in force.
func (l *Live) Current() *Definition { return l.now.Load() }

// Map implements gateway.Mapper.
func (l *Live) Map(s gateway.Source) (gateway.Mapped, error) { return l.Current().Map(s) }

// Trace implements gateway.Mapper.
func (l *Live) Trace(s gateway.Source) []gateway.Trace { return l.Current().Trace(s) }

// Reload loads anew. A definition that is refused leaves the one in force where it is.
func (l *Live) Reload() error {
	d, err := l.load()
	if err == nil {
		l.now.Store(d)
	}
	return err
}

// Watch reloads when the stamp changes, until ctx ends. What is refused is logged once.
func (l *Live) Watch(ctx context.Context, clock gateway.Clock, every time.Duration, log *slog.Logger) {
	for last := l.stamp(); clock.Sleep(ctx, every) == nil; {
		s := l.stamp()
		if s == last {
			continue
		}
		last = s
		if err := l.Reload(); err != nil {
			log.Error("the changed mapping is refused; the one before stays in force", "mapping", l.Current().Version(), "err", err.Error())
			continue
		}
		log.Info("the mapping was replaced", "mapping", l.Current().Version())
	}
}
