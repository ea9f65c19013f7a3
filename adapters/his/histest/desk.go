package histest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Op names a method of gateway.Desk.
type Op string

const (
	OpTransact    Op = "transact"
	OpUpload      Op = "upload"
	OpTransaction Op = "transaction"
	OpOpen        Op = "settlement.open"
	OpConfirm     Op = "settlement.confirm"
	OpRefund      Op = "settlement.refund"
	OpSettlement  Op = "settlement"
	OpAdmit       Op = "stay.admit"
	OpCharge      Op = "stay.charge"
	OpDischarge   Op = "stay.discharge"
	OpStayChange  Op = "stay.change"
	OpStaySettle  Op = "stay.settle"
	OpStayRefund  Op = "stay.refund"
	OpStay        Op = "stay"
)

// At is when everything happens at a Desk.
var At = time.Date(2026, 3, 4, 5, 6, 7, 0, gateway.China)

// Desk is a gateway.Desk that does what a test tells it. Without being told anything it accepts
// every request, is idempotent as the contract says, and remembers what it gave out. The On
// functions and Err are set before the first call. Safe for concurrent use.
type Desk struct {
	// On replaces the work behind the request id. It gives a gateway.Transaction or a
	// gateway.Settlement, whichever the operation gives; an answer with a nil error is stored.
	On map[Op]func(ctx context.Context, c gateway.Caller, request any) (any, error)
	// Err, when set, is what every method answers. Panic, when set, is what every method panics with.
	Err   error
	Panic any

	mu       sync.Mutex
	calls    []Seen
	told     []gateway.RequestKey
	requests map[gateway.RequestKey]stored
	things   map[string]any // Transaction by id, Settlement by id
}

// Seen is one call the desk was given. Request is the struct of the operation, or the id asked for.
type Seen struct {
	Op      Op
	Caller  gateway.Caller
	Request any
}

type stored struct {
	op      Op
	request any
	answer  any
}

var _ gateway.Desk = (*Desk)(nil)

// Calls lists what was asked of the desk, oldest first.
func (d *Desk) Calls() []Seen {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]Seen(nil), d.calls...)
}

// ToldOf lists the requests whose final answer was reported as delivered, oldest first.
func (d *Desk) ToldOf() []gateway.RequestKey {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]gateway.RequestKey(nil), d.told...)
}

// Put makes the desk know a gateway.Transaction or gateway.Settlement.
func (d *Desk) Put(thing any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(thing)
}

func (d *Desk) put(thing any) {
	if d.things == nil {
		d.things = map[string]any{}
	}
	switch x := thing.(type) {
	case gateway.Transaction:
		d.things[string(x.ID)] = x
	case gateway.Settlement:
		d.things[x.ID] = x
	case gateway.Stay:
		d.things[x.ID] = x
	}
}

func (d *Desk) Transact(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	return do[gateway.Transaction](d, ctx, OpTransact, c, r.RequestID, r)
}

func (d *Desk) Upload(ctx context.Context, c gateway.Caller, r gateway.Transact) (gateway.Transaction, error) {
	return do[gateway.Transaction](d, ctx, OpUpload, c, r.RequestID, r)
}

func (d *Desk) Transaction(ctx context.Context, c gateway.Caller, id ident.MsgID) (gateway.Transaction, error) {
	return do[gateway.Transaction](d, ctx, OpTransaction, c, "", string(id))
}

func (d *Desk) OpenSettlement(ctx context.Context, c gateway.Caller, r gateway.OpenSettlement) (gateway.Settlement, error) {
	return do[gateway.Settlement](d, ctx, OpOpen, c, r.RequestID, r)
}

func (d *Desk) ConfirmSettlement(ctx context.Context, c gateway.Caller, r gateway.ConfirmSettlement) (gateway.Settlement, error) {
	return do[gateway.Settlement](d, ctx, OpConfirm, c, r.RequestID, r)
}

func (d *Desk) RefundSettlement(ctx context.Context, c gateway.Caller, r gateway.RefundSettlement) (gateway.Settlement, error) {
	return do[gateway.Settlement](d, ctx, OpRefund, c, r.RequestID, r)
}

func (d *Desk) Settlement(ctx context.Context, c gateway.Caller, id string) (gateway.Settlement, error) {
	return do[gateway.Settlement](d, ctx, OpSettlement, c, "", id)
}

// Told notes the request.
func (d *Desk) Told(c gateway.Caller, requestID string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, gateway.RequestKey{System: c.System, ID: requestID})
}

// Health is Err.
func (d *Desk) Health(context.Context) error {
	if d.Panic != nil {
		panic(d.Panic)
	}
	return d.Err
}

func do[T any](d *Desk, ctx context.Context, op Op, c gateway.Caller, requestID string, request any) (T, error) {
	d.mu.Lock()
	d.calls = append(d.calls, Seen{op, c, request})
	n := len(d.calls)
	d.mu.Unlock()
	var zero T
	if d.Panic != nil {
		panic(d.Panic)
	}
	if d.Err != nil {
		return zero, d.Err
	}
	key := gateway.RequestKey{System: c.System, ID: requestID}
	if old, known := d.stored(key); requestID != "" && known {
		if old.op != op || !reflect.DeepEqual(old.request, request) {
			return zero, &gateway.Error{Code: gateway.CodeRequestIDReused, Op: "histest"}
		}
		return old.answer.(T), nil
	}
	work := d.On[op]
	if work == nil {
		work = func(context.Context, gateway.Caller, any) (any, error) { return d.usual(op, n, request) }
	}
	answer, err := work(ctx, c, request)
	if err != nil {
		return zero, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put(answer)
	if requestID != "" {
		if d.requests == nil {
			d.requests = map[gateway.RequestKey]stored{}
		}
		d.requests[key] = stored{op, request, answer}
	}
	return answer.(T), nil
}

func (d *Desk) stored(key gateway.RequestKey) (stored, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.requests[key]
	return s, ok
}

// usual is what a desk does on a good day.
func (d *Desk) usual(op Op, n int, request any) (any, error) {
	switch r := request.(type) {
	case gateway.Transact:
		t := Transaction(r.RequestID, n, gateway.StateDone)
		t.Infno = r.Infno
		if op == OpUpload {
			t.State, t.Outcome, t.Output = gateway.StatePrepared, "queued", nil
		}
		return t, nil
	case gateway.OpenSettlement:
		return Settlement(r.RequestID, fmt.Sprint("B", id(n)), gateway.BillPresettled), nil
	case gateway.ConfirmSettlement:
		return Settlement(r.RequestID, r.ID, gateway.BillSettled), nil
	case gateway.RefundSettlement:
		return Settlement(r.RequestID, r.ID, gateway.BillRefunded), nil
	}
	if s, ok := usualStay(n, request); ok {
		return s, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	thing := d.things[request.(string)]
	_, isBill := thing.(gateway.Settlement)
	_, isStay := thing.(gateway.Stay)
	if thing == nil || isBill != (op == OpSettlement) || isStay != (op == OpStay) {
		return nil, &gateway.Error{Code: gateway.CodeNotFound, Op: "histest"}
	}
	return thing, nil
}

func id(n int) string {
	return fmt.Sprintf("%s%s%04d", Institution, At.Format("20060102150405"), n)
}

// Transaction is one in the given state, with words and output to match.
func Transaction(requestID string, n int, s gateway.State) gateway.Transaction {
	t := gateway.Transaction{
		ID: ident.MsgID(id(n)), RequestID: requestID, Infno: "1101", State: s, Outcome: "unknown",
		CreatedAt: At, UpdatedAt: At.Add(1500 * time.Millisecond),
	}
	switch s {
	case gateway.StateDone:
		t.Outcome = "done"
		t.Output = map[string]any{"baseinfo": map[string]any{"psn_no": "P<0001>&", "age": json.Number("61.50"), "balc": nil}}
	case gateway.StateRefused:
		t.Outcome, t.Cause, t.Message = "refused", gateway.CauseBusiness, "该人员已暂停参保"
	case gateway.StateUnknown:
		t.Cause = gateway.CauseTimeout
	}
	return t
}

// Settlement is one in the given state; from the trial settlement on it has amounts.
func Settlement(requestID, id string, s gateway.BillState) gateway.Settlement {
	out := gateway.Settlement{ID: id, RequestID: requestID, State: s, Visit: "V1", Insutype: "310"}
	switch s {
	case gateway.BillPresettled, gateway.BillSettled, gateway.BillRefunded:
		out.Amounts = &gateway.Amounts{
			Total: "100.00", OwnPay: "0.00", OverLmt: "0.00", PreSelf: "10.00", InScope: "90.00", Deduct: "0.00",
			Fund: "60.00", Person: "40.00", Account: "30.00", Cash: "10.00", Hospital: "0.00", Balance: "1.50",
		}
		out.Funds = []gateway.FundPart{{Type: "310100", Name: "统筹基金", Amount: "60.00"}}
		out.Steps = []gateway.Step{{Infno: "2206", Name: "预结算", MsgID: ident.MsgID(Institution + "202603040506070009"), State: gateway.StateDone, At: At}}
	case gateway.BillFailed:
		out.Message = "该人员已暂停参保"
	}
	return out
}
