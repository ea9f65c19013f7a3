package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"yiqiao/gateway"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// A journal moves as lines of JSON: a head, then data keys, counters, bills, requests, records and
// their marks in the order they were written, the book of electronic invoices, then an end with their numbers and the digest of every
// byte before it. Bodies stay sealed and keys stay wrapped as they are; nothing of the database's own numbering is in it, so the same journal
// gives the same bytes from SQLite and from PostgreSQL. Who holds a record is not moved: whoever
// worked on it works on the old journal.

// ErrNotEmpty: the target of an import holds something already.
var ErrNotEmpty = errors.New("journal: not empty")

// ErrDamaged: what was to be imported is not what was exported.
var ErrDamaged = errors.New("journal: not what was exported")

// Moved counts what an export or import holds. Two journals are equal when theirs are.
type Moved struct {
	Keys     int `json:"keys"`
	Counters int `json:"counters"`
	Bills    int `json:"bills"`
	Requests int `json:"requests"`
	Records  int `json:"records"`
	Events   int `json:"events"`
	Marks    int `json:"marks"`
	// Of electronic invoices: what they are for, bills, their events and marks, requests.
	Subjects        int    `json:"einvoice_subjects,omitempty"`
	Invoices        int    `json:"einvoices,omitempty"`
	InvoiceEvents   int    `json:"einvoice_events,omitempty"`
	InvoiceMarks    int    `json:"einvoice_marks,omitempty"`
	InvoiceRequests int    `json:"einvoice_requests,omitempty"`
	Digest          string `json:"digest"` // over every byte of the lines, hex
}

const (
	moveName    = "journal"
	moveVersion = 2
	moveOlder   = 1        // without keys and marks: bodies were sealed with the journal's master itself
	maxLine     = 64 << 20 // bytes of one line: a record with all its events
)

// line is one line; one of its fields is set.
type line struct {
	Head           *headLine           `json:"yiqiao,omitempty"`
	Key            *keyLine            `json:"key,omitempty"`
	Counter        *counterLine        `json:"counter,omitempty"`
	Bill           *billLine           `json:"bill,omitempty"`
	Request        *requestLine        `json:"request,omitempty"`
	Record         *recordLine         `json:"record,omitempty"`
	Mark           *markLine           `json:"mark,omitempty"`
	Subject        *subjectLine        `json:"einvoice_subject,omitempty"`
	Invoice        *invoiceLine        `json:"einvoice,omitempty"`
	InvoiceRequest *invoiceRequestLine `json:"einvoice_request,omitempty"`
	End            *Moved              `json:"end,omitempty"`
}

type headLine struct {
	What    string `json:"what"`
	Version int    `json:"version"`
}

type keyLine struct {
	ID          string `json:"id"`
	Purpose     string `json:"purpose"`
	Institution string `json:"institution"`
	Class       string `json:"class"`
	Day         string `json:"day"`
	Wrapper     string `json:"wrapper"`
	Wrapped     []byte `json:"wrapped,omitempty"`
	Created     int64  `json:"created"`
	Destroyed   int64  `json:"destroyed"`
}

func (k *keyLine) row() vault.Row {
	return vault.Row{ID: k.ID, Purpose: k.Purpose, Institution: ident.Institution(k.Institution), Class: gateway.Class(k.Class),
		Day: k.Day, Wrapper: k.Wrapper, Wrapped: k.Wrapped, Created: k.Created, Destroyed: k.Destroyed}
}

type markLine struct {
	Digest []byte `json:"digest"`
	Record string `json:"record"`
	Key    string `json:"key"`
}

type counterLine struct {
	Institution string `json:"institution"`
	Second      int64  `json:"second"`
	Seq         int64  `json:"seq"`
}

type billLine struct {
	ID          string `json:"id"`
	Institution string `json:"institution"`
	System      string `json:"system"`
	Created     int64  `json:"created"`
	Body        []byte `json:"body,omitempty"`
}

type requestLine struct {
	System      string `json:"system"`
	ID          string `json:"id"`
	Digest      []byte `json:"digest"`
	Op          string `json:"op"`
	Institution string `json:"institution"`
	Ref         string `json:"ref"`
	Created     int64  `json:"created"`
	Answer      []byte `json:"answer,omitempty"`
	Answered    int64  `json:"answered"`
	Told        int64  `json:"told"`
}

func (q *requestLine) key() gateway.RequestKey {
	return gateway.RequestKey{System: q.System, ID: q.ID}
}

type recordLine struct {
	ID           string      `json:"id"`
	Institution  string      `json:"institution"`
	Infno        string      `json:"infno"`
	System       string      `json:"system,omitempty"` // with Request: its key
	Request      string      `json:"request,omitempty"`
	Step         string      `json:"step"`
	Attempt      int64       `json:"attempt"`
	Bill         string      `json:"bill,omitempty"`
	Visit        string      `json:"visit"`
	Operator     string      `json:"operator"`
	OperatorName string      `json:"operator_name"`
	OperatorType string      `json:"operator_type"`
	Mapping      string      `json:"mapping,omitempty"`
	Digest       []byte      `json:"digest"`
	Created      int64       `json:"created"`
	Queued       int64       `json:"queued"`
	Born         int64       `json:"born"`
	Input        []byte      `json:"input,omitempty"`
	Wire         []byte      `json:"wire,omitempty"`
	State        string      `json:"state"`
	Version      int64       `json:"version"`
	Updated      int64       `json:"updated"`
	Cause        string      `json:"cause"`
	Events       []eventLine `json:"events,omitempty"`
}

type eventLine struct {
	Kind  string `json:"kind"`
	At    int64  `json:"at"`
	Cause string `json:"cause"`
	Ref   string `json:"ref"`
	Note  string `json:"note"`
	Data  []byte `json:"data,omitempty"`
	// Evidence is what the centre signed; exports of before it was kept have none.
	Evidence []byte `json:"evidence,omitempty"`
}

// lineWriter writes lines and sums them up.
type lineWriter struct {
	to    io.Writer
	sum   hash.Hash
	moved Moved
	buf   bytes.Buffer
}

func (w *lineWriter) put(l line) error {
	w.buf.Reset()
	enc := json.NewEncoder(&w.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(l); err != nil {
		return fmt.Errorf("journal: export: %w", err)
	}
	if w.buf.Len() > maxLine {
		return fmt.Errorf("journal: export: a line of %d bytes", w.buf.Len())
	}
	if l.End == nil {
		w.sum.Write(w.buf.Bytes())
	}
	_, err := w.to.Write(w.buf.Bytes())
	return err
}

func (w *lineWriter) end() error {
	w.moved.Digest = hex.EncodeToString(w.sum.Sum(nil))
	return w.put(line{End: &w.moved})
}

// count notes a line in the numbers; head and end are none.
func (m *Moved) count(l line) {
	switch {
	case l.Key != nil:
		m.Keys++
	case l.Mark != nil:
		m.Marks++
	case l.Counter != nil:
		m.Counters++
	case l.Bill != nil:
		m.Bills++
	case l.Request != nil:
		m.Requests++
	case l.Record != nil:
		m.Records++
		m.Events += len(l.Record.Events)
	case l.Subject != nil:
		m.Subjects++
	case l.Invoice != nil:
		m.Invoices++
		m.InvoiceEvents += len(l.Invoice.Events)
		m.InvoiceMarks += len(l.Invoice.Marks)
	case l.InvoiceRequest != nil:
		m.InvoiceRequests++
	}
}
