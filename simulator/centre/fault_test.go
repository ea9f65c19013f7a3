package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/schemas/money"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/people"
)

// live puts a desk's centre behind a real server.
func live(t *testing.T, o Options) (*desk, *httptest.Server) {
	d := newDesk(t, o)
	srv := httptest.NewServer(d.c.Handler())
	t.Cleanup(srv.Close)
	t.Cleanup(d.c.Close) // before the server waits for its calls
	return d, srv
}

// answer is what a client sees of one call.
type answer struct {
	status int
	kind   string
	body   []byte
	err    error
}

func call1(ctx context.Context, url string, body []byte) answer {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Content-Type"), b, err}
}

func TestFaults(t *testing.T) {
	const lost = "connection lost"
	cases := []struct {
		rule   fault.Rule
		done   bool   // the settlement stands afterwards
		expect string // what the client sees
	}{
		{fault.Rule{Kind: fault.CommitThenLose}, true, lost},
		{fault.Rule{Kind: fault.CommitThenLose, Delay: fault.Delay(time.Second)}, true, lost},
		{fault.Rule{Kind: fault.DropBeforeCommit}, false, lost},
		{fault.Rule{Kind: fault.Refuse}, false, lost},
		{fault.Rule{Kind: fault.CutMidBody}, true, lost},
		{fault.Rule{Kind: fault.NeverAnswer, Delay: fault.Delay(time.Second)}, false, lost},
		{fault.Rule{Kind: fault.NeverAnswer, Delay: fault.Delay(time.Second), Commit: true}, true, lost},
		{fault.Rule{Kind: fault.HTML}, false, "html"},
		{fault.Rule{Kind: fault.HTML, Commit: true}, true, "html"},
		{fault.Rule{Kind: fault.HTTP500}, false, "500"},
		{fault.Rule{Kind: fault.HTTP500, Commit: true}, true, "500"},
		{fault.Rule{Kind: fault.Garbage, Commit: true}, true, "garbage"},
		{fault.Rule{Kind: fault.Slow, Delay: fault.Delay(time.Second)}, true, "ok"},
		{fault.Rule{Kind: fault.Late, Delay: fault.Delay(time.Second)}, true, "ok"},
		{fault.Rule{Kind: fault.AnswerTwice}, true, "ok"},
		{fault.Rule{Kind: fault.WrongSignature}, true, "ok"},
		{fault.Rule{Kind: fault.WrongTotal}, true, "wrong total"},
	}
	for _, k := range cases {
		name := string(k.rule.Kind)
		if k.rule.Commit {
			name += " after commit"
		}
		t.Run(name, func(t *testing.T) {
			k.rule.Infno, k.rule.Nth = "2207", 1
			script, err := fault.NewScript(k.rule)
			if err != nil {
				t.Fatal(err)
			}
			var waited atomic.Int64
			d, srv := live(t, Options{Faults: script, Wait: func(_ context.Context, w time.Duration) { waited.Add(int64(w)) }})
			p := someone(t, people.Active)
			visit := d.open(p)
			in := settleInput(p, visit, "B1", d.ladder(p, visit, "B1", standardBill()))
			id := d.msgid()
			body, err := wire.EncodeRequest(d.request("2207", id, p.Area, in))
			if err != nil {
				t.Fatal(err)
			}
			a := call1(t.Context(), srv.URL, body)
			got := lost
			if a.err == nil {
				r, err := wire.DecodeReply(a.body)
				switch {
				case strings.HasPrefix(a.kind, "text/html") && a.status == 200:
					got = "html"
				case a.status == 500:
					got = "500"
				case err != nil:
					got = "garbage"
				case r.OK():
					got = "ok"
					o, _ := r.Output.(object)
					if s := node(o, "setlinfo"); fen(t, s, "fund_pay_sumamt") != fen(t, s, "hifp_pay") {
						got = "wrong total"
					}
				default:
					got = r.ErrMsg
				}
			}
			if got != k.expect {
				t.Errorf("client saw %q (%v), want %q", got, a.err, k.expect)
			}
			if waited.Load() != int64(k.rule.Delay) {
				t.Errorf("waited %d ns", waited.Load())
			}
			list := d.c.Settlements()
			if done := len(list) == 1 && list[0].InForce() && list[0].MsgID == id; done != k.done {
				t.Errorf("settled: %v, want %v", done, k.done)
			}
			if script.Fired(k.rule.Kind) != 1 {
				t.Errorf("counts %+v", script.Counts())
			}
			log := d.c.CallsOf(id)
			if len(log) != 1 || log[0].Fault != k.rule.Kind || (log[0].Outcome == Done) != k.done {
				t.Errorf("log %+v", log)
			}
			// The rule fired once: the same request again is taken or refused by the business alone.
			r := d.sendAs("2207", id, p.Area, in)
			if r.OK() == k.done {
				t.Errorf("again: %q", r.ErrMsg)
			}
		})
	}
}

// A client that gives up frees a call that would never be answered.
func TestNeverAnswerEndsWithTheClient(t *testing.T) {
	script, err := fault.NewScript(fault.Rule{Kind: fault.NeverAnswer, Times: 1})
	if err != nil {
		t.Fatal(err)
	}
	reached := make(chan struct{}, 2)
	d := newDesk(t, Options{Faults: script})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		d.c.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(d.c.Close)
	body, err := wire.EncodeRequest(d.request("1101", d.msgid(), "", object{"data": object{}}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if a := call1(ctx, srv.URL, body); !errors.Is(a.err, context.DeadlineExceeded) {
		t.Errorf("%+v", a)
	}
	// And Close frees one whose client waits for ever.
	if err := script.Add(fault.Rule{Kind: fault.NeverAnswer, Times: 1}); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer, 1)
	go func() { done <- call1(context.Background(), srv.URL, body) }()
	<-reached
	<-reached
	d.c.Close()
	if a := <-done; a.err == nil {
		t.Errorf("answered: %+v", a)
	}
}

// What was sent before the client gave up can still be done after a reversal found nothing.
func TestLateArrivesAfterReversal(t *testing.T) {
	script, err := fault.NewScript(fault.Rule{Infno: "2207", Kind: fault.Late, Delay: fault.Delay(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan struct{}), make(chan struct{})
	d, srv := live(t, Options{Faults: script, Wait: func(context.Context, time.Duration) { close(arrived); <-release }})
	p := someone(t, people.Active)
	visit := d.open(p)
	in := settleInput(p, visit, "B1", d.ladder(p, visit, "B1", standardBill()))
	id := d.msgid()
	body, err := wire.EncodeRequest(d.request("2207", id, p.Area, in))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan answer, 1)
	go func() { gone <- call1(ctx, srv.URL, body) }()
	<-arrived
	cancel()
	if a := <-gone; a.err == nil {
		t.Fatal("the client did not give up")
	}
	if r := d.send(p, "2601", reverseInput(p, id, "2207")); r.OK() || r.ErrMsg != "未找到原交易" {
		t.Errorf("reversal of what has not arrived: %q", r.ErrMsg)
	}
	close(release)
	srv.Close() // waits for the call
	if list := d.c.Settlements(); len(list) != 1 || !list[0].InForce() {
		t.Errorf("%+v", list)
	}
}

func TestAnswerTwiceIsTwice(t *testing.T) {
	script, err := fault.NewScript(fault.Rule{Kind: fault.AnswerTwice})
	if err != nil {
		t.Fatal(err)
	}
	d, srv := live(t, Options{Faults: script})
	p := someone(t, people.Active)
	body, err := wire.EncodeRequest(d.request("1101", d.msgid(), "", object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}}))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	line, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(line, []byte("HTTP/1.1 200 OK")); n != 2 {
		t.Errorf("%d answers on the line", n)
	}
	if n := bytes.Count(line, []byte(`"infcode":0`)); n != 2 {
		t.Errorf("%d messages on the line", n)
	}
}

func TestControl(t *testing.T) {
	d := newDesk(t, Options{})
	ctl := d.c.Control()
	do := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		ctl.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	p := someone(t, people.Active)
	visit := d.open(p)
	d.settled(p, visit, "B1", standardBill())
	var state struct {
		Counts map[string]Count     `json:"counts"`
		Proof  string               `json:"ledger_proof"`
		Force  int                  `json:"in_force"`
		Totals map[string]money.Fen `json:"ledger_totals"`
	}
	code, text := do("GET", "/control/state", "")
	if err := json.Unmarshal([]byte(text), &state); err != nil || code != 200 {
		t.Fatal(code, err, text)
	}
	if state.Counts["2207"].Done != 1 || state.Proof != "ok" || state.Force != 1 || state.Totals["hospital"] != 479_54 || state.Totals["fund"] != -88_21 {
		t.Errorf("%s", text)
	}
	if _, text = do("GET", "/control/settlements?mdtrt_id="+visit, ""); strings.Count(text, `"setl_id"`) != 1 || !strings.Contains(text, `"479.54"`) {
		t.Errorf("%s", text)
	}
	if _, text = do("GET", "/control/settlements?mdtrt_id=x", ""); text != "[]\n" {
		t.Errorf("%s", text)
	}
	if _, text = do("GET", "/control/people", ""); !strings.Contains(text, "测试甲") || !strings.Contains(text, `"644.17"`) {
		t.Errorf("%s", text)
	}
	if _, text = do("GET", "/control/items", ""); !strings.Contains(text, "模拟阿莫西林胶囊") {
		t.Errorf("%s", text)
	}
	if _, text = do("GET", "/control/calls", ""); strings.Count(text, `"msgid"`) != 5 {
		t.Errorf("%s", text)
	}
	if code, text = do("POST", "/control/faults", "kind: explode"); code != 400 {
		t.Errorf("%d %s", code, text)
	}
	if code, text = do("POST", "/control/faults", "infno: 1101, kind: html, times: 1"); code != 200 || len(d.c.Faults().Counts()) != 1 {
		t.Errorf("%d %s", code, text)
	}
	if code, _ = do("POST", "/control/faults?replace=1", ""); code != 200 || len(d.c.Faults().Counts()) != 0 {
		t.Errorf("%d %v", code, d.c.Faults().Counts())
	}
	if code, _ = do("GET", "/control/faults", ""); code != http.StatusMethodNotAllowed {
		t.Errorf("%d", code)
	}
	if code, _ = do("POST", "/control/reset", ""); code != 200 || len(d.c.Settlements()) != 0 || len(d.c.Calls()) != 0 {
		t.Errorf("%d", code)
	}
	if b, _ := d.c.Balance(p.No); b != 1000_00 {
		t.Errorf("after the reset the account holds %s", b)
	}
}

func FuzzHandler(f *testing.F) {
	d := newDesk(f, Options{})
	p := someone(f, people.Active)
	visit := d.open(p)
	for infno, in := range map[string]object{
		"1101": {"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}}, "2201": registration(p, "1"),
		"2203": visitInput(p, visit, "11"), "2204": feeInput(f, p, visit, "B1", standardBill()...), "2206": trialInput(p, visit, "B1", 1),
		"2208": undoInput(p, visit, "x"), "2601": reverseInput(p, d.msgid(), "2207"), "4101": {},
		"5201": {"data": object{"psn_no": p.No, "begntime": "2025-06-18 00:00:00", "endtime": "2025-06-18 00:00:00", "med_type": "11"}},
		"2401": admissionInput(p, "Z"), "2102": saleInput(f, p, "41", worked()...), "2501": transfer(p, small),
		"3201": totalsInput("11", "310", Totals{}), "9101": d.uploadInput("UEs="),
	} {
		body, err := wire.EncodeRequest(d.request(infno, d.msgid(), p.Area, in))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, body []byte) {
		w := d.post(body)
		if _, err := wire.DecodeReply(w.Body.Bytes()); err != nil || w.Code != 200 {
			t.Fatalf("%d %v: %s", w.Code, err, w.Body)
		}
		if err := d.c.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
