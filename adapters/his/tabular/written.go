package tabular

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"yiqiao/gateway"
)

// written is a message written down whole, for whoever keeps copies: the heads of its rows once each.
type written struct {
	Type  string       `json:"type"`
	ID    string       `json:"id"`
	Key   string       `json:"key,omitempty"`
	File  string       `json:"file,omitempty"`
	Heads [][]string   `json:"heads"`
	Rows  []writtenRow `json:"rows"`
}

type writtenRow struct {
	Head   int      `json:"head"` // of Heads
	Number int      `json:"number"`
	Part   string   `json:"part,omitempty"`
	Cells  []string `json:"cells"`
}

// Write writes down the message of a source: Read gives it back. nil when it is none of rows.
func Write(src gateway.Source) []byte {
	s, ok := src.Scope.(*scope)
	if !ok {
		return nil
	}
	w := written{Type: s.m.Type, ID: s.m.ID, Key: s.m.Key, File: s.m.File, Heads: [][]string{}}
	var heads []*Head
	for _, r := range s.m.Rows {
		at := slices.Index(heads, r.Head)
		if at < 0 {
			at = len(heads)
			heads = append(heads, r.Head)
			w.Heads = append(w.Heads, r.Head.names)
		}
		w.Rows = append(w.Rows, writtenRow{at, r.Number, r.Part, r.Cells})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // a text stands in it as it is in the cell, as far as JSON lets it
	if e.Encode(w) != nil {
		return nil
	}
	return b.Bytes()
}

// Read gives the source of a message that Write wrote down. notation is that of the definition.
func Read(notation string, b []byte) (gateway.Source, error) {
	var w written
	if err := json.Unmarshal(b, &w); err != nil {
		return gateway.Source{}, fmt.Errorf("tabular: %w", err)
	}
	heads := make([]*Head, len(w.Heads))
	for i, names := range w.Heads {
		var err error
		if heads[i], err = NewHead(names); err != nil {
			return gateway.Source{}, err
		}
	}
	m := &Message{Type: w.Type, ID: w.ID, Key: w.Key, File: w.File}
	for _, r := range w.Rows {
		if r.Head < 0 || r.Head >= len(heads) {
			return gateway.Source{}, errors.New("tabular: a row without its head")
		}
		m.Rows = append(m.Rows, &Row{Head: heads[r.Head], Cells: r.Cells, Number: r.Number, Part: r.Part})
	}
	if len(m.Rows) == 0 {
		return gateway.Source{}, errors.New("tabular: a message without rows")
	}
	return m.Source(notation), nil
}
