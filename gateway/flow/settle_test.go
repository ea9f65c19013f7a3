package flow

import (
	"context"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

var bg = context.Background()

func (b *bench) open(id string, fees int) gateway.Settlement {
	b.t.Helper()
	s, err := b.desk.OpenSettlement(bg, his, bill(id, fees))
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	return s
}

func (b *bench) confirm(id string, s gateway.Settlement) (gateway.Settlement, error) {
	return b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: id, ID: s.ID, Operator: clerk})
}

func (b *bench) refund(id string, s gateway.Settlement) (gateway.Settlement, error) {
	return b.desk.RefundSettlement(bg, his, gateway.RefundSettlement{RequestID: id, ID: s.ID, Operator: clerk})
}

// numbers lists what reached the centre, in order.
func (b *bench) numbers() []ident.Infno {
	var list []ident.Infno
	for _, c := range b.centre.Calls() {
		list = append(list, c.Infno)
	}
	return list
}

func wantNumbers(t *testing.T, got []ident.Infno, want ...ident.Infno) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("centre got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("centre got %v, want %v", got, want)
		}
	}
}

func TestHappyLadder(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 201)
	if s.State != gateway.BillPresettled || s.Amounts == nil || s.Amounts.Total != "404.01" || s.Amounts.Cash != "202.01" {
		t.Fatalf("opened: %+v %+v", s, s.Amounts)
	}
	if s.Insutype != "310" {
		t.Errorf("insutype %s, want the one in force", s.Insutype)
	}
	done, err := b.confirm("c1", s)
	if err != nil {
		t.Fatal(err)
	}
	if done.State != gateway.BillSettled || done.SettlementID == "" || done.MsgID == "" || len(done.Funds) != 1 || done.Funds[0].Amount != "202.00" {
		t.Fatalf("settled: %+v", done)
	}
	wantNumbers(t, b.numbers(), "1101", "2201", "2203", "2204", "2204", "2204", "2206", "2207")
	for _, c := range b.centre.Calls() {
		if area := c.Request.InsuplcArea; (area == "430103") == (c.Infno == "1101") {
			t.Errorf("%s went with insuplc_admdvs %q", c.Infno, area)
		}
	}
	if n := len(rows(b.centre.Sent("2204")[2].Input, "feedetail")); n != 1 {
		t.Errorf("last batch has %d rows, want 1", n)
	}
	if live, err := b.desk.Settlement(bg, his, s.ID); err != nil || live.State != gateway.BillSettled {
		t.Errorf("live view: %+v %v", live, err)
	}
	for _, m := range b.centre.Misuse() {
		t.Error(m)
	}
}

func TestRepeatedRequestsGiveTheStoredAnswer(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	first, err := b.confirm("c1", s)
	if err != nil {
		t.Fatal(err)
	}
	b.restart()
	if again := b.open("r1", 1); again.ID != s.ID || again.State != gateway.BillPresettled {
		t.Errorf("open again: %+v", again)
	}
	again, err := b.confirm("c1", s)
	if err != nil || again.SettlementID != first.SettlementID {
		t.Errorf("confirm again: %+v %v", again, err)
	}
	if _, err := b.confirm("c2", s); codeOf(err) != gateway.CodeState {
		t.Errorf("second confirm under another id: %v", err)
	}
	changed := bill("r1", 2)
	if _, err := b.desk.OpenSettlement(bg, his, changed); codeOf(err) != gateway.CodeRequestIDReused {
		t.Errorf("other body under the same id: %v", err)
	}
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Errorf("%d settlements sent", n)
	}
}

func TestDoubleClickOnConfirm(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	var wg sync.WaitGroup
	ids := []string{"c1", "c2", "c3", "c4"}
	settled := make([]bool, 100)
	for i := range settled {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := b.confirm(ids[i%len(ids)], s)
			settled[i] = err == nil && got.State == gateway.BillSettled
		}()
	}
	wg.Wait()
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Fatalf("%d settlements sent", n)
	}
	count := 0
	for _, ok := range settled {
		if ok {
			count++
		}
	}
	if count != 25 {
		t.Errorf("%d callers were told it is settled, want the 25 of one request id", count)
	}
}

func TestEveryRefusalOnTheWayUndoesWhatWasDone(t *testing.T) {
	undo := map[ident.Infno][]ident.Infno{
		"1101": {}, "2201": {}, "2203": {"2202"}, "2204": {"2202"}, "2206": {"2205", "2202"},
	}
	for n, want := range undo {
		b := newBench(t, askingRegion())
		b.town.fault = on(n, 1, refusing)
		s, err := b.desk.OpenSettlement(bg, his, bill("r1", 1))
		if codeOf(err) != gateway.CodeCentreRefused || s.State != gateway.BillFailed {
			t.Errorf("%s: %+v %v", n, s, err)
			continue
		}
		if e := err.(*gateway.Error); e.Detail != "业务校验不通过" || e.Ref != s.ID {
			t.Errorf("%s: %+v", n, e)
		}
		calls := b.numbers()
		for i := range calls {
			if calls[i] == n {
				wantNumbers(t, calls[i+1:], want...)
			}
		}
		before := len(calls)
		b.restart()
		if _, err := b.desk.OpenSettlement(bg, his, bill("r1", 1)); codeOf(err) != gateway.CodeCentreRefused {
			t.Errorf("%s again: %v", n, err)
		}
		if live, err := b.desk.Settlement(bg, his, s.ID); err != nil || live.State != gateway.BillFailed {
			t.Errorf("%s live: %+v %v", n, live, err)
		}
		if got := len(b.numbers()); got != before {
			t.Errorf("%s: the repeat sent %d messages", n, got-before)
		}
		if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeState {
			t.Errorf("%s: confirm of a failed bill: %v", n, err)
		}
	}
}

func TestRefusedSettlementLeavesTheTrial(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, refusing)
	if got, err := b.confirm("c1", s); codeOf(err) != gateway.CodeCentreRefused || got.State != gateway.BillPresettled {
		t.Fatalf("%+v %v", got, err)
	}
	if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeCentreRefused {
		t.Errorf("the same request keeps its answer: %v", err)
	}
	if got, err := b.confirm("c2", s); err != nil || got.State != gateway.BillSettled {
		t.Errorf("a new request may try again: %+v %v", got, err)
	}
	if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeCentreRefused {
		t.Errorf("the first request keeps its answer also then: %v", err)
	}
}

func TestNotSentGoesOnUnderTheSameID(t *testing.T) {
	for _, n := range []ident.Infno{"1101", "2201", "2203", "2204", "2206", "2207"} {
		b := newBench(t, askingRegion())
		b.town.fault = on(n, 1, notSent)
		s, err := b.desk.OpenSettlement(bg, his, bill("r1", 1))
		if n != "2207" {
			if codeOf(err) != gateway.CodeCentreUnreachable {
				t.Errorf("%s: %v", n, err)
			}
			s = b.open("r1", 1)
		}
		if _, err := b.confirm("c1", s); n == "2207" && codeOf(err) != gateway.CodeCentreUnreachable {
			t.Errorf("%s: %v", n, err)
		}
		if got, err := b.confirm("c1", s); err != nil || got.State != gateway.BillSettled {
			t.Errorf("%s: %+v %v", n, got, err)
		}
		if len(b.town.standing("")) != 1 {
			t.Errorf("%s: %d settlements", n, len(b.town.standing("")))
		}
	}
}

func TestCredentialIsKeptForAWhileAndNeverStored(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.clock.Advance(31 * time.Minute)
	if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeCredentialNeeded {
		t.Fatalf("%v", err)
	}
	if len(b.centre.Sent("2207")) != 0 {
		t.Fatal("settled without a credential")
	}
	cred := bill("r1", 1).Credential
	got, err := b.desk.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c1", ID: s.ID, Operator: clerk, Credential: &cred})
	if err != nil || got.State != gateway.BillSettled {
		t.Fatalf("%+v %v", got, err)
	}
	recs, _ := b.journal.BillRecords(bg, s.ID)
	for _, rec := range recs {
		if v := text(member(read(rec.Input), nil, "mdtrt_cert_no")) + text(row(read(rec.Input), "data")["mdtrt_cert_no"]); v == cred.Number {
			t.Errorf("%s holds the credential", rec.Step)
		}
	}
	kept, _ := b.journal.Bill(bg, s.ID)
	if body, err := billBody(kept); err != nil || body.Credential.Number != "" || body.Credential.Type != "02" {
		t.Errorf("the bill holds the credential: %+v %v", body.Credential, err)
	}
}

func TestExpectedCash(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	r := gateway.ConfirmSettlement{RequestID: "c1", ID: s.ID, Operator: clerk, ExpectCash: "1.00"}
	if _, err := b.desk.ConfirmSettlement(bg, his, r); codeOf(err) != gateway.CodeAmounts || len(b.centre.Sent("2207")) != 0 {
		t.Fatalf("%v", err)
	}
	r.ExpectCash = "1.01"
	if got, err := b.desk.ConfirmSettlement(bg, his, r); err != nil || got.State != gateway.BillSettled {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAnotherSystemSeesNothing(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	other := gateway.Caller{System: "other", Institutions: his.Institutions}
	if _, err := b.desk.Settlement(bg, other, s.ID); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("settlement: %v", err)
	}
	if _, err := b.desk.Transaction(bg, other, s.Steps[0].MsgID); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("transaction: %v", err)
	}
	if _, err := b.desk.ConfirmSettlement(bg, other, gateway.ConfirmSettlement{RequestID: "c", ID: s.ID, Operator: clerk}); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("confirm: %v", err)
	}
	if got, err := b.desk.Transaction(bg, his, s.Steps[0].MsgID); err != nil || got.Infno != "1101" {
		t.Errorf("own transaction: %+v %v", got, err)
	}
}

// Who was told that a bill is refused is not told the contrary later: a refusal that could not be kept is not told.
func TestARefusedOpeningStaysRefused(t *testing.T) {
	told := 0
	for n := 1; n < 30; n++ {
		b := newBench(t, askingRegion())
		b.town.fault = on("2206", 1, refusing)
		writes := 0
		b.journal.Hook(func(point string) error {
			if point == "write" {
				writes++
			}
			if point == "write" && writes >= n {
				return gateway.ErrStorage
			}
			return nil
		})
		r := bill("r1", 1)
		_, err := b.desk.OpenSettlement(bg, his, r)
		b.journal.Hook(nil)
		if codeOf(err) != gateway.CodeCentreRefused {
			continue
		}
		told++
		if err := b.desk.tick(bg); err != nil { // what could not be written by then
			t.Fatal(err)
		}
		if s, err := b.desk.OpenSettlement(bg, his, r); codeOf(err) != gateway.CodeCentreRefused {
			t.Errorf("the journal was gone from write %d of %d on: told refused, then %s %v", n, writes, s.State, err)
		}
	}
	if told == 0 {
		t.Error("nothing was ever refused")
	}
}
