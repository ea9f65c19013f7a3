// Package invoice is a simulated platform of fiscal medical e-invoices: it takes the calls of the
// "bosssoft" style interface over HTTP, keeps bills, red bills, deposit vouchers and paper, serves the
// page and the QR code a patient sees, and refuses what a platform refuses.
//
// It is a second reading of docs/interface/einvoice.md and shares no code with the gateway above the
// tables, money and the signature. It speaks one of the two generations of the interface (up to 3.1.0,
// and later) and is strict about the one it speaks. Result codes other than S0000 are its own
// invention: no table of them is known. docs/simulator.md tells what it leaves out.
package invoice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/simulator/fault"
)

// Generations of the interface.
const (
	Gen310 = "3.1.0" // and before: category + patientCategory, dates yyyy-MM-dd, six decimals
	Gen320 = "3.2.0" // later: patientCategory + patientCategoryCode, dates yyyyMMdd, money 4 and quantity 2 decimals
)

var china = time.FixedZone("CST", 8*3600)

// Options of a platform. AppID and Key are required.
type Options struct {
	AppID, Key string
	Generation string           // default Gen320
	Places     []string         // issuing points; default "001"
	PublicURL  string           // where patients reach the pages; SetPublicURL sets it later
	Now        func() time.Time // nil: time.Now
	Faults     *fault.Script    // method for infno, busNo or bill number for msgid; nil: an empty one
	// NoQueryByBusNo: getBillStateByBusNo is not known here; getBillByBusDate is.
	NoQueryByBusNo bool
	// RefuseZero: bills of 0.00 are refused.
	RefuseZero bool
	// NoPictures: no QR codes are drawn, which takes most of the time of a call.
	NoPictures bool
	PaperStock int // papers of the first batch of each place; default 1000
	// Wait passes the time of slow faults; nil waits for real. It must return when ctx is done.
	Wait func(ctx context.Context, d time.Duration)
}

// Platform is one simulated platform. Safe for concurrent use.
type Platform struct {
	opt    Options
	down   atomic.Bool
	noise  atomic.Uint64
	public atomic.Pointer[string]

	mu       sync.Mutex
	bills    map[string]*Bill // batch/no of blue bills and vouchers
	byBus    map[string]*Bill
	order    []*Bill
	serial   int
	reds     int
	paper    map[string]*paperBatch
	notices  []Notice
	requests int
}

// Bill is a blue bill or a voucher with what became of it.
type Bill struct {
	BusNo, Place, Kind  string
	Voucher             bool
	Batch, No, Random   string
	Created             time.Time
	Business            time.Time
	Payer               string
	Total               money.Fen
	Charges             []Charge
	Red                 bool
	RedBatch, RedNo     string
	RedRandom           string
	RedAt               time.Time
	PaperBatch, PaperNo string // exchanged; "" when not, or voided
	Posted              bool
}

// Charge is one category on a bill's page.
type Charge struct {
	Name   string
	Amount money.Fen
}

// InForce reports whether the bill counts.
func (b *Bill) InForce() bool { return !b.Red }

// Notice is a message the platform sent to a patient.
type Notice struct {
	Batch, No, Type, Value string
}

type paperBatch struct {
	place, code string
	next, last  int
	used        map[int]string // number -> bill, or "void"
}

// New makes a platform. It starts nothing.
func New(o Options) (*Platform, error) {
	if o.AppID == "" || o.Key == "" {
		return nil, errors.New("invoice: app id and key are required")
	}
	switch o.Generation {
	case "":
		o.Generation = Gen320
	case Gen310, Gen320:
	default:
		return nil, fmt.Errorf("invoice: generation %q, want %s or %s", o.Generation, Gen310, Gen320)
	}
	if len(o.Places) == 0 {
		o.Places = []string{"001"}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Faults == nil {
		o.Faults = &fault.Script{}
	}
	if o.PaperStock <= 0 {
		o.PaperStock = 1000
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, d time.Duration) {
			t := time.NewTimer(d)
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
			}
		}
	}
	p := &Platform{opt: o, bills: map[string]*Bill{}, byBus: map[string]*Bill{}, paper: map[string]*paperBatch{}}
	for _, place := range o.Places {
		p.paper[place+"/0601"] = &paperBatch{place: place, code: "0601", next: 1, last: o.PaperStock, used: map[int]string{}}
	}
	p.SetPublicURL(o.PublicURL)
	return p, nil
}

// SetPublicURL tells where patients reach the pages: http://host:port.
func (p *Platform) SetPublicURL(u string) {
	u = strings.TrimRight(u, "/")
	p.public.Store(&u)
}

// SetDown takes the platform off the net, or brings it back: connections are closed unread.
func (p *Platform) SetDown(down bool) { p.down.Store(down) }

// Bills lists the blue bills and vouchers in the order they were made.
func (p *Platform) Bills() []Bill {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]Bill, len(p.order))
	for i, b := range p.order {
		out[i] = *b
	}
	return out
}

// Notices lists what was sent to patients.
func (p *Platform) Notices() []Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Notice(nil), p.notices...)
}

// Requests counts the calls that arrived, whatever became of them.
func (p *Platform) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// Post marks a bill as handed in for reimbursement, or takes the mark back.
func (p *Platform) Post(batch, no string, posted bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bills[batch+"/"+no]
	if b != nil {
		b.Posted = posted
	}
	return b != nil
}

// Drop forgets a bill, as if it had never been made: a fault of the platform's own books.
func (p *Platform) Drop(batch, no string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bills[batch+"/"+no]
	if b == nil {
		return false
	}
	delete(p.bills, batch+"/"+no)
	delete(p.byBus, b.BusNo)
	for i, x := range p.order {
		if x == b {
			p.order = append(p.order[:i], p.order[i+1:]...)
			break
		}
	}
	return true
}

// Alter changes the total of a bill, for tests of reconciliation.
func (p *Platform) Alter(batch, no string, by money.Fen) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.bills[batch+"/"+no]
	if b != nil {
		b.Total += by
	}
	return b != nil
}

// refusal is an error the platform answers with.
type refusal struct{ code, text string }

func (r refusal) Error() string { return r.code + " " + r.text }

func refuse(code, format string, a ...any) error { return refusal{code, fmt.Sprintf(format, a...)} }

// Result codes. S0000 is published, the others are this simulator's.
const (
	ok          = "S0000"
	errSign     = "E0001"
	errMethod   = "E0002"
	errData     = "E0003"
	errField    = "E0101"
	errSum      = "E0102"
	errBusNo    = "E0201" // the business number was used before
	errNoBill   = "E0202"
	errReversed = "E0203"
	errPosted   = "E0204"
	errHasPaper = "E0205"
	errPaper    = "E0301"
)
