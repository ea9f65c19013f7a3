package world

import (
	"context"
	"runtime"
	"sync"
)

// Watch is told how a sweep goes on, one call at a time. Either may be nil.
type Watch struct {
	Begun func(seed uint64) // its world begins
	Ended func(Result)
}

// Sweep lets worlds of n seeds beginning at from happen, several at once, in no particular order. With the end of
// ctx, or the first error, no world begins any more, and Sweep comes back when those under way are over.
func Sweep(ctx context.Context, kit *Kit, from, n uint64, o Options, to Watch) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan uint64)
	go func() {
		defer close(next)
		for i := range n {
			if ctx.Err() != nil {
				return
			}
			select {
			case next <- from + i:
			case <-ctx.Done():
				return
			}
		}
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range workers() {
		wg.Go(func() {
			for seed := range next {
				one := o
				one.Seed = seed
				if to.Begun != nil {
					mu.Lock()
					to.Begun(seed)
					mu.Unlock()
				}
				r, err := Run(kit, one)
				if err != nil {
					stop(err)
					return
				}
				if to.Ended != nil {
					mu.Lock()
					to.Ended(r)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// workers is how many worlds happen at once: one more than there are processors, since a world hands over
// from one of its tasks to the next all the time and leaves its processor idle for that moment.
func workers() int { return runtime.GOMAXPROCS(0) + 1 }
