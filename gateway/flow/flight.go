package flow

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// flights lets equal requests share one piece of work. The zero value is ready.
type flights struct {
	mu  sync.Mutex
	now map[gateway.RequestKey]*flight
}

type flight struct {
	digest [32]byte
	done   chan struct{}
	value  any
	err    error
}

// do runs fn for a key, or waits for the one that runs already with the same digest. fn gets a
// context that lives on when the caller's ends: a caller that stops waiting stops nothing. wg
// counts the work, so that whoever ends the program can wait for it.
func (f *flights) do(ctx context.Context, wg *sync.WaitGroup, key gateway.RequestKey, digest [32]byte,
	fn func(context.Context) (any, error)) (any, error) {
	f.mu.Lock()
	if f.now == nil {
		f.now = map[gateway.RequestKey]*flight{}
	}
	fl := f.now[key]
	if fl != nil && fl.digest != digest {
		f.mu.Unlock()
		return nil, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: "flow.request", Path: "/request_id"}
	}
	if fl == nil {
		fl = &flight{digest: digest, done: make(chan struct{})}
		f.now[key] = fl
		wg.Add(1)
		go func() {
			defer wg.Done()
			fl.run(context.WithoutCancel(ctx), fn)
			f.mu.Lock()
			delete(f.now, key)
			f.mu.Unlock()
			close(fl.done)
		}()
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		return nil, &gateway.Error{Code: gateway.CodeRequestInProgress, Op: "flow.request", Err: ctx.Err()}
	}
}

// run turns a fault of ours into an answer. It is "unknown" and not "failed": something may have been
// sent, which is in the journal and gets resolved.
func (fl *flight) run(ctx context.Context, fn func(context.Context) (any, error)) {
	defer func() {
		if p := recover(); p != nil {
			fl.value = nil
			fl.err = &gateway.Error{Code: gateway.CodeOutcomeUnknown, Op: "flow.request", Err: fmt.Errorf("fault: %v\n%s", p, debug.Stack())}
		}
	}()
	fl.value, fl.err = fn(ctx)
}

// locks holds one lock for each name in use. The zero value is ready.
type locks struct {
	mu sync.Mutex
	m  map[string]*lock
}

type lock struct {
	place chan struct{}
	users int
}

// lock waits for the name and returns how to let go of it, or ctx's error.
func (l *locks) lock(ctx context.Context, name string) (func(), error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = map[string]*lock{}
	}
	k := l.m[name]
	if k == nil {
		k = &lock{place: make(chan struct{}, 1)}
		l.m[name] = k
	}
	k.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.m, name)
		}
	}
	select {
	case k.place <- struct{}{}:
		return func() { <-k.place; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// busy is the set of records this process works on. The zero value is ready.
type busy struct {
	mu sync.Mutex
	m  map[ident.MsgID]struct{}
}

// claim reports whether the record was free, and takes it.
func (b *busy) claim(id ident.MsgID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, taken := b.m[id]; taken {
		return false
	}
	if b.m == nil {
		b.m = map[ident.MsgID]struct{}{}
	}
	b.m[id] = struct{}{}
	return true
}

func (b *busy) free(id ident.MsgID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.m, id)
}

func (b *busy) has(id ident.MsgID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.m[id]
	return ok
}
