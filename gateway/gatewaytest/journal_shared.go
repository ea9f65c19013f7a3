package gatewaytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// SharedJournal holds two journals on one database to what they promise together. open gives two on
// an empty database, as two processes would open them; the suite closes both.
func SharedJournal(t *testing.T, open func(t *testing.T) (a, b gateway.Journal)) {
	for _, c := range []struct {
		name string
		run  func(d *sharedDesk)
	}{
		{"what one writes the other reads", (*sharedDesk).seen},
		{"message ids are unique", (*sharedDesk).ids},
		{"many institutions at once", (*sharedDesk).institutions},
		{"a request is accepted once", (*sharedDesk).requests},
		{"a version is written once", (*sharedDesk).versions},
		{"records in crossed order", (*sharedDesk).crossed},
		{"a record is claimed by one", (*sharedDesk).claimed},
		{"work is taken over and done once", (*sharedDesk).takenOver},
		{"one of many lives is the present one", (*sharedDesk).joined},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			defer func() {
				if err := errors.Join(a.Close(), b.Close()); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			d := &sharedDesk{journalDesk{T: t, j: a, ctx: context.Background()}, [2]gateway.Journal{a, b}}
			c.run(d)
		})
	}
}

// sharedDesk writes with the first journal unless it says otherwise.
type sharedDesk struct {
	journalDesk
	both [2]gateway.Journal
}

// each runs fn n times at once on each journal.
func (d *sharedDesk) each(n int, fn func(j gateway.Journal, side, i int)) {
	var wg sync.WaitGroup
	for side, j := range d.both {
		for i := range n {
			wg.Go(func() { fn(j, side, i) })
		}
	}
	wg.Wait()
}

func (d *sharedDesk) seen() {
	for n := range 20 {
		e := d.settle(fmt.Sprint("r-", n))
		got, err := d.both[1].Record(d.ctx, e.Record.ID)
		if err != nil || got.State != gateway.StateDone {
			d.Fatalf("record %d: %s, %v", n, got.State, err)
		}
		q, err := d.both[1].Request(d.ctx, e.Request.Key)
		if err != nil || string(q.Answer) != `{"state":"done"}` {
			d.Fatalf("request %d: %q, %v", n, q.Answer, err)
		}
	}
	listed, err := d.both[1].List(d.ctx, gateway.Query{})
	if err != nil || len(listed) != 20 {
		d.Errorf("%d records, %v", len(listed), err)
	}
}

func (d *sharedDesk) ids() {
	const callers, each = 16, 60
	var mu sync.Mutex
	seen := map[ident.MsgID]string{}
	d.each(callers, func(j gateway.Journal, side, i int) {
		last := ident.MsgID("")
		for n := range each {
			now := journalNow.Add(time.Duration((side+n)%3) * time.Second)
			id, err := j.NextMsgID(d.ctx, journalInst, now)
			if err != nil {
				d.Error(err)
				return
			}
			who := fmt.Sprint("journal ", side, " caller ", i)
			mu.Lock()
			if other, twice := seen[id]; twice {
				d.Errorf("%s was given to %s and to %s", id, other, who)
			}
			seen[id] = who
			mu.Unlock()
			if id <= last {
				d.Errorf("%s: %s after %s", who, id, last)
			}
			last = id
		}
	})
	if len(seen) != 2*callers*each {
		d.Errorf("%d ids, want %d", len(seen), 2*callers*each)
	}
}

// institutions: counters of several institutions are wanted in every order, together with writes.
func (d *sharedDesk) institutions() {
	const count = 8
	d.each(12, func(j gateway.Journal, side, i int) {
		for n := range 25 {
			inst := ident.Institution(fmt.Sprintf("H4401000000%d", 1+(i*(3+2*side)+n*(1+2*side))%count))
			id, err := j.NextMsgID(d.ctx, inst, journalNow.Add(time.Duration(n)*time.Second))
			if err != nil {
				d.Error(err)
				return
			}
			r := gateway.Record{ID: id, Institution: inst, Infno: "1101", Step: "1101", Attempt: 1, CreatedAt: journalNow, State: gateway.StateSent}
			if _, err := j.Write(d.ctx, gateway.Entry{Record: &r}); err != nil {
				d.Error(err)
				return
			}
		}
	})
}

// requests: every key is offered by both journals, by several callers, in different order.
func (d *sharedDesk) requests() {
	const keys = 60
	var mu sync.Mutex
	winner := map[string]ident.MsgID{}
	told := map[string]map[string]bool{}
	d.each(6, func(j gateway.Journal, side, i int) {
		for n := range keys {
			n = (n*7*(1+side*2) + i*11) % keys
			name := fmt.Sprint("r-", n)
			id, err := j.NextMsgID(d.ctx, journalInst, journalNow)
			if err != nil {
				d.Error(err)
				return
			}
			q := d.request(name, string(id))
			r := gateway.Record{ID: id, Institution: journalInst, Infno: "2207", Request: q.Key, Step: "2207", Attempt: 1,
				CreatedAt: journalNow, State: gateway.StateSent}
			old, err := j.Write(d.ctx, gateway.Entry{Request: q, Record: &r})
			if err != nil {
				d.Errorf("%s: %v", name, err)
				return
			}
			mu.Lock()
			if old == nil {
				if other, twice := winner[name]; twice {
					d.Errorf("%s was accepted for %s and for %s", name, other, id)
				}
				winner[name] = id
			} else {
				if told[name] == nil {
					told[name] = map[string]bool{}
				}
				told[name][old.Ref] = true
			}
			mu.Unlock()
		}
	})
	for n := range keys {
		name := fmt.Sprint("r-", n)
		if len(told[name]) != 1 || !told[name][string(winner[name])] {
			d.Errorf("%s: accepted for %s, others were told %v", name, winner[name], told[name])
		}
		if recs, err := d.j.RequestRecords(d.ctx, d.key(name)); err != nil || len(recs) != 1 {
			d.Errorf("%s: %d records, %v", name, len(recs), err)
		}
	}
}

// versions: all race to write the next event of the same records.
func (d *sharedDesk) versions() {
	var list []ident.MsgID
	for range 5 {
		r := d.record(gateway.StateSent)
		d.write(gateway.Entry{Record: r}, event(r.ID, 1, gateway.EventUnknown, ""))
		list = append(list, r.ID)
	}
	const rounds = 12
	var mu sync.Mutex
	wins := map[string]int{}
	d.each(6, func(j gateway.Journal, side, i int) {
		for n := range rounds {
			for k := range list {
				id := list[(k+i+side)%len(list)]
				_, err := j.Write(d.ctx, event(id, 2+n, gateway.EventAsked, ""))
				switch {
				case err == nil:
					mu.Lock()
					wins[fmt.Sprint(id, n)]++
					mu.Unlock()
				case !errors.Is(err, gateway.ErrStale):
					d.Errorf("%s: %v", id, err)
				}
			}
		}
	})
	for _, id := range list {
		rec := d.get(id)
		events := d.events(id)
		if rec.Version != len(events) {
			d.Errorf("%s is at version %d with %d events", id, rec.Version, len(events))
		}
		for n := range rec.Version - 2 {
			if wins[fmt.Sprint(id, n)] != 1 {
				d.Errorf("%s: version %d was written %d times", id, 3+n, wins[fmt.Sprint(id, n)])
			}
		}
	}
	if len(wins) == 0 {
		d.Error("nobody won anything")
	}
}

// crossed: writes that touch the same records in opposite order all come to an end, each whole or
// not at all.
func (d *sharedDesk) crossed() {
	x, y := d.record(gateway.StateSent), d.record(gateway.StateSent)
	d.write(gateway.Entry{Record: x}, gateway.Entry{Record: y},
		event(x.ID, 1, gateway.EventUnknown, ""), event(y.ID, 1, gateway.EventUnknown, ""))
	d.each(2, func(j gateway.Journal, side, _ int) {
		for range 8 {
			for {
				a, err1 := j.Record(d.ctx, x.ID)
				b, err2 := j.Record(d.ctx, y.ID)
				if err := errors.Join(err1, err2); err != nil {
					d.Error(err)
					return
				}
				e, f := event(x.ID, a.Version, gateway.EventAsked, ""), event(y.ID, b.Version, gateway.EventAsked, "")
				if side == 1 {
					e, f = f, e
				}
				_, err := j.Write(d.ctx, e, f)
				if err == nil {
					break
				}
				if !errors.Is(err, gateway.ErrStale) {
					d.Error(err)
					return
				}
			}
		}
	})
	if a, b := d.get(x.ID).Version, d.get(y.ID).Version; a != 2+32 || b != a {
		d.Errorf("versions %d and %d, want 34 both", a, b)
	}
}

func (d *sharedDesk) claimed() {
	const records = 40
	var list []ident.MsgID
	for range records {
		list = append(list, d.queued())
	}
	var mu sync.Mutex
	has := map[ident.MsgID]gateway.Holder{}
	d.each(4, func(j gateway.Journal, side, i int) {
		h, err := j.Join(d.ctx, fmt.Sprint("h", side, "-", i), journalNow.Add(lease))
		if err != nil {
			d.Error(err)
			return
		}
		for n := range 6 { // also in the other order
			ids := append([]ident.MsgID(nil), list...)
			if (n+side)%2 == 1 {
				for l, r := 0, len(ids)-1; l < r; l, r = l+1, r-1 {
					ids[l], ids[r] = ids[r], ids[l]
				}
			}
			taken, err := j.Claim(d.ctx, h, ids[:10+5*n], journalNow, journalNow.Add(time.Second))
			if err != nil {
				d.Error(err)
				return
			}
			mu.Lock()
			for _, id := range taken {
				if other := has[id]; other != "" && other != h {
					d.Errorf("%s was given to %s and to %s", id, other, h)
				}
				has[id] = h
			}
			mu.Unlock()
		}
	})
	for _, id := range list {
		if got := d.get(id).Holder; got != has[id] {
			d.Errorf("%s is held by %q, %q was told so", id, got, has[id])
		}
	}
	if len(has) != records {
		d.Errorf("%d of %d were taken", len(has), records)
	}
}

// takenOver: workers on both sides claim, stall until their claim has run out and go on all the
// same. Each record is sent once.
func (d *sharedDesk) takenOver() {
	const records = 30
	var list []ident.MsgID
	for range records {
		list = append(list, d.queued())
	}
	var mu sync.Mutex
	sent := map[ident.MsgID]int{}
	refused := 0
	d.each(4, func(j gateway.Journal, side, i int) {
		h, err := j.Join(d.ctx, fmt.Sprint("h", side, "-", i), journalNow.Add(time.Hour))
		if err != nil {
			d.Error(err)
			return
		}
		for n := range 8 {
			at := journalNow.Add(time.Duration(n) * time.Minute) // every claim before has run out
			taken, err := j.Claim(d.ctx, h, list, at, at.Add(time.Second))
			if err != nil {
				d.Error(err)
				return
			}
			for k, id := range taken {
				if (k+n)%3 != 0 && n < 7 {
					continue // left lying
				}
				switch _, err := j.Write(d.ctx, event(id, 0, gateway.EventSent, h)); {
				case err == nil:
					mu.Lock()
					sent[id]++
					mu.Unlock()
				case errors.Is(err, gateway.ErrStale):
					mu.Lock()
					refused++
					mu.Unlock()
				default:
					d.Error(err)
				}
			}
		}
	})
	for id, n := range sent {
		if n != 1 {
			d.Errorf("%s was sent %d times", id, n)
		}
		if got := d.get(id); got.State != gateway.StateSent || got.Version != 1 {
			d.Errorf("%s is %s at version %d", id, got.State, got.Version)
		}
	}
	if len(sent) == 0 {
		d.Error("nothing was sent")
	}
	d.Logf("%d sent, %d late writes refused", len(sent), refused)
}

func (d *sharedDesk) joined() {
	var mu sync.Mutex
	var all []gateway.Holder
	d.each(8, func(j gateway.Journal, _, _ int) {
		h, err := j.Join(d.ctx, "gateway", journalNow.Add(lease))
		if err != nil {
			d.Error(err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, h)
	})
	present, seen := 0, map[gateway.Holder]bool{}
	for _, h := range all {
		if seen[h] {
			d.Errorf("%s twice", h)
		}
		seen[h] = true
		switch err := d.both[1].Hold(d.ctx, h, journalNow.Add(lease)); {
		case err == nil:
			present++
		case !errors.Is(err, gateway.ErrStale):
			d.Error(err)
		}
	}
	if present != 1 || len(all) != 16 {
		d.Errorf("%d of %d lives are present, want 1 of 16", present, len(all))
	}
}
