package files

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"yiqiao/adapters/his/tabular"
)

// Layout says how the rows of a file are read and which belong together. It is data: layout.yaml
// beside a mapping.
type Layout struct {
	Format  string   `yaml:"format"`  // csv, tsv, fixed, xlsx, jsonl; none: by the ending of the name (.txt is tsv)
	Charset string   `yaml:"charset"` // utf-8 or gb18030; none: found out, the whole file one of the two
	Comma   string   `yaml:"comma"`   // between the cells of csv; default ,
	Names   []string `yaml:"names"`   // of the columns of a file without a head row
	Columns []string `yaml:"columns"` // that must be there; a file without one is refused as a whole
	Fixed   []Width  `yaml:"fixed"`   // of format fixed: there is no head row
	Type    string   `yaml:"type"`    // column that holds the type of the event
	As      string   `yaml:"as"`      // type of every message, where no column says it
	Group   []string `yaml:"group"`   // rows one behind the other with the same values here are one message; none: each row is one
	Lane    []string `yaml:"lane"`    // messages with the same values wait for one another while an outcome is unknown
	Trailer string   `yaml:"trailer"` // first cell of the last row: a file that does not end in it is not whole
	Repeats bool     `yaml:"repeats"` // rows may repeat: else a row that equals one before it is refused
}

// Width is one column of a fixed-width file. Bytes in the file's own character set.
type Width struct {
	Name  string `yaml:"name"`
	Bytes int    `yaml:"bytes"`
}

// Check tells what does not fit together.
func (l Layout) Check() error {
	var total int
	for _, w := range l.Fixed {
		if w.Name == "" || w.Bytes < 1 {
			return errors.New("files: layout: every column of fixed needs name and bytes")
		}
		total += w.Bytes
	}
	switch {
	case l.Format != "" && !slices.Contains([]string{"csv", "tsv", "fixed", "xlsx", "jsonl"}, l.Format):
		return fmt.Errorf("files: layout: format %q is none of csv, tsv, fixed, xlsx, jsonl", l.Format)
	case l.Charset != "" && l.Charset != "utf-8" && l.Charset != "gb18030":
		return fmt.Errorf("files: layout: charset %q is neither utf-8 nor gb18030", l.Charset)
	case (l.Format == "fixed") != (len(l.Fixed) > 0) || total > maxLine:
		return errors.New("files: layout: format fixed and its columns go together, at most 1 MiB a row")
	case (l.Type == "") == (l.As == ""):
		return errors.New("files: layout: give either type, the column of the event's type, or as, the type of every message")
	case len([]rune(l.Comma)) > 1 || strings.ContainsAny(l.Comma, "\"\r\n\ufffd"):
		return errors.New("files: layout: comma must be one character, and no quote")
	}
	for _, list := range [][]string{l.Names, l.Columns, l.Group, l.Lane} {
		if _, err := tabular.NewHead(list); err != nil {
			return fmt.Errorf("files: layout: %w", err)
		}
	}
	return nil
}

// needs is every column a file must have.
func (l Layout) needs() []string {
	out := slices.Concat(l.Columns, l.Group, l.Lane)
	if l.Type != "" {
		out = append(out, l.Type)
	}
	return out
}

// formatOf is the format of a file by the layout or its name, "" when neither says it.
func (l Layout) formatOf(name string) string {
	if l.Format != "" {
		return l.Format
	}
	name = strings.ToLower(name)
	for ending, f := range map[string]string{".csv": "csv", ".tsv": "tsv", ".txt": "tsv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".ndjson": "jsonl"} {
		if strings.HasSuffix(name, ending) {
			return f
		}
	}
	return ""
}
