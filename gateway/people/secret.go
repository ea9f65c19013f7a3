package people

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// Cost is what trying one password takes: argon2id (RFC 9106) with one lane. The figures stand in each
// digest; who signs in with a digest of another cost has it made anew.
type Cost struct {
	MemoryKiB uint32
	Passes    uint32
}

// DefaultCost is 64 MiB and 3 passes, the second choice of RFC 9106: about 0.15 s on one core of a
// server of 2024. Measure tells what it takes where it runs.
var DefaultCost = Cost{MemoryKiB: 64 << 10, Passes: 3}

// What is taken for a cost: less would be cheap to guess, more would stop the gateway.
const (
	leastKiB, mostKiB       = 8 << 10, 1 << 20
	leastPasses, mostPasses = 1, 20
	saltLen, digestLen      = 16, 32
)

func (c Cost) check() error {
	if c.MemoryKiB < leastKiB || c.MemoryKiB > mostKiB || c.Passes < leastPasses || c.Passes > mostPasses || c.MemoryKiB*c.Passes < 2*19<<10 {
		return fmt.Errorf("people: cost %d KiB x %d passes: want %d to %d KiB, %d to %d passes, together 38 MiB at least", c.MemoryKiB, c.Passes, leastKiB, mostKiB, leastPasses, mostPasses)
	}
	return nil
}

// Measure is how long one password takes, by the clock now gives.
func (c Cost) Measure(now func() time.Time) time.Duration {
	from := now()
	c.stretch("a password to measure with", make([]byte, saltLen))
	return now().Sub(from)
}

func (c Cost) stretch(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(plain(password)), salt, c.Passes, c.MemoryKiB, 1, digestLen)
}

// plain is a password as it is stretched: what an input method made wide is narrow again.
func plain(password string) string { return norm.NFKC.String(password) }

// seal gives the digest of a password in the usual text form, $argon2id$v=19$m=65536,t=3,p=1$salt$digest.
func (c Cost) seal(rand io.Reader, password string) (string, error) {
	salt := make([]byte, saltLen)
	if _, err := io.ReadFull(rand, salt); err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, c.MemoryKiB, c.Passes,
		b64.EncodeToString(salt), b64.EncodeToString(c.stretch(password, salt))), nil
}

var errDigest = errors.New("people: not a digest of a password")

// try reports whether a digest is that of a password, and of which cost it is.
func try(digest, password string) (bool, Cost, error) {
	var c Cost
	parts := strings.Split(digest, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return false, c, errDigest
	}
	var lanes int
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.MemoryKiB, &c.Passes, &lanes); err != nil || n != 3 || lanes != 1 || c.check() != nil {
		return false, c, errDigest
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || err2 != nil || len(salt) != saltLen || len(want) != digestLen {
		return false, c, errDigest
	}
	return subtle.ConstantTimeCompare(c.stretch(password, salt), want) == 1, c, nil
}
