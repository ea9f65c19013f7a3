package world

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"yiqiao/adapters/invoice/bosssoft"
	"yiqiao/gateway"
	"yiqiao/gateway/flow"
	"yiqiao/gateway/invoice"
	charged "yiqiao/gateway/invoice/bill"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	siminvoice "yiqiao/simulator/invoice"
)

// invoices is the platform of electronic invoices of a town, the line to it and the book of bills. The
// adapter and the simulated platform are the real ones; only the network between them is the world's.
type invoices struct {
	w      *World
	rng    *rand.Rand // what the town is like
	sim    *siminvoice.Platform
	serve  http.Handler
	book   *ledgerOfBills
	order  string
	rate   int // mishaps of the line, per mille
	down   bool
	at     map[*process]*clerk
	clerks int // tasks that look for work
	asked  map[string]*bill
	calm   time.Time // since when only the invoices keep the town awake
	serial int
}

const opInvoice = "invoice"

// openInvoices gives every second town a platform; a plain one has none.
func (w *World) openInvoices() error {
	if w.more == nil || w.opt.Seed%2 == 1 {
		return nil
	}
	v := &invoices{w: w, rng: rand.New(rand.NewPCG(w.opt.Seed, 0xb111)), book: newLedgerOfBills(), at: map[*process]*clerk{}, asked: map[string]*bill{}}
	v.rate = 20 + v.rng.IntN(120)
	v.order = []string{invoice.RedFirst, invoice.InsuranceFirst}[v.rng.IntN(2)]
	v.book.noLive = w.bend.invoice == TwoScreens
	var err error
	if v.sim, err = siminvoice.New(siminvoice.Options{AppID: "TOWN", Key: "town", Now: func() time.Time { return w.s.now }, NoPictures: true}); err != nil {
		return err
	}
	v.serve = v.sim.Handler()
	w.invoices = v
	if v.rng.IntN(3) == 0 { // away for an hour
		w.s.after(time.Duration(v.rng.Int64N(int64(stormLength))), func() {
			v.down = w.storm
			w.s.after(time.Hour, func() { v.down = false })
		})
	}
	for _, p := range w.procs {
		v.work(p)
	}
	return nil
}

// clerk is the office of one life of a gateway. Who is in it is kept by the world: two calls about one
// subject would wait for each other where nobody sees it.
type clerk struct {
	w        *World
	p        *process
	life     int
	office   *invoice.Office
	inside   map[string]bool
	rounding bool
	wants    bool // to look for work: nobody new is let in
}

func (c *clerk) gone() bool { return c.p.dead || c.p.life != c.life || c.p.desk == nil }

// clerk gives the office of a process as it lives now.
func (v *invoices) clerk(p *process) *clerk {
	if c := v.at[p]; c != nil && c.life == p.life {
		return c
	}
	c := &clerk{w: v.w, p: p, life: p.life, inside: map[string]bool{}}
	platform, err := bosssoft.New(bosssoft.Options{BaseURL: "http://platform/api/medical", AppID: "TOWN", Key: "town", Rand: counter{v}, Clock: p,
		Transport: wireTo{c, v}})
	if err != nil {
		v.w.broken("no way to the platform: " + err.Error())
		return nil
	}
	c.office, err = invoice.New(invoice.Options{
		Book: bookOf{c, v.book}, Platform: func(ident.Institution) gateway.InvoicePlatform { return v.w.bentPlatform(platform) },
		Tables: v.tables, Source: charged.Settlements{Desk: p.desk, Ward: p.desk, Journal: &disk{p: p}}, Clock: p, Digest: keyed, Order: v.order, Workers: 1,
		HoldFor: 30 * time.Minute,
	})
	if err != nil {
		v.w.broken("no office: " + err.Error())
		return nil
	}
	v.at[p] = c
	return c
}

// counter is where noise comes from: the same each time a seed is run.
type counter struct{ v *invoices }

func (c counter) Read(b []byte) (int, error) {
	c.v.serial++
	for i := range b {
		b[i] = byte(c.v.serial >> (8 * (i % 8)))
	}
	return len(b), nil
}

// tables: with the planted fault of two screens each draft has a number of its own.
func (v *invoices) tables(ident.Institution) charged.Tables {
	if v.w.bend.invoice != TwoScreens {
		return charged.Tables{}
	}
	v.serial++
	return charged.Tables{Prefix: "T" + strconv.Itoa(v.serial) + "-"}
}

// work looks for work in a gateway from time to time, as its Run would.
func (v *invoices) work(p *process) {
	t := &task{}
	v.clerks++
	t.onEnd = func() { v.clerks-- }
	v.w.s.start(time.Minute, t, func() {
		for !v.w.over {
			v.w.s.park(t, 10*time.Second, 20*time.Second)
			if p.dead || !p.up || p.desk == nil || v.w.over {
				continue
			}
			c := v.clerk(p)
			if c == nil {
				return
			}
			c.wants = true
			for len(c.inside) > 0 && !c.gone() && !v.w.over {
				v.w.s.park(t, time.Second, 2*time.Second)
			}
			if c.wants = false; c.gone() || v.w.over {
				continue
			}
			c.rounding = true
			_, _ = c.office.Round(v.w.s.context(t))
			c.rounding = false
		}
	})
}

// in lets a call into the office when nobody is there about the same subject, or about one of the same stay.
func (v *invoices) in(ctx context.Context, subject string) (*clerk, func()) {
	if stay, _, ok := gateway.MidOf(subject); ok {
		subject = stay
	}
	t := taskOf(ctx)
	p := t.proc
	c := v.clerk(p)
	for c != nil && !c.gone() && (c.rounding || c.wants || c.inside[subject]) {
		v.w.s.park(t, 100*time.Millisecond, time.Second)
	}
	if c == nil || c.gone() {
		return nil, nil
	}
	c.inside[subject] = true
	return c, func() { delete(c.inside, subject) }
}

var errLifeOver = &gateway.Error{Code: gateway.CodeStorage, Op: "world.invoice"}

// refund is a refund as the interface makes it: the bill goes along.
func (w *World) refund(ctx context.Context, d *flow.Desk, c gateway.Caller, in gateway.RefundSettlement) (gateway.Settlement, error) {
	if w.invoices == nil || w.bend.invoice == RefundPastBill {
		return d.RefundSettlement(ctx, c, in)
	}
	k, leave := w.invoices.in(ctx, in.ID)
	if k == nil {
		return gateway.Settlement{}, errLifeOver
	}
	defer leave()
	return invoice.Desk{Counter: d, Office: k.office}.RefundSettlement(ctx, c, in)
}

// refundStay is refund of a stay: the bills of all settlements it undoes go along.
func (w *World) refundStay(ctx context.Context, d *flow.Desk, c gateway.Caller, in gateway.RefundStay) (gateway.Stay, error) {
	if w.invoices == nil || w.bend.invoice == RefundPastBill {
		return d.RefundStay(ctx, c, in)
	}
	k, leave := w.invoices.in(ctx, in.ID)
	if k == nil {
		return gateway.Stay{}, errLifeOver
	}
	defer leave()
	return invoice.Desk{Counter: d, Office: k.office}.RefundStay(ctx, c, in)
}

// invoicing asks for the bill of a settlement: of a bill, the end of a stay, or in its middle (gateway.MidID).
func (b *bill) invoicing(tag, settlement string) *request {
	in := gateway.IssueInvoice{RequestID: "i" + tag + b.name, Settlement: settlement, Operator: b.c.oper, Desk: tag, Institution: b.open.Institution}
	return b.add(&request{op: opInvoice, id: in.RequestID, do: func(ctx context.Context, _ *flow.Desk) (answer, error) {
		v := b.c.w.invoices
		k, leave := v.in(ctx, in.Settlement)
		if k == nil {
			return answer{}, errLifeOver
		}
		defer leave()
		e, err := k.office.IssueInvoice(ctx, b.c.caller, in)
		if err == nil {
			v.asked[in.Settlement] = b
		}
		return answer{invoice: e.ID}, err
	}})
}

// invoice asks for the bill of what was settled, from one screen or from two at once. tag tells apart what is asked
// for several times about one bill.
func (c *cashier) invoice(b *bill, tag, settlement string) {
	if c.w.invoices == nil || settlement == "" || c.w.s.chance(150) {
		return
	}
	one := b.invoicing(tag+"1", settlement)
	if c.chance(200) {
		c.w.count("his-two-screens")
		c.ask(10*time.Minute, one, b.invoicing(tag+"2", settlement))
	}
	c.insist(one, 3)
}

// invoicesCalm reports whether no bill moves any more, or has not come to rest in hours: then a
// settlement waits for a person.
func (w *World) invoicesCalm() bool {
	v := w.invoices
	if v == nil {
		return true
	}
	if v.calm.IsZero() {
		v.calm = w.s.now
	}
	if w.s.now.Sub(v.calm) > 3*time.Hour {
		return true
	}
	for _, s := range v.book.subjects {
		if !s.Due.IsZero() {
			return false
		}
	}
	for _, x := range v.book.bills {
		if !x.bill.Due.IsZero() {
			return false
		}
	}
	return true
}

// wireTo is the network between one life of a gateway and the platform.
type wireTo struct {
	c *clerk
	v *invoices
}

type silence struct{}

func (silence) Error() string   { return "no answer in time" }
func (silence) Timeout() bool   { return true }
func (silence) Temporary() bool { return false }

var errNoWay = &net.OpError{Op: "dial", Err: errors.New("no connection")}

// RoundTrip implements http.RoundTripper.
func (x wireTo) RoundTrip(r *http.Request) (*http.Response, error) {
	v, w := x.v, x.v.w
	t := taskOf(r.Context())
	body, err := io.ReadAll(r.Body)
	if err != nil || x.c.gone() {
		return nil, silence{}
	}
	m := fine
	switch {
	case v.down:
		w.count("invoice-platform-down")
		m = notSent
	case w.storm && w.s.chance(v.rate):
		m = []mishap{notSent, lostOut, lostBack, lostBack, cutBack, twice, badSign, pageBack, pageOut, slow}[w.s.rng.IntN(10)]
		w.count("invoice-" + string(m))
	}
	var got []byte
	answer := true
	wait := w.s.between(20*time.Millisecond, 500*time.Millisecond)
	deliver := func() {
		req, err := http.NewRequest(http.MethodPost, r.URL.String(), bytes.NewReader(body))
		if err != nil {
			return
		}
		rec := &recorder{header: http.Header{}, status: http.StatusOK}
		v.serve.ServeHTTP(rec, req)
		got = rec.body.Bytes()
	}
	switch m {
	case notSent:
		w.s.park(t, wait, wait)
		return nil, errNoWay
	case lostOut:
		wait, answer = 30*time.Second, false
	case lostBack, cutBack:
		w.s.after(wait/2, deliver)
		wait, answer = 30*time.Second, false
	case twice:
		w.s.after(wait/3, deliver)
		w.s.after(wait/2, deliver)
	case pageOut:
		got = []byte("<html>维护</html>")
	case slow:
		wait = 29 * time.Second
		w.s.after(wait/2, deliver)
	default:
		w.s.after(wait/2, deliver)
	}
	w.s.park(t, wait, wait)
	if !answer || x.c.gone() {
		return nil, silence{}
	}
	switch m {
	case badSign:
		got = []byte(strings.Replace(string(got), `"sign":"`, `"sign":"0`, 1))
	case pageBack:
		got = []byte("<html>维护</html>")
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(got)), Request: r}, nil
}

// invoiced: what is in force has exactly one live bill of its amount, on all sides; what is not has none.
func (w *World) invoiced(b *books) {
	v := w.invoices
	if v == nil {
		return
	}
	type side struct {
		n   int
		sum money.Fen
	}
	platform, here, centre := map[string]side{}, map[string]side{}, map[string]side{}
	add := func(m map[string]side, id string, f money.Fen) { s := m[id]; m[id] = side{s.n + 1, s.sum + f} }
	for _, x := range v.sim.Bills() {
		if x.InForce() {
			add(platform, subjectOf(x.BusNo), x.Total)
		}
	}
	for _, x := range v.book.bills {
		if x.bill.State == gateway.InvoiceIssued {
			add(here, x.bill.Subject, x.bill.Total)
		}
	}
	for i := range b.centre {
		if s := &b.centre[i]; s.InForce() {
			if r := b.byID[ident.MsgID(s.MsgID)]; r != nil && r.Bill != "" {
				add(centre, settled(r), s.Total)
			}
		}
	}
	for _, id := range sorted(platform) {
		if _, known := v.book.subjects[id]; !known {
			w.violate("invoice-unknown-to-book", "%s has a bill and the book knows nothing of it", id)
		}
	}
	for _, id := range sorted(v.book.subjects) {
		p, h, c := platform[id], here[id], centre[id]
		of := id
		if stay, _, ok := gateway.MidOf(id); ok {
			of = stay
		}
		switch {
		case p.n > 1:
			w.violate("invoice-twice", "%s has %d live bills", id, p.n)
		case b.parked[of]: // waits for a person
		case c.n == 0 && p.n > 0:
			w.violate("invoice-orphan", "%s is not in force and has a live bill", id)
		case p != h:
			w.violate("invoice-one-sided", "%s: %d of %s at the platform, %d of %s here", id, p.n, p.sum, h.n, h.sum)
		case c.n > 0 && v.asked[id] != nil && (p.n != 1 || p.sum != c.sum):
			w.violate("invoice-missing", "%s is in force with %s and has %d bills of %s", id, c.sum, p.n, p.sum)
		}
		w.tally.Invoices += p.n
	}
}

// settled is what a bill of the settlement a record made would be asked for by.
func settled(r *gateway.Record) string {
	if _, number, ok := strings.Cut(r.Step, "2304#"); ok {
		if n, err := strconv.Atoi(number); err == nil && n > 1 {
			return gateway.MidID(r.Bill, n)
		}
	}
	return r.Bill
}

// subjectOf is what a business number is for.
func subjectOf(busNo string) string {
	if _, after, planted := strings.Cut(busNo, "-"); planted {
		busNo = after
	}
	id, _, _ := strings.Cut(busNo, "_")
	return id
}
