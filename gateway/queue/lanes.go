// Package queue holds what the kinds of queue have in common.
package queue

import (
	"context"
	"sync"
)

// Lanes calls a function for items: those of one lane one after the other in the order they were
// added, those of different lanes as many at once as there are workers. Items of the lane "" are
// in no order. Safe for concurrent use.
type Lanes[T any] struct {
	work    func(T)
	workers int
	room    chan struct{} // one for every item that waits or is worked on

	mu      sync.Mutex
	lanes   map[string]*lane[T]
	ready   []*lane[T] // lanes with work and without a worker, first come first served
	running int
	open    bool
	done    sync.WaitGroup
}

type lane[T any] struct {
	name  string
	items []T
}

// NewLanes gives lanes that hold at most room items and are stopped.
func NewLanes[T any](workers, room int, work func(T)) *Lanes[T] {
	return &Lanes[T]{work: work, workers: max(workers, 1), room: make(chan struct{}, max(room, 1)), lanes: map[string]*lane[T]{}}
}

// Add puts an item at the end of its lane. It waits for room until ctx ends.
func (l *Lanes[T]) Add(ctx context.Context, name string, item T) error {
	select {
	case l.room <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.lanes[name]; k != nil && name != "" {
		k.items = append(k.items, item)
		return nil
	}
	k := &lane[T]{name: name, items: []T{item}}
	if name != "" {
		l.lanes[name] = k
	}
	l.ready = append(l.ready, k)
	l.hire()
	return nil
}

// Len is the number of items that wait or are worked on.
func (l *Lanes[T]) Len() int { return len(l.room) }

// Start lets the workers work.
func (l *Lanes[T]) Start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = true
	l.hire()
}

// Stop lets the items that are worked on end and returns then. The others stay for another Start.
func (l *Lanes[T]) Stop() {
	l.mu.Lock()
	l.open = false
	l.mu.Unlock()
	l.done.Wait()
}

// hire starts a worker for every lane that is ready, up to the bound. The lock is held.
func (l *Lanes[T]) hire() {
	for n := len(l.ready); l.open && n > 0 && l.running < l.workers; n-- {
		l.running++
		l.done.Add(1)
		go l.run()
	}
}

func (l *Lanes[T]) run() {
	defer l.done.Done()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open && len(l.ready) > 0 {
		k := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		item := k.items[0]
		var none T
		k.items[0] = none
		k.items = k.items[1:]
		l.mu.Unlock()
		l.work(item)
		<-l.room
		l.mu.Lock()
		switch {
		case len(k.items) > 0:
			l.ready = append(l.ready, k)
		case k.name != "":
			delete(l.lanes, k.name)
		}
	}
	l.running--
}
