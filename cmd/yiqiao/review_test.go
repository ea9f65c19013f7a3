package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/review"
	"yiqiao/schemas/ident"
	simcentre "yiqiao/simulator/centre"
)

// command runs the program beside the running gateway.
func (a *accounts) command(want int, into any, args ...string) string {
	a.t.Helper()
	var out, errw bytes.Buffer
	got := run(context.Background(), append(args, "--config", a.dir), strings.NewReader(""), &out, &errw)
	if got != want {
		a.t.Fatalf("%v: exit %d, want %d: %s%s", args, got, want, out.String(), errw.String())
	}
	if into != nil {
		a.must(json.Unmarshal(out.Bytes(), into))
	}
	return out.String() + errw.String()
}

// parked is a settlement nobody but people can end.
func (a *accounts) parked() ident.MsgID {
	a.t.Helper()
	ctx, j := context.Background(), a.gw.journal
	id, err := j.NextMsgID(ctx, simHospital, a.clock.Now())
	a.must(err)
	_, err = j.Write(ctx, gateway.Entry{Record: &gateway.Record{ID: id, Institution: simHospital, Infno: "2207", Step: "2207", Attempt: 1,
		State: gateway.StateSent, CreatedAt: a.clock.Now(), Operator: gateway.Operator{ID: "0101", Name: "李四", Type: "1"},
		Input: []byte(`{"data":{"psn_no":"P1","mdtrt_id":"V1","medfee_sumamt":"12.00"}}`)}})
	a.must(err)
	for i, k := range []gateway.EventKind{gateway.EventUnknown, gateway.EventParked} {
		_, err = j.Write(ctx, gateway.Entry{Append: &gateway.Append{ID: id, Version: i + 1, Event: gateway.Event{Kind: k, At: a.clock.Now(), Cause: gateway.CauseTimeout}}})
		a.must(err)
	}
	return id
}

// Two people at two terminals, beside a running gateway.
func TestReviewCommand(t *testing.T) {
	a := newAccounts(t, simcentre.Region{}, "")
	adopt, absent := a.parked(), a.parked()
	var l listedReview
	a.command(exitOK, &l, "review", "list", "--json")
	if len(l.Waiting) != 2 || l.Waiting[0].ID != adopt || len(l.Waiting[0].Choices) != 3 {
		t.Fatalf("%+v", l)
	}
	words := a.command(exitOK, nil, "review", "list")
	if !strings.Contains(words, string(absent)) || !strings.Contains(words, "adopt absent reverse") {
		t.Errorf("%s", words)
	}
	base := []string{"review", "propose", string(adopt), "--do", "adopt", "--proof", "query", "--source", "终端", "--why", "中心已结算", "--by", "li", "--json"}
	if words := a.command(exitFail, nil, base...); !strings.Contains(words, "/shown/setl_id") {
		t.Errorf("%s", words)
	}
	for _, m := range []string{"setl_id=S1", "setl_time=2026-11-23 09:15:31", "medfee_sumamt=12.00", "fund_pay_sumamt=8", "acct_pay=0", "psn_cash_pay=4", "clr_type=11"} {
		base = append(base, "--shown", m)
	}
	var p review.Proposal
	a.command(exitOK, &p, base...)
	if p.State != review.Proposed || p.Subject.ID != string(adopt) {
		t.Fatalf("%+v", p)
	}
	if words := a.command(exitNo, nil, "review", "approve", "1", "--by", "li"); !strings.Contains(words, "second-person-needed") {
		t.Errorf("%s", words)
	}
	a.command(exitOK, &p, "review", "approve", "1", "--by", "wang", "--why", "看过", "--json")
	if p.State != review.Applied {
		t.Errorf("%+v", p)
	}
	if words := a.command(exitNo, nil, "review", "reject", "1", "--by", "zhao", "--why", "x"); !strings.Contains(words, "wang") {
		t.Errorf("the other is not told who: %s", words)
	}
	a.command(exitOK, nil, "review", "propose", string(absent), "--do", "absent", "--proof", "office", "--source", "电话", "--why", "无此笔", "--by", "li")
	a.command(exitOK, nil, "review", "reject", "3", "--by", "li", "--why", "看错")
	a.command(exitFail, nil, "review", "approve", "77", "--by", "wang")
	a.command(exitFail, nil, "review", "approve", "x", "--by", "wang")
	a.command(exitFail, nil, "review", "propose", "--do", "absent", "--why", "x")
	if words := a.command(exitOK, nil, "review", "show", "1"); !strings.Contains(words, "中心所示") || !strings.Contains(words, "wang") {
		t.Errorf("%s", words)
	}
	a.command(exitOK, &l, "review", "list", "--all", "--json")
	if len(l.Waiting) != 1 || len(l.Proposals) != 2 || l.Proposals[1].State != review.Rejected {
		t.Errorf("%+v", l)
	}
	for id, want := range map[ident.MsgID]gateway.State{adopt: gateway.StateDone, absent: gateway.StateParked} {
		if rec, err := a.gw.journal.Record(context.Background(), id); err != nil || rec.State != want {
			t.Errorf("%s: %s %v", id, rec.State, err)
		}
	}
	// A running gateway reads the same book and carries out what needs the centre.
	a.command(exitOK, &p, "review", "propose", string(absent), "--do", "reverse", "--why", "冲正", "--by", "li", "--json")
	a.command(exitOK, nil, "review", "approve", "5", "--by", "wang")
	g, err := loadGateway(a.dir)
	a.must(err)
	book, err := g.reviewBook(a.gw.desk, a.gw.parts, a.gw.journal, a.clock)
	a.must(err)
	a.must(book.Work(context.Background()))
	a.command(exitOK, &p, "review", "show", "5", "--json")
	if p.Try == "" || p.State != review.Applied && p.State != review.Failed {
		t.Errorf("%+v", p)
	}
	t.Logf("the centre's word on a 2601 about nothing: %s %s", p.State, p.Outcome)
}
