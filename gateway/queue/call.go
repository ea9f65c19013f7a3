package queue

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"yiqiao/gateway"
)

// Call calls a handler. One that panics wants to be called again at the time pause gives.
func Call(ctx context.Context, h gateway.Handler, r gateway.Ref, log *slog.Logger, pause func() time.Time) (v gateway.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("upload handler failed", "msgid", string(r.ID), "err", fmt.Sprint(p))
			v = gateway.Verdict{Again: pause()}
		}
	}()
	return h(ctx, r)
}
