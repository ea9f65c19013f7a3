package world

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Mutations that stand between the Desk and the journal.

// hasty acknowledges a new record at once and puts it on the disk with the next write. A process
// that dies in between has lost it.
type hasty struct {
	gateway.Journal
	kept []gateway.Entry
	recs []gateway.Record
}

func (j *hasty) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	if len(j.kept) > 0 {
		kept := j.kept
		j.kept, j.recs = nil, nil
		if _, err := j.Journal.Write(ctx, kept...); errors.Is(err, gateway.ErrStorage) {
			return nil, err
		}
	}
	n := len(entries) - 1
	if entries[n].Record == nil || !j.unheard(ctx, entries) {
		return j.Journal.Write(ctx, entries...)
	}
	j.kept = slices.Clone(entries)
	r := *entries[n].Record
	if r.State == gateway.StateSent {
		r.Version = 1
	}
	j.recs = append(j.recs, r)
	return nil, nil
}

// unheard reports whether nothing of a write is there yet.
func (j *hasty) unheard(ctx context.Context, entries []gateway.Entry) bool {
	for _, e := range entries {
		if e.Request != nil {
			if _, err := j.Journal.Request(ctx, e.Request.Key); !errors.Is(err, gateway.ErrNotFound) {
				return false
			}
		}
	}
	return true
}

func (j *hasty) Record(ctx context.Context, id ident.MsgID) (gateway.Record, error) {
	for _, r := range j.recs {
		if r.ID == id {
			return r, nil
		}
	}
	return j.Journal.Record(ctx, id)
}

// forgetful stores everything but final answers.
type forgetful struct{ gateway.Journal }

func (j forgetful) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	var rest []gateway.Entry
	for _, e := range entries {
		e.Answer = nil
		if e != (gateway.Entry{}) {
			rest = append(rest, e)
		}
	}
	if len(rest) == 0 {
		return nil, nil
	}
	return j.Journal.Write(ctx, rest...)
}

// keyless gives every key of the gateway's own another name, so that it never meets itself.
type keyless struct {
	gateway.Journal
	p *process
	n int
}

func (j *keyless) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	list := slices.Clone(entries)
	for i, e := range list {
		if e.Request != nil && e.Request.Key.System == gateway.OwnSystem {
			r := *e.Request
			j.n++
			r.Key.ID += fmt.Sprintf("~%s-%d-%d", j.p.name, j.p.life, j.n)
			list[i].Request = &r
		}
	}
	return j.Journal.Write(ctx, list...)
}

// newestFirst lists the queue from its end.
type newestFirst struct{ gateway.Journal }

func (j newestFirst) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	list, err := j.Journal.List(ctx, q)
	if q.Queued {
		slices.Reverse(list)
	}
	return list, err
}

// blind never finds what was sent and has no end.
type blind struct{ gateway.Journal }

func (j blind) List(ctx context.Context, q gateway.Query) ([]gateway.Record, error) {
	if len(q.States) == 1 && q.States[0] == gateway.StateSent {
		return nil, nil
	}
	return j.Journal.List(ctx, q)
}
