package flow

import (
	"errors"
	"testing"

	"yiqiao/gateway"
)

func TestFind(t *testing.T) {
	b := newBench(t, askingRegion())
	s := b.open("r1", 2)
	if id, err := b.desk.Find(bg, his, "r1"); err != nil || id != s.ID {
		t.Errorf("%q %v, want %s", id, err, s.ID)
	}
	var e *gateway.Error
	if _, err := b.desk.Find(bg, his, "r2"); !errors.As(err, &e) || e.Code != gateway.CodeNotFound {
		t.Errorf("a request nobody made: %v", err)
	}
	if _, err := b.desk.Find(bg, gateway.Caller{System: "other"}, "r1"); !errors.As(err, &e) || e.Code != gateway.CodeNotFound {
		t.Errorf("another system's request: %v", err)
	}
}
