package store

import (
	"context"
	"errors"
)

// Check asks the database whether its file is sound: pages, indexes, checks. It reads everything.
// The list is empty when it is; err tells when it could not be found out.
func (d *DB) Check(ctx context.Context) (problems []string, err error) {
	rows, err := d.Query(ctx, checkSQL)
	if err != nil {
		return nil, err
	}
	for rows.Next() && err == nil {
		var line string
		if err = rows.Scan(&line); err == nil && line != "ok" {
			problems = append(problems, line)
		}
	}
	if err := errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, d.Failed(err)
	}
	return problems, nil
}
