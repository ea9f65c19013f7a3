package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// twoRequests writes a bill with two records, one of them unknown, and a record of another system
// under the same request id.
func twoRequests(t *testing.T, site string) (bill string) {
	t.Helper()
	g, err := loadGateway(site)
	if err != nil {
		t.Fatal(err)
	}
	p, err := provider(g.Provider)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	j, err := g.openJournal(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	const inst = ident.Institution("H44010000001")
	at := time.Date(2026, 3, 31, 9, 0, 0, 0, gateway.China)
	next := func() ident.MsgID {
		id, err := j.NextMsgID(ctx, inst, at)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	bill = "B" + string(next())
	write := func(entries ...gateway.Entry) {
		if _, err := j.Write(ctx, entries...); err != nil {
			t.Fatal(err)
		}
	}
	own, other := gateway.RequestKey{System: g.HIS[0].System, ID: "R1"}, gateway.RequestKey{System: "gone", ID: "R1"}
	write(gateway.Entry{Request: &gateway.Request{Key: own, Op: "settlement.open", Institution: inst, Ref: bill, CreatedAt: at},
		Bill: &gateway.Bill{ID: bill, Institution: inst, System: own.System, CreatedAt: at, Body: []byte("{}")}})
	for i, n := range []ident.Infno{"1101", "2201"} {
		r := gateway.Record{ID: next(), Institution: inst, Infno: n, Step: string(n) + "#1", Attempt: 1, Bill: bill, Request: own,
			CreatedAt: at.Add(time.Duration(i) * time.Second), State: gateway.StateSent, Input: []byte("{}")}
		write(gateway.Entry{Record: &r})
		if n == "2201" {
			write(gateway.Entry{Append: &gateway.Append{ID: r.ID, Version: 1, Event: gateway.Event{Kind: gateway.EventUnknown, At: at, Cause: gateway.CauseCut}}})
		}
	}
	id := next()
	write(gateway.Entry{Request: &gateway.Request{Key: other, Op: "transact", Institution: inst, Ref: string(id), CreatedAt: at},
		Record: &gateway.Record{ID: id, Institution: inst, Infno: "1101", Step: "1101", Attempt: 1, Request: other, CreatedAt: at,
			State: gateway.StateSent, Input: []byte("{}")}})
	return bill
}

func TestJournalListFilters(t *testing.T) {
	site := filepath.Join(t.TempDir(), "site")
	if code, _, errs := yiqiao(t, "", "init", site); code != 0 {
		t.Fatal(errs)
	}
	bill := twoRequests(t, site)
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 3}, {[]string{"--bill", bill}, 2}, {[]string{"--bill", bill, "--state", "unknown"}, 1},
		{[]string{"--bill", bill, "--infno", "1101"}, 1}, {[]string{"--bill", bill, "--day", "2026-03-30"}, 0},
		{[]string{"--bill", bill, "--limit", "1"}, 1}, {[]string{"--state", "unknown"}, 1}, {[]string{"--state", "parked"}, 0},
		{[]string{"--request", "R1"}, 2}, {[]string{"--request", "R1", "--system", "gone"}, 1}, {[]string{"--request", "R2"}, 0},
	} {
		code, out, errs := yiqiao(t, "", append([]string{"journal", "list", "--config", site, "--json"}, c.args...)...)
		var list []listed
		if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || len(list) != c.want {
			t.Errorf("%v: exit %d, %d records, want %d: %v %s", c.args, code, len(list), c.want, err, errs)
		}
		if len(c.args) == 2 && c.args[0] == "--bill" && (list[0].Infno != "2201" || list[1].Infno != "1101") {
			t.Errorf("not newest first: %+v", list)
		}
	}
	for _, args := range [][]string{
		{"--state", "lost"}, {"--bill", "B1"}, {"--bill", bill, "--request", "R1"}, {"--system", "gone"}, {"--limit", "0"}, {"--day", "today"},
	} {
		if code, out, _ := yiqiao(t, "", append([]string{"journal", "list", "--config", site}, args...)...); code != exitFail || out != "" {
			t.Errorf("%v: exit %d %s", args, code, out)
		}
	}
}
