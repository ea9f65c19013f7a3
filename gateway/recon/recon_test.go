package recon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/money"
	"yiqiao/schemas/strictjson"
)

func one(t *testing.T, rep Report, leg string) Difference {
	t.Helper()
	var found []Difference
	for _, d := range rep.Differences {
		if d.Leg == leg {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d differences, want 1: %+v", len(found), found)
	}
	return found[0]
}

func plainSale(psn string) sale {
	return sale{psn: psn, insutype: "310", clr: "11", total: 10000, fund: 6000, account: 1500}
}

func TestBalancedDay(t *testing.T) {
	w := newTown(t)
	a := w.record(plainSale("P1"))
	w.truth = append(w.truth, a, w.record(sale{psn: "P2", insutype: "390", clr: "21", infno: "2304", total: 50000, fund: 30000}))
	w.truth = append(w.truth, w.record(sale{infno: "2208", undoOf: &a}))
	rep := w.run()
	if !rep.Balanced || len(rep.Differences)+len(rep.Unexplained) > 0 || rep.Centre.Ours != (Amounts{50000, 30000, 0, 3}) {
		t.Fatalf("%+v", rep)
	}
	for _, s := range w.sent {
		if s.Infno != "3201" {
			t.Errorf("%s was sent on a balanced day", s.Infno)
		}
	}
	if len(w.sent) != 4 { // 310, 390 and 11, 21
		t.Errorf("%d groups were asked about", len(w.sent))
	}
}

// Each kind of difference gets its cause, a remedy and the amount.
func TestCauses(t *testing.T) {
	type world struct {
		*town
		a truth
	}
	for name, c := range map[string]struct {
		build func(w world) // makes the books differ; a is in both so far
		cause Cause
		by    money.Fen
		act   Action
	}{
		"outside": {func(w world) {
			w.truth = append(w.truth, truth{setl: "X1", visit: "VX", psn: "PX", msgid: string(hospital) + "202603020900009999", insutype: "310", clr: "11", day: w.a.day, amounts: Amounts{777, 700, 0, 1}})
		}, Outside, 777, ActLink},
		"outside, of a group we have nothing in": {func(w world) {
			w.truth = append(w.truth, truth{setl: "X1", visit: "VX", psn: "PX", msgid: string(hospital) + "202603020900009999", insutype: "390", clr: "21", day: w.a.day, amounts: Amounts{777, 700, 0, 1}})
		}, Outside, 777, ActLink},
		"dropped":                      {func(w world) { w.truth = nil }, OnlyHere, -10000, ActAsk},
		"altered":                      {func(w world) { w.truth[0].amounts.Total++; w.truth[0].amounts.Fund++ }, OtherAmount, 1, ActAsk},
		"lost answer":                  {func(w world) { w.add(sale{psn: "P2", state: gateway.StateUnknown}) }, OnlyAtCentre, 5000, ActReverse},
		"taken for absent":             {func(w world) { w.add(sale{psn: "P2", state: gateway.StateAbsent}) }, OnlyAtCentre, 5000, ActReverse},
		"lost answer, not yet noticed": {func(w world) { w.add(sale{psn: "P2", state: gateway.StateSent}) }, OnlyAtCentre, 5000, ActResolve},
		"reversed here only":           {func(w world) { w.add(sale{psn: "P2", reversedHere: true}) }, UndoneOnce, 5000, ActAsk},
		"undone here only":             {func(w world) { w.record(sale{infno: "2208", undoOf: &w.a}) }, UndoneOnce, 10000, ActUndo},
		"undone there only": {func(w world) {
			w.truth = append(w.truth, truth{setl: "X2", visit: w.a.visit, psn: w.a.psn, msgid: "?", insutype: "310", clr: "11", day: w.a.day, refund: true, amounts: Amounts{-10000, -6000, -1500, 1}})
		}, UndoneOnce, -10000, ActLink},
		"undo known by asking only": {func(w world) { w.truth = append(w.truth, w.record(sale{infno: "2208", undoOf: &w.a, adopted: true})) }, Unlinked, 0, ActLink},
		"on another day": {func(w world) {
			tr := w.record(sale{psn: "P2", at: noon.AddDate(0, 0, -1), insutype: "310", clr: "11", total: 900})
			tr.day = w.a.day
			w.truth = append(w.truth, tr)
		}, OtherDay, 900, ActNone},
	} {
		for _, all := range []bool{false, true} {
			t.Run(fmt.Sprint(name, all), func(t *testing.T) {
				w := world{town: newTown(t)}
				w.all = all
				w.a = w.record(plainSale("P1"))
				w.truth = append(w.truth, w.a)
				c.build(w)
				rep := w.run()
				if name == "undo known by asking only" && rep.Balanced {
					return // the totals agree and nothing is asked further
				}
				d := one(t, rep, LegCentre)
				if d.Cause != c.cause || d.By.Total != c.by || rep.Balanced || len(rep.Unexplained) > 0 || rep.Centre.Difference != rep.Centre.Explained {
					t.Errorf("cause %s by %s, balanced %v, unexplained %+v", d.Cause, d.By.Total, rep.Balanced, rep.Unexplained)
				}
				ok := false
				for _, r := range d.Remedies {
					ok = ok || r.Action == c.act
					if r.ZH == "" {
						t.Error("a remedy without words")
					}
				}
				if !ok {
					t.Errorf("remedies %+v, want %s", d.Remedies, c.act)
				}
			})
		}
	}
}

func (w *town) add(s sale) {
	s.insutype, s.clr, s.total, s.fund = "310", "11", 5000, 2000
	w.truth = append(w.truth, w.record(s))
}

// A refund on another day belongs to that day, and makes neither day differ.
func TestRefundOnTheOtherDay(t *testing.T) {
	w := newTown(t)
	s := plainSale("P1")
	s.at = noon.AddDate(0, 0, -20)
	a := w.record(s)
	w.truth = append(w.truth, a, w.record(sale{infno: "2208", undoOf: &a}))
	rep := w.run()
	if !rep.Balanced || rep.Centre.Ours != (Amounts{-10000, -6000, -1500, 1}) {
		t.Fatalf("day of the refund: %+v", rep)
	}
	if rep.Shifts[0].Cash != -2500 || rep.Shifts[0].Undone.Count != 1 {
		t.Errorf("shift %+v", rep.Shifts[0])
	}
	w.clock.Advance(24 * time.Hour)
	rep, err := w.reconciler().Run(context.Background(), hospital, s.at)
	if err != nil || !rep.Balanced || rep.Centre.Ours.Total != 10000 {
		t.Fatalf("day of the settlement: %v %+v", err, rep)
	}
	// Where refunds are left out, the settlement is gone from its day too.
	w.inst.Region.Statement.NoRefunds = true
	w.truth = nil
	rep, err = w.reconciler().Run(context.Background(), hospital, s.at)
	if err != nil || !rep.Balanced || !rep.Centre.Ours.zero() {
		t.Fatalf("without refunds: %v %+v", err, rep)
	}
	if in := findRow(w.sent[len(w.sent)-1].Input, "refd_setl_flag"); text(in["refd_setl_flag"]) != "0" {
		t.Errorf("flag is %v", in["refd_setl_flag"])
	}
}

// The centre says the totals differ and its file does not show why: that is said, not passed over.
func TestUnexplained(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(w *town)
		want string
	}{
		"hidden row":          {func(w *town) { w.hide[w.truth[0].msgid] = true }, "明细中没有差异"},
		"no amounts, no 5203": {func(w *town) { w.columns, w.noAsk = 7, true }, "金额不可得"},
		"upload refused": {func(w *town) {
			w.fail["9101"] = &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "磁盘满"}
		}, "磁盘满"},
		"totals refused": {func(w *town) {
			w.fail["3201"] = &gateway.Error{Code: gateway.CodeCentreRefused, Detail: "已清算"}
		}, "已清算"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			w.add(sale{psn: "P1"})
			w.truth[0].amounts.Fund += 7
			c.set(w)
			rep := w.run()
			if rep.Balanced || len(rep.Unexplained) == 0 || !strings.Contains(rep.Unexplained[0].Why, c.want) {
				t.Errorf("balanced %v, unexplained %+v", rep.Balanced, rep.Unexplained)
			}
		})
	}
}

// With confirm even a row hidden beside one that is shown is noticed, and our own totals are the
// last the centre hears.
func TestConfirm(t *testing.T) {
	w := newTown(t)
	w.inst.Region.Statement.Confirm = true
	w.add(sale{psn: "P1"})
	w.add(sale{psn: "P2"})
	w.truth[0].amounts.Fund += 7
	w.truth[1].amounts.Fund += 5
	if rep := w.run(); len(rep.Unexplained) > 0 || !rep.Groups[0].Proved || rep.Centre.Explained.Fund != 12 {
		t.Fatalf("%+v %+v", rep.Unexplained, rep.Groups)
	}
	last := findRow(w.sent[len(w.sent)-1].Input, "clr_type")
	if claimOf(last) != (Amounts{10000, 4000, 0, 2}) {
		t.Errorf("the last word was %+v", claimOf(last))
	}
	w.hide[w.truth[1].msgid] = true
	w.clock.Advance(time.Second)
	if rep := w.run(); len(rep.Unexplained) != 1 || rep.Groups[0].Proved {
		t.Fatalf("a hidden row was not noticed: %+v", rep)
	}
}

// An answer that does not come makes the run fail, after a second try, and it is kept as such.
func TestCouldNotRun(t *testing.T) {
	w := newTown(t)
	w.fail["3201"] = &gateway.Error{Code: gateway.CodeOutcomeUnknown}
	r := w.reconciler()
	rep, err := r.Run(context.Background(), hospital, noon)
	if err == nil || rep.Failed == "" || rep.Balanced || len(w.sent) != tries || w.sent[0].RequestID == w.sent[1].RequestID {
		t.Fatalf("%v %+v, %d sent", err, rep, len(w.sent))
	}
	list, damaged, err := r.opt.Archive.Day(rep.Date, hospital)
	if err != nil || len(list) != 1 || len(damaged) > 0 || list[0].Run != rep.Run {
		t.Errorf("kept: %+v %v %v", list, damaged, err)
	}
	if err := r.opt.Archive.Add(rep); !errors.Is(err, ErrKept) {
		t.Errorf("a report was written over: %v", err)
	}
	if done, _ := r.opt.Archive.Finished(rep.Date, hospital); done {
		t.Error("a run that failed counts as finished")
	}
}

// Random days: whatever the books hold, what is explained is exactly what they differ by.
func TestExplainedIsTheDifference(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 7))
		w := newTown(t)
		w.columns = []int{7, 8, 10, 11}[r.IntN(4)]
		w.all, w.dropFlag = r.IntN(2) == 0, r.IntN(2) == 0 && w.columns == 11
		w.bare = r.IntN(3) == 0 && w.columns >= 10
		w.inst.Region.Statement.Confirm = r.IntN(2) == 0
		want := randomDay(w, r)
		rep := w.run()
		var explained Amounts
		for _, d := range rep.Differences {
			if d.Leg == LegCentre {
				explained = explained.plus(d.By)
			}
		}
		truth := w.sum(dayOf(noon), "", "").minus(want)
		if explained != truth || rep.Centre.Difference != truth || len(rep.Unexplained) > 0 {
			t.Fatalf("seed %d: explained %+v, the books differ by %+v, unexplained %+v, differences %+v", seed, explained, truth, rep.Unexplained, rep.Differences)
		}
		if rep.Balanced && !truth.zero() {
			t.Fatalf("seed %d: balanced, and the books differ by %+v", seed, truth)
		}
	}
}

// randomDay fills journal and centre and gives what the journal has on the day.
func randomDay(w *town, r *rand.Rand) Amounts {
	var ours Amounts
	day := dayOf(noon)
	count := func(tr truth) {
		if tr.day == day {
			ours = ours.plus(tr.amounts)
		}
	}
	for n := range 5 + r.IntN(20) {
		s := sale{psn: fmt.Sprintf("P%d", n%7), insutype: []string{"310", "390"}[r.IntN(2)], clr: []string{"11", "21"}[r.IntN(2)],
			total: money.Fen(1 + r.IntN(100000)), at: noon.AddDate(0, 0, -r.IntN(2))}
		s.fund, s.account = s.total/2, s.total/10
		switch r.IntN(12) {
		case 0:
			s.state = gateway.StateUnknown
			w.truth = append(w.truth, w.record(s))
			continue
		case 1:
			s.state = gateway.StateUnknown
			w.record(s)
			continue
		case 2:
			s.reversedHere = true
			if tr := w.record(s); r.IntN(2) == 0 {
				w.truth = append(w.truth, tr)
			}
			continue
		case 3:
			w.truth = append(w.truth, truth{setl: fmt.Sprintf("X%d", n), visit: fmt.Sprintf("VX%d", n), psn: "PX", msgid: fmt.Sprintf("M%d", n),
				insutype: s.insutype, clr: s.clr, day: day, amounts: Amounts{s.total, s.fund, 0, 1}})
			continue
		}
		tr := w.record(s)
		count(tr)
		var undo *truth
		if r.IntN(3) == 0 {
			u := w.record(sale{infno: "2208", undoOf: &tr, adopted: r.IntN(3) == 0})
			count(u)
			undo = &u
		}
		switch r.IntN(6) {
		case 0: // lost there
		case 1:
			tr.amounts.Total += money.Fen(r.IntN(100) - 50)
			fallthrough
		default:
			w.truth = append(w.truth, tr)
		}
		if undo != nil && r.IntN(4) > 0 {
			w.truth = append(w.truth, *undo)
		}
	}
	return ours
}

// An undo whose own number was never learnt is found by its message id, and proposed to be linked.
func TestUnlinked(t *testing.T) {
	for _, all := range []bool{false, true} {
		w := newTown(t)
		w.all = all
		a := w.record(plainSale("P1"))
		w.truth = append(w.truth, a, w.record(sale{infno: "2208", undoOf: &a, adopted: true}))
		w.add(sale{psn: "P2"})
		w.truth[2].amounts.Fund++ // makes the centre look into the rows
		rep := w.run()
		causes := map[Cause]int{}
		for _, d := range rep.Differences {
			causes[d.Cause]++
			if d.Cause == Unlinked && (string(d.Setl) != w.truth[1].setl || !d.By.zero()) {
				t.Errorf("%+v", d)
			}
		}
		if len(rep.Differences) != 2 || causes[Unlinked] != 1 || causes[OtherAmount] != 1 || len(rep.Unexplained) > 0 {
			t.Errorf("%v %+v %+v", all, causes, rep.Unexplained)
		}
	}
}

// The centre speaks of a row of ours that we do not have: that is not passed over.
func TestRowsNobodyHas(t *testing.T) {
	ours := []*row{{kind: settles, setl: "S", visit: "V", person: "P", amounts: Amounts{1, 1, 0, 1}}}
	pairs, alone, lost := match(ours, []resultRow{
		{setl: "S", visit: "V", person: "P", meaning: gateway.StatementHereMore},
		{setl: "S", visit: "V", person: "P", meaning: gateway.StatementHereMore},
		{setl: "T", visit: "V", person: "P", meaning: gateway.StatementHereMore},
		{setl: "S", visit: "V", person: "P", meaning: gateway.StatementBalanced},
		{setl: "S", visit: "V", person: "P", meaning: gateway.StatementBalanced},
	})
	if pairs[0].theirs == nil || len(alone) != 1 || len(lost) != 3 {
		t.Errorf("%+v, %d alone, %d lost", pairs[0], len(alone), len(lost))
	}
	w := newTown(t)
	w.add(sale{psn: "P1"})
	w.truth[0].amounts.Fund++
	work, err := w.reconciler().begin(context.Background(), hospital, noon)
	w.must(err)
	set := &Set{Agency: area, ClrType: "11"}
	w.must(work.compare(context.Background(), set, work.book.counted(work.day, false), []resultRow{{line: 9, setl: "T", visit: "V", person: "P", meaning: gateway.StatementHereMore}}))
	work.finish()
	if len(work.report.Unexplained) == 0 || !strings.Contains(work.report.Unexplained[0].Why, "9") || work.report.Balanced {
		t.Errorf("%+v", work.report.Unexplained)
	}
}

// The other leg: what the HIS was not told, or counts otherwise.
func TestHISLeg(t *testing.T) {
	w := newTown(t)
	ctx := context.Background()
	put := func(n int, total string, told bool) {
		key := gateway.RequestKey{System: "his", ID: fmt.Sprint("R", n)}
		bill := fmt.Sprint("B", n)
		id, err := w.journal.NextMsgID(ctx, hospital, noon)
		w.must(err)
		w.write(gateway.Entry{Request: &gateway.Request{Key: key, Op: "settlement.open", Institution: hospital, Ref: bill, CreatedAt: noon},
			Bill:   &gateway.Bill{ID: bill, Institution: hospital, System: "his", CreatedAt: noon, Body: []byte(`{"total":"` + total + `"}`)},
			Record: &gateway.Record{ID: id, Institution: hospital, Infno: "2207", Request: key, Step: "2207#1", Attempt: 1, Bill: bill, CreatedAt: noon, State: gateway.StateSent}})
		out := fmt.Sprintf(`{"setlinfo":{"setl_id":"S%d","mdtrt_id":"V%d","psn_no":"P","medfee_sumamt":10.00,"fund_pay_sumamt":8.00,"acct_pay":0,"insutype":"310","clr_type":"11"}}`, n, n)
		w.write(gateway.Entry{Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: noon, Data: []byte(out)}},
			Answer: &gateway.Answer{Key: key, Body: []byte(`{}`), At: noon}})
		if told {
			w.journal.Told(key, noon)
		}
		w.truth = append(w.truth, truth{setl: fmt.Sprint("S", n), visit: fmt.Sprint("V", n), psn: "P", msgid: string(id), insutype: "310", clr: "11", day: dayOf(noon), amounts: Amounts{1000, 800, 0, 1}})
	}
	put(1, "10.00", true)
	put(2, "10.00", false)
	put(3, "10.01", true)
	rep := w.run()
	if rep.Balanced || len(rep.Differences) != 2 || !rep.Centre.Difference.zero() || !rep.HIS.Unexplained.zero() || rep.HIS.Difference != (Amounts{Total: -999, Count: -1}) {
		t.Fatalf("%+v %+v", rep.HIS, rep.Differences)
	}
	if a, b := rep.Differences[0], rep.Differences[1]; a.Cause != NotTold || a.Bill != "B2" || b.Cause != OtherAmount || b.By.Total != 1 || b.Bill != "B3" {
		t.Errorf("%+v %+v", a, b)
	}
}

// figuring is the town's office where figures were asked for again.
type figuring struct {
	*town
	better map[ident.MsgID]string
}

func (f figuring) SettledOutput(_ context.Context, id ident.MsgID) (any, error) {
	return strictjson.Decode([]byte(f.better[id]), strictjson.Reply())
}

// A settlement whose reply did not add up counts with the figures the centre gave when it was asked for them again.
func TestFiguresAskedForAgain(t *testing.T) {
	w := newTown(t)
	ctx := context.Background()
	key := gateway.RequestKey{System: "his", ID: "R1"}
	put := func(infno ident.Infno, step, out string) ident.MsgID {
		t.Helper()
		id, err := w.journal.NextMsgID(ctx, hospital, noon)
		w.must(err)
		w.write(gateway.Entry{Record: &gateway.Record{ID: id, Institution: hospital, Infno: infno, Request: key, Step: step, Attempt: 1, Bill: "B1", CreatedAt: noon, State: gateway.StateSent}})
		w.write(gateway.Entry{Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: noon, Data: []byte(out)}}})
		return id
	}
	w.write(gateway.Entry{Request: &gateway.Request{Key: key, Op: "settlement.open", Institution: hospital, Ref: "B1", CreatedAt: noon},
		Bill: &gateway.Bill{ID: "B1", Institution: hospital, System: "his", CreatedAt: noon, Body: []byte(`{"total":"10.00"}`)}, Answer: &gateway.Answer{Key: key, Body: []byte(`{}`), At: noon}})
	w.journal.Told(key, noon)
	const reply = `{"setlinfo":{"setl_id":"S1","mdtrt_id":"V1","psn_no":"P","medfee_sumamt":10.00,"fund_pay_sumamt":%s,"acct_pay":0,"insutype":"310","clr_type":"11"}}`
	id := put("2207", "2207#1", fmt.Sprintf(reply, "7.00"))
	w.truth = append(w.truth, truth{setl: "S1", visit: "V1", psn: "P", msgid: string(id), insutype: "310", clr: "11", day: dayOf(noon), amounts: Amounts{1000, 800, 0, 1}})
	if rep := w.run(); rep.Balanced {
		t.Fatal("balanced by a reply that is wrong")
	}
	put("5203", "figures", fmt.Sprintf(reply, "8.00"))
	r := w.reconciler()
	r.opt.Office = figuring{w, map[ident.MsgID]string{id: fmt.Sprintf(reply, "8.00")}}
	rep, err := r.Run(ctx, hospital, noon)
	if err != nil || !rep.Balanced || len(rep.Differences) > 0 {
		t.Errorf("%+v %v", rep, err)
	}
}
