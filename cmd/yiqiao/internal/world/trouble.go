package world

import "time"

// What may happen to one gateway while the others go on.

// troubles plans it.
func (w *World) troubles(at func(func())) {
	apart := w.more.IntN(2) == 0
	for _, p := range w.procs {
		if apart { // no more than clocks that are kept by a time server
			p.own = time.Duration(w.more.Int64N(int64(2*clocksApart))) - clocksApart
			w.count("clock-differs")
		}
		for range w.more.IntN(3) {
			at(func() { p.freeze(w.s.between(10*time.Second, 12*time.Minute)) })
		}
		for range w.more.IntN(3) {
			at(func() { p.cutOff("cut-from-journal", &p.noJournal) })
		}
		for range w.more.IntN(2) {
			at(func() { p.cutOff("cut-from-centre", &p.noCentre) })
		}
		for range w.more.IntN(2) {
			at(func() {
				if w.storm && apart {
					w.count("clock-moved")
					p.set(p.skew, w.s.between(0, 2*clocksApart)-clocksApart)
				}
			})
		}
	}
	if w.broker != nil {
		for range w.more.IntN(4) {
			at(w.broker.fails)
		}
	}
}

// clocksApart is how wrong the clock of one gateway is at most by itself.
const clocksApart = 4 * time.Second

// cutOff keeps a gateway from one of its neighbours for a while.
func (p *process) cutOff(what string, flag *bool) {
	if !p.w.storm || *flag {
		return
	}
	p.w.count(what)
	*flag = true
	p.w.s.after(p.w.s.between(5*time.Second, 6*time.Minute), func() { *flag = false })
}

// freeze lets a gateway stand still, as a machine does that is paused or moved: nothing in it gets a
// turn, and all of it goes on afterwards as if no time had passed, only that the clock says otherwise.
func (p *process) freeze(d time.Duration) {
	if !p.w.storm || p.dead || p.desk == nil || p.frozen {
		return
	}
	p.w.count("frozen")
	p.w.trace("freeze", p.name)
	p.frozen, p.stood = true, p.stood+d
	life := p.life
	p.w.s.after(d, func() {
		if p.life == life {
			p.thaw()
		}
	})
}

func (p *process) thaw() {
	if !p.frozen {
		return
	}
	p.frozen = false
	ice := p.ice
	p.ice = nil
	for _, t := range ice {
		p.w.s.after(0, func() { p.w.s.wake(t) })
	}
}
