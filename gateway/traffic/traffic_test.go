package traffic_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/traffic"
)

// box seals by turning bits over and binding the name.
type box struct{ gone bool }

func turn(b []byte) []byte {
	out := slices.Clone(b)
	for i := range out {
		out[i] ^= 0x5a
	}
	return out
}

func (box) Seal(_ io.Reader, name string, plain []byte) ([]byte, error) {
	return turn([]byte(name + "\x00" + string(plain))), nil
}

func (x box) Open(name string, sealed []byte) ([]byte, error) {
	n, plain, ok := bytes.Cut(turn(sealed), []byte{0})
	if !ok || string(n) != name || x.gone {
		return nil, errors.New("box: not this one")
	}
	return plain, nil
}

type clock struct{ now time.Time }

func (c *clock) Now() time.Time                                   { return c.now }
func (c *clock) Sleep(ctx context.Context, d time.Duration) error { return nil }

// lines is a mapping of messages of the form name=value, one a line; card is the credential.
type lines struct{ fail bool }

func (l lines) Map(s gateway.Source) (gateway.Mapped, error) {
	if l.fail {
		return gateway.Mapped{Version: "lines@1"}, errors.New("no")
	}
	return gateway.Mapped{Version: "lines@1"}, nil
}

func (lines) Trace(gateway.Source) []gateway.Trace { return nil }

func (lines) Secrets(s gateway.Source) (out []string) {
	for line := range strings.SplitSeq(s.Scope.(string), "\n") {
		if v, ok := strings.CutPrefix(line, "card="); ok {
			out = append(out, strings.ReplaceAll(v, "&amp;", "&"))
		}
		if v, ok := strings.CutPrefix(line, "again="); ok {
			out = append(out, v)
		}
	}
	return out
}

func read(b []byte) ([]gateway.Source, error) {
	if bytes.Contains(b, []byte("unreadable=0")) {
		return nil, errors.New("unreadable")
	}
	return []gateway.Source{source(string(b))}, nil
}

func source(text string) gateway.Source {
	return gateway.Source{Notation: "lines", Type: "t", Scope: text, Raw: []byte(text)}
}

func open(t *testing.T, dir string, c gateway.Clock, most int64) *traffic.Recorder {
	t.Helper()
	r, err := traffic.Open(traffic.Options{Dir: dir, Sealer: box{}, Clock: c, Days: 3, MaxBytes: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func all(t *testing.T, dir, day string) []string {
	t.Helper()
	var out []string
	lost, err := traffic.Read(dir, day, box{}, func(m traffic.Message) error {
		if m.Kind != "lines" || m.Mapping != "lines@1" || m.At.IsZero() {
			t.Errorf("%+v", m)
		}
		out = append(out, string(m.Raw))
		return nil
	})
	if err != nil || lost != 0 {
		t.Fatalf("%d lost, %v", lost, err)
	}
	return out
}

func noon(day int) time.Time { return time.Date(2026, 11, day, 12, 0, 0, 0, gateway.China) }

// A patient's credential and the sender's key are in no file, sealed or not; what can not be cut out is not kept.
func TestBlotted(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &clock{noon(23)}, 0)
	for _, c := range []struct {
		text, want string
		hide       []string
		fail       bool
	}{
		{text: "a=1\ncard=T99900001\nagain=T99900001X\nb=T99900001", want: "a=1\ncard=X00000000\nagain=X00000000X\nb=X00000000"},
		{text: "card=999999198503120018\nid=999999198503120018", want: "card=000000000000000000\nid=000000000000000000"},
		{text: "plain=1", want: "plain=1"},
		{text: "plain=2", want: "plain=2", fail: true}, // a message the mapping refuses is what a trial is for
		{text: "key=k-12345678", want: "key=XX00000000", hide: []string{"k-12345678"}},
		{text: "card=S1"},                     // too short to be cut out without harm
		{text: "card=T99&amp;00001"},          // stands there in another spelling
		{text: "card=T1234567\nunreadable=0"}, // what is left can not be read
	} {
		s := source(c.text)
		s.Hide = c.hide
		before := string(s.Raw)
		_, err := r.Mapper(lines{c.fail}, read).Map(s)
		if (err != nil) != c.fail || string(s.Raw) != before {
			t.Errorf("%q: %v, raw %q", c.text, err, s.Raw)
		}
	}
	want := []string{"a=1\ncard=X00000000\nagain=X00000000X\nb=X00000000", "card=000000000000000000\nid=000000000000000000", "plain=1", "plain=2", "key=XX00000000"}
	if got := all(t, dir, "2026-11-23"); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Without raw bytes nothing is kept, and a day goes on after a start; a torn end is written over.
func TestGoesOn(t *testing.T) {
	dir := t.TempDir()
	c := &clock{noon(23)}
	r := open(t, dir, c, 0)
	m := r.Mapper(lines{}, read)
	for i := range 3 {
		if _, err := m.Map(source(fmt.Sprint("n=", i))); err != nil {
			t.Fatal(err)
		}
	}
	s := source("n=none")
	s.Raw = nil
	_, _ = m.Map(s)
	r.Close()
	file := filepath.Join(dir, "2026-11-23.traffic")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, torn := range [][]byte{b[:len(b)-1], append(slices.Clone(b), 0, 0), append(slices.Clone(b), 0, 0, 0, 99, 1), append(slices.Clone(b), 0xff, 0xff, 0xff, 0xff)} {
		if err := os.WriteFile(file, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		whole := 3
		if len(torn) < len(b) {
			whole = 2
		}
		if got := all(t, dir, "2026-11-23"); len(got) != whole {
			t.Errorf("%q", got)
		}
		again := open(t, dir, c, 0)
		_, _ = again.Mapper(lines{}, read).Map(source("n=new"))
		again.Close()
		if got := all(t, dir, "2026-11-23"); len(got) != whole+1 || got[whole] != "n=new" {
			t.Errorf("%q", got)
		}
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	c := &clock{noon(20)}
	r := open(t, dir, c, 3000)
	m := r.Mapper(lines{}, read)
	for day := 20; day <= 26; day++ {
		c.now = noon(day)
		_, _ = m.Map(source(fmt.Sprint("day=", day)))
	}
	if got := traffic.Days(dir); !slices.Equal(got, []string{"2026-11-24", "2026-11-25", "2026-11-26"}) {
		t.Errorf("%v", got)
	}
	for i := range 100 {
		_, _ = m.Map(source(fmt.Sprint("n=", i, strings.Repeat("x", 100))))
	}
	size := int64(0)
	for _, d := range traffic.Days(dir) {
		st, err := os.Stat(filepath.Join(dir, d+".traffic"))
		if err != nil {
			t.Fatal(err)
		}
		size += st.Size()
	}
	if got := traffic.Days(dir); !slices.Equal(got, []string{"2026-11-26"}) || size > 3000 || size < 2000 {
		t.Errorf("%v, %d bytes", got, size)
	}
	c.now = noon(27)
	_, _ = m.Map(source("day=27"))
	if got := all(t, dir, "2026-11-27"); len(got) != 1 {
		t.Errorf("the next day: %q", got)
	}
}

func TestLostKeys(t *testing.T) {
	dir := t.TempDir()
	r := open(t, dir, &clock{noon(23)}, 0)
	_, _ = r.Mapper(lines{}, read).Map(source("n=1"))
	lost, err := traffic.Read(dir, "2026-11-23", box{gone: true}, func(traffic.Message) error { t.Error("opened"); return nil })
	if lost != 1 || err != nil {
		t.Errorf("%d %v", lost, err)
	}
	for _, day := range []string{"2026-11-22", "../x", ""} {
		if _, err := traffic.Read(dir, day, box{}, nil); err == nil {
			t.Errorf("%q was read", day)
		}
	}
}

func TestConcurrent(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, &clock{noon(23)}, 0).Mapper(lines{}, read)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for j := range 20 {
				_, _ = m.Map(source(fmt.Sprint("n=", i, "-", j)))
			}
		})
	}
	wg.Wait()
	got := all(t, dir, "2026-11-23")
	slices.Sort(got)
	if len(slices.Compact(got)) != 400 {
		t.Errorf("%d kept", len(got))
	}
}
