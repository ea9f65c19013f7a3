package gatewaytest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

func (d *journalDesk) order() {
	d.write(
		gateway.Entry{Request: d.request("r-1", "B-1")},
		gateway.Entry{Request: d.request("r-2", "B-1")},
		gateway.Entry{Bill: &gateway.Bill{ID: "B-1", Institution: journalInst, CreatedAt: journalNow}},
	)
	var bill, req []ident.MsgID
	for i := range 12 {
		r := d.record(gateway.StateSent)
		r.Step = fmt.Sprintf("2204#%d", i)
		r.CreatedAt = journalNow.Add(-time.Duration(i) * time.Minute) // the clock goes back; the order stays
		switch i % 3 {
		case 0:
			r.Bill, r.Request = "B-1", d.key("r-1")
			bill, req = append(bill, r.ID), append(req, r.ID)
		case 1:
			r.Bill, r.Request = "B-1", d.key("r-2")
			bill = append(bill, r.ID)
		}
		d.write(gateway.Entry{Record: r})
	}
	got, err := d.j.BillRecords(d.ctx, "B-1")
	if err != nil {
		d.Fatal(err)
	}
	d.sameIDs("records of the bill", got, bill...)
	if got[0].Request != d.key("r-1") || got[1].Request != d.key("r-2") || got[0].Bill != "B-1" {
		d.Errorf("records name %+v and %+v", got[0].Request, got[1].Request)
	}
	got, err = d.j.RequestRecords(d.ctx, d.key("r-1"))
	if err != nil {
		d.Fatal(err)
	}
	d.sameIDs("records of the request", got, req...)
	for _, list := range []func() ([]gateway.Record, error){
		func() ([]gateway.Record, error) { return d.j.BillRecords(d.ctx, "B-2") },
		func() ([]gateway.Record, error) { return d.j.BillRecords(d.ctx, "") },
		func() ([]gateway.Record, error) { return d.j.RequestRecords(d.ctx, d.key("r-9")) },
		func() ([]gateway.Record, error) { return d.j.RequestRecords(d.ctx, gateway.RequestKey{}) },
	} {
		if got, err := list(); err != nil || len(got) != 0 {
			d.Errorf("nothing to list gives %v, %v", ids(got), err)
		}
	}
}

func (d *journalDesk) marks() {
	mark := func(number string) []gateway.Mark {
		return []gateway.Mark{{Kind: gateway.MarkPerson, Number: number}}
	}
	add := func(inst ident.Institution, at time.Time, marks ...gateway.Mark) ident.MsgID {
		r := d.record(gateway.StateSent)
		r.Institution, r.CreatedAt, r.Marks = inst, at, marks
		d.write(gateway.Entry{Record: r, Class: gateway.ClassQuery})
		return r.ID
	}
	visit := gateway.Mark{Kind: gateway.MarkVisit, Number: "44X"}
	both := add(journalInst, journalNow, gateway.Mark{Kind: gateway.MarkPerson, Number: " 44x "}, visit, visit, gateway.Mark{Kind: gateway.MarkPerson})
	later := add(journalInst, journalNow.AddDate(0, 1, 0), mark("44X")...)
	add("H44010000002", journalNow, mark("44X")...)
	found := add(journalInst, journalNow)
	d.write(gateway.Entry{Append: &gateway.Append{ID: found, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: journalNow,
		Data: []byte("{}"), Marks: []gateway.Mark{{Kind: gateway.MarkPerson, Number: "new"}, {Kind: gateway.MarkVisit, Number: "44x"}}}}})
	held := gateway.Mark{Kind: gateway.MarkVisit, Number: "held"}
	add(journalInst, journalNow, held)
	billed := d.record(gateway.StateSent)
	billed.Bill, billed.Marks = "B-held", []gateway.Mark{held}
	d.write(gateway.Entry{Bill: &gateway.Bill{ID: "B-held", Institution: journalInst, CreatedAt: journalNow}}, gateway.Entry{Record: billed})
	for _, c := range []struct {
		what string
		q    gateway.Query
		want []ident.MsgID
	}{
		{"of a bill", gateway.Query{Marks: []gateway.Mark{held}, Billed: true, Brief: true}, []ident.MsgID{billed.ID}},
		{"of no bill", gateway.Query{Marks: []gateway.Mark{visit}, Billed: true}, nil},
		{"a person", gateway.Query{Marks: mark("44X")}, []ident.MsgID{both, later}},
		{"case and blanks", gateway.Query{Marks: mark(" 44x")}, []ident.MsgID{both, later}},
		{"newest first", gateway.Query{Marks: mark("44X"), Newest: true}, []ident.MsgID{later, both}},
		{"a visit", gateway.Query{Marks: []gateway.Mark{visit}}, []ident.MsgID{both, found}},
		{"one of two", gateway.Query{Marks: append(mark("new"), visit)}, []ident.MsgID{both, found}},
		{"learnt by an event", gateway.Query{Marks: mark("new")}, []ident.MsgID{found}},
		{"and a state", gateway.Query{Marks: []gateway.Mark{visit}, States: []gateway.State{gateway.StateDone}}, []ident.MsgID{found}},
		{"and a time", gateway.Query{Marks: mark("44X"), From: journalNow.AddDate(0, 0, 1), Brief: true}, []ident.MsgID{later}},
		{"and a place", gateway.Query{Marks: mark("44X"), After: both}, []ident.MsgID{later}},
		{"nobody", gateway.Query{Marks: mark("44")}, nil},
		{"another kind", gateway.Query{Marks: []gateway.Mark{{Kind: gateway.MarkVisit, Number: "new"}}}, nil},
	} {
		c.q.Institution = journalInst
		got, err := d.j.List(d.ctx, c.q)
		if err != nil {
			d.Fatalf("%s: %v", c.what, err)
		}
		d.sameIDs(c.what, got, c.want...)
	}
	if _, err := d.j.List(d.ctx, gateway.Query{Marks: mark("44X")}); err == nil {
		d.Error("marks of no institution")
	}
	if r := d.get(both); r.Marks != nil || d.events(found)[1].Marks != nil {
		d.Error("a mark is read back")
	}
}

func (d *journalDesk) list() {
	var all []ident.MsgID
	add := func(change func(*gateway.Record)) ident.MsgID {
		r := d.record(gateway.StateSent)
		r.CreatedAt = journalNow.Add(time.Duration(len(all)) * time.Hour)
		change(r)
		d.write(gateway.Entry{Record: r})
		all = append(all, r.ID)
		return r.ID
	}
	other := add(func(r *gateway.Record) { r.Institution = "H44010000002" })
	verify := add(func(r *gateway.Record) { r.Infno = "1101" })
	queued := add(func(r *gateway.Record) { r.State, r.Wire, r.Visit = gateway.StatePrepared, []byte("wire"), "v1" })
	sent := add(func(*gateway.Record) {})
	unknown := add(func(*gateway.Record) {})
	d.write(gateway.Entry{Append: &gateway.Append{ID: unknown, Version: 1, Event: gateway.Event{Kind: gateway.EventUnknown, At: journalNow, Cause: gateway.CauseTimeout}}})
	done := add(func(*gateway.Record) {})
	d.write(gateway.Entry{Append: &gateway.Append{ID: done, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: journalNow, Data: []byte("{}")}}})

	for _, c := range []struct {
		what string
		q    gateway.Query
		want []ident.MsgID
	}{
		{"everything", gateway.Query{}, all},
		{"newest first", gateway.Query{Newest: true}, []ident.MsgID{done, unknown, sent, queued, verify, other}},
		{"institution", gateway.Query{Institution: "H44010000002"}, []ident.MsgID{other}},
		{"infno", gateway.Query{Infno: "1101"}, []ident.MsgID{verify}},
		{"a state", gateway.Query{States: []gateway.State{gateway.StateUnknown}}, []ident.MsgID{unknown}},
		{"open states", gateway.Query{States: []gateway.State{gateway.StateUnknown, gateway.StatePrepared, gateway.StateParked}}, []ident.MsgID{queued, unknown}},
		{"open and final states", gateway.Query{States: []gateway.State{gateway.StateUnknown, gateway.StateDone}}, []ident.MsgID{unknown, done}},
		{"queued", gateway.Query{Queued: true}, []ident.MsgID{queued}},
		{"queued and sent", gateway.Query{Queued: true, States: []gateway.State{gateway.StateSent}}, nil},
		{"queued and over", gateway.Query{Queued: true, States: []gateway.State{gateway.StateDone, gateway.StateRefused}}, nil},
		{"direct", gateway.Query{Direct: true, Infno: "1101"}, []ident.MsgID{verify}},
		{"direct and open", gateway.Query{Direct: true, States: []gateway.State{gateway.StateUnknown, gateway.StatePrepared}}, []ident.MsgID{unknown}},
		{"direct and queued", gateway.Query{Direct: true, Queued: true}, nil},
		{"a visit", gateway.Query{Visit: "v1"}, []ident.MsgID{queued}},
		{"a visit's head", gateway.Query{Institution: journalInst, Visit: "v1", Queued: true, States: []gateway.State{gateway.StatePrepared, gateway.StateUnknown}, Limit: 1}, []ident.MsgID{queued}},
		{"no such visit", gateway.Query{Visit: "v2"}, nil},
		{"since", gateway.Query{Since: journalNow.Add(2 * time.Hour)}, []ident.MsgID{queued, sent}},
		{"since, over", gateway.Query{Since: journalNow, States: []gateway.State{gateway.StateDone}}, []ident.MsgID{done}},
		{"from", gateway.Query{From: journalNow.Add(3 * time.Hour)}, []ident.MsgID{sent, unknown, done}},
		{"to is exclusive", gateway.Query{To: journalNow.Add(time.Hour)}, []ident.MsgID{other}},
		{"a time window", gateway.Query{From: journalNow.Add(time.Hour), To: journalNow.Add(3 * time.Hour)}, []ident.MsgID{verify, queued}},
		{"a time window, newest", gateway.Query{From: journalNow.Add(time.Hour), To: journalNow.Add(3 * time.Hour), Newest: true}, []ident.MsgID{queued, verify}},
		{"all at once", gateway.Query{Institution: journalInst, Infno: "2207", States: []gateway.State{gateway.StateDone}, From: journalNow, To: journalNow.Add(9 * time.Hour)}, []ident.MsgID{done}},
		{"after", gateway.Query{After: sent}, []ident.MsgID{unknown, done}},
		{"after, newest", gateway.Query{After: queued, Newest: true}, []ident.MsgID{verify, other}},
		{"after the last", gateway.Query{After: done}, nil},
		{"a limit", gateway.Query{Limit: 2}, []ident.MsgID{other, verify}},
	} {
		got, err := d.j.List(d.ctx, c.q)
		if err != nil {
			d.Fatalf("%s: %v", c.what, err)
		}
		d.sameIDs(c.what, got, c.want...)
	}
	got, err := d.j.List(d.ctx, gateway.Query{Queued: true})
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], d.get(queued)) {
		d.Errorf("listed %+v, %v; want the record as Record gives it", got, err)
	}
	brief := d.get(queued)
	brief.Input, brief.Wire, brief.Output = nil, nil, nil
	got, err = d.j.List(d.ctx, gateway.Query{Queued: true, Brief: true})
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], brief) {
		d.Errorf("listed briefly %+v, %v; want it without its bodies", got, err)
	}
	if _, err := d.j.List(d.ctx, gateway.Query{After: "nobody"}); !errors.Is(err, gateway.ErrNotFound) {
		d.Errorf("after an unknown id: %v", err)
	}
}

func (d *journalDesk) pages() {
	const n = 257
	var entries []gateway.Entry
	var want []ident.MsgID
	for range n {
		r := d.record(gateway.StateSent)
		entries = append(entries, gateway.Entry{Record: r})
		want = append(want, r.ID)
	}
	d.write(entries...)
	if got, err := d.j.List(d.ctx, gateway.Query{}); err != nil || len(got) != 100 {
		d.Errorf("%d records without a limit, %v; want 100", len(got), err)
	}
	if got, err := d.j.List(d.ctx, gateway.Query{Limit: 1 << 40}); err != nil || len(got) != n {
		d.Errorf("%d records with a huge limit, %v; want %d", len(got), err, n)
	}
	for _, newest := range []bool{false, true} {
		var got []gateway.Record
		q := gateway.Query{Limit: 50, Newest: newest, From: journalNow.Add(-time.Hour), To: journalNow.Add(time.Hour)}
		for range n {
			page, err := d.j.List(d.ctx, q)
			if err != nil {
				d.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			q.After = page[len(page)-1].ID
		}
		if newest {
			slices.Reverse(got)
		}
		d.sameIDs(fmt.Sprintf("pages, newest %v", newest), got, want...)
	}
}

func (d *journalDesk) copies() {
	s := d.settle("r-1")
	before := d.all(s)
	spoil := func(lists ...[]byte) {
		for _, b := range lists {
			for i := range b {
				b[i] = '!'
			}
		}
	}
	spoil(s.Record.Input, s.Bill.Body) // what was handed in
	v := d.all(s)
	spoil(v.Request.Answer, v.Bill.Body, v.Record.Input, v.Record.Output, v.OfBill[0].Input, v.OfReq[0].Output, v.Listed[0].Input)
	for i := range v.Events {
		spoil(v.Events[i].Data)
		spoil(v.Events[i].Evidence)
		v.Events[i].Kind = "spoilt"
	}
	v.OfBill[0].State, v.Listed[0].State = "spoilt", "spoilt"
	old, err := d.j.Write(d.ctx, gateway.Entry{Request: s.Request})
	if err != nil || old == nil {
		d.Fatalf("existing %v, %v", old, err)
	}
	spoil(old.Answer)
	if after := d.all(s); !reflect.DeepEqual(before, after) {
		d.Errorf("changing what was returned changed the journal:\n%+v\nwant\n%+v", after, before)
	}
}

func (d *journalDesk) notFound() {
	var errs [4]error
	_, errs[0] = d.j.Record(d.ctx, "nobody")
	_, errs[1] = d.j.Events(d.ctx, "nobody")
	_, errs[2] = d.j.Request(d.ctx, d.key("nobody"))
	_, errs[3] = d.j.Bill(d.ctx, "nobody")
	for i, err := range errs {
		if !errors.Is(err, gateway.ErrNotFound) {
			d.Errorf("read %d: %v, want ErrNotFound", i, err)
		}
	}
}

func (d *journalDesk) msgidRace() {
	const callers, each = 100, 30
	given := make([][]ident.MsgID, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				now := journalNow.Add(time.Duration((c*7+i*13)%5-2) * time.Second) // clocks that disagree
				id, err := d.j.NextMsgID(d.ctx, journalInst, now)
				if err != nil {
					d.Error(err)
					return
				}
				given[c] = append(given[c], id)
			}
		})
	}
	wg.Wait()
	seen := map[ident.MsgID]bool{}
	for _, list := range given {
		for i, id := range list {
			if seen[id] {
				d.Fatalf("%s was given twice", id)
			}
			seen[id] = true
			if i > 0 && id <= list[i-1] {
				d.Fatalf("%s was given after %s", id, list[i-1])
			}
		}
	}
	if len(seen) != callers*each {
		d.Fatalf("%d ids, want %d", len(seen), callers*each)
	}
}

func (d *journalDesk) msgid(now time.Time) (stamp, seq string) {
	d.Helper()
	id, err := d.j.NextMsgID(d.ctx, journalInst, now)
	if err != nil {
		d.Fatal(err)
	}
	s := string(id)
	if len(s) != 30 || !strings.HasPrefix(s, string(journalInst)) || strings.Trim(s[12:], "0123456789") != "" {
		d.Fatalf("message id %q, want institution, 14 digits of time and 4 of sequence", s)
	}
	return s[12:26], s[26:]
}

func (d *journalDesk) msgidBack() {
	last := ""
	for i, step := range []int{0, 0, 1, 1, -3600, 5, -1, 0, 100, 99, 100, 101} {
		now := journalNow.Add(time.Duration(step) * time.Second)
		stamp, seq := d.msgid(now)
		if stamp+seq <= last {
			d.Fatalf("call %d: %s %s is not behind %s", i, stamp, seq, last)
		}
		if clock := now.Format("20060102150405"); stamp < clock {
			d.Errorf("call %d: stamp %s is before the clock %s", i, stamp, clock)
		}
		last = stamp + seq
	}
	if want := journalNow.Add(101 * time.Second).Format("20060102150405"); last[:14] != want {
		d.Errorf("the last stamp is %s, want the clock's %s", last[:14], want)
	}
}

func (d *journalDesk) msgidRoll() {
	// Not a second ahead while a second has numbers left.
	first := journalNow.Format("20060102150405")
	next := journalNow.Add(time.Second).Format("20060102150405")
	after := journalNow.Add(2 * time.Second).Format("20060102150405")
	seen := map[string]bool{}
	count := map[string]int{}
	for range 9999 + 20 {
		stamp, seq := d.msgid(journalNow)
		if seen[stamp+seq] || seq == "0000" {
			d.Fatalf("%s %s twice or zero", stamp, seq)
		}
		seen[stamp+seq] = true
		count[stamp]++
	}
	if count[first] != 9999 || count[next] != 20 {
		d.Errorf("ids by second %v, want 9999 in %s and 20 in %s", count, first, next)
	}
	// The clock catches up: still nothing twice, and no second is skipped.
	if stamp, seq := d.msgid(journalNow.Add(time.Second)); stamp != next || seen[stamp+seq] {
		d.Errorf("%s %s after the roll, want a new one in %s", stamp, seq, next)
	}
	if stamp, _ := d.msgid(journalNow.Add(2 * time.Second)); stamp != after {
		d.Errorf("stamp %s, want the clock's %s", stamp, after)
	}
}

func (d *journalDesk) msgidInstitution() {
	a, err1 := d.j.NextMsgID(d.ctx, "H44010000001", journalNow)
	b, err2 := d.j.NextMsgID(d.ctx, "H44010000002", journalNow.Add(-time.Hour))
	if err1 != nil || err2 != nil {
		d.Fatal(err1, err2)
	}
	if a[:12] != "H44010000001" || b[:12] != "H44010000002" {
		d.Errorf("ids %s and %s", a, b)
	}
	if want := journalNow.Add(-time.Hour).Format("20060102150405"); string(b[12:26]) != want {
		d.Errorf("stamp %s: one institution's clock moved another's, want %s", b[12:26], want)
	}
}
