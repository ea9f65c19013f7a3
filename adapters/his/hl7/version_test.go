package hl7_test

import (
	"strings"
	"testing"

	"yiqiao/adapters/his/histest"
	"yiqiao/adapters/his/hl7"
)

// Every version from 2.3 to 2.8 in the forms MSH-2, MSH-9 and MSH-12 have in it: taken, and answered in the sender's own
// version. Others are refused by the place.
func TestVersions(t *testing.T) {
	addr := serve(t, options(&histest.Desk{}))
	good := string(message(open))
	const kind, head = "|ZJS^Z01|", "|P|2.5||||||UNICODE UTF-8\r"
	if !strings.Contains(good, kind) || !strings.Contains(good, head) {
		t.Fatal("the sample is not as it was")
	}
	for _, c := range []struct{ delims, typ, header, version, ack string }{
		{`^~\&`, "ZJS^Z01", "P|2.3", "2.3", "ACK^Z01"},
		{`^~\&`, "ZJS^Z01", "P|2.3||||||", "2.3", "ACK^Z01"},
		{`^~\&`, "ZJS^Z01^ZJS_Z01", "P|2.3.1||||||UNICODE UTF-8", "2.3.1", "ACK^Z01^ACK"},
		{`^~\&`, "ZJS^Z01^ZJS_Z01", "P^T|2.4^CHN^2.4.1||||||UNICODE UTF-8~ASCII", "2.4", "ACK^Z01^ACK"},
		{`^~\&`, "ZJS^Z01^ZJS_Z01", "P|2.5|||||CHN|UNICODE UTF-8|zh^Chinese^ISO639||P^IHE", "2.5", "ACK^Z01^ACK"},
		{`^~\&`, "ZJS^Z01^ZJS_Z01", "D|2.5.1^CHN&China&ISO3166^2.5.1", "2.5.1", "ACK^Z01^ACK"},
		{`^~\&`, "ZJS^Z01", "P|2.6|1||||CHN|UNICODE UTF-8|||||HOSP^1.2.3^ISO|YQ", "2.6", "ACK^Z01^ACK"},
		{`^~\&#`, "ZJS^Z01^ZJS_Z01", "P|2.7|||||CHN|UNICODE UTF-8|||PH^^1.2.3^ISO|HOSP|YQ|10.1.0.9", "2.7", "ACK^Z01^ACK"},
		{`^~\&#`, "ZJS^Z01^ZJS_Z01", "P|2.7.1", "2.7.1", "ACK^Z01^ACK"},
		{`^~\&#`, "ZJS^Z01^ZJS_Z01", "P|2.8", "2.8", "ACK^Z01^ACK"},
		{`^~\&#`, "ZJS^Z01^ZJS_Z01", "P|2.8.2||||||UNICODE UTF-8", "2.8.2", "ACK^Z01^ACK"},
		{`^~\&`, "ZJS^Z01", "P", "2.5", "ACK^Z01^ACK"}, // it does not say
		{`^~\&`, "ZJS^Z01", "P|2.2", "2.2", ""}, {`^~\&`, "ZJS^Z01", "P|2.9", "2.9", ""}, {`^~\&`, "ZJS^Z01", "P|2.10", "2.10", ""},
		{`^~\&`, "ZJS^Z01", "P|2", "2", ""}, {`^~\&`, "ZJS^Z01", "P|3.0", "3.0", ""}, {`^~\&`, "ZJS^Z01", "P|V2.5", "V2.5", ""},
	} {
		msg := strings.NewReplacer(kind, "|"+c.typ+"|", head, "|"+c.header+"\r", `MSH|^~\&`, "MSH|"+c.delims).Replace(good)
		m, err := hl7.Parse([]byte(msg), "")
		if err != nil || m.Type() != "ZJS^Z01" || m.ID() == "" || value(t, m, "ZJS-1") != string(open.Op) {
			t.Errorf("%s: %v %s %s", c.header, err, m.Type(), m.ID())
			continue
		}
		conn := dial(t, addr)
		_, _ = conn.Write(framed([]byte(msg)))
		at := next(t, conn)
		_ = conn.Close()
		if c.ack == "" {
			if at("MSA-1") != "AE" || at("ERR-6") != "MSH-12" || at("MSA-2") != m.ID() {
				t.Errorf("%s: %s at %s", c.header, at("MSA-1"), at("ERR-6"))
			}
			continue
		}
		typ := strings.TrimSuffix(at("MSH-9")+"^"+at("MSH-9.2")+"^"+at("MSH-9.3"), "^")
		if at("MSA-1") != "AA" || at("MSH-12") != c.version || typ != c.ack || at("MSH-11") != c.header[:1] || at("MSH-2") != `^~\&` {
			t.Errorf("%s: %s %s in %s, process %s, want AA %s in %s", c.header, at("MSA-1"), typ, at("MSH-12"), at("MSH-11"), c.ack, c.version)
		}
	}
}
