package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/filing"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/invoice"
	"yiqiao/gateway/invoice/voucher"
	"yiqiao/gateway/pharmacy"
	"yiqiao/gateway/recon"
)

// besides builds what serve runs beside the desk: each ends with its ctx and logs what goes wrong.
func (srv *server) besides(g *gatewaySettings, clock gateway.Clock) error {
	add := func(run func(context.Context) error) {
		if run != nil {
			srv.beside = append(srv.beside, run)
		}
	}
	book, err := g.reviewBook(srv.desk, srv.parts, srv.journal, clock)
	if err != nil {
		return err
	}
	add(book.Run)
	srv.book = book
	courier, err := g.courier(srv, clock)
	if err != nil {
		return err
	}
	if courier != nil {
		add(courier.Run)
		srv.troubles = append(srv.troubles, courier.Trouble)
	}
	late := &lateUploads{desk: srv.desk, clock: clock, log: srv.parts.log}
	add(late.run)
	srv.troubles = append(srv.troubles, late.say)
	daily, err := g.daily(srv.desk, srv.parts, srv.journal, clock, func(rep recon.Report, _ error) {
		if _, err := suggest(context.Background(), book, rep); err != nil {
			srv.parts.log.Error("suggestions not entered", "run", rep.Run, "err", err.Error())
		}
	})
	if err != nil {
		return err
	}
	add(daily)
	watch, say, err := g.watch(srv.desk, srv.parts, srv.journal, clock)
	if watch != nil {
		add(watch)
		srv.troubles = append(srv.troubles, say)
	}
	return err
}

// lateUploads looks now and then whether uploads will miss their deadlines.
type lateUploads struct {
	desk  *flow.Desk
	clock gateway.Clock
	log   *slog.Logger

	mu    sync.Mutex
	words string
}

// lateEvery is how often: what ended in a day is read each time.
const lateEvery = 5 * time.Minute

func (l *lateUploads) run(ctx context.Context) error {
	for l.clock.Sleep(ctx, lateEvery) == nil {
		words, err := l.desk.LateUploads(ctx)
		if err != nil {
			l.log.Warn("late uploads not counted", "err", err.Error())
			continue
		}
		l.mu.Lock()
		changed := l.words != words
		l.words = words
		l.mu.Unlock()
		if changed {
			l.log.Warn("deadlines", "amiss", words)
		}
	}
	return nil
}

func (l *lateUploads) say() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.words
}

// caseKinds are the kinds of cases every desk here knows.
func caseKinds() []gateway.CaseKind { return []gateway.CaseKind{pharmacy.Kind{}, filing.Kind{}} }

// front is the desk as the HIS interface sees it: its health tells what fails beside it, too.
type front struct {
	invoice.Desk
	pharmacy.Counter
	filing.Office
	voucher.Sender
	troubles []func() string
}

// front is what the HIS interface is given.
func (srv *server) front() front {
	return front{invoice.Desk{Counter: srv.desk, Office: srv.invoices}, pharmacy.Counter{Cases: srv.desk}, filing.Office{Cases: srv.desk},
		voucher.Sender{Books: srv.invoices, Desk: srv.desk, Catalog: srv.parts.catalog, Institutions: srv.parts.institutions}, srv.troubles}
}

// Degraded implements gateway.Degraded.
func (f front) Degraded() string {
	var list []string
	for _, say := range append([]func() string{f.Desk.Degraded}, f.troubles...) {
		if words := say(); words != "" {
			list = append(list, words)
		}
	}
	return strings.Join(list, "; ")
}
