package dbview

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
)

// One journal's gateways work on a view, one at a time: a second one stands by and takes over, one with another journal is
// told who is there, and does nothing.
func TestOneJournalToAView(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		desks := map[string]*histest.Desk{}
		start := func(name, journal string) *Source {
			desks[name] = &histest.Desk{}
			return h.source(desks[name], byStatus(), func(o *Options) { o.Journal = journal })
		}
		first, peer, other := start("first", "J1"), start("peer", "J1"), start("other", "J2")
		h.call("R-1", "V1", "")
		poll(t, first)
		h.call("R-2", "V2", "")
		poll(t, peer)
		err := other.Poll(context.Background())
		var ours *problem
		if !errors.As(err, &ours) || !strings.Contains(err.Error(), "is polled by another gateway (") || strings.Contains(err.Error(), "()") {
			t.Fatalf("another journal: %v", err)
		}
		other.tender.Say(err)
		if !strings.Contains(other.Trouble(), "calls") {
			t.Errorf("trouble: %q", other.Trouble())
		}
		h.want("select k, st from calls order by k", "R-1|1", "R-2|0")
		poll(t, first) // it goes on as before
		h.want("select k, st from calls order by k", "R-1|1", "R-2|1")

		// Rows that another mark names are nobody's yet.
		v := byStatus()
		v.Status.New = "N"
		poll(t, h.source(&histest.Desk{}, v, func(o *Options) { o.Journal = "J3" }))

		h.call("R-3", "V3", "")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if err := other.Poll(context.Background()); err != nil {
			t.Fatalf("the view is free: %v", err)
		}
		if err := peer.Poll(context.Background()); err == nil {
			t.Error("the first journal works beside the other one")
		}
		if err := other.Close(); err != nil {
			t.Fatal(err)
		}
		h.call("R-4", "V4", "")
		poll(t, peer)
		h.want("select k, st from calls order by k", "R-1|1", "R-2|1", "R-3|1", "R-4|1")
		for name, n := range map[string]int{"first": 2, "other": 1, "peer": 1} {
			if got := len(desks[name].Calls()); got != n {
				t.Errorf("%s did %d, want %d", name, got, n)
			}
		}
	})
}

// A claim is lost with its connection, and taken again.
func TestClaimIsLostWithItsConnection(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		first := h.source(&histest.Desk{}, byStatus(), func(o *Options) { o.Journal = "J1" })
		other := h.source(&histest.Desk{}, byStatus(), func(o *Options) { o.Journal = "J2" })
		poll(t, first)
		number := map[string]string{"postgres": "select pg_backend_pid()", "mysql": "select connection_id()"}[driver]
		var id string
		if err := first.claim.conn.QueryRowContext(context.Background(), number).Scan(&id); err != nil {
			t.Fatal(err)
		}
		if driver == "postgres" {
			h.do("select pg_terminate_backend(" + id + ")")
		} else {
			h.do("kill " + id)
		}
		if err := first.Poll(context.Background()); err == nil {
			t.Error("the claim was lost unnoticed")
		}
		for limit := time.Now().Add(time.Minute); other.Poll(context.Background()) != nil; time.Sleep(time.Millisecond) { // until the server has seen it
			if time.Now().After(limit) {
				t.Fatal("the lock outlives its connection")
			}
		}
		if err := first.Poll(context.Background()); err == nil || !strings.Contains(err.Error(), "another gateway") {
			t.Errorf("%v", err)
		}
	})
}
