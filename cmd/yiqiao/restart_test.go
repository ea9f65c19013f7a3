//go:build unix

package main

import (
	"testing"
	"time"

	"yiqiao/gateway"
)

// BenchmarkRestart is the time from starting the program until nothing is sent or unknown any more,
// with 10,000 settlements found as sent and a healthy centre. Each is asked for under its message
// id, is not there, and is proved absent; one that is found costs the same messages and writes.
func BenchmarkRestart(b *testing.B) {
	const lost = 10_000
	for range b.N {
		b.StopTimer()
		s := newSite(b)
		s.serve("")
		leaveSent(b, s, lost)
		b.StartTimer()
		began := time.Now()
		s.serve("")
		up := time.Since(began)
		j, err := openJournal(b.Context(), s.dir)
		if err != nil {
			b.Fatal(err)
		}
		for open := true; open; time.Sleep(100 * time.Millisecond) {
			list, err := j.List(b.Context(), gateway.Query{States: []gateway.State{gateway.StateSent, gateway.StateUnknown}, Brief: true, Limit: 1})
			if err != nil {
				b.Fatal(err)
			}
			if open = len(list) > 0; time.Since(began) > 10*time.Minute {
				b.Fatalf("not ended: %s", lastLines(s.gw.log.String(), 10))
			}
		}
		b.ReportMetric(time.Since(began).Seconds(), "s-until-resolved")
		b.ReportMetric(up.Seconds(), "s-until-listening")
		b.StopTimer()
		parked, err := j.List(b.Context(), gateway.Query{States: []gateway.State{gateway.StateParked, gateway.StateDone}, Infno: "2207", Brief: true, Limit: 1})
		if err != nil || len(parked) > 0 {
			b.Fatalf("%d parked or done, %v", len(parked), err)
		}
		j.close()
		s.gw.kill()
	}
}

// leaveSent kills the gateway and leaves n settlements in its journal that were sent ten minutes ago
// by a process that is gone.
func leaveSent(b *testing.B, s *site, n int) {
	b.Helper()
	set, _ := s.open("R")
	s.gw.kill()
	j, err := openJournal(b.Context(), s.dir)
	if err != nil {
		b.Fatal(err)
	}
	defer j.close()
	var trial gateway.Record
	recs, err := j.BillRecords(b.Context(), set.ID)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range recs {
		if r.Infno == "2206" {
			trial = r
		}
	}
	if trial.ID == "" {
		b.Fatal("the bill has no trial settlement")
	}
	gone, err := j.Join(b.Context(), "gone", time.Now())
	if err != nil {
		b.Fatal(err)
	}
	var batch []gateway.Entry
	for i := range n {
		r := gateway.Record{Institution: trial.Institution, Infno: "2207", Step: "2207", Attempt: 1, Operator: trial.Operator,
			CreatedAt: time.Now().Add(-10 * time.Minute), Input: trial.Input, State: gateway.StateSent}
		if r.ID, err = j.NextMsgID(b.Context(), r.Institution, time.Now()); err != nil {
			b.Fatal(err)
		}
		batch = append(batch, gateway.Entry{Record: &r, Holder: gone})
		if len(batch) == 500 || i == n-1 {
			if _, err := j.Write(b.Context(), batch...); err != nil {
				b.Fatal(err)
			}
			batch = nil
		}
	}
}
