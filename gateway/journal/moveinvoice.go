package journal

import (
	"context"
	"database/sql"
	"fmt"
)

// The book of electronic invoices moves with the journal, behind its records: what bills are for, the bills in
// the order they were made with their events and marks, and the requests about them. A journal without
// electronic invoices has none of these lines.

type subjectLine struct {
	ID          string `json:"id"`
	Institution string `json:"institution"`
	System      string `json:"system"`
	Rev         int64  `json:"rev"`
	Wanted      int64  `json:"wanted"`
	Hold        string `json:"hold"`
	Held        int64  `json:"held"`
	Due         int64  `json:"due"`
	Asked       []byte `json:"asked,omitempty"`
}

type invoiceLine struct {
	ID          string             `json:"id"`
	Subject     string             `json:"subject"`
	N           int64              `json:"n"`
	Revision    string             `json:"revision"`
	Kind        string             `json:"kind"`
	Institution string             `json:"institution"`
	System      string             `json:"system"`
	Request     string             `json:"request"`
	Lane        string             `json:"lane"`
	Total       int64              `json:"total"` // fen
	Place       string             `json:"place"`
	Business    int64              `json:"business"`
	Created     int64              `json:"created"`
	Draft       []byte             `json:"draft,omitempty"`
	State       string             `json:"state"`
	Rev         int64              `json:"rev"`
	Updated     int64              `json:"updated"`
	Sent        int64              `json:"sent"`
	Tries       int64              `json:"tries"`
	RedWanted   int64              `json:"red_wanted"`
	Cause       string             `json:"cause"`
	Batch       string             `json:"batch"`
	Number      string             `json:"number"`
	Platform    []byte             `json:"platform,omitempty"`
	Due         int64              `json:"due"`
	Live        int64              `json:"live"`
	Marks       []string           `json:"marks,omitempty"`
	Events      []invoiceEventLine `json:"events,omitempty"`
}

type invoiceEventLine struct {
	Kind     string `json:"kind"`
	At       int64  `json:"at"`
	State    string `json:"state"`
	System   string `json:"system"`
	Desk     string `json:"desk"`
	Operator string `json:"operator"`
	Request  string `json:"request"`
	Cause    string `json:"cause"`
	Code     string `json:"code"`
	Note     string `json:"note"`
	Data     []byte `json:"data,omitempty"`
}

type invoiceRequestLine struct {
	System  string `json:"system"`
	ID      string `json:"id"`
	Digest  []byte `json:"digest"`
	Op      string `json:"op"`
	Ref     string `json:"ref"`
	Created int64  `json:"created"`
}

func (e *exporting) invoices() error {
	for _, part := range []func() error{e.invoiceSubjects, e.invoiceBills, e.invoiceRequests} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporting) invoiceSubjects() error {
	const query = `SELECT id, institution, system, rev, wanted, hold, held, due, asked FROM einvoice_subject ORDER BY id {bytewise}`
	return e.each(query, nil, func(rows *sql.Rows) error {
		var s subjectLine
		if err := rows.Scan(&s.ID, &s.Institution, &s.System, &s.Rev, &s.Wanted, &s.Hold, &s.Held, &s.Due, &s.Asked); err != nil {
			return err
		}
		return e.put(line{Subject: &s})
	})
}

func (e *exporting) invoiceRequests() error {
	const query = `SELECT system, id, digest, op, ref, created FROM einvoice_request ORDER BY system {bytewise}, id {bytewise}`
	return e.each(query, nil, func(rows *sql.Rows) error {
		var q invoiceRequestLine
		if err := rows.Scan(&q.System, &q.ID, &q.Digest, &q.Op, &q.Ref, &q.Created); err != nil {
			return err
		}
		return e.put(line{InvoiceRequest: &q})
	})
}

const (
	sqlExportInvoices = `SELECT seq, id, subject, n, revision, kind, institution, system, request, lane, total, place, business, created, draft,
			state, rev, updated, sent, tries, red_wanted, cause, batch, number, platform, due, live
		FROM einvoice WHERE seq > $1 AND seq <= $2 ORDER BY seq`
	sqlExportInvoiceEvents = `SELECT place / 1048576, kind, at, state, system, desk, operator, request, cause, code, note, data
		FROM einvoice_event WHERE place > $1 AND place < $2 ORDER BY place`
	sqlExportInvoiceMarks = `SELECT i.seq, m.mark FROM einvoice_mark m JOIN einvoice i ON i.id = m.bill
		WHERE i.seq > $1 AND i.seq <= $2 ORDER BY i.seq, m.mark {bytewise}`
)

// invoiceBills reads as many bills at once as records, then what belongs to them.
func (e *exporting) invoiceBills() error {
	var last int64
	err := e.each("SELECT COALESCE(MAX(seq), 0) FROM einvoice", nil, func(rows *sql.Rows) error { return rows.Scan(&last) })
	for from := int64(0); err == nil && from < last; from += exportStep {
		err = e.invoiceStep(from, from+exportStep)
	}
	return err
}

func (e *exporting) invoiceStep(from, to int64) error {
	var list []*invoiceLine
	at := map[int64]*invoiceLine{}
	err := e.each(sqlExportInvoices, []any{from, to}, func(rows *sql.Rows) error {
		var seq int64
		b := &invoiceLine{}
		err := rows.Scan(&seq, &b.ID, &b.Subject, &b.N, &b.Revision, &b.Kind, &b.Institution, &b.System, &b.Request, &b.Lane, &b.Total, &b.Place,
			&b.Business, &b.Created, &b.Draft, &b.State, &b.Rev, &b.Updated, &b.Sent, &b.Tries, &b.RedWanted, &b.Cause, &b.Batch, &b.Number,
			&b.Platform, &b.Due, &b.Live)
		list, at[seq] = append(list, b), b
		return err
	})
	if err != nil {
		return err
	}
	err = e.each(sqlExportInvoiceEvents, []any{(from + 1) * eventsPerInvoice, (to + 1) * eventsPerInvoice}, func(rows *sql.Rows) error {
		var seq int64
		var v invoiceEventLine
		err := rows.Scan(&seq, &v.Kind, &v.At, &v.State, &v.System, &v.Desk, &v.Operator, &v.Request, &v.Cause, &v.Code, &v.Note, &v.Data)
		if b := at[seq]; b != nil && err == nil {
			b.Events = append(b.Events, v)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = e.each(sqlExportInvoiceMarks, []any{from, to}, func(rows *sql.Rows) error {
		var seq int64
		var mark string
		err := rows.Scan(&seq, &mark)
		if b := at[seq]; b != nil && err == nil {
			b.Marks = append(b.Marks, mark)
		}
		return err
	})
	for _, b := range list {
		if err == nil {
			err = e.put(line{Invoice: b})
		}
	}
	return err
}

// eventsPerInvoice: an event's place is the bill's seq times this and its number within the bill.
const eventsPerInvoice = 1 << 20

const (
	sqlPutSubject = `INSERT INTO einvoice_subject (id, institution, system, rev, wanted, hold, held, due, asked)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`
	sqlPutInvoice = `INSERT INTO einvoice (id, subject, n, revision, kind, institution, system, request, lane, total, place, business, created, draft,
			state, rev, updated, sent, tries, red_wanted, cause, batch, number, platform, due, live)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`
	sqlPutInvoiceMark  = `INSERT INTO einvoice_mark (mark, bill) VALUES ($1, $2)`
	sqlPutInvoiceEvent = `INSERT INTO einvoice_event (place, kind, at, state, system, desk, operator, request, cause, code, note, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
	sqlPutInvoiceRequest = `INSERT INTO einvoice_request (system, id, digest, op, ref, created) VALUES ($1, $2, $3, $4, $5, $6)`
)

// invoiceLine takes a line of the book; false when it is none.
func (in *importing) invoiceLine(l line) (bool, error) {
	switch {
	case l.Subject != nil:
		s := l.Subject
		if err := in.j.opens(context.Background(), "einvoice-subject:"+s.ID, s.Asked); err != nil {
			return true, err
		}
		return true, in.tx.Put(sqlPutSubject, s.ID, s.Institution, s.System, s.Rev, s.Wanted, s.Hold, s.Held, s.Due, null(s.Asked))
	case l.InvoiceRequest != nil:
		q := l.InvoiceRequest
		return true, in.tx.Put(sqlPutInvoiceRequest, q.System, q.ID, q.Digest, q.Op, q.Ref, q.Created)
	case l.Invoice != nil:
		return true, in.invoice(l.Invoice)
	}
	return false, nil
}

// invoice takes a bill whose history is whole and whose bodies open.
func (in *importing) invoice(b *invoiceLine) error {
	n := len(b.Events)
	if int64(n) != b.Rev || n == 0 || b.Events[n-1].State != b.State {
		return fmt.Errorf("%w: bill %s is %s at %d, its %d events say otherwise", ErrDamaged, b.ID, b.State, b.Rev, n)
	}
	if err := in.j.opens(context.Background(), "einvoice-draft:"+b.ID, b.Draft); err != nil {
		return err
	}
	told := "einvoice-platform:" + b.ID
	if err := in.j.opens(context.Background(), told, b.Platform); err != nil {
		return err
	}
	var seq int64
	if err := in.insert(sqlPutInvoice, []any{b.ID, b.Subject, b.N, b.Revision, b.Kind, b.Institution, b.System, b.Request, b.Lane, b.Total, b.Place,
		b.Business, b.Created, null(b.Draft), b.State, b.Rev, b.Updated, b.Sent, b.Tries, b.RedWanted, b.Cause, b.Batch, b.Number,
		null(b.Platform), b.Due, b.Live}, &seq); err != nil {
		return err
	}
	for i, v := range b.Events {
		if err := in.j.opens(context.Background(), told, v.Data); err != nil {
			return err
		}
		if err := in.tx.Put(sqlPutInvoiceEvent, seq*eventsPerInvoice+int64(i+1), v.Kind, v.At, v.State, v.System, v.Desk, v.Operator, v.Request,
			v.Cause, v.Code, v.Note, null(v.Data)); err != nil {
			return err
		}
	}
	for _, m := range b.Marks {
		if err := in.tx.Put(sqlPutInvoiceMark, m, b.ID); err != nil {
			return err
		}
	}
	return nil
}
