package centre

import (
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
)

// Skew is how far the centre's clock is from ours, as its last answer shows.
type Skew struct {
	By     time.Duration // above zero: the centre's clock is ahead
	Within time.Duration // half of what the measurement can be off
	At     time.Time     // when it was measured; zero when it never was
	Signed bool          // by the time in a verified message, otherwise by the Date header, which anybody can write
}

// skew keeps the newest measurement and says when it was last complained of.
type skew struct {
	mu       sync.Mutex
	last     Skew
	warnedAt time.Time
}

// warnEvery bounds how often a clock is complained of.
const warnEvery = 10 * time.Minute

// note keeps a measurement; warn reports that somebody should hear of it.
func (s *skew) note(m Skew, limit time.Duration) (warn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last.Signed && !m.Signed && m.At.Sub(s.last.At) < warnEvery {
		return false // the better one still says enough
	}
	s.last = m
	off := m.By.Abs()-m.Within > limit
	if !off || !s.warnedAt.IsZero() && m.At.Sub(s.warnedAt) < warnEvery {
		return false
	}
	s.warnedAt = m.At
	return true
}

// measure compares the clocks: the answer was written between sent and received.
func (c *Client) measure(header http.Header, stamp, sent, received time.Time) {
	m := Skew{At: received, Within: received.Sub(sent) / 2}
	middle := sent.Add(received.Sub(sent) / 2)
	if !stamp.IsZero() {
		m.By, m.Signed = stamp.Sub(middle), true
	} else {
		date, err := http.ParseTime(header.Get("Date"))
		if err != nil {
			return
		}
		// The header has whole seconds: on average half of one is missing.
		m.By, m.Within = date.Add(500*time.Millisecond).Sub(middle), m.Within+500*time.Millisecond
	}
	if c.skew.note(m, c.o.MaxSkew) {
		c.o.Log.Warn("the centre's clock and ours differ", slog.Duration("by", m.By.Round(time.Millisecond)), slog.Bool("signed", m.Signed))
	}
}

// replyTime is the time a reply says it was written: milliseconds, or yyyyMMddHHmmss in China's zone.
// Zero when it says nothing.
func replyTime(head envelope.Head) time.Time {
	switch len(head.Timestamp) {
	case 13:
		if ms, err := strconv.ParseInt(head.Timestamp, 10, 64); err == nil {
			return time.UnixMilli(ms)
		}
	case 14:
		if at, err := time.ParseInLocation("20060102150405", head.Timestamp, time.FixedZone("CST", 8*60*60)); err == nil {
			return at
		}
	}
	return time.Time{}
}

// stale turns a verified reply from another time into one that proves nothing: somebody may have
// kept it.
func (c *Client) stale(v verdict, now time.Time) verdict {
	if c.o.ReplyWindow < 0 || v.stamp.IsZero() {
		return v
	}
	if off := v.stamp.Sub(now); off.Abs() > c.o.ReplyWindow {
		return verdict{cause: gateway.CauseSignature, stamp: v.stamp,
			detail: fmt.Sprintf("the reply is signed for another time, %s off: an old reply, or a clock that is wrong", off.Round(time.Second))}
	}
	return v
}
