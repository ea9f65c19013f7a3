package centre

import (
	"bytes"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

// The centre's clock is seen by the Date of an answer and, better, by the time in a signed one. A signed
// answer from long ago proves nothing.
func TestSkewAndOldReplies(t *testing.T) {
	ours, theirs := pair(t, "mpc")
	clock := gatewaytest.NewClock(t0)
	var date, stamp time.Duration
	signed := true
	srv := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", clock.Now().Add(date).UTC().Format(http.TimeFormat))
		body := []byte("<html>")
		if signed {
			s, err := theirs.SealReply(rand.Reader, clock.Now().Add(stamp), "0", "", replyText("0", "", "M1"))
			if err != nil {
				t.Error(err)
			}
			body = s.Body
		}
		w.Write(body)
	}))
	var log bytes.Buffer
	o := options(t, srv.URL, clock)
	o.Profile, o.Log = ours, slog.New(slog.NewTextHandler(&log, nil))
	c := newClient(t, o)
	send := func() gateway.Reply {
		t.Helper()
		p, err := c.Admit(t.Context(), "2207")
		if err != nil {
			t.Fatal(err)
		}
		m, err := p.Seal(gateway.Message{Infno: "2207", MsgID: "M1", Limit: "settle", Body: []byte(`{"infno":"2207"}`)})
		if err != nil {
			t.Fatal(err)
		}
		return p.Send(t.Context(), m)
	}
	if !c.Stats().Skew.At.IsZero() {
		t.Error("measured before anything was sent")
	}
	warned := func() int { return strings.Count(log.String(), "clock and ours differ") }

	stamp, date = 20*time.Second, time.Hour // the header is not believed beside a signature
	want(t, send(), done, gateway.CauseNone)
	if s := c.Stats().Skew; !s.Signed || s.By != 20*time.Second || s.At != t0 || warned() != 0 {
		t.Errorf("%+v, %d warnings", s, warned())
	}
	stamp = -14 * time.Minute
	want(t, send(), done, gateway.CauseNone)
	want(t, send(), done, gateway.CauseNone)
	if s := c.Stats().Skew; s.By != stamp || warned() != 1 {
		t.Errorf("%+v, %d warnings: %s", s, warned(), log.String())
	}
	for _, off := range []time.Duration{-16 * time.Minute, 16 * time.Minute} {
		stamp = off
		r := send()
		want(t, r, unknown, gateway.CauseSignature)
		if !strings.Contains(r.Detail, "another time") || r.Reply.InfCode != "" {
			t.Errorf("%+v", r)
		}
	}
	signed = false
	want(t, send(), unknown, gateway.CauseNotInterface)
	if s := c.Stats().Skew; !s.Signed {
		t.Errorf("%+v: a header replaced what was signed a moment ago", s)
	}
	clock.Advance(warnEvery + time.Second)
	want(t, send(), unknown, gateway.CauseNotInterface)
	if s := c.Stats().Skew; s.Signed || (s.By-date).Abs() > time.Second {
		t.Errorf("%+v", s)
	}
	if warned() != 2 {
		t.Errorf("%d warnings", warned())
	}
}
