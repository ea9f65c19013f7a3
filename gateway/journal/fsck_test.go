package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/gateway"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

var testNow = time.Date(2026, 3, 31, 23, 59, 58, 123_000_000, gateway.China)

// settleOnce writes one settlement whole and gives its id.
func settleOnce(t fatal, j *Journal, request string) ident.MsgID {
	t.Helper()
	id, err := j.NextMsgID(bg, testInst, testNow)
	if err != nil {
		t.Fatal(err)
	}
	key := gateway.RequestKey{System: "his", ID: request}
	e := sentEntry(id, key, testNow)
	e.Record.Wire = []byte("wire")
	e.Bill = &gateway.Bill{ID: "B" + string(id), Institution: testInst, CreatedAt: testNow, Body: []byte("bill")}
	e.Record.Bill = e.Bill.ID
	if _, err := j.Write(bg, e); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Write(bg, doneEntry(id, key, testNow.Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	return id
}

// tamper changes the file behind the journal's back.
func tamper(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFsckFinds(t *testing.T) {
	const first, second = ident.MsgID(testInst + "202603312359580001"), ident.MsgID(testInst + "202603312359580002")
	fixed, kept, recordKept, requestKept := "DROP TRIGGER event_fixed", "DROP TRIGGER event_kept", "DROP TRIGGER record_kept", "DROP TRIGGER request_kept"
	good := store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"}
	j := openAt(t, good)
	if a, b := settleOnce(t, j.Journal, "r-1"), settleOnce(t, j.Journal, "r-2"); a != first || b != second {
		t.Fatal(a, b)
	}
	r, err := j.Fsck(bg)
	if err != nil || !r.Clean() || r.Records != 2 || r.Events != 4 || r.Requests != 2 || r.Bills != 2 {
		t.Fatalf("before: %+v, %v", r, err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(good.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   []string
		id   string
		what string
	}{
		{"a state nobody wrote", []string{"UPDATE record SET state = 'refused' WHERE seq = 2"}, string(second), "make it done"},
		{"a version", []string{"UPDATE record SET version = 3 WHERE seq = 1"}, string(first), "version 3"},
		{"a cause", []string{"UPDATE record SET cause = 'timeout' WHERE seq = 1"}, string(first), "cause"},
		{"a time", []string{"UPDATE record SET updated = updated + 1 WHERE seq = 1"}, string(first), "updated"},
		{"an event removed", []string{kept, "DELETE FROM event WHERE place = 1048576 + 2"}, string(first), "make it sent"},
		{"the first event removed", []string{kept, "DELETE FROM event WHERE place = 1048576 + 1"}, string(first), "follows event 0"},
		{"an event of another kind", []string{fixed, "UPDATE event SET kind = 'refused' WHERE place = 1048576 + 2"}, string(first), "make it refused"},
		{"an event that can not follow", []string{fixed, "UPDATE event SET kind = 'parked' WHERE place = 1048576 + 2"}, string(first), "can not follow"},
		{"event data changed", []string{fixed, "UPDATE event SET data = X'0102' WHERE place = 1048576 + 2"}, string(first), "opening event:2"},
		{"event data moved", []string{fixed, "UPDATE event SET data = (SELECT data FROM event WHERE place = 2 * 1048576 + 2) WHERE place = 1048576 + 2"}, string(first), "opening event:2"},
		{"an event of nobody", []string{"INSERT INTO event (place, kind, at, cause, ref, note) VALUES (7 * 1048576 + 1, 'sent', 1, '', '', '')"}, "", "event of record 7"},
		{"input changed", []string{"UPDATE body SET input = X'00' WHERE record = 2"}, string(second), "input"},
		{"wire moved", []string{"UPDATE body SET wire = input WHERE record = 2"}, string(second), "wire"},
		{"wire removed", []string{"UPDATE body SET wire = NULL WHERE record = 2"}, string(second), "queued"},
		{"a body of nobody", []string{"INSERT INTO body (record) VALUES (9)"}, "", "body of record 9"},
		{"a record removed", []string{recordKept, "DELETE FROM record WHERE seq = 1", "DELETE FROM bill WHERE seq = 1"}, "r-1", "is not there"},
		{"a bill removed", []string{"DELETE FROM bill WHERE seq = 2"}, string(second), "its bill"},
		{"a request removed", []string{requestKept, "DELETE FROM request WHERE seq = 2"}, string(second), "its request"},
		{"a bill changed", []string{"UPDATE bill SET body = X'00' WHERE seq = 2"}, "B" + string(second), "bill"},
		{"an answer changed", []string{"UPDATE request SET answer = X'00' WHERE seq = 2"}, "r-2", "answer"},
		{"an answer removed", []string{"UPDATE request SET answer = NULL WHERE seq = 2"}, "r-2", "answered at"},
		{"a counter set back", []string{"UPDATE msgid_counter SET seq = 1"}, string(second), "behind"},
		{"a counter removed", []string{"DELETE FROM msgid_counter"}, string(second), "behind"},
		{"an id that is none", []string{"UPDATE record SET id = 'x' WHERE seq = 1"}, "x", "message id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"}
			if err := os.WriteFile(o.Path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			tamper(t, o.Path, c.do...)
			j := openAt(t, o)
			r, err := j.Fsck(bg)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, p := range r.Problems {
				found = found || p.ID == c.id && strings.Contains(p.What, c.what)
			}
			if !found {
				t.Errorf("problems %+v; want one of %q about %q", r.Problems, c.id, c.what)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// The database itself refuses to rewrite history.
func TestHistoryIsFixed(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"}
	j := openAt(t, o)
	settleOnce(t, j.Journal, "r-1")
	for _, s := range []string{"UPDATE event SET kind = 'done'", "DELETE FROM event", "DELETE FROM record", "DELETE FROM request"} {
		err := j.db.Do(bg, func(tx *store.Tx) error { _, err := tx.Exec(s); return err })
		if err == nil || errors.Is(err, gateway.ErrStorage) {
			t.Errorf("%s: %v, want it refused", s, err)
		}
	}
	if err := fsckClean(j.Journal); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// One damaged body does not hide the other records.
func TestListWithDamage(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"}
	j := openAt(t, o)
	a, b := settleOnce(t, j.Journal, "r-1"), settleOnce(t, j.Journal, "r-2")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, o.Path, "UPDATE body SET input = X'00' WHERE record = 1")
	j = openAt(t, o)
	list, err := j.List(bg, gateway.Query{})
	if len(list) != 1 || list[0].ID != b || !errors.Is(err, keys.ErrSealed) || !strings.Contains(err.Error(), string(a)) {
		t.Errorf("%d records, error %v; want %s, and an error that names %s", len(list), err, b, a)
	}
	if _, err := j.Record(bg, a); !errors.Is(err, keys.ErrSealed) {
		t.Errorf("the damaged record: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// When the database can not grow nothing is half written and the journal says so.
func TestJournalFull(t *testing.T) {
	j := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off", MinFree: -1})
	pragma := func(text string) (n int) {
		t.Helper()
		err := j.db.Do(bg, func(tx *store.Tx) error { _, err := tx.Get("PRAGMA "+text, nil, &n); return err })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	pragma(fmt.Sprint("max_page_count=", pragma("page_count")+100))
	type told struct {
		id  ident.MsgID
		err error
	}
	var all []told
	full := 0
	for n := 0; full < 30; n++ {
		id, err := j.NextMsgID(bg, testInst, testNow)
		if err != nil {
			if !errors.Is(err, gateway.ErrStorage) {
				t.Fatal(err)
			}
			full++
			continue
		}
		_, err = j.Write(bg, sentEntry(id, gateway.RequestKey{System: "his", ID: fmt.Sprint(n)}, testNow))
		if err != nil && !errors.Is(err, gateway.ErrStorage) {
			t.Fatal(err)
		}
		if err != nil {
			full++
		}
		all = append(all, told{id, err})
	}
	if err := j.Health(bg); !errors.Is(err, gateway.ErrStorage) {
		t.Errorf("health of a full journal: %v", err)
	}
	pragma("max_page_count=1000000")
	if err := j.Health(bg); err != nil {
		t.Errorf("health after recovery: %v", err)
	}
	for _, w := range all {
		_, err := j.Record(bg, w.id)
		if w.err == nil && err != nil || w.err != nil && !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("%s: write gave %v, read gives %v", w.id, w.err, err)
		}
	}
	settleOnce(t, j.Journal, "after")
	if err := fsckClean(j.Journal); err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// Told costs no commit of its own and is written by Close at the latest.
func TestToldIsLazy(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "j.db")}
	j := openAt(t, o)
	const n = 300
	for i := range n {
		settleOnce(t, j.Journal, fmt.Sprint(i))
	}
	before := j.db.Stats()
	for i := range n {
		j.Told(gateway.RequestKey{System: "his", ID: fmt.Sprint(i)}, testNow)
	}
	if after := j.db.Stats(); after != before {
		t.Errorf("telling cost %+v, was %+v", after, before)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openAt(t, o)
	for i := range n {
		if q, err := j.Request(bg, gateway.RequestKey{System: "his", ID: fmt.Sprint(i)}); err != nil || !q.Told {
			t.Fatalf("request %d after Close: %+v, %v; want it told", i, q, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// A steady stream of ids costs few writes.
func TestIDsComeInBlocks(t *testing.T) {
	j := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off"})
	before := j.db.Stats().Commits
	for second := range 3 {
		for range 2000 {
			if _, err := j.NextMsgID(bg, testInst, testNow.Add(time.Duration(second)*time.Second)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := j.db.Stats().Commits - before; got > 40 {
		t.Errorf("%d commits for 6000 ids, want at most 40", got)
	}
	// Nor does it cost more when the clock is behind.
	before = j.db.Stats().Commits
	for range 1000 {
		if _, err := j.NextMsgID(bg, testInst, testNow.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if got := j.db.Stats().Commits - before; got > 10 {
		t.Errorf("%d commits for 1000 ids with the clock behind, want at most 10", got)
	}
	// A caller every second costs one id, not a block.
	for second := range 5 {
		id, err := j.NextMsgID(bg, testInst, testNow.Add(time.Duration(100+second)*time.Second))
		if err != nil || id.Seq() != 1 {
			t.Errorf("%s, %v", id, err)
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenNeedsItsParts(t *testing.T) {
	if _, err := Open(nil, Options{Sealer: &vault.Vault{}}); err == nil {
		t.Error("opened without a database")
	}
	j := openAt(t, store.Options{Path: filepath.Join(t.TempDir(), "j.db")})
	if _, err := Open(j.db, Options{}); err == nil {
		t.Error("opened without a sealer")
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	if _, err := j.Fsck(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("fsck called off: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
