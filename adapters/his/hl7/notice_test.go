package hl7_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
)

// hisPort is a HIS that takes answers: ack makes its acknowledgement of a message, "" for none.
func hisPort(t *testing.T, conf *tls.Config, ack func(at func(string) string) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if conf != nil {
		ln = tls.NewListener(ln, conf)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(time.Minute))
				var b []byte
				one := make([]byte, 1)
				for !strings.HasSuffix(string(b), "\x1c\r") {
					if _, err := c.Read(one); err != nil {
						return
					}
					b = append(b, one[0])
				}
				m, err := hl7.Parse(b[1:len(b)-2], "")
				if err != nil {
					t.Error(err)
				}
				if text := ack(func(path string) string { return value(t, m, path) }); text != "" {
					_, _ = c.Write(framed([]byte(text)))
					_, _ = c.Read(one) // until the other side is done
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func acked(code string) func(func(string) string) string {
	return func(at func(string) string) string {
		return "MSH|^~\\&|HIS|H|YIQIAO|X|20260304||ACK^Z01|9|P|2.5\rMSA|" + code + "|" + at("MSH-10") + "\r"
	}
}

var brought = gateway.Notice{System: "his", RequestID: "M002", Op: "settlement.confirm", Institution: "H44010000001", Ref: "B1", AnsweredAt: histest.At,
	Settlement: &gateway.Settlement{ID: "B1", State: gateway.BillSettled, SettlementID: "S1", Visit: "V1", Amounts: &gateway.Amounts{Total: "479.54", Cash: "95.91"}}}

// A final answer goes to a HIS as a message, over TCP and TLS, and what it says to it decides.
func TestBring(t *testing.T) {
	id := "D0123456789abcdef0123456789abcdef"
	server, pool := certificate(t)
	clock := gatewaytest.NewClock(histest.At)
	try := func(conf *tls.Config, within time.Duration, n gateway.Notice, ack func(func(string) string) string) (string, bool) {
		t.Helper()
		ctx, stop := context.WithTimeout(context.Background(), within)
		defer stop()
		return hl7.Receiver{Address: hisPort(t, conf, ack), TLS: conf != nil, Roots: pool, App: "HIS", Facility: "HOSP", Key: "k-of-ours", Clock: clock}.Bring(ctx, id, n)
	}
	var got map[string]string
	seen := func(at func(string) string) string {
		got = map[string]string{}
		for _, path := range []string{"MSH-4", "MSH-5", "MSH-6", "MSH-8", "MSH-9", "MSH-9.2", "MSH-10", "MSH-18", "MSA-1", "MSA-2", "ZYB-2", "ZYB-3", "ZYB-5", "ZYB-6", "ZYB-7", "ZYB-8", "ZYB-11", "ERR-5", "ZYB-20"} {
			if v := at(path); v != "" {
				got[path] = v
			}
		}
		return acked("AA")(at)
	}
	for name, conf := range map[string]*tls.Config{"TCP": nil, "TLS": server} {
		if why, dead := try(conf, time.Minute, brought, seen); why != "" || dead {
			t.Fatalf("%s: %s %v", name, why, dead)
		}
		for path, want := range map[string]string{"MSH-4": "H44010000001", "MSH-5": "HIS", "MSH-6": "HOSP", "MSH-8": "k-of-ours", "MSH-9": "ZYB", "MSH-9.2": "Z01", "MSH-10": id, "MSH-18": "UNICODE UTF-8",
			"MSA-1": "AA", "MSA-2": "M002", "ZYB-2": "settlement.confirm", "ZYB-3": "done", "ZYB-5": "M002", "ZYB-6": "B1", "ZYB-7": "settled", "ZYB-8": "S1", "ZYB-11": "479.54", "ERR-5": ""} {
			if got[path] != want {
				t.Errorf("%s: %s is %q, want %q", name, path, got[path], want)
			}
		}
	}
	refused := brought
	refused.Settlement, refused.Error = nil, &gateway.NoticeError{Code: gateway.CodeCentreRefused, Detail: "该人员已暂停参保"}
	if why, _ := try(nil, time.Minute, refused, seen); why != "" || got["MSA-1"] != "AE" || got["ZYB-3"] != "refused" || got["ERR-5"] != string(gateway.CodeCentreRefused) || got["ZYB-20"] != "该人员已暂停参保" {
		t.Errorf("%s %v", why, got)
	}
	gone := gateway.Notice{RequestID: "M003", Event: "outcome.reversed", Transaction: &gateway.Transaction{ID: "T1", State: gateway.StateReversed}}
	if why, _ := try(nil, time.Minute, gone, seen); why != "" || got["MSH-9.2"] != "Z03" || got["ZYB-3"] != "refused" || got["ZYB-7"] != string(gateway.StateReversed) || got["MSA-1"] != "AA" {
		t.Errorf("%s %v", why, got)
	}
	for _, c := range []struct {
		name   string
		ack    func(func(string) string) string
		within time.Duration
		why    string
		dead   bool
	}{
		{"commit accepted", acked("CA"), time.Minute, "", false},
		{"refused", acked("AE"), time.Minute, "refuses it with AE", false},
		{"not now", acked("AR"), time.Minute, "answers AR", true},
		{"says nothing", acked(""), time.Minute, "answers ", true},
		{"of another", func(func(string) string) string {
			return "MSH|^~\\&|HIS|H|YIQIAO|X|20260304||ACK|9|P|2.5\rMSA|AA|X\r"
		}, time.Minute, "acknowledges another message", true},
		{"no HL7", func(func(string) string) string { return "OK" }, time.Minute, "its acknowledgement can not be read", true},
		{"hangs up", func(func(string) string) string { return "" }, time.Minute, "can not be reached", true},
		{"silent", func(func(string) string) string { time.Sleep(300 * time.Millisecond); return "" }, 30 * time.Millisecond, "no answer in time", true},
	} {
		if why, dead := try(nil, c.within, brought, c.ack); why != c.why || dead != c.dead {
			t.Errorf("%s: %q %v, want %q %v", c.name, why, dead, c.why, c.dead)
		}
	}
	other := hl7.Receiver{Address: hisPort(t, server, acked("AA")), TLS: true, Roots: x509.NewCertPool(), Clock: clock}
	if why, dead := other.Bring(context.Background(), id, brought); why != "can not be reached" || !dead {
		t.Errorf("a certificate of nobody: %q %v", why, dead)
	}
}
