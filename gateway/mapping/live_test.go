package mapping

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
)

// pace is a clock whose Sleep is let go by the test.
type pace struct{ step chan struct{} }

func (pace) Now() time.Time { return time.Time{} }
func (p pace) Sleep(ctx context.Context, _ time.Duration) error {
	select {
	case <-p.step:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestLive(t *testing.T) {
	var mu sync.Mutex
	text, stamp := confirmDefinition(), "1"
	change := func(t, s string) {
		mu.Lock()
		defer mu.Unlock()
		text, stamp = t, s
	}
	o := options(t)
	l, err := NewLive(func() (*Definition, error) {
		mu.Lock()
		defer mu.Unlock()
		return Load("t.yaml", []byte(text), nil, o)
	}, func() string { mu.Lock(); defer mu.Unlock(); return stamp })
	if err != nil {
		t.Fatal(err)
	}
	p := pace{make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { l.Watch(ctx, p, time.Second, slog.New(slog.DiscardHandler)); close(done) }()
	step := func() { p.step <- struct{}{}; p.step <- struct{}{} } // the second is taken when the first was worked on
	first := l.Current().Version()
	change("broken", "2")
	step()
	if l.Current().Version() != first {
		t.Error("a broken definition took over")
	}
	change(strings.Replace(confirmDefinition(), `version: "1"`, `version: "2"`, 1), "3")
	step()
	if v := l.Current().Version(); !strings.HasPrefix(v, "t@2 ") {
		t.Errorf("in force: %s", v)
	}
	if m, err := l.Map(gateway.Source{Notation: "toy", Type: "x"}); err == nil || !strings.HasPrefix(m.Version, "t@2 ") {
		t.Errorf("%+v %v", m, err)
	}
	stop()
	<-done
}
