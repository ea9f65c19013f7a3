package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/centre"
	"yiqiao/gateway/config"
	"yiqiao/gateway/observe/metrics"
	"yiqiao/schemas/ident"
)

// manageSettings are the address for those who watch the gateway; HIS systems do not use it.
type manageSettings struct {
	Listen string        `yaml:"listen"` // 127.0.0.1:8181; none: no metrics
	Token  config.Secret `yaml:"token"`  // asked of whoever reads them; none: nothing is
}

// watching is the metrics of a gateway and where they come from.
type watching struct {
	m        *metrics.Metrics
	token    string
	srv      *server          // set once it is put together
	expiries []metrics.Expiry // of keys; those of certificates are asked for
	systems  []string         // whose answers are brought
	http     *http.Server
	ln       net.Listener
}

// watching is nil when nobody watches.
func (s *gatewaySettings) watching(p *parts, clock gateway.Clock) (*watching, error) {
	if s.Manage.Listen == "" {
		if s.Manage.Token.Set() {
			return nil, errors.New("manage.token belongs to manage.listen, which is missing")
		}
		return nil, nil
	}
	w := &watching{}
	var err error
	if s.Manage.Token.Set() {
		if w.token, err = s.places().text(s.Manage.Token); err != nil {
			return nil, fmt.Errorf("manage.token: %w", err)
		}
		if len(w.token) < 16 {
			return nil, errors.New("manage.token must have at least 16 characters")
		}
	}
	o := metrics.Options{Version: version, Name: s.Name, Clock: clock, Picture: w.picture, Look: w.look, Log: p.log}
	for _, tx := range p.catalog.All() {
		o.Infnos = append(o.Infnos, tx.Infno)
	}
	for _, in := range s.Institutions {
		o.Institutions = append(o.Institutions, ident.Institution(in.Code))
	}
	w.systems = slices.Sorted(maps.Keys(s.brought()))
	for name, c := range s.Centres {
		for i, k := range c.Protect.PeerKeys {
			if !k.Window.Until.IsZero() {
				w.expiries = append(w.expiries, metrics.Expiry{Kind: "key", Name: "peer-key:" + name + ":" + strconv.Itoa(i), Until: k.Window.Until})
			}
		}
	}
	w.m, err = metrics.New(o)
	return w, err
}

// line is what is told of the messages of a centre.
func (w *watching) line(name string) func(ident.Infno, gateway.Reply) {
	if w == nil {
		return nil
	}
	return w.m.Line(name).Transaction
}

// calls has the calls of HIS systems counted.
func (w *watching) calls(o *rest.Options) {
	if w == nil {
		return
	}
	o.Served = w.m.Call
	note := o.Refused
	o.Refused = func(c rest.RefusedCall) {
		w.m.Refused(c.Code)
		note(c)
	}
}

// picture is what is in memory.
func (w *watching) picture() (p metrics.Picture) {
	srv := w.srv
	if srv == nil {
		return p
	}
	p.Expiries = append(p.Expiries, w.expiries...)
	for name, c := range srv.parts.centres {
		st := c.Stats()
		p.Centres = append(p.Centres, centrePicture(name, st))
		if !st.CertUntil.IsZero() {
			p.Expiries = append(p.Expiries, metrics.Expiry{Kind: "certificate", Name: "centre:" + name, Until: st.CertUntil})
		}
	}
	for _, pair := range srv.pairs {
		st := pair.Stand()
		p.Expiries = append(p.Expiries, metrics.Expiry{Kind: "certificate", Name: st.Name, Until: st.Until, Listener: true, Trouble: st.Trouble != ""})
	}
	st := srv.journal.db.Stats()
	p.Journal = metrics.Journal{Operations: st.Operations, Commits: st.Commits, Rollbacks: st.Rollbacks, Syncs: st.Syncs}
	p.SignIns = srv.desk.SignIns()
	q := srv.queue.State()
	p.Queue = &q
	p.Degraded = srv.front().Degraded() != ""
	return p
}

func centrePicture(name string, st centre.Stats) metrics.Centre {
	return metrics.Centre{Name: name, Breaker: st.Breaker, InFlight: st.InFlight, MaxInFlight: st.MaxInFlight, Busy: st.RefusedBusy, Down: st.RefusedDown,
		LastAnswer: st.LastAnswer, Skew: st.Skew.By, SkewKnown: !st.Skew.At.IsZero()}
}

// look reads the journal.
func (w *watching) look(ctx context.Context) (s metrics.Sample, err error) {
	for _, pair := range w.srv.pairs { // also while nobody calls
		pair.Look()
	}
	j := w.srv.journal
	list, err := j.Live(ctx)
	if err != nil {
		return s, err
	}
	for _, l := range list {
		s.Live = append(s.Live, metrics.Live{Institution: l.Institution, Infno: l.Infno, State: l.State, Queued: l.Queued,
			Waiting: metrics.Waiting{Count: l.Count, Oldest: l.Oldest}})
	}
	s.Deliveries = map[string]metrics.Waiting{}
	for _, system := range w.systems {
		n, oldest, err := j.Backlog(ctx, system)
		if err != nil {
			return s, err
		}
		s.Deliveries[system] = metrics.Waiting{Count: n, Oldest: oldest}
	}
	s.Healthy = w.srv.desk.Health(ctx) == nil
	return s, nil
}

// watched opens the address for those who watch.
func (srv *server) watched(g *gatewaySettings) error {
	w := srv.parts.watch
	if w == nil {
		return nil
	}
	w.srv = srv
	var err error
	if w.ln, err = net.Listen("tcp", g.Manage.Listen); err != nil {
		return fmt.Errorf("manage.listen: %w", err)
	}
	w.http = &http.Server{Handler: w.m.Handler(w.token), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(srv.parts.log.Handler(), slog.LevelWarn)}
	srv.closers = append(srv.closers, func() { _ = w.http.Close(); _ = w.ln.Close() })
	srv.beside = append(srv.beside, w.m.Run, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = w.http.Close() })
		defer stop()
		return w.http.Serve(w.ln)
	})
	srv.parts.log.Info("metrics", "listen", w.ln.Addr().String())
	return nil
}
