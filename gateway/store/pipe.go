package store

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// A statement costs a round trip to the server, more than the work it does there. So those whose
// result nobody waits for are kept back and sent in front of the next one.

// raw works with the driver's own connection.
func raw(t *Tx, fn func(*pgx.Conn) error) (err error) {
	rawErr := t.conn.Raw(func(dc any) error {
		c, ok := dc.(*stdlib.Conn)
		if !ok {
			return errors.New("store: another driver's connection")
		}
		err = fn(c.Conn())
		return nil
	})
	if err == nil {
		err = rawErr
	}
	return err
}

// simple sends statements without arguments in one go.
func (e *postgresServer) simple(t *Tx, query string) (results []*pgconn.Result, err error) {
	err = raw(t, func(c *pgx.Conn) (err error) {
		results, err = c.PgConn().Exec(context.Background(), query).ReadAll()
		return err
	})
	return results, err
}

// pipe sends what was kept and then query, whose result read takes.
func (e *postgresServer) pipe(t *Tx, query string, args []any, read func(pgx.BatchResults) error) error {
	return raw(t, func(c *pgx.Conn) error {
		var b pgx.Batch
		for _, k := range t.kept {
			b.Queue(e.text(k.query), k.args...)
		}
		if query != "" {
			b.Queue(e.text(query), args...)
		}
		sent := t.kept
		t.kept = t.kept[:0]
		results := c.SendBatch(context.Background(), &b)
		for _, k := range sent {
			if _, err := results.Exec(); err != nil {
				t.blame = k.op
				_ = results.Close() // tells the same again
				return err
			}
		}
		var err error
		if query != "" {
			err = read(results)
		}
		if end := results.Close(); err == nil {
			err = end
		}
		return err
	})
}

func (e *postgresServer) exec(t *Tx, query string, args []any) (n int64, err error) {
	err = e.pipe(t, query, args, func(r pgx.BatchResults) error {
		tag, err := r.Exec()
		n = tag.RowsAffected()
		return err
	})
	return n, err
}

func (e *postgresServer) get(t *Tx, query string, args, into []any) (found bool, err error) {
	err = e.pipe(t, query, args, func(r pgx.BatchResults) error {
		rows, err := r.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if found = rows.Next(); found {
			if err := rows.Scan(into...); err != nil {
				return err
			}
		}
		rows.Close()
		return rows.Err()
	})
	return found && err == nil, err
}

func (e *postgresServer) add(t *Tx, query string, args []any, key *int64) (bool, error) {
	return e.get(t, query+" RETURNING seq", args, []any{key})
}

func (e *postgresServer) put(t *Tx, query string, args []any) error {
	t.kept = append(t.kept, kept{query, args, t.op})
	if len(t.kept) < maxKept {
		return nil
	}
	return e.flush(t)
}

// maxKept bounds what is kept back.
const maxKept = 64

func (e *postgresServer) flush(t *Tx) error {
	if len(t.kept) == 0 {
		return nil
	}
	return e.pipe(t, "", nil, nil)
}
