package world

import (
	"context"
	"runtime"
	"sync"
)

// Sweep lets worlds of n seeds beginning at from happen, several at once, and hands every result
// over, in no particular order but one at a time. It ends early with ctx, or with the first error.
func Sweep(ctx context.Context, kit *Kit, from, n uint64, o Options, each func(Result)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan uint64)
	go func() {
		defer close(next)
		for i := range n {
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
				r, err := Run(kit, one)
				if err != nil {
					stop(err)
					return
				}
				mu.Lock()
				each(r)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// workers is how many worlds happen at once: one more than there are processors, since a world hands over
// from one of its tasks to the next all the time and leaves its processor idle for that moment.
func workers() int { return runtime.GOMAXPROCS(0) + 1 }
