package flow

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// death kills the journal at one write: before it is stored, or after it is and before anybody
// hears. What the program does afterwards is lost, as if it had been killed.
type death struct {
	at     int // number of the write, 0 for never
	stored bool
	writes int
	dead   bool
}

func (d *death) hook(point string) error {
	switch {
	case d.dead:
		return gateway.ErrStorage
	case point == "write":
		d.writes++
		if d.writes == d.at && !d.stored {
			d.dead = true
			return gateway.ErrStorage
		}
	case point == "written" && d.writes == d.at && d.stored:
		d.dead = true
		return gateway.ErrStorage
	}
	return nil
}

// patient is a HIS that repeats a request until it is answered, and starts the gateway anew when it
// has died.
type patient struct {
	b      *bench
	deaths []*death
	last   string // why a life ended early
}

func (p *patient) arm() {
	if len(p.deaths) == 0 {
		p.b.journal.Hook(nil)
		return
	}
	p.b.journal.Hook(p.deaths[0].hook)
}

// insist repeats a call until it is answered for good. It fails the test when that never happens,
// and gives the last error when the outcome stays unknown because a person must decide.
func (p *patient) insist(call func() (gateway.Settlement, error)) (gateway.Settlement, error) {
	var s gateway.Settlement
	var err error
	for i := 0; i < 12; i++ {
		s, err = call()
		p.once()
		if len(p.deaths) > 0 && p.deaths[0].dead {
			p.deaths = p.deaths[1:]
			p.b.journal.Hook(nil)
			p.b.restart()
			p.arm()
			continue
		}
		switch codeOf(err) {
		case gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeCentreNoAnswer, gateway.CodeCentreUnreachable, gateway.CodeRequestInProgress, gateway.CodeStorage, gateway.CodeSignIn:
			p.rest()
			continue
		}
		return s, err
	}
	return s, err
}

// once holds the one rule at every moment: a bill is settled once at most.
func (p *patient) once() {
	p.b.t.Helper()
	for id := range p.b.town.visits {
		if n := len(p.b.town.standing(id)); n > 1 {
			p.b.t.Fatalf("visit %s is settled %d times", id, n)
		}
	}
}

// rest is time passing, during which the program may die too.
func (p *patient) rest() {
	for i := 0; i < 40; i++ {
		p.b.clock.Advance(30e9)
		err := p.b.desk.tick(bg)
		p.b.desk.work.Wait()
		p.once()
		if len(p.deaths) > 0 && p.deaths[0].dead {
			p.deaths = p.deaths[1:]
			p.b.journal.Hook(nil)
			p.b.restart()
			p.arm()
		} else if err != nil {
			p.b.t.Fatal(err)
		}
	}
}

// life is a bill from opening to settling, and back when refund is set.
func (p *patient) life(id string, fees int, refund bool) {
	t := p.b.t
	t.Helper()
	r := bill(id, fees)
	s, err := p.insist(func() (gateway.Settlement, error) { return p.b.desk.OpenSettlement(bg, his, r) })
	if err != nil {
		switch codeOf(err) {
		case gateway.CodeCentreRefused, gateway.CodeAmounts, gateway.CodeOutcomeUnknown, gateway.CodeNeedsPerson, gateway.CodeCentreNoAnswer, gateway.CodeCentreUnreachable, gateway.CodeSignIn:
		default:
			t.Fatalf("open: %v", err)
		}
		if n := len(p.b.town.standing("")); n != 0 {
			t.Fatalf("told %v, the centre has %d", err, n)
		}
		return
	}
	c := gateway.ConfirmSettlement{RequestID: id + "c", ID: s.ID, Operator: clerk, Credential: &r.Credential}
	done, err := p.insist(func() (gateway.Settlement, error) { return p.b.desk.ConfirmSettlement(bg, his, c) })
	stand := p.b.town.standing(string(s.Visit))
	switch code := codeOf(err); {
	case err == nil:
		if done.State != gateway.BillSettled || len(stand) != 1 || stand[0].id != string(done.SettlementID) {
			t.Fatalf("told %s %s, the centre has %d", done.State, done.SettlementID, len(stand))
		}
	case code == gateway.CodeOutcomeUnknown, code == gateway.CodeNeedsPerson:
		return // a person decides; once() has held
	default:
		if len(stand) != 0 {
			t.Fatalf("told %v, the centre has %d", err, len(stand))
		}
		return
	}
	if !refund {
		return
	}
	x := gateway.RefundSettlement{RequestID: id + "x", ID: s.ID, Operator: clerk}
	back, err := p.insist(func() (gateway.Settlement, error) { return p.b.desk.RefundSettlement(bg, his, x) })
	stand = p.b.town.standing(string(s.Visit))
	if err == nil && (back.State != gateway.BillRefunded || len(stand) != 0) {
		t.Fatalf("told %s, the centre has %d", back.State, len(stand))
	}
}

func TestKilledAtEveryWrite(t *testing.T) {
	for _, region := range []func() *gateway.Region{askingRegion, strictRegion} {
		for n := 1; n < 60; n++ {
			for variant := 0; variant < 4; variant++ {
				b := newBench(t, region())
				d := &death{at: n, stored: variant&1 != 0}
				if variant&2 != 0 { // the message on its way when it dies never arrives
					b.town.fault = func(ident.Infno, int) mode {
						if !d.dead && d.writes == n-1 {
							return lostOut
						}
						return fine
					}
				}
				p := &patient{b: b, deaths: []*death{d}}
				p.arm()
				p.life("r1", 101, true)
				for _, m := range b.centre.Misuse() {
					t.Error(m)
				}
				if d.writes < n && n > 40 {
					return // the whole life takes fewer writes than that
				}
			}
		}
	}
}

// A reversal that died on the way is picked up and not made twice.
func TestKilledWhileReversing(t *testing.T) {
	for n := 1; n < 60; n++ {
		for variant := 0; variant < 2; variant++ {
			b := newBench(t, strictRegion())
			b.town.fault = on("2207", 1, lostBack)
			d := &death{at: n, stored: variant == 1}
			p := &patient{b: b, deaths: []*death{d}}
			p.arm()
			p.life("r1", 1, false)
			seen := map[string]int{}
			for _, c := range b.centre.Sent("2601") {
				seen[text(row(c.Input, "data")["omsgid"])]++
			}
			for id, times := range seen {
				if times > 1 {
					t.Errorf("death at %d: %s reversed %d times", n, id, times)
				}
			}
			if d.writes < n {
				return
			}
		}
	}
}

// Whatever goes wrong on the way, at most one settlement stands, and what the HIS is told is so.
func TestFaultsBySeed(t *testing.T) {
	seeds := 2000
	if testing.Short() {
		seeds = 200
	}
	for seed := 0; seed < seeds; seed++ {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 7))
			region := askingRegion()
			if rng.IntN(3) == 0 {
				region = strictRegion()
			}
			if rng.IntN(4) == 0 {
				region.SignIn = true
			}
			b := newBench(t, region)
			share := rng.IntN(5)
			modes := []mode{lostOut, lostBack, notSent, delayed, refusing, wrongTotal, wrongMsgID}
			b.town.fault = func(ident.Infno, int) mode {
				if rng.IntN(10) < share {
					return modes[rng.IntN(len(modes))]
				}
				return fine
			}
			p := &patient{b: b}
			for n := rng.IntN(4); n > 0; n-- {
				p.deaths = append(p.deaths, &death{at: 1 + rng.IntN(20), stored: rng.IntN(2) == 0})
			}
			p.arm()
			fees := 2
			if rng.IntN(10) == 0 {
				fees = 101
			}
			p.life("r1", fees, rng.IntN(2) == 0)
		})
		if !ok {
			break
		}
	}
}

// Many counters at once, a line that fails, and the resolver at work all the while.
func TestCrowd(t *testing.T) {
	b := newBench(t, askingRegion())
	b.desk.opt.Workers = 8
	b.desk.slot = make(chan struct{}, 8)
	rng := rand.New(rand.NewPCG(1, 2))
	b.town.fault = func(ident.Infno, int) mode {
		return []mode{fine, fine, fine, fine, fine, lostOut, lostBack, notSent, delayed}[rng.IntN(9)]
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	var still sync.RWMutex // held for reading, time stands still
	call := func(fn func() (gateway.Settlement, error)) (gateway.Settlement, error) {
		still.RLock()
		defer still.RUnlock()
		return fn()
	}
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := call(func() (gateway.Settlement, error) { return gateway.Settlement{}, b.desk.tick(bg) }); err != nil {
				t.Error(err)
			}
			still.Lock()
			b.desk.work.Wait()
			b.clock.Advance(7e9)
			still.Unlock()
		}
	}()
	var wg sync.WaitGroup
	settled := make([]gateway.Settlement, 24)
	for i := range settled {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := bill(fmt.Sprintf("r%d", i), 2)
			open := func() (gateway.Settlement, error) { return b.desk.OpenSettlement(bg, his, r) }
			s, err := call(open)
			for ; err != nil; s, err = call(open) {
				if code := codeOf(err); code == gateway.CodeCentreRefused || code == gateway.CodeAmounts {
					return
				}
				_ = b.clock.Sleep(bg, 20e9)
			}
			c := gateway.ConfirmSettlement{RequestID: r.RequestID + "c", ID: s.ID, Operator: clerk, Credential: &r.Credential}
			confirm := func() (gateway.Settlement, error) { return b.desk.ConfirmSettlement(bg, his, c) }
			for settled[i], err = call(confirm); err != nil; settled[i], err = call(confirm) {
				_ = b.clock.Sleep(bg, 20e9)
			}
		}()
	}
	wg.Wait()
	close(stop)
	<-stopped
	b.desk.work.Wait()
	for _, s := range settled {
		if s.ID == "" {
			t.Error("a bill could not be opened though nothing was refused")
			continue
		}
		if stand := b.town.standing(string(s.Visit)); len(stand) != 1 || stand[0].id != string(s.SettlementID) {
			t.Errorf("%s: told %s, the centre has %d", s.ID, s.SettlementID, len(stand))
		}
	}
	for _, m := range b.centre.Misuse() {
		t.Error(m)
	}
}
