package centre

import (
	"bytes"
	"crypto/rand"
	"io"
	"net/http"
	"testing"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

func testService() *gateway.Service {
	return &gateway.Service{Name: "test", Transactions: map[ident.Infno]gateway.ServiceExchange{
		"6202": {Path: "hos/pay_order", Node: "data", Echo: []string{"payOrdId"}},
		"6203": {Path: "hos/refund", Node: "data", Status: &gateway.ServiceStatus{Member: "refStatus", Done: []string{"SUCC"}, Refused: []string{"FAIL"}}},
		"6401": {Path: "hos/revoke", Node: "data", Status: &gateway.ServiceStatus{Member: "success", Done: []string{"true"}, Refused: []string{"false"}}},
		"D001": {Path: "fixmedins/uploadChk"},
	}}
}

// A service gets the data alone, at its own path; what comes back is read by what it says.
func TestService(t *testing.T) {
	ours, theirs := pair(t, "mpc")
	_, stranger := pair(t, "mpc")
	var path string
	var got []byte
	var answer func() []byte
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		path = r.URL.Path
		if got, _, err = theirs.Open(body); err != nil {
			t.Error(err)
		}
		w.Write(answer())
	}))
	o := options(t, srv.URL+"/base/", gatewaytest.NewClock(t0))
	o.Profile, o.Service, o.Breaker.Consecutive = ours, testService(), 1000
	o.Breaker.Minimum = 1000
	c := newClient(t, o)
	seal := func(code, message, data string) func() []byte {
		return func() []byte {
			var b []byte
			if data != "" {
				b = []byte(data)
			}
			s, err := theirs.SealReply(rand.Reader, t0, code, message, b)
			if err != nil {
				t.Fatal(err)
			}
			return s.Body
		}
	}
	send := func(n ident.Infno, body string) gateway.Reply {
		t.Helper()
		p, err := c.Admit(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		m, err := p.Seal(gateway.Message{Infno: n, MsgID: "M1", Limit: "settle", Body: []byte(body)})
		if err != nil {
			t.Fatal(err)
		}
		return p.Send(t.Context(), m)
	}
	const core = `{"infno":"6202","msgid":"M1","input":{"data":{"payOrdId":"O1","amt":1.00}}}`
	for name, c := range map[string]struct {
		n       ident.Infno
		answer  func() []byte
		outcome gateway.Outcome
		cause   gateway.Cause
	}{
		"done":                 {"6202", seal("0", "", `{"payOrdId":"O1"}`), done, gateway.CauseNone},
		"done, nothing said":   {"6202", seal("0", "", `{}`), done, gateway.CauseNone},
		"of another order":     {"6202", seal("0", "", `{"payOrdId":"O2"}`), unknown, gateway.CauseMismatch},
		"refused":              {"6202", seal("10001", "no", ""), refused, gateway.CauseBusiness},
		"a word for a code":    {"6202", seal("bad", "no", ""), unknown, gateway.CauseNotInterface},
		"unsigned refusal":     {"6202", func() []byte { return []byte(`{"code":"10001","message":"no"}`) }, unknown, gateway.CauseSignature},
		"a core reply":         {"6202", func() []byte { return replyText("0", "", "M1") }, unknown, gateway.CauseSignature},
		"HTML":                 {"6202", func() []byte { return []byte("<html>") }, unknown, gateway.CauseNotInterface},
		"refunded":             {"6203", seal("0", "", `{"refStatus":"SUCC"}`), done, gateway.CauseNone},
		"refund failed":        {"6203", seal("0", "", `{"refStatus":"FAIL"}`), refused, gateway.CauseBusiness},
		"refund neither":       {"6203", seal("0", "", `{"refStatus":"EXP"}`), unknown, gateway.CauseMismatch},
		"refund, nothing said": {"6203", seal("0", "", `{}`), unknown, gateway.CauseMismatch},
		"revoked":              {"6401", seal("0", "", `{"success":true}`), done, gateway.CauseNone},
		"not revoked":          {"6401", seal("0", "", `{"success":"false"}`), refused, gateway.CauseBusiness},
		"a stranger's signature": {"6202", func() []byte {
			s, err := stranger.SealReply(rand.Reader, t0, "0", "", []byte(`{"payOrdId":"O1"}`))
			if err != nil {
				t.Fatal(err)
			}
			return s.Body
		}, unknown, gateway.CauseSignature},
	} {
		answer = c.answer
		r := send(c.n, core)
		if r.Outcome != c.outcome || r.Cause != c.cause {
			t.Errorf("%s: %s %s (%s)", name, r.Outcome, r.Cause, r.Detail)
		}
		if r.Outcome == done && strictjson.Get(r.Reply.Output, "data") == nil {
			t.Errorf("%s: %v", name, r.Reply.Output)
		}
	}
	answer = seal("0", "", `{"payOrdId":"O1"}`)
	send("6202", core)
	if path != "/base/hos/pay_order" || !bytes.Equal(got, []byte(`{"payOrdId":"O1","amt":1.00}`)) {
		t.Errorf("%s %s", path, got)
	}
	answer = seal("0", "", `{"hiRxno":"R"}`)
	r := send("D001", `{"infno":"D001","msgid":"M1","input":{"a":"1","list":[]}}`)
	if path != "/base/fixmedins/uploadChk" || string(got) != `{"a":"1","list":[]}` || strictjson.Get(r.Reply.Output, "hiRxno") != "R" {
		t.Errorf("%s %s %v", path, got, r.Reply.Output)
	}
	for name, m := range map[string]gateway.Message{
		"of the core interface": {Infno: "2207", Limit: "settle", Body: []byte(core)},
		"without the node":      {Infno: "6202", Limit: "settle", Body: []byte(`{"input":{"x":{}}}`)},
		"without an input":      {Infno: "6202", Limit: "settle", Body: []byte(`{"a":1}`)},
	} {
		p, err := c.Admit(t.Context(), m.Infno)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Seal(m); err == nil {
			t.Errorf("%s: sealed", name)
		}
		p.Release()
	}
	if n := len(c.Serves()); n != 4 {
		t.Errorf("%d transactions", n)
	}
}

func FuzzServiceReply(f *testing.F) {
	ours, theirs := pair(f, "mpc")
	s, err := theirs.SealReply(rand.Reader, t0, "0", "", []byte(`{"payOrdId":"O1"}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Body)
	f.Add([]byte(`{"code":1}`))
	x := testService().Transactions["6202"]
	f.Fuzz(func(t *testing.T, body []byte) {
		v := classifyService(ours, true, x, []byte(`{"payOrdId":"O1"}`), http.StatusOK, http.Header{}, body)
		if v.outcome == done && !bytes.Equal(bytes.TrimSpace(body), s.Body) {
			if _, _, err := ours.OpenReply(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))); err != nil {
				t.Fatalf("done by %q", body)
			}
		}
	})
}
