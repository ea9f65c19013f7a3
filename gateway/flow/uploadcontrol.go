package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// EveryRoute stands for all transactions of the upload class.
const EveryRoute ident.Infno = "*"

// UploadOrder is what a person decided about the queue. Orders are kept in the journal, each under
// the next number, so that every process sees them, a restart forgets none and nobody can deny one.
type UploadOrder struct {
	Do    string      `json:"do"`    // pause, resume, replay
	Infno ident.Infno `json:"infno"` // of pause and resume: a route, or EveryRoute
	By    string      `json:"by"`
	Why   string      `json:"why,omitempty"`
	Note  string      `json:"note,omitempty"` // of replay: what was replayed
	At    time.Time   `json:"at"`
}

const (
	orderPause  = "pause"
	orderResume = "resume"
	orderReplay = "replay"
)

// orders is what was read of the orders so far. The zero value has read none.
type orders struct {
	mu     sync.Mutex
	read   int
	paused map[ident.Infno]UploadOrder
}

func (d *Desk) paused(n ident.Infno) bool {
	d.orders.mu.Lock()
	defer d.orders.mu.Unlock()
	_, one := d.orders.paused[n]
	_, all := d.orders.paused[EveryRoute]
	return one || all
}

func orderKey(n int) gateway.RequestKey { return guard("uploads", "order", fmt.Sprintf("%09d", n)) }

// heed reads the orders given since the last time. After any of them what waits is looked at again.
func (d *Desk) heed(ctx context.Context) error {
	d.orders.mu.Lock()
	defer d.orders.mu.Unlock()
	for {
		req, err := d.opt.Journal.Request(ctx, orderKey(d.orders.read+1))
		if errors.Is(err, gateway.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		d.orders.read++
		var o UploadOrder
		if err := json.Unmarshal(req.Answer, &o); err != nil {
			d.log.Error("order not readable", "number", d.orders.read)
			continue
		}
		if d.orders.paused == nil {
			d.orders.paused = map[ident.Infno]UploadOrder{}
		}
		switch o.Do {
		case orderPause:
			d.orders.paused[o.Infno] = o
		case orderResume:
			delete(d.orders.paused, o.Infno)
			if o.Infno == EveryRoute {
				clear(d.orders.paused)
			}
		}
		d.relay.behind.Store(true)
	}
}

// orderUploads makes an order durable under the next number and heeds it.
func (d *Desk) orderUploads(ctx context.Context, o UploadOrder) error {
	const op = "flow.uploads"
	if o.By == "" {
		return &gateway.Error{Code: gateway.CodeRequestInvalid, Op: op, Path: "/by", Rule: "who gives the order"}
	}
	o.At = d.opt.Clock.Now()
	body, err := json.Marshal(o)
	if err != nil {
		return internalError(op, err)
	}
	for range 100 {
		if err := d.heed(ctx); err != nil {
			return storage(op, err)
		}
		d.orders.mu.Lock()
		n := d.orders.read + 1
		d.orders.mu.Unlock()
		existing, err := d.opt.Journal.Write(ctx, gateway.Entry{Request: &gateway.Request{
			Key: orderKey(n), Digest: d.opt.Digest([]byte("order"), body), Op: "uploads." + o.Do,
			CreatedAt: o.At, Answer: body, AnsweredAt: o.At, Told: true,
		}})
		switch {
		case errors.Is(err, gateway.ErrConflict), existing != nil:
			continue // another order was faster
		case err != nil:
			return storage(op, err)
		}
		if err := d.heed(ctx); err != nil {
			return storage(op, err)
		}
		return nil
	}
	return inProgress(op, "")
}

// PauseUploads stops sending a route, EveryRoute for all. What is on its way ends; what waits, and
// what is behind it in its visit, stays in the journal. ResumeUploads lets it go on.
func (d *Desk) PauseUploads(ctx context.Context, n ident.Infno, by, why string) error {
	if err := d.route(n); err != nil {
		return err
	}
	return d.orderUploads(ctx, UploadOrder{Do: orderPause, Infno: n, By: by, Why: why})
}

// ResumeUploads ends a pause; EveryRoute ends all.
func (d *Desk) ResumeUploads(ctx context.Context, n ident.Infno, by, why string) error {
	if err := d.route(n); err != nil {
		return err
	}
	return d.orderUploads(ctx, UploadOrder{Do: orderResume, Infno: n, By: by, Why: why})
}

func (d *Desk) route(n ident.Infno) error {
	tx, ok := d.opt.Catalog.Lookup(n)
	if n == EveryRoute || ok && tx.Queued {
		return nil
	}
	return &gateway.Error{Code: gateway.CodeInfnoUnknown, Op: "flow.uploads", Detail: string(n) + " is not of the upload class"}
}
