package centre

import (
	"testing"

	"yiqiao/crypto/envelope"
)

func profiles(t testing.TB) []envelope.Profile {
	return []envelope.Profile{stampProfile{}}
}
