package counter

import (
	"context"
	"log/slog"

	"yiqiao/gateway"
)

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
