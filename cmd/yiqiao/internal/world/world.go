package world

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/http"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
	simcentre "yiqiao/simulator/centre"
	"yiqiao/simulator/people"
)

// Options of one world.
type Options struct {
	Seed     uint64
	Bills    int      // how many; default 50
	Plain    bool     // without stays, frozen gateways and whatever else came after the first towns
	Second   bool     // without sales, filings and settlements in the middle of a stay, which came after the second
	Mutation Mutation // "" for the program as it is
}

// World is one town. It is used once, by Run.
type World struct {
	opt  Options
	kit  *Kit
	s    *sched
	rng  *rand.Rand // what the town is like; s.rng is what happens to it
	more *rand.Rand // the same of what a plain town does not have; nil in one
	// cases is the same of what the second towns do not have; nil in them and in plain ones.
	cases *rand.Rand
	bend  bend

	mem          *gatewaytest.MemJournal
	sim          *simcentre.Centre
	handler      http.Handler
	institutions map[ident.Institution]*gateway.Institution
	places       []people.Institution
	people       []people.Person
	inpatients   []people.Person
	papers       []*bill
	stays        int  // how many there are
	settleFirst  bool // stays are settled before the discharge
	named        bool // the gateways have names, leases and claims
	strict       bool // the centre does not answer 5203 by visit
	signIn       bool
	leaping      bool // clocks leap by hours, and no message is held up in the network
	rates        rates

	procs       []*process
	broker      *broker // nil: uploads are found in the journal alone
	cashiers    []*cashier
	storm       bool
	maintenance bool
	diskDown    bool
	over        bool // the books have been compared: everybody may go

	invoices *invoices // nil: no platform of electronic invoices

	writes      int
	open        []ident.MsgID // records that may not have ended, oldest first
	lastGiven   map[ident.Institution]ident.MsgID
	lastSettled gateway.Reply
	seen        map[ident.MsgID]*traffic
	uploads     map[string][]ident.MsgID // visit -> msgids in the order they first took effect
	settles     map[string][]ident.MsgID // bill -> its 2207, in the order they left

	tally      Tally
	violations []string
	digest     hash.Hash
}

// rates are shares of a thousand.
type rates struct {
	line, disk, crash int
	frozen, broker    int // not in a plain town
}

// traffic is what the world saw of one message.
type traffic struct {
	left, arrived, done int
}

// Result is what became of a world.
type Result struct {
	Seed       uint64
	Digest     string // of everything that happened: equal when a seed is run again
	Tally      Tally
	Violations []string
}

// dawn is the start of every town's time.
func dawn() time.Time { return time.Date(2026, 3, 2, 8, 0, 0, 0, gateway.China) }

const stormLength = 100 * time.Minute

// Run lets a world of that seed happen. The error is that it could not be built.
func Run(kit *Kit, o Options) (Result, error) {
	if o.Bills <= 0 {
		o.Bills = 50
	}
	w := &World{
		opt: o, kit: kit, s: newSched(o.Seed, dawn()), rng: rand.New(rand.NewPCG(o.Seed, 0x1ead)),
		mem: gatewaytest.NewJournal(), storm: true, digest: sha256.New(),
		lastGiven: map[ident.Institution]ident.MsgID{}, seen: map[ident.MsgID]*traffic{},
		uploads: map[string][]ident.MsgID{}, settles: map[string][]ident.MsgID{},
		tally: newTally(),
	}
	w.named = o.Seed%4 != 0
	if !o.Plain {
		w.more = rand.New(rand.NewPCG(o.Seed, 0x3a9e))
		w.settleFirst = w.more.IntN(4) == 0
	}
	if !o.Plain && !o.Second {
		w.cases = rand.New(rand.NewPCG(o.Seed, 0xca5e))
	}
	if err := w.build(); err != nil {
		return Result{}, err
	}
	if err := w.openInvoices(); err != nil {
		return Result{}, err
	}
	w.weather()
	for _, p := range w.procs {
		p.boot()
	}
	for _, c := range w.cashiers {
		c.begin()
	}
	w.s.run(func() bool { return !w.storm && w.calm() })
	w.verify()
	r := Result{Seed: o.Seed, Digest: hex.EncodeToString(w.digest.Sum(nil)[:8]), Tally: w.tally, Violations: w.violations}
	w.end()
	return r, nil
}

// build makes the town.
func (w *World) build() error {
	w.strict, w.signIn = w.rng.IntN(3) == 0, w.rng.IntN(3) != 0
	w.leaping = w.rng.IntN(3) == 0
	w.rates = rates{line: 10 + w.rng.IntN(60), disk: w.rng.IntN(8), crash: w.rng.IntN(4)}
	if err := w.bent(); err != nil {
		return err
	}
	region := w.kit.region(w.strict, w.signIn)
	region.SettleBeforeDischarge = w.settleFirst
	if w.bend.region != nil {
		w.bend.region(region)
	}
	w.institutions = map[ident.Institution]*gateway.Institution{}
	for i, p := range w.kit.hospitals {
		if i > w.rng.IntN(3) {
			break
		}
		code := ident.Institution(p.Code)
		w.places = append(w.places, p)
		w.institutions[code] = &gateway.Institution{Code: code, Name: p.Name, Area: p.Area, Receiver: "YBXT", Version: "V1.0",
			MAC: "00-16-3E-00-00-01", IP: "10.0.0.1", HospLevel: p.Level, Region: region}
	}
	known := max(4, w.opt.Bills/2)
	everybody := people.Generate(w.opt.Seed, known+w.opt.Bills/4)
	w.people, w.inpatients = everybody[:known], everybody[known:]
	var err error
	w.sim, err = simcentre.New(simcentre.Options{
		Seed: w.opt.Seed, Now: func() time.Time { return w.s.now }, People: everybody, Catalog: w.kit.catalog, Items: w.kit.items,
		Region: simcentre.Region{AskByVisit: !w.strict, RequireSign: w.signIn, SignLife: 30 * time.Minute,
			SettleBeforeDischarge: w.settleFirst},
		KeepCalls: 1,
	})
	if err != nil {
		return err
	}
	w.handler = w.sim.Handler()
	for i := range 1 + w.rng.IntN(2) {
		w.procs = append(w.procs, &process{w: w, name: fmt.Sprintf("gateway-%d", i+1)})
	}
	if w.more != nil {
		w.rates.frozen, w.rates.broker = w.more.IntN(3), w.more.IntN(60)
		if w.more.IntN(2) == 0 {
			w.broker = &broker{w: w}
		}
	}
	w.populate()
	return nil
}

// weather plans what happens to the town as a whole.
func (w *World) weather() {
	at := func(run func()) { w.s.after(w.s.between(0, stormLength), run) }
	for range w.rng.IntN(3) {
		at(func() {
			w.maintenance = w.storm
			w.s.after(w.s.between(time.Minute, 8*time.Minute), func() { w.maintenance = false })
		})
	}
	for range w.rng.IntN(3) {
		at(func() {
			if w.diskDown = w.storm; w.storm {
				w.count("disk-outage")
			}
			w.s.after(w.s.between(5*time.Second, 3*time.Minute), func() { w.diskDown = false })
		})
	}
	for _, p := range w.procs {
		for range w.rng.IntN(3) {
			at(func() {
				if w.storm {
					p.kill()
				}
			})
		}
	}
	if w.rng.IntN(5) < 3 {
		w.clocks(at)
	}
	if w.more != nil {
		w.troubles(at)
	}
}

// clocks sets the clocks of all gateways wrong. Where messages may be held up in the network they
// are only set back: a gateway can not tell a clock that leaps forward from time that has passed,
// and takes silence for proof then (docs/torture.md).
func (w *World) clocks(at func(func())) {
	for range 1 + w.rng.IntN(4) {
		at(func() {
			if !w.storm {
				return
			}
			by := -w.s.between(time.Second, 10*time.Minute)
			if w.leaping && w.s.chance(500) {
				by = w.s.between(time.Minute, 3*time.Hour)
			}
			w.count("clock-jump")
			for _, p := range w.procs {
				p.set(p.skew+by, p.own)
			}
		})
	}
}

// passed ends the storm: nothing goes wrong any more.
func (w *World) passed() {
	w.storm, w.maintenance, w.diskDown = false, false, false
	for _, p := range w.procs {
		p.noJournal, p.noCentre = false, false
		p.thaw()
	}
	if w.broker != nil {
		w.broker.heals()
	}
	w.trace("calm", "")
}

// calm reports whether everybody has gone home and nothing is left to find out.
func (w *World) calm() bool {
	for _, c := range w.cashiers {
		if !c.home {
			return false
		}
	}
	patience := 48 * time.Hour
	if w.opt.Mutation != "" {
		patience /= 4 // what is planted to last is not waited for
	}
	if w.s.now.Sub(dawn()) > patience {
		w.violate("never-ends", "after %s something is still unresolved", patience)
		return true
	}
	for _, p := range w.procs {
		if !p.up || len(p.tasks) > 0 || !p.loop.idle || p.porter != nil && !p.porter.idle {
			return false
		}
	}
	if !w.invoicesCalm() {
		return false
	}
	left, err := w.listOpen(bg(), gateway.Query{States: []gateway.State{
		gateway.StatePrepared, gateway.StateSent, gateway.StateUnknown, gateway.StateParked}})
	return err == nil && len(unfinished(left)) == 0
}

// unfinished gives those of a list, oldest first, that should still come to an end. What is parked
// waits for a person, and so do the uploads of its visit behind it.
func unfinished(list []gateway.Record) []gateway.Record {
	var left []gateway.Record
	blocked := map[string]bool{}
	for _, r := range list {
		lane := string(r.Institution) + r.Visit
		switch {
		case r.State.Final(), len(r.Wire) > 0 && r.Visit != "" && blocked[lane]:
		case r.State == gateway.StateParked:
			blocked[lane] = blocked[lane] || len(r.Wire) > 0
		default:
			left = append(left, r)
		}
	}
	return left
}

// end lets go of everything that still waits, so that nothing of a world is left behind.
func (w *World) end() {
	w.over = true
	for _, p := range w.procs {
		p.kill()
	}
	w.s.run(func() bool {
		for _, p := range w.procs {
			if p.desk != nil || p.keeper != nil || p.porter != nil {
				return false
			}
		}
		return w.invoices == nil || w.invoices.clerks == 0
	})
}

// trace adds to the digest of what happened.
func (w *World) trace(what, which string) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(w.s.now.UnixNano()))
	w.digest.Write(b[:])
	w.digest.Write([]byte(what))
	w.digest.Write([]byte(which))
}

func (w *World) count(fault string) { w.tally.Faults[fault]++ }

// violate notes a broken promise; kind is a permanent word.
func (w *World) violate(kind, format string, args ...any) {
	if len(w.violations) < 50 {
		w.violations = append(w.violations, kind+": "+fmt.Sprintf(format, args...))
	}
}

func (w *World) broken(why string) { w.violate("world", "%s", why) }

func digestOf(b []byte) [32]byte { return sha256.Sum256(b) }

// keyed is the Desk's digest of requests.
func keyed(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
