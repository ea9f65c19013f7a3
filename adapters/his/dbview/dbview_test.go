package dbview

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/adapters/his/dbview/dbtest"
	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/tabular"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/check"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

var servers dbtest.Servers

func TestMain(m *testing.M) {
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// carrier is a mapping for tests: the row holds the operation and the JSON of the body.
type carrier struct{}

func (carrier) Trace(s gateway.Source) []gateway.Trace {
	return []gateway.Trace{{Target: "/input/amount", Source: "[fee][2] amount", Fault: "x"}}
}

func (carrier) Map(s gateway.Source) (gateway.Mapped, error) {
	at := func(text string) string {
		p, err := tabular.Notation{Kind: Kind}.Compile(text)
		if err != nil {
			panic(err)
		}
		v, _ := p.Value(s.Scope)
		return v
	}
	o := gateway.Order{Op: gateway.OrderOp(at("op")), Infno: ident.Infno(at("infno")), ID: at("about")}
	if body := at("body"); body != "" {
		v, err := strictjson.Decode([]byte(body), strictjson.Request())
		if err != nil {
			return gateway.Mapped{}, err
		}
		o.Body, _ = v.(map[string]any)
	} else if o.Op == "transact" {
		o.Body = map[string]any{"request_id": at("k"), "operator": map[string]any{"id": "1", "name": "甲"}, "input": map[string]any{"visit": at("visit"), "fees": at("[fee]amount")}}
	}
	if at("op") == "bad" {
		return gateway.Mapped{}, &gateway.Error{Code: gateway.CodeRequestInvalid, Path: "/input/amount", Findings: []check.Finding{{Code: "x", Path: "/input/amount", ZH: "坏"}}}
	}
	return gateway.Mapped{Orders: []gateway.Order{o}, Rule: "carry", Version: "carrier@1"}, nil
}

func byStatus() View {
	return View{From: "calls", Key: "k", As: "call", Lane: []string{"visit"}, Columns: []string{"op"},
		Status:  &Status{Column: "st", New: "0", Unknown: "2", Done: "1", Refused: "9"},
		Details: []Detail{{Name: "fee", From: "fees", By: "k", Order: "n", Columns: []string{"amount"}}},
		Result:  Table{Table: "results", Key: "k", Rename: map[string]string{"code": "err"}}}
}

func byMark() View {
	v := byStatus()
	v.Status, v.Mark = nil, &Mark{Column: "changed", From: "2026-01-01 00:00:00", Overlap: "10m", Sweep: "1h"}
	return v
}

// his is a HIS's database with empty tables.
type his struct {
	*dbtest.Server
	t  testing.TB
	db *sql.DB
}

func fresh(t testing.TB, driver string) *his {
	t.Helper()
	h := &his{Server: servers.Get(t, driver), t: t}
	pool.Lock()
	defer pool.Unlock()
	if h.db = pool.dbs[driver]; h.db == nil {
		var err error
		if h.db, err = dialects()[driver].open(h.DSN, ""); err != nil {
			t.Fatal(err)
		}
		h.db.SetMaxOpenConns(4)
		pool.dbs[driver] = h.db
		h.do("create table calls (k varchar(64) primary key, op varchar(40), infno varchar(10), about varchar(64), body text, visit varchar(20), st varchar(2) not null default '0', changed timestamp null, seq bigint)",
			"create table fees (k varchar(64), n int, amount decimal(12,2))",
			"create table results (k varchar(64) primary key, final varchar(1), outcome varchar(10), err varchar(64), text varchar(400), place varchar(1000), request_id varchar(64), id varchar(64), state varchar(64), detail varchar(400), total varchar(64))")
	}
	h.do("drop view if exists seen", "delete from calls", "delete from fees", "delete from results")
	return h
}

// pool is the test's own connections.
var pool = struct {
	sync.Mutex
	dbs map[string]*sql.DB
}{dbs: map[string]*sql.DB{}}

func (h *his) source(desk gateway.Desk, v View, set func(*Options)) *Source {
	h.t.Helper()
	o := Options{Desk: desk, Mapper: carrier{}, Clock: gatewaytest.NewClock(histest.At), System: histest.System, Institutions: []ident.Institution{histest.Institution},
		Driver: h.Driver, DSN: h.DSN, View: v, Wait: -1}
	if set != nil {
		set(&o)
	}
	s, err := New(o)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (h *his) do(statements ...string) { h.t.Helper(); dbtest.Exec(h.t, h.db, statements...) }

// call is a row the HIS writes.
func (h *his) call(k, visit, changed string) {
	h.t.Helper()
	if changed == "" {
		changed = "2026-03-04 05:00:00"
	}
	h.do(fmt.Sprintf("insert into calls (k, op, infno, visit, changed) values ('%s', 'transact', '1101', '%s', '%s')", k, visit, changed))
}

func (h *his) want(query string, lines ...string) {
	h.t.Helper()
	if got := dbtest.Table(h.t, h.db, query); strings.Join(got, "\n") != strings.Join(lines, "\n") {
		h.t.Errorf("%s:\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func poll(t testing.TB, s *Source) {
	t.Helper()
	if err := s.Poll(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// both runs a test on every database there is to test on.
func both(t *testing.T, test func(t *testing.T, driver string)) {
	for _, driver := range []string{"postgres", "mysql"} {
		t.Run(driver, func(t *testing.T) { test(t, driver) })
	}
}

// Who may call is who may write to the tables: a call without the key has no database to go to.
func TestSuite(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		histest.Suite(t, func(t *testing.T, desk gateway.Desk) histest.Target {
			h := fresh(t, driver)
			s := h.source(desk, byStatus(), nil)
			var mu sync.Mutex
			n := 0
			return histest.Target{Do: func(c histest.Call) histest.Answer {
				switch c.Key {
				case histest.Key:
				case "":
					return histest.Answer{Code: gateway.CodeKeyMissing, Outcome: "refused"}
				default:
					return histest.Answer{Code: gateway.CodeKeyWrong, Outcome: "refused"}
				}
				mu.Lock()
				defer mu.Unlock()
				n++
				k := fmt.Sprintf("K%d", n)
				p := s.d.place
				if _, err := h.db.Exec("insert into calls (k, op, infno, about, body) values ("+p(1)+", "+p(2)+", "+p(3)+", "+p(4)+", "+p(5)+")", k, string(c.Op), clip(c.Infno, 10), c.ID, string(c.Body)); err != nil {
					t.Error(err)
					return histest.Answer{}
				}
				if err := s.Poll(context.Background()); err != nil {
					t.Error(err)
					return histest.Answer{}
				}
				return s.lastOf(t, k)
			}}
		})
	})
}

// lastOf reads what was written for a message. Findings and what is wrong with fields stand in place.
func (s *Source) lastOf(t testing.TB, k string) histest.Answer {
	got := dbtest.Table(t, s.db, "select outcome, err, place, id, detail, state from results where k = '"+k+"'")
	if len(got) != 1 {
		t.Errorf("%d results of %s", len(got), k)
		return histest.Answer{}
	}
	f := strings.Split(got[0], "|")
	a := histest.Answer{Raw: []byte(got[0]), Outcome: f[0], Code: gateway.Code(f[1]), ID: f[3], Detail: f[4]}
	a.Path, a.Rule = s.wrote.Path, s.wrote.Rule // a table has one column for both: place
	for _, x := range s.wrote.Findings {
		if !strings.Contains(f[2], x.Path) || !strings.Contains(f[2], x.Text) {
			t.Errorf("%s does not tell of %s", f[2], x.Path)
		}
		a.Findings = append(a.Findings, check.Finding{Code: x.Code, Path: x.Path, Rule: x.Rule, ZH: x.Text})
	}
	return a
}

func TestStatus(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		desk := &histest.Desk{}
		s := h.source(desk, byStatus(), func(o *Options) { o.Batch = 2 })
		for i := range 5 {
			h.call(fmt.Sprintf("R-%d", i), fmt.Sprint("V", i), "")
		}
		h.do("insert into fees values ('R-1', 1, 12.30), ('R-1', 2, 0.50)", "update calls set st = 'X' where k = 'R-4'", "insert into calls (k, op) values ('S-bad', 'bad')", "insert into fees values ('S-bad', 1, 1), ('S-bad', 2, 1)")
		poll(t, s)
		poll(t, s)
		h.want("select k, st from calls order by k", "R-0|1", "R-1|1", "R-2|1", "R-3|1", "R-4|X", "S-bad|9")
		h.want("select k, final, outcome, err, request_id, place from results order by k", "R-0|1|done||R-0|", "R-1|1|done||R-1|", "R-2|1|done||R-2|", "R-3|1|done||R-3|", "S-bad|1|refused|request-invalid||[fee]2 amount /input/amount x 坏")
		if n := len(desk.Calls()); n != 4 {
			t.Errorf("the desk was asked %d times", n)
		}
		in := desk.Calls()[1].Request.(gateway.Transact).Input.(map[string]any)
		if in["fees"] != "12.30" || in["visit"] != "V1" {
			t.Errorf("%v", in)
		}
	})
}

var errKilled = fmt.Errorf("killed: %w", errStopped)

// A process that is killed between any two steps loses no row and does none twice, by status and by mark.
func TestKilledAnywhere(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		for name, view := range map[string]View{"status": byStatus(), "mark": byMark()} {
			steps := 0
			for kill := 1; ; kill++ {
				h := fresh(t, driver)
				done := map[string]int{}
				desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
					histest.OpTransact: func(_ context.Context, _ gateway.Caller, r any) (any, error) {
						id := r.(gateway.Transact).RequestID
						done[id]++
						return histest.Transaction(id, len(done), gateway.StateDone), nil
					}}}
				file := filepath.Join(t.TempDir(), "mark")
				start := func() *Source { return h.source(desk, view, func(o *Options) { o.MarkFile = file }) }
				for _, k := range []string{"R-1", "R-2"} {
					h.call(k, k, "")
				}
				s, n, where := start(), 0, ""
				s.step = func(at string) error {
					if n++; n == kill {
						where = at
					}
					if n >= kill {
						return errKilled
					}
					return nil
				}
				_ = s.Poll(context.Background())
				_ = s.Close()
				if where == "" {
					break
				}
				steps = kill
				h.call("R-3", "R-3", "2026-03-04 04:59:00") // late, and below the mark
				s = start()
				for range 2 {
					poll(t, s)
				}
				for _, k := range []string{"R-1", "R-2", "R-3"} {
					if done[k] != 1 {
						t.Errorf("%s, killed at %q: %s was done %d times", name, where, k, done[k])
					}
				}
				h.want("select k, final, outcome, state from results order by k", "R-1|1|done|done", "R-2|1|done|done", "R-3|1|done|done")
				if len(desk.ToldOf()) < 1 {
					t.Errorf("%s, killed at %q: told of nothing", name, where)
				}
			}
			if steps < 8 {
				t.Errorf("%s: only %d steps", name, steps)
			}
		}
	})
}

// Rows with equal marks, late ones, ones without a mark, a clock of the HIS that is ahead and is set back.
func TestMark(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		desk := &histest.Desk{}
		clock := gatewaytest.NewClock(histest.At) // 05:06:07
		s := h.source(desk, byMark(), func(o *Options) { o.Clock, o.Batch = clock, 2 })
		h.call("old", "V", "2025-12-31 23:59:59") // before From: never meant
		for i := range 5 {
			h.call(fmt.Sprint("E", i), fmt.Sprint(i), "2026-03-04 05:00:00")
		}
		poll(t, s)
		count := func(what string, want int) {
			t.Helper()
			poll(t, s)
			if n := len(desk.Calls()); n != want {
				t.Errorf("%s: the desk was asked %d times, want %d", what, n, want)
			}
		}
		count("equal marks", 5)
		for i := range 5 { // more than are read at once
			h.call(fmt.Sprint("E", 5+i), fmt.Sprint("W", i), "2026-03-04 05:00:00")
		}
		count("more of the same mark", 10)
		h.call("L1", "V", "2026-03-04 04:55:00")
		count("late, within the overlap", 11)
		h.call("L2", "V", "2026-03-03 05:00:00")
		count("later than the overlap", 11)
		h.call("F1", "V", "2026-03-04 09:00:00") // the HIS's clock is four hours ahead
		count("ahead", 12)
		h.call("F2", "V", "2026-03-04 05:06:00") // and is put right
		count("set back", 13)
		h.do("insert into calls (k, op, infno, visit) values ('N', 'transact', '1101', 'V')")
		clock.Advance(61 * time.Minute)
		count("the sweep finds the late one and the one without a mark", 15)
		clock.Advance(61 * time.Minute)
		count("nothing is done twice", 15)
		h.want("select k from results where k = 'old'")
	})
}

// A mark that counts.
func TestNumberMark(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		v := byMark()
		v.Mark = &Mark{Column: "seq", From: "100", Overlap: "5"}
		desk := &histest.Desk{}
		s := h.source(desk, v, nil)
		for i, seq := range []int{99, 100, 101, 1000} {
			h.do(fmt.Sprintf("insert into calls (k, op, infno, visit, seq) values ('S%d', 'transact', '1101', 'V', %d)", i, seq))
		}
		poll(t, s)
		h.do("insert into calls (k, op, infno, visit, seq) values ('S8', 'transact', '1101', 'V', 996)")
		poll(t, s)
		if s.mark != "1000" || s.bound(false) != "995" {
			t.Errorf("mark %s, bound %s", s.mark, s.bound(false))
		}
		h.want("select k from results order by k", "S1", "S2", "S3", "S8")
	})
}

// Keys that are numbers, marks with a time zone, and a table of results that is too narrow for our words.
func TestOtherTypes(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		zoned := map[string]string{"postgres": "timestamptz", "mysql": "timestamp null"}[driver]
		h.do("drop table if exists calls2", "drop table if exists results2", "create table calls2 (id bigint primary key, op varchar(40), infno varchar(10), k varchar(20), visit varchar(20), price decimal(16,6), at "+zoned+")",
			"create table results2 (id bigint primary key, final varchar(1), outcome varchar(10), text varchar(60), code varchar(20))")
		v := View{From: "calls2", Key: "id", As: "call", Mark: &Mark{Column: "at", From: "2026-01-01 00:00:00"}, Result: Table{Table: "results2", Key: "id"}}
		desk := &histest.Desk{}
		s := h.source(desk, v, func(o *Options) { o.Batch = 1 })
		for _, id := range []int64{9, 10, 9007199254740993} {
			h.do(fmt.Sprintf("insert into calls2 (id, op, infno, k, at) values (%d, 'transact', '1101', 'N%d', '2026-03-04 05:00:00')", id, id))
		}
		h.do("insert into calls2 (id, op, infno, at) values (11, 'transact', '1101', '2026-03-04 05:00:00')")
		poll(t, s)
		poll(t, s)
		h.want("select id, final, outcome from results2 order by id", "9|1|done", "10|1|done", "11|1|refused", "9007199254740993|1|done")
		if n := len(desk.Calls()); n != 3 {
			t.Errorf("the desk was asked %d times", n)
		}
		if _, _, ok := parseMark(s.mark); !ok {
			t.Errorf("mark %q", s.mark)
		}
	})
}

// Unknown is written down and asked for until it is known; its lane waits, also over a restart.
func TestUnknown(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		for name, v := range map[string]View{"status": byStatus(), "mark": byMark()} {
			h := fresh(t, driver)
			clock := gatewaytest.NewClock(histest.At)
			known := false
			var asked []string
			desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
				histest.OpTransact: func(_ context.Context, _ gateway.Caller, r any) (any, error) {
					id := r.(gateway.Transact).RequestID
					if asked = append(asked, id); id == "R-1" && !known {
						return nil, &gateway.Error{Code: gateway.CodeOutcomeUnknown}
					}
					return histest.Transaction(id, len(asked), gateway.StateDone), nil
				}}}
			start := func() *Source { return h.source(desk, v, func(o *Options) { o.Clock, o.Wait = clock, time.Minute }) }
			s := start()
			h.call("R-1", "V1", "2026-03-04 05:00:00")
			h.call("R-2", "V1", "2026-03-04 05:00:01")
			h.call("R-3", "V3", "2026-03-04 05:00:02")
			poll(t, s)
			poll(t, s)
			h.want("select k, final, outcome, err from results order by k", "R-1|0|unknown|outcome-unknown", "R-3|1|done|")
			if got := fmt.Sprint(asked); got != "[R-1 R-3]" {
				t.Errorf("%s: asked %s", name, got)
			}
			for i := range 4 { // the mark passes by what is open
				h.call(fmt.Sprint("X-", i), "V9", "2026-03-04 06:30:00")
			}
			clock.Advance(2 * time.Hour)
			poll(t, s)
			if name == "status" {
				s = start()
			}
			known = true
			clock.Advance(10 * time.Minute) // less than to the next sweep
			poll(t, s)
			h.want("select k, final, outcome from results where k like 'R%' order by k", "R-1|1|done", "R-2|1|done", "R-3|1|done")
			if v.Status != nil {
				h.want("select distinct st from calls", "1")
			}
		}
	})
}

func TestHeld(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		clock := gatewaytest.NewClock(histest.At)
		desk := &histest.Desk{Err: &gateway.Error{Code: gateway.CodeCentreDown}}
		s := h.source(desk, byStatus(), func(o *Options) { o.Clock, o.Wait = clock, time.Minute })
		h.call("R-1", "V1", "")
		h.call("R-2", "V2", "")
		poll(t, s)
		poll(t, s)
		if n := len(desk.Calls()); n != 1 {
			t.Errorf("the desk was asked %d times", n)
		}
		h.want("select st from calls", "0", "0")
		clock.Advance(2 * time.Minute)
		poll(t, s)
		h.want("select outcome, err from results where k = 'R-1'", "refused|centre-down")
	})
}

// A view that goes away, comes back with a column renamed, and a server that is killed: each is said,
// and work goes on when it is put right.
func TestGoesAway(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		v := byStatus()
		v.From, v.Status.Table = "seen", "calls"
		h.do("create view seen as select * from calls")
		desk := &histest.Desk{}
		clock := gatewaytest.NewClock(histest.At)
		s := h.source(desk, v, func(o *Options) { o.Clock = clock })
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		turn := func(want string) {
			t.Helper()
			limit, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := clock.AwaitWaiters(limit, 1); err != nil {
				t.Fatal(err)
			}
			if got := s.Trouble(); want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("trouble %q, want %q", got, want)
			}
		}
		again := func(want string) { t.Helper(); clock.Advance(2 * time.Minute); turn(want) }
		turn("")
		h.do("drop view seen")
		h.call("R-1", "V1", "")
		again(map[string]string{"postgres": "SQLSTATE 42P01", "mysql": "MySQL 1146"}[driver])
		h.do("create view seen as select k, op as operation, infno, about, body, visit, st from calls")
		again("没有列 op")
		h.do("drop view seen", "create view seen as select * from calls")
		again("")
		h.want("select k, outcome from results", "R-1|done")
		if err := h.Kill(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(2 * time.Minute)
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := clock.AwaitWaiters(limit, 1); err != nil || s.Trouble() == "" {
			t.Errorf("%v %q", err, s.Trouble())
		}
		if err := h.Start(); err != nil {
			t.Fatal(err)
		}
		for range 5 { // dead connections of the test's own pool
			if h.db.Ping() == nil {
				break
			}
		}
		h.call("R-2", "V2", "")
		for range 3 {
			clock.Advance(2 * time.Minute)
			limit, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if err := clock.AwaitWaiters(limit, 1); err != nil {
				t.Fatal(err)
			}
		}
		turn("")
		h.want("select k, outcome from results order by k", "R-1|done", "R-2|done")
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// What the HIS withdrew while it was carried out keeps the HIS's status; the result is written all the same.
func TestWithdrawn(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		h := fresh(t, driver)
		s := h.source(&histest.Desk{}, byStatus(), nil)
		h.call("R-1", "V1", "")
		s.step = func(at string) error {
			if strings.HasPrefix(at, "write ") {
				h.do("update calls set st = 'X'")
			}
			return nil
		}
		poll(t, s)
		h.want("select st from calls", "X")
		h.want("select outcome from results", "done")
	})
}

// A view that has a message in more than one row, as a join makes of it, is answered once: which row
// counts nobody can say. The other messages go on, at whatever place the pages end.
func TestKeyTwice(t *testing.T) {
	both(t, func(t *testing.T, driver string) {
		for name, v := range map[string]View{"status": byStatus(), "mark": byMark()} {
			for _, batch := range []int{2, 100} {
				h := fresh(t, driver)
				desk := &histest.Desk{}
				for _, k := range []string{"R-1", "R-2", "R-3"} {
					h.call(k, k, "")
				}
				h.do("insert into fees values ('R-1', 1, 1), ('R-2', 1, 1), ('R-2', 2, 2), ('R-2', 3, 3), ('R-3', 1, 1)",
					"create view seen as select c.*, f.amount from calls c join fees f on f.k = c.k")
				if v.From = "seen"; v.Status != nil {
					v.Status.Table = "calls"
				}
				s := h.source(desk, v, func(o *Options) { o.Batch = batch })
				for range 3 {
					poll(t, s)
				}
				h.want("select k, final, outcome, err, place from results order by k", "R-1|1|done||",
					"R-2|1|refused|message-unreadable|k row-key-twice 视图中有多行使用同一主键, 无法确定以哪一行为准", "R-3|1|done||")
				if n := len(desk.Calls()); n != 2 {
					t.Errorf("%s, %d at once: the desk was asked %d times", name, batch, n)
				}
			}
		}
	})
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(v *View)
		want   string
	}{
		"injection":     {func(v *View) { v.From = "calls; drop table x" }, "plain name"},
		"quote":         {func(v *View) { v.Key = `k"` }, "plain name"},
		"both":          {func(v *View) { v.Mark = &Mark{Column: "x", From: "1"} }, "either status or mark"},
		"no type":       {func(v *View) { v.As = "" }, "either type"},
		"same status":   {func(v *View) { v.Status.Unknown = "0" }, "must differ"},
		"bad rename":    {func(v *View) { v.Result.Rename = map[string]string{"x": "y"} }, "none of"},
		"mark, no from": {func(v *View) { v.Status, v.Mark = nil, &Mark{Column: "x"} }, "mark: from"},
		"mark, overlap": {func(v *View) { v.Status, v.Mark = nil, &Mark{Column: "x", From: "1", Overlap: "-5m"} }, "mark: from"},
		"mark, result":  {func(v *View) { v.Status, v.Mark, v.Result = nil, &Mark{Column: "x", From: "1"}, Table{} }, "result is needed"},
	} {
		v := byStatus()
		c.change(&v)
		if err := v.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (View{From: "医保.单据", Key: "编号", As: "x", Status: byStatus().Status}).Check(); err != nil {
		t.Error(err)
	}
	for driver, dsn := range map[string]string{"postgres": "postgres://a:secret@h/x", "mysql": "a:secret@tcp(h:1)/x"} {
		_, err := New(Options{Desk: &histest.Desk{}, Mapper: carrier{}, Clock: gatewaytest.NewClock(histest.At), System: "a", Institutions: []ident.Institution{"H1"}, Driver: driver, DSN: dsn, View: byStatus()})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v", err)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("2026-03-04 05:06:07", "100", int64(5))
	f.Add("2026-03-04 05:06:07.123456+08:00", "2026-01-01", int64(0))
	f.Fuzz(func(t *testing.T, a, b string, n int64) {
		if got := later(a, b); got != a && got != b {
			t.Errorf("%q is neither", got)
		}
		s := &Source{o: Options{View: View{Mark: &Mark{From: b, Overlap: fmt.Sprint(n)}}}, mark: a}
		_ = s.bound(false)
		if _, form, ok := parseMark(a); ok {
			tm, _ := time.Parse(form, a)
			if _, mark := timeText(tm, map[bool]string{true: "TIMESTAMPTZ", false: "TIMESTAMP"}[form == zoneForm]); form != time.DateOnly {
				if back, _, ok := parseMark(mark); !ok || !back.Equal(tm) {
					t.Errorf("%q came back as %q", a, mark)
				}
			}
		}
		_ = short(errors.New(a))
		_ = (View{From: a, Key: b, As: "x", Status: byStatus().Status}).Check()
	})
}
