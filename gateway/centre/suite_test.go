package centre

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

// world is a server that behaves as the suite wants, and a client for it.
func world(t *testing.T, w *gatewaytest.CentreWorld, ours, theirs envelope.Profile, forge func([]byte) []byte) gateway.Centre {
	gone := make(chan struct{})
	h := func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("the request did not arrive whole: %v", err)
			return
		}
		w.Receive(body)
		id := msgidOf(t, theirs, body)
		data := replyText("0", "", id)
		switch w.Behaviour {
		case gatewaytest.CentreRefuses:
			data = replyText(`"-1"`, gatewaytest.CentreRefusal, id)
		case gatewaytest.CentreHeld:
			<-w.Open
		case gatewaytest.CentreSilent:
			<-gone
			return
		case gatewaytest.CentreCuts:
			nc, _, err := rw.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			nc.Close()
			return
		case gatewaytest.CentreTalksHTML:
			rw.Header().Set("Content-Type", "text/html")
			io.WriteString(rw, "<html><body>502 Bad Gateway</body></html>")
			return
		case gatewaytest.CentreFails:
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(http.StatusServiceUnavailable)
			rw.Write(replyText("0", "", id))
			return
		}
		s, err := theirs.SealReply(zeroes{}, w.Clock.Now(), "0", "", data)
		if err != nil {
			t.Error(err)
			return
		}
		if w.Behaviour == gatewaytest.CentreForged {
			s.Body = forge(s.Body)
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.Write(s.Body)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(h))
	quiet(srv)
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(gone) })

	o := options(t, srv.URL, w.Clock)
	o.Profile, o.MaxInFlight = ours, w.MaxInFlight
	if w.Behaviour == gatewaytest.CentreUnreachable {
		o.BaseURL = "http://" + closedPort(t)
	}
	return newClient(t, o)
}

// zeroes is a source of nonces for what needs no secrecy.
type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 1
	}
	return len(b), nil
}

// closedPort is an address nobody listens on.
func closedPort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestClientKeepsTheContract(t *testing.T) {
	gatewaytest.CentreSuite(t, func(t *testing.T, w *gatewaytest.CentreWorld) gateway.Centre {
		return world(t, w, stampProfile{}, stampProfile{}, func(b []byte) []byte {
			return append([]byte(`{"Word":"bad",`), b[len(`{"Word":"good",`):]...)
		})
	})
}
