package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"yiqiao/cmd/yiqiao/internal/world"
)

// tortureWatch is a sweep seen from outside: what it has come to so far, which seeds are under way and since
// when. A world has a clock of its own, so whether one still moves is told by the time of the machine.
type tortureWatch struct {
	mu    sync.Mutex
	began map[uint64]time.Time
	ended func(world.Result) // with the lock held
	// signals are those the process gets; nil: run listens for them.
	signals chan os.Signal
}

// Why a sweep ended before its time.
var (
	errTortureStopped = errors.New("被中断, 以上是已完成的种子 / interrupted: the report is of the seeds that were done")
	errTortureStuck   = errors.New("有种子停住不动 / a seed has come to a standstill")
)

// stuckAfter is how long a world of so many bills may take before it counts as standing still: some hundred
// times what it needs.
func stuckAfter(given time.Duration, bills int) time.Duration {
	if given > 0 {
		return given
	}
	return time.Minute * time.Duration(max(1, bills/50))
}

// run carries a sweep out. It ends when the sweep does; with the end of ctx when the worlds under way are over;
// at once on a second signal to the process or when a world stands still. What still runs then is left behind.
func (w *tortureWatch) run(ctx context.Context, limit time.Duration, errs io.Writer, sweep func(context.Context, world.Watch) error) error {
	signals := w.signals
	if signals == nil {
		signals = make(chan os.Signal, 2)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(signals)
	}
	over := make(chan error, 1)
	go func() { over <- sweep(ctx, world.Watch{Begun: w.begins, Ended: w.ends}) }()
	tick := time.NewTicker(min(time.Second, limit/4))
	defer tick.Stop()
	for heard := 0; ; {
		select {
		case err := <-over:
			if err != nil && ctx.Err() != nil {
				return errTortureStopped
			}
			return err
		case <-signals:
			if heard++; heard > 1 {
				return errTortureStopped
			}
		case <-tick.C:
			if seeds := w.standing(limit); len(seeds) > 0 {
				fmt.Fprintf(errs, "种子 %v 在 %s 内没有结束 / seeds that have not ended; goroutines:\n", seeds, limit)
				_, _ = errs.Write(stacks())
				return fmt.Errorf("%w: %v", errTortureStuck, seeds)
			}
		}
	}
}

func (w *tortureWatch) begins(seed uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began[seed] = systemClock{}.Now()
}

func (w *tortureWatch) ends(r world.Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.began, r.Seed)
	w.ended(r)
}

// standing are the seeds that have been under way for longer than the limit.
func (w *tortureWatch) standing(limit time.Duration) (list []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := systemClock{}.Now()
	for _, seed := range slices.Sorted(maps.Keys(w.began)) {
		if now.Sub(w.began[seed]) > limit {
			list = append(list, seed)
		}
	}
	return list
}

// stacks is what every goroutine is doing.
func stacks() []byte {
	for size := 1 << 20; ; size *= 2 {
		b := make([]byte, size)
		if n := runtime.Stack(b, true); n < size || size >= 64<<20 {
			return b[:n]
		}
	}
}
