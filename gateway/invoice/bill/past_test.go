package bill

import (
	"context"
	"errors"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/ident"
)

// counter tells how the one settlement stands.
type counter struct {
	gateway.Desk
	gateway.Ward
	settlement ident.MsgID
}

func (c counter) Settlement(context.Context, gateway.Caller, string) (gateway.Settlement, error) {
	if c.settlement == "" {
		return gateway.Settlement{State: gateway.BillRefunded}, nil
	}
	return gateway.Settlement{State: gateway.BillSettled, MsgID: c.settlement, SettlementID: "S", Amounts: &gateway.Amounts{}}, nil
}

func (c counter) Stay(context.Context, gateway.Caller, string) (gateway.Stay, error) {
	if c.settlement == "" {
		return gateway.Stay{State: gateway.StayDischarged}, nil
	}
	return gateway.Stay{State: gateway.StaySettled, MsgID: c.settlement, SettlementID: "S", Amounts: &gateway.Amounts{}}, nil
}

// What a request of a refund has to do with the settlement in force, by what the journal knows of it: a process
// that died before it stored the answer leaves a request without one.
func TestPast(t *testing.T) {
	ctx := context.Background()
	noon := time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)
	const hospital ident.Institution = "H44010000001"
	j := gatewaytest.NewJournal()
	write := func(e gateway.Entry) {
		t.Helper()
		if _, err := j.Write(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	key := func(id string) gateway.RequestKey { return gateway.RequestKey{System: "his", ID: id} }
	for _, b := range []string{"B1", "S1"} {
		write(gateway.Entry{Bill: &gateway.Bill{ID: b, Institution: hospital, System: "his", CreatedAt: noon, Body: []byte("{}")}})
	}
	settled := func(minute int) ident.MsgID {
		at := noon.Add(time.Duration(minute) * time.Minute)
		id, err := ident.NewMsgID(hospital, at, 1)
		if err != nil {
			t.Fatal(err)
		}
		write(gateway.Entry{Record: &gateway.Record{ID: id, Institution: hospital, Infno: "2207", Step: "2207#1", Attempt: minute, Bill: "B1", CreatedAt: at, State: gateway.StatePrepared}})
		return id
	}
	first := settled(1)
	for _, r := range [][2]string{{"open", "B1"}, {"answered", "B1"}, {"open-stay", "S1"}, {"other", "B2"}} {
		write(gateway.Entry{Request: &gateway.Request{Key: key(r[0]), Op: "settlement.refund", Institution: hospital, Ref: r[1], CreatedAt: noon.Add(2 * time.Minute)}})
	}
	write(gateway.Entry{Answer: &gateway.Answer{Key: key("answered"), Body: []byte("{}"), At: noon.Add(3 * time.Minute), Institution: hospital}})
	write(gateway.Entry{Request: &gateway.Request{Key: key("settle"), Op: "settlement.confirm", Institution: hospital, Ref: "B1", CreatedAt: noon}})
	second := settled(4)
	for _, x := range []struct {
		request, id string
		inForce     ident.MsgID
		want        bool
	}{
		{"new", "B1", first, false}, {"open", "B1", first, false}, {"open", "B1", "", false}, {"open", "B1", second, true},
		{"answered", "B1", first, true}, {"answered", "B1", "", true}, {"answered", "B1", second, true}, {"other", "B1", first, true}, {"settle", "B1", first, true},
		{"open-stay", "S1", first, false}, {"open-stay", "S1", second, true}, {"open-stay", "S1", "", false},
	} {
		c := counter{settlement: x.inForce}
		past, err := Settlements{Desk: c, Ward: c, Journal: j}.Past(ctx, key(x.request), x.id)
		if err != nil || past != x.want {
			t.Errorf("%s about %s with %q in force: %v %v, want %v", x.request, x.id, x.inForce, past, err, x.want)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var e *gateway.Error
	if _, err := (Settlements{Journal: j}).Past(ctx, key("open"), "B1"); !errors.As(err, &e) || e.Code != gateway.CodeStorage {
		t.Errorf("a journal that can not be read: %v", err)
	}
}
