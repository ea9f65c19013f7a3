package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"yiqiao/adapters/his/hl7"
	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/schemas/ident"
)

// newHospital is a gateway that takes mapped messages, and the simulated centre, in one process.
func newHospital(t testing.TB, set func(g *gatewaySettings)) (*simServer, *server) {
	t.Helper()
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	ss, err := loadSimulator(dir)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := newSimServer(ss)
	if err != nil {
		t.Fatal(err)
	}
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	g.Log.Level = "error"
	c := g.Centres["main"]
	c.URL = "http://" + sim.addr() + "/fsi/api"
	g.Centres["main"] = c
	set(g)
	gw, err := newServer(context.Background(), g, io.Discard, systemClock{})
	if err != nil {
		sim.close()
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = sim.run(ctx) })
	wg.Go(func() { _ = gw.run(ctx) })
	t.Cleanup(func() { stop(); wg.Wait(); gw.close(); sim.close() })
	return sim, gw
}

func hl7Hospital(t testing.TB) (*simServer, *server) {
	return hl7HospitalWith(t, func(*gatewaySettings) {})
}

func hl7HospitalWith(t testing.TB, set func(g *gatewaySettings)) (*simServer, *server) {
	return newHospital(t, func(g *gatewaySettings) {
		set(g)
		g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7",
			Clients: []hl7Client{{System: "his-hl7", Networks: []string{"127.0.0.0/8"}, Institutions: []string{"H44010000001"}}}}}
	})
}

// sender sends cases of the generic HL7 hospital and reads the acknowledgements.
type sender struct {
	t    testing.TB
	link *hl7.Link
}

func newSender(t testing.TB, gw *server) *sender {
	t.Helper()
	c, err := net.Dial("tcp", gw.hl7[0].ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l := hl7.NewLink(c, 0)
	t.Cleanup(func() { _ = l.Close() })
	return &sender{t, l}
}

// send sends a case, changed by pairs of old and new text.
func (s *sender) send(name string, edits ...string) func(path string) string {
	s.t.Helper()
	b, err := defs.FS.ReadFile("generic-hl7/cases/" + name + ".hl7")
	if err != nil {
		s.t.Fatal(err)
	}
	msg := strings.NewReplacer(edits...).Replace(string(b))
	ack, err := s.link.Send(context.Background(), []byte(msg))
	if err != nil {
		s.t.Fatal(err)
	}
	m, err := hl7.Parse(ack, "")
	if err != nil {
		s.t.Fatal(err)
	}
	return func(path string) string {
		p, err := hl7.Notation{}.Compile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		v, _ := p.Value(m)
		return v
	}
}

func (s *sender) want(step string, at func(string) string, ack, outcome, state string) {
	s.t.Helper()
	if at("MSA-1") != ack || at("ZYB-3") != outcome || at("ZYB-7") != state {
		s.t.Fatalf("%s: %s %s %s, want %s %s %s (%s %s %s)", step, at("MSA-1"), at("ZYB-3"), at("ZYB-7"), ack, outcome, state, at("ERR-5"), at("ERR-6"), at("ERR-8"))
	}
}

// The generic HL7 hospital: the whole outpatient ladder, with a lost answer, a repeated message and
// the refund; then a stay in hospital from admission to the way back.
func TestHL7Hospital(t *testing.T) {
	base := ""
	sim, gw := hl7HospitalWith(t, func(g *gatewaySettings) { base, g.Record.On = g.base, true })
	s := newSender(t, gw)

	opened := s.send("outpatient-bill")
	s.want("bill", opened, "AA", "done", "presettled")
	if opened("ZYB-11") != "479.54" || opened("ZYB-14") == "" {
		t.Errorf("trial: total %s, cash %s", opened("ZYB-11"), opened("ZYB-14"))
	}
	again := s.send("outpatient-bill", "|M001|", "|M001R|") // under another MSH-10: the account number names the bill
	if again("ZYB-6") != opened("ZYB-6") {
		t.Errorf("a repeat opened %s after %s", again("ZYB-6"), opened("ZYB-6"))
	}
	s.want("another bill under the same account", s.send("outpatient-bill", "|M001|", "|M001S|", "MZ20261123000001", "MZ9"), "AE", "", "")

	if err := sim.inject(`{"infno":"2207","kind":"commit-then-lose","times":1}`); err != nil {
		t.Fatal(err)
	}
	settled := s.send("outpatient-settle")
	for settled("ZYB-3") == "unknown" { // the message again asks
		if settled("MSA-1") != "AA" {
			t.Fatalf("unknown is acknowledged %s", settled("MSA-1"))
		}
		settled = s.send("outpatient-settle")
	}
	s.want("settle", settled, "AA", "done", "settled")
	if n := sim.settlements(settled("ZYB-9")); n != 1 || settled("ZYB-8") == "" {
		t.Errorf("%d settlements at the centre, setl_id %q", n, settled("ZYB-8"))
	}
	s.want("settle again", s.send("outpatient-settle", "|M002|", "|M002X|"), "AE", "refused", "")
	s.want("refund", s.send("outpatient-refund"), "AA", "done", "refunded")
	s.want("nobody's bill", s.send("outpatient-settle", "|M002|", "|M002Y|", "ZD20261123001", "ZD0"), "AE", "refused", "")
	s.want("unknown item", s.send("outpatient-bill-unknown-item"), "AE", "", "")

	s.want("admission", s.send("admission"), "AA", "done", "in-hospital")
	charged := s.send("charges")
	s.want("charges", charged, "AA", "done", "in-hospital")
	if charged("ZYB-11") != "479.54" {
		t.Errorf("charged %s", charged("ZYB-11"))
	}
	back := s.send("charges-taken-back")
	s.want("taken back", back, "AA", "done", "in-hospital")
	if back("ZYB-11") != "444.04" {
		t.Errorf("charged %s after taking back", back("ZYB-11"))
	}
	s.want("discharge", s.send("discharge"), "AA", "done", "discharged")
	s.want("trial", s.send("trial"), "AA", "done", "discharged")
	stay := s.send("settle")
	s.want("settle", stay, "AA", "done", "settled")
	if stay("ZYB-11") != "444.04" {
		t.Errorf("settled %s", stay("ZYB-11"))
	}
	s.want("undo settlement", s.send("undo-settlement"), "AA", "done", "discharged")
	s.want("undo discharge", s.send("undo-discharge"), "AA", "done", "in-hospital")
	s.want("undo admission", s.send("undo-admission"), "AA", "done", "cancelled")
	// Orders and reports are queued and reach the centre; what has no transaction is accepted and left alone.
	s.want("orders", s.send("orders-oral"), "AA", "queued", "prepared")
	s.want("reports", s.send("report-uninsured"), "AA", "queued", "prepared")
	for _, name := range []string{"orders-outpatient", "document", "appointment", "registration"} {
		s.want(name, s.send(name), "AA", "", "")
	}
	limit := time.Now().Add(time.Minute)
	for _, infno := range []ident.Infno{"4402", "4502"} {
		for done := false; !done; {
			recs, err := gw.journal.List(context.Background(), gateway.Query{Infno: infno})
			if err != nil || len(recs) != 1 || recs[0].State.Final() && recs[0].State != gateway.StateDone || time.Now().After(limit) {
				t.Fatalf("%s: %v %+v", infno, err, recs)
			}
			if done = recs[0].State == gateway.StateDone; done && !strings.HasPrefix(recs[0].Mapping, "generic-hl7@") {
				t.Errorf("%s came through %q", infno, recs[0].Mapping)
			}
		}
	}
	if err := sim.checkLedger(); err != nil {
		t.Error(err)
	}
	if f, err := gw.journal.Fsck(context.Background()); err != nil || len(f.Problems) > 0 {
		t.Errorf("%v %v", err, f.Problems)
	}
	replaysItsDay(t, base, "generic-hl7", 20, 3)
}

// What a refusal says: the place in the message, the code, whose job it is.
func TestHL7RefusalNamesThePlace(t *testing.T) {
	_, gw := hl7Hospital(t)
	at := newSender(t, gw).send("outpatient-bill-unknown-item")
	if at("ERR-2")+at("ERR-2.2")+at("ERR-2.3") != "FT117" || at("ERR-3") != "103" || at("ERR-5") != "request-invalid" || at("ERR-6[3]") != "map-item-unknown" || at("ERR-10") != "his" {
		t.Errorf("%s %s %s %s %s %s", at("ERR-2"), at("ERR-2.2"), at("ERR-3"), at("ERR-5"), at("ERR-6[3]"), at("ERR-10"))
	}
}

// What was not known when a message was answered is brought to the HIS as a message of ours, again until it takes it.
func TestHL7ResultsAreBrought(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, gw := newHospital(t, func(g *gatewaySettings) {
		g.HL7 = []hl7Settings{{Listen: "127.0.0.1:0", Mapping: "generic-hl7",
			Clients: []hl7Client{{System: "his-hl7", Networks: []string{"127.0.0.0/8"}, Institutions: []string{"H44010000001"},
				Deliver: deliverSettings{URL: "mllp://" + ln.Addr().String(), After: config.Duration(time.Millisecond)}}}}}
	})
	s := newSender(t, gw)
	s.want("orders", s.send("orders-oral"), "AA", "queued", "prepared")
	for _, ack := range []string{"AR", "AA"} {
		_ = ln.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute))
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(c)
		text, err := r.ReadString(0x1c)
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Split(text, "|")
		if !strings.Contains(text, "|ZYB^Z01^ZYB_Z01|") || !strings.Contains(text, "\rZYB|1|upload|done||M032|") {
			t.Errorf("brought: %q", text)
		}
		if _, err := io.WriteString(c, "\x0bMSH|^~\\&|HIS|H|YIQIAO|X|20260304||ACK|9|P|2.5\rMSA|"+ack+"|"+f[9]+"\r\x1c\r"); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		list, err := gw.journal.Untold(t.Context(), "his-hl7", time.Now().Add(time.Hour), gateway.RequestKey{}, 10)
		if err != nil || time.Now().After(limit) {
			t.Fatal(err, list)
		}
		if len(list) == 0 {
			break
		}
	}
}

func TestHL7Settings(t *testing.T) {
	dir := starterSite(t)
	settingsSay(t, dir, map[string]said{
		"good":        {"hl7:\n  - {listen: 127.0.0.1:0, mapping: generic-hl7, clients: [{system: a, networks: [127.0.0.0/8], institutions: [H44010000001]}]}\n", ""},
		"no mapping":  {"hl7:\n  - {listen: 127.0.0.1:0}\n", "listen and mapping are needed"},
		"institution": {"hl7:\n  - {listen: 127.0.0.1:0, mapping: generic-hl7, clients: [{system: a, institutions: [H1]}]}\n", "H1 is not described"},
		"half TLS":    {"hl7:\n  - {listen: 127.0.0.1:0, mapping: generic-hl7, cert: a}\n", "go together"},
		"deliver":     {"hl7:\n  - {listen: 127.0.0.1:0, mapping: generic-hl7, clients: [{system: a, networks: [127.0.0.0/8], institutions: [H44010000001], deliver: {url: 'mllps://h:1'}}]}\n", ""},
		"unknown key": {"hl7:\n  - {listn: 1}\n", "listn"},
	})
	for name, h := range map[string]hl7Settings{
		"no such mapping": {Listen: "127.0.0.1:0", Mapping: "nobody"},
		"no clients":      {Listen: "127.0.0.1:0", Mapping: "generic-hl7"},
		"key digest":      {Listen: "127.0.0.1:0", Mapping: "generic-hl7", Clients: []hl7Client{{System: "a", KeyDigest: "xx"}}},
		"network":         {Listen: "127.0.0.1:0", Mapping: "generic-hl7", Clients: []hl7Client{{System: "a", Networks: []string{"x"}}}},
	} {
		notStarted(t, dir, name, func(g *gatewaySettings) { g.HL7 = []hl7Settings{h} })
	}
}

// starterSite is a folder with a configuration to be changed.
func starterSite(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := writeStarter(dir, starter{Listen: "127.0.0.1:0", Simulator: "127.0.0.1:0", Control: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	return dir
}

// said is a piece of yiqiao.yaml and what is said of it, "" when it is good.
type said struct{ text, want string }

// settingsSay adds each piece to the configuration and reads it.
func settingsSay(t *testing.T, dir string, cases map[string]said) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "yiqiao.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		file := filepath.Join(dir, "x.yaml")
		if err := os.WriteFile(file, append(bytes.Clone(b), c.text...), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadGateway(file); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// notStarted starts a gateway that must refuse, and gives its words.
func notStarted(t *testing.T, dir, name string, set func(g *gatewaySettings)) error {
	t.Helper()
	g, err := loadGateway(dir)
	if err != nil {
		t.Fatal(err)
	}
	g.Log.Level, g.Data = "error", filepath.Join(t.TempDir(), "data")
	set(g)
	srv, err := newServer(context.Background(), g, io.Discard, systemClock{})
	if err == nil {
		srv.close()
		t.Fatalf("%s: started", name)
	}
	return err
}
