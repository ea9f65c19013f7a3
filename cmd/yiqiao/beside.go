package main

import (
	"context"

	"yiqiao/gateway"
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
	daily, err := g.daily(srv.desk, srv.parts, srv.journal, clock)
	add(daily)
	return err
}
