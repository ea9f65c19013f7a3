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
	"yiqiao/gateway/invoice/book"
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
				invoices(t, src)
				h, err := dst.Join(bg, "there already", testNow) // no part of the history
				if err != nil {
					t.Fatal(err)
				}
				var file, again bytes.Buffer
				out, err := src.Export(bg, &file, sum())
				if err != nil || out.Records != 70 || out.Requests != 31 || out.Bills != 30 || out.Counters != 3 || out.Events != 140 || out.Subjects != 4 || out.Invoices != 3 ||
					out.InvoiceEvents != 8 || out.InvoiceMarks != 4 || out.InvoiceRequests != 3 || len(out.Digest) != 64 {
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
				sameInvoices(t, src, dst)
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

// book opens the book of electronic invoices beside a journal.
func bookOf(t *testing.T, j owned) *book.Book {
	t.Helper()
	b, err := book.Open(j.db, j.o.Sealer.(*vault.Vault).Drawer(gateway.ClassInvoice, func() time.Time { return testNow }))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// invoices fills the book beside a journal: a bill reversed and one made anew, one under way, and one that is
// only wanted. The names sort differently by byte and by language.
func invoices(t *testing.T, j owned) {
	t.Helper()
	b := bookOf(t, j)
	write := func(e ...book.Entry) {
		t.Helper()
		if _, err := b.Write(bg, e...); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range []string{"Bb", "BB", "B-a", "Ba"} {
		e := book.Entry{Subject: &book.Subject{ID: id, Institution: "H44010000001", System: "his", Wanted: true, Due: testNow, Asked: []byte(`{"name":"测试甲"}`)}}
		if i > 0 {
			e.Request = &book.Request{System: "his", ID: "e" + id, Digest: [32]byte{byte(i)}, Op: "einvoice.issue", Ref: id, At: testNow}
		}
		write(e)
	}
	draw := func(subject string, n int, marks []string, events ...book.Event) {
		t.Helper()
		id := fmt.Sprint(subject, "_", n)
		x := book.Bill{ID: id, Subject: subject, N: n, Revision: "m1", Kind: gateway.KindOutpatient, Institution: "H44010000001", System: "his", Lane: "p", Total: 100,
			Place: "001", Business: testNow, CreatedAt: testNow, Draft: gateway.InvoiceDraft{BusNo: id, Total: 100, Payer: gateway.InvoicePayer{Name: "测试甲"}}}
		write(book.Entry{Bill: &x, Marks: marks, Append: &book.Append{ID: id, Event: book.Event{Kind: book.Drafted, At: testNow, Operator: "0101"}, Due: testNow}})
		for i, e := range events {
			e.At = testNow.Add(time.Duration(i) * time.Second)
			write(book.Entry{Append: &book.Append{ID: id, Rev: i + 1, Event: e}})
		}
	}
	told := func(no string) *gateway.PlatformBill {
		return &gateway.PlatformBill{Known: true, Number: gateway.InvoiceNumber{Batch: "0601", No: no}, QR: []byte{1, 2}}
	}
	draw("BB", 1, []string{"m2", "M1"}, book.Event{Kind: book.Sent}, book.Event{Kind: book.Issued, Bill: told("1")}, book.Event{Kind: book.RedSent},
		book.Event{Kind: book.Reversed, Bill: told("1"), Note: "冲红"})
	draw("Ba", 1, []string{"m2"}, book.Event{Kind: book.Sent})
	draw("BB", 2, []string{"m2"})
}

// sameInvoices: what was moved is read alike, and goes on.
func sameInvoices(t *testing.T, x, y owned) {
	t.Helper()
	a, b := bookOf(t, x), bookOf(t, y)
	for _, id := range []string{"BB", "Ba", "Bb"} {
		s1, err1 := a.Subject(bg, id)
		s2, err2 := b.Subject(bg, id)
		l1, err3 := a.Bills(bg, id)
		l2, err4 := b.Bills(bg, id)
		if err := errors.Join(err1, err2, err3, err4); err != nil || fmt.Sprintf("%+v %+v", s1, l1) != fmt.Sprintf("%+v %+v", s2, l2) {
			t.Errorf("%s: %v, %+v is %+v", id, err, l1, l2)
		}
	}
	e1, err1 := a.Events(bg, "BB_1")
	e2, err2 := b.Events(bg, "BB_1")
	m1, err3 := a.Marked(bg, "m2")
	m2, err4 := b.Marked(bg, "m2")
	if err := errors.Join(err1, err2, err3, err4); err != nil || len(e1) != 5 || len(e2) != 5 || fmt.Sprintf("%+v", e1[4].Bill) != fmt.Sprintf("%+v", e2[4].Bill) || len(m1) != 3 || len(m2) != 3 {
		t.Errorf("%v, %+v is %+v", err, e1, e2)
	}
	if _, err := b.Write(bg, book.Entry{Append: &book.Append{ID: "BB_2", Rev: 1, Event: book.Event{Kind: book.Sent, At: testNow}}}); err != nil {
		t.Error(err)
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
	invoices(t, src)
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
		"a bill's state":    strings.Replace(good, `"state":"reversed","rev":5`, `"state":"issued","rev":5`, 1),
		"a bill's amount":   strings.Replace(good, `"total":100`, `"total":101`, 1),
		"an event less":     strings.Replace(good, `"rev":5`, `"rev":4`, 1),
		"a mark less":       strings.Replace(good, `"marks":["M1","m2"]`, `"marks":["m2"]`, 1),
		"a request twice":   strings.Replace(good, `"id":"eBa"`, `"id":"eBB"`, 1),
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
