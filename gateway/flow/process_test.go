package flow

import (
	"context"
	"testing"

	"yiqiao/gateway"
)

// Two programs on one journal and one centre: the keys in the journal, not the locks in memory, keep
// a bill from being settled twice, or settled and cancelled.
func TestTwoProcessesSettleABillOnce(t *testing.T) {
	for _, rival := range []string{"confirm", "refund"} {
		b := newBench(t, askingRegion())
		s := b.open("r1", 1)
		two := b.newDesk()
		cred := bill("r1", 1).Credential
		gate := b.centre.Hold()
		ended := make(chan error, 1)
		go func() {
			_, err := b.confirm("c1", s)
			ended <- err
		}()
		if err := gate.Await(bg, 1); err != nil {
			t.Fatal(err)
		}
		var err error
		if rival == "confirm" {
			_, err = two.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: "c2", ID: s.ID, Operator: clerk, Credential: &cred})
		} else {
			_, err = two.RefundSettlement(bg, his, gateway.RefundSettlement{RequestID: "x1", ID: s.ID, Operator: clerk})
		}
		if codeOf(err) != gateway.CodeRequestInProgress {
			t.Errorf("%s by another process meanwhile: %v", rival, err)
		}
		gate.Open()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		wantNumbers(t, b.numbers()[5:], "2207")
	}
}

// staleJournal answers the first questions about a bill's records as they were before.
type staleJournal struct {
	gateway.Journal
	before []gateway.Record
	times  int
}

func (j *staleJournal) BillRecords(ctx context.Context, id string) ([]gateway.Record, error) {
	if j.times > 0 {
		j.times--
		return j.before, nil
	}
	return j.Journal.BillRecords(ctx, id)
}

// The other process looked just before: it must find out when it writes.
func TestAProcessThatLookedTooEarlyFindsOut(t *testing.T) {
	for _, first := range []string{"confirm", "refund"} {
		for _, second := range []string{"confirm", "refund"} {
			b := newBench(t, askingRegion())
			s := b.open("r1", 1)
			before, _ := b.journal.BillRecords(bg, s.ID)
			act := func(d *Desk, what, id string) error {
				var err error
				cred := bill("r1", 1).Credential
				if what == "confirm" {
					_, err = d.ConfirmSettlement(bg, his, gateway.ConfirmSettlement{RequestID: id, ID: s.ID, Operator: clerk, Credential: &cred})
				} else {
					_, err = d.RefundSettlement(bg, his, gateway.RefundSettlement{RequestID: id, ID: s.ID, Operator: clerk})
				}
				return err
			}
			if err := act(b.desk, first, "one"); err != nil {
				t.Fatal(err)
			}
			two := b.newDesk()
			two.opt.Journal = &staleJournal{Journal: b.journal, before: before, times: 1}
			err := act(two, second, "two")
			settlements, standing := len(b.centre.Sent("2207")), len(b.town.standing(""))
			switch first + second {
			case "confirmconfirm":
				if codeOf(err) != gateway.CodeState || settlements != 1 || standing != 1 {
					t.Errorf("%v, %d sent, %d stand", err, settlements, standing)
				}
			case "confirmrefund": // the whole settlement is refunded
				if err != nil || settlements != 1 || standing != 0 {
					t.Errorf("%v, %d sent, %d stand", err, settlements, standing)
				}
			case "refundconfirm":
				if codeOf(err) != gateway.CodeState || settlements != 0 {
					t.Errorf("%v, %d sent", err, settlements)
				}
			case "refundrefund":
				if err != nil && codeOf(err) != gateway.CodeState || len(b.centre.Sent("2202")) != 1 {
					t.Errorf("%v, %v", err, b.numbers())
				}
			}
		}
	}
}
