package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

func exists(name string) bool { _, err := os.Lstat(name); return err == nil }

// A file is taken when it has stood still, and not while it grows; an empty one is about to grow.
func TestHalfWritten(t *testing.T) {
	clock := gatewaytest.NewClock(histest.At)
	desk := &histest.Desk{}
	f := open(t, desk, func(o *Options) { o.Clock, o.Settle = clock, 5*time.Second })
	put(t, f, "a.csv", "")
	for i, text := range []string{"", "", head, head + line("R-1") + "\n", head + line("R-1") + "\ntransact,11", head + line("R-1") + "\n" + line("R-2") + "\n"} {
		if i != 1 { // the empty file is not touched for a while
			put(t, f, "a.csv", text)
		}
		look(t, f)
		clock.Advance(2 * time.Second)
		look(t, f)
		if clock.Advance(2 * time.Second); exists(f.at("a.csv" + resultX)) {
			t.Fatalf("taken after step %d", i)
		}
	}
	clock.Advance(-time.Hour) // a clock set back begins the waiting anew
	look(t, f)
	clock.Advance(4 * time.Second)
	look(t, f)
	if exists(f.at("a.csv" + resultX)) {
		t.Fatal("taken before it stood still")
	}
	clock.Advance(2 * time.Second)
	look(t, f)
	if r := cells(t, f.at("a.csv"+resultX)); len(r) != 2 || len(desk.Calls()) != 2 {
		t.Errorf("%v", r)
	}
}

func TestMarker(t *testing.T) {
	f := open(t, &histest.Desk{}, func(o *Options) { o.Marker = ".done" })
	put(t, f, "a.csv", head+line("R-1")+"\n")
	look(t, f)
	if exists(f.at("a.csv" + resultX)) {
		t.Fatal("taken without its marker")
	}
	put(t, f, "a.csv.done", "")
	look(t, f)
	if !exists(f.at("a.csv"+resultX)) || exists(f.at("a.csv.done")) || exists(f.at("a.csv")) {
		t.Error("not taken, or something is left")
	}
}

// What is no file of rows stays where it is.
func TestLeftAlone(t *testing.T) {
	f := open(t, &histest.Desk{}, nil)
	names := []string{".a.csv", "~$a.xlsx", "a.csv.tmp", "a.csv.part", "a.pdf", "b.csv.result.csv", "b.csv.reject.csv", "a.csv.refused"}
	for _, n := range names {
		put(t, f, n, head+line("R-1"))
	}
	if err := os.Mkdir(f.at("dir.csv"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", f.at("link.csv")); err != nil {
		t.Fatal(err)
	}
	look(t, f)
	for _, n := range append(names, "dir.csv", "link.csv") {
		if !exists(f.at(n)) {
			t.Errorf("%s is gone", n)
		}
	}
}

// world is a desk that counts what was done for the first time, and files over crashes.
type world struct {
	desk *histest.Desk
	done map[string]int
}

func newWorld() *world {
	w := &world{done: map[string]int{}}
	w.desk = &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpTransact: func(_ context.Context, _ gateway.Caller, r any) (any, error) {
			id := r.(gateway.Transact).RequestID
			w.done[id]++
			return histest.Transaction(id, len(w.done), gateway.StateDone), nil
		},
	}}
	return w
}

var errKilled = errors.New("killed")

// A process that is killed at any step loses nothing and does nothing twice: another one goes on. Every
// step is tried, with a file of its own kind of end: done, refused as a whole, with a marker.
func TestKilledAnywhere(t *testing.T) {
	for _, marker := range []string{"", ".done"} {
		for kill := 1; ; kill++ {
			dir, w := t.TempDir(), newWorld()
			start := func() *Folder {
				return open(t, w.desk, func(o *Options) { o.Dir, o.Marker, o.Keep = dir, marker, time.Duration(kill%2)*time.Hour })
			}
			f := start()
			for name, text := range map[string]string{"a.csv": head + line("R-1") + "\n" + line("R-2") + "\n" + line("R-3") + "\n", "b.csv": head + line(`R-"9`) + "\n"} {
				put(t, f, name, text)
				if marker != "" {
					put(t, f, name+marker, "")
				}
			}
			n, where := 0, ""
			f.step = func(at string) error {
				if n++; n == kill {
					where = at
				}
				if n >= kill {
					return errKilled // a killed process does nothing more
				}
				return nil
			}
			_ = f.Look(context.Background())
			for range 3 {
				look(t, start())
			}
			if where == "" {
				if kill < 12 {
					t.Errorf("only %d steps", kill)
				}
				break
			}
			for _, id := range []string{"R-1", "R-2", "R-3"} {
				if w.done[id] != 1 {
					t.Errorf("killed at %q: %s was done %d times", where, id, w.done[id])
				}
			}
			if r := cells(t, filepath.Join(dir, "a.csv"+resultX)); len(r) != 3 || r[2]["outcome"] != "done" {
				t.Errorf("killed at %q: %v", where, r)
			}
			if !exists(filepath.Join(dir, "b.csv"+refusedX)) || exists(filepath.Join(dir, "a.csv"+marker+"x")) {
				t.Errorf("killed at %q: b was not refused", where)
			}
			left, _ := os.ReadDir(filepath.Join(dir, working))
			if len(left) > 0 || marker != "" && (exists(filepath.Join(dir, "a.csv.done")) || exists(filepath.Join(dir, "b.csv.done"))) {
				t.Errorf("killed at %q: %v is left", where, left)
			}
			if len(w.desk.ToldOf()) < 3 {
				t.Errorf("killed at %q: told %d", where, len(w.desk.ToldOf()))
			}
		}
	}
}

// What was answered before a crash is not asked for again: not even a mapping that has changed makes
// another request of it.
func TestAnswersSurvive(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	f := open(t, w.desk, func(o *Options) { o.Dir = dir })
	put(t, f, "a.csv", head+line("R-1")+"\n"+line("R-2")+"\n")
	f.step = func(at string) error {
		if at == "message 2" {
			return errKilled
		}
		return nil
	}
	_ = f.Look(context.Background())
	names, _ := filepath.Glob(filepath.Join(dir, working, "*"+progressX))
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	// The crash also cut off the last line that was being written.
	if err := os.WriteFile(names[0], append(b, `{"n":2,"final":true,"li`...), 0o600); err != nil {
		t.Fatal(err)
	}
	look(t, open(t, w.desk, func(o *Options) { o.Dir = dir }))
	if n := len(w.desk.Calls()); n != 2 {
		t.Errorf("the desk was asked %d times", n)
	}
	if r := cells(t, filepath.Join(dir, "a.csv"+resultX)); len(r) != 2 || r[1]["outcome"] != "done" {
		t.Errorf("%v", r)
	}
}

// Some writers keep the file open and go on writing after it was renamed: what they add is carried out
// as well, and what was there already is not done again under another id.
func TestWriterGoesOn(t *testing.T) {
	clock := gatewaytest.NewClock(histest.At)
	for _, at := range []string{"done 1", "done 2"} {
		w := newWorld()
		f := open(t, w.desk, func(o *Options) { o.Mapper, o.Clock = byFile{}, clock })
		put(t, f, "a.csv", head+line("x")+"\n"+line("y")+"\n")
		writer, err := os.OpenFile(f.at("a.csv"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.step = func(now string) error {
			if now != at {
				return nil
			}
			at = ""
			_, err := writer.WriteString(line("z") + "\n")
			return err
		}
		for range 3 {
			look(t, f)
			clock.Advance(time.Minute)
		}
		_ = writer.Close()
		if r := cells(t, f.at("a.csv"+resultX)); len(r) != 3 || r[2]["outcome"] != "done" {
			t.Errorf("%v", r)
		}
		for id, n := range w.done {
			if n != 1 || len(w.done) != 3 {
				t.Errorf("%s was done %d times, of %d", id, n, len(w.done))
			}
		}
	}
}

// A layout that was changed between two passes makes other messages of the same rows: what is final of
// the old ones says nothing of the new ones.
func TestLayoutChanges(t *testing.T) {
	dir, w := t.TempDir(), newWorld()
	f := open(t, w.desk, func(o *Options) { o.Dir, o.Layout = dir, Layout{As: "call", Group: []string{"infno"}} })
	put(t, f, "a.csv", head+line("R-1")+"\n"+line("R-2")+"\ntransact,2201,R-3\n")
	f.step = func(at string) error {
		if at == "published" {
			return errKilled
		}
		return nil
	}
	_ = f.Look(context.Background())
	look(t, open(t, w.desk, func(o *Options) { o.Dir = dir }))
	if r := cells(t, filepath.Join(dir, "a.csv"+resultX)); len(r) != 3 || r[1]["request_id"] != "R-2" || w.done["R-2"] != 1 {
		t.Errorf("%v %v", r, w.done)
	}
}

// The same file again is the same requests: the desk answers from what it stored.
func TestSameFileTwice(t *testing.T) {
	w := newWorld()
	f := open(t, w.desk, func(o *Options) { o.Mapper = byFile{} })
	for _, name := range []string{"a.csv", "b.csv", "a.csv"} {
		put(t, f, name, head+line("x")+"\n"+line("y")+"\n")
		look(t, f)
	}
	if len(w.done) != 2 {
		t.Errorf("%v", w.done)
	}
	put(t, f, "c.csv", head+line("x")+"\n"+line("z")+"\n")
	look(t, f)
	if len(w.done) != 4 {
		t.Errorf("another file's rows were taken for the same: %v", w.done)
	}
}

// byFile makes the request id of the file and the row.
type byFile struct{ carrier }

func (byFile) Map(s gateway.Source) (gateway.Mapped, error) {
	m, err := carrier{}.Map(s)
	m.Orders[0].Body["request_id"] = s.ID
	return m, err
}

// An outcome that is not known is unknown in the result, and is asked for until it is known. What
// belongs to the same lane waits; the others go on.
func TestUnknown(t *testing.T) {
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
		},
	}}
	dir := t.TempDir()
	start := func() *Folder {
		return open(t, desk, func(o *Options) {
			o.Clock, o.Dir, o.Layout, o.Wait = clock, dir, Layout{As: "call", Lane: []string{"visit"}}, time.Minute
		})
	}
	f := start()
	put(t, f, "a.csv", "op,infno,request,visit\n"+line("R-1")+",V1\n"+line("R-2")+",V2\n"+line("R-3")+",V1\n")
	put(t, f, "b.csv", "op,infno,request,visit\n"+line("R-4")+",V1\n"+line("R-5")+",V2\n")
	look(t, f)
	if got := fmt.Sprint(asked); got != "[R-1 R-2 R-5]" {
		t.Errorf("asked %s", got)
	}
	r := cells(t, f.at("a.csv"+resultX))
	if len(r) != 2 || r[0]["outcome"] != "unknown" || r[1]["outcome"] != "done" || exists(f.at("a.csv"+rejectX)) {
		t.Errorf("%v", r)
	}
	look(t, f) // not due yet: nothing is asked, and nothing overtakes
	if len(asked) != 3 {
		t.Errorf("asked %v", asked)
	}
	// Another file of that name waits until this one is done.
	put(t, f, "a.csv", "op,infno,request,visit\n"+line("R-9")+",V9\n")
	clock.Advance(2 * time.Hour) // far beyond Wait: what is unknown stays unknown
	f = start()
	look(t, f)
	if r := cells(t, f.at("a.csv"+resultX)); r[0]["outcome"] != "unknown" || !exists(f.at("a.csv")) {
		t.Errorf("%v", r)
	}
	known = true
	clock.Advance(10 * time.Minute)
	look(t, f)
	if r := cells(t, f.at("a.csv"+resultX)); len(r) != 3 || r[0]["outcome"] != "done" || r[2]["outcome"] != "done" {
		t.Errorf("%v", r)
	}
	for range 2 {
		clock.Advance(10 * time.Minute)
		look(t, f)
	}
	if r := cells(t, f.at("a.csv"+resultX)); len(r) != 1 || r[0]["request_id"] != "R-9" {
		t.Errorf("%v", r)
	}
	if r := cells(t, f.at("b.csv"+resultX)); len(r) != 2 || r[0]["request_id"] != "R-4" || r[0]["outcome"] != "done" {
		t.Errorf("%v", r)
	}
	if got := strings.Join(asked, " "); strings.Index(got, "R-3") > strings.Index(got, "R-4") {
		t.Errorf("a later file overtook: %s", got)
	}
}

// What can not be taken now is tried again, and everything behind it waits; after Wait it is refused.
func TestHeld(t *testing.T) {
	clock := gatewaytest.NewClock(histest.At)
	busy, n := true, 0
	desk := &histest.Desk{On: map[histest.Op]func(context.Context, gateway.Caller, any) (any, error){
		histest.OpTransact: func(_ context.Context, _ gateway.Caller, r any) (any, error) {
			if n++; busy {
				return nil, &gateway.Error{Code: gateway.CodeCentreBusy}
			}
			return histest.Transaction(r.(gateway.Transact).RequestID, n, gateway.StateDone), nil
		},
	}}
	f := open(t, desk, func(o *Options) { o.Clock, o.Wait = clock, time.Minute })
	put(t, f, "a.csv", head+line("R-1")+"\n"+line("R-2")+"\n")
	put(t, f, "b.csv", head+line("R-3")+"\n")
	look(t, f)
	look(t, f)
	if n != 1 || exists(f.at("a.csv"+resultX)) {
		t.Errorf("the desk was asked %d times", n)
	}
	clock.Advance(40 * time.Second)
	busy = false
	look(t, f)
	if r := cells(t, f.at("b.csv"+resultX)); r[0]["outcome"] != "done" {
		t.Errorf("%v", r)
	}
	busy = true
	put(t, f, "c.csv", head+line("R-4")+"\n")
	look(t, f)
	clock.Advance(2 * time.Minute)
	look(t, f)
	if r := cells(t, f.at("c.csv"+resultX)); r[0]["outcome"] != "refused" || r[0]["code"] != string(gateway.CodeCentreBusy) {
		t.Errorf("%v", r)
	}
	// A file that takes long has the whole of Wait for a message that is held at its end.
	busy = false
	slow := desk.On[histest.OpTransact]
	desk.On[histest.OpTransact] = func(ctx context.Context, c gateway.Caller, r any) (any, error) {
		if clock.Advance(time.Hour); r.(gateway.Transact).RequestID == "R-6" {
			busy = !busy
		}
		return slow(ctx, c, r)
	}
	put(t, f, "d.csv", head+line("R-5")+"\n"+line("R-6")+"\n")
	look(t, f)
	if exists(f.at("d.csv" + resultX)) {
		t.Error("refused without having waited")
	}
	clock.Advance(50 * time.Second)
	look(t, f)
	if r := cells(t, f.at("d.csv"+resultX)); len(r) != 2 || r[1]["outcome"] != "done" {
		t.Errorf("%v", r)
	}
}

// A share that goes away is trouble, and goes on by itself.
func TestFolderGoesAway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "share")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	clock := gatewaytest.NewClock(histest.At)
	f := open(t, &histest.Desk{}, func(o *Options) { o.Dir, o.Clock = dir, clock })
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- f.Run(ctx) }()
	turn := func() {
		t.Helper()
		limit, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if err := clock.AwaitWaiters(limit, 1); err != nil {
			t.Fatal(err)
		}
	}
	if turn(); f.Trouble() == "" {
		t.Error("nothing is said")
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	put(t, f, "a.csv", head+line("R-1")+"\n")
	clock.Advance(time.Minute)
	if turn(); f.Trouble() != "" || !exists(f.at("a.csv"+resultX)) {
		t.Errorf("%q", f.Trouble())
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Files that are kept go after their time.
func TestKept(t *testing.T) {
	clock := gatewaytest.NewClock(histest.At)
	f := open(t, &histest.Desk{}, func(o *Options) { o.Clock, o.Keep = clock, time.Hour })
	put(t, f, "a.csv", head+line("R-1")+"\n")
	look(t, f)
	if list, _ := os.ReadDir(f.at(done)); len(list) != 1 {
		t.Errorf("%v", list)
	}
	clock.Advance(2 * time.Hour)
	look(t, f)
	if list, _ := os.ReadDir(f.at(done)); len(list) != 0 {
		t.Errorf("%v", list)
	}
}

func TestPanicInTheMapping(t *testing.T) {
	f := open(t, &histest.Desk{}, func(o *Options) { o.Layout = Layout{Type: "op"} })
	put(t, f, "a.csv", head+"panic,1101,R-1\n"+line("R-2")+"\n")
	look(t, f)
	b, err := os.ReadFile(f.at("a.csv" + resultX))
	if r := cells(t, f.at("a.csv"+resultX)); err != nil || r[0]["code"] != string(gateway.CodeInternal) || r[1]["outcome"] != "done" || strings.Contains(string(b), "secret") {
		t.Errorf("%v", r)
	}
}

func FuzzRows(f *testing.F) {
	f.Add("a.csv", []byte(head+line("R-1")+"\n"))
	f.Add("a.tsv", []byte("\xef\xbb\xbfop\tinfno\na\t\"b\"\n"))
	f.Add("a.jsonl", []byte(`{"op":"x","a":{"b":1}}`+"\n[]"))
	f.Add("a.dat", []byte("abcdefgh"))
	f.Add("a.xlsx", []byte("PK"))
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		for _, l := range []Layout{{As: "x", Group: []string{"op"}}, {Type: "op", Trailer: "END"}, {As: "x", Format: "fixed", Fixed: []Width{{"op", 3}, {"x", 1}}}} {
			digest, charset, err := survey(strings.NewReader(string(b)))
			if err != nil {
				continue
			}
			r, _, err := l.open(name, charset, strings.NewReader(string(b)), int64(len(b)))
			if err != nil {
				continue
			}
			ids := map[string]bool{}
			for list := l.messages(r, name, digest); ; {
				g, err := list.next()
				if err != nil {
					break
				}
				if len(g.m.Rows) == 0 && len(g.faults) == 0 {
					t.Error("a message of nothing")
				}
				if len(g.faults) == 0 && ids[g.m.ID] {
					t.Errorf("two messages under one id")
				}
				ids[g.m.ID] = true
			}
		}
	})
}
