// Package store opens the database and is the only place that knows a SQL driver.
//
// All writing goes through DB.Do: operations of many callers are gathered into one transaction and
// share its fsync (group commit). Reading goes through a second handle that sees what was
// committed. SQL is written once for SQLite and PostgreSQL: $1 places, TEXT and BIGINT, no dates,
// no JSON, no functions beyond CAST and the aggregates.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/gateway"
)

// Options of a database. The zero value of each field but Path is a good choice.
type Options struct {
	// Path of the SQLite file. It is created, readable by its owner only, when it is not there; its
	// folder must be there.
	Path string
	// Sync is "full" (default): every commit is flushed to the disk, or "off": the operating
	// system decides, for tests and measurements only.
	Sync string
	// BusyWait is how long a write waits for another process that is writing. Default 5 s.
	BusyWait time.Duration
	// Readers is how many reads may run at once. Default 4.
	Readers int
	// CheckpointPages is how many pages may gather in the write-ahead log before they are moved
	// into the database file. Default 4096 (16 MiB).
	CheckpointPages int
	// MinFree is how many bytes must be free on the volume for Health to be content. Default
	// 32 MiB; negative: not looked at.
	MinFree int64
	// FreeSpace tells the bytes free in a folder. Default: ask the operating system.
	FreeSpace func(folder string) (uint64, error)
}

// DB is an open database. Safe for concurrent use. Open starts one goroutine, Close stops it.
type DB struct {
	o       Options
	writer  *sql.DB
	reader  *sql.DB
	reads   stmtCache
	line    line
	tx      Tx // of the batcher alone
	stopped chan struct{}
	closing sync.Once
	closed  atomic.Bool
	endErr  error

	stats    counters
	health   healthState
	toCopy   int  // pages in the write-ahead log that wait for a checkpoint; batcher alone
	restarts bool // the next commit begins the write-ahead log anew; batcher alone
}

// Open opens or creates the database and brings its tables up to date. ctx limits the opening only.
// The error is gateway.ErrStorage when the file can not be used, another when the options or the
// version of the tables are wrong.
func Open(ctx context.Context, o Options) (*DB, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(o.Path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", gateway.ErrStorage, err)
	}
	d := &DB{o: o, stopped: make(chan struct{})}
	d.line.wake = make(chan struct{}, 1)
	if d.writer, err = sql.Open(driverName, o.dsn(false)); err != nil {
		return nil, storageError(err)
	}
	d.writer.SetMaxOpenConns(1)
	if d.reader, err = sql.Open(driverName, o.dsn(true)); err != nil {
		return nil, errors.Join(storageError(err), d.writer.Close())
	}
	d.reader.SetMaxOpenConns(o.Readers)
	d.reader.SetMaxIdleConns(o.Readers)
	d.reads.prepare = d.reader.PrepareContext
	d.tx.db = d
	if err := toWAL(ctx, d.writer); err != nil {
		return nil, errors.Join(err, d.reader.Close(), d.writer.Close())
	}
	if err := migrate(ctx, d.writer, sqliteDialect); err != nil {
		return nil, errors.Join(err, d.reader.Close(), d.writer.Close())
	}
	if err := d.reader.PingContext(ctx); err != nil {
		return nil, errors.Join(storageError(err), d.reader.Close(), d.writer.Close())
	}
	go d.batcher()
	return d, nil
}

func (o *Options) complete() error {
	if o.Path == "" {
		return errors.New("store: no path")
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return fmt.Errorf("store: path: %w", err)
	}
	o.Path = path
	switch o.Sync {
	case "":
		o.Sync = "full"
	case "full", "off":
	default:
		return fmt.Errorf("store: sync is %q, want full or off", o.Sync)
	}
	if o.BusyWait <= 0 {
		o.BusyWait = 5 * time.Second
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.CheckpointPages <= 0 {
		o.CheckpointPages = 4096
	}
	if o.MinFree == 0 {
		o.MinFree = 32 << 20
	}
	if o.FreeSpace == nil {
		o.FreeSpace = freeSpace
	}
	return nil
}

// Close runs what was handed in, stops the goroutine and closes the files. Later calls of any
// method are gateway.ErrStorage. It may be repeated and gives the same answer.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.line.close()
		<-d.stopped
		d.closed.Store(true)
		d.reads.close()
		d.endErr = errors.Join(d.reader.Close(), d.writer.Close())
	})
	return d.endErr
}

// Stats counts what was done since Open.
type Stats struct {
	Operations  int64 // operations that were committed, refused ones included
	Commits     int64 // transactions that changed something
	Rollbacks   int64 // transactions undone because an operation or the commit failed
	Checkpoints int64
	// Syncs is how often the disk was asked to flush after Open: for every commit one; for every
	// checkpoint one of the log before and, when it reached the end of the log, one of the
	// database file after, and then one more when the next commit begins the log anew. With Sync
	// "off" it is 0. Opening and closing, a handful, are not counted.
	//
	// Held against strace -f -e trace=fsync,fdatasync (SQLite 3.53.4, Linux, ext4), a caller writing
	// 3 KB at a time; counted here and seen there were the same:
	//
	//	500 commits, no checkpoint reached           500
	//	500 commits, a checkpoint every 64 pages     593 = 500 + 31 x 3
	//	200 commits, a checkpoint after each one     797 = 200 + 199 x 3
	//	500 commits, Sync "off"                        0
	//
	// Opening a new file and closing it took 11 more. TestSyncsAreCounted keeps the arithmetic.
	Syncs int64
}

type counters struct {
	operations, commits, rollbacks, checkpoints, syncs atomic.Int64
}

// Stats gives the counts. It never blocks.
func (d *DB) Stats() Stats {
	return Stats{
		Operations:  d.stats.operations.Load(),
		Commits:     d.stats.commits.Load(),
		Rollbacks:   d.stats.rollbacks.Load(),
		Checkpoints: d.stats.checkpoints.Load(),
		Syncs:       d.stats.syncs.Load(),
	}
}
