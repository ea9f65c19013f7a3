package sm

import (
	"fmt"
	"io"
	"log/slog"
)

// A key shows its fingerprint to every verb of fmt, to slog and to the encoders, whether it is
// passed by pointer or by value. Storage goes through Scalar and Point only.

func (k PrivateKey) String() string               { return "sm2-private:" + k.Fingerprint() }
func (k PrivateKey) Format(f fmt.State, _ rune)   { show(f, k.String()) }
func (k PrivateKey) LogValue() slog.Value         { return slog.StringValue(k.String()) }
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (k PublicKey) String() string               { return "sm2-public:" + k.Fingerprint() }
func (k PublicKey) Format(f fmt.State, _ rune)   { show(f, k.String()) }
func (k PublicKey) LogValue() slog.Value         { return slog.StringValue(k.String()) }
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func show(f fmt.State, s string) {
	_, _ = io.WriteString(f, s) // a printer that can not write has nobody to tell
}
