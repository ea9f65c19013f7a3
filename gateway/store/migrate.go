package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

// A migration is a file NNNN_name.sql in this folder, numbered without gaps and never changed once
// released. What one kind of database needs beyond it stands in NNNN_name.sqlite.sql or
// NNNN_name.postgres.sql and runs right after. Statements end with a line that is ";" alone or
// ends with ";".
//
//go:embed migrations/*.sql
var migrationFiles embed.FS

// dialect is how a kind of database wants its SQL. In migrations {bytes} is a column of bytes,
// {serial} a key the database counts up (nothing is ever deleted) and {key} a whole-number key.
type dialect struct {
	name    string // in file names
	columns *strings.Replacer
	locks   *strings.Replacer // see Tx
	alone   string            // lets one process at a time make tables; held to the end of the transaction
}

type migration struct {
	version    int64
	name       string
	statements []string
}

// migrations reads the files for one dialect.
func migrations(files fs.FS, dl dialect) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(names, func(a, b string) int { // the common part first
		return strings.Compare(strings.TrimSuffix(a, ".sql"), strings.TrimSuffix(b, ".sql"))
	})
	var out []migration
	for _, n := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(n, "migrations/"), ".sql")
		base, kind, special := strings.Cut(base, ".")
		if special && kind != dl.name {
			continue
		}
		number, name, _ := strings.Cut(base, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("store: migration %s has no number", n)
		}
		text, err := fs.ReadFile(files, n)
		if err != nil {
			return nil, err
		}
		if !special {
			if version != int64(len(out)+1) {
				return nil, fmt.Errorf("store: migration %s, want number %d", n, len(out)+1)
			}
			out = append(out, migration{version: version, name: name})
		} else if version != int64(len(out)) {
			return nil, fmt.Errorf("store: migration %s has no common part", n)
		}
		m := &out[version-1]
		m.statements = append(m.statements, statements(dl.columns.Replace(string(text)))...)
	}
	return out, nil
}

// statements cuts a file apart. A statement that holds others (a trigger with BEGIN) ends at "END;".
func statements(text string) []string {
	var out []string
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		t := strings.TrimSpace(line)
		if t == "" || strings.HasPrefix(t, "--") {
			continue
		}
		b.WriteString(line)
		if strings.HasPrefix(t, "CREATE TRIGGER") && strings.HasSuffix(t, "BEGIN") {
			inside = true
		}
		if strings.HasSuffix(t, ";") && (!inside || strings.HasSuffix(t, "END;")) {
			out = append(out, b.String())
			b.Reset()
			inside = false
		}
	}
	if strings.TrimSpace(b.String()) != "" {
		out = append(out, b.String())
	}
	return out
}

// migrate brings the tables up to date, each migration in a transaction of its own. A database
// newer than the program is refused, and one with another migration under a number of ours. Two processes
// may do it at once.
func migrate(ctx context.Context, db *sql.DB, dl dialect) error {
	list, err := migrations(migrationFiles, dl)
	if err != nil {
		return err
	}
	return apply(ctx, db, dl, list)
}

func apply(ctx context.Context, db *sql.DB, dl dialect, list []migration) error {
	first := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS schema_version (
			version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL)`)
		return err
	}
	if err := alone(ctx, db, dl, first); err != nil {
		return storageError(fmt.Errorf("store: schema_version: %w", err))
	}
	for _, m := range list {
		if err := m.apply(ctx, db, dl); err != nil {
			return storageError(fmt.Errorf("store: migration %d %s: %w", m.version, m.name, err))
		}
	}
	var have int64
	if err := db.QueryRowContext(ctx, "SELECT COALESCE(MAX(version), 0) FROM schema_version").Scan(&have); err != nil {
		return storageError(fmt.Errorf("store: schema_version: %w", err))
	}
	if have > int64(len(list)) {
		return fmt.Errorf("store: the database has version %d, this program knows %d: use a newer program", have, len(list))
	}
	return nil
}

// alone runs fn in a transaction while no other process makes tables.
func alone(ctx context.Context, db *sql.DB, dl dialect, fn func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if dl.alone != "" {
		_, err = tx.ExecContext(ctx, dl.alone)
	}
	if err == nil {
		err = fn(tx)
	}
	if err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (m migration) apply(ctx context.Context, db *sql.DB, dl dialect) error {
	const look = "SELECT name FROM schema_version WHERE version = $1"
	if done, err := m.done(db.QueryRowContext(ctx, look, m.version)); done || err != nil {
		return err
	}
	return alone(ctx, db, dl, func(tx *sql.Tx) error {
		// Another process may have done it meanwhile.
		if done, err := m.done(tx.QueryRowContext(ctx, look, m.version)); done || err != nil {
			return err
		}
		for _, s := range m.statements {
			if _, err := tx.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", m.version, m.name)
		return err
	})
}

// done reports whether the database has the migration, from its row in schema_version. One of that number with
// another name is an error: what this program expects of the tables is not there.
func (m migration) done(row *sql.Row) (bool, error) {
	var name string
	switch err := row.Scan(&name); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, err
	case name != m.name:
		return false, fmt.Errorf("the database has %s under that number: it was made by a program that was never released", name)
	}
	return true, nil
}
