package book

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
)

var servers storetest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil && code == 0 {
		code = 1
	}
	os.Exit(code)
}

var bg = context.Background()

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)

func open(t *testing.T, o store.Options) (*Book, *store.DB) {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := keys.NewSealer(p, []byte("0123456789abcdefFEDCBA9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b, err := Open(db, s)
	if err != nil {
		t.Fatal(err)
	}
	return b, db
}

func onBoth(t *testing.T, test func(t *testing.T, b *Book, o store.Options)) {
	t.Run("sqlite", func(t *testing.T) {
		o := store.Options{Path: filepath.Join(t.TempDir(), "j.db")}
		b, _ := open(t, o)
		test(t, b, o)
	})
	t.Run("postgres", func(t *testing.T) {
		o := store.Options{DSN: servers.Schema(t)}
		b, _ := open(t, o)
		test(t, b, o)
	})
}

func bill(subject string, n int) Bill {
	id := subject + "_" + string(rune('0'+n))
	return Bill{ID: id, Subject: subject, N: n, Revision: "m1", Kind: gateway.KindOutpatient, Institution: "H1", System: "his", Lane: "p1", Total: 100,
		Place: "001", Business: noon, CreatedAt: noon, Draft: gateway.InvoiceDraft{BusNo: id, Total: 100, Payer: gateway.InvoicePayer{Name: "测试甲"}}}
}

func create(b *Book, x Bill) error {
	_, err := b.Write(bg, Entry{Bill: &x, Append: &Append{ID: x.ID, Event: Event{Kind: Drafted, At: noon, System: "his", Operator: "0101", Desk: "1号窗"}, Due: noon}})
	return err
}

func subject(b *Book, id string) error {
	_, err := b.Write(bg, Entry{Subject: &Subject{ID: id, Institution: "H1", System: "his", Wanted: true, Due: noon, Asked: []byte(`{"a":1}`)}})
	return err
}

func (b *Book) mustAppend(t *testing.T, id string, rev int, e Event, due time.Time) {
	t.Helper()
	e.At = noon.Add(time.Duration(rev) * time.Second)
	if _, err := b.Write(bg, Entry{Append: &Append{ID: id, Rev: rev, Event: e, Due: due}}); err != nil {
		t.Fatalf("%s %s: %v", id, e.Kind, err)
	}
}

func told(no string) *gateway.PlatformBill {
	return &gateway.PlatformBill{Known: true, Number: gateway.InvoiceNumber{Batch: "0601", No: no}, Random: "abc", NetURL: "http://x/" + no, QR: []byte{1}}
}

// A bill's life, folded in the database and from its events alike.
func TestLife(t *testing.T) {
	onBoth(t, func(t *testing.T, b *Book, _ store.Options) {
		if err := subject(b, "B1"); err != nil {
			t.Fatal(err)
		}
		if err := create(b, bill("B1", 1)); err != nil {
			t.Fatal(err)
		}
		if err := create(b, bill("B1", 2)); !errors.Is(err, gateway.ErrExists) {
			t.Errorf("a second live bill: %v", err)
		}
		for i, e := range []Event{{Kind: Sent}, {Kind: Unknown, Cause: gateway.CauseTimeout}, {Kind: Asked}, {Kind: Absent}, {Kind: Sent},
			{Kind: Issued, Bill: told("1")}, {Kind: PaperSent}, {Kind: Papered, Bill: told("1")}, {Kind: RedWanted, Operator: "0102"}, {Kind: VoidSent}, {Kind: Voided},
			{Kind: RedSent}, {Kind: Unknown}, {Kind: Reversed, Bill: told("1")}} {
			b.mustAppend(t, "B1_1", i+1, e, noon)
		}
		if ids, err := b.Overtaken(bg, time.Time{}); err != nil || len(ids) != 0 {
			t.Errorf("overtaken without a settlement: %v %v", ids, err)
		}
		got, err := b.Bill(bg, "B1_1")
		if err != nil {
			t.Fatal(err)
		}
		events, err := b.Events(bg, "B1_1")
		if err != nil {
			t.Fatal(err)
		}
		fold := bill("B1", 1)
		for i, e := range events {
			if e.Seq != i+1 {
				t.Errorf("event %d has number %d", i+1, e.Seq)
			}
			if err := fold.Apply(e); err != nil {
				t.Fatal(err)
			}
			if e.State != fold.State {
				t.Errorf("event %d: state %s, fold %s", i+1, e.State, fold.State)
			}
		}
		if got.State != gateway.InvoiceReversed || got.State != fold.State || got.Rev != fold.Rev || got.Tries != fold.Tries || !got.SentAt.Equal(fold.SentAt) ||
			got.RedWanted != fold.RedWanted || got.Platform.NetURL != "http://x/1" || got.Draft.Payer.Name != "测试甲" || got.Platform.Number.No != "1" {
			t.Errorf("got %+v, fold %+v", got, fold)
		}
		if events[0].Desk != "1号窗" || events[0].Operator != "0101" {
			t.Errorf("who asked: %+v", events[0])
		}
		if err := create(b, bill("B1", 2)); err != nil {
			t.Errorf("after the reversal: %v", err)
		}
		list, err := b.Bills(bg, "B1")
		if err != nil || len(list) != 2 || list[1].N != 2 {
			t.Errorf("%v %v", list, err)
		}
		_, err = b.Write(bg, Entry{Append: &Append{ID: "B1_1", Rev: got.Rev - 1, Event: Event{Kind: Seen, At: noon}}})
		if !errors.Is(err, gateway.ErrStale) {
			t.Errorf("stale: %v", err)
		}
		if _, err = b.Write(bg, Entry{Append: &Append{ID: "B1_1", Rev: got.Rev, Event: Event{Kind: Sent, At: noon}}}); err == nil {
			t.Error("a reversed bill was sent")
		}
		if _, err = b.Bill(bg, "none"); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("none: %v", err)
		}
	})
}

// A number of the platform belongs to one bill.
func TestNumbersAreUnique(t *testing.T) {
	onBoth(t, func(t *testing.T, b *Book, _ store.Options) {
		for _, s := range []string{"B1", "B2"} {
			if err := errors.Join(subject(b, s), create(b, bill(s, 1))); err != nil {
				t.Fatal(err)
			}
			b.mustAppend(t, s+"_1", 1, Event{Kind: Sent}, noon)
		}
		b.mustAppend(t, "B1_1", 2, Event{Kind: Issued, Bill: told("7")}, time.Time{})
		_, err := b.Write(bg, Entry{Append: &Append{ID: "B2_1", Rev: 2, Event: Event{Kind: Issued, At: noon, Bill: told("7")}}})
		if !errors.Is(err, gateway.ErrExists) {
			t.Errorf("the same number twice: %v", err)
		}
		if x, err := b.Bill(bg, "B2_1"); err != nil || x.State != gateway.InvoiceIssuing {
			t.Errorf("%s %v", x.State, err)
		}
		moving, err := b.Moving(bg, 0, 10)
		if err != nil || len(moving) != 1 || moving[0].ID != "B2_1" {
			t.Errorf("%+v %v", moving, err)
		}
	})
}

// Requests come once; another body under one id is a conflict.
func TestRequests(t *testing.T) {
	onBoth(t, func(t *testing.T, b *Book, _ store.Options) {
		r := Request{System: "his", ID: "R1", Digest: [32]byte{1}, Op: "issue", Ref: "B1", At: noon}
		first := Entry{Request: &r, Subject: &Subject{ID: "B1", Institution: "H1", System: "his", Wanted: true}}
		if old, err := b.Write(bg, first); err != nil || old != nil {
			t.Fatalf("%v %v", old, err)
		}
		if old, err := b.Write(bg, first); err != nil || old == nil || old.Ref != "B1" {
			t.Errorf("again: %+v %v", old, err)
		}
		other := r
		other.Digest[0] = 2
		if _, err := b.Write(bg, Entry{Request: &other}); !errors.Is(err, gateway.ErrConflict) {
			t.Errorf("another body: %v", err)
		}
		s, err := b.Subject(bg, "B1")
		if err != nil || s.Rev != 1 || !s.Wanted {
			t.Fatalf("%+v %v", s, err)
		}
		s.Hold, s.HeldAt, s.Due = "R2", noon, noon.Add(time.Minute)
		if _, err := b.Write(bg, Entry{Subject: &s}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Write(bg, Entry{Subject: &s}); !errors.Is(err, gateway.ErrStale) {
			t.Errorf("stale: %v", err)
		}
		if ids, err := b.DueSubjects(bg, noon, 10); err != nil || len(ids) != 0 {
			t.Errorf("due too early: %v %v", ids, err)
		}
		if ids, err := b.DueSubjects(bg, noon.Add(time.Hour), 10); err != nil || len(ids) != 1 {
			t.Errorf("due: %v %v", ids, err)
		}
	})
}

// Two screens at once: one makes the bill. Two workers at once: one sends it.
func TestRaces(t *testing.T) {
	onBoth(t, func(t *testing.T, b *Book, o store.Options) {
		second, _ := b, o
		if o.DSN != "" {
			second, _ = open(t, o) // another process
		}
		if err := subject(b, "B1"); err != nil {
			t.Fatal(err)
		}
		both := func(do func(*Book) error) (won int) {
			var wg sync.WaitGroup
			var mu sync.Mutex
			for i := range 8 {
				book := b
				if i%2 == 1 {
					book = second
				}
				wg.Go(func() {
					err := do(book)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won++
					case !errors.Is(err, gateway.ErrExists) && !errors.Is(err, gateway.ErrStale):
						t.Errorf("lost by %v", err)
					}
				})
			}
			wg.Wait()
			return won
		}
		if n := both(func(b *Book) error { return create(b, bill("B1", 1)) }); n != 1 {
			t.Errorf("%d made the bill", n)
		}
		if n := both(func(b *Book) error {
			_, err := b.Write(bg, Entry{Append: &Append{ID: "B1_1", Rev: 1, Event: Event{Kind: Sent, At: noon}, Due: noon}})
			return err
		}); n != 1 {
			t.Errorf("%d sent it", n)
		}
	})
}

// Nothing personal stands in the database in clear, and the history can not be rewritten.
func TestAtRest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	b, db := open(t, store.Options{Path: path})
	if err := errors.Join(subject(b, "B1"), create(b, bill("B1", 1))); err != nil {
		t.Fatal(err)
	}
	err := db.Do(bg, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE einvoice_event SET kind = 'x'")
		return err
	})
	if err == nil {
		t.Error("history was rewritten")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{path, path + "-wal"} {
		raw, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(raw), "测试甲") {
			t.Errorf("%s holds the patient's name", filepath.Base(f))
		}
	}
}
