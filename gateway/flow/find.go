package flow

import (
	"context"
	"errors"

	"yiqiao/gateway"
)

var _ gateway.Finder = (*Desk)(nil)

// Find implements gateway.Finder: the journal knows what every request led to.
func (d *Desk) Find(ctx context.Context, c gateway.Caller, requestID string) (string, error) {
	const op = "flow.find"
	req, err := d.opt.Journal.Request(ctx, gateway.RequestKey{System: c.System, ID: requestID})
	switch {
	case errors.Is(err, gateway.ErrNotFound) || err == nil && req.Ref == "":
		return "", &gateway.Error{Code: gateway.CodeNotFound, Op: op}
	case err != nil:
		return "", storage(op, err)
	}
	return req.Ref, nil
}
