package flow

import (
	"strings"
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// told lists the news a journal keeps for the HIS: what a courier would bring.
func (b *bench) told(msgids ...ident.MsgID) []gateway.Notice {
	b.t.Helper()
	var list []gateway.Notice
	for _, id := range msgids {
		for v := 1; v < 12; v++ {
			key := gateway.RequestKey{System: "his", ID: newsStart + string(id) + "." + attemptText(v)}
			n, err := b.desk.Notice(bg, key)
			if codeOf(err) == gateway.CodeNotFound {
				continue
			}
			if err != nil {
				b.t.Fatal(err)
			}
			list = append(list, n)
		}
	}
	return list
}

// A settlement that turns out not to stand while nobody waits is told of; once the HIS has sent it again that
// is moot.
func TestNewsOfWhatDoesNotStand(t *testing.T) {
	for _, k := range []struct {
		region *gateway.Region
		fate   mode
		event  string
	}{{askingRegion(), lostOut, "outcome.absent"}, {strictRegion(), lostBack, "outcome.reversed"}} {
		b := newBench(t, k.region)
		s := b.open("r1", 1)
		b.town.fault = func(n ident.Infno, call int) mode {
			if n == "2207" && call == 1 {
				return k.fate
			}
			return fine
		}
		if _, err := b.confirm("c1", s); codeOf(err) != gateway.CodeOutcomeUnknown {
			t.Fatalf("%v", err)
		}
		b.rest()
		id := b.centre.Sent("2207")[0].MsgID
		news := b.told(id)
		if len(news) != 1 || news[0].Event != k.event || news[0].RequestID != "c1" || news[0].Op != opConfirm || news[0].Ref != s.ID || news[0].Lane != s.ID ||
			news[0].Moot || news[0].Transaction == nil || news[0].Transaction.ID != id {
			t.Fatalf("%+v", news)
		}
		b.restart()
		r := bill("r1", 1)
		again := gateway.ConfirmSettlement{RequestID: "c1", ID: s.ID, Operator: clerk, Credential: &r.Credential}
		if _, err := b.desk.ConfirmSettlement(bg, his, again); err != nil {
			t.Fatal(err)
		}
		if news := b.told(id); len(news) != 1 || !news[0].Moot {
			t.Errorf("after it was settled: %+v", news)
		}
	}
}

// Who waits is not told behind its back: the same call goes on, or says it.
func TestNoNewsWhileSomebodyWaits(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 1)
	b.town.fault = on("2207", 1, notSent)
	if _, err := b.confirm("c1", s); err == nil {
		t.Fatal("sent")
	}
	b.rest()
	for _, c := range b.centre.Calls() {
		if news := b.told(c.MsgID); len(news) != 0 {
			t.Errorf("%+v", news)
		}
	}
}

// Nobody but the gateway can make such a request.
func TestNewsHaveIdsNoHISMayUse(t *testing.T) {
	if validRequestID(newsStart+"x") || !strings.HasPrefix(newsStart, "!") {
		t.Error("a HIS may use the id of news")
	}
	b := newBench(t, askingRegion())
	if _, err := b.desk.Find(bg, his, newsStart+"x"); codeOf(err) != gateway.CodeNotFound {
		t.Errorf("%v", err)
	}
}
