package counter

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Client is a HIS system that proves itself with a key.
type Client struct {
	System       string
	KeyDigest    [32]byte
	Institutions []ident.Institution
}

// Keys knows the clients of an adapter over HTTP. It is immutable and safe for concurrent use.
type Keys struct {
	op      string // of the adapter, in errors
	path    string // where the adapter is mounted
	digest  func([]byte) [32]byte
	clients []Client
}

// NewKeys checks the clients of the adapter op that is mounted at path.
func NewKeys(op, path string, digest func([]byte) [32]byte, clients []Client) (*Keys, error) {
	if path == "" || digest == nil || len(clients) == 0 {
		return nil, fmt.Errorf("%s: path, digest and clients are required", op)
	}
	empty := digest(nil)
	for _, c := range clients {
		if c.System == "" || len(c.Institutions) == 0 || c.KeyDigest == [32]byte{} || c.KeyDigest == empty {
			return nil, fmt.Errorf("%s: client %q needs a name, a key and institutions", op, c.System)
		}
	}
	return &Keys{op, path, digest, clients}, nil
}

// Caller is who calls with the key of a header: Authorization (Bearer) or X-API-Key.
func (k *Keys) Caller(r *http.Request) (gateway.Caller, *gateway.Error) {
	scheme, key, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		key = r.Header.Get("X-API-Key")
	}
	return k.who(key)
}

// CallerBehind is Caller, and a key behind the path goes before one in a header: /soap/KEY.
func (k *Keys) CallerBehind(r *http.Request) (gateway.Caller, *gateway.Error) {
	if tail := strings.Trim(strings.TrimPrefix(r.URL.Path, k.path), "/"); tail != "" {
		return k.who(tail)
	}
	return k.Caller(r)
}

func (k *Keys) who(key string) (gateway.Caller, *gateway.Error) {
	if key = strings.TrimSpace(key); key == "" {
		return gateway.Caller{}, &gateway.Error{Code: gateway.CodeKeyMissing, Op: k.op}
	}
	digest := k.digest([]byte(key))
	var who gateway.Caller
	for i := range k.clients {
		if c := &k.clients[i]; subtle.ConstantTimeCompare(digest[:], c.KeyDigest[:]) == 1 {
			who = gateway.Caller{System: c.System, Institutions: c.Institutions}
		}
	}
	if who.System == "" {
		return who, &gateway.Error{Code: gateway.CodeKeyWrong, Op: k.op}
	}
	return who, nil
}

// Carry does the orders of a mapped message in their order, up to the first that was not taken. What
// came of each is logged with the mapping's version.
func (c *Counter) Carry(ctx context.Context, who gateway.Caller, m gateway.Mapped, log *slog.Logger) []Answer {
	var list []Answer
	for _, o := range m.Orders {
		a := c.Do(ctx, who, o)
		list = append(list, a)
		log.Info("order", "system", who.System, "op", string(a.Op), "request_id", a.RequestID, "outcome", string(a.Outcome),
			"code", string(a.Code()), "mapping", m.Version)
		if a.Outcome != Done && a.Outcome != Queued {
			break
		}
	}
	return list
}
