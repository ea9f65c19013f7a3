package journal

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

const secondMaster = "SECOND 89abcdefFEDCBA9876543210."

// under opens a place with the keys of masters.
func under(t *testing.T, place string, masters ...string) (owned, *vault.Vault) {
	t.Helper()
	o := at(place)
	o.Sync = "off"
	db, err := store.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	v := testVault(t, db, masters...)
	j, err := Open(db, Options{Sealer: v})
	if err != nil {
		t.Fatal(err)
	}
	return owned{j, db}, v
}

// locked says why a place does not open with masters.
func locked(t *testing.T, place string, masters ...string) error {
	t.Helper()
	db, err := store.Open(bg, at(place))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, err := tryVault(t, db, masters...)
	if err == nil {
		v.Close()
	}
	return err
}

func shut(t *testing.T, list ...owned) {
	t.Helper()
	for _, j := range list {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
}

// query scans all rows of one text or number column.
func column(t *testing.T, j owned, query string, args ...any) (out []string) {
	t.Helper()
	rows, err := j.db.Query(bg, query, args...)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		out = append(out, string(b))
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	return out
}

func change(t *testing.T, j owned, query string, args ...any) {
	t.Helper()
	if err := j.db.Do(bg, func(tx *store.Tx) error { _, err := tx.Exec(query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}

// bodies is every sealed body, as it lies there.
func bodies(t *testing.T, j owned) string {
	t.Helper()
	var all []string
	for _, q := range []string{`SELECT answer FROM request ORDER BY seq`, `SELECT body FROM bill ORDER BY seq`,
		`SELECT input FROM body ORDER BY record`, `SELECT data FROM event ORDER BY place`} {
		all = append(all, column(t, j, q)...)
	}
	return strings.Join(all, "\x00")
}

// write puts a finished record of an institution, class and day down.
func write(t *testing.T, j owned, inst ident.Institution, class gateway.Class, at time.Time, end gateway.EventKind, marks ...gateway.Mark) ident.MsgID {
	t.Helper()
	id, err := j.NextMsgID(bg, inst, at)
	if err != nil {
		t.Fatal(err)
	}
	r := gateway.Record{ID: id, Institution: inst, Infno: "2207", Step: "2207", Attempt: 1, CreatedAt: at, Input: []byte("input of " + id),
		State: gateway.StateSent, Marks: marks}
	e := gateway.Event{Kind: end, At: at, Data: []byte("output of " + id), Cause: gateway.CauseTimeout}
	for _, entry := range []gateway.Entry{{Record: &r, Class: class}, {Append: &gateway.Append{ID: id, Version: 1, Event: e}, Class: class}} {
		if _, err := j.Write(bg, entry); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func TestDataKeysAreByInstitutionClassAndDay(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		j, _ := under(t, place(t), testMaster)
		defer shut(t, j)
		night := time.Date(2026, 11, 23, 23, 59, 59, 0, gateway.China)
		write(t, j, testInst, "", night, gateway.EventDone)
		write(t, j, testInst, gateway.ClassSettlement, night.Add(-time.Hour), gateway.EventDone)
		write(t, j, testInst, gateway.ClassQuery, night, gateway.EventDone)
		write(t, j, "H44010000002", gateway.ClassQuery, night, gateway.EventDone)
		write(t, j, testInst, gateway.ClassSettlement, night.Add(time.Second), gateway.EventDone)
		got := column(t, j, `SELECT institution || ' ' || class || ' ' || day FROM data_key WHERE purpose = 'body' ORDER BY number`)
		want := []string{"H44010000001 settlement 2026-11-23", "H44010000001 query 2026-11-23", "H44010000002 query 2026-11-23",
			"H44010000001 settlement 2026-11-24"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("keys %v", got)
		}
		all := bodies(t, j)
		if strings.Contains(all, "put of") {
			t.Error("a body is in clear")
		}
		if err := fsckClean(j.Journal); err != nil {
			t.Error(err)
		}
	})
}

// Changing the key-encryption key touches no body, and the old one may be thrown away afterwards.
func TestRewrap(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		at := place(t)
		running, _ := under(t, at, testMaster)
		id := settleOnce(t, running.Journal, "r-1")
		before := bodies(t, running)
		if err := locked(t, at, secondMaster); !errors.Is(err, vault.ErrKeyMissing) {
			t.Fatalf("opens without its key: %v", err)
		}
		j, v := under(t, at, secondMaster, testMaster)
		later := settleOnce(t, j.Journal, "r-2")
		if n, err := v.Rewrap(bg, true); err != nil || n.Done != 2 {
			t.Errorf("dry run: %+v %v", n, err)
		}
		if err := locked(t, at, secondMaster); !errors.Is(err, vault.ErrKeyMissing) {
			t.Errorf("a dry run has wrapped keys: %v", err)
		}
		if n, err := v.Rewrap(bg, false); err != nil || n.Done != 2 || n.There != 0 {
			t.Errorf("%+v %v", n, err)
		}
		if n, err := v.Rewrap(bg, false); err != nil || n.Done != 0 || n.There != 2 {
			t.Errorf("again: %+v %v", n, err)
		}
		if !strings.HasPrefix(bodies(t, j), strings.SplitN(before, "\x00", 2)[0]) || len(bodies(t, j)) <= len(before) {
			t.Error("bodies were rewritten")
		}
		shut(t, j)
		// A gateway that runs on with the old key has its keys open and works.
		settleOnce(t, running.Journal, "r-3")
		shut(t, running)
		if err := locked(t, at, testMaster); !errors.Is(err, vault.ErrKeyMissing) {
			t.Errorf("the old key still opens: %v", err)
		}
		j, _ = under(t, at, secondMaster)
		defer shut(t, j)
		for _, id := range []ident.MsgID{id, later} {
			if r, err := j.Record(bg, id); err != nil || len(r.Input) == 0 {
				t.Error(err)
			}
		}
		if err := fsckClean(j.Journal); err != nil {
			t.Error(err)
		}
	})
}

func TestExpire(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		at := place(t)
		j, v := under(t, at, testMaster)
		day := time.Date(2020, 1, 10, 12, 0, 0, 0, gateway.China)
		mark := gateway.Mark{Kind: gateway.MarkPerson, Number: "440"}
		query := write(t, j, testInst, gateway.ClassQuery, day, gateway.EventDone, mark)
		money := write(t, j, testInst, gateway.ClassSettlement, day, gateway.EventDone, mark)
		stuck := write(t, j, "H44010000002", gateway.ClassQuery, day.AddDate(0, 0, 5), gateway.EventUnknown)
		fresh := write(t, j, testInst, gateway.ClassQuery, day.AddDate(0, 0, 40), gateway.EventDone, mark)
		before := write(t, j, "H44010000002", gateway.ClassQuery, day, gateway.EventDone)
		key := gateway.RequestKey{System: "his", ID: "q"}
		if _, err := j.Write(bg, gateway.Entry{Request: &gateway.Request{Key: key, Institution: testInst, Op: "transact", Ref: string(query), CreatedAt: day,
			Answer: []byte("an answer"), AnsweredAt: day}, Class: gateway.ClassQuery}); err != nil {
			t.Fatal(err)
		}
		keep := map[gateway.Class]int{gateway.ClassQuery: 30}
		now := day.AddDate(0, 0, 45)
		for _, dry := range []bool{true, false} {
			got, err := v.Expire(bg, now, keep, dry)
			if err != nil || len(got) != 3 {
				t.Fatalf("%+v %v", got, err)
			}
			for _, e := range got {
				// H...2's key of day 10 has only what is finished; from day 15 on something is not.
				if want := map[string]string{"H44010000001 2020-01-10": "", "H44010000002 2020-01-10": "", "H44010000002 2020-01-15": string(stuck)}[string(e.Institution)+" "+e.Day]; e.Kept != want || e.Class != gateway.ClassQuery {
					t.Errorf("%+v", e)
				}
			}
			if _, err := j.Record(bg, query); dry && err != nil || !dry && !errors.Is(err, gateway.ErrExpired) {
				t.Errorf("dry %v: %v", dry, err)
			}
		}
		r, err := j.Record(bg, query)
		if !errors.Is(err, gateway.ErrExpired) || r.ID != query || r.State != gateway.StateDone || r.Input != nil || r.Output != nil {
			t.Errorf("%+v %v", r, err)
		}
		if e, err := j.Events(bg, query); !errors.Is(err, gateway.ErrExpired) || len(e) != 2 || e[1].Kind != gateway.EventDone || e[1].Data != nil {
			t.Errorf("%+v %v", e, err)
		}
		if _, err := j.Request(bg, key); !errors.Is(err, gateway.ErrExpired) {
			t.Errorf("a request whose answer is gone: %v", err)
		}
		for _, id := range []ident.MsgID{money, stuck, fresh} {
			if r, err := j.Record(bg, id); err != nil || len(r.Input) == 0 {
				t.Errorf("%s: %v", id, err)
			}
		}
		list, err := j.List(bg, gateway.Query{})
		if !errors.Is(err, gateway.ErrExpired) || len(list) != 5 {
			t.Errorf("%d records, %v", len(list), err)
		}
		if _, err := j.List(bg, gateway.Query{Brief: true}); err != nil {
			t.Error(err)
		}
		found, err := j.List(bg, gateway.Query{Institution: testInst, Marks: []gateway.Mark{mark}, Brief: true})
		if err != nil || len(found) != 2 || found[0].ID != money || found[1].ID != fresh {
			t.Errorf("marks of what is gone: %d, %v", len(found), err)
		}
		// A late word about that day gets a key of its own.
		again := write(t, j, testInst, gateway.ClassQuery, day.Add(time.Hour), gateway.EventDone)
		if r, err := j.Record(bg, again); err != nil || len(r.Output) == 0 {
			t.Error(err)
		}
		if err := fsckClean(j.Journal); err != nil {
			t.Error(err)
		}
		if n := column(t, j, `SELECT id FROM data_key WHERE destroyed <> 0 AND wrapped IS NULL`); len(n) != 2 {
			t.Errorf("%d keys destroyed", len(n))
		}
		// It travels as it is.
		var file bytes.Buffer
		out, err := j.Export(bg, &file, newSM3(t)())
		if err != nil {
			t.Fatal(err)
		}
		dst, _ := under(t, place(t), testMaster)
		if in, err := dst.Import(bg, bytes.NewReader(file.Bytes()), newSM3(t)); err != nil || in != out || in.Keys != 7 || in.Marks != 2 {
			t.Errorf("%+v %v", in, err)
		}
		if _, err := dst.Record(bg, before); !errors.Is(err, gateway.ErrExpired) {
			t.Error(err)
		}
		shut(t, dst, j)
		if _, err := v.Expire(bg, now, map[gateway.Class]int{gateway.ClassUpload: 29}, true); err == nil {
			t.Error("29 days")
		}
	})
}

// Keys that were exchanged, cut, or taken away are noticed by name; nothing is opened with another.
func TestDamagedKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		for name, c := range map[string]struct {
			sql  string
			want error
		}{
			"taken away":           {`DELETE FROM data_key WHERE id = $1`, vault.ErrKeyLost},
			"another one's":        {`UPDATE data_key SET wrapped = (SELECT k.wrapped FROM data_key k WHERE k.purpose = 'body' AND k.id <> $1) WHERE id = $1`, vault.ErrKeyLost},
			"another institution":  {`UPDATE data_key SET institution = 'H44010000009' WHERE id = $1`, vault.ErrKeyLost},
			"another day":          {`UPDATE data_key SET day = '2020-01-11' WHERE id = $1`, vault.ErrKeyLost},
			"another wrapper":      {`UPDATE data_key SET wrapper = '0011223344556677' WHERE id = $1`, vault.ErrKeyMissing},
			"cut":                  {`UPDATE data_key SET wrapped = $2 WHERE id = $1`, vault.ErrKeyLost},
			"another kind of key":  {`UPDATE data_key SET purpose = 'master' WHERE id = $1`, vault.ErrKeyLost},
			"destroyed by a third": {`UPDATE data_key SET wrapped = NULL, destroyed = 1 WHERE id = $1`, gateway.ErrExpired},
		} {
			t.Run(name, func(t *testing.T) {
				at := place(t)
				day := time.Date(2020, 1, 10, 12, 0, 0, 0, gateway.China)
				j, _ := under(t, at, testMaster)
				id := write(t, j, testInst, gateway.ClassQuery, day, gateway.EventDone)
				write(t, j, testInst, gateway.ClassUpload, day, gateway.EventDone)
				key := column(t, j, `SELECT id FROM data_key WHERE class = 'query'`)[0]
				args := []any{key}
				if strings.Contains(c.sql, "$2") {
					args = append(args, []byte{1, 2, 3})
				}
				change(t, j, c.sql, args...)
				shut(t, j)
				j, _ = under(t, at, testMaster)
				defer shut(t, j)
				if _, err := j.Record(bg, id); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		}
	})
}

// A journal written by the program before data keys: its file, and its export.
func TestOlderJournal(t *testing.T) {
	file := func(t *testing.T) string {
		t.Helper()
		f, err := os.Open("testdata/before-data-keys.db.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "old.db")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	look := func(t *testing.T, j owned, records int) {
		t.Helper()
		list, err := j.List(bg, gateway.Query{})
		if err != nil || len(list) != records {
			t.Fatalf("%d records, %v", len(list), err)
		}
		for _, r := range list[:3] {
			if len(r.Input) != 1500 || len(r.Output) != 1200 || string(r.Wire) != "wire" {
				t.Errorf("%s does not open", r.ID)
			}
		}
		if q, err := j.Request(bg, gateway.RequestKey{System: "his", ID: "r-1"}); err != nil || len(q.Answer) == 0 {
			t.Error(err)
		}
		if err := fsckClean(j.Journal); err != nil {
			t.Error(err)
		}
	}
	t.Run("file", func(t *testing.T) {
		path := file(t)
		if err := locked(t, path, secondMaster); !errors.Is(err, vault.ErrKeyMissing) {
			t.Fatalf("taken over with another key: %v", err)
		}
		j, v := under(t, path, testMaster)
		look(t, j, 3)
		settleOnce(t, j.Journal, "new")
		// What was digested before is recognised.
		s := v.Digest([]byte("a"), []byte("b"))
		shut(t, j)
		j, v = under(t, path, secondMaster, testMaster)
		if n, err := v.Rewrap(bg, false); err != nil || n.Done != 3 {
			t.Errorf("%+v %v", n, err)
		}
		shut(t, j)
		j, v = under(t, path, secondMaster)
		defer shut(t, j)
		look(t, j, 4)
		if v.Digest([]byte("a"), []byte("b")) != s {
			t.Error("digests changed with the key that wraps")
		}
		// Its master is destroyed with the longest of the retentions, and not before every class has one.
		old := testNow.AddDate(1, 0, 0)
		if got, err := v.Expire(bg, old, map[gateway.Class]int{gateway.ClassQuery: 30, gateway.ClassUpload: 30}, false); err != nil || len(got) != 0 {
			t.Errorf("%+v %v", got, err)
		}
		if got, err := v.Expire(bg, old, map[gateway.Class]int{gateway.ClassQuery: 30, gateway.ClassUpload: 30, gateway.ClassInvoice: 30, gateway.ClassSettlement: 60}, false); err != nil || len(got) != 2 {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := j.Request(bg, gateway.RequestKey{System: "his", ID: "r-1"}); !errors.Is(err, gateway.ErrExpired) {
			t.Error(err)
		}
	})
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		text, err := os.ReadFile("testdata/before-data-keys.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		at := place(t)
		j, _ := under(t, at, secondMaster)
		if _, err := j.Import(bg, bytes.NewReader(text), newSM3(t)); err == nil {
			t.Fatal("imported with another key")
		}
		settled := func() { settleOnce(t, j.Journal, "new") }
		shut(t, j)
		j, v := under(t, place(t), testMaster)
		defer shut(t, j)
		in, err := j.Import(bg, bytes.NewReader(text), newSM3(t))
		if err != nil || in.Records != 3 {
			t.Fatalf("%+v %v", in, err)
		}
		look(t, j, 3)
		settled()
		look(t, j, 4)
		if got, err := v.Expire(bg, testNow.AddDate(0, 0, 50), map[gateway.Class]int{gateway.ClassQuery: 30, gateway.ClassUpload: 30, gateway.ClassInvoice: 30, gateway.ClassSettlement: 60}, true); err != nil || len(got) != 0 {
			t.Errorf("an imported master expires early: %+v %v", got, err)
		}
	})
}

// A key that could not be made durable seals nothing.
func TestNoKeyNoBody(t *testing.T) {
	j, _ := under(t, filepath.Join(t.TempDir(), "j.db"), testMaster)
	defer shut(t, j)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	id, err := j.NextMsgID(bg, testInst, testNow)
	if err != nil {
		t.Fatal(err)
	}
	e := sentEntry(id, gateway.RequestKey{System: "his", ID: "x"}, testNow)
	if _, err := j.Write(ctx, e); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := column(t, j, `SELECT id FROM data_key WHERE purpose = 'body'`); len(n) != 0 {
		t.Error("a key of nothing")
	}
}

func TestDrawer(t *testing.T) {
	j, v := under(t, filepath.Join(t.TempDir(), "j.db"), testMaster)
	defer shut(t, j)
	day := time.Date(2020, 1, 10, 12, 0, 0, 0, gateway.China)
	d := v.Drawer(gateway.ClassInvoice, func() time.Time { return day })
	sealed, err := d.Seal(nil, "draft 1", []byte("invoice"))
	if err != nil || bytes.Contains(sealed, []byte("invoice")) {
		t.Fatal(err)
	}
	if got, err := d.Open("draft 1", sealed); err != nil || string(got) != "invoice" {
		t.Error(err)
	}
	if _, err := d.Open("draft 2", sealed); err == nil {
		t.Error("opens under another name")
	}
	if got, err := v.Expire(bg, day.AddDate(1, 0, 0), map[gateway.Class]int{gateway.ClassInvoice: 30}, false); err != nil || len(got) != 1 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := d.Open("draft 1", sealed); !errors.Is(err, gateway.ErrExpired) {
		t.Error(err)
	}
}

// device is a key in an HSM that may be away.
type device struct {
	keys.Private
	away bool
}

func (d *device) Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error) {
	if d.away {
		return sm.Signature{}, keys.ErrDevice
	}
	return d.Private.Sign(rand, uid, msg)
}

func (d *device) Decrypt(text []byte, o sm.Order) ([]byte, error) {
	if d.away {
		return nil, keys.ErrDevice
	}
	return d.Private.Decrypt(text, o)
}

// The journal key may live in a device. While it is away what is open stays open, and what would
// need a new data key is not accepted.
func TestJournalKeyInADevice(t *testing.T) {
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	k, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	in, err := keys.Soft(p, k)
	if err != nil {
		t.Fatal(err)
	}
	dev := &device{Private: in}
	w, err := keys.NewDeviceWrapper(p, dev)
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "j.db")
	open := func() (owned, *vault.Vault, error) {
		db, err := store.Open(bg, store.Options{Path: at, Sync: "off"})
		if err != nil {
			t.Fatal(err)
		}
		v, err := vault.Open(bg, db, vault.Options{Provider: p, Wrappers: []keys.Wrapper{w}})
		if err != nil {
			return owned{}, nil, errors.Join(err, db.Close())
		}
		j, err := Open(db, Options{Sealer: v})
		return owned{j, db}, v, err
	}
	j, _, err := open()
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 11, 23, 12, 0, 0, 0, gateway.China)
	id := write(t, j, testInst, "", day, gateway.EventDone)
	dev.away = true
	write(t, j, testInst, "", day, gateway.EventDone)
	if r, err := j.Record(bg, id); err != nil || len(r.Input) == 0 {
		t.Error(err)
	}
	next, err := j.NextMsgID(bg, testInst, day.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	e := gateway.Entry{Record: &gateway.Record{ID: next, Institution: testInst, Infno: "2207", Step: "2207", Attempt: 1, CreatedAt: day.AddDate(0, 0, 1),
		Input: []byte("i"), State: gateway.StateSent}}
	if _, err := j.Write(bg, e); !errors.Is(err, gateway.ErrStorage) || !errors.Is(err, keys.ErrDevice) {
		t.Errorf("a new day without the device: %v", err)
	}
	if _, err := j.Record(bg, next); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("something was written: %v", err)
	}
	shut(t, j)
	if _, _, err := open(); !errors.Is(err, keys.ErrDevice) {
		t.Errorf("opens without the device: %v", err)
	}
	dev.away = false
	if j, _, err = open(); err != nil {
		t.Fatal(err)
	}
	defer shut(t, j)
	if _, err := j.Write(bg, e); err != nil {
		t.Error(err)
	}
	if err := fsckClean(j.Journal); err != nil {
		t.Error(err)
	}
}

// Many writers of two processes need the first key of a day at once: there is one, and each opens
// what the other sealed.
func TestOneKeyForManyWriters(t *testing.T) {
	onBoth(t, func(t *testing.T, place func(*testing.T) string) {
		at := place(t)
		a, va := under(t, at, testMaster)
		b, vb := under(t, at, testMaster)
		defer shut(t, b, a)
		day := time.Date(2026, 11, 23, 12, 0, 0, 0, gateway.China)
		sealed := make([][]byte, 32)
		var wg sync.WaitGroup
		for i := range sealed {
			wg.Go(func() {
				v := []*vault.Vault{va, vb}[i%2]
				var err error
				if sealed[i], err = v.Seal(bg, vault.Scope{Institution: testInst, At: day}, "x", []byte("body")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := column(t, a, `SELECT id FROM data_key WHERE purpose = 'body'`); len(n) != 1 {
			t.Errorf("%d keys", len(n))
		}
		for i, s := range sealed {
			if got, err := []*vault.Vault{vb, va}[i%2].Open(bg, "x", s); err != nil || string(got) != "body" {
				t.Errorf("%d: %v", i, err)
			}
		}
		if va.Digest([]byte("a")) != vb.Digest([]byte("a")) {
			t.Error("two keys of digests")
		}
	})
}
