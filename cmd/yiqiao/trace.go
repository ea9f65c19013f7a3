package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/observe/trace"
)

// traceSettings say where spans go.
type traceSettings struct {
	URL   string        `yaml:"url"`   // of an OpenTelemetry collector: https://host:4318/v1/traces; none: no traces
	Token config.Secret `yaml:"token"` // Authorization: Bearer
	Ratio float64       `yaml:"ratio"` // of the traces that begin here; default 1
	Queue int           `yaml:"queue"` // spans that may wait; default 2048
}

func (s traceSettings) faults() (list []string) {
	if s.URL == "" {
		if s.Token.Set() || s.Ratio != 0 || s.Queue != 0 {
			list = append(list, "trace.token, ratio and queue belong to trace.url, which is missing")
		}
		return list
	}
	if err := trace.Check(s.URL); err != nil {
		list = append(list, "trace.url: "+err.Error())
	}
	if !(s.Ratio >= 0 && s.Ratio <= 1) || s.Queue < 0 || s.Queue > 1<<20 {
		list = append(list, "trace.ratio is between 0 and 1, trace.queue at most 1048576")
	}
	return list
}

// traceID is for the log; nil without traces.
func (s traceSettings) traceID() func(context.Context) string {
	if s.URL == "" {
		return nil
	}
	return trace.ID
}

// openTracer gives the tracer of a configuration; srv.tracer stays nil without one.
func (srv *server) openTracer(g *gatewaySettings) error {
	if g.Trace.URL == "" {
		return nil
	}
	o := trace.Options{URL: g.Trace.URL, Ratio: g.Trace.Ratio, Queue: g.Trace.Queue, Name: g.Name, Version: version, Log: srv.parts.log}
	if g.Trace.Token.Set() {
		var err error
		if o.Token, err = g.places().text(g.Trace.Token); err != nil {
			return fmt.Errorf("trace.token: %w", err)
		}
	}
	t, err := trace.New(o)
	if err != nil {
		return errors.Join(errors.New("trace"), err)
	}
	srv.tracer = t
	srv.closers = append(srv.closers, func() {
		ctx, stop := context.WithTimeout(context.Background(), 3*time.Second)
		defer stop()
		_ = t.Close(ctx)
	})
	for i, way := range srv.parts.ways {
		srv.parts.ways[i] = t.Centre(way)
	}
	return nil
}

// The parts as they are drawn, or as they are without a tracer.

func (srv *server) drawnJournal(j gateway.Journal) gateway.Journal {
	if srv.tracer == nil {
		return j
	}
	return srv.tracer.Journal(j)
}

func (srv *server) drawnMapper(m gateway.Mapper) gateway.Mapper {
	if srv.tracer == nil {
		return m
	}
	return srv.tracer.Mapper(m)
}

func (srv *server) drawnHandler(h http.Handler) http.Handler {
	if srv.tracer == nil {
		return h
	}
	return srv.tracer.Handler(h)
}

func (srv *server) drawn() gateway.Tracer {
	if srv.tracer == nil {
		return nil
	}
	return srv.tracer
}
