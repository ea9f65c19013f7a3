package centre

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

var t0 = time.Date(2026, 3, 4, 5, 6, 7, 0, gateway.China)

// stampProfile is the smallest profile that can be forged: the data wrapped with a word that must
// be right.
type stampProfile struct{}

type stamped struct {
	Word string
	Code string          `json:",omitempty"`
	Data json.RawMessage `json:",omitempty"`
}

func (stampProfile) Seal(_ io.Reader, _ time.Time, data []byte) (envelope.Sealed, error) {
	if len(data) == 0 {
		return envelope.Sealed{}, errors.New("nothing to seal")
	}
	b, err := json.Marshal(stamped{Word: "good", Data: data})
	return envelope.Sealed{Body: b, ContentType: "application/json; charset=utf-8"}, err
}

func (p stampProfile) Open(body []byte) ([]byte, envelope.Head, error) { return p.OpenReply(body) }

func (stampProfile) SealReply(_ io.Reader, _ time.Time, code, message string, data []byte) (envelope.Sealed, error) {
	b, err := json.Marshal(stamped{Word: "good", Code: code, Data: data})
	return envelope.Sealed{Body: b}, err
}

func (stampProfile) OpenReply(body []byte) ([]byte, envelope.Head, error) {
	var s stamped
	if json.Unmarshal(body, &s) != nil {
		return nil, envelope.Head{}, &envelope.Fault{Code: "json"}
	}
	if s.Word != "good" {
		return nil, envelope.Head{Code: s.Code}, &envelope.Fault{Code: "signature"}
	}
	return s.Data, envelope.Head{Code: s.Code}, nil
}

// noHeaders is a transport that adds nothing.
type noHeaders struct{}

func (noHeaders) Stamp(io.Reader, time.Time, http.Header, []byte) error     { return nil }
func (noHeaders) Check(time.Time, time.Duration, http.Header, []byte) error { return nil }

type stampFunc func(h http.Header, body []byte) error

func (f stampFunc) Stamp(_ io.Reader, _ time.Time, h http.Header, b []byte) error { return f(h, b) }
func (stampFunc) Check(time.Time, time.Duration, http.Header, []byte) error       { return nil }

// options gives working options for a server at url.
func options(t testing.TB, url string, clock gateway.Clock) Options {
	t.Helper()
	provider, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		BaseURL: url, Profile: stampProfile{}, Transport: noHeaders{}, Clock: clock,
		Rand: rand.Reader, SM3: provider.SM3, MaxReply: 1 << 20,
	}
}

func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func coreMessage(id ident.MsgID, limit catalog.Limit) gateway.Message {
	return gateway.Message{Infno: "2207", MsgID: id, Limit: limit,
		Body: []byte(`{"infno":"2207","msgid":"` + string(id) + `","input":{}}`)}
}

// attempt sends one message through c.
func attempt(t testing.TB, c *Client, id ident.MsgID, limit catalog.Limit) gateway.Reply {
	t.Helper()
	return attemptOf(t, c, coreMessage(id, limit))
}

func attemptOf(t testing.TB, c *Client, m gateway.Message) gateway.Reply {
	t.Helper()
	p, err := c.Admit(t.Context(), "2207")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Seal(m)
	if err != nil {
		t.Fatal(err)
	}
	return p.Send(t.Context(), s)
}

// want checks an outcome.
func want(t testing.TB, r gateway.Reply, o gateway.Outcome, c gateway.Cause) {
	t.Helper()
	if r.Outcome != o || r.Cause != c {
		t.Fatalf("the outcome is %s/%q (%s), want %s/%q", r.Outcome, r.Cause, r.Detail, o, c)
	}
}

// msgidOf finds the msgid in a sealed body.
func msgidOf(t testing.TB, p envelope.Profile, body []byte) ident.MsgID {
	data, _, err := p.Open(body)
	var m struct {
		MsgID ident.MsgID `json:"msgid"`
	}
	if err != nil || json.Unmarshal(data, &m) != nil {
		t.Errorf("the far side can not read the message: %v", err)
	}
	return m.MsgID
}

func replyText(infcode, errMsg string, id ident.MsgID) []byte {
	b, _ := json.Marshal(map[string]any{"infcode": json.RawMessage(infcode), "err_msg": errMsg,
		"inf_refmsgid": "430100202603040506070000000001",
		"output":       map[string]any{"setlinfo": map[string]any{"setl_id": "S-" + string(id)}}})
	return b
}

// inbox counts what a server got, by msgid.
type inbox struct {
	mu sync.Mutex
	n  map[ident.MsgID]int
}

func (i *inbox) add(id ident.MsgID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n == nil {
		i.n = map[ident.MsgID]int{}
	}
	i.n[id]++
}

func (i *inbox) count(id ident.MsgID) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.n[id]
}

func quiet(s *httptest.Server) {
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
}

// good answers done to every message.
func good(t testing.TB, in *inbox) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		id := msgidOf(t, stampProfile{}, b)
		in.add(id)
		s, _ := stampProfile{}.SealReply(nil, t0, "0", "", replyText("0", "", id))
		rw.Header().Set("Content-Type", "application/json")
		rw.Write(s.Body)
	}
}

func serve(t testing.TB, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	quiet(s)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func clock() *gatewaytest.Clock { return gatewaytest.NewClock(t0) }
