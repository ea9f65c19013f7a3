package admit

import (
	"sync"
	"time"
)

// bucket lets a system call so often and no oftener: rate calls a second on the average, burst at
// once. A system has one for all its keys, so the memory is that of the configuration.
type bucket struct {
	rate, burst float64

	mu   sync.Mutex
	have float64
	at   time.Time
}

// take takes a place, or tells how long until there is one. A clock that goes back gives nothing.
func (b *bucket) take(now time.Time) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.at.IsZero() {
		b.have = b.burst
	} else if d := now.Sub(b.at); d > 0 {
		b.have = min(b.burst, b.have+d.Seconds()*b.rate)
	}
	b.at = now
	if b.have >= 1 {
		b.have--
		return 0, true
	}
	return time.Duration((1 - b.have) / b.rate * float64(time.Second)), false
}

// giveBack undoes a take.
func (b *bucket) giveBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.have = min(b.burst, b.have+1)
}

// buckets makes one for each system that has a limit; of several clients of one system the last
// that names one counts.
func buckets(clients []Client) map[string]*bucket {
	out := map[string]*bucket{}
	for _, c := range clients {
		if c.Rate > 0 {
			burst := float64(c.Burst)
			if burst < 1 {
				burst = max(1, 2*c.Rate)
			}
			out[c.System] = &bucket{rate: c.Rate, burst: burst}
		}
	}
	return out
}
