// Package centre is a simulated insurance centre: it takes the outpatient, inpatient, pharmacy,
// filing and reconciliation transactions of the national interface over HTTP, keeps their state, computes with docs/simulated-policy.md, books
// every settlement in a double-entry ledger, and refuses what a centre refuses.
//
// It reads the published tables on its own and shares no code with the gateway, so that an error
// in one is not repeated in the other. docs/simulator.md tells what it does and what it leaves out.
package centre

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/ledger"
	"yiqiao/simulator/people"
	"yiqiao/simulator/policy"
	"yiqiao/simulator/records"
)

// Region is what differs between centres.
type Region struct {
	// AskByVisit: 5203 answers without setl_id, with every settlement of the visit.
	AskByVisit bool `json:"ask_by_visit"`
	// RequireSign: everything but 9001 needs a valid sign_no in the header.
	RequireSign bool `json:"require_sign"`
	// FundIncludesAccount: fund_pay_sumamt is written with acct_pay in it (identity E).
	FundIncludesAccount bool `json:"fund_includes_account"`
	// RefuseUnknownItem: 2204 refuses codes outside the catalogue instead of taking them as own pay.
	RefuseUnknownItem bool `json:"refuse_unknown_item"`
	// SignLife is how long a sign_no is good; zero means 24 hours.
	SignLife time.Duration `json:"sign_life"`
	// SettleBeforeDischarge: 2304 with mid_setl_flag 0 does not need 2402 first.
	SettleBeforeDischarge bool `json:"settle_before_discharge"`
	// RequireFiling: med_type 14 needs a 2503 for its dise_codg, med_type 23 a 2501 to the institution.
	RequireFiling bool `json:"require_filing"`
	// FileForm is the only form of 9101 in that is taken: base64, int8array, uint8array or multipart; ""
	// takes all. A form has no envelope: with one that seals it is refused.
	FileForm string `json:"file_form"`
	// FileLife is how long a file can be downloaded; zero means 7 days.
	FileLife time.Duration `json:"file_life"`
	// Statement is how 3201 and 3202 write their results.
	Statement StatementForm `json:"statement"`
}

// Options of a centre. The zero Options give a plain centre with the fixed persons.
type Options struct {
	Seed                 uint64               // where the serials of the ids start
	Now                  func() time.Time     // nil: time.Now
	Profile              envelope.Profile     // nil: plain bodies
	Transport            envelope.Transport   // nil: no transport headers asked for
	Mobile, Prescription *Line                // the centres of 6201 to 6401 and of D001 to D007; nil: there is none
	Issuer               *Issuer              // nil: no access tokens given out
	Skew                 time.Duration        // how far off Transport and Profile times may be; zero means 5 minutes
	Region               Region               //
	People               []people.Person      // nil: people.Fixed()
	Places               []people.Institution // nil: people.Institutions()
	Items                []policy.Item        // nil: policy.Items()
	Faults               *fault.Script        // nil: an empty one, which Control can fill
	Rand                 io.Reader            // nonces of the profile; nil: crypto/rand
	Catalog              *catalog.Catalog     // nil: catalog.Default()
	KeepCalls            int                  // length of the call log; zero means 100000
	// Wait passes the time of slow faults; nil waits for real. It must return when ctx is done.
	Wait func(ctx context.Context, d time.Duration)
}

// Centre is one simulated centre. Safe for concurrent use.
type Centre struct {
	opt    Options
	table  *catalog.Catalog
	items  *policy.Catalogue
	places map[string]people.Institution
	closed chan struct{}
	once   sync.Once
	refs   atomic.Uint64 // serials of inf_refmsgid
	memory memory        // of headers and messages, against repetition

	mu    sync.Mutex
	state *state
	calls callLog
}

// state is everything a transaction can change.
type state struct {
	byNo        map[string]*person
	byCert      map[string]*person
	byCard      map[string]*person
	byToken     map[string]*person
	visits      map[string]*visit
	visitOrder  []*visit
	settlements map[string]*settlement
	setlOrder   []*settlement
	byMsg       map[string]*entry
	signs       map[string]*sign
	signOf      map[signKey]string
	book        *ledger.Ledger
	serial      uint64
	filings     map[string]*filing
	filingOrder []*filing
	files       map[string]*file
	fileOrder   []*file
	clearings   map[string]*clearing
	orders      map[string]*order
	scripts     map[string]*prescription
	kept        *records.Book // what is only kept and shown
}

// person is an insured person with what was used per insurance and year.
type person struct {
	people.Person
	used   map[usedKey]*people.Used
	visits []*visit
}

type usedKey struct {
	insutype string
	year     int
}

type signKey struct{ place, operator string }

// sign is one sign-in of an operator.
type sign struct {
	key signKey
	at  time.Time
}

// entry remembers a message id that changed something.
type entry struct {
	infno    ident.Infno
	place    string
	psn      string
	setl     *settlement // of settlements and undos
	visit    *visit      // of 2401
	reversed bool
}

// china is the zone all texts of the interface are written in.
func china() *time.Location { return time.FixedZone("CST", 8*60*60) }

// New makes a centre. The error is that of the tables or of people that can not be opened (two
// with one number, a balance below zero).
func New(o Options) (*Centre, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Skew == 0 {
		o.Skew = 5 * time.Minute
	}
	if o.Region.SignLife == 0 {
		o.Region.SignLife = 24 * time.Hour
	}
	if o.Region.FileLife == 0 {
		o.Region.FileLife = 7 * 24 * time.Hour
	}
	if o.People == nil {
		o.People = people.Fixed()
	}
	if o.Places == nil {
		o.Places = people.Institutions()
	}
	if o.Items == nil {
		o.Items = policy.Items()
	}
	if o.Faults == nil {
		o.Faults = &fault.Script{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.KeepCalls == 0 {
		o.KeepCalls = 100_000
	}
	if o.Wait == nil {
		o.Wait = wait
	}
	if err := o.Region.check(); err != nil {
		return nil, err
	}
	table := o.Catalog
	if table == nil {
		var err error
		if table, err = catalog.Default(); err != nil {
			return nil, fmt.Errorf("simulated centre: %w", err)
		}
	}
	c := &Centre{opt: o, table: table, items: policy.NewCatalogue(o.Items), closed: make(chan struct{}),
		places: make(map[string]people.Institution, len(o.Places)), calls: newCallLog(o.KeepCalls)}
	for _, p := range o.Places {
		c.places[p.Code] = p
	}
	if err := c.Reset(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reset forgets everything but the options and the fault script.
func (c *Centre) Reset() error {
	s, err := newState(c.opt, c.opt.Now().In(china()).Year())
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	c.calls = newCallLog(c.opt.KeepCalls)
	return nil
}

// Close lets go of calls that a fault keeps waiting. The centre answers on.
func (c *Centre) Close() { c.once.Do(func() { close(c.closed) }) }

var (
	errPeople = errors.New("simulated centre: two persons share a number")
	errRegion = errors.New("simulated centre: the region asks for a form that does not exist")
)

func (r Region) check() error {
	switch r.FileForm {
	case "", formBase64, formInt8, formUint8, formMultipart:
		return r.Statement.check()
	}
	return errRegion
}

func newState(o Options, year int) (*state, error) {
	kept, err := records.New()
	if err != nil {
		return nil, fmt.Errorf("simulated centre: %w", err)
	}
	s := &state{
		byNo: map[string]*person{}, byCert: map[string]*person{}, byCard: map[string]*person{}, byToken: map[string]*person{},
		visits: map[string]*visit{}, settlements: map[string]*settlement{}, byMsg: map[string]*entry{},
		signs: map[string]*sign{}, signOf: map[signKey]string{}, book: ledger.New(), serial: o.Seed % 1_000_000,
		filings: map[string]*filing{}, files: map[string]*file{}, clearings: map[string]*clearing{},
		orders: map[string]*order{}, scripts: map[string]*prescription{},
		kept: kept,
	}
	for _, p := range o.People {
		if s.byNo[p.No] != nil || s.byCert[p.Cert] != nil {
			return nil, errPeople
		}
		one := &person{Person: p, used: map[usedKey]*people.Used{}}
		for _, u := range p.Used {
			one.used[usedKey{u.Type, year}] = &u
		}
		s.byNo[p.No], s.byCert[p.Cert], s.byCard[p.Card], s.byToken[p.Token] = one, one, one, one
		if err := s.book.Open(p.No, p.Balance); err != nil {
			return nil, fmt.Errorf("simulated centre: person %s: %w", p.No, err)
		}
	}
	return s, nil
}

// usedBy gives the accumulator of a person; zero when nothing was used yet.
func (p *person) usedBy(insutype string, year int) people.Used {
	if u := p.used[usedKey{insutype, year}]; u != nil {
		return *u
	}
	return people.Used{Type: insutype}
}

// use adds to an accumulator (times is 1) or takes back (times is -1). An accumulator that is
// zero again is forgotten, so that an undo leaves no trace.
func (p *person) use(u people.Used, year int, times int) {
	key := usedKey{u.Type, year}
	sum := p.usedBy(u.Type, year)
	if times < 0 {
		u = people.Used{Type: u.Type, Deductible: -u.Deductible, Pool: -u.Pool, StayPool: -u.StayPool, Large: -u.Large, Servant: -u.Servant, Aid: -u.Aid}
	}
	sum.Deductible += u.Deductible
	sum.Pool += u.Pool
	sum.StayPool += u.StayPool
	sum.Large += u.Large
	sum.Servant += u.Servant
	sum.Aid += u.Aid
	if (sum == people.Used{Type: u.Type}) {
		delete(p.used, key)
		return
	}
	p.used[key] = &sum
}

// id makes an identity of 30 digits: area, time, serial.
func (s *state) id(area string, now time.Time) string {
	s.serial++
	return area + now.Format("20060102150405") + fmt.Sprintf("%010d", s.serial%10_000_000_000)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
