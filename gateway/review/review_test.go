package review

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
	"yiqiao/gateway/vault/vaulttest"
	"yiqiao/schemas/ident"
)

var bg = context.Background()

var servers storetest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const hospital ident.Institution = "H43010000001"

var (
	li, wang, zhao = gateway.Person{ID: "li", Name: "李"}, gateway.Person{ID: "wang", Name: "王"}, gateway.Person{ID: "zhao"}
	dawn           = time.Date(2026, 3, 2, 8, 30, 0, 0, gateway.China)
)

func digest(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

// journals runs a test over every kind of journal. again opens the same one a second time, as another
// process does.
func journals(t *testing.T, test func(t *testing.T, j gateway.Journal, again func() gateway.Journal)) {
	t.Run("memory", func(t *testing.T) {
		j := gatewaytest.NewJournal()
		test(t, j, func() gateway.Journal { return j })
	})
	for name, place := range map[string]func(t *testing.T) store.Options{
		"sqlite":   func(t *testing.T) store.Options { return store.Options{Path: filepath.Join(t.TempDir(), "j.db")} },
		"postgres": func(t *testing.T) store.Options { return store.Options{DSN: servers.Schema(t)} },
	} {
		t.Run(name, func(t *testing.T) {
			o := place(t)
			open := func() gateway.Journal {
				db, err := store.Open(bg, o)
				if err != nil {
					t.Fatal(err)
				}
				j, err := journal.Open(db, journal.Options{Sealer: vaulttest.Plain{}})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = errors.Join(j.Close(), db.Close()) })
				return j
			}
			test(t, open(), open)
		})
	}
}

// hands is a gateway.ByHand that knows no centre but what back says about taking something back.
type hands struct {
	j    gateway.Journal
	c    gateway.Clock
	back func(calls int) gateway.HandProgress

	mu    sync.Mutex
	calls int
}

func (h *hands) HandChoices(ctx context.Context, id ident.MsgID) (gateway.Record, []gateway.HandChoice, error) {
	rec, err := h.j.Record(ctx, id)
	if err != nil {
		return rec, nil, &gateway.Error{Code: gateway.CodeNotFound}
	}
	return rec, []gateway.HandChoice{{Do: gateway.HandAdopt}, {Do: gateway.HandAbsent}, {Do: gateway.HandReverse}}, nil
}

func (h *hands) HandCheck(ctx context.Context, id ident.MsgID, d gateway.HandDecision) error {
	rec, _, err := h.HandChoices(ctx, id)
	switch {
	case err != nil:
		return err
	case rec.State != gateway.StateParked:
		return &gateway.Error{Code: gateway.CodeState}
	case d.Source == "":
		return &gateway.Error{Code: gateway.CodeRequestInvalid}
	}
	return nil
}

func (h *hands) HandEnd(ctx context.Context, id ident.MsgID, d gateway.HandDecision, with ...gateway.Entry) (gateway.Record, error) {
	if err := h.HandCheck(ctx, id, d); err != nil {
		return gateway.Record{}, err
	}
	rec, err := h.j.Record(ctx, id)
	if err != nil {
		return rec, err
	}
	kind := gateway.EventDone
	if d.Do == gateway.HandAbsent {
		kind = gateway.EventAbsent
	}
	existing, err := h.j.Write(ctx, append(with, gateway.Entry{Append: &gateway.Append{ID: id, Version: rec.Version,
		Event: gateway.Event{Kind: kind, At: h.c.Now(), Note: d.Note}}})...)
	switch {
	case existing != nil, errors.Is(err, gateway.ErrConflict):
		return rec, gateway.ErrConflict
	case errors.Is(err, gateway.ErrStale):
		return rec, &gateway.Error{Code: gateway.CodeState}
	}
	return rec, err
}

func (h *hands) HandTakeBack(context.Context, ident.MsgID, gateway.HandDecision, time.Time) (gateway.HandProgress, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	return h.back(h.calls), nil
}

// bench is a journal with parked records and books on it.
type bench struct {
	t     *testing.T
	j     gateway.Journal
	clock *gatewaytest.Clock
	hands *hands
}

func newBench(t *testing.T, j gateway.Journal) *bench {
	c := gatewaytest.NewClock(dawn)
	return &bench{t: t, j: j, clock: c, hands: &hands{j: j, c: c}}
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) book(j gateway.Journal) *Book {
	b.t.Helper()
	k, err := New(Options{Journal: j, Hand: b.hands, Clock: b.clock, Digest: digest})
	b.must(err)
	return k
}

// parked makes a record nobody but people can end.
func (b *bench) parked() ident.MsgID {
	b.t.Helper()
	return b.parkedAt(hospital)
}

func (b *bench) parkedAt(i ident.Institution) ident.MsgID {
	b.t.Helper()
	id, err := b.j.NextMsgID(bg, i, b.clock.Now())
	b.must(err)
	_, err = b.j.Write(bg, gateway.Entry{Record: &gateway.Record{ID: id, Institution: i, Infno: "2207", State: gateway.StateSent, CreatedAt: b.clock.Now()}})
	b.must(err)
	for i, k := range []gateway.EventKind{gateway.EventUnknown, gateway.EventParked} {
		_, err = b.j.Write(bg, gateway.Entry{Append: &gateway.Append{ID: id, Version: i + 1, Event: gateway.Event{Kind: k, At: b.clock.Now()}}})
		b.must(err)
	}
	return id
}

func (b *bench) state(id ident.MsgID) gateway.State {
	b.t.Helper()
	rec, err := b.j.Record(bg, id)
	b.must(err)
	return rec.State
}

func draft(id ident.MsgID, do gateway.HandAction) Draft {
	return Draft{Record: id, Decision: gateway.HandDecision{Do: do, Proof: "office", Source: "fax 12"}, Why: "the office says so"}
}

func code(err error) gateway.Code {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func (b *bench) want(err error, c gateway.Code) {
	b.t.Helper()
	if code(err) != c {
		b.t.Errorf("%v, want %s", err, c)
	}
}

func TestOneProposesAnotherApproves(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, again func() gateway.Journal) {
		b := newBench(t, j)
		k, id := b.book(j), b.parked()
		p, err := k.Propose(bg, li, draft(id, gateway.HandAdopt))
		b.must(err)
		if p.State != Proposed || p.Subject.Infno != "2207" || !p.Expires.Equal(dawn.Add(24*time.Hour)) {
			t.Errorf("%+v", p)
		}
		for _, who := range []gateway.Person{li, {ID: "LI"}} {
			_, err = k.Approve(bg, who, p.No, "")
			b.want(err, gateway.CodeSecondPerson)
		}
		for _, who := range []gateway.Person{{}, {ID: "wang "}, {ID: "ｌｉ"}, {ID: "l\u200bi"}, {ID: strings.Repeat("x", 65)}, {ID: "x", Name: "a\nb"}} {
			_, err = k.Approve(bg, who, p.No, "")
			b.want(err, gateway.CodeRequestInvalid)
		}
		if b.state(id) != gateway.StateParked {
			t.Fatal("carried out without a second person")
		}
		// The second person sits elsewhere, after a restart.
		k = b.book(again())
		p, err = k.Approve(bg, wang, p.No, "seen")
		b.must(err)
		if p.State != Applied || b.state(id) != gateway.StateDone || p.Decided.By.ID != "wang" || len(p.History) != 2 {
			t.Errorf("%+v, record %s", p, b.state(id))
		}
		if p, err = k.Approve(bg, wang, p.No, ""); err != nil || p.State != Applied {
			t.Errorf("the same yes again: %+v %v", p, err)
		}
		_, err = k.Approve(bg, zhao, p.No, "")
		b.want(err, gateway.CodeReviewTaken)
		_, err = k.Reject(bg, zhao, p.No, "no")
		b.want(err, gateway.CodeReviewTaken)
		ev, err := j.Events(bg, id)
		b.must(err)
		if last := ev[len(ev)-1]; last.Note != fmt.Sprintf("review %d", p.No) {
			t.Errorf("the record does not name its review: %+v", last)
		}
	})
}

func TestTwoAtOnceAndOneIsTold(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, again func() gateway.Journal) {
		b := newBench(t, j)
		books := []*Book{b.book(j), b.book(again())}
		for round := range 8 {
			id := b.parked()
			people := []gateway.Person{li, wang, zhao, {ID: "qian"}}
			won := race(len(people), func(i int) error {
				_, err := books[i%2].Propose(bg, people[i], draft(id, gateway.HandAbsent))
				return err
			})
			if won.ok != 1 || won.codes[gateway.CodeReviewTaken] != 3 {
				t.Fatalf("proposals: %+v", won)
			}
			list, err := books[0].List(bg, Proposed)
			b.must(err)
			no := list[0].No
			others := []gateway.Person{{ID: "a"}, {ID: "b"}, {ID: "c"}, {ID: "d"}}
			won = race(len(others), func(i int) error {
				if i == 3 && round%2 == 0 {
					_, err := books[1].Reject(bg, others[i], no, "no")
					return err
				}
				_, err := books[i%2].Approve(bg, others[i], no, "")
				return err
			})
			if won.ok != 1 || won.codes[gateway.CodeReviewTaken] != 3 {
				t.Fatalf("decisions: %+v", won)
			}
			p, err := books[1].Show(bg, no)
			b.must(err)
			if (p.State == Applied) != (b.state(id) == gateway.StateAbsent) || p.State != Applied && p.State != Rejected || len(p.History) != 2 {
				t.Errorf("%+v, record %s", p, b.state(id))
			}
		}
	})
}

type tally struct {
	ok    int
	codes map[gateway.Code]int
}

func race(n int, do func(i int) error) tally {
	t := tally{codes: map[gateway.Code]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			err := do(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				t.ok++
			} else {
				t.codes[code(err)]++
			}
		})
	}
	wg.Wait()
	return t
}

func TestWhatNobodyDecidesExpires(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, again func() gateway.Journal) {
		b := newBench(t, j)
		k, id := b.book(j), b.parked()
		p, err := k.Propose(bg, li, draft(id, gateway.HandAbsent))
		b.must(err)
		_, err = k.Propose(bg, wang, draft(id, gateway.HandAdopt))
		b.want(err, gateway.CodeReviewTaken)
		b.clock.Advance(24 * time.Hour)
		_, err = k.Approve(bg, wang, p.No, "")
		b.want(err, gateway.CodeState)
		if b.state(id) != gateway.StateParked {
			t.Fatal("an expired proposal was carried out")
		}
		second, err := b.book(again()).Propose(bg, wang, draft(id, gateway.HandAdopt))
		b.must(err)
		if p, err = k.Show(bg, p.No); err != nil || p.State != Expired {
			t.Errorf("%+v %v", p, err)
		}
		if p, err = k.Approve(bg, li, second.No, ""); err != nil || p.State != Applied {
			t.Errorf("%+v %v", p, err)
		}
	})
}

func TestARecordThatMovedOnFailsTheProposal(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, _ func() gateway.Journal) {
		b := newBench(t, j)
		for _, do := range []gateway.HandAction{gateway.HandAdopt, gateway.HandReverse} {
			k, id := b.book(j), b.parked()
			p, err := k.Propose(bg, li, draft(id, do))
			b.must(err)
			_, err = j.Write(bg, gateway.Entry{Append: &gateway.Append{ID: id, Version: 3, Event: gateway.Event{Kind: gateway.EventDone, At: b.clock.Now(), Cause: "adopted"}}})
			b.must(err)
			_, err = k.Approve(bg, wang, p.No, "")
			b.want(err, gateway.CodeState)
			if p, err = k.Show(bg, p.No); err != nil || p.State != Failed || b.state(id) != gateway.StateDone {
				t.Errorf("%+v %v", p, err)
			}
			_, err = k.Propose(bg, li, draft(id, do))
			b.want(err, gateway.CodeState)
		}
	})
}

func TestWhatNeedsTheCentreIsCarriedOutLater(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, again func() gateway.Journal) {
		b := newBench(t, j)
		b.hands.back = func(calls int) gateway.HandProgress {
			return gateway.HandProgress{Record: gateway.Record{State: gateway.StateReversed}, Try: "T1", Done: calls == 2, Failed: map[bool]string{true: "系统繁忙"}[calls == 3]}
		}
		k, id := b.book(j), b.parked()
		p, err := k.Propose(bg, li, draft(id, gateway.HandReverse))
		b.must(err)
		b.must(k.Work(bg))
		if b.hands.calls != 0 {
			t.Fatal("carried out before it was approved")
		}
		p, err = k.Approve(bg, wang, p.No, "")
		b.must(err)
		if p.State != Approved {
			t.Fatalf("%+v", p)
		}
		_, err = k.Propose(bg, zhao, draft(id, gateway.HandAdopt))
		b.want(err, gateway.CodeReviewTaken)
		k = b.book(again()) // another process, or the same after a crash
		b.must(k.Work(bg))
		b.must(k.Work(bg))
		b.must(k.Work(bg))
		if p, err = k.Show(bg, p.No); err != nil || p.State != Applied || p.Outcome != "reversed" || p.Try != "T1" || b.hands.calls != 2 {
			t.Errorf("%+v %v after %d", p, err, b.hands.calls)
		}
		p, err = k.Propose(bg, li, draft(b.parked(), gateway.HandReverse))
		b.must(err)
		_, err = k.Approve(bg, wang, p.No, "")
		b.must(err)
		b.must(k.Work(bg))
		if p, err = k.Show(bg, p.No); err != nil || p.State != Failed || p.Outcome != "系统繁忙" {
			t.Errorf("%+v %v", p, err)
		}
	})
}

func TestSuggestionsAreTakenUpByPeople(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, _ func() gateway.Journal) {
		b := newBench(t, j)
		k, id := b.book(j), b.parked()
		machine := gateway.Person{ID: "yiqiao-recon"}
		list := []Suggestion{
			{Subject: Subject{Kind: KindDifference, ID: "2026-03-01/S9", Title: "网关以外办理", Amount: "12.00"}, Decision: gateway.HandDecision{Do: "link"}, Why: "book it"},
			{Subject: Subject{Kind: KindRecord, ID: string(id)}, Decision: gateway.HandDecision{Do: gateway.HandAdopt, Proof: "statement", Source: "3202",
				Shown: map[string]any{"setl_id": "S1"}}, Why: "the centre has it"},
		}
		for i, want := range []int{2, 0} {
			if n, err := k.Suggest(bg, machine, list); err != nil || n != want {
				t.Errorf("round %d: %d new, %v", i, n, err)
			}
		}
		_, err := k.Approve(bg, wang, 1, "")
		b.want(err, gateway.CodeState)
		_, err = k.Propose(bg, li, Draft{From: 1, Why: "x"})
		b.want(err, gateway.CodeRequestInvalid) // no evidence
		p, err := k.Propose(bg, li, Draft{From: 1, Decision: gateway.HandDecision{Source: "HIS 0301-77"}, Why: "booked"})
		b.must(err)
		_, err = k.Propose(bg, wang, Draft{From: 1, Decision: gateway.HandDecision{Source: "x"}, Why: "x"})
		b.want(err, gateway.CodeReviewTaken)
		_, err = k.Reject(bg, li, p.No, "mistyped")
		b.must(err)
		p, err = k.Propose(bg, li, Draft{From: 1, Decision: gateway.HandDecision{Source: "HIS 0301-78"}, Why: "booked"})
		b.must(err)
		if p, err = k.Approve(bg, wang, p.No, ""); err != nil || p.State != Applied || p.Outcome != "noted" || p.From != 1 {
			t.Errorf("%+v %v", p, err)
		}
		p, err = k.Propose(bg, li, Draft{From: 2, Why: "as the statement says"})
		b.must(err)
		if p.Decision.Shown["setl_id"] != "S1" || p.Decision.Proof != "statement" {
			t.Errorf("%+v", p.Decision)
		}
		if _, err = k.Approve(bg, wang, p.No, ""); err != nil || b.state(id) != gateway.StateDone {
			t.Errorf("%v %s", err, b.state(id))
		}
		if n, err := k.Suggest(bg, machine, list); err != nil || n != 0 {
			t.Errorf("after people have decided: %d new, %v", n, err)
		}
		_, err = k.Propose(bg, li, Draft{From: 99, Why: "x"})
		b.want(err, gateway.CodeNotFound)
		_, err = k.Propose(bg, li, Draft{Record: id, Decision: draft(id, gateway.HandAdopt).Decision})
		b.want(err, gateway.CodeRequestInvalid) // no why
	})
}

func TestWaitingListsWhatPeopleMustEnd(t *testing.T) {
	journals(t, func(t *testing.T, j gateway.Journal, _ func() gateway.Journal) {
		b := newBench(t, j)
		k, one, two := b.book(j), b.parked(), b.parked()
		p, err := k.Propose(bg, li, draft(two, gateway.HandAbsent))
		b.must(err)
		list, err := k.Waiting(bg, "")
		b.must(err)
		if len(list) != 2 || list[0].Record.ID != one || list[0].Open != 0 || list[1].Open != p.No || len(list[0].Choices) != 3 {
			t.Errorf("%+v", list)
		}
	})
}

func TestRolesAreAsked(t *testing.T) {
	b := newBench(t, gatewaytest.NewJournal())
	k, err := New(Options{Journal: b.j, Hand: b.hands, Clock: b.clock, Digest: digest, May: func(_ context.Context, p gateway.Person, what gateway.Act) error {
		for _, r := range p.Roles {
			if r == string(what) {
				return nil
			}
		}
		return &gateway.Error{Code: gateway.CodeKeyWrong}
	}})
	b.must(err)
	id := b.parked()
	_, err = k.Propose(bg, li, draft(id, gateway.HandAbsent))
	b.want(err, gateway.CodeKeyWrong)
	clerk := gateway.Person{ID: "li", Roles: []string{string(MayPropose)}}
	p, err := k.Propose(bg, clerk, draft(id, gateway.HandAbsent))
	b.must(err)
	_, err = k.Approve(bg, gateway.Person{ID: "wang", Roles: []string{string(MayPropose)}}, p.No, "")
	b.want(err, gateway.CodeKeyWrong)
	_, err = k.Approve(bg, gateway.Person{ID: "wang", Roles: []string{string(MayDecide)}}, p.No, "")
	b.must(err)
}

// Who may only propose takes back its own proposal, and no other; who may do neither takes back nothing.
func TestOnesOwnIsTakenBack(t *testing.T) {
	b := newBench(t, gatewaytest.NewJournal())
	k, err := New(Options{Journal: b.j, Hand: b.hands, Clock: b.clock, Digest: digest, May: func(_ context.Context, p gateway.Person, what gateway.Act) error {
		if slices.Contains(p.Roles, string(what)) {
			return nil
		}
		return &gateway.Error{Code: gateway.CodeNotPermitted}
	}})
	b.must(err)
	clerk := func(id string) gateway.Person { return gateway.Person{ID: id, Roles: []string{string(MayPropose)}} }
	p, err := k.Propose(bg, clerk("li"), draft(b.parked(), gateway.HandAbsent))
	b.must(err)
	_, err = k.Reject(bg, clerk("zhao"), p.No, "x")
	b.want(err, gateway.CodeNotPermitted)
	_, err = k.Reject(bg, gateway.Person{ID: "li"}, p.No, "x") // no role any more
	b.want(err, gateway.CodeNotPermitted)
	_, err = k.Reject(bg, clerk("li"), p.No+1, "x") // what is not there is nobody's own
	b.want(err, gateway.CodeNotPermitted)
	_, err = k.Approve(bg, clerk("li"), p.No, "x")
	b.want(err, gateway.CodeNotPermitted)
	_, err = k.Reject(bg, clerk("li"), p.No, " ")
	b.want(err, gateway.CodeRequestInvalid)
	p, err = k.Reject(bg, clerk("LI"), p.No, "看错")
	b.must(err)
	if p.State != Rejected || p.Decided == nil || p.Decided.By.ID != "LI" {
		t.Errorf("%+v", p)
	}
	_, err = k.Reject(bg, clerk("zhao"), p.No, "x")
	b.want(err, gateway.CodeNotPermitted)

	// A suggestion has no person behind it, also when somebody has the program's name.
	n, err := k.Suggest(bg, gateway.Person{ID: "li"}, []Suggestion{{Subject: Subject{Kind: KindRecord, ID: string(b.parked())}, Decision: gateway.HandDecision{Do: gateway.HandAbsent}, Why: "x"}})
	b.must(err)
	_, err = k.Reject(bg, clerk("li"), p.No+2, "x")
	b.want(err, gateway.CodeNotPermitted)
	if n != 1 {
		t.Error(n)
	}
}

// What belongs to an institution a person does not work for is not there.
func TestInstitutionsAreAsked(t *testing.T) {
	b := newBench(t, gatewaytest.NewJournal())
	k, err := New(Options{Journal: b.j, Hand: b.hands, Clock: b.clock, Digest: digest, Sees: func(_ context.Context, p gateway.Person, i ident.Institution) (bool, error) {
		return i != "" && p.ID != "stranger", nil
	}})
	b.must(err)
	id := b.parked()
	stranger := gateway.Person{ID: "stranger"}
	_, err = k.Propose(bg, stranger, draft(id, gateway.HandAbsent))
	b.want(err, gateway.CodeNotFound)
	p, err := k.Propose(bg, li, draft(id, gateway.HandAbsent))
	b.must(err)
	_, err = k.Approve(bg, stranger, p.No, "")
	b.want(err, gateway.CodeNotFound)
	_, err = k.Reject(bg, stranger, p.No, "no")
	b.want(err, gateway.CodeNotFound)
	_, err = k.Approve(bg, wang, p.No, "")
	b.must(err)
}

// The storage fails at any write, before or after it took place; whoever repeats the call finds the
// truth, and nothing is carried out twice or without its entry.
func TestStorageFailures(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		j := gatewaytest.NewJournal()
		b := newBench(t, j)
		id := b.parked()
		k := b.book(j)
		fail := func() {
			point := []string{"write", "written", ""}[rng.IntN(3)]
			j.Hook(func(at string) error {
				if at == point && rng.IntN(2) == 0 {
					return gateway.ErrStorage
				}
				return nil
			})
		}
		fail()
		no := 0
		for no == 0 {
			p, err := k.Propose(bg, li, draft(id, gateway.HandAbsent))
			switch code(err) {
			case "":
				no = p.No
			case gateway.CodeReviewTaken: // it was written the first time
				no = 1
			}
		}
		fail()
		for range 50 {
			if p, err := k.Approve(bg, wang, no, ""); err == nil && p.State == Applied {
				break
			}
		}
		j.Hook(nil)
		p, err := b.book(j).Show(bg, no)
		b.must(err)
		if p.State != Applied || b.state(id) != gateway.StateAbsent || len(p.History) != 2 {
			t.Fatalf("%+v, record %s", p, b.state(id))
		}
	}
}

// old is a journal in which the first entry's time to be kept is over.
type old struct{ gateway.Journal }

func (o old) Request(ctx context.Context, k gateway.RequestKey) (gateway.Request, error) {
	if k == key(1) {
		return gateway.Request{}, gateway.ErrExpired
	}
	return o.Journal.Request(ctx, k)
}

func TestWhatIsNoLongerKeptIsPassedOver(t *testing.T) {
	b := newBench(t, gatewaytest.NewJournal())
	k, one, two := b.book(b.j), b.parked(), b.parked()
	for _, id := range []ident.MsgID{one, two} {
		_, err := k.Propose(bg, li, draft(id, gateway.HandAbsent))
		b.must(err)
	}
	k = b.book(old{b.j})
	list, err := k.List(bg)
	b.must(err)
	if len(list) != 1 || list[0].No != 2 {
		t.Errorf("%+v", list)
	}
	if p, err := k.Approve(bg, wang, 2, ""); err != nil || p.State != Applied {
		t.Errorf("%+v %v", p, err)
	}
}

// A book of many years is read whole by every command.
func TestALargeBookIsRead(t *testing.T) {
	b := newBench(t, gatewaytest.NewJournal())
	k := b.book(b.j)
	var list []Suggestion
	for i := range 5000 {
		list = append(list, Suggestion{Subject: Subject{Kind: KindDifference, ID: fmt.Sprint(i)}, Decision: gateway.HandDecision{Do: "link"}})
	}
	if n, err := k.Suggest(bg, li, list); err != nil || n != 5000 {
		t.Fatalf("%d %v", n, err)
	}
	all, err := b.book(b.j).List(bg, Suggested)
	if err != nil || len(all) != 5000 {
		t.Errorf("%d %v", len(all), err)
	}
}
