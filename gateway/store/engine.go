package store

import (
	"context"
	"errors"
)

// engine is what the kinds of database do not have in common once they are open. The methods that
// take a Tx are called by the lane that owns it.
type engine interface {
	// text is a statement as this kind of database wants it: see Tx.
	text(query string) string
	// connected is told of a lane's new connection.
	connected(t *Tx) error
	// exec, get, put and add are those of Tx; flush runs what put has kept back.
	exec(t *Tx, query string, args []any) (int64, error)
	get(t *Tx, query string, args, into []any) (bool, error)
	put(t *Tx, query string, args []any) error
	add(t *Tx, query string, args []any, key *int64) (bool, error)
	flush(t *Tx) error
	// begin opens a transaction that may write; many: it is shared by several operations.
	begin(t *Tx, many bool) error
	// commit makes it durable and says whether there was anything to make durable. Any error means
	// that it did not happen, unless it is errUnsure.
	commit(t *Tx) (wrote bool, err error)
	rollback(t *Tx) error
	// poisons: a statement that fails spoils the whole transaction, whatever the operation thinks.
	poisons() bool
	// ready is asked before Health writes, probe is what it writes.
	ready() error
	probe(t *Tx) error
	// rest is called between two transactions of a lane.
	rest(t *Tx)
	// check looks for damage.
	check(ctx context.Context, d *DB) ([]string, error)
}

// errUnsure: the connection was lost during a commit and nobody could say how it ended.
var errUnsure = errors.New("store: not known whether the commit happened")

// errUndone: the connection was lost during a commit that did not happen.
var errUndone = errors.New("store: the connection was lost and the commit did not happen")
