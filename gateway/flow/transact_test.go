package flow

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

func query(id string) gateway.Transact {
	return gateway.Transact{RequestID: id, Infno: "1101", Operator: clerk,
		Input: object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": "999999199001011238"}}}
}

// lowSettle is a 2207 a HIS builds itself, for a visit the town knows.
func (b *bench) lowSettle(id string) gateway.Transact {
	b.t.Helper()
	s := b.open("bill-"+id, 1)
	// The visit and its rows as the HIS itself would have made them, under a batch number of its own.
	b.town.mu.Lock()
	v := b.town.visits[string(s.Visit)]
	if v == nil { // asked for a second time
		v = b.town.visits["own-"+string(s.Visit)]
	}
	for sn := range v.batch {
		v.batch[sn] = "C-" + id
	}
	delete(b.town.visits, v.id)
	v.id = "own-" + string(s.Visit) // no bill's
	b.town.visits[v.id] = v
	b.town.mu.Unlock()
	return gateway.Transact{RequestID: id, Infno: "2207", Operator: clerk, InsuplcArea: "430103", Input: object{"data": object{
		"psn_no": "P1", "mdtrt_cert_type": "02", "mdtrt_cert_no": "999999199001011238", "med_type": "11",
		"medfee_sumamt": json.Number("2.01"), "psn_setlway": "01", "mdtrt_id": v.id, "chrg_bchno": "C-" + id,
		"acct_used_flag": "0", "insutype": "310", "fulamt_ownpay_amt": json.Number("0.00"), "overlmt_selfpay": json.Number("0.00"),
		"preselfpay_amt": json.Number("0.00"), "inscp_scp_amt": json.Number("2.01"),
	}}}
}

func TestTransactGivesTheOutputAndTheSameAgain(t *testing.T) {
	b := newBench(t, askingRegion())
	first, err := b.desk.Transact(bg, his, query("q1"))
	if err != nil || first.Outcome != "done" || text(row(first.Output, "baseinfo")["psn_no"]) != "P1" {
		t.Fatalf("%+v %v", first, err)
	}
	b.restart()
	again, err := b.desk.Transact(bg, his, query("q1"))
	if err != nil || again.ID != first.ID || len(b.centre.Calls()) != 1 {
		t.Errorf("%+v %v", again, err)
	}
	other := query("q1")
	other.InsuplcArea = "430199"
	if _, err := b.desk.Transact(bg, his, other); codeOf(err) != gateway.CodeRequestIDReused {
		t.Error(err)
	}
	rec, _ := b.journal.Record(bg, first.ID)
	if v := text(row(read(rec.Input), "data")["mdtrt_cert_no"]); v != "[cut out]" {
		t.Errorf("kept input has %q", v)
	}
	if req, _ := b.journal.Request(bg, gateway.RequestKey{System: "his", ID: "q1"}); len(req.Answer) == 0 {
		t.Error("no answer stored: the HIS could not be told")
	}
}

func TestManyCallersOfOneRequestSendOneMessage(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	gate := b.centre.Hold()
	var wg sync.WaitGroup
	ids := make([]ident.MsgID, 100)
	for i := range ids {
		wg.Add(1)
		go func() {
			defer wg.Done()
			got, err := b.desk.Transact(bg, his, r)
			if err == nil {
				ids[i] = got.ID
			}
		}()
	}
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	gate.Open()
	wg.Wait()
	if n := len(b.centre.Sent("2207")); n != 1 {
		t.Fatalf("%d messages sent", n)
	}
	for i := range ids {
		if ids[i] == "" || ids[i] != ids[0] {
			t.Fatalf("caller %d got %q, caller 0 %q", i, ids[i], ids[0])
		}
	}
}

func TestAQuestionWithoutAnAnswerMayBeAskedAgainAtOnce(t *testing.T) {
	b := newBench(t, askingRegion())
	b.town.fault = on("1101", 1, lostOut)
	if _, err := b.desk.Transact(bg, his, query("q1")); codeOf(err) != gateway.CodeCentreNoAnswer {
		t.Fatal(err)
	}
	if got, err := b.desk.Transact(bg, his, query("q1")); err != nil || got.Outcome != "done" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAnotherBodyWhileTheFirstIsOnItsWay(t *testing.T) {
	b := newBench(t, askingRegion())
	gate := b.centre.Hold()
	ended := make(chan error, 1)
	go func() {
		_, err := b.desk.Transact(bg, his, query("q1"))
		ended <- err
	}()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	other := query("q1")
	other.InsuplcArea = "430199"
	if _, err := b.desk.Transact(ctx, his, other); codeOf(err) != gateway.CodeRequestIDReused {
		t.Errorf("%v", err)
	}
	gate.Open()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhoStopsWaitingStopsNothing(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	gate := b.centre.Hold()
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan error, 1)
	go func() {
		_, err := b.desk.Transact(ctx, his, r)
		ended <- err
	}()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; codeOf(err) != gateway.CodeRequestInProgress {
		t.Errorf("%v", err)
	}
	gate.Open()
	got, err := b.desk.Transact(bg, his, r)
	if err != nil || got.Outcome != "done" || len(b.centre.Sent("2207")) != 1 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestTransactOutcomes(t *testing.T) {
	for _, c := range []struct {
		m      mode
		region *gateway.Region
		first  gateway.Code
		rested gateway.Code // the same request after the resolver had its time
		sent   int          // 2207 in all
		stand  int
	}{
		{refusing, askingRegion(), gateway.CodeCentreRefused, gateway.CodeCentreRefused, 1, 0},
		{notSent, askingRegion(), gateway.CodeCentreUnreachable, "", 2, 1},
		{lostBack, askingRegion(), "", "", 1, 1},
		{lostOut, askingRegion(), gateway.CodeOutcomeUnknown, "", 2, 1},
		{delayed, askingRegion(), gateway.CodeOutcomeUnknown, "", 1, 1},
		{lostBack, strictRegion(), gateway.CodeOutcomeUnknown, "", 2, 1},
		{lostOut, strictRegion(), gateway.CodeOutcomeUnknown, "", 2, 1},
		{wrongMsgID, askingRegion(), "", "", 1, 1},
		{wrongTotal, strictRegion(), gateway.CodeOutcomeUnknown, "", 2, 1},
	} {
		b := newBench(t, c.region)
		r := b.lowSettle("s1")
		b.town.fault = on("2207", 1, c.m)
		got, err := b.desk.Transact(bg, his, r)
		if codeOf(err) != c.first {
			t.Errorf("mode %d: %+v %v, want %q", c.m, got, err, c.first)
		}
		var e *gateway.Error
		if errors.As(err, &e) && (e.Ref == "" || e.Ref != string(got.ID)) {
			t.Errorf("mode %d: error refers to %q, record is %q", c.m, e.Ref, got.ID)
		}
		b.rest()
		if got, err := b.desk.Transact(bg, his, r); codeOf(err) != c.rested {
			t.Errorf("mode %d rested: %+v %v, want %q", c.m, got, err, c.rested)
		}
		if n := len(b.centre.Sent("2207")); n != c.sent {
			t.Errorf("mode %d: %d sent, want %d", c.m, n, c.sent)
		}
		if n := len(b.town.standing("")); n != c.stand {
			t.Errorf("mode %d: %d stand, want %d", c.m, n, c.stand)
		}
	}
}

// A HIS that drives its own ladder may go on by itself; the gateway does not delete its rows.
func TestLowLevelUploadIsNotUndoneBehindTheHIS(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("b1", 1)
	b.town.fault = func(n ident.Infno, call int) mode {
		if n == "2204" {
			return lostOut
		}
		return fine
	}
	rowOf := feeRow(&bill("x", 1).Fees[0], facts{person: "P1", visit: string(s.Visit), batch: "BATCH2"})
	r := gateway.Transact{RequestID: "f1", Infno: "2204", Operator: clerk, InsuplcArea: "430103", Input: object{"feedetail": []any{rowOf}}}
	if _, err := b.desk.Transact(bg, his, r); codeOf(err) != gateway.CodeNeedsPerson {
		t.Fatal(err)
	}
	b.rest()
	if n := len(b.centre.Sent("2205")); n != 0 {
		t.Errorf("%d undos sent", n)
	}
	got, err := b.desk.Transact(bg, his, r)
	if codeOf(err) != gateway.CodeNeedsPerson || got.State != gateway.StateParked {
		t.Errorf("%+v %v", got, err)
	}
}

func TestTransactRefusesBeforeSending(t *testing.T) {
	b := newBench(t, askingRegion())
	with := func(f func(*gateway.Transact)) gateway.Transact {
		r := query("q1")
		f(&r)
		return r
	}
	for name, c := range map[string]struct {
		r    gateway.Transact
		want gateway.Code
	}{
		"no id":        {with(func(r *gateway.Transact) { r.RequestID = "" }), gateway.CodeRequestIDMissing},
		"bad id":       {with(func(r *gateway.Transact) { r.RequestID = "a b" }), gateway.CodeRequestIDMissing},
		"unknown":      {with(func(r *gateway.Transact) { r.Infno = "0000" }), gateway.CodeInfnoUnknown},
		"undescribed":  {with(func(r *gateway.Transact) { r.Infno = "2207B" }), gateway.CodeInfnoNotDescribed},
		"upload class": {with(func(r *gateway.Transact) { r.Infno = "4402" }), gateway.CodeInfnoNotAllowed},
		"institution":  {with(func(r *gateway.Transact) { r.Institution = "H43010000009" }), gateway.CodeInstitution},
		"operator":     {with(func(r *gateway.Transact) { r.Operator.ID = "" }), gateway.CodeRequestInvalid},
		"no input":     {with(func(r *gateway.Transact) { r.Input = nil }), gateway.CodeRequestInvalid},
		"odd input":    {with(func(r *gateway.Transact) { r.Input = object{"data": struct{}{}} }), gateway.CodeInternal},
		"long field":   {with(func(r *gateway.Transact) { row(r.Input, "data")["mdtrt_cert_type"] = "12345678" }), gateway.CodeRequestInvalid},
	} {
		if _, err := b.desk.Transact(bg, his, c.r); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := b.desk.Transact(bg, gateway.Caller{System: internal, Institutions: his.Institutions}, query("q")); codeOf(err) != gateway.CodeInstitution {
		t.Errorf("a HIS under the gateway's own name: %v", err)
	}
	if n := len(b.centre.Calls()); n != 0 {
		t.Errorf("%d messages sent", n)
	}
	b.centre.RefuseAdmission(&gateway.Error{Code: gateway.CodeCentreDown})
	if _, err := b.desk.Transact(bg, his, query("q1")); codeOf(err) != gateway.CodeCentreDown {
		t.Error(err)
	}
	b.centre.RefuseAdmission(nil)
	if _, err := b.journal.Request(bg, gateway.RequestKey{System: "his", ID: "q1"}); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("something was written: %v", err)
	}
	if _, err := b.desk.Transact(bg, his, query("q1")); err != nil {
		t.Errorf("the same id later: %v", err)
	}
}

func TestJournalFailingAfterSendingIsUnknownAndHeals(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	writes := 0
	b.journal.Hook(func(point string) error {
		if point == "write" {
			if writes++; writes > 1 {
				return gateway.ErrStorage
			}
		}
		return nil
	})
	got, err := b.desk.Transact(bg, his, r)
	if codeOf(err) != gateway.CodeOutcomeUnknown || got.State != gateway.StateSent {
		t.Fatalf("%+v %v", got, err)
	}
	b.journal.Hook(nil)
	if err := b.desk.tick(bg); err != nil {
		t.Fatal(err)
	}
	again, err := b.desk.Transact(bg, his, r)
	if err != nil || again.Outcome != "done" || len(b.centre.Calls()) != 6 {
		t.Errorf("%+v %v, %v", again, err, b.numbers())
	}
}

func TestJournalFailingBeforeSendingAcceptsNothing(t *testing.T) {
	for _, point := range []string{"msgid", "write", "written"} {
		b := newBench(t, askingRegion())
		r := b.lowSettle("s1")
		b.journal.Hook(func(p string) error {
			if p == point {
				return gateway.ErrStorage
			}
			return nil
		})
		if _, err := b.desk.Transact(bg, his, r); codeOf(err) != gateway.CodeStorage {
			t.Errorf("%s: %v", point, err)
		}
		if len(b.centre.Sent("2207")) != 0 {
			t.Errorf("%s: sent without being durable", point)
		}
		b.journal.Hook(nil)
		if err := b.desk.tick(bg); err != nil {
			t.Fatal(err)
		}
		if got, err := b.desk.Transact(bg, his, r); err != nil || got.Outcome != "done" || len(b.town.standing("")) != 1 {
			t.Errorf("%s healed: %+v %v", point, got, err)
		}
	}
}

// A process held up between writing and sending does not send: by then others may have proved that
// nothing was sent.
func TestWhatWasHeldUpTooLongIsNotSent(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	held := false
	b.journal.Hook(func(point string) error {
		if point == "written" && !held {
			held = true
			b.clock.Advance(31 * time.Second)
		}
		return nil
	})
	if _, err := b.desk.Transact(bg, his, r); codeOf(err) != gateway.CodeCentreUnreachable || len(b.centre.Sent("2207")) != 0 {
		t.Fatalf("%v, %d sent", err, len(b.centre.Sent("2207")))
	}
	if n := b.centre.InFlight(); n != 0 {
		t.Errorf("%d permits kept", n)
	}
	if got, err := b.desk.Transact(bg, his, r); err != nil || got.Outcome != "done" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestLateAnswerEndsWhatRecoveryMadeUnknown(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	gate := b.centre.Hold()
	ended := make(chan error, 1)
	go func() {
		_, err := b.desk.Transact(bg, his, r)
		ended <- err
	}()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	other := b.newDesk() // another process on the same journal starts
	if err := other.Recover(bg); err != nil {
		t.Fatal(err)
	}
	rec, err := b.journal.Record(bg, b.centre.Sent("2207")[0].MsgID)
	if err != nil || rec.State != gateway.StateUnknown || rec.Cause != gateway.CauseCrash {
		t.Fatalf("%+v %v", rec, err)
	}
	gate.Open()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if rec, _ = b.journal.Record(bg, rec.ID); rec.State != gateway.StateDone {
		t.Errorf("%s", rec.State)
	}
}

func TestSignInIsSharedAndRenewedOnce(t *testing.T) {
	region := askingRegion()
	region.SignIn = true
	b := newBench(t, region)
	var wg sync.WaitGroup
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := b.desk.Transact(bg, his, query(id)); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if n := len(b.centre.Sent("9001")); n != 1 {
		t.Fatalf("%d sign-ins", n)
	}
	for _, c := range b.centre.Sent("1101") {
		if c.Request.SignNo != "SIGN000001" {
			t.Errorf("sign_no %q", c.Request.SignNo)
		}
	}
	expired := b.centreThat(func(n ident.Infno, id ident.MsgID, input any) gatewaytest.CentreAnswer {
		if n == "1101" {
			return gatewaytest.Refused("签到已失效,请重新签到")
		}
		return b.town.script(n, id, input)
	})
	got, err := b.desk.Transact(bg, his, query("g"))
	if codeOf(err) != gateway.CodeSignIn {
		t.Errorf("%+v %v", got, err)
	}
	wantNumbers(t, numbersOf(expired), "1101", "9001", "1101")
	// It is no final answer: the same request goes on when signing in works again.
	b.centreThat(b.town.script)
	if got, err := b.desk.Transact(bg, his, query("g")); err != nil || got.Outcome != "done" {
		t.Errorf("%+v %v", got, err)
	}
}

// centreThat puts another centre in the place of the bench's.
func (b *bench) centreThat(script func(ident.Infno, ident.MsgID, any) gatewaytest.CentreAnswer) *gatewaytest.Centre {
	b.centre = gatewaytest.NewCentre(script)
	return b.centre
}

func numbersOf(c *gatewaytest.Centre) []ident.Infno {
	var list []ident.Infno
	for _, call := range c.Calls() {
		list = append(list, call.Infno)
	}
	return list
}

func TestRefusedSignInIsToldAsThat(t *testing.T) {
	region := askingRegion()
	region.SignIn = true
	for m, want := range map[mode]gateway.Code{
		refusing: gateway.CodeSignIn, lostOut: gateway.CodeSignIn, notSent: gateway.CodeCentreUnreachable,
	} {
		b := newBench(t, region)
		b.town.fault = on("9001", 1, m)
		if _, err := b.desk.Transact(bg, his, query("q1")); codeOf(err) != want {
			t.Errorf("mode %d: %v", m, err)
		}
		if len(b.centre.Sent("1101")) != 0 {
			t.Error("sent without a sign_no")
		}
		if _, err := b.desk.Transact(bg, his, query("q1")); err != nil {
			t.Errorf("mode %d: the same id again: %v", m, err)
		}
	}
}

func TestRunEndsWithItsContextAndWaitsForItsWork(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	ctx, cancel := context.WithCancel(bg)
	ran := make(chan error, 1)
	go func() { ran <- b.desk.Run(ctx) }()
	if err := b.clock.AwaitWaiters(bg, 1); err != nil {
		t.Fatal(err)
	}
	gate := b.centre.Hold()
	go func() { _, _ = b.desk.Transact(bg, his, r) }()
	if err := gate.Await(bg, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	for i := 0; i < 10000; i++ {
		runtime.Gosched() // a Run that does not wait ends here
		select {
		case <-ran:
			t.Fatal("Run ended while a message was on its way")
		default:
		}
	}
	gate.Open()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	rec, err := b.journal.Record(bg, b.centre.Sent("2207")[0].MsgID)
	if err != nil || rec.State != gateway.StateDone {
		t.Errorf("%+v %v", rec, err)
	}
}

func TestRunResolvesByItself(t *testing.T) {
	b := newBench(t, askingRegion())
	r := b.lowSettle("s1")
	b.town.fault = on("2207", 1, delayed)
	if _, err := b.desk.Transact(bg, his, r); codeOf(err) != gateway.CodeOutcomeUnknown {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(bg)
	ran := make(chan error, 1)
	go func() { ran <- b.desk.Run(ctx) }()
	for i := 0; i < 30; i++ {
		if err := b.clock.AwaitWaiters(bg, 1); err != nil {
			t.Fatal(err)
		}
		b.clock.Advance(20 * time.Second)
	}
	if err := b.clock.AwaitWaiters(bg, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	if rec, _ := b.journal.Record(bg, b.centre.Sent("2207")[0].MsgID); rec.State != gateway.StateDone || rec.Cause != causeAdopted {
		t.Errorf("%s %s", rec.State, rec.Cause)
	}
}
