package store

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
)

const (
	maxBatch   = 256  // operations in one transaction
	maxLater   = 4096 // operations that wait for company
	maxCulprit = 4    // failing operations taken out of a batch before it is run one by one
	maxTries   = 8    // transactions for one operation that others keep getting in the way of

	// When so many operations came within so short a time, and not one by one, the next batch waits a
	// little for company: under load a commit, which costs a flush, then serves several times as
	// many callers. It waits until as many are there as there were at once lately, and no longer than
	// a commit took lately, for a wait that saves a flush may cost one. A lone caller never waits.
	crowd       = 16
	crowdWithin = 50 * time.Millisecond
	gatherLeast = time.Millisecond
	gatherMost  = 4 * time.Millisecond
	gatherStep  = 500 * time.Microsecond
	remembered  = 8 // batches
)

// Do runs fn inside a transaction and returns when it is durable, or did not happen.
//
// fn may be run more than once, always on a fresh transaction, never after Do has returned: it
// must keep what it finds out in variables it sets anew each time. It runs on a goroutine of the
// database: it must not block, start goroutines or call DB. Its error (or panic, turned into an
// error) undoes what it did and is returned; other operations are not hurt by it.
//
// A ctx that ends before fn was started gives ctx.Err() and fn never runs. Afterwards Do waits for
// the truth. gateway.ErrStorage means the storage failed: nothing was promised. It may still have
// been done: when the flush of a commit failed and the machine then loses power, or when the
// connection to PostgreSQL was lost during a commit and the server did not come back in time to
// say how it ended. A connection lost earlier, or a server that could be asked, is no error: Do
// finds out and runs fn again where nothing had happened.
func (d *DB) Do(ctx context.Context, fn func(*Tx) error) error { return d.DoLast(ctx, "", fn) }

// DoLast is Do for an operation that changes a row many others want, such as a counter; row names
// it. Within a transaction such operations come last, in the order of their rows: the row is
// locked for as short as can be, and no two transactions wait for each other.
func (d *DB) DoLast(ctx context.Context, row string, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &operation{fn: fn, row: row, done: make(chan error, 1)}
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
	row   string // see DoLast
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
	came   [crowd]time.Time // the last arrivals, a ring
	count  int              // arrivals in all
	last   int              // operations in the batch before
	taken  int              // operations that lanes are working on
	crowds [remembered]int  // how many there were at once when the last batches were taken, a ring
	took   time.Duration    // what a commit takes, the last ones counting most
}

// busy reports whether a crowd has been coming lately. mu is held.
func (l *line) busy(now time.Time) bool {
	return l.count >= crowd && max(len(l.queue), l.last) > 1 && now.Sub(l.came[l.count%crowd]) < crowdWithin
}

// lacks reports whether company is still to be waited for by a batch that has waited so long. mu is held.
func (l *line) lacks(waited time.Duration) bool {
	n := len(l.queue)
	if n == 0 || n >= maxBatch || l.closed || waited >= min(max(l.took, gatherLeast), gatherMost) || !l.busy(time.Now()) {
		return false
	}
	return n < min(slices.Max(l.crowds[:])-l.taken, maxBatch)
}

// note takes in that a batch is taken. mu is held.
func (l *line) note(n int) {
	copy(l.crowds[1:], l.crowds[:])
	l.taken += n
	l.crowds[0] = l.taken + len(l.queue)
}

// over takes in that n operations have been answered.
func (l *line) over(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken -= n
}

// committed takes in how long a commit took.
func (l *line) committed(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took += (took - l.took) / 4
}

func (l *line) add(o *operation) bool {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, o)
	l.came[l.count%crowd] = time.Now()
	l.count++
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
	waited := time.Duration(0)
	for {
		l.mu.Lock()
		if l.lacks(waited) {
			l.mu.Unlock()
			waited += gatherStep
			time.Sleep(gatherStep)
			continue
		}
		if len(l.queue) > 0 || l.closed {
			into = move(into, &l.queue)
			l.last = len(into)
			into = move(into, &l.later)
			l.note(len(into))
			more := l.closed || len(l.queue) > 0
			l.mu.Unlock()
			if more {
				l.nudge() // another lane
			}
			if len(into) == 0 {
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

// lane runs batches of operations one after the other, on a connection of its own.
type lane struct {
	d  *DB
	tx Tx
}

func (l *lane) run() {
	defer l.d.lanes.Done()
	defer l.tx.drop()
	room := make([]*operation, 0, maxBatch)
	for {
		batch := l.d.line.take(room[:0])
		if batch == nil {
			return
		}
		l.batch(batch)
		l.d.line.over(len(batch))
		clear(batch)
		l.d.engine.rest(&l.tx)
	}
}

// batch brings every operation of a batch to its answer.
func (l *lane) batch(batch []*operation) {
	todo := batch[:0]
	shared := false
	for _, o := range batch {
		if o.state.CompareAndSwap(waiting, started) {
			todo = append(todo, o)
			shared = shared || o.row != ""
		}
	}
	if shared {
		slices.SortStableFunc(todo, func(a, b *operation) int { return strings.Compare(a.row, b.row) })
	}
	var culprits []*operation
	lost := false
	for len(todo) > 0 {
		bad, err := l.try(todo)
		switch {
		case err == nil:
			l.answer(todo)
			todo = nil
		case bad == noLine && !lost:
			lost = true // nothing happened; once more on a new connection
		case bad < 0 && bad != noCommit:
			fail(todo, err)
			todo = nil
		case len(todo) == 1, bad == noCommit, len(culprits) == maxCulprit:
			if len(todo) == 1 && !collided(err) {
				fail(todo, plainly(err))
			} else {
				l.singly(todo)
			}
			todo = nil
		default:
			culprits = append(culprits, todo[bad])
			todo = append(todo[:bad], todo[bad+1:]...)
		}
	}
	l.singly(culprits)
}

// singly runs operations in a transaction each, so that none suffers for another.
func (l *lane) singly(ops []*operation) {
	for i := range ops {
		one := ops[i : i+1]
		bad, err := l.try(one)
		for n := 1; n < maxTries && err != nil && (collided(err) || bad == noLine); n++ {
			bad, err = l.try(one)
		}
		switch {
		case err == nil:
			l.answer(one)
		case bad < 0 && bad != noCommit:
			fail(ops[i:], err)
			return
		default:
			fail(one, plainly(err))
		}
	}
}

// plainly is an error as the caller gets it: a lock that was not given up is the storage's fault.
func plainly(err error) error {
	if inTheWay(err) {
		return mustStorage(err)
	}
	return err
}

func (l *lane) answer(ops []*operation) {
	l.d.stats.operations.Add(int64(len(ops)))
	for _, o := range ops {
		o.answer(o.err)
	}
}

func fail(ops []*operation, err error) {
	for _, o := range ops {
		o.answer(err)
	}
}

// What try blames when it is not one of the operations.
const (
	noBegin  = -1 // the transaction could not be opened; another will not fare better
	noCommit = -2 // it was refused when it was to be made durable
	noLine   = -3 // the connection was lost before anything was durable
	noIdea   = -4 // the connection was lost and it is not known what happened
)

// try runs operations in one transaction. When err is nil they are committed and each has its own
// answer in its err. Otherwise bad is the place of the operation at fault, or one of the constants
// above, and nothing happened unless it is noIdea.
func (l *lane) try(ops []*operation) (bad int, err error) {
	if err := l.tx.begin(len(ops) > 1); err != nil {
		l.d.health.note(err)
		return noBegin, err
	}
	for i, o := range ops {
		l.tx.op, l.tx.changed = i, false
		noted := len(l.tx.notes)
		if o.err = call(o.fn, &l.tx); o.err != nil {
			l.tx.notes = l.tx.notes[:noted]
		}
		if l.tx.stuck() == nil && (o.err == nil || !l.tx.changed) {
			continue // done, or refused before it changed anything
		}
		return l.failed(i, o.err)
	}
	if err := l.tx.account(); err != nil {
		return l.failed(len(ops)-1, err)
	}
	if err := l.tx.flush(); err != nil {
		return l.failed(len(ops)-1, err)
	}
	began := time.Now()
	wrote, err := l.tx.commit()
	switch {
	case err == nil:
		if wrote {
			l.d.line.committed(time.Since(began))
			l.d.health.written()
			l.d.stats.commits.Add(1)
		}
		return 0, nil
	case errors.Is(err, errUnsure):
		bad = noIdea
	case errors.Is(err, errUndone):
		bad = noLine
	default:
		bad = noCommit
	}
	l.d.health.note(err)
	l.undo()
	return bad, err
}

// failed undoes a transaction that an operation at place bad can not go on with, and says what try
// says.
func (l *lane) failed(bad int, err error) (int, error) {
	t := &l.tx
	if t.blame >= 0 {
		bad, err = t.blame, t.stuck() // an operation before it
	}
	switch {
	case t.broken != nil: // also when the operation kept it to itself
		err = t.broken
		if t.lost {
			bad = noLine
		}
		l.d.health.note(err)
	case err == nil || inTheWay(t.spoiled):
		err = t.spoiled
	}
	l.undo()
	return bad, err
}

func (l *lane) undo() {
	l.d.stats.rollbacks.Add(1)
	l.tx.unaccount()
	l.tx.rollback()
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
