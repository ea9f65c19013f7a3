package gatewaytest

import (
	"context"
	"errors"
	"testing"

	"yiqiao/gateway"
)

func TestMemJournal(t *testing.T) {
	Journal(t, func(*testing.T) gateway.Journal { return NewJournal() })
}

func TestMemJournalShared(t *testing.T) {
	SharedJournal(t, func(*testing.T) (a, b gateway.Journal) {
		j := NewJournal()
		return j, j
	})
}

func TestMemJournalHook(t *testing.T) {
	j := NewJournal()
	boom := errors.New("boom")
	fail := ""
	j.Hook(func(point string) error {
		if point == fail {
			return boom
		}
		return nil
	})
	d := &journalDesk{T: t, j: j, ctx: context.Background()}
	r := d.record(gateway.StateSent)
	fail = "write"
	d.refuse(boom, gateway.Entry{Record: r})
	d.gone(r.ID)
	fail = "written"
	d.refuse(boom, gateway.Entry{Record: r})
	d.get(r.ID)
	fail = "health"
	if err := j.Health(d.ctx); !errors.Is(err, boom) {
		t.Errorf("health: %v", err)
	}
	fail = "msgid"
	if _, err := j.NextMsgID(d.ctx, journalInst, journalNow); !errors.Is(err, boom) {
		t.Errorf("message id: %v", err)
	}
}
