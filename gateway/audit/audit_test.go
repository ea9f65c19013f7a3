package audit

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

var servers storetest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}

var (
	bg = context.Background()
	t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, gateway.China)
)

// site is a gateway's database, journal and record.
type site struct {
	*Log
	t     testing.TB
	db    *store.DB
	j     *journal.Journal
	p     sm.Provider
	key   *sm.PrivateKey
	clock *gatewaytest.Clock
	heads []SignedHead
}

// each runs a test on both kinds of database.
func each(t *testing.T, f func(*testing.T, store.Options)) {
	t.Run("sqlite", func(t *testing.T) { f(t, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Sync: "off"}) })
	t.Run("postgres", func(t *testing.T) { f(t, store.Options{DSN: servers.Schema(t), Sync: "off"}) })
}

func open(t testing.TB, o store.Options, name string, sign bool) *site {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	key, err := sm.GenerateKey(bytes.NewReader(bytes.Repeat([]byte("audit key "), 4)))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(bg, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, p: p, key: key, clock: gatewaytest.NewClock(t0)}
	sealer := testVault(t, db, p)
	ao := Options{DB: db, Name: name, SM3: p.SM3, Clock: s.clock, Secret: sealer.Digest([]byte("audit")), Rand: rand.Reader,
		Publish: func(h SignedHead) error { s.heads = append(s.heads, h); return nil }}
	if sign {
		if ao.Signer, err = keys.Soft(p, key); err != nil {
			t.Fatal(err)
		}
	}
	if s.Log, err = Open(ao); err != nil {
		t.Fatal(err)
	}
	if s.j, err = journal.Open(db, journal.Options{Sealer: sealer, Audit: s.Log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func testVault(t testing.TB, db *store.DB, p sm.Provider) *vault.Vault {
	t.Helper()
	w, err := keys.NewSealer(p, []byte("0123456789abcdefFEDCBA9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(bg, db, vault.Options{Provider: p, Wrappers: []keys.Wrapper{w}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

func (s *site) close() {
	if err := errors.Join(s.j.Close(), s.db.Close()); err != nil {
		s.t.Error(err)
	}
}

const inst = ident.Institution("H44010000001")

// settle writes one settlement: request, bill and record, its end and the answer.
func (s *site) settle() ident.MsgID {
	s.t.Helper()
	id, err := s.j.NextMsgID(bg, inst, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	key := gateway.RequestKey{System: "his-main", ID: "R" + string(id)}
	now := s.clock.Now()
	rec := &gateway.Record{ID: id, Institution: inst, Infno: "2207", Request: key, Step: "2207", Attempt: 1, Bill: "B" + string(id),
		Operator: gateway.Operator{ID: "opr-007", Name: "张收费", Type: "1"}, CreatedAt: now, State: gateway.StateSent,
		Input: []byte(`{"data":{"psn_no":"440100001","mdtrt_cert_no":"999999198503120018"}}`), WireDigest: [32]byte{1}}
	_, err = s.j.Write(bg, gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: [32]byte{2}, Op: "settlement.confirm", Institution: inst, Ref: rec.Bill, CreatedAt: now},
		Bill:    &gateway.Bill{ID: rec.Bill, Institution: inst, System: "his-main", CreatedAt: now, Body: []byte(`{"total":"10.00"}`)},
		Record:  rec,
	})
	if err == nil {
		_, err = s.j.Write(bg, gateway.Entry{
			Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: now, Data: []byte(`{"setlinfo":{"setl_id":"S1","psn_name":"测试甲"}}`)}},
			Answer: &gateway.Answer{Key: key, Body: []byte(`{"state":"settled"}`), At: now},
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *site) verify(outside ...SignedHead) Report {
	s.t.Helper()
	r, err := Verify(bg, VerifyOptions{DB: s.db, Provider: s.p, Keys: []*sm.PublicKey{s.key.Public()}, Outside: outside, Journal: s.j, Items: s.Log})
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *site) head() SignedHead {
	s.t.Helper()
	h, _, err := s.Head(bg)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// force does what the database forbids.
func (s *site) force(statements ...string) {
	s.t.Helper()
	err := s.db.Do(bg, func(tx *store.Tx) error {
		for _, q := range statements {
			if _, err := tx.Exec(q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// unlock takes the triggers away.
func (s *site) unlock(postgres bool) {
	for table, triggers := range map[string][]string{
		"audit_entry": {"audit_entry_fixed", "audit_entry_kept"}, "audit_head": {"audit_head_fixed", "audit_head_kept"}, "event": {"event_fixed", "event_kept"},
		"record": {"record_kept"}, "request": {"request_kept"},
	} {
		for _, name := range triggers {
			if postgres {
				s.force("DROP TRIGGER " + name + " ON " + table)
			} else {
				s.force("DROP TRIGGER " + name)
			}
		}
	}
}

func kinds(r Report) string {
	var list []string
	for _, f := range r.Findings {
		list = append(list, fmt.Sprintf("%s %d-%d", f.Kind, f.Seq, f.To))
	}
	return strings.Join(list, "; ")
}

func TestRecordIsWholeAndConfirmed(t *testing.T) {
	each(t, func(t *testing.T, o store.Options) {
		s := open(t, o, "gw1", true)
		for range 10 {
			s.settle()
		}
		if err := s.Note(bg, Act{Who: "person:li", What: "sign-in", Ref: "li", Detail: "a\tb\nc"}); err != nil {
			t.Fatal(err)
		}
		first := s.head()
		again, fresh, err := s.Head(bg)
		if err != nil || fresh || again.Text != first.Text || !bytes.Equal(again.Signature, first.Signature) {
			t.Fatal("a head although nothing is new", err)
		}
		s.settle()
		s.head()
		r := s.verify(first)
		if len(r.Findings) > 0 || r.Held != 11*5 || r.Heads != 2 || r.Outside != 1 || r.Older != 0 {
			t.Fatalf("%+v", r)
		}
		var entries, signed int64
		for _, c := range r.Chains {
			entries, signed = entries+c.Entries, signed+c.SignedTo
		}
		if entries == 0 || entries != signed {
			t.Fatalf("%d entries, %d signed", entries, signed)
		}
	})
}

func TestNothingPersonalStandsInTheRecord(t *testing.T) {
	s := open(t, store.Options{Path: filepath.Join(t.TempDir(), "a.db")}, "gw1", true)
	s.settle()
	rows, err := s.db.Query(bg, "SELECT lines FROM audit_entry")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"张收费", "opr-007", "测试甲", "999999198503120018", "440100001", "RH4401"} {
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%q stands in the record: %s", secret, b)
			}
		}
	}
}

func TestTamperingIsFound(t *testing.T) {
	const one = "(SELECT MIN(place) FROM audit_entry)"
	for _, c := range []struct {
		name  string
		after func(s *site) // done with the triggers gone
		want  string        // prefix of a finding
		seq   int64
	}{
		{"lines of an entry changed", func(s *site) {
			s.force("UPDATE audit_entry SET lines = (SELECT lines FROM audit_entry WHERE place = " + one + "+4) WHERE place = " + one + "+5")
		}, FoundChanged, 6},
		{"time changed", func(s *site) { s.force("UPDATE audit_entry SET at = at + 1 WHERE place = " + one + "+5") }, FoundChanged, 6},
		{"entry removed", func(s *site) { s.force("DELETE FROM audit_entry WHERE place = " + one + "+5") }, FoundRemoved, 6},
		{"two entries exchanged", func(s *site) {
			s.force("UPDATE audit_entry SET place = -1 WHERE place = "+one+"+5", "UPDATE audit_entry SET place = "+"(SELECT MIN(place) FROM audit_entry WHERE place > 0)+5 WHERE place = (SELECT MIN(place) FROM audit_entry WHERE place > 0)+6",
				"UPDATE audit_entry SET place = (SELECT MIN(place) FROM audit_entry WHERE place > 0)+6 WHERE place = -1")
		}, FoundMoved, 6},
		{"end cut off", func(s *site) { s.force("DELETE FROM audit_entry WHERE place >= " + one + "+10") }, FoundCut, 11},
		{"entry removed and the rest moved up", func(s *site) {
			s.force("DELETE FROM audit_entry WHERE place = " + one + "+5")
			for i := 6; i <= 8; i++ {
				s.force(fmt.Sprintf("UPDATE audit_entry SET place = place-1 WHERE place = %s+%d", one, i))
			}
		}, FoundMoved, 6},
		{"everything written anew from an entry on", func(s *site) { s.rewrite(6) }, FoundRewritten, 1},
		{"heads removed", func(s *site) { s.force("DELETE FROM audit_head WHERE number = (SELECT MIN(number) FROM audit_head)") }, FoundHead, 0},
		{"head changed", func(s *site) {
			s.force("UPDATE audit_head SET text = (SELECT text FROM audit_head ORDER BY number LIMIT 1) WHERE number = (SELECT MAX(number) FROM audit_head)")
		}, FoundHead, 0},
		{"cause of an event changed", func(s *site) { s.force("UPDATE event SET cause = 'adopted' WHERE kind = 'done'") }, FoundDiffers, 0},
		{"operator of a record changed", func(s *site) { s.force("UPDATE record SET operator = 'opr-008'") }, FoundDiffers, 0},
		{"event removed", func(s *site) {
			s.force("DELETE FROM event WHERE place = (SELECT MAX(place) FROM event)")
		}, FoundMissing, 0},
		{"record added beside the gateway", func(s *site) {
			s.force(`INSERT INTO record (id, institution, infno, request, step, attempt, bill, visit, operator, operator_name, operator_type, digest, created, queued, born, state, version, updated, cause, live)
				SELECT 'H44010000001202611230900009999', institution, infno, NULL, step, attempt, bill, visit, operator, operator_name, operator_type, digest, created, queued, 0, 'prepared', 0, updated, cause, 1 FROM record LIMIT 1`)
		}, FoundNotAudited, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, o store.Options) {
				o.Writers = 1
				s := open(t, o, "gw1", true)
				for range 5 {
					s.settle()
				}
				s.head()
				s.settle()
				s.head()
				if r := s.verify(); len(r.Findings) > 0 {
					t.Fatal(kinds(r))
				}
				s.unlock(o.DSN != "")
				c.after(s)
				r := s.verify()
				for _, f := range r.Findings {
					if f.Kind == c.want && (c.seq == 0 || f.Seq == c.seq) && f.ZH != "" && f.EN != "" {
						return
					}
				}
				t.Fatalf("want %s at %d, found %q", c.want, c.seq, kinds(r))
			})
		})
	}
}

// rewrite does what somebody with the whole database and this program can do: the chain is calculated
// anew, without a trace within itself.
func (s *site) rewrite(from int64) {
	s.t.Helper()
	type row struct {
		e     Entry
		place int64
		lines []byte
	}
	rows, err := s.db.Query(bg, "SELECT place, at, prev, hash, lines FROM audit_entry ORDER BY place")
	if err != nil {
		s.t.Fatal(err)
	}
	var list []row
	for rows.Next() {
		var r row
		var prev, hash []byte
		if err := rows.Scan(&r.place, &r.e.At, &prev, &hash, &r.lines); err != nil {
			s.t.Fatal(err)
		}
		copy(r.e.Prev[:], prev)
		copy(r.e.Hash[:], hash)
		r.e.Chain, r.e.Seq = "gw1/0", r.place%entriesPerChain
		list = append(list, r)
	}
	if err := rows.Close(); err != nil {
		s.t.Fatal(err)
	}
	for i := range list {
		r := &list[i]
		if r.e.Seq < from {
			continue
		}
		if r.e.Seq == from {
			r.e.At++
		}
		r.e.Prev = list[i-1].e.Hash
		r.e.LinesHash = linesHash(s.p.SM3, r.lines)
		r.e.Hash = r.e.hash(s.p.SM3)
		s.force(fmt.Sprintf("UPDATE audit_entry SET at = %d WHERE place = %d", r.e.At, r.place))
		err := s.db.Do(bg, func(tx *store.Tx) error {
			_, err := tx.Exec("UPDATE audit_entry SET prev = $1, hash = $2 WHERE place = $3", r.e.Prev[:], r.e.Hash[:], r.place)
			return err
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestACopyOfAHeadShowsWhatTheDatabaseHides(t *testing.T) {
	s := open(t, store.Options{Path: filepath.Join(t.TempDir(), "a.db")}, "gw1", true)
	for range 3 {
		s.settle()
	}
	kept := s.head()
	s.unlock(false)
	// The end is cut off together with every head, and the journal is cut to match.
	s.force("DELETE FROM audit_head", "DELETE FROM audit_entry WHERE place % 1099511627776 > 4")
	r, err := Verify(bg, VerifyOptions{DB: s.db, Provider: s.p, Keys: []*sm.PublicKey{s.key.Public()}})
	if err != nil || len(r.Findings) != 0 {
		t.Fatal(err, kinds(r))
	}
	r, err = Verify(bg, VerifyOptions{DB: s.db, Provider: s.p, Keys: []*sm.PublicKey{s.key.Public()}, Outside: []SignedHead{kept}})
	if err != nil || !strings.Contains(kinds(r), FoundCut+" 5-") || !strings.Contains(kinds(r), FoundNoHead) {
		t.Fatal(err, kinds(r))
	}
	// A head of somebody else proves nothing and says so.
	other, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err = Verify(bg, VerifyOptions{DB: s.db, Provider: s.p, Keys: []*sm.PublicKey{other.Public()}, Outside: []SignedHead{kept}})
	if err != nil || !strings.Contains(kinds(r), FoundHead) || r.Outside != 0 {
		t.Fatal(err, kinds(r))
	}
}

// Several processes, one of them under a name that is taken, and a rollback in between.
func TestChainsOfManyWriters(t *testing.T) {
	each(t, func(t *testing.T, o store.Options) {
		a, b, c := open(t, o, "gw1", true), open(t, o, "gw1", true), open(t, o, "gw2", true)
		var wg sync.WaitGroup
		for _, s := range []*site{a, b, c} {
			wg.Go(func() {
				for i := range 30 {
					if i%7 == 3 { // one that is undone after the ledger
						_ = s.db.Do(bg, func(tx *store.Tx) error {
							s.NoteIn(tx, Act{Who: "x", What: "undone"})
							if _, err := tx.Exec("UPDATE audit_chain SET name = name"); err != nil {
								return err
							}
							return errors.New("no")
						})
					}
					s.settle()
					if i%10 == 9 {
						if _, _, err := s.Head(bg); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		c.head()
		a.head()
		r := b.verify(append(a.heads, c.heads...)...)
		if len(r.Findings) > 0 || r.Held != 3*30*5 {
			t.Fatalf("%s; held %d", kinds(r), r.Held)
		}
	})
}

func TestARecordThatBeginsLate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	s := open(t, store.Options{Path: path}, "gw1", false)
	s.settle()
	s.unlock(false)
	s.force("DELETE FROM audit_entry", "DELETE FROM audit_chain")
	s.Undone(0)
	if err := s.Note(bg, Act{Who: "yiqiao", What: "start"}); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if r := s.verify(); len(r.Findings) > 0 || r.Older != 5 || r.Held != 5 {
		t.Fatalf("%+v", r)
	}
	if _, _, err := s.Head(bg); !errors.Is(err, ErrNoSigner) {
		t.Fatal(err)
	}
}

func TestSettlingCostsNoFlushOfItsOwn(t *testing.T) {
	flushes := func(audit bool) int64 {
		db, err := store.Open(bg, store.Options{Path: filepath.Join(t.TempDir(), "a.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		p, err := sm.New("")
		if err != nil {
			t.Fatal(err)
		}
		sealer := testVault(t, db, p)
		s := &site{t: t, db: db, p: p, clock: gatewaytest.NewClock(t0)}
		jo := journal.Options{Sealer: sealer}
		if audit {
			if s.Log, err = Open(Options{DB: db, Name: "gw", SM3: p.SM3, Clock: s.clock}); err != nil {
				t.Fatal(err)
			}
			jo.Audit = s.Log
		}
		if s.j, err = journal.Open(db, jo); err != nil {
			t.Fatal(err)
		}
		before := db.Stats().Commits
		for range 10 {
			s.settle()
		}
		return db.Stats().Commits - before
	}
	if with, without := flushes(true), flushes(false); with != without {
		t.Fatalf("%d commits with the record, %d without", with, without)
	}
}

func FuzzParseLine(f *testing.F) {
	f.Add("event\t1790000000000\tyiqiao\tdone\tH1#2\tc:AAAA\n")
	f.Add("act\t1\t-\t-\t-\tt:\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := ParseLine(text)
		if err == nil && (strings.ContainsAny(l.Ref, "\t") || l.Kind == "") {
			t.Fatalf("%q", l)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	h := Head{Gateway: "g", Number: 1, At: t0, Key: "k", Chains: []Reach{{Chain: "g/0", From: 1, To: 2}}, Saw: []Reach{{Chain: "h/0", To: 1}}}
	f.Add(h.text())
	f.Fuzz(func(t *testing.T, text string) {
		if h, err := ParseHead(text); err == nil && h.text() != text {
			t.Fatal("another text has the same meaning")
		}
	})
}

func TestTreePaths(t *testing.T) {
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 20; n++ {
		list := make([][32]byte, n)
		for i := range list {
			list[i] = p.SM3([]byte{byte(i)})
		}
		root := treeRoot(p.SM3, list)
		for i := range list {
			path := treePath(p.SM3, list, i)
			if got, ok := treeClimb(p.SM3, list[i], i, n, path); !ok || got != root {
				t.Fatalf("leaf %d of %d", i, n)
			}
			if got, ok := treeClimb(p.SM3, list[i], (i+1)%n, n, path); n > 1 && ok && got == root {
				t.Fatalf("leaf %d of %d climbs from another place", i, n)
			}
			if len(path) > 0 {
				if _, ok := treeClimb(p.SM3, list[i], i, n, path[1:]); ok {
					t.Fatal("a short path")
				}
			}
		}
	}
}

// The end of the record is looked at in a few steps however long it is: what was changed there is found, what was
// changed before it is not, and a sound one is called so.
func TestTheEndOfTheRecord(t *testing.T) {
	const last = "(SELECT MAX(place) FROM audit_entry)"
	for _, c := range []struct {
		name   string
		change string
		n      int
		want   string
	}{
		{"sound", "", 20, ""},
		{"lines changed", "UPDATE audit_entry SET lines = (SELECT lines FROM audit_entry WHERE place = " + last + "-2) WHERE place = " + last + "-1", 20, FoundChanged},
		{"removed", "DELETE FROM audit_entry WHERE place = " + last + "-1", 20, FoundRemoved},
		{"cut off", "DELETE FROM audit_entry WHERE place >= " + last + "-1", 20, FoundCut},
		{"no line", "UPDATE audit_entry SET lines = CAST('x' AS %s) WHERE place = " + last, 20, FoundChanged},
		{"head changed", "UPDATE audit_head SET text = (SELECT text FROM audit_head ORDER BY number LIMIT 1) WHERE number = (SELECT MAX(number) FROM audit_head)", 20, FoundHead},
		{"before the end", "UPDATE audit_entry SET at = at + 1 WHERE place = (SELECT MIN(place) FROM audit_entry)", 3, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, o store.Options) {
				o.Writers = 1
				s := open(t, o, "gw1", true)
				s.settle()
				s.head()
				id := s.settle()
				s.head()
				if c.change != "" {
					s.unlock(o.DSN != "")
					bytes := "BLOB"
					if o.DSN != "" {
						bytes = "BYTEA"
					}
					s.force(strings.ReplaceAll(c.change, "%s", bytes))
				}
				r, err := Last(bg, s.db, s.p, []*sm.PublicKey{s.key.Public()}, c.n)
				if err != nil || len(r.Chains) != 1 || r.Entries == 0 || r.Entries > c.n {
					t.Fatalf("%+v %v", r, err)
				}
				if got := r.Chains[0].Found; got != c.want || r.Sound() != (c.want == "") {
					t.Fatalf("found %q, want %q", got, c.want)
				}
				if c.want != "" {
					return
				}
				if k := r.Chains[0]; r.Heads != 1 || k.SignedTo != k.Entries || k.Entries == 0 || r.Lines[0].At.Before(r.Lines[len(r.Lines)-1].At) {
					t.Errorf("%+v", r)
				}
				if !slices.ContainsFunc(r.Lines, func(l Line) bool { return strings.HasPrefix(l.Ref, string(id)) }) {
					t.Errorf("nothing of %s: %+v", id, r.Lines)
				}
				if r, err := Last(bg, s.db, s.p, nil, c.n); err != nil || !r.Sound() || r.Heads != 0 {
					t.Errorf("without a key: %+v %v", r, err)
				}
			})
		})
	}
}
