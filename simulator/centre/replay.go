package centre

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// memory knows what was seen within the time a message is good for, so that it is not taken twice.
type memory struct {
	mu   sync.Mutex
	seen map[[32]byte]time.Time // and when it may be forgotten
	next time.Time              // of the next tidying
}

// maxMemory bounds what is remembered. Beyond it everything is forgotten: a simulator that is run
// for days must not grow.
const maxMemory = 1 << 20

// again reports whether what was seen before, and remembers it for twice as long as a clock may be
// off.
func (m *memory) again(what [32]byte, now time.Time, skew time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil || len(m.seen) > maxMemory {
		m.seen = map[[32]byte]time.Time{}
	}
	if now.After(m.next) {
		for k, end := range m.seen {
			if now.After(end) {
				delete(m.seen, k)
			}
		}
		m.next = now.Add(skew)
	}
	end, ok := m.seen[what]
	if ok && !now.After(end) {
		return true
	}
	m.seen[what] = now.Add(2*skew + time.Second)
	return false
}

// nonceOf is what must not come twice in the transport's headers: the nonce of x-tif. The headers of
// csb have none, and their signature is the same for all messages of one millisecond.
func nonceOf(h http.Header) (digest [32]byte, ok bool) {
	nonce := h.Get("x-tif-nonce")
	if nonce == "" {
		return digest, false
	}
	return sha256.Sum256([]byte("nonce\x00" + nonce)), true
}
