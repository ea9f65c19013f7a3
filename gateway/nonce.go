package gateway

import (
	"context"
	"time"
)

// Nonces remembers what was used once, so that a signed call can not be made a second time.
type Nonces interface {
	// Use notes that a system has used a nonce which must not be used again until expires.
	// CodeReplayed when it was used before, or when that can not be told any more; CodeRateLimited when
	// a system uses more than can be remembered; CodeStorage. When it returns nil and durable was asked
	// for, no gateway on this database will take it again, also after a crash. Otherwise a crash within
	// the next moments may forget it: enough for calls that change nothing.
	Use(ctx context.Context, system, nonce string, expires time.Time, durable bool) error
}
