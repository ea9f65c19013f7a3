package centre

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

// tokenServer counts the tokens it gave out; answer may spoil the next ones.
type tokenServer struct {
	*httptest.Server
	given  atomic.Int64
	answer atomic.Pointer[func(http.ResponseWriter)]
}

func newTokenServer(t *testing.T) *tokenServer {
	s := &tokenServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if id != "app" || secret != "s%26cret" || r.PostFormValue("grant_type") != "password" || r.PostFormValue("username") != "u" || r.PostFormValue("password") != "p" || r.PostFormValue("scope") != "all" {
			t.Errorf("asked as %q with %v", id, r.PostForm)
		}
		n := s.given.Add(1)
		if f := s.answer.Load(); f != nil {
			(*f)(w)
			return
		}
		fmt.Fprintf(w, `{"access_token":"T%d","token_type":"Bearer","expires_in":600}`, n)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *tokenServer) spoil(f func(http.ResponseWriter)) { s.answer.Store(&f) }

func newTokens(t *testing.T, s *tokenServer, clock gateway.Clock) *Tokens {
	t.Helper()
	k, err := NewTokens(TokenOptions{URL: s.URL, ClientID: "app", ClientSecret: "s&cret", Username: "u", Password: "p", Scope: "all", Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokensAreKeptAndRenewed(t *testing.T) {
	s, clock := newTokenServer(t), gatewaytest.NewClock(t0)
	k := newTokens(t, s, clock)
	if _, err := k.Bearer(); err == nil {
		t.Error("a token from nowhere")
	}
	ready := func(want string) {
		t.Helper()
		if err := k.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Bearer(); err != nil || got != want {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	var all sync.WaitGroup
	for range 20 { // one of them fetches, the others wait for it
		all.Go(func() {
			if err := k.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	ready("T1")
	clock.Advance(539 * time.Second)
	ready("T1")
	clock.Advance(time.Second) // a minute before its end
	ready("T2")
	k.Drop()
	ready("T3")

	// A server that is out of order does not matter while the token is good.
	s.spoil(func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) })
	clock.Advance(550 * time.Second)
	ready("T3")
	clock.Advance(time.Minute)
	if err := k.Ready(t.Context()); err == nil {
		t.Error("no token, no error")
	}
	if _, err := k.Bearer(); err == nil {
		t.Error("a token after its end")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Ready(ctx); err == nil {
		t.Error("nobody waits any more")
	}
}

func TestBadTokenAnswers(t *testing.T) {
	s, clock := newTokenServer(t), gatewaytest.NewClock(t0)
	for _, answer := range []string{
		``, `[]`, `{}`, `{"access_token":""}`, `{"access_token":"a b"}`, `{"access_token":"a\r\nx: y"}`, `{"access_token":7}`, `{"access_token":"a","access_token":"b"}`,
		`{"access_token":"a","token_type":"mac"}`, `{"access_token":"a","expires_in":0}`, `{"access_token":"a","expires_in":-1}`, `{"access_token":"a","expires_in":"x"}`,
		`{"access_token":"a"}x`, `{"access_token":"` + strings.Repeat("a", 5000) + `"}`, `{"a":"` + strings.Repeat("a", maxTokenReply) + `"}`,
	} {
		s.spoil(func(w http.ResponseWriter) { fmt.Fprint(w, answer) })
		err := newTokens(t, s, clock).Ready(t.Context())
		if err == nil {
			t.Errorf("%.60q was taken", answer)
		} else if strings.Contains(err.Error(), "aaaa") || strings.Contains(err.Error(), "cret") {
			t.Errorf("%v says too much", err)
		}
	}
	s.spoil(func(w http.ResponseWriter) { http.Redirect(w, &http.Request{}, "http://192.0.2.1/", http.StatusFound) })
	if newTokens(t, s, clock).Ready(t.Context()) == nil {
		t.Error("a redirect was followed")
	}
	s.spoil(func(w http.ResponseWriter) { fmt.Fprint(w, `{"access_token":"a"}`) })
	k := newTokens(t, s, clock)
	if err := k.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	clock.Advance(tokenLife)
	if _, err := k.Bearer(); err == nil {
		t.Error("a token without an end lives for ever")
	}
	for _, o := range []TokenOptions{{}, {URL: "http://192.0.2.1/", ClientID: "a", ClientSecret: "b"}, {URL: "https://u:p@x/", ClientID: "a", ClientSecret: "b"},
		{URL: "https://x/", ClientID: "a"}, {URL: "https://x/", ClientID: "a", ClientSecret: "b", Username: "u"}} {
		o.Clock = clock
		if _, err := NewTokens(o); err == nil {
			t.Errorf("%+v", o)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"access_token":"a","token_type":"bearer","expires_in":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		token, life, err := readToken(body)
		if err == nil && (token == "" || strings.ContainsAny(token, " \r\n") || life <= 0 || life > maxTokenLife) {
			t.Fatalf("%q %s", token, life)
		}
	})
}

// Without a token nothing leaves; a token the centre does not take is dropped.
func TestClientWithTokens(t *testing.T) {
	s, clock := newTokenServer(t), gatewaytest.NewClock(t0)
	k := newTokens(t, s, clock)
	var got []string
	status := http.StatusOK
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		w.WriteHeader(status)
		w.Write(replyText("0", "", "M1"))
	}))
	o := options(t, srv.URL, clock)
	none, _ := pair(t, "none")
	var err error
	o.Profile, o.Tokens = none, k
	if o.Transport, err = envelope.NewTransport("oauth-cainfo", envelope.TransportConfig{Bearer: k.Bearer}); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, o)
	send := func() gateway.Reply {
		t.Helper()
		p, err := c.Admit(t.Context(), "1101")
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Seal(gateway.Message{Infno: "1101", MsgID: "M1", Limit: "query", Body: []byte(`{"infno":"1101"}`)})
		if err != nil {
			t.Fatal(err)
		}
		return p.Send(t.Context(), m)
	}
	want(t, send(), done, gateway.CauseNone)
	status = http.StatusUnauthorized
	want(t, send(), unknown, gateway.CauseNotInterface)
	status = http.StatusOK
	want(t, send(), done, gateway.CauseNone)
	s.spoil(func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) })
	k.Drop()
	want(t, send(), refused, gateway.CauseNotSent)
	if strings.Join(got, " ") != "Bearer T1 Bearer T1 Bearer T2" {
		t.Errorf("%q", got)
	}
}
