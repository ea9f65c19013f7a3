// Package unconnected is the e-invoice platform of a hospital that has none yet: every call is
// refused politely and nothing is sent, so that nobody need ask whether a platform is there.
package unconnected

import (
	"context"
	"time"

	"yiqiao/gateway"
)

// Platform implements gateway.InvoicePlatform. The zero value is ready.
type Platform struct{}

var _ gateway.InvoicePlatform = Platform{}

// Said is what every call is refused with.
const Said = "未配置电子票据平台"

func no[T any]() gateway.InvoiceAnswer[T] {
	return gateway.InvoiceAnswer[T]{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseUnsupported, Message: Said}
}

// Name implements gateway.InvoicePlatform.
func (Platform) Name() string { return "unconnected" }

// Issue implements gateway.InvoicePlatform, as do the methods that follow.
func (Platform) Issue(context.Context, gateway.InvoiceDraft) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return no[gateway.PlatformBill]()
}

func (Platform) Find(context.Context, gateway.InvoiceQuery) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return no[gateway.PlatformBill]()
}

func (Platform) Posted(context.Context, gateway.PlatformBill) gateway.InvoiceAnswer[bool] {
	return no[bool]()
}

func (Platform) Reverse(context.Context, gateway.InvoiceReversal) gateway.InvoiceAnswer[gateway.PlatformBill] {
	return no[gateway.PlatformBill]()
}

func (Platform) NextPaper(context.Context, string, string) gateway.InvoiceAnswer[gateway.PaperNumber] {
	return no[gateway.PaperNumber]()
}

func (Platform) TurnPaper(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return no[struct{}]()
}

func (Platform) VoidPaper(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return no[struct{}]()
}

func (Platform) VoidBlank(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[struct{}] {
	return no[struct{}]()
}

func (Platform) PaperBatches(context.Context, string) gateway.InvoiceAnswer[[]string] {
	return no[[]string]()
}

func (Platform) PaperData(context.Context, gateway.PaperOrder) gateway.InvoiceAnswer[[]byte] {
	return no[[]byte]()
}

func (Platform) Notify(context.Context, gateway.PlatformBill, string, string) gateway.InvoiceAnswer[struct{}] {
	return no[struct{}]()
}

func (Platform) Totals(context.Context, string, time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	return no[gateway.InvoiceTotals]()
}

func (Platform) RedTotals(context.Context, string, time.Time) gateway.InvoiceAnswer[gateway.InvoiceTotals] {
	return no[gateway.InvoiceTotals]()
}

func (Platform) Bills(context.Context, string, time.Time, int, int) gateway.InvoiceAnswer[[]gateway.PlatformBill] {
	return no[[]gateway.PlatformBill]()
}
