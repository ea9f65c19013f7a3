package main

import (
	"crypto/rand"
	"net/http/httptest"
	"testing"
	"time"

	"yiqiao/adapters/invoice/bosssoft"
	"yiqiao/adapters/invoice/invoicetest"
	"yiqiao/adapters/invoice/unconnected"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/simulator/fault"
	siminvoice "yiqiao/simulator/invoice"
)

// The adapter and the simulator are two readings of one interface; here they meet.
func TestInvoicePlatformSuite(t *testing.T) {
	for name, c := range map[string]struct {
		generation string
		change     func(*siminvoice.Options)
	}{
		"3.1.0": {siminvoice.Gen310, nil}, "3.2.0": {siminvoice.Gen320, nil},
		"no query by business number": {siminvoice.Gen320, func(o *siminvoice.Options) { o.NoQueryByBusNo = true }},
	} {
		t.Run(name, func(t *testing.T) {
			invoicetest.Run(t, func(t *testing.T) invoicetest.Kit { return invoiceKit(t, c.generation, c.change) })
		})
	}
}

var invoiceCalls = map[invoicetest.Call][]string{
	invoicetest.CallIssue: {"invoiceEBillOutpatient"}, invoicetest.CallReverse: {"writeOffEBill"}, invoicetest.CallTurn: {"turnPaper"},
	invoicetest.CallFind: {"getEBillStatesByBillInfo"},
}

var invoiceMishaps = map[invoicetest.Mishap]fault.Kind{
	invoicetest.LostAnswer: fault.CommitThenLose, invoicetest.LostCall: fault.DropBeforeCommit, invoicetest.WrongSign: fault.WrongSignature,
	invoicetest.WebPage: fault.HTML, invoicetest.Garbage: fault.Garbage, invoicetest.Twice: fault.AnswerTwice, invoicetest.NoNumber: fault.WrongTotal,
}

func invoiceKit(t *testing.T, generation string, change func(*siminvoice.Options)) invoicetest.Kit {
	t.Helper()
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)
	script, err := fault.NewScript()
	if err != nil {
		t.Fatal(err)
	}
	o := siminvoice.Options{AppID: "APP1", Key: "key-1", Generation: generation, Now: func() time.Time { return now }, Faults: script,
		PublicURL: "http://einvoice.example"}
	if change != nil {
		change(&o)
	}
	sim, err := siminvoice.New(o)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	p, err := bosssoft.New(bosssoft.Options{BaseURL: srv.URL + "/medical-web/api/medical", AppID: "APP1", Key: "key-1", Generation: generation,
		Rand: rand.Reader, Clock: gatewaytest.NewClock(now)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return invoicetest.Kit{
		Platform: p, Place: "001", Now: func() time.Time { return now }, Down: sim.SetDown,
		Post: func(n gateway.InvoiceNumber) { sim.Post(n.Batch, n.No, true) },
		Fail: func(c invoicetest.Call, m invoicetest.Mishap) {
			for _, method := range invoiceCalls[c] {
				if err := script.Add(fault.Rule{Infno: method, Kind: invoiceMishaps[m], Times: 1}); err != nil {
					t.Fatal(err)
				}
			}
		},
		Count: func(busNo string) int {
			n := 0
			for _, b := range sim.Bills() {
				if b.BusNo == busNo {
					n++
				}
			}
			return n
		},
	}
}

// A hospital without a platform gets a polite refusal and nothing else.
func TestUnconnectedInvoicePlatform(t *testing.T) {
	p := unconnected.Platform{}
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, gateway.China)
	a := p.Issue(t.Context(), invoicetest.Draft("X", "001", gateway.KindOutpatient, now))
	if a.Outcome != gateway.OutcomeRefused || a.Cause != gateway.CauseUnsupported || a.Message == "" || a.Value.Known {
		t.Errorf("%+v", a)
	}
	if r := p.Reverse(t.Context(), gateway.InvoiceReversal{}); r.Outcome != gateway.OutcomeRefused || r.Cause != gateway.CauseUnsupported {
		t.Errorf("%+v", r)
	}
}
