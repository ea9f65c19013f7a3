package people

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// addresses counts failed tries by where they came from. It forgets after keep and holds at most
// mostAddresses; when it is full of fresh ones, strangers share one count, so that a crowd of addresses
// makes neither memory nor guesses without end.
type addresses struct {
	most int
	keep time.Duration

	mu    sync.Mutex
	list  map[string]failed
	swept time.Time
}

type failed struct {
	n     int
	until time.Time
}

const mostAddresses = 20_000

func newAddresses(most int, keep time.Duration) *addresses {
	return &addresses{most: most, keep: keep, list: map[string]failed{}}
}

// network is what an address is counted as: an IPv6 customer has many, and is one.
func network(from string) string {
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	a, err := netip.ParseAddr(from)
	if err != nil {
		return "?"
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// wait is how long an address has to wait; 0: it may try.
func (l *addresses) wait(from string, now time.Time) time.Duration {
	if l.most < 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.list[l.place(network(from), now)]
	if f.n < l.most {
		return 0
	}
	return min(max(f.until.Sub(now), 0), l.keep) // a clock that went back locks nobody out for longer
}

// fail counts a failure.
func (l *addresses) fail(from string, now time.Time) {
	if l.most < 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.place(network(from), now)
	f := l.list[p]
	f.n++
	f.until = now.Add(l.keep)
	l.list[p] = f
}

// place is the entry of an address, "" for those that found no room; mu is held.
func (l *addresses) place(from string, now time.Time) string {
	if f, ok := l.list[from]; ok {
		if now.Before(f.until) {
			return from
		}
		delete(l.list, from)
	}
	if len(l.list) < mostAddresses {
		return from
	}
	if d := now.Sub(l.swept); d < 0 || d >= time.Second {
		l.swept = now
		for k, f := range l.list {
			if !now.Before(f.until) {
				delete(l.list, k)
			}
		}
	}
	if len(l.list) < mostAddresses {
		return from
	}
	return ""
}
