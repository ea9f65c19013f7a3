package store

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"yiqiao/gateway"
)

const (
	maxBatch   = 256  // operations in one transaction
	maxLater   = 4096 // operations that wait for company
	maxCulprit = 4    // failing operations taken out of a batch before it is run one by one
)

// Do runs fn inside a transaction and returns when it is durable, or did not happen.
//
// fn may be run more than once, always on a fresh transaction, never after Do has returned: it
// must keep what it finds out in variables it sets anew each time. It runs on the database's
// goroutine: it must not block, start goroutines or call DB. Its error (or panic, turned into an
// error) undoes what it did and is returned; other operations are not hurt by it.
//
// A ctx that ends before fn was started gives ctx.Err() and fn never runs. Afterwards Do waits for
// the truth. gateway.ErrStorage means the storage failed: nothing was promised. When it was the
// flush of a commit that failed, a machine that then loses power may still find it done.
func (d *DB) Do(ctx context.Context, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &operation{fn: fn, done: make(chan error, 1)}
	if !d.line.add(o) {
		return errClosed()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		if o.state.CompareAndSwap(waiting, cancelled) {
			return ctx.Err()
		}
		return <-o.done
	}
}

// Later hands in an operation nobody waits for: it joins the next commit, or Close. then, when not
// nil, is told how it ended, on the database's goroutine. false: too many are waiting already or
// the database is closed; neither fn nor then will be called.
func (d *DB) Later(fn func(*Tx) error, then func(error)) bool {
	return d.line.addLater(&operation{fn: fn, then: then})
}

func errClosed() error { return fmt.Errorf("%w: closed", gateway.ErrStorage) }

const (
	waiting int32 = iota
	started
	cancelled
)

type operation struct {
	fn    func(*Tx) error
	done  chan error
	then  func(error)
	state atomic.Int32
	err   error // of the run under way
}

func (o *operation) answer(err error) {
	if o.done != nil {
		o.done <- err
	}
	if o.then != nil {
		o.then(err)
	}
}

// line is where operations wait. As every caller of Do waits, it is no longer than they are many.
type line struct {
	mu     sync.Mutex
	closed bool
	queue  []*operation
	later  []*operation
	wake   chan struct{}
}

func (l *line) add(o *operation) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, o)
	l.mu.Unlock()
	l.nudge()
	return true
}

func (l *line) addLater(o *operation) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.later) >= maxLater {
		return false
	}
	l.later = append(l.later, o)
	return true
}

func (l *line) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.nudge()
}

func (l *line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take gives the next batch, waiting for one; nil when the line is closed and empty.
func (l *line) take(into []*operation) []*operation {
	for {
		l.mu.Lock()
		if len(l.queue) > 0 || l.closed {
			into = move(into, &l.queue)
			into = move(into, &l.later)
			done := l.closed && len(into) == 0
			l.mu.Unlock()
			if done {
				return nil
			}
			return into
		}
		l.mu.Unlock()
		<-l.wake
	}
}

// move takes the first operations of a list until into is full.
func move(into []*operation, from *[]*operation) []*operation {
	n := min(len(*from), maxBatch-len(into))
	into = append(into, (*from)[:n]...)
	rest := copy(*from, (*from)[n:])
	clear((*from)[rest:])
	*from = (*from)[:rest]
	return into
}

func (d *DB) batcher() {
	defer close(d.stopped)
	defer d.tx.drop()
	room := make([]*operation, 0, maxBatch)
	for {
		batch := d.line.take(room[:0])
		if batch == nil {
			return
		}
		d.run(batch)
		clear(batch)
		d.checkpoint()
	}
}

// run brings every operation of a batch to its answer.
func (d *DB) run(batch []*operation) {
	todo := batch[:0]
	for _, o := range batch {
		if o.state.CompareAndSwap(waiting, started) {
			todo = append(todo, o)
		}
	}
	var culprits []*operation
	for len(todo) > 0 {
		bad, err := d.try(todo)
		switch {
		case err == nil:
			d.answer(todo)
			todo = nil
		case len(todo) == 1 || bad == noBegin:
			d.fail(todo, err)
			todo = nil
		case bad == noCommit || len(culprits) == maxCulprit:
			d.singly(todo)
			todo = nil
		default:
			culprits = append(culprits, todo[bad])
			todo = append(todo[:bad], todo[bad+1:]...)
		}
	}
	d.singly(culprits)
}

// singly runs operations in a transaction each, so that none suffers for another.
func (d *DB) singly(ops []*operation) {
	for i := range ops {
		one := ops[i : i+1]
		bad, err := d.try(one)
		switch {
		case err == nil:
			d.answer(one)
		case bad == noBegin:
			d.fail(ops[i:], err)
			return
		default:
			d.fail(one, err)
		}
	}
}

func (d *DB) answer(ops []*operation) {
	d.stats.operations.Add(int64(len(ops)))
	for _, o := range ops {
		o.answer(o.err)
	}
}

func (d *DB) fail(ops []*operation, err error) {
	for _, o := range ops {
		o.answer(err)
	}
}

// What try blames when it is not one of the operations.
const (
	noBegin  = -1 // the transaction could not be opened; another will not fare better
	noCommit = -2
)

// try runs operations in one transaction. When err is nil they are committed and each has its own
// answer in its err. Otherwise nothing happened and bad is the place of the operation at fault,
// noBegin or noCommit.
func (d *DB) try(ops []*operation) (bad int, err error) {
	if err := d.tx.begin(); err != nil {
		d.health.note(err)
		return noBegin, err
	}
	for i, o := range ops {
		d.tx.changed = false
		o.err = call(o.fn, &d.tx)
		if d.tx.broken == nil && (o.err == nil || !d.tx.changed) {
			continue // done, or refused before it changed anything
		}
		err := o.err
		if d.tx.broken != nil {
			err = d.tx.broken // also when the operation kept it to itself
			d.health.note(err)
		}
		d.undo()
		return i, err
	}
	pages, err := d.tx.commit()
	if err != nil {
		d.health.note(err)
		d.undo()
		return noCommit, err
	}
	if pages > 0 {
		d.committed(pages)
	}
	return 0, nil
}

func (d *DB) undo() {
	d.stats.rollbacks.Add(1)
	d.tx.rollback()
}

// call runs an operation; a panic becomes an error. What it panicked with is named only when it is
// the runtime's, for it could be anybody's data.
func call(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = fmt.Errorf("store: operation panicked: %w", p)
		default:
			err = fmt.Errorf("store: operation panicked with a %T", p)
		}
	}()
	return fn(tx)
}
