package centre

import (
	"crypto/tls"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"yiqiao/gateway"
)

var (
	errFailure = errors.New("the centre failed")
	errNeutral = errors.New("says nothing of the centre")
)

// report is what the breaker is told.
func (h health) report() error {
	switch h {
	case healthy:
		return nil
	case unclear:
		return errNeutral
	}
	return errFailure
}

func (c *Client) breaker() *gobreaker.TwoStepCircuitBreaker[struct{}] {
	b := c.o.Breaker
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name:         "centre",
		MaxRequests:  b.Probes,
		Interval:     b.Interval,
		BucketPeriod: b.Bucket,
		Timeout:      b.Open,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			seen := uint64(n.TotalSuccesses) + uint64(n.TotalFailures)
			return n.ConsecutiveFailures >= b.Consecutive ||
				seen >= uint64(b.Minimum) && uint64(n.TotalFailures)*100 >= seen*uint64(b.Percent)
		},
		IsExcluded: func(err error) bool { return err == errNeutral },
		// Runs under the breaker's lock: nothing of the breaker may be called in here, and
		// nothing slow. The change is logged by whoever comes next.
		OnStateChange: func(_ string, _, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				now := c.o.Clock.Now()
				c.stats.opened.Store(&now)
			}
			state := to.String()
			c.stats.changed.Store(&state)
		},
	})
}

// logChange logs the newest change of the breaker's state once.
func (c *Client) logChange() {
	if state := c.stats.changed.Swap(nil); state != nil {
		c.o.Log.Warn("centre breaker", "state", *state)
	}
}

// down is the refusal while sending is paused.
func (c *Client) down() *gateway.Error {
	wait := time.Second
	if opened := c.stats.opened.Load(); opened != nil {
		wait = max(wait, min(c.o.Breaker.Open, c.o.Breaker.Open-c.o.Clock.Now().Sub(*opened)))
	}
	c.stats.down.Add(1)
	return &gateway.Error{Code: gateway.CodeCentreDown, Op: "centre.admit",
		Detail: "sending is paused after repeated failures", RetryAfter: wait}
}

// Ending is how attempts can end.
type Ending struct {
	Outcome gateway.Outcome
	Cause   gateway.Cause
}

// Stats is a picture of a client, for health and metrics.
type Stats struct {
	InFlight, MaxInFlight int               // permits out, and at most
	Breaker               string            // closed, half-open, open
	Endings               map[Ending]uint64 // attempts since the start
	RefusedBusy           uint64            // admissions refused
	RefusedDown           uint64
	LastDone              time.Time // last outcome done; zero when there was none
	LastAnswer            time.Time // last verified answer, done or refused
	Skew                  Skew      // how far the centre's clock is from ours
	CertUntil             time.Time // end of the certificate the centre showed last; zero without TLS
}

type stats struct {
	opened     atomic.Pointer[time.Time]
	changed    atomic.Pointer[string] // a state the breaker went to that is not logged yet
	busy, down atomic.Uint64
	certUntil  atomic.Int64 // seconds since 1970; 0: none

	mu               sync.Mutex
	endings          map[Ending]uint64
	lastDone, lastOK time.Time
}

func (s *stats) ended(r gateway.Reply, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endings[Ending{r.Outcome, r.Cause}]++
	if r.Outcome == gateway.OutcomeDone {
		s.lastDone, s.lastOK = at, at
	}
	if r.Cause == gateway.CauseBusiness {
		s.lastOK = at
	}
}

// certified notes until when the certificate of a connection is good.
func (s *stats) certified(t *tls.ConnectionState) {
	if t != nil && len(t.PeerCertificates) > 0 {
		s.certUntil.Store(t.PeerCertificates[0].NotAfter.Unix())
	}
}

// Stats gives the present picture.
func (c *Client) Stats() Stats {
	state := c.brk.State().String()
	c.skew.mu.Lock()
	skew := c.skew.last
	c.skew.mu.Unlock()
	var cert time.Time
	if n := c.stats.certUntil.Load(); n != 0 {
		cert = time.Unix(n, 0)
	}
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	return Stats{
		InFlight: len(c.places), MaxInFlight: cap(c.places), Breaker: state,
		Endings:     maps.Clone(c.stats.endings),
		RefusedBusy: c.stats.busy.Load(), RefusedDown: c.stats.down.Load(),
		LastDone: c.stats.lastDone, LastAnswer: c.stats.lastOK, Skew: skew, CertUntil: cert,
	}
}
