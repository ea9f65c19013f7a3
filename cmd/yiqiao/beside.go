package main

import (
	"context"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/flow"
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
	daily, err := g.daily(srv.desk, srv.parts, srv.journal, clock)
	add(daily)
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
