//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/mapping/defs"
	"yiqiao/simulator/people"
)

// doors are the mappings of the rig besides HL7: XML, FHIR and files.
func (r *leakRig) doors(g *gatewaySettings) {
	r.inbox = r.t.TempDir()
	g.SOAP.Mapping, g.FHIR.Mapping = "generic-xml", "generic-fhir"
	g.Files = []filesSettings{{System: "clinic", Folder: r.inbox, Mapping: "generic-csv", Institutions: []string{simHospital},
		Settle: config.Duration(-1), Every: config.Duration(20 * time.Millisecond)}}
}

// otherDoors drives the ways in that are not REST or HL7, with the cases of the shipped mappings, good and spoiled. What
// comes back goes to the HIS whose patient it is.
func (r *leakRig) otherDoors(who people.Person) {
	r.t.Helper()
	put := strings.NewReplacer("999999198503120018", who.Cert, "测试甲", who.Name, "TESTTOKEN00000000000000000001", who.Token, "T99900001", "CARD"+who.Card,
		"0000000000000000000000000000A001", who.CardSN)
	post := func(door, path, kind, body string, bearer bool) {
		req, err := http.NewRequest("POST", "http://"+r.gw.addr()+path, strings.NewReader(body))
		r.must(err)
		req.Header.Set("Content-Type", kind)
		if bearer {
			req.Header.Set("Authorization", "Bearer "+r.key)
		}
		resp, err := http.DefaultClient.Do(req)
		r.must(err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		r.must(err)
		r.keep("answer of "+door, b)
	}
	each := func(folder, ending string, do func(name, body string)) {
		list, err := fs.Glob(defs.FS, folder+"/cases/*."+ending)
		r.must(err)
		if len(list) < 5 {
			r.t.Fatalf("%d cases in %s", len(list), folder)
		}
		for _, name := range list {
			b, err := defs.FS.ReadFile(name)
			r.must(err)
			do(filepath.Base(name), put.Replace(string(b)))
		}
	}
	each("generic-xml", "xml", func(_, body string) {
		post("soap", "/soap/"+r.key, "text/xml", body, false)
		r.centre.say("1101", "refuse")
		post("soap", "/soap", "text/xml", strings.Replace(body, "<", "<"+who.Cert, 2), true)
		r.centre.say("1101", "")
	})
	post("soap", "/soap/"+r.key+"x", "text/xml", who.Token, false)
	each("generic-fhir", "fhir", func(name, body string) {
		path := "/fhir/Claim/$submit"
		switch {
		case strings.Contains(body, `"type": "message"`):
			path = "/fhir/$process-message"
		case strings.Contains(body, `"type": "transaction"`):
			path = "/fhir"
		}
		post("fhir "+name, path, "application/fhir+json", body, true)
		post("fhir "+name, path, "application/fhir+json", body[:len(body)*2/3], true)
		post("fhir "+name, path, "application/fhir+json", strings.Replace(body, `"resourceType"`, `"`+who.Cert+`"`, 1), true)
	})
	now := time.Now().In(gateway.China)
	for i, mode := range []string{"", "refuse", "html", "unsigned"} {
		r.centre.say("1101", mode)
		post("native", "/native/"+r.key+"/1101", "text/plain", fmt.Sprintf(`{"infno":"1101","msgid":"H44010000001%s77%02d","mdtrtarea_admvs":"440100","insuplc_admdvs":"440100","recer_sys_code":"YBXT","dev_no":"","dev_safe_info":"",
"cainfo":"","signtype":"","infver":"V1.0","opter_type":"1","opter":"0101","opter_name":"王收费","inf_time":%q,"fixmedins_code":"H44010000001","fixmedins_name":"测试市第一人民医院","sign_no":"",
"input":{"data":{"mdtrt_cert_type":"01","mdtrt_cert_no":%q,"card_sn":%q,"psn_cert_type":"01","certno":%q,"psn_name":%q}}}`,
			now.Format("20060102150405"), i, now.Format(time.DateTime), who.Token, who.CardSN, who.Cert, who.Name), false)
	}
	r.centre.say("1101", "")
	post("native", "/native/"+r.key, "text/plain", `{"infno":"`+who.Token, false)
	results := 0
	each("generic-csv", "csv", func(name, body string) {
		r.must(os.WriteFile(filepath.Join(r.inbox, name+".tmp"), []byte(body), 0o600))
		r.must(os.Rename(filepath.Join(r.inbox, name+".tmp"), filepath.Join(r.inbox, name)))
		results++
	})
	for limit := time.Now().Add(20 * time.Second); results > 0 && time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if list, err := filepath.Glob(filepath.Join(r.inbox, "*.csv")); err == nil && len(list) == 0 {
			break // all were taken away to be worked on
		}
	}
	for door, word := range map[string]string{"soap": "presettled", "fhir": "presettled", "native": "psn_no"} {
		if !slices.ContainsFunc(r.sinks, func(s sink) bool {
			return strings.HasPrefix(s.name, "answer of "+door) && bytes.Contains(s.text, []byte(word))
		}) {
			r.t.Errorf("nothing went through %s", door)
		}
	}
	var n int
	for limit := time.Now().Add(20 * time.Second); n == 0 && time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		_, err := r.gw.journal.db.Get(r.t.Context(), "SELECT COUNT(*) FROM request WHERE system = 'clinic'", nil, &n)
		r.must(err)
	}
	if n == 0 {
		r.t.Error("nothing came by files")
	}
}

// What the demonstration, the simulator, the e-invoices, the acceptance kit and the doctor print and keep.
func TestNothingLeaksBeside(t *testing.T) {
	var said, logged lockedBuffer
	st, err := newStage(t.Context(), &said, &logged, "mpc+tif")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(st.stop)
	who := people.Fixed()[1]
	bill, patient := standardBill("LEAK", who.Cert, who.Name)
	s, err := st.settle(t.Context(), bill, patient)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := st.einvoice(t.Context(), "1", s.ID)
	if err != nil || inv.State != gateway.InvoiceIssued {
		t.Fatalf("%+v %v", inv, err)
	}
	real := strings.Replace(readText(t, filepath.Join(st.dir, "yiqiao.yaml")), "127.0.0.1:0/medical-web", st.sim.einvoiceLn.Addr().String()+"/medical-web", 1)
	write(t, filepath.Join(st.dir, "yiqiao.yaml"), real)
	var sinks []sink
	run := func(args ...string) {
		t.Helper()
		code, out, errs := yiqiao(t, "", args...)
		if code == exitFail {
			t.Errorf("%v: %s", args, errs)
		}
		sinks = append(sinks, sink{strings.Join(args, " "), []byte(out + errs)})
	}
	run("einvoice", "list", "--config", st.dir)
	run("einvoice", "list", "--config", st.dir, "--json")
	run("doctor", "sign", "--message", doctored(t, st.dir, who), "--app-secret-file", filepath.Join(st.dir, "secrets", "app-secret"), "--key-file", filepath.Join(st.dir, "secrets", "gateway-private.key"))
	report := t.TempDir()
	run("accept", "run", "--target", "his", "--rehearse", "--out", filepath.Join(report, "r"))
	for _, dir := range []string{st.dir, report} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if d != nil && d.Name() == "secrets" {
					return fs.SkipDir
				}
				return err
			}
			b, err := os.ReadFile(path)
			sinks = append(sinks, sink{path, b})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sinks = append(sinks, sink{"log", []byte(logged.String())}, sink{"what the stage says", []byte(said.String())})
	secret := []tracked{}
	for _, p := range people.Fixed() {
		secret = append(secret, tracked{"token", p.Token}, tracked{"card serial", p.CardSN})
	}
	for _, name := range []string{"journal.key", "gateway-private.key", "app-secret", "tif-token", "audit.key", "einvoice-key"} {
		secret = append(secret, tracked{name, strings.TrimSpace(readText(t, filepath.Join(st.dir, "secrets", name)))})
	}
	for _, leak := range leaks(secret, sinks) {
		t.Error("credential:", leak)
	}
	// The doctor repeats the message it is given, to who gave it, and the demonstration shows the patient's slip; reports
	// of acceptance name invented persons. Nothing else does.
	personal := []tracked{{"name", who.Name}, {"identity number", who.Cert}, {"person number", who.No}}
	for _, leak := range leaks(personal, slices.DeleteFunc(sinks, func(s sink) bool {
		return strings.HasPrefix(s.name, "doctor") || strings.HasSuffix(s.name, "message.json") || strings.HasPrefix(s.name, "what the stage says") || strings.HasPrefix(s.name, report)
	})) {
		t.Error("personal:", leak)
	}
	if !bytes.Contains(slices.Concat(textsOf(sinks)...), []byte(inv.Number.No)) {
		t.Error("the e-invoice is nowhere: it was not looked at")
	}
}

// doctored writes a message for the doctor.
func doctored(t *testing.T, dir string, who people.Person) string {
	t.Helper()
	path := filepath.Join(dir, "message.json")
	write(t, path, `{"appId":"DEMOAPP000000001","timestamp":"1707593788918","data":{"name":"`+who.Name+`","amt":0.10}}`)
	return path
}

func textsOf(list []sink) (out [][]byte) {
	for _, s := range list {
		out = append(out, s.text)
	}
	return out
}
