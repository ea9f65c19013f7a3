package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"yiqiao/adapters/his/soap"
	"yiqiao/gateway"
	"yiqiao/gateway/mapping/defs"
)

// The generic XML hospital runs the outpatient ladder, plain and in a SOAP envelope in GBK, and a stay.
func TestXMLHospital(t *testing.T) {
	key, base := "", ""
	sim, gw := newHospital(t, func(g *gatewaySettings) {
		b, err := os.ReadFile(filepath.Join(g.base, starterAPIKey))
		if err != nil {
			t.Fatal(err)
		}
		key = strings.TrimSpace(string(b))
		g.SOAP.Mapping, base, g.Record.On = "generic-xml", g.base, true
	})
	send := func(name string, edits ...string) func(string) string {
		t.Helper()
		b, err := defs.FS.ReadFile("generic-xml/cases/" + name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(edits); i += 2 {
			b = bytes.ReplaceAll(b, []byte(edits[i]), []byte(edits[i+1]))
		}
		resp, err := http.Post("http://"+gw.addr()+"/soap/"+key, "text/xml", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		n, err := soap.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for n.Name != "YiqiaoResponse" {
			n = n.Children[len(n.Children)-1]
		}
		return func(at string) string {
			p, err := soap.Notation{}.Compile(at)
			if err != nil {
				t.Fatal(err)
			}
			v, _ := p.Value(soap.Source(n).Scope)
			return v
		}
	}
	want := func(step string, at func(string) string, outcome, state string) {
		t.Helper()
		if at("Order/Outcome") != outcome || at("Order/State") != state {
			t.Fatalf("%s: %s %s, want %s %s (%s%s %s)", step, at("Order/Outcome"), at("Order/State"), outcome, state, at("Error/Code"), at("Order/Error/Code"), at("Order/Error/Finding/Text"))
		}
	}
	opened := send("bill")
	want("bill", opened, "done", "presettled")
	if opened("Order/Amounts/Total") != "479.54" {
		t.Errorf("total %s", opened("Order/Amounts/Total"))
	}
	if err := sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	settled := send("settle-plain")
	for settled("Order/Outcome") == "unknown" {
		settled = send("settle-plain")
	}
	want("settle", settled, "done", "settled")
	want("ask", send("ask"), "done", "settled")
	// A refund takes the bill along, whichever way it came in: what was not issued yet is dropped.
	client := gw.parts.clients[0]
	caller := gateway.Caller{System: client.System, Institutions: client.Institutions}
	bill, err := gw.invoices.IssueInvoice(t.Context(), caller, gateway.IssueInvoice{RequestID: "INV", Settlement: settled("Order/Id"),
		Operator: gateway.Operator{ID: "0101", Name: "王收费", Type: "1"}})
	if err != nil || bill.State != gateway.InvoiceDrafted {
		t.Fatalf("%+v %v", bill, err)
	}
	want("refund", send("refund"), "done", "refunded")
	if bill, err = gw.invoices.Invoice(t.Context(), caller, bill.ID); err != nil || bill.State != gateway.InvoiceDropped {
		t.Errorf("after the refund: %s %v", bill.State, err)
	}
	want("SOAP in GBK, by card", send("bill-soap-gbk", "T99900001", "T99900001", "S1", strings.Repeat("0", 28)+"A001"), "done", "presettled")

	// A stay, from admission to the way back.
	want("admit", send("admit"), "done", "in-hospital")
	want("charge", send("charge"), "done", "in-hospital")
	want("charge again", send("charge"), "done", "in-hospital")
	if back := send("charge-back"); back("Order/Charged") != "444.04" {
		t.Errorf("charged %s after taking back (%s)", back("Order/Charged"), back("Order/Error/Text"))
	}
	want("discharge", send("discharge"), "done", "discharged")
	want("trial", send("trial-stay"), "done", "discharged")
	stay := send("settle-stay")
	want("settle", stay, "done", "settled")
	if stay("Order/Amounts/Total") != "444.04" {
		t.Errorf("settled %s", stay("Order/Amounts/Total"))
	}
	want("ask", send("ask-stay"), "done", "settled")
	want("undo settlement", send("undo-settlement"), "done", "discharged")
	want("undo discharge", send("undo-discharge"), "done", "in-hospital")
	want("undo admission", send("undo-admission"), "done", "cancelled")
	if at := send("bill", "YP0101", "XX"); at("Error/Code") != "request-invalid" || at("Error/Finding/Code") != "map-item-unknown" {
		t.Errorf("%s %s", at("Error/Code"), at("Error/Finding/Code"))
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	if f, err := gw.journal.Fsck(context.Background()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%v %v", err, f.Problems)
	}
	replaysItsDay(t, base, "generic-xml", 15, 2)
}
