package journal

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

func newSM3(t fatal) func() hash.Hash {
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	return p.NewSM3
}

// history fills a journal with a bit of everything.
func history(t *testing.T, j *Journal) {
	t.Helper()
	for n := range 30 {
		settleOnce(t, j, fmt.Sprint("r-", n))
	}
	write := func(entries ...gateway.Entry) {
		t.Helper()
		if _, err := j.Write(bg, entries...); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 40 {
		inst := ident.Institution([]string{"H44010000001", "P44010000002", "HA4010000003"}[n%3])
		id, err := j.NextMsgID(bg, inst, testNow.Add(time.Duration(n)*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		r := gateway.Record{ID: id, Institution: inst, Infno: "4101", Step: "4101", Attempt: 1, Visit: "v<&>", CreatedAt: testNow,
			Operator: gateway.Operator{ID: "op", Name: "王\u2028收费", Type: "1"}, State: gateway.StatePrepared}
		if n%2 == 0 {
			r.Wire, r.Input = []byte("wire\x00"), []byte("{}")
		}
		write(gateway.Entry{Record: &r})
		for v, k := range []gateway.EventKind{gateway.EventSent, gateway.EventUnknown, gateway.EventAsked, gateway.EventParked}[:n%5] {
			write(gateway.Entry{Append: &gateway.Append{ID: id, Version: v, Event: gateway.Event{Kind: k, At: testNow.Add(time.Duration(v) * time.Second),
				Cause: gateway.CauseTimeout, Ref: "x", Note: "问过", Data: []byte(strings.Repeat("d", n))}}})
		}
	}
	j.Told(gateway.RequestKey{System: "his", ID: "r-3"}, testNow)
	write(gateway.Entry{Request: &gateway.Request{Key: gateway.RequestKey{System: "a", ID: "refused"}, Op: "transact", CreatedAt: testNow,
		Answer: []byte("{}"), AnsweredAt: testNow}})
}

// From each kind of database into each: equal to the byte, and it works on.
func TestMove(t *testing.T) {
	places := map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "j.db") },
		"postgres": func(t *testing.T) string { return servers.Schema(t) },
	}
	sum := newSM3(t)
	for from, a := range places {
		for to, b := range places {
			t.Run(from+" to "+to, func(t *testing.T) {
				src, dst := openAt(t, at(a(t))), openAt(t, at(b(t)))
				defer func() {
					if err := errors.Join(src.Close(), dst.Close()); err != nil {
						t.Error(err)
					}
				}()
				history(t, src.Journal)
				h, err := dst.Join(bg, "there already", testNow) // no part of the history
				if err != nil {
					t.Fatal(err)
				}
				var file, again bytes.Buffer
				out, err := src.Export(bg, &file, sum())
				if err != nil || out.Records != 70 || out.Requests != 31 || out.Bills != 30 || out.Counters != 3 || out.Events != 140 || len(out.Digest) != 64 {
					t.Fatalf("exported %+v, %v", out, err)
				}
				in, err := dst.Import(bg, bytes.NewReader(file.Bytes()), sum)
				if err != nil || in != out {
					t.Fatalf("imported %+v, %v; want %+v", in, err, out)
				}
				if _, err := dst.Export(bg, &again, sum()); err != nil || !bytes.Equal(file.Bytes(), again.Bytes()) {
					t.Fatalf("exported again: %v, %d bytes, first %d", err, again.Len(), file.Len())
				}
				if err := fsckClean(dst.Journal); err != nil {
					t.Error(err)
				}
				same(t, src, dst)
				if _, err := dst.Import(bg, bytes.NewReader(file.Bytes()), sum); !errors.Is(err, ErrNotEmpty) {
					t.Errorf("into what is not empty: %v", err)
				}
				// Numbers go on behind those that were moved.
				last, err := src.NextMsgID(bg, testInst, testNow)
				if err != nil {
					t.Fatal(err)
				}
				if id := settleOnce(t, dst.Journal, "later"); id < last {
					t.Errorf("%s was given after %s", id, last)
				}
				orphans, err := dst.Orphans(bg, testNow)
				if err != nil || len(orphans) != 8 {
					t.Errorf("%d sent records wait for nobody, %v; want 8", len(orphans), err)
				}
				if _, err := dst.Claim(bg, h, nil, testNow, testNow); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func same(t *testing.T, a, b owned) {
	t.Helper()
	x, err1 := a.List(bg, gateway.Query{Limit: 1000})
	y, err2 := b.List(bg, gateway.Query{Limit: 1000})
	if err1 != nil || err2 != nil || fmt.Sprintf("%+v", x) != fmt.Sprintf("%+v", y) {
		t.Errorf("the lists differ: %v, %v", err1, err2)
	}
}

// What was cut, changed, put in another order or sealed with another key is refused whole.
func TestImportRefuses(t *testing.T) {
	sum := newSM3(t)
	src := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Sync: "off"})
	history(t, src.Journal)
	var file bytes.Buffer
	if _, err := src.Export(bg, &file, sum()); err != nil {
		t.Fatal(err)
	}
	good := file.String()
	lines := strings.SplitAfter(good, "\n")
	n := len(lines) - 1 // the last is empty
	join := func(parts ...[]string) string {
		var b strings.Builder
		for _, p := range parts {
			b.WriteString(strings.Join(p, ""))
		}
		return b.String()
	}
	dst := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "b.db"), Sync: "off"})
	for name, text := range map[string]string{
		"empty":             "",
		"no end":            join(lines[:n-1]),
		"half a line":       good[:len(good)-40],
		"a line missing":    join(lines[:10], lines[11:]),
		"a line twice":      join(lines[:2], lines[1:]),
		"two lines swapped": join(lines[:5], lines[6:7], lines[5:6], lines[7:]),
		"no head":           join(lines[1:]),
		"more behind":       good + "x",
		"another version":   strings.Replace(good, `"version":2`, `"version":3`, 1),
		"an older version":  strings.Replace(good, `"version":2`, `"version":1`, 1),
		"a key changed":     strings.Replace(good, `"day":"2`, `"day":"3`, 1),
		"a key missing":     join(lines[:2], lines[3:]),
		"a state changed":   strings.Replace(good, `"state":"done"`, `"state":"refused"`, 1),
		"an operator":       strings.Replace(good, `"operator":"op"`, `"operator":"oq"`, 1),
		"an unknown member": strings.Replace(good, `"operator":"op"`, `"operator":"op","x":1`, 1),
		"not JSON":          join(lines[:3], []string{"{\n"}, lines[3:]),
	} {
		if text == good {
			t.Fatal(name)
		}
		if _, err := dst.Import(bg, strings.NewReader(text), sum); err == nil {
			t.Fatalf("%s: imported", name)
		} else if errors.Is(err, gateway.ErrStorage) || errors.Is(err, ErrNotEmpty) {
			t.Errorf("%s: %v", name, err)
		}
	}
	elsewhere, err := store.Open(bg, store.Options{Path: filepath.Join(t.TempDir(), "c.db"), Sync: "off"})
	if err != nil {
		t.Fatal(err)
	}
	strange, err := Open(elsewhere, Options{Sealer: testVault(t, elsewhere, "another key, of 32 bytes exactly")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strange.Import(bg, strings.NewReader(good), sum); !errors.Is(err, vault.ErrKeyMissing) {
		t.Fatalf("imported with another key: %v", err)
	}
	if err := errors.Join(strange.Close(), elsewhere.Close()); err != nil {
		t.Error(err)
	}
	if _, err := dst.Import(bg, strings.NewReader(good), sum); err != nil {
		t.Errorf("after all that was refused: %v", err)
	}
	if err := errors.Join(src.Close(), dst.Close()); err != nil {
		t.Error(err)
	}
}

// Nothing that identifies a person leaves in clear, for bodies stay sealed.
func TestExportIsSealed(t *testing.T) {
	j := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Sync: "off"})
	settleOnce(t, j.Journal, "r-1")
	path := filepath.Join(t.TempDir(), "out")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Export(bg, f, newSM3(t)()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte("iiiiiiii")) || bytes.Contains(text, []byte("answer of")) {
		t.Error("a body is in clear")
	}
	if err := errors.Join(f.Close(), j.Close()); err != nil {
		t.Error(err)
	}
}
