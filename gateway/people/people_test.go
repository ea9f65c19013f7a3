package people

import (
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

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/store"
	"yiqiao/gateway/store/storetest"
	"yiqiao/schemas/ident"
)

var bg = context.Background()

var servers storetest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var dawn = time.Date(2026, 3, 2, 8, 30, 0, 0, gateway.China)

// clock may go back, too.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Sleep(context.Context, time.Duration) error { panic("nothing sleeps here") }

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	hospitalA = ident.Institution("H44010000001")
	hospitalB = ident.Institution("H44010000002")
)

// site is a register on a database with a real audit record.
type site struct {
	*Register
	t     *testing.T
	db    *store.DB
	log   *audit.Log
	clock *clock
}

func open(t *testing.T, so store.Options, o Options) *site {
	t.Helper()
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(bg, so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := &site{t: t, db: db, clock: &clock{now: dawn}}
	if s.log, err = audit.Open(audit.Options{DB: db, Name: "gateway", SM3: p.SM3, Clock: s.clock}); err != nil {
		t.Fatal(err)
	}
	o.DB, o.Audit, o.Clock, o.Digest, o.Rand = db, s.log, s.clock, p.SM3, rand.Reader
	o.Institutions = []ident.Institution{hospitalA, hospitalB}
	if o.Cost == (Cost{}) {
		o.Cost = Cost{MemoryKiB: 19 << 10, Passes: 2}
	}
	if s.Register, err = New(o); err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T) store.Options {
	return store.Options{Path: filepath.Join(t.TempDir(), "j.db"), Sync: "off", MinFree: -1}
}

// everywhereOptions are the databases a test is run on.
func stores(t *testing.T, run func(t *testing.T, so store.Options)) {
	t.Run("sqlite", func(t *testing.T) { run(t, file(t)) })
	t.Run("postgres", func(t *testing.T) { run(t, store.Options{DSN: servers.Schema(t)}) })
}

// acts are the acts in the audit record: "who what ref detail".
func (s *site) acts() (list []string) {
	s.t.Helper()
	rows, err := s.db.Query(bg, `SELECT lines FROM audit_entry ORDER BY place`)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var b []byte
		if err := rows.Scan(&b); err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			l, err := audit.ParseLine(line)
			if err != nil {
				s.t.Fatal(err)
			}
			if l.Kind == "act" {
				list = append(list, strings.TrimSpace(strings.Join([]string{l.Who, l.What, l.Ref, strings.TrimPrefix(l.Seal, "t:")}, " ")))
			}
		}
	}
	return list
}

func code(err error) gateway.Code {
	var e *gateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	if err != nil {
		return gateway.Code("?" + err.Error())
	}
	return ""
}

func (s *site) want(err error, c gateway.Code) {
	s.t.Helper()
	if code(err) != c {
		s.t.Fatalf("got %v, want %s", err, c)
	}
}

const (
	given  = "first-given-Zz-81"
	chosen = "马到成功的第二个口令"
)

// add makes an account whose password is chosen already.
func (s *site) add(id string, roles ...string) {
	s.t.Helper()
	d := Draft{ID: id, Name: "某人" + id, Roles: roles, Everywhere: true, Password: given}
	if _, _, err := s.Add(bg, "os:test", d); err != nil {
		s.t.Fatal(err)
	}
	_, token, err := s.SignIn(bg, gateway.SignIn{ID: id, Password: given, From: "10.0.0.1:1"})
	if err != nil {
		s.t.Fatal(err)
	}
	if _, _, err := s.ChangePassword(bg, token, given, chosen, "10.0.0.1:1"); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) in(id, password string) (gateway.Visitor, string, error) {
	return s.SignIn(bg, gateway.SignIn{ID: id, Password: password, From: "10.0.0.9:5"})
}

func TestLife(t *testing.T) {
	stores(t, func(t *testing.T, so store.Options) {
		s := open(t, so, Options{})
		if any, err := s.Any(bg); any || err != nil {
			t.Fatal(any, err)
		}
		_, _, err := s.Add(bg, "os:root", Draft{ID: "li", Name: "李", Roles: []string{"cashier"}, Institutions: []ident.Institution{hospitalA}})
		s.want(err, gateway.CodeLastAdministrator) // the first must be able to make a second
		_, made, err := s.Add(bg, "os:root", Draft{ID: "Wang", Name: "王管理", Roles: []string{Administrator}, Everywhere: true})
		if err != nil || len(made) < 16 {
			t.Fatal(made, err)
		}
		_, _, err = s.Add(bg, "os:root", Draft{ID: "WANG", Name: "另一个王", Roles: []string{"cashier"}, Everywhere: true})
		s.want(err, gateway.CodeState)

		v, token, err := s.in("wANG", made)
		if err != nil || !v.MustChange || v.ID != "wang" || !v.Everywhere {
			t.Fatalf("%+v %v", v, err)
		}
		s.want(v.May(gateway.ActPeopleManage), gateway.CodePasswordChange)
		for _, bad := range []string{"short", made, "wang-12345-xx", "password2026!", "1234567890", "Qwertyuiop1", "aaaaaaaaaaab", strings.Repeat("长", 200), "ＷＡＮＧ-very-secret"} {
			_, _, err := s.ChangePassword(bg, token, made, bad, "10.0.0.9:5")
			s.want(err, gateway.CodePasswordRefused)
		}
		v2, fresh, err := s.ChangePassword(bg, token, made, "风调雨顺-2-国泰民安", "10.0.0.9:5")
		if err != nil || v2.MustChange || fresh == token || v2.May(gateway.ActPeopleManage) != nil {
			t.Fatalf("%+v %v", v2, err)
		}
		_, err = s.WhoIs(bg, token)
		s.want(err, gateway.CodeSessionNeeded) // a session made with the given password is over
		if got, err := s.WhoIs(bg, fresh); err != nil || got.ID != "wang" || got.Name != "王管理" {
			t.Fatalf("%+v %v", got, err)
		}
		s.want(v2.May(gateway.ActReviewDecide), gateway.CodeNotPermitted)

		// A wide form of the same characters, as an input method may give it, is the same password.
		if _, _, err := s.in("wang", "风调雨顺－２－国泰民安"); err != nil {
			t.Fatal(err)
		}
		if err := s.SignOut(bg, fresh); err != nil {
			t.Fatal(err)
		}
		_, err = s.WhoIs(bg, fresh)
		s.want(err, gateway.CodeSessionNeeded)
		if err := s.SignOut(bg, fresh); err != nil {
			t.Fatal(err)
		}
		want := []string{"os:root people.add person:wang roles=administrator institutions=*", "person:wang sign-in -", "person:wang password -", "person:wang sign-in -", "person:wang sign-out -"}
		got := s.acts() // each connection writes a chain of its own
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

// One answer and the same work, whatever the reason; and the audit record has the reason.
func TestNobodyLearnsWhoIsThere(t *testing.T) {
	s := open(t, file(t), Options{Tries: 3})
	s.add("admin", Administrator)
	s.add("li", "cashier")
	s.add("gone", "cashier")
	if _, err := s.Disable(bg, "os:test", "gone"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _, err := s.in("li", "wrong password here")
		s.want(err, gateway.CodeLoginRefused)
	}
	before := len(s.acts())
	var answers []string
	for _, c := range []struct{ id, password string }{
		{"nobody", chosen}, {"admin", "wrong password here"}, {"li", chosen} /* locked */, {"gone", chosen}, {"", ""}, {"a\x00b", chosen},
		{strings.Repeat("x", 1000), chosen}, {"admin", strings.Repeat("y", 100_000)}, {"yiqiao", chosen}, {"admin' OR '1'='1", chosen},
	} {
		tried, commits := s.tried.Load(), s.db.Stats().Commits
		_, token, err := s.in(c.id, c.password)
		s.want(err, gateway.CodeLoginRefused)
		if token != "" {
			t.Error("a token all the same")
		}
		answers = append(answers, err.Error())
		if a, b := s.tried.Load()-tried, s.db.Stats().Commits-commits; a != 1 || b != 1 {
			t.Errorf("%.10s: %d passwords and %d commits", c.id, a, b)
		}
	}
	if len(slices.Compact(answers)) != 1 {
		t.Errorf("answers differ: %q", answers)
	}
	got := s.acts()[before:]
	want := []string{"person:? sign-in.refused - unknown name", "person:admin sign-in.refused - wrong password", "person:li sign-in.refused - locked",
		"person:gone sign-in.refused - disabled"}
	if !slices.Equal(got[:4], want) {
		t.Errorf("%q", got)
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "nobody") || strings.Contains(all, chosen) {
		t.Error("what was typed stands in the record")
	}
}

func TestLockOut(t *testing.T) {
	stores(t, func(t *testing.T, so store.Options) {
		s := open(t, so, Options{Tries: 3, Lock: time.Minute})
		s.add("admin", Administrator)
		// Guesses made at once are no more than guesses one after the other.
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() { _, _, _ = s.in("admin", "wrong password here") })
		}
		wg.Wait()
		a, err := s.Get(bg, "admin")
		if err != nil || a.Failures != 3 || !a.LockedUntil.Equal(dawn.Add(time.Minute)) {
			t.Fatalf("%+v %v", a, err)
		}
		_, _, err = s.in("admin", chosen)
		s.want(err, gateway.CodeLoginRefused)
		s.clock.move(time.Minute - time.Millisecond)
		_, _, err = s.in("admin", chosen)
		s.want(err, gateway.CodeLoginRefused)
		s.clock.move(time.Millisecond)
		_, _, err = s.in("admin", "wrong password here") // one guess, and locked again
		s.want(err, gateway.CodeLoginRefused)
		_, _, err = s.in("admin", chosen)
		s.want(err, gateway.CodeLoginRefused)
		if _, err := s.Unlock(bg, "os:root", "admin"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.in("admin", chosen); err != nil {
			t.Fatal(err)
		}
		if a, _ := s.Get(bg, "admin"); a.Failures != 0 || !a.LockedUntil.IsZero() {
			t.Errorf("%+v", a)
		}
	})
}

func TestAddressesAreCounted(t *testing.T) {
	s := open(t, file(t), Options{Tries: 100, AddressTries: 4})
	s.add("admin", Administrator)
	from := func(a string) error {
		_, _, err := s.SignIn(bg, gateway.SignIn{ID: fmt.Sprint("name", a), Password: "x", From: a})
		return err
	}
	for i := range 4 {
		s.want(from(fmt.Sprintf("[2001:db8::%d]:99", i)), gateway.CodeLoginRefused)
	}
	tried, commits := s.tried.Load(), s.db.Stats().Commits
	s.want(from("[2001:db8::77]:99"), gateway.CodeRateLimited) // the same network
	if s.tried.Load() != tried || s.db.Stats().Commits != commits {
		t.Error("work was done for it")
	}
	s.want(from("192.0.2.7:99"), gateway.CodeLoginRefused)
	if _, _, err := s.in("admin", chosen); err != nil {
		t.Error(err)
	}
	s.clock.move(-48 * time.Hour)
	var e *gateway.Error
	if err := from("[2001:db8::77]:99"); !errors.As(err, &e) || e.RetryAfter > 15*time.Minute {
		t.Errorf("a clock that went back: %v", err)
	}
	s.clock.move(48*time.Hour + 15*time.Minute)
	s.want(from("[2001:db8::77]:99"), gateway.CodeLoginRefused)

	l := newAddresses(2, time.Hour)
	for i := range mostAddresses * 2 {
		l.fail(fmt.Sprintf("[2001:db8:%x:%x::1]:1", i>>16, i&0xffff), dawn)
	}
	if len(l.list) > mostAddresses+1 {
		t.Errorf("%d entries", len(l.list))
	}
	if l.wait("198.51.100.1:1", dawn) == 0 {
		t.Error("strangers that found no room are not held back")
	}
}

func TestSessionsEnd(t *testing.T) {
	s := open(t, file(t), Options{Idle: 10 * time.Minute, Life: time.Hour})
	s.add("admin", Administrator)
	sign := func() string {
		t.Helper()
		_, token, err := s.in("admin", chosen)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	alive := func(token string) bool {
		t.Helper()
		_, err := s.WhoIs(bg, token)
		if err != nil {
			s.want(err, gateway.CodeSessionNeeded)
		}
		return err == nil
	}
	a := sign()
	for range 8 { // used again and again, until its life is over
		s.clock.move(7 * time.Minute)
		if !alive(a) {
			t.Fatal("ended although it was used")
		}
	}
	s.clock.move(4 * time.Minute)
	if alive(a) {
		t.Fatal("lives for ever")
	}
	s.clock.move(-30 * time.Minute)
	if alive(a) {
		t.Fatal("the clock went back, and it lives again")
	}
	b := sign()
	s.clock.move(10 * time.Minute)
	if alive(b) {
		t.Fatal("was not used, and lives")
	}
	c := sign()
	s.clock.move(-5 * time.Minute)
	if alive(c) {
		t.Fatal("comes from the future")
	}
	s.clock.move(5 * time.Minute)
	if !alive(c) {
		t.Fatal("a clock that was put right again has ended it")
	}
	// What a client makes up is no session, whatever it looks like.
	for _, made := range []string{"", "yqs_", c[:len(c)-1], c + "A", "yqs_" + strings.Repeat("A", 43), strings.ToUpper(c), " " + c} {
		if alive(made) {
			t.Errorf("%q is a session", made)
		}
	}
	// No more than so many at once.
	var all []string
	for range mostSessions {
		s.clock.move(time.Second)
		all = append(all, sign())
	}
	if alive(c) || !alive(all[0]) {
		t.Error("the oldest did not make room")
	}
	s.add("boss", Administrator)
	if _, err := s.Disable(bg, "os:root", "admin"); err != nil {
		t.Fatal(err)
	}
	if alive(all[3]) {
		t.Error("disabled, and still in")
	}
	if _, err := s.Enable(bg, "os:root", "admin"); err != nil {
		t.Fatal(err)
	}
	if alive(all[3]) {
		t.Error("enabled again, and an old session lives")
	}
}

// A change of roles or institutions holds for those who are signed in already.
func TestRightsAreReadEachTime(t *testing.T) {
	s := open(t, file(t), Options{})
	s.add("admin", Administrator)
	s.add("li", "finance")
	_, token, err := s.in("li", chosen)
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.WhoIs(bg, token)
	if err != nil || v.May(gateway.ActReviewDecide) != nil || !v.Sees(hospitalB) || !v.Sees("") {
		t.Fatalf("%+v %v", v, err)
	}
	if _, err := s.Change(bg, "person:admin", "li", "", []string{"cashier"}, []ident.Institution{hospitalA}, false); err != nil {
		t.Fatal(err)
	}
	v, err = s.WhoIs(bg, token)
	if err != nil || v.May(gateway.ActReviewDecide) == nil || v.Sees(hospitalB) || v.Sees("") || !v.Sees(hospitalA) {
		t.Fatalf("%+v %v", v, err)
	}
	if v, err := s.May(bg, "LI", gateway.ActReviewPropose); err != nil || v.ID != "li" {
		t.Error(v, err)
	}
	_, err = s.May(bg, "li", gateway.ActReviewDecide)
	s.want(err, gateway.CodeNotPermitted)
	_, err = s.May(bg, "nobody", gateway.ActReviewRead)
	s.want(err, gateway.CodeNotPermitted)
	_, err = s.Change(bg, "person:admin", "li", "", []string{"king"}, nil, false)
	s.want(err, gateway.CodeRequestInvalid)
	_, err = s.Change(bg, "person:admin", "li", "", nil, []ident.Institution{"H99999999999"}, false)
	s.want(err, gateway.CodeRequestInvalid)
}

// Two administrators who disable each other at once: one stays.
func TestAnAdministratorIsLeft(t *testing.T) {
	stores(t, func(t *testing.T, so store.Options) {
		so.Writers = 2
		s := open(t, so, Options{})
		s.add("anna", Administrator)
		s.add("bert", Administrator)
		for round := range 10 {
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i, id := range []string{"anna", "bert"} {
				wg.Go(func() {
					if (round+i)%3 == 0 {
						_, errs[i] = s.Change(bg, "os:test", id, "", []string{"auditor"}, nil, false)
					} else {
						_, errs[i] = s.Disable(bg, "os:test", id)
					}
				})
			}
			wg.Wait()
			if a, b := code(errs[0]), code(errs[1]); a == b || a != "" && a != gateway.CodeLastAdministrator || b != "" && b != gateway.CodeLastAdministrator {
				t.Fatalf("round %d: %v, %v", round, errs[0], errs[1])
			}
			for _, id := range []string{"anna", "bert"} {
				if _, err := s.Enable(bg, "os:test", id); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Change(bg, "os:test", id, "", []string{Administrator}, nil, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err := s.Disable(bg, "os:test", "anna")
		s.want(err, "")
		_, err = s.Change(bg, "os:test", "bert", "", nil, []ident.Institution{hospitalA}, false)
		s.want(err, gateway.CodeLastAdministrator) // one of a single hospital can not look after the others
	})
}

// A password given again ends what was, and has to be changed.
func TestPasswordGivenAgain(t *testing.T) {
	s := open(t, file(t), Options{Tries: 2})
	s.add("admin", Administrator)
	_, token, err := s.in("admin", chosen)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, _, err := s.ChangePassword(bg, token, "not the old one", "another-Secret-77", "10.0.0.9:5")
		s.want(err, gateway.CodeLoginRefused)
	}
	if a, _ := s.Get(bg, "admin"); a.LockedUntil.IsZero() {
		t.Error("guesses with a stolen session are not counted")
	}
	_, made, err := s.SetPassword(bg, "os:root", "admin", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.WhoIs(bg, token)
	s.want(err, gateway.CodeSessionNeeded)
	_, _, err = s.in("admin", chosen)
	s.want(err, gateway.CodeLoginRefused)
	if v, _, err := s.in("admin", made); err != nil || !v.MustChange {
		t.Errorf("%+v %v", v, err)
	}
	_, _, err = s.SetPassword(bg, "os:root", "nobody", "")
	s.want(err, gateway.CodeNotFound)
}

// A digest of another cost is made anew at the next sign-in, and one that is damaged lets nobody in.
func TestDigests(t *testing.T) {
	so := file(t)
	s := open(t, so, Options{})
	s.add("admin", Administrator)
	dear, err := New(Options{DB: s.db, Audit: s.log, Clock: s.clock, Digest: s.o.Digest, Rand: rand.Reader, Cost: Cost{MemoryKiB: 20 << 10, Passes: 3}})
	if err != nil {
		t.Fatal(err)
	}
	digest := func() (d string) {
		if _, err := s.db.Get(bg, `SELECT secret FROM person WHERE id = 'admin'`, nil, &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	if _, _, err := dear.SignIn(bg, gateway.SignIn{ID: "admin", Password: chosen}); err != nil || !strings.Contains(digest(), "m=20480,t=3") {
		t.Fatal(digest(), err)
	}
	good := digest()
	for _, bad := range []string{"", "x", "$argon2id$v=19$m=1,t=1,p=1$AA$AA", strings.Replace(good, "m=20480", "m=4294967295", 1), strings.Replace(good, "argon2id", "argon2i", 1),
		good[:len(good)-4], good + "$", strings.Replace(good, "p=1", "p=0", 1)} {
		if err := s.db.Do(bg, func(tx *store.Tx) error {
			_, err := tx.Exec(`UPDATE person SET secret = $1 WHERE id = 'admin'`, bad)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.in("admin", chosen)
		s.want(err, gateway.CodeLoginRefused)
		_, _ = s.Unlock(bg, "os:root", "admin")
	}
}

func FuzzDigest(f *testing.F) {
	f.Add("$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$$$$$")
	f.Fuzz(func(t *testing.T, digest string) {
		if strings.Count(digest, "$") == 5 && strings.Contains(digest, ",t=") {
			return // may be a real one, which costs
		}
		if ok, _, err := try(digest, "x"); ok || err == nil {
			t.Errorf("%q is a digest", digest)
		}
	})
}

func TestRoles(t *testing.T) {
	list := Roles()
	if len(list) != 5 || !slices.Contains(RoleNames(), Administrator) {
		t.Fatalf("%+v", list)
	}
	for _, r := range list {
		if r.ZH == "" || r.EN == "" || len(r.May) == 0 {
			t.Errorf("%+v", r)
		}
		for _, a := range r.May {
			if !slices.Contains(gateway.Acts(), a) {
				t.Errorf("%s may %q, which is no act", r.Role, a)
			}
		}
		// Who manages people could make a second person of himself.
		if slices.Contains(r.May, gateway.ActPeopleManage) && (slices.Contains(r.May, gateway.ActReviewPropose) || slices.Contains(r.May, gateway.ActReviewDecide)) {
			t.Errorf("%s manages people and decides", r.Role)
		}
	}
	for _, a := range gateway.Acts() {
		if !slices.ContainsFunc(list, func(r Role) bool { return slices.Contains(r.May, a) }) {
			t.Errorf("nobody may %s", a)
		}
	}
	if len(ActsOf([]string{"king", "cashier "})) != 0 {
		t.Error("an unknown role allows something")
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string]string{"Li.Wei-1@x": "li.wei-1@x", "李伟": "李伟", "": "", "a b": "", "yiqiao": "", "YIQIAO": "", "ａ": "", "а": "" /* Cyrillic */, "a\n": "",
		"\uf900": "" /* a compatibility form of another */, strings.Repeat("a", 65): "", "\xff": "", "\u212a": "" /* Kelvin */, "ſ": ""} {
		if got := Fold(id); got != want {
			t.Errorf("%q is %q", id, got)
		}
	}
}
