package trace

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/trace"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Journal draws each write as a span.
func (t *Tracer) Journal(next gateway.Journal) gateway.Journal { return &drawnJournal{next, t} }

type drawnJournal struct {
	gateway.Journal
	t *Tracer
}

func (j *drawnJournal) Write(ctx context.Context, entries ...gateway.Entry) (*gateway.Request, error) {
	s := gateway.Span{Name: "journal", Count: len(entries)}
	for _, e := range entries {
		switch {
		case e.Record != nil:
			s.Infno, s.MsgID, s.Institution = e.Record.Infno, e.Record.ID, e.Record.Institution
		case e.Append != nil:
			s.MsgID = e.Append.ID
		}
	}
	inside, end := j.t.Begin(ctx, s)
	existing, err := j.Journal.Write(inside, entries...)
	switch {
	case errors.Is(err, gateway.ErrStorage):
		end("unavailable")
	case err != nil:
		end("refused")
	default:
		end("done")
	}
	return existing, err
}

// Centre draws each message as a span, and the verifying of its answer as one inside.
func (t *Tracer) Centre(next gateway.Centre) gateway.Centre { return &drawnCentre{next, t} }

type drawnCentre struct {
	next gateway.Centre
	t    *Tracer
}

func (c *drawnCentre) Admit(ctx context.Context, n ident.Infno) (gateway.Permit, error) {
	p, err := c.next.Admit(ctx, n)
	if err != nil {
		return nil, err
	}
	return &drawnPermit{p, c.t}, nil
}

type drawnPermit struct {
	gateway.Permit
	t *Tracer
}

func (p *drawnPermit) Send(ctx context.Context, s gateway.Sealed) gateway.Reply {
	inside, span := p.t.tracer.Start(ctx, "send", trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes(gateway.Span{
		Infno: s.Message.Infno, MsgID: s.Message.MsgID, Institution: s.Message.Institution})...))
	r := p.Permit.Send(inside, s)
	if r.Checking > 0 {
		now := time.Now()
		_, v := p.t.tracer.Start(inside, "verify", trace.WithTimestamp(now.Add(-r.Checking)))
		if r.Cause == gateway.CauseSignature {
			end(v, "signature")
		} else {
			v.End(trace.WithTimestamp(now))
		}
	}
	outcome := r.Outcome.String()
	if r.Cause != gateway.CauseNone && r.Outcome == gateway.OutcomeUnknown {
		outcome += ":" + string(r.Cause)
	}
	end(span, outcome)
	return r
}

// Mapper draws each mapping as a span of its own: a source has no context.
func (t *Tracer) Mapper(next gateway.Mapper) gateway.Mapper { return &drawnMapper{next, t} }

type drawnMapper struct {
	gateway.Mapper
	t *Tracer
}

func (m *drawnMapper) Map(s gateway.Source) (gateway.Mapped, error) {
	_, end := m.t.Begin(context.Background(), gateway.Span{Name: "map"})
	out, err := m.Mapper.Map(s)
	if err != nil {
		end("refused")
	} else {
		end("done")
	}
	return out, err
}
