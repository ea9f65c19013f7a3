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
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a database. Either Path or DSN is given; the zero value of every other field is a good
// choice.
type Options struct {
	// Path of the SQLite file. It is created, readable by its owner only, when it is not there; its
	// folder must be there.
	Path string
	// DSN names a PostgreSQL database (version 13 or later), as libpq writes it:
	// postgres://user@host:5432/name?sslmode=verify-full. The tables are made in the first schema of
	// its search_path, which must be there. Between here and the server may be nothing that gives
	// one connection to several clients in turn.
	DSN string
	// Password of the DSN's user, kept out of the DSN. Default: the one in the DSN, or what libpq
	// would take from its environment.
	Password string
	// Sync is "full" (default): every commit is flushed to the disk, or "off": the operating
	// system decides, for tests and measurements only.
	Sync string
	// BusyWait is how long a write waits for another that is in its way. Default 5 s.
	BusyWait time.Duration
	// Dial is how long making a connection to PostgreSQL may take. Default 3 s.
	Dial time.Duration
	// Timeout is how long one transaction on PostgreSQL may take, and how long a commit whose
	// connection was lost is asked after. Default 10 s.
	Timeout time.Duration
	// Writers is how many transactions may be under way at once on PostgreSQL; SQLite has one.
	// Default 2.
	Writers int
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

// DB is an open database. Safe for concurrent use. Open starts one goroutine for each writer, Close
// stops them.
type DB struct {
	o        Options
	engine   engine
	writer   *sql.DB
	reader   *sql.DB
	snapshot *sql.TxOptions
	reads    stmtCache
	line     line
	ledger   Ledger
	lanes    sync.WaitGroup
	closing  sync.Once
	closed   atomic.Bool
	endErr   error

	stats  counters
	health healthState
}

// Open opens or creates the database and brings its tables up to date. ctx limits the opening only.
// The error is gateway.ErrStorage when the file or the server can not be used, another when the
// options or the version of the tables are wrong.
func Open(ctx context.Context, o Options) (*DB, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	d := &DB{o: o}
	d.line.wake = make(chan struct{}, 1)
	open := d.openSQLite
	if o.DSN != "" {
		open = d.openPostgres
	}
	if err := open(ctx); err != nil {
		return nil, errors.Join(err, closeAll(d.reader, d.writer))
	}
	if err := d.reader.PingContext(ctx); err != nil {
		return nil, errors.Join(storageError(err), closeAll(d.reader, d.writer))
	}
	d.reader.SetMaxOpenConns(o.Readers)
	d.reader.SetMaxIdleConns(o.Readers)
	d.reads.prepare = func(ctx context.Context, query string) (*sql.Stmt, error) {
		return d.reader.PrepareContext(ctx, d.engine.text(query))
	}
	for n := range o.Writers {
		l := &lane{d: d}
		l.tx.db, l.tx.lane = d, n
		d.lanes.Add(1)
		go l.run()
	}
	return d, nil
}

func closeAll(handles ...*sql.DB) error {
	var errs []error
	for _, h := range handles {
		if h != nil {
			errs = append(errs, h.Close())
		}
	}
	return errors.Join(errs...)
}

func (o *Options) complete() error {
	switch {
	case (o.Path == "") == (o.DSN == ""):
		return errors.New("store: wants either a path or a DSN")
	case o.Path != "":
		path, err := filepath.Abs(o.Path)
		if err != nil {
			return fmt.Errorf("store: path: %w", err)
		}
		o.Path, o.Writers = path, 1
	case o.Writers <= 0:
		o.Writers = 2
	}
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
	if o.Dial <= 0 {
		o.Dial = 3 * time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
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

// Close runs what was handed in, stops the goroutines and closes the files or connections. Later calls of any
// method are gateway.ErrStorage. It may be repeated and gives the same answer.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.line.close()
		d.lanes.Wait()
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
	// "off" it is 0. Opening and closing, a handful, are not counted. PostgreSQL flushes on its own
	// machine and for several commits at once; there it is the number of commits that waited.
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
