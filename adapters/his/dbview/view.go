package dbview

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"yiqiao/adapters/his/files"
)

// View says what is read in the HIS's database and where results go. It is data: layout.yaml beside a
// mapping of source sql. Names are put into statements as they are written, so that only plain ones
// are taken: letters, digits, _ $ #, and points between schema and table.
type View struct {
	From    string   `yaml:"from"`    // table or view with one row for each message
	Key     string   `yaml:"key"`     // its column that names the message: unique, never given twice: rows that share one are refused
	Type    string   `yaml:"type"`    // column that holds the type of the event
	As      string   `yaml:"as"`      // type of every message, where no column says it
	Lane    []string `yaml:"lane"`    // messages with the same values wait for one another while an outcome is unknown
	Order   string   `yaml:"order"`   // column the messages are worked on by; default: the mark, else the key
	Columns []string `yaml:"columns"` // that must be there: a view without one is not read
	Details []Detail `yaml:"details"`
	Status  *Status  `yaml:"status"` // rows are taken by a status column ...
	Mark    *Mark    `yaml:"mark"`   // ... or by a high-water mark
	Result  Table    `yaml:"result"` // where results go; without one only the status is written
}

// Detail is a table or view of rows that belong to a message: [Name] in paths.
type Detail struct {
	Name    string   `yaml:"name"`
	From    string   `yaml:"from"`
	By      string   `yaml:"by"`    // its column that holds the message's key
	Order   string   `yaml:"order"` // column its rows are read by
	Columns []string `yaml:"columns"`
}

// Status is a column of the messages' table that says what is to be done, and is written when it was.
type Status struct {
	Column  string `yaml:"column"`
	New     string `yaml:"new"`
	Unknown string `yaml:"unknown"` // the outcome is being found out
	Done    string `yaml:"done"`
	Refused string `yaml:"refused"`
	Queued  string `yaml:"queued"` // default: as Done
	Table   string `yaml:"table"`  // that is written, where From is a view nobody can write to; default From
}

// Mark is a column that grows: a time or a number. Rows with a final result in the table of results
// are never taken again, so that it only saves reading.
type Mark struct {
	Column  string `yaml:"column"`
	From    string `yaml:"from"`    // what is older than this was never meant for the gateway
	Overlap string `yaml:"overlap"` // how far below the highest mark rows may still arrive: 10m, or a number
	Sweep   string `yaml:"sweep"`   // between two looks at everything since From, for rows later than that; default 1h
}

// Table is where results are written: a row for each message. Of Columns it need have only those the
// HIS wants; with a mark it must have final.
type Table struct {
	Table  string            `yaml:"table"`
	Key    string            `yaml:"key"`    // its column for the message's key, unique
	Rename map[string]string `yaml:"rename"` // our column -> theirs
}

var name = regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_$#]{0,127}(\.[\p{L}_][\p{L}\p{N}_$#]{0,127}){0,3}$`)

// Check tells what does not fit together.
func (v View) Check() error {
	bad := func(what string) error { return errors.New("dbview: layout: " + what) }
	names := []string{v.From, v.Key}
	names = append(append(names, v.Lane...), v.Columns...)
	for _, d := range v.Details {
		if names = append(append(names, d.Name, d.From, d.By), d.Columns...); d.Order != "" {
			names = append(names, d.Order)
		}
	}
	for _, n := range []string{v.Type, v.Order, v.Result.Table, v.Result.Key} {
		if n != "" {
			names = append(names, n)
		}
	}
	for ours, theirs := range v.Result.Rename {
		if names = append(names, theirs); !slices.Contains(ResultColumns, ours) {
			return bad("result.rename: " + ours + " is none of " + strings.Join(ResultColumns, " "))
		}
	}
	switch {
	case (v.Type == "") == (v.As == ""):
		return bad("give either type, the column of the event's type, or as, the type of every message")
	case (v.Status == nil) == (v.Mark == nil):
		return bad("give either status or mark")
	case (v.Result.Table == "") != (v.Result.Key == ""):
		return bad("result needs table and key")
	case v.Mark != nil && v.Result.Table == "":
		return bad("with a mark, result is needed: it says what was done")
	case v.Mark != nil && v.Order != "":
		return bad("with a mark, messages are worked on by the mark: no order")
	}
	if s := v.Status; s != nil {
		if names = append(names, s.Column); s.Table != "" {
			names = append(names, s.Table)
		}
		seen := []string{s.New, s.Unknown, s.Done, s.Refused}
		slices.Sort(seen)
		if s.Unknown == "" || s.Done == "" || s.Refused == "" || len(slices.Compact(seen)) != 4 || s.Queued == s.New || s.Queued == s.Unknown && s.Queued != "" {
			return bad("status: new, unknown, done and refused must differ")
		}
	}
	if m := v.Mark; m != nil {
		names = append(names, m.Column)
		_, _, err := m.overlap()
		_, sweep := m.sweep()
		if m.From == "" || err != nil || sweep != nil {
			return bad("mark: from (first mark that is meant), overlap (10m or a number) and sweep (1h)")
		}
	}
	for _, n := range names {
		if !name.MatchString(n) {
			return bad(fmt.Sprintf("%q 不能用作表名或列名 / is no plain name of a table or column", n))
		}
	}
	return nil
}

// overlap is a time, or a number for marks that count.
func (m Mark) overlap() (time.Duration, int64, error) {
	if m.Overlap == "" {
		return 10 * time.Minute, 0, nil
	}
	if n, err := strconv.ParseInt(m.Overlap, 10, 64); err == nil && n >= 0 {
		return 10 * time.Minute, n, nil
	}
	d, err := time.ParseDuration(m.Overlap)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, 0, err
}

func (m Mark) sweep() (time.Duration, error) {
	if m.Sweep == "" {
		return time.Hour, nil
	}
	d, err := time.ParseDuration(m.Sweep)
	if err == nil && d <= 0 {
		err = errors.New("not positive")
	}
	return d, err
}

// Cases is how rows of this view are written down as test cases: JSON lines, those of a detail with
// its name in the member $part.
func (v View) Cases() files.Layout {
	return files.Layout{Format: "jsonl", Type: v.Type, As: v.As, Group: []string{v.Key}, Lane: nil, Repeats: true}
}

func (v View) orderBy() string {
	switch {
	case v.Mark != nil:
		return v.Mark.Column
	case v.Order != "":
		return v.Order
	}
	return ""
}
