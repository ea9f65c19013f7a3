package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
	"yiqiao/schemas/ident"
)

// CentreBehaviour is what the far side of a Centre under test does with a message.
type CentreBehaviour string

const (
	CentreDone        CentreBehaviour = "done"        // takes it in; answers infcode 0 and output.setlinfo.setl_id "S-" + msgid
	CentreRefuses     CentreBehaviour = "refuses"     // takes it in; answers infcode -1 and err_msg CentreRefusal
	CentreSilent      CentreBehaviour = "silent"      // takes it in and never answers
	CentreCuts        CentreBehaviour = "cuts"        // takes it in and closes the connection
	CentreTalksHTML   CentreBehaviour = "html"        // takes it in; answers with a page
	CentreFails       CentreBehaviour = "fails"       // takes it in; answers with a server error
	CentreForged      CentreBehaviour = "forged"      // takes it in; the answer says infcode 0 and does not verify
	CentreUnreachable CentreBehaviour = "unreachable" // can not be reached at all
	CentreHeld        CentreBehaviour = "held"        // as done, after Open is closed
)

// CentreRefusal is the err_msg of a refusing centre.
const CentreRefusal = "该笔结算已撤销"

// CentreWorld is what a Centre under test is put into.
type CentreWorld struct {
	Behaviour   CentreBehaviour
	MaxInFlight int             // bound the Centre is to be set up with
	Clock       *Clock          // clock the Centre is to be set up with; limits pass when it is moved
	Open        <-chan struct{} // for CentreHeld

	mu       sync.Mutex
	received [][]byte
	changed  chan struct{}
}

// Receive is called by the far side with the exact bytes of every message it gets, before it
// behaves. Safe for concurrent use.
func (w *CentreWorld) Receive(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.received = append(w.received, bytes.Clone(b))
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *CentreWorld) got() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([][]byte(nil), w.received...)
}

func (w *CentreWorld) await(t *testing.T, n int) {
	t.Helper()
	for {
		w.mu.Lock()
		have, changed := len(w.received), w.changed
		w.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("the far side got %d messages, want %d", have, n)
		}
	}
}

// CentreSuite checks the contract of gateway.Centre. build gives the Centre under test in a world
// and cleans up through t. The Centre must not pause after few failures (the suite sends at most
// four failing messages through one) and its limits must be below one hour.
func CentreSuite(t *testing.T, build func(t *testing.T, w *CentreWorld) gateway.Centre) {
	start := func(t *testing.T, b CentreBehaviour, places int) (*centreTest, func()) {
		open := make(chan struct{})
		w := &CentreWorld{Behaviour: b, MaxInFlight: places, Open: open, changed: make(chan struct{}),
			Clock: NewClock(time.Date(2026, 3, 4, 5, 6, 7, 0, gateway.China))}
		var once sync.Once
		release := func() { once.Do(func() { close(open) }) }
		s := &centreTest{T: t, w: w}
		s.c = build(t, w)
		t.Cleanup(release) // before the far side is taken down
		return s, release
	}

	t.Run("outcomes", func(t *testing.T) {
		for _, want := range []struct {
			b        CentreBehaviour
			outcome  gateway.Outcome
			cause    gateway.Cause
			received int
		}{
			{CentreDone, gateway.OutcomeDone, gateway.CauseNone, 1},
			{CentreRefuses, gateway.OutcomeRefused, gateway.CauseBusiness, 1},
			{CentreSilent, gateway.OutcomeUnknown, gateway.CauseTimeout, 1},
			{CentreCuts, gateway.OutcomeUnknown, gateway.CauseCut, 1},
			{CentreTalksHTML, gateway.OutcomeUnknown, gateway.CauseNotInterface, 1},
			{CentreFails, gateway.OutcomeUnknown, gateway.CauseNotInterface, 1},
			{CentreForged, gateway.OutcomeUnknown, gateway.CauseSignature, 1},
			{CentreUnreachable, gateway.OutcomeRefused, gateway.CauseNotSent, 0},
		} {
			for _, limit := range []catalog.Limit{catalog.LimitSettle, catalog.LimitQuery} {
				t.Run(string(want.b)+"/"+string(limit), func(t *testing.T) {
					s, _ := start(t, want.b, 1)
					r := s.once("M1", limit)
					if r.Outcome != want.outcome || r.Cause != want.cause {
						t.Errorf("the outcome is %s/%q (%s), want %s/%q", r.Outcome, r.Cause, r.Detail, want.outcome, want.cause)
					}
					if n := len(s.got()); n != want.received {
						t.Errorf("the far side got %d messages, want %d", n, want.received)
					}
					s.checkContent(r, "M1")
					s.admit().Release() // the place is free again
				})
			}
		}
	})

	t.Run("what leaves is what was sealed", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		sealed := s.seal(p, "M1", catalog.LimitSettle)
		if sealed.Message.MsgID != "M1" || len(sealed.Bytes) == 0 {
			t.Errorf("sealed %q, %d bytes", sealed.Message.MsgID, len(sealed.Bytes))
		}
		s.send(p, sealed)
		got := s.got()
		if len(got) != 1 || !bytes.Equal(got[0], sealed.Bytes) {
			t.Fatalf("the far side got other bytes than were sealed")
		}
		provider, err := sm.New("")
		if err != nil {
			t.Fatal(err)
		}
		if provider.SM3(got[0]) != sealed.Digest {
			t.Error("the digest is not SM3 of the bytes that left")
		}
	})

	t.Run("a refused admission says when to come back", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		s.busy()
		p.Release()
		s.admit().Release()
	})

	t.Run("release", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		p.Release()
		p.Release()
		q := s.admit()
		s.busy() // the second Release gave nothing
		p.Release()
		s.busy() // nor does a third, while the place is another's
		s.seal(q, "M1", catalog.LimitSettle)
		q.Release() // sealed and thought better of
		s.admit().Release()
		if n := len(s.got()); n != 0 {
			t.Errorf("the far side got %d messages, want none", n)
		}
	})

	t.Run("release after send", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		s.send(p, s.seal(p, "M1", catalog.LimitSettle))
		q := s.admit()
		p.Release()
		p.Release()
		s.busy()
		q.Release()
	})

	t.Run("a released permit does not send", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		sealed := s.seal(p, "M1", catalog.LimitSettle)
		p.Release()
		if r := s.send(p, sealed); r.Outcome != gateway.OutcomeRefused || r.Cause != gateway.CauseNotSent || len(s.got()) != 0 {
			t.Errorf("%s/%q, %d messages arrived", r.Outcome, r.Cause, len(s.got()))
		}
		q := s.admit()
		s.busy()
		q.Release()
	})

	t.Run("send twice sends once", func(t *testing.T) {
		for _, b := range []CentreBehaviour{CentreDone, CentreCuts, CentreRefuses} {
			s, _ := start(t, b, 1)
			p := s.admit()
			sealed := s.seal(p, "M1", catalog.LimitSettle)
			first, second := s.send(p, sealed), s.send(p, sealed)
			if first.Outcome != second.Outcome || first.Cause != second.Cause {
				t.Errorf("%s: first %s/%q, then %s/%q", b, first.Outcome, first.Cause, second.Outcome, second.Cause)
			}
			if n := len(s.got()); n != 1 {
				t.Errorf("%s: the far side got %d messages, want 1", b, n)
			}
			s.admit().Release()
		}
	})

	t.Run("seal is for one message", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		p := s.admit()
		sealed := s.seal(p, "M1", catalog.LimitSettle)
		if _, err := p.Seal(message("M2", catalog.LimitSettle)); err == nil {
			t.Error("a second Seal was accepted")
		}
		sealed.Bytes = append(bytes.Clone(sealed.Bytes), ' ')
		if r := s.send(p, sealed); r.Outcome != gateway.OutcomeRefused || r.Cause != gateway.CauseNotSent || len(s.got()) != 0 {
			t.Errorf("bytes nobody sealed: %s/%q, %d messages arrived", r.Outcome, r.Cause, len(s.got()))
		}
		s.admit().Release()
	})

	t.Run("a caller who goes away does not change the outcome", func(t *testing.T) {
		s, open := start(t, CentreHeld, 1)
		ctx, cancel := context.WithCancel(t.Context())
		p := s.admit()
		sealed := s.seal(p, "M1", catalog.LimitSettle)
		got := make(chan gateway.Reply, 1)
		go func() { got <- p.Send(ctx, sealed) }()
		s.w.await(t, 1)
		cancel()
		open()
		if r := <-got; r.Outcome != gateway.OutcomeDone {
			t.Errorf("the outcome is %s/%q (%s), want done", r.Outcome, r.Cause, r.Detail)
		}
	})

	t.Run("a caller who went away hears nothing false", func(t *testing.T) {
		s, _ := start(t, CentreDone, 1)
		ctx, cancel := context.WithCancel(t.Context())
		p := s.admit()
		sealed := s.seal(p, "M1", catalog.LimitSettle)
		cancel()
		if r := p.Send(ctx, sealed); (r.Outcome == gateway.OutcomeRefused) != (len(s.got()) == 0) {
			t.Errorf("%s/%q, and %d messages arrived", r.Outcome, r.Cause, len(s.got()))
		}
	})

	t.Run("calls in flight are bounded", func(t *testing.T) {
		s, open := start(t, CentreHeld, 2)
		got := make(chan gateway.Reply, 2)
		for i := range 2 {
			p := s.admit()
			sealed := s.seal(p, ident.MsgID(fmt.Sprint("M", i)), catalog.LimitSettle)
			go func() { got <- p.Send(t.Context(), sealed) }()
		}
		s.w.await(t, 2)
		s.busy()
		open()
		for range 2 {
			if r := <-got; r.Outcome != gateway.OutcomeDone {
				t.Errorf("%s/%q (%s)", r.Outcome, r.Cause, r.Detail)
			}
		}
		a, b := s.admit(), s.admit()
		s.busy()
		a.Release()
		b.Release()
	})

	t.Run("many at once", func(t *testing.T) {
		const workers, each = 8, 6
		s, _ := start(t, CentreDone, workers)
		var wg sync.WaitGroup
		for i := range workers {
			wg.Go(func() {
				for j := range each {
					id := ident.MsgID(fmt.Sprintf("M%02d%02d", i, j))
					limit := catalog.LimitQuery
					if j%2 == 0 {
						limit = catalog.LimitSettle
					}
					p, err := s.c.Admit(t.Context(), "2207")
					if err != nil {
						t.Errorf("%s: %v", id, err)
						return
					}
					sealed, err := p.Seal(message(id, limit))
					if err != nil {
						t.Errorf("%s: %v", id, err)
						p.Release()
						return
					}
					r := p.Send(t.Context(), sealed)
					p.Release()
					if r.Outcome != gateway.OutcomeDone || setlID(r) != "S-"+string(id) {
						t.Errorf("%s: %s/%q (%s), setl_id %v", id, r.Outcome, r.Cause, r.Detail, setlID(r))
					}
				}
			})
		}
		wg.Wait()
		if n := len(s.got()); n != workers*each {
			t.Errorf("the far side got %d messages, want %d", n, workers*each)
		}
	})
}

type centreTest struct {
	*testing.T
	w *CentreWorld
	c gateway.Centre
}

func (s *centreTest) got() [][]byte { return s.w.got() }

func message(id ident.MsgID, limit catalog.Limit) gateway.Message {
	return gateway.Message{Infno: "2207", MsgID: id, Limit: limit,
		Body: []byte(`{"infno":"2207","msgid":"` + string(id) + `","input":{"data":{"psn_no":"P1"}}}`)}
}

func (s *centreTest) admit() gateway.Permit {
	s.Helper()
	p, err := s.c.Admit(s.Context(), "2207")
	if err != nil {
		s.Fatalf("Admit: %v", err)
	}
	return p
}

// busy checks that no place is free.
func (s *centreTest) busy() {
	s.Helper()
	p, err := s.c.Admit(s.Context(), "2207")
	if err == nil {
		p.Release()
		s.Fatal("a place was given that should not be there")
	}
	var e *gateway.Error
	if !errors.As(err, &e) || e.Code != gateway.CodeCentreBusy || e.RetryAfter <= 0 {
		s.Fatalf("Admit refused with %#v, want centre-busy with RetryAfter", err)
	}
}

func (s *centreTest) seal(p gateway.Permit, id ident.MsgID, limit catalog.Limit) gateway.Sealed {
	s.Helper()
	sealed, err := p.Seal(message(id, limit))
	if err != nil {
		s.Fatalf("Seal: %v", err)
	}
	return sealed
}

// send sends and, when the far side keeps silent, moves the clock past the limit.
func (s *centreTest) send(p gateway.Permit, sealed gateway.Sealed) gateway.Reply {
	s.Helper()
	got := make(chan gateway.Reply, 1)
	go func() { got <- p.Send(s.Context(), sealed) }()
	if s.w.Behaviour == CentreSilent {
		s.w.await(s.T, 1)
		s.w.Clock.Advance(time.Hour)
	}
	return <-got
}

func (s *centreTest) once(id ident.MsgID, limit catalog.Limit) gateway.Reply {
	s.Helper()
	p := s.admit()
	r := s.send(p, s.seal(p, id, limit))
	p.Release()
	return r
}

// checkContent checks that a reply carries the centre's words exactly when they were verified.
func (s *centreTest) checkContent(r gateway.Reply, id ident.MsgID) {
	s.Helper()
	switch s.w.Behaviour {
	case CentreDone:
		if r.Reply.InfCode != "0" || setlID(r) != "S-"+string(id) {
			s.Errorf("infcode %q, setl_id %v", r.Reply.InfCode, setlID(r))
		}
	case CentreRefuses:
		if r.Reply.InfCode != "-1" || r.Reply.ErrMsg != CentreRefusal {
			s.Errorf("infcode %q, err_msg %q", r.Reply.InfCode, r.Reply.ErrMsg)
		}
	default:
		if r.Reply.InfCode != "" || r.Reply.ErrMsg != "" || r.Reply.Output != nil {
			s.Errorf("words of an answer nobody verified were handed on: %+v", r.Reply)
		}
	}
}

func setlID(r gateway.Reply) any {
	output, _ := r.Reply.Output.(map[string]any)
	info, _ := output["setlinfo"].(map[string]any)
	return info["setl_id"]
}
