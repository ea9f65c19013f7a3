package main

import (
	"context"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
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
	courier, err := g.courier(srv, clock)
	if err != nil {
		return err
	}
	if courier != nil {
		add(courier.Run)
		srv.troubles = append(srv.troubles, courier.Trouble)
	}
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

// front is the desk as the HIS interface sees it: its health tells what fails beside it, too.
type front struct {
	*flow.Desk
	troubles []func() string
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
