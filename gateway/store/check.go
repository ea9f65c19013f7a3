package store

import (
	"context"
	"errors"
)

// Check asks the database whether it is sound; the list is empty when it is. err tells when it could
// not be found out. SQLite reads its whole file: pages, indexes, checks. PostgreSQL guards its pages
// itself (checksums, where the cluster was made with them) and only names indexes it does not trust.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	return d.engine.check(ctx, d)
}

// lines reads a column of text.
func (d *DB) lines(ctx context.Context, query string) (list []string, err error) {
	rows, err := d.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var line string
		if err = rows.Scan(&line); err == nil {
			list = append(list, line)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, d.Failed(err)
	}
	return list, nil
}
