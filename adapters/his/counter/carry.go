package counter

import (
	"context"
	"errors"
	"log/slog"

	"yiqiao/gateway"
)

// Map has a source mapped. What a mapper fails with comes back as an error that has words; what nobody foresaw is logged
// and becomes CodeInternal.
func Map(m gateway.Mapper, src gateway.Source, op string, log *slog.Logger) (gateway.Mapped, *gateway.Error) {
	mapped, err := m.Map(src)
	if err == nil {
		return mapped, nil
	}
	var e *gateway.Error
	if !errors.As(err, &e) || e == nil || gateway.Codes[e.Code].Status == 0 {
		log.Error("a mapping failed in an unforeseen way", "err", err.Error())
		e = &gateway.Error{Code: gateway.CodeInternal, Op: op}
	}
	return mapped, e
}

// Carry does the orders of a mapped message in their order, up to the first that was not taken. What
// came of each is logged with the mapping's version.
func (c *Counter) Carry(ctx context.Context, who gateway.Caller, m gateway.Mapped, log *slog.Logger) []Answer {
	var list []Answer
	ctx = gateway.WithMapping(ctx, m.Version)
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
